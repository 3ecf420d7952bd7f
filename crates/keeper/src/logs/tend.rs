//! Tending the streams in the vaults: fragments become segments, and what is older than the policy keeps goes.

use vouchsafe_capture::{LogRun, MANIFEST_NAME};
use vouchsafe_format::fragment::Position;
use vouchsafe_model::{Issue, Protection, Time, VaultName};
use vouchsafe_policy::logs::{Base, needed_from};
use vouchsafe_vault::logs::CompactOptions;

use super::{kind_of, stream_name};
use crate::catalogue::Catalogue;
use crate::change::Bound;
use crate::error::{KeeperError, chain};
use crate::keeper::Keeper;
use crate::vaults::VaultHandle;
use crate::watch::read_manifest;

/// So many of the newest fragments stay as they are.
const LOOSE: u64 = 32;
/// Segments of fewer fragments are not worth their reading.
const AT_LEAST: usize = 64;

impl Keeper {
    /// Compacts and expires a protection's log in every vault. What does not work is told, and tried the next time.
    /// A writer may be at work meanwhile: the newest objects are not touched.
    pub(crate) fn tend_logs(&self, protection: &Protection) -> Vec<Issue> {
        let mut told = Vec::new();
        for copy in &protection.copies {
            if let Err(error) = self.tend(protection, &copy.vault, &mut told) {
                told.push(Issue {
                    place: format!("log in vault {}", copy.vault),
                    message: chain(&error),
                });
            }
        }
        told
    }

    fn tend(
        &self,
        protection: &Protection,
        vault: &VaultName,
        told: &mut Vec<Issue>,
    ) -> Result<(), KeeperError> {
        let failed = |source| KeeperError::Log {
            vault: vault.to_string(),
            source: Box::new(source),
        };
        let handle = self.vault(vault)?;
        let logs = handle.repo.logs(std::sync::Arc::clone(&handle.root));
        let stream = logs.stream(stream_name(&protection.id, kind_of(protection).stream())?);
        let window = stream.window().map_err(failed)?;
        let end = window.runs.iter().map(|run| run.last).max().unwrap_or(0);
        let options = CompactOptions {
            at_least: AT_LEAST,
            ..CompactOptions::before(end.saturating_sub(LOOSE))
        };
        let compacted = stream.compact(&options).map_err(failed)?;
        let mut problems = compacted.problems;
        if let Some(before) = self.not_needed_before(protection, &handle, &window.runs)? {
            let expired = stream.expire(before).map_err(failed)?;
            problems.extend(expired.problems);
        }
        told.extend(problems.iter().map(|problem| Issue {
            place: format!("log in vault {vault}"),
            message: chain(problem),
        }));
        Ok(())
    }

    /// Up to where nothing of the log is needed in that vault; nothing if that is not known.
    fn not_needed_before(
        &self,
        protection: &Protection,
        handle: &VaultHandle,
        runs: &[LogRun],
    ) -> Result<Option<Position>, KeeperError> {
        let vault = handle.name();
        let facts = self.facts()?;
        let catalogue = Catalogue::of(&facts);
        let points: Vec<_> = catalogue
            .of_protection(&protection.id)
            .into_iter()
            .filter(|p| p.is_complete() && p.copy_in(vault).is_some())
            .collect();
        let bases: Vec<Base> = points
            .iter()
            .map(|known| Base {
                point: known.point.point.clone(),
                completed: known.point.completed,
            })
            .collect();
        let now = self.tools.clock.now();
        let Some(needed) = needed(&self.bound, &bases, protection, now) else {
            return Ok(None);
        };
        let known = points.iter().find(|p| p.point.point == needed.point);
        let snapshot = known
            .and_then(|known| known.copy_in(vault))
            .and_then(|copy| copy.snapshot.parse().ok());
        let Some(snapshot) = snapshot else {
            return Ok(None);
        };
        let point = handle
            .repo
            .reader(&snapshot)
            .map_err(|source| KeeperError::Repository {
                vault: vault.to_string(),
                source: Box::new(source),
            })?;
        let manifest = read_manifest(&point, MANIFEST_NAME)?;
        let source = self.source(protection)?;
        Ok(manifest.and_then(|manifest| source.log_needed_from(&manifest, runs)))
    }
}

/// The base that the log is needed from; nothing if nothing of it may go. For how long a policy that nobody can read
/// kept it, nobody knows.
fn needed<'b>(
    bound: &Bound,
    bases: &'b [Base],
    protection: &Protection,
    now: Time,
) -> Option<&'b Base> {
    match bound.unread.is_empty() {
        true => needed_from(bases, protection.log_keep, now),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use vouchsafe_model::{PointId, Span};

    use super::*;

    #[test]
    fn nothing_of_a_log_goes_while_an_older_policy_is_unread() {
        let text = "vaults: { v: { url: /v } }\nsystems: { db: { source: 'postgres://u@h/db', schedule: daily, copies: v, logs: { every: 5s, keep: 7 days } } }\n";
        let lowered = vouchsafe_policy::lower(text, "p", Path::new("/p"), "d".to_owned());
        let policy = lowered.policy.unwrap();
        let (_, protection) = policy.protections().next().unwrap();
        let bases = [1_u64, 8].map(|day| Base {
            point: PointId::from_random(day.to_be_bytes()),
            completed: Time::from_secs(0).plus(Span::from_days(day)),
        });
        let now = Time::from_secs(0).plus(Span::from_days(20));
        let mut bound = Bound::alone(policy.clone());
        let found = needed(&bound, &bases, protection, now);
        assert_eq!(found, bases.last());
        bound.unread.push("another".to_owned());
        assert_eq!(needed(&bound, &bases, protection, now), None);
    }
}
