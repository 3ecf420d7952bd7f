//! Sealed bytes: nothing opens that was not sealed, and both ways to open agree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::MasterKey;

fuzz_target!(|bytes: &[u8]| {
    let key = MasterKey::from_random([7; 64]).unwrap();
    assert!(key.open(bytes).is_err());
    assert!(key.open_in_place(&mut bytes.to_vec()).is_err());
    assert_eq!(key.open(&key.seal([1; 16], bytes)).unwrap(), bytes);
});
