//! Published heads and public keys.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_ledger::{SignedHead, VerifyingKey};

fuzz_target!(|input: (&str, &str)| {
    let (key, note) = input;
    let _ = SignedHead::peek(note);
    if let Ok(key) = VerifyingKey::parse(key) {
        assert_eq!(
            VerifyingKey::parse(&key.to_string()).unwrap().to_string(),
            key.to_string()
        );
        let _ = SignedHead::parse(note, &key);
    }
});
