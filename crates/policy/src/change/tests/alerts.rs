//! Who hears of what: what is said less of is told as before until somebody agrees.

use vouchsafe_model::AlertKind;

use super::*;

const TOLD: &str = "\
roles: { it: { people: [ a@example.com ] }, chief: { people: [ c@example.com ] } }
mail: { server: 'smtps://mail.example.com', from: v@example.com }
alerts: { failure: { to: [ it, chief ] }, lag: { to: it, longer_than: 2m } }
vaults: { v: { url: /v } }
systems: { web: { source: 'files:/www', copies: v } }
";

#[test]
fn an_alert_that_is_dropped_or_raised_goes_on_as_it_was() {
    for (from, to, kind) in [
        (", lag: { to: it, longer_than: 2m }", "", AlertKind::Lag),
        ("longer_than: 2m", "longer_than: 2h", AlertKind::Lag),
        (
            "alerts: { failure: { to: [ it, chief ] }, lag: { to: it, longer_than: 2m } }\n",
            "",
            AlertKind::Failure,
        ),
    ] {
        assert!(TOLD.contains(from));
        let compared = held(TOLD, &TOLD.replace(from, to));
        assert!(compared.count(Effect::Weakens) > 0, "{compared:#?}");
        let old = read(TOLD).policy.unwrap();
        assert_eq!(
            compared.in_force.alerts.get(&kind),
            old.alerts.get(&kind),
            "{from}"
        );
        // The other way round it is in force at once.
        let compared = held(&TOLD.replace(from, to), TOLD);
        assert_eq!(compared.count(Effect::Weakens), 0, "{compared:#?}");
        assert_eq!(compared.in_force.alerts, old.alerts);
    }
}

#[test]
fn who_takes_the_mail_server_away_silences_nobody_alone() {
    let line = "mail: { server: 'smtps://mail.example.com', from: v@example.com }\n";
    let compared = held(TOLD, &TOLD.replace(line, ""));
    let said: Vec<_> = compared
        .alterations
        .iter()
        .map(|a| (a.effect, a.place.as_str()))
        .collect();
    assert_eq!(said, [(Effect::Weakens, "mail")]);
    assert!(compared.in_force.mail.is_some());
    let compared = held(TOLD, &TOLD.replace("mail.example.com", "post.example.com"));
    assert_eq!(compared.alterations[0].effect, Effect::Neutral);
    assert_eq!(compared.in_force.mail.unwrap().host, "post.example.com");
}
