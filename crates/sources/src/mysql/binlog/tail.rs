//! The end of the log as it grows in the spool: read, verified event by event, and cut into pieces.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom};

use vouchsafe_capture::{CaptureError, LogPiece, LogReached};
use vouchsafe_format::fragment::{Commits, Position, Span};
use vouchsafe_host::files;
use vouchsafe_model::Time;
use vouchsafe_translog::binlog::{
    BinlogError, BinlogMeaning, BinlogReader, BinlogRecord, GtidState, Outcome,
};
use vouchsafe_translog::token::Token;

use super::parts;
use super::spool::{Held, Spool, Start, begin_alike};
use crate::failure;
use crate::log::{LogCut, LogStep};

/// Why the tail cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum TailError {
    /// What came is damaged.
    #[error("the log is damaged as it was received, in file {}: {error}", parts(*file).1)]
    Damaged { file: u64, error: BinlogError },
    /// What comes is not what came before.
    #[error("what the server now sends as file {} is not what it sent before: {how}", parts(*file).1)]
    Diverged { file: u64, how: String },
    #[error(transparent)]
    Spool(#[from] CaptureError),
}

/// Where the tail is.
#[derive(Debug)]
pub(super) struct Tail {
    file: u64,
    /// Up to where pieces were cut.
    cut: u64,
    reader: BinlogReader,
    /// The receiver whose copy of the file is read.
    source: Option<Start>,
    /// Receivers whose copy is damaged.
    distrusted: BTreeSet<Start>,
    commits: Option<Commits>,
    newest: Option<Time>,
    token: Option<Token>,
}

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;
/// Where pieces are cut at the latest, if events allow it.
const PIECE: u64 = 8 << 20;

impl Tail {
    /// Goes on from `reached`. What is before it in the same file is read once more, and not shipped.
    pub(super) fn at(reached: LogReached) -> Option<Tail> {
        let Position::File { file, offset } = reached.to else {
            return None;
        };
        Some(Tail {
            file,
            cut: offset,
            reader: BinlogReader::new(GtidState::Unknown),
            source: None,
            distrusted: BTreeSet::new(),
            commits: None,
            newest: None,
            token: None,
        })
    }

    /// Up to where pieces were cut.
    pub(super) fn place(&self) -> Position {
        let (file, offset) = (self.file, self.cut);
        Position::File { file, offset }
    }

    /// The file that must be in the spool.
    pub(super) fn file(&self) -> u64 {
        self.file
    }

    pub(super) fn cut(&self) -> u64 {
        self.cut
    }

    /// So much of the file must a copy have to be read on, and the receiver whose copy is read.
    pub(super) fn needs(&self) -> (u64, Option<Start>) {
        (self.reader.status().next.max(self.cut), self.source)
    }

    /// Reads what has come since, and adds what is to be shipped, also if it then finds something wrong.
    pub(super) fn poll(
        &mut self,
        spool: &Spool,
        steps: &mut Vec<LogStep>,
    ) -> Result<(), TailError> {
        loop {
            let Some(held) = self.choose(spool)? else {
                return Ok(());
            };
            let read = self.read_on(&held, steps);
            self.cut_whole(steps);
            read?;
            if !self.go_on_with_next(spool, &held, steps)? {
                return Ok(());
            }
        }
    }

    /// The copy to read. That of a newer receiver is taken as soon as it has as much, and the same. Only the oldest can
    /// be taken without that; if it is damaged, there is still what was verified of it.
    fn choose(&mut self, spool: &Spool) -> Result<Option<Held>, TailError> {
        let copies = spool.copies(self.file)?;
        let known = self
            .source
            .and_then(|source| copies.iter().find(|held| held.start == source))
            .or_else(|| {
                let oldest = copies.last();
                oldest.filter(|held| !self.distrusted.contains(&held.start))
            })
            .cloned();
        let (needed, _) = self.needs();
        let newer = copies.iter().find(|held| {
            known.as_ref().is_none_or(|known| known.start < held.start)
                && !self.distrusted.contains(&held.start)
                && held.length >= needed
        });
        let chosen = match newer.cloned() {
            None => known,
            Some(newer) => {
                for older in copies.iter().filter(|held| held.start < newer.start) {
                    let length = older.length.min(needed);
                    if !begin_alike(&older.path, &newer.path, length)? {
                        let how = "bytes that were received before are others now".to_owned();
                        return Err(self.diverged(how));
                    }
                }
                spool.leave(newer.start, self.file)?;
                Some(newer)
            }
        };
        self.source = chosen.as_ref().map(|held| held.start);
        Ok(chosen)
    }

    fn read_on(&mut self, held: &Held, steps: &mut Vec<LogStep>) -> Result<(), TailError> {
        let at = self.reader.status().next;
        if held.length <= at {
            return Ok(());
        }
        let failed = |e| CaptureError::io("read", held.path.display().to_string(), e);
        let mut open = files::open_read(&held.path).map_err(failure::file)?;
        open.seek(SeekFrom::Start(at)).map_err(failed)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = open.read(&mut buffer).map_err(failed)?;
            if count == 0 {
                return Ok(());
            }
            let mut sight = Sight::of(self);
            let fed = self
                .reader
                .feed(buffer.get(..count).unwrap_or_default(), |record| {
                    sight.take(&record);
                });
            let Sight {
                commits,
                newest,
                token,
                split,
                ..
            } = sight;
            (self.commits, self.newest, self.token) = (commits, newest, token);
            if split {
                let how = format!("no event ends at byte {}, where one did", self.cut);
                self.forget();
                return Err(self.diverged(how));
            }
            if let Err(error) = fed {
                self.distrust();
                let file = self.file;
                return Err(match error {
                    BinlogError::Position { .. } | BinlogError::Previous { .. } => {
                        self.forget();
                        self.diverged(error.to_string())
                    }
                    error => TailError::Damaged { file, error },
                });
            }
            self.cut_long(steps);
        }
    }

    fn diverged(&self, how: String) -> TailError {
        TailError::Diverged {
            file: self.file,
            how,
        }
    }

    /// What was read is of another past: no piece is cut of it.
    fn forget(&mut self) {
        self.reader = BinlogReader::new(GtidState::Unknown);
        self.commits = None;
    }

    /// Goes back to what is verified, and no more of this copy is read.
    fn distrust(&mut self) {
        self.distrusted.extend(self.source.take());
        self.reader = match self.reader.position() {
            Some(position) => BinlogReader::resume(&position),
            None => BinlogReader::new(GtidState::Unknown),
        };
    }

    /// What is whole is cut.
    fn cut_whole(&mut self, steps: &mut Vec<LogStep>) {
        let whole = self.reader.status().whole;
        self.cut_at(whole, steps);
    }

    /// So is what is long, within a transaction if need be.
    fn cut_long(&mut self, steps: &mut Vec<LogStep>) {
        let status = self.reader.status();
        if status.verified.saturating_sub(self.cut) < PIECE {
            return;
        }
        let whole = status.whole.saturating_sub(self.cut) >= PIECE;
        self.cut_at(if whole { status.whole } else { status.verified }, steps);
    }

    fn cut_at(&mut self, to: u64, steps: &mut Vec<LogStep>) {
        if self.cut < to {
            let (file, offset) = (self.file, to);
            self.push(Position::File { file, offset }, steps);
            self.cut = to;
        }
    }

    fn push(&mut self, to: Position, steps: &mut Vec<LogStep>) {
        let commits = self.commits.take();
        steps.extend(Span::new(self.place(), to).ok().map(|span| {
            LogStep::Log(LogCut {
                piece: LogPiece {
                    timeline: 1,
                    span,
                    commits,
                },
                newest_commit: self.newest,
                token: self.token.clone(),
                verified: true,
            })
        }));
    }

    /// Where the receiver has gone on with the next file, this one is over.
    fn go_on_with_next(
        &mut self,
        spool: &Spool,
        held: &Held,
        steps: &mut Vec<LogStep>,
    ) -> Result<bool, TailError> {
        let status = self.reader.status();
        let Some(file) = self.file.checked_add(1) else {
            return Ok(false);
        };
        let next = spool.copies(file)?;
        let Some(by) = next.first().map(|next| next.start) else {
            return Ok(false);
        };
        if by != held.start {
            let own = spool.copies(self.file)?;
            let theirs = own.iter().find(|other| other.start == by);
            if let Some(theirs) = theirs
                && theirs.length < status.next
            {
                let how = format!(
                    "it ends at byte {}, and has had {}",
                    theirs.length, status.next
                );
                return Err(self.diverged(how));
            }
            // That one is taken first, as soon as it is as far.
            return Ok(false);
        }
        // It may have grown since it was read.
        let length = files::size(&held.path).map_err(failure::file)?;
        if status.next < length {
            return Ok(true);
        }
        if status.verified < status.next {
            let (at, size) = (status.verified, 0);
            self.distrust();
            let file = self.file;
            let error = BinlogError::Size { at, size };
            return Err(TailError::Damaged { file, error });
        }
        let offset = 0;
        self.push(Position::File { file, offset }, steps);
        self.file = file;
        self.cut = 0;
        self.reader = BinlogReader::new(status.gtids);
        self.source = None;
        self.distrusted.clear();
        Ok(true)
    }
}

/// What is seen while bytes are read.
struct Sight {
    cut: u64,
    commits: Option<Commits>,
    newest: Option<Time>,
    token: Option<Token>,
    /// The place where pieces were cut lies within an event.
    split: bool,
}

impl Sight {
    fn of(tail: &Tail) -> Sight {
        Sight {
            cut: tail.cut,
            commits: tail.commits,
            newest: tail.newest,
            token: tail.token.clone(),
            split: false,
        }
    }

    fn take(&mut self, record: &BinlogRecord) {
        self.split |= record.at < self.cut && self.cut < record.end;
        if let Some(token) = &record.token {
            self.token = Some(token.clone());
        }
        let BinlogMeaning::End(transaction) = &record.meaning else {
            return;
        };
        if transaction.outcome != Outcome::Committed {
            return;
        }
        self.newest = self.newest.max(Some(transaction.time));
        if record.end > self.cut {
            let last = transaction.time.micros();
            let first = self.commits.map_or(last, |commits| commits.first);
            self.commits = Some(Commits { first, last });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::BinlogWriter;
    use super::*;
    use vouchsafe_host::files::TempDir;

    struct Followed {
        _place: TempDir,
        spool: Spool,
        tail: Tail,
        steps: Vec<LogStep>,
    }

    impl Followed {
        fn at(offset: u64) -> Followed {
            let place = files::temp_dir("tail-").unwrap();
            let to = Position::File { file: 1, offset };
            Followed {
                spool: Spool::open(place.path()).unwrap(),
                _place: place,
                tail: Tail::at(LogReached { timeline: 1, to }).unwrap(),
                steps: Vec::new(),
            }
        }

        /// A receiver has written these files.
        fn receive(&self, received: &[&[u8]]) {
            let (_, directory) = self.spool.begin(0).unwrap();
            for (number, bytes) in (1..).zip(received) {
                let path = directory.join(format!("bin.{number:06}"));
                files::write_atomic(path, bytes, 0o600).unwrap();
            }
        }

        fn poll(&mut self) -> Result<(), TailError> {
            self.tail.poll(&self.spool, &mut self.steps)
        }
    }

    fn log(sequences: &[u64]) -> BinlogWriter {
        let mut out = BinlogWriter::new();
        sequences.iter().for_each(|n| out.transaction(*n));
        out
    }

    fn damaged(mut log: BinlogWriter) -> Vec<u8> {
        log.bytes.extend([0xff; 40]);
        log.bytes
    }

    #[test]
    fn after_damage_a_newer_copy_has_to_be_what_was_verified() {
        let sound = log(&[1, 2, 3]);
        // Of the same length, with events in the same places.
        for (received, is_same) in [(&sound, true), (&log(&[8, 9, 3]), false)] {
            let mut followed = Followed::at(0);
            followed.receive(&[&damaged(log(&[1, 2]))]);
            let error = followed.poll().unwrap_err();
            assert!(matches!(error, TailError::Damaged { .. }), "{error}");
            assert_eq!(followed.tail.cut(), log(&[1, 2]).length());

            // As long as it is shorter it is waited for.
            let begun = received.bytes.get(..100).unwrap();
            followed.receive(&[begun]);
            followed.poll().unwrap();
            followed.receive(&[&received.bytes]);
            let polled = followed.poll();
            if is_same {
                polled.unwrap();
                assert_eq!(followed.tail.cut(), sound.length());
                assert_eq!(followed.spool.copies(1).unwrap().len(), 1);
            } else {
                let error = polled.unwrap_err();
                assert!(matches!(error, TailError::Diverged { .. }), "{error}");
                assert_eq!(followed.tail.cut(), log(&[1, 2]).length());
            }
        }
    }

    #[test]
    fn nothing_of_another_past_is_cut() {
        // No event ends where one did.
        let mut followed = Followed::at(log(&[1]).length() + 1);
        followed.receive(&[&log(&[1, 2, 3]).bytes]);
        let error = followed.poll().unwrap_err();
        assert!(matches!(error, TailError::Diverged { .. }), "{error}");
        assert_eq!(followed.steps, []);
        let (needed, _) = followed.tail.needs();
        assert_eq!(needed, followed.tail.cut());

        // The next file does not follow.
        let first = log(&[1, 2]);
        let mut second = BinlogWriter::new();
        second.list(7);
        second.transaction(8);
        let mut followed = Followed::at(first.length());
        followed.receive(&[&first.bytes, &second.bytes]);
        let error = followed.poll().unwrap_err();
        assert!(matches!(error, TailError::Diverged { .. }), "{error}");
        let (file, offset) = (2, 0);
        assert_eq!(followed.tail.place(), Position::File { file, offset });
    }

    #[test]
    fn the_last_file_that_has_a_number_is_read() {
        let log = log(&[1, 2]);
        let mut followed = Followed::at(0);
        let last = Position::File {
            file: u64::MAX,
            offset: 0,
        };
        followed.tail = Tail::at(LogReached {
            timeline: 1,
            to: last,
        })
        .unwrap();
        let (_, directory) = followed.spool.begin(u64::MAX >> 32).unwrap();
        let path = directory.join(format!("bin.{}", u32::MAX));
        files::write_atomic(path, &log.bytes, 0o600).unwrap();
        followed.poll().unwrap();
        assert_eq!(followed.tail.cut(), log.length());
    }
}
