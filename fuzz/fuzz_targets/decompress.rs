//! zstd frames of a stated length.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::decompress;

fuzz_target!(|input: (u32, &[u8])| {
    let (length, bytes) = (input.0 as usize, input.1);
    if let Ok(data) = decompress(bytes, length) {
        assert_eq!(data.len(), length);
    }
});
