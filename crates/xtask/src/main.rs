//! The project's own chores: `cargo xtask tidy`, `setup`, `env`, `test`, `conformance`, `rounds`, `bench`.

// A chore talks to the person who called it and works on the machine it runs on; none of it ships.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod apt;
mod bench;
mod conformance;
mod mongo_tools;
mod oracles;
mod packages;
mod phases;
mod program;
mod rounds;
mod servers;
mod suite;
mod tidy;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask tidy                        hold the tree against its own rules
       cargo xtask setup                       install what the tests need
       cargo xtask env                         print the variables that the tests read, for eval
       cargo xtask test [-p PACKAGE]… [CARGO ARGUMENTS] [-- TEST ARGUMENTS]
                                               set up, then run the tests of all or some packages
       cargo xtask conformance [--env | TEST ARGUMENTS]
                                               against Ceph, Azurite, MySQL and MongoDB's tools, which it installs;
                                               with --env only prints the variables that these tests read
       cargo xtask rounds [OPTIONS]            the log through sudden deaths, and back to every claimed moment;
                                               --help says how
       cargo xtask bench [OPTIONS]             measure the engine beside its peers; --help says how
       cargo xtask bench databases [OPTIONS]   measure databases beside theirs; --help says how";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("", [].as_slice()),
    };
    let done = match (command, rest) {
        ("tidy", []) => tidy::run(),
        ("setup", []) => suite::set_up(),
        ("env", []) => suite::print_environment(),
        ("test", rest) => suite::test(rest),
        ("conformance", [flag]) if flag == "--env" => conformance::print_environment(),
        ("conformance", rest) => conformance::run(rest),
        ("rounds", rest) => rounds::run(rest),
        ("bench", rest) => bench::run(rest),
        (bench::MEASURED, rest) => bench::run_measured(rest),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
