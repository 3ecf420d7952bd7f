//! Negative controls of the log: what is missing, changed, exchanged, or another server's must be refused.

use std::sync::Arc;

use vouchsafe_capture::{FetchedLog, Restored};
use vouchsafe_format::fragment::{LogName, Part};
use vouchsafe_model::{DigestManifest, NegativeControl};
use vouchsafe_store::{Damage, Key, Overlay, Store};

use super::{Controls, control};
use crate::error::{KeeperError, chain};
use crate::ladder::Claim;
use crate::log_reach::objects_of;
use crate::logs::kind_of;

/// The rung that every damage to the log must redden.
const RUNG: &str = "log";

/// Damages to what the vault holds of the log.
pub(super) fn controls(
    of: &Controls<'_>,
    pair_green: bool,
    fetched: &FetchedLog,
) -> Result<Vec<NegativeControl>, KeeperError> {
    Ok(vec![
        missing(of, pair_green, fetched)?,
        flipped(of, pair_green, fetched)?,
        exchanged(of, pair_green, fetched)?,
    ])
}

fn missing(
    of: &Controls<'_>,
    pair_green: bool,
    fetched: &FetchedLog,
) -> Result<NegativeControl, KeeperError> {
    let twin = of.overlay();
    let objects = needed(of, &twin, fetched)?;
    for key in &objects.last {
        twin.damage(key, Damage::Missing)?;
    }
    let detail = format!("{} is gone", shown(&objects.last));
    Ok(climbed(of, "missing-log", detail, twin, pair_green))
}

fn flipped(
    of: &Controls<'_>,
    pair_green: bool,
    fetched: &FetchedLog,
) -> Result<NegativeControl, KeeperError> {
    let twin = of.overlay();
    let objects = needed(of, &twin, fetched)?;
    let mut offset = 0;
    for key in &objects.last {
        // In the payload, which lies behind the header.
        offset = twin.get(key)?.len() as u64 - 20;
        twin.damage(key, Damage::FlipByte { offset })?;
    }
    let detail = format!("byte {offset} of {} is flipped", shown(&objects.last));
    Ok(climbed(of, "flipped-log-byte", detail, twin, pair_green))
}

fn exchanged(
    of: &Controls<'_>,
    pair_green: bool,
    fetched: &FetchedLog,
) -> Result<NegativeControl, KeeperError> {
    let twin = of.overlay();
    let objects = needed(of, &twin, fetched)?;
    // Where there is only one object, another point's bytes take its place: those of the repository's own key.
    let other = match &objects.other {
        Some(other) => twin.get(other)?,
        None => b"another object".to_vec(),
    };
    for key in &objects.last {
        twin.damage(key, Damage::Replace(other.clone()))?;
    }
    let detail = format!(
        "another object stands in the place of {}",
        shown(&objects.last)
    );
    Ok(climbed(of, "exchanged-log", detail, twin, pair_green))
}

/// The same data as a point of another server, validly sealed, beside this server's log.
pub(super) fn other_server(
    of: &Controls<'_>,
    pair_green: bool,
    restored: &Restored,
    manifest: &DigestManifest,
) -> Result<NegativeControl, KeeperError> {
    let twin = of.overlay();
    let mut other = manifest.clone();
    // Where servers have no names, the transactions at a base's place tell them apart.
    let names = |key: &&String| *key == "system" || *key == "position";
    for entry in other.entries.iter_mut().filter(|(key, _)| names(key)) {
        let digit = if entry.1.digest.ends_with('7') {
            '8'
        } else {
            '7'
        };
        entry.1.digest.pop();
        entry.1.digest.push(digit);
    }
    let made = of.capture_restored(&twin, restored, Some(&other))?;
    let claim = Claim {
        snapshot: made.snapshot,
        tree: made.tree.to_hex(),
        manifest: Some(other.digest()),
        ..of.climb.claim.clone()
    };
    let climbed = of.climb_twin("other-server", twin, of.climb.password, &claim);
    let detail = "the same data as another server's, validly sealed, beside this log".to_owned();
    Ok(control("other-server", detail, RUNG, &climbed, pair_green))
}

/// Objects that a replay cannot do without.
struct Needed {
    /// All that hold the last piece.
    last: Vec<Key>,
    /// One that does not, if there is one.
    other: Option<Key>,
}

fn needed(
    of: &Controls<'_>,
    twin: &Arc<Overlay>,
    fetched: &FetchedLog,
) -> Result<Needed, KeeperError> {
    let wrong = |message: String| KeeperError::Damaged {
        place: "negative control".to_owned(),
        message,
    };
    let root: Arc<dyn Store> = Arc::clone(twin) as Arc<dyn Store>;
    let logs = of.open_twin(twin)?.logs(root);
    let (_, names) =
        objects_of(&logs, (&of.protection.id, kind_of(of.protection)), fetched).map_err(wrong)?;
    let place = names.last().map(first_place);
    let place =
        place.ok_or_else(|| wrong("no object holds the end of what was replayed".to_owned()))?;
    let key = |name: &LogName| Key::new(name.to_string()).map_err(|e| wrong(chain(&e)));
    let (last, others): (Vec<&LogName>, Vec<&LogName>) =
        names.iter().partition(|name| holds(name, place));
    Ok(Needed {
        last: last.into_iter().map(key).collect::<Result<_, _>>()?,
        other: others.last().map(|name| key(name)).transpose()?,
    })
}

fn first_place(name: &LogName) -> u64 {
    match name.part {
        Part::Fragment { sequence } => sequence,
        Part::Segment { first, .. } => first,
    }
}

fn holds(name: &LogName, place: u64) -> bool {
    match name.part {
        Part::Fragment { sequence } => sequence == place,
        Part::Segment { first, last } => first <= place && place <= last,
    }
}

fn shown(keys: &[Key]) -> String {
    let keys: Vec<String> = keys.iter().map(Key::to_string).collect();
    keys.join(" and ")
}

fn climbed(
    of: &Controls<'_>,
    name: &str,
    detail: String,
    twin: Arc<Overlay>,
    pair_green: bool,
) -> NegativeControl {
    let climbed = of.climb_twin(name, twin, of.climb.password, of.climb.claim);
    control(name, detail, RUNG, &climbed, pair_green)
}
