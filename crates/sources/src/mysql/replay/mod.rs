//! A restored server brought to a moment: by a base, and the binary log from there on.
//!
//! The log is fetched first, verified event by event, and cut after the last transaction that may be replayed. Then the
//! server's own program makes statements of it, and the restored server runs them and keeps a log of its own, in which
//! it says where it stands.

mod apply;
mod dialect;
mod fetch;
mod files;
mod reach;
mod rungs;
mod sieve;

use std::io::Read;
use std::path::Path;

use vouchsafe_capture::{
    CaptureError, LogChart, LogRun, MANIFEST_NAME, PointReader, ReplayError, ReplayPlan, Until,
    Visit,
};
use vouchsafe_format::Node;
use vouchsafe_format::fragment::Position;
use vouchsafe_model::{DigestManifest, Time};
use vouchsafe_translog::binlog::GtidState;

pub(super) use apply::{apply, forget};
pub(super) use fetch::fetch;
pub(super) use rungs::{MOMENT, moment, position, tokens};

pub(super) use crate::tokens::QUESTION as TOKENS;

use self::reach::{leads_to, reaches};
use super::about_of;
use super::base::MySqlBaseSource;
use super::binlog::{name_and_number, numbered, own, parts, written};
use super::programs::Product;
use super::session::unreadable;

/// Below the directory that a server is restored to: the log that is replayed.
pub(super) const LOG: &str = "binlog";

/// Where in the log a base lies.
#[derive(Clone, Debug)]
struct Base {
    /// The number of the file.
    number: u64,
    offset: u64,
    /// The transactions that are in it, as the copy says. Of MariaDB's these are all up to there; of MySQL's all up to
    /// there but for some that changed nothing, which the server notes later.
    past: GtidState,
    /// When the copy was begun, by our clock.
    taken: Time,
}

impl Base {
    fn shown(&self) -> String {
        written(numbered(0, self.number), self.offset)
    }
}

/// What the headers of a log tell of bringing a point to a moment.
pub(super) fn plan(
    point: &dyn PointReader,
    chart: &LogChart,
    until: Until,
) -> Result<ReplayPlan, ReplayError> {
    let base = base_of(point)?;
    let reaches = reaches(chart, &base);
    if reaches.is_empty() {
        return Err(not_covered(chart, &base));
    }
    if let Until::Position(at) = until
        && own(at) < Some((base.number, base.offset))
    {
        return Err(too_early(&base, until));
    }
    let newest = reaches.iter().filter_map(|reach| reach.newest).max();
    match reaches.iter().find(|reach| leads_to(reach, until)) {
        Some(reach) => Ok(ReplayPlan {
            timeline: 1,
            from: reach.from(),
            to: reach.to,
            bytes: reach.bytes,
            newest,
            shown: format!("{} to {}", shown(reach.from()), shown(reach.to)),
        }),
        None => Err(ReplayError::TooLate {
            until,
            log: chart.place.clone(),
            newest,
        }),
    }
}

/// From where on the log is needed for a base: the beginning of the file in which it lies, of the oldest log that has
/// such a file.
pub(super) fn needed_from(manifest: &DigestManifest, runs: &[LogRun]) -> Option<Position> {
    let base = base_in(manifest)?;
    let files = runs.iter().filter_map(|run| reach::file_in(run, &base));
    let file = files.min()?;
    Some(Position::File { file, offset: 0 })
}

fn not_covered(chart: &LogChart, base: &Base) -> ReplayError {
    ReplayError::NotCovered {
        log: chart.place.clone(),
        from: written(numbered(0, base.number), 0),
    }
}

fn too_early(base: &Base, until: Until) -> ReplayError {
    ReplayError::TooEarly {
        until,
        base: base.shown(),
    }
}

/// A position for people.
fn shown(position: Position) -> String {
    match position {
        Position::File { file, offset } => written(numbered(0, parts(file).1), offset),
        other => other.to_string(),
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
    let wrong = |message: &str| {
        let remedy = "choose a point of the whole server, from a time when it wrote a binary log";
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
    base_in(&manifest).ok_or_else(|| wrong("it does not say where in the log it lies"))
}

/// `bin.000003 1234 0-1-42`
fn base_in(manifest: &DigestManifest) -> Option<Base> {
    let product = match manifest.method.as_str() {
        MySqlBaseSource::METHOD => Product::MariaDb,
        MySqlBaseSource::CLONED => Product::MySql,
        _ => return None,
    };
    let text = &manifest.entries.get("position")?.digest;
    let mut words = text.splitn(3, ' ');
    let (_, number) = name_and_number(words.next()?)?;
    let offset = words.next()?.parse().ok()?;
    let gtids = words.next().unwrap_or_default();
    if product == Product::MySql && gtids.is_empty() {
        return None;
    }
    Some(Base {
        number,
        offset,
        past: dialect::read(product, gtids)?,
        taken: manifest.taken_at,
    })
}

/// What a restored server's place says of its base, if it says where in the log that lies.
fn base_at(place: &Path) -> Result<Option<Base>, CaptureError> {
    let about = about_of(place)?;
    let base = about.position.and_then(|position| {
        let (_, number) = name_and_number(&position.file)?;
        Some(Base {
            number,
            offset: position.offset,
            past: dialect::read(about.product, &position.gtid)?,
            taken: Time::from_micros(0),
        })
    });
    Ok(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_model::DigestEntry;

    fn base(position: &str) -> Option<Base> {
        based(MySqlBaseSource::METHOD, position)
    }

    fn based(method: &str, position: &str) -> Option<Base> {
        let entry = DigestEntry {
            count: None,
            digest: position.to_owned(),
        };
        base_in(&DigestManifest {
            method: method.to_owned(),
            taken_at: Time::from_secs(5),
            engine: None,
            entries: [("position".to_owned(), entry)].into(),
        })
    }

    #[test]
    fn a_bases_place_is_read_or_refused() {
        let read = base("bin.000003 1234 0-1-42,5-1-7").unwrap();
        assert_eq!((read.number, read.offset), (3, 1234));
        assert_eq!(dialect::shown(&read.past), "0-1-42,5-1-7");
        assert_eq!(dialect::shown(&base("bin.000003 1234").unwrap().past), "");
        let set = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7";
        let text = format!("bin.000003 1234 {set}");
        let read = based(MySqlBaseSource::CLONED, &text).unwrap();
        assert_eq!(dialect::shown(&read.past), set);
        for (method, bad) in [
            ("mysql-rows/1", text.as_str()),
            (MySqlBaseSource::METHOD, &text),
            (MySqlBaseSource::CLONED, "bin.000003 1234"),
            (MySqlBaseSource::CLONED, "bin.000003 1234 0-1-42"),
        ] {
            assert!(based(method, bad).is_none(), "{method} {bad}");
        }
        for bad in [
            "",
            "bin.000003",
            "bin 12",
            "bin.000003 x",
            "bin.000003 12 0-1",
        ] {
            assert!(base(bad).is_none(), "{bad}");
        }
    }
}
