//! Fetching the entries for one replay: verified, and written out up to the last one that belongs to the moment.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use vouchsafe_capture::{
    Around, CaptureContext, CaptureError, FetchedLog, Log, LogPart, PointReader, ReplayError,
    ReplayTarget, Until,
};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::files;
use vouchsafe_model::Time;

use super::super::oplog::entry::{Entry, each, shown};
use super::super::restore::running;
use super::open::{Open, Role, role};
use super::{BEYOND, Base, ENTRIES, LOG, Reach, base_of, not_covered, own, too_early, written};
use crate::failure;
use crate::fetching::{Room, no_end};
use crate::place::refuse_existing;

/// Where the log lies while it is applied to a server that runs: below the work directory.
const ELSEWHERE: &str = "oplog-replay";
/// So much of what comes behind the target is kept, and so much is looked at.
const KEPT: usize = 1 << 20;
const FARTHEST: u64 = 16 << 20;
/// So many tokens behind the target are told of.
const TOKENS: usize = 8;

/// Fetches into a directory below `to`, or below the work directory where `to` is a server; if it fails, nothing is
/// left there.
pub(in crate::mongodb) fn fetch(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    log: &Log<'_>,
    until: Until,
    to: &Path,
) -> Result<FetchedLog, ReplayError> {
    failure::check_interrupt(ctx)?;
    let until = own(until);
    super::plan(point, &log.chart, until)?;
    ctx.progress.phase("fetch the log", None, None);
    let place = if running(to).is_some() {
        ctx.work_dir.join(ELSEWHERE)
    } else {
        refuse_existing(to)?;
        to.join(LOG)
    };
    let room = Room::make(place)?;
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
pub(in crate::mongodb) fn forget(place: &Path) -> Result<(), CaptureError> {
    files::remove_tree(place).map_err(failure::file)
}

/// Leaves only what `mongorestore` takes.
pub(in crate::mongodb) fn keep_for_tools(place: &Path) -> Result<(), CaptureError> {
    files::remove_file(place.join(BEYOND)).map_err(failure::file)
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
        let path = self.place.join(ENTRIES);
        let file = files::create_new(&path, files::PRIVATE_FILE).map_err(failure::file)?;
        let mut pass = Pass::new(self.base.clone(), self.until, file);
        let (from, end) = (Position::Mark(self.base.from), Position::Mark(u64::MAX));
        let read = self.log.reader.read(reach.run, from, end, &mut |part| {
            pass.take(&part);
            self.ctx.progress.advance(0, part.log.len() as u64);
            if pass.stop.is_some() || pass.is_enough || self.ctx.interrupt.requested() {
                return Err(io::Error::other("enough"));
            }
            Ok(())
        });
        failure::check_interrupt(self.ctx)?;
        match (pass.stop.take(), read) {
            (Some(Stop::Write(error)), _) => {
                return Err(CaptureError::io("write", path.display().to_string(), error).into());
            }
            (Some(Stop::TooEarly), _) => return Err(too_early(&self.base, self.until)),
            (Some(Stop::Log(message)), _) => return Err(self.broken(&pass, message)),
            (None, Err(CaptureError::Interrupted)) => return Err(CaptureError::Interrupted.into()),
            (None, Err(error)) if !pass.has_passed => {
                return Err(self.broken(&pass, failure::issue("", &error).message));
            }
            // What cannot be read behind the target does not concern it.
            (None, _) => {}
        }
        self.finish(pass, &reach)
    }

    fn finish(&self, mut pass: Pass, reach: &Reach<'_>) -> Result<FetchedLog, ReplayError> {
        let chart = &self.log.chart;
        if self.until == Until::End {
            self.must_have_no_more(&pass, reach)?;
        }
        let Some(target) = pass.target else {
            return Err(not_covered(chart, &self.base));
        };
        let is_known = match self.until {
            // A moment is known where a later entry is, or one of the very moment.
            Until::Time(at) => target.time == at,
            Until::Transaction(_) => false,
            Until::End => true,
            Until::Position(at) => at <= Position::Mark(target.mark.saturating_add(1)),
        };
        if !pass.has_passed && !is_known {
            return Err(reach.too_late(chart, self.until));
        }
        let failed = |e| CaptureError::io("write", self.place.display().to_string(), e);
        pass.finish().map_err(failed)?;
        files::write_atomic(self.place.join(BEYOND), &pass.beyond, files::PRIVATE_FILE)
            .map_err(failure::file)?;
        Ok(FetchedLog {
            until: self.until,
            place: self.place.clone(),
            bytes: pass.bytes,
            target: ReplayTarget {
                timeline: target.term,
                from: Position::Mark(self.base.from),
                record: Position::Mark(target.mark),
                end: Position::Mark(target.mark.saturating_add(1)),
                newest: pass.newest,
                commits: pass.commits,
                shown: shown(target.mark),
            },
            around: Around::default(),
            tokens_beyond: pass.tokens_beyond,
            overtaken: pass.overtaken,
        })
    }

    /// An end is one only if nothing is known to come after it.
    fn must_have_no_more(&self, pass: &Pass, reach: &Reach<'_>) -> Result<(), ReplayError> {
        let chart = &self.log.chart;
        let mut begins = chart.runs.iter().map(|(run, _)| run.from);
        let next = begins.find(|from| reach.run.to < *from);
        match no_end(chart, next.map(written)) {
            Some(message) => Err(self.broken(pass, message)),
            None => Ok(()),
        }
    }

    fn broken(&self, pass: &Pass, message: impl Into<String>) -> ReplayError {
        ReplayError::Broken {
            log: self.log.chart.place.clone(),
            at: shown(pass.last.unwrap_or(self.base.from)),
            message: message.into(),
        }
    }
}

/// The last entry that belongs to the moment.
#[derive(Clone, Copy, Debug)]
struct Target {
    mark: u64,
    term: u64,
    time: Time,
}

/// Entries on their way from the vault into a file.
struct Pass {
    base: Base,
    until: Until,
    file: BufWriter<File>,
    /// The last entry that was read.
    last: Option<u64>,
    /// Of transactions that were under way when the base was taken, and are not known to have ended by then.
    open: Open<(u64, Vec<u8>)>,
    target: Option<Target>,
    newest: Option<Time>,
    commits: u64,
    /// An entry was seen that does not belong to the moment.
    has_passed: bool,
    beyond: Vec<u8>,
    bytes_beyond: u64,
    tokens_beyond: Vec<Vec<u8>>,
    overtaken: u64,
    bytes: u64,
    is_enough: bool,
    stop: Option<Stop>,
}

/// Why no more is taken.
enum Stop {
    Write(io::Error),
    Log(String),
    TooEarly,
}

impl Pass {
    fn new(base: Base, until: Until, file: File) -> Pass {
        Pass {
            base,
            until,
            file: BufWriter::with_capacity(1 << 20, file),
            last: None,
            open: Open::new(),
            target: None,
            newest: None,
            commits: 0,
            has_passed: false,
            beyond: Vec::new(),
            bytes_beyond: 0,
            tokens_beyond: Vec::new(),
            overtaken: 0,
            bytes: 0,
            is_enough: false,
            stop: None,
        }
    }

    fn take(&mut self, part: &LogPart<'_>) {
        let (Position::Mark(from), Position::Mark(to)) = (part.span.from(), part.span.to()) else {
            let message = "its positions are none of an oplog";
            self.stop = Some(Stop::Log(message.to_owned()));
            return;
        };
        self.bytes = self.bytes.saturating_add(part.log.len() as u64);
        let read = each(part.log, &mut |entry| {
            let follows = self.last.is_none_or(|last| last < entry.mark);
            if !follows || entry.mark < from || to <= entry.mark || entry.term != part.timeline {
                let at = shown(entry.mark);
                let message = format!("the entry {at} does not stand where it belongs");
                return Err(Stop::Log(message));
            }
            self.last = Some(entry.mark);
            self.entry(&entry)
        });
        let ends = self.last.is_some_and(|last| last.saturating_add(1) == to);
        self.stop = match read {
            Ok(Ok(())) if ends => None,
            Ok(Ok(())) => Some(Stop::Log(format!(
                "the entry that ends a piece at {} is missing",
                shown(to)
            ))),
            Ok(Err(stop)) => Some(stop),
            Err(message) => Some(Stop::Log(message)),
        };
        if self.has_passed && self.stop.is_some() {
            // What is damaged behind the target does not concern it.
            self.stop = None;
            self.is_enough = true;
        }
    }

    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), Stop> {
        if entry.mark <= self.base.last {
            return self.of_the_base(entry);
        }
        if self.target.is_none() {
            let message = format!(
                "the entry {}, at which the base was taken, is not in it: the base is of another log",
                shown(self.base.last)
            );
            return Err(Stop::Log(message));
        }
        if self.has_passed || !self.belongs(entry) {
            self.behind(entry);
            return Ok(());
        }
        self.begin()?;
        self.file.write_all(entry.bytes).map_err(Stop::Write)?;
        self.commits += u64::from(entry.kind() != "n");
        self.reached(entry);
        Ok(())
    }

    /// What the base holds already, but for the parts of transactions that were not committed by then.
    fn of_the_base(&mut self, entry: &Entry<'_>) -> Result<(), Stop> {
        if entry.mark < self.base.from {
            return Ok(());
        }
        let role = role(&entry.document)
            .map_err(|message| Stop::Log(format!("the entry {}: {message}", shown(entry.mark))))?;
        match role {
            Role::Part(key) => self.open.add(key, (entry.mark, entry.bytes.to_vec())),
            Role::Last(key, _) | Role::Commit(key) | Role::Abort(key) => {
                self.open.take(&key);
            }
            Role::Note | Role::Deed | Role::Deeds => {}
        }
        if entry.mark == self.base.last {
            if entry.digest() != self.base.digest {
                let at = shown(entry.mark);
                let message = format!(
                    "the entry {at} is another one than that at which the base was taken: the base is of another log"
                );
                return Err(Stop::Log(message));
            }
            if matches!(self.until, Until::Time(at) if at < entry.time) {
                return Err(Stop::TooEarly);
            }
            self.reached(entry);
        }
        Ok(())
    }

    fn reached(&mut self, entry: &Entry<'_>) {
        self.newest = self.newest.max(Some(entry.time));
        self.target = Some(Target {
            mark: entry.mark,
            term: entry.term,
            time: entry.time,
        });
    }

    fn belongs(&self, entry: &Entry<'_>) -> bool {
        match self.until {
            Until::Time(time) => entry.time <= time,
            Until::End => true,
            Until::Position(at) => Position::Mark(entry.mark) < at,
            Until::Transaction(_) => false,
        }
    }

    fn behind(&mut self, entry: &Entry<'_>) {
        self.has_passed = true;
        self.bytes_beyond += entry.bytes.len() as u64;
        if self.beyond.len() < KEPT {
            self.beyond.extend_from_slice(entry.bytes);
        }
        if let Some(token) = entry.token_text()
            && self.tokens_beyond.len() < TOKENS
        {
            self.tokens_beyond.push(token.as_bytes().to_vec());
        }
        self.overtaken += u64::from(matches!(self.until, Until::Time(at) if entry.time <= at));
        let is_known = !self.tokens_beyond.is_empty() && self.beyond.len() >= KEPT;
        self.is_enough = is_known || self.bytes_beyond >= FARTHEST;
    }

    /// Before anything else: what is left of transactions that were under way.
    fn begin(&mut self) -> Result<(), Stop> {
        let mut open = std::mem::replace(&mut self.open, Open::new()).into_all();
        open.sort_by_key(|(mark, _)| *mark);
        for (_, bytes) in open {
            self.file.write_all(&bytes).map_err(Stop::Write)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }
}
