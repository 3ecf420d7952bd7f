//! The command line of Vouchsafe: arguments, output, exit codes, wiring.

mod args;
mod commands;
mod exit;
mod findings;
mod output;
mod reporter;
mod session;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::session::Session;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() {
                Exit::CannotStart
            } else {
                Exit::Met
            };
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            return exit.into();
        }
    };
    match dispatch(&cli) {
        Ok(exit) => exit.into(),
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Exit::Met.into()
        }
        Err(failure) => {
            let exit = Exit::of(&failure);
            if cli.json {
                let error = serde_json::json!({ "event": "error", "message": vouchsafe_keeper::chain(&failure), "exit": exit as u8 });
                // If standard output is gone, the exit code still tells.
                let _ = Output::new(true).json(&error);
            } else {
                Output::complain(&format!("error: {}", vouchsafe_keeper::chain(&failure)));
            }
            exit.into()
        }
    }
}

fn dispatch(cli: &Cli) -> Result<Exit, Failure> {
    let session = Session::new(cli)?;
    match &cli.command {
        Command::Demo(args) => commands::demo::demo(&session, args),
        Command::Init(args) => commands::init::init(&session, args),
        Command::Lint(args) => commands::lint::lint(&session, args),
        Command::Trace => commands::trace::requirements(&session),
        Command::Agenda(args) => commands::look::agenda(&session, args),
        Command::Run(args) => commands::deeds::run(&session, args),
        Command::Worker(args) => commands::worker::worker(&session, args),
        Command::Status(args) => commands::look::status(&session, args),
        Command::Points(args) => commands::look::points(&session, args),
        Command::Restore(args) => commands::deeds::restore(&session, args),
        Command::Verify(args) => commands::deeds::verify(&session, args),
        Command::Hold(command) => commands::holds::hold(&session, command),
        Command::Duties(args) => commands::people::duties(&session, args),
        Command::Attest(args) => commands::people::attest(&session, args),
        Command::Incident(command) => commands::cases::incident(&session, command),
        Command::Access(command) => commands::access::access(&session, command),
        Command::Pause(command) => commands::pause::pause(&session, command),
        Command::Exempt(command) => commands::cases::exempt(&session, command),
        Command::Prune(args) => commands::prune::prune(&session, args),
        Command::Approve(args) => commands::changes::approve(&session, args),
        Command::Deny(args) => commands::changes::deny(&session, args),
        Command::Drill(args) => commands::deeds::drill(&session, args),
        Command::RecoverState(args) => commands::init::recover_state(&session, args),
        Command::Ledger(args) => commands::ledger::ledger(&session, args),
        Command::Report(args) => commands::report::report(&session, args),
        Command::Coverage => commands::coverage::coverage(&session),
        Command::Document(args) => commands::document::document(&session, args),
        Command::Vault(args) => commands::vault::vault(&session, args),
        Command::Key(args) => commands::keys::key(&session, args),
        Command::Schema => {
            let schema =
                serde_json::to_string_pretty(&vouchsafe_policy::schema()).unwrap_or_default();
            session.output.text(&schema)?;
            Ok(Exit::Met)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            let mut grammar = <Cli as clap::CommandFactory>::command();
            clap_complete::generate(*shell, &mut grammar, "vouchsafe", &mut script);
            session.output.text(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Met)
        }
    }
}
