//! The sections that list: points, copies, verifications, the ledger, the legends, the appendix.

use std::collections::BTreeSet;

use maud::{Markup, html};
use vouchsafe_model::{Outcome, VaultName, human_bytes};

use super::content::{AppendixRow, Meaning, OutsidePart, ReportContent};
use super::parts::{TableRow, Tone, brief, issues, reference, table, when, when_or, yes_no};
use crate::words::{count, figure, outcome};

/// What a population is, so that it can be drawn again and compared.
pub(super) fn population(query: &str, n: u64, one: &str) -> Markup {
    html! {
        p {
            "Population: " b { (count(n, one)) } ", all of them listed. They are the ledger's entries that this filter "
            "chooses from an export: " code { (query) }
        }
    }
}

pub(super) fn points(c: &ReportContent) -> Markup {
    let rows: Vec<TableRow> = c
        .points
        .rows
        .iter()
        .map(|r| {
            let p = &r.fact;
            let tone = match p.outcome {
                Outcome::Done => Tone::Plain,
                Outcome::Incomplete => Tone::Doubtful,
                Outcome::Failed => Tone::Wrong,
            };
            let mark = if p.outcome == Outcome::Done {
                "✓"
            } else {
                "✗"
            };
            TableRow::new(
                tone,
                vec![
                    reference(r.seq),
                    html! { span.name { (p.protection) } },
                    html! { code.id { (p.point) } },
                    when(p.content_time),
                    when(p.completed),
                    html! { span.name { (mark) " " (outcome(p.outcome)) } },
                    html! { (figure(p.issue_count)) },
                    html! { (figure(p.items)) },
                    html! { (human_bytes(p.bytes)) },
                    brief(&p.tree),
                ],
            )
        })
        .collect();
    html! {
        (population(&c.points.query, c.points.count, "recovery point"))
        @if !rows.is_empty() {
            (table("Recovery points recorded in the period", &[
                "fact", "protection", "point", "state of", "complete", "outcome", "#issues", "#items", "#content", "tree",
            ], &rows))
        }
    }
}

pub(super) fn copies(c: &ReportContent) -> Markup {
    let rows: Vec<TableRow> = c
        .copies
        .rows
        .iter()
        .map(|r| {
            let k = &r.fact;
            let place = match (&k.region, &k.country) {
                (Some(region), Some(country)) => format!("{region}, {country}"),
                (Some(one), None) | (None, Some(one)) => one.clone(),
                (None, None) => "not declared".to_owned(),
            };
            TableRow::new(
                if k.encryption.probed {
                    Tone::Plain
                } else {
                    Tone::Doubtful
                },
                vec![
                    reference(r.seq),
                    html! { code.id { (k.point) } },
                    html! { span.name { (k.protection) } },
                    html! { (k.vault) },
                    html! { (place) },
                    when(k.completed),
                    html! { (figure(k.blobs_read_back)) },
                    html! { (human_bytes(k.added_bytes)) },
                    html! { (if k.encryption.probed { "✓ seen" } else { "✗ not looked at" }) },
                    brief(&k.snapshot),
                ],
            )
        })
        .collect();
    html! {
        (population(&c.copies.query, c.copies.count, "copy"))
        (ciphers(c))
        p.soft { "A copy counts only after it was read back from its vault. Region and country are declared by the policy." }
        @if !rows.is_empty() {
            (table("Copies recorded in the period", &[
                "fact", "point", "protection", "vault", "region (declared)", "read back", "#blobs", "#added", "sealed?", "snapshot",
            ], &rows))
        }
    }
}

/// What was seen of the encryption, once for each vault and key.
fn ciphers(c: &ReportContent) -> Markup {
    let seen: BTreeSet<(&VaultName, &str, &str)> = c
        .copies
        .rows
        .iter()
        .filter(|r| r.fact.encryption.probed)
        .map(|r| {
            let e = &r.fact.encryption;
            (&r.fact.vault, e.cipher.as_str(), e.key.as_str())
        })
        .collect();
    html! {
        @if !seen.is_empty() {
            p { "Encryption probe: stored bytes were fetched, opened under the repository's key, and shown not to be the plaintext." }
            ul {
                @for (vault, cipher, key) in seen {
                    li { "vault " (vault) ": " (cipher) ", repository " code { (key) } }
                }
            }
        }
    }
}

pub(super) fn verifications(c: &ReportContent) -> Markup {
    let rows: Vec<TableRow> = c
        .verifications
        .rows
        .iter()
        .map(|r| {
            let v = &r.fact;
            let found = if v.problems.is_empty() {
                html! { "✓ none" }
            } else {
                html! { "✗ " (v.problems.len()) (issues(&v.problems)) }
            };
            TableRow::new(
                if v.problems.is_empty() {
                    Tone::Plain
                } else {
                    Tone::Wrong
                },
                vec![
                    reference(r.seq),
                    html! { (v.vault) },
                    when(v.started),
                    html! { (v.completed.since(v.started)) },
                    html! { (figure(v.packs_read)) " of " (figure(v.packs_total)) },
                    html! { (human_bytes(v.bytes_read)) },
                    html! { (if v.complete { "yes" } else { "no, a share" }) },
                    found,
                ],
            )
        })
        .collect();
    html! {
        (population(&c.verifications.query, c.verifications.count, "verification"))
        @if !rows.is_empty() {
            (table("Verifications recorded in the period", &[
                "fact", "vault", "began", "took", "#packs read", "#read", "everything needed was read?", "problems",
            ], &rows))
        }
    }
}

pub(super) fn ledger(c: &ReportContent) -> Markup {
    let l = &c.ledger;
    let rows: Vec<TableRow> = l
        .witnesses
        .iter()
        .map(|w| {
            TableRow::new(
                Tone::Plain,
                vec![
                    html! { (w.vault) },
                    when(w.at),
                    html! { (figure(w.tree_size)) },
                    html! { (figure(w.behind)) },
                ],
            )
        })
        .collect();
    html! {
        dl.head {
            dt { "Entries under the head" } dd { (figure(l.size)) }
            dt { "Merkle root" } dd { code { (l.root) } }
            dt { "Key fingerprint" } dd { code { (l.fingerprint) } }
            dt { "Public key" } dd { code { (l.vkey) } }
        }
        @if l.not_covered > 0 {
            p { (yes_no(false, "", "not covered")) " " (count(l.not_covered, "entry"))
                " of this report came after this head, and it does not cover them." }
        }
        h3 { "The head, as signed" }
        pre { (l.checkpoint) }
        h3 { "Who has seen a head" }
        @if rows.is_empty() && l.outside.is_empty() {
            p { (yes_no(false, "", "nobody")) " No head was published to any vault: the host's own word is all there is." }
        } @else if !rows.is_empty() {
            (table("Newest head in each vault", &["vault", "published", "#entries under it", "#entries since"], &rows))
        }
        @for vault in &l.unwitnessed { p { (yes_no(false, "", "never published")) " Vault " (vault) " has never received a head." } }
        (outside(&l.outside))
        (offline(c))
    }
}

fn outside(parts: &[OutsidePart]) -> Markup {
    let rows: Vec<TableRow> = parts
        .iter()
        .map(|part| {
            TableRow::new(
                Tone::Plain,
                vec![
                    html! { (part.who) },
                    html! { (part.kind.word()) },
                    when(part.at),
                    html! { (figure(part.tree_size)) },
                    html! { (figure(part.behind)) },
                    html! { (part.seq) },
                ],
            )
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            p { "As the record says; whether each has really signed that is for the examination below to find out. "
                "A witness has seen that the record goes on from what it knew; an authority's time stamp shows that it "
                "existed then, up to that entry." }
            (table("Who outside has seen or stamped a head", &[
                "who", "how", "when, by their clock", "#entries under it", "#entries since", "fact",
            ], &rows))
        }
    }
}

fn offline(c: &ReportContent) -> Markup {
    let l = &c.ledger;
    html! {
        h3 { "How to verify it offline" }
        ol {
            li { "Take an export, here or from a machine that rebuilt the ledger out of a vault:" pre { (l.export_command) } }
            li { "On any machine, without a network, verify it with the public key alone:" pre { (l.verify_command) } }
            li { "The key fingerprint that it prints must equal " code { (l.fingerprint) }
                ". Compare it with the recovery sheet, which was printed when the key was made, and not with this page." }
            li { "It must name " (figure(l.size)) " entries or more, and for the first " (figure(l.size))
                " of them the root " code { (l.root) } ". An entry that was edited, removed or reordered is named." }
            li { "The heads in the vaults lie under " code { "<vault>/ledger/" }
                ". Each must be a beginning of the same ledger." }
        }
    }
}

pub(super) fn reading(c: &ReportContent) -> Markup {
    html! {
        h3 { "Verdicts" } (meanings(&c.verdicts))
        h3 { "Strength of a fact" } (meanings(&c.strengths))
        h3 { "What this report does not prove" } (meanings(&c.limits))
    }
}

fn meanings(list: &[Meaning]) -> Markup {
    html! { dl.head { @for m in list { dt { b { (m.word) } } dd { (m.text) } } } }
}

pub(super) fn appendix(c: &ReportContent) -> Markup {
    let by = |r: &AppendixRow| match r.actor.is_empty() {
        true => "–".to_owned(),
        false => format!("{}, {}", r.actor, r.tool),
    };
    let recorders: BTreeSet<String> = c.appendix.rows.iter().map(by).collect();
    let several = recorders.len() > 1;
    let rows: Vec<TableRow> = c
        .appendix
        .rows
        .iter()
        .map(|r| {
            let mut cells = vec![
                html! { (r.seq) },
                when_or(r.at, "not known"),
                html! { span.kind { (r.kind) } },
                html! { (r.text) },
            ];
            if several {
                cells.push(html! { (by(r)) });
            }
            TableRow {
                id: Some(format!("f{}", r.seq)),
                tone: Tone::Plain,
                cells,
            }
        })
        .collect();
    let mut head = vec!["fact", "recorded", "kind", "what it says"];
    if several {
        head.push("recorded by");
    }
    html! {
        p {
            "Facts recorded in the period, and earlier ones that a verdict rests on. The number is the entry's place in "
            "the ledger, from 0. Not listed: " (count(c.appendix.left_out, "entry"))
            " of the period that write obligations and horizons ahead, or say every few minutes how far a log was shipped; the export holds them all."
        }
        @if let (false, Some(one)) = (several, recorders.first()) { p { "All were recorded by " (one) "." } }
        @if rows.is_empty() { p { "No fact." } }
        @else { (table("Facts", &head, &rows)) }
    }
}
