//! Lock files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::LockFile;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(lock) = LockFile::decode(bytes) {
        LockFile::decode(&lock.encode().unwrap()).unwrap();
    }
});
