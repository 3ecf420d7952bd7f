//! What happened in the fixture's three weeks.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;

use vouchsafe_model::fact::{Issue, RecoveryPoint, Verification};
use vouchsafe_model::*;

use super::{Log, capture_due, copy, drill, point, run_id, sha, t, vault};

pub fn beginning(log: &mut Log, policy: &Policy) {
    let start = t(0, 0, 30);
    log.put(
        start,
        Fact::PolicyInForce {
            digest: policy.digest.clone(),
            version: Some("1.2".into()),
            bytes: 3_412,
            approved: Some(true),
        },
    );
    for name in ["local", "offsite"] {
        log.put(
            start,
            Fact::VaultKnown {
                vault: vault(name),
                repository: sha(name),
                created: true,
            },
        );
    }
    for of in ["shop-db/main", "website/main"] {
        for day in 0..22 {
            log.put(start, Fact::ObligationDue(capture_due(of, day)));
        }
    }
    log.put(start, Fact::Horizon { until: t(22, 0, 0) });
}

pub fn shop_day(log: &mut Log, day: u64, cited: &mut BTreeMap<&'static str, u64>) {
    let mut p = point(
        "shop-db/main",
        day,
        Outcome::Done,
        vec![capture_due("shop-db/main", day).id],
    );
    if day == 9 {
        p.completed = t(day, 5, 31);
    }
    opened(log, &p, day);
    let seq = log.put(p.completed, Fact::RecoveryPoint(p.clone()));
    cited.insert("shop point", seq);
    cited.insert(
        "shop copy",
        log.put(p.completed, Fact::Copy(copy(&p, "local", "hq"))),
    );
    if day % 7 == 6 {
        cited.insert(
            "shop offsite",
            log.put(p.completed, Fact::Copy(copy(&p, "offsite", "eu-west-2"))),
        );
    }
    closed(log, &p.run, p.completed, Outcome::Done, vec![]);
    for name in ["local", "offsite"] {
        let size = log.0.len() as u64;
        log.put(
            p.completed,
            Fact::Published {
                vault: vault(name),
                tree_size: size,
                root: sha(&format!("root {size}")),
                snapshot: None,
            },
        );
    }
}

pub fn website_day(log: &mut Log, day: u64, cited: &mut BTreeMap<&'static str, u64>) {
    if day > 18 || day == 5 {
        return;
    }
    let incomplete = day == 12;
    let outcome = if incomplete {
        Outcome::Incomplete
    } else {
        Outcome::Done
    };
    let mut p = point(
        "website/main",
        day,
        outcome,
        vec![capture_due("website/main", day).id],
    );
    if incomplete {
        p.issues = vec![Issue {
            place: "/var/www/private/salaries-2026.csv".into(),
            message: "permission denied".into(),
        }];
        p.issue_count = 3;
    }
    opened(log, &p, day);
    let seq = log.put(p.completed, Fact::RecoveryPoint(p.clone()));
    cited.insert("web point", seq);
    log.put(p.completed, Fact::Copy(copy(&p, "local", "hq")));
    closed(log, &p.run, p.completed, outcome, p.issues.clone());
}

fn opened(log: &mut Log, p: &RecoveryPoint, day: u64) {
    log.put(
        t(day, 2, 0),
        Fact::RunOpened {
            run: p.run.clone(),
            deed: "capture".into(),
            subject: p.protection.to_string(),
            reason: None,
        },
    );
}

fn closed(log: &mut Log, run: &RunId, at: Time, outcome: Outcome, issues: Vec<Issue>) {
    log.put(
        at,
        Fact::RunClosed {
            run: run.clone(),
            outcome,
            issues,
        },
    );
}

pub fn rehearsals(log: &mut Log, cited: &mut BTreeMap<&'static str, u64>) {
    let shop = point("shop-db/main", 17, Outcome::Done, vec![]);
    let web = point("website/main", 17, Outcome::Done, vec![]);
    let green = drill(&shop, 18, false, true);
    cited.insert("shop drill", log.put(green.ended, Fact::Drill(green)));
    let red = drill(&web, 19, true, true);
    cited.insert("web drill", log.put(red.ended, Fact::Drill(red)));
    for (name, day, broken) in [("local", 20, false), ("offsite", 20, true)] {
        let problems = if broken {
            vec![Issue {
                place: "data/7c/7c1e09".into(),
                message: "the stored bytes hash to something else".into(),
            }]
        } else {
            vec![]
        };
        let v = Verification {
            vault: vault(name),
            run: run_id(7_000 + u64::from(broken)),
            obligations: vec![],
            started: t(day, 12, 0),
            completed: t(day, 12, 4),
            packs_total: 118,
            packs_read: if broken { 30 } else { 118 },
            bytes_read: 402_653_184,
            complete: !broken,
            problems,
        };
        let key = if broken {
            "offsite verification"
        } else {
            "local verification"
        };
        cited.insert(key, log.put(v.completed, Fact::Verification(v)));
    }
}

pub fn failures(log: &mut Log, cited: &mut BTreeMap<&'static str, u64>) {
    let at = t(20, 13, 0);
    let open = |run: RunId| Fact::RunOpened {
        run,
        deed: "capture".into(),
        subject: "website/main".into(),
        reason: Some("asked for by hand after the disk was replaced".into()),
    };
    log.put(at, open(run_id(1)));
    closed(
        log,
        &run_id(1),
        at,
        Outcome::Failed,
        vec![Issue {
            place: "/var/www".into(),
            message: "no such file or directory".into(),
        }],
    );
    log.put(at, open(run_id(2)));
    log.put(at, Fact::RunAbandoned { run: run_id(2) });
    log.put(at, open(run_id(3)));
    let code = point("code/main", 20, Outcome::Done, vec![]);
    cited.insert("code point", log.put(at, Fact::RecoveryPoint(code.clone())));
    let mut unsealed = copy(&code, "local", "hq");
    unsealed.encryption.probed = false;
    unsealed.tree = sha("another tree");
    cited.insert("code copy", log.put(at, Fact::Copy(unsealed)));
}
