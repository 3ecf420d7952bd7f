//! What was measured of databases, as a table for people and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::options::Options;
use super::outcome::{Figure, Outcome, Side};
use super::rows::What;
use crate::bench::facts::Facts;
use crate::bench::stats::Spread;

/// The Markdown of all outcomes.
pub(crate) fn markdown(facts: &Facts, options: &Options, outcomes: &[Outcome]) -> String {
    let mut text = facts.text();
    let _ = writeln!(
        text,
        "\nScale {}, seed {}, {} runs each, in turn, on {}. Ratios are ours over theirs, run by run; medians (least–most).\n",
        options.scale,
        options.seed,
        options.pairs,
        options.place.name()
    );
    text.push_str(
        "| row | tool | wall s | CPU s | peak MiB | stored MB | ours/it wall | ours/it stored |\n",
    );
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    for outcome in outcomes {
        for (at, side) in outcome.sides.iter().enumerate() {
            text.push_str(&line(outcome, side, at == 0));
        }
        if let Some(failure) = &outcome.failure {
            let why = failure.replace('|', "/").replace('\n', " ");
            let title = outcome.row.title;
            let _ = writeln!(text, "| {title} | **not measured**: {why} | | | | | | |");
        }
    }
    text.push_str("\n| row | demanded of ours | measured | met |\n|---|---|---|---|\n");
    for outcome in outcomes {
        text.push_str(&demands(outcome));
    }
    for outcome in outcomes {
        for remark in &outcome.remarks {
            let _ = writeln!(text, "\n{}: {remark}", outcome.row.title);
        }
    }
    text
}

fn line(outcome: &Outcome, side: &Side, own: bool) -> String {
    let show = |numbers: Vec<f64>, digits| {
        Spread::of(numbers).map_or(String::new(), |spread| spread.show(digits))
    };
    let megabytes = side.figures(What::Stored);
    let megabytes = megabytes.into_iter().map(|bytes| bytes / 1e6).collect();
    let ratio = |of| match own {
        true => String::new(),
        false => outcome
            .ratio(side, of)
            .map_or(String::new(), |spread| spread.show(2)),
    };
    let cells = [
        outcome.row.title.to_owned(),
        side.name.to_owned(),
        show(side.figures(What::Wall), 2),
        show(side.cpu(), 2),
        (side.peak() >> 20).to_string(),
        show(megabytes, 1),
        ratio(What::Wall),
        ratio(What::Stored),
    ];
    format!("| {} |\n", cells.join(" | "))
}

/// What is demanded of a row, and whether it is met.
fn demands(outcome: &Outcome) -> String {
    let title = outcome.row.title;
    let mut text = String::new();
    for demand in outcome.row.demands {
        let (demanded, found, met) = outcome.judged(demand);
        let _ = writeln!(text, "| {title} | {demanded} | {found} | {met} |");
    }
    for figure in &outcome.figures {
        text.push_str(&figure_line(title, figure));
    }
    text
}

fn figure_line(title: &str, figure: &Figure) -> String {
    let (name, unit) = (&figure.name, figure.unit);
    let demanded = match figure.most {
        Some(most) => format!("{name} ≤ {most} {unit}"),
        None => name.clone(),
    };
    let met = match figure.is_met() {
        Some(true) => "yes",
        Some(false) => "no",
        None => "",
    };
    format!(
        "| {title} | {demanded} | {:.2} {unit} | {met} |\n",
        figure.value
    )
}

/// Everything, with every single run.
pub(crate) fn record(facts: &Facts, options: &Options, outcomes: &[Outcome]) -> Value {
    let rows: Vec<Value> = outcomes.iter().map(outcome_json).collect();
    json!({
        "machine": facts.json(),
        "scale": options.scale,
        "seed": options.seed,
        "pairs": options.pairs,
        "place": options.place.name(),
        "rows": rows,
    })
}

fn outcome_json(outcome: &Outcome) -> Value {
    let side = |side: &Side| {
        json!({
            "tool": side.name,
            "wall_seconds": side.figures(What::Wall),
            "cpu_seconds": side.cpu(),
            "peak_bytes": side.peak(),
            "stored_bytes": side.figures(What::Stored),
        })
    };
    let figure = |figure: &Figure| {
        json!({
            "name": figure.name,
            "value": figure.value,
            "unit": figure.unit,
            "most": figure.most,
        })
    };
    let judged = outcome.row.demands.iter().map(|demand| {
        let (demanded, found, met) = outcome.judged(demand);
        json!({ "demanded": demanded, "found": found, "met": met })
    });
    json!({
        "row": outcome.row.name,
        "failure": outcome.failure,
        "tools": outcome.sides.iter().map(side).collect::<Vec<_>>(),
        "figures": outcome.figures.iter().map(figure).collect::<Vec<_>>(),
        "demands": judged.collect::<Vec<_>>(),
        "remarks": outcome.remarks,
    })
}

#[cfg(test)]
mod tests {
    use super::super::outcome::tests::side;
    use super::super::rows::ROWS;
    use super::*;

    #[test]
    fn what_is_demanded_stands_beside_what_was_measured() {
        let row = ROWS.iter().find(|row| row.name == "base").unwrap();
        let sides = vec![
            side("vouchsafe", &[(5, 7)]),
            side("pgbackrest", &[(10, 14)]),
        ];
        let mut outcome = Outcome::of(row, sides);
        outcome.figures.push(Figure {
            name: "RPO".to_owned(),
            value: 11.0,
            unit: "s",
            most: Some(10.0),
        });
        let text = demands(&outcome);
        assert!(
            text.contains("wall ≤ 1 × pgbackrest (moonshot 0.8) | 0.50 | yes, moonshot too"),
            "{text}"
        );
        assert!(text.contains("RPO ≤ 10 s | 11.00 s | no"), "{text}");
        let lines = line(&outcome, &outcome.sides[1], false);
        assert!(lines.ends_with("| 0.50 | 0.50 |\n"), "{lines}");
    }
}
