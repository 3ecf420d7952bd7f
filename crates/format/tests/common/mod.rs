//! What several tests of this crate need: a key, and data that looks random.
#![allow(dead_code, unreachable_pub)] // each test file uses its part

pub mod log;
pub mod slow;

use vouchsafe_format::MasterKey;

/// A key that is the same in every run.
pub fn key() -> MasterKey {
    let mut bytes = [0; 64];
    bytes.iter_mut().zip(11..).for_each(|(byte, i)| *byte = i);
    MasterKey::from_random(bytes).unwrap()
}

/// Bytes of the xorshift64* generator, the same for the same seed on every machine.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        out.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    out.truncate(length);
    out
}
