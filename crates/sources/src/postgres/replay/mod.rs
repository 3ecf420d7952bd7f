//! A restored server brought to a moment: by a base, and the log from there on.
//!
//! The log is fetched first, along the path of timelines that leads to the moment, verified record by record, and cut
//! after the last record that may be replayed. PostgreSQL is then told to stop after exactly that record, and looked at
//! whether it did.

mod fetch;
mod moment;
mod path;
mod recover;
mod segments;
mod sieve;
mod tokens;

use std::io::Read;

use vouchsafe_capture::{
    CaptureError, LogChart, MANIFEST_NAME, PointReader, ReplayError, ReplayPlan, Until, Visit,
};
use vouchsafe_format::fragment::Position;
use vouchsafe_format::{Node, NodeKind};
use vouchsafe_model::DigestManifest;
use vouchsafe_translog::wal::{Lsn, SegmentSize, Timeline, WalFileName};

pub(super) use fetch::fetch;
pub(super) use moment::{QUESTION as MOMENT, moment};
pub(super) use recover::{at_the_target, recover};
pub(super) use tokens::tokens;

pub(super) use crate::tokens::QUESTION as TOKENS;

use self::path::{Base, Reach, histories, reach};
use super::about;
use super::base::{DATA, PostgresBaseSource};
use super::session::unreadable;

/// Below the directory that a server is restored to: the log that is replayed.
pub(super) const LOG: &str = "wal";

/// What the headers of a log tell of bringing a point to a moment.
pub(super) fn plan(
    point: &dyn PointReader,
    chart: &LogChart,
    until: Until,
) -> Result<ReplayPlan, ReplayError> {
    let base = base_of(point)?;
    let paths = histories(chart, &base);
    let reaches = paths.iter().map(|h| reach(chart, &base, h, enough(until)));
    let reaches: Vec<Reach> = reaches.collect();
    let chosen = reaches.iter().find(|reached| leads_to(reached, until));
    let newest = reaches.iter().filter_map(|reached| reached.newest).max();
    let covered = reaches.iter().any(|reached| base.end.1 <= reached.to);
    match chosen {
        _ if !covered => Err(not_covered(chart, &base)),
        Some(chosen) => Ok(ReplayPlan {
            timeline: chosen.timeline.number().into(),
            from: Position::Byte(base.first_byte().0),
            to: Position::Byte(chosen.to.0),
            bytes: chosen.bytes,
            newest,
            shown: format!(
                "{} to {} on timeline {}",
                base.first_byte(),
                chosen.to,
                chosen.timeline
            ),
        }),
        None => Err(ReplayError::TooLate {
            until,
            log: chart.place.clone(),
            newest,
        }),
    }
}

fn enough(until: Until) -> Option<vouchsafe_model::Time> {
    match until {
        Until::Time(time) => Some(time),
        Until::End | Until::Position(_) | Until::Transaction(_) => None,
    }
}

/// Whether a path goes as far as is asked, as far as headers tell.
fn leads_to(reached: &Reach, until: Until) -> bool {
    match until {
        Until::Time(time) => reached.newest.is_some_and(|newest| time <= newest),
        Until::End => true,
        Until::Position(Position::Byte(at)) => at <= reached.to.0,
        // Numbers of transactions begin anew, and are no way to say how far.
        Until::Position(_) | Until::Transaction(_) => false,
    }
}

fn not_covered(chart: &LogChart, base: &Base) -> ReplayError {
    let (timeline, start) = base.start;
    ReplayError::NotCovered {
        log: chart.place.clone(),
        from: format!("{start} of timeline {timeline}"),
    }
}

/// What the point says of its base.
fn base_of(point: &dyn PointReader) -> Result<Base, CaptureError> {
    let mut manifest: Option<Node> = None;
    let mut segment = None;
    let way = [about::DIRECTORY, DATA, "pg_wal"].map(str::as_bytes);
    point.walk(&mut |path, node| {
        let names = path.names();
        if names.len() == 1 && node.name == MANIFEST_NAME.as_bytes() {
            manifest = Some(node.clone());
        }
        let (parents, name) = (names.iter().rev().skip(1).rev(), names.last());
        if names.len() == way.len() + 1 && parents.map(Vec::as_slice).eq(way) {
            segment = segment.or_else(|| segment_size(name.map(Vec::as_slice), node));
            return Ok(Visit::Over);
        }
        let leads_there = names
            .iter()
            .map(Vec::as_slice)
            .eq(way.iter().copied().take(names.len()));
        Ok(if leads_there {
            Visit::Into
        } else {
            Visit::Over
        })
    })?;
    let wrong = |message: &str| {
        let remedy = "choose a point of the whole server that was captured with a manifest";
        unreadable("the point", message, remedy)
    };
    let node = manifest.ok_or_else(|| wrong("it has no manifest"))?;
    let mut json = Vec::new();
    point
        .open(&node)?
        .take(1 << 20)
        .read_to_end(&mut json)
        .map_err(|e| CaptureError::io("read", MANIFEST_NAME, e))?;
    let manifest: DigestManifest =
        serde_json::from_slice(&json).map_err(|_| wrong("its manifest cannot be read"))?;
    if manifest.method != PostgresBaseSource::METHOD {
        return Err(wrong("it is no base"));
    }
    let entry = |key: &str| manifest.entries.get(key).map(|entry| entry.digest.as_str());
    let system = entry("system").and_then(|text| text.parse().ok());
    let start = entry("start").and_then(place);
    let end = entry("end").and_then(place);
    match (system, start, end, segment) {
        (Some(system), Some(start), Some(end), Some(segment)) => Ok(Base {
            system,
            start,
            end,
            segment,
        }),
        _ => Err(wrong(
            "it does not say of which server it is, or where in the log it lies",
        )),
    }
}

/// A segment's file is as long as a segment.
fn segment_size(name: Option<&[u8]>, node: &Node) -> Option<SegmentSize> {
    let size = SegmentSize::new(u32::try_from(node.size).ok()?)?;
    let name = std::str::from_utf8(name?).ok()?;
    let is_segment = matches!(
        WalFileName::parse(name, size),
        Some(WalFileName::Segment { .. })
    );
    (is_segment && node.kind == NodeKind::File).then_some(size)
}

/// From where on the log is needed for a base.
pub(super) fn needed_from(manifest: &DigestManifest) -> Option<Position> {
    let (_, start) = place(&manifest.entries.get("start")?.digest)?;
    Some(Position::Byte(start.0))
}

/// `1 0/2000028`
fn place(text: &str) -> Option<(Timeline, Lsn)> {
    let (timeline, lsn) = text.split_once(' ')?;
    Some((
        Timeline::new(timeline.parse().ok()?)?,
        lsn.parse::<Lsn>().ok()?,
    ))
}

/// A place in PostgreSQL's log, as it writes it itself.
pub(super) fn lsn(position: Position) -> Lsn {
    match position {
        Position::Byte(at) | Position::Mark(at) => Lsn(at),
        Position::File { offset, .. } => Lsn(offset),
    }
}
