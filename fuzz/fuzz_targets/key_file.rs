//! Key files: any bytes, and opened if their parameters ask for little work.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::{KeyFile, open_key_file};

fuzz_target!(|bytes: &[u8]| {
    if KeyFile::decode(bytes).is_ok_and(|file| file.n * file.r * file.p <= 4096) {
        let _ = open_key_file(bytes, b"password");
    }
});
