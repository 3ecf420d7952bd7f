//! The chunker: how a stream is split over calls does not change its cuts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::{Chunker, Cut, Polynomial};

fuzz_target!(|input: (u64, u16, &[u8])| {
    let (bits, piece, seed) = input;
    let data = seed.repeat((2 << 20) / seed.len().max(1));
    let whole = cuts(bits, &data, data.len());
    assert_eq!(cuts(bits, &data, usize::from(piece) + 1), whole);
});

fn cuts(bits: u64, data: &[u8], piece: usize) -> Vec<usize> {
    let mut chunker = Chunker::new(Polynomial::from_bits(bits));
    let (mut cuts, mut start) = (Vec::new(), 0);
    for part in data.chunks(piece.max(1)) {
        let mut rest = part;
        while let Cut::At(length) = chunker.push(rest) {
            rest = &rest[length..];
            cuts.push(start + part.len() - rest.len());
        }
        start += part.len();
    }
    cuts
}
