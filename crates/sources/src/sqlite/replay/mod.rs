//! A restored database brought to a moment: by a base, and the records of its log from there on.
//!
//! What SQLite itself does with its log is done here with the records of it: each page is written to its place, and
//! after the last transaction the file has as many pages as that says.

mod apply;
mod fetch;
mod rungs;

use std::io::Read;

use vouchsafe_capture::{
    CaptureError, LogChart, LogRun, MANIFEST_NAME, PointReader, ReplayError, ReplayPlan, Until,
    Visit,
};
use vouchsafe_format::Node;
use vouchsafe_format::fragment::Position;
use vouchsafe_model::{DigestManifest, Time};
use vouchsafe_translog::sqlite::{Looked, Salts};

pub(super) use apply::apply;
pub(super) use fetch::{fetch, forget};
pub(super) use rungs::{compare, skipped};

use super::SqliteSource;

/// The manifest's key of where a base lies in the log.
pub(super) const POSITION: &str = "position";

/// Where in the log a base lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// Where the records begin that are replayed over it.
    pub(super) from: u64,
    /// When it had begun: a look that began later saw all of it.
    pub(super) begun: Time,
    /// Which generation the log was of then, and up to where it went; none if that was not known.
    pub(super) log: (Salts, u64),
    /// The generation of the first record.
    pub(super) salts: Salts,
}

impl Base {
    /// As the manifest has it. The generation that is looked for comes last.
    pub(super) fn text(&self) -> String {
        let (log, to) = self.log;
        format!(
            "{} {} {log} {to} {}",
            self.from,
            self.begun.micros(),
            self.salts
        )
    }

    fn parse(text: &str) -> Option<Base> {
        let mut words = text.split(' ');
        let base = Base {
            from: words.next()?.parse().ok()?,
            begun: Time::from_micros(words.next()?.parse().ok()?),
            log: (salts(words.next()?)?, words.next()?.parse().ok()?),
            salts: salts(words.next()?)?,
        };
        (base.text() == text).then_some(base)
    }

    fn shown(&self) -> String {
        Position::Byte(self.from).to_string()
    }
}

/// Whether a base is whole in what was seen: before that, its pages are of different times.
#[derive(Clone, Copy, Debug)]
struct Ripe {
    base: Base,
    /// Its generation was seen.
    was_there: bool,
}

impl Ripe {
    fn of(base: Base) -> Ripe {
        Ripe {
            base,
            was_there: false,
        }
    }

    /// Whether it is whole with this look.
    fn take(&mut self, looked: &Looked) -> bool {
        let (salts, to) = self.base.log;
        let is_there = looked.salts == salts;
        let is_past = match (salts == Salts::NONE, is_there) {
            (true, _) => true,
            (false, true) => looked.to >= to,
            // Another one has come after it.
            (false, false) => self.was_there,
        };
        self.was_there |= is_there;
        is_past && self.base.begun <= looked.begun
    }
}

/// What the headers of a log tell of bringing a point to a moment.
pub(super) fn plan(
    point: &dyn PointReader,
    chart: &LogChart,
    until: Until,
) -> Result<ReplayPlan, ReplayError> {
    let base = base_of(point)?;
    let reach = Reach::of(chart, &base).ok_or_else(|| not_covered(chart, &base))?;
    let from = Position::Byte(base.from);
    if let Until::Position(at) = until
        && at <= from
    {
        return Err(too_early(&base, until));
    }
    if !reach.leads_to(until) {
        return Err(reach.too_late(chart, until));
    }
    let bytes = match reach.run.to {
        Position::Byte(to) => to.saturating_sub(base.from),
        _ => 0,
    };
    Ok(ReplayPlan {
        timeline: 1,
        from,
        to: reach.run.to,
        bytes,
        newest: reach.newest,
        shown: format!("{from} to {}", reach.run.to),
    })
}

/// From where on the log is needed for a base.
pub(super) fn needed_from(manifest: &DigestManifest) -> Option<Position> {
    base_in(manifest).map(|base| Position::Byte(base.from))
}

/// The run in which a base lies.
struct Reach<'c> {
    run: &'c LogRun,
    /// The last look behind the base's beginning.
    newest: Option<Time>,
}

impl<'c> Reach<'c> {
    fn of(chart: &'c LogChart, base: &Base) -> Option<Reach<'c>> {
        let from = Position::Byte(base.from);
        let holds = |run: &LogRun| run.from <= from && from < run.to;
        let (run, pieces) = chart.runs.iter().find(|(run, _)| holds(run))?;
        let behind = pieces.iter().filter(|piece| from < piece.span.to());
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
            // Transactions of SQLite have no names.
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
        from: base.shown(),
    }
}

fn too_early(base: &Base, until: Until) -> ReplayError {
    ReplayError::TooEarly {
        until,
        base: format!("the first look after {}", base.begun),
    }
}

/// What the point says of its base.
fn base_of(point: &dyn PointReader) -> Result<Base, CaptureError> {
    let mut manifest: Option<Node> = None;
    point.walk(&mut |path, node| {
        if path.names().len() == 1 && node.name == MANIFEST_NAME.as_bytes() {
            manifest = Some(node.clone());
        }
        Ok(Visit::Over)
    })?;
    let wrong = |message: &str| CaptureError::Unreadable {
        place: "the point".to_owned(),
        message: message.to_owned(),
        remedy: "choose a point from a time when the log was shipped".to_owned(),
    };
    let node = manifest.ok_or_else(|| wrong("it has no manifest"))?;
    let mut json = Vec::new();
    point
        .open(&node)?
        .take(64 << 20)
        .read_to_end(&mut json)
        .map_err(|e| CaptureError::io("read", MANIFEST_NAME, e))?;
    let manifest: DigestManifest =
        serde_json::from_slice(&json).map_err(|_| wrong("its manifest cannot be read"))?;
    base_in(&manifest).ok_or_else(|| wrong("it does not say where in the log it lies"))
}

fn base_in(manifest: &DigestManifest) -> Option<Base> {
    if manifest.method != SqliteSource::METHOD {
        return None;
    }
    Base::parse(&manifest.entries.get(POSITION)?.digest)
}

fn salts(text: &str) -> Option<Salts> {
    let mut out = Salts::NONE;
    hex::decode_to_slice(text, &mut out.0).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Base {
        Base {
            from: 96,
            begun: Time::from_secs(5),
            log: (Salts([2; 8]), 4152),
            salts: Salts([1; 8]),
        }
    }

    fn look(salts: u8, to: u64, begun: i64) -> Looked {
        Looked {
            salts: Salts([salts; 8]),
            to,
            begun: Time::from_secs(begun),
            ..Looked::default()
        }
    }

    #[test]
    fn a_bases_place_is_read_or_refused() {
        let text = base().text();
        assert_eq!(text, "96 5000000 0202020202020202 4152 0101010101010101");
        assert_eq!(Base::parse(&text), Some(base()));
        for bad in [
            "",
            "96",
            "96 5 0202020202020202 4152",
            "96 5 0202020202020202 4152 01",
            "+96 5000000 0202020202020202 4152 0101010101010101",
            "96 5000000 0202020202020202 4152 0101010101010101 x",
            "96 5000000 0202020202020202 4152 010101010101010X",
        ] {
            assert_eq!(Base::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_base_is_whole_only_when_all_that_it_may_hold_was_seen() {
        let mut ripe = Ripe::of(base());
        assert!(
            !ripe.take(&look(1, 9000, 9)),
            "its own log was not seen yet"
        );
        assert!(!ripe.take(&look(2, 4000, 9)), "not up to its end");
        assert!(!ripe.take(&look(2, 4152, 4)), "by a look that began before");
        assert!(ripe.take(&look(2, 4152, 5)));
        let mut ripe = Ripe::of(base());
        assert!(!ripe.take(&look(2, 4000, 9)));
        assert!(ripe.take(&look(3, 32, 9)), "the next log has begun");
        let mut ripe = Ripe::of(Base {
            log: (Salts::NONE, 0),
            ..base()
        });
        assert!(!ripe.take(&look(1, 0, 4)));
        assert!(ripe.take(&look(1, 0, 5)));
    }
}
