//! Trees: what is read can be written, and is read again the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::{decode_tree, encode_tree};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(nodes) = decode_tree(bytes)
        && let Ok(again) = encode_tree(&nodes)
    {
        let twice = encode_tree(&decode_tree(&again).unwrap()).unwrap();
        assert_eq!(twice, again);
    }
});
