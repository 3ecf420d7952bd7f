//! Copying a stream to another vault: only what that lacks, and under its own key. The chain stays the same.

use vouchsafe_capture::LogRun;
use vouchsafe_format::fragment::{Header, Part, Position, Stretch};

use super::compact::store;
use super::error::LogError;
use super::read::Pass;
use super::stream::LogStream;

/// What a copy has done. Everything in it was read back.
#[derive(Debug, Default)]
pub struct LogCopyReport {
    /// Objects that the target lacked and has now.
    pub copied: u64,
    /// Fragments in them.
    pub fragments: u64,
    /// Bytes of log in them.
    pub bytes: u64,
    /// What could not be read at the source, or is another branch of the stream than at the target.
    pub problems: Vec<LogError>,
}

/// Copies what `to` lacks of the stream in `from`, and has anything from `not_before` on if that is given. Each object is
/// opened with one vault's key, sealed with the other's, stored if there is none of its name, and read back.
///
/// # Errors
/// [`LogError::Unguarded`] and [`LogError::NoRoom`] if the target cannot hold logs, [`LogError::Fork`] if the target
/// holds another branch at a place that is copied, the stores' failures, and [`LogError::Interrupted`]. Doing it again
/// goes on where it stopped.
///
/// The target must have no writer of its own: what is damaged there is replaced by what the source holds.
pub fn copy_log(
    from: &LogStream,
    to: &LogStream,
    not_before: Option<Position>,
) -> Result<LogCopyReport, LogError> {
    let can = to.objects.store.capabilities();
    let store = || to.objects.place();
    if !can.other_prefixes {
        return Err(LogError::NoRoom { store: store() });
    }
    if !can.put_if_absent {
        return Err(LogError::Unguarded { store: store() });
    }
    let source = from.window()?;
    let mut copying = Copying {
        to,
        target: to.window()?.runs,
        not_before,
        report: LogCopyReport::default(),
    };
    for run in &source.runs {
        copying.must_be_one_branch(run)?;
        copying.run(from, run)?;
    }
    let mut report = copying.report;
    report.problems.extend(source.problems);
    Ok(report)
}

/// A copy under way.
struct Copying<'a> {
    to: &'a LogStream,
    /// What the target held at the beginning.
    target: Vec<LogRun>,
    not_before: Option<Position>,
    report: LogCopyReport,
}

impl Copying<'_> {
    /// Refuses a target that has gone on from the end of a run in another way, as far as a fragment there shows it.
    /// What it does not show is seen when something is to be stored after the target's end.
    fn must_be_one_branch(&self, run: &LogRun) -> Result<(), LogError> {
        let goes_on = |held: &LogRun| held.first <= run.last && run.last < held.last;
        if !self.target.iter().any(goes_on) {
            return Ok(());
        }
        let sequence = run.last;
        match self.to.objects.header(Part::Fragment { sequence }) {
            Ok((header, _)) if header.digest != run.digest => Err(self.to.objects.fork(run.last)),
            Ok(_) | Err(LogError::Damaged { .. }) => Ok(()),
            Err(LogError::Store(error)) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn run(&mut self, from: &LogStream, run: &LogRun) -> Result<(), LogError> {
        let (held, not_before) = (self.target.clone(), self.not_before);
        let pass = |header: &Header| {
            // Whether it is the same is shown where a run of the target ends.
            let ends = held.iter().find(|run| run.last == header.last());
            let shown = ends.is_none_or(|run| run.digest == header.digest);
            let covered = covers(&held, header.sequence, header.last());
            if expired(not_before, header) || (covered && shown) {
                Pass::Over
            } else {
                Pass::Open
            }
        };
        match from.follow(run, &mut |stretch| self.one(&stretch), &pass) {
            Err(error @ (LogError::Damaged { .. } | LogError::Missing { .. })) => {
                self.report.problems.push(error);
                Ok(())
            }
            other => other,
        }
    }

    /// Copies what of an object is missing at the target.
    fn one(&mut self, stretch: &Stretch) -> Result<(), LogError> {
        let header = stretch.header();
        let places = header.sequence..=header.last();
        let held = places
            .into_iter()
            .any(|place| covers(&self.target, place, place));
        let old = self
            .not_before
            .is_some_and(|before| header.span.from() < before);
        if !held && !old {
            return self.whole(stretch);
        }
        let parts = stretch.split().map_err(|source| LogError::Content {
            stream: Box::new(header.stream.clone()),
            source,
        })?;
        let mut missing = Vec::new();
        for part in parts {
            let here = part.header().sequence;
            let ends = self.target.iter().find(|held| held.last == here);
            if ends.is_some_and(|held| held.digest != part.header().digest) {
                return Err(self.to.objects.fork(here));
            }
            if covers(&self.target, here, here) || expired(self.not_before, part.header()) {
                self.joined(std::mem::take(&mut missing))?;
            } else {
                missing.push(part);
            }
        }
        self.joined(missing)
    }

    fn joined(&mut self, parts: Vec<Stretch>) -> Result<(), LogError> {
        match parts.as_slice() {
            [] => Ok(()),
            [one] => self.whole(one),
            several => self.whole(&Stretch::join(several)?),
        }
    }

    fn whole(&mut self, stretch: &Stretch) -> Result<(), LogError> {
        let (header, objects) = (stretch.header(), &self.to.objects);
        for held in &self.target {
            let after = held.last.saturating_add(1) == header.sequence;
            if after && held.digest != header.previous {
                return Err(objects.fork(held.last));
            }
            let before = held.first == header.end();
            if before && held.previous != header.digest {
                return Err(objects.fork(header.last()));
            }
        }
        if store(objects, stretch)? {
            self.report.copied += 1;
            self.report.fragments += stretch.pieces().len() as u64;
            self.report.bytes += stretch.log().len() as u64;
        }
        Ok(())
    }
}

/// Whether one of these runs has all these places.
fn covers(runs: &[LogRun], first: u64, last: u64) -> bool {
    runs.iter()
        .any(|run| run.first <= first && last <= run.last)
}

fn expired(not_before: Option<Position>, header: &Header) -> bool {
    not_before.is_some_and(|before| header.span.to() <= before)
}
