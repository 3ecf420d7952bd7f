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
/// database, to read what is declared there, and to take a lock on each relation whose rows are read; the rows are read
/// by these transactions after it was resumed. It is resumed in every case: by us, also after an error; and where we are
/// gone, by the server itself after [`PostgresStandby::LONGEST`]. Without a process of the server that waits to do that
/// it is not paused.
#[derive(Debug)]
pub struct PostgresStandby {
    address: Address,
    password: Option<SecretRef>,
    longest: Duration,
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
const RESUME: &str = "SELECT pg_wal_replay_resume()";
const RIGHTS: &str = "grant its user EXECUTE on pg_wal_replay_pause() and pg_wal_replay_resume(), and pg_read_all_data";
/// Of what is called, what the user may not call.
const NOT_GRANTED: &str = "SELECT name FROM unnest(ARRAY['pg_wal_replay_pause()', 'pg_wal_replay_resume()']) AS f(name) \
    WHERE NOT has_function_privilege('pg_catalog.' || name, 'EXECUTE')";
/// What else may end a session that waits, where the version has it: that its client is gone above all.
const UNENDED: &str = "SELECT set_config(name, '0', false) FROM pg_settings \
    WHERE name IN ('client_connection_check_interval', 'idle_session_timeout', 'transaction_timeout')";
/// For how long to wait for a lock that a transaction holds which the paused replay cannot end.
const LOCK: &str = "SET LOCAL lock_timeout = '5s'";

impl PostgresStandby {
    /// For how long its replay is paused at most, if nothing else is said.
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
            longest: PostgresStandby::LONGEST,
        })
    }

    /// The same, but its replay is paused for this long at most.
    pub fn paused_at_most(self, longest: Duration) -> PostgresStandby {
        PostgresStandby { longest, ..self }
    }

    /// The server, without password.
    pub fn shown(&self) -> String {
        format!("postgres://{}@{}", self.address.user, self.address.server())
    }

    /// Reads what it holds, and at which place of the log.
    ///
    /// # Errors
    /// Where it is no standby, is paused already, or may not be paused and resumed by this user; where the pause took
    /// too long; and where replay could not wait any longer for us to have read the rows.
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
                self.longest.as_secs()
            );
            return Err(self.failed(message, "see what keeps it busy, and drill again"));
        }
        for (name, mut session, found) in open {
            failure::check_interrupt(ctx)?;
            let rows = with_rows(ctx, &mut session, &name, found);
            entries.extend(rows.map_err(could_not_wait)?);
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

    /// What has to be read while it is paused; and a transaction of that moment in each database. A snapshot alone does
    /// not keep the rows: what truncates or rewrites a relation gives it a new file, which older snapshots see as it is.
    /// So each is locked; the replay of such a change then waits for us, or ends us, which is an error.
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
                session.execute(LOCK)?;
                let found = declared(ctx, &mut session)?;
                digest::lock_everything(&mut session)?;
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
        let lacking = session.rows(NOT_GRANTED)?.into_iter().flatten().flatten();
        let lacking: Vec<String> = lacking.collect();
        if !lacking.is_empty() {
            let message = format!("its user may not call {}", lacking.join(" and "));
            return Err(self.failed(message, RIGHTS));
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
        let mut session = Session::open(&self.address.with_database(database), password.as_ref())?;
        session.rows(UNENDED)?;
        Ok(session)
    }

    fn failed(&self, message: impl Into<String>, remedy: &str) -> CaptureError {
        unreadable(&self.shown(), message, remedy)
    }
}

/// A session that stood in the way of the replay was ended, which shows as whatever comes of that.
fn could_not_wait(error: CaptureError) -> CaptureError {
    match error {
        CaptureError::Unreadable {
            place,
            message,
            remedy,
        } => CaptureError::Unreadable {
            place,
            message,
            remedy: format!(
                "{remedy}; where its replay could not wait until the rows were read, set a longer \
                 max_standby_streaming_delay there, or hot_standby_feedback"
            ),
        },
        other => other,
    }
}

type Parts = BTreeMap<String, DigestEntry>;
type Taken = (Lsn, Parts, Vec<(String, Session, Parts)>);

/// A replay that is paused. However it ends, it is resumed.
struct Pause<'s> {
    standby: &'s PostgresStandby,
    control: Session,
    guard: Option<Guard>,
}

/// The server's own process that resumes it where we cannot.
struct Guard {
    process: String,
    waiting: JoinHandle<Option<CaptureError>>,
}

impl Guard {
    /// What holds in the server as long as it waits there.
    fn waits(&self) -> String {
        let process = &self.process;
        format!("FROM pg_stat_activity WHERE pid = {process} AND wait_event = 'PgSleep'")
    }
}

impl<'s> Pause<'s> {
    fn begin(
        ctx: &CaptureContext<'_>,
        standby: &'s PostgresStandby,
    ) -> Result<Pause<'s>, CaptureError> {
        let control = standby.session(DATABASE)?;
        let mut session = standby.session(DATABASE)?;
        let process = session.text("SELECT pg_backend_pid()::text")?;
        let resume = format!(
            "SELECT (pg_wal_replay_resume() IS NULL)::text FROM pg_sleep({})",
            standby.longest.as_secs_f64()
        );
        // The statement runs in the server to its end, whatever becomes of us.
        let waiting = std::thread::spawn(move || session.rows(&resume).err());
        let guard = Guard { process, waiting };
        // In one statement, since we may be gone, or late, between two.
        let pause = format!(
            "SELECT (pg_wal_replay_pause() IS NULL)::text {}",
            guard.waits()
        );
        let mut held = Pause {
            standby,
            control,
            guard: Some(guard),
        };
        let begun = ctx.clock.monotonic();
        while held.asked(&pause)?.is_none() {
            held.wait(ctx, begun)?;
        }
        while held
            .asked("SELECT pg_get_wal_replay_pause_state()")?
            .as_deref()
            != Some("paused")
        {
            held.wait(ctx, begun)?;
        }
        // A replay that waits for queries before it pauses may have ended the guard, as one of them.
        held.is_guarded()?;
        Ok(held)
    }

    /// A moment, if there is still something to wait for.
    fn wait(&mut self, ctx: &CaptureContext<'_>, begun: Duration) -> Result<(), CaptureError> {
        failure::check_interrupt(ctx)?;
        self.is_alive()?;
        if ctx.clock.monotonic().saturating_sub(begun) > self.standby.longest / 2 {
            let message = "its replay does not pause";
            let remedy = "see what keeps it busy, and drill again";
            return Err(self.standby.failed(message, remedy));
        }
        ctx.clock.sleep(LOOK);
        Ok(())
    }

    /// That there is a guard, as far as is known here.
    fn is_alive(&mut self) -> Result<(), CaptureError> {
        if let Some(guard) = &self.guard
            && !guard.waiting.is_finished()
        {
            return Ok(());
        }
        let guard = self.guard.take();
        let why = guard.and_then(|guard| guard.waiting.join().ok().flatten());
        // Paused or not: nobody else would end it now.
        let _ = self.control.execute(RESUME);
        let message = match why {
            Some(error) => failure::issue("", &error).message,
            None => "it was over".to_owned(),
        };
        let message =
            format!("the session there that would have resumed its replay ended: {message}");
        Err(self.standby.failed(message, "drill again"))
    }

    fn is_guarded(&mut self) -> Result<(), CaptureError> {
        let Some(guard) = &self.guard else {
            return Ok(());
        };
        let waits = format!("SELECT pid::text {}", guard.waits());
        match self.asked(&waits)? {
            Some(_) => Ok(()),
            None => {
                let message = "the session there that would have resumed its replay ended";
                Err(self.standby.failed(message, "drill again"))
            }
        }
    }

    /// The one text that a query gives, if it gives a row.
    fn asked(&mut self, sql: &str) -> Result<Option<String>, CaptureError> {
        Ok(self
            .control
            .rows(sql)?
            .into_iter()
            .flatten()
            .flatten()
            .next())
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
        let Some(guard) = self.guard.take() else {
            return Ok(());
        };
        let resumed = self.control.execute(RESUME);
        let paused = self.control.text("SELECT pg_is_wal_replay_paused()::text");
        // While it is paused, the guard is what resumes it.
        if paused.is_ok_and(|paused| paused == "false") {
            let end = format!("SELECT pg_terminate_backend({})::text", guard.process);
            if self.control.rows(&end).is_ok() {
                let _ = guard.waiting.join();
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
