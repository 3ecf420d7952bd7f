//! Writing a point out to where a person wants it.

use std::path::PathBuf;

use vouchsafe_capture::{Compare, Form, RestoreRequest, Restored, TreePath};
use vouchsafe_evidence::count;
use vouchsafe_model::{PointId, Protection, SystemName, Time, VaultName, human_bytes};

use crate::catalogue::{Catalogue, KnownPoint};
use crate::error::KeeperError;
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;

/// Which point is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Moment {
    /// The newest complete one.
    #[default]
    Newest,
    /// The newest one whose content is not later than this.
    At(Time),
    /// This one.
    Point(PointId),
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
}

impl Keeper {
    /// Restores a point. Nothing is recorded: a restore changes no promise.
    pub fn restore(
        &self,
        order: &RestoreOrder,
        reporter: &dyn Reporter,
    ) -> Result<RestoreReport, KeeperError> {
        let chosen = self.select(std::slice::from_ref(&order.system))?;
        let facts = self.facts()?;
        let catalogue = Catalogue::of(&facts);
        let known = self.wanted_point(&catalogue, &chosen, order)?;
        let protection = chosen
            .iter()
            .map(|(_, p)| *p)
            .find(|p| p.id == known.point.protection)
            .ok_or_else(|| self.unknown(&order.system))?;
        let (vault_name, snapshot) = self.copy_to_read(known, order.vault.as_deref())?;
        if !order.force {
            self.refuse_known_places(&order.to)?;
        }
        let vault = self.vault(&vault_name)?;
        let reader = vault
            .repo
            .reader(&snapshot)
            .map_err(|source| KeeperError::Repository {
                vault: vault_name.to_string(),
                source: Box::new(source),
            })?;
        let subject = format!(
            "{} at {} from {vault_name}",
            protection.id,
            known.point.content_time.minute()
        );
        reporter.event(&Event::Started {
            deed: "restore",
            subject: subject.clone(),
        });
        reporter
            .progress()
            .phase("restore", Some(known.point.items), Some(known.point.bytes));
        let request = RestoreRequest {
            to: order.to.clone(),
            include: order.include.clone(),
            force: order.force,
            compare: order.compare,
            form: order.form,
        };
        let restored = self.write_out(protection, &reader, &request, reporter)?;
        for issue in &restored.issues {
            reporter.event(&Event::Issue {
                protection: Some(protection.id.clone()),
                issue: issue.clone(),
            });
        }
        reporter.event(&Event::Finished {
            deed: "restore",
            subject,
            summary: format!(
                "{}{}, {} to {}",
                count(restored.items, "file"),
                match restored.unchanged {
                    0 => String::new(),
                    n => format!(" ({n} were there already)"),
                },
                human_bytes(restored.bytes),
                restored.place.display()
            ),
            good: restored.issues.is_empty(),
        });
        Ok(RestoreReport {
            point: known.point.point.clone(),
            content_time: known.point.content_time,
            vault: vault_name,
            restored,
        })
    }

    fn write_out(
        &self,
        protection: &Protection,
        reader: &vouchsafe_vault::Point,
        request: &RestoreRequest,
        reporter: &dyn Reporter,
    ) -> Result<Restored, KeeperError> {
        let source = self.source(protection)?;
        self.with_context(&protection.id, reporter, |ctx| {
            Ok(source.restore(ctx, reader, request)?)
        })
    }

    fn wanted_point<'c>(
        &self,
        catalogue: &'c Catalogue,
        chosen: &[(&vouchsafe_model::System, &Protection)],
        order: &RestoreOrder,
    ) -> Result<&'c KnownPoint, KeeperError> {
        let system = chosen
            .first()
            .map(|(s, _)| s.name.clone())
            .ok_or_else(|| self.unknown(&order.system))?;
        let mut points = catalogue.of_system(&system);
        points.retain(|p| chosen.iter().any(|(_, c)| c.id == p.point.protection));
        points.retain(|p| !p.copies.is_empty());
        let found = match &order.moment {
            Moment::Newest => points
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
        };
        found.ok_or_else(|| no_point(system, &order.moment, &points))
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

fn no_point(system: SystemName, moment: &Moment, points: &[&KnownPoint]) -> KeeperError {
    let wanted = match moment {
        Moment::Newest => "at all".to_owned(),
        Moment::At(at) => format!("as old as {}", at.minute()),
        Moment::Point(id) => format!("called {id}"),
    };
    let remedy = match (points.first(), points.last()) {
        (Some(a), Some(b)) => format!(
            "its points reach from {} to {}; see `vouchsafe points {system}`",
            a.point.content_time.minute(),
            b.point.content_time.minute()
        ),
        _ => format!("run `vouchsafe run {system}`"),
    };
    KeeperError::NoPoint {
        system,
        wanted,
        remedy,
    }
}
