//! What weakens, what strengthens, what is in force meanwhile; and that no change passes unseen.

use std::path::Path;

use proptest::prelude::*;
use vouchsafe_model::fact::{Entry, Fact, Recorded};
use vouchsafe_model::policy::{Keep, KeepCounts, Length};
use vouchsafe_model::{ChangeDecision, PointId, PolicyChange, Span, Strength, Time, VaultName};

mod alerts;
mod measures;
mod people;
mod record;

use super::*;
use crate::retention::{PointAge, Verdict, decide};

const BASE: &str = r#"
vaults:
  local:   { url: /v/local, retention_lock: 30 days }
  offsite: { url: /v/offsite, keys: { rotate: year } }
tiers:
  gold: { rpo: 24h, rto: 4h, copies: { min: 2, one: { region: differs-from-system } }, layers: [ archive ] }
plans:
  nightly:
    schedule: daily at 02:00 UTC
    window: { start_within: 30m, finish_by: "06:00 UTC" }
    keep: { at_least: 35 days }
    copies: [ local, { vault: offsite, every: week } ]
    verify: { every: week, coverage: 1/2 }
    drill: { every: quarter, negative_control: year, checks: [ "select 1" ], equality: copies }
roles: { chief: { people: [ c@example.com ] } }
access: { restore: { role: chief, may: restore, mfa: true, at_most: 4h, approvers: [ chief ] } }
encryption: { at_rest: AES-256, in_transit: TLS 1.3 }
alerts: { failure: { to: chief, within: 1h } }
exemptions: { one: { from: rpo, reason: old, until: 2027-01-01 } }
changes: { approved_by: [ chief ], four_eyes: true }
erasure: { file: ./erased.jsonl, drill: true }
systems:
  web: { source: "files:/var/www", exclude: [ "*.tmp" ], erasure: { paths: [ "a/{subject}", "b/{subject}" ] }, tier: gold, plan: nightly, owner: chief }
  db:  { source: "postgres://u@h/db", tier: gold, plan: nightly, logs: { every: 5s, keep: 7 days } }
duties:
  look: { every: month, role: chief }
requirements: { R-1: plans/nightly/keep }
"#;

fn read(text: &str) -> Lowered {
    let lowered = crate::lower(text, "policy.yaml", Path::new("/p"), "d".into());
    assert!(lowered.policy.is_some(), "{:#?}", lowered.problems);
    lowered
}

fn held(old: &str, new: &str) -> Comparison {
    let (old, new) = (read(old), read(new));
    compare(&[Version::of(&old).unwrap()], Version::of(&new).unwrap())
}

fn with(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from}");
    BASE.replacen(from, to, 1)
}

/// Each weakens, at a place that begins so; the other way round it strengthens.
const WEAKENING: &[(&str, &str, &str)] = &[
    ("at_least: 35 days", "at_least: 7 days", "systems/"),
    ("  web: {", "  other: {", "systems/web"),
    (", { vault: offsite, every: week } ]", " ]", "systems/"),
    (
        "{ vault: offsite, every: week }",
        "{ vault: offsite, every: month }",
        "systems/",
    ),
    (
        "retention_lock: 30 days",
        "retention_lock: 7 days",
        "vaults/local",
    ),
    (
        "retention_lock: 30 days",
        "retention_lock: 30 days, lock_mode: governance",
        "vaults/local",
    ),
    (", retention_lock: 30 days", "", "vaults/local"),
    ("rotate: year", "rotate: 400 days", "vaults/offsite"),
    ("rpo: 24h", "rpo: 48h", "systems/"),
    ("rpo: 24h, ", "", "systems/"),
    ("rto: 4h", "rto: 8h", "systems/"),
    ("min: 2", "min: 1", "systems/"),
    (", one: { region: differs-from-system }", "", "systems/"),
    (", layers: [ archive ]", "", "tiers/gold"),
    (
        "daily at 02:00 UTC",
        "weekly on sunday at 02:00 UTC",
        "systems/",
    ),
    ("start_within: 30m", "start_within: 2h", "systems/"),
    (", finish_by: \"06:00 UTC\"", "", "systems/"),
    (
        "verify: { every: week,",
        "verify: { every: month,",
        "systems/",
    ),
    ("coverage: 1/2", "coverage: 1/4", "systems/"),
    ("every: quarter", "every: year", "systems/"),
    ("negative_control: year, ", "", "systems/"),
    ("checks: [ \"select 1\" ]", "checks: []", "systems/"),
    (", equality: copies", "", "systems/"),
    ("\"*.tmp\"", "\"*.tmp\", \"*.log\"", "systems/web"),
    ("files:/var/www", "files:/var/www/public", "systems/web"),
    ("every: 5s", "every: 1m", "systems/db"),
    ("keep: 7 days", "keep: 1 day", "systems/db"),
    (", logs: { every: 5s, keep: 7 days }", "", "systems/db"),
    (
        "plan: nightly, owner: chief",
        "plan: nightly, owner: chief, exempt: not ours",
        "systems/web",
    ),
    ("drill: true", "drill: false", "erasure/drill"),
    ("file: ./erased.jsonl, ", "", "erasure/file"),
    (", \"b/{subject}\" ]", " ]", "systems/web/erasure"),
    (
        ", erasure: { paths: [ \"a/{subject}\", \"b/{subject}\" ] }",
        "",
        "systems/web/erasure",
    ),
    ("mfa: true", "mfa: false", "access/restore/mfa"),
    ("at_most: 4h", "at_most: 8h", "access/restore/at_most"),
    (", approvers: [ chief ]", "", "access/restore/approvers"),
    (
        "may: restore",
        "may: [ restore, delete ]",
        "access/restore/may",
    ),
    ("AES-256", "AES-128", "encryption/at_rest"),
    ("TLS 1.3", "TLS 1.2", "encryption/in_transit"),
    ("within: 1h", "within: 8h", "alerts/failure/within"),
    (
        "until: 2027-01-01",
        "until: 2028-01-01",
        "exemptions/one/until",
    ),
    (", four_eyes: true", "", "changes/four_eyes"),
    ("look: { every: month", "look: { every: year", "duties/look"),
    (
        "  look: { every: month, role: chief }",
        "  other: { every: month, role: chief }",
        "duties/look",
    ),
];

#[test]
fn each_weakening_is_seen_at_its_place_and_the_way_back_strengthens() {
    for (from, to, place) in WEAKENING {
        let changed = with(from, to);
        let weaker = held(BASE, &changed);
        let first = weaker.alterations.first();
        assert!(
            first.is_some_and(|a| a.effect == Effect::Weakens && a.place.starts_with(place)),
            "{from} -> {to}: {:#?}",
            weaker.alterations
        );
        let back = held(&changed, BASE);
        assert!(
            back.count(Effect::Strengthens) > 0,
            "{to} -> {from}: {:#?}",
            back.alterations
        );
        // What is in force promises all that was promised: nothing in it weakens the old policy.
        let (old, new) = (read(BASE), read(&changed));
        let in_force = compare(&[Version::of(&old).unwrap()], Version::of(&new).unwrap()).in_force;
        let again = compare(
            &[Version::of(&old).unwrap()],
            Version {
                policy: &in_force,
                declared: &old.declared,
            },
        );
        assert_eq!(
            again.count(Effect::Weakens),
            0,
            "{from} -> {to}: {:#?}",
            again.alterations
        );
    }
}

#[test]
fn a_vault_that_gives_way_to_another_is_seen_and_goes_on() {
    let changed = with(
        "  offsite: { url: /v/offsite, keys: { rotate: year } }\n",
        "  third: { url: /v/third }\n",
    )
    .replace("vault: offsite", "vault: third");
    let weaker = held(BASE, &changed);
    let dropped = |a: &Alteration| a.effect == Effect::Weakens && a.place == "vaults/offsite";
    assert!(
        weaker.alterations.iter().any(dropped),
        "{:#?}",
        weaker.alterations
    );
    let goes_on = |name: &VaultName| name.as_str() == "offsite";
    assert!(weaker.in_force.vaults.keys().any(goes_on));
    let back = held(&changed, BASE);
    assert!(back.count(Effect::Strengthens) > 0);
}

#[test]
fn an_older_version_of_tls_is_seen() {
    let old = with(
        "url: /v/offsite,",
        "url: \"rest:https://backup.example.com/r\",",
    );
    let new = old.replace("com/r\",", "com/r\", min_tls: \"1.2\",");
    let weaker = held(&old, &new);
    let older = |a: &Alteration| a.effect == Effect::Weakens && a.place == "vaults/offsite/min_tls";
    assert!(
        weaker.alterations.iter().any(older),
        "{:#?}",
        weaker.alterations
    );
}

#[test]
fn a_shorter_promise_weakens_though_nothing_goes_earlier_for_it() {
    let both = with("at_least: 35 days", "at_least: 35 days, at_most: 90 days");
    let shorter = both.replace("at_least: 35 days", "at_least: 7 days");
    let weaker = held(&both, &shorter);
    assert_eq!(
        weaker.count(Effect::Weakens),
        2,
        "{:#?}",
        weaker.alterations
    );
    assert_eq!(weaker.count(Effect::Neutral), 0);
    let kept = weaker.in_force.protections().map(|(_, p)| p.keep.at_least);
    let promised = Some(Length::exact(Span::from_days(35)));
    assert!(kept.into_iter().all(|least| least == promised));
    assert_eq!(held(&shorter, &both).count(Effect::Strengthens), 2);
}

#[test]
fn what_only_strengthens_is_in_force_at_once_and_what_weakens_is_not() {
    let both = with("at_least: 35 days", "at_least: 7 days").replace("rpo: 24h", "rpo: 12h");
    let compared = held(BASE, &both);
    let web = compared
        .in_force
        .systems
        .values()
        .find(|s| s.name.as_str() == "web");
    let web = web.unwrap();
    let main = web.protections.values().next().unwrap();
    assert_eq!(main.keep.at_least, Some(Length::exact(Span::from_days(35))));
    assert_eq!(web.tier.as_ref().unwrap().rpo, Some(Span::from_hours(12)));
    assert_eq!(held(BASE, BASE).alterations, []);
    // A dropped system goes on with its vault.
    let dropped = held(BASE, &with("  web: {", "  other: {"));
    assert!(
        dropped
            .in_force
            .systems
            .keys()
            .any(|name| name.as_str() == "web")
    );
    // A root that holds the one before reads more.
    let wider = held(BASE, &with("files:/var/www", "files:/var"));
    assert_eq!(wider.count(Effect::Weakens), 0, "{:#?}", wider.alterations);
    assert_eq!(wider.count(Effect::Strengthens), 1);
}

#[test]
fn what_is_only_moved_is_neutral() {
    for (from, to) in [
        ("owner: chief }", "owner: c@example.com }"),
        ("daily at 02:00 UTC", "daily at 03:00 UTC"),
        ("finish_by: \"06:00 UTC\"", "finish_by: \"07:00 UTC\""),
        (
            "role: chief }\nrequirements",
            "role: c@example.com }\nrequirements",
        ),
    ] {
        let compared = held(BASE, &with(from, to));
        assert!(!compared.alterations.is_empty(), "{from}");
        assert_eq!(
            compared.count(Effect::Neutral),
            compared.alterations.len(),
            "{from}"
        );
    }
}

#[test]
fn of_several_older_rules_the_strictest_holds() {
    let (a, b) = (
        read(BASE),
        read(&with("at_least: 35 days", "at_least: 90 days")),
    );
    let c = read(&with("at_least: 35 days", "at_least: 60 days"));
    let versions = [Version::of(&a).unwrap(), Version::of(&b).unwrap()];
    let compared = compare(&versions, Version::of(&c).unwrap());
    assert_eq!(
        compared.count(Effect::Weakens),
        2,
        "both systems: {:#?}",
        compared.alterations
    );
    let keep = compared.in_force.protections().next().unwrap().1.keep;
    assert_eq!(keep.at_least, Some(Length::exact(Span::from_days(90))));
}

#[test]
fn ids_of_changes_are_too_long_to_be_met_by_chance() {
    let id = |to: &str| change_id(&["a".to_owned()], to).unwrap().to_string();
    assert_eq!(id("b").len(), 2 + 128 / 4);
    assert_ne!(id("b"), id("c"));
}

fn change(from: &str, to: &str, weakens: u64, author: &str) -> PolicyChange {
    PolicyChange {
        change: change_id(&[from.to_owned()], to).unwrap(),
        from: vec![from.to_owned()],
        to: to.to_owned(),
        author: author.to_owned(),
        author_known: Strength::Stated,
        alterations: Vec::new(),
        weakens,
        strengthens: 0,
        neutral: 0,
    }
}

fn in_force(digest: &str) -> Fact {
    Fact::PolicyInForce {
        digest: digest.to_owned(),
        version: None,
        bytes: 1,
        approved: None,
    }
}

fn decision(change: &PolicyChange, granted: bool) -> Fact {
    Fact::ChangeDecided(ChangeDecision {
        change: change.change.clone(),
        granted,
        by: "x".into(),
        reason: "y".into(),
        strength: Strength::Stated,
        signed: None,
    })
}

fn standing(facts: &[Fact]) -> Standing {
    let recorded: Vec<Recorded> = facts
        .iter()
        .enumerate()
        .map(|(seq, fact)| Recorded {
            seq: seq as u64,
            entry: Entry {
                v: 1,
                at: Time::from_secs(seq as i64),
                actor: "a".into(),
                tool: "t".into(),
                fact: fact.clone(),
            },
        })
        .collect();
    Standing::of(&recorded)
}

#[test]
fn what_waits_binds_with_what_was_before_until_somebody_agrees() {
    let ab = change("a", "b", 1, "w");
    let mut facts = vec![in_force("a")];
    assert_eq!(standing(&facts).binding, ["a"]);
    facts.extend([Fact::PolicyChanged(ab.clone()), in_force("b")]);
    let waits = standing(&facts);
    assert_eq!(
        (waits.binding.as_slice(), waits.open.is_some()),
        (&["a".to_owned(), "b".to_owned()][..], true)
    );
    // Denied, it goes on binding; so does what another decision is about.
    let mut denied = facts.clone();
    denied.push(decision(&ab, false));
    assert_eq!(standing(&denied).binding, ["a", "b"]);
    assert!(standing(&denied).denied.is_some());
    // So it does when its author becomes known.
    let known = PolicyChange {
        author: "w@example.com".into(),
        ..ab.clone()
    };
    let again = [denied.clone(), vec![Fact::PolicyChanged(known)]].concat();
    let again = standing(&again);
    assert!(again.denied.is_some());
    assert_eq!(again.open.unwrap().author, "w@example.com");
    assert_eq!(again.binding, ["a", "b"]);
    assert_eq!(again.settled.as_deref(), Some("a"));
    let mut other = facts.clone();
    other.push(decision(&change("a", "z", 1, "w"), true));
    assert_eq!(standing(&other).binding, ["a", "b"]);
    // Agreed to, it binds alone; taken back, what was before does.
    denied.push(decision(&ab, true));
    assert_eq!(standing(&denied).binding, ["b"]);
    assert_eq!(standing(&denied).agreed.len(), 1);
    facts.extend([Fact::PolicyChanged(change("b", "a", 0, "w")), in_force("a")]);
    assert_eq!(standing(&facts).binding, ["a"]);
    assert!(standing(&facts).open.is_none());
}

#[test]
fn whoever_wrote_a_change_does_not_agree_to_it_and_no_change_allows_itself() {
    let old = read(BASE);
    let open = |author: &str| change("a", "b", 1, author);
    let may = |author: &str, by: &str, strength| {
        may_decide(&[&old.declared], &open(author), by, strength)
    };
    let stated = Strength::Stated;
    assert_eq!(may("w@example.com", "c@example.com", stated), Ok(()));
    assert!(matches!(
        may("c@example.com", "C@example.com", stated),
        Err(Refusal::SamePerson { .. })
    ));
    assert!(matches!(
        may("w@example.com", "w@example.com", stated),
        Err(Refusal::NotAllowed { .. })
    ));
    assert_eq!(
        may("account root@host", "c@example.com", stated),
        Err(Refusal::NoAuthor)
    );
    let signed = read(&with("four_eyes: true", "signed: true"));
    let rule = may_decide(&[&signed.declared], &open("w"), "c@example.com", stated);
    assert_eq!(rule, Err(Refusal::Unsigned));
    let rule = may_decide(
        &[&signed.declared],
        &open("w"),
        "c@example.com",
        Strength::Measured,
    );
    assert_eq!(rule, Ok(()));
    // Each version that binds has its say.
    let lax = read("systems: {}\n");
    let both = [&lax.declared, &old.declared];
    assert!(may_decide(&both, &open("c@example.com"), "c@example.com", stated).is_err());
}

#[test]
fn what_waits_is_found_at_its_line() {
    let lowered = read(&with("at_least: 35 days", "at_least: 7 days"));
    let compared = held(BASE, &with("at_least: 35 days", "at_least: 7 days"));
    let id = change_id(&["a".to_owned()], "b").unwrap();
    let found = findings(&lowered, &id, &compared.alterations);
    let lines: Vec<usize> = found.iter().map(|p| p.line).collect();
    let line = |name: &str| 1 + BASE.lines().position(|l| l.starts_with(name)).unwrap();
    assert_eq!(lines, [line("  db:"), line("  web:")]);
}

fn length(days: u64) -> Length {
    Length::exact(Span::from_days(days))
}

prop_compose! {
    fn keeps()(
        least in proptest::option::of(0u64..60),
        most in proptest::option::of(0u64..90),
        last in proptest::option::of(1u32..5),
        daily in proptest::option::of(1u32..20),
        monthly in proptest::option::of(1u32..4),
    ) -> Keep {
        Keep {
            at_least: least.map(length),
            at_most: most.map(length),
            grace: None,
            counts: KeepCounts { last, daily, monthly, ..KeepCounts::default() },
        }
    }
}

proptest! {
    /// Whatever one of two rules keeps, both together keep, and so does the rule that stands for both.
    #[test]
    fn points_keep_the_longer_of_the_old_and_the_new_rule(
        old in keeps(),
        new in keeps(),
        days in proptest::collection::btree_set(0u64..150, 0..40),
        now in 0u64..200,
    ) {
        let points: Vec<PointAge> = days.iter().map(|day| PointAge {
            id: PointId::new(format!("p{day}")).unwrap(),
            completed: Time::from_secs(0).plus(Span::from_days(*day)),
            complete: day % 7 != 0,
            holds: Vec::new(),
        }).collect();
        let now = Time::from_secs(0).plus(Span::from_days(now));
        let stays = |keep: &Keep| -> Vec<bool> {
            decide(&points, keep, "UTC", now).iter().map(|d| d.verdict != Verdict::ExpireNow).collect()
        };
        let either: Vec<bool> = stays(&old).iter().zip(stays(&new)).map(|(a, b)| *a || b).collect();
        let joint: Vec<bool> = decide_by_all(&points, &[(&new, "UTC"), (&old, "UTC")], now)
            .iter().map(|j| j.decision.verdict != Verdict::ExpireNow).collect();
        prop_assert_eq!(&joint, &either);
        let longer = stays(&longer(&old, &new));
        for (kept, wanted) in longer.iter().zip(&either) {
            prop_assert!(*kept || !wanted, "{:?}", super::longer(&old, &new));
        }
    }

    /// A rule that is not said to be weaker lets nothing go that the old one keeps.
    #[test]
    fn what_lets_a_point_go_is_said_to_weaken(
        old in keeps(),
        new in keeps(),
        days in proptest::collection::btree_set(0u64..150, 1..40),
        now in 0u64..200,
    ) {
        let points: Vec<PointAge> = days.iter().map(|day| PointAge {
            id: PointId::new(format!("p{day}")).unwrap(),
            completed: Time::from_secs(0).plus(Span::from_days(*day)),
            complete: true,
            holds: Vec::new(),
        }).collect();
        let now = Time::from_secs(0).plus(Span::from_days(now));
        let lost = fates(&points, (&old, "UTC"), (&new, "UTC"), now)
            .into_iter().any(|fate| fate.goes == Some(now));
        let mut diff = diff::Diff::default();
        let mut kept = new;
        protections::keep(&mut diff, "p", &old, &mut kept);
        let weakens = diff.out.iter().any(|a| a.effect == Effect::Weakens);
        prop_assert!(weakens || !lost, "{old:?} {new:?}");
    }
}
