//! `ledger`: the record, checked, shown, exported.

use std::io::BufReader;
use std::path::PathBuf;

use vouchsafe_evidence::count;
use vouchsafe_host::files;
use vouchsafe_keeper::KeeperError;
use vouchsafe_ledger::{VerifyReport, verify_export};

use crate::args::Ledger;
use crate::exit::{Exit, Failure};
use crate::session::Session;

/// Does what the subcommand says.
pub(crate) fn ledger(session: &Session, args: &Ledger) -> Result<Exit, Failure> {
    match args {
        Ledger::Verify { export, key, head } => {
            verify(session, export.as_ref(), key.as_deref(), head)
        }
        Ledger::Show { last } => show(session, *last),
        Ledger::Export { output } => export(session, output.as_ref()),
    }
}

fn verify(
    session: &Session,
    export: Option<&PathBuf>,
    key: Option<&str>,
    heads: &[PathBuf],
) -> Result<Exit, Failure> {
    let mut published = Vec::new();
    for path in heads {
        published.push(files::read_to_string(path, 64 << 10).map_err(KeeperError::from)?);
    }
    let report = match export {
        Some(path) => {
            let file = files::open_read(path).map_err(KeeperError::from)?;
            verify_export(BufReader::new(file), key, &published).map_err(|e| {
                Failure::Usage(format!(
                    "{}: {}",
                    path.display(),
                    vouchsafe_keeper::chain(&e)
                ))
            })?
        }
        None => session
            .keeper()?
            .ledger
            .verify(&published)
            .map_err(KeeperError::from)?,
    };
    if session.output.json {
        session.output.json(&json(&report))?;
    } else {
        session
            .output
            .text(&text(&report, key.is_some() || export.is_none()))?;
    }
    Ok(Exit::judged(report.is_sound()))
}

fn json(report: &VerifyReport) -> serde_json::Value {
    serde_json::json!({
        "origin": report.origin,
        "public_key": report.public_key,
        "entries": report.entries,
        "sound": report.is_sound(),
        "first_wrong": report.first_wrong(),
        "published_matched": report.published_matched,
        "problems": report.problems.iter().map(|p| serde_json::json!({
            "entry": p.first_wrong, "what": p.what,
        })).collect::<Vec<_>>(),
        "obligations_without_facts": report.obligations_without_facts,
        "silence": report.silence.iter().map(|s| serde_json::json!({ "from": s.from, "to": s.to })).collect::<Vec<_>>(),
        "breaks": report.breaks.iter().map(|b| serde_json::json!({ "entry": b.seq, "reason": b.reason })).collect::<Vec<_>>(),
    })
}

fn text(report: &VerifyReport, key_known: bool) -> String {
    let mut lines = vec![
        format!("ledger {}", report.origin),
        format!("public key {}", report.public_key),
        format!("fingerprint {}", fingerprint(&report.public_key)),
        format!(
            "{}, {} matched",
            count(report.entries, "entry"),
            count(report.published_matched, "published head")
        ),
    ];
    if !key_known {
        lines.push("the key was taken from the export itself: give --key to hold it against the recovery sheet".to_owned());
    }
    for problem in &report.problems {
        let place = problem
            .first_wrong
            .map_or("ledger".to_owned(), |n| format!("entry {n}"));
        lines.push(format!("✗ {place}: {}", problem.what));
    }
    for obligation in &report.obligations_without_facts {
        lines.push(format!(
            "! {} {} was due {} and has no fact",
            obligation.kind,
            obligation.subject(),
            obligation.due.minute()
        ));
    }
    for silence in &report.silence {
        lines.push(format!(
            "! silence from {} to {}",
            silence.from.minute(),
            silence.to.minute()
        ));
    }
    for b in &report.breaks {
        lines.push(format!("! break at entry {}: {}", b.seq, b.reason));
    }
    lines.push(match (report.is_sound(), report.first_wrong()) {
        (true, _) => "✓ every entry is what was signed".to_owned(),
        (false, Some(n)) => format!("✗ the first wrong entry is {n}"),
        (false, None) => "✗ the record is not what was signed".to_owned(),
    });
    lines.join("\n")
}

fn fingerprint(vkey: &str) -> String {
    vouchsafe_ledger::VerifyingKey::parse(vkey)
        .map_or_else(|e| e.to_string(), |key| key.fingerprint())
}

fn show(session: &Session, last: u64) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    let size = keeper.ledger.len().map_err(KeeperError::from)?;
    let entries = keeper
        .ledger
        .read(size.saturating_sub(last)..size)
        .map_err(KeeperError::from)?;
    let head = keeper.ledger.head().map_err(KeeperError::from)?;
    let key = keeper.ledger.public_key();
    if session.output.json {
        session.output.json(&serde_json::json!({
            "head": head.note, "public_key": key.to_string(), "fingerprint": key.fingerprint(), "entries": entries,
        }))?;
        return Ok(Exit::Met);
    }
    for recorded in &entries {
        let fact = serde_json::to_value(&recorded.entry.fact).unwrap_or_default();
        let kind = fact
            .get("fact")
            .and_then(|k| k.as_str())
            .unwrap_or("?")
            .to_owned();
        session.output.text(&format!(
            "{:>7}  {}  {:<22} {}",
            recorded.seq,
            recorded.entry.at.minute(),
            kind,
            summary(&fact)
        ))?;
    }
    session.output.text(&format!(
        "\n{}public key {key}\nfingerprint {}",
        head.note,
        key.fingerprint()
    ))?;
    Ok(Exit::Met)
}

/// The short words of a fact: ids, names, outcome.
fn summary(fact: &serde_json::Value) -> String {
    const SHOWN: [&str; 10] = [
        "protection",
        "vault",
        "deed",
        "subject",
        "kind",
        "due",
        "outcome",
        "until",
        "tree_size",
        "reason",
    ];
    let mut words = Vec::new();
    for key in SHOWN {
        match fact.get(key) {
            Some(serde_json::Value::String(text)) => words.push(text.clone()),
            Some(serde_json::Value::Number(n)) => words.push(format!("{key} {n}")),
            _ => {}
        }
    }
    words.join("  ")
}

fn export(session: &Session, output: Option<&PathBuf>) -> Result<Exit, Failure> {
    let keeper = session.keeper()?;
    match output {
        None => {
            keeper
                .ledger
                .export(std::io::stdout().lock())
                .map_err(KeeperError::from)?;
        }
        Some(path) => {
            let file = files::create_new(path, 0o644).map_err(KeeperError::from)?;
            let mut writer = std::io::BufWriter::new(file);
            let head = keeper
                .ledger
                .export(&mut writer)
                .map_err(KeeperError::from)?;
            std::io::Write::flush(&mut writer)?;
            session.output.text(&format!(
                "wrote {} to {}",
                count(head.size, "entry"),
                path.display()
            ))?;
        }
    }
    Ok(Exit::Met)
}
