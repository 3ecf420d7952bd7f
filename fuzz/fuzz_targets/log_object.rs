//! Log objects and their names: nothing opens that was not sealed, and a name is read in one way only.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::MasterKey;
use vouchsafe_format::fragment::{LogKeys, LogName, open, open_header};

/// The only bytes known to be sealed by this key.
const SEALED: [&[u8]; 2] = [
    include_bytes!("../../crates/format/tests/golden/fragment-1"),
    include_bytes!("../../crates/format/tests/golden/segment-1"),
];
const NAMES: &str = include_str!("../../crates/format/tests/golden/log-names-1");

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(name) = text.parse::<LogName>()
    {
        assert_eq!(name.to_string(), text);
    }
    let mut key = [0; 64];
    key.iter_mut().zip(11..).for_each(|(byte, i)| *byte = i);
    let keys = LogKeys::of(&MasterKey::from_random(key).unwrap());
    for name in NAMES.lines().map(|line| line.parse().unwrap()) {
        let _ = open_header(&keys, &name, bytes);
        assert!(open(&keys, &name, bytes).is_err() || SEALED.contains(&bytes));
    }
});
