//! Faults that are lines of their own.
#![allow(unreachable_pub, clippy::unwrap_used)]

use super::text::{Fault, Operator, Text, indent};

/// A line put in after another one, as deep as that; the finding is at the new line, or at another one, as the
/// file is afterwards.
fn after(t: &Text<'_>, at: usize, new: &str, line: Option<usize>) -> Fault {
    let space = " ".repeat(indent(t.lines[at]));
    Fault {
        edits: vec![(at, format!("{}\n{space}{new}", t.lines[at]))],
        line: line.unwrap_or(at + 1),
    }
}

/// The lines that say how a system or protection is kept, where no such key stands beside them yet.
fn ways<'t>(t: &'t Text<'_>, without: &'static str) -> impl Iterator<Item = usize> + 't {
    let observed = t.with("systems", "observe").into_iter();
    let captured = t.with("systems", "capture").into_iter();
    observed
        .chain(captured)
        .filter(move |n| t.sibling(*n, without).is_none())
}

/// The operators.
pub static OPERATORS: &[Operator] = &[
    Operator {
        name: "an audit trail put in as the one that watches",
        code: "P141",
        faults: |t| {
            ways(t, "monitor")
                // A system may say it for all of its protections.
                .filter(|n| indent(t.lines[*n]) == 4)
                .map(|n| after(t, n, "monitor: CloudTrail", None))
                .collect()
        },
    },
    Operator {
        name: "an alert put in that comes when the store is full",
        code: "P180",
        faults: |t| {
            let all = t.with("alerts", "missing").into_iter();
            all.filter(|n| t.sibling(*n, "storage").is_none())
                .map(|n| after(t, n, "storage: { within: 1h, above: 100% }", None))
                .collect()
        },
    },
    Operator {
        name: "erasing put in without a register",
        code: "P184",
        faults: |t| {
            let all = t.with("systems", "capture").into_iter();
            let has_register = !t.with("erasure", "file").is_empty();
            all.filter(|n| !has_register && t.lines[*n].contains("files:"))
                .map(|n| after(t, n, "erasure: { paths: [ \"{subject}\" ] }", None))
                .collect()
        },
    },
    Operator {
        name: "another copy put in where one vault holds the log",
        code: "P193",
        faults: |t| {
            let all = t.with("systems", "logs").into_iter();
            let second = |n: usize| {
                let last = *t.with("vaults", "archive-west").first()?;
                let mut vault = t.swap(last, "s3://", "rest:https://", last)?;
                let mut fault = after(
                    t,
                    n,
                    "drill: { every: quarter, negative_control: year, equality: copies }",
                    None,
                );
                fault.edits.append(&mut vault.edits);
                Some(fault)
            };
            all.filter(|n| t.value(*n, "capture").starts_with("postgres:"))
                .filter_map(second)
                .collect()
        },
    },
    Operator {
        name: "another copy put in where there are no moments",
        code: "P194",
        faults: |t| {
            let all = t.with("systems", "drill").into_iter();
            all.filter(|n| t.sibling(*n, "capture").is_some())
                .filter_map(|n| t.swap(n, " }", ", equality: copies }", n))
                .collect()
        },
    },
    Operator {
        name: "an alert put in without its number",
        code: "P143",
        faults: |t| {
            let all = t.with("alerts", "missing").into_iter();
            all.flat_map(|n| {
                ["storage", "lag", "size", "duration", "keys"].map(|name| {
                    let there = t.sibling(n, name).is_some();
                    (!there).then(|| after(t, n, &format!("{name}: {{ within: 1h }}"), None))
                })
            })
            .flatten()
            .collect()
        },
    },
    Operator {
        name: "a test put in at another rhythm",
        code: "P148",
        faults: |t| {
            let all = t.with("programme", "kind").into_iter();
            all.filter(|n| t.sibling(*n, "of").is_none())
                .filter(|n| t.sibling(*n, "systems").is_none())
                .map(|n| {
                    let name = t.parent(n);
                    let block = [
                        "  another:",
                        &format!("    kind: {}", t.value(n, "kind")),
                        "    every: 11 days",
                        "    of: sample",
                        t.lines[name],
                    ];
                    Fault {
                        edits: vec![(name, block.join("\n"))],
                        line: t.sibling(n, "every").unwrap() + 4,
                    }
                })
                .collect()
        },
    },
    Operator {
        name: "an engine put in under snapshots of volumes",
        code: "P156",
        faults: |t| {
            let all = t.with("systems", "observe").into_iter();
            all.filter(|n| indent(t.lines[*n]) == 4)
                .filter(|n| t.sibling(*n, "engine").is_none())
                .filter(|n| {
                    let observed = t.value(*n, "observe");
                    ["aws-backup:", "ec2-snapshot:", "ebs-snapshot:"]
                        .iter()
                        .any(|s| observed.starts_with(s))
                })
                .map(|n| after(t, n, "engine: postgres", Some(n)))
                .collect()
        },
    },
    Operator {
        name: "another environment put in",
        code: "P157",
        faults: |t| {
            let all = t.with("systems", "environment").into_iter();
            all.filter(|n| matches!(t.value(*n, "environment"), "prod" | "stg"))
                .filter(|n| t.sibling(*n, "observe").is_some())
                .map(|n| after(t, n, "runs_in: dev", None))
                .collect()
        },
    },
    Operator {
        name: "all versions put in where points go",
        code: "P161",
        faults: |t| {
            let deleted = t.with("plans", "keep").into_iter();
            let deleted = deleted.filter(|n| t.lines[*n].contains("at_most")).count();
            ways(t, "versions")
                .filter(|_| deleted > 0)
                .map(|n| after(t, n, "versions: all", None))
                .collect()
        },
    },
    Operator {
        name: "a slower system put in to wait for",
        code: "P163",
        faults: |t| {
            let all = t.with("systems", "tier").into_iter();
            all.filter(|n| t.sibling(*n, "depends_on").is_none())
                .filter(|_| t.lines.contains(&"  historical:"))
                .filter(|n| t.value(*n, "tier") != "historical")
                // It is in no runbook that would be too short as well.
                .map(|n| after(t, n, "depends_on: [ historical ]", None))
                .collect()
        },
    },
    Operator {
        name: "the machine itself put in as destination",
        code: "P164",
        faults: |t| {
            ways(t, "destination")
                .filter(|n| indent(t.lines[*n]) == 4)
                .filter(|n| t.sibling(*n, "observe").is_some())
                .map(|n| after(t, n, "destination: itself", None))
                .collect()
        },
    },
    Operator {
        name: "a layer put in that is not there",
        code: "P171",
        faults: |t| {
            let all = t.with("tiers", "rto").into_iter();
            all.filter(|n| t.sibling(*n, "layers").is_none())
                .filter_map(|n| {
                    let tier = t.lines[t.parent(n)].trim().trim_end_matches(':');
                    let mut systems = t
                        .with("systems", "tier")
                        .into_iter()
                        .filter(|s| t.value(*s, "tier") == tier);
                    let system = systems.next().filter(|_| systems.next().is_none())?;
                    Some(after(t, n, "layers: replica", Some(t.parent(system) + 1)))
                })
                .collect()
        },
    },
    Operator {
        name: "a change put in after the approval",
        code: "P172",
        faults: |t| {
            let change = "history: [ { version: \"9\", date: 2026-02-01, change: more } ]";
            let approved = t.with("policy", "approved").into_iter();
            approved
                .chain(t.with("policy", "approved_date"))
                .filter(|n| t.sibling(*n, "history").is_none())
                .map(|n| after(t, n, change, Some(n)))
                .collect()
        },
    },
    Operator {
        name: "an empty clause put in",
        code: "P123",
        faults: |t| {
            let all = 0..t.lines.len();
            all.filter(|n| t.section(*n) == "clauses" && indent(t.lines[*n]) == 2)
                .filter(|n| !t.lines[*n].is_empty())
                .map(|n| after(t, n, "\"something else\":", None))
                .collect()
        },
    },
];
