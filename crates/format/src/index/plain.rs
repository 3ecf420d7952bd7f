//! Index files in exactly the form that restic and we write: read without a general JSON parser, several times faster.

use crate::blob::BlobKind;
use crate::crypto::OVERHEAD;
use crate::id::Id;
use crate::pack::PackedBlob;

use super::IndexPack;

/// The packs, if the text has exactly the usual form and nothing in it is wrong. Nothing at the least deviation: then
/// the general parser is to say what it is.
pub(super) fn packs(json: &[u8]) -> Option<Vec<IndexPack>> {
    let mut text = Text(json);
    text.skip(br#"{"packs":["#)?;
    let mut packs = Vec::new();
    if !text.take(b"]}") {
        loop {
            packs.push(pack(&mut text)?);
            if !text.take(b",") {
                break;
            }
        }
        text.skip(b"]}")?;
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    text.0.iter().all(is_space).then_some(packs)
}

fn pack(text: &mut Text<'_>) -> Option<IndexPack> {
    text.skip(br#"{"id":""#)?;
    let id = text.id()?;
    text.skip(br#"","blobs":["#)?;
    let mut blobs = Vec::new();
    if !text.take(b"]}") {
        loop {
            blobs.push(blob(text)?);
            if !text.take(b",") {
                break;
            }
        }
        text.skip(b"]}")?;
    }
    Some(IndexPack { id, blobs })
}

fn blob(text: &mut Text<'_>) -> Option<PackedBlob> {
    text.skip(br#"{"id":""#)?;
    let id = text.id()?;
    text.skip(br#"","type":""#)?;
    let kind = if text.take(br#"data","#) {
        BlobKind::Data
    } else {
        text.skip(br#"tree","#)?;
        BlobKind::Tree
    };
    text.skip(br#""offset":"#)?;
    let offset = text.number()?;
    text.skip(br#","length":"#)?;
    let length = text.number()?;
    let uncompressed_length = if text.take(br#","uncompressed_length":"#) {
        Some(text.number()?).filter(|length| *length > 0)
    } else {
        None
    };
    text.skip(b"}")?;
    let proper = length as usize >= OVERHEAD && offset.checked_add(length).is_some();
    proper.then_some(PackedBlob {
        id,
        kind,
        offset,
        length,
        uncompressed_length,
    })
}

/// What is still to be read.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn skip(&mut self, expected: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    fn take(&mut self, expected: &[u8]) -> bool {
        self.skip(expected).is_some()
    }

    fn id(&mut self) -> Option<Id> {
        let (digits, rest) = self.0.split_first_chunk::<64>()?;
        let mut bytes = [0; 32];
        let mut wrong = 0;
        for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            let [high, low] = pair.map(|digit| VALUES[usize::from(digit)]);
            wrong |= high | low;
            *byte = high << 4 | low;
        }
        self.0 = rest;
        (wrong < 16).then_some(Id::from_bytes(bytes))
    }

    /// A number without sign, fraction, exponent or needless zeros.
    fn number(&mut self) -> Option<u32> {
        let digits = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at_checked(digits)?;
        if digits == 0 || digits > 10 || digits > 1 && number.first() == Some(&b'0') {
            return None;
        }
        self.0 = rest;
        let value = number
            .iter()
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        u32::try_from(value).ok()
    }
}

/// The values of hexadecimal digits; for all other bytes a value beyond them.
const VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        values[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    values
};
