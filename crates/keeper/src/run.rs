//! One run: capture, read back, record the point, copy it on, read the copies back.

use vouchsafe_capture::{CaptureContext, Captured, MANIFEST_NAME, Sink, Source};
use vouchsafe_evidence::count;
use vouchsafe_host::machine;
use vouchsafe_model::fact::{Fact, Outcome, Recorded, RecoveryPoint};
use vouchsafe_model::policy::Way;
use vouchsafe_model::{
    Issue, ObligationId, ObligationKind, PointId, Protection, ProtectionId, RunId, System, Time,
    VaultName, human_bytes,
};
use vouchsafe_sources::Settings;
use vouchsafe_vault::{BackupOptions, BackupReport};

use crate::catalogue::Catalogue;
use crate::copies::{Making, Written, early_lock};
use crate::error::{KeeperError, chain};
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::record;
use crate::vaults::VaultHandle;

/// What is to be run.
#[derive(Clone, Debug, Default)]
pub struct RunOrder {
    /// `system` or `system/protection`; all if there are none.
    pub names: Vec<String>,
    /// Only what is due now, or has no point yet.
    pub due: bool,
    /// Why, for the record.
    pub reason: Option<String>,
}

/// What a run did for one protection.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// Which.
    pub protection: ProtectionId,
    /// The point, if there is one.
    pub point: Option<PointId>,
    /// How it came out; a copy that failed makes it incomplete.
    pub outcome: Outcome,
    /// What went wrong.
    pub issues: Vec<Issue>,
    /// How many issues there were in all.
    pub issue_count: u64,
    /// Vaults in which the point was read back.
    pub copies: Vec<VaultName>,
    /// Files or other items.
    pub items: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Bytes added to the first vault.
    pub added_bytes: u64,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct RunDone {
    /// What it did for each protection.
    pub reports: Vec<RunReport>,
    /// Vaults that are less locked than their policy says though the run was to extend their locks, and why.
    pub less_locked: Vec<Issue>,
    /// Vaults that do not have the record of it, and why.
    pub unpublished: Vec<Issue>,
}

impl Keeper {
    /// Runs what is ordered, one protection after the other; an error of one does not keep the others from running.
    pub fn run(&self, order: &RunOrder, reporter: &dyn Reporter) -> Result<RunDone, KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let chosen = self.chosen(order)?;
        let mut reports = Vec::new();
        for (_, protection) in chosen {
            self.stop_if_asked()?;
            reports.push(self.run_one(protection, order.reason.as_deref(), reporter)?);
        }
        let less_locked = self.keep_locked(reporter)?;
        let rotated = match order.names.is_empty() {
            true => self.rotate_due(reporter),
            false => Ok(()),
        };
        // Whoever is to hear of what went wrong just now does not wait for the next command.
        self.tell_people(self.tools.clock.now())?;
        self.mail_people(reporter)?;
        let unpublished = self.publish(reporter)?;
        rotated?;
        Ok(RunDone {
            reports,
            less_locked,
            unpublished,
        })
    }

    pub(crate) fn chosen(
        &self,
        order: &RunOrder,
    ) -> Result<Vec<(&System, &Protection)>, KeeperError> {
        let mut chosen = self.select(&order.names)?;
        if order.names.is_empty() {
            chosen.retain(|(_, p)| p.way.is_ours());
        }
        if let Some((_, p)) = chosen.iter().find(|(_, p)| !p.way.is_ours()) {
            return Err(not_connected(p));
        }
        if order.due {
            let facts = self.facts()?;
            let catalogue = Catalogue::of(&facts);
            let open = record::open_obligations(&facts, self.tools.clock.now());
            let paused = vouchsafe_policy::people::paused(&facts, self.tools.clock.now());
            chosen.retain(|(system, p)| {
                if paused.contains_key(&system.name) {
                    return false;
                }
                let asked = |o: &&vouchsafe_model::Obligation| o.protection.as_ref() == Some(&p.id);
                let due = |o: &&vouchsafe_model::Obligation| {
                    matches!(o.kind, ObligationKind::Capture | ObligationKind::Copy)
                };
                catalogue.newest(&p.id, true).is_none() || open.iter().any(|o| asked(o) && due(o))
            });
        }
        Ok(chosen)
    }

    pub(crate) fn run_one(
        &self,
        protection: &Protection,
        reason: Option<&str>,
        reporter: &dyn Reporter,
    ) -> Result<RunReport, KeeperError> {
        let id = &protection.id;
        let run = self.open_run("capture", &id.to_string(), reason)?;
        reporter.event(&Event::Started {
            deed: "capture",
            subject: id.to_string(),
        });
        let result = self.capture_and_copy(protection, &run, reporter);
        let report = match result {
            Ok(report) => report,
            Err(error) => {
                let place = id.to_string();
                let message = chain(&error);
                // What is told by its place need not name it again.
                let bare = message.strip_prefix(&format!("{place}: "));
                let message = bare.unwrap_or(&message).to_owned();
                let issue = Issue { place, message };
                self.close_run(&run, Outcome::Failed, vec![issue.clone()])?;
                if error.category() == crate::Category::Interrupted {
                    return Err(error);
                }
                reporter.event(&Event::Issue {
                    protection: Some(id.clone()),
                    issue: issue.clone(),
                });
                if matches!(
                    error.category(),
                    crate::Category::NoRepository
                        | crate::Category::Locked
                        | crate::Category::WrongKey
                ) {
                    return Err(error);
                }
                return Ok(failed(id, issue));
            }
        };
        self.close_run(&run, report.outcome, report.issues.clone())?;
        Ok(report)
    }

    fn capture_and_copy(
        &self,
        protection: &Protection,
        run: &RunId,
        reporter: &dyn Reporter,
    ) -> Result<RunReport, KeeperError> {
        let first = protection
            .copies
            .first()
            .ok_or_else(|| KeeperError::NoCopies {
                protection: protection.id.clone(),
            })?;
        let vault = self.vault_to_write(&first.vault)?;
        let started = self.tools.clock.now();
        let (captured, backup) = self.capture(protection, &vault, reporter)?;
        let making = Making {
            protection,
            point: PointId::from_random(self.tools.random.u64().to_be_bytes()),
            run,
            complete: backup.outcome == Outcome::Done,
        };
        let copy = self.read_back(&vault, &making, &Written::from(&backup), reporter)?;
        let recovery_point = self.point_fact(&making, started, &captured, &backup)?;
        self.record(vec![Fact::RecoveryPoint(recovery_point), Fact::Copy(copy)])?;
        reporter.event(&Event::Finished {
            deed: "capture",
            subject: protection.id.to_string(),
            summary: format!(
                "{}, {} read, {} added to {}, read back",
                count(items(&backup), "file"),
                human_bytes(backup.bytes_total),
                human_bytes(backup.added_bytes),
                vault.name()
            ),
            good: backup.outcome == Outcome::Done,
        });
        let mut report = RunReport {
            protection: protection.id.clone(),
            point: Some(making.point.clone()),
            outcome: backup.outcome,
            issues: backup.issues.clone(),
            issue_count: backup.issue_count,
            copies: vec![vault.name().clone()],
            items: items(&backup),
            bytes: backup.bytes_total,
            added_bytes: backup.added_bytes,
        };
        self.copy_on(&making, &vault, &mut report, reporter)?;
        Ok(report)
    }

    pub(crate) fn capture(
        &self,
        protection: &Protection,
        vault: &VaultHandle,
        reporter: &dyn Reporter,
    ) -> Result<(Captured, BackupReport), KeeperError> {
        let source = self.source(protection)?;
        let facts = self.facts()?;
        self.look_at_space(&facts, &protection.id, vault, reporter)?;
        let lock = early_lock(vault)?;
        self.go_on_where_it_stopped(&facts, vault, &lock, reporter)?;
        let done = self.with_context(&protection.id, reporter, |ctx| {
            let discovery = source.discover(ctx)?;
            let options = BackupOptions {
                parent: self.parent(protection, vault)?,
                paths: discovery.paths,
                tags: vec![format!("vouchsafe:{}", protection.id)],
                excludes: protection.exclude.clone(),
                time: ctx.clock.now(),
                hostname: machine::hostname(),
            };
            vault
                .repo
                .backup(&options, ctx.progress, |sink| {
                    fill(source.as_ref(), ctx, sink)
                })
                .map_err(|source| backup_error(protection, source))
        });
        // Why nothing could be written comes first.
        lock.settled().map_err(|source| KeeperError::VaultLock {
            vault: vault.name().to_string(),
            source,
        })?;
        done.inspect(|(captured, backup)| {
            for text in &captured.notes {
                let text = format!("{}: {text}", protection.id);
                reporter.event(&Event::Note { text });
            }
            for place in &captured.left_out {
                reporter.event(&Event::LeftOut {
                    protection: protection.id.clone(),
                    place: place.clone(),
                });
            }
            // What is wrong with the repository and did not hinder is no fault of the point, but is said.
            for issue in backup.issues.iter().chain(&backup.repository_issues) {
                reporter.event(&Event::Issue {
                    protection: Some(protection.id.clone()),
                    issue: issue.clone(),
                });
            }
        })
    }

    /// The source that a protection captures.
    pub(crate) fn source(&self, protection: &Protection) -> Result<Box<dyn Source>, KeeperError> {
        match &protection.way {
            Way::Capture(url) => Ok(vouchsafe_sources::open(
                url,
                &Settings {
                    exclude: &protection.exclude,
                    password: protection.password.as_ref(),
                    digests: protection.digests,
                    data_directory: protection.data_directory.as_deref(),
                    dump_jobs: protection.dump_jobs,
                    checks: protection.drill.as_ref().map_or(&[], |d| &d.checks),
                    ships_log: protection.ships_log_every().is_some(),
                    base: &self.policy.base,
                },
            )?),
            Way::Manual { .. } => {
                let aside = self.state.handed_dir(&protection.id);
                Ok(Box::new(vouchsafe_sources::HandedSource::open(&aside)?))
            }
            _ => Err(not_connected(protection)),
        }
    }

    /// The snapshot of the newest point in that vault, complete or not: unchanged files need not be read again.
    fn parent(
        &self,
        protection: &Protection,
        vault: &VaultHandle,
    ) -> Result<Option<vouchsafe_format::Id>, KeeperError> {
        let catalogue = Catalogue::of(&self.facts()?);
        let newest = catalogue
            .of_protection(&protection.id)
            .into_iter()
            .rev()
            .find_map(|p| p.copy_in(vault.name()));
        Ok(newest.and_then(|copy| copy.snapshot.parse().ok()))
    }

    fn point_fact(
        &self,
        making: &Making<'_>,
        started: Time,
        captured: &Captured,
        backup: &BackupReport,
    ) -> Result<RecoveryPoint, KeeperError> {
        let id = &making.protection.id;
        let obligations = if making.complete {
            let facts = self.facts()?;
            let mut ids = self.answers(&facts, ObligationKind::Capture, Some(id), None);
            if matches!(making.protection.way, Way::Manual { .. }) {
                // What a person made before a period began is none of that period's.
                ids.retain(|id| opened_by(&facts, id, captured.content_time));
            }
            ids
        } else {
            // A partial result is never a full one: the obligation stays open.
            Vec::new()
        };
        Ok(RecoveryPoint {
            point: making.point.clone(),
            protection: id.clone(),
            run: making.run.clone(),
            obligations,
            started,
            content_time: captured.content_time,
            completed: self.tools.clock.now(),
            outcome: backup.outcome,
            issues: backup.issues.clone(),
            issue_count: backup.issue_count,
            items: items(backup),
            bytes: backup.bytes_total,
            tree: backup.tree.to_hex(),
            manifest: captured
                .manifest
                .as_ref()
                .map(vouchsafe_model::DigestManifest::digest),
            schema: captured
                .manifest
                .as_ref()
                .and_then(vouchsafe_model::DigestManifest::schema_digest),
            engine: captured.engine.clone(),
        })
    }
}

fn opened_by(facts: &[Recorded], id: &ObligationId, time: Time) -> bool {
    facts.iter().any(|r| match &r.entry.fact {
        Fact::ObligationDue(owed) => owed.id == *id && owed.opens <= time,
        _ => false,
    })
}

fn fill(
    source: &dyn Source,
    ctx: &CaptureContext<'_>,
    sink: &mut dyn Sink,
) -> Result<Captured, vouchsafe_capture::CaptureError> {
    let captured = source.capture(ctx, sink)?;
    if let Some(manifest) = &captured.manifest {
        crate::watch::push_manifest(sink, MANIFEST_NAME, manifest)?;
    }
    Ok(captured)
}

fn items(backup: &BackupReport) -> u64 {
    backup.files_new + backup.files_unchanged
}

fn backup_error(protection: &Protection, source: vouchsafe_vault::BackupError) -> KeeperError {
    if matches!(
        source,
        vouchsafe_vault::BackupError::Interrupted
            | vouchsafe_vault::BackupError::Capture(vouchsafe_capture::CaptureError::Interrupted)
    ) {
        return KeeperError::Interrupted;
    }
    KeeperError::Backup {
        protection: protection.id.clone(),
        source: Box::new(source),
    }
}

pub(crate) fn not_connected(protection: &Protection) -> KeeperError {
    if matches!(protection.way, Way::Manual { .. }) {
        let reason = format!(
            "a person backs it up and hands it in: vouchsafe attest {} --outcome done --reason TEXT --by WHO --file FILE",
            protection.id
        );
        return KeeperError::Refused {
            subject: protection.id.to_string(),
            reason,
        };
    }
    let kind = match &protection.way {
        Way::Capture(u) | Way::Orchestrate(u) | Way::Observe(u) | Way::Replica(u) => {
            u.kind().to_string()
        }
        Way::Manual { .. } => "hand-made copies".to_owned(),
    };
    KeeperError::NotConnected {
        protection: protection.id.clone(),
        way: protection.way.word(),
        source_kind: kind,
    }
}

fn failed(id: &ProtectionId, issue: Issue) -> RunReport {
    RunReport {
        protection: id.clone(),
        point: None,
        outcome: Outcome::Failed,
        issues: vec![issue],
        issue_count: 1,
        copies: Vec::new(),
        items: 0,
        bytes: 0,
        added_bytes: 0,
    }
}
