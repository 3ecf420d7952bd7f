//! Lowering: the example, each kind of mistake with its place, and all of them at once.

use std::path::{Path, PathBuf};

use vouchsafe_model::policy::{Period, ScheduleRule, Way};
use vouchsafe_model::{ProtectionId, SecretRef, SourceKind, Span};

use super::*;
use crate::problem::{ClauseState, Problem};

pub(crate) const EXAMPLE: &str = include_str!("../../tests/data/example.yaml");
pub(crate) const EVERYTHING: &str = include_str!("../../tests/data/everything.yaml");

pub(super) fn read(text: &str) -> Lowered {
    lower(text, "policy.yaml", Path::new("/p"), "d".into())
}

pub(super) fn policy(text: &str) -> Policy {
    let lowered = read(text);
    let problems: Vec<String> = lowered.problems.iter().map(Problem::to_string).collect();
    lowered.policy.unwrap_or_else(|| panic!("{problems:#?}"))
}

fn protection<'p>(policy: &'p Policy, id: &str) -> &'p vouchsafe_model::Protection {
    policy
        .protection(&id.parse::<ProtectionId>().unwrap())
        .unwrap()
        .1
}

/// Code, line, column and message of every error.
fn errors(text: &str) -> Vec<(&'static str, usize, usize, String)> {
    let lowered = read(text);
    let errors = lowered
        .problems
        .into_iter()
        .filter(|p| p.level == Level::Error);
    errors
        .map(|p| {
            (
                p.code,
                p.line,
                p.column,
                format!("{}; {}", p.message, p.remedy),
            )
        })
        .collect()
}

#[track_caller]
pub(super) fn one_error(text: &str, code: &str, line: usize, column: usize, says: &str) {
    let all = errors(text);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(
        (all[0].0, all[0].1, all[0].2),
        (code, line, column),
        "{all:?}"
    );
    assert!(all[0].3.contains(says), "{all:?}");
}

#[test]
fn the_example_means_what_it_says() {
    let p = policy(EXAMPLE);
    assert_eq!(p.front.version.as_deref(), Some("1.2"));
    assert_eq!(p.front.frameworks, ["soc2", "iso27001"]);
    assert_eq!((p.vaults.len(), p.systems.len(), p.duties.len()), (2, 4, 1));
    let db = protection(&p, "shop-db/main");
    assert!(matches!(&db.way, Way::Capture(u) if *u.kind() == SourceKind::Postgres));
    assert_eq!(db.password, Some(SecretRef::Env("SHOP_DB_PASSWORD".into())));
    assert_eq!(
        (db.log_every, db.copies.len()),
        (Some(Span::from_secs(5)), 2)
    );
    assert_eq!(
        db.copies[1].every.as_ref().unwrap().rule,
        ScheduleRule::Once(Period::Week)
    );
    assert_eq!(db.window.finish_by.as_ref().unwrap().minutes, 240);
    assert_eq!(db.verify.as_ref().unwrap().coverage, Some((1, 4)));
    let shop = p.protection(&db.id).unwrap().0;
    assert_eq!(shop.tier.as_ref().unwrap().name, "critical");
    assert!(shop.tier.as_ref().unwrap().other_region && shop.tier.as_ref().unwrap().same_country);
    assert_eq!(shop.tier.as_ref().unwrap().min_copies, Some(2));
    let web = protection(&p, "website/main");
    assert_eq!(web.exclude, ["*.tmp"]);
    let rds = protection(&p, "moneta-db/rds");
    assert_eq!((rds.way.word(), rds.copies.len()), ("observe", 0));
    let dump = protection(&p, "moneta-db/dump");
    assert_eq!(
        dump.schedule.as_ref().unwrap().rule,
        ScheduleRule::Every(Span::from_hours(12))
    );
    let hand = protection(&p, "confluence/main");
    assert_eq!(
        hand.schedule.as_ref().unwrap().rule,
        ScheduleRule::Once(Period::Month)
    );
    assert_eq!(hand.copies[0].vault.as_str(), "offsite");
    assert!(
        matches!(&hand.way, Way::Manual { grace: Some(g), .. } if g.span == Span::from_days(5))
    );
}

#[test]
fn what_is_not_built_yet_is_noted_and_nothing_worse() {
    let lowered = read(EXAMPLE);
    assert!(
        lowered
            .problems
            .iter()
            .all(|p| (p.level, p.code) == (Level::Note, "P028")),
        "{:?}",
        lowered.problems
    );
    let said: Vec<&str> = lowered
        .problems
        .iter()
        .map(|p| p.message.as_str())
        .collect();
    assert!(
        said.iter()
            .all(|m| m.ends_with("declared, not yet connected"))
    );
    assert!(said.iter().any(|m| m.contains("moneta-db/rds")), "{said:?}");
    for done in ["website", "confluence"] {
        assert!(!said.iter().any(|m| m.contains(done)), "{done}: {said:?}");
    }
}

#[test]
fn a_register_that_is_replayed_waits_for_nothing() {
    let said = |text: &str| {
        let all = read(text).problems.into_iter();
        all.map(|p| (p.code, p.line, p.message)).collect::<Vec<_>>()
    };
    assert_eq!(said("erasure: { file: ./erased.jsonl, drill: true }"), []);
    let elsewhere = said("erasure: { register: in the office }");
    let message = "`erasure` is declared, not yet connected".to_owned();
    assert_eq!(elsewhere, [("P028", 1, message)]);
    assert_eq!(said("flows: [ { from: a, to: b } ]"), []);
}

#[test]
fn almost_nothing_is_required() {
    for text in [
        "",
        "# nothing yet\n",
        "systems:\n",
        "systems: { a: }\n",
        "policy:\nvaults: {}\n",
        "systems: { a: { source: 'files:/a' } }",
    ] {
        let lowered = read(text);
        assert!(lowered.policy.is_some(), "{text}: {:?}", lowered.problems);
    }
}

#[test]
fn paths_start_from_the_policy() {
    let p = policy(
        "vaults: { v: { url: ./vaults/v, password: { file: ./pw } } }\nsystems: { a: { source: 'files:.' } }",
    );
    let vault = p.vaults.values().next().unwrap();
    assert_eq!(vault.url, "file:///p/vaults/v");
    assert_eq!(
        vault.password,
        Some(SecretRef::File(PathBuf::from("/p/pw")))
    );
    assert!(matches!(&protection(&p, "a/main").way, Way::Capture(u) if u.local_path() == "/p"));
}

#[test]
fn the_nearer_rule_wins() {
    let p = policy(
        "vaults: { v: { url: v } }\n\
         plans: { p: { schedule: daily, keep: { at_least: 1 day } }, q: { schedule: weekly, drill: month } }\n\
         defaults: { plan: p, owner: all, location: { region: r } }\n\
         systems:\n  a: { source: 'files:/a' }\n  b: { source: 'files:/b', schedule: hourly, owner: me }\n  \
         c: { drill: year, protections: { x: { source: 'files:/x', plan: q }, y: { source: 'files:/y' } } }\n",
    );
    let rule = |id: &str| protection(&p, id).schedule.as_ref().unwrap().rule.clone();
    assert_eq!(rule("a/main"), ScheduleRule::Once(Period::Day));
    assert_eq!(rule("b/main"), ScheduleRule::Every(Span::from_hours(1)));
    assert!(protection(&p, "b/main").keep.at_least.is_some());
    assert_eq!(rule("c/x"), ScheduleRule::Once(Period::Week));
    assert_eq!(rule("c/y"), ScheduleRule::Once(Period::Day));
    let drill = |id: &str| {
        protection(&p, id)
            .drill
            .as_ref()
            .unwrap()
            .every
            .rule
            .clone()
    };
    assert_eq!(
        (drill("c/x"), drill("c/y")),
        (
            ScheduleRule::Once(Period::Month),
            ScheduleRule::Once(Period::Year)
        )
    );
    let owners: Vec<_> = p
        .systems
        .values()
        .map(|s| s.owner.clone().unwrap())
        .collect();
    assert_eq!(owners, ["all", "me", "all"]);
}

#[test]
fn clauses_keep_their_state() {
    let states = |text: &str| -> Vec<(String, ClauseState)> {
        read(text)
            .clauses
            .into_iter()
            .map(|c| (c.name, c.state))
            .collect()
    };
    let named = states(
        "clauses: { a: Says so., b: , c: { text: x, planned: true }, d: { planned: false } }",
    );
    let want = [
        ("a", ClauseState::Prose),
        ("b", ClauseState::Empty),
        ("c", ClauseState::Planned),
        ("d", ClauseState::Empty),
    ];
    assert_eq!(named, want.map(|(n, s)| (n.to_owned(), s)));
    assert_eq!(
        states("clauses: [ one, ~ ]")[1],
        ("2".to_owned(), ClauseState::Empty)
    );
}

#[test]
fn an_unknown_key_names_the_nearest() {
    one_error(
        "systems:\n  a:\n    sorce: files:/x\n",
        "P010",
        3,
        5,
        "did you mean `source`?",
    );
    one_error(
        "plans:\n  p: { retries: 3 }\n",
        "P010",
        2,
        8,
        "known here: schedule",
    );
    one_error("vault: {}\n", "P010", 1, 1, "did you mean `vaults`?");
    one_error(
        "plans: { p: { keep: { at-least: 5d } } }",
        "P010",
        1,
        23,
        "did you mean `at_least`?",
    );
}

#[test]
fn each_malformed_value_has_its_place() {
    one_error(
        "plans:\n  p:\n    schedule: whenever\n",
        "P014",
        3,
        15,
        "daily at 02:00 UTC",
    );
    one_error(
        "plans: { p: { schedule: 61 2 * * * } }",
        "P014",
        1,
        25,
        "cron",
    );
    one_error(
        "plans: { p: { keep: { at_least: 35 } } }",
        "P013",
        1,
        33,
        "has no unit",
    );
    one_error("tiers: { t: { rpo: 1 month } }", "P013", 1, 20, "not exact");
    one_error(
        "plans: { p: { verify: { every: week, coverage: 5/4 } } }",
        "P015",
        1,
        48,
        "1/4",
    );
    one_error(
        "plans: { p: { window: { finish_by: '25:00' } } }",
        "P016",
        1,
        36,
        "04:00",
    );
    one_error(
        "policy: { approved: 2026-02-30 }",
        "P017",
        1,
        21,
        "2026-01-31",
    );
    one_error(
        "vaults: { v: { url: v, country: Britain } }",
        "P018",
        1,
        33,
        "GB",
    );
    one_error(
        "tiers: { t: { copies: { one: { region: other } } } }",
        "P018",
        1,
        40,
        "differs-from-system",
    );
    one_error("systems:\n  a: [1]\n", "P011", 2, 6, "a list");
    one_error(
        "systems:\n  'a b': { source: 'files:/a' }\n",
        "P012",
        2,
        3,
        "is not a name",
    );
    one_error("vaults:\n  v: { region: r }\n", "P019", 2, 3, "where it is");
    one_error(
        "systems:\n  a: { protections: { x: { plan: } } }\n",
        "P019",
        2,
        23,
        "does not say how",
    );
    one_error(
        "systems:\n  a: { source: nowhere }\n",
        "P029",
        2,
        16,
        "files:/var/www",
    );
    one_error(
        "systems:\n  a: { source: 'files:/a', plan: nihgtly }\nplans: { nightly: }\n",
        "P020",
        2,
        34,
        "did you mean `nightly`?",
    );
    one_error(
        "systems:\n  a: { source: 'files:/a', copies: [ofsite] }\n",
        "P020",
        2,
        37,
        "declares no vault at all",
    );
}

#[test]
fn a_class_binds_its_systems() {
    let head = "tiers: { hard: { rpo: 1h, rto: 1h }, soft: { rpo: 24h, rto: 1h }, bare: { rpo: 1h } }\n\
                classes: { c: { tier: hard } }\n";
    let system =
        |tier: &str| format!("{head}systems: {{ a: {{ source: 'files:/a', class: c{tier} }} }}\n");
    assert_eq!(
        policy(&system(""))
            .systems
            .values()
            .next()
            .unwrap()
            .tier
            .as_ref()
            .unwrap()
            .name,
        "hard"
    );
    one_error(&system(", tier: soft"), "P021", 3, 53, "rpo 1d against 1h");
    one_error(&system(", tier: bare"), "P021", 3, 53, "no rto against 1h");
}

#[test]
fn keys_must_make_sense_for_the_way() {
    one_error(
        "systems: { a: { observe: 'rds:x', exclude: [t] } }",
        "P022",
        1,
        35,
        "rds by observe",
    );
    one_error(
        "systems: { a: { source: 'files:/a', logs: { every: 5s } } }",
        "P022",
        1,
        37,
        "files by capture",
    );
    one_error(
        "systems: { a: { replica: 'pg:x', schedule: daily } }",
        "P022",
        1,
        34,
        "replica",
    );
    one_error(
        "systems: { a: { manual: { every: month }, password: { env: X } } }",
        "P022",
        1,
        43,
        "by hand",
    );
    one_error(
        "vaults: { v: { url: v } }\nplans: { p: { copies: [ { vault: v, every: week } ] } }",
        "P022",
        2,
        34,
        "first vault",
    );
    one_error(
        "systems: { a: { source: 'files:/a', observe: 'rds:x' } }",
        "P023",
        1,
        37,
        "beside `source`",
    );
    one_error(
        "systems: { a: { source: 'files:/a', protections: { x: { observe: 'rds:x' } } } }",
        "P024",
        1,
        17,
        "beside `protections`",
    );
    // What a plan says and the way cannot do is no mistake of the system's.
    let p = policy(
        "plans: { p: { schedule: daily, window: { start_within: 5m } } }\nsystems: { a: { observe: 'rds:x', plan: p } }",
    );
    assert_eq!(protection(&p, "a/main").window.start_within, None);
}

#[test]
fn passwords_are_refused_and_not_shown() {
    let texts = [
        "systems: { a: { source: 'postgres://u:hunter2@h/db' } }",
        "systems: { a: { source: 'pg://u@h/db', password: hunter2 } }",
        "systems: { a: { source: 'pg://u@h/db', password: { env: 'hunter2!' } } }",
        "vaults: { v: { url: 's3://k:hunter2@b/x' } }",
        "systems: { a: { source: 'pg://h/db?password=hunter2' } }",
        "systems: { a: { observe: 'x:y', destination: 'sftp://u:hunter2@h/x' } }",
        "systems: { a: { manual: { from: 'jira://u:hunter2@h/x' } } }",
        "documents: { a: { url: 'https://h/x?access_token=hunter2' } }",
    ];
    for text in texts {
        let lowered = read(text);
        assert!(lowered.policy.is_none(), "{text}");
        assert!(
            !format!("{:?}", lowered.problems).contains("hunter2"),
            "{text}"
        );
    }
    one_error(texts[0], "P026", 1, 25, "password: { env: NAME }");
    one_error(texts[1], "P026", 1, 50, "take it out");
    one_error(
        "systems: { a: { source: 'pg:x', password: { env: A, file: b } } }",
        "P027",
        1,
        43,
        "more than one",
    );
}

#[test]
fn a_broken_file_tells_the_break_and_no_more() {
    let all = errors("systems:\n  a: { source: 'files:/x', plan: nightly\nplans:\n  nightly: {}\n");
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0].0, "P001");
    assert_eq!(
        errors("a: 1\n---\nb: 2\n")
            .iter()
            .filter(|e| e.0 == "P005")
            .count(),
        1
    );
}

#[test]
fn all_errors_at_once() {
    let text = "\
policy: { aproved: 2026-01-01, next_review: soon }
vaults:
  local: { url: file://srv/x }
  far: { region: r }
tiers:
  gold: { rpo: quickly, copies: { min: none } }
plans:
  nightly:
    schedule: daily at 26:00
    keep: 35 days
    copies: [ local, far, elsewhere ]
systems:
  shop:
    source: postgres://u:hunter2@db/shop
    tier: golden
    plan: nigthly
  shop:
    source: files:/x
  web: { source: 'files:/w', replica: 'x:y', logs: { every: 5s } }
duties: [ look ]
";
    let shown: Vec<String> = read(text).problems.iter().map(Problem::to_string).collect();
    insta::assert_snapshot!(shown.join("\n"), @r"
    1:11: error[P010]: `aproved` is not a key of a policy; did you mean `approved`?
    1:45: error[P017]: `soon` is not a day of the calendar; write it as year-month-day, like 2026-01-31
    3:17: error[P029]: `file://srv/x` names a host where a path begins; write three slashes: file:///srv/vouchsafe
    4:3: error[P019]: vault `far` does not say where it is; write url: file:///srv/vouchsafe
    6:16: error[P013]: `quickly` is not a length of time; write a number and a unit, like 30m, 24h, 35 days, 1 month, 7 years, or ISO 8601 like P35D
    6:40: error[P015]: `none` is not a number from 1 to 1000; write a whole number from 1
    9:15: error[P014]: `daily at 26:00` is not a schedule; write `daily at 02:00 UTC`, `every 6 hours`, `2 per day`, `weekly on sunday at 03:00 Europe/London`, `every month`, `every quarter`, `hourly`, `daily`, or five cron fields like `0 2 * * *` and a time zone
    10:11: error[P011]: `keep` is a single value here; write a mapping with any of at_least, at_most, grace, last, hourly, daily, weekly, monthly, yearly
    11:27: error[P020]: there is no vault named `elsewhere`; declared: far, local
    14:13: error[P026]: a password stands in this URL; take it out, change it, and say where it is kept: password: { env: NAME }, { file: PATH } or { command: [...] }
    15:11: error[P020]: there is no tier named `golden`; did you mean `gold`?
    16:11: error[P020]: there is no plan named `nigthly`; did you mean `nightly`?
    17:3: error[P003]: `shop` was already given on line 13; keep one of the two
    19:30: error[P023]: `replica` stands beside `source`; keep one, or declare two under `protections`
    19:46: error[P022]: `logs` makes no sense for files by capture; take it out, or choose another way than `source`
    20:9: error[P011]: `duties` is a list here; write a mapping from names
    ");
}

#[test]
fn hostile_files_stay_small() {
    let key = "k".repeat(100_000);
    let mut text = format!("systems:\n  {key}:\n");
    for n in 0..5_000 {
        text.push_str(&format!("    k{n}: 1\n"));
    }
    let lowered = read(&text);
    assert!(lowered.policy.is_none());
    assert!(lowered.problems.len() <= 1_001);
    assert!(lowered.places.keys().map(String::len).sum::<usize>() < 1_000);
    assert!(
        lowered
            .problems
            .iter()
            .map(|p| p.message.len())
            .max()
            .unwrap()
            < 200_000
    );
}

#[test]
fn places_are_kept() {
    let lowered = read(EXAMPLE);
    assert_eq!(lowered.place("plans/nightly/copies/1/every"), (16, 40));
    assert_eq!(
        lowered.place("plans/nightly/none/at/all"),
        lowered.place("plans/nightly")
    );
    assert_eq!(lowered.place("nowhere"), (1, 1));
    assert_eq!(lowered.unused, [""; 0]);
    assert_eq!(
        read("plans: { p: }\ntiers: { t: }\n").unused,
        ["tiers/t", "plans/p"]
    );
}

#[test]
fn every_key_of_the_tables_is_read() {
    let (lowered, ctx) = lower_with(EVERYTHING, "policy.yaml", Path::new("/p"), String::new());
    let errors: Vec<_> = lowered
        .problems
        .iter()
        .filter(|p| p.level == Level::Error)
        .collect();
    // The passwordless example of everything puts keys where they make sense, so nothing is wrong with it.
    assert!(errors.is_empty(), "{errors:?}");
    let sections = crate::schema::tests_support::sections();
    for section in sections {
        for key in section.keys() {
            let read = ctx.asked.contains(&(section.name, key.name));
            assert!(
                read,
                "`{}` of {} is in the tables and never read",
                key.name, section.name
            );
        }
    }
}
