//! The end of the log as it grows in the spool: read, verified, and cut into pieces.

use std::io::{Read, Seek, SeekFrom};

use vouchsafe_capture::{CaptureError, LogPiece, LogReached};
use vouchsafe_format::fragment::{Commits, Position, Span};
use vouchsafe_model::Time;
use vouchsafe_translog::token::{self, Token};
use vouchsafe_translog::wal::{
    History, Lsn, Meaning, Timeline, WalError, WalEvent, WalPosition, WalReader, WalStart,
};

use super::spool::Spool;
use crate::log::{LogCut, LogStep};

/// Why the tail cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum TailError {
    /// What came is damaged.
    #[error("the log is damaged as it was received: {0}")]
    Damaged(WalError),
    /// A whole segment ends in the middle.
    #[error("the segment of {at} is whole, and nothing is written from there on")]
    Hole { at: Lsn },
    #[error(transparent)]
    Spool(#[from] CaptureError),
}

/// Where the tail is.
#[derive(Debug)]
pub(super) struct Tail {
    timeline: Timeline,
    /// What is read of which timeline; nothing until the history is in the spool.
    history: Option<History>,
    /// A place from which everything was fed to a reader: the beginning of a segment.
    start: Lsn,
    /// From where a reader can go on.
    position: Option<WalPosition>,
    /// Up to where pieces were cut.
    cut: Lsn,
    newest: Option<Time>,
    token: Option<Token>,
    /// How often the unfinished end was read and not understood.
    doubts: u32,
}

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;
/// Where pieces are cut at the latest, if records allow it.
const PIECE: u64 = 8 << 20;
/// While a page is being written it can be read in parts; what is still wrong after so many times is damage.
const DOUBTS: u32 = 20;

impl Tail {
    /// Goes on from `reached`. What is before it in the same segment is read once more, and not shipped.
    pub(super) fn at(spool: &Spool, reached: LogReached) -> Option<Tail> {
        let Position::Byte(cut) = reached.to else {
            return None;
        };
        let timeline = Timeline::new(u32::try_from(reached.timeline).ok()?)?;
        Some(Tail {
            timeline,
            history: None,
            start: spool.start_of(Lsn(cut)),
            position: None,
            cut: Lsn(cut),
            newest: None,
            token: None,
            doubts: 0,
        })
    }

    pub(super) fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// Up to where pieces were cut.
    pub(super) fn cut(&self) -> Lsn {
        self.cut
    }

    /// The beginning of the segment that must be in the spool.
    pub(super) fn needs(&self, spool: &Spool) -> Lsn {
        let read = self.position.as_ref().map_or(self.start, |at| at.verified);
        spool.start_of(read.min(self.cut))
    }

    /// Reads what has come since, and adds what is to be shipped, also if it then finds something wrong.
    pub(super) fn poll(
        &mut self,
        spool: &Spool,
        steps: &mut Vec<LogStep>,
    ) -> Result<(), TailError> {
        loop {
            if self.history.is_none() && !self.take_history(spool, steps)? {
                return Ok(());
            }
            self.read_on(spool, steps)?;
            match self.successor(spool)? {
                Some((timeline, from)) => self.switch(spool, timeline, from, steps),
                None => return Ok(()),
            }
        }
    }

    fn take_history(&mut self, spool: &Spool, steps: &mut Vec<LogStep>) -> Result<bool, TailError> {
        if self.timeline == Timeline::FIRST {
            self.history = Some(History::of(self.timeline));
            return Ok(true);
        }
        let Some((file, history)) = spool.history(self.timeline.number())? else {
            return Ok(false);
        };
        self.history = Some(history);
        steps.push(LogStep::History {
            timeline: self.timeline.number(),
            file,
        });
        Ok(true)
    }

    fn reader(&self, spool: &Spool) -> Option<WalReader> {
        let history = self.history.clone()?;
        let resumed = self
            .position
            .as_ref()
            .and_then(|position| WalReader::resume(position, history.clone()).ok());
        let begun = || {
            WalReader::new(WalStart {
                segment_size: spool.size(),
                block_size: spool.identity.block_size,
                lsn: self.start,
                history,
                system: Some(spool.identity.system),
            })
            .ok()
        };
        resumed.or_else(begun)
    }

    fn read_on(&mut self, spool: &Spool, steps: &mut Vec<LogStep>) -> Result<(), TailError> {
        let Some(mut reader) = self.reader(spool) else {
            return Ok(());
        };
        let mut cutter = Cutter {
            timeline: self.timeline,
            cut: self.cut,
            reached: self.cut,
            commits: None,
            newest: self.newest,
            token: self.token.clone(),
            pieces: Vec::new(),
        };
        let result = feed(spool, self.timeline, &mut reader, &mut cutter);
        self.position = reader.position().or(self.position.take());
        cutter.flush();
        self.cut = cutter.cut;
        self.newest = cutter.newest;
        self.token = cutter.token;
        steps.extend(cutter.pieces.into_iter().map(LogStep::Log));
        match result {
            Ok(()) => self.doubts = 0,
            Err(Stop::Unknown) => self.take_unverified(spool, steps)?,
            // The page may be half written.
            Err(Stop::Unsure(_)) if self.doubts < DOUBTS => self.doubts += 1,
            Err(Stop::Unsure(error)) => return Err(TailError::Damaged(error)),
            Err(Stop::Failed(error)) => return Err(error),
        }
        Ok(())
    }

    /// What is of an unknown format: whole segments, and of the last one the pages before the last that is not empty.
    fn take_unverified(
        &mut self,
        spool: &Spool,
        steps: &mut Vec<LogStep>,
    ) -> Result<(), TailError> {
        loop {
            let start = spool.start_of(self.cut);
            let end = start.plus(u64::from(spool.size().bytes()));
            let segment = spool.size().segment_of(start);
            let Some((_, complete)) = spool.open_segment(self.timeline, segment)? else {
                return Ok(());
            };
            let to = match complete {
                true => end,
                false => {
                    let bytes = spool.read(self.timeline, start, end)?;
                    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64;
                    let page = u64::from(spool.identity.block_size).max(1);
                    start.plus(written / page * page)
                }
            };
            if to > self.cut {
                let cutter = Cutter {
                    timeline: self.timeline,
                    cut: self.cut,
                    reached: to,
                    commits: None,
                    newest: self.newest,
                    token: self.token.clone(),
                    pieces: Vec::new(),
                };
                steps.extend(cutter.piece(false).map(LogStep::Log));
                self.cut = to;
            }
            self.start = spool.start_of(self.cut);
            self.position = None;
            if !complete {
                return Ok(());
            }
        }
    }

    /// The timeline that goes on from this one and is being received, and where it begins.
    fn successor(&self, spool: &Spool) -> Result<Option<(Timeline, Lsn)>, TailError> {
        for number in spool.timelines()? {
            if number <= self.timeline.number() {
                break;
            }
            let Some((_, history)) = spool.history(number)? else {
                continue;
            };
            let after = history
                .ranges()
                .skip_while(|range| range.timeline != self.timeline)
                .nth(1);
            let Some(after) = after else { continue };
            let first = spool.size().segment_of(after.from);
            let is_received = spool
                .segments()?
                .into_iter()
                .any(|held| held.timeline == after.timeline.number() && held.segment >= first);
            return Ok(is_received.then_some((after.timeline, after.from)));
        }
        Ok(None)
    }

    fn switch(&mut self, spool: &Spool, timeline: Timeline, from: Lsn, steps: &mut Vec<LogStep>) {
        // The rest of the old one up to the switch: it is final, although no record may end there.
        if self.cut < from && spool.read(self.timeline, self.cut, from).is_ok() {
            let cutter = Cutter {
                timeline: self.timeline,
                cut: self.cut,
                reached: from,
                commits: None,
                newest: self.newest,
                token: self.token.clone(),
                pieces: Vec::new(),
            };
            steps.extend(cutter.piece(false).map(LogStep::Log));
            self.cut = from;
        }
        self.timeline = timeline;
        self.history = None;
        self.position = None;
        self.start = spool.start_of(from);
        // Its file begins with a copy of what the old one had in that segment.
        self.cut = self.cut.min(from).max(self.start);
        self.doubts = 0;
    }
}

/// Why feeding stopped before the end of what is there.
enum Stop {
    /// A format that is not known here.
    Unknown,
    /// An error in a segment that is still being written.
    Unsure(WalError),
    Failed(TailError),
}

fn feed(
    spool: &Spool,
    timeline: Timeline,
    reader: &mut WalReader,
    cutter: &mut Cutter,
) -> Result<(), Stop> {
    let size = spool.size();
    let mut buffer = vec![0; CHUNK];
    loop {
        let at = reader.status().next;
        let segment = size.segment_of(at);
        let opened = spool
            .open_segment(timeline, segment)
            .map_err(|e| Stop::Failed(e.into()))?;
        let Some((mut file, complete)) = opened else {
            return Ok(());
        };
        let failed = |e| {
            let place = spool.directory().display().to_string();
            Stop::Failed(CaptureError::io("read a segment in", place, e).into())
        };
        file.seek(SeekFrom::Start(u64::from(size.offset(at))))
            .map_err(failed)?;
        let end = spool.start_of(at).plus(u64::from(size.bytes()));
        let mut file = file.take(end.0.saturating_sub(at.0));
        loop {
            let count = file.read(&mut buffer).map_err(failed)?;
            if count == 0 {
                break;
            }
            let bytes = buffer.get(..count).unwrap_or_default();
            match reader.feed(bytes, |event| cutter.take(&event)) {
                Ok(()) => {}
                Err(WalError::UnknownFormat { .. }) => return Err(Stop::Unknown),
                Err(error) if complete => return Err(Stop::Failed(TailError::Damaged(error))),
                Err(error) => return Err(Stop::Unsure(error)),
            }
            if let Some(end) = reader.status().end {
                return match complete {
                    true => Err(Stop::Failed(TailError::Hole { at: end.at })),
                    false => Ok(()),
                };
            }
        }
        if !complete || reader.status().next < end {
            return Ok(());
        }
    }
}

/// Takes records and cuts pieces between them.
struct Cutter {
    timeline: Timeline,
    /// Up to where pieces were cut.
    cut: Lsn,
    /// Up to where everything is verified.
    reached: Lsn,
    commits: Option<Commits>,
    newest: Option<Time>,
    token: Option<Token>,
    pieces: Vec<LogCut>,
}

impl Cutter {
    fn take(&mut self, event: &WalEvent) {
        let WalEvent::Record(record) = event else {
            return;
        };
        match &record.meaning {
            Meaning::Commit { time, .. } => {
                self.newest = self.newest.max(Some(*time));
                if record.end > self.cut {
                    let micros = time.micros();
                    let first = self.commits.map_or(micros, |commits| commits.first);
                    self.commits = Some(Commits {
                        first,
                        last: micros,
                    });
                }
            }
            Meaning::Message(message) if message.prefix == token::PREFIX.as_bytes() => {
                self.token = Token::parse(&message.content).or(self.token.take());
            }
            _ => {}
        }
        self.reached = self.reached.max(record.end);
        if self.reached.0.saturating_sub(self.cut.0) >= PIECE {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let piece = self.piece(true);
        self.pieces.extend(piece);
        self.cut = self.cut.max(self.reached);
        self.commits = None;
    }

    fn piece(&self, verified: bool) -> Option<LogCut> {
        if self.reached <= self.cut {
            return None;
        }
        let (from, to) = (Position::Byte(self.cut.0), Position::Byte(self.reached.0));
        Some(LogCut {
            piece: LogPiece {
                timeline: u64::from(self.timeline.number()),
                span: Span::new(from, to).ok()?,
                commits: self.commits,
            },
            newest_commit: self.newest,
            token: self.token.clone(),
            verified,
        })
    }
}
