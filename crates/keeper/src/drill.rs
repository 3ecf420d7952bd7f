//! Drills: a point is restored into a sandbox, compared, timed, and the sandbox destroyed.

use std::sync::Arc;

use vouchsafe_capture::Until;
use vouchsafe_host::files;
use vouchsafe_host::sandbox::Sandbox;
use vouchsafe_model::drill::SandboxRecord;
use vouchsafe_model::fact::{Fact, Outcome, Recorded};
use vouchsafe_model::{
    DrillResult, DrilledMoment, Issue, NegativeControl, ObligationKind, Protection, RunId,
    RungOutcome, System, Time,
};
use vouchsafe_policy::people::tests_answered;

use crate::catalogue::{Catalogue, KnownPoint};
use crate::drill_moment::Chosen;
use crate::error::KeeperError;
use crate::error::chain;
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::ladder::{Against, Claim, Climb, Climbed, Replay};
use crate::logs::kind_of;
use crate::twin::Controls;

/// Which point a drill restores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DrillMoment {
    /// The newest complete one; where a log leads on from it, the end of that log.
    #[default]
    Newest,
    /// Any complete one, chosen by a recorded seed; where a log leads on, any moment that can be restored.
    Random,
    /// The newest complete one whose content is not later than this; where a log leads on, this moment itself.
    At(Time),
}

/// What is to be rehearsed.
#[derive(Clone, Debug, Default)]
pub struct DrillOrder {
    /// `system` or `system/protection`; all that are connected if there are none.
    pub names: Vec<String>,
    /// Which point.
    pub moment: DrillMoment,
    /// From which vault; the one whose last drill is oldest if nothing is said.
    pub vault: Option<String>,
    /// Whether the drill itself is tested on damaged twins.
    pub negative: bool,
    /// Only what is due by the policy, tested where that is due, too.
    pub due: bool,
}

impl Keeper {
    /// Rehearses restores, one after the other. A drill that could not be done is a red result, not an error,
    /// unless nothing could be begun at all.
    pub fn drill(
        &self,
        order: &DrillOrder,
        reporter: &dyn Reporter,
    ) -> Result<Vec<DrillResult>, KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let mut chosen = self.select(&order.names)?;
        if order.names.is_empty() {
            chosen.retain(|(_, p)| p.way.is_connected());
            // One that has no point yet is an error, and must keep no other from being drilled.
            let facts = self.facts()?;
            let catalogue = Catalogue::of(&facts);
            chosen.sort_by_key(|(_, p)| catalogue.newest(&p.id, true).is_none());
        }
        if let Some((_, p)) = chosen.iter().find(|(_, p)| !p.way.is_connected()) {
            return Err(crate::run::not_connected(p));
        }
        let due = match order.due {
            true => Some(self.drills_due()?),
            false => None,
        };
        let mut results = Vec::new();
        for (system, protection) in chosen {
            let mut order = order.clone();
            match due.as_ref().map(|due| due.get(&protection.id)) {
                Some(None) => continue,
                Some(Some(tested)) => order.negative |= tested,
                None => {}
            }
            self.stop_if_asked()?;
            results.push(self.drill_one(system, protection, &order, reporter)?);
        }
        self.publish(reporter)?;
        Ok(results)
    }

    fn drill_one(
        &self,
        system: &System,
        protection: &Protection,
        order: &DrillOrder,
        reporter: &dyn Reporter,
    ) -> Result<DrillResult, KeeperError> {
        let facts = self.facts()?;
        let catalogue = Catalogue::of(&facts);
        let chosen = self.choose(&facts, &catalogue, (system, protection), order)?;
        let run = self.open_run("drill", &protection.id.to_string(), None)?;
        let subject = match chosen.until {
            Some(until) => format!("{} at {until}", protection.id),
            None => {
                let at = chosen.known.point.content_time.minute();
                format!("{} at {at}", protection.id)
            }
        };
        reporter.event(&Event::Started {
            deed: "drill",
            subject: subject.clone(),
        });
        let result = self.rehearse(&facts, system, protection, &chosen, &run, order, reporter);
        if self.tools.interrupt.requested() {
            let issue = Issue {
                place: protection.id.to_string(),
                message: "interrupted".to_owned(),
            };
            self.close_run(&run, Outcome::Failed, vec![issue])?;
            return Err(KeeperError::Interrupted);
        }
        match result {
            Ok(result) => {
                let outcome = if result.is_green() {
                    Outcome::Done
                } else {
                    Outcome::Failed
                };
                self.record(vec![
                    Fact::Drill(result.clone()),
                    Fact::RunClosed {
                        run,
                        outcome,
                        issues: red_rungs(&result),
                    },
                ])?;
                reporter.event(&Event::Finished {
                    deed: "drill",
                    subject,
                    summary: summary(&result),
                    good: result.is_green(),
                });
                Ok(result)
            }
            Err(error) => {
                let issue = Issue {
                    place: protection.id.to_string(),
                    message: chain(&error),
                };
                self.close_run(&run, Outcome::Failed, vec![issue])?;
                Err(error)
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn rehearse(
        &self,
        facts: &[Recorded],
        system: &System,
        protection: &Protection,
        chosen: &Chosen<'_>,
        run: &RunId,
        order: &DrillOrder,
        reporter: &dyn Reporter,
    ) -> Result<DrillResult, KeeperError> {
        let started = self.tools.clock.now();
        let known = chosen.known;
        let vault_name = match (&order.vault, &chosen.vault) {
            (Some(name), _) => crate::vaults::find(&self.policy, name)?.name.clone(),
            (None, Some(name)) => name.clone(),
            (None, None) => self.least_drilled(facts, known)?,
        };
        let (_, snapshot) = self.copy_to_read(known, Some(vault_name.as_str()))?;
        let spec = crate::vaults::find(&self.policy, vault_name.as_str())?;
        let store = crate::vaults::root_store(spec, &self.policy.base, false, &self.tools)?;
        let password = crate::custody::passphrase(spec, &store, &self.state, &self.tools)?;
        let source = self.source(protection)?;
        let sandbox = Sandbox::new(Arc::clone(&self.tools.clock), self.state.sandbox_dir()?)?;
        self.refuse_known_systems(sandbox.dir())?;
        let claim = Claim {
            snapshot,
            tree: known.point.tree.clone(),
            manifest: known.point.manifest.clone(),
            bytes: known.point.bytes,
        };
        let replay = chosen.until.map(|until| Replay {
            protection: protection.id.clone(),
            kind: kind_of(protection),
            until,
        });
        let register = match &self.policy.erasure {
            Some(named) if named.drill => {
                let register = self.register(protection, reporter);
                register.map_err(|e| chain(&e)).transpose()
            }
            _ => None,
        };
        let against = chosen.beside.as_ref().map(|beside| match beside {
            Ok(other) => self.against(other).map_err(|e| chain(&e)),
            Err(why) => Err(why.clone()),
        });
        let climb = Climb {
            tools: &self.tools,
            source: source.as_ref(),
            store,
            password: &password,
            claim: &claim,
            replay: replay.as_ref(),
            place: sandbox.dir().join("restored"),
            spawn: &sandbox,
            reporter,
            erasing: register.as_ref(),
            spare: false,
            equality: against.as_ref(),
            altered: false,
        };
        files::create_dir_all(crate::ladder::work_dir(&climb.place), 0o700)?;
        let climbed = climb.climb();
        let negative_controls = if order.negative && climbed.ladder.is_green() {
            let room = sandbox.dir().join("twins");
            files::create_dir_all(&room, 0o700)?;
            reporter.event(&Event::Started {
                deed: "negative control",
                subject: protection.id.to_string(),
            });
            let replayed = climbed.restored.as_ref().and_then(|r| r.replayed.as_ref());
            let controls = Controls {
                climb: &climb,
                climbed: &climbed,
                protection,
                room,
                replay: replayed.map(|log| Replay {
                    protection: protection.id.clone(),
                    kind: kind_of(protection),
                    until: Until::Position(log.target.end),
                }),
            }
            .run()?;
            for control in &controls {
                reporter.event(&told(control));
            }
            controls
        } else {
            Vec::new()
        };
        let isolation = isolation(&sandbox);
        drop(climb);
        let other = match against {
            Some(Ok(Against::Copy(second))) => Some(second.sandbox),
            _ => None,
        };
        let other = other.map_or(Ok(()), |other| other.destroy().map(drop));
        let destroyed = sandbox.destroy().is_ok() && other.is_ok();
        let green = climbed.ladder.is_green()
            && destroyed
            && negative_controls.iter().all(NegativeControl::caught);
        let obligations = if green {
            let mut ids = self.drill_answers(facts, protection, !negative_controls.is_empty());
            // What was drilled before by the same command counts too.
            let (known, now) = (self.facts()?, self.tools.clock.now());
            ids.extend(tests_answered(&self.policy, &known, &protection.id, now));
            ids
        } else {
            Vec::new()
        };
        Ok(DrillResult {
            run: run.clone(),
            protection: protection.id.clone(),
            point: known.point.point.clone(),
            vault: vault_name,
            obligations,
            started,
            ended: self.tools.clock.now(),
            seed: chosen.seed,
            moment: chosen.until.map(|until| drilled(until, &climbed)),
            achieved_rto: climbed.achieved_rto(),
            target_rto: system.tier.as_ref().and_then(|t| t.rto),
            bytes: climbed.restored.as_ref().map_or(0, |r| r.bytes),
            engine: climbed.manifest.as_ref().and_then(|m| m.engine.clone()),
            equality: climbed.equality,
            ladder: climbed.ladder,
            phases: climbed.phases,
            sandbox: SandboxRecord {
                isolation,
                destroyed,
            },
            negative_controls,
            rules_digest: protection.rules_digest(),
        })
    }

    fn drill_answers(
        &self,
        facts: &[Recorded],
        protection: &Protection,
        negative: bool,
    ) -> Vec<vouchsafe_model::ObligationId> {
        let mut ids = self.answers(facts, ObligationKind::Drill, Some(&protection.id), None);
        if negative {
            ids.extend(self.answers(
                facts,
                ObligationKind::NegativeControl,
                Some(&protection.id),
                None,
            ));
        }
        ids
    }

    /// The vault of the point whose last drill lies furthest back; vaults never drilled come first.
    pub(crate) fn least_drilled(
        &self,
        facts: &[Recorded],
        known: &KnownPoint,
    ) -> Result<vouchsafe_model::VaultName, KeeperError> {
        let last = |vault: &vouchsafe_model::VaultName| {
            facts.iter().rev().find_map(|r| match &r.entry.fact {
                Fact::Drill(d) if d.vault == *vault && d.protection == known.point.protection => {
                    Some(r.seq)
                }
                _ => None,
            })
        };
        let candidates = known
            .copies
            .iter()
            .map(|c| &c.vault)
            .filter(|v| self.policy.vaults.contains_key(v));
        candidates
            .min_by_key(|v| last(v))
            .cloned()
            .ok_or_else(|| KeeperError::NoCopy {
                point: known.point.point.clone(),
                vault: "any vault of the policy".to_owned(),
                known: known
                    .copies
                    .iter()
                    .map(|c| c.vault.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }
}

/// The moment of a drill, for the record.
fn drilled(until: Until, climbed: &Climbed) -> DrilledMoment {
    let replayed = climbed.restored.as_ref().and_then(|r| r.replayed.as_ref());
    let target = replayed.map(|log| &log.target);
    DrilledMoment {
        at: match until {
            Until::Time(at) => Some(at),
            Until::End | Until::Position(_) | Until::Transaction(_) => None,
        },
        position: target.map(|target| target.shown.clone()),
        newest_commit: target.and_then(|target| target.newest),
        transactions: target.map_or(0, |target| target.commits),
        log_bytes: replayed.map_or(0, |log| log.bytes),
    }
}

fn isolation(sandbox: &Sandbox) -> String {
    let how = sandbox.isolation();
    format!(
        "network {}, processes in their {}, own directory, programs run as {}",
        how.network, how.processes, how.user
    )
}

fn red_rungs(result: &DrillResult) -> Vec<Issue> {
    let red = result.ladder.first_red().map(|r| Issue {
        place: format!("rung {}", r.name),
        message: format!("expected {}; found {}", r.expected, r.actual),
    });
    let skipped = || {
        result
            .ladder
            .rungs
            .iter()
            .find(|r| r.outcome == RungOutcome::Skipped)
    };
    let red = red.or_else(|| {
        skipped().map(|r| Issue {
            place: format!("rung {}", r.name),
            message: format!("it was skipped: {}", r.actual),
        })
    });
    let missed = result
        .negative_controls
        .iter()
        .filter(|c| !c.caught())
        .map(|c| Issue {
            place: format!("negative control {}", c.damage.name),
            message: format!(
                "{} should have been red first; it was {}",
                c.damage.must_redden,
                c.first_red.as_deref().unwrap_or("none")
            ),
        });
    let kept = (!result.sandbox.destroyed).then(|| Issue {
        place: "sandbox".to_owned(),
        message: "could not be shown to be gone".to_owned(),
    });
    red.into_iter().chain(missed).chain(kept).collect()
}

fn told(control: &NegativeControl) -> Event {
    let found = control.first_red.as_deref().unwrap_or("nothing");
    Event::Finished {
        deed: "negative control",
        subject: control.damage.name.clone(),
        summary: format!("{}: `{found}` went red first", control.damage.detail),
        good: control.caught(),
    }
}

fn summary(result: &DrillResult) -> String {
    let rungs = result.ladder.rungs.len();
    let target = result
        .target_rto
        .map_or(String::new(), |t| format!(" of {t}"));
    let not_climbed = result.ladder.rungs.iter();
    let mut not_climbed = not_climbed.filter(|r| r.outcome == RungOutcome::Skipped);
    match (result.ladder.first_red(), not_climbed.next()) {
        (Some(r), _) => format!(
            "rung `{}` is red: expected {}; found {}",
            r.name, r.expected, r.actual
        ),
        (None, Some(r)) => format!("rung `{}` was skipped: {}", r.name, r.actual),
        (None, None) => {
            let equality = result.equality.as_ref();
            let equal = equality.map_or(String::new(), |e| format!(", equal to {}", e.to));
            format!(
                "{rungs} rungs green from vault {}, usable after {}{target}{equal}",
                result.vault, result.achieved_rto
            )
        }
    }
}
