//! Envelopes: OpenSSL verifies what the ledger's key has signed, and refuses it when anything was changed.

use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use vouchsafe_ledger::{Envelope, Ledger, SigningKey, public_key_pem};

const TYPE: &str = "application/vnd.in-toto+json";

fn ledger(dir: &Path, seed: u8) -> Ledger {
    let url = format!("sqlite:{}", dir.join(format!("ledger-{seed}.db")).display());
    Ledger::open(&url, SigningKey::from_seed([seed; 32])).unwrap()
}

/// The encoding as its specification writes it, put together here once more.
fn encoded(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = b"DSSEv1".to_vec();
    for part in [kind.as_bytes(), payload] {
        out.extend(format!(" {} ", part.len()).bytes());
        out.extend(part);
    }
    out
}

fn openssl_accepts(dir: &Path, pem: &str, message: &[u8], signature: &[u8]) -> bool {
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let (key, message, signature) = (
        file("key.pem", pem.as_bytes()),
        file("message", message),
        file("signature", signature),
    );
    let out = Command::new("openssl")
        .args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"])
        .arg(key)
        .arg("-in")
        .arg(message)
        .arg("-sigfile")
        .arg(signature)
        .output()
        .expect("openssl runs; `cargo xtask test` installs it");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(said.contains("Verif") || !out.status.success(), "{said}");
    out.status.success()
}

#[test]
fn openssl_accepts_an_envelope_and_refuses_every_change_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path(), 1);
    let payload = br#"{"_type":"https://in-toto.io/Statement/v1"}"#;
    let envelope = ledger.envelope(TYPE, payload).unwrap();
    assert_eq!(envelope, ledger.envelope(TYPE, payload).unwrap());
    let pem = public_key_pem(ledger.public_key());
    let signature = BASE64_STANDARD.decode(&envelope.signatures[0].sig).unwrap();
    let body = BASE64_STANDARD.decode(&envelope.payload).unwrap();
    let accepts =
        |message: &[u8], signature: &[u8]| openssl_accepts(dir.path(), &pem, message, signature);
    assert!(accepts(&encoded(TYPE, &body), &signature));
    assert!(!accepts(&encoded("text/plain", &body), &signature));
    assert!(!accepts(&encoded(TYPE, b"{}"), &signature));
    let mut changed = signature.clone();
    changed[10] ^= 1;
    assert!(!accepts(&encoded(TYPE, &body), &changed));
}

#[test]
fn an_envelope_opens_for_its_key_only_and_only_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, other) = (ledger(dir.path(), 1), ledger(dir.path(), 2));
    let envelope = ours.envelope(TYPE, b"text").unwrap();
    let json = serde_json::to_string(&envelope).unwrap();
    assert!(json.contains("\"payloadType\""), "{json}");
    let back: Envelope = serde_json::from_str(&json).unwrap();
    assert_eq!(back.open(ours.public_key()).as_deref(), Some(&b"text"[..]));
    assert_eq!(back.open(other.public_key()), None);
    let changed = Envelope {
        payload_type: "text/plain".to_owned(),
        ..back.clone()
    };
    assert_eq!(changed.open(ours.public_key()), None);
    let changed = Envelope {
        payload: BASE64_STANDARD.encode("texts"),
        ..back
    };
    assert_eq!(changed.open(ours.public_key()), None);
}

#[test]
fn derived_keys_are_one_for_each_key_and_purpose() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, other) = (ledger(dir.path(), 1), ledger(dir.path(), 2));
    let names = ours.derived_key("names").unwrap();
    assert_eq!(names, ours.derived_key("names").unwrap());
    assert_ne!(names, ours.derived_key("other").unwrap());
    assert_ne!(names, other.derived_key("names").unwrap());
}

#[test]
fn who_has_no_key_signs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    drop(ledger(dir.path(), 1));
    let url = format!("sqlite:{}", dir.path().join("ledger-1.db").display());
    let reader = Ledger::open_reader(&url).unwrap();
    assert!(reader.envelope(TYPE, b"text").is_err());
    assert!(reader.derived_key("names").is_err());
}
