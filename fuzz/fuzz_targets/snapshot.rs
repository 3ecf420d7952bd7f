//! Snapshots.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::Snapshot;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(snapshot) = Snapshot::decode(bytes) {
        let again = Snapshot::decode(&snapshot.encode().unwrap()).unwrap();
        assert_eq!(again.tree, snapshot.tree);
    }
});
