//! The key: one seed, one ledger; the secret is never shown.

use crate::common::{key, other_key};
use vouchsafe_ledger::{SigningKey, VerifyingKey};

#[test]
fn a_seed_always_gives_the_same_ledger() {
    let key = key();
    assert_eq!(
        key.public_key_text(),
        "vouchsafe/fe812c12f3ab4ce6+dfded80e+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"
    );
    assert_eq!(*key.to_seed(), [7; 32]);
    let again = SigningKey::from_seed(*key.to_seed());
    assert_eq!(again.public(), key.public());
    assert_ne!(other_key().public(), key.public());
    let id = key.public().ledger_id();
    assert_eq!(key.public().origin(), format!("vouchsafe/{id}"));
    let fingerprint = key.fingerprint();
    assert!(
        fingerprint.replace(' ', "").starts_with(id),
        "{fingerprint}"
    );
    assert_eq!(fingerprint.len(), 64 + 15);
}

#[test]
fn the_secret_is_not_shown() {
    let shown = format!("{:?}", key());
    assert!(!shown.contains("0707") && !shown.contains("7, 7") && !shown.contains("BwcH"));
}

#[test]
fn texts_that_are_no_keys() {
    let text = key().public_key_text();
    assert_eq!(VerifyingKey::parse(&text).unwrap().to_string(), text);
    let (name, rest) = text.split_once('+').unwrap();
    let (id, base64) = rest.split_once('+').unwrap();
    let bad = [
        String::new(),
        name.to_owned(),
        format!("{name}+{id}"),
        format!("{name}x+{id}+{base64}"),
        format!("{name}+{}+{base64}", id.to_uppercase()),
        format!("{name}+00000000+{base64}"),
        format!("{name}+{id}+{}", base64.replace('A', "B")),
        format!("{text}\n"),
        format!("PRIVATE+KEY+{text}"),
    ];
    for bad in bad {
        assert!(VerifyingKey::parse(&bad).is_err(), "`{bad}` was accepted");
    }
}
