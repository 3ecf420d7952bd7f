//! An event of which not all bytes have come yet.

use super::content::{EventHeader, HEADER, IN_USE};
use super::event::EventKind;
use crate::checksum::Checksum;

/// A list of GTIDs longer than this is refused, so that no event takes memory without bound.
pub const CONTENT_LIMIT: usize = 16 << 20;
/// So much of a statement is looked at: its status variables, and the beginning of its text.
const STATEMENT_LIMIT: usize = 72 << 10;
/// So much of rows is looked at: enough for one with a token, before and after.
const ROWS_LIMIT: usize = 1 << 10;
/// Bytes of a checksum.
pub(crate) const SUM: usize = 4;

/// An event whose header is here.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) at: u64,
    pub(crate) header: EventHeader,
    checksum: Checksum,
    /// Bytes of the body that have come, with the checksum at their end.
    got: usize,
    /// As many of the body's bytes as its kind needs.
    pub(crate) body: Vec<u8>,
    sum: [u8; SUM],
}

impl Event {
    pub(crate) fn begin(at: u64, header: EventHeader, raw: &[u8; HEADER]) -> Event {
        let mut checksum = Checksum::zlib();
        let mut raw = *raw;
        if EventKind(header.kind) == EventKind::FORMAT {
            // That the file is in use is noted after the checksum was computed.
            let [.., low, high] = &mut raw;
            [*low, *high] = (header.flags & !IN_USE).to_le_bytes();
        }
        checksum.update(&raw);
        Event {
            at,
            header,
            checksum,
            got: 0,
            body: Vec::new(),
            sum: [0; SUM],
        }
    }

    /// Takes what belongs to the event; how many bytes, and whether it is whole. The last four bytes are kept back,
    /// since they are the checksum if there is one.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let all = (self.header.size as usize).saturating_sub(HEADER);
        let bytes = bytes.get(..all.saturating_sub(self.got)).unwrap_or(bytes);
        let checked = all
            .saturating_sub(SUM)
            .saturating_sub(self.got)
            .min(bytes.len());
        let (covered, sum) = bytes.split_at_checked(checked).unwrap_or((bytes, &[]));
        self.checksum.update(covered);
        let from = (self.got + covered.len()).saturating_sub(all.saturating_sub(SUM));
        let room = self.sum.get_mut(from..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(sum) {
            *to = *from;
        }
        let room = limit(EventKind(self.header.kind)).saturating_sub(self.body.len());
        self.body
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.got += bytes.len();
        (bytes.len(), self.got == all)
    }

    pub(crate) fn prove(&mut self) -> bool {
        self.checksum.value() == u32::from_le_bytes(self.sum)
    }
}

/// How many bytes of such an event are looked into, with its checksum.
pub(crate) fn limit(kind: EventKind) -> usize {
    match kind {
        EventKind::QUERY => STATEMENT_LIMIT,
        EventKind::PREVIOUS | EventKind::MARIA_LIST => CONTENT_LIMIT,
        EventKind::FORMAT
        | EventKind::ROTATE
        | EventKind::GTID
        | EventKind::ANONYMOUS
        | EventKind::TAGGED_GTID
        | EventKind::XA_PREPARE
        | EventKind::MARIA_GTID => 4096,
        kind if kind.holds_rows() => ROWS_LIMIT,
        _ => 0,
    }
}

/// Whether all of such an event must be looked into, or it is refused.
pub(crate) fn is_read_whole(kind: EventKind) -> bool {
    kind != EventKind::QUERY && !kind.holds_rows() && limit(kind) > 0
}
