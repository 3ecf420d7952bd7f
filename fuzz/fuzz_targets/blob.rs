//! Blobs, properly sealed: none passes under an id that is not its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::{Id, MasterKey, open_blob};

fuzz_target!(|input: (Option<u32>, &[u8])| {
    let (length, plain) = input;
    let key = MasterKey::from_random([7; 64]).unwrap();
    let sealed = key.seal([1; 16], plain);
    let expected = Id::of(plain);
    match open_blob(&key, &sealed, length, expected) {
        Ok(opened) => assert_eq!(opened, plain),
        Err(_) => assert!(length.is_some()),
    }
});
