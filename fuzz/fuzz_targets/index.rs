//! Index files: what the fast reader takes, the general one takes for the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::{decode_index, encode_index};

fuzz_target!(|bytes: &[u8]| {
    // A space at the beginning is nothing to JSON, and too much for the fast reader.
    let general = decode_index(&[b" ", bytes].concat());
    let packs = decode_index(bytes);
    assert_eq!(packs.is_ok(), general.is_ok());
    if let (Ok(packs), Ok(general)) = (packs, general) {
        assert_eq!(packs, general);
        assert_eq!(decode_index(&encode_index(&packs)).unwrap(), packs);
    }
});
