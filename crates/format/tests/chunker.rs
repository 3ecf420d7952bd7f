//! Cuts fall where the format puts them, however the stream arrives.

use crate::common::noise;
use proptest::prelude::*;
use vouchsafe_format::chunker::{MAX, MIN, WINDOW};
use vouchsafe_format::{Chunker, Cut, Polynomial};

/// The polynomial of the public test vectors of restic's chunker.
const KNOWN: Polynomial = Polynomial::from_bits(0x3D_A335_8B4D_C173);

/// Lengths of all chunks of `data`, pushed in pieces whose lengths `piece` gives.
fn lengths(chunker: &mut Chunker, data: &[u8], mut piece: impl FnMut() -> usize) -> Vec<usize> {
    let mut lengths = Vec::new();
    let (mut at, mut current) = (0, 0);
    while at < data.len() {
        let end = (at + piece().max(1)).min(data.len());
        match chunker.push(&data[at..end]) {
            Cut::More => {
                current += end - at;
                at = end;
            }
            Cut::At(used) => {
                assert!(used >= 1 && used <= end - at);
                lengths.push(current + used);
                current = 0;
                at += used;
            }
        }
    }
    if current > 0 {
        lengths.push(current);
    }
    chunker.reset();
    lengths
}

/// The same by the definition alone: each position's fingerprint from its
/// window, bit by bit.
fn lengths_by_definition(polynomial: Polynomial, data: &[u8]) -> Vec<usize> {
    let bits = polynomial.bits();
    let degree = polynomial.degree().unwrap();
    let push_bit = |digest: u64, bit: u64| {
        let shifted = (digest << 1) | bit;
        if shifted >> degree & 1 == 1 {
            shifted ^ bits
        } else {
            shifted
        }
    };
    let fingerprint = |window: &[u8]| {
        window.iter().fold(0, |digest, byte| {
            (0..8).rev().fold(digest, |digest, i| {
                push_bit(digest, u64::from(byte >> i & 1))
            })
        })
    };
    let mut lengths = Vec::new();
    let mut start = 0;
    while start < data.len() {
        let last = (data.len() - start).min(MAX);
        let is_cut = |length: &usize| {
            let end = start + length;
            fingerprint(&data[end - WINDOW..end]) & ((1 << 20) - 1) == 0
        };
        let length = (MIN..=last).find(is_cut).unwrap_or(last);
        lengths.push(length);
        start += length;
    }
    lengths
}

/// Lengths that restic itself cuts: `restic_oracle.rs` compares the same data.
#[test]
fn cuts_are_those_of_the_golden_vector() {
    let data = noise(23, 32 << 20);
    let found = lengths(&mut Chunker::new(KNOWN), &data, || 1 << 20);
    assert_eq!(found, GOLDEN);
}

#[test]
fn cuts_are_those_of_the_definition() {
    for (seed, polynomial) in [
        (1, KNOWN),
        (2, Polynomial::from_random(|| 77)),
        (3, Polynomial::from_bits(0x11b)),
    ] {
        let data = noise(seed, 3 << 20);
        let expected = lengths_by_definition(polynomial, &data);
        assert!(expected.len() > 1, "the data is worth the test");
        let found = lengths(&mut Chunker::new(polynomial), &data, || 100_000);
        assert_eq!(found, expected);
    }
}

#[test]
fn zeros_are_cut_at_the_minimum() {
    let data = vec![0; 4 * MIN + 5];
    assert_eq!(
        lengths(&mut Chunker::new(KNOWN), &data, || 1 << 20),
        [MIN, MIN, MIN, MIN, 5]
    );
}

#[test]
fn a_stream_without_a_fitting_window_is_cut_at_the_maximum() {
    // One byte repeated: every window is the same, and none of these fits.
    for byte in [1_u8, 0x55, 0xff] {
        let data = vec![byte; 2 * MAX + 1];
        assert_eq!(
            lengths(&mut Chunker::new(KNOWN), &data, || 3 << 20),
            [MAX, MAX, 1]
        );
    }
}

#[test]
fn lengths_around_the_minimum_and_the_maximum() {
    let zeros = |length| {
        lengths(&mut Chunker::new(KNOWN), &vec![0; length], || {
            usize::MAX >> 1
        })
    };
    assert_eq!(zeros(0), [0; 0]);
    assert_eq!(zeros(1), [1]);
    assert_eq!(zeros(MIN - 1), [MIN - 1]);
    assert_eq!(zeros(MIN), [MIN]);
    assert_eq!(zeros(MIN + 1), [MIN, 1]);
    let ones = |length| {
        lengths(&mut Chunker::new(KNOWN), &vec![1; length], || {
            usize::MAX >> 1
        })
    };
    assert_eq!(ones(MAX - 1), [MAX - 1]);
    assert_eq!(ones(MAX), [MAX]);
    assert_eq!(ones(MAX + 1), [MAX, 1]);
}

#[test]
fn nothing_changes_nothing() {
    let mut chunker = Chunker::new(KNOWN);
    assert_eq!(chunker.push(&[]), Cut::More);
    assert_eq!(chunker.push(&vec![0; MIN]), Cut::At(MIN));
    assert_eq!(chunker.push(&[]), Cut::More);
}

#[test]
fn a_polynomial_that_cannot_cut_cuts_at_the_maximum() {
    for bits in [0, 1, 7, u64::MAX] {
        let mut chunker = Chunker::new(Polynomial::from_bits(bits));
        assert_eq!(
            lengths(&mut chunker, &vec![0; MAX + 9], || 5 << 20),
            [MAX, 9],
            "{bits}"
        );
    }
}

#[test]
fn another_polynomial_cuts_elsewhere() {
    let data = noise(23, 8 << 20);
    let other = Polynomial::from_random(|| 12345);
    let whole = || usize::MAX >> 1;
    let known = lengths(&mut Chunker::new(KNOWN), &data, whole);
    assert_ne!(known, lengths(&mut Chunker::new(other), &data, whole));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pieces_do_not_change_the_cuts(
        seed: u64,
        zeros in prop::collection::vec((0..4_000_000_usize, 0..900_000_usize), 0..3),
        pieces in prop::collection::vec(prop_oneof![1..200_usize, 1..70_000_usize, 1..2_000_000_usize], 1..9),
    ) {
        let mut data = noise(seed, 4_000_000);
        for (start, length) in zeros {
            let end = (start + length).min(data.len());
            data[start..end].fill(0);
        }
        let mut chunker = Chunker::new(KNOWN);
        let whole = lengths(&mut chunker, &data, || usize::MAX >> 1);
        let mut cycle = pieces.iter().cycle();
        let split = lengths(&mut chunker.clone(), &data, || cycle.next().copied().unwrap());
        prop_assert_eq!(&whole, &split);
        prop_assert_eq!(whole.iter().sum::<usize>(), data.len());
        let (_, but_last) = whole.split_last().unwrap();
        prop_assert!(but_last.iter().all(|length| (MIN..=MAX).contains(length)));
    }
}

/// As restic 0.14.0 and 0.18.0 cut it.
const GOLDEN: [usize; 18] = [
    6540439, 569657, 954776, 1967687, 565892, 3963832, 2670199, 1568759, 3432902, 566758, 1217721,
    1386034, 604814, 797059, 1615179, 1236948, 730511, 3165265,
];
