//! The rung that holds a restored moment against the same moment out of another vault, or at a standby.

use std::sync::Arc;

use vouchsafe_capture::{Restored, Until};
use vouchsafe_evidence::{count, len};
use vouchsafe_host::files;
use vouchsafe_host::sandbox::Sandbox;
use vouchsafe_model::{
    Difference, DigestManifest, EqualTo, Equality, PointId, Rung, RungOutcome, Secret, VaultName,
};
use vouchsafe_sources::{LogKind, StandbyHeld};
use vouchsafe_store::Store;

use super::{Claim, Climb, Climbed, Replay, Stop, short, work_dir};
use crate::error::chain;

/// The rung's name.
pub(crate) const EQUALITY_RUNG: &str = "equality";
const QUESTION: &str =
    "Is every table what another vault's copy makes it, or a standby held, at the same moment?";

/// So many differences are named.
const SHOWN: usize = 12;

/// What a restored moment is held against.
pub(crate) enum Against {
    /// The same moment out of another vault.
    Copy(Box<Second>),
    /// What a standby held.
    Standby {
        /// Which, without password.
        server: String,
        held: Box<StandbyHeld>,
    },
}

/// What a second restore reads, and where it writes: another vault, and another sandbox.
pub(crate) struct Second {
    pub(crate) vault: VaultName,
    pub(crate) point: PointId,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) password: Secret,
    pub(crate) claim: Claim,
    pub(crate) sandbox: Sandbox,
}

impl Climb<'_> {
    /// Compares both, part by part; what comes from another vault is restored first.
    pub(super) fn equal(
        &self,
        climbed: &mut Climbed,
        against: &Result<Against, String>,
        restored: &Restored,
    ) -> Result<(), Stop> {
        if !climbed.ladder.is_green() {
            return Ok(());
        }
        let (expected, found) = match against {
            Ok(Against::Standby { server, held }) => (
                format!("what the standby {server} held at the same place of the log"),
                self.held_against_standby(climbed, server, held, restored),
            ),
            Ok(Against::Copy(second)) => (
                format!("what {} is restored to at the same moment", second.vault),
                self.held_against(climbed, second, restored),
            ),
            Err(why) => (
                "something that is of the same moment".to_owned(),
                Err(why.clone()),
            ),
        };
        let (actual, outcome) = match found {
            Ok(equality) => {
                let actual = format!(
                    "{} with {}, equal digests in both",
                    count(equality.parts, "part"),
                    count(equality.rows, "row")
                );
                climbed.equality = Some(equality);
                (actual, RungOutcome::Green)
            }
            Err(why) => (why, RungOutcome::Red),
        };
        climbed.ladder.rungs.push(Rung {
            name: EQUALITY_RUNG.to_owned(),
            question: QUESTION.to_owned(),
            expected,
            actual,
            outcome,
        });
        match outcome {
            RungOutcome::Green => Ok(()),
            _ => Err(Stop),
        }
    }

    fn held_against(
        &self,
        climbed: &mut Climbed,
        second: &Second,
        restored: &Restored,
    ) -> Result<Equality, String> {
        let (Some(replay), Some(log)) = (self.replay, restored.replayed.as_ref()) else {
            return Err("no log was replayed, so that there is no moment to compare".to_owned());
        };
        let replay = Replay {
            // A drill compares moments by their time alone. An end of another log would be another moment.
            until: match replay.until {
                Until::Time(at) => Until::Time(at),
                _ => Until::Position(log.target.end),
            },
            ..replay.clone()
        };
        let name = self.place.file_name().unwrap_or_default();
        let other = Climb {
            tools: self.tools,
            source: self.source,
            store: Arc::clone(&second.store),
            password: &second.password,
            claim: &second.claim,
            replay: Some(&replay),
            place: second.sandbox.dir().join(name),
            spawn: &second.sandbox,
            reporter: self.reporter,
            erasing: None,
            spare: false,
            equality: None,
            altered: false,
        };
        files::create_dir_all(work_dir(&other.place), files::PRIVATE_DIR).map_err(|e| chain(&e))?;
        let found = self.compared(climbed, second, restored, &other);
        // What comes next needs the room; a failure shows when the sandbox is destroyed.
        let _ = files::remove_tree(&other.place);
        found
    }

    fn compared(
        &self,
        climbed: &mut Climbed,
        second: &Second,
        restored: &Restored,
        other: &Climb<'_>,
    ) -> Result<Equality, String> {
        let from = &second.vault;
        let there = other.climb();
        if let Some(rung) = there.ladder.first_not_green() {
            return Err(format!(
                "restored from {from}, the rung {} is not green: {}",
                rung.name, rung.actual
            ));
        }
        let there = there
            .restored
            .ok_or_else(|| format!("nothing was restored from {from}"))?;
        let target = |restored: &Restored| {
            let log = restored.replayed.as_ref();
            log.map(|log| {
                (
                    log.target.timeline,
                    log.target.end,
                    log.target.shown.clone(),
                )
            })
        };
        match (target(restored), target(&there)) {
            (Some(one), Some(two)) if (one.0, one.1) == (two.0, two.1) => {}
            (one, two) => {
                let shown = |t: Option<(u64, _, String)>| t.map_or_else(String::new, |t| t.2);
                return Err(format!(
                    "the log in {from} leads to {}, not to {}",
                    shown(two),
                    shown(one)
                ));
            }
        }
        if self.altered {
            other.alter(climbed, &there)?;
        }
        self.reporter.progress().phase("digest both", None, None);
        let here = self.contents(restored)?;
        let there = other.contents(&there)?;
        let to = EqualTo::Copy {
            vault: from.clone(),
            point: second.point.clone(),
        };
        equal(&here, &there, from.as_str(), to)
    }

    fn held_against_standby(
        &self,
        climbed: &mut Climbed,
        server: &str,
        held: &StandbyHeld,
        restored: &Restored,
    ) -> Result<Equality, String> {
        let Some(log) = restored.replayed.as_ref() else {
            return Err("no log was replayed, so that there is no moment to compare".to_owned());
        };
        let position = LogKind::Wal.written(held.position);
        if log.target.end != held.position {
            return Err(format!(
                "the log leads to {}, and the standby stood at {position}",
                log.target.shown
            ));
        }
        // Of the standby itself nothing is changed.
        if self.altered {
            self.alter(climbed, restored)?;
        }
        let to = EqualTo::Standby {
            server: server.to_owned(),
            position,
            paused_for: held.paused_for,
        };
        equal(&self.contents(restored)?, &held.contents, server, to)
    }

    fn contents(&self, restored: &Restored) -> Result<DigestManifest, String> {
        let found = self.in_sandbox(|ctx| self.source.contents(ctx, restored));
        let found = found.map_err(|e| chain(&e))?;
        found.ok_or_else(|| "what was restored has no digests to compare".to_owned())
    }

    fn alter(&self, climbed: &mut Climbed, restored: &Restored) -> Result<(), String> {
        let spoiled = self.in_sandbox(|ctx| self.source.alter(ctx, restored));
        let spoiled = spoiled.map_err(|e| chain(&e))?;
        climbed.altered = Some(spoiled.damage.detail);
        Ok(())
    }

    /// The rung as it stands where one below it was not green.
    pub(super) fn equality_or_skipped(&self, climbed: &mut Climbed) {
        let there = climbed.ladder.rungs.iter().any(|r| r.name == EQUALITY_RUNG);
        if self.equality.is_none() || there {
            return;
        }
        climbed.ladder.rungs.push(Rung {
            name: EQUALITY_RUNG.to_owned(),
            question: QUESTION.to_owned(),
            expected: String::new(),
            actual: "not climbed".to_owned(),
            outcome: RungOutcome::Skipped,
        });
    }
}

fn equal(
    here: &DigestManifest,
    there: &DigestManifest,
    from: &str,
    to: EqualTo,
) -> Result<Equality, String> {
    if here.entries.is_empty() {
        return Err("nothing is in it, so that nothing was compared".to_owned());
    }
    let differences = here.differences(there);
    if !differences.is_empty() {
        return Err(told(&differences, from));
    }
    Ok(Equality {
        to,
        parts: len(here.entries.len()),
        rows: here.entries.values().filter_map(|entry| entry.count).sum(),
    })
}

/// What differs, by the parts' names.
fn told(differences: &[Difference], from: &str) -> String {
    let one = |difference: &Difference| {
        let part = &difference.part;
        match (&difference.expected, &difference.actual) {
            (Some(here), Some(there)) => {
                format!("`{part}`: {} here, {} from {from}", cut(here), cut(there))
            }
            (Some(_), None) => format!("`{part}` is missing from {from}"),
            (None, _) => format!("`{part}` is only in what came from {from}"),
        }
    };
    let mut text: Vec<String> = differences.iter().take(SHOWN).map(one).collect();
    if differences.len() > SHOWN {
        text.push(format!("and {} more", differences.len() - SHOWN));
    }
    text.join("; ")
}

/// A digest is told by its beginning.
fn cut(text: &str) -> String {
    match text.rsplit_once(' ') {
        Some((head, digest)) => format!("{head} {}", short(digest)),
        None => short(text).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told_by_table_and_many_are_counted() {
        let from = "offsite";
        let one = |part: &str, here: Option<&str>, there: Option<&str>| Difference {
            part: part.to_owned(),
            expected: here.map(str::to_owned),
            actual: there.map(str::to_owned),
        };
        let digest = "0123456789abcdef";
        let all = [
            one(
                "rows:shop public.t",
                Some(&format!("7 rows, {digest}")),
                Some("8 rows, fedcba9876543210"),
            ),
            one("rows:shop public.a", Some(digest), None),
            one("rows:shop public.b", None, Some(digest)),
        ];
        assert_eq!(
            told(&all, from),
            "`rows:shop public.t`: 7 rows, 0123456789ab here, 8 rows, fedcba987654 from offsite; \
             `rows:shop public.a` is missing from offsite; \
             `rows:shop public.b` is only in what came from offsite"
        );
        let many: Vec<Difference> = (0..40).map(|_| all[1].clone()).collect();
        assert!(told(&many, from).ends_with("; and 28 more"));
    }
}
