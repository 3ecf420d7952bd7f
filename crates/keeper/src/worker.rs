//! The worker: ships every log all the time, and does what is due when it is due.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::{Issue, Outcome, Protection, ProtectionId, Span, Time};

use crate::catalogue::Catalogue;
use crate::chores::Tried;
use crate::error::{Category, KeeperError, chain};
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::logs::{self, Shipping};
use crate::record::open_obligations;
use crate::run::RunOrder;

/// How the worker works.
pub struct WorkOrder<'a> {
    /// How often what was shipped is recorded.
    pub summary_every: Span,
    /// Asked now and then: whether the policy is another one by now, so that the worker must begin anew.
    pub policy_changed: &'a (dyn Fn() -> bool + Sync),
}

/// Why the worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkEnd {
    /// Somebody asked it to stop.
    Stopped,
    /// The policy is another one by now.
    PolicyChanged,
}

/// How often the main thread looks around.
const LOOK: Duration = Duration::from_millis(200);
/// The longest time without looking at what is due.
const IDLE: Span = Span::from_mins(1);
/// After a run that failed, the next one waits.
const AFTER_FAILURE: Span = Span::from_mins(5);
/// How often the record goes to the vaults when nothing else brings it there.
const PUBLISH_EVERY: Span = Span::from_hours(1);
/// When logs are compacted and expired, and how often from then on.
const TEND_FIRST: Duration = Duration::from_secs(120);
const TEND_EVERY: Duration = Duration::from_secs(3600);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

impl Keeper {
    /// Works until it is asked to stop. Of two workers of one state directory only one works: the other one's error
    /// names it. The state's own lock is held only while something is done under it, so that other commands work
    /// beside it.
    pub fn work(
        &self,
        order: &WorkOrder<'_>,
        reporter: &dyn Reporter,
    ) -> Result<WorkEnd, KeeperError> {
        let _worker = self.lock_worker()?;
        let ends = EndFlag::default();
        let (gaps, found) = mpsc::channel();
        std::thread::scope(|scope| {
            for (_, protection) in logs::shipping(&self.policy) {
                let (gaps, ends) = (gaps.clone(), &ends);
                scope.spawn(move || self.ship_on(protection, order, (&gaps, ends), reporter));
            }
            scope.spawn(|| self.tend_on(&ends, reporter));
            let result = self.do_due_things(order, &found, reporter);
            ends.raise();
            result
        })
    }

    /// Compacts and expires every log now and then, beside those who ship.
    fn tend_on(&self, ends: &EndFlag, reporter: &dyn Reporter) {
        self.rest(TEND_FIRST, ends);
        while !self.is_over(ends) {
            for (_, protection) in logs::shipping(&self.policy) {
                if self.is_over(ends) {
                    return;
                }
                for issue in self.tend_logs(protection) {
                    reporter.event(&Event::Issue {
                        protection: Some(protection.id.clone()),
                        issue,
                    });
                }
            }
            self.rest(TEND_EVERY, ends);
        }
    }

    /// Ships one log until the end, whatever comes between.
    fn ship_on(
        &self,
        protection: &Protection,
        order: &WorkOrder<'_>,
        (gaps, ends): (&Sender<ProtectionId>, &EndFlag),
        reporter: &dyn Reporter,
    ) {
        let mut pause = Duration::from_secs(1);
        let mut told = String::new();
        while !self.is_over(ends) {
            let result = Shipping::begin(self, protection, order.summary_every)
                .and_then(|shipping| self.ship(shipping, (gaps, ends), &mut pause, reporter));
            let Err(error) = result else { return };
            if error.category() == Category::Interrupted {
                return;
            }
            let message = chain(&error);
            if message != told {
                tell(Some(&protection.id), &message, reporter);
                told = message;
            }
            self.rest(pause, ends);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn ship(
        &self,
        mut shipping: Shipping<'_>,
        (gaps, ends): (&Sender<ProtectionId>, &EndFlag),
        pause: &mut Duration,
        reporter: &dyn Reporter,
    ) -> Result<(), KeeperError> {
        let clock = &self.tools.clock;
        let every = shipping.every().to_duration();
        while !self.is_over(ends) {
            let begun = clock.monotonic();
            let shipped = match shipping.tick(reporter) {
                Ok(shipped) => shipped,
                Err(error) => {
                    // What is known is recorded, if it can be.
                    let _ = shipping.end();
                    return Err(error);
                }
            };
            *pause = Duration::from_secs(1);
            if let Some(gap) = shipped.gap {
                // Nobody listens any more only at the end.
                let _ = gaps.send(gap.protection);
                continue;
            }
            let took = clock.monotonic().saturating_sub(begun);
            self.rest(every.saturating_sub(took), ends);
        }
        shipping.end()
    }

    /// Waits, but not beyond the end.
    fn rest(&self, length: Duration, ends: &EndFlag) {
        let clock = &self.tools.clock;
        let begun = clock.monotonic();
        loop {
            let waited = clock.monotonic().saturating_sub(begun);
            let left = length.saturating_sub(waited);
            if left.is_zero() || self.is_over(ends) {
                return;
            }
            clock.sleep(left.min(LOOK));
        }
    }

    fn is_over(&self, ends: &EndFlag) -> bool {
        self.tools.interrupt.requested() || ends.is_raised()
    }

    fn do_due_things(
        &self,
        order: &WorkOrder<'_>,
        found: &Receiver<ProtectionId>,
        reporter: &dyn Reporter,
    ) -> Result<WorkEnd, KeeperError> {
        let clock = &self.tools.clock;
        let mut next = clock.now();
        let mut not_before = next;
        let mut next_publishing = next.plus(PUBLISH_EVERY);
        let mut next_mail = next;
        let mut next_stamp = next;
        let mut tried = Tried::default();
        loop {
            match found.recv_timeout(LOOK) {
                // A gap: a new base is due at once.
                Ok(_) => next = clock.now(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => clock.sleep(LOOK),
            }
            if self.tools.interrupt.requested() {
                return Ok(WorkEnd::Stopped);
            }
            let now = clock.now();
            if now < next {
                continue;
            }
            if (order.policy_changed)() {
                return Ok(WorkEnd::PolicyChanged);
            }
            if now >= not_before {
                match self.do_what_is_due(reporter) {
                    Ok(true) => {}
                    Ok(false) => not_before = clock.now().plus(AFTER_FAILURE),
                    Err(error) => match error.category() {
                        Category::Interrupted => return Ok(WorkEnd::Stopped),
                        // Another command is at work; it will be done after that.
                        Category::Locked => {}
                        _ => {
                            tell(None, &chain(&error), reporter);
                            not_before = clock.now().plus(AFTER_FAILURE);
                        }
                    },
                }
            }
            match self.do_a_chore(&mut tried, reporter) {
                // Captures come first, and one may be due by now.
                Ok(true) => {
                    next = clock.now();
                    continue;
                }
                Ok(false) => {}
                Err(error) => match error.category() {
                    Category::Interrupted => return Ok(WorkEnd::Stopped),
                    Category::Locked => {}
                    _ => tell(None, &chain(&error), reporter),
                },
            }
            if clock.now() >= next_mail {
                let sent = self.has_letters().and_then(|has| match has {
                    true => self.mail_now(reporter),
                    false => Ok(true),
                });
                match sent {
                    Ok(true) => {}
                    Ok(false) => next_mail = clock.now().plus(AFTER_FAILURE),
                    Err(error) => {
                        tell(None, &chain(&error), reporter);
                        next_mail = clock.now().plus(AFTER_FAILURE);
                    }
                }
            }
            if clock.now() >= next_stamp {
                match self.stamp_if_due(reporter) {
                    Ok(false) => {}
                    Ok(true) => next_stamp = clock.now().plus(AFTER_FAILURE),
                    Err(error) => {
                        tell(None, &chain(&error), reporter);
                        next_stamp = clock.now().plus(AFTER_FAILURE);
                    }
                }
            }
            if clock.now() >= next_publishing {
                next_publishing = clock.now().plus(PUBLISH_EVERY);
                if let Err(error) = self.publish_now(reporter) {
                    tell(None, &chain(&error), reporter);
                }
            }
            next = self.next_look(clock.now())?;
        }
    }

    /// What was recorded of logs goes to the vaults although nothing else is due.
    fn publish_now(&self, reporter: &dyn Reporter) -> Result<(), KeeperError> {
        match self.state.lock() {
            Ok(_lock) => self.publish(reporter).map(drop),
            // Whoever has it publishes when it is done.
            Err(error) if error.category() == Category::Locked => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether everything that was done came out well.
    fn do_what_is_due(&self, reporter: &dyn Reporter) -> Result<bool, KeeperError> {
        let mut good = true;
        let facts = self.facts()?;
        for (id, reason) in bases_wanted(self, &facts) {
            let done = self.run(
                &RunOrder {
                    names: vec![id.to_string()],
                    due: false,
                    reason: Some(reason),
                },
                reporter,
            )?;
            good &= done.reports.iter().all(|r| r.outcome == Outcome::Done);
        }
        let order = RunOrder {
            due: true,
            ..RunOrder::default()
        };
        if self.has_something_due(&order)? {
            let done = self.run(&order, reporter)?;
            good &= done.reports.iter().all(|r| r.outcome == Outcome::Done);
        }
        Ok(good)
    }

    /// When something opens next, and not much later than now.
    fn next_look(&self, now: Time) -> Result<Time, KeeperError> {
        let latest = now.plus(IDLE);
        let facts = self.facts()?;
        let opens = facts.iter().filter_map(|r| match &r.entry.fact {
            Fact::ObligationDue(o) if o.opens > now => Some(o.opens),
            _ => None,
        });
        Ok(opens.min().unwrap_or(latest).min(latest))
    }

    fn has_something_due(&self, order: &RunOrder) -> Result<bool, KeeperError> {
        let facts = self.facts()?;
        let now = self.tools.clock.now();
        // The horizon of what is promised must not end.
        let horizon = facts.iter().rev().find_map(|r| match r.entry.fact {
            Fact::Horizon { until } => Some(until),
            _ => None,
        });
        let near = horizon.is_none_or(|until| until < now.plus(Span::from_days(6)));
        let rotates = open_obligations(&facts, now)
            .iter()
            .any(|o| o.kind == vouchsafe_model::ObligationKind::RotateKey);
        let tells = !vouchsafe_policy::people::notices(&self.policy, &facts, now).is_empty()
            || !vouchsafe_policy::people::alerts(&self.policy, &facts, now).is_empty();
        let fills = !self.space_facts(&facts, now).is_empty();
        Ok(near || rotates || tells || fills || !self.chosen(order)?.is_empty())
    }
}

/// Protections whose log has a gap that no base lies behind yet, and why a base is made.
fn bases_wanted(keeper: &Keeper, facts: &[Recorded]) -> Vec<(ProtectionId, String)> {
    let catalogue = Catalogue::of(facts);
    let mut out = Vec::new();
    for (_, protection) in logs::shipping(&keeper.policy) {
        let gap = facts.iter().rev().find_map(|r| match &r.entry.fact {
            Fact::LogGap(gap) if gap.protection == protection.id => Some(gap),
            _ => None,
        });
        let Some(gap) = gap.filter(|gap| gap.to.is_some()) else {
            continue;
        };
        let newest = catalogue.newest(&protection.id, true);
        if newest.is_none_or(|point| point.point.started < gap.found) {
            let reason = format!("the log has a gap at {}: {}", gap.from, gap.cause);
            out.push((protection.id.clone(), reason));
        }
    }
    out
}

fn tell(protection: Option<&ProtectionId>, message: &str, reporter: &dyn Reporter) {
    reporter.event(&Event::Issue {
        protection: protection.cloned(),
        issue: Issue {
            place: "worker".to_owned(),
            message: message.to_owned(),
        },
    });
}

/// Raised when the threads are to end without anybody having asked the whole process to.
#[derive(Default)]
struct EndFlag(std::sync::atomic::AtomicBool);

impl EndFlag {
    fn raise(&self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    fn is_raised(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}
