//! Randomness, as a value: the operating system's for keys, a seeded generator for simulations.

use std::sync::atomic::{AtomicU64, Ordering};

/// A source of random bytes.
pub trait Random: Send + Sync {
    /// Fills the whole buffer.
    fn fill(&self, buf: &mut [u8]);

    /// Sixteen bytes, enough for an identifier or a nonce.
    fn bytes16(&self) -> [u8; 16] {
        let mut out = [0; 16];
        self.fill(&mut out);
        out
    }

    /// Sixty-four bytes, enough for a repository's master keys.
    fn bytes64(&self) -> [u8; 64] {
        let mut out = [0; 64];
        self.fill(&mut out);
        out
    }

    /// One number, uniform over all 64-bit values.
    fn u64(&self) -> u64 {
        let mut out = [0; 8];
        self.fill(&mut out);
        u64::from_le_bytes(out)
    }
}

/// The operating system's generator; the only one from which keys may be made.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    /// # Panics
    /// When the operating system cannot give randomness at all. Going on with predictable keys
    /// would be worse than stopping, and no input can cause it.
    #[allow(clippy::panic, reason = "no key is better than a guessable key")]
    fn fill(&self, buf: &mut [u8]) {
        if let Err(error) = getrandom::fill(buf) {
            panic!("the operating system gives no randomness: {error}");
        }
    }
}

/// A small deterministic generator (splitmix64): equal seeds give equal sequences on every machine.
///
/// Not for keys: whoever sees a few outputs can compute all others.
#[derive(Debug)]
pub struct SeededRandom {
    state: AtomicU64,
}

/// The step of splitmix64: 2^64 divided by the golden ratio, made odd.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl SeededRandom {
    /// A generator at the start of the sequence named by `seed`.
    pub const fn new(seed: u64) -> Self {
        Self {
            state: AtomicU64::new(seed),
        }
    }

    fn next(&self) -> u64 {
        let mut z = self
            .state
            .fetch_add(STEP, Ordering::Relaxed)
            .wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Random for SeededRandom {
    fn fill(&self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(word) {
                *to = from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeded_sequence_is_the_published_splitmix64() {
        let random = SeededRandom::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| random.u64()).collect();
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn equal_seeds_agree_and_different_seeds_do_not() {
        assert_eq!(
            SeededRandom::new(7).bytes64(),
            SeededRandom::new(7).bytes64()
        );
        assert_ne!(
            SeededRandom::new(7).bytes64(),
            SeededRandom::new(8).bytes64()
        );
    }

    #[test]
    fn the_operating_system_does_not_repeat_itself() {
        assert_ne!(OsRandom.bytes16(), OsRandom.bytes16());
        assert_ne!(OsRandom.bytes64(), [0; 64]);
    }
}
