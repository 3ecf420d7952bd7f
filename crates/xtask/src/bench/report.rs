//! What was measured, as a table for people and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::contest::Entry;
use super::facts::Facts;
use super::options::Options;
use super::outcome::{Figures, Outcome, cpus, peak, walls};
use super::stats::Spread;
use super::tools::Kind;

/// The Markdown of all outcomes.
pub(crate) fn markdown(facts: &Facts, options: &Options, outcomes: &[Outcome]) -> String {
    let mut text = facts.text();
    let _ = writeln!(
        text,
        "\nScale {}, seed {}, {} runs each, in turn. Ratios are ours over theirs, run by run; medians (least–most).\n",
        options.scale, options.seed, options.pairs
    );
    text.push_str("| row | place | tool | wall s | CPU s | peak MiB | repository MB (files) | growth MB | ours/it wall | ours/it CPU |\n");
    text.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
    for outcome in outcomes {
        for entry in &outcome.entries {
            text.push_str(&line(outcome, entry));
        }
        if let Some(failure) = &outcome.failure {
            let (title, place) = (outcome.row.title, outcome.place.name());
            let _ = writeln!(
                text,
                "| {title} | {place} | **not measured**: {failure} | | | | | | | |"
            );
        }
    }
    text.push_str(&demands(outcomes));
    text
}

fn line(outcome: &Outcome, entry: &Entry) -> String {
    let show = |spread: Option<Spread>, digits| {
        spread.map(|spread| spread.show(digits)).unwrap_or_default()
    };
    let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
    let repository = entry
        .repository
        .map(|count| format!("{} ({})", megabytes(count.bytes), count.files));
    let peak = match peak(entry) {
        0 => String::new(),
        bytes => format!("{}", bytes >> 20),
    };
    let ratio = |of| match entry.kind {
        Kind::Vouchsafe => None,
        other => outcome.ratio(other, of),
    };
    let name = match &entry.remark {
        Some(remark) => format!("{}: {}", entry.kind.name(), remark.replace('|', "/")),
        None => entry.kind.name().to_owned(),
    };
    let cells = [
        outcome.row.title.to_owned(),
        outcome.place.name().to_owned(),
        name,
        show(Spread::of(walls(entry)), 2),
        show(Spread::of(cpus(entry)), 2),
        peak,
        repository.unwrap_or_default(),
        entry.growth.map(megabytes).unwrap_or_default(),
        show(ratio(walls as Figures), 2),
        show(ratio(cpus), 2),
    ];
    format!("| {} |\n", cells.join(" | "))
}

/// What is demanded of each row, and whether it is met.
fn demands(outcomes: &[Outcome]) -> String {
    let mut text = String::from("\n| row | place | demanded of ours | met |\n|---|---|---|---|\n");
    for outcome in outcomes {
        let met = match (&outcome.failure, outcome.missed()) {
            (Some(_), _) => "not measured".to_owned(),
            (None, missed) if missed.is_empty() => "yes".to_owned(),
            (None, missed) => format!("no: {}", missed.join(", ")),
        };
        let (title, place) = (outcome.row.title, outcome.place.name());
        let demanded = outcome.demanded().join(", ");
        let _ = writeln!(text, "| {title} | {place} | {demanded} | {met} |");
    }
    text
}

/// Everything, with every single run.
pub(crate) fn record(facts: &Facts, options: &Options, outcomes: &[Outcome]) -> Value {
    let rows: Vec<Value> = outcomes.iter().map(outcome_json).collect();
    json!({
        "machine": facts.json(),
        "scale": options.scale,
        "seed": options.seed,
        "pairs": options.pairs,
        "memory_limit": options.memory_limit,
        "rows": rows,
    })
}

fn outcome_json(outcome: &Outcome) -> Value {
    let entries: Vec<Value> = outcome.entries.iter().map(entry_json).collect();
    json!({
        "row": outcome.row.name,
        "place": outcome.place.name(),
        "failure": outcome.failure,
        "missed": outcome.missed(),
        "tools": entries,
    })
}

fn entry_json(entry: &Entry) -> Value {
    let peaks: Vec<u64> = entry.runs.iter().map(|run| run.peak).collect();
    json!({
        "tool": entry.kind.name(),
        "remark": entry.remark,
        "wall_seconds": walls(entry),
        "cpu_seconds": cpus(entry),
        "peak_bytes": peaks,
        "repository_bytes": entry.repository.map(|count| count.bytes),
        "repository_files": entry.repository.map(|count| count.files),
        "growth_bytes": entry.growth,
    })
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
