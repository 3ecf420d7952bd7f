//! Faults of schedules, retention, vaults and drills.
#![allow(unreachable_pub, clippy::unwrap_used)]

use super::text::{Fault, Operator};

/// The operators.
pub static OPERATORS: &[Operator] = &[
    Operator {
        name: "a log shipped less often than may be lost",
        code: "P111",
        faults: |t| t.swapped("systems", "logs", "every: 10s", "every: 10m"),
    },
    Operator {
        name: "a clause without content",
        code: "P123",
        faults: |t| {
            let all = 0..t.lines.len();
            all.filter(|n| t.section(*n) == "clauses" && t.lines[*n].contains("{ text:"))
                .filter_map(|n| {
                    let (key, _) = t.lines[n].split_once(": {")?;
                    Some(Fault {
                        edits: vec![(n, format!("{key}:"))],
                        line: n,
                    })
                })
                .collect()
        },
    },
    Operator {
        name: "a review that has passed",
        code: "P115",
        faults: |t| t.swapped("policy", "next_review", "2027", "2025"),
    },
    Operator {
        name: "a duty without a rhythm",
        code: "P122",
        faults: |t| {
            let all = 0..t.lines.len();
            all.filter(|n| t.section(*n) == "duties" && t.lines[*n].contains("{ every: "))
                .filter_map(|n| {
                    let (before, after) = t.lines[n].split_once("every: ")?;
                    let (_, rest) = after.split_once(", ")?;
                    Some(Fault {
                        edits: vec![(n, format!("{before}{rest}"))],
                        line: n,
                    })
                })
                .collect()
        },
    },
    Operator {
        name: "nobody answers for it",
        code: "P103",
        faults: |t| t.taken("systems", "owner", 4),
    },
    Operator {
        name: "no schedule",
        code: "P104",
        faults: |t| {
            let all = t.taken("systems", "schedule", 4).into_iter();
            all.filter(|f| {
                f.edits
                    .iter()
                    .all(|(n, _)| t.value(*n, "observe").starts_with("gdrive"))
            })
            .collect()
        },
    },
    Operator {
        name: "no word on keeping",
        code: "P105",
        faults: |t| {
            let all = t.taken("systems", "keep", 4).into_iter();
            all.filter(|f| {
                f.edits.iter().all(|(n, _)| {
                    t.sibling(*n, "versions").is_none() && t.sibling(*n, "plan").is_none()
                })
            })
            .collect()
        },
    },
    Operator {
        name: "no vault",
        code: "P106",
        faults: |t| {
            let all = t.with("systems", "copies").into_iter();
            all.filter(|n| t.lines[*n].contains("[ local, west ]"))
                .map(|n| t.blank(n, t.sibling(n, "plan").unwrap()))
                .collect()
        },
    },
    Operator {
        name: "one vault only",
        code: "P107",
        faults: |t| t.swapped("systems", "copies", "[ local, west ]", "[ local ]"),
    },
    Operator {
        name: "never read back",
        code: "P108",
        faults: |t| t.taken("systems", "verify", 8),
    },
    Operator {
        name: "never restored",
        code: "P109",
        faults: |t| t.taken("systems", "drill", 8),
    },
    Operator {
        name: "run more seldom than may be lost",
        code: "P110",
        faults: |t| {
            let mut all = t.swapped("plans", "schedule", "daily at", "monthly on 1 at");
            all.extend(t.swapped(
                "plans",
                "schedule",
                "schedule: daily",
                "schedule: every 9 days",
            ));
            all.retain(|f| !f.edits[0].1.contains("9 days at"));
            all
        },
    },
    Operator {
        name: "drilled after points are gone",
        code: "P112",
        faults: |t| {
            let all = t.with("plans", "drill").into_iter();
            all.filter(|n| t.value(*n, "keep").contains("at_most"))
                .filter_map(|n| t.swap(n, "every: month", "every: quarter", n))
                .collect()
        },
    },
    Operator {
        name: "at least longer than at most",
        code: "P113",
        faults: |t| {
            let all = t.with("plans", "keep").into_iter();
            all.filter(|n| t.sibling(*n, "copies").is_some())
                .filter_map(|n| {
                    t.swap(
                        n,
                        "at_least: 35 days, at_most",
                        "at_least: 60 days, at_most",
                        n,
                    )
                })
                .collect()
        },
    },
    Operator {
        name: "something that nobody uses",
        code: "P117",
        faults: |t| {
            let all = (0..t.lines.len()).filter(|n| t.lines[*n].is_empty());
            all.filter(|n| t.section(*n) == "tiers")
                .map(|n| Fault {
                    edits: vec![(n, "  spare: { rpo: 1h }".to_owned())],
                    line: n,
                })
                .collect()
        },
    },
    Operator {
        name: "a user without a password",
        code: "P118",
        faults: |t| t.taken("systems", "password", 4),
    },
    Operator {
        name: "fewer copies than the tier asks for",
        code: "P119",
        faults: |t| {
            let tier = t.with("tiers", "copies");
            let copies = t.with("systems", "copies");
            tier.first()
                .zip(copies.first())
                .and_then(|(tier, copies)| t.swap(*tier, "min: 2", "min: 3", *copies))
                .into_iter()
                .collect()
        },
    },
    Operator {
        name: "copies in the wrong country",
        code: "P120",
        faults: |t| {
            let all = t.with("systems", "location").into_iter();
            all.filter_map(|n| t.swap(n, "country: GB", "country: FR", t.sibling(n, "copies")?))
                .collect()
        },
    },
    Operator {
        name: "no grace for deletion",
        code: "P121",
        faults: |t| t.swapped("plans", "keep", ", grace: 24h", ""),
    },
    Operator {
        name: "a lock longer than points may live",
        code: "P124",
        faults: |t| {
            let keep = t.with("plans", "keep");
            let vaults = t.with("vaults", "off-site").into_iter();
            vaults
                .filter_map(|n| {
                    let keep = keep.iter().find(|k| t.lines[**k].contains("at_most"))?;
                    t.swap(n, " }", ", retention_lock: 60 days }", *keep)
                })
                .collect()
        },
    },
    Operator {
        name: "pruned more seldom than the grace",
        code: "P197",
        faults: |t| {
            let vaults = ["local", "off-site"].map(|name| t.with("vaults", name));
            let slower = |n: usize| t.swap(n, "prune: daily", "prune: weekly", n);
            vaults.concat().into_iter().filter_map(slower).collect()
        },
    },
];
