//! The report's content as blocks for paper.

use vouchsafe_model::period::{PeriodVerdict, Standing};
use vouchsafe_model::{PeriodCounts, Verdict};

use super::records::{drills, failures, incidents, ledger, populations, reading};
use crate::artefacts::Presence;
use crate::drawing::Drawing;
use crate::report::content::{ProtectionPart, ReportContent};
use crate::report::{courses, period_sentence};
use crate::words::figure;

/// What a page is made of.
pub(crate) enum Block {
    /// 0 is the title, 1 a section.
    Heading(u8, String),
    Text(String),
    /// What must not be overlooked.
    Loud(String),
    /// Exact text.
    Code(String),
    List(Vec<String>),
    Pairs(Vec<(String, String)>),
    Table {
        /// What it shows; nothing where a heading says so.
        caption: String,
        head: Vec<String>,
        rows: Vec<(Tone, Vec<String>)>,
    },
    Drawing(Drawing),
}

/// How a row is to be seen; its cells say the same in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Head,
    Plain,
    Doubtful,
    Wrong,
}

impl Tone {
    pub(super) fn ground(self) -> Option<[f32; 3]> {
        match self {
            Tone::Head => Some([0.91, 0.93, 0.95]),
            Tone::Plain => None,
            Tone::Doubtful => Some([1.0, 0.95, 0.83]),
            Tone::Wrong => Some([0.99, 0.92, 0.93]),
        }
    }
}

impl From<Verdict> for Tone {
    fn from(verdict: Verdict) -> Tone {
        match verdict {
            Verdict::NotMet => Tone::Wrong,
            Verdict::Unproven => Tone::Doubtful,
            _ => Tone::Plain,
        }
    }
}

impl From<PeriodVerdict> for Tone {
    fn from(verdict: PeriodVerdict) -> Tone {
        match verdict {
            PeriodVerdict::Met => Tone::Plain,
            PeriodVerdict::NotMet => Tone::Wrong,
            _ => Tone::Doubtful,
        }
    }
}

pub(super) fn blocks(c: &ReportContent) -> Vec<Block> {
    let mut out = front(c);
    out.extend(policy(c));
    out.extend(period(c));
    out.extend(controls(c));
    out.extend(artefacts(c));
    out.push(section("Protections"));
    out.extend(c.protections.iter().flat_map(|p| protection(c, p)));
    out.extend(failures(c));
    out.extend(incidents(c));
    out.extend(drills(c));
    out.extend(populations(c));
    out.extend(ledger(c));
    out.extend(reading(c));
    out
}

pub(super) fn section(title: &str) -> Block {
    Block::Heading(1, title.to_owned())
}

pub(super) fn table(caption: &str, head: &[&str], rows: Vec<(Tone, Vec<String>)>) -> Block {
    Block::Table {
        caption: caption.to_owned(),
        head: head.iter().map(|h| (*h).to_owned()).collect(),
        rows,
    }
}

pub(super) fn pair(key: &str, value: impl Into<String>) -> (String, String) {
    (key.to_owned(), value.into())
}

fn stated(text: Option<&str>) -> String {
    text.unwrap_or("not stated").to_owned()
}

pub(super) fn span(span: Option<vouchsafe_model::Span>, otherwise: &str) -> String {
    span.map_or(otherwise.to_owned(), |s| s.to_string())
}

fn front(c: &ReportContent) -> Vec<Block> {
    let title = c.policy.title.as_deref().unwrap_or("Backup policy");
    let mut out = vec![
        Block::Heading(0, format!("Backup evidence: {title}")),
        Block::Pairs(vec![
            pair(
                "Period",
                format!(
                    "{} up to, and without, {}: {}",
                    c.from.minute(),
                    c.to.minute(),
                    c.period.verdict
                ),
            ),
            pair(
                "At its end",
                format!("{} as of {}", c.verdict, c.as_of.minute()),
            ),
            pair(
                "Policy",
                format!(
                    "{}, version {}. {}",
                    stated(c.policy.id.as_deref()),
                    stated(c.policy.version.as_deref()),
                    c.policy.approval
                ),
            ),
            pair("Made", format!("{} by {}", c.generated_at.minute(), c.tool)),
            pair("Times", "All times are UTC, by the host's clock."),
        ]),
    ];
    out.extend(c.alarms.iter().map(|a| Block::Loud(a.text.clone())));
    out.push(Block::Text(
        "The lists of points, copies and runs are in the populations, and each fact that a verdict rests on is in the \
         page (HTML) and in the JSON form of this report. Numbers called facts are places in the ledger."
            .to_owned(),
    ));
    let rows = c
        .protections
        .iter()
        .map(|p| {
            let mut cells = vec![p.id.to_string(), p.verdict.to_string()];
            cells.extend(p.answers.iter().map(|a| a.verdict.to_string()));
            (p.verdict.into(), cells)
        })
        .collect();
    let mut head = vec!["protection", "verdict"];
    head.extend(vouchsafe_model::Question::ALL.map(vouchsafe_model::Question::word));
    out.push(table(
        "What is asked of each protection at the end of the period",
        &head,
        rows,
    ));
    let exempt = c
        .exempt
        .iter()
        .map(|e| (Tone::Plain, vec![e.system.clone(), e.reason.clone()]));
    let exempt: Vec<_> = exempt.collect();
    if !exempt.is_empty() {
        out.push(table(
            "Systems that the policy leaves out",
            &["system", "reason"],
            exempt,
        ));
    }
    out
}

fn policy(c: &ReportContent) -> Vec<Block> {
    let p = &c.policy;
    let vaults = p
        .vaults
        .iter()
        .map(|v| {
            let cells = vec![
                v.name.to_string(),
                v.url.clone(),
                v.region
                    .clone()
                    .unwrap_or_else(|| "not declared".to_owned()),
                v.country
                    .clone()
                    .unwrap_or_else(|| "not declared".to_owned()),
                v.retention_lock
                    .clone()
                    .unwrap_or_else(|| "none declared".to_owned()),
            ];
            (Tone::Plain, cells)
        })
        .collect();
    vec![
        section("The policy"),
        Block::Pairs(vec![
            pair("Title", stated(p.title.as_deref())),
            pair("Owner", stated(p.owner.as_deref())),
            pair("Approved (stated)", stated(p.approved.as_deref())),
            pair("Next review (stated)", stated(p.next_review.as_deref())),
            pair("SHA-256 of this text", p.digest.clone()),
            pair(
                "SHA-256 of the approved text",
                stated(p.approved_digest.as_deref()),
            ),
        ]),
        table(
            "Vaults as declared: stated, not measured",
            &["vault", "address", "region", "country", "retention lock"],
            vaults,
        ),
    ]
}

fn counted(c: &PeriodCounts, closed: u64) -> Vec<String> {
    [c.on_time, c.late, c.missed, c.unproven, closed]
        .map(figure)
        .to_vec()
}

const COUNTED: [&str; 5] = ["on time", "late", "missed", "unproven", "closed"];

fn period(c: &ReportContent) -> Vec<Block> {
    let p = &c.period;
    let rows = p
        .protections
        .iter()
        .map(|p| {
            let mut cells = vec![p.id.to_string(), p.verdict.to_string()];
            cells.extend(counted(&p.counts, p.closed));
            let longest = p.drills.iter().map(|d| d.achieved_rto).max();
            cells.push(format!(
                "{} of {}",
                span(p.worst_rpo, "none"),
                span(p.target_rpo, "no target")
            ));
            cells.push(format!(
                "{} of {}",
                span(longest, "none"),
                span(p.target_rto, "no target")
            ));
            cells.push(p.because.join("\n"));
            (p.verdict.into(), cells)
        })
        .collect();
    let mut head = vec!["protection", "period"];
    head.extend(COUNTED);
    head.extend(["worst RPO", "longest RTO", "why"]);
    let mut out = vec![
        section("The period"),
        Block::Text(format!(
            "{}. {}",
            p.verdict,
            period_sentence(&p.counts, p.closed)
        )),
        table("Each protection over the period", &head, rows),
    ];
    out.extend(courses::coverage(p).map(Block::Drawing));
    out.extend(courses::drills(p).map(Block::Drawing));
    let rules = p.protections.iter().flat_map(|p| &p.rules).chain(&p.others);
    let rows = rules.map(|r| {
        let mut cells = vec![r.kind.to_string(), r.subject(), r.verdict.to_string()];
        cells.extend(counted(&r.counts, r.closed));
        (r.verdict.into(), cells)
    });
    let mut head = vec!["rule", "of", "period"];
    head.extend(COUNTED);
    out.push(table("Each rule over the period", &head, rows.collect()));
    let rows: Vec<_> = p
        .deviations
        .iter()
        .map(|f| {
            let closure = match &f.closure {
                Some(c) => format!("{} ({}, {}, {})", c.text, c.at.minute(), c.by, c.strength),
                None => "not closed".to_owned(),
            };
            let cells = vec![
                f.obligation.kind.to_string(),
                f.obligation.subject(),
                f.obligation.due.minute(),
                f.standing.word().to_owned(),
                f.answered_at.map_or("never".to_owned(), |at| at.minute()),
                closure,
            ];
            let wrong = f.standing == Standing::Missed && f.closure.is_none();
            (if wrong { Tone::Wrong } else { Tone::Doubtful }, cells)
        })
        .collect();
    out.push(match rows.is_empty() {
        true => Block::Text(
            "Nothing that was due in the period was late, missed or unproven.".to_owned(),
        ),
        false => table(
            "Late, missed and unproven, each with its closure",
            &["what", "of", "was due", "came out", "answered", "closure"],
            rows,
        ),
    });
    out
}

fn controls(c: &ReportContent) -> Vec<Block> {
    let rows = c.controls.iter().map(|k| {
        let over = c
            .period
            .controls
            .iter()
            .find(|p| p.framework == k.framework && p.control == k.control);
        let cells = vec![
            format!("{} {}", k.framework, k.control),
            over.map_or("unproven".to_owned(), |p| p.verdict.to_string()),
            k.verdict.to_string(),
            k.strength.map_or("no fact".to_owned(), |s| s.to_string()),
            format!("{}.\n{}", k.title, k.because),
        ];
        (k.verdict.into(), cells)
    });
    vec![
        section("Controls"),
        Block::Text("Only the part of each control that concerns backup is judged.".to_owned()),
        table(
            "Verdict per control",
            &["control", "period", "at its end", "strength", "why"],
            rows.collect(),
        ),
    ]
}

fn artefacts(c: &ReportContent) -> Vec<Block> {
    let mut out = vec![
        section("Artefacts, control by control"),
        Block::Text(
            "What an auditor asks for under each control, and how much of it is here. What is absent has to come from \
             elsewhere. Nothing here claims that a control is complied with."
                .to_owned(),
        ),
    ];
    out.extend(c.artefacts.iter().map(|control| {
        let rows = control.artefacts.iter().map(|a| {
            let cells = vec![
                a.name.clone(),
                a.presence.word().to_owned(),
                a.strength.map_or("-".to_owned(), |s| s.to_string()),
                a.says.clone(),
            ];
            (
                if a.presence == Presence::Absent {
                    Tone::Doubtful
                } else {
                    Tone::Plain
                },
                cells,
            )
        });
        table(
            &format!("{} {}", control.framework, control.control),
            &["artefact", "in this report", "strength", "what there is"],
            rows.collect(),
        )
    }));
    out
}

fn protection(c: &ReportContent, p: &ProtectionPart) -> Vec<Block> {
    let rows = p.answers.iter().map(|a| {
        let cells = vec![
            a.question.word().to_owned(),
            a.verdict.to_string(),
            a.strength.map_or("no fact".to_owned(), |s| s.to_string()),
            a.because.clone(),
        ];
        (a.verdict.into(), cells)
    });
    let mut pairs = vec![
        pair("Kept by", format!("{} of {}", p.way, p.source)),
        pair(
            "Owner, tier",
            format!(
                "{}, {}",
                p.owner.as_deref().unwrap_or("no owner"),
                p.tier.as_deref().unwrap_or("no tier")
            ),
        ),
        pair(
            "RPO",
            format!(
                "achieved {}, target {}",
                span(p.achieved_rpo, "not measured"),
                span(p.target_rpo, "not set")
            ),
        ),
        pair(
            "RTO",
            format!(
                "achieved {}, target {}",
                span(p.achieved_rto, "not measured"),
                span(p.target_rto, "not set")
            ),
        ),
    ];
    pairs.extend(p.rules.iter().map(|r| pair(&r.word, r.text.clone())));
    let mut out = vec![
        Block::Heading(2, format!("{}: {}", p.id, p.verdict)),
        Block::Pairs(pairs),
        table(
            "Answers at the end of the period",
            &["question", "verdict", "strength", "why"],
            rows.collect(),
        ),
    ];
    if let Some(over) = c.period.protections.iter().find(|o| o.id == p.id) {
        out.extend(courses::rpo(&c.period, over).map(Block::Drawing));
        out.extend(courses::rto(&c.period, over).map(Block::Drawing));
    }
    out
}
