//! `lint`: what is wrong with the policy.

use vouchsafe_keeper::{PolicyFile, RegisterState, register_state};
use vouchsafe_policy::lint::unusable_register;
use vouchsafe_policy::{Level, Problem};

use crate::args::{Lint, LintFormat};
use crate::exit::{Exit, Failure};
use crate::findings;
use crate::session::Session;

/// Everything that is said about a policy file: what cannot be understood, and what cannot hold.
pub(crate) fn problems(file: &PolicyFile, session: &Session) -> Vec<Problem> {
    let mut all = file.lowered.problems.clone();
    all.extend(vouchsafe_policy::lint(&file.lowered, Some(session.now())));
    all.extend(waiting(file, session));
    all.extend(register(file, session));
    all.sort_by_key(|p| (p.line, p.column, p.code));
    all.dedup();
    all
}

/// What the record here knows to wait for approval; nothing where nothing was initialised.
fn waiting(file: &PolicyFile, session: &Session) -> Vec<Problem> {
    let is_made = session.state.is_initialised().unwrap_or(false);
    if !is_made || !file.lowered.is_usable() {
        return Vec::new();
    }
    // What keeps the record from being read is told by the commands that need it.
    let Ok(keeper) = session.keeper() else {
        return Vec::new();
    };
    match keeper.bound.waiting() {
        Some(change) => {
            vouchsafe_policy::change::findings(&file.lowered, &change.change, &change.alterations)
        }
        None => Vec::new(),
    }
}

/// What keeps the register of erasures from being used.
fn register(file: &PolicyFile, session: &Session) -> Option<Problem> {
    let policy = file.lowered.policy.as_ref()?;
    match register_state(policy, session.now()) {
        RegisterState::Usable => None,
        RegisterState::Absent => Some(unusable_register(&file.lowered, None)),
        RegisterState::Faulty(why) => Some(unusable_register(&file.lowered, Some(&why))),
    }
}

/// Prints the findings; errors and warnings make the exit code 1, an unusable policy 2.
pub(crate) fn lint(session: &Session, args: &Lint) -> Result<Exit, Failure> {
    if let Some(code) = &args.explain {
        let text = vouchsafe_policy::explain(&code.to_uppercase())
            .ok_or_else(|| Failure::Usage(format!("there is no finding `{code}`")))?;
        session.output.text(text)?;
        return Ok(Exit::Met);
    }
    let file = PolicyFile::read(&session.policy_path)?;
    let problems = problems(&file, session);
    let count = |level| problems.iter().filter(|p| p.level == level).count();
    let said = |level, word| vouchsafe_evidence::count(vouchsafe_evidence::len(count(level)), word);
    if args.format == LintFormat::Sarif {
        let address = session.policy_argument.to_string_lossy();
        let version = env!("CARGO_PKG_VERSION");
        let log = vouchsafe_policy::sarif_of(&problems, &file.lowered.files, &address, version);
        session.output.json(&log)?;
    } else if session.output.json || args.format == LintFormat::Json {
        let findings: Vec<_> = problems.iter().map(|p| findings::json(&file, p)).collect();
        session
            .output
            .json(&serde_json::json!({ "findings": findings }))?;
    } else {
        let options = session.output.text_options(false);
        for problem in &problems {
            session.output.text(&findings::picture(
                &file,
                problem,
                options.colour,
                options.width,
            ))?;
        }
        session.output.text(&format!(
            "{}: {}, {}, {}",
            file.path.display(),
            said(Level::Error, "error"),
            said(Level::Warning, "warning"),
            said(Level::Note, "note")
        ))?;
    }
    Ok(
        match (
            file.lowered.is_usable(),
            count(Level::Error) + count(Level::Warning),
        ) {
            (false, _) => Exit::CannotStart,
            (true, 0) => Exit::Met,
            (true, _) => Exit::NotMet,
        },
    )
}
