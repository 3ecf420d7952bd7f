//! Letting PostgreSQL replay a fetched log, and looking at where it stopped.

use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError, FetchedLog, ReplayTarget};
use vouchsafe_host::files;
use vouchsafe_model::Issue;
use vouchsafe_translog::wal::{History, SegmentSize, Timeline, WalFileName};

use super::{LOG, lsn};
use crate::failure;
use crate::postgres::about::About;
use crate::postgres::base::DATABASE;
use crate::postgres::server::{Server, Settings, data_directory};
use crate::postgres::session::Session;

/// Where a history may lie.
const LOG_DIRECTORY: &str = "pg_wal";
/// The longest history that is read.
const LONGEST: u64 = 1 << 20;

/// Starts the server in `place` so that it replays the log, ends the recovery exactly at the target, and stops it. What
/// is not as it should be is an issue.
pub(in crate::postgres) fn recover(
    ctx: &CaptureContext<'_>,
    place: &Path,
    about: &About,
    fetched: &FetchedLog,
) -> Result<Vec<Issue>, CaptureError> {
    let data = data_directory(place);
    files::write_atomic(data.join("recovery.signal"), b"", 0o600).map_err(failure::file)?;
    let settings = Settings::Replaying(settings(&fetched.target));
    let server = Server::start(ctx, about.major, place, &about.superuser, &settings)?;
    let mut session = server.login(ctx, DATABASE)?.session()?;
    let mut found = at_the_target(&mut session, place, &fetched.target)?;
    let replayed = session.text("SELECT coalesce(pg_last_wal_replay_lsn()::text, '')")?;
    let expected = lsn(fetched.target.end).to_string();
    if replayed != expected {
        found.push(format!("replayed up to {replayed}, not {expected}"));
    }
    drop(session);
    server.stop(ctx)?;
    let issue = |message| Issue {
        place: place.display().to_string(),
        message,
    };
    Ok(found.into_iter().map(issue).collect())
}

/// Where the recovery has to stop, and how.
///
/// The log's own place is given and not a time, because that is exact; with it comes no other target. What the original
/// may have set for recoveries of its own has no say.
fn settings(target: &ReplayTarget) -> Vec<String> {
    let mut settings: Vec<String> = [
        "recovery_target=",
        "recovery_target_name=",
        "recovery_target_time=",
        "recovery_target_xid=",
        "recovery_target_inclusive=on",
        "recovery_target_action=promote",
        "recovery_min_apply_delay=0",
        "recovery_end_command=",
        "archive_cleanup_command=",
        "primary_slot_name=",
    ]
    .map(str::to_owned)
    .into();
    settings.push(format!(
        "restore_command=test -f ../{LOG}/%f && cp ../{LOG}/%f %p"
    ));
    settings.push(format!("recovery_target_timeline={}", target.timeline));
    settings.push(format!("recovery_target_lsn={}", lsn(target.record)));
    settings
}

/// What of a recovered server is not at its target: the timeline that it began says where it left the one before.
pub(in crate::postgres) fn at_the_target(
    session: &mut Session,
    place: &Path,
    target: &ReplayTarget,
) -> Result<Vec<String>, CaptureError> {
    // The server's own name for the file that it writes to begins with the timeline.
    let file = session.text("SELECT pg_walfile_name(pg_current_wal_lsn())")?;
    let own = file
        .get(..8)
        .and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let expected = (
        u32::try_from(target.timeline).ok().and_then(Timeline::new),
        lsn(target.end),
    );
    let (Some(own), (Some(timeline), end)) = (own.and_then(Timeline::new), expected) else {
        return Ok(vec![format!("{file} names no timeline")]);
    };
    let name = WalFileName::History { timeline: own }.name(SegmentSize::DEFAULT);
    let path = data_directory(place).join(LOG_DIRECTORY).join(&name);
    if !files::exists(&path).map_err(failure::file)? {
        return Ok(vec![format!(
            "there is no {name}, so no recovery has ended"
        )]);
    }
    let text = files::read(&path, LONGEST).map_err(failure::file)?;
    let history = match History::parse(own, &text) {
        Ok(history) => history,
        Err(error) => return Ok(vec![format!("{name}: {error}")]),
    };
    let left = history
        .ranges()
        .filter_map(|range| Some((range.timeline, range.until?)));
    Ok(match left.last() {
        Some(left) if left == (timeline, end) => Vec::new(),
        Some((from, at)) => vec![format!(
            "stopped at {at} of timeline {from}, not at {end} of timeline {timeline}"
        )],
        None => vec![format!("{name} does not say where the recovery ended")],
    })
}
