//! Shipping one protection's log: look, deliver, record.

use std::collections::VecDeque;
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, LogReached, NoProgress};
use vouchsafe_format::fragment::Position;
use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::{Issue, LogGap, Protection, ProtectionId, Span, VaultName};
use vouchsafe_sources::{FollowLog, LogKind, LogStep, ServerLog};

use super::account::Account;
use super::destination::Destination;
use super::kind_of;
use crate::error::{KeeperError, chain};
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::run::not_connected;
use vouchsafe_model::policy::Way;

/// The shipping of one protection's log, under way. Whoever has it is the only one on this machine.
pub(crate) struct Shipping<'k> {
    keeper: &'k Keeper,
    protection: &'k Protection,
    work_dir: std::path::PathBuf,
    every: Span,
    kind: LogKind,
    follower: Box<dyn FollowLog>,
    destinations: Vec<Destination>,
    /// What not every vault has yet, and the number of the first of it.
    queue: VecDeque<LogStep>,
    first: u64,
    account: Account,
    /// When vaults that could not be opened are tried again, by the monotonic clock.
    next_opening: Duration,
    /// When it is looked anew at what the vaults hold: what has expired is no longer there.
    next_look: Duration,
    /// What was told already, so that it is not told at every look.
    told: Vec<String>,
}

/// What one look came to.
#[derive(Debug, Default)]
pub(crate) struct Shipped {
    /// A gap was found, and recorded.
    pub(crate) gap: Option<LogGap>,
    /// Up to where the server's log was on its disk, if it could be asked.
    pub(crate) flushed: Option<Position>,
}

const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// How often a vault that cannot be opened is tried again.
const OPENING: Duration = Duration::from_secs(15);

impl<'k> Shipping<'k> {
    /// Opens the vaults and looks how far the log is. The server is asked at the first look.
    pub(crate) fn begin(
        keeper: &'k Keeper,
        protection: &'k Protection,
        summary: Span,
    ) -> Result<Shipping<'k>, KeeperError> {
        let id = &protection.id;
        let source = log_of(keeper, protection)?;
        let every = protection.ships_log_every().unwrap_or(Span::from_secs(5));
        let vaults = protection.copies.iter().map(|copy| copy.vault.clone());
        let mut destinations: Vec<_> = vaults.map(Destination::new).collect();
        keeper.open_logs(protection, &mut destinations);
        let reached = farthest(&destinations);
        let work_dir = keeper.state.work_dir(id)?;
        let known = known_server(&keeper.facts()?, id);
        let mark = keeper.ledger.public_key().ledger_id();
        let now = keeper.tools.clock.now();
        let follower = source.follow(
            &context(keeper, &work_dir),
            (&id.to_string(), mark),
            known.as_deref(),
            reached,
        )?;
        let kind = kind_of(protection);
        Ok(Shipping {
            keeper,
            protection,
            work_dir,
            every,
            kind,
            follower,
            destinations,
            queue: VecDeque::new(),
            first: 0,
            account: Account::new((id.clone(), kind), every, summary, now),
            next_opening: keeper.tools.clock.monotonic().saturating_add(OPENING),
            next_look: keeper.tools.clock.monotonic().saturating_add(LOOK_AGAIN),
            told: Vec::new(),
        })
    }

    /// How often it is to be looked.
    pub(crate) fn every(&self) -> Span {
        self.every
    }

    /// Receives, delivers to every vault, and records what is due to be recorded.
    pub(crate) fn tick(&mut self, reporter: &dyn Reporter) -> Result<Shipped, KeeperError> {
        let clock = &self.keeper.tools.clock;
        let tick = self.follower.tick(
            &context(self.keeper, &self.work_dir),
            self.keeper.tools.random.as_ref(),
        );
        let mut told = tick.issues;
        self.queue.extend(tick.steps);
        let now = clock.now();
        for one in &mut self.destinations {
            one.age(now);
        }
        self.open_missing();
        self.look_again();
        self.deliver();
        self.release(&mut told);
        for one in &self.destinations {
            let problem = one.problem.as_ref();
            told.extend(problem.map(|text| format!("vault {}: {text}", one.vault)));
        }
        self.tell(told, reporter);
        let mut out = Shipped {
            gap: None,
            flushed: tick.flushed,
        };
        let now = clock.now();
        let found = tick.gap.as_ref().map(|gap| self.account.gap(gap, now));
        let lost = self.destinations.iter_mut();
        let lost: Vec<_> = lost.filter_map(|one| self.account.lost(one, now)).collect();
        for gap in found.into_iter().chain(lost) {
            self.keeper.record(vec![Fact::LogGap(gap.clone())])?;
            let message = format!("the log has a gap from {} on: {}", gap.from, gap.cause);
            self.tell_issue(message, reporter);
            out.gap = Some(gap);
        }
        if self.account.is_due(clock.now()) {
            self.summarise(true)?;
        }
        Ok(out)
    }

    /// Whether every vault, or one alone, has the log up to this position.
    pub(crate) fn has_all_up_to(&self, position: Position, only: Option<&VaultName>) -> bool {
        let has = |reached: &LogReached| self.kind.reaches(reached.to, position);
        let mut asked = self.asked(only);
        asked.all(|one| one.held.reached.as_ref().is_some_and(has))
    }

    /// What keeps vaults, or one alone, behind.
    pub(crate) fn problems(&self, only: Option<&VaultName>) -> Vec<Issue> {
        let issue = |one: &Destination| {
            let message = one.problem.clone()?;
            Some(Issue {
                place: format!("vault {}", one.vault),
                message,
            })
        };
        self.asked(only).filter_map(issue).collect()
    }

    fn asked<'a>(&'a self, only: Option<&'a VaultName>) -> impl Iterator<Item = &'a Destination> {
        let all = self.destinations.iter();
        all.filter(move |one| only.is_none_or(|only| *only == one.vault))
    }

    /// Ends the receiver, and records how far everything is.
    pub(crate) fn end(mut self) -> Result<(), KeeperError> {
        self.follower.stop();
        self.summarise(false)
    }

    fn summarise(&mut self, goes_on: bool) -> Result<(), KeeperError> {
        let now = self.keeper.tools.clock.now();
        let server = self.follower.server();
        let fact = self
            .account
            .summary(server, &mut self.destinations, now, goes_on);
        match fact {
            Some(fact) => self.keeper.record(vec![fact]),
            None => Ok(()),
        }
    }

    fn open_missing(&mut self) {
        let now = self.keeper.tools.clock.monotonic();
        let all_open = self.destinations.iter().all(|one| one.writers.is_some());
        if all_open || now < self.next_opening {
            return;
        }
        self.next_opening = now.saturating_add(OPENING);
        self.keeper
            .open_logs(self.protection, &mut self.destinations);
        for one in &mut self.destinations {
            one.skip_held(self.first, &self.queue);
        }
    }

    /// Looks at what the vaults hold, now that older parts may have expired.
    fn look_again(&mut self) {
        let now = self.keeper.tools.clock.monotonic();
        if now < self.next_look {
            return;
        }
        self.next_look = now.saturating_add(LOOK_AGAIN);
        for one in self.destinations.iter_mut().filter(|d| d.writers.is_some()) {
            if let Err(error) = one.look() {
                one.problem = Some(chain(&error));
            }
        }
    }

    /// Each vault in a thread of its own, so that a slow one holds up nobody but itself within a look.
    fn deliver(&mut self) {
        let Some(reader) = self.follower.reader() else {
            return;
        };
        let first = self.first;
        let (steps, reader) = (&*self.queue.make_contiguous(), reader.as_ref());
        std::thread::scope(|scope| {
            for one in &mut self.destinations {
                scope.spawn(move || one.deliver(first, steps, reader));
            }
        });
    }

    /// Forgets what every vault has, and removes it from the spool.
    fn release(&mut self, told: &mut Vec<String>) {
        let slowest = self.destinations.iter().map(|one| one.next).min();
        let mut reached = None;
        while slowest.is_some_and(|slowest| self.first < slowest) {
            if let Some(LogStep::Log(cut)) = self.queue.pop_front() {
                reached = Some(LogReached {
                    timeline: cut.piece.timeline,
                    to: cut.piece.span.to(),
                });
            }
            self.first += 1;
        }
        if let Some(reached) = reached
            && let Err(error) = self.follower.release(reached)
        {
            told.push(error.to_string());
        }
    }

    /// Tells what is new, and forgets what is over.
    fn tell(&mut self, told: Vec<String>, reporter: &dyn Reporter) {
        for message in &told {
            if !self.told.contains(message) {
                self.tell_issue(message.clone(), reporter);
            }
        }
        self.told = told;
    }

    fn tell_issue(&self, message: String, reporter: &dyn Reporter) {
        reporter.event(&Event::Issue {
            protection: Some(self.protection.id.clone()),
            issue: Issue {
                place: "log".to_owned(),
                message,
            },
        });
    }
}

/// The log that a protection's server has.
pub(super) fn log_of(
    keeper: &Keeper,
    protection: &Protection,
) -> Result<Box<dyn ServerLog>, KeeperError> {
    let Way::Capture(url) = &protection.way else {
        return Err(not_connected(protection));
    };
    let password = protection.password.as_ref();
    Ok(vouchsafe_sources::open_log(
        url,
        password,
        &keeper.policy.base,
    )?)
}

/// How far the log is in the vault that has most of it.
fn farthest(all: &[Destination]) -> Option<LogReached> {
    all.iter()
        .filter(|one| one.writers.is_some())
        .max_by_key(|one| one.held.sequence)
        .and_then(|one| one.held.reached)
}

/// The server whose log was shipped last, by the record.
fn known_server(facts: &[Recorded], id: &ProtectionId) -> Option<String> {
    facts
        .iter()
        .rev()
        .find_map(|recorded| match &recorded.entry.fact {
            Fact::LogShipped(shipped) if shipped.protection == *id => Some(shipped.server.clone()),
            _ => None,
        })
        .filter(|server| !server.is_empty())
}

fn context<'a>(keeper: &'a Keeper, work_dir: &'a std::path::Path) -> CaptureContext<'a> {
    CaptureContext {
        spawn: keeper.tools.spawn.as_ref(),
        clock: keeper.tools.clock.as_ref(),
        work_dir,
        interrupt: &keeper.tools.interrupt,
        progress: &NoProgress,
        own_places: &[],
    }
}
