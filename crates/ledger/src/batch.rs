//! Ed25519 signatures, by one rule for a single one and for many of one key, which are examined several times faster
//! together.

use std::sync::LazyLock;

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use ed25519_dalek::VerifyingKey;
use sha2::{Digest, Sha256, Sha512};

/// A message and the signature on it.
pub(crate) struct Signed {
    pub(crate) message: Vec<u8>,
    pub(crate) signature: [u8; 64],
}

/// Whether `key` has signed this message.
pub(crate) fn is_signed(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    let Ok(signature) = signature.try_into() else {
        return false;
    };
    let message = message.to_vec();
    all_signed(key, &[Signed { message, signature }])
}

/// Whether `key` has signed every one of them.
///
/// Each signature (R, s) is good if 8·s·B = 8·R + 8·h·A, where h is SHA-512 of R, A and the message (RFC 8032, 5.1.7),
/// and R and A are points as [`point`] takes them. Here the sum of these equations is examined, each times a weight of
/// 128 bits. The weights come out of all messages and signatures, so that nobody can choose signatures whose errors
/// cancel out, but with a chance of 2^-128. Without the factor 8, what is good by itself could be refused in a sum, and
/// the other way round, by the parts of R and A that are of small order. What is refused here may be examined one by one
/// to learn which one is wrong.
pub(crate) fn all_signed(key: &VerifyingKey, items: &[Signed]) -> bool {
    let Some(public) = point(key.as_bytes()) else {
        return false;
    };
    let mut seed = Sha256::new_with_prefix(key.as_bytes());
    let mut points = Vec::with_capacity(items.len() + 2);
    let mut scalars = Vec::with_capacity(items.len());
    for item in items {
        let Some((written, point, s)) = parts(&item.signature) else {
            return false;
        };
        let digest = Sha512::new_with_prefix(written)
            .chain_update(key.as_bytes())
            .chain_update(&item.message)
            .finalize();
        // R, the key and the message are in the digest.
        seed.update(digest);
        seed.update(s.as_bytes());
        points.push(point);
        scalars.push((s, Scalar::from_bytes_mod_order_wide(&digest.into())));
    }
    let seed = seed.finalize();
    let mut weights = Vec::with_capacity(items.len() + 2);
    let (mut base, mut of_key) = (Scalar::ZERO, Scalar::ZERO);
    for (number, (s, h)) in (0u64..).zip(scalars) {
        let weight = weight(&seed, number);
        base -= weight * s;
        of_key += weight * h;
        weights.push(weight);
    }
    weights.extend([of_key, base]);
    points.extend([public, ED25519_BASEPOINT_POINT]);
    let sum = EdwardsPoint::vartime_multiscalar_mul(weights, points);
    sum.mul_by_cofactor().is_identity()
}

/// The point that 32 bytes stand for, if they are the one way to write it, and if it is none of the eight of small
/// order, with which a signature would say nothing.
pub(crate) fn point(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    // A y of 2^255 - 19 or more is a second way to write a small one; other second ways are of small order.
    let [low, middle @ .., high] = bytes;
    let is_large = *low >= 0xed && high & 0x7f == 0x7f && middle.iter().all(|b| *b == 0xff);
    if is_large || SMALL.contains(&without_sign(*bytes)) {
        return None;
    }
    CompressedEdwardsY(*bytes).decompress()
}

/// The y of the points of small order. Whatever has one of these is of small order, whichever sign of x stands with it.
static SMALL: LazyLock<[[u8; 32]; 8]> =
    LazyLock::new(|| EIGHT_TORSION.map(|point| without_sign(point.compress().to_bytes())));

/// The bytes of y alone: the highest bit is the sign of x.
fn without_sign(mut bytes: [u8; 32]) -> [u8; 32] {
    if let Some(high) = bytes.last_mut() {
        *high &= 0x7f;
    }
    bytes
}

/// R as it is written and as a point, and s, which must be smaller than the group's order.
fn parts(signature: &[u8; 64]) -> Option<([u8; 32], EdwardsPoint, Scalar)> {
    let (written, s) = signature.split_first_chunk::<32>()?;
    let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s.try_into().ok()?))?;
    Some((*written, point(written)?, s))
}

fn weight(seed: &[u8], number: u64) -> Scalar {
    let digest = Sha256::new_with_prefix(seed)
        .chain_update(number.to_le_bytes())
        .finalize();
    let half = digest.first_chunk::<16>().copied().unwrap_or_default();
    Scalar::from(u128::from_le_bytes(half))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;

    fn all_signed(key: &SigningKey, items: &[Signed]) -> bool {
        super::all_signed(key.public().ed25519(), items)
    }

    fn items(key: &SigningKey, count: u32) -> Vec<Signed> {
        let signed = |n: u32| {
            let message = format!("message {n}").into_bytes();
            let signature = key.sign(&message);
            Signed { message, signature }
        };
        (0..count).map(signed).collect()
    }

    #[test]
    fn whole_ones_are_accepted_and_each_wrong_one_is_seen() {
        let key = SigningKey::from_seed([7; 32]);
        for count in [0, 1, 2, 300] {
            assert!(all_signed(&key, &items(&key, count)));
        }
        let other = SigningKey::from_seed([8; 32]);
        assert!(!all_signed(&other, &items(&key, 3)));
        for at in [0, 150, 299] {
            let mut changed = items(&key, 300);
            changed[at].message.push(b'!');
            assert!(!all_signed(&key, &changed));
            for byte in [0, 31, 32, 63] {
                let mut changed = items(&key, 300);
                changed[at].signature[byte] ^= 1;
                assert!(!all_signed(&key, &changed), "byte {byte} of {at}");
            }
            let mut swapped = items(&key, 300);
            let signature = swapped[at].signature;
            swapped[at].signature = swapped[(at + 1) % 300].signature;
            swapped[(at + 1) % 300].signature = signature;
            assert!(!all_signed(&key, &swapped));
        }
    }

    /// Two errors that cancel out where every weight is the same.
    #[test]
    fn errors_do_not_cancel_out() {
        let key = SigningKey::from_seed([7; 32]);
        let mut forged = items(&key, 2);
        let shift = |item: &mut Signed, by: Scalar| {
            let (_, _, s) = parts(&item.signature).unwrap();
            item.signature[32..].copy_from_slice((s + by).as_bytes());
        };
        shift(&mut forged[0], Scalar::ONE);
        shift(&mut forged[1], -Scalar::ONE);
        assert!(!all_signed(&key, &forged));
    }

    /// The order added to s, and a y that is written in a second way.
    #[test]
    fn one_signature_has_one_form() {
        let key = SigningKey::from_seed([7; 32]);
        let mut forms = items(&key, 1);
        const ORDER: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
            0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let mut carry = 0u16;
        for (digit, add) in forms[0].signature[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*digit) + u16::from(add) + carry;
            *digit = sum as u8;
            carry = sum >> 8;
        }
        assert!(!all_signed(&key, &forms));
        let mut large = [0xff; 32];
        large[31] = 0x7f;
        // 2^255 - 19 + n is a second way to write n.
        for n in 0..19 {
            let (mut small, mut second) = ([0; 32], large);
            small[0] = n;
            second[0] = 0xed + n;
            assert!(point(&second).is_none(), "{n}");
            let is_point = CompressedEdwardsY(small).decompress();
            let is_point = is_point.is_some_and(|point| !point.is_small_order());
            assert_eq!(point(&small).is_some(), is_point, "{n}");
        }
        for small in EIGHT_TORSION {
            let mut bytes = small.compress().to_bytes();
            assert!(point(&bytes).is_none());
            bytes[31] ^= 0x80;
            assert!(point(&bytes).is_none(), "with the other sign");
        }
    }

    /// R and A with a part of small order: good by the equation with the factor 8, alone and among others.
    #[test]
    fn a_part_of_small_order_changes_no_answer() {
        let seed = [7; 32];
        let key = SigningKey::from_seed(seed);
        let secret = ed25519_dalek::SigningKey::from_bytes(&seed).to_scalar();
        for torsion in EIGHT_TORSION {
            let mut forms = items(&key, 5);
            let r = Scalar::from(1_234_567_u64);
            let written = (r * ED25519_BASEPOINT_POINT + torsion).compress();
            let digest = Sha512::new_with_prefix(written.as_bytes())
                .chain_update(key.public().ed25519().as_bytes())
                .chain_update(&forms[3].message)
                .finalize();
            let s = r + Scalar::from_bytes_mod_order_wide(&digest.into()) * secret;
            forms[3].signature[..32].copy_from_slice(written.as_bytes());
            forms[3].signature[32..].copy_from_slice(s.as_bytes());
            let Signed { message, signature } = &forms[3];
            assert!(is_signed(key.public().ed25519(), message, signature));
            assert!(all_signed(&key, &forms));
        }
    }
}
