//! Pack headers, properly sealed so that the parser is reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::{MasterKey, header_length, parse_header};

fuzz_target!(|input: (u64, &[u8])| {
    let (pack, plain) = input;
    let key = MasterKey::from_random([7; 64]).unwrap();
    if let Ok(blobs) = parse_header(&key, &key.seal([1; 16], plain), pack) {
        let total: u64 = blobs.iter().map(|blob| u64::from(blob.length)).sum();
        assert_eq!(total + plain.len() as u64 + 32 + 4, pack);
    }
    if let Some(last4) = plain.last_chunk::<4>()
        && let Ok(length) = header_length(*last4, pack)
    {
        assert!(u64::from(length) + 4 <= pack);
    }
});
