//! Following a server's log: receiver, spool and tail, kept going through whatever happens to the server.

use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError, LogReached};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::process::Child;
use vouchsafe_host::random::Random;
use vouchsafe_model::LogGapCause;

use super::super::login::Login;
use super::super::programs::Product;
use super::super::session::{Session, unreadable};
use super::server::{self, BinlogServer};
use super::spool::Spool;
use super::tail::{Tail, TailError};
use super::{MySqlLog, numbered, parts, receiver};
use crate::heartbeat::Heartbeat;
use crate::log::{FollowLog, FoundGap, LogTick, ReadLog};

/// Follows the log of one server into a spool.
pub(super) struct BinlogFollower {
    source: MySqlLog,
    /// By which the server knows us.
    number: u32,
    /// The server whose log was shipped before.
    server: Option<String>,
    /// Whether the one that answers now was looked at.
    is_known: bool,
    spool: Spool,
    tail: Option<Tail>,
    login: Option<Login>,
    session: Option<Session>,
    receiver: Option<Receiver>,
    heartbeat: Heartbeat,
    /// When to try again what failed, by the monotonic clock.
    next_try: Duration,
    pause: Duration,
    /// How often the log was damaged at the same place as it was received.
    damaged: Option<(Position, u32)>,
    /// What the server now has is not what it had.
    diverged: Option<String>,
    last_words: String,
    told_of_other: bool,
}

struct Receiver {
    child: Child,
    product: Product,
    /// How far the tail was when it was started.
    from: Option<Position>,
}

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How long it is waited for what the server has in its log.
const CATCH_UP: Duration = Duration::from_millis(1500);
/// What was damaged so often when it was received is damaged at the server, too.
const BARREN: u32 = 3;

impl BinlogFollower {
    /// Touches nothing but the work directory.
    pub(super) fn new(
        source: MySqlLog,
        ctx: &CaptureContext<'_>,
        (protection, mark): (&str, &str),
        server: Option<&str>,
        reached: Option<LogReached>,
    ) -> Result<BinlogFollower, CaptureError> {
        Ok(BinlogFollower {
            source,
            number: receiver::number(protection, mark),
            server: server.map(str::to_owned),
            is_known: false,
            spool: Spool::open(&ctx.work_dir.join("binlog"))?,
            tail: reached.and_then(Tail::at),
            login: None,
            session: None,
            receiver: None,
            heartbeat: Heartbeat::open(ctx.work_dir)?,
            next_try: Duration::ZERO,
            pause: FIRST_PAUSE,
            damaged: None,
            diverged: None,
            last_words: String::new(),
            told_of_other: false,
        })
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
                let opened = login.session();
                if opened.is_err() {
                    // The password may be another one by now.
                    self.login = None;
                }
                let mut session = opened?.patient_for(super::PATIENCE);
                // Whoever holds writers back for long must not hold the log up.
                session.execute("SET lock_wait_timeout = 3; SET innodb_lock_wait_timeout = 3")?;
                session
            }
        };
        Ok(self.session.insert(session))
    }

    fn place(&self) -> Option<Position> {
        self.tail.as_ref().map(Tail::place)
    }

    /// How often the server has begun its log anew.
    fn begun_anew(&self) -> u64 {
        self.tail.as_ref().map_or(0, |tail| parts(tail.file()).0)
    }

    fn keep_receiving(
        &mut self,
        ctx: &CaptureContext<'_>,
        random: &dyn Random,
        tick: &mut LogTick,
    ) -> Result<(), CaptureError> {
        let now = ctx.clock.monotonic();
        let at = self.place();
        if let Some(receiver) = &mut self.receiver
            && receiver.child.try_wait().is_none()
        {
            if receiver.from != at {
                self.pause = FIRST_PAUSE;
            }
            return Ok(());
        }
        if let Some(receiver) = self.receiver.take() {
            let error = receiver::ended(receiver.child, receiver.product);
            self.last_words = error.to_string();
            tick.issues.push(self.last_words.clone());
            self.next_try = now.saturating_add(self.pause);
            // Whether it is still the same one is asked anew.
            self.is_known = false;
            self.session = None;
        }
        if now < self.next_try {
            return Ok(());
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.next_try = now.saturating_add(self.pause);
        self.begin(ctx, random, tick)
    }

    /// Starts the receiver where the tail is, or finds out that it cannot be had from there.
    fn begin(
        &mut self,
        ctx: &CaptureContext<'_>,
        random: &dyn Random,
        tick: &mut LogTick,
    ) -> Result<(), CaptureError> {
        let shown = self.source.shown();
        let server = BinlogServer::ask(self.session(ctx)?, &shown)?;
        if self.is_another(ctx, &server, random, tick)? {
            return Ok(());
        }
        match self.lost(&server) {
            Some(cause) => self.gap(cause, &server, tick),
            None if self.is_damaged_there() => {
                let current = server.file.1;
                if self
                    .tail
                    .as_ref()
                    .is_some_and(|tail| parts(tail.file()).1 == current)
                {
                    let message = "the log is damaged at the server, too; it is gone on with in its next file, which FLUSH BINARY LOGS begins";
                    tick.issues.push(message.to_owned());
                    return Ok(());
                }
                self.gap(LogGapCause::Damaged, &server, tick);
            }
            None => {}
        }
        if self.tail.is_none() {
            let (file, offset) = (numbered(0, server.file.1), 0);
            let to = Position::File { file, offset };
            self.tail = Tail::at(LogReached { timeline: 1, to });
        }
        tick.flushed = Some(server.position(self.begun_anew()));
        let (Some(login), Some(tail)) = (&self.login, &self.tail) else {
            return Ok(());
        };
        let (begun_anew, number) = parts(tail.file());
        let Some(file) = server.name_of(number) else {
            return Ok(());
        };
        let (start, directory) = self.spool.begin(begun_anew)?;
        let (needed, source) = tail.needs();
        self.spool.tidy(start, (tail.file(), needed), source)?;
        let child = receiver::start(ctx, login, &server, self.number, (&directory, &file))?;
        self.receiver = Some(Receiver {
            child,
            product: server.product,
            from: self.place(),
        });
        Ok(())
    }

    /// Why what comes next will not come, if it will not.
    fn lost(&self, server: &BinlogServer) -> Option<LogGapCause> {
        let tail = self.tail.as_ref()?;
        if self.diverged.is_some() {
            return Some(LogGapCause::Diverged);
        }
        let number = parts(tail.file()).1;
        match server.length_of(number) {
            Some(length) if length < tail.cut() => Some(LogGapCause::Diverged),
            Some(_) => None,
            // Whoever is at the beginning of a file has all before it.
            None if tail.cut() == 0 && number == server.file.1 + 1 => None,
            None if server.file.1 < number => Some(LogGapCause::Diverged),
            None => Some(LogGapCause::Removed),
        }
    }

    fn is_damaged_there(&self) -> bool {
        let at = self.place();
        self.damaged
            .is_some_and(|(place, times)| times >= BARREN && Some(place) == at)
    }

    /// Goes on with the file that the server writes now.
    fn gap(&mut self, cause: LogGapCause, server: &BinlogServer, tick: &mut LogTick) {
        let before = self.place();
        let anew = u64::from(cause == LogGapCause::Diverged);
        let (file, offset) = (numbered(self.begun_anew() + anew, server.file.1), 0);
        let to = Position::File { file, offset };
        self.tail = Tail::at(LogReached { timeline: 1, to });
        let detail = self.diverged.take();
        tick.gap = Some(FoundGap {
            cause,
            timeline: 1,
            from: before,
            to: Some(to),
            detail: detail.unwrap_or_else(|| std::mem::take(&mut self.last_words)),
        });
        self.damaged = None;
        self.pause = FIRST_PAUSE;
    }

    /// Another server than before: its log is not mixed with the other one's.
    fn is_another(
        &mut self,
        ctx: &CaptureContext<'_>,
        server: &BinlogServer,
        random: &dyn Random,
        tick: &mut LogTick,
    ) -> Result<bool, CaptureError> {
        if self.is_known {
            return Ok(false);
        }
        let found = server::identity(self.session(ctx)?, server, random)?;
        let before = self.server.get_or_insert_with(|| found.clone());
        if server::is_same(before, &found) {
            *before = found;
            self.is_known = true;
            return Ok(false);
        }
        let detail = format!(
            "the server at {} is {found}, and the log that was shipped is of {before}; give the new server a protection with another name, or bring the old one back",
            self.source.shown(),
        );
        tick.issues.push(detail.clone());
        if !self.told_of_other {
            self.told_of_other = true;
            tick.gap = Some(FoundGap {
                cause: LogGapCause::OtherServer,
                timeline: 1,
                from: self.place(),
                to: None,
                detail,
            });
        }
        Ok(true)
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
        let (shown, begun_anew) = (self.source.shown(), self.begun_anew());
        let mut server = BinlogServer::ask(self.session(ctx)?, &shown)?;
        if !server.read_only {
            let now = ctx.clock.now();
            let Some(session) = self.session.as_mut() else {
                return Err(unreadable(
                    &shown,
                    "the connection is closed",
                    "it is tried again",
                ));
            };
            self.heartbeat
                .beat(now, random, |token| server::commit(session, token))?;
            server = BinlogServer::ask(session, &shown)?;
        }
        tick.flushed = Some(server.position(begun_anew));
        Ok(())
    }

    /// Reads what is in the spool until it is as far as the server said, for a short while.
    fn catch_up(&mut self, ctx: &CaptureContext<'_>, tick: &mut LogTick) {
        let begun = ctx.clock.monotonic();
        loop {
            self.read_spool(tick);
            let there = tick
                .flushed
                .is_none_or(|flushed| self.place().is_some_and(|place| place >= flushed));
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
        let (Some(tail), None) = (&mut self.tail, &self.diverged) else {
            return;
        };
        let Err(error) = tail.poll(&self.spool, &mut tick.steps) else {
            return;
        };
        let message = error.to_string();
        tick.issues.push(message.clone());
        match error {
            TailError::Spool(_) => return,
            TailError::Diverged { .. } => self.diverged = Some(message),
            TailError::Damaged { .. } => {
                let at = tail.place();
                let times = match self.damaged {
                    Some((place, times)) if place == at => times.saturating_add(1),
                    _ => 1,
                };
                self.damaged = Some((at, times));
                self.last_words = message;
            }
        }
        // It is received once more.
        self.end_receiver(Duration::ZERO);
        self.next_try = Duration::ZERO;
    }

    fn end_receiver(&mut self, grace: Duration) {
        if let Some(mut receiver) = self.receiver.take() {
            receiver.child.kill_tree_within(grace);
        }
    }
}

impl FollowLog for BinlogFollower {
    fn server(&self) -> Option<String> {
        self.server.clone()
    }

    fn tick(&mut self, ctx: &CaptureContext<'_>, random: &dyn Random) -> LogTick {
        let mut tick = LogTick::default();
        // What lies in the spool comes before anything that a server may say.
        if self.receiver.is_none() && self.diverged.is_none() {
            self.read_spool(&mut tick);
        }
        if let Err(error) = self.keep_receiving(ctx, random, &mut tick) {
            self.session = None;
            self.login = None;
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
        Some(Box::new(self.spool.clone()))
    }

    fn release(&self, reached: LogReached) -> Result<(), CaptureError> {
        let Position::File { file, .. } = reached.to else {
            return Ok(());
        };
        let needed = self
            .tail
            .as_ref()
            .map_or(file, |tail| tail.file().min(file));
        self.spool.release(needed)
    }

    fn stop(&mut self) {
        self.end_receiver(Duration::from_secs(1));
        self.session = None;
        self.login = None;
    }
}
