//! The populations that need more than one fact a row: obligations, runs, failures, deletions, all others.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::fact::Fact;
use vouchsafe_model::period::{Fulfilment, Standing};
use vouchsafe_model::{ObligationId, ObligationKind, RunId, Time};

use super::cells::some;
use super::{Frozen, FrozenRow, Select};
use crate::layout::clean;
use crate::names::Names;
use crate::report::{ReportInput, failures_of};
use crate::words::{len, outcome};

/// What all populations of one report share.
pub(super) struct Freezer<'a> {
    input: &'a ReportInput<'a>,
    names: Names<'a>,
    /// Recorded in the period, as they may be shown.
    facts: Vec<(u64, Time, Fact)>,
}

pub(super) fn all(input: &ReportInput<'_>) -> Vec<Frozen> {
    let names = Names::new(input);
    let in_period = |at: Time| input.from <= at && at < input.to;
    let facts = input
        .facts
        .iter()
        .filter(|r| in_period(r.entry.at))
        .map(|r| (r.seq, r.entry.at, names.fact(&r.entry.fact)))
        .collect();
    let freezer = Freezer {
        input,
        names,
        facts,
    };
    vec![
        freezer.obligations(
            "obligations",
            "Obligations that were due in the period",
            |_| true,
        ),
        freezer.obligations("duties", "Of these, the duties of people", |kind| {
            kind == ObligationKind::Duty
        }),
        freezer.runs(),
        freezer.points(),
        freezer.copies(),
        freezer.verifications(),
        freezer.drills(),
        freezer.failures(),
        freezer.deletions(),
        freezer.prunes(),
        freezer.keys(),
        freezer.holds(),
        freezer.repairs(),
        freezer.logs(),
        freezer.policies(),
        freezer.others(),
    ]
}

/// Kinds of facts that have a population of their own, or stand in that of obligations, or say only how far the
/// record promises.
const ELSEWHERE: [&str; 21] = [
    "obligation-due",
    "horizon",
    "run-opened",
    "run-closed",
    "run-abandoned",
    "recovery-point",
    "copy",
    "verification",
    "drill",
    "expired",
    "pruned",
    "key-change",
    "vault-known",
    "held",
    "hold-released",
    "copy-lost",
    "repaired",
    "log-shipped",
    "log-gap",
    "policy-in-force",
    "obligations-withdrawn",
];

impl Freezer<'_> {
    pub(super) fn frozen(
        &self,
        (name, title): (&'static str, &'static str),
        select: Select,
        columns: &[&'static str],
        rows: Vec<FrozenRow>,
    ) -> Frozen {
        Frozen {
            name,
            title,
            query: query(&select, self.input.from, self.input.to),
            select,
            from: self.input.from,
            to: self.input.to,
            as_of: self.input.period.as_of,
            ledger_size: self.input.ledger.size,
            ledger_root: self.input.ledger.root.clone(),
            columns: columns.to_vec(),
            rows,
        }
    }

    /// One row for each fact of which `cells` makes one.
    pub(super) fn each(
        &self,
        cells: impl Fn(&Fact) -> Option<(String, Vec<String>)>,
    ) -> Vec<FrozenRow> {
        self.facts
            .iter()
            .filter_map(|(seq, at, fact)| {
                let (subject, own) = cells(fact)?;
                let mut cells = vec![seq.to_string(), at.to_string()];
                cells.extend(own);
                Some(FrozenRow {
                    key: seq.to_string(),
                    subject,
                    cells,
                })
            })
            .collect()
    }

    fn obligations(
        &self,
        name: &'static str,
        title: &'static str,
        which: impl Fn(ObligationKind) -> bool,
    ) -> Frozen {
        let judged: BTreeSet<&ObligationId> = self
            .input
            .obligations
            .iter()
            .map(|f| &f.obligation.id)
            .collect();
        let due = |at: Time| self.input.from <= at && at < self.input.to;
        let mut withdrawn: BTreeMap<&ObligationId, Fulfilment> = BTreeMap::new();
        for recorded in self.input.facts {
            if let Fact::ObligationDue(o) = &recorded.entry.fact
                && due(o.due)
                && !judged.contains(&o.id)
            {
                withdrawn.entry(&o.id).or_insert_with(|| Fulfilment {
                    obligation: o.clone(),
                    standing: Standing::Open,
                    answered_at: None,
                    answered_by: None,
                    closure: None,
                });
            }
        }
        let said = |f: &Fulfilment, standing: &str| {
            let o = &f.obligation;
            let closure = f.closure.as_ref();
            FrozenRow {
                key: o.id.to_string(),
                subject: o.subject(),
                cells: vec![
                    o.id.to_string(),
                    o.kind.to_string(),
                    some(o.protection.as_ref()),
                    some(o.vault.as_ref()),
                    clean(&some(o.duty.as_ref())),
                    o.opens.to_string(),
                    o.due.to_string(),
                    standing.to_owned(),
                    some(f.answered_at),
                    some(f.answered_by),
                    some(closure.map(|c| c.at)),
                    some(closure.map(|c| c.seq)),
                    closure.map_or(String::new(), |c| self.names.text(&c.text)),
                ],
            }
        };
        let mut rows: Vec<(Time, FrozenRow)> = self
            .input
            .obligations
            .iter()
            .filter(|f| which(f.obligation.kind))
            .map(|f| (f.obligation.due, said(f, f.standing.word())))
            .chain(
                withdrawn
                    .values()
                    .filter(|f| which(f.obligation.kind))
                    .map(|f| (f.obligation.due, said(f, "withdrawn"))),
            )
            .collect();
        rows.sort_by(|a, b| (a.0, &a.1.key).cmp(&(b.0, &b.1.key)));
        let select = Select {
            time: "due".to_owned(),
            unique: Some("id".to_owned()),
            judged: name == "duties",
            ..select(&["obligation-due"])
        };
        self.frozen(
            (name, title),
            select,
            &[
                "key",
                "kind",
                "protection",
                "vault",
                "duty",
                "opens",
                "due",
                "standing",
                "answered_at",
                "answered_by",
                "closed_at",
                "closed_by",
                "closure",
            ],
            rows.into_iter().map(|(_, row)| row).collect(),
        )
    }

    fn runs(&self) -> Frozen {
        let mut ends: BTreeMap<&RunId, (u64, Time, String, u64)> = BTreeMap::new();
        let mut begun: BTreeMap<&RunId, String> = BTreeMap::new();
        for r in self.input.facts {
            match &r.entry.fact {
                Fact::RunOpened {
                    run, deed, subject, ..
                } => {
                    begun.insert(run, format!("{} {}", clean(deed), clean(subject)));
                }
                Fact::RunClosed {
                    run,
                    outcome: how,
                    issues,
                } => {
                    let how = outcome(*how).to_owned();
                    ends.insert(run, (r.seq, r.entry.at, how, len(issues.len())));
                }
                Fact::RunAbandoned { run } => {
                    ends.insert(run, (r.seq, r.entry.at, "abandoned".to_owned(), 0));
                }
                _ => {}
            }
        }
        let rows = self.each(|fact| {
            let (kind, run, reason) = match fact {
                Fact::RunOpened { run, reason, .. } => ("opened", run, reason.clone()),
                Fact::RunClosed { run, .. } => ("closed", run, None),
                Fact::RunAbandoned { run } => ("abandoned", run, None),
                _ => return None,
            };
            let subject = begun.get(run).cloned().unwrap_or_default();
            let end = ends.get(run);
            let cells = vec![
                kind.to_owned(),
                run.to_string(),
                subject.clone(),
                reason.map_or(String::new(), |r| clean(&r)),
                some(end.map(|e| e.1)),
                end.map_or("not closed".to_owned(), |e| e.2.clone()),
                some(end.map(|e| e.3)),
            ];
            Some((subject, cells))
        });
        self.frozen(
            ("runs", "Runs that began or ended in the period"),
            select(&["run-opened", "run-closed", "run-abandoned"]),
            &[
                "key", "at", "what", "run", "of", "reason", "ended", "outcome", "issues",
            ],
            rows,
        )
    }

    fn failures(&self) -> Frozen {
        let mut within: BTreeMap<u64, u64> = BTreeMap::new();
        let closures: BTreeMap<u64, &Fulfilment> = self
            .input
            .obligations
            .iter()
            .filter_map(|f| Some((f.answered_by?, f)))
            .collect();
        let drills = self.input.period.protections.iter().flat_map(|p| &p.drills);
        let drills: BTreeMap<u64, _> = drills.map(|d| (d.seq, d)).collect();
        let rows = failures_of(self.input)
            .into_iter()
            .map(|f| {
                let n = within.entry(f.seq).and_modify(|n| *n += 1).or_default();
                let closure = drills
                    .get(&f.seq)
                    .and_then(|d| d.closure.as_ref())
                    .or_else(|| closures.get(&f.seq).and_then(|f| f.closure.as_ref()));
                let retest = drills.get(&f.seq).and_then(|d| d.retested_by);
                FrozenRow {
                    key: format!("{}.{n}", f.seq),
                    subject: f.subject.clone(),
                    cells: vec![
                        format!("{}.{n}", f.seq),
                        f.at.to_string(),
                        f.kind.clone(),
                        f.subject.clone(),
                        f.text.clone(),
                        len(f.issues.len()).to_string(),
                        some(retest),
                        some(closure.map(|c| c.at)),
                        closure.map_or("not closed".to_owned(), |c| self.names.text(&c.text)),
                    ],
                }
            })
            .collect();
        let select = Select {
            judged: true,
            ..select(&[
                "run-opened",
                "run-closed",
                "run-abandoned",
                "recovery-point",
                "copy",
                "verification",
                "drill",
            ])
        };
        self.frozen(
            (
                "failures",
                "Everything that failed, was incomplete, or came out red",
            ),
            select,
            &[
                "key",
                "at",
                "kind",
                "of",
                "text",
                "issues",
                "retested_by",
                "closed_at",
                "closure",
            ],
            rows,
        )
    }

    fn deletions(&self) -> Frozen {
        let mut rows = Vec::new();
        for (seq, at, fact) in &self.facts {
            let Fact::Expired(expiry) = fact else {
                continue;
            };
            for (n, one) in expiry.copies.iter().enumerate() {
                rows.push(FrozenRow {
                    key: format!("{seq}.{n}"),
                    subject: format!("{} → {}", one.protection, expiry.vault),
                    cells: vec![
                        format!("{seq}.{n}"),
                        at.to_string(),
                        expiry.vault.to_string(),
                        one.protection.to_string(),
                        one.point.to_string(),
                        one.snapshot.clone(),
                        expiry.run.to_string(),
                        clean(&one.reason),
                        one.erase.to_string(),
                    ],
                });
            }
        }
        let select = Select {
            each: Some("copies".to_owned()),
            ..select(&["expired"])
        };
        self.frozen(
            ("deletions", "Copies that were let go, each with its reason"),
            select,
            &[
                "key",
                "at",
                "vault",
                "protection",
                "point",
                "snapshot",
                "run",
                "reason",
                "erase",
            ],
            rows,
        )
    }

    fn others(&self) -> Frozen {
        let mut kinds: BTreeSet<String> =
            ["coverage", "locks", "published"].map(str::to_owned).into();
        let rows = self.each(|fact| {
            let value = serde_json::to_value(fact).unwrap_or_default();
            let kind = value
                .get("fact")
                .and_then(|k| k.as_str())
                .unwrap_or_default()
                .to_owned();
            let elsewhere = ELSEWHERE.contains(&kind.as_str());
            (!elsewhere).then(|| {
                let subject = value
                    .get("vault")
                    .and_then(|v| v.as_str())
                    .unwrap_or_default();
                (
                    format!("{kind} {subject}"),
                    vec![kind.clone(), clean(&value.to_string())],
                )
            })
        });
        kinds.extend(rows.iter().filter_map(|r| r.cells.get(2).cloned()));
        let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
        self.frozen(
            ("others", "All other facts, as the ledger has them"),
            select(&kinds),
            &["key", "at", "kind", "fact"],
            rows,
        )
    }
}

pub(super) fn select(facts: &[&str]) -> Select {
    Select {
        facts: facts.iter().map(|f| (*f).to_owned()).collect(),
        time: "at".to_owned(),
        each: None,
        unique: None,
        judged: false,
    }
}

/// The query as a command. What is `judged` says which of the rows it yields are kept.
fn query(select: &Select, from: Time, to: Time) -> String {
    let kinds: Vec<String> = select
        .facts
        .iter()
        .map(|f| format!(".fact == \"{f}\""))
        .collect();
    let time = &select.time;
    let fits = format!(
        "select(({}) and .{time} >= \"{from}\" and .{time} < \"{to}\")",
        kinds.join(" or ")
    );
    match (&select.each, &select.unique) {
        (_, Some(key)) => {
            format!("jq -c -s '[.[].entry | {fits}] | unique_by(.{key})[]' ledger.export")
        }
        (Some(list), None) => format!("jq -c '.entry | {fits} | .{list}[]' ledger.export"),
        (None, None) => format!("jq -c '.entry | {fits}' ledger.export"),
    }
}
