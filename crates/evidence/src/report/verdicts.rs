//! The sections that judge: summary, policy, controls, protections, obligations, failures.

use maud::{Markup, html};
use vouchsafe_model::{Question, Strength, Verdict};

use super::charts;
use super::content::{AgreedPart, PolicyPart, ProtectionPart, ReportContent};
use super::courses;
use super::parts::{
    TableRow, Tone, anchor, badge, brief, issues, reference, refs, span_or, strength, table,
    text_or, when, when_or, yes_no,
};
use crate::words::{count, figure, len};

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::NotMet => Tone::Wrong,
        Verdict::Unproven => Tone::Doubtful,
        _ => Tone::Plain,
    }
}

struct Card<'a> {
    tone: &'a str,
    figure: String,
    what: &'a str,
    detail: String,
}

pub(super) fn summary(c: &ReportContent) -> Markup {
    html! {
        ul.cards {
            @for card in cards(c) {
                li class=(card.tone) { (card.what) b { (card.figure) } span { (card.detail) } }
            }
        }
        (matrix(c))
        @if !c.exempt.is_empty() {
            (table("Systems that the policy leaves out", &["system", "verdict", "reason"], &c.exempt.iter().map(|e| {
                TableRow::new(Tone::Plain, vec![html! { (e.system) }, badge(Verdict::Exempt), html! { (e.reason) }])
            }).collect::<Vec<_>>()))
        }
    }
}

fn cards(c: &ReportContent) -> Vec<Card<'static>> {
    let of = |v: Verdict| c.protections.iter().filter(|p| p.verdict == v).count();
    let (not_met, unproven) = (of(Verdict::NotMet), of(Verdict::Unproven));
    let o = &c.obligations.counts;
    let green = c.drills.rows.iter().filter(|r| r.fact.green).count();
    let done = c
        .points
        .rows
        .iter()
        .filter(|r| r.fact.outcome == vouchsafe_model::Outcome::Done);
    let tone = |bad: bool, unsure: bool| match (bad, unsure) {
        (true, _) => "bad",
        (_, true) => "unsure",
        _ => "good",
    };
    let complete = done.count();
    vec![
        Card {
            tone: tone(not_met > 0, unproven > 0),
            what: "Protections met",
            figure: format!("{} of {}", of(Verdict::Met), c.protections.len()),
            detail: format!(
                "{not_met} not met, {unproven} unproven, {} planned, {} exempt",
                of(Verdict::Planned),
                of(Verdict::Exempt) + c.exempt.len()
            ),
        },
        Card {
            tone: tone(o.missed > 0, o.late > 0),
            what: "Obligations on time",
            figure: format!(
                "{} of {}",
                figure(o.on_time),
                figure(o.on_time + o.late + o.missed)
            ),
            detail: format!("{} late, {} missed, {} open", o.late, o.missed, o.open),
        },
        Card {
            tone: tone(!c.failures.is_empty(), false),
            what: "Failures in the period",
            figure: figure(len(c.failures.len())),
            detail: "incomplete runs counted; all are listed".to_owned(),
        },
        Card {
            tone: tone(complete < c.points.rows.len(), c.points.rows.is_empty()),
            what: "Complete recovery points",
            figure: format!("{complete} of {}", figure(c.points.count)),
            detail: format!("with {} read back", copies(c.copies.count)),
        },
        Card {
            tone: tone(green < c.drills.rows.len(), c.drills.rows.is_empty()),
            what: "Green drills",
            figure: format!("{green} of {}", figure(c.drills.count)),
            detail: controls_caught(c),
        },
        Card {
            tone: tone(!c.alarms.is_empty(), c.ledger.witnesses.is_empty()),
            what: "Ledger entries under the head",
            figure: figure(c.ledger.size),
            detail: format!(
                "published to {}, {}",
                count(len(c.ledger.witnesses.len()), "vault"),
                match c.alarms.len() {
                    0 => "no break, no silence".to_owned(),
                    n => format!("{} about the record", count(len(n), "alarm")),
                }
            ),
        },
    ]
}

fn copies(n: u64) -> String {
    count(n, "copy")
}

fn controls_caught(c: &ReportContent) -> String {
    let all: Vec<bool> = c
        .drills
        .rows
        .iter()
        .flat_map(|r| r.fact.caught.clone())
        .collect();
    match all.len() {
        0 => "no negative control in the period".to_owned(),
        n => {
            let caught = all.iter().filter(|c| **c).count();
            format!("{caught} of {} caught", count(len(n), "negative control"))
        }
    }
}

fn matrix(c: &ReportContent) -> Markup {
    let mut head = vec!["protection", "verdict"];
    head.extend(Question::ALL.map(Question::word));
    let rows: Vec<TableRow> = c
        .protections
        .iter()
        .map(|p| {
            let mut cells = vec![
                html! { a href={ "#" (anchor(&p.id)) } { (p.id) } },
                badge(p.verdict),
            ];
            cells.extend(Question::ALL.map(|question| {
                match p.answers.iter().find(|a| a.question == question) {
                    Some(a) => badge(a.verdict),
                    None => html! { span.soft { "not asked" } },
                }
            }));
            TableRow::new(Tone::Plain, cells)
        })
        .collect();
    table(
        "What is asked of each protection, and the answer",
        &head,
        &rows,
    )
}

pub(super) fn policy(c: &ReportContent) -> Markup {
    let p = &c.policy;
    let stated = |t: &Option<String>| text_or(t.as_deref(), "not stated").to_owned();
    html! {
        p {
            @match p.digest_matches {
                Some(matches) => (yes_no(matches, "approved text", "NOT the approved text")),
                None => (approved_by_record(p)),
            }
            " " (p.approval)
        }
        dl.head {
            dt { "Title" } dd { (stated(&p.title)) }
            dt { "Id, version" } dd { (stated(&p.id)) ", " (stated(&p.version)) }
            dt { "Owner" } dd { (stated(&p.owner)) }
            dt { "Approved" } dd { (stated(&p.approved)) span.soft { " (stated)" } }
            dt { "Next review" } dd { (stated(&p.next_review)) span.soft { " (stated)" } }
            dt { "SHA-256 of this text" } dd { code { (p.digest) } }
            dt { "SHA-256 of the approved text" } dd { code { (stated(&p.approved_digest)) } }
        }
        @if let Some(by) = &p.judged_by {
            p { "The period is over; it is " (by) "." }
        }
        (in_force(c))
        (vaults(c))
    }
}

fn in_force(c: &ReportContent) -> Markup {
    let rows: Vec<TableRow> = c
        .policy
        .in_force
        .iter()
        .map(|p| {
            TableRow::new(
                Tone::Plain,
                vec![
                    reference(p.seq),
                    when(p.at),
                    html! { (text_or(p.version.as_deref(), "not stated")) },
                    brief(&p.digest),
                    html! { (match p.approved { Some(true) => "yes", Some(false) => "NO", None => "not stated" }) },
                    agreement(p.agreed.as_ref()),
                    html! { (if p.judged_by { "yes" } else { "no" }) },
                ],
            )
        })
        .collect();
    html! {
        @if rows.is_empty() {
            p { "No fact says which text was in force up to the end of the period." }
        } @else {
            (table("Texts that came into force up to the end of the period",
                &["fact", "since", "version", "SHA-256", "approved text?", "who agreed to promising less", "judged by here?"], &rows))
        }
    }
}

/// Without a digest of an approved text it is the record that may know who agreed.
fn approved_by_record(p: &PolicyPart) -> Markup {
    match &p.agreed {
        Some(agreed) if agreed.granted && agreed.strength == Some(Strength::Measured) => {
            yes_no(true, "approved by signature", "")
        }
        Some(agreed) if agreed.granted => {
            html! { span.badge.unproven { "≈ approval stated" } }
        }
        _ => html! { span.badge.unproven { "? approval unproven" } },
    }
}

fn agreement(agreed: Option<&AgreedPart>) -> Markup {
    html! {
        @match agreed {
            None => "–",
            Some(agreed) => {
                (agreed.text)
                @if let Some(seq) = agreed.seq { ", " (reference(seq)) }
            }
        }
    }
}

fn vaults(c: &ReportContent) -> Markup {
    let rows: Vec<TableRow> = c
        .policy
        .vaults
        .iter()
        .map(|v| {
            TableRow::new(
                Tone::Plain,
                vec![
                    html! { (v.name) },
                    html! { code { (v.url) } },
                    html! { (text_or(v.region.as_deref(), "not declared")) },
                    html! { (text_or(v.country.as_deref(), "not declared")) },
                    html! { (text_or(v.retention_lock.as_deref(), "none declared")) },
                ],
            )
        })
        .collect();
    table(
        "Vaults as the policy declares them; region, country and lock are stated, not measured",
        &["vault", "address", "region", "country", "retention lock"],
        &rows,
    )
}

pub(super) fn controls(c: &ReportContent) -> Markup {
    let rows: Vec<TableRow> = c
        .controls
        .iter()
        .map(|k| {
            let asked: Vec<&str> = k.questions.iter().map(|q| q.word()).collect();
            TableRow::new(
                tone(k.verdict),
                vec![
                    html! { (k.framework) " " (k.control) br; span.soft { (k.title) } },
                    badge(k.verdict),
                    html! {
                        (strength(k.strength))
                        @if k.without_fact > 0 { br; span.soft { (count(k.without_fact, "answer")) " without a fact" } }
                    },
                    html! { (k.because) br; span.soft { "rests on: " (asked.join(", ")) } },
                    refs(&k.facts),
                ],
            )
        })
        .collect();
    html! {
        p { "Only the part of each control that concerns backup is judged. The weakest strength among its facts is shown." }
        @if rows.is_empty() { p { "Nothing is said of any control." } }
        @else { (table("Verdict per control", &["control", "verdict", "strength", "why", "facts"], &rows)) }
    }
}

pub(super) fn protections(c: &ReportContent) -> Markup {
    html! {
        @if c.protections.is_empty() { p { "The policy names no protection." } }
        @for p in &c.protections { (protection(c, p)) }
    }
}

fn protection(c: &ReportContent, p: &ProtectionPart) -> Markup {
    let answers: Vec<TableRow> = p
        .answers
        .iter()
        .map(|a| {
            TableRow::new(
                tone(a.verdict),
                vec![
                    html! { (a.question.word()) },
                    badge(a.verdict),
                    strength(a.strength),
                    html! { (a.because) },
                    refs(&a.facts),
                ],
            )
        })
        .collect();
    html! {
        article id=(anchor(&p.id)) {
            h3 { (p.id) " " (badge(p.verdict)) }
            dl.head.pair {
                dt { "Kept by" } dd { (p.way) " of " code { (p.source) } }
                dt { "Owner, tier" }
                dd { (text_or(p.owner.as_deref(), "no owner")) ", " (text_or(p.tier.as_deref(), "no tier")) }
                dt { "RPO" }
                dd { "achieved " (span_or(p.achieved_rpo, "not measured")) ", target " (span_or(p.target_rpo, "not set")) }
                dt { "RTO" }
                dd { "achieved " (span_or(p.achieved_rto, "not measured")) ", target " (span_or(p.target_rto, "not set")) }
                dt { "Newest point" }
                dd { (when_or(p.newest_point, "none")) "; " (count(p.points, "point")) " that retention counts" }
                dt { "Last proven" } dd { (when_or(p.proven_at, "never by a green drill")) }
                @for rule in &p.rules { dt { "Rule: " (rule.word) } dd { (rule.text) } }
            }
            (charts::timeline(c, &p.id))
            @if let Some(over) = c.period.protections.iter().find(|o| o.id == p.id) {
                @if let Some(drawing) = courses::rpo(&c.period, over) { (drawing.svg()) }
                @if let Some(drawing) = courses::rto(&c.period, over) { (drawing.svg()) }
            }
            (table(&format!("Answers for {}", p.id), &["question", "verdict", "strength", "why", "facts"], &answers))
            @if !p.overdue.is_empty() {
                p { b { "Overdue: " }
                    @for (i, o) in p.overdue.iter().enumerate() {
                        @if i > 0 { ", " }
                        (o.kind.to_string()) " of " (o.subject()) " by " (when(o.due))
                    }
                }
            }
        }
    }
}

pub(super) fn obligations(c: &ReportContent) -> Markup {
    let o = &c.obligations;
    let counts = &o.counts;
    let missed: Vec<TableRow> = o
        .missed
        .iter()
        .map(|m| {
            TableRow::new(
                Tone::Wrong,
                vec![
                    html! { (m.kind.to_string()) },
                    html! { (m.subject()) },
                    when(m.opens),
                    when(m.due),
                    html! { code { (m.id) } },
                ],
            )
        })
        .collect();
    let late: Vec<TableRow> = o
        .late
        .iter()
        .map(|l| {
            TableRow::new(
                Tone::Doubtful,
                vec![
                    html! { (l.obligation.kind.to_string()) },
                    html! { (l.obligation.subject()) },
                    when(l.obligation.due),
                    when(l.answered_at),
                    html! { (l.answered_at.since(l.obligation.due)) },
                    reference(l.answered_by),
                ],
            )
        })
        .collect();
    html! {
        p {
            "Every obligation is written to the ledger before it is due, so that one without a fact shows. Up to "
            (when(c.as_of)) ": " b { (figure(counts.on_time)) " on time, " (figure(counts.late)) " late, "
            (figure(counts.missed)) " missed, " (figure(counts.open)) " open" } "."
        }
        @if missed.is_empty() { p { "No obligation is missed." } }
        @else { (table("Missed: past their time, and no fact answers them",
            &["what", "of", "opened", "was due", "obligation"], &missed)) }
        @if late.is_empty() { p { "No obligation due in the period was answered late." } }
        @else { (table("Late: due in the period, answered after their time",
            &["what", "of", "was due", "answered", "late by", "fact"], &late)) }
        (withdrawn(c))
    }
}

fn withdrawn(c: &ReportContent) -> Markup {
    let rows: Vec<TableRow> = c
        .obligations
        .withdrawn
        .iter()
        .map(|w| {
            TableRow::new(
                Tone::Doubtful,
                vec![
                    reference(w.seq),
                    when(w.at),
                    html! { (len(w.obligations.len())) },
                    brief(&w.policy),
                ],
            )
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            (table("Withdrawn: a changed policy no longer asks for them",
                &["fact", "recorded", "#obligations", "changed policy"], &rows))
        }
    }
}

pub(super) fn failures(c: &ReportContent) -> Markup {
    let rows: Vec<TableRow> = c
        .failures
        .iter()
        .map(|f| {
            TableRow::new(
                Tone::Plain,
                vec![
                    reference(f.seq),
                    when(f.at),
                    html! { "✗ " (f.kind.replace('-', " ")) },
                    html! { (f.subject) },
                    html! { (f.text) "." (issues(&f.issues)) },
                ],
            )
        })
        .collect();
    html! {
        p { "Everything of the period that failed, was incomplete, or came out red, in the ledger's order. Nothing is left out." }
        @if rows.is_empty() { p { "None in the period." } }
        @else { (table("Failures of the period", &["fact", "recorded", "what", "of", "what went wrong"], &rows)) }
    }
}
