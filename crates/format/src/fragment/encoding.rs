//! Numbers and texts as headers and tables spell them: little-endian, with nothing between them.

/// Takes values off the front of bytes; nothing once there are too few.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// A text with its length before it, in one byte.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = usize::from(self.u8()?);
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Appends a text with its length before it. Of more than 255 bytes, which no name has, only those are written.
pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    out.push(length);
    out.extend(text.bytes().take(usize::from(length)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_read_and_no_byte_more() {
        let mut out = vec![7, 1, 0];
        push_text(&mut out, "é");
        let mut reader = Reader::new(&out);
        assert_eq!((reader.u8(), reader.u16()), (Some(7), Some(1)));
        assert_eq!(reader.text(), Some("é"));
        assert!(reader.is_empty());
        assert_eq!(reader.u8(), None);
        for bad in [&b""[..], b"\x02a", b"\x01\xff"] {
            assert_eq!(Reader::new(bad).text(), None, "{bad:?}");
        }
        assert_eq!(Reader::new(&[0; 7]).u64(), None);
    }
}
