//! The register of erasures, replayed over what a restore wrote, so that it brings nobody back.

use std::path::{Path, PathBuf};

use vouchsafe_capture::{Erased, Erasing, RestoreRequest, Restored};
use vouchsafe_evidence::{count, len, register_digest, replay_text};
use vouchsafe_host::{files, inode};
use vouchsafe_model::fact::{Fact, Issue};
use vouchsafe_model::policy::Way;
use vouchsafe_model::{
    ErasedSubject, ErasureReplay, ErasureRule, PointId, Policy, Protection, ReplayResult,
    SourceKind, Time, VaultName,
};
use vouchsafe_policy::{LARGEST_REGISTER, erased_subjects};

use crate::error::{Category, KeeperError, chain};
use crate::events::{Event, Reporter, Silent};
use crate::keeper::Keeper;
use crate::restore::{RestoreOrder, RestorePlan};

/// The lines of the register that concern one system, and how its subjects are erased.
#[derive(Debug)]
pub(crate) struct Register {
    /// Keyed, so that it tells nobody who is in it.
    pub(crate) digest: String,
    pub(crate) subjects: Vec<ErasedSubject>,
    pub(crate) rule: ErasureRule,
}

impl Register {
    /// What a source is asked to do.
    pub(crate) fn erasing(&self, spare: bool) -> Erasing<'_> {
        Erasing {
            rule: &self.rule,
            subjects: &self.subjects,
            spare,
        }
    }
}

/// What is to happen after a restore.
pub(crate) enum Afterwards {
    /// The policy names no register that is replayed.
    Nothing,
    /// It does, and this protection does not say how subjects are erased.
    NotSaid,
    /// It is left out, for this reason.
    LeftOut(String),
    /// It is replayed.
    Replay(Register),
}

/// From which point, what was restored, and what came of the register.
pub(crate) type WithErasures = (PointId, Restored, Option<ErasureReplay>);

/// What is seen of the register that a policy names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterState {
    /// The policy names none, or it can be read from its first line to its last.
    Usable,
    /// There is no such file.
    Absent,
    /// It cannot be read, or holds what is no subject: why, with the line.
    Faulty(String),
}

/// Looks at the register that `policy` names; times in it are judged at `now`.
pub fn register_state(policy: &Policy, now: Time) -> RegisterState {
    let Some(register) = &policy.erasure else {
        return RegisterState::Usable;
    };
    match files::read(&register.file, LARGEST_REGISTER) {
        Err(e) if e.is_not_found() => RegisterState::Absent,
        Err(e) => RegisterState::Faulty(chain(&e)),
        Ok(text) => match erased_subjects(&text, policy, now) {
            Ok(_) => RegisterState::Usable,
            Err(fault) => RegisterState::Faulty(fault.to_string()),
        },
    }
}

/// How many lines of the register an issue names.
const NAMED: usize = 12;
/// Targets that are no files of this machine.
const SERVERS: [&str; 4] = ["postgres:", "postgresql:", "mysql:", "mariadb:"];
const MARKER: &str = ".erasures-pending";

impl Keeper {
    /// The register for a protection that says how subjects are erased; nothing if no file is named or it does not.
    pub(crate) fn register(
        &self,
        protection: &Protection,
        reporter: &dyn Reporter,
    ) -> Result<Option<Register>, KeeperError> {
        let (Some(register), Some(rule)) = (&self.policy.erasure, &protection.erasure) else {
            return Ok(None);
        };
        let shown = register.file.display().to_string();
        let failed = |message: String| KeeperError::Register {
            file: shown.clone(),
            message,
        };
        let text = files::read(&register.file, LARGEST_REGISTER);
        let text = text.map_err(|e| {
            let why = chain(&e);
            failed(format!(
                "{why}; put it there, for nobody can be erased without it"
            ))
        })?;
        let real = files::canonicalize(&register.file)?;
        if inode::lstat(&real)?.mode & 0o077 != 0 {
            let text = format!(
                "the register of erasures {shown} can be read by others of this machine: `chmod 600` it"
            );
            reporter.event(&Event::Note { text });
        }
        let read = erased_subjects(&text, &self.policy, self.tools.clock.now());
        let mut subjects = read.map_err(|fault| failed(fault.to_string()))?;
        subjects.retain(|subject| subject.concerns(&protection.id.system));
        // One who was erased twice is one.
        let mut seen = std::collections::HashSet::new();
        subjects.retain(|subject| seen.insert(subject.id.clone()));
        let key = self.ledger.derived_key("the register of erasures")?;
        Ok(Some(Register {
            digest: register_digest(&key, &text),
            subjects,
            rule: rule.clone(),
        }))
    }

    /// How many subjects of the register a restore would look for and erase; nothing where it would not.
    pub fn planned_erasures(
        &self,
        order: &RestoreOrder,
        plan: &RestorePlan,
    ) -> Result<Option<u64>, KeeperError> {
        let (_, protection) = self
            .policy
            .protection(&plan.protection)
            .ok_or_else(|| self.unknown(&plan.protection.to_string()))?;
        let without = order.without_erasures.as_deref();
        let silent = Silent::default();
        Ok(
            match self.afterwards(protection, &order.request(), without, &silent)? {
                Afterwards::Replay(register) => Some(len(register.subjects.len())),
                _ => None,
            },
        )
    }

    /// What a restore has to do with the register, looked at before anything is written.
    fn afterwards(
        &self,
        protection: &Protection,
        request: &RestoreRequest,
        without: Option<&str>,
        reporter: &dyn Reporter,
    ) -> Result<Afterwards, KeeperError> {
        match (&self.policy.erasure, &protection.erasure, without) {
            (None, ..) => return Ok(Afterwards::Nothing),
            (Some(_), None, _) => return Ok(Afterwards::NotSaid),
            (_, _, Some(reason)) => return Ok(Afterwards::LeftOut(reason.to_owned())),
            _ => {}
        }
        if !self.source(protection)?.erases(request) {
            return Err(KeeperError::Target {
                place: request.to.display().to_string(),
                reason: "the policy has subjects of the register erased from what comes back, and in a dump that is written out as files nobody can be; restore it to a database, as --to server:DIR, or leave them in by --without-erasures --reason TEXT".to_owned(),
            });
        }
        Ok(match self.register(protection, reporter)? {
            Some(register) => Afterwards::Replay(register),
            None => Afterwards::Nothing,
        })
    }

    /// Restores by `deed`. Meanwhile, and for as long as anybody of the register may be there, what is restored is marked
    /// as not to be used.
    pub(crate) fn marked(
        &self,
        protection: &Protection,
        (order, request): (&RestoreOrder, &RestoreRequest),
        reporter: &dyn Reporter,
        deed: impl FnOnce(&Afterwards) -> Result<WithErasures, KeeperError>,
    ) -> Result<WithErasures, KeeperError> {
        let without = order.without_erasures.as_deref();
        let afterwards = self.afterwards(protection, request, without, reporter)?;
        let marker = self.mark(&afterwards, protection, &order.to)?;
        let done = deed(&afterwards);
        let may_go = match &done {
            Ok((_, _, replay)) => replay.as_ref().is_none_or(ErasureReplay::is_clean),
            // Nothing was written.
            Err(error) => error.category() == Category::CannotStart,
        };
        if let Some(marker) = marker.filter(|_| may_go) {
            files::remove_file(marker)?;
        }
        done
    }

    /// Single tables are not gone through for erased subjects: whoever brings them back says why they may be in them.
    pub(crate) fn refuse_unerased(
        &self,
        protection: &Protection,
        order: &RestoreOrder,
    ) -> Result<(), KeeperError> {
        let is_told = self.policy.erasure.is_some() && protection.erasure.is_some();
        if !is_told || order.without_erasures.is_some() {
            return Ok(());
        }
        let whole = match &protection.way {
            Way::Capture(url) if url.kind() == &SourceKind::Sqlite => "FILE",
            Way::Capture(url) if url.kind() == &SourceKind::Files => "DIR",
            _ => "server:DIR",
        };
        Err(KeeperError::Target {
            place: order.to.display().to_string(),
            reason: format!(
                "the policy has subjects of the register erased from what comes back, and from single tables they are not; restore the whole as --to {whole}, or leave them in by --without-erasures --reason TEXT"
            ),
        })
    }

    /// Records that they were left in, where they were.
    pub(crate) fn record_unerased(
        &self,
        protection: &Protection,
        order: &RestoreOrder,
        (point, vault): (&PointId, &VaultName),
    ) -> Result<(), KeeperError> {
        let is_told = self.policy.erasure.is_some() && protection.erasure.is_some();
        let Some(reason) = order.without_erasures.clone().filter(|_| is_told) else {
            return Ok(());
        };
        self.record(vec![Fact::ErasuresReplayed(ErasureReplay {
            protection: protection.id.clone(),
            point: point.clone(),
            vault: vault.clone(),
            register: None,
            subjects: 0,
            result: ReplayResult::LeftOut { reason },
        })])
        .map(drop)
    }

    /// Nothing where that is no place of this machine.
    fn mark(
        &self,
        afterwards: &Afterwards,
        protection: &Protection,
        to: &Path,
    ) -> Result<Option<PathBuf>, KeeperError> {
        let Some(marker) = marker(to).filter(|_| matches!(afterwards, Afterwards::Replay(_)))
        else {
            return Ok(None);
        };
        let text = format!(
            "What lies beside this file was restored from a backup of {}, and the register of\nerasures has not been replayed over it to the end: it may hold people whose data was\nerased. Do not use it. Restore it again; this file goes when nobody is left.\n",
            protection.id
        );
        if let Some(parent) = marker.parent() {
            files::create_dir_all(parent, files::PRIVATE_DIR)?;
        }
        files::write_atomic(&marker, text.as_bytes(), 0o600)?;
        Ok(Some(marker))
    }

    /// Erases everybody of the register in what was restored, looks for each, and records what came of it. What is left
    /// becomes an issue of the restore.
    pub(crate) fn replay_erasures(
        &self,
        protection: &Protection,
        afterwards: &Afterwards,
        request: &RestoreRequest,
        (point, vault): (&PointId, &VaultName),
        restored: &mut Restored,
        reporter: &dyn Reporter,
    ) -> Result<Option<ErasureReplay>, KeeperError> {
        let replay = |register: Option<&Register>, result| ErasureReplay {
            protection: protection.id.clone(),
            point: point.clone(),
            vault: vault.clone(),
            register: register.map(|r| r.digest.clone()),
            subjects: register.map_or(0, |r| len(r.subjects.len())),
            result,
        };
        let replay = match afterwards {
            Afterwards::Nothing => return Ok(None),
            Afterwards::NotSaid => {
                let text = format!(
                    "the register of erasures was not replayed: the policy does not say how subjects of {} are erased",
                    protection.id
                );
                reporter.event(&Event::Note { text });
                return Ok(None);
            }
            Afterwards::LeftOut(reason) => {
                let reason = reason.clone();
                replay(None, ReplayResult::LeftOut { reason })
            }
            Afterwards::Replay(register) => {
                let subject = protection.id.to_string();
                reporter.event(&Event::Started {
                    deed: "erase",
                    subject,
                });
                let source = self.source(protection)?;
                let erased = self.with_context(&protection.id, reporter, |ctx| {
                    Ok(source.erase(ctx, restored, request, &register.erasing(false))?)
                });
                let result = match erased {
                    Ok(erased) => {
                        restored.issues.extend(left(&erased));
                        ReplayResult::Replayed {
                            found: erased.found,
                            left: erased.remaining(),
                        }
                    }
                    Err(error) => {
                        let message = chain(&error);
                        restored.issues.push(issue(format!(
                            "they could not be replayed, and whoever was erased may be there: {message}"
                        )));
                        ReplayResult::Failed { message }
                    }
                };
                replay(Some(register), result)
            }
        };
        self.record(vec![Fact::ErasuresReplayed(replay.clone())])?;
        reporter.event(&Event::Finished {
            deed: "erase",
            subject: protection.id.to_string(),
            summary: replay_text(&replay),
            good: !matches!(
                replay.result,
                ReplayResult::Failed { .. } | ReplayResult::Replayed { left: 1.., .. }
            ),
        });
        self.stop_if_asked()?;
        Ok(Some(replay))
    }
}

impl RestoreOrder {
    /// What the source is asked for.
    pub(crate) fn request(&self) -> RestoreRequest {
        RestoreRequest {
            to: self.to.clone(),
            include: self.include.clone(),
            force: self.force,
            compare: self.compare,
            form: self.form,
        }
    }
}

/// The file beside a target, if that is one of this machine.
fn marker(to: &Path) -> Option<PathBuf> {
    let text = to.to_str().unwrap_or_default();
    if SERVERS.iter().any(|scheme| text.starts_with(scheme)) {
        return None;
    }
    let real = match to.file_name() {
        Some(_) => to.to_owned(),
        None => files::canonicalize(to).ok()?,
    };
    let mut name = real.file_name()?.to_owned();
    name.push(MARKER);
    Some(real.with_file_name(name))
}

fn left(erased: &Erased) -> Option<Issue> {
    let left = erased.remaining();
    let lines = erased.left.iter().take(NAMED).map(u64::to_string);
    let lines: Vec<String> = lines.collect();
    let more = match erased.left.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    (left > 0).then(|| {
        issue(format!(
            "{} still found, of the register's lines {}{more}: do not use it, and correct what the policy says of erasing",
            match left {
                1 => "1 subject is".to_owned(),
                n => format!("{} are", count(n, "subject")),
            },
            lines.join(", ")
        ))
    })
}

fn issue(message: String) -> Issue {
    Issue {
        place: "erasures".to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_lies_beside_what_is_restored() {
        let beside = |to: &str| marker(Path::new(to)).map(|p| p.display().to_string());
        assert_eq!(
            beside("/srv/restored/").as_deref(),
            Some("/srv/restored.erasures-pending")
        );
        assert_eq!(
            beside("shop.db").as_deref(),
            Some("shop.db.erasures-pending")
        );
        assert_eq!(beside("postgres://u@h/x"), None);
        assert_eq!(beside("mariadb://u@h/x"), None);
        assert_eq!(beside("/"), None);
    }

    #[test]
    fn who_is_left_is_named_by_lines_only() {
        assert_eq!(left(&Erased::default()), None);
        let erased = Erased {
            found: 20,
            left: (1..=14).collect(),
            spared: None,
        };
        let said = left(&erased).unwrap().message;
        assert!(said.contains("14 subjects are still found"), "{said}");
        assert!(said.contains("10, 11, 12 and 2 more"), "{said}");
    }
}
