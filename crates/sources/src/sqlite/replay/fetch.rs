//! Fetching the records for one replay: verified, and written out up to the look that belongs to the moment.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use vouchsafe_capture::{
    Around, CaptureContext, CaptureError, FetchedLog, Log, LogPart, PointReader, ReplayError,
    ReplayTarget, Until,
};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::files;
use vouchsafe_translog::sqlite::{Looked, RecordReader, Step};

use super::{Base, Reach, Ripe, base_of, not_covered, too_early};
use crate::failure;
use crate::fetching::{Room, no_end};

/// The records up to the target, and those of the next look that found something.
pub(super) const RECORDS: &str = "records";
/// So many bytes are read behind the target, for a look at what comes next.
const BEYOND: u64 = 16 << 20;

/// Fetches into a directory beside what will be restored; if it fails, nothing is left there.
pub(in crate::sqlite) fn fetch(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    log: &Log<'_>,
    until: Until,
    to: &Path,
) -> Result<FetchedLog, ReplayError> {
    failure::check_interrupt(ctx)?;
    let planned = super::plan(point, &log.chart, until)?;
    ctx.progress
        .phase("fetch the log", None, Some(planned.bytes));
    let room = Room::make(beside(to)?)?;
    let fetching = Fetching {
        ctx,
        log,
        until,
        base: base_of(point)?,
        place: room.place().to_path_buf(),
    };
    let fetched = fetching.fetch();
    if fetched.is_err() {
        room.give_up();
    }
    fetched
}

/// Removes what was fetched.
pub(in crate::sqlite) fn forget(place: &Path) -> Result<(), CaptureError> {
    files::remove_tree(place).map_err(failure::file)
}

/// A directory for the log: in the one that the database goes to, under a name of ours.
fn beside(to: &Path) -> Result<PathBuf, CaptureError> {
    let is_directory = to.as_os_str().as_encoded_bytes().ends_with(b"/")
        || files::exists(to.join(".")).map_err(failure::file)?;
    let mut name = OsString::from(format!("{}log", files::TEMPORARY_PREFIX));
    if is_directory {
        return Ok(to.join(name));
    }
    name.push("-");
    name.push(to.file_name().unwrap_or_default());
    Ok(to.with_file_name(name))
}

struct Fetching<'a> {
    ctx: &'a CaptureContext<'a>,
    log: &'a Log<'a>,
    until: Until,
    base: Base,
    place: PathBuf,
}

impl Fetching<'_> {
    fn fetch(&self) -> Result<FetchedLog, ReplayError> {
        let chart = &self.log.chart;
        let reach = Reach::of(chart, &self.base).ok_or_else(|| not_covered(chart, &self.base))?;
        let place = self.place.join(RECORDS);
        let mut pass = Pass {
            reader: RecordReader::at(self.base.from),
            base: self.base,
            until: self.until,
            file: files::create_new(&place, files::PRIVATE_FILE).map_err(failure::file)?,
            place,
            ripe: Ripe::of(self.base),
            is_ripe: false,
            target: None,
            commits: 0,
            passed: None,
            next: None,
            is_over: false,
            bytes: 0,
            stop: None,
        };
        let from = Position::Byte(self.base.from);
        let end = Position::Byte(u64::MAX);
        let read = self.log.reader.read(reach.run, from, end, &mut |part| {
            pass.take(&part);
            self.ctx.progress.advance(0, part.log.len() as u64);
            if pass.stop.is_some() || pass.is_over || self.ctx.interrupt.requested() {
                return Err(io::Error::other("enough"));
            }
            Ok(())
        });
        failure::check_interrupt(self.ctx)?;
        let stop = pass.stop.take();
        match (stop, read) {
            (Some(Stop::Write(error)), _) => {
                let place = pass.place.display().to_string();
                return Err(CaptureError::io("write", place, error).into());
            }
            (Some(Stop::Log(message)), _) => return Err(self.broken(&pass, message)),
            (None, Err(CaptureError::Interrupted)) => return Err(CaptureError::Interrupted.into()),
            (None, Err(error)) if pass.passed.is_none() => {
                return Err(self.broken(&pass, failure::issue("", &error).message));
            }
            // What cannot be read behind the target does not concern it.
            (None, _) => {}
        }
        self.finish(pass, &reach)
    }

    fn finish(&self, pass: Pass, reach: &Reach<'_>) -> Result<FetchedLog, ReplayError> {
        let chart = &self.log.chart;
        let is_known = match self.until {
            Until::Time(_) | Until::Transaction(_) => false,
            Until::End => true,
            Until::Position(at) => at <= Position::Byte(pass.reader.position()),
        };
        if self.until == Until::End {
            self.must_have_no_more(&pass, reach)?;
        }
        let newest = pass.target.as_ref().map(|looked| looked.time);
        // A moment is known only where a later look is, or that of the very moment.
        let is_whole = pass.passed.is_some()
            || is_known
            || matches!(self.until, Until::Time(at) if newest == Some(at));
        if !is_whole {
            return Err(reach.too_late(chart, self.until));
        }
        let (Some(target), true) = (pass.target, pass.is_ripe) else {
            return Err(too_early(&self.base, self.until));
        };
        pass.cut()?;
        let end = Position::Byte(target.end);
        Ok(FetchedLog {
            until: self.until,
            place: self.place.clone(),
            bytes: pass.bytes,
            target: ReplayTarget {
                timeline: 1,
                from: Position::Byte(self.base.from),
                record: end,
                end,
                newest,
                commits: pass.commits,
                shown: end.to_string(),
            },
            around: Around::default(),
            tokens_beyond: Vec::new(),
            overtaken: 0,
        })
    }

    /// An end is one only if nothing is known to come after it.
    fn must_have_no_more(&self, pass: &Pass, reach: &Reach<'_>) -> Result<(), ReplayError> {
        let chart = &self.log.chart;
        let mut begins = chart.runs.iter().map(|(run, _)| run.from);
        let next = begins.find(|from| reach.run.to < *from);
        match no_end(chart, next.map(|next| next.to_string())) {
            Some(message) => Err(self.broken(pass, message)),
            None => Ok(()),
        }
    }

    fn broken(&self, pass: &Pass, message: impl Into<String>) -> ReplayError {
        ReplayError::Broken {
            log: self.log.chart.place.clone(),
            at: Position::Byte(pass.reader.position()).to_string(),
            message: message.into(),
        }
    }
}

/// Records on their way from the vault into a file.
struct Pass {
    reader: RecordReader,
    base: Base,
    until: Until,
    place: PathBuf,
    file: File,
    ripe: Ripe,
    /// Whether the base is whole with the target.
    is_ripe: bool,
    /// The last look that belongs to the moment.
    target: Option<Looked>,
    commits: u64,
    /// Where the first look ends that does not.
    passed: Option<u64>,
    /// Where a later look ends that found something.
    next: Option<u64>,
    is_over: bool,
    bytes: u64,
    stop: Option<Stop>,
}

/// Why no more is taken.
enum Stop {
    Write(io::Error),
    Log(String),
}

impl Pass {
    fn take(&mut self, part: &LogPart<'_>) {
        self.bytes += part.log.len() as u64;
        let mut steps = Judge {
            foreign: false,
            failed: None,
            pass: Looks {
                until: self.until,
                base: &self.base,
                file: &mut self.file,
                ripe: &mut self.ripe,
                is_ripe: &mut self.is_ripe,
                target: &mut self.target,
                commits: &mut self.commits,
                passed: &mut self.passed,
                next: &mut self.next,
            },
        };
        let fed = self.reader.feed(part.log, |step| steps.take(step));
        let (failed, foreign) = (steps.failed, steps.foreign);
        self.stop = match (failed, fed) {
            (Some(error), _) => Some(Stop::Write(error)),
            (None, _) if foreign => Some(Stop::Log("the base is of another log".to_owned())),
            (None, Ok(())) => None,
            // What is damaged behind the target does not concern it.
            (None, Err(_)) if self.passed.is_some() => {
                self.is_over = true;
                None
            }
            (None, Err(error)) => Some(Stop::Log(error.to_string())),
        };
        let beyond = self.reader.position().saturating_sub(self.end());
        self.is_over |= self.next.is_some() || (self.passed.is_some() && beyond > BEYOND);
    }

    /// Where the target ends.
    fn end(&self) -> u64 {
        self.target
            .as_ref()
            .map_or(self.base.from, |looked| looked.end)
    }

    /// Leaves the records up to the target, and those of the next look that found something, if it is whole.
    fn cut(&self) -> Result<(), CaptureError> {
        let end = self.next.unwrap_or_else(|| self.end());
        let cut = self.file.set_len(end.saturating_sub(self.base.from));
        cut.and_then(|()| self.file.sync_all())
            .map_err(|e| CaptureError::io("write", self.place.display().to_string(), e))
    }
}

/// What looks are judged by while records are read.
struct Looks<'p> {
    until: Until,
    base: &'p Base,
    file: &'p mut File,
    ripe: &'p mut Ripe,
    is_ripe: &'p mut bool,
    target: &'p mut Option<Looked>,
    commits: &'p mut u64,
    passed: &'p mut Option<u64>,
    next: &'p mut Option<u64>,
}

struct Judge<'p> {
    /// The first record is of another generation than the base says.
    foreign: bool,
    failed: Option<io::Error>,
    pass: Looks<'p>,
}

impl Judge<'_> {
    fn take(&mut self, step: Step<'_>) {
        let pass = &mut self.pass;
        match step {
            Step::Frame { .. } => {}
            Step::Record { record, bytes, end } => {
                let is_first = end == pass.base.from.saturating_add(bytes.len() as u64);
                self.foreign |= is_first && record.salts != pass.base.salts;
                if pass.next.is_none() && self.failed.is_none() {
                    self.failed = pass.file.write_all(bytes).err();
                }
            }
            Step::Look(looked) => {
                if pass.passed.is_none() && belongs(pass.until, &looked) {
                    *pass.is_ripe |= pass.ripe.take(&looked);
                    *pass.commits = pass.commits.saturating_add(looked.commits);
                    *pass.target = Some(looked);
                    return;
                }
                *pass.passed = pass.passed.or(Some(looked.end));
                if looked.commits > 0 {
                    *pass.next = pass.next.or(Some(looked.end));
                }
            }
        }
    }
}

/// Whether a look belongs to what is asked for.
fn belongs(until: Until, looked: &Looked) -> bool {
    match until {
        Until::Time(time) => looked.time <= time,
        Until::End => true,
        Until::Position(at) => Position::Byte(looked.end) <= at,
        Until::Transaction(_) => false,
    }
}
