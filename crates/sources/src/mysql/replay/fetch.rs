//! Fetching the log of one replay: verified, cut, and written out.

use std::io;
use std::path::{Path, PathBuf};

use vouchsafe_capture::{
    CaptureContext, CaptureError, FetchedLog, Log, LogPart, PointReader, ReplayError, ReplayTarget,
    Until,
};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::files;
use vouchsafe_translog::binlog::{BinlogReader, GtidState};

use super::super::binlog::{numbered, own, parts, written};
use super::files::Writing;
use super::reach::{Reach, leads_to, reaches};
use super::sieve::{Sieve, Verdict};
use super::{Base, LOG, base_of, not_covered, plan, shown, too_early};
use crate::failure;
use crate::fetching::no_end;
use crate::place::refuse_existing;

/// So many bytes are read behind the target, for a look at what comes next.
const BEYOND: u64 = 16 << 20;

/// Fetches into a directory below `to`; if it fails, nothing is left there.
pub(in crate::mysql) fn fetch(
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
    let fetched = fetching.along_some_run();
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

impl Fetching<'_> {
    /// From the first run that the base is of: only the log itself tells.
    fn along_some_run(&self) -> Result<FetchedLog, ReplayError> {
        let mut foreign = None;
        for reach in reaches(&self.log.chart, &self.base) {
            if !leads_to(&reach, self.until) {
                continue;
            }
            if files::exists(&self.place).map_err(failure::file)? {
                files::remove_tree(&self.place).map_err(failure::file)?;
            }
            files::create_dir(&self.place, 0o700).map_err(failure::file)?;
            match self.pass(&reach)? {
                Ok(fetched) => return Ok(fetched),
                Err(message) => foreign = foreign.or(Some(message)),
            }
        }
        Err(match foreign {
            Some(message) => self.broken(self.base.shown(), message),
            None => not_covered(&self.log.chart, &self.base),
        })
    }

    /// One run; the inner error says that the base is of another log.
    fn pass(&self, reach: &Reach<'_>) -> Result<Result<FetchedLog, String>, ReplayError> {
        let mut pass = Pass {
            reader: BinlogReader::new(GtidState::Unknown),
            sieve: Sieve::new(self.until, self.base.clone()),
            files: Writing::into(&self.place),
            file: reach.file,
            next: 0,
            bytes: 0,
            beyond: 0,
            enough: false,
            stop: None,
        };
        let beyond_all = Position::File {
            file: u64::MAX,
            offset: 0,
        };
        let reader = self.log.reader;
        let read = reader.read(reach.run, reach.from(), beyond_all, &mut |part| {
            pass.take(&part);
            self.ctx.progress.advance(0, part.log.len() as u64);
            if pass.stop.is_some() || pass.enough || self.ctx.interrupt.requested() {
                return Err(io::Error::other("enough"));
            }
            Ok(())
        });
        failure::check_interrupt(self.ctx)?;
        match (pass.stop.take(), read) {
            (Some(Stop::Write(error)), _) => return Err(error.into()),
            (Some(Stop::Log(message)), _) => return Err(self.broken(pass.verified(), message)),
            (Some(Stop::TooEarly), _) => return Err(too_early(&self.base, self.until)),
            (Some(Stop::Foreign(message)), _) => return Ok(Err(message)),
            (None, Err(CaptureError::Interrupted)) => return Err(CaptureError::Interrupted.into()),
            (None, Err(error)) if !pass.enough && pass.sieve.stopped().is_none() => {
                return Err(self.broken(pass.verified(), failure::issue("", &error).message));
            }
            // What cannot be read behind the target does not concern it.
            (None, _) => {}
        }
        self.finish(pass, reach).map(Ok)
    }

    fn finish(&self, pass: Pass, reach: &Reach<'_>) -> Result<FetchedLog, ReplayError> {
        let reached = (parts(pass.file).1, pass.reader.status().whole);
        let is_known = match self.until {
            Until::Time(_) => false,
            Until::End => true,
            Until::Position(at) => own(at) <= Some(reached),
            Until::Transaction(_) => pass.sieve.found(),
        };
        if self.until == Until::End {
            self.must_have_no_more(reach)?;
        }
        let target = match pass.sieve.target() {
            Some(target) if pass.sieve.stopped().is_some() || is_known => target,
            _ => {
                return Err(ReplayError::TooLate {
                    until: self.until,
                    log: self.log.chart.place.clone(),
                    newest: reach.newest,
                });
            }
        };
        if pass.sieve.may_be_too_early() {
            return Err(too_early(&self.base, self.until));
        }
        let begun_anew = parts(reach.file).0;
        let position = |(number, offset)| Position::File {
            file: numbered(begun_anew, number),
            offset,
        };
        pass.files.finish(target.end)?;
        let (commits, newest, overtaken) = (
            pass.sieve.commits(),
            pass.sieve.newest(),
            pass.sieve.overtaken(),
        );
        let (around, tokens_beyond) = pass.sieve.around();
        Ok(FetchedLog {
            until: self.until,
            place: self.place.clone(),
            bytes: pass.bytes,
            target: ReplayTarget {
                timeline: 1,
                from: position((self.base.number, 0)),
                record: position(target.begin),
                end: position(target.end),
                newest,
                commits,
                shown: shown(position(target.end)),
            },
            overtaken,
            around,
            tokens_beyond,
        })
    }

    /// An end is one only if nothing is known to come after it.
    fn must_have_no_more(&self, reach: &Reach<'_>) -> Result<(), ReplayError> {
        let chart = &self.log.chart;
        let begins = chart.runs.iter().map(|(run, _)| run.from);
        let next = begins
            .filter(|from| reach.to < *from)
            .find(|from| match (from, reach.to) {
                (Position::File { file, .. }, Position::File { file: last, .. }) => {
                    parts(*file).0 == parts(last).0
                }
                _ => false,
            });
        match no_end(chart, next.map(shown)) {
            Some(message) => Err(self.broken(shown(reach.to), message)),
            None => Ok(()),
        }
    }

    fn broken(&self, at: String, message: impl Into<String>) -> ReplayError {
        ReplayError::Broken {
            log: self.log.chart.place.clone(),
            at,
            message: message.into(),
        }
    }
}

/// A log on its way from the vault into files.
struct Pass {
    reader: BinlogReader,
    sieve: Sieve,
    files: Writing,
    file: u64,
    next: u64,
    bytes: u64,
    /// Bytes that were read behind the target.
    beyond: u64,
    enough: bool,
    stop: Option<Stop>,
}

/// Why no more is taken.
enum Stop {
    Write(CaptureError),
    Log(String),
    TooEarly,
    Foreign(String),
}

impl Pass {
    fn take(&mut self, part: &LogPart<'_>) {
        let Position::File { file, offset } = part.span.from() else {
            self.stop = Some(Stop::Log(
                "its positions are none of a binary log".to_owned(),
            ));
            return;
        };
        if Some(file) == self.file.checked_add(1) && offset == 0 {
            self.begin_file(file);
        }
        if (file, offset) != (self.file, self.next) {
            let message = format!(
                "what follows is {}",
                written(numbered(0, parts(file).1), offset)
            );
            self.stop = Some(Stop::Log(message));
            return;
        }
        let number = parts(self.file).1;
        if self.sieve.stopped().is_none()
            && let Err(error) = self.files.write(number, part.log)
        {
            self.stop = Some(Stop::Write(error));
            return;
        }
        let length = part.log.len() as u64;
        self.next = self.next.saturating_add(length);
        self.bytes = self.bytes.saturating_add(length);
        let (sieve, mut verdict) = (&mut self.sieve, Verdict::More);
        let fed = self.reader.feed(part.log, |record| {
            if verdict == Verdict::More {
                verdict = sieve.take(number, &record);
            }
        });
        if self.sieve.stopped().is_some() {
            self.beyond = self.beyond.saturating_add(length);
        }
        self.enough = verdict == Verdict::Enough || self.beyond >= BEYOND;
        self.stop = match (verdict, fed) {
            (Verdict::TooEarly, _) => Some(Stop::TooEarly),
            (Verdict::Foreign(message), _) => Some(Stop::Foreign(message)),
            (_, Ok(())) => None,
            // What is damaged behind the target does not concern it.
            (_, Err(_)) if self.sieve.stopped().is_some() => {
                self.enough = true;
                None
            }
            (_, Err(error)) => Some(Stop::Log(error.to_string())),
        };
    }

    fn begin_file(&mut self, file: u64) {
        let gtids = self.reader.status().gtids;
        self.reader = BinlogReader::new(gtids);
        self.file = file;
        self.next = 0;
    }

    fn verified(&self) -> String {
        let verified = self.reader.status().verified;
        written(numbered(0, parts(self.file).1), verified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_format::fragment::Span;
    use vouchsafe_model::Time;

    #[test]
    fn no_number_of_a_file_is_too_large() {
        let place = files::temp_dir("fetch-").unwrap();
        let base = Base {
            number: 1,
            offset: 4,
            past: GtidState::Unknown,
            taken: Time::from_secs(0),
        };
        let mut pass = Pass {
            reader: BinlogReader::new(GtidState::Unknown),
            sieve: Sieve::new(Until::End, base),
            files: Writing::into(place.path()),
            file: u64::MAX,
            next: 0,
            bytes: u64::MAX,
            beyond: 0,
            enough: false,
            stop: None,
        };
        for offset in [0, 2] {
            let at = |offset| Position::File {
                file: u64::MAX,
                offset,
            };
            pass.take(&LogPart {
                sequence: 0,
                timeline: 1,
                span: Span::new(at(offset), at(offset + 2)).unwrap(),
                commits: None,
                log: &[0xfe, b'b'],
            });
        }
        assert_eq!((pass.file, pass.next, pass.bytes), (u64::MAX, 4, u64::MAX));
    }
}
