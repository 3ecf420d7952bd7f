//! The repository's config.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::Config;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = Config::decode(bytes) {
        assert_eq!(Config::decode(&config.encode()).unwrap(), config);
    }
});
