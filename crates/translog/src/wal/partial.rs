//! A record of which not all bytes have come yet.

use super::content::MESSAGE_LIMIT;
use super::error::WalError;
use super::lsn::Lsn;
use super::record::{CHECKED, HEADER, LONGEST, RecordHeader};
use crate::checksum::Checksum;

/// What is kept of a record while its bytes come: the header, the running checksum, and of those that concern us as
/// much of the body as the limit allows.
#[derive(Debug, Clone)]
pub(crate) struct Partial {
    pub(crate) start: Lsn,
    /// Bytes that have come.
    got: u32,
    raw: [u8; HEADER],
    header: Option<RecordHeader>,
    checksum: Checksum,
    body: Vec<u8>,
    /// Zeros at the end of what has come.
    zeros: u32,
}

/// How a record goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More bytes are needed.
    More,
    /// The length is 0: no record begins here.
    Empty,
    /// The header is here.
    Header(RecordHeader),
    /// All bytes are here.
    Whole(RecordHeader),
}

impl Partial {
    pub(crate) fn new() -> Partial {
        Partial {
            start: Lsn(0),
            got: 0,
            raw: [0; HEADER],
            header: None,
            checksum: Checksum::castagnoli(),
            body: Vec::new(),
            zeros: 0,
        }
    }

    /// Begins anew with the record at `start`.
    pub(crate) fn begin(&mut self, start: Lsn) {
        self.start = start;
        self.got = 0;
        self.header = None;
        self.checksum.reset();
        self.body.clear();
        self.zeros = 0;
    }

    /// How long the record is; none as long as that has not come.
    pub(crate) fn length(&self) -> Option<u32> {
        let [a, b, c, d, ..] = self.raw;
        (self.got >= 4).then(|| u32::from_le_bytes([a, b, c, d]))
    }

    /// Bytes that are missing; none if that is not known.
    pub(crate) fn missing(&self) -> Option<u32> {
        self.length().map(|length| length.saturating_sub(self.got))
    }

    /// Takes the next bytes of a page; how many of them.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(usize, Progress), WalError> {
        match self.header {
            Some(header) => Ok(self.take_body(header, bytes)),
            None => self.take_header(bytes),
        }
    }

    /// The body as far as it was kept.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The checksum covers the body first, then the header up to the checksum. (`access/transam/xlogreader.c`)
    pub(crate) fn prove(&mut self, header: &RecordHeader) -> Result<(), WalError> {
        self.checksum
            .update(self.raw.get(..CHECKED).unwrap_or_default());
        if self.checksum.value() == header.checksum {
            return Ok(());
        }
        Err(WalError::Checksum {
            record: self.start,
            length: header.length,
            zeros: self.zeros,
        })
    }

    /// Takes first the length, so that an empty place is seen before anything else is read.
    fn take_header(&mut self, bytes: &[u8]) -> Result<(usize, Progress), WalError> {
        let got = self.got as usize;
        let goal = if got < 4 { 4 } else { HEADER };
        let Some(room) = self.raw.get_mut(got..goal) else {
            return Ok((0, Progress::More));
        };
        let count = room.len().min(bytes.len());
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.note(bytes.get(..count).unwrap_or_default());
        if self.got < 4 {
            return Ok((count, Progress::More));
        }
        let length = self.length().unwrap_or_default();
        if length == 0 {
            return Ok((count, Progress::Empty));
        }
        if !(HEADER as u32..=LONGEST).contains(&length) {
            let record = self.start;
            return Err(WalError::RecordLength { record, length });
        }
        if (self.got as usize) < HEADER {
            return Ok((count, Progress::More));
        }
        self.header = RecordHeader::parse(&self.raw);
        let progress = self.header.map_or(Progress::More, Progress::Header);
        Ok((count, progress))
    }

    fn take_body(&mut self, header: RecordHeader, bytes: &[u8]) -> (usize, Progress) {
        let missing = header.length.saturating_sub(self.got) as usize;
        let taken = bytes.get(..missing).unwrap_or(bytes);
        self.checksum.update(taken);
        self.note(taken);
        if header.concerns_us() {
            let room = MESSAGE_LIMIT.saturating_sub(self.body.len());
            self.body
                .extend_from_slice(taken.get(..room).unwrap_or(taken));
        }
        if taken.len() == missing {
            (taken.len(), Progress::Whole(header))
        } else {
            (taken.len(), Progress::More)
        }
    }

    fn note(&mut self, taken: &[u8]) {
        let zeros = taken.iter().rev().take_while(|byte| **byte == 0).count();
        let before = if zeros == taken.len() { self.zeros } else { 0 };
        // No record is longer than 32 bits.
        self.zeros = before.saturating_add(zeros as u32);
        self.got = self.got.saturating_add(taken.len() as u32);
    }
}
