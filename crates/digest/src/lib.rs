//! SHA-256 of several messages at once, for which a processor needs hardly longer than for one of them.
//!
//! Each round of SHA-256 waits for the one before, and a processor with instructions for it idles meanwhile. The rounds
//! of other messages fill these gaps. Where the instructions are missing, the messages are hashed one after the other.

use std::fmt;

use sha2::block_api::compress256;

#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
use x86::together;

/// The SHA-256 digest of a message that comes piece by piece.
#[derive(Clone)]
pub struct Sha256 {
    state: [u32; 8],
    /// The bytes that do not fill a block yet.
    tail: [u8; BLOCK],
    /// Bytes of the message so far. The last `length % 64` of them are in the tail.
    length: u64,
}

impl Sha256 {
    /// The digest of no bytes so far.
    pub fn new() -> Sha256 {
        Sha256 {
            state: INITIAL,
            tail: [0; BLOCK],
            length: 0,
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let blocks = self.take_ends(bytes);
        compress256(&mut self.state, blocks);
    }

    /// The digest of all bytes so far.
    pub fn finish(mut self) -> [u8; 32] {
        let bits = self.length.wrapping_mul(8).to_be_bytes();
        let used = self.used();
        let mut padding = [[0; BLOCK]; 2];
        padding[0][..used].copy_from_slice(&self.tail[..used]);
        padding[0][used] = 0x80;
        let blocks = if used < BLOCK - bits.len() { 1 } else { 2 };
        padding[blocks - 1][BLOCK - bits.len()..].copy_from_slice(&bits);
        compress256(&mut self.state, &padding[..blocks]);
        let mut digest = [0; 32];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }

    fn used(&self) -> usize {
        (self.length % BLOCK as u64) as usize
    }

    /// Takes the bytes that complete a block begun before, and those that will not fill the last one; what lies between
    /// is left to be compressed.
    fn take_ends<'a>(&mut self, bytes: &'a [u8]) -> &'a [[u8; BLOCK]] {
        let used = self.used();
        self.length = self.length.wrapping_add(bytes.len() as u64);
        let mut rest = bytes;
        if used > 0 {
            let (first, after) = rest.split_at(rest.len().min(BLOCK - used));
            self.tail[used..used + first.len()].copy_from_slice(first);
            if used + first.len() < BLOCK {
                return &[];
            }
            compress256(&mut self.state, &[self.tail]);
            rest = after;
        }
        let (blocks, last) = rest.as_chunks();
        self.tail[..last.len()].copy_from_slice(last);
        blocks
    }
}

impl Default for Sha256 {
    fn default() -> Sha256 {
        Sha256::new()
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sha256")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Each digest takes its next bytes, at the same time.
pub fn update_each(messages: &mut [(&mut Sha256, &[u8])]) {
    let mut waiting: Vec<Lane<'_>> = messages
        .iter_mut()
        .map(|(digest, bytes)| {
            let blocks = digest.take_ends(bytes);
            let state = &mut digest.state;
            Lane { state, blocks }
        })
        .collect();
    waiting.retain(|lane| !lane.blocks.is_empty());
    // The longest come first: at the end one of them would be left to be hashed alone.
    waiting.sort_by_key(|lane| lane.blocks.len());
    let mut running = Vec::with_capacity(MOST);
    loop {
        while running.len() < MOST
            && let Some(lane) = waiting.pop()
        {
            running.push(lane);
        }
        if running.is_empty() {
            return;
        }
        advance(&mut running);
        running.retain(|lane| !lane.blocks.is_empty());
    }
}

/// The digest of each message.
pub fn digest_each(messages: &[&[u8]]) -> Vec<[u8; 32]> {
    let mut digests = vec![Sha256::new(); messages.len()];
    let mut each: Vec<(&mut Sha256, &[u8])> =
        digests.iter_mut().zip(messages.iter().copied()).collect();
    update_each(&mut each);
    digests.into_iter().map(Sha256::finish).collect()
}

/// Blocks that go into one digest.
struct Lane<'a> {
    state: &'a mut [u32; 8],
    blocks: &'a [[u8; BLOCK]],
}

/// Compresses as many blocks of each lane as the shortest of them has.
fn advance(lanes: &mut [Lane<'_>]) {
    let count = lanes.iter().map(|lane| lane.blocks.len()).min();
    let count = count.unwrap_or_default();
    let done = match lanes {
        [a, b] => together([a, b], count),
        [a, b, c] => together([a, b, c], count),
        [a, b, c, d] => together([a, b, c, d], count),
        _ => false,
    };
    for lane in lanes {
        let (blocks, rest) = lane.blocks.split_at(count);
        if !done {
            compress256(lane.state, blocks);
        }
        lane.blocks = rest;
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn together<const N: usize>(_: [&mut Lane<'_>; N], _: usize) -> bool {
    false
}

/// With more the registers do not suffice.
const MOST: usize = 4;
const BLOCK: usize = 64;
/// FIPS 180-4, 5.3.3.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::Digest;

    use super::*;

    fn plainly(message: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(message).into()
    }

    fn message(length: usize, seed: usize) -> Vec<u8> {
        (0..length)
            .map(|at| (at.wrapping_mul(seed * 2 + 1) >> 3) as u8 ^ seed as u8)
            .collect()
    }

    #[test]
    fn every_length_has_the_digest_that_it_has_alone() {
        for count in 1..=6 {
            for length in 0..=300 {
                let messages: Vec<Vec<u8>> = (0..count)
                    .map(|which| message(length + which * 64, which))
                    .collect();
                let each: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
                let alone: Vec<[u8; 32]> = each.iter().copied().map(plainly).collect();
                assert_eq!(digest_each(&each), alone, "{count} of {length}");
            }
        }
        assert_eq!(digest_each(&[]), Vec::<[u8; 32]>::new());
    }

    /// FIPS 180-2, appendix B.
    #[test]
    fn the_standards_examples() {
        let hex = |bytes: [u8; 32]| bytes.map(|byte| format!("{byte:02x}")).concat();
        let million = vec![b'a'; 1_000_000];
        let two = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        let digests = digest_each(&[b"abc", two, &million]).into_iter().map(hex);
        assert_eq!(
            digests.collect::<Vec<String>>(),
            [
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
            ]
        );
    }

    proptest! {
        #[test]
        fn pieces_have_the_digest_of_the_whole(
            lengths in prop::collection::vec(0_usize..3000, 1..7),
            cuts in prop::collection::vec(0_usize..3000, 0..6),
        ) {
            let messages: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(n, len)| message(*len, n)).collect();
            let mut digests = vec![Sha256::new(); messages.len()];
            let mut rest: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            for cut in cuts.into_iter().chain([3000]) {
                let mut pieces = Vec::new();
                for (digest, rest) in digests.iter_mut().zip(&mut rest) {
                    let (piece, after) = rest.split_at(rest.len().min(cut));
                    *rest = after;
                    pieces.push((digest, piece));
                }
                update_each(&mut pieces);
            }
            for (digest, message) in digests.into_iter().zip(&messages) {
                prop_assert_eq!(digest.finish(), plainly(message));
            }
        }
    }
}
