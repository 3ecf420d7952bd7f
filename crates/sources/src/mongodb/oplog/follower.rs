//! Following an oplog: looks at it, pieces in the spool, and what is found to be missing.

use std::time::Duration;

use mongodb::bson::doc;
use vouchsafe_capture::{CaptureContext, CaptureError, LogPiece, LogReached};
use vouchsafe_format::fragment::{Commits, Position, Span};
use vouchsafe_host::random::Random;
use vouchsafe_model::{LogGapCause, Time};
use vouchsafe_translog::token::Token;

use super::super::session::{Session, unreadable};
use super::entry::{Entry, TOKEN, each};
use super::reading::{self, Written};
use super::spool::{Held, Spool};
use super::{MongoDbLog, SPOOL, behind, needed, wrong};
use crate::heartbeat::Heartbeat;
use crate::log::{FollowLog, FoundGap, LogCut, LogStep, LogTick, ReadLog};

/// Follows the oplog of one replica set into a spool.
pub(super) struct OplogFollower {
    source: MongoDbLog,
    spool: Spool,
    session: Option<Session>,
    heartbeat: Heartbeat,
    /// The replica set whose log was shipped before.
    server: Option<String>,
    /// The last entry of which pieces were cut.
    last: Option<Last>,
    /// A log that is not gone on with, until another one is found that lies behind it.
    left: Option<Left>,
    /// Where that one begins.
    begins: Option<u64>,
    newest: Option<Time>,
    token: Option<Token>,
    is_resumed: bool,
    /// When to try again what failed, by the monotonic clock.
    next_try: Duration,
    pause: Duration,
    told_of_other: bool,
}

/// An entry that was shipped, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Last {
    mark: u64,
    term: u64,
    /// Nothing where only its place is known, which no other entry of this term has.
    digest: Option<String>,
}

/// A log that is not gone on with.
#[derive(Clone, Debug)]
struct Left {
    last: Last,
    cause: LogGapCause,
    detail: String,
}

/// Where pieces are cut. With the longest entry a piece still has room in a fragment.
const PIECE: usize = 4 << 20;
/// So much is read at one look.
const AT_ONCE: u64 = 64 << 20;
/// How long it is waited for what the server has in its log.
const CATCH_UP: Duration = Duration::from_millis(1500);
const LOOK: Duration = Duration::from_millis(20);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl OplogFollower {
    /// Touches nothing but the work directory.
    pub(super) fn new(
        source: MongoDbLog,
        ctx: &CaptureContext<'_>,
        server: Option<&str>,
        reached: Option<LogReached>,
    ) -> Result<OplogFollower, CaptureError> {
        let last = reached.and_then(|reached| match reached.to {
            Position::Mark(to) => Some(Last {
                mark: to.saturating_sub(1),
                term: reached.timeline,
                digest: None,
            }),
            _ => None,
        });
        Ok(OplogFollower {
            source,
            spool: Spool::open(&ctx.work_dir.join(SPOOL))?,
            session: None,
            heartbeat: Heartbeat::open(&ctx.work_dir.join(SPOOL))?,
            server: server.map(str::to_owned),
            last,
            left: None,
            begins: None,
            newest: None,
            token: None,
            is_resumed: false,
            next_try: Duration::ZERO,
            pause: FIRST_PAUSE,
            told_of_other: false,
        })
    }

    /// What an earlier follower has left in the spool, as far as it goes on from what the vaults have.
    fn resume(&mut self, tick: &mut LogTick) -> Result<(), CaptureError> {
        for held in self.spool.held()? {
            let goes_on = self
                .last
                .as_ref()
                .is_some_and(|last| held.from == last.mark.saturating_add(1));
            let read = match goes_on {
                true => self.spool.get(held).ok(),
                false => None,
            };
            let sight = read.and_then(|entries| Sight::of(&entries, held));
            match sight {
                Some(sight) => self.push(held, sight, tick),
                // It is read from the server once more.
                None => self.spool.remove(held)?,
            }
        }
        self.is_resumed = true;
        Ok(())
    }

    fn look(
        &mut self,
        ctx: &CaptureContext<'_>,
        random: &dyn Random,
        tick: &mut LogTick,
    ) -> Result<(), CaptureError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.source.session()?,
        };
        let written = reading::written(&mut session)?;
        if self.is_another(&written, tick) {
            return Ok(());
        }
        if written.is_writable {
            let beaten = self.heartbeat.beat(ctx.clock.now(), random, |token| {
                let note = doc! { TOKEN: token.text() };
                let said = session.command("admin", doc! { "appendOplogNote": 1, "data": note });
                said.map(drop)
            });
            if let Err(error) = beaten {
                tick.issues.push(error.to_string());
            }
        }
        let target = reading::written(&mut session)?.newest;
        tick.flushed = Some(behind(target));
        let begun = ctx.clock.monotonic();
        loop {
            let agreed = reading::written(&mut session)?.agreed;
            self.read_up_to(&mut session, agreed, tick)?;
            let waited = ctx.clock.monotonic().saturating_sub(begun);
            let is_there = target <= agreed || tick.gap.is_some();
            if is_there || waited > CATCH_UP || ctx.interrupt.requested() {
                break;
            }
            ctx.clock.sleep(LOOK);
        }
        self.session = Some(session);
        Ok(())
    }

    /// Another replica set than before: its log is not mixed with the other one's.
    fn is_another(&mut self, written: &Written, tick: &mut LogTick) -> bool {
        let found = &written.replica_set;
        let before = self.server.get_or_insert_with(|| found.clone());
        if before == found {
            return false;
        }
        let detail = format!(
            "the replica set at {} is {found}, and the log that was shipped is of {before}; give the new one a protection with another name, or bring the old one back",
            self.source.address.shown(),
        );
        tick.issues.push(detail.clone());
        if !self.told_of_other {
            self.told_of_other = true;
            tick.gap = Some(FoundGap {
                cause: LogGapCause::OtherServer,
                timeline: self.last.as_ref().map_or(1, |last| last.term),
                from: self.last.as_ref().map(|last| behind(last.mark)),
                to: None,
                detail,
            });
        }
        true
    }

    /// Reads what has come, up to an entry that most members have.
    fn read_up_to(
        &mut self,
        session: &mut Session,
        agreed: u64,
        tick: &mut LogTick,
    ) -> Result<(), CaptureError> {
        let last = match (&self.last, &self.left) {
            (Some(last), None) if agreed <= last.mark => {
                // Not yet as far again, as behind an election; whether it is the same log is seen then.
                return Ok(());
            }
            (Some(last), None) => last.clone(),
            (None, None) => return self.begin(session, agreed, tick),
            (_, Some(_)) => return self.go_on_elsewhere(session, agreed, tick),
        };
        let mut cutting = Cutting::behind(&last);
        let range = (last.mark, agreed);
        reading::between(session, range, &mut |bytes| {
            cutting.take(&self.spool, bytes)?;
            Ok(cutting.parted.is_none() && cutting.bytes < AT_ONCE)
        })?;
        cutting.cut(&self.spool)?;
        if let Some(detail) = cutting.problem() {
            let oldest = reading::oldest(session)?;
            let is_gone = cutting.is_missing && oldest.is_none_or(|oldest| last.mark < oldest);
            let cause = match is_gone {
                true => LogGapCause::Removed,
                false => LogGapCause::Diverged,
            };
            tick.issues.push(detail.clone());
            self.left = Some(Left {
                last,
                cause,
                detail,
            });
            return self.go_on_elsewhere(session, agreed, tick);
        }
        for (held, sight) in cutting.cut {
            self.push(held, sight, tick);
        }
        Ok(())
    }

    /// The beginning of a log: where the oldest base needs it, or the newest entry.
    fn begin(
        &mut self,
        session: &mut Session,
        agreed: u64,
        tick: &mut LogTick,
    ) -> Result<(), CaptureError> {
        let wanted = match self.begins {
            Some(mark) => Some(mark),
            None => needed(&self.spool)?,
        };
        let oldest = reading::oldest(session)?;
        let is_there = |from: &u64| *from <= agreed && oldest.is_some_and(|oldest| oldest <= *from);
        let from = wanted.filter(is_there).unwrap_or(agreed);
        let Some(bytes) = reading::last_up_to(session, from)? else {
            return Err(wrong(session, "it is empty"));
        };
        self.take_first(session, &bytes, tick)
    }

    /// Behind what is missing it is gone on with the newest entry, as soon as that lies behind all that was shipped.
    fn go_on_elsewhere(
        &mut self,
        session: &mut Session,
        agreed: u64,
        tick: &mut LogTick,
    ) -> Result<(), CaptureError> {
        let Some(bytes) = reading::last_up_to(session, agreed)? else {
            return Ok(());
        };
        let mark = parsed(session, &bytes)?.mark;
        let is_behind = |left: &mut Left| left.last.mark.saturating_add(1) < mark;
        let Some(left) = self.left.take_if(is_behind) else {
            return Ok(());
        };
        tick.gap = Some(FoundGap {
            cause: left.cause,
            timeline: left.last.term,
            from: Some(behind(left.last.mark)),
            to: Some(Position::Mark(mark)),
            detail: left.detail,
        });
        (self.last, self.begins) = (None, Some(mark));
        Ok(())
    }

    /// A piece of one entry, which is the first of a log.
    fn take_first(
        &mut self,
        session: &Session,
        bytes: &[u8],
        tick: &mut LogTick,
    ) -> Result<(), CaptureError> {
        let from = parsed(session, bytes)?.mark;
        let held = Held {
            from,
            to: from.saturating_add(1),
        };
        let sight = Sight::of(bytes, held)
            .ok_or_else(|| wrong(session, "an entry of it cannot be read"))?;
        self.spool.put(held, bytes)?;
        self.push(held, sight, tick);
        Ok(())
    }

    fn push(&mut self, held: Held, sight: Sight, tick: &mut LogTick) {
        let (from, to) = (Position::Mark(held.from), Position::Mark(held.to));
        let Ok(span) = Span::new(from, to) else {
            return;
        };
        self.newest = self.newest.max(Some(sight.newest));
        self.token = sight.token.or(self.token.take());
        tick.steps.push(LogStep::Log(LogCut {
            piece: LogPiece {
                timeline: sight.last.term,
                span,
                commits: Some(sight.commits),
            },
            newest_commit: self.newest,
            token: self.token.clone(),
            verified: true,
        }));
        self.last = Some(sight.last);
    }
}

fn parsed<'b>(session: &Session, bytes: &'b [u8]) -> Result<Entry<'b>, CaptureError> {
    Entry::parse(bytes).map_err(|message| wrong(session, message))
}

impl FollowLog for OplogFollower {
    fn server(&self) -> Option<String> {
        self.server.clone()
    }

    fn tick(&mut self, ctx: &CaptureContext<'_>, random: &dyn Random) -> LogTick {
        let mut tick = LogTick::default();
        if !self.is_resumed
            && let Err(error) = self.resume(&mut tick)
        {
            tick.issues.push(error.to_string());
            return tick;
        }
        let now = ctx.clock.monotonic();
        if now < self.next_try {
            return tick;
        }
        match self.look(ctx, random, &mut tick) {
            Ok(()) => self.pause = FIRST_PAUSE,
            Err(error) => {
                tick.issues.push(error.to_string());
                self.next_try = now.saturating_add(self.pause);
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
        }
        tick
    }

    fn reader(&self) -> Option<Box<dyn ReadLog>> {
        Some(Box::new(self.spool.clone()))
    }

    fn release(&self, reached: LogReached) -> Result<(), CaptureError> {
        let Position::Mark(reached) = reached.to else {
            return Ok(());
        };
        let held = self.spool.held()?;
        let mut done = held.into_iter().filter(|held| held.to <= reached);
        done.try_for_each(|held| self.spool.remove(held))
    }

    fn stop(&mut self) {
        self.session = None;
    }
}

/// What is known of a piece.
#[derive(Debug)]
struct Sight {
    last: Last,
    commits: Commits,
    newest: Time,
    token: Option<Token>,
}

impl Sight {
    /// Reads a piece; nothing if it is not whole, or not of one term.
    fn of(entries: &[u8], held: Held) -> Option<Sight> {
        let mut sight: Option<Sight> = None;
        let mut is_whole = true;
        let read = each::<()>(entries, &mut |entry| {
            let before = sight.as_ref();
            is_whole &= held.from <= entry.mark && entry.mark < held.to;
            is_whole &=
                before.is_none_or(|s| s.last.mark < entry.mark && s.last.term == entry.term);
            sight = Some(Sight::with(sight.take(), &entry));
            Ok(())
        });
        let ends = sight.filter(|sight| sight.last.mark.saturating_add(1) == held.to);
        ends.filter(|_| is_whole && read.is_ok())
    }

    fn with(before: Option<Sight>, entry: &Entry<'_>) -> Sight {
        let micros = entry.time.micros();
        let last = Last {
            mark: entry.mark,
            term: entry.term,
            digest: Some(entry.digest()),
        };
        match before {
            None => Sight {
                last,
                commits: Commits {
                    first: micros,
                    last: micros,
                },
                newest: entry.time,
                token: entry.token(),
            },
            Some(before) => Sight {
                last,
                commits: Commits {
                    first: before.commits.first,
                    last: micros,
                },
                newest: before.newest.max(entry.time),
                token: entry.token().or(before.token),
            },
        }
    }
}

/// Entries on their way into the spool.
struct Cutting {
    /// The entry that was shipped last, which has to come first.
    last: Last,
    has_begun: bool,
    /// What came first is another entry than the one that was shipped.
    parted: Option<String>,
    is_missing: bool,
    from: u64,
    entries: Vec<u8>,
    sight: Option<Sight>,
    cut: Vec<(Held, Sight)>,
    bytes: u64,
}

impl Cutting {
    fn behind(last: &Last) -> Cutting {
        Cutting {
            last: last.clone(),
            has_begun: false,
            parted: None,
            is_missing: false,
            from: last.mark.saturating_add(1),
            entries: Vec::new(),
            sight: None,
            cut: Vec::new(),
            bytes: 0,
        }
    }

    fn take(&mut self, spool: &Spool, bytes: &[u8]) -> Result<(), CaptureError> {
        let entry = match Entry::parse(bytes) {
            Ok(entry) => entry,
            Err(message) => {
                let remedy = "see whether the member is sound; what was read before it is kept";
                let place = spool.directory().display().to_string();
                return Err(unreadable(
                    &place,
                    format!("an entry of the oplog cannot be read: {message}"),
                    remedy,
                ));
            }
        };
        if !self.has_begun {
            self.has_begun = true;
            self.parted = self.differs(&entry);
            return Ok(());
        }
        if self.parted.is_some() {
            return Ok(());
        }
        let other_term = self
            .sight
            .as_ref()
            .is_some_and(|sight| sight.last.term != entry.term);
        if other_term || self.entries.len() >= PIECE {
            self.cut(spool)?;
        }
        self.entries.extend_from_slice(bytes);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        self.sight = Some(Sight::with(self.sight.take(), &entry));
        Ok(())
    }

    /// Puts what has come into the spool.
    fn cut(&mut self, spool: &Spool) -> Result<(), CaptureError> {
        let Some(sight) = self.sight.take() else {
            return Ok(());
        };
        let held = Held {
            from: self.from,
            to: sight.last.mark.saturating_add(1),
        };
        spool.put(held, &self.entries)?;
        self.entries.clear();
        self.from = held.to;
        self.cut.push((held, sight));
        Ok(())
    }

    fn differs(&mut self, entry: &Entry<'_>) -> Option<String> {
        let last = &self.last;
        self.is_missing = entry.mark != last.mark;
        let at = super::shown(last.mark);
        if self.is_missing {
            return Some(format!(
                "the entry {at}, which was shipped, is not in the oplog; the next one there is {}",
                super::shown(entry.mark)
            ));
        }
        let is_same = entry.term == last.term
            && last
                .digest
                .as_ref()
                .is_none_or(|digest| *digest == entry.digest());
        (!is_same).then(|| format!("the entry {at} is another one than the one that was shipped"))
    }

    /// Why it cannot be gone on from the entry that was shipped last.
    fn problem(&mut self) -> Option<String> {
        if !self.has_begun {
            self.is_missing = true;
            return Some(format!(
                "the entry {}, which was shipped, is not in the oplog",
                super::shown(self.last.mark)
            ));
        }
        self.parted.take()
    }
}
