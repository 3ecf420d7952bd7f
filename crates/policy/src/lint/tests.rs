//! Each finding, on a policy that has it, and none on one that has not.

use std::path::Path;

use crate::lower::tests::{EVERYTHING, EXAMPLE};
use crate::problem::Level;
use crate::{Problem, lint, lower};

const CLEAN: &str = "\
policy: { approved: 2026-01-01, next_review: 2027-01-01 }
vaults: { a: { url: /v/a, region: r1, prune: daily }, b: { url: /v/b, region: r2, prune: daily } }
tiers: { t: { rpo: 25h, rto: 1h, copies: { min: 2 } } }
plans:
  p:
    schedule: daily at 02:00 UTC
    keep: { at_least: 30 days, at_most: 100 days, grace: 1 day }
    copies: [ a, b ]
    verify: week
    drill: { every: quarter, negative_control: every year }
systems:
  s:
    source: files:/data
    owner: me
    tier: t
    plan: p
";

fn found(text: &str, today: &str) -> Vec<Problem> {
    let lowered = lower(text, "policy.yaml", Path::new("/p"), String::new());
    assert!(lowered.policy.is_some(), "{:?}", lowered.problems);
    lint(&lowered, today.parse().ok())
}

/// The findings of `CLEAN` with one thing changed.
fn changed(from: &str, to: &str) -> Vec<(&'static str, Level, usize)> {
    assert!(CLEAN.contains(from), "{from}");
    let all = found(&CLEAN.replace(from, to), "2026-06-01T00:00:00Z");
    all.into_iter().map(|p| (p.code, p.level, p.line)).collect()
}

#[test]
fn a_whole_policy_has_no_findings() {
    assert_eq!(found(CLEAN, "2026-06-01T00:00:00Z"), []);
}

#[test]
fn each_gap_is_found_where_it_is() {
    use Level::{Error, Note, Warning};
    let cases: [(&str, &str, &str, Level, usize); 26] = [
        (
            "daily at 02:00",
            "weekly on sunday at 02:00",
            "P110",
            Warning,
            6,
        ),
        ("rpo: 25h", "rpo: 24h", "P110", Note, 6),
        (
            "    schedule: daily at 02:00 UTC\n",
            "",
            "P104",
            Warning,
            15,
        ),
        (
            "    keep: { at_least: 30 days, at_most: 100 days, grace: 1 day }\n",
            "",
            "P105",
            Warning,
            15,
        ),
        (
            "at_least: 30 days, at_most: 100 days",
            "at_least: 200 days, at_most: 100 days",
            "P113",
            Error,
            7,
        ),
        (
            "at_least: 30 days, at_most: 100 days, grace: 1 day",
            "at_least: 100 days, at_most: 100 days",
            "P121",
            Warning,
            7,
        ),
        ("at_most: 100 days", "at_most: 35 days", "P112", Warning, 10),
        ("    verify: week\n", "", "P108", Warning, 15),
        (
            "    drill: { every: quarter, negative_control: every year }\n",
            "",
            "P109",
            Warning,
            15,
        ),
        (", negative_control: every year", "", "P125", Note, 10),
        ("    owner: me\n", "", "P103", Warning, 12),
        ("    tier: t\n", "", "P127", Note, 12),
        ("region: r2", "region: r1", "P107", Warning, 8),
        (", region: r2", "", "P129", Note, 8),
        (", next_review: 2027-01-01", "", "P115", Note, 1),
        (
            "next_review: 2027-01-01",
            "next_review: 2026-05-31",
            "P115",
            Warning,
            1,
        ),
        ("approved: 2026-01-01, ", "", "P116", Note, 1),
        (
            "2027-01-01 }",
            "2027-01-01, frameworks: [soc2, cobit] }",
            "P126",
            Note,
            1,
        ),
        ("plans:\n", "plans:\n  idle:\n", "P117", Warning, 5),
        ("rto: 1h,", "rto: 1h, log_rpo: 1m,", "P111", Warning, 0),
        ("min: 2", "min: 3", "P119", Warning, 8),
        (
            "min: 2",
            "one: { region: differs-from-system }",
            "P120",
            Warning,
            12,
        ),
        (
            "source: files:/data",
            "source: files:/v/a/repo",
            "P114",
            Error,
            13,
        ),
        ("source: files:/data", "source: files:/v", "P114", Note, 13),
        (
            "systems:\n",
            "duties: { d: { role: x } }\nsystems:\n",
            "P122",
            Warning,
            11,
        ),
        (
            "systems:\n",
            "clauses: { c: }\nsystems:\n",
            "P123",
            Warning,
            11,
        ),
    ];
    for (from, to, code, level, line) in cases {
        let got = changed(from, to);
        if line == 0 {
            // A source that has no log of its own owes none.
            assert_eq!(got, [], "{to}");
            continue;
        }
        assert!(
            got.contains(&(code, level, line)),
            "`{to}` gave {got:?}, not {code} on line {line}"
        );
    }
}

#[test]
fn the_rest_is_found_too() {
    let codes = |text: &str| -> Vec<&'static str> {
        found(text, "2026-06-01T00:00:00Z")
            .iter()
            .map(|p| p.code)
            .collect()
    };
    let has = |text: &str, code: &str| {
        let all = codes(text);
        assert!(all.contains(&code), "{text}: {all:?}");
    };
    has("", "P101");
    has("systems: { s: }", "P102");
    has("systems: { s: { source: 'files:/a' } }", "P106");
    has(
        "vaults: { v: { url: v } }\nsystems: { s: { source: 'files:/a', copies: v } }",
        "P107",
    );
    has("systems: { s: { source: 'pg://u@h/d' } }", "P118");
    for (url, asks) in [
        ("postgres://u@/d?host=/run/postgresql", false),
        ("postgres://u@/d?host=%2Frun%2Fpostgresql&port=5433", false),
        (
            "mysql://u@localhost/d?socket=/run/mysqld/mysqld.sock",
            false,
        ),
        ("postgres://u@h/d?sslmode=require", true),
        ("mysql://u@localhost/d", true),
    ] {
        let found = codes(&format!("systems: {{ s: {{ source: '{url}' }} }}"));
        assert_eq!(found.contains(&"P118"), asks, "{url}");
    }
    has("systems: { s: { replica: 'pg://u@h/d' } }", "P128");
    has("clauses: { c: { text: x, planned: true } }", "P123");
    has(
        "vaults: { v: { url: v, retention_lock: 90 days } }\n\
         systems: { s: { source: 'files:/a', copies: v, keep: { at_most: 30 days } } }",
        "P124",
    );
    let graced = "vaults: { v: { url: v, retention_lock: 30 days } }\n\
                  systems: { s: { source: 'files:/a', copies: v, keep: { at_most: 90 days, grace: 30 days } } }";
    assert!(!codes(graced).contains(&"P124"));
    has(&graced.replace(", grace: 30 days", ""), "P124");
    let pruned = |prune: &str, keep: &str| {
        codes(&format!(
            "vaults: {{ v: {{ url: v{prune} }} }}\n\
             systems: {{ s: {{ source: 'files:/a', copies: v, keep: {{ {keep} }} }} }}"
        ))
    };
    let told = |prune: &str, keep: &str| {
        let found = pruned(prune, keep);
        (found.contains(&"P197"), found.contains(&"P198"))
    };
    let graced = "at_most: 90 days, grace: 1 day";
    assert_eq!(told("", graced), (false, true));
    assert_eq!(told("", "at_least: 90 days"), (false, false));
    assert_eq!(told(", prune: daily", graced), (false, false));
    assert_eq!(told(", prune: weekly", graced), (true, false));
    assert_eq!(told(", prune: daily", "at_most: 90 days"), (true, false));
    assert_eq!(told(", prune: weekly", "last: 5"), (false, false));
    let to_the_moment = "at_least: 9 days, at_most: 9 days";
    assert_eq!(told(", prune: weekly", to_the_moment), (false, false));
    let logs = |every: &str| {
        format!(
            "tiers: {{ t: {{ log_rpo: 1m }} }}\nsystems: {{ s: {{ source: 'pg:h/d', tier: t, {every} }} }}"
        )
    };
    has(&logs("owner: o"), "P111");
    has(&logs("logs: { every: 5m }"), "P111");
    assert!(!codes(&logs("logs: { every: 5s }")).contains(&"P111"));
    assert_eq!(
        codes("systems: { s: { exempt: not ours } }"),
        ["P115", "P116"]
    );
}

#[test]
fn a_broken_policy_is_not_linted() {
    let lowered = lower(
        "systems: { s: { sorce: x } }",
        "p",
        Path::new("/p"),
        String::new(),
    );
    assert_eq!(lint(&lowered, None), []);
}

#[test]
fn that_a_key_is_rotated_does_not_replace_a_passphrase() {
    let text = |more: &str| {
        format!(
            "vaults:\n  v: {{ url: /v, kms: {{ aws: k, region: eu-west-2 }}{more} }}\nsystems: {{ s: {{ source: 'files:/x' }} }}\n"
        )
    };
    let said = |more: &str| {
        let all = found(&text(more), "2026-06-01T00:00:00Z");
        all.into_iter().find(|p| p.code == "P130")
    };
    let note = said("").expect("a note");
    assert_eq!((note.level, note.line, note.column), (Level::Note, 2, 17));
    assert!(note.message.contains("AWS rotates"), "{note:?}");
    assert_eq!(said(", keys: { rotate: every year }"), None);
}

#[test]
fn the_examples_lint_without_errors() {
    for text in [EXAMPLE, EVERYTHING] {
        let errors: Vec<_> = found(text, "2026-06-01T00:00:00Z")
            .into_iter()
            .filter(|p| p.level == Level::Error)
            .collect();
        assert_eq!(errors, []);
    }
    // The example's own gaps are seen: quarterly drills of points that are kept for 35 days.
    assert!(
        found(EXAMPLE, "2026-06-01T00:00:00Z")
            .iter()
            .any(|p| p.code == "P112" && p.message.contains("website"))
    );
}

#[test]
fn a_drill_without_rows_is_told() {
    let text = |digests: &str| {
        format!(
            "systems:\n  s: {{ source: 'postgres://u@h/d', digests: {digests}, schedule: daily, drill: month }}\n"
        )
    };
    let said = |digests: &str| {
        let all = found(&text(digests), "2026-06-01T00:00:00Z");
        all.into_iter().find(|p| p.code == "P131")
    };
    let note = said("none").expect("a note");
    assert_eq!((note.level, note.line), (Level::Note, 2));
    assert_eq!(said("sample"), None);
    assert_eq!(said("full"), None);
}

#[test]
fn moments_that_nothing_can_be_held_against_are_told() {
    let said = |source: &str, copies: &str, logs: &str| {
        let text = format!(
            "vaults:\n  a: {{ url: /v/a }}\n  b: {{ url: /v/b }}\n  r: {{ url: 'rest:https://h/v' }}\n\
             systems:\n  s:\n    source: '{source}'\n    schedule: daily\n    copies: {copies}\n    \
             drill: {{ every: month, equality: copies }}\n{logs}"
        );
        let all = found(&text, "2026-06-01T00:00:00Z").into_iter();
        all.filter(|p| matches!(p.code, "P193" | "P194"))
            .map(|p| (p.code, p.level, p.line))
            .collect::<Vec<_>>()
    };
    let logs = "    logs: { every: 5s, keep: 7 days }\n";
    for server in ["postgres://u@h", "mysql://u@localhost"] {
        assert_eq!(said(server, "[ a, b ]", logs), []);
        let alone = [("P193", Level::Error, 10)];
        assert_eq!(said(server, "[ a ]", logs), alone);
        assert_eq!(said(server, "[ a, r ]", logs), alone, "it holds no log");
        assert_eq!(said(server, "[ a, b ]", ""), [("P194", Level::Error, 10)]);
    }
    let by_standby = |source: &str, standby: &str| {
        let text = format!(
            "vaults:\n  a: {{ url: /v/a }}\nsystems:\n  s:\n    source: '{source}'\n    schedule: daily\n    copies: [ a ]\n    \
             drill: {{ every: month, equality: {{ standby: '{standby}' }} }}\n{logs}"
        );
        let all = found(&text, "2026-06-01T00:00:00Z").into_iter();
        all.filter(|p| matches!(p.code, "P193" | "P194" | "P195"))
            .map(|p| (p.code, p.level, p.line))
            .collect::<Vec<_>>()
    };
    let wrong = [("P195", Level::Error, 8)];
    assert_eq!(by_standby("postgres://u@h", "postgres://u@standby"), []);
    assert_eq!(by_standby("postgres://u@h", "postgres://u@h"), wrong);
    assert_eq!(by_standby("mysql://u@localhost", "postgres://u@h"), wrong);
    for other in ["postgres://u@h/d", "files:/x", "sqlite:/x.db"] {
        let told = [("P194", Level::Warning, 10)];
        assert_eq!(said(other, "[ a, b ]", ""), told, "{other}");
    }
}

#[test]
fn a_server_elsewhere_and_a_connection_that_is_not_verified_are_told() {
    let text = |url: &str| format!("systems:\n  s: {{ source: '{url}', schedule: daily }}\n");
    let said = |url: &str| {
        let all = found(&text(url), "2026-06-01T00:00:00Z");
        let codes = all.into_iter().map(|p| p.code);
        codes
            .filter(|code| matches!(*code, "P136" | "P137"))
            .collect::<Vec<_>>()
    };
    assert_eq!(said("mysql://u@db.internal"), ["P136"]);
    assert_eq!(said("mysql://u@db.internal/shop"), [""; 0]);
    assert_eq!(said("mysql://u@localhost"), [""; 0]);
    assert_eq!(said("postgres://u@db.internal"), [""; 0]);
    assert_eq!(
        said("mysql://u@db.internal/shop?ssl-mode=REQUIRED"),
        ["P137"]
    );
    assert_eq!(
        said("postgres://u@db.internal/shop?sslmode=disable"),
        ["P137"]
    );
    assert_eq!(said("postgres://u@localhost/shop?sslmode=disable"), [""; 0]);
}

#[test]
fn a_log_of_what_is_no_whole_server_is_told_for_what_it_is() {
    let said = |url: &str| {
        let text = format!(
            "systems:\n  s: {{ source: '{url}', schedule: daily, logs: {{ every: 5s, keep: 7 days }} }}\n"
        );
        let all = found(&text, "2026-06-01T00:00:00Z");
        let all = all.into_iter().filter(|p| p.code == "P132");
        all.map(|p| p.message).collect::<Vec<_>>()
    };
    let is = |what: &str| {
        [format!(
            "s/main is {what}, and a log is that of a whole server; none is shipped"
        )]
    };
    assert_eq!(said("postgres://u@h"), [""; 0]);
    assert_eq!(said("postgres://u@h/shop"), is("one database"));
    assert_eq!(
        said("postgres://u@h/*?sslmode=verify-full"),
        is("a dump of each database")
    );
    assert_eq!(said("mysql://u@h/shop"), is("one database"));
}

/// Erasing is not replayed over a dump of all databases, and what cannot be kept is not taken for kept.
#[test]
fn erasing_in_all_databases_is_not_connected() {
    let said = |erasure: &str| {
        let text = format!(
            "classes: {{ c: {{ personal: true }} }}\nerasure: {{ file: ./erased.jsonl }}\nsystems:\n  s: {{ source: 'postgres://u@h/*', class: c, schedule: daily{erasure} }}\n"
        );
        let lowered = lower(&text, "policy.yaml", Path::new("/p"), String::new());
        let policy = lowered.policy.as_ref().unwrap();
        let system = policy.systems.values().next().unwrap();
        assert!(system.protections.values().all(|p| p.erasure.is_none()));
        let all = lint(&lowered, "2026-06-01T00:00:00Z".parse().ok());
        let all = all.into_iter().filter(|p| p.message.contains("eras"));
        all.map(|p| (p.code, p.level, p.line)).collect::<Vec<_>>()
    };
    let not_connected = ("P028", Level::Note, 4);
    assert_eq!(said(""), [not_connected]);
    let rule = ", erasure: { find: 'SELECT 1 FROM c WHERE id = :subject', erase: ['DELETE FROM c WHERE id = :subject'] }";
    assert!(said(rule).contains(&not_connected), "{:?}", said(rule));
}

#[test]
fn zones_of_one_region_do_not_lie_apart() {
    use vouchsafe_model::policy::Location;
    let text = CLEAN
        .replace("region: r1", "region: eu-west-2a")
        .replace("region: r2", "region: eu-west-2b");
    let codes: Vec<(&str, usize)> = found(&text, "2026-06-01T00:00:00Z")
        .iter()
        .map(|p| (p.code, p.line))
        .collect();
    assert_eq!(codes, [("P140", 2), ("P140", 2), ("P107", 8)]);
    let lowered = lower(
        "systems: { s: { location: { region: eu-west-2a } } }",
        "p",
        Path::new("/p"),
        String::new(),
    );
    let policy = lowered.policy.unwrap();
    let system = policy.systems.values().next().unwrap();
    let lies = |region: &str| {
        let region = Some(region.to_owned());
        crate::assess::is_outside(
            system,
            &Location {
                region,
                country: None,
            },
        )
    };
    assert!(!lies("eu-west-2b") && !lies("eu-west-2") && lies("eu-west-1a"));
}

/// What is left to one of several protections is no fault of the others, and a log counts as what it ships.
#[test]
fn the_best_of_several_protections_is_held_against_the_rpo() {
    let text = |more: &str| {
        format!(
            "tiers: {{ t: {{ rpo: 15m }} }}\nsystems:\n  s:\n    tier: t\n    protections:\n      \
             a: {{ observe: 'x:y', schedule: daily, log: here }}\n{more}"
        )
    };
    let said = |more: &str| -> Vec<&'static str> {
        let all = found(&text(more), "2026-06-01T00:00:00Z");
        let all = all.into_iter().map(|p| p.code);
        all.filter(|c| matches!(*c, "P110" | "P111" | "P146"))
            .collect()
    };
    assert_eq!(said(""), ["P110"]);
    let log = |every: &str| {
        format!("      b: {{ capture: 'pg://h', schedule: daily, logs: {{ every: {every} }} }}\n")
    };
    assert_eq!(said(&log("1m")), [""; 0]);
    assert_eq!(said(&log("15m")), ["P146"]);
    assert_eq!(said(&log("20m")), ["P110", "P111"]);
    // A replica loses what its original loses.
    assert_eq!(said("      b: { replica: 'pg://h' }\n"), ["P110"]);
}
