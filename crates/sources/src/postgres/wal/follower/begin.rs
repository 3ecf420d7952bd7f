//! Beginning to receive: slot, timeline, spool, and what to do if what comes next cannot be had.

use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError, LogReached};
use vouchsafe_format::fragment::Position;
use vouchsafe_model::LogGapCause;
use vouchsafe_translog::wal::{History, Lsn, Timeline, WalFileName};

use super::{BARREN, FIRST_PAUSE, LONGEST_PAUSE, LogFollower, Receiver};
use crate::log::{FoundGap, LogTick};
use crate::postgres::wal::receiver;
use crate::postgres::wal::server::{ServerLog, Slot};
use crate::postgres::wal::spool::{Identity, Spool};
use crate::postgres::wal::tail::Tail;

/// How long it is waited for a slot that somebody else has.
const FREEING: Duration = Duration::from_secs(5);

impl LogFollower {
    pub(super) fn keep_receiving(
        &mut self,
        ctx: &CaptureContext<'_>,
        tick: &mut LogTick,
    ) -> Result<(), CaptureError> {
        let now = ctx.clock.monotonic();
        let at = self.place();
        if let Some(receiver) = &mut self.receiver {
            if receiver.child.try_wait().is_none() {
                if receiver.from != at {
                    (self.barren, self.pause) = (0, FIRST_PAUSE);
                    self.suspected = None;
                }
                return Ok(());
            }
            self.barren = match receiver.from == at {
                true => self.barren.saturating_add(1),
                false => 0,
            };
        }
        if let Some(receiver) = self.receiver.take() {
            let error = receiver::ended(receiver.child);
            self.last_words = error.to_string();
            tick.issues.push(self.last_words.clone());
            self.next_try = now.saturating_add(self.pause);
        }
        if now < self.next_try {
            return Ok(());
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.next_try = now.saturating_add(self.pause);
        self.begin(ctx, tick)
    }

    pub(super) fn place(&self) -> Option<(Timeline, Lsn)> {
        self.tail.as_ref().map(|tail| (tail.timeline(), tail.cut()))
    }

    /// Starts the receiver where the tail is, or finds out that it cannot be had from there.
    fn begin(&mut self, ctx: &CaptureContext<'_>, tick: &mut LogTick) -> Result<(), CaptureError> {
        let shown = self.source.shown();
        let server = ServerLog::ask(self.session(ctx)?, &shown)?;
        tick.flushed = Some(Position::Byte(server.flushed.0));
        if self.is_another(&server, tick) {
            return Ok(());
        }
        self.server = Some(server.system);
        let identity = Identity {
            system: server.system,
            segment_size: server.segment_size,
            block_size: server.block_size,
        };
        let spool = Spool::begin(&self.spool_directory, identity)?;
        if self.tail.is_none()
            && let Some(shipped) = self.shipped
        {
            self.tail = Tail::at(&spool, shipped);
        }
        self.spool = Some(spool.clone());
        let keeps_from = self.keep_slot(ctx, tick)?;
        if self.damaged.is_some_and(|(_, times)| times >= BARREN) {
            // It is damaged at the server, too. Everything that it has now is behind the damage.
            self.damaged = None;
            let beyond = (&spool, &server, server.flushed);
            return self.gap(LogGapCause::Damaged, beyond, tick);
        }
        if self.was_removed(&spool) {
            // What a slot states goes back to what a receiver last asked for; a new one states what there is.
            let name = self.slot.clone();
            let session = self.session(ctx)?;
            Slot::drop(session, &name)?;
            Slot::make(session, &name)?;
            let slot = Slot::ask(session, &name)?;
            let keeps_from = slot.and_then(|slot| slot.keeps_from).unwrap_or(keeps_from);
            let needed = self.needed_segment(&spool);
            if needed < spool.size().segment_of(keeps_from) {
                let cause = self.suspected.take().unwrap_or(LogGapCause::Removed);
                return self.gap(cause, (&spool, &server, keeps_from), tick);
            }
        }
        if self.tail.is_none() {
            self.begin_anew(&spool, server.timeline, keeps_from)?;
        } else if !self.place_for(ctx, &spool, &server)? {
            return self.gap(LogGapCause::Diverged, (&spool, &server, keeps_from), tick);
        }
        let Some(login) = &self.login else {
            return Ok(());
        };
        let child = receiver::start(
            ctx,
            login,
            server.major,
            spool.directory(),
            Some(&self.slot),
        )?;
        self.receiver = Some(Receiver {
            child,
            from: self.place(),
        });
        Ok(())
    }

    /// Another server than before: its log is not mixed with the other one's.
    fn is_another(&mut self, server: &ServerLog, tick: &mut LogTick) -> bool {
        let Some(before) = self.server.filter(|before| *before != server.system) else {
            return false;
        };
        let detail = format!(
            "the server at {} is {}, and the log that was shipped is of {before}; give the new server a protection with another name, or bring the old one back",
            self.source.shown(),
            server.system
        );
        tick.issues.push(detail.clone());
        if self.suspected != Some(LogGapCause::OtherServer) {
            self.suspected = Some(LogGapCause::OtherServer);
            let place = self.place();
            tick.gap = Some(FoundGap {
                cause: LogGapCause::OtherServer,
                timeline: place.map_or(0, |(timeline, _)| u64::from(timeline.number())),
                from: place.map(|(_, lsn)| Position::Byte(lsn.0)),
                to: None,
                detail,
            });
        }
        true
    }

    /// Makes the slot if it is missing or lost. From where on the server keeps its log.
    fn keep_slot(
        &mut self,
        ctx: &CaptureContext<'_>,
        tick: &mut LogTick,
    ) -> Result<Lsn, CaptureError> {
        let name = self.slot.clone();
        let was_shipping = self.tail.is_some();
        let session = self.session(ctx)?;
        let mut suspected = None;
        let begun = ctx.clock.monotonic();
        let mut found = Slot::ask(session, &name)?;
        while found.as_ref().is_some_and(|slot| slot.is_active)
            && ctx.clock.monotonic().saturating_sub(begun) < FREEING
        {
            Slot::free(session, &name)?;
            ctx.clock.sleep(Duration::from_millis(50));
            found = Slot::ask(session, &name)?;
        }
        match found {
            Some(slot) if slot.holds() => {}
            Some(_) => {
                Slot::drop(session, &name)?;
                Slot::make(session, &name)?;
                suspected = Some(LogGapCause::SlotLost);
            }
            None => {
                Slot::make(session, &name)?;
                suspected = was_shipping.then_some(LogGapCause::SlotMissing);
            }
        }
        let slot = Slot::ask(session, &name)?;
        if let Some(cause) = suspected {
            self.suspected = Some(cause);
            tick.issues
                .push(format!("slot {name} was made anew: {cause}"));
        }
        slot.and_then(|slot| slot.keeps_from).ok_or_else(|| {
            let message = format!("the replication slot {name} keeps nothing");
            self.wrong(&message, "see max_slot_wal_keep_size of the server")
        })
    }

    /// Whether the server has said that it has removed what comes next. It says so in its own language, but it always
    /// names the segment, and never else.
    fn was_removed(&self, spool: &Spool) -> bool {
        let is_segment = |word: &str| {
            // What the receiver says of its own files stands in quotes.
            let word = word.trim_matches(['.', ',', ':', ';']);
            matches!(
                WalFileName::parse(word, spool.size()),
                Some(WalFileName::Segment { .. })
            )
        };
        let mut words = self.last_words.split_whitespace();
        self.tail.is_some() && self.barren > 0 && words.any(is_segment)
    }

    /// Begins where the server keeps its log from.
    fn begin_anew(
        &mut self,
        spool: &Spool,
        timeline: Timeline,
        keeps_from: Lsn,
    ) -> Result<(), CaptureError> {
        let from = spool.start_of(keeps_from);
        spool.begin_at(timeline, spool.size().segment_of(from))?;
        self.tail = Tail::at(
            spool,
            LogReached {
                timeline: u64::from(timeline.number()),
                to: Position::Byte(from.0),
            },
        );
        Ok(())
    }

    fn gap(
        &mut self,
        cause: LogGapCause,
        (spool, server, keeps_from): (&Spool, &ServerLog, Lsn),
        tick: &mut LogTick,
    ) -> Result<(), CaptureError> {
        let before = self.place();
        self.begin_anew(spool, server.timeline, keeps_from)?;
        tick.gap = Some(FoundGap {
            cause,
            timeline: before.map_or(0, |(timeline, _)| u64::from(timeline.number())),
            from: before.map(|(_, lsn)| Position::Byte(lsn.0)),
            to: self.place().map(|(_, lsn)| Position::Byte(lsn.0)),
            detail: std::mem::take(&mut self.last_words),
        });
        self.barren = 0;
        self.suspected = None;
        self.next_try = Duration::ZERO;
        Ok(())
    }

    /// Readies the spool so that the receiver goes on where the tail is; follows the server onto its timeline. False if
    /// the server's past is not the one that was shipped.
    fn place_for(
        &mut self,
        ctx: &CaptureContext<'_>,
        spool: &Spool,
        server: &ServerLog,
    ) -> Result<bool, CaptureError> {
        let Some((timeline, cut)) = self.place() else {
            return Ok(true);
        };
        if timeline < server.timeline {
            let number = server.timeline.number();
            let history = match spool.history(number)? {
                Some((_, history)) => Some(history),
                None => self.fetched(ctx, server)?,
            };
            let history = history.ok_or_else(|| {
                let message = format!("the history of timeline {number} does not come");
                self.wrong(&message, "it is tried again")
            })?;
            let Some(range) = history.range_of(timeline) else {
                return Ok(false);
            };
            let switch = range.until.unwrap_or(cut);
            let beyond = spool.size().segment_of(switch);
            let too_far = spool
                .segments()?
                .iter()
                .any(|held| held.timeline == timeline.number() && held.segment > beyond);
            if switch < cut {
                // The old server had written more than the new one had of it.
                let next = history.timeline_at(switch);
                spool.begin_at(next, beyond)?;
                self.tail = Tail::at(
                    spool,
                    LogReached {
                        timeline: u64::from(next.number()),
                        to: Position::Byte(switch.0),
                    },
                );
                return Ok(true);
            }
            if too_far {
                spool.begin_at(timeline, self.needed_segment(spool))?;
            }
        } else if timeline > server.timeline {
            return Ok(false);
        }
        let needed = self.needed_segment(spool);
        if !spool.goes_on_from(timeline.number(), needed)? {
            spool.begin_at(timeline, needed)?;
        }
        Ok(true)
    }

    pub(super) fn needed_segment(&self, spool: &Spool) -> u64 {
        let needs = self.tail.as_ref().map_or(Lsn(0), |tail| tail.needs(spool));
        spool.size().segment_of(needs)
    }

    fn fetched(
        &mut self,
        ctx: &CaptureContext<'_>,
        server: &ServerLog,
    ) -> Result<Option<History>, CaptureError> {
        let Some(login) = &self.login else {
            return Ok(None);
        };
        let Some(file) = receiver::fetch_history(ctx, login, server)? else {
            return Ok(None);
        };
        History::parse(server.timeline, &file)
            .map(Some)
            .map_err(|e| self.wrong(&e.to_string(), "see the server's log"))
    }
}
