//! `trace`: which requirement rests on what.

use vouchsafe_keeper::PolicyFile;
use vouchsafe_policy::trace::{Decider, Footing, Traced, TracedKey, trace};

use crate::exit::{Exit, Failure};
use crate::session::Session;

/// Prints every requirement with the keys that fulfil it, and how many rest on what; 1 if any rests on nothing.
pub(crate) fn requirements(session: &Session) -> Result<Exit, Failure> {
    let (_, file) = session.policy_file()?;
    let traced = trace(&file.lowered);
    if session.output.json {
        session.output.json(&json(&file, &traced))?;
    } else {
        session.output.text(&text(&file, &traced))?;
    }
    let nothing = traced.iter().any(|t| t.footing == Footing::Nothing);
    Ok(if nothing { Exit::NotMet } else { Exit::Met })
}

fn counts(traced: &[Traced]) -> impl Iterator<Item = (&'static str, usize)> {
    Footing::ALL.into_iter().map(|footing| {
        let count = traced.iter().filter(|t| t.footing == footing).count();
        (footing.word(), count)
    })
}

fn json(file: &PolicyFile, traced: &[Traced]) -> serde_json::Value {
    let rows: Vec<serde_json::Value> = traced
        .iter()
        .map(|t| {
            let at: Vec<_> = t.at.iter().map(|key| key_json(file, key)).collect();
            serde_json::json!({ "id": t.id, "text": t.text, "footing": t.footing.word(), "at": at })
        })
        .collect();
    let counts: serde_json::Map<String, serde_json::Value> = counts(traced)
        .map(|(word, count)| (word.to_owned(), count.into()))
        .collect();
    serde_json::json!({
        "file": file.path.display().to_string(), "requirements": rows, "counts": counts,
    })
}

fn key_json(file: &PolicyFile, key: &TracedKey) -> serde_json::Value {
    let (line, column) = key.place;
    let (name, line) = file.lowered.files.locate(line);
    let basis = &key.basis;
    let decider = basis.decider.as_ref();
    let protections: &[_] = match decider {
        Some(Decider::Questions(_, protections)) => protections,
        _ => &[],
    };
    serde_json::json!({
        "path": key.path, "file": name, "line": line, "column": column, "footing": basis.footing.word(),
        "decided_by": decider.map(Decider::words), "protections": protections, "waits_for": basis.waits_for,
    })
}

/// Where a key stands, and what decides whether it is kept.
fn key_text(file: &PolicyFile, key: &TracedKey) -> String {
    let files = &file.lowered.files;
    let (path, basis) = (&key.path, &key.basis);
    let mut text = match files.locate(key.place.0) {
        (name, line) if Some(name) == files.names().next() => format!("{path} (line {line})"),
        (name, line) => format!("{path} ({name}, line {line})"),
    };
    if let Some(decider) = &basis.decider {
        text.push_str(&format!(": {}", decider.words()));
    }
    match basis.waits_for.as_slice() {
        [] => {}
        [one] if *one == key.path => {}
        several => text.push_str(&format!("; waits for {}", several.join(", "))),
    }
    text
}

fn text(file: &PolicyFile, traced: &[Traced]) -> String {
    if traced.is_empty() {
        return "the policy names no requirements; write them under `requirements`".to_owned();
    }
    let mut out = String::new();
    let width = traced
        .iter()
        .map(|t| t.id.chars().count())
        .max()
        .unwrap_or(0);
    for t in traced {
        let at: Vec<String> = t.at.iter().map(|key| key_text(file, key)).collect();
        let at = match at.is_empty() {
            true => "nothing".to_owned(),
            false => at
                .join("\n")
                .replace('\n', &format!("\n{:1$}", "", width + 25)),
        };
        out.push_str(&format!("{:width$}  {:21} {at}\n", t.id, t.footing.word()));
    }
    let counts: Vec<String> = counts(traced)
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    out.push_str(&format!(
        "{} requirements: {}",
        traced.len(),
        counts.join(", ")
    ));
    out
}
