//! Single tables of a point, or of a moment, brought back beside live data.

use std::path::PathBuf;

use vouchsafe_capture::{
    Beside, BesidePlan, BesideRequest, MANIFEST_NAME, PointReader, RestoreRequest,
};
use vouchsafe_evidence::count;
use vouchsafe_host::files;
use vouchsafe_model::{DigestManifest, Issue, PointId, Time, VaultName};

use crate::catalogue::{Catalogue, KnownPoint};
use crate::error::KeeperError;
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::restore::{Deed, RestoreOrder, RestorePlan, subject};
use crate::watch::read_manifest;

/// Which tables are to be brought back, and where.
#[derive(Clone, Debug)]
pub struct BesideOrder {
    /// The system, the moment, the vault, and the live database as the target; made as a server, so that a log counts.
    pub restore: RestoreOrder,
    /// The tables or collections, as the source names them.
    pub only: Vec<String>,
    /// The name of what is made for them.
    pub into: String,
}

/// What was brought back.
#[derive(Clone, Debug)]
pub struct BesideReport {
    /// From which point.
    pub point: PointId,
    /// The moment whose state it holds.
    pub content_time: Time,
    /// From which vault.
    pub vault: VaultName,
    /// The tables.
    pub beside: Beside,
}

impl BesideOrder {
    fn request(&self) -> BesideRequest {
        BesideRequest {
            to: self.restore.to.clone(),
            only: self.only.clone(),
            into: self.into.clone(),
        }
    }
}

impl Keeper {
    /// What [`Keeper::bring_beside`] would do. The target is looked at; nothing is written.
    pub fn plan_beside(
        &self,
        order: &BesideOrder,
        reporter: &dyn Reporter,
    ) -> Result<(RestorePlan, BesidePlan), KeeperError> {
        self.refuse_own_places(&order.restore.to)?;
        let plan = self.plan_restore(&order.restore)?;
        let facts = self.facts()?;
        let catalogue = Catalogue::of(&facts);
        let deed = self.beside_deed(&catalogue, &plan, order.restore.to.clone(), reporter)?;
        self.refuse_unerased(deed.protection, &order.restore)?;
        let (known, reader) = deed.reader(&plan.point)?;
        // The tables of a later moment may be others.
        let expected = match plan.log {
            Some(_) => None,
            None => trusted(known, &reader)?.0,
        };
        let source = self.source(deed.protection)?;
        if plan.log.is_some() && !source.replays_beside() {
            let remedy = "single collections are brought back from points, not from moments between them; name a point by --point, or restore the whole";
            return Err(KeeperError::Target {
                place: order.restore.to.display().to_string(),
                reason: remedy.to_owned(),
            });
        }
        let shown = self.with_context(&deed.protection.id, reporter, |ctx| {
            Ok(source.plan_beside(ctx, &reader, &order.request(), expected.as_ref())?)
        })?;
        Ok((plan, shown))
    }

    /// Does it. Like every restore it is not recorded, for it changes no promise; but that erased subjects were left in.
    pub fn bring_beside(
        &self,
        order: &BesideOrder,
        plan: &RestorePlan,
        reporter: &dyn Reporter,
    ) -> Result<BesideReport, KeeperError> {
        self.refuse_own_places(&order.restore.to)?;
        let facts = self.facts()?;
        let catalogue = Catalogue::of(&facts);
        self.refuse_unerased(self.protection_of(&plan.protection)?, &order.restore)?;
        let subject = subject(plan);
        reporter.event(&Event::Started {
            deed: "restore",
            subject: subject.clone(),
        });
        // What is restored on the way is the customer's data: it goes with this value, however it ends.
        let scratch = files::scratch_dir_in(self.state.work_dir(&plan.protection)?, "beside-")?;
        let place = scratch.path().join("copy");
        let deed = self.beside_deed(&catalogue, plan, place.clone(), reporter)?;
        let request = order.request();
        let (point, mut beside) = match &plan.log {
            Some(log) => deed.by_log(log, |source, ctx, reader, fetched| {
                source.restore_beside(ctx, reader, &request, None, Some(fetched), &place)
            })?,
            None => {
                let (known, reader) = deed.reader(&plan.point)?;
                let (expected, issue) = trusted(known, &reader)?;
                deed.phase(known);
                let source = self.source(deed.protection)?;
                let brought = self.with_context(&plan.protection, reporter, |ctx| {
                    let expected = expected.as_ref();
                    Ok(source.restore_beside(ctx, &reader, &request, expected, None, &place)?)
                });
                let mut brought = brought?;
                brought.issues.extend(issue);
                (plan.point.clone(), brought)
            }
        };
        self.record_unerased(deed.protection, &order.restore, (&point, &plan.vault))?;
        if let Err(error) = scratch.close() {
            beside.issues.push(Issue {
                place: place.display().to_string(),
                message: format!("the restored copy could not be removed: {error}; remove it"),
            });
        }
        for issue in &beside.issues {
            reporter.event(&Event::Issue {
                protection: Some(plan.protection.clone()),
                issue: issue.clone(),
            });
        }
        let rows = beside.tables.iter().map(|table| table.rows).sum();
        reporter.event(&Event::Finished {
            deed: "restore",
            subject,
            summary: format!(
                "{} with {} into {}",
                count(beside.tables.len() as u64, "table"),
                count(rows, "row"),
                beside.place
            ),
            good: beside.issues.is_empty(),
        });
        let content_time = catalogue
            .get(&point)
            .map_or(plan.content_time, |known| known.point.content_time);
        Ok(BesideReport {
            point,
            content_time,
            vault: plan.vault.clone(),
            beside,
        })
    }

    fn beside_deed<'a>(
        &'a self,
        catalogue: &'a Catalogue,
        plan: &RestorePlan,
        to: PathBuf,
        reporter: &'a dyn Reporter,
    ) -> Result<Deed<'a>, KeeperError> {
        Ok(Deed {
            keeper: self,
            catalogue,
            protection: self.protection_of(&plan.protection)?,
            vault: self.vault(&plan.vault)?,
            request: RestoreRequest {
                to,
                include: None,
                force: false,
                compare: vouchsafe_capture::Compare::default(),
                form: vouchsafe_capture::Form::Server,
            },
            reporter,
        })
    }
}

/// The manifest of a point, if it is the one of which the ledger has the digest; otherwise what is to be said of that.
fn trusted(
    known: &KnownPoint,
    reader: &dyn PointReader,
) -> Result<(Option<DigestManifest>, Option<Issue>), KeeperError> {
    let Some(claimed) = &known.point.manifest else {
        return Ok((None, None));
    };
    Ok(match read_manifest(reader, MANIFEST_NAME)? {
        Some(manifest) if manifest.digest() == *claimed => (Some(manifest), None),
        _ => {
            let message = "it is not the manifest of which the ledger has the digest, so the rows were compared with the restored copy only; restore from another vault";
            let issue = Issue {
                place: MANIFEST_NAME.to_owned(),
                message: message.to_owned(),
            };
            (None, Some(issue))
        }
    })
}
