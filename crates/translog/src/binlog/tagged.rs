//! MySQL's serialization with fields, in which GTIDs with tags are written.
//!
//! Source of the format: MySQL's source documentation, "Serialization library". A number has as many bytes as its first
//! byte has ones at its low end, and one more; what is left of the bits is the number, least significant byte first.

use crate::fields::Fields;
use crate::gtid::{Gtid, Source};

/// A GTID with a tag, and when it was committed in microseconds since 1970.
pub(crate) fn gtid(body: &[u8]) -> Option<(Gtid, u64)> {
    const VERSION: u64 = 1;
    let mut fields = Fields::of(body);
    if number(&mut fields)? != VERSION {
        return None;
    }
    let length = usize::try_from(number(&mut fields)?).ok()?;
    // All bytes count, also those of version and length.
    let used = body.len() - fields.rest().len();
    let mut fields = Fields::of(fields.bytes(length.checked_sub(used)?)?);
    // The last field that must be understood.
    number(&mut fields)?;
    let (mut uuid, mut sequence, mut tag, mut time) = (None, None, None, None);
    // The fields come in the order of their numbers; behind the time there is nothing for us.
    while time.is_none() {
        match number(&mut fields)? {
            0 => {
                number(&mut fields)?;
            }
            1 => uuid = Some(server(&mut fields)?),
            2 => sequence = Some(signed(&mut fields)?),
            3 => {
                let length = usize::try_from(number(&mut fields)?).ok()?;
                tag = Some(std::str::from_utf8(fields.bytes(length)?).ok()?);
            }
            4 | 5 => {
                signed(&mut fields)?;
            }
            6 => time = Some(number(&mut fields)?),
            _ => return None,
        }
    }
    let source = Source::tagged(uuid?, tag?)?;
    let number = u64::try_from(sequence?).ok()?;
    Some((Gtid { source, number }, time?))
}

/// An unsigned number.
pub(crate) fn number(fields: &mut Fields<'_>) -> Option<u64> {
    let first = fields.u8()?;
    let more = first.trailing_ones() as usize;
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(fields.bytes(more)?) {
        *to = *from;
    }
    let rest = u64::from_le_bytes(bytes);
    // With seven or eight bytes more the first has no bits left.
    let bits = 7_usize.saturating_sub(more) as u32;
    let low = if bits == 0 {
        0
    } else {
        u64::from(first >> (more + 1))
    };
    Some(rest << bits | low)
}

/// The lowest bit is the sign.
fn signed(fields: &mut Fields<'_>) -> Option<i64> {
    let bits = number(fields)?;
    let half = (bits >> 1) as i64;
    Some(if bits & 1 == 0 { half } else { -half - 1 })
}

/// Sixteen numbers of one byte each.
fn server(fields: &mut Fields<'_>) -> Option<[u8; 16]> {
    let mut uuid = [0; 16];
    for byte in &mut uuid {
        *byte = u8::try_from(number(fields)?).ok()?;
    }
    Some(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The shortest form of a number.
    fn written(value: u64) -> Vec<u8> {
        let bits = 64 - value.leading_zeros().min(63);
        let more = (bits as usize - 1) / 7;
        if more >= 8 {
            return [&[0xff], &value.to_le_bytes()[..]].concat();
        }
        let whole = u128::from(value) << (more + 1) | ((1 << more) - 1);
        whole.to_le_bytes()[..=more].to_vec()
    }

    #[test]
    fn a_tagged_gtid_is_read() {
        let mut fields = [written(0), written(1), written(1), written(200).repeat(16)].concat();
        for (id, value) in [
            (2_u64, written(21 << 1)),
            (3, [written(3), b"abc".to_vec()].concat()),
        ] {
            fields.extend(written(id));
            fields.extend(value);
        }
        fields.extend([written(4), written(8), written(5), written(10)].concat());
        fields.extend([written(6), written(1_700_000_000_123_456), vec![0xff; 3]].concat());
        let payload = [written(12), fields].concat();
        // One byte for the version and one for the length.
        let length = written(payload.len() as u64 + 2);
        let body = [written(1), length.clone(), payload].concat();
        assert_eq!(length.len(), 1);
        let (found, time) = gtid(&body).unwrap();
        let expected = Gtid {
            source: Source::tagged([200; 16], "abc").unwrap(),
            number: 21,
        };
        assert_eq!((found, time), (expected, 1_700_000_000_123_456));
        for cut in 0..body.len() {
            assert_eq!(gtid(&body[..cut]), None);
        }
    }

    proptest! {
        #[test]
        fn numbers_round_trip(value in any::<u64>(), shift in 0_u32..64) {
            let value = value >> shift;
            let bytes = written(value);
            let mut fields = Fields::of(&bytes);
            prop_assert_eq!(number(&mut fields), Some(value));
            prop_assert!(fields.rest().is_empty());
        }

        #[test]
        fn arbitrary_bytes_are_survived(body in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = gtid(&body);
        }
    }
}
