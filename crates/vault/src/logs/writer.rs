//! The one writer of a stream: takes it over, and puts fragment after fragment.

use vouchsafe_capture::{CaptureError, LogPiece, LogReached, LogSink, LogTip};
use vouchsafe_format::compress::DEFAULT_LEVEL;
use vouchsafe_format::fragment::{Draft, Header, Link, MAX_FRAGMENT, Part, Stretch};
use vouchsafe_format::{Compressor, Id};

use super::cut::cut;
use super::error::LogError;
use super::objects::LogObjects;
use super::stream::LogStream;

mod open;
mod ship;

/// What keeps two writers of one stream apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// The store: it refuses a second object of one name. A store that does not is refused.
    Store,
    /// Whoever opens the writer is sure that there is no other one, and none whose puts are still under way. Only then
    /// is a last object that is cut short removed, where a store leaves such objects behind.
    Held,
}

/// The writer of one stream in one vault.
///
/// Every call but those of opening writes at most to the place after the last fragment. When another writer has taken
/// that, or the stream has gone on without this one, the writer is at its end.
pub struct LogWriter {
    objects: LogObjects,
    compressor: Compressor,
    epoch: u64,
    tip: LogTip,
    /// The object that ends where the tip is: while it is there, nobody has gone on and cleared away.
    anchor: Option<Part>,
    /// What was tried at the place after the tip: some of it may be there, or may still come.
    tried: Vec<Header>,
    /// An append that failed.
    unsettled: Option<Unsettled>,
    /// Why there is no going on.
    end: Option<End>,
    most: usize,
}

/// The proof that a piece of log was stored and read back: the store gave an object that opened with the vault's key
/// and whose digest is that of the log and all before it. There is no way to make one but [`LogWriter::append`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    tip: LogTip,
    fragments: u64,
    adopted: u64,
}

impl Kept {
    /// Where the stream stands with it.
    pub fn tip(&self) -> LogTip {
        self.tip
    }

    /// How many fragments it became.
    pub fn fragments(&self) -> u64 {
        self.fragments
    }

    /// How many of them were there already: stored by an attempt of which no answer came.
    pub fn adopted(&self) -> u64 {
        self.adopted
    }
}

#[derive(Debug)]
struct Unsettled {
    piece: LogPiece,
    log: Id,
    /// Parts of it that are kept.
    done: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Fork(u64),
    Overtaken(u64),
}

impl LogStream {
    /// Takes the stream over: finds where it stands, and writes with a raised epoch from there. Nothing is written yet;
    /// the writer before learns of it when it finds its next place taken.
    ///
    /// # Errors
    /// [`LogError::Unguarded`] and [`LogError::NoRoom`] if the store cannot hold logs, [`LogError::Fork`] if the end of
    /// the stream is forked, [`LogError::Damaged`] if its last object cannot be authenticated, and the store's failures.
    pub fn writer(&self, fence: Fence) -> Result<LogWriter, LogError> {
        LogWriter::open(self.objects.clone(), fence)
    }
}

impl LogWriter {
    /// Appends a piece; it is durable and was read back when this returns.
    ///
    /// After an error the same piece may be given once more, which never stores it twice; or the next piece begins
    /// where [`LogWriter::tip`] says.
    ///
    /// # Errors
    /// [`LogError::Fork`] and [`LogError::Overtaken`] when another writer has gone on, from then on always;
    /// [`LogError::Moved`] when a part of another piece, whose append had failed, is kept; [`LogError::Content`] when
    /// positions and bytes do not fit; [`LogError::NoReadBack`]; and the store's failures.
    pub fn append(&mut self, piece: LogPiece, log: &[u8]) -> Result<Kept, LogError> {
        self.must_not_have_ended()?;
        let mut done = self.resume(piece, log)?;
        let parts = cut(piece, log.len(), self.tip.sequence, self.most)
            .map_err(|source| self.content(source))?;
        let mut kept = Kept {
            tip: self.tip,
            fragments: 0,
            adopted: 0,
        };
        while let Some(part) = parts.get(done) {
            let bytes = log.get(part.bytes.clone()).unwrap_or_default();
            match self.append_part(part.piece, bytes) {
                Ok(adopted) => kept.adopted += u64::from(adopted),
                Err(error) => {
                    let log = Id::of(log);
                    self.unsettled = Some(Unsettled { piece, log, done });
                    return Err(error);
                }
            }
            kept.fragments += 1;
            done += 1;
        }
        self.unsettled = None;
        kept.tip = self.tip;
        Ok(kept)
    }

    /// Where the stream stands. What a failed append has left open is settled first: if it is there, it counts.
    ///
    /// # Errors
    /// As [`LogWriter::append`].
    pub fn tip(&mut self) -> Result<LogTip, LogError> {
        self.must_not_have_ended()?;
        self.settle()?;
        self.unsettled = None;
        Ok(self.tip)
    }

    /// The number of this writer.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// With smaller fragments than there may be.
    #[must_use]
    pub fn with_fragments_of(mut self, most: usize) -> LogWriter {
        self.most = most.clamp(1, MAX_FRAGMENT);
        self
    }

    /// How many parts of this piece are kept already, because a call before this one failed after them.
    fn resume(&mut self, piece: LogPiece, log: &[u8]) -> Result<usize, LogError> {
        let Some(before) = &self.unsettled else {
            return Ok(0);
        };
        let done = before.done;
        if before.piece == piece && before.log == Id::of(log) {
            return Ok(done);
        }
        let at = self.tip.sequence;
        self.settle()?;
        self.unsettled = None;
        if done > 0 || self.tip.sequence != at {
            return Err(self.moved());
        }
        Ok(0)
    }

    fn append_part(&mut self, piece: LogPiece, log: &[u8]) -> Result<bool, LogError> {
        let draft = Draft {
            stream: self.objects.stream.clone(),
            link: Link {
                sequence: self.tip.sequence,
                previous: self.tip.digest,
            },
            epoch: self.epoch,
            timeline: piece.timeline,
            span: piece.span,
            commits: piece.commits,
        };
        let stretch = Stretch::fragment(draft, log.to_vec());
        let stretch = stretch.map_err(|source| self.content(source))?;
        self.ship(&stretch)
    }

    /// Goes on to the place after this fragment, which is in the store.
    fn advance(&mut self, header: &Header) {
        self.tip = tip_after(header, self.tip.reached);
        self.anchor = Some(Part::Fragment {
            sequence: header.sequence,
        });
        self.tried.clear();
    }

    fn must_not_have_ended(&self) -> Result<(), LogError> {
        self.objects.go_on()?;
        match self.end {
            None => Ok(()),
            Some(end) => Err(self.ended(end)),
        }
    }

    fn ended(&self, end: End) -> LogError {
        match end {
            End::Fork(sequence) => self.objects.fork(sequence),
            End::Overtaken(sequence) => LogError::Overtaken {
                sequence,
                stream: Box::new(self.objects.stream.clone()),
                store: self.objects.place(),
            },
        }
    }

    fn moved(&self) -> LogError {
        LogError::Moved {
            stream: Box::new(self.objects.stream.clone()),
        }
    }

    fn content(&self, source: vouchsafe_format::fragment::ContentError) -> LogError {
        LogError::Content {
            stream: Box::new(self.objects.stream.clone()),
            source,
        }
    }
}

impl LogSink for LogWriter {
    fn tip(&mut self) -> Result<LogTip, CaptureError> {
        LogWriter::tip(self).map_err(told)
    }

    fn append(&mut self, piece: LogPiece, log: Vec<u8>) -> Result<LogTip, CaptureError> {
        let kept = LogWriter::append(self, piece, &log).map_err(told)?;
        Ok(kept.tip())
    }
}

impl std::fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogWriter")
            .field("stream", &self.objects.stream)
            .field("epoch", &self.epoch)
            .field("tip", &self.tip)
            .finish_non_exhaustive()
    }
}

fn told(error: LogError) -> CaptureError {
    match error {
        LogError::Interrupted => CaptureError::Interrupted,
        error => CaptureError::vault(error),
    }
}

/// Where a stream stands after this fragment, which may repeat something of what was `reached` before.
fn tip_after(header: &Header, reached: Option<LogReached>) -> LogTip {
    let next = header.next();
    let here = LogReached {
        timeline: header.timeline,
        to: header.span.to(),
    };
    let repeats = |before: &LogReached| before.timeline == here.timeline && here.to < before.to;
    LogTip {
        sequence: next.sequence,
        digest: next.previous,
        reached: Some(reached.filter(repeats).unwrap_or(here)),
    }
}

fn compressor() -> Result<Compressor, LogError> {
    Ok(Compressor::new(DEFAULT_LEVEL)?)
}
