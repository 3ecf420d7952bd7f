//! The oplog of a replica set, followed as it grows.

pub(super) mod entry;
mod follower;
pub(super) mod reading;
mod spool;

use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError, LogReached};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::files;
use vouchsafe_model::{SecretRef, SourceUrl};

use self::follower::OplogFollower;
use self::spool::Spool;
use super::address::Address;
use super::session::{Session, unreadable};
use crate::log::{FollowLog, ServerLog, of_a_dump};
use crate::{OpenSourceError, failure};

pub(crate) use entry::shown;

/// The oplog of a replica set: `mongodb://user@host`.
///
/// It is read by the driver, as often as the policy says: from the last entry that was shipped on, that one included,
/// so that each look shows that nothing is missing; and only as far as most members have it, so that no election takes
/// back what was shipped. Positions are marks: the seconds of an entry's time stamp · 2³² + its number within the
/// second. A heartbeat is a note in the oplog; no collection is written to.
#[derive(Clone, Debug)]
pub struct MongoDbLog {
    address: Address,
    password: Option<SecretRef>,
}

/// Below the work directory: the spool, and in it from where on the first base needs the log.
const SPOOL: &str = "oplog";
const NEEDED: &str = "needed";
/// The oplog's place on a server.
pub(super) const DATABASE: &str = "local";
pub(super) const COLLECTION: &str = "oplog.rs";

impl MongoDbLog {
    /// The log of the replica set at `url`.
    ///
    /// # Errors
    /// A URL that names a database names no whole server.
    pub fn open(
        url: &SourceUrl,
        password: Option<&SecretRef>,
        base: &Path,
    ) -> Result<MongoDbLog, OpenSourceError> {
        let address = Address::of_policy(url, base)?;
        match address.database.as_str() {
            "" => Ok(MongoDbLog {
                address,
                password: password.cloned(),
            }),
            _ => Err(of_a_dump(url)),
        }
    }

    fn session(&self) -> Result<Session, CaptureError> {
        let shown = self.address.shown();
        let password = super::password(&shown, self.password.as_ref())?;
        // Whoever follows a log looks again, and is not to be held up when it is told to end.
        Ok(Session::open(&self.address, password.as_ref())?.impatient())
    }
}

impl ServerLog for MongoDbLog {
    fn flushed(&self, _ctx: &CaptureContext<'_>) -> Result<Position, CaptureError> {
        let mut session = self.session()?;
        let written = reading::written(&mut session)?;
        Ok(behind(written.newest))
    }

    fn follow(
        &self,
        ctx: &CaptureContext<'_>,
        _names: (&str, &str),
        server: Option<&str>,
        reached: Option<LogReached>,
    ) -> Result<Box<dyn FollowLog>, CaptureError> {
        let follower = OplogFollower::new(self.clone(), ctx, server, reached)?;
        Ok(Box::new(follower))
    }
}

/// The position right behind an entry.
pub(super) fn behind(mark: u64) -> Position {
    Position::Mark(mark.saturating_add(1))
}

/// Notes from where on a base needs the log, for whoever begins to follow it afterwards.
pub(super) fn note_needed(ctx: &CaptureContext<'_>, from: u64) -> Result<(), CaptureError> {
    let spool = Spool::open(&ctx.work_dir.join(SPOOL))?;
    let path = spool.directory().join(NEEDED);
    files::write_atomic(path, entry::shown(from).as_bytes(), 0o600).map_err(failure::file)
}

/// What was noted so.
fn needed(spool: &Spool) -> Result<Option<u64>, CaptureError> {
    let path = spool.directory().join(NEEDED);
    if !files::exists(&path).map_err(failure::file)? {
        return Ok(None);
    }
    let text = files::read_to_string(&path, 100).map_err(failure::file)?;
    Ok(entry::of_shown(&text))
}

/// The oplog cannot be read as it is.
fn wrong(session: &Session, message: impl Into<String>) -> CaptureError {
    unreadable(
        session.shown(),
        format!("{DATABASE}.{COLLECTION}: {}", message.into()),
        "see whether this is a member of a replica set, of a version that is supported",
    )
}
