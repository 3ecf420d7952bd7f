//! Faults of times, people and papers.
#![allow(unreachable_pub, clippy::unwrap_used)]

use super::text::{Fault, Operator, indent, without_key};

/// The operators.
pub static OPERATORS: &[Operator] = &[
    Operator {
        name: "volumes of a running database",
        code: "P156",
        faults: |t| {
            let all = t.with("systems", "consistency").into_iter();
            all.map(|n| t.blank(n, t.sibling(n, "observe").unwrap()))
                .collect()
        },
    },
    Operator {
        name: "made in another environment",
        code: "P157",
        faults: |t| t.swapped("systems", "runs_in", "prod", "dev"),
    },
    Operator {
        name: "no copy outside of the host",
        code: "P158",
        faults: |t| {
            let all = t.with("systems", "mirror").into_iter();
            all.map(|n| {
                let observe = (0..n)
                    .rev()
                    .find(|o| t.lines[*o].contains("observe: github:"));
                Fault {
                    edits: (n..n + 3).map(|n| (n, String::new())).collect(),
                    line: observe.unwrap(),
                }
            })
            .collect()
        },
    },
    Operator {
        name: "points that live shorter than faults",
        code: "P159",
        faults: |t| {
            let mut all = t.swapped(
                "plans",
                "keep",
                "at_least: 35 days, monthly: 12",
                "at_least: 35 days",
            );
            // Where vaults hold copies, systems have other protections that live longer.
            all.retain(|f| t.sibling(f.line, "copies").is_none());
            all.extend(t.swapped("plans", "keep", "at_least: 7 days }", "at_least: 2 days }"));
            all.extend(t.swapped(
                "plans",
                "keep",
                "at_least: 7 days, monthly: 14",
                "at_least: 7 days",
            ));
            all
        },
    },
    Operator {
        name: "read back more seldom than points live",
        code: "P160",
        faults: |t| t.swapped("plans", "verify", "coverage: 1/4", "coverage: 1/60"),
    },
    Operator {
        name: "all versions, and deleted",
        code: "P161",
        faults: |t| t.swapped("systems", "versions", "{ keep: 35 days }", "all"),
    },
    Operator {
        name: "judged by who runs it",
        code: "P162",
        faults: |t| {
            let all = t.with("programme", "judged_by").into_iter();
            all.map(|n| Fault {
                edits: vec![(n, format!("    judged_by: {}", t.value(n, "by")))],
                line: n,
            })
            .collect()
        },
    },
    Operator {
        name: "back before what it depends on",
        code: "P163",
        faults: |t| {
            let tier = t
                .with("tiers", "rto")
                .into_iter()
                .find(|n| t.lines[t.parent(*n)].trim() == "customer-metadata:");
            let waits = t
                .with("systems", "depends_on")
                .into_iter()
                .find(|n| t.lines[t.parent(*n)].trim() == "customer-metadata:");
            tier.zip(waits)
                .and_then(|(tier, waits)| t.swap(tier, "rto: 2h", "rto: 1h", waits))
                .into_iter()
                .collect()
        },
    },
    Operator {
        name: "copies on the machine itself",
        code: "P164",
        faults: |t| {
            let all = t.with("systems", "destination").into_iter();
            all.filter(|n| indent(t.lines[*n]) == 4)
                .map(|n| Fault {
                    edits: vec![(n, "    destination: itself".to_owned())],
                    line: n,
                })
                .collect()
        },
    },
    Operator {
        name: "deletion by one alone",
        code: "P165",
        faults: |t| {
            let all = t.with("access", "may").into_iter();
            all.filter(|n| t.sibling(*n, "approvers").is_none())
                .filter(|n| t.sibling(*n, "mfa").is_some())
                .filter_map(|n| t.swap(n, " ]", ", delete ]", t.parent(n)))
                .collect()
        },
    },
    Operator {
        name: "no second factor",
        code: "P166",
        faults: |t| {
            let all = t.with("access", "mfa").into_iter();
            all.filter(|n| {
                ["restore", "change", "delete"]
                    .iter()
                    .any(|r| t.value(*n, "may").contains(r))
            })
            .filter_map(|n| t.swap(n, "true", "false", t.parent(n)))
            .collect()
        },
    },
    Operator {
        name: "an exemption that nobody gave, or for ever",
        code: "P167",
        faults: |t| {
            let mut all = t.taken("exemptions", "approved_by", 4);
            all.extend(t.taken("exemptions", "until", 4));
            all.extend(t.taken("exemptions", "reason", 4));
            all
        },
    },
    Operator {
        name: "an exemption that is over",
        code: "P168",
        faults: |t| t.swapped("exemptions", "until", "2027", "2025"),
    },
    Operator {
        name: "a paper that has run out",
        code: "P169",
        faults: |t| {
            let mut all = t.swapped("providers", "expires", "2027", "2025");
            all.extend(t.swapped("providers", "next_reading", "2027", "2025"));
            all.extend(t.swapped("documents", "next_review", "2027", "2025"));
            all
        },
    },
    Operator {
        name: "a layer that is missing",
        code: "P171",
        faults: |t| {
            let all = t.with("systems", "replica").into_iter();
            all.map(|n| {
                let name = t.parent(n);
                Fault {
                    edits: vec![(n, String::new()), (name, String::new())],
                    line: t.parent(t.parent(name)),
                }
            })
            .collect()
        },
    },
    Operator {
        name: "changed after the approval",
        code: "P172",
        faults: |t| match t.with("policy", "history").is_empty() {
            true => Vec::new(),
            false => t.swapped("policy", "approved", "2026", "2020"),
        },
    },
    Operator {
        name: "a promise that nobody reads",
        code: "P173",
        faults: |t| {
            let all = t.taken("providers", "read_by", 6).into_iter();
            all.filter(|f| t.lines[f.line].trim() == "sla:").collect()
        },
    },
    Operator {
        name: "people who would come back",
        code: "P181",
        faults: |t| t.taken("systems", "erasure", 4),
    },
    Operator {
        name: "erasing that is about everybody",
        code: "P182",
        faults: |t| t.swapped("systems", "erasure", ":subject", "17"),
    },
    Operator {
        name: "looking that may never find",
        code: "P183",
        faults: |t| {
            let all = t.with("systems", "erasure").into_iter();
            all.filter_map(|n| {
                Some(Fault {
                    edits: vec![(n, without_key(t.lines[n], "someone")?)],
                    line: n,
                })
            })
            .collect()
        },
    },
];
