//! Writing a point out to where a person wants it.

use std::path::PathBuf;

use vouchsafe_capture::{
    CaptureContext, Compare, FetchedLog, Form, LoggedId, ReplayError, RestoreRequest, Restored,
    Source, TreePath, Until,
};
use vouchsafe_evidence::count;
use vouchsafe_format::fragment::Position;
use vouchsafe_model::{
    ErasureReplay, PointId, Protection, ProtectionId, Time, VaultName, human_bytes,
};
use vouchsafe_vault::Point;

use crate::catalogue::{Catalogue, KnownPoint};
use crate::drill_moment::first_point;
use crate::erasures::{Afterwards, WithErasures};
use crate::error::KeeperError;
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::log_reach::{ProtectionLog, outside};
use crate::vaults::VaultHandle;

/// Which point is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Moment {
    /// The newest complete one.
    #[default]
    Newest,
    /// The newest one whose content is not later than this; where a log leads on from it and a server is made, the
    /// state at this moment itself.
    At(Time),
    /// As far as the log leads; the newest complete point where there is none.
    Latest,
    /// Up to this position of the log.
    Position(Position),
    /// Up to and including this transaction of the log.
    Transaction(LoggedId),
    /// This one.
    Point(PointId),
}

impl Moment {
    /// A place in a log as databases write it: PostgreSQL's `16/B374D848`; `bin.000003:1234` or
    /// `000003:1234` of MariaDB and MySQL, and transactions of these, `0-1-42` and `uuid:42`.
    pub fn in_log(text: &str) -> Option<Moment> {
        let hex = |digits: &str| u32::from_str_radix(digits, 16).ok();
        if let Some((high, low)) = text.split_once('/') {
            let at = u64::from(hex(high)?) << 32 | u64::from(hex(low)?);
            return Some(Moment::Position(Position::Byte(at)));
        }
        let all = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if let Some((file, offset)) = text.rsplit_once(':')
            && let digits = file.rsplit_once('.').map_or(file, |(_, digits)| digits)
            && digits.len() >= 6
            && all(digits)
            && all(offset)
        {
            let file = u64::from(digits.parse::<u32>().ok()?);
            let offset = offset.parse().ok()?;
            return Some(Moment::Position(Position::File { file, offset }));
        }
        LoggedId::parse(text).map(Moment::Transaction)
    }
}

/// What is to be restored, and where.
#[derive(Clone, Debug)]
pub struct RestoreOrder {
    /// `system` or `system/protection`.
    pub system: String,
    /// Which point.
    pub moment: Moment,
    /// From which vault; the first that has it if nothing is said.
    pub vault: Option<String>,
    /// Where to.
    pub to: PathBuf,
    /// Only this path.
    pub include: Option<TreePath>,
    /// Whether existing data may be overwritten.
    pub force: bool,
    /// How existing files are told from those that need not be written.
    pub compare: Compare,
    /// What a database becomes.
    pub form: Form,
    /// Why erased subjects are left in what is restored, if they are.
    pub without_erasures: Option<String>,
}

/// What a restore is about to do.
#[derive(Clone, Debug)]
pub struct RestorePlan {
    /// What is restored.
    pub protection: ProtectionId,
    /// The point.
    pub point: PointId,
    /// The moment whose state it holds.
    pub content_time: Time,
    /// From which vault.
    pub vault: VaultName,
    /// Files or other items in it.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The log that is replayed over it, if one is.
    pub log: Option<LogPlan>,
}

/// A log that is about to be replayed.
#[derive(Clone, Debug)]
pub struct LogPlan {
    /// Up to where.
    pub until: Until,
    /// Bytes of log to be fetched at most.
    pub bytes: u64,
    /// From where to where, as the database writes it.
    pub shown: String,
    /// The newest transaction that could be reached.
    pub newest: Option<Time>,
    /// Points to begin from, the best first.
    ways: Vec<PointId>,
}

/// What was restored.
#[derive(Clone, Debug)]
pub struct RestoreReport {
    /// Which point.
    pub point: PointId,
    /// The moment whose state it holds.
    pub content_time: Time,
    /// From which vault.
    pub vault: VaultName,
    /// What was written, and what was not.
    pub restored: Restored,
    /// What came of replaying the register of erasures over it; nothing where none is.
    pub erasures: Option<ErasureReplay>,
}

impl Keeper {
    /// What [`Keeper::restore`] would do. Nothing is written.
    pub fn plan_restore(&self, order: &RestoreOrder) -> Result<RestorePlan, KeeperError> {
        let chosen = self.select(std::slice::from_ref(&order.system))?;
        let facts = self.facts()?;
        let catalogue = Catalogue::of(&facts);
        if let Some(plan) = self.plan_by_log(&catalogue, &chosen, order)? {
            return Ok(plan);
        }
        let known = self.wanted_point(&catalogue, &chosen, order)?;
        let (vault, _) = self.copy_to_read(known, order.vault.as_deref())?;
        Ok(plan_of(known, vault, None))
    }

    /// Restores a point, and replays the log where that is what was asked for; then the register of erasures, where the
    /// policy names one. Only that is recorded: a restore changes no promise.
    pub fn restore(
        &self,
        order: &RestoreOrder,
        reporter: &dyn Reporter,
    ) -> Result<RestoreReport, KeeperError> {
        self.restore_as_planned(order, &self.plan_restore(order)?, reporter)
    }

    /// Does what [`Keeper::plan_restore`] has shown.
    pub fn restore_as_planned(
        &self,
        order: &RestoreOrder,
        plan: &RestorePlan,
        reporter: &dyn Reporter,
    ) -> Result<RestoreReport, KeeperError> {
        let facts = self.facts()?;
        let catalogue = Catalogue::of(&facts);
        let protection = self.protection_of(&plan.protection)?;
        if !order.force {
            self.refuse_known_places(&order.to)?;
        }
        let subject = subject(plan);
        reporter.event(&Event::Started {
            deed: "restore",
            subject: subject.clone(),
        });
        let deed = Deed {
            keeper: self,
            catalogue: &catalogue,
            protection,
            vault: self.vault(&plan.vault)?,
            request: order.request(),
            reporter,
        };
        let (point, restored, erasures) =
            self.marked(protection, (order, &deed.request), reporter, |afterwards| {
                deed.with_erasures(plan, afterwards)
            })?;
        for issue in &restored.issues {
            reporter.event(&Event::Issue {
                protection: Some(protection.id.clone()),
                issue: issue.clone(),
            });
        }
        reporter.event(&Event::Finished {
            deed: "restore",
            subject,
            summary: summary(&restored),
            good: restored.issues.is_empty(),
        });
        let content_time = catalogue
            .get(&point)
            .map_or(plan.content_time, |known| known.point.content_time);
        Ok(RestoreReport {
            point,
            content_time,
            vault: plan.vault.clone(),
            restored,
            erasures,
        })
    }

    pub(crate) fn protection_of(&self, id: &ProtectionId) -> Result<&Protection, KeeperError> {
        let mut all = self.policy.protections().map(|(_, p)| p);
        all.find(|p| p.id == *id)
            .ok_or_else(|| self.unknown(&id.to_string()))
    }

    /// Where a server or a file is to be made of a moment, and a vault has a log for it: from which point, and how far. Nothing
    /// where there is no log, so that the moments of the points are all that there are.
    fn plan_by_log(
        &self,
        catalogue: &Catalogue,
        chosen: &[(&vouchsafe_model::System, &Protection)],
        order: &RestoreOrder,
    ) -> Result<Option<RestorePlan>, KeeperError> {
        let until = match order.moment {
            Moment::At(time) => Until::Time(time),
            Moment::Latest => Until::End,
            Moment::Position(at) => Until::Position(at),
            Moment::Transaction(id) => Until::Transaction(id),
            Moment::Newest | Moment::Point(_) => return Ok(None),
        };
        let mut refusal = None;
        for (_, protection) in chosen {
            if !protection.way.is_connected() || !self.source(protection)?.replays_as(order.form) {
                continue;
            }
            match self.ways_in_vaults(catalogue, protection, order.vault.as_deref(), until)? {
                Found::Way(plan) => return Ok(Some(*plan)),
                Found::Outside(error) => refusal = refusal.or(Some(error)),
                Found::NoLog => {}
            }
        }
        match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(None),
        }
    }

    fn ways_in_vaults(
        &self,
        catalogue: &Catalogue,
        protection: &Protection,
        vault: Option<&str>,
        until: Until,
    ) -> Result<Found, KeeperError> {
        let source = self.source(protection)?;
        let mut points = catalogue.of_protection(&protection.id);
        points.retain(|p| p.is_complete());
        let (mut windows, mut refused, mut has_log) = (Vec::new(), Vec::new(), false);
        for name in self.vaults_to_read(&points, vault)? {
            let handle = self.vault(&name)?;
            let log = ProtectionLog::in_vault(&handle, protection)?;
            if log.is_empty() {
                continue;
            }
            has_log = true;
            let (ways, why) = log.ways(source.as_ref(), &handle.repo, &name, &points, until)?;
            let known = ways.first().and_then(|way| catalogue.get(&way.point));
            if let (Some(first), Some(known)) = (ways.first(), known) {
                let plan = LogPlan {
                    until,
                    bytes: first.plan.bytes,
                    shown: first.plan.shown.clone(),
                    newest: first.plan.newest,
                    ways: ways.iter().map(|way| way.point.clone()).collect(),
                };
                return Ok(Found::Way(Box::new(plan_of(known, name, Some(plan)))));
            }
            windows.extend(log.windows(source.as_ref(), &handle.repo, &name, &points)?);
            refused.extend(why);
        }
        Ok(if has_log {
            Found::Outside(outside(protection, until, &windows, &refused))
        } else {
            Found::NoLog
        })
    }

    /// The vaults that hold copies of these points, in the order of the policy; only the one that was asked for.
    pub(crate) fn vaults_to_read(
        &self,
        points: &[&KnownPoint],
        vault: Option<&str>,
    ) -> Result<Vec<VaultName>, KeeperError> {
        if let Some(name) = vault {
            return Ok(vec![crate::vaults::find(&self.policy, name)?.name.clone()]);
        }
        let holds = |name: &&VaultName| points.iter().any(|p| p.copy_in(name).is_some());
        Ok(self.connected_vaults().filter(holds).cloned().collect())
    }

    fn wanted_point<'c>(
        &self,
        catalogue: &'c Catalogue,
        chosen: &[(&vouchsafe_model::System, &Protection)],
        order: &RestoreOrder,
    ) -> Result<&'c KnownPoint, KeeperError> {
        let (system, first) = chosen.first().ok_or_else(|| self.unknown(&order.system))?;
        let mut points = catalogue.of_system(&system.name);
        points.retain(|p| chosen.iter().any(|(_, c)| c.id == p.point.protection));
        points.retain(|p| !p.copies.is_empty());
        let found = match &order.moment {
            Moment::Newest | Moment::Latest => points
                .iter()
                .rev()
                .find(|p| p.is_complete())
                .or(points.last())
                .copied(),
            Moment::At(at) => points
                .iter()
                .rev()
                .find(|p| p.point.content_time <= *at)
                .copied(),
            Moment::Point(id) => points.iter().find(|p| p.point.point == *id).copied(),
            Moment::Position(_) | Moment::Transaction(_) => None,
        };
        found.ok_or_else(|| no_point(first, &order.moment, &points))
    }

    /// The vault and snapshot to read a point from.
    pub(crate) fn copy_to_read(
        &self,
        known: &KnownPoint,
        vault: Option<&str>,
    ) -> Result<(VaultName, vouchsafe_format::Id), KeeperError> {
        let mut candidates: Vec<_> = known
            .copies
            .iter()
            .filter(|c| vault.is_none_or(|v| c.vault.as_str() == v))
            .collect();
        let copy = match vault {
            Some(_) => candidates.pop(),
            None => {
                candidates.retain(|c| self.policy.vaults.contains_key(&c.vault));
                // One that has lost data is read only if there is no other.
                candidates.sort_by_key(|c| known.lost_in.contains(&c.vault));
                candidates.into_iter().next()
            }
        };
        let no_copy = || KeeperError::NoCopy {
            point: known.point.point.clone(),
            vault: vault.unwrap_or("any").to_owned(),
            known: known
                .copies
                .iter()
                .map(|c| c.vault.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        };
        let copy = copy.ok_or_else(no_copy)?;
        let snapshot = copy.snapshot.parse().map_err(|_| no_copy())?;
        Ok((copy.vault.clone(), snapshot))
    }
}

/// What came of looking for a log.
enum Found {
    Way(Box<RestorePlan>),
    Outside(KeeperError),
    NoLog,
}

fn plan_of(known: &KnownPoint, vault: VaultName, log: Option<LogPlan>) -> RestorePlan {
    RestorePlan {
        protection: known.point.protection.clone(),
        point: known.point.point.clone(),
        content_time: known.point.content_time,
        vault,
        items: known.point.items,
        bytes: known.point.bytes,
        log,
    }
}

pub(crate) fn subject(plan: &RestorePlan) -> String {
    let at = match &plan.log {
        Some(log) => log.until.to_string(),
        None => plan.content_time.minute(),
    };
    format!("{} at {at} from {}", plan.protection, plan.vault)
}

fn summary(restored: &Restored) -> String {
    let replayed = match &restored.replayed {
        Some(log) => format!(
            ", {} of log replayed up to {} ({})",
            human_bytes(log.bytes),
            log.target.shown,
            count(log.target.commits, "transaction"),
        ),
        None => String::new(),
    };
    format!(
        "{}{}, {}{replayed} to {}",
        count(restored.items, "file"),
        match restored.unchanged {
            0 => String::new(),
            n => format!(" ({n} were there already)"),
        },
        human_bytes(restored.bytes),
        restored.place.display()
    )
}

/// A restore under way.
pub(crate) struct Deed<'a> {
    pub(crate) keeper: &'a Keeper,
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) protection: &'a Protection,
    pub(crate) vault: VaultHandle,
    pub(crate) request: RestoreRequest,
    pub(crate) reporter: &'a dyn Reporter,
}

impl Deed<'_> {
    fn with_erasures(
        &self,
        plan: &RestorePlan,
        afterwards: &Afterwards,
    ) -> Result<WithErasures, KeeperError> {
        let (point, mut restored) = match &plan.log {
            Some(log) => self.by_log(log, |source, ctx, reader, fetched| {
                source.replay(ctx, reader, &self.request, fetched, false)
            })?,
            None => (plan.point.clone(), self.by_point(&plan.point)?),
        };
        let replay = self.keeper.replay_erasures(
            self.protection,
            afterwards,
            &self.request,
            (&point, &plan.vault),
            &mut restored,
            self.reporter,
        )?;
        Ok((point, restored, replay))
    }

    fn by_point(&self, id: &PointId) -> Result<Restored, KeeperError> {
        let (known, reader) = self.reader(id)?;
        self.phase(known);
        let source = self.keeper.source(self.protection)?;
        self.keeper
            .with_context(&self.protection.id, self.reporter, |ctx| {
                Ok(source.restore(ctx, &reader, &self.request)?)
            })
    }

    /// From the first point that will do: only the log itself tells whether one was whole by the moment.
    pub(crate) fn by_log<T>(
        &self,
        plan: &LogPlan,
        replay: impl Fn(&dyn Source, &CaptureContext<'_>, &Point, FetchedLog) -> Result<T, ReplayError>,
    ) -> Result<(PointId, T), KeeperError> {
        let source = self.keeper.source(self.protection)?;
        let log = ProtectionLog::in_vault(&self.vault, self.protection)?;
        let log = log.log();
        let mut too_early = None;
        for id in &plan.ways {
            let (known, reader) = self.reader(id)?;
            let restored = self
                .keeper
                .with_context(&self.protection.id, self.reporter, |ctx| {
                    let to = &self.request.to;
                    let fetched = source.fetch_log(ctx, &reader, &log, plan.until, to)?;
                    self.phase(known);
                    Ok(replay(source.as_ref(), ctx, &reader, fetched)?)
                });
            match restored {
                Err(KeeperError::Replay(error @ ReplayError::TooEarly { .. })) => {
                    too_early = Some(error);
                }
                other => return other.map(|restored| (id.clone(), restored)),
            }
        }
        Err(too_early.map_or_else(
            || KeeperError::NoPoint {
                system: self.protection.id.system.clone(),
                wanted: "that the log could bring there".to_owned(),
                remedy: format!("see `vouchsafe points {}`", self.protection.id.system),
            },
            KeeperError::from,
        ))
    }

    pub(crate) fn phase(&self, known: &KnownPoint) {
        let (items, bytes) = (known.point.items, known.point.bytes);
        let progress = self.reporter.progress();
        progress.phase("restore", Some(items), Some(bytes));
    }

    pub(crate) fn reader(&self, id: &PointId) -> Result<(&KnownPoint, Point), KeeperError> {
        let vault = self.vault.name();
        let known = self.catalogue.get(id).ok_or_else(|| KeeperError::NoPoint {
            system: self.protection.id.system.clone(),
            wanted: format!("called {id}"),
            remedy: format!("see `vouchsafe points {}`", self.protection.id.system),
        })?;
        let (_, snapshot) = self.keeper.copy_to_read(known, Some(vault.as_str()))?;
        let reader =
            self.vault
                .repo
                .reader(&snapshot)
                .map_err(|source| KeeperError::Repository {
                    vault: vault.to_string(),
                    source: Box::new(source),
                })?;
        Ok((known, reader))
    }
}

fn no_point(protection: &Protection, moment: &Moment, points: &[&KnownPoint]) -> KeeperError {
    let system = protection.id.system.clone();
    let wanted = match moment {
        Moment::Newest | Moment::Latest => "at all".to_owned(),
        Moment::Position(_) | Moment::Transaction(_) => {
            "that a log could bring to a position".to_owned()
        }
        Moment::At(at) => format!("as old as {}", at.minute()),
        Moment::Point(id) => format!("called {id}"),
    };
    let remedy = match (points.first(), points.last()) {
        (Some(a), Some(b)) => format!(
            "its points reach from {} to {}; see `vouchsafe points {system}`",
            a.point.content_time.minute(),
            b.point.content_time.minute()
        ),
        _ => first_point(protection),
    };
    KeeperError::NoPoint {
        system,
        wanted,
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_logs_are_told_from_times() {
        let file = |file, offset| Some(Moment::Position(Position::File { file, offset }));
        assert_eq!(Moment::in_log("bin.000003:1234"), file(3, 1234));
        assert_eq!(Moment::in_log("000012:4"), file(12, 4));
        let lsn = Moment::Position(Position::Byte(0x16_B374_D848));
        assert_eq!(Moment::in_log("16/B374D848"), Some(lsn));
        let named = Moment::Transaction(LoggedId::Gtid {
            domain: 0,
            server: 1,
            sequence: 42,
        });
        assert_eq!(Moment::in_log("0-1-42"), Some(named));
        let uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562:23";
        let named = LoggedId::parse(uuid).map(Moment::Transaction);
        assert!(named.is_some());
        assert_eq!(Moment::in_log(uuid), named);
        for time in [
            "2026-03-01T12:00:00Z",
            "2026-03-01",
            "2026-03-01 12:00",
            "12:00",
            "2026-03-01T12:00:00.000000",
            "1 h ago",
            "",
        ] {
            assert_eq!(Moment::in_log(time), None, "{time}");
        }
    }
}
