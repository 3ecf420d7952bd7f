//! Quoted names: any bytes can be quoted, and come back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::quote::{quote, unquote};

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(unquote(&quote(bytes)).unwrap(), bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = unquote(text);
    }
});
