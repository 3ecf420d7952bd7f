//! The contents of the events that concern us; none if they are not what such an event has.

use super::event::BinlogFormat;
use super::tagged;
use crate::fields::Fields;
use crate::gtid::{Gtid, GtidSet, MariaGtid, Source};

/// Bytes of an event's header.
pub(crate) const HEADER: usize = 19;

/// The header of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventHeader {
    pub(crate) time: u32,
    pub(crate) kind: u8,
    pub(crate) server: u32,
    pub(crate) size: u32,
    /// Where the event ends, in 32 bits.
    pub(crate) end: u32,
    pub(crate) flags: u16,
}

impl EventHeader {
    pub(crate) fn parse(bytes: &[u8; HEADER]) -> Option<EventHeader> {
        let mut fields = Fields::of(bytes);
        Some(EventHeader {
            time: fields.u32()?,
            kind: fields.u8()?,
            server: fields.u32()?,
            size: fields.u32()?,
            end: fields.u32()?,
            flags: fields.u16()?,
        })
    }
}

/// The flag of a file that is being written.
pub(crate) const IN_USE: u16 = 1;

/// A format description without its checksum. Its last byte says whether events have one.
pub(crate) fn format(body: &[u8], flags: u16) -> Option<BinlogFormat> {
    let mut fields = Fields::of(body);
    let layout = fields.u16()?;
    let version = fields.bytes(50)?.split(|byte| *byte == 0).next()?;
    fields.u32()?;
    let header = fields.u8()?;
    let (algorithm, _) = fields.rest().split_last()?;
    if layout != 4 || usize::from(header) != HEADER || *algorithm > 1 {
        return None;
    }
    Some(BinlogFormat {
        version: String::from_utf8_lossy(version).into_owned(),
        checksums: *algorithm == 1,
        in_use: flags & IN_USE != 0,
    })
}

/// What a statement is for the transaction that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statement {
    Begin,
    Commit,
    Rollback,
    Other,
}

/// A query event, of whose `length` bytes at least the beginning is here.
pub(crate) fn statement(body: &[u8], length: usize) -> Option<Statement> {
    let mut fields = Fields::of(body);
    fields.u64()?;
    let database = fields.u8()?;
    fields.u16()?;
    let status = fields.u16()?;
    fields.bytes(usize::from(status))?;
    // The name ends with a NUL.
    fields.bytes(usize::from(database) + 1)?;
    let text = fields.rest();
    let is_all = body.len() == length;
    Some(match text {
        b"BEGIN" if is_all => Statement::Begin,
        b"COMMIT" if is_all => Statement::Commit,
        b"ROLLBACK" if is_all => Statement::Rollback,
        _ if text.starts_with(b"XA START ") || text.starts_with(b"XA BEGIN ") => Statement::Begin,
        _ => Statement::Other,
    })
}

/// A rotation: the position, and the name of the next file.
pub(crate) fn rotate(body: &[u8]) -> Option<(u64, Vec<u8>)> {
    let mut fields = Fields::of(body);
    let position = fields.u64()?;
    Some((position, fields.rest().to_vec()))
}

/// MySQL's GTID: none in the second place if it is anonymous, and when it was committed in microseconds since 1970.
pub(crate) fn gtid(body: &[u8]) -> Option<(Gtid, Option<u64>)> {
    const LOGICAL_CLOCK: u8 = 2;
    /// The bit that says that another time follows.
    const MORE: u64 = 1 << 55;
    let mut fields = Fields::of(body);
    fields.u8()?;
    let source = Source::of(fields.array()?);
    let number = fields.u64()?;
    let mut time = None;
    if fields.u8() == Some(LOGICAL_CLOCK) && fields.bytes(16).is_some() {
        time = fields.array::<7>().map(|bytes| {
            let [a, b, c, d, e, f, g] = bytes;
            u64::from_le_bytes([a, b, c, d, e, f, g, 0]) & !MORE
        });
    }
    Some((Gtid { source, number }, time))
}

/// MySQL's set of all transactions before a file. (`Gtid_set::encode`)
pub(crate) fn previous(body: &[u8]) -> Option<GtidSet> {
    let mut fields = Fields::of(body);
    let head = fields.u64()?;
    let tagged = match head >> 56 {
        0 => false,
        1 => true,
        _ => return None,
    };
    let sources = if tagged {
        (head >> 8) & 0xFFFF_FFFF_FFFF
    } else {
        head
    };
    let mut set = GtidSet::default();
    for _ in 0..sources {
        let uuid = fields.array()?;
        let tag = if tagged {
            let length = usize::try_from(tagged::number(&mut fields)?).ok()?;
            std::str::from_utf8(fields.bytes(length)?).ok()?
        } else {
            ""
        };
        let source = Source::tagged(uuid, tag)?;
        for _ in 0..fields.u64()? {
            let (first, beyond) = (fields.u64()?, fields.u64()?);
            if !set.insert(&source, first, beyond.checked_sub(1)?) {
                return None;
            }
        }
    }
    fields.rest().is_empty().then_some(set)
}

/// How a transaction of MariaDB begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MariaBegin {
    pub(crate) gtid: MariaGtid,
    /// One statement follows and no commit.
    pub(crate) standalone: bool,
}

pub(crate) fn maria_gtid(body: &[u8], server: u32) -> Option<MariaBegin> {
    const STANDALONE: u8 = 1;
    const COMPLETES_XA: u8 = 128;
    let mut fields = Fields::of(body);
    let (sequence, domain, flags) = (fields.u64()?, fields.u32()?, fields.u8()?);
    let gtid = MariaGtid {
        domain,
        server,
        sequence,
    };
    Some(MariaBegin {
        gtid,
        standalone: flags & (STANDALONE | COMPLETES_XA) != 0,
    })
}

/// MariaDB's list of the last transactions before a file.
pub(crate) fn maria_list(body: &[u8]) -> Option<Vec<MariaGtid>> {
    let mut fields = Fields::of(body);
    // The highest four bits are flags.
    let count = fields.u32()? & 0x0FFF_FFFF;
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(MariaGtid {
            domain: fields.u32()?,
            server: fields.u32()?,
            sequence: fields.u64()?,
        });
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_set_of_previous_transactions_is_read_with_and_without_tags() {
        let uuid = [0x3e; 16];
        let interval =
            |first: u64, beyond: u64| [first.to_le_bytes(), beyond.to_le_bytes()].concat();
        let plain = [
            &1_u64.to_le_bytes()[..],
            &uuid,
            &2_u64.to_le_bytes(),
            &interval(1, 6),
            &interval(7, 8),
        ]
        .concat();
        let text = previous(&plain).unwrap().to_string();
        assert!(text.ends_with(":1-5:7"), "{text}");
        let head = (1_u64 << 56 | 2 << 8 | 1).to_le_bytes();
        let one = [&1_u64.to_le_bytes()[..], &interval(1, 3)].concat();
        let tagged = [&head[..], &uuid, &[0], &one, &uuid, &[2 << 1], b"ab", &one].concat();
        let text = previous(&tagged).unwrap().to_string();
        assert!(text.ends_with("3e:1-2:ab:1-2"), "{text}");
        for bytes in [&plain, &tagged] {
            for cut in 0..bytes.len() {
                assert_eq!(previous(&bytes[..cut]), None);
            }
            assert_eq!(previous(&[bytes, &[0][..]].concat()), None);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_contents_are_survived(
            body in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(2), Just(255), any::<u8>()], 0..120),
        ) {
            let _ = format(&body, 0);
            let _ = statement(&body, body.len());
            let _ = rotate(&body);
            let _ = gtid(&body);
            let _ = previous(&body);
            let _ = maria_gtid(&body, 1);
            let _ = maria_list(&body);
        }
    }
}
