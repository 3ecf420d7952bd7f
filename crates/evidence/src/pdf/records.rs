//! What is recorded, as blocks for paper: failures, drills, populations, the ledger, and how to read it all.

use vouchsafe_model::RungOutcome;

use super::blocks::{Block, Tone, pair, section, span, table};
use crate::report::content::{Meaning, ReportContent};
use crate::report::incident_caption;
use crate::words::{count, figure, len, precise, rung_word};

pub(super) fn failures(c: &ReportContent) -> Vec<Block> {
    let rows: Vec<_> = c
        .failures
        .iter()
        .map(|f| {
            let places = f
                .issues
                .iter()
                .map(|i| format!("\n{}: {}", i.place, i.message));
            let text = format!("{}.{}", f.text, places.collect::<String>());
            let cells = vec![
                f.seq.to_string(),
                f.at.minute(),
                f.kind.replace('-', " "),
                f.subject.clone(),
                text,
            ];
            (Tone::Plain, cells)
        })
        .collect();
    vec![
        section("Failures and incomplete runs"),
        match rows.is_empty() {
            true => Block::Text("None in the period.".to_owned()),
            false => table(
                "Failures of the period",
                &["fact", "recorded", "what", "of", "what went wrong"],
                rows,
            ),
        },
    ]
}

pub(super) fn incidents(c: &ReportContent) -> Vec<Block> {
    let mut out = vec![section("Incidents, from failure to closure")];
    if c.incidents.is_empty() {
        let none = "No incident was open in the period.";
        out.push(Block::Text(none.to_owned()));
    }
    out.extend(c.incidents.iter().map(|part| {
        let rows = part.lines.iter().map(|line| {
            let cells = vec![line.seq.to_string(), line.at.minute(), line.text.clone()];
            (Tone::Plain, cells)
        });
        let caption = incident_caption(part);
        table(&caption, &["fact", "when", "what"], rows.collect())
    }));
    out
}

pub(super) fn drills(c: &ReportContent) -> Vec<Block> {
    let mut out = vec![section("Drills")];
    if c.drills.rows.is_empty() {
        out.push(Block::Text(
            "No restore was rehearsed in the period: that anything comes back is not shown here."
                .to_owned(),
        ));
    }
    for row in &c.drills.rows {
        let d = &row.fact.result;
        let caught = row.fact.caught.iter().filter(|c| **c).count();
        let phases: Vec<String> = d
            .phases
            .iter()
            .map(|p| format!("{} {}", p.name, precise(p.took)))
            .collect();
        out.push(Block::Heading(
            2,
            format!("{}, fact {}", d.protection, row.seq),
        ));
        out.push(Block::Pairs(vec![
            pair("Result", if row.fact.green { "green" } else { "NOT green" }),
            pair("Point, vault", format!("{}, {}", d.point, d.vault)),
            pair("Ended", d.ended.minute()),
            pair(
                "Achieved RTO",
                format!(
                    "{}, target {}",
                    precise(d.achieved_rto),
                    span(d.target_rto, "not set")
                ),
            ),
            pair("Phases", phases.join(", ")),
            pair(
                "Sandbox",
                format!(
                    "{}; {}",
                    d.sandbox.isolation,
                    if d.sandbox.destroyed {
                        "destroyed"
                    } else {
                        "NOT shown to be destroyed"
                    }
                ),
            ),
            pair(
                "Negative controls",
                format!("{caught} of {} caught", row.fact.caught.len()),
            ),
        ]));
        let rungs = d.ladder.rungs.iter().map(|r| {
            let tone = match r.outcome {
                RungOutcome::Green => Tone::Plain,
                RungOutcome::Red => Tone::Wrong,
                RungOutcome::Skipped => Tone::Doubtful,
            };
            (
                tone,
                vec![
                    r.name.clone(),
                    rung_word(r.outcome).to_owned(),
                    r.expected.clone(),
                    r.actual.clone(),
                ],
            )
        });
        out.push(table(
            "What was compared",
            &["rung", "outcome", "expected", "actual"],
            rungs.collect(),
        ));
    }
    out
}

pub(super) fn populations(c: &ReportContent) -> Vec<Block> {
    let rows = c.populations.iter().map(|p| {
        (
            Tone::Plain,
            vec![
                p.name.clone(),
                p.title.clone(),
                figure(p.rows),
                p.query.clone(),
            ],
        )
    });
    let mut out = vec![
        section("Populations and samples"),
        table(
            "Populations, each with the query over an export of the ledger",
            &["name", "what", "rows", "query"],
            rows.collect(),
        ),
    ];
    if let Some(first) = c.samples.first() {
        out.push(Block::Text(format!(
            "Samples by the seed {}. {}",
            first.seed, first.rule
        )));
        let rows = c.samples.iter().filter(|s| s.of > 0).map(|s| {
            let cells = vec![
                s.population.clone(),
                figure(s.of),
                figure(len(s.keys.len())),
                s.keys.join(", "),
            ];
            (Tone::Plain, cells)
        });
        out.push(table(
            "Samples",
            &["population", "rows", "drawn", "keys"],
            rows.collect(),
        ));
    }
    out
}

pub(super) fn ledger(c: &ReportContent) -> Vec<Block> {
    let l = &c.ledger;
    let rows = l.witnesses.iter().map(|w| {
        (
            Tone::Plain,
            vec![
                w.vault.to_string(),
                figure(w.tree_size),
                w.at.minute(),
                figure(w.behind),
            ],
        )
    });
    let outside = l.outside.iter().map(|part| {
        let cells = vec![
            part.who.clone(),
            part.kind.word().to_owned(),
            figure(part.tree_size),
            part.at.minute(),
            figure(part.behind),
        ];
        (Tone::Plain, cells)
    });
    let outside = match l.outside.is_empty() {
        true => None,
        false => Some(table(
            "Who outside has seen or stamped a head, as the record says",
            &["who", "how", "entries", "when, by their clock", "behind"],
            outside.collect(),
        )),
    };
    let mut out = vec![
        section("The ledger, and how to verify it"),
        Block::Text(format!(
            "{} under this signed head:",
            count(l.size, "entry")
        )),
        Block::Code(l.checkpoint.clone()),
        Block::Pairs(vec![
            pair("Public key", l.vkey.clone()),
            pair("Fingerprint", l.fingerprint.clone()),
        ]),
        table(
            "Heads that vaults hold",
            &["vault", "entries", "published", "behind"],
            rows.collect(),
        ),
    ];
    out.extend(outside);
    out.extend([
        Block::Text(
            "Whoever has the public key from elsewhere can verify an export of the ledger:"
                .to_owned(),
        ),
        Block::Code(format!("{}\n{}", l.export_command, l.verify_command)),
    ]);
    out
}

pub(super) fn reading(c: &ReportContent) -> Vec<Block> {
    let meanings =
        |all: &[Meaning]| Block::Pairs(all.iter().map(|m| pair(&m.word, m.text.clone())).collect());
    vec![
        section("How to read this report, and what it does not prove"),
        meanings(&c.verdicts),
        meanings(&c.strengths),
        meanings(&c.limits),
    ]
}
