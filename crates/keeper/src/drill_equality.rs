//! Which other vault a drilled moment is held against, and what both can be brought to.

use std::sync::Arc;

use vouchsafe_capture::{Source, Until};
use vouchsafe_host::sandbox::Sandbox;
use vouchsafe_model::policy::Way;
use vouchsafe_model::{Protection, SourceUrl, Span, Time, VaultName};
use vouchsafe_sources::{PostgresStandby, StandbyHeld};

use crate::catalogue::KnownPoint;
use crate::error::{KeeperError, chain};
use crate::events::Silent;
use crate::keeper::Keeper;
use crate::ladder::{Against, Claim, Second};
use crate::log_reach::{LogWindow, ProtectionLog, Stretch};
use crate::vaults::VaultHandle;

/// What a moment is held against, or why it cannot be.
pub(crate) type Beside<'c> = Result<Other<'c>, String>;

/// What a moment is held against.
pub(crate) enum Other<'c> {
    /// A point, in another vault.
    Copy(VaultName, &'c KnownPoint),
    /// What a standby held.
    Standby(String, Box<StandbyHeld>),
}

/// The other vaults that hold a protection's log.
pub(crate) struct Others {
    logs: Vec<(VaultHandle, ProtectionLog)>,
    /// Why others are not among them.
    refused: Vec<String>,
}

impl Keeper {
    /// The vaults of a protection beside `first`. One that cannot be opened is told of where no other one serves.
    pub(crate) fn others(&self, protection: &Protection, first: &VaultName) -> Others {
        let mut out = Others {
            logs: Vec::new(),
            refused: Vec::new(),
        };
        for rule in &protection.copies {
            let name = &rule.vault;
            if name == first || out.logs.iter().any(|(vault, _)| vault.name() == name) {
                continue;
            }
            let opened = self.vault(name).and_then(|vault| {
                let log = ProtectionLog::in_vault(&vault, protection)?;
                Ok((vault, log))
            });
            match opened {
                Ok((_, log)) if log.is_empty() => out.refused.push(format!("{name} has no log")),
                Ok(opened) => out.logs.push(opened),
                Err(error) => out.refused.push(format!("{name}: {}", chain(&error))),
            }
        }
        out
    }

    /// Lets a standby tell what it holds now, and waits until the vault that is restored from has the log up to there.
    pub(crate) fn hold_standby(
        &self,
        protection: &Protection,
        url: &SourceUrl,
        vault: &VaultName,
    ) -> Result<(String, Box<StandbyHeld>), KeeperError> {
        let Way::Capture(own) = &protection.way else {
            return Err(crate::run::not_connected(protection));
        };
        let password = protection.password.as_ref();
        let standby = PostgresStandby::open(url, (own, password), &self.policy.base)?;
        let silent = Silent::default();
        let held = self.with_context(&protection.id, &silent, |ctx| Ok(standby.hold(ctx)?))?;
        let issues = self.log_reaches(protection, held.position, Some(vault), &silent)?;
        match issues.into_iter().next() {
            None => Ok((standby.shown(), Box::new(held))),
            Some(issue) => Err(KeeperError::Damaged {
                place: issue.place,
                message: issue.message,
            }),
        }
    }

    /// Opens what a moment is held against.
    pub(crate) fn against(&self, other: &Other<'_>) -> Result<Against, KeeperError> {
        Ok(match other {
            Other::Copy(vault, known) => Against::Copy(Box::new(self.second(vault, known)?)),
            Other::Standby(server, held) => Against::Standby {
                server: server.clone(),
                held: held.clone(),
            },
        })
    }

    fn second(&self, vault: &VaultName, known: &KnownPoint) -> Result<Second, KeeperError> {
        let (_, snapshot) = self.copy_to_read(known, Some(vault.as_str()))?;
        let spec = crate::vaults::find(&self.policy, vault.as_str())?;
        let store = crate::vaults::root_store(spec, &self.policy.base, false, &self.tools)?;
        let password = crate::custody::passphrase(spec, &store, &self.state, &self.tools)?;
        let sandbox = Sandbox::new(Arc::clone(&self.tools.clock), self.state.sandbox_dir()?)?;
        self.refuse_known_systems(sandbox.dir())?;
        Ok(Second {
            vault: vault.clone(),
            point: known.point.point.clone(),
            store,
            password,
            claim: Claim {
                snapshot,
                tree: known.point.tree.clone(),
                manifest: known.point.manifest.clone(),
                bytes: known.point.bytes,
            },
            sandbox,
        })
    }
}

impl Others {
    /// Of the spans to which the first vault leads, those to which one of these leads too: the one that reaches the
    /// newest moment. One that cannot be read leads nowhere, and is among the refused from then on.
    pub(crate) fn shared(
        &mut self,
        source: &dyn Source,
        points: &[&KnownPoint],
        own: &[Stretch],
    ) -> Vec<LogWindow> {
        let mut best: Vec<LogWindow> = Vec::new();
        let refused = &mut self.refused;
        self.logs.retain(|(vault, log)| {
            let name = vault.name();
            match log.stretches(source, &vault.repo, name, points) {
                Ok(theirs) => {
                    let both = overlaps(own, &theirs);
                    if newest(&best) < newest(&both) {
                        best = both;
                    }
                    true
                }
                Err(error) => {
                    refused.push(format!("{name}: {}", chain(&error)));
                    false
                }
            }
        });
        best
    }

    /// Which of these leads to a moment, and from which point on.
    pub(crate) fn to<'c>(
        &self,
        source: &dyn Source,
        points: &[&'c KnownPoint],
        until: Until,
    ) -> Beside<'c> {
        let mut refused = self.refused.clone();
        let Until::Time(_) = until else {
            refused.insert(0, "no moment is known that two vaults lead to".to_owned());
            return Err(refused.join("; "));
        };
        for (vault, log) in &self.logs {
            let name = vault.name();
            let (ways, errors) = match log.ways(source, &vault.repo, name, points, until) {
                Ok(found) => found,
                Err(error) => {
                    refused.push(format!("{name}: {}", chain(&error)));
                    continue;
                }
            };
            let leads = |known: &&&KnownPoint| ways.iter().any(|w| w.point == known.point.point);
            if let Some(known) = newest_complete(points, until, leads) {
                return Ok(Other::Copy(name.clone(), known));
            }
            let why = match errors.first() {
                Some(error) => error.to_string(),
                None => format!("{name} has no point that is as old"),
            };
            refused.push(format!("{name} does not lead there: {why}"));
        }
        if refused.is_empty() {
            refused.push("no other vault is named under copies".to_owned());
        }
        Err(refused.join("; "))
    }
}

/// Of the points that lead to a moment the newest that was complete by then, or the newest of all. By our clock it was;
/// by the log it may have been a little earlier.
pub(crate) fn newest_complete<'c>(
    points: &[&'c KnownPoint],
    until: Until,
    leads: impl Fn(&&&'c KnownPoint) -> bool,
) -> Option<&'c KnownPoint> {
    let was_complete =
        |known: &&&KnownPoint| !matches!(until, Until::Time(at) if at < known.point.completed);
    let best = points.iter().rev().filter(|k| leads(k)).find(was_complete);
    best.or_else(|| points.iter().rev().find(|k| leads(k)))
        .copied()
}

fn newest(windows: &[LogWindow]) -> Option<Time> {
    windows.iter().map(|window| window.to).max()
}

/// What lies in a window of both. The last moment is left out: what follows in one log may be of the same moment, and
/// the other would not have it. Only where both end at the same place of the log there is nothing that follows.
fn overlaps(own: &[Stretch], theirs: &[Stretch]) -> Vec<LogWindow> {
    let mut out = Vec::new();
    for one in own {
        for two in theirs {
            let from = one.window.from.max(two.window.from);
            let (here, there) = (one.window.to, two.window.to);
            let to = match here == there && one.reached == two.reached {
                true => here,
                false => here.min(there).minus(Span::from_micros(1)),
            };
            if from <= to {
                out.push(LogWindow {
                    vault: one.window.vault.clone(),
                    from,
                    to,
                });
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use vouchsafe_format::fragment::Position;

    use super::*;

    /// Of these seconds; its log ends at this position.
    fn stretch(vault: &str, from: i64, to: i64, reached: u64) -> Stretch {
        Stretch {
            window: LogWindow {
                vault: VaultName::new(vault).unwrap(),
                from: Time::from_secs(from),
                to: Time::from_secs(to),
            },
            reached: (1, Position::Byte(reached)),
        }
    }

    #[test]
    fn what_two_vaults_lead_to_is_what_both_do_and_not_the_edge_of_the_shorter_one() {
        let own = [stretch("a", 10, 20, 500), stretch("a", 30, 40, 900)];
        let both = |theirs: &[Stretch]| {
            let found = overlaps(&own, theirs).into_iter();
            found
                .map(|w| (w.from.micros(), w.to.micros()))
                .collect::<Vec<_>>()
        };
        let secs = |secs: i64| Time::from_secs(secs).micros();
        assert_eq!(
            both(&own),
            [(secs(10), secs(20)), (secs(30), secs(40))],
            "equal ones to their ends"
        );
        assert_eq!(
            both(&[stretch("b", 15, 35, 700)]),
            [(secs(15), secs(20) - 1), (secs(30), secs(35) - 1)]
        );
        assert_eq!(both(&[stretch("b", 21, 29, 600)]), []);
        assert_eq!(both(&[stretch("b", 20, 29, 600)]), []);
        assert_eq!(newest(&overlaps(&own, &[])), None);
        // One log has more than the other of the moment at which both end; or of another timeline.
        assert_eq!(
            both(&[stretch("b", 30, 40, 901)]),
            [(secs(30), secs(40) - 1)]
        );
        let mut other = stretch("b", 30, 40, 900);
        other.reached.0 = 2;
        assert_eq!(both(&[other]), [(secs(30), secs(40) - 1)]);
        assert_eq!(both(&[stretch("b", 40, 40, 901)]), []);
    }
}
