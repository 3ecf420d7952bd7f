//! The plaintext of files outside packs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::decode_unpacked;

fuzz_target!(|bytes: &[u8]| {
    let _ = decode_unpacked(bytes);
});
