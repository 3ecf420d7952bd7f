//! Certificates of authorities: whose they are, when they are valid, and what they are for.

use super::der::{
    AT_0, BIT_STRING, BMP, BOOLEAN, Der, IN_0, IN_3, INTEGER, Item, OCTETS, OID, SEQUENCE, SET,
    TIME, UTC_TIME,
};

const SUBJECT_KEY: &[u8] = &[0x55, 0x1d, 0x0e];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// The purpose of time stamps: 1.3.6.1.5.5.7.3.8.
pub(super) const TIME_STAMPING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 8];

/// A certificate, taken apart as far as time stamps need it.
pub(super) struct Certificate<'a> {
    /// All of it.
    pub(super) whole: &'a [u8],
    pub(super) serial: &'a [u8],
    /// The name of who issued it, with tag and length.
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    /// The first and the last second in which it is valid: 14 digits, whose order as texts is that of time.
    valid: (String, String),
    extensions: Vec<Extension<'a>>,
}

struct Extension<'a> {
    id: &'a [u8],
    critical: bool,
    value: &'a [u8],
}

impl<'a> Certificate<'a> {
    pub(super) fn parse(whole: &'a [u8]) -> Option<Certificate<'a>> {
        let mut outer = Der::only(whole, SEQUENCE)?;
        let mut body = outer.within(SEQUENCE)?;
        body.perhaps(IN_0)?;
        let serial = body.take(INTEGER)?;
        body.take(SEQUENCE)?;
        let issuer = body.whole(SEQUENCE)?;
        let mut valid = body.within(SEQUENCE)?;
        let valid = (digits(valid.item()?)?, digits(valid.item()?)?);
        let subject = body.whole(SEQUENCE)?;
        body.take(SEQUENCE)?;
        let mut extensions = Vec::new();
        while !body.is_empty() {
            let more = body.item()?;
            if more.tag != IN_3 {
                continue;
            }
            let mut list = Der::only(more.value, SEQUENCE)?;
            while !list.is_empty() {
                let mut one = list.within(SEQUENCE)?;
                extensions.push(Extension {
                    id: one.take(OID)?,
                    critical: one.perhaps(BOOLEAN)?.is_some_and(|flag| flag != [0]),
                    value: one.take(OCTETS)?,
                });
            }
        }
        Some(Certificate {
            whole,
            serial,
            issuer,
            subject,
            valid,
            extensions,
        })
    }

    /// Whether it is valid in that second, written with 14 digits.
    pub(super) fn is_valid_at(&self, second: &str) -> bool {
        self.valid.0.as_str() <= second && second <= self.valid.1.as_str()
    }

    /// `20260131040000 to 20270131040000`
    pub(super) fn validity(&self) -> String {
        format!("{} to {}", self.valid.0, self.valid.1)
    }

    pub(super) fn has_key_id(&self, id: &[u8]) -> bool {
        let mine = self.extension(SUBJECT_KEY);
        let mine = mine.and_then(|e| Der::of(e.value).take(OCTETS));
        mine == Some(id)
    }

    /// Why it must not sign time stamps, if so: RFC 3161, section 2.3, and RFC 5280, section 4.2.1.12.
    pub(super) fn unfit(&self) -> Option<&'static str> {
        let Some(usage) = self.extension(EXTENDED_KEY_USAGE) else {
            return Some("it says nothing of its purpose, which must be time stamping");
        };
        let purposes = Der::only(usage.value, SEQUENCE);
        let only = purposes.and_then(|mut all| {
            let first = all.take(OID)?;
            all.end()?;
            Some(first)
        });
        if only != Some(TIME_STAMPING) {
            return Some("its purpose is not time stamping, and that alone");
        }
        if !usage.critical {
            return Some("its purpose, time stamping, is not marked as critical");
        }
        let bits = self.extension(KEY_USAGE).map(|e| key_usage(e.value));
        match bits {
            // Signatures and non-repudiation, and nothing else.
            None | Some(Some(0x80 | 0x40 | 0xc0)) => None,
            _ => Some("its key is not for signatures alone"),
        }
    }

    fn extension(&self, id: &[u8]) -> Option<&Extension<'a>> {
        self.extensions.iter().find(|known| known.id == id)
    }
}

/// The bits of a key's usage, if all of them are in the first byte.
fn key_usage(value: &[u8]) -> Option<u8> {
    match Der::of(value).take(BIT_STRING)? {
        [unused, bits, rest @ ..] if *unused < 8 && rest.iter().all(|more| *more == 0) => {
            Some(*bits)
        }
        _ => None,
    }
}

/// A time of a certificate as 14 digits.
fn digits(time: Item<'_>) -> Option<String> {
    let text = std::str::from_utf8(time.value).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match (time.tag, text.len()) {
        (UTC_TIME, 12) if text >= "5" => Some(format!("19{text}")),
        (UTC_TIME, 12) => Some(format!("20{text}")),
        (TIME, 14) => Some(text.to_owned()),
        _ => None,
    }
}

/// A name as people read it: `C=GB, O=Example, CN=Example Time Stamping`, in the order of the certificate.
///
/// This text is in the record for ever and compared there, so the same name must always give the same text.
pub(super) fn name_text(name: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut sets = Der::only(name, SEQUENCE)?;
    while !sets.is_empty() {
        let mut set = sets.within(SET)?;
        while !set.is_empty() {
            let mut one = set.within(SEQUENCE)?;
            let kind = one.take(OID)?;
            let value = one.item()?;
            one.end()?;
            let text = match value.tag {
                BMP => {
                    let units = value.value.chunks(2).map(|pair| match pair {
                        [high, low] => u16::from_be_bytes([*high, *low]),
                        _ => u16::MAX,
                    });
                    String::from_utf16_lossy(&units.collect::<Vec<u16>>())
                }
                _ => String::from_utf8_lossy(value.value).into_owned(),
            };
            parts.push(format!("{}={}", attribute(kind)?, plain(&text)));
        }
    }
    Some(parts.join(", "))
}

/// What may stand in a line of text, at most 200 letters of it.
pub(super) fn plain(text: &str) -> String {
    let shown = text.chars().take(200);
    shown
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn attribute(kind: &[u8]) -> Option<String> {
    Some(
        match kind {
            [0x55, 4, 3] => "CN",
            [0x55, 4, 5] => "serialNumber",
            [0x55, 4, 6] => "C",
            [0x55, 4, 7] => "L",
            [0x55, 4, 8] => "ST",
            [0x55, 4, 10] => "O",
            [0x55, 4, 11] => "OU",
            [0x55, 4, 97] => "organizationIdentifier",
            other => return Der::dotted(other),
        }
        .to_owned(),
    )
}

/// The certificate that an identifier of RFC 5652 means.
pub(super) enum Whose<'a> {
    Issued { issuer: &'a [u8], serial: &'a [u8] },
    Key(&'a [u8]),
}

impl<'a> Whose<'a> {
    pub(super) fn read(item: Item<'a>) -> Option<Whose<'a>> {
        match item.tag {
            SEQUENCE => {
                let mut inside = Der::of(item.value);
                let (issuer, serial) = (inside.whole(SEQUENCE)?, inside.take(INTEGER)?);
                inside.end()?;
                Some(Whose::Issued { issuer, serial })
            }
            AT_0 => Some(Whose::Key(item.value)),
            _ => None,
        }
    }

    pub(super) fn is(&self, certificate: &Certificate<'_>) -> bool {
        match self {
            Whose::Issued { issuer, serial } => {
                certificate.issuer == *issuer && certificate.serial == *serial
            }
            Whose::Key(id) => certificate.has_key_id(id),
        }
    }
}
