//! Index files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::{decode_index, encode_index};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(packs) = decode_index(bytes) {
        assert_eq!(decode_index(&encode_index(&packs)).unwrap(), packs);
    }
});
