//! A restored point brought to a moment: by the oplog from its own moment on.
//!
//! The log is fetched first, verified entry by entry, and cut behind the last entry that belongs to the moment; then a
//! server applies what it tells, or it lies beside the archive for `mongorestore`.

mod apply;
mod deeds;
mod fetch;
mod open;
mod rungs;
mod said;

use vouchsafe_capture::{
    CaptureContext, CaptureError, LogChart, LogRun, PointReader, ReplayError, ReplayPlan, Until,
};
use vouchsafe_format::fragment::Position;
use vouchsafe_model::{DigestEntry, DigestManifest, Time};

pub(super) use apply::apply;
pub(super) use fetch::{fetch, forget, keep_for_tools};
pub(super) use rungs::{by_archive, by_server, differences, skipped};

use super::MongoDbSource;
use super::about;
use super::oplog::entry::{Entry, of_shown, shown};
use super::oplog::{note_needed, reading};
use super::session::{Session, unreadable};

/// The manifest's key of where a base lies in the log.
pub(super) const POSITION: &str = "position";
/// Below the directory that a point is restored to: the log that is replayed.
pub(super) const LOG: &str = "log";
/// In it, the entries up to the target, as `mongorestore --oplogReplay` takes them.
const ENTRIES: &str = "oplog.bson";
/// The first ones behind it.
const BEYOND: &str = "beyond.bson";

/// Where in the log a base lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// From where on entries are needed: of transactions that were under way.
    from: u64,
    /// The last entry that is part of the base.
    last: u64,
    /// Its digest.
    digest: String,
}

impl Base {
    /// That of a point which holds the state at `moment`. It is noted for whoever follows the log afterwards.
    pub(super) fn at(
        ctx: &CaptureContext<'_>,
        session: &mut Session,
        moment: u64,
    ) -> Result<Base, CaptureError> {
        let bytes = reading::last_up_to(session, moment)?;
        let read = bytes.as_deref().map(Entry::parse).transpose();
        let entry = read.ok().flatten().ok_or_else(|| {
            unreadable(
                session.shown(),
                "the entry of the oplog at which it was captured cannot be read",
                "see that the oplog is larger than what is written during a capture",
            )
        })?;
        let base = Base {
            from: reading::oldest_open(session, entry.mark)?,
            last: entry.mark,
            digest: entry.digest(),
        };
        note_needed(ctx, base.from)?;
        Ok(base)
    }

    /// As the manifest has it. The digest comes last.
    pub(super) fn entry(&self) -> DigestEntry {
        DigestEntry {
            count: None,
            digest: format!("{} {} {}", shown(self.from), shown(self.last), self.digest),
        }
    }

    fn parse(text: &str) -> Option<Base> {
        let mut words = text.split(' ');
        let base = Base {
            from: of_shown(words.next()?)?,
            last: of_shown(words.next()?)?,
            digest: words.next()?.to_owned(),
        };
        (base.entry().digest == text && base.from <= base.last).then_some(base)
    }
}

/// What the headers of a log tell of bringing a point to a moment.
pub(super) fn plan(
    point: &dyn PointReader,
    chart: &LogChart,
    until: Until,
) -> Result<ReplayPlan, ReplayError> {
    let base = base_of(point)?;
    let until = own(until);
    let reach = Reach::of(chart, &base).ok_or_else(|| not_covered(chart, &base))?;
    if let Until::Position(at) = until
        && at <= Position::Mark(base.last)
    {
        return Err(too_early(&base, until));
    }
    if !reach.leads_to(until) {
        return Err(reach.too_late(chart, until));
    }
    Ok(ReplayPlan {
        timeline: reach.run.timeline,
        from: Position::Mark(base.from),
        to: reach.run.to,
        // Marks count no bytes.
        bytes: 0,
        newest: reach.newest,
        shown: format!("{} to {}", shown(base.from), written(reach.run.to)),
    })
}

/// From where on the log is needed for a base.
pub(super) fn needed_from(manifest: &DigestManifest) -> Option<Position> {
    base_in(manifest).map(|base| Position::Mark(base.from))
}

/// A place that was given as `SECONDS:NUMBER` has the form of one in a numbered file.
fn own(until: Until) -> Until {
    match until {
        Until::Position(Position::File { file, offset })
            if file <= u64::from(u32::MAX) && offset <= u64::from(u32::MAX) =>
        {
            Until::Position(Position::Mark(file << 32 | offset))
        }
        other => other,
    }
}

fn written(position: Position) -> String {
    match position {
        Position::Mark(mark) => shown(mark),
        other => other.to_string(),
    }
}

/// The run in which a base lies.
struct Reach<'c> {
    run: &'c LogRun,
    /// The newest entry of the base and behind it.
    newest: Option<Time>,
}

impl<'c> Reach<'c> {
    /// Where a log has forked, the one that goes farthest; whether the base is of it, its entries tell.
    fn of(chart: &'c LogChart, base: &Base) -> Option<Reach<'c>> {
        let (from, last) = (Position::Mark(base.from), Position::Mark(base.last));
        let holds = |run: &LogRun| run.from <= from && last < run.to;
        let marks = |run: &LogRun| match run.to {
            Position::Mark(to) => to,
            _ => 0,
        };
        let held = chart.runs.iter().filter(|(run, _)| holds(run));
        let (run, pieces) = held.max_by_key(|(run, _)| marks(run))?;
        let behind = pieces.iter().filter(|piece| last < piece.span.to());
        let times = behind.filter_map(|piece| piece.commits);
        Some(Reach {
            run,
            newest: times.map(|commits| Time::from_micros(commits.last)).max(),
        })
    }

    /// As far as headers tell.
    fn leads_to(&self, until: Until) -> bool {
        match until {
            Until::Time(time) => self.newest.is_some_and(|newest| time <= newest),
            Until::End => true,
            Until::Position(at) => at <= self.run.to,
            // Transactions of MongoDB have no names that people know.
            Until::Transaction(_) => false,
        }
    }

    fn too_late(&self, chart: &LogChart, until: Until) -> ReplayError {
        ReplayError::TooLate {
            until,
            log: chart.place.clone(),
            newest: self.newest,
        }
    }
}

fn not_covered(chart: &LogChart, base: &Base) -> ReplayError {
    ReplayError::NotCovered {
        log: chart.place.clone(),
        from: shown(base.from),
    }
}

fn too_early(base: &Base, until: Until) -> ReplayError {
    ReplayError::TooEarly {
        until,
        base: shown(base.last),
    }
}

/// What the point says of its base.
fn base_of(point: &dyn PointReader) -> Result<Base, CaptureError> {
    const PLACE: &str = "the point";
    let manifest = about::parts(point)?.read_manifest(PLACE, point)?;
    manifest.as_ref().and_then(base_in).ok_or_else(|| {
        unreadable(
            PLACE,
            "it does not say where in the oplog it lies",
            "choose a point of the whole server, from a time when its log was shipped",
        )
    })
}

fn base_in(manifest: &DigestManifest) -> Option<Base> {
    if manifest.method != MongoDbSource::METHOD {
        return None;
    }
    Base::parse(&manifest.entries.get(POSITION)?.digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bases_place_is_read_or_refused() {
        let base = Base {
            from: 7 << 32 | 1,
            last: 7 << 32 | 3,
            digest: "ab".to_owned(),
        };
        let text = base.entry().digest;
        assert_eq!(text, "7:1 7:3 ab");
        assert_eq!(Base::parse(&text), Some(base));
        for bad in ["", "7:1", "7:1 7:3", "7:3 7:1 ab", "7:1 7:3 ab x", "7 8 ab"] {
            assert_eq!(Base::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_place_as_people_write_it_is_a_mark() {
        let given = Until::Position(Position::File { file: 7, offset: 3 });
        let mark = Until::Position(Position::Mark(7 << 32 | 3));
        assert_eq!(own(given), mark);
        let none = Until::Position(Position::File {
            file: 1 << 40,
            offset: 3,
        });
        assert_eq!(own(none), none);
    }
}
