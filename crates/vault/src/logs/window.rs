//! What a vault holds of a stream: only what is contiguous, present and authenticated is claimed.

use vouchsafe_capture::LogRun;
use vouchsafe_format::fragment::{Chain, Event, Header, Kind, Run, Span, StreamName};

use super::error::LogError;
use super::objects::Listed;
use super::stream::LogStream;
use crate::parallel;

/// What a vault holds of a stream, by the headers of all its objects.
///
/// Each of them was authenticated, and each object has the length that it says. That the payloads open too is shown by
/// reading them.
#[derive(Debug)]
pub struct Window {
    /// What can be read without a gap, in the order of the stream.
    pub runs: Vec<LogRun>,
    /// What else there is to say of the stream: what is missing, was skipped, or has forked, and who wrote. Those
    /// [events](Event) are left out that only concern objects that are there twice.
    pub events: Vec<Event>,
    /// Objects that are damaged, or not this stream's. Nothing of them is in a run.
    pub problems: Vec<LogError>,
    /// Objects that were found, damaged ones too.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// So many headers are in memory at a time.
const BATCH: usize = 4096;
/// How often a listing is made anew because objects on it were gone when they were looked at.
const LISTINGS: usize = 3;

impl LogStream {
    /// What the vault holds of the stream. Reads the first KiB of each object; memory is bounded by the names.
    ///
    /// # Errors
    /// The store's failures, and [`LogError::Interrupted`]. What is damaged is in the window.
    pub fn window(&self) -> Result<Window, LogError> {
        self.window_by(BATCH)
    }

    #[doc(hidden)]
    pub fn window_by(&self, batch: usize) -> Result<Window, LogError> {
        let mut left = LISTINGS;
        loop {
            left -= 1;
            let listed = self.objects.list()?;
            let mut fold = Fold::new();
            // What was compacted while we looked is in a segment that the listing does not have.
            let all_there = self.fold_all(&listed, batch, &mut fold)?;
            if all_there || left == 0 {
                return Ok(fold.end(&listed));
            }
        }
    }

    /// Whether everything listed was there.
    fn fold_all(&self, listed: &[Listed], batch: usize, fold: &mut Fold) -> Result<bool, LogError> {
        let mut all_there = true;
        let mut rest = listed;
        while let Some(beginning) =
            rest.get(batch.saturating_sub(1).min(rest.len().saturating_sub(1)))
        {
            // All that begin at one place are looked at together.
            let count = rest.partition_point(|one| one.first() <= beginning.first());
            let (now, after) = rest.split_at(count);
            rest = after;
            let found = parallel::map(
                now,
                self.objects.hands,
                &self.objects.env.interrupt,
                |one| (*one, self.objects.listed_header(one)),
            );
            let mut found = found.ok_or(LogError::Interrupted)?;
            found.sort_unstable_by_key(|(one, _)| (one.first(), one.part));
            let mut headers = Vec::with_capacity(found.len());
            for (_, header) in found {
                match header {
                    Ok(header) => headers.push(header),
                    Err(damage @ LogError::Damaged { .. }) => fold.problems.push(damage),
                    Err(LogError::Store(error)) if error.is_not_found() => all_there = false,
                    Err(error) => return Err(error),
                }
            }
            fold.take(headers);
        }
        Ok(all_there)
    }
}

/// Headers put together batch after batch: what is known to be whole goes on as one header of all of it.
struct Fold {
    done: Vec<LogRun>,
    /// Those that later headers may go on from, and the one that goes farthest.
    open: Vec<LogRun>,
    events: Vec<Event>,
    problems: Vec<LogError>,
}

impl Fold {
    fn new() -> Fold {
        Fold {
            done: Vec::new(),
            open: Vec::new(),
            events: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The next headers; each begins at a later place than all before this call.
    fn take(&mut self, headers: Vec<Header>) {
        let Some(first) = headers.first().map(|header| header.sequence) else {
            return;
        };
        let Some(stream) = headers.first().map(|header| header.stream.clone()) else {
            return;
        };
        let farthest = self.open.iter().map(|run| run.last).max();
        let open = std::mem::take(&mut self.open);
        let (open, done): (Vec<LogRun>, Vec<LogRun>) = open
            .into_iter()
            .partition(|run| run.last.saturating_add(1) >= first || Some(run.last) == farthest);
        self.done.extend(done);
        let mut all: Vec<Header> = open
            .iter()
            .filter_map(|run| as_header(run, &stream))
            .collect();
        all.extend(headers);
        let chain = Chain::of(&all);
        self.open = chain
            .runs
            .into_iter()
            .map(|run| run_of(run, &open))
            .collect();
        let new = chain
            .events
            .into_iter()
            .filter(|event| place_of(event).is_some_and(|place| place >= first));
        self.events.extend(new);
        self.events.dedup();
    }

    fn end(mut self, listed: &[Listed]) -> Window {
        self.done.append(&mut self.open);
        self.done
            .sort_by_key(|run| (run.first, run.last, *run.digest.as_bytes()));
        Window {
            runs: self.done,
            events: self.events,
            problems: self.problems,
            objects: listed.len() as u64,
            bytes: listed.iter().map(|one| one.size).sum(),
        }
    }
}

fn run_of(run: Run, open: &[LogRun]) -> LogRun {
    let begins = |one: &&LogRun| one.first == run.first && one.previous == run.previous;
    let known = open.iter().find(begins);
    LogRun {
        first: run.first,
        last: run.last,
        previous: run.previous,
        digest: run.digest,
        from: known.map_or(run.from, |one| one.from),
        to: run.to,
        first_timeline: known.map_or(run.first_timeline, |one| one.first_timeline),
        timeline: run.timeline,
        epoch: run.epoch,
        commits: run.commits,
    }
}

/// All of a run as if it were one object. Nothing if it is too long for one, of which no stream is in our time.
fn as_header(run: &LogRun, stream: &StreamName) -> Option<Header> {
    let count = run.last.checked_sub(run.first)?.checked_add(1)?;
    Some(Header {
        kind: Kind::Segment,
        stream: stream.clone(),
        sequence: run.first,
        count: u32::try_from(count).ok()?,
        epoch: run.epoch,
        last_epoch: run.epoch,
        timeline: run.timeline,
        // After a change of the timeline the end may be before the beginning.
        span: Span::new(run.from, run.to)
            .or_else(|_| Span::new(run.to, run.to))
            .ok()?,
        commits: run.commits,
        previous: run.previous,
        digest: run.digest,
        length: 0,
        compressed: false,
    })
}

/// The place that an event is about; nothing if it is about an object that is not needed.
fn place_of(event: &Event) -> Option<u64> {
    match event {
        Event::OtherStream { .. } | Event::Repeated { .. } | Event::Partly { .. } => None,
        Event::Missing { last, .. } => Some(last.saturating_add(1)),
        Event::Fork { sequence, .. } => Some(sequence.saturating_add(1)),
        Event::Skipped { sequence, .. }
        | Event::Resent { sequence, .. }
        | Event::Timeline { sequence, .. }
        | Event::Epoch { sequence, .. }
        | Event::StaleWriter { sequence, .. } => Some(*sequence),
    }
}
