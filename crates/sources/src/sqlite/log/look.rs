//! Looking at a log: what is new in it goes into the spool, with when it was seen.

use std::fs::File;
use std::io;

use vouchsafe_capture::CaptureError;
use vouchsafe_host::clock::Clock;
use vouchsafe_model::{Span, Time};
use vouchsafe_translog::sqlite::{Joint, Record, Salts, Stamp, Sum, WalCursor};

use super::hold::Hold;
use super::scan::{self, Scan, read_at};
use super::spool::{Spool, Writing};
use crate::failure;

/// Whoever looks at one log, as the only one.
pub(super) struct Looker {
    writing: Writing,
    /// The end of the last whole look.
    last: Option<Record>,
    scan: Option<Scan>,
    /// How far the log was shipped.
    reached: Option<u64>,
    /// Whether what was seen last was seen while the log was held, and it was held ever since.
    held: bool,
}

/// What is seen now.
struct Seen {
    begun: Time,
    file: Option<File>,
    salts: Salts,
    /// Up to where transactions are whole.
    to: u64,
    sum: Sum,
    stamp: Stamp,
}

/// A look in which nothing is new is noted so often.
const QUIET: Span = Span::from_secs(1);
/// A file whose time lies so close to a look may have been written to once more at the same time.
const COARSE: Span = Span::from_millis(50);
/// Bytes of log in one record.
const PART: usize = 1 << 20;
/// From so many bytes on, a log is emptied: long before programs do so by themselves, who then begin it anew the more
/// rarely while nobody looks.
pub(super) const LONG: u64 = 1 << 20;

impl Looker {
    /// Goes on with what is in the spool.
    pub(super) fn resume(spool: Spool, reached: Option<u64>) -> Result<Looker, CaptureError> {
        let (writing, last) = Writing::resume(spool)?;
        Ok(Looker {
            writing,
            last,
            scan: None,
            reached,
            held: false,
        })
    }

    /// Up to where the records go.
    pub(super) fn end(&self) -> u64 {
        self.writing.end()
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<&Record> {
        self.last.as_ref()
    }

    /// Bytes of the log that is there.
    pub(super) fn log_length(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| last.to)
    }

    /// Another connection holds it now.
    pub(super) fn let_go(&mut self) {
        self.held = false;
    }

    /// Notes what is new. With `always`, also that nothing is.
    pub(super) fn look(
        &mut self,
        hold: &Hold,
        clock: &dyn Clock,
        always: bool,
    ) -> Result<(), CaptureError> {
        let begun = clock.now();
        let stamp = hold.stamp_now()?;
        let (file, stands) = self.read(hold)?;
        let joint = self.joint(hold, stamp, stands, begun);
        let seen = self.seen(begun, file, stamp);
        self.note(joint, seen, hold, clock, always)?;
        self.held = true;
        Ok(())
    }

    /// Reads the log on, and tells whether what was noted of it still stands there.
    fn read(&mut self, hold: &Hold) -> Result<(Option<File>, bool), CaptureError> {
        let failed = |e: io::Error| CaptureError::io("read", hold.log().display().to_string(), e);
        let mut opened = scan::open(hold.log())?;
        loop {
            let Some((file, header)) = opened else {
                self.scan = None;
                return Ok((None, true));
            };
            let known = self.scan.take();
            let stands = match known.filter(|scan| scan.salts() == header.salts) {
                Some(scan) => {
                    let stands = scan.stands(&file).map_err(failed)?;
                    self.scan = Some(scan);
                    stands
                }
                None => {
                    self.scan = Scan::begin(&file).map_err(failed)?;
                    self.has_what_was_seen(&file).map_err(failed)?
                }
            };
            if !stands {
                let again = scan::open(hold.log())?;
                let is_same = again
                    .as_ref()
                    .is_some_and(|(_, again)| again.salts == header.salts);
                if !is_same {
                    // It was begun anew while it was read.
                    opened = again;
                    continue;
                }
                self.scan = Scan::begin(&file).map_err(failed)?;
            }
            if let Some(scan) = &mut self.scan {
                scan.read_on(&file, None).map_err(failed)?;
            }
            return Ok((Some(file), stands));
        }
    }

    /// Whether the log that was begun to be read holds what was noted of it, if it is the one that was noted.
    fn has_what_was_seen(&mut self, file: &File) -> io::Result<bool> {
        let (Some(last), Some(scan)) = (&self.last, &mut self.scan) else {
            return Ok(true);
        };
        if scan.salts() != last.salts {
            return Ok(true);
        }
        scan.read_on(file, Some(last.to))?;
        Ok(scan.committed() == Some(last.to) && scan.sum() == last.sum)
    }

    /// A log that has begun and holds no transaction yet is none: it may be begun once more.
    fn seen(&self, begun: Time, file: Option<File>, stamp: Stamp) -> Seen {
        let committed = self
            .scan
            .as_ref()
            .and_then(|scan| scan.committed().map(|to| (scan, to)));
        match committed {
            Some((scan, to)) => Seen {
                begun,
                file,
                salts: scan.salts(),
                to,
                sum: scan.sum(),
                stamp,
            },
            None => Seen {
                begun,
                file: None,
                salts: Salts::NONE,
                to: 0,
                sum: Sum::default(),
                stamp,
            },
        }
    }

    /// How what is there now follows on what was noted.
    fn joint(&self, hold: &Hold, stamp: Stamp, stands: bool, now: Time) -> Joint {
        let Some(last) = &self.last else {
            return match self.reached {
                None => Joint::First,
                Some(_) => Joint::Lost,
            };
        };
        if self.reached.is_some_and(|reached| reached > self.end()) {
            return Joint::Lost;
        }
        if stamp.file != last.stamp.file || !stands {
            return Joint::Diverged;
        }
        let is_same = self
            .scan
            .as_ref()
            .is_some_and(|scan| scan.salts() == last.salts);
        if is_same {
            return Joint::GoesOn;
        }
        // Nothing of a log is given up before all of it is in the database: where nothing was written to that, nothing
        // but what was seen is gone.
        let untouched = match self.held {
            true => stamp == hold.stamp(),
            false => stamp == last.stamp && last.time.since(modified(stamp)) >= COARSE,
        };
        let in_the_past = modified(stamp) <= now;
        if untouched && in_the_past {
            Joint::GoesOn
        } else {
            Joint::Removed
        }
    }

    fn note(
        &mut self,
        joint: Joint,
        mut seen: Seen,
        hold: &Hold,
        clock: &dyn Clock,
        always: bool,
    ) -> Result<(), CaptureError> {
        let last = self.last.filter(|_| joint == Joint::GoesOn);
        // While the next log has no transaction yet, the one before it is the last that there was.
        let has_begun = self.scan.is_some();
        if let Some(last) = &last
            && seen.salts == Salts::NONE
            && has_begun
        {
            (seen.salts, seen.to, seen.sum) = (last.salts, last.to, last.sum);
        }
        let goes_on = last.filter(|last| last.salts == seen.salts);
        let from = goes_on.map_or(0, |last| last.to);
        if let Some(last) = &goes_on
            && last.to == seen.to
            && !always
            && is_just_before(last.time, clock.now())
        {
            return Ok(());
        }
        if joint != Joint::GoesOn && joint != Joint::First {
            self.writing.leave_out(self.reached.unwrap_or(0));
        }
        self.writing.begin_look();
        let begin = self.writing.end();
        let record = Record {
            joint,
            whole: false,
            begun: seen.begun,
            time: seen.begun,
            salts: seen.salts,
            generation: goes_on.map_or(begin, |last| last.generation),
            from,
            to: seen.to,
            sum: seen.sum,
            stamp: seen.stamp,
        };
        let written = self.write(record, &seen, clock).and_then(|last| {
            self.writing.sync()?;
            Ok(last)
        });
        match written {
            Ok(last) => {
                self.last = Some(last);
                self.reached = None;
                Ok(())
            }
            Err(error) => {
                // What is half of a look is not read by anybody, and does not stay.
                self.writing.cut_to(begin)?;
                self.scan = None;
                Err(match error {
                    CaptureError::Interrupted => failure::unreadable(
                        hold.log(),
                        "it changed while it was read",
                        "it is looked at again",
                    ),
                    other => other,
                })
            }
        }
    }

    /// Adds the records of a look; the last one of them.
    fn write(
        &mut self,
        record: Record,
        seen: &Seen,
        clock: &dyn Clock,
    ) -> Result<Record, CaptureError> {
        let mut next = record;
        let mut cursor = None;
        let mut log = Vec::new();
        if let (Some(scan), true) = (&self.scan, record.from == 0 && record.to > 0) {
            log.extend_from_slice(scan.header_bytes());
        }
        loop {
            let at = next.from.saturating_add(log.len() as u64);
            if at < record.to {
                let (part, sum) = self.part(seen, &mut cursor, at, record.to)?;
                log.extend_from_slice(&part);
                next.sum = sum;
            }
            next.to = next.from.saturating_add(log.len() as u64);
            next.whole = next.to == record.to;
            next.time = clock.now();
            if next.whole && next.sum != seen.sum {
                return Err(CaptureError::Interrupted);
            }
            self.writing.add(&next, &log)?;
            if next.whole {
                return Ok(next);
            }
            log.clear();
            next.from = next.to;
            next.joint = Joint::GoesOn;
        }
    }

    /// Reads a part of the log once more, verified.
    fn part(
        &self,
        seen: &Seen,
        cursor: &mut Option<WalCursor>,
        at: u64,
        to: u64,
    ) -> Result<(Vec<u8>, Sum), CaptureError> {
        let (Some(scan), Some(file)) = (&self.scan, &seen.file) else {
            return Err(CaptureError::Interrupted);
        };
        let cursor = match cursor {
            Some(cursor) => cursor,
            None => {
                let last = self
                    .last
                    .filter(|last| last.salts == seen.salts && at == last.to);
                let from = match last {
                    Some(last) => scan.whole().moved_to(last.to, last.sum),
                    None => WalCursor::after(*scan.whole().header()),
                };
                cursor.insert(from)
            }
        };
        if cursor.offset() != at {
            return Err(CaptureError::Interrupted);
        }
        let frame = cursor.frame_length();
        let left = usize::try_from(to - at).unwrap_or(usize::MAX);
        let most = (PART / frame).max(1) * frame;
        let mut bytes = vec![0; left.min(most)];
        let count =
            read_at(file, &mut bytes, at).map_err(|e| CaptureError::io("read", "the log", e))?;
        if count < bytes.len() {
            return Err(CaptureError::Interrupted);
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            cursor.next(rest).map_err(|_| CaptureError::Interrupted)?;
            rest = rest.get(frame..).unwrap_or_default();
        }
        Ok((bytes, cursor.sum()))
    }
}

/// A clock that was set back tells nothing of how long it was.
fn is_just_before(last: Time, now: Time) -> bool {
    last <= now && now.since(last) < QUIET
}

fn modified(stamp: Stamp) -> Time {
    Time::from_micros(stamp.modified / 1000)
}
