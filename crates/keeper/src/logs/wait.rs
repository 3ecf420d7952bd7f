//! Until the log is safe up to a moment: shipped by ourselves, or by the worker that is at it.

use std::time::Duration;

use vouchsafe_format::fragment::Position;
use vouchsafe_host::lockfile::{LockError, StateLock};
use vouchsafe_model::{Issue, Protection, ProtectionId, Span, VaultName};
use vouchsafe_sources::LogKind;
use vouchsafe_vault::logs::{Fence, LogStream};

use super::ship::log_of;
use super::{Shipping, kind_of, stream_name};
use crate::error::{KeeperError, chain};
use crate::events::Reporter;
use crate::keeper::Keeper;
use crate::run::RunOrder;

/// How shipping what there is came out for one protection.
#[derive(Clone, Debug)]
pub struct LogDone {
    /// Which.
    pub protection: ProtectionId,
    /// Whether every vault has the log up to where the server's was at the beginning.
    pub complete: bool,
    /// What kept it from being so.
    pub issues: Vec<Issue>,
}

/// Up to where the logs of the protections of a run were on their servers' disks.
#[derive(Clone, Debug)]
pub struct LogPositions(Vec<(ProtectionId, Result<Position, String>)>);

/// How long what there is of a log may take to be shipped.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(200);
/// What is recorded of a log that is shipped once: only the end.
const NO_SUMMARY: Span = Span::from_days(365);

impl Keeper {
    /// Asks the servers of what is ordered, as far as their logs are shipped.
    ///
    /// # Errors
    /// [`KeeperError::UnknownSystem`]. A server that does not answer is told by [`Keeper::logs_reach`].
    pub fn log_positions(&self, order: &RunOrder) -> Result<LogPositions, KeeperError> {
        let mut out = Vec::new();
        for (_, protection) in self.select(&order.names)? {
            if protection.ships_log_every().is_none() {
                continue;
            }
            let position = log_of(self, protection).and_then(|log| {
                self.with_context(&protection.id, &crate::events::Silent::default(), |ctx| {
                    Ok(log.flushed(ctx)?)
                })
            });
            out.push((protection.id.clone(), position.map_err(|e| chain(&e))));
        }
        Ok(LogPositions(out))
    }

    /// Waits until every vault has the logs up to these positions. If a worker is at it, it does the work; otherwise it
    /// is done here.
    pub fn logs_reach(
        &self,
        positions: &LogPositions,
        reporter: &dyn Reporter,
    ) -> Result<Vec<LogDone>, KeeperError> {
        let mut out = Vec::new();
        for (id, position) in &positions.0 {
            let Some((_, protection)) = self.policy.protection(id) else {
                continue;
            };
            let result = match position {
                Ok(position) => self.log_reaches(protection, *position, None, reporter),
                Err(message) => Ok(vec![about(id, message.clone())]),
            };
            let issues = match result {
                Ok(issues) => issues,
                Err(error) if error.category() == crate::Category::Interrupted => {
                    return Err(error);
                }
                Err(error) => vec![about(id, chain(&error))],
            };
            out.push(LogDone {
                protection: id.clone(),
                complete: issues.is_empty(),
                issues,
            });
        }
        Ok(out)
    }

    /// Ships what there is of every log and ends.
    ///
    /// # Errors
    /// [`KeeperError::StateLock`] if a worker is at it.
    pub fn ship_once(
        &self,
        names: &[String],
        reporter: &dyn Reporter,
    ) -> Result<Vec<LogDone>, KeeperError> {
        let _worker = self.lock_worker()?;
        let mut out = Vec::new();
        for (_, protection) in self.select(names)? {
            if protection.ships_log_every().is_some() {
                self.stop_if_asked()?;
                let issues = self.ship_up_to(protection, None, None, reporter)?;
                out.push(LogDone {
                    protection: protection.id.clone(),
                    complete: issues.is_empty(),
                    issues,
                });
            }
        }
        Ok(out)
    }

    pub(crate) fn lock_worker(&self) -> Result<StateLock, KeeperError> {
        let path = self.state.root().join("worker.lock");
        Ok(vouchsafe_host::lockfile::try_lock(path)?)
    }

    /// What kept a protection's vaults, or one alone, from having its log up to this position; nothing if they have it.
    pub(crate) fn log_reaches(
        &self,
        protection: &Protection,
        position: Position,
        only: Option<&VaultName>,
        reporter: &dyn Reporter,
    ) -> Result<Vec<Issue>, KeeperError> {
        match self.lock_worker() {
            Ok(_worker) => self.ship_up_to(protection, Some(position), only, reporter),
            Err(KeeperError::StateLock(LockError::Held { .. })) => {
                self.wait_for_worker(protection, position, only)
            }
            Err(error) => Err(error),
        }
    }

    /// What kept it from being so; nothing if every vault that is waited for has it. All are shipped to.
    fn ship_up_to(
        &self,
        protection: &Protection,
        position: Option<Position>,
        only: Option<&VaultName>,
        reporter: &dyn Reporter,
    ) -> Result<Vec<Issue>, KeeperError> {
        let clock = &self.tools.clock;
        let begun = clock.monotonic();
        let kind = kind_of(protection);
        let mut shipping = Shipping::begin(self, protection, NO_SUMMARY)?;
        let mut target = position;
        let issues = loop {
            let shipped = shipping.tick(reporter)?;
            target = match (target, shipped.flushed) {
                (Some(target), Some(seen)) => Some(kind.aligned(target, seen)),
                (target, seen) => target.or(seen),
            };
            if target.is_some_and(|target| shipping.has_all_up_to(target, only)) {
                break Vec::new();
            }
            let waited = clock.monotonic().saturating_sub(begun);
            if waited > PATIENCE || self.tools.interrupt.requested() {
                let mut issues = shipping.problems(only);
                if issues.is_empty() {
                    let message = "the server did not give its log in time";
                    issues.push(about(&protection.id, message.to_owned()));
                }
                break issues;
            }
            clock.sleep(LOOK);
        };
        shipping.end()?;
        self.stop_if_asked()?;
        Ok(issues)
    }

    fn wait_for_worker(
        &self,
        protection: &Protection,
        position: Position,
        only: Option<&VaultName>,
    ) -> Result<Vec<Issue>, KeeperError> {
        let clock = &self.tools.clock;
        let begun = clock.monotonic();
        let kind = kind_of(protection);
        let mut missing = Vec::new();
        let copies = protection.copies.iter();
        for copy in copies.filter(|copy| only.is_none_or(|only| *only == copy.vault)) {
            let handle = self.vault(&copy.vault)?;
            let logs = handle.repo.logs(std::sync::Arc::clone(&handle.root));
            let name = stream_name(&protection.id, kind.stream())?;
            missing.push((&copy.vault, logs.stream(name)));
        }
        loop {
            missing.retain(|(_, stream)| !reaches(kind, stream, position));
            if missing.is_empty() {
                return Ok(Vec::new());
            }
            self.stop_if_asked()?;
            if clock.monotonic().saturating_sub(begun) > PATIENCE {
                let late = missing.iter().map(|(vault, _)| Issue {
                    place: format!("vault {vault}"),
                    message: "the worker has not brought the log here in time".to_owned(),
                });
                return Ok(late.collect());
            }
            clock.sleep(LOOK * 5);
        }
    }
}

/// Whether a vault has the log up to there. Opening a writer reads the end of the stream and writes nothing.
fn reaches(kind: LogKind, stream: &LogStream, position: Position) -> bool {
    let tip = stream.writer(Fence::Store).and_then(|mut w| w.tip());
    let reached = tip.ok().and_then(|tip| tip.reached);
    reached.is_some_and(|reached| kind.reaches(reached.to, position))
}

fn about(id: &ProtectionId, message: String) -> Issue {
    Issue {
        place: format!("log of {id}"),
        message,
    }
}
