//! The reader: the bytes of one file go in, verified events come out.

use serde::{Deserialize, Serialize};
use vouchsafe_model::Time;

use super::content::{self, EventHeader, HEADER};
use super::error::BinlogError;
use super::event::{BinlogFormat, BinlogMeaning, BinlogRecord, Closed, EventKind, Outcome};
use super::gtids::GtidState;
use super::pending::{Event, SUM, is_read_whole, limit};
use super::transaction::Grouping;
use crate::token;

const MAGIC: [u8; 4] = [0xfe, b'b', b'i', b'n'];
const ENCRYPTED: [u8; 4] = [0xfd, b'b', b'i', b'n'];

/// Reads a file of a binary log from its beginning and verifies it.
///
/// After an error it takes nothing more and gives the same error again; what it has verified before stays true.
#[derive(Debug, Clone)]
pub struct BinlogReader {
    next: u64,
    magic: Vec<u8>,
    head: [u8; HEADER],
    have: usize,
    event: Option<Event>,
    format: Option<BinlogFormat>,
    grouping: Grouping,
    verified: u64,
    whole: u64,
    newest: Option<Time>,
    closed: Option<Closed>,
    failed: Option<BinlogError>,
}

/// What a reader knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinlogStatus {
    /// The next byte to be fed.
    pub next: u64,
    /// Up to here every event is contiguous and verified.
    pub verified: u64,
    /// Up to here all transactions are whole.
    pub whole: u64,
    /// The newest time of a committed transaction. They do not come in the order of their times.
    pub newest_commit: Option<Time>,
    /// Where the transaction began that has not ended.
    pub open: Option<u64>,
    /// How the file ended, if it has.
    pub closed: Option<Closed>,
    /// All transactions that have ended in this log so far, with those before the file.
    pub gtids: GtidState,
}

/// What another reader needs in order to go on in the same file after the last whole transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinlogPosition {
    /// The next byte of the file to be fed.
    pub whole: u64,
    /// The format of the file.
    pub format: BinlogFormat,
    /// All transactions up to there.
    pub gtids: GtidState,
    /// The newest time of a committed transaction.
    pub newest_commit: Option<Time>,
}

impl BinlogReader {
    /// Begins with the first byte of a file; `before` are the transactions that the file before it ended with, if that
    /// was read.
    pub fn new(before: GtidState) -> BinlogReader {
        BinlogReader {
            next: 0,
            magic: Vec::new(),
            head: [0; HEADER],
            have: 0,
            event: None,
            format: None,
            grouping: Grouping {
                open: None,
                gtids: before,
            },
            verified: 0,
            whole: 0,
            newest: None,
            closed: None,
            failed: None,
        }
    }

    /// Goes on in a file after what another reader has verified of it.
    pub fn resume(position: &BinlogPosition) -> BinlogReader {
        let at = position.whole.max(MAGIC.len() as u64);
        BinlogReader {
            next: at,
            format: Some(position.format.clone()),
            verified: at,
            whole: at,
            newest: position.newest_commit,
            ..BinlogReader::new(position.gtids.clone())
        }
    }

    /// From where another reader can go on; none before the format is known, or if the file has ended.
    pub fn position(&self) -> Option<BinlogPosition> {
        if self.closed.is_some() {
            return None;
        }
        Some(BinlogPosition {
            whole: self.whole,
            format: self.format.clone()?,
            gtids: self.grouping.gtids.clone(),
            newest_commit: self.newest,
        })
    }

    /// Takes the next bytes of the file, and gives out what became whole by them.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(BinlogRecord),
    ) -> Result<(), BinlogError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut bytes = bytes;
        while !bytes.is_empty() {
            match self.step(bytes, &mut take) {
                Ok(used) => {
                    self.next = self.next.saturating_add(used as u64);
                    bytes = bytes.get(used..).unwrap_or_default();
                }
                Err(error) => {
                    self.failed = Some(error.clone());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// What is known so far.
    pub fn status(&self) -> BinlogStatus {
        BinlogStatus {
            next: self.next,
            verified: self.verified,
            whole: self.whole,
            newest_commit: self.newest,
            open: self.grouping.open.as_ref().map(|open| open.begin),
            closed: self.closed.clone(),
            gtids: self.grouping.gtids.clone(),
        }
    }

    /// The format of the file, once it is known.
    pub fn format(&self) -> Option<&BinlogFormat> {
        self.format.as_ref()
    }

    fn step(
        &mut self,
        bytes: &[u8],
        take: &mut impl FnMut(BinlogRecord),
    ) -> Result<usize, BinlogError> {
        if self.next < MAGIC.len() as u64 {
            return self.take_magic(bytes);
        }
        let Some(event) = &mut self.event else {
            let room = self.head.get_mut(self.have..).unwrap_or_default();
            let count = room.len().min(bytes.len());
            for (to, from) in room.iter_mut().zip(bytes) {
                *to = *from;
            }
            self.have += count;
            if self.have == HEADER {
                self.have = 0;
                self.begin(take)?;
            }
            return Ok(count);
        };
        let (count, whole) = event.take(bytes);
        if whole && let Some(event) = self.event.take() {
            take(self.finish(event)?);
        }
        Ok(count)
    }

    fn take_magic(&mut self, bytes: &[u8]) -> Result<usize, BinlogError> {
        let count = bytes
            .len()
            .min(MAGIC.len().saturating_sub(self.magic.len()));
        self.magic
            .extend_from_slice(bytes.get(..count).unwrap_or_default());
        match <[u8; 4]>::try_from(self.magic.as_slice()) {
            Ok(MAGIC) => {
                self.verified = MAGIC.len() as u64;
                self.whole = self.verified;
                Ok(count)
            }
            Ok(ENCRYPTED) => Err(BinlogError::Encrypted { at: 0 }),
            Ok(found) => Err(BinlogError::Magic { found }),
            Err(_) => Ok(count),
        }
    }

    /// The header of an event is here.
    fn begin(&mut self, take: &mut impl FnMut(BinlogRecord)) -> Result<(), BinlogError> {
        let at = self.verified;
        let Some(header) = EventHeader::parse(&self.head) else {
            return Ok(());
        };
        let kind = EventKind(header.kind);
        if self.format.is_none() && kind != EventKind::FORMAT {
            return Err(BinlogError::UnknownFormat { at });
        }
        let size = header.size;
        let sum_length = self.sum_length(kind);
        if (size as usize) < HEADER + sum_length {
            return Err(BinlogError::Size { at, size });
        }
        let expected = at.wrapping_add(u64::from(size)) as u32;
        if header.end != expected {
            let found = header.end;
            return Err(BinlogError::End {
                at,
                expected,
                found,
            });
        }
        let body = (size as usize).saturating_sub(HEADER + sum_length);
        if is_read_whole(kind) && body > limit(kind) {
            return Err(BinlogError::TooLong { at, size });
        }
        let event = Event::begin(at, header, &self.head);
        if size as usize == HEADER {
            take(self.finish(event)?);
        } else {
            self.event = Some(event);
        }
        Ok(())
    }

    /// The description of the format always has a checksum.
    fn sum_length(&self, kind: EventKind) -> usize {
        let has = self.format.as_ref().is_none_or(|format| format.checksums);
        if has || kind == EventKind::FORMAT {
            SUM
        } else {
            0
        }
    }

    /// All bytes of the event are here.
    fn finish(&mut self, mut event: Event) -> Result<BinlogRecord, BinlogError> {
        let (at, header) = (event.at, event.header);
        let kind = EventKind(header.kind);
        let end = at.saturating_add(u64::from(header.size));
        let sum_length = self.sum_length(kind);
        if sum_length > 0 && !event.prove() {
            let size = header.size;
            return Err(BinlogError::Checksum { at, size });
        }
        let length = (header.size as usize).saturating_sub(HEADER + sum_length);
        let body = event
            .body
            .get(..length.min(event.body.len()))
            .unwrap_or_default();
        let meaning = self.meaning(at, &header, body, length)?;
        let may_hold_one = kind == EventKind::QUERY || kind.holds_rows();
        let token = match may_hold_one && body.len() == length {
            true => token::last_in(body),
            false => None,
        };
        if let BinlogMeaning::End(transaction) = &meaning
            && transaction.outcome == Outcome::Committed
        {
            self.newest = self.newest.max(Some(transaction.time));
        }
        self.verified = end;
        if self.grouping.open.is_none() {
            self.whole = end;
        }
        Ok(BinlogRecord {
            at,
            end,
            kind,
            server: header.server,
            flags: header.flags,
            time: Time::from_secs(i64::from(header.time)),
            meaning,
            token,
        })
    }

    fn meaning(
        &mut self,
        at: u64,
        header: &EventHeader,
        body: &[u8],
        length: usize,
    ) -> Result<BinlogMeaning, BinlogError> {
        let kind = EventKind(header.kind);
        let malformed = BinlogError::Malformed { at, kind };
        if self.closed.is_some() {
            return Err(BinlogError::AfterEnd { at });
        }
        match kind {
            EventKind::FORMAT => {
                let format = content::format(body, header.flags);
                let format = format.ok_or(BinlogError::UnknownFormat { at })?;
                self.format = Some(format.clone());
                Ok(BinlogMeaning::Format(format))
            }
            EventKind::PREVIOUS => {
                let set = content::previous(body).ok_or(malformed)?;
                self.grouping.gtids.begin_with_set(&set)?;
                Ok(BinlogMeaning::Previous(set))
            }
            EventKind::MARIA_LIST => {
                let list = content::maria_list(body).ok_or(malformed)?;
                self.grouping.gtids.begin_with_list(&list)?;
                Ok(BinlogMeaning::List(list))
            }
            EventKind::MARIA_ENCRYPTION => Err(BinlogError::Encrypted {
                at: at.saturating_add(u64::from(header.size)),
            }),
            EventKind::ROTATE => {
                let (position, file) = content::rotate(body).ok_or(malformed)?;
                self.close(at, Closed::Rotated { file, position })
            }
            EventKind::STOP => self.close(at, Closed::Stopped),
            _ => self.grouping.take(at, header, body, length),
        }
    }

    fn close(&mut self, at: u64, closed: Closed) -> Result<BinlogMeaning, BinlogError> {
        self.grouping.refuse_open(at)?;
        self.closed = Some(closed.clone());
        Ok(BinlogMeaning::Closed(closed))
    }
}
