//! The five example policies: each fault found at its line as they are stated, and none in their twins.

use std::collections::BTreeSet;

use crate::common::{CORRECTED, Finding, STATED, findings, problems, read, without_requirements};
use vouchsafe_policy::trace::{Footing, trace};
use vouchsafe_policy::{Level, Problem};

/// A known fault: its number, the policy, the code, the line, and what stands in that line.
type Row = (u32, &'static str, &'static str, usize, &'static str);

static FAULTS: &[Row] = &[
    (1, "social-workshop", "P140", 44, "region: eu-west-2b"),
    (2, "social-workshop", "P141", 77, "monitor: CloudTrail"),
    (3, "social-workshop", "P142", 94, "observe: gdrive"),
    (3, "quickseries", "P142", 61, "observe: gdrive"),
    (3, "quickseries", "P142", 84, "observe: gdrive"),
    (4, "social-workshop", "P115", 4, "policy:"),
    (4, "bangkok", "P115", 4, "policy:"),
    (5, "5x", "P143", 75, "storage:"),
    (5, "5x", "P143", 76, "lag:"),
    (5, "5x", "P143", 78, "keys:"),
    (5, "5x", "P104", 159, "network-configuration:"),
    (5, "5x", "P122", 222, "completion-review:"),
    (5, "5x", "P122", 225, "access-review:"),
    (5, "5x", "P122", 227, "security-scan:"),
    (5, "5x", "P144", 204, "random-files:"),
    (5, "5x", "P144", 207, "disaster:"),
    (5, "quickseries", "P104", 185, "firewall-hive:"),
    (5, "quickseries", "P104", 190, "firewall-ddo:"),
    (6, "5x", "P110", 143, "schedule: daily"),
    (7, "5x", "P145", 47, "rotate: every 90 days"),
    (8, "5x", "P147", 122, "logs: { every: 5m }"),
    (8, "5x", "P147", 132, "logs: { every: 5m }"),
    (8, "5x", "P147", 139, "logs: { every: 5m }"),
    (9, "5x", "P123", 236, "8.2 Response procedures"),
    (9, "web-firm", "P123", 123, "4.3"),
    (9, "web-firm", "P123", 124, "5. Automating backups"),
    (9, "web-firm", "P123", 125, "6. Manually performing backups"),
    (9, "web-firm", "P123", 126, "9. Performing restores"),
    (9, "web-firm", "P123", 127, "10. System restart"),
    (10, "web-firm", "P123", 120, "planned: true"),
    (10, "web-firm", "P123", 121, "planned: true"),
    (10, "web-firm", "P123", 122, "planned: true"),
    (11, "web-firm", "P148", 86, "every: quarter"),
    (12, "web-firm", "P121", 40, "at_most: 35 days"),
    (12, "web-firm", "P121", 45, "at_most: 35 days"),
    (12, "web-firm", "P149", 45, "at_least: 35 days"),
    (13, "bangkok", "P105", 59, "plan: default"),
    (13, "bangkok", "P105", 69, "plan: default"),
    (13, "bangkok", "P123", 96, "Retention periods:"),
    (14, "bangkok", "P150", 55, "orchestrate: cloudsql"),
    (
        15,
        "quickseries",
        "P151",
        28,
        "business-continuity-strategy:",
    ),
    (16, "quickseries", "P152", 72, "destination: gdrive"),
    (16, "quickseries", "P152", 76, "destination: gdrive"),
    (17, "quickseries", "P153", 96, "quickresource-files:"),
    (17, "quickseries", "P154", 171, "Aurora and RDS"),
    (18, "quickseries", "P155", 106, "manual:"),
    (18, "quickseries", "P155", 111, "manual:"),
    (19, "quickseries", "P156", 118, "aws-backup:"),
    (19, "quickseries", "P156", 130, "aws-backup:"),
    (19, "quickseries", "P156", 142, "aws-backup:"),
    (20, "quickseries", "P157", 184, "runs_in: stg"),
    (21, "quickseries", "P158", 202, "observe: github"),
    (22, "social-workshop", "P159", 63, "at_least: 7 days"),
    (22, "quickseries", "P159", 53, "at_least: 7 days"),
];

/// How many requirements each policy fulfils, with the letters before their numbers.
const REQUIREMENTS: [(&str, &str, u32); 5] = [
    ("social-workshop", "S0", 24),
    ("5x", "S1", 106),
    ("web-firm", "S2", 50),
    ("bangkok", "S3", 21),
    ("quickseries", "S4", 43),
];

fn stated(name: &str) -> &'static str {
    STATED.iter().find(|(n, _)| *n == name).unwrap().1
}

#[test]
fn every_fault_of_the_stated_policies_is_found_at_its_line() {
    let mut missing = Vec::new();
    for (number, name, code, line, holds) in FAULTS {
        let text = stated(name);
        let stands = text.lines().nth(line - 1).unwrap_or_default();
        assert!(
            stands.contains(holds),
            "{name}:{line} is `{stands}`, not `{holds}`"
        );
        let found = problems(text);
        if !found.iter().any(|p| p.code == *code && p.line == *line) {
            missing.push(format!("{number}: {name}:{line} {code}"));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    let numbers: BTreeSet<u32> = FAULTS.iter().map(|row| row.0).collect();
    assert_eq!(numbers, (1..=22).collect());
}

#[test]
fn the_twins_have_no_error_and_no_warning() {
    for (name, text) in CORRECTED {
        let found: Vec<String> = problems(text)
            .iter()
            .filter(|p| p.level > Level::Note)
            .map(Problem::to_string)
            .collect();
        assert!(found.is_empty(), "{name}: {found:#?}");
    }
}

#[test]
fn a_fault_of_the_stated_policy_is_no_fault_of_its_twin() {
    // The rows are not found because they are found everywhere.
    for (_, name, code, _, _) in FAULTS {
        let twin = CORRECTED.iter().find(|(n, _)| n == name).unwrap().1;
        let found = problems(twin);
        let level = problems(stated(name))
            .iter()
            .find(|p| p.code == *code)
            .map(|p| p.level);
        let still = found
            .iter()
            .any(|p| p.code == *code && Some(p.level) == level);
        assert!(!still || level == Some(Level::Note), "{name} {code}");
    }
}

#[test]
fn every_requirement_is_kept_by_both() {
    for (name, letters, count) in REQUIREMENTS {
        let wanted: BTreeSet<String> = (1..=count).map(|n| format!("{letters}-{n}")).collect();
        for all in [STATED, CORRECTED] {
            let text = all.iter().find(|(n, _)| *n == name).unwrap().1;
            let lowered = read(text);
            let has: BTreeSet<String> = lowered.declared.requirements.keys().cloned().collect();
            assert_eq!(has, wanted, "{name}");
            let traced = trace(&lowered);
            assert!(traced.iter().all(|t| !t.at.is_empty()), "{name}");
        }
    }
}

/// What rests on nothing, in each of the two kinds of policy; all the rest is traced.
#[test]
fn the_requirements_of_all_policies_are_traced() {
    let traced = |all: [(&str, &str); 5]| -> Vec<_> {
        all.iter()
            .flat_map(|(_, text)| trace(&read(text)))
            .map(|t| (t.id, t.footing))
            .collect()
    };
    let of = |all: &[(String, Footing)], footing: Footing| -> Vec<String> {
        let all = all.iter().filter(|(_, f)| *f == footing);
        all.map(|(id, _)| id.clone()).collect()
    };
    let corrected = traced(CORRECTED);
    assert_eq!(corrected.len(), 244);
    assert_eq!(of(&corrected, Footing::Nothing), NOTHING_CORRECTED);
    assert_eq!(of(&corrected, Footing::Duty).len(), 65);
    assert_eq!(
        of(&corrected, Footing::Exemption),
        ["S0-14", "S0-22", "S2-13"]
    );
    // What waits today becomes a rule when it is connected.
    assert_eq!(of(&corrected, Footing::Rule).len(), 41);
    assert_eq!(of(&corrected, Footing::Waits).len(), 118);
    let stated = traced(STATED);
    assert_eq!(stated.len(), 244);
    assert_eq!(of(&stated, Footing::Nothing), NOTHING_STATED);
}

const NOTHING_CORRECTED: [&str; 3] = ["S1-16", "S2-27", "S2-50"];
const NOTHING_STATED: [&str; 14] = [
    "S0-14", "S0-22", "S1-16", "S1-106", "S2-13", "S2-22", "S2-23", "S2-27", "S2-28", "S2-29",
    "S2-42", "S2-43", "S2-50", "S3-10",
];

/// What a person does by hand has its rhythm and its vaults in its own lines, whatever a plan says.
#[test]
fn what_is_done_by_hand_is_told_of_in_its_own_lines() {
    let text = "\
vaults: { v: { url: /v } }
tiers: { t: { rpo: 26h } }
plans:
  p:
    schedule: daily
    copies: [ v ]
systems:
  wiki:
    tier: t
    plan: p
    owner: it
    manual:
      every: month
      copies: [ v ]
";
    let found = findings(text);
    let line = |code: &str| found.iter().find(|(c, _)| c == code).map(|(_, line)| *line);
    assert_eq!(line("P110"), Some(13), "{found:?}");
    assert_eq!(line("P107"), Some(14), "{found:?}");
}

/// Names that no rule may know.
const NAMES: [&str; 16] = [
    "workshop",
    "5x",
    "web-firm",
    "bangkok",
    "quickseries",
    "moneta",
    "pguides",
    "nasquick",
    "filemaker",
    "avantage",
    "quickresource",
    "hive",
    "ddo",
    "customer-metadata",
    "source-code",
    "production-databases",
];

#[test]
fn rules_name_no_system_of_the_examples() {
    let sources = [
        include_str!("../src/lint.rs"),
        include_str!("../src/lint/detection.rs"),
        include_str!("../src/lint/platform.rs"),
        include_str!("../src/lint/protections.rs"),
        include_str!("../src/lint/tables.rs"),
        include_str!("../src/platforms.rs"),
        include_str!("../src/explain.rs"),
    ];
    for source in sources {
        let lower = source.to_ascii_lowercase();
        let other = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
        for word in lower.split(other) {
            assert!(!NAMES.contains(&word), "a rule speaks of `{word}`");
        }
    }
}

/// Every name of a system replaced by one that means nothing; nothing else is changed.
fn renamed(text: &str) -> String {
    let lowered = read(text);
    let policy = lowered.policy.expect("a policy");
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut out = without_requirements(text);
    let names = policy.systems.keys().map(|n| n.to_string());
    // Words that stand for themselves elsewhere in the language stay.
    let names = names.filter(|n| n.contains('-'));
    for (n, name) in names.enumerate() {
        let mut rest = out.as_str();
        let mut new = String::new();
        while let Some(at) = rest.find(&name) {
            let (before, after) = (&rest[..at], &rest[at + name.len()..]);
            let whole = !before.ends_with(word) && !after.starts_with(word);
            new.push_str(before);
            match whole {
                true => new.push_str(&format!("zz{n}")),
                false => new.push_str(&name),
            }
            rest = after;
        }
        new.push_str(rest);
        out = new;
    }
    out
}

#[test]
fn what_systems_are_called_changes_nothing() {
    for (name, text) in STATED {
        let own: BTreeSet<Finding> = findings(&without_requirements(text));
        let other = findings(&renamed(text));
        assert_eq!(own, other, "{name}");
        assert!(!own.is_empty());
    }
}
