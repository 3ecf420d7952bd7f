//! The section on drills: each ladder with expected and actual, phases, sandbox, negative controls.

use maud::{Markup, html};
use vouchsafe_model::{DrillResult, RungOutcome, human_bytes};

use super::charts;
use super::content::{DrillRow, ReportContent, Row};
use super::parts::{TableRow, Tone, brief, reference, table, when, yes_no};
use super::records::population;
use crate::words::{count, precise, rung};

pub(super) fn drills(c: &ReportContent) -> Markup {
    html! {
        (population(&c.drills.query, c.drills.count, "drill"))
        @if c.drills.rows.is_empty() {
            p { "No restore was rehearsed in the period: that anything comes back is not shown here." }
        } @else {
            (overview(c))
            @for row in &c.drills.rows { (drill(row)) }
        }
    }
}

fn within(row: &DrillRow) -> Markup {
    match (row.within_target, row.result.target_rto) {
        (Some(good), Some(target)) => {
            yes_no(good, &format!("within {target}"), &format!("over {target}"))
        }
        _ => html! { span.soft { "no target" } },
    }
}

fn overview(c: &ReportContent) -> Markup {
    let rows: Vec<TableRow> = c
        .drills
        .rows
        .iter()
        .map(|r| {
            let d = &r.fact.result;
            let caught = r.fact.caught.iter().filter(|c| **c).count();
            TableRow::new(
                if r.fact.green { Tone::Plain } else { Tone::Wrong },
                vec![
                    reference(r.seq),
                    html! { a href={ "#drill-" (r.seq) } { (d.protection) } },
                    html! { (d.vault) },
                    when(d.started),
                    yes_no(r.fact.green, "green", "red"),
                    html! { (d.achieved_rto) },
                    within(&r.fact),
                    html! { (if d.sandbox.destroyed { "✓ destroyed" } else { "✗ NOT destroyed" }) },
                    html! { (match r.fact.caught.len() { 0 => "none".to_owned(), n => format!("{caught} of {n} caught") }) },
                ],
            )
        })
        .collect();
    table(
        "Drills recorded in the period",
        &[
            "fact",
            "protection",
            "vault",
            "began",
            "result",
            "#achieved RTO",
            "target RTO",
            "sandbox",
            "negative controls",
        ],
        &rows,
    )
}

fn drill(row: &Row<DrillRow>) -> Markup {
    let d = &row.fact.result;
    html! {
        article id={ "drill-" (row.seq) } {
            h3 { "Drill of " (d.protection) " on " (when(d.started)) " " (yes_no(row.fact.green, "green", "red")) }
            dl.head.pair {
                dt { "Restored" } dd { "point " code { (d.point) } " from vault " (d.vault) ", " (human_bytes(d.bytes)) }
                dt { "Chosen" }
                dd { @match d.seed { Some(seed) => { "at random, seed " (seed) }, None => "by request or as the newest" } }
                @if let Some(e) = &d.equality {
                    dt { "Equal to" } dd { (e.to) ", " (count(e.parts, "part")) " with " (count(e.rows, "row")) }
                }
                dt { "Run" } dd { code { (d.run) } ", fact " (reference(row.seq)) }
                @if let Some(e) = &d.engine { dt { "Opened by" } dd { (e.name) " " (e.version) } }
                dt { "Sandbox" }
                dd { (yes_no(d.sandbox.destroyed, "destroyed", "NOT shown to be destroyed")) " " (d.sandbox.isolation) }
                dt { "Achieved RTO" } dd { b { (precise(d.achieved_rto)) } " " (within(&row.fact)) }
                dt { "Rules digest" } dd { (brief(&d.rules_digest)) }
            }
            (ladder(d))
            (charts::phases(d))
            (phases(d))
            (negative_controls(&row.fact))
        }
    }
}

fn ladder(d: &DrillResult) -> Markup {
    let rows: Vec<TableRow> = d
        .ladder
        .rungs
        .iter()
        .map(|r| {
            TableRow::new(
                match r.outcome {
                    RungOutcome::Green => Tone::Plain,
                    RungOutcome::Red => Tone::Wrong,
                    RungOutcome::Skipped => Tone::Doubtful,
                },
                vec![
                    html! { (r.name) },
                    html! { (r.question) },
                    html! { (r.expected) },
                    html! { (r.actual) },
                    html! { (rung(r.outcome)) },
                ],
            )
        })
        .collect();
    html! {
        @if rows.is_empty() { p { (yes_no(false, "", "no rung was climbed")) " Nothing was compared." } }
        @else { (table("The ladder: what was compared, in order", &["rung", "question", "expected", "actual", "outcome"], &rows)) }
    }
}

fn phases(d: &DrillResult) -> Markup {
    let rows: Vec<TableRow> = d
        .phases
        .iter()
        .map(|p| {
            TableRow::new(
                Tone::Plain,
                vec![html! { (p.name) }, html! { (precise(p.took)) }],
            )
        })
        .collect();
    html! { @if !rows.is_empty() { (table("Phases, by the monotonic clock", &["phase", "#took"], &rows)) } }
}

fn negative_controls(row: &DrillRow) -> Markup {
    let rows: Vec<TableRow> = row
        .result
        .negative_controls
        .iter()
        .map(|n| {
            TableRow::new(
                if n.caught() { Tone::Plain } else { Tone::Wrong },
                vec![
                    html! { (n.damage.name) },
                    html! { (n.damage.detail) },
                    html! { (n.damage.must_redden) },
                    html! { (n.first_red.as_deref().unwrap_or("none")) },
                    html! { (n.actual) },
                    html! { (if n.pair_green { "✓ green" } else { "✗ not green" }) },
                    yes_no(n.caught(), "caught", "NOT caught"),
                ],
            )
        })
        .collect();
    html! {
        @if rows.is_empty() {
            p.soft { "No negative control was run with this drill." }
        } @else {
            (table("Negative controls: drills on deliberately damaged twins", &[
                "damage", "what was done", "first red expected", "first red found", "what it found", "undamaged pair", "result",
            ], &rows))
        }
    }
}
