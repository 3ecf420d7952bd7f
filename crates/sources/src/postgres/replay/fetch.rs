//! Fetching the log of one replay: followed, verified, cut, and written out.

use std::io;
use std::path::{Path, PathBuf};

use vouchsafe_capture::{
    CaptureContext, CaptureError, FetchedLog, Log, LogPart, PointReader, ReplayError, ReplayTarget,
    Until,
};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::files;
use vouchsafe_translog::wal::{
    DEFAULT_BLOCK_SIZE, History, Lsn, Timeline, TimelineRange, WalEvent, WalFileName, WalReader,
    WalStart,
};

use super::path::{Base, histories, history_of, ranges, reach, unknown_timeline};
use super::segments::Segments;
use super::sieve::{Sieve, Verdict};
use super::{LOG, base_of, leads_to, not_covered, plan};
use crate::failure;
use crate::fetching::no_end;
use crate::place::refuse_existing;

/// So many bytes are read behind the target, for a look at what comes next.
const BEYOND: u64 = 16 << 20;

/// Fetches into a directory below `to`; if it fails, nothing is left there.
pub(in crate::postgres) fn fetch(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    log: &Log<'_>,
    until: Until,
    to: &Path,
) -> Result<FetchedLog, ReplayError> {
    failure::check_interrupt(ctx)?;
    refuse_existing(to)?;
    let planned = plan(point, &log.chart, until)?;
    ctx.progress
        .phase("fetch the log", None, Some(planned.bytes));
    let was_there = files::exists(to).map_err(failure::file)?;
    files::create_dir_all(to, 0o700).map_err(failure::file)?;
    let fetching = Fetching {
        ctx,
        log,
        until,
        base: base_of(point)?,
        place: to.join(LOG),
    };
    let fetched = fetching.along_the_path();
    if fetched.is_err() {
        let ours = if was_there {
            fetching.place.as_path()
        } else {
            to
        };
        let _ = files::remove_tree(ours);
    }
    fetched
}

struct Fetching<'a> {
    ctx: &'a CaptureContext<'a>,
    log: &'a Log<'a>,
    until: Until,
    base: Base,
    place: PathBuf,
}

/// What became of one way through the timelines.
enum Passed {
    Fetched(Box<FetchedLog>),
    /// At the moment asked for, the database was still on this timeline.
    Earlier(Timeline),
}

impl Fetching<'_> {
    /// Follows the newest timeline that leads as far as is asked; and if that began only after the moment, the one that
    /// it came from, which may have gone on for a while.
    fn along_the_path(&self) -> Result<FetchedLog, ReplayError> {
        let chart = &self.log.chart;
        let leads =
            |history: &History| leads_to(&reach(chart, &self.base, history, None), self.until);
        let mut history = histories(chart, &self.base)
            .into_iter()
            .find(leads)
            .ok_or_else(|| not_covered(chart, &self.base))?;
        let unknown = match self.until {
            Until::Time(time) => unknown_timeline(chart, &self.base, Some(time)),
            Until::End => unknown_timeline(chart, &self.base, None),
            // Whoever names a position means the timeline on which it can be reached.
            Until::Position(_) | Until::Transaction(_) => None,
        };
        if let Some(timeline) = unknown {
            let message = "there is log of it in the vault and no history, so that where it comes from is not known";
            return Err(self.broken(format!("timeline {timeline}"), message));
        }
        let mut later = None;
        loop {
            if files::exists(&self.place).map_err(failure::file)? {
                files::remove_tree(&self.place).map_err(failure::file)?;
            }
            files::create_dir(&self.place, 0o700).map_err(failure::file)?;
            match self.pass(&history, later)? {
                Passed::Fetched(fetched) => return Ok(*fetched),
                Passed::Earlier(before) => {
                    later = Some(history.timeline());
                    history = history_of(chart, &self.base, before)
                        .filter(|earlier| earlier.timeline() < history.timeline())
                        .ok_or_else(|| {
                            self.broken(
                                format!("timeline {before}"),
                                "its history is not in the vault",
                            )
                        })?;
                }
            }
        }
    }

    /// One way. `later` is a timeline that began only after the moment, if that is known: then the end of the log is as
    /// good as a later commit.
    fn pass(&self, history: &History, later: Option<Timeline>) -> Result<Passed, ReplayError> {
        let mut pass = Pass::begin(self, history)?;
        let ranges = ranges(history, self.base.first_byte());
        for (count, range) in ranges.iter().enumerate() {
            self.range(&mut pass, range)?;
            if let Some(earlier) = pass.earlier {
                return Ok(Passed::Earlier(earlier));
            }
            if pass.is_enough() {
                break;
            }
            let is_last = count + 1 == ranges.len();
            if !is_last && range.until.is_some_and(|until| pass.next < until) {
                let goes_on = format!("what follows on timeline {} is missing", range.timeline);
                return Err(self.broken(pass.next, goes_on));
            }
        }
        self.finish(pass, history, later)
    }

    /// Reads one timeline's part.
    fn range(&self, pass: &mut Pass, range: &TimelineRange) -> Result<(), ReplayError> {
        let number = u64::from(range.timeline.number());
        let to = Position::Byte(range.until.map_or(u64::MAX, |until| until.0));
        for (run, pieces) in &self.log.chart.runs {
            if !pieces.iter().any(|piece| piece.timeline == number) || pass.is_enough() {
                continue;
            }
            let from = Position::Byte(pass.next.0);
            let read = self.log.reader.read(run, from, to, &mut |part| {
                if part.timeline != number {
                    return Ok(());
                }
                pass.take(&part)?;
                self.ctx.progress.advance(0, part.log.len() as u64);
                let stop = pass.stop.is_some() || pass.earlier.is_some() || pass.is_enough();
                if stop || self.ctx.interrupt.requested() {
                    return Err(io::Error::other("enough"));
                }
                Ok(())
            });
            failure::check_interrupt(self.ctx)?;
            match (pass.stop.take(), read) {
                (Some(Stop::Write(error)), _) => return Err(error.into()),
                (Some(Stop::Log(message)), _) => {
                    return Err(self.broken(pass.verified(), message));
                }
                (Some(Stop::TooEarly), _) => return Err(self.too_early()),
                (None, Err(_)) if pass.earlier.is_some() || pass.is_enough() => return Ok(()),
                (None, Err(_)) if std::mem::take(&mut pass.gap) => {}
                (None, Err(CaptureError::Interrupted)) => {
                    return Err(CaptureError::Interrupted.into());
                }
                (None, Err(error)) => {
                    return Err(self.broken(pass.verified(), failure::issue("", &error).message));
                }
                (None, Ok(())) => {}
            }
        }
        Ok(())
    }

    fn finish(
        &self,
        pass: Pass,
        history: &History,
        later: Option<Timeline>,
    ) -> Result<Passed, ReplayError> {
        let status = pass.wal.status();
        let is_known = match self.until {
            Until::Time(time) => {
                pass.sieve.newest().is_some_and(|newest| time <= newest) || later.is_some()
            }
            Until::End => true,
            Until::Position(at) => status
                .verified
                .is_some_and(|verified| super::lsn(at) <= verified),
            Until::Transaction(_) => false,
        };
        if self.until == Until::End {
            self.must_have_no_more(&pass, history)?;
        }
        let target = pass.sieve.target();
        let (Some(target), true) = (target, pass.sieve.stopped().is_some() || is_known) else {
            return Err(ReplayError::TooLate {
                until: self.until,
                log: self.log.chart.place.clone(),
                newest: pass.sieve.newest(),
            });
        };
        if pass.sieve.may_be_too_early() {
            return Err(self.too_early());
        }
        let timeline = history.timeline_at(target.record);
        pass.segments.finish(target.end, timeline)?;
        self.write_histories()?;
        let (commits, newest, overtaken) = (
            pass.sieve.commits(),
            pass.sieve.newest(),
            pass.sieve.overtaken(),
        );
        let (around, tokens_beyond) = pass.sieve.around();
        Ok(Passed::Fetched(Box::new(FetchedLog {
            until: self.until,
            place: self.place.clone(),
            bytes: pass.next.0 - self.base.first_byte().0,
            target: ReplayTarget {
                timeline: timeline.number().into(),
                from: Position::Byte(self.base.first_byte().0),
                record: Position::Byte(target.record.0),
                end: Position::Byte(target.end.0),
                newest,
                commits,
                shown: format!("{} of timeline {timeline}", target.end),
            },
            overtaken,
            around,
            tokens_beyond,
        })))
    }

    /// An end is one only if nothing is known to come after it.
    fn must_have_no_more(&self, pass: &Pass, history: &History) -> Result<(), ReplayError> {
        let chart = &self.log.chart;
        let own = u64::from(history.timeline().number());
        let mut pieces = chart.runs.iter().flat_map(|(_, pieces)| pieces);
        let beyond =
            pieces.find(|piece| piece.timeline == own && pass.next < super::lsn(piece.span.to()));
        let next = beyond.map(|piece| super::lsn(piece.span.from()).to_string());
        match no_end(chart, next) {
            Some(message) => Err(self.broken(pass.next, message)),
            None => Ok(()),
        }
    }

    /// All of them, also those that are not followed: the recovery begins a timeline with a number that none has had.
    fn write_histories(&self) -> Result<(), ReplayError> {
        for (number, file) in &self.log.chart.timelines {
            let timeline = u32::try_from(*number).ok().and_then(Timeline::new);
            if let Some(timeline) = timeline {
                let name = WalFileName::History { timeline }.name(self.base.segment);
                files::write_atomic(self.place.join(name), file, 0o600).map_err(failure::file)?;
            }
        }
        Ok(())
    }

    fn too_early(&self) -> ReplayError {
        let (timeline, end) = self.base.end;
        ReplayError::TooEarly {
            until: self.until,
            base: format!("{end} of timeline {timeline}"),
        }
    }

    fn broken(&self, at: impl ToString, message: impl Into<String>) -> ReplayError {
        ReplayError::Broken {
            log: self.log.chart.place.clone(),
            at: at.to_string(),
            message: message.into(),
        }
    }
}

/// A log on its way from the vault into files.
struct Pass {
    wal: WalReader,
    sieve: Sieve,
    segments: Segments,
    next: Lsn,
    enough: bool,
    gap: bool,
    earlier: Option<Timeline>,
    stop: Option<Stop>,
}

/// Why no more is taken.
enum Stop {
    Write(CaptureError),
    Log(String),
    TooEarly,
}

impl Pass {
    fn begin(fetching: &Fetching<'_>, history: &History) -> Result<Pass, ReplayError> {
        let base = &fetching.base;
        let first = base.first_byte();
        let start = WalStart {
            segment_size: base.segment,
            block_size: DEFAULT_BLOCK_SIZE,
            lsn: first,
            history: history.clone(),
            system: Some(base.system),
        };
        let wal = WalReader::new(start).map_err(|e| fetching.broken(first, e.to_string()))?;
        Ok(Pass {
            wal,
            sieve: Sieve::new(fetching.until, base.start.1, base.end.1),
            segments: Segments::new(&fetching.place, base.segment, history.clone(), first),
            next: first,
            enough: false,
            gap: false,
            earlier: None,
            stop: None,
        })
    }

    /// Takes a part of the log; an error means that no more is wanted, and `stop` why.
    fn take(&mut self, part: &LogPart<'_>) -> io::Result<()> {
        let from = super::lsn(part.span.from());
        if from != self.next {
            // Whether the log is needed beyond, who reads it knows.
            self.gap = true;
            return Err(io::Error::other("a gap"));
        }
        if self.sieve.stopped().is_none()
            && let Err(error) = self.segments.write(part.log)
        {
            self.stop = Some(Stop::Write(error));
            return Err(io::Error::other("not written"));
        }
        self.next = self.next.plus(part.log.len() as u64);
        let (sieve, earlier, enough) = (&mut self.sieve, &mut self.earlier, &mut self.enough);
        let mut too_early = false;
        let fed = self.wal.feed(part.log, |event| {
            let WalEvent::Record(record) = event else {
                return;
            };
            if *enough || too_early || earlier.is_some() {
                return;
            }
            match sieve.take(&record) {
                Verdict::More => {}
                Verdict::Enough => *enough = true,
                Verdict::TooEarly => too_early = true,
                Verdict::Later { previous } => *earlier = Timeline::new(previous),
            }
        });
        match fed {
            _ if too_early => self.stop = Some(Stop::TooEarly),
            Ok(()) => {}
            // What is damaged behind the target does not concern it.
            Err(_) if self.sieve.stopped().is_some() || self.earlier.is_some() => {
                self.enough = true;
            }
            Err(error) => self.stop = Some(Stop::Log(error.to_string())),
        }
        Ok(())
    }

    fn is_enough(&self) -> bool {
        let beyond = |stopped: Lsn| stopped.plus(BEYOND) <= self.next;
        self.enough || self.sieve.stopped().is_some_and(beyond)
    }

    fn verified(&self) -> String {
        let verified = self.wal.status().verified;
        verified.unwrap_or(self.next).to_string()
    }
}
