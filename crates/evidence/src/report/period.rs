//! The sections on the period: what was due and how it came out, its worst, its deviations; artefacts; populations.

use maud::{Markup, html};
use vouchsafe_model::period::{Closure, Fulfilment, PeriodVerdict, RulePeriod, Standing};
use vouchsafe_model::{PeriodCounts, Strength};

use super::content::ReportContent;
use super::courses;
use super::parts::{
    TableRow, Tone, anchor, brief, reference, span_or, strength, table, text_or, when, when_or,
};
use crate::artefacts::{ControlArtefacts, Presence};
use crate::populations::FrozenHead;
use crate::sample::Sample;
use crate::words::{count, figure, len};

pub(super) fn period(c: &ReportContent) -> Markup {
    let p = &c.period;
    html! {
        p {
            (badge(p.verdict)) " "
            (sentence(&p.counts, p.closed))
        }
        p.soft {
            "An obligation belongs to the period in which it was due. Judged by what was recorded up to "
            (when(p.as_of)) ". Missed and unproven ones, and targets that were not kept, are deviations only where "
            "their failure is closed; otherwise the period is not met."
        }
        (protections(c))
        @if let Some(drawing) = courses::coverage(p) { (drawing.svg()) }
        @if let Some(drawing) = courses::drills(p) { (drawing.svg()) }
        (controls(c))
        (rules(c))
        (deviations(c))
    }
}

/// The counts as a sentence.
pub(super) fn sentence(c: &PeriodCounts, closed: u64) -> String {
    let open = match c.open {
        0 => String::new(),
        n => format!(", {} not yet due", figure(n)),
    };
    format!(
        "{} due in the period: {} on time, {} late, {} missed, {} unproven{open}; {} of the missed and unproven ones closed.",
        count(c.total(), "obligation"),
        figure(c.on_time),
        figure(c.late),
        figure(c.missed),
        figure(c.unproven),
        figure(closed)
    )
}

fn badge(verdict: PeriodVerdict) -> Markup {
    let (class, mark) = match verdict {
        PeriodVerdict::Met => ("met", "✓"),
        PeriodVerdict::MetWithDeviations => ("deviations", "≈"),
        PeriodVerdict::Unproven => ("unproven", "?"),
        PeriodVerdict::NotMet => ("not-met", "✗"),
    };
    html! { span class={ "badge " (class) } { (mark) " " (verdict.word()) } }
}

fn tone(verdict: PeriodVerdict) -> Tone {
    match verdict {
        PeriodVerdict::Met => Tone::Plain,
        PeriodVerdict::NotMet => Tone::Wrong,
        _ => Tone::Doubtful,
    }
}

fn figures(c: &PeriodCounts, closed: u64) -> Vec<Markup> {
    [c.on_time, c.late, c.missed, c.unproven, closed]
        .iter()
        .map(|n| html! { (figure(*n)) })
        .collect()
}

const COUNTED: [&str; 5] = ["#on time", "#late", "#missed", "#unproven", "#closed"];

fn protections(c: &ReportContent) -> Markup {
    let rows: Vec<TableRow> = c
        .period
        .protections
        .iter()
        .map(|p| {
            let mut cells = vec![
                html! { a href={ "#" (anchor(&p.id)) } { (p.id) } },
                badge(p.verdict),
            ];
            cells.extend(figures(&p.counts, p.closed));
            let longest = p.drills.iter().map(|d| d.achieved_rto).max();
            cells.extend([
                html! {
                    (span_or(p.worst_rpo, "not measured"))
                    @if let Some(target) = p.target_rpo { br; span.soft { "of " (target) } }
                },
                html! {
                    (span_or(longest, "no drill"))
                    @if let Some(target) = p.target_rto { br; span.soft { "of " (target) } }
                },
                html! { @for (i, why) in p.because.iter().enumerate() { @if i > 0 { br; } (why) } },
            ]);
            TableRow::new(tone(p.verdict), cells)
        })
        .collect();
    let mut head = vec!["protection", "period"];
    head.extend(COUNTED);
    head.extend(["worst RPO", "longest RTO", "why"]);
    html! {
        @if rows.is_empty() { p { "The policy names no protection." } }
        @else { (table("Each protection over the period", &head, &rows)) }
    }
}

fn controls(c: &ReportContent) -> Markup {
    let rows: Vec<TableRow> = c
        .period
        .controls
        .iter()
        .map(|k| {
            let mut cells = vec![html! { (k.framework) " " (k.control) }, badge(k.verdict)];
            cells.extend(figures(&k.counts, k.closed));
            TableRow::new(tone(k.verdict), cells)
        })
        .collect();
    let mut head = vec!["control", "period"];
    head.extend(COUNTED);
    html! { @if !rows.is_empty() { (table("Each control over the period", &head, &rows)) } }
}

fn rules(c: &ReportContent) -> Markup {
    let all = c.period.protections.iter().flat_map(|p| &p.rules);
    let rows: Vec<TableRow> = all.chain(&c.period.others).map(rule).collect();
    let mut head = vec!["rule", "of", "period"];
    head.extend(COUNTED);
    html! {
        @if rows.is_empty() { p { "Nothing was due in the period." } }
        @else { (table("Each rule over the period", &head, &rows)) }
    }
}

fn rule(r: &RulePeriod) -> TableRow {
    let mut cells = vec![
        html! { (r.kind.to_string()) },
        html! { (r.subject()) },
        badge(r.verdict),
    ];
    cells.extend(figures(&r.counts, r.closed));
    TableRow::new(tone(r.verdict), cells)
}

fn deviations(c: &ReportContent) -> Markup {
    let rows: Vec<TableRow> = c.period.deviations.iter().map(deviation).collect();
    html! {
        @if rows.is_empty() { p { "Nothing that was due in the period was late, missed or unproven." } }
        @else {
            (table("Late, missed and unproven, each with its closure",
                &["what", "of", "was due", "came out", "answered", "fact", "closure"], &rows))
        }
    }
}

fn deviation(f: &Fulfilment) -> TableRow {
    let o = &f.obligation;
    let late = match (f.standing, f.answered_at) {
        (Standing::Late, Some(at)) => format!(" by {}", at.since(o.due)),
        _ => String::new(),
    };
    TableRow::new(
        if f.standing == Standing::Missed && f.closure.is_none() {
            Tone::Wrong
        } else {
            Tone::Doubtful
        },
        vec![
            html! { (o.kind.to_string()) },
            html! { (o.subject()) },
            when(o.due),
            html! { (f.standing.word()) (late) },
            when_or(f.answered_at, "never"),
            html! { @match f.answered_by { Some(seq) => (reference(seq)), None => span.soft { "–" } } },
            closure(f.closure.as_ref()),
        ],
    )
}

fn closure(closure: Option<&Closure>) -> Markup {
    html! {
        @match closure {
            Some(c) => {
                (c.text) br;
                span.soft { "closed " (when(c.at)) " by " (c.by) ", " (c.strength.to_string()) ", fact " (c.seq) }
            }
            None => b { "not closed" },
        }
    }
}

pub(super) fn artefacts(c: &ReportContent) -> Markup {
    html! {
        p {
            "What an auditor asks for under each control, and how much of it is in this report. What is absent is named: "
            "it has to come from elsewhere. Nothing here claims that a control is complied with."
        }
        @if c.artefacts.is_empty() { p { "Nothing is said of any control." } }
        @for control in &c.artefacts { (control_artefacts(control)) }
    }
}

fn control_artefacts(control: &ControlArtefacts) -> Markup {
    let rows: Vec<TableRow> = control
        .artefacts
        .iter()
        .map(|a| {
            let (tone, class, mark) = match a.presence {
                Presence::Here => (Tone::Plain, "met", "✓"),
                Presence::InPart => (Tone::Plain, "unproven", "≈"),
                Presence::Absent => (Tone::Doubtful, "planned", "–"),
            };
            TableRow::new(
                tone,
                vec![
                    html! { (a.name) },
                    html! { span class={ "badge " (class) } { (mark) " " (a.presence.word()) } },
                    known(a.strength),
                    html! { (a.says) },
                    html! { (text_or(Some(&a.populations.join(", ")), "–")) },
                ],
            )
        })
        .collect();
    html! {
        h3 { (control.framework) " " (control.control) }
        p.soft {
            (control.count(Presence::Here)) " here, " (control.count(Presence::InPart)) " in part, "
            (control.count(Presence::Absent)) " absent"
        }
        (table(&format!("Artefacts for {} {}", control.framework, control.control),
            &["artefact", "in this report", "strength", "what there is", "populations"], &rows))
    }
}

fn known(of: Option<Strength>) -> Markup {
    match of {
        Some(_) => strength(of),
        None => html! { span.soft { "–" } },
    }
}

pub(super) fn populations(c: &ReportContent) -> Markup {
    html! {
        p {
            "Each population is all there is of its kind in the period, as of " (when(c.period.as_of))
            " and under the head of " (figure(c.ledger.size)) " entries with the root " code { (c.ledger.root) }
            ". The query runs over an export of the ledger, so that the rows can be counted without this tool."
        }
        (table("Populations", &["population", "what", "#rows", "query", "SHA-256 of the rows"],
            &c.populations.iter().map(population).collect::<Vec<_>>()))
        @if let Some(first) = c.samples.first() {
            h3 { "Samples" }
            p { "Seed: " code { (first.seed) } ". " (first.rule) }
            (table("Samples, by the usual sizes or the one that was asked for",
                &["population", "how often", "#rows", "#drawn", "keys of the rows"],
                &c.samples.iter().map(sample).collect::<Vec<_>>()))
        }
    }
}

fn population(p: &FrozenHead) -> TableRow {
    TableRow::new(
        Tone::Plain,
        vec![
            html! { (p.name) },
            html! { (p.title) },
            html! { (figure(p.rows)) },
            html! { code { (p.query) } },
            brief(&p.sha256),
        ],
    )
}

fn sample(s: &Sample) -> TableRow {
    let often = serde_json::to_value(s.frequency).unwrap_or_default();
    TableRow::new(
        Tone::Plain,
        vec![
            html! { (s.population) },
            html! { (often.as_str().unwrap_or_default()) },
            html! { (figure(s.of)) },
            html! { (figure(len(s.keys.len()))) },
            html! { (text_or(Some(&s.keys.join(", ")), "–")) },
        ],
    )
}
