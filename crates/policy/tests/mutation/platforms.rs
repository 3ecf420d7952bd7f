//! Faults of what rests on platforms and other tools.
#![allow(unreachable_pub, clippy::unwrap_used)]

use super::text::{Fault, Operator, indent, without_key};

const REGIONS: [(&str, &str); 4] = [
    ("region: us-east-1", "region: us-east-1b"),
    ("region: eu-west-2", "region: eu-west-2c"),
    ("region: us-west1", "region: us-west1-b"),
    ("region: us-east-2", "region: us-east-2a"),
];

/// The operators.
pub static OPERATORS: &[Operator] = &[
    Operator {
        name: "a zone where a region is meant",
        code: "P140",
        faults: |t| {
            let all = (0..t.lines.len()).filter(|n| t.section(*n) != "policy");
            all.flat_map(|n| {
                REGIONS
                    .iter()
                    .filter_map(move |(from, to)| t.swap(n, from, to, n))
                    .take(1)
            })
            .collect()
        },
    },
    Operator {
        name: "watched by an audit trail",
        code: "P141",
        faults: |t| {
            let all = t.with("systems", "monitor").into_iter();
            all.map(|n| Fault {
                edits: vec![(n, "    monitor: CloudTrail".to_owned())],
                line: n,
            })
            .collect()
        },
    },
    Operator {
        name: "synchronised without versions",
        code: "P142",
        faults: |t| {
            let all = t.with("systems", "versions").into_iter();
            all.filter(|n| t.value(*n, "observe").starts_with("gdrive"))
                .map(|n| t.blank(n, t.sibling(n, "observe").unwrap()))
                .collect()
        },
    },
    Operator {
        name: "an alert without its number",
        code: "P143",
        faults: |t| {
            let all = 0..t.lines.len();
            all.filter(|n| t.section(*n) == "alerts")
                .flat_map(|n| {
                    ["above", "longer_than", "before"]
                        .into_iter()
                        .filter_map(move |key| {
                            let line = without_key(t.lines[n], key)?;
                            Some(Fault {
                                edits: vec![(n, line)],
                                line: n,
                            })
                        })
                })
                .collect()
        },
    },
    Operator {
        name: "a test without a rhythm",
        code: "P144",
        faults: |t| t.taken("programme", "every", 4),
    },
    Operator {
        name: "keys replaced more often than can be",
        code: "P145",
        faults: |t| t.swapped("keys", "rotate", "90 days", "30 days"),
    },
    Operator {
        name: "keys that the provider manages",
        code: "P145",
        faults: |t| {
            let all = t.with("keys", "managed_by").into_iter();
            all.flat_map(|n| {
                let line = t.sibling(n, "rotate").unwrap();
                [
                    t.swap(n, "customer", "provider", line),
                    Some(t.blank(n, line)),
                ]
            })
            .flatten()
            .collect()
        },
    },
    Operator {
        name: "a log shipped as often as may be lost",
        code: "P146",
        faults: |t| {
            let mut all = t.swapped("systems", "logs", "every: 10s", "every: 1m");
            let metadata = t.with("systems", "logs").into_iter();
            let metadata =
                metadata.filter(|n| t.value(*n, "capture").ends_with("metadata.internal"));
            all.extend(metadata.filter_map(|n| t.swap(n, "every: 5m", "every: 15m", n)));
            all
        },
    },
    Operator {
        name: "only the platform's log",
        code: "P147",
        faults: |t| {
            let all = t.with("systems", "logs").into_iter();
            all.filter(|n| t.value(*n, "capture").contains("production.internal"))
                .filter(|n| t.lines[*n].contains("every: 1m"))
                .filter_map(|n| {
                    let snapshots = t.with("systems", "logs");
                    let other = snapshots
                        .into_iter()
                        .find(|o| t.value(*o, "observe").starts_with("rds:"))?;
                    Some(t.blank(n, other))
                })
                .collect()
        },
    },
    Operator {
        name: "two rhythms of one kind of test",
        code: "P148",
        faults: |t| {
            let all = t.with("programme", "of").into_iter();
            all.filter(|n| t.value(*n, "of") == "any")
                .map(|n| t.blank(n, t.sibling(n, "every").unwrap()))
                .collect()
        },
    },
    Operator {
        name: "kept longer than the platform keeps",
        code: "P149",
        faults: |t| {
            let all = t.with("systems", "keep").into_iter();
            all.filter(|n| t.value(*n, "observe").starts_with("rds:"))
                .filter_map(|n| t.swap(n, "at_least: 30 days", "at_least: 60 days", n))
                .collect()
        },
    },
    Operator {
        name: "a mode that is not named, or the wrong one",
        code: "P150",
        faults: |t| {
            let all = t.with("systems", "mode").into_iter();
            all.flat_map(|n| {
                let way = t.sibling(n, "orchestrate").unwrap();
                [t.swap(n, "standard", "enhanced", n), Some(t.blank(n, way))]
            })
            .flatten()
            .collect()
        },
    },
    Operator {
        name: "a document whose content is not fixed",
        code: "P151",
        faults: |t| t.taken("documents", "digest", 4),
    },
    Operator {
        name: "a validation where there is none",
        code: "P152",
        faults: |t| {
            let all = t.with("systems", "check").into_iter();
            all.filter(|n| t.value(*n, "observe").starts_with("arq:"))
                .filter_map(|n| {
                    let line = t.sibling(n, "destination")?;
                    t.swap(n, "by: restore", "by: validate", line)
                })
                .collect()
        },
    },
    Operator {
        name: "a log that nobody can find",
        code: "P153",
        faults: |t| t.taken("systems", "log", 4),
    },
    Operator {
        name: "the log of another service",
        code: "P154",
        faults: |t| {
            let all = t.with("systems", "log").into_iter();
            all.filter(|n| {
                let observed = t.value(*n, "observe");
                [
                    "aws-backup:",
                    "gdrive:",
                    "arq:",
                    "ec2-snapshot:",
                    "ebs-snapshot:",
                ]
                .iter()
                .any(|s| observed.starts_with(s))
            })
            .map(|n| {
                let space = " ".repeat(indent(t.lines[n]));
                Fault {
                    edits: vec![(n, format!("{space}log: \"Aurora and RDS > Events\""))],
                    line: n,
                }
            })
            .collect()
        },
    },
    Operator {
        name: "an export without a rhythm, or too often",
        code: "P155",
        faults: |t| {
            let all = t.with("systems", "every").into_iter();
            all.filter(|n| {
                let from = t.value(*n, "from");
                from.starts_with("confluence:") || from.starts_with("jira:")
            })
            .flat_map(|n| [Some(t.blank(n, t.parent(n))), t.swap(n, "month", "day", n)])
            .flatten()
            .collect()
        },
    },
];
