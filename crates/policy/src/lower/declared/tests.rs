//! What is declared: kept by its keys, looked up by its names, each mistake at its place.

use vouchsafe_model::{ProtectionId, Span};

use crate::lower::tests::{EVERYTHING, one_error, policy, read};

#[test]
fn what_is_declared_is_kept_by_its_keys() {
    let lowered = read(EVERYTHING);
    let declared = &lowered.declared;
    let front = &declared.front;
    assert_eq!(front.text("approved_by"), Some("chief"));
    assert_eq!(front.list("history").count(), 1);
    assert_eq!(declared.controls["soc2"], ["A1.2", "CC9.1"]);
    let (name, test) = declared.root.named("programme").next().unwrap();
    assert_eq!((name.as_str(), test.text("of")), ("t", Some("any")));
    assert_eq!(test.texts("kind"), ["restore", "files"]);
    let alerts = declared.root.entry("alerts").unwrap();
    let lag = alerts.entry("lag").unwrap();
    assert_eq!(lag.span("longer_than"), Some(Span::from_mins(5)));
    let sla = declared.root.named("providers").next().unwrap().1;
    assert_eq!(sla.entry("sla").unwrap().text("read"), Some("2026-01-01"));
    let id: ProtectionId = "many/b".parse().unwrap();
    assert_eq!(declared.text_of(&id, "destination"), Some("itself"));
    assert_eq!(declared.texts_of(&id, "features"), ["customer-key"]);
    // What a system says holds for all of its protections.
    let id: ProtectionId = "pg/main".parse().unwrap();
    assert_eq!(declared.text_of(&id, "monitor"), Some("vouchsafe"));
    assert_eq!(
        declared.requirements["R-2"].at,
        ["systems/pg", "duties/look"]
    );
    let placed = lowered.policy.unwrap();
    let many = placed.systems.values().find(|s| s.name.as_str() == "many");
    assert_eq!(many.unwrap().location.region.as_deref(), Some("r0"));
}

#[test]
fn names_of_declared_tables_are_looked_up_once_there_are_any() {
    let free = "systems: { a: { source: 'files:/a', owner: anyone } }";
    assert!(read(free).policy.is_some());
    let bound = format!("roles: {{ it: {{ people: x@example.com }} }}\n{free}");
    one_error(&bound, "P020", 2, 44, "declared: it");
    let person = bound.replace("anyone", "me@example.com");
    assert!(read(&person).policy.is_some());
    one_error(
        "programme: { t: { every: month, systems: [ shop ] } }",
        "P020",
        1,
        44,
        "declares no system at all",
    );
}

#[test]
fn each_mistake_in_what_is_declared_has_its_place() {
    one_error(
        "access: { a: { may: [ view, destroy ] } }",
        "P018",
        1,
        29,
        "view or back-up",
    );
    one_error("alerts: { storage: { above: lots } }", "P015", 1, 29, "25%");
    one_error(
        "exemptions: { e: { until: soon } }",
        "P017",
        1,
        27,
        "2026-01-31",
    );
    one_error(
        "alerts: { sound: {} }",
        "P010",
        1,
        11,
        "known here: failure",
    );
    one_error("flows: { a: b }", "P011", 1, 8, "a list");
    one_error(
        "requirements: { r: systems/a }",
        "P050",
        1,
        20,
        "not in the file",
    );
    one_error(
        "policy: { approved: 2026-01-01, approved_date: 2026-01-01 }",
        "P023",
        1,
        33,
        "keep one",
    );
}

/// The front matter of a document as another tool wrote it.
#[test]
fn front_matter_of_others_is_taken_as_it_is() {
    let p = policy(
        "policy:\n  id: POL-1\n  owner: it\n  status: approved\n  version: \"1.2\"\n  approved_date: 2026-01-12\n  \
         next_review: 2027-01-12\n  frameworks:\n    iso27001:\n      controls: [A.8.13]\n  triggers_update_to: []\n",
    );
    assert_eq!(p.front.approved.as_deref(), Some("2026-01-12"));
    assert_eq!(p.front.frameworks, ["iso27001"]);
}
