//! DER, taken apart one value after another; nothing else than its one form is accepted.

/// What is left to be read.
#[derive(Clone, Copy)]
pub(super) struct Der<'a> {
    rest: &'a [u8],
}

/// One value with its tag.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) tag: u8,
    pub(super) value: &'a [u8],
    /// With tag and length.
    pub(super) whole: &'a [u8],
}

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OID: u8 = 0x06;
pub(super) const UTF8: u8 = 0x0c;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const TIME: u8 = 0x18;
pub(super) const BMP: u8 = 0x1e;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// What `[0]`, `[1]` and `[3]` hold is constructed, or primitive.
pub(super) const IN_0: u8 = 0xa0;
pub(super) const IN_1: u8 = 0xa1;
pub(super) const IN_3: u8 = 0xa3;
pub(super) const IN_4: u8 = 0xa4;
pub(super) const AT_0: u8 = 0x80;
pub(super) const AT_1: u8 = 0x81;

impl<'a> Der<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Der<'a> {
        Der { rest: bytes }
    }

    /// What the one value that these bytes are holds, if it has this tag.
    pub(super) fn only(bytes: &'a [u8], tag: u8) -> Option<Der<'a>> {
        let mut all = Der::of(bytes);
        let inside = all.within(tag)?;
        all.end()?;
        Some(inside)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing follows.
    pub(super) fn end(&self) -> Option<()> {
        self.is_empty().then_some(())
    }

    /// The next value.
    pub(super) fn item(&mut self) -> Option<Item<'a>> {
        let (&tag, rest) = self.rest.split_first()?;
        // Tags of several bytes stand in none of the forms that are read here.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = digits
                    .iter()
                    .fold(0usize, |sum, digit| (sum << 8) | usize::from(*digit));
                let shortest = digits.first() != Some(&0) && length > 0x7f;
                (shortest.then_some(length)?, rest)
            }
            _ => return None,
        };
        let (value, after) = rest.split_at_checked(length)?;
        let (whole, _) = self
            .rest
            .split_at_checked(self.rest.len().checked_sub(after.len())?)?;
        self.rest = after;
        Some(Item { tag, value, whole })
    }

    /// The next value's bytes, if it has this tag.
    pub(super) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.item().filter(|item| item.tag == tag).map(|i| i.value)
    }

    /// The next value, with tag and length, if it has this tag.
    pub(super) fn whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.item().filter(|item| item.tag == tag).map(|i| i.whole)
    }

    /// What the next value holds, if it has this tag.
    pub(super) fn within(&mut self, tag: u8) -> Option<Der<'a>> {
        self.take(tag).map(Der::of)
    }

    /// The next value's bytes if it has this tag; otherwise nothing, and it is still the next one.
    pub(super) fn perhaps(&mut self, tag: u8) -> Option<Option<&'a [u8]>> {
        match self.rest.first() {
            Some(next) if *next == tag => self.take(tag).map(Some),
            _ => Some(None),
        }
    }

    /// A number that is not negative and fits.
    pub(super) fn number(bytes: &[u8]) -> Option<u64> {
        let bytes = match bytes {
            [0, rest @ ..] if !rest.is_empty() => rest,
            [first, ..] if *first < 0x80 => bytes,
            _ => return None,
        };
        (bytes.len() <= 8).then(|| {
            bytes
                .iter()
                .fold(0, |sum, digit| (sum << 8) | u64::from(*digit))
        })
    }

    /// An object identifier as people write it.
    pub(super) fn dotted(oid: &[u8]) -> Option<String> {
        let mut arcs: Vec<u64> = Vec::new();
        let mut arc = 0u64;
        let mut begun = false;
        for byte in oid {
            if arc >> 57 != 0 {
                return None;
            }
            arc = (arc << 7) | u64::from(byte & 0x7f);
            begun = byte & 0x80 != 0;
            if !begun {
                if arcs.is_empty() {
                    let first = (arc / 40).min(2);
                    arcs.extend([first, arc - first * 40]);
                } else {
                    arcs.push(arc);
                }
                arc = 0;
            }
        }
        if begun || arcs.is_empty() {
            return None;
        }
        let arcs: Vec<String> = arcs.iter().map(u64::to_string).collect();
        Some(arcs.join("."))
    }
}

/// One value of fewer than 128 bytes, written.
pub(super) fn short(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap_or(0x7f).min(0x7f);
    [&[tag, length], value].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_form_of_a_length_is_read() {
        let long = [&[OCTETS, 0x81, 0x80][..], &[7; 0x80]].concat();
        assert_eq!(Der::of(&long).take(OCTETS).unwrap().len(), 0x80);
        for wrong in [
            &[OCTETS, 0x81, 1, 7][..],
            &[OCTETS, 0x82, 0, 1, 7],
            &[OCTETS, 0x80, 0, 0],
            &[OCTETS, 2, 7],
            &[OCTETS],
            &[0x1f, 1, 7],
            &[OCTETS, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[OCTETS, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        ] {
            assert!(Der::of(wrong).item().is_none(), "{wrong:02x?}");
        }
        assert!(Der::only(&[OCTETS, 1, 7, 7], OCTETS).is_none());
    }

    #[test]
    fn object_identifiers_are_written_with_dots() {
        let dotted = |oid: &[u8]| Der::dotted(oid);
        assert_eq!(dotted(&[0x2a, 3, 4]).unwrap(), "1.2.3.4");
        assert_eq!(
            dotted(&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1]).unwrap(),
            "2.16.840.1.101.3.4.2.1"
        );
        assert_eq!(dotted(&[0x88, 0x37]).unwrap(), "2.999");
        assert!(dotted(&[]).is_none() && dotted(&[0x2a, 0x86]).is_none());
        assert!(dotted(&[0xff; 12]).is_none());
    }

    #[test]
    fn numbers_are_not_negative_and_fit() {
        assert_eq!(Der::number(&[0, 0xff]), Some(255));
        assert_eq!(Der::number(&[0]), Some(0));
        assert_eq!(Der::number(&[0x80]), None);
        assert_eq!(Der::number(&[]), None);
        assert_eq!(Der::number(&[1; 9]), None);
    }
}
