//! `init` and `recover-state`: making the state, or making it again.

use vouchsafe_host::files;
use vouchsafe_keeper::{InitReport, KeeperError, RecoverRequest, Recovered};
use vouchsafe_model::{Secret, SecretRef};

use crate::args::{Init, RecoverState};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::reporter::Console;
use crate::session::Session;

/// Writes a policy if there is none, and creates what is missing.
pub(crate) fn init(session: &Session, args: &Init) -> Result<Exit, Failure> {
    let path = &session.policy_path;
    let wrote = if files::exists(path).map_err(KeeperError::from)? {
        false
    } else {
        let template = vouchsafe_policy::template(&args.template).ok_or_else(|| {
            Failure::Usage(format!(
                "there is no template `{}`; there are default and files",
                args.template
            ))
        })?;
        files::write_atomic(path, template.as_bytes(), 0o644).map_err(KeeperError::from)?;
        true
    };
    let report = make(session, args.new_ledger)?;
    if session.output.json {
        session.output.json(&serde_json::json!({
            "event": "result",
            "policy_written": wrote.then(|| path.display().to_string()),
            "vaults_created": report.created,
            "vaults_found": report.found,
            "joined": report.joined,
            "fingerprint": report.fingerprint,
            "recovery_sheet": report.sheet.display().to_string(),
        }))?;
        return Ok(Exit::Met);
    }
    if wrote {
        session.output.text(&format!(
            "wrote {}; read it and make it yours",
            path.display()
        ))?;
    }
    session.output.text(&told(&report))?;
    if session.output.is_terminal() {
        let sheet = files::read_to_string(&report.sheet, 1 << 20).map_err(KeeperError::from)?;
        session.output.text(&format!("\n{sheet}"))?;
    }
    session
        .output
        .text("next: vouchsafe run, vouchsafe drill, vouchsafe status")?;
    Ok(Exit::Met)
}

/// Creates what is missing.
pub(crate) fn make(session: &Session, new_ledger: bool) -> Result<InitReport, Failure> {
    let (policy, text) = session.policy()?;
    let console = Console::new(session.output);
    let (_, report) = vouchsafe_keeper::init(
        policy,
        text,
        session.state.clone(),
        session.tools.clone(),
        new_ledger,
        &console,
    )?;
    Ok(report)
}

fn told(report: &InitReport) -> String {
    let mut lines = Vec::new();
    for vault in &report.created {
        lines.push(format!("created vault {vault}"));
    }
    for (vault, key) in &report.only_wrapped {
        lines.push(format!(
            "vault {vault} opens by the {key} alone; for the day on which that is gone: vouchsafe key add {vault} --generate"
        ));
    }
    for vault in &report.found {
        lines.push(format!("found vault {vault}"));
    }
    if let Some(vault) = &report.joined {
        lines.push(format!("took over the ledger that vault {vault} holds"));
    }
    lines.push(format!("ledger key fingerprint {}", report.fingerprint));
    lines.push(format!(
        "recovery sheet: {} (print it twice, lock it away from this machine, then delete it)",
        report.sheet.display()
    ));
    lines.join("\n")
}

/// Rebuilds ledger and policy from a vault.
pub(crate) fn recover_state(session: &Session, args: &RecoverState) -> Result<Exit, Failure> {
    let sheet = match (&args.sheet, &args.passphrase_file) {
        (Some(path), _) => Secret::new(files::read(path, 1 << 20).map_err(KeeperError::from)?),
        (None, Some(path)) => vouchsafe_host::secret::resolve(&SecretRef::File(path.clone()))
            .map_err(KeeperError::from)?,
        (None, None) if args.wrapped => Secret::new(Vec::new()),
        (None, None) => {
            return Err(Failure::Usage(
                "give --sheet or --passphrase-file".to_owned(),
            ));
        }
    };
    let request = RecoverRequest {
        url: args.vault.clone(),
        sheet,
        unwrap: args.unwrap.clone(),
        policy: session.policy_path.clone(),
        state: session.state.clone(),
    };
    let recovered = vouchsafe_keeper::recover_state(&request, &session.tools)?;
    if session.output.json {
        session.output.json(&serde_json::json!({
            "event": "result",
            "entries": recovered.entries,
            "fingerprint": recovered.fingerprint,
            "policy": recovered.policy.display().to_string(),
            "vaults_without_passphrase": recovered.without_passphrase,
            "passed_over": recovered.passed_over,
        }))?;
        return Ok(how_whole(&recovered));
    }
    session.output.text(&format!(
        "{}, each checked against its signature and every published head\nledger key fingerprint {} (compare it with the recovery sheet)\npolicy written to {}",
        vouchsafe_evidence::count(recovered.entries, "entry"),
        recovered.fingerprint,
        recovered.policy.display()
    ))?;
    for vault in &recovered.without_passphrase {
        let path = session.state.passphrase_path(vault);
        session.output.text(&format!(
            "vault {vault} has no passphrase yet: put it into {} (mode 0600)",
            path.display()
        ))?;
    }
    for issue in &recovered.passed_over {
        Output::complain(&format!("! {}: {}", issue.place, issue.message));
    }
    if !recovered.passed_over.is_empty() {
        session.output.text(
            "what was recorded after the ledger snapshot that was used is not in the ledger; look whether another vault has more before you go on",
        )?;
    }
    session.output.text("next: vouchsafe status")?;
    Ok(how_whole(&recovered))
}

fn how_whole(recovered: &Recovered) -> Exit {
    match recovered.passed_over.is_empty() {
        true => Exit::Met,
        false => Exit::Incomplete,
    }
}
