//! JSON of our own that lies where others can write: digest manifests in a point, entries of the ledger.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_model::{DigestManifest, Entry};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = serde_json::from_slice::<DigestManifest>(bytes) {
        assert!(manifest.differences(&manifest).is_empty());
        let again = serde_json::to_vec(&manifest).unwrap();
        assert_eq!(
            serde_json::from_slice::<DigestManifest>(&again).unwrap(),
            manifest
        );
    }
    if let Ok(entry) = serde_json::from_slice::<Entry>(bytes) {
        let again = serde_json::to_vec(&entry).unwrap();
        assert_eq!(serde_json::from_slice::<Entry>(&again).unwrap(), entry);
    }
});
