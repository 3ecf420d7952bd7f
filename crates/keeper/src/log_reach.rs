//! To which moments the log in a vault can bring which points.

use vouchsafe_capture::{FetchedLog, Log, LogChart, ReplayError, ReplayPlan, Source, Until};
use vouchsafe_format::fragment::{LogName, Part, Position};
use vouchsafe_model::{PointId, Protection, ProtectionId, Span, Time, VaultName};
use vouchsafe_sources::LogKind;
use vouchsafe_vault::Repository;
use vouchsafe_vault::logs::{LogStream, LogVault};

use crate::catalogue::KnownPoint;
use crate::error::KeeperError;
use crate::error::chain;
use crate::ladder::Replay;
use crate::logs::{TIMELINES, kind_of, stream_name};
use crate::vaults::VaultHandle;

/// The log of one protection in one vault, with what its headers say.
pub(crate) struct ProtectionLog {
    stream: LogStream,
    chart: LogChart,
    kind: LogKind,
}

/// A span of time to every moment of which one vault can bring back a system.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LogWindow {
    /// Which vault.
    pub vault: VaultName,
    /// The oldest moment: when the oldest point of the span was complete, or where the log is PostgreSQL's, the first full
    /// second from then on.
    pub from: Time,
    /// The newest one: the newest transaction that is known to be whole.
    pub to: Time,
}

/// A window, and up to where of the log its newest moment is read for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) window: LogWindow,
    /// Timeline and position.
    pub(crate) reached: (u64, Position),
}

/// A point from which a moment can be reached.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) point: PointId,
    pub(crate) plan: ReplayPlan,
}

impl ProtectionLog {
    /// Reads the headers of the log in a vault.
    pub(crate) fn of(
        vault: &LogVault,
        (id, kind): (&ProtectionId, LogKind),
    ) -> Result<ProtectionLog, KeeperError> {
        let stream = vault.stream(stream_name(id, kind.stream())?);
        let timelines = vault.stream(stream_name(id, TIMELINES)?);
        let chart = LogChart::draw(&stream, Some(&timelines))?;
        Ok(ProtectionLog {
            stream,
            chart,
            kind,
        })
    }

    /// The log of a protection in an open vault.
    pub(crate) fn in_vault(
        vault: &VaultHandle,
        protection: &Protection,
    ) -> Result<ProtectionLog, KeeperError> {
        let logs = vault.repo.logs(std::sync::Arc::clone(&vault.root));
        ProtectionLog::of(&logs, (&protection.id, kind_of(protection)))
    }

    /// Whether the vault holds nothing of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.chart.is_empty() && self.chart.problems.is_empty()
    }

    /// For a source that replays it.
    pub(crate) fn log(&self) -> Log<'_> {
        Log {
            chart: self.chart.clone(),
            reader: &self.stream,
        }
    }

    /// The ways to a moment, those from the newest points first, and why there are no others.
    pub(crate) fn ways(
        &self,
        source: &dyn Source,
        repo: &Repository,
        vault: &VaultName,
        points: &[&KnownPoint],
        until: Until,
    ) -> Result<(Vec<Way>, Vec<ReplayError>), KeeperError> {
        let (mut ways, mut refused) = (Vec::new(), Vec::new());
        for known in points.iter().rev() {
            let too_new = matches!(until, Until::Time(t) if t < known.point.content_time);
            if too_new || !known.is_complete() || known.lost_in.contains(vault) {
                continue;
            }
            match self.plan(source, repo, vault, known, until)? {
                None => {}
                Some(Ok(plan)) => ways.push(Way {
                    point: known.point.point.clone(),
                    plan,
                }),
                Some(Err(error)) => refused.push(error),
            }
        }
        Ok((ways, refused))
    }

    /// The spans of time to every moment of which this log brings the points, the oldest first.
    pub(crate) fn windows(
        &self,
        source: &dyn Source,
        repo: &Repository,
        vault: &VaultName,
        points: &[&KnownPoint],
    ) -> Result<Vec<LogWindow>, KeeperError> {
        let stretches = self.stretches(source, repo, vault, points)?.into_iter();
        Ok(stretches.map(|stretch| stretch.window).collect())
    }

    /// The same, with the places in the log at which they end.
    pub(crate) fn stretches(
        &self,
        source: &dyn Source,
        repo: &Repository,
        vault: &VaultName,
        points: &[&KnownPoint],
    ) -> Result<Vec<Stretch>, KeeperError> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for known in points {
            if !known.is_complete() || known.lost_in.contains(vault) {
                continue;
            }
            let plan = self.plan(source, repo, vault, known, Until::End)?;
            let Some(plan) = plan.and_then(Result::ok) else {
                continue;
            };
            let from = oldest_moment(self.kind, known.point.completed);
            let Some(to) = plan.newest.filter(|to| from <= *to) else {
                continue;
            };
            let reached = (plan.timeline, plan.to);
            match stretches.last_mut() {
                // What follows from the older point without a gap holds the newer one.
                Some(last) if from <= last.window.to => {
                    if last.window.to <= to {
                        last.window.to = to;
                        last.reached = reached;
                    }
                }
                _ => stretches.push(Stretch {
                    window: LogWindow {
                        vault: vault.clone(),
                        from,
                        to,
                    },
                    reached,
                }),
            }
        }
        Ok(stretches)
    }

    /// What it takes from one point; nothing if the vault has no copy of it.
    fn plan(
        &self,
        source: &dyn Source,
        repo: &Repository,
        vault: &VaultName,
        known: &KnownPoint,
        until: Until,
    ) -> Result<Option<Result<ReplayPlan, ReplayError>>, KeeperError> {
        let snapshot = known
            .copy_in(vault)
            .and_then(|copy| copy.snapshot.parse().ok());
        let Some(snapshot) = snapshot else {
            return Ok(None);
        };
        let reader = repo
            .reader(&snapshot)
            .map_err(|source| KeeperError::Repository {
                vault: vault.to_string(),
                source: Box::new(source),
            })?;
        Ok(Some(source.plan_replay(&reader, &self.chart, until)))
    }
}

/// The oldest moment to which a log always brings a point that was complete by then.
///
/// PostgreSQL notes to the second when a base began. A moment in that second may lie before it, for all that its log says,
/// and is refused unless something was committed between the two.
fn oldest_moment(kind: LogKind, completed: Time) -> Time {
    const SECOND: i64 = 1_000_000;
    match kind {
        LogKind::Wal => {
            let begun = completed.micros().rem_euclid(SECOND);
            let rest = (SECOND - begun) % SECOND;
            completed.plus(Span::from_micros(rest.unsigned_abs()))
        }
        LogKind::Binlog | LogKind::Sqlite | LogKind::Oplog => completed,
    }
}

/// The object that holds the last record of what was fetched, and its stream.
pub(crate) fn last_object(
    logs: &LogVault,
    replay: &Replay,
    fetched: &FetchedLog,
) -> Result<(LogStream, Part), String> {
    let objects = objects_of(logs, (&replay.protection, replay.kind), fetched)?;
    let last = objects.1.last().map(|name| name.part);
    let part = last.ok_or_else(|| "no object holds the last record".to_owned())?;
    Ok((objects.0, part))
}

/// The stream of a log, and the objects of it that hold what was fetched, in their order.
pub(crate) fn objects_of(
    logs: &LogVault,
    (id, kind): (&ProtectionId, LogKind),
    fetched: &FetchedLog,
) -> Result<(LogStream, Vec<LogName>), String> {
    let name = stream_name(id, kind.stream()).map_err(|error| chain(&error))?;
    let stream = logs.stream(name);
    let (from, to) = (fetched.target.from, fetched.target.end);
    let mut names = Vec::new();
    let window = stream.window().map_err(|error| chain(&error))?;
    for run in &window.runs {
        let objects = stream.objects_between(run, from, to);
        let objects = objects.map_err(|error| chain(&error))?;
        names.extend(objects);
    }
    Ok((stream, names))
}

/// The refusal of a moment that no log reaches.
pub(crate) fn outside(
    protection: &Protection,
    until: Until,
    windows: &[LogWindow],
    refused: &[ReplayError],
) -> KeeperError {
    let shown = |window: &LogWindow| {
        format!(
            "from {} to {} by the copy in {}",
            window.from, window.to, window.vault
        )
    };
    let possible = match windows {
        [] => "the log reaches no moment from any of its points".to_owned(),
        some => {
            let some: Vec<String> = some.iter().map(shown).collect();
            format!("it can be brought to any moment {}", some.join(", or "))
        }
    };
    let why = refused
        .first()
        .map(|e| format!(" ({e})"))
        .unwrap_or_default();
    KeeperError::OutsideLog {
        protection: protection.id.clone(),
        until: until.to_string(),
        possible: format!("{possible}{why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_postgres_no_moment_is_claimed_in_the_second_in_which_a_base_may_have_begun() {
        let second = Time::from_secs(1_800_000_000);
        let next = Time::from_secs(1_800_000_001);
        let later = |micros| second.plus(Span::from_micros(micros));
        for (completed, oldest) in [
            (second, second),
            (later(1), next),
            (later(928_512), next),
            (later(999_999), next),
        ] {
            assert_eq!(oldest_moment(LogKind::Wal, completed), oldest);
            assert_eq!(oldest_moment(LogKind::Binlog, completed), completed);
        }
    }
}
