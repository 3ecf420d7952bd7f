//! Reading records one after the other: each must follow on the one before it, and every frame in them is verified.

use vouchsafe_model::Time;

use super::frame::{Frame, FrameError, WalCursor};
use super::header::{HEADER, HeaderError, Salts, Sum, WalHeader};
use super::record::{Joint, RECORD_HEADER, Record, RecordError};

/// Reads records from the first one of a generation on.
#[derive(Debug)]
pub struct RecordReader {
    /// Where the next record begins.
    position: u64,
    /// What of it is there.
    buffer: Vec<u8>,
    last: Option<Record>,
    /// The generation that is read.
    cursor: Option<WalCursor>,
    /// Up to where its transactions are whole.
    committed: u64,
    looked: Looked,
}

/// What is read, piece by piece.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A page, within a look that may not be whole yet.
    Frame {
        /// It.
        frame: Frame<'a>,
        /// Bytes of every page of its generation.
        page_size: u32,
    },
    /// A record, behind its pages.
    Record {
        /// It.
        record: Record,
        /// Its header and the log behind it.
        bytes: &'a [u8],
        /// Where it ends.
        end: u64,
    },
    /// A look that is whole, behind its last record.
    Look(Looked),
}

/// A whole look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Where its last record ends.
    pub end: u64,
    /// When it began.
    pub begun: Time,
    /// When it ended.
    pub time: Time,
    /// The generation that was seen.
    pub salts: Salts,
    /// Up to where.
    pub to: u64,
    /// Transactions that were new in it.
    pub commits: u64,
    /// Pages of the database after the last of them.
    pub pages: Option<u32>,
}

/// Why records cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It is none.
    #[error("at byte {at}: {error}")]
    Record {
        /// Where.
        at: u64,
        /// How it is wrong.
        error: RecordError,
    },
    /// It does not follow on the one before it.
    #[error("the record at byte {at} does not follow on the one before it")]
    Order {
        /// Where.
        at: u64,
    },
    /// Part of the log was never seen.
    #[error("before the record at byte {at} a part of the log is missing")]
    Gap {
        /// Where.
        at: u64,
    },
    /// The log in it does not begin as one.
    #[error("the record at byte {at} holds no log: {error}")]
    Header {
        /// Where.
        at: u64,
        /// How it is wrong.
        error: HeaderError,
    },
    /// The log in it is damaged.
    #[error("the record at byte {at} is damaged: {error}")]
    Frame {
        /// Where.
        at: u64,
        /// How it is wrong.
        error: FrameError,
    },
    /// The log in it is not what the record says.
    #[error("the record at byte {at} says something else than the log in it")]
    Content {
        /// Where.
        at: u64,
    },
}

impl RecordReader {
    /// From the record at this place on, which must be the first of its generation.
    pub fn at(position: u64) -> RecordReader {
        RecordReader {
            position,
            buffer: Vec::new(),
            last: None,
            cursor: None,
            committed: 0,
            looked: Looked::default(),
        }
    }

    /// Up to where whole records were read.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Reads the next bytes, wherever they are cut.
    ///
    /// # Errors
    /// [`ReplayError`]: nothing can be read beyond that.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(Step<'_>),
    ) -> Result<(), ReplayError> {
        loop {
            let at = self.position;
            let record =
                Record::parse(&self.buffer).map_err(|error| ReplayError::Record { at, error })?;
            let needed = RECORD_HEADER + record.map_or(0, |record| record.length());
            if record.is_some() && self.buffer.len() >= needed {
                let buffer = std::mem::take(&mut self.buffer);
                if let Some(record) = record {
                    self.read(record, &buffer, &mut take)?;
                }
                continue;
            }
            if bytes.is_empty() {
                return Ok(());
            }
            let missing = needed.saturating_sub(self.buffer.len());
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
        }
    }

    fn read(
        &mut self,
        record: Record,
        bytes: &[u8],
        take: &mut impl FnMut(Step<'_>),
    ) -> Result<(), ReplayError> {
        let at = self.position;
        let is_new = self.joins(&record)?;
        let mut log = bytes.get(RECORD_HEADER..).unwrap_or_default();
        if is_new {
            self.committed = 0;
            self.cursor = None;
            if record.salts != Salts::NONE {
                let header =
                    WalHeader::parse(log).map_err(|error| ReplayError::Header { at, error })?;
                self.cursor = Some(WalCursor::after(header));
                self.committed = HEADER as u64;
                log = log.get(HEADER..).unwrap_or_default();
            }
        }
        self.frames(log, take)?;
        let (to, sum, salts) = match &self.cursor {
            Some(cursor) => (cursor.offset(), cursor.sum(), cursor.header().salts),
            None => (0, Sum::default(), Salts::NONE),
        };
        let is_cut = record.whole && self.committed != to;
        if (to, sum, salts) != (record.to, record.sum, record.salts) || is_cut {
            return Err(ReplayError::Content { at });
        }
        self.position = at.saturating_add(bytes.len() as u64);
        self.last = Some(record);
        take(Step::Record {
            record,
            bytes,
            end: self.position,
        });
        if record.whole {
            let looked = Looked {
                end: self.position,
                begun: record.begun,
                time: record.time,
                salts,
                to,
                ..std::mem::take(&mut self.looked)
            };
            take(Step::Look(looked));
        }
        Ok(())
    }

    /// Whether a record begins a generation, if it may stand there at all.
    fn joins(&self, record: &Record) -> Result<bool, ReplayError> {
        let at = self.position;
        let begins = record.generation == at && record.from == 0;
        let Some(last) = &self.last else {
            return match begins {
                true => Ok(true),
                false => Err(ReplayError::Order { at }),
            };
        };
        if record.joint != Joint::GoesOn {
            return Err(ReplayError::Gap { at });
        }
        let goes_on = record.generation == last.generation
            && record.salts == last.salts
            && record.from == last.to;
        match (goes_on, begins && last.whole) {
            (true, _) => Ok(false),
            (false, true) => Ok(true),
            (false, false) => Err(ReplayError::Order { at }),
        }
    }

    fn frames(
        &mut self,
        mut log: &[u8],
        take: &mut impl FnMut(Step<'_>),
    ) -> Result<(), ReplayError> {
        let at = self.position;
        let Some(cursor) = &mut self.cursor else {
            return match log.is_empty() {
                true => Ok(()),
                false => Err(ReplayError::Content { at }),
            };
        };
        let page_size = cursor.header().page_size;
        while !log.is_empty() {
            let frame = cursor
                .next(log)
                .map_err(|error| ReplayError::Frame { at, error })?;
            if let Some(pages) = frame.commit {
                self.committed = cursor.offset();
                self.looked.commits = self.looked.commits.saturating_add(1);
                self.looked.pages = Some(pages);
            }
            take(Step::Frame { frame, page_size });
            log = log.get(cursor.frame_length()..).unwrap_or_default();
        }
        Ok(())
    }
}
