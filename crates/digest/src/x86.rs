//! Several messages abreast through the instructions for SHA-256 that x86 processors have.

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
    _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
    _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use crate::{BLOCK, Lane};

/// Compresses the first `count` blocks of each lane, if the processor has the instructions; whether it has.
#[allow(unsafe_code)]
pub(crate) fn together<const N: usize>(lanes: [&mut Lane<'_>; N], count: usize) -> bool {
    let has_all = is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1");
    if has_all {
        // SAFETY: its only condition is that the processor has these three, and sse2, which each x86-64 has.
        unsafe { compress(lanes, count) }
    }
    has_all
}

/// What the instructions work on: the eight words of the state as they want them, and the last 16 of the schedule.
#[derive(Clone, Copy)]
struct Registers {
    abef: __m128i,
    cdgh: __m128i,
    words: [__m128i; 4],
}

/// FIPS 180-4, 6.2.2, four rounds at a time, those of one lane between those of the others.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn compress<const N: usize>(lanes: [&mut Lane<'_>; N], count: usize) {
    let mut all = [Registers {
        abef: _mm_setzero_si128(),
        cdgh: _mm_setzero_si128(),
        words: [_mm_setzero_si128(); 4],
    }; N];
    for (registers, lane) in all.iter_mut().zip(&lanes) {
        let [a, b, c, d, e, f, g, h] = lane.state.map(u32::cast_signed);
        registers.abef = _mm_set_epi32(a, b, e, f);
        registers.cdgh = _mm_set_epi32(c, d, g, h);
    }
    for at in 0..count {
        let before = all;
        if N == 2 {
            // Unrolled, for the schedules of two lanes fit into the registers. More lanes are faster without.
            for four in [0, 4, 8, 12] {
                rounds(&mut all, &lanes, at, four);
                rounds(&mut all, &lanes, at, four + 1);
                rounds(&mut all, &lanes, at, four + 2);
                rounds(&mut all, &lanes, at, four + 3);
            }
        } else {
            for four in 0..16 {
                rounds(&mut all, &lanes, at, four);
            }
        }
        for (registers, before) in all.iter_mut().zip(&before) {
            registers.abef = _mm_add_epi32(registers.abef, before.abef);
            registers.cdgh = _mm_add_epi32(registers.cdgh, before.cdgh);
        }
    }
    for (registers, lane) in all.iter().zip(lanes) {
        let [abef, cdgh] = [unpack(registers.abef), unpack(registers.cdgh)];
        *lane.state = [
            abef[3], abef[2], cdgh[3], cdgh[2], abef[1], abef[0], cdgh[1], cdgh[0],
        ];
    }
}

/// The four rounds from `4 * four` on, of one lane after the other.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn rounds<const N: usize>(
    all: &mut [Registers; N],
    lanes: &[&mut Lane<'_>; N],
    at: usize,
    four: usize,
) {
    let [k0, k1, k2, k3] = ROUNDS[four].map(u32::cast_signed);
    let constants = _mm_set_epi32(k3, k2, k1, k0);
    for (registers, lane) in all.iter_mut().zip(lanes) {
        let w = &mut registers.words;
        w[four & 3] = match lane.blocks.get(at) {
            Some(block) if four < 4 => load(block, four),
            _ => {
                let [w0, w1, w2, w3] = [0, 1, 2, 3].map(|next| w[(four + next) & 3]);
                let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8::<4>(w3, w2));
                _mm_sha256msg2_epu32(sum, w3)
            }
        };
        let sum = _mm_add_epi32(w[four & 3], constants);
        registers.cdgh = _mm_sha256rnds2_epu32(registers.cdgh, registers.abef, sum);
        let upper = _mm_shuffle_epi32::<0x0e>(sum);
        registers.abef = _mm_sha256rnds2_epu32(registers.abef, registers.cdgh, upper);
    }
}

/// Four words of a block, which are big-endian.
#[inline]
#[target_feature(enable = "sse2,ssse3")]
fn load(block: &[u8; BLOCK], four: usize) -> __m128i {
    let halves = block.as_chunks::<8>().0;
    let [low, high] = [2 * four, 2 * four + 1].map(|at| i64::from_le_bytes(halves[at]));
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    _mm_shuffle_epi8(_mm_set_epi64x(high, low), swap)
}

#[inline]
#[target_feature(enable = "sse4.1")]
fn unpack(words: __m128i) -> [u32; 4] {
    [
        _mm_extract_epi32::<0>(words),
        _mm_extract_epi32::<1>(words),
        _mm_extract_epi32::<2>(words),
        _mm_extract_epi32::<3>(words),
    ]
    .map(i32::cast_unsigned)
}

/// FIPS 180-4, 4.2.2.
const ROUNDS: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];
