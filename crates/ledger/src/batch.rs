//! Many Ed25519 signatures of one key examined together, several times faster than one by one.

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha256, Sha512};

use crate::key::VerifyingKey;

/// A message and the signature on it.
pub(crate) struct Signed {
    pub(crate) message: Vec<u8>,
    pub(crate) signature: [u8; 64],
}

/// Whether `key` has signed every one of them.
///
/// Each signature (R, s) is good if s·B = R + h·A, where h is SHA-512 of R, A and the message (RFC 8032, 5.1.7). Here
/// the sum of these equations is examined, each times a weight of 128 bits. The weights come out of all messages and
/// signatures, so that nobody can choose signatures whose errors cancel out, but with a chance of 2^-128. What is
/// refused here may be examined one by one to learn which one is wrong.
pub(crate) fn all_signed(key: &VerifyingKey, items: &[Signed]) -> bool {
    let key = key.ed25519();
    let Some(public) = CompressedEdwardsY(*key.as_bytes()).decompress() else {
        return false;
    };
    if public.is_small_order() {
        return false;
    }
    let mut seed = Sha256::new_with_prefix(key.as_bytes());
    for item in items {
        seed.update((item.message.len() as u64).to_le_bytes());
        seed.update(&item.message);
        seed.update(item.signature);
    }
    let seed = seed.finalize();
    let mut weights = Vec::with_capacity(items.len() + 2);
    let mut points = Vec::with_capacity(items.len() + 2);
    let (mut base, mut of_key) = (Scalar::ZERO, Scalar::ZERO);
    for (number, item) in (0u64..).zip(items) {
        let Some((point, s)) = parts(&item.signature) else {
            return false;
        };
        let weight = weight(&seed, number);
        let digest = Sha512::new_with_prefix(point.as_bytes())
            .chain_update(key.as_bytes())
            .chain_update(&item.message)
            .finalize();
        base -= weight * s;
        of_key += weight * Scalar::from_bytes_mod_order_wide(&digest.into());
        weights.push(weight);
        points.push(point.decompress());
    }
    weights.extend([of_key, base]);
    points.extend([Some(public), Some(ED25519_BASEPOINT_POINT)]);
    let sum = EdwardsPoint::optional_multiscalar_mul(weights, points);
    sum.is_some_and(|sum| sum.is_identity())
}

/// R, which must be written in the one way there is, and s, which must be smaller than the group's order.
fn parts(signature: &[u8; 64]) -> Option<(CompressedEdwardsY, Scalar)> {
    let (point, s) = signature.split_first_chunk::<32>()?;
    let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s.try_into().ok()?))?;
    // A y of 2^255 - 19 or more is a second way to write a small one.
    let [low, middle @ .., high] = point;
    let is_large = *low >= 0xed && high & 0x7f == 0x7f && middle.iter().all(|b| *b == 0xff);
    (!is_large).then_some((CompressedEdwardsY(*point), s))
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
            assert!(all_signed(key.public(), &items(&key, count)));
        }
        let other = SigningKey::from_seed([8; 32]);
        assert!(!all_signed(other.public(), &items(&key, 3)));
        for at in [0, 150, 299] {
            let mut changed = items(&key, 300);
            changed[at].message.push(b'!');
            assert!(!all_signed(key.public(), &changed));
            for byte in [0, 31, 32, 63] {
                let mut changed = items(&key, 300);
                changed[at].signature[byte] ^= 1;
                assert!(!all_signed(key.public(), &changed), "byte {byte} of {at}");
            }
            let mut swapped = items(&key, 300);
            let signature = swapped[at].signature;
            swapped[at].signature = swapped[(at + 1) % 300].signature;
            swapped[(at + 1) % 300].signature = signature;
            assert!(!all_signed(key.public(), &swapped));
        }
    }

    /// Two errors that cancel out where every weight is the same.
    #[test]
    fn errors_do_not_cancel_out() {
        let key = SigningKey::from_seed([7; 32]);
        let mut forged = items(&key, 2);
        let shift = |item: &mut Signed, by: Scalar| {
            let (point, s) = parts(&item.signature).unwrap();
            item.signature[..32].copy_from_slice(point.as_bytes());
            item.signature[32..].copy_from_slice((s + by).as_bytes());
        };
        shift(&mut forged[0], Scalar::ONE);
        shift(&mut forged[1], -Scalar::ONE);
        assert!(!all_signed(key.public(), &forged));
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
        assert!(!all_signed(key.public(), &forms));
        let mut large = [0xff; 64];
        large[0] = 0xed;
        large[31] = 0x7f;
        large[32..].fill(0);
        assert!(parts(&large).is_none());
        large[0] = 0xec;
        assert!(parts(&large).is_some());
    }
}
