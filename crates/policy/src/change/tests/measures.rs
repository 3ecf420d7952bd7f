//! What is kept by counting, how long months are, and where vaults lie.

use super::*;

fn system(rule: &str) -> String {
    format!(
        "vaults: {{ v: {{ url: /v }} }}\nsystems: {{ web: {{ source: 'files:/www', copies: v, {rule} }} }}\n"
    )
}

#[test]
fn points_that_come_faster_are_counted_out_sooner() {
    let changed = |old: &str, new: &str, keep: &str| {
        let rule = |schedule: &str| system(&format!("schedule: {schedule}, keep: {keep}"));
        held(&rule(old), &rule(new))
    };
    for (old, new, keep) in [
        ("daily", "every 6 hours", "{ last: 7 }"),
        (
            "every 6 hours",
            "every 2 hours",
            "{ at_least: 1 day, hourly: 24 }",
        ),
        ("month", "week", "{ daily: 7 }"),
        // As long between two of them at most, and yet more of them.
        ("'0 0,1 * * *'", "'0 0,1,2 * * *'", "{ last: 7 }"),
    ] {
        let compared = changed(old, new, keep);
        let first = &compared.alterations[0];
        let wanted = (Effect::Weakens, "systems/web/protections/main/schedule");
        assert!(
            first.effect == wanted.0 && first.what.contains("reaches back less far"),
            "{old} -> {new}: {:#?}",
            compared.alterations
        );
        let (_, protection) = compared.in_force.protections().next().unwrap();
        let schedule = protection.schedule.as_ref().unwrap();
        assert_eq!(schedule.text, old.trim_matches('\''), "{}", wanted.1);
    }
    for (old, new, keep) in [
        ("daily", "every 6 hours", "{ daily: 7 }"),
        ("daily", "every 6 hours", "{ at_least: 7 days }"),
        ("daily at 02:00 UTC", "daily at 03:00 UTC", "{ last: 7 }"),
    ] {
        let compared = changed(old, new, keep);
        let told = &compared.alterations;
        assert_eq!(
            compared.count(Effect::Weakens),
            0,
            "{old} -> {new}: {told:#?}"
        );
    }
}

#[test]
fn a_month_is_not_30_days() {
    let keep = |length: &str| system(&format!("schedule: daily, keep: {{ at_least: {length} }}"));
    for (old, new, weakens) in [
        ("30 days", "1 month", true),
        ("1 month", "30 days", true),
        ("28 days", "1 month", false),
        ("1 month", "31 days", false),
    ] {
        let compared = held(&keep(old), &keep(new));
        assert_eq!(
            compared.count(Effect::Weakens) > 0,
            weakens,
            "{old} -> {new}"
        );
    }
}

#[test]
fn a_vault_at_another_service_or_account_lies_elsewhere() {
    let vault = |what: &str| format!("vaults:\n  v: {{ {what} }}\n");
    let s3 = |endpoint: &str| {
        vault(&format!(
            "url: \"s3://bucket/p\", endpoint: \"https://{endpoint}\", access_key: {{ env: A }}, secret_key: {{ env: B }}"
        ))
    };
    let azure = |user: &str| {
        vault(&format!(
            "url: \"azblob://container/p\", user: {user}, credential: {{ env: A }}"
        ))
    };
    for (old, new, key) in [
        (s3("s3.example.com"), s3("other.example.com"), "endpoint"),
        (azure("one"), azure("two"), "user"),
    ] {
        let compared = held(&old, &new);
        let place = format!("vaults/v/{key}");
        let first = &compared.alterations[0];
        assert!(
            first.effect == Effect::Weakens && first.place == place,
            "{first:?}"
        );
        let old = read(&old).policy.unwrap();
        assert_eq!(compared.in_force.vaults, old.vaults);
    }
}
