//! `ledger`: the record, checked, shown, exported.

use std::io::BufReader;
use std::path::PathBuf;

use vouchsafe_evidence::count;
use vouchsafe_host::files;
use vouchsafe_keeper::KeeperError;
use vouchsafe_ledger::{Expected, Outcome, VerifyReport, VerifyingKey, verify_export_by};

use crate::args::Ledger;
use crate::args::ledger::VerifyBy;
use crate::commands::{ledger_proofs, ledger_stamp, ledger_witness};
use crate::exit::{Exit, Failure};
use crate::session::Session;

/// Does what the subcommand says.
pub(crate) fn ledger(session: &Session, args: &Ledger) -> Result<Exit, Failure> {
    match args {
        Ledger::Verify {
            export,
            key,
            head,
            by,
        } => verify(session, export.as_ref(), key.as_deref(), head, by),
        Ledger::Rebuild => rebuild(session),
        Ledger::Show { last } => show(session, *last),
        Ledger::Export {
            tiles: Some(dir), ..
        } => ledger_proofs::tiles(session, dir),
        Ledger::Export { output, .. } => export(session, output.as_ref()),
        Ledger::Prove(args) => ledger_proofs::prove(session, args),
        Ledger::CheckProof(args) => ledger_proofs::check(session, args),
        Ledger::Cosign(args) => ledger_witness::cosign(session, args),
        Ledger::Witnessed(args) => ledger_witness::witnessed(session, args),
        Ledger::Timestamp(args) => ledger_stamp::timestamp(session, args),
    }
}

fn rebuild(session: &Session) -> Result<Exit, Failure> {
    let ledger = &session.keeper()?.ledger;
    ledger.rebuild_projections().map_err(KeeperError::from)?;
    let entries = ledger.len().map_err(KeeperError::from)?;
    if session.output.json {
        session
            .output
            .json(&serde_json::json!({ "event": "result", "entries": entries }))?;
    } else {
        let text = format!(
            "obligations and horizon made anew from {}",
            count(entries, "entry")
        );
        session.output.text(&text)?;
    }
    Ok(Exit::Met)
}

fn verify(
    session: &Session,
    export: Option<&PathBuf>,
    key: Option<&str>,
    heads: &[PathBuf],
    by: &VerifyBy,
) -> Result<Exit, Failure> {
    let mut published = Vec::new();
    for path in heads {
        published.push(files::read_to_string(path, 64 << 10).map_err(KeeperError::from)?);
    }
    if let Some(key) = key {
        VerifyingKey::parse(key).map_err(|e| Failure::Usage(vouchsafe_keeper::chain(&e)))?;
    }
    let witnesses = ledger_witness::keys(&by.witness)?;
    let roots = by.tsa_root.as_deref().map(ledger_stamp::roots);
    let roots = roots.transpose()?;
    let until = by.until.as_deref().map(|text| session.time(text));
    let expected = Expected {
        vkey: key,
        heads: &published,
        witnesses: &witnesses,
        stamp_roots: roots.as_ref(),
        until: until.transpose()?,
    };
    let report = match export {
        Some(path) => {
            let file = files::open_read(path).map_err(KeeperError::from)?;
            let reader = BufReader::with_capacity(1 << 20, file);
            verify_export_by(reader, &expected).map_err(|e| {
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
            .verify_by(&expected)
            .map_err(KeeperError::from)?,
    };
    if session.output.json {
        session.output.json(&json(&report))?;
    } else {
        session.output.text(&text(
            &report,
            key.is_some() || export.is_none(),
            roots.is_some(),
        ))?;
    }
    Ok(Exit::judged(match report.outcome() {
        Outcome::Sound => true,
        Outcome::Gaps => !by.strict,
        Outcome::Wrong => false,
    }))
}

fn json(report: &VerifyReport) -> serde_json::Value {
    serde_json::json!({
        "origin": report.origin,
        "public_key": report.public_key,
        "keys_since": report.keys.later().iter().map(|(size, key)| serde_json::json!({
            "size": size, "key": key.to_string(),
        })).collect::<Vec<_>>(),
        "entries": report.entries,
        "outcome": report.outcome().word(),
        "sound": report.is_sound(),
        "first_wrong": report.first_wrong(),
        "published_matched": report.published_matched,
        "problems": report.problems.iter().map(|p| serde_json::json!({
            "entry": p.first_wrong, "what": p.what,
        })).collect::<Vec<_>>(),
        "obligations_without_facts": report.obligations_without_facts,
        "silence": report.silence.iter().map(|s| serde_json::json!({ "from": s.from, "to": s.to })).collect::<Vec<_>>(),
        "clock_set_back": report.set_back.iter().map(|s| serde_json::json!({ "entry": s.seq, "from": s.from, "to": s.to })).collect::<Vec<_>>(),
        "witnesses": report.witnesses.iter().map(|w| serde_json::json!({
            "witness": w.witness, "size": w.size, "at": w.at, "entry": w.entry, "key_known": w.is_known,
        })).collect::<Vec<_>>(),
        "stamps": report.stamps.iter().map(|s| serde_json::json!({
            "authority": s.authority, "size": s.size, "at": s.at, "accuracy_micros": s.accuracy_micros,
            "entry": s.entry, "authority_trusted": s.is_trusted,
        })).collect::<Vec<_>>(),
        "breaks": report.breaks.iter().map(|b| serde_json::json!({ "entry": b.seq, "reason": b.reason })).collect::<Vec<_>>(),
    })
}

fn text(report: &VerifyReport, key_known: bool, roots_given: bool) -> String {
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
    for (size, key) in report.keys.later() {
        lines.push(format!(
            "signed by {key} since entry {}",
            size.saturating_sub(1)
        ));
    }
    for seen in &report.witnesses {
        let known = match seen.is_known {
            true => "",
            false => {
                ", if this key is the witness's: give --witness to hold it against what the witness has told"
            }
        };
        lines.push(format!(
            "witnessed up to {} at {} by {}{known}",
            count(seen.size, "entry"),
            seen.at.minute(),
            seen.witness
        ));
    }
    let stamps = report.stamps.iter();
    lines.extend(stamps.map(|stamp| ledger_stamp::line(stamp, roots_given)));
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
    for back in &report.set_back {
        lines.push(format!(
            "! the clock was set back at entry {}: from {} to {}",
            back.seq, back.from, back.to
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
    VerifyingKey::parse(vkey).map_or_else(|e| e.to_string(), |key| key.fingerprint())
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
    const SHOWN: [&str; 11] = [
        "protection",
        "vault",
        "deed",
        "subject",
        "kind",
        "due",
        "outcome",
        "until",
        "tree_size",
        "authority",
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
