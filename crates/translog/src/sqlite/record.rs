//! Records of what was seen of a log: SQLite's own log bears no times, and is begun anew again and again.

use vouchsafe_model::Time;

use super::header::{Salts, Sum};
use crate::fields::Fields;

/// Bytes before the log in a record.
pub const RECORD_HEADER: usize = 96;
/// Most bytes of log in a record: so many that any frame has room.
pub const RECORD_LIMIT: usize = 2 << 20;

const MAGIC: &[u8; 8] = b"VSQLLOG1";

/// A part of a look at a log: which bytes were new in it, and when that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// How it follows on the one before it.
    pub joint: Joint,
    /// Whether the look ends with it: what was committed is whole only then.
    pub whole: bool,
    /// When the look began: what was committed before is part of it.
    pub begun: Time,
    /// When the look ended: what is part of it was committed before.
    pub time: Time,
    /// The generation of the log; none where there was no log.
    pub salts: Salts,
    /// Where the first record of that generation stands among all records, counted in bytes.
    pub generation: u64,
    /// From this byte of the log on.
    pub from: u64,
    /// Up to this one.
    pub to: u64,
    /// The running sum at `to`.
    pub sum: Sum,
    /// The database file beside the log.
    pub stamp: Stamp,
}

/// How a record follows on the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// Nothing lies between them.
    GoesOn,
    /// There is none before it.
    First,
    /// The log had been begun anew, and what it held last was not seen.
    Removed,
    /// The database is another one, or another state of it, than what was seen.
    Diverged,
    /// What was seen before was lost.
    Lost,
}

/// By which it shows that a database file was not written to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Its inode.
    pub file: u64,
    /// Its length.
    pub size: u64,
    /// When it was last written to, in nanoseconds.
    pub modified: i64,
}

/// Bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what stands there is no record of a look at a log")]
pub struct RecordError;

impl Joint {
    const ALL: [(u8, Joint); 5] = [
        (0, Joint::GoesOn),
        (1, Joint::First),
        (2, Joint::Removed),
        (3, Joint::Diverged),
        (4, Joint::Lost),
    ];
}

impl Record {
    /// So many bytes of log follow its header.
    pub fn length(&self) -> usize {
        usize::try_from(self.to.saturating_sub(self.from)).unwrap_or(usize::MAX)
    }

    /// The header.
    pub fn to_bytes(&self) -> [u8; RECORD_HEADER] {
        let joint = Joint::ALL.iter().find(|(_, joint)| *joint == self.joint);
        let flags = [
            joint.map_or(0, |(byte, _)| *byte),
            u8::from(self.whole),
            0,
            0,
            0,
            0,
            0,
            0,
        ];
        let fields = [
            *MAGIC,
            flags,
            self.begun.micros().to_le_bytes(),
            self.time.micros().to_le_bytes(),
            self.salts.0,
            self.generation.to_le_bytes(),
            self.from.to_le_bytes(),
            self.to.to_le_bytes(),
            self.sum.to_bytes(),
            self.stamp.file.to_le_bytes(),
            self.stamp.size.to_le_bytes(),
            self.stamp.modified.to_le_bytes(),
        ];
        let mut out = [0; RECORD_HEADER];
        let (words, _) = out.as_chunks_mut::<8>();
        for (word, field) in words.iter_mut().zip(fields) {
            *word = field;
        }
        out
    }

    /// Reads a header; nothing if there are too few bytes yet.
    ///
    /// # Errors
    /// [`RecordError`] if they are none.
    pub fn parse(bytes: &[u8]) -> Result<Option<Record>, RecordError> {
        let Some(bytes) = bytes.first_chunk::<RECORD_HEADER>() else {
            return Ok(None);
        };
        let record = Record::read(bytes).ok_or(RecordError)?;
        let is_sound = record.from <= record.to && record.length() <= RECORD_LIMIT;
        // Every record has one text.
        if is_sound && record.to_bytes() == *bytes {
            Ok(Some(record))
        } else {
            Err(RecordError)
        }
    }

    fn read(bytes: &[u8; RECORD_HEADER]) -> Option<Record> {
        let mut fields = Fields::of(bytes);
        if fields.array()? != *MAGIC {
            return None;
        }
        let [joint, whole, ..] = fields.array::<8>()?;
        let (_, joint) = Joint::ALL.into_iter().find(|(byte, _)| *byte == joint)?;
        Some(Record {
            joint,
            whole: whole == 1,
            begun: Time::from_micros(fields.i64()?),
            time: Time::from_micros(fields.i64()?),
            salts: Salts(fields.array()?),
            generation: fields.u64()?,
            from: fields.u64()?,
            to: fields.u64()?,
            sum: Sum::of_bytes(fields.array()?),
            stamp: Stamp {
                file: fields.u64()?,
                size: fields.u64()?,
                modified: fields.i64()?,
            },
        })
    }
}
