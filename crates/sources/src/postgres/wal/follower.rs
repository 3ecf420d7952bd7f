//! Following a server's log: receiver, slot, spool and tail, kept going through whatever happens to the server.

use std::path::PathBuf;
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError, LogPiece, LogReached};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::process::Child;
use vouchsafe_host::random::Random;
use vouchsafe_model::LogGapCause;
use vouchsafe_translog::token::PREFIX;
use vouchsafe_translog::wal::{Lsn, Timeline};

use super::super::login::Login;
use super::super::session::{Session, literal, unreadable};
use super::PostgresLog;
use super::server::{ServerLog, Slot, slot_name};
use super::spool::Spool;
use super::tail::{Tail, TailError};
use crate::heartbeat::Heartbeat;
use crate::log::{FollowLog, LogTick, ReadLog};

mod begin;

/// Follows the log of one server into a spool, and gives what is to be shipped of it. Nothing in it is lost by being
/// ended at any moment.
pub struct LogFollower {
    source: PostgresLog,
    slot: String,
    /// The server whose log was shipped before.
    server: Option<u64>,
    spool_directory: PathBuf,
    spool: Option<Spool>,
    tail: Option<Tail>,
    /// How far the log was shipped when this began.
    shipped: Option<LogReached>,
    login: Option<Login>,
    session: Option<Session>,
    receiver: Option<Receiver>,
    heartbeat: Option<Heartbeat>,
    /// When to try again what failed, by the monotonic clock.
    next_try: Duration,
    pause: Duration,
    /// How often in a row the receiver ended without having brought anything.
    barren: u32,
    /// What may have been lost with the slot.
    suspected: Option<LogGapCause>,
    last_words: String,
    /// Where the log was damaged as it was received, and how often.
    damaged: Option<(Lsn, u32)>,
    looked_at_slot: Option<Duration>,
}

struct Receiver {
    child: Child,
    /// How far the tail was when it was started.
    from: Option<(Timeline, Lsn)>,
}

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How long it is waited for what the server has on its disk.
const CATCH_UP: Duration = Duration::from_millis(1500);
/// How often the slot is looked at.
const SLOT_EVERY: Duration = Duration::from_secs(20);
/// What was damaged so often when it was received is damaged at the server, too.
const BARREN: u32 = 3;

impl LogFollower {
    /// Touches nothing but the work directory. `reached` is how far the log was shipped; `server` the identifier of the
    /// server that it came from; `protection` and `mark` make the slot's name.
    pub fn new(
        source: PostgresLog,
        ctx: &CaptureContext<'_>,
        (protection, mark): (&str, &str),
        server: Option<u64>,
        reached: Option<LogReached>,
    ) -> Result<LogFollower, CaptureError> {
        let spool_directory = ctx.work_dir.join("wal");
        let spool = Spool::open(&spool_directory)?;
        // Where the spool is gone, the tail is placed when the server was asked how long its segments are.
        let tail = spool
            .as_ref()
            .zip(reached)
            .and_then(|(spool, reached)| Tail::at(spool, reached));
        Ok(LogFollower {
            source,
            slot: slot_name(protection, mark),
            server,
            spool_directory,
            spool,
            tail,
            shipped: reached,
            login: None,
            session: None,
            receiver: None,
            heartbeat: Some(Heartbeat::open(ctx.work_dir)?),
            next_try: Duration::ZERO,
            pause: FIRST_PAUSE,
            barren: 0,
            suspected: None,
            last_words: String::new(),
            damaged: None,
            looked_at_slot: None,
        })
    }

    /// The slot's name.
    pub fn slot(&self) -> &str {
        &self.slot
    }

    /// Up to where pieces were cut.
    pub fn cut(&self) -> Option<LogReached> {
        self.tail.as_ref().map(|tail| LogReached {
            timeline: u64::from(tail.timeline().number()),
            to: Position::Byte(tail.cut().0),
        })
    }

    /// Bytes that the spool takes.
    pub fn spooled(&self) -> u64 {
        let spool = self.spool.as_ref();
        spool.and_then(|spool| spool.bytes().ok()).unwrap_or(0)
    }

    /// Removes the slot, so that the server keeps nothing for us any more.
    pub fn give_up(&mut self, ctx: &CaptureContext<'_>) -> Result<(), CaptureError> {
        self.stop();
        let slot = self.slot.clone();
        Slot::drop(self.session(ctx)?, &slot)
    }

    fn session(&mut self, ctx: &CaptureContext<'_>) -> Result<&mut Session, CaptureError> {
        let login = match self.login.take() {
            Some(login) => login,
            None => self.source.login(ctx)?,
        };
        let login = self.login.insert(login);
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let mut session = login.session()?.patient_for(super::PATIENCE);
                // A standby that is away must not hold the heartbeat up.
                session.execute("SET synchronous_commit = local")?;
                session
            }
        };
        Ok(self.session.insert(session))
    }

    fn beat(
        &mut self,
        ctx: &CaptureContext<'_>,
        random: &dyn Random,
        tick: &mut LogTick,
    ) -> Result<(), CaptureError> {
        if self.receiver.is_none() {
            return Ok(());
        }
        let (name, now) = (self.slot.clone(), ctx.clock.monotonic());
        let mut heartbeat = self.heartbeat.take();
        let flushed = self.beat_with(ctx, random, heartbeat.as_mut());
        self.heartbeat = heartbeat;
        tick.flushed = Some(Position::Byte(flushed?.0));
        let looked = self.looked_at_slot;
        if looked.is_none_or(|last| now.saturating_sub(last) >= SLOT_EVERY) {
            self.looked_at_slot = Some(now);
            self.look_at_slot(ctx, &name, tick)?;
        }
        Ok(())
    }

    /// Commits a token, if the server takes one; up to where its log is on its disk then.
    fn beat_with(
        &mut self,
        ctx: &CaptureContext<'_>,
        random: &dyn Random,
        heartbeat: Option<&mut Heartbeat>,
    ) -> Result<Lsn, CaptureError> {
        let shown = self.source.shown();
        let session = self.session(ctx)?;
        let server = ServerLog::ask(session, &shown)?;
        match heartbeat {
            Some(heartbeat) if !server.in_recovery => {
                let (prefix, now) = (literal(PREFIX), ctx.clock.now());
                heartbeat.beat(now, random, |token| {
                    let text = literal(&token.text());
                    session
                        .rows(&format!(
                            "SELECT pg_logical_emit_message(true, {prefix}, {text})::text"
                        ))
                        .map(drop)
                })?;
                Ok(ServerLog::ask(session, &shown)?.flushed)
            }
            _ => Ok(server.flushed),
        }
    }

    fn look_at_slot(
        &mut self,
        ctx: &CaptureContext<'_>,
        name: &str,
        tick: &mut LogTick,
    ) -> Result<(), CaptureError> {
        match Slot::ask(self.session(ctx)?, name)? {
            None => {
                // Without it the server may remove what is not received yet; it is made when the receiver begins anew.
                tick.issues
                    .push(format!("the replication slot {name} is gone"));
                if let Some(mut receiver) = self.receiver.take() {
                    receiver.child.kill_tree_within(Duration::from_secs(1));
                }
                self.suspected = Some(LogGapCause::SlotMissing);
            }
            Some(slot) if slot.status == "unreserved" || slot.status == "lost" => {
                tick.issues.push(format!(
                    "the replication slot {name} is {}: the server is about to remove what it kept for us; raise max_slot_wal_keep_size",
                    slot.status
                ));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Reads what is in the spool until it is as far as the server said, for a short while.
    fn catch_up(&mut self, ctx: &CaptureContext<'_>, tick: &mut LogTick) {
        let begun = ctx.clock.monotonic();
        loop {
            self.read_spool(tick);
            let there = tick.flushed.is_none_or(|flushed| {
                self.place()
                    .is_some_and(|(_, cut)| Position::Byte(cut.0) >= flushed)
            });
            let waited = ctx.clock.monotonic().saturating_sub(begun);
            let receives = self
                .receiver
                .as_mut()
                .is_some_and(|receiver| receiver.child.try_wait().is_none());
            if there || !receives || waited > CATCH_UP || ctx.interrupt.requested() {
                return;
            }
            ctx.clock.sleep(Duration::from_millis(20));
        }
    }

    fn read_spool(&mut self, tick: &mut LogTick) {
        let (Some(spool), Some(tail)) = (&self.spool, &mut self.tail) else {
            return;
        };
        match tail.poll(spool, &mut tick.steps) {
            Ok(()) => {}
            Err(error @ (TailError::Damaged(_) | TailError::Hole { .. })) => {
                tick.issues.push(error.to_string());
                self.last_words = error.to_string();
                self.distrust(tick);
            }
            Err(TailError::Spool(error)) => tick.issues.push(error.to_string()),
        }
    }

    /// What was received is damaged: it is received once more.
    fn distrust(&mut self, tick: &mut LogTick) {
        let (Some(spool), Some((timeline, cut))) = (self.spool.clone(), self.place()) else {
            return;
        };
        self.damaged = match self.damaged {
            Some((at, times)) if at == cut => Some((at, times.saturating_add(1))),
            _ => Some((cut, 1)),
        };
        if let Some(mut receiver) = self.receiver.take() {
            receiver.child.kill_tree_within(Duration::ZERO);
        }
        let needed = self.needed_segment(&spool);
        if let Err(error) = spool.begin_at(timeline, needed) {
            tick.issues.push(error.to_string());
        }
    }

    fn wrong(&self, message: &str, remedy: &str) -> CaptureError {
        unreadable(&self.source.shown(), message, remedy)
    }
}

impl FollowLog for LogFollower {
    fn server(&self) -> Option<String> {
        self.server.map(|id| id.to_string())
    }

    fn tick(&mut self, ctx: &CaptureContext<'_>, random: &dyn Random) -> LogTick {
        let mut tick = LogTick::default();
        // What lies in the spool comes before anything that a server may say.
        if self.receiver.is_none() {
            self.read_spool(&mut tick);
        }
        if let Err(error) = self.keep_receiving(ctx, &mut tick) {
            self.session = None;
            tick.issues.push(error.to_string());
        }
        if tick.gap.is_some() {
            return tick;
        }
        if let Err(error) = self.beat(ctx, random, &mut tick) {
            self.session = None;
            tick.issues.push(error.to_string());
        }
        self.catch_up(ctx, &mut tick);
        tick
    }

    fn reader(&self) -> Option<Box<dyn ReadLog>> {
        let spool = self.spool.clone()?;
        Some(Box::new(Spooled { spool }))
    }

    fn release(&self, reached: LogReached) -> Result<(), CaptureError> {
        let (Some(spool), Position::Byte(to)) = (&self.spool, reached.to) else {
            return Ok(());
        };
        let needed = self.tail.as_ref().map_or(Lsn(to), |tail| tail.needs(spool));
        let timeline = u32::try_from(reached.timeline).unwrap_or_default();
        spool.release(timeline, needed.min(Lsn(to)))
    }

    fn stop(&mut self) {
        if let Some(mut receiver) = self.receiver.take() {
            receiver.child.kill_tree_within(Duration::from_secs(1));
        }
        self.session = None;
        self.login = None;
    }
}

/// Reads the spool.
struct Spooled {
    spool: Spool,
}

impl ReadLog for Spooled {
    fn read(&self, piece: &LogPiece) -> Result<Vec<u8>, CaptureError> {
        let (Position::Byte(from), Position::Byte(to)) = (piece.span.from(), piece.span.to())
        else {
            return Ok(Vec::new());
        };
        let number = u32::try_from(piece.timeline).unwrap_or_default();
        match Timeline::new(number) {
            Some(timeline) => self.spool.read(timeline, Lsn(from), Lsn(to)),
            None => Ok(Vec::new()),
        }
    }
}
