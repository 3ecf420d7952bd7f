//! Who may allow what: nobody makes themselves the one who does.

use super::*;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
const OTHER: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJm";

fn company() -> String {
    format!(
        r#"
policy: {{ id: P-1, title: T, owner: boss, approved_by: chief, next_review: 2999-01-01 }}
people:
  eve: {{ address: eve@example.com, key: "{KEY}" }}
roles:
  boss: {{ people: [ eve ] }}
  chief: {{ people: [ c@example.com ] }}
  it: {{ people: [ it@example.com ] }}
vaults: {{ v: {{ url: /v }} }}
systems: {{ web: {{ source: "files:/www", copies: v }} }}
duties: {{ look: {{ every: month, role: it }} }}
providers: {{ cloud: {{ sla: {{ document: d, next_reading: 2999-01-01, read_by: it }} }} }}
exemptions: {{ one: {{ from: fresh, systems: web, reason: r, approved_by: chief, until: 2999-01-01 }} }}
access:
  restore: {{ role: it, may: restore, approvers: chief, at_most: 4h }}
  look: {{ role: it, may: view }}
changes: {{ approved_by: chief }}
"#
    )
}

/// Each weakens at that place.
const WEAKENING: &[(&str, &str, &str)] = &[
    (
        "[ c@example.com ]",
        "[ c@example.com, m@example.com ]",
        "changes/approved_by",
    ),
    (
        "[ c@example.com ]",
        "[ m@example.com ]",
        "changes/approved_by",
    ),
    (
        "[ c@example.com ]",
        "[ c@example.com ], delegate: it",
        "access/restore/approvers",
    ),
    (
        "changes: { approved_by: chief }",
        "changes: { approved_by: it }",
        "changes/approved_by",
    ),
    (
        "changes: { approved_by: chief }",
        "changes: { four_eyes: true }",
        "changes/approved_by",
    ),
    ("[ eve ]", "[ eve, m@example.com ]", "policy/owner"),
    ("owner: boss", "owner: it", "policy/owner"),
    ("owner: boss", "owner: it", "access/look/approvers"),
    (
        "title: T, owner: boss, approved_by: chief",
        "title: T",
        "access/look/approvers",
    ),
    (
        "approved_by: chief, next",
        "approved_by: it, next",
        "policy/owner",
    ),
    (
        "approvers: chief",
        "approvers: [ chief, it ]",
        "access/restore/approvers",
    ),
    (
        "address: eve@example.com",
        "address: m@example.com",
        "policy/owner",
    ),
    (
        "  eve: {",
        "  c@example.com: { address: m@example.com }\n  eve: {",
        "access/restore/approvers",
    ),
    (KEY, OTHER, "people/eve/key"),
    (
        "  eve: {",
        "  mallory: { address: eve@example.com, key: OTHER }\n  eve: {",
        "people/mallory/key",
    ),
    ("from: fresh", "from: proven", "exemptions/one/from"),
    ("systems: web, reason", "reason", "exemptions/one/systems"),
    (
        "providers: { cloud:",
        "providers: { other:",
        "providers/cloud/sla",
    ),
    (", next_review: 2999-01-01", "", "policy"),
];

#[test]
fn whoever_comes_to_decide_is_agreed_to_first_and_until_then_people_are_as_before() {
    let old = read(&company());
    for (from, to, place) in WEAKENING {
        let company = company();
        assert!(company.contains(from), "{from}");
        let new = read(&company.replacen(from, &to.replace("OTHER", OTHER), 1));
        let compared = compare(&[Version::of(&old).unwrap()], Version::of(&new).unwrap());
        assert!(
            compared
                .alterations
                .iter()
                .any(|a| a.effect == Effect::Weakens && a.place == *place),
            "{from} -> {to}: {:#?}",
            compared.alterations
        );
        let agreed = &old.policy.as_ref().unwrap().people;
        assert_eq!(compared.in_force.people, *agreed, "{from} -> {to}");
    }
}

#[test]
fn who_only_answers_for_more_needs_nobody() {
    let old = read(&company());
    let people = |policy: &Policy| policy.people.clone();
    for (from, to) in [
        ("[ it@example.com ]", "[ it@example.com, n@example.com ]"),
        (
            "changes: { approved_by: chief }",
            "changes: { approved_by: c@example.com }",
        ),
        ("[ c@example.com ]", "[ C@example.com ]"),
        ("look: { every: month", "look: { every: week"),
    ] {
        let company = company();
        assert!(company.contains(from), "{from}");
        let new = read(&company.replacen(from, to, 1));
        let compared = compare(&[Version::of(&old).unwrap()], Version::of(&new).unwrap());
        let told = &compared.alterations;
        assert_eq!(
            compared.count(Effect::Weakens),
            0,
            "{from} -> {to}: {told:#?}"
        );
        assert_eq!(
            people(&compared.in_force),
            people(new.policy.as_ref().unwrap())
        );
    }
    // Where anyone may, to name somebody is less.
    let anyone = read(&company().replace("changes: { approved_by: chief }\n", ""));
    let back = compare(&[Version::of(&anyone).unwrap()], Version::of(&old).unwrap());
    assert_eq!(back.count(Effect::Weakens), 0, "{:#?}", back.alterations);
}

#[test]
fn of_several_policies_people_are_those_of_the_newest_that_weakens_none() {
    let text = company();
    let agreed = read(&text);
    let more = read(&text.replace(
        "look: { every: month, role: it }",
        "look: { every: week, role: it }, more: { every: month, role: it }",
    ));
    let people = |lowered: &Lowered| lowered.policy.as_ref().unwrap().people.clone();
    let both = [Version::of(&agreed).unwrap(), Version::of(&more).unwrap()];
    // Back at the first, what the second added stays until somebody agrees to drop it.
    let compared = compare(&both, Version::of(&agreed).unwrap());
    assert!(compared.count(Effect::Weakens) > 0);
    assert_eq!(compared.in_force.people, people(&more));
    // One that was never agreed to does not stand for the one that was.
    let mine = read(&text.replace("owner: boss", "owner: it").replace(
        "month, role: it }",
        "month, role: it }, more: { every: month, role: it }",
    ));
    let both = [Version::of(&agreed).unwrap(), Version::of(&mine).unwrap()];
    let last = read(&text.replace("look: { every: month", "look: { every: year"));
    let compared = compare(&both, Version::of(&last).unwrap());
    assert_eq!(compared.in_force.people, people(&agreed));
}
