//! Everything of the period that went wrong, so that nothing of it can be overlooked.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::fact::{CopyFact, Fact, RecoveryPoint, Verification};
use vouchsafe_model::{DrillResult, Issue, Outcome, PointId, RunId, RungOutcome, Time};

use super::ReportInput;
use super::content::Failure;
use super::gather::Shown;
use crate::layout::clean;
use crate::words::{self, count, len};

pub(super) fn failures(input: &ReportInput<'_>, shown: &Shown) -> Vec<Failure> {
    let trees: BTreeMap<&PointId, &str> = input
        .facts
        .iter()
        .filter_map(|r| match &r.entry.fact {
            Fact::RecoveryPoint(p) => Some((&p.point, p.tree.as_str())),
            _ => None,
        })
        .collect();
    let runs = Runs::of(input);
    let mut out = Found {
        seq: 0,
        at: input.from,
        list: Vec::new(),
    };
    for (seq, at, fact) in &shown.period {
        (out.seq, out.at) = (*seq, *at);
        match fact {
            Fact::RunOpened {
                run, deed, subject, ..
            } if !runs.ended.contains(run) => {
                let text = format!("run {run} began, and nothing says how it ended");
                out.add(
                    "run-open",
                    &format!("{} {}", clean(deed), clean(subject)),
                    text,
                    &[],
                );
            }
            Fact::RunClosed {
                run,
                outcome,
                issues,
            } => out.run(run, &runs.subject(run), *outcome, issues),
            Fact::RunAbandoned { run } => out.add(
                "run-abandoned",
                &runs.subject(run),
                format!("run {run} was found open with no process behind it"),
                &[],
            ),
            Fact::RecoveryPoint(p) => out.point(p),
            Fact::Copy(c) => out.copy(c, trees.get(&c.point).copied()),
            Fact::Verification(v) => out.verification(v),
            Fact::Drill(d) => out.drill(d),
            _ => {}
        }
    }
    out.list
}

struct Runs<'a> {
    opened: BTreeMap<&'a RunId, (&'a str, &'a str)>,
    ended: BTreeSet<&'a RunId>,
}

impl<'a> Runs<'a> {
    fn of(input: &ReportInput<'a>) -> Runs<'a> {
        let mut runs = Runs {
            opened: BTreeMap::new(),
            ended: BTreeSet::new(),
        };
        for recorded in input.facts {
            match &recorded.entry.fact {
                Fact::RunOpened {
                    run, deed, subject, ..
                } => {
                    runs.opened.insert(run, (deed, subject));
                }
                Fact::RunClosed { run, .. } | Fact::RunAbandoned { run } => {
                    runs.ended.insert(run);
                }
                _ => {}
            }
        }
        runs
    }
    fn subject(&self, run: &RunId) -> String {
        match self.opened.get(run) {
            Some((deed, subject)) => format!("{} {}", clean(deed), clean(subject)),
            None => run.to_string(),
        }
    }
}

/// What was found so far, and the entry that is being read.
struct Found {
    seq: u64,
    at: Time,
    list: Vec<Failure>,
}

impl Found {
    fn add(&mut self, kind: &str, subject: &str, text: String, issues: &[Issue]) {
        self.list.push(Failure {
            seq: self.seq,
            at: self.at,
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            text,
            issues: issues.to_vec(),
        });
    }

    fn run(&mut self, run: &RunId, subject: &str, outcome: Outcome, issues: &[Issue]) {
        let kind = match outcome {
            Outcome::Done if issues.is_empty() => return,
            Outcome::Done | Outcome::Incomplete => "run-incomplete",
            Outcome::Failed => "run-failed",
        };
        let said = words::outcome(outcome);
        let text = format!(
            "run {run} ended as {said}, with {}",
            count(len(issues.len()), "issue")
        );
        self.add(kind, subject, text, issues);
    }

    fn point(&mut self, p: &RecoveryPoint) {
        let kind = match p.outcome {
            Outcome::Done if p.issue_count == 0 && p.issues.is_empty() => return,
            Outcome::Done | Outcome::Incomplete => "point-incomplete",
            Outcome::Failed => "point-failed",
        };
        let said = words::outcome(p.outcome);
        let all = p.issue_count.max(len(p.issues.len()));
        let mut text = format!("point {} is {said}: {}", p.point, count(all, "issue"));
        if all > len(p.issues.len()) {
            text.push_str(&format!(", of which the ledger keeps {}", p.issues.len()));
        }
        self.add(kind, &p.protection.to_string(), text, &p.issues);
    }

    fn copy(&mut self, c: &CopyFact, tree: Option<&str>) {
        let subject = format!("{} → {}", c.protection, c.vault);
        if tree.is_some_and(|t| t != c.tree) {
            let text = format!(
                "the copy of point {} has another tree than the point",
                c.point
            );
            self.add("copy-differs", &subject, text, &[]);
        }
        if c.blobs_read_back == 0 {
            let text = format!(
                "the copy of point {} was not read back, so it is none",
                c.point
            );
            self.add("copy-not-read-back", &subject, text, &[]);
        }
        if !c.encryption.probed {
            let text = format!(
                "no stored bytes of the copy of point {} were seen to be sealed",
                c.point
            );
            self.add("copy-not-probed", &subject, text, &[]);
        }
    }

    fn verification(&mut self, v: &Verification) {
        if !v.problems.is_empty() {
            let found = count(len(v.problems.len()), "problem");
            let text = format!("reading vault {} back found {found}", v.vault);
            self.add(
                "verification-problem",
                &format!("vault {}", v.vault),
                text,
                &v.problems,
            );
        }
    }

    fn drill(&mut self, d: &DrillResult) {
        let subject = format!("{} from {}", d.protection, d.vault);
        if d.ladder.rungs.is_empty() {
            self.add("drill-red", &subject, "no rung was climbed".to_owned(), &[]);
        }
        for rung in d
            .ladder
            .rungs
            .iter()
            .filter(|r| r.outcome == RungOutcome::Red)
        {
            let text = format!(
                "rung {} is red: expected {}; found {}",
                rung.name, rung.expected, rung.actual
            );
            self.add("drill-red", &subject, text, &[]);
        }
        let skipped: Vec<&str> = d
            .ladder
            .rungs
            .iter()
            .filter(|r| r.outcome == RungOutcome::Skipped)
            .map(|r| r.name.as_str())
            .collect();
        if !skipped.is_empty() {
            let text = format!("not climbed, and so not green: {}", skipped.join(", "));
            self.add("drill-red", &subject, text, &[]);
        }
        if let Some(target) = d.target_rto.filter(|t| d.achieved_rto > *t) {
            let text = format!(
                "the restore took {}, and the RTO is {target}",
                d.achieved_rto
            );
            self.add("rto-exceeded", &subject, text, &[]);
        }
        if !d.sandbox.destroyed {
            let text = "the sandbox was not shown to be gone afterwards".to_owned();
            self.add("sandbox-left", &subject, text, &[]);
        }
        for control in d.negative_controls.iter().filter(|c| !c.caught()) {
            let text = format!(
                "negative control {}: rung {} had to be the first red one, it was {}; the undamaged pair was {}",
                control.damage.name,
                control.damage.must_redden,
                control.first_red.as_deref().unwrap_or("none"),
                if control.pair_green {
                    "green"
                } else {
                    "not green"
                }
            );
            self.add("control-not-caught", &subject, text, &[]);
        }
    }
}
