//! What a standby holds at one place of the log.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::secret;
use vouchsafe_model::{DigestEntry, DigestManifest, SecretRef, SourceUrl, Span};
use vouchsafe_translog::wal::Lsn;

use super::super::address::Address;
use super::super::digest;
use super::super::session::{Session, unreadable};
use super::contents::{databases, declared, noted, with_rows};
use super::{DATABASE, PostgresBaseSource};
use crate::{OpenSourceError, failure};

/// A server that follows another one by its log.
///
/// To be read at one place of the log, its replay is paused for as long as it takes to begin a transaction in each
/// database and to read what is declared there; the rows are read by these transactions after it was resumed. It is
/// resumed in every case: by us, also after an error; and where we are gone, by the server itself after
/// [`PostgresStandby::LONGEST`].
#[derive(Debug)]
pub struct PostgresStandby {
    address: Address,
    password: Option<SecretRef>,
}

/// What a standby held.
#[derive(Clone, Debug)]
pub struct StandbyHeld {
    /// Up to where its log was replayed: the end of the last record.
    pub position: Position,
    /// Everything that was in it there, by [`PostgresBaseSource::CONTENTS`].
    pub contents: DigestManifest,
    /// For how long its replay was paused.
    pub paused_for: Span,
}

/// The versions before do not tell when they have paused.
const OLDEST: u32 = 140_000;
const LOOK: Duration = Duration::from_millis(20);
const RIGHTS: &str = "grant its user EXECUTE on pg_wal_replay_pause() and pg_wal_replay_resume(), and pg_read_all_data";

impl PostgresStandby {
    /// For how long its replay is paused at most.
    pub const LONGEST: Duration = Duration::from_secs(60);

    /// The standby at `url`. Roles are those of the server that it follows: that one's `password` opens it, if the user
    /// is the same.
    pub fn open(
        url: &SourceUrl,
        (followed, password): (&SourceUrl, Option<&SecretRef>),
        base: &Path,
    ) -> Result<PostgresStandby, OpenSourceError> {
        let address = Address::of_policy(url, base)?;
        let own = Address::of_policy(followed, base)?;
        Ok(PostgresStandby {
            password: password.filter(|_| own.user == address.user).cloned(),
            address: address.with_database(DATABASE),
        })
    }

    /// The server, without password.
    pub fn shown(&self) -> String {
        format!("postgres://{}@{}", self.address.user, self.address.server())
    }

    /// Reads what it holds, and at which place of the log.
    ///
    /// # Errors
    /// Where it is no standby, is paused already, or may not be paused by this user; and where the pause took too long.
    pub fn hold(&self, ctx: &CaptureContext<'_>) -> Result<StandbyHeld, CaptureError> {
        failure::check_interrupt(ctx)?;
        let mut session = self.session(DATABASE)?;
        self.demand(&mut session)?;
        let begun = ctx.clock.monotonic();
        let mut pause = Pause::begin(ctx, self)?;
        let taken = self.take(ctx, &mut session);
        let was_held = pause.is_held();
        pause.end()?;
        let paused_for = Span::from_duration(ctx.clock.monotonic().saturating_sub(begun));
        let (position, mut entries, open) = taken?;
        if was_held? != position {
            let message = format!(
                "its replay went on while it was read: that took longer than {} s",
                PostgresStandby::LONGEST.as_secs()
            );
            return Err(self.failed(message, "see what keeps it busy, and drill again"));
        }
        for (name, mut session, found) in open {
            failure::check_interrupt(ctx)?;
            entries.extend(with_rows(ctx, &mut session, &name, found)?);
        }
        Ok(StandbyHeld {
            position: Position::Byte(position.0),
            contents: DigestManifest {
                method: PostgresBaseSource::CONTENTS.to_owned(),
                taken_at: ctx.clock.now(),
                engine: None,
                entries,
            },
            paused_for,
        })
    }

    /// What has to be read while it is paused; and a transaction of that moment in each database.
    fn take(&self, ctx: &CaptureContext<'_>, session: &mut Session) -> Result<Taken, CaptureError> {
        let position = self.replayed(session)?;
        let mut entries = digest::roles(session)?;
        let mut open = Vec::new();
        for (name, settings, is_open) in databases(session)? {
            failure::check_interrupt(ctx)?;
            entries.extend([noted(&name, &settings)]);
            if is_open {
                let mut session = self.session(&name)?;
                session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
                let found = declared(ctx, &mut session)?;
                open.push((name, session, found));
            }
        }
        Ok((position, entries, open))
    }

    fn demand(&self, session: &mut Session) -> Result<(), CaptureError> {
        let version = session.text("SELECT current_setting('server_version_num')")?;
        if version.parse().unwrap_or(0) < OLDEST {
            let message = "it is of a version that does not tell when it has paused";
            return Err(self.failed(message, "name a standby of PostgreSQL 14 or later"));
        }
        if session.text("SELECT pg_is_in_recovery()::text")? != "true" {
            let message = "it is no standby: it follows no other server";
            return Err(self.failed(message, "name one that does"));
        }
        if session.text("SELECT pg_get_wal_replay_pause_state()")? != "not paused" {
            let message = "its replay is paused already, by somebody else";
            let remedy = "resume it by SELECT pg_wal_replay_resume(), or drill later";
            return Err(self.failed(message, remedy));
        }
        Ok(())
    }

    fn replayed(&self, session: &mut Session) -> Result<Lsn, CaptureError> {
        let text = session.text("SELECT coalesce(pg_last_wal_replay_lsn()::text, '')")?;
        text.parse().map_err(|_| {
            let message = "it has replayed nothing yet";
            self.failed(message, "drill when it follows")
        })
    }

    fn session(&self, database: &str) -> Result<Session, CaptureError> {
        let password = self.password.as_ref().map(secret::resolve).transpose();
        let password = password.map_err(|error| {
            let remedy = "see `password:` of this protection in the policy";
            self.failed(error.to_string(), remedy)
        })?;
        Session::open(&self.address.with_database(database), password.as_ref())
    }

    fn failed(&self, message: impl Into<String>, remedy: &str) -> CaptureError {
        unreadable(&self.shown(), message, remedy)
    }
}

type Parts = BTreeMap<String, DigestEntry>;
type Taken = (Lsn, Parts, Vec<(String, Session, Parts)>);

/// A replay that is paused. However it ends, it is resumed.
struct Pause<'s> {
    standby: &'s PostgresStandby,
    control: Session,
    /// The server's own process that resumes it where we cannot.
    guard: Option<(String, JoinHandle<()>)>,
}

impl<'s> Pause<'s> {
    fn begin(
        ctx: &CaptureContext<'_>,
        standby: &'s PostgresStandby,
    ) -> Result<Pause<'s>, CaptureError> {
        let control = standby.session(DATABASE)?;
        let mut guard = standby.session(DATABASE)?;
        let process = guard.text("SELECT pg_backend_pid()::text")?;
        let resume = format!(
            "SELECT (pg_wal_replay_resume() IS NULL)::text FROM pg_sleep({})",
            PostgresStandby::LONGEST.as_secs()
        );
        // The statement runs in the server to its end, whatever becomes of us.
        let waiting = std::thread::spawn(move || drop(guard.rows(&resume)));
        let mut pause = Pause {
            standby,
            control,
            guard: Some((process, waiting)),
        };
        let asked = pause.control.execute("SELECT pg_wal_replay_pause()");
        asked.map_err(|error| standby.failed(failure::issue("", &error).message, RIGHTS))?;
        let begun = ctx.clock.monotonic();
        while pause
            .control
            .text("SELECT pg_get_wal_replay_pause_state()")?
            != "paused"
        {
            failure::check_interrupt(ctx)?;
            if ctx.clock.monotonic().saturating_sub(begun) > PostgresStandby::LONGEST / 2 {
                let message = "its replay does not pause";
                return Err(standby.failed(message, "see what keeps it busy, and drill again"));
            }
            ctx.clock.sleep(LOOK);
        }
        Ok(pause)
    }

    /// Where it stands, if it is still paused.
    fn is_held(&mut self) -> Result<Lsn, CaptureError> {
        let state = self
            .control
            .text("SELECT pg_get_wal_replay_pause_state()")?;
        match state.as_str() {
            "paused" => self.standby.replayed(&mut self.control),
            _ => Ok(Lsn(0)),
        }
    }

    fn end(mut self) -> Result<(), CaptureError> {
        self.resume()
    }

    fn resume(&mut self) -> Result<(), CaptureError> {
        let Some((process, waiting)) = self.guard.take() else {
            return Ok(());
        };
        let resumed = self.control.execute("SELECT pg_wal_replay_resume()");
        let paused = self.control.text("SELECT pg_is_wal_replay_paused()::text");
        // While it is paused, the guard is what resumes it.
        if paused.is_ok_and(|paused| paused == "false") {
            let end = format!("SELECT pg_terminate_backend({process})::text");
            if self.control.rows(&end).is_ok() {
                let _ = waiting.join();
            }
        }
        resumed
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        let _ = self.resume();
    }
}
