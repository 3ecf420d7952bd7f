//! What is done between captures: reading vaults back, pruning them and rehearsing restores, where no capture is late
//! for it.

use std::collections::BTreeMap;

use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::{Obligation, ObligationKind, ProtectionId, RunId, Span, Time, VaultName};

/// What one chore does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chore {
    /// As much of a vault is read back as its rules ask for.
    Verify(VaultName),
    /// What the policy lets go is removed from a vault.
    Prune(VaultName),
    /// A restore is rehearsed.
    Drill {
        /// Of which protection.
        protection: ProtectionId,
        /// Whether the drill itself is tested, too.
        negative: bool,
    },
}

/// How long what is done takes, by how long it took when it was done last.
#[derive(Clone, Debug, Default)]
pub struct Experience {
    captures: BTreeMap<ProtectionId, Span>,
    verifications: BTreeMap<VaultName, Span>,
    prunings: BTreeMap<VaultName, Span>,
    drills: BTreeMap<ProtectionId, Span>,
    /// When the last drill ended, where that was a red one.
    red: BTreeMap<ProtectionId, Time>,
}

/// How long a chore is thought to take that was never done.
const UNKNOWN: Span = Span::from_mins(10);
/// A red drill is repeated no sooner than this: what reddens one mostly needs a person.
const AFTER_RED: Span = Span::from_hours(6);

impl Experience {
    /// As the facts tell.
    pub fn of(facts: &[Recorded]) -> Experience {
        let mut all = Experience::default();
        let mut begun: BTreeMap<&RunId, Time> = BTreeMap::new();
        for recorded in facts {
            match &recorded.entry.fact {
                Fact::RecoveryPoint(done) => {
                    let took = done.completed.since(done.started);
                    all.captures.insert(done.protection.clone(), took);
                }
                Fact::Verification(done) => {
                    let took = done.completed.since(done.started);
                    all.verifications.insert(done.vault.clone(), took);
                }
                Fact::RunOpened { run, deed, .. } if deed == "prune" => {
                    begun.insert(run, recorded.entry.at);
                }
                Fact::Pruned(done) => {
                    if let Some(begun) = begun.get(&done.run) {
                        let took = done.completed.since(*begun);
                        all.prunings.insert(done.vault.clone(), took);
                    }
                }
                Fact::Drill(done) => {
                    let id = &done.protection;
                    all.drills
                        .insert(id.clone(), done.ended.since(done.started));
                    match done.is_green() {
                        true => all.red.remove(id),
                        false => all.red.insert(id.clone(), done.ended),
                    };
                }
                _ => {}
            }
        }
        all
    }

    /// Half as long again as last time.
    fn takes(&self, chore: &Chore) -> Span {
        let last = match chore {
            Chore::Verify(vault) => self.verifications.get(vault),
            Chore::Prune(vault) => self.prunings.get(vault),
            Chore::Drill { protection, .. } => self.drills.get(protection),
        };
        let last = last.copied().unwrap_or(UNKNOWN);
        Span::from_micros(last.micros().saturating_mul(3) / 2)
    }

    /// Whether it came out red and was done not long ago.
    fn rests(&self, chore: &Chore, now: Time) -> bool {
        match chore {
            Chore::Verify(_) | Chore::Prune(_) => false,
            Chore::Drill { protection, .. } => self
                .red
                .get(protection)
                .is_some_and(|ended| now < ended.plus(AFTER_RED)),
        }
    }
}

/// What may begin at `now`, what is due first coming first. `unanswered` are the obligations that nothing answers yet,
/// those that open later included.
///
/// A chore waits while a capture or a copy could not be done in time after it, but not until it would be late itself.
/// A red drill is repeated after six hours.
pub fn chores(unanswered: &[&Obligation], experience: &Experience, now: Time) -> Vec<Chore> {
    let mut asked: Vec<(Time, Chore)> = Vec::new();
    for owed in unanswered.iter().filter(|o| o.opens <= now) {
        let Some(chore) = answering(owed) else {
            continue;
        };
        match asked
            .iter_mut()
            .find_map(|(due, known)| Some((due, joined(known, &chore)?, known)))
        {
            Some((due, both, known)) => (*due, *known) = (owed.due.min(*due), both),
            None => asked.push((owed.due, chore)),
        }
    }
    asked.sort_by_key(|(due, _)| *due);
    let may_begin = |(due, chore): &(Time, Chore)| {
        let ends = now.plus(experience.takes(chore));
        let presses = ends.plus(experience.takes(chore)) >= *due;
        !experience.rests(chore, now) && (presses || fits(unanswered, experience, now, ends))
    };
    let chores = asked.into_iter().filter(may_begin);
    chores.map(|(_, chore)| chore).collect()
}

/// Whether an obligation that is open at `now` asks for the chore; `unanswered` as of [`chores`].
pub fn is_asked(chore: &Chore, unanswered: &[&Obligation], now: Time) -> bool {
    let mut open = unanswered.iter().filter(|o| o.opens <= now);
    open.any(|owed| answering(owed).is_some_and(|asked| joined(&asked, chore).is_some()))
}

/// What answers an obligation; nothing for what is no chore.
fn answering(owed: &Obligation) -> Option<Chore> {
    match (owed.kind, &owed.protection, &owed.vault) {
        (ObligationKind::Verify, _, Some(vault)) => Some(Chore::Verify(vault.clone())),
        (ObligationKind::Prune, _, Some(vault)) => Some(Chore::Prune(vault.clone())),
        (ObligationKind::Drill | ObligationKind::NegativeControl, Some(id), _) => {
            Some(Chore::Drill {
                protection: id.clone(),
                negative: owed.kind == ObligationKind::NegativeControl,
            })
        }
        _ => None,
    }
}

/// One chore that is both, if one can be: a drill that is tested answers for a plain one.
fn joined(a: &Chore, b: &Chore) -> Option<Chore> {
    match (a, b) {
        (Chore::Verify(_), Chore::Verify(_)) | (Chore::Prune(_), Chore::Prune(_)) => {
            (a == b).then(|| a.clone())
        }
        (
            Chore::Drill {
                protection,
                negative,
            },
            Chore::Drill {
                protection: other,
                negative: tested,
            },
        ) => (protection == other).then(|| Chore::Drill {
            protection: protection.clone(),
            negative: *negative || *tested,
        }),
        _ => None,
    }
}

/// Whether every capture and copy that opens before `ends` can be done in time after it.
fn fits(unanswered: &[&Obligation], experience: &Experience, now: Time, ends: Time) -> bool {
    let meanwhile = unanswered.iter().filter(|o| {
        matches!(o.kind, ObligationKind::Capture | ObligationKind::Copy)
            && o.opens < ends
            && o.due > now
    });
    meanwhile.into_iter().all(|o| {
        let id = o.protection.as_ref();
        let took = id.and_then(|id| experience.captures.get(id));
        ends.plus(took.copied().unwrap_or_default()) <= o.due
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> ProtectionId {
        format!("{name}/files").parse().unwrap()
    }

    fn vault() -> VaultName {
        VaultName::new("v").unwrap()
    }

    fn at(minute: i64) -> Time {
        Time::from_secs(1_780_000_000 + minute * 60)
    }

    fn owed(kind: ObligationKind, name: &str, opens: i64, due: i64) -> Obligation {
        let of_vault = matches!(kind, ObligationKind::Verify | ObligationKind::Prune);
        let vault = of_vault.then(vault);
        Obligation::new(kind, Some(id(name)), vault, None, at(opens), at(due))
    }

    fn drill(name: &str, negative: bool) -> Chore {
        Chore::Drill {
            protection: id(name),
            negative,
        }
    }

    fn of(all: &[Obligation], experience: &Experience) -> Vec<Chore> {
        let all: Vec<&Obligation> = all.iter().collect();
        chores(&all, experience, at(0))
    }

    #[test]
    fn what_is_open_is_done_the_most_pressing_first() {
        let all = [
            owed(ObligationKind::Drill, "a", -1, 9000),
            owed(ObligationKind::Verify, "a", -1, 5000),
            owed(ObligationKind::Verify, "b", -1, 8000),
            owed(ObligationKind::NegativeControl, "a", -1, 7000),
            owed(ObligationKind::Drill, "later", 1, 9000),
            owed(ObligationKind::RotateKey, "a", -1, 9000),
            owed(ObligationKind::Prune, "a", -1, 6000),
        ];
        let expected = [
            Chore::Verify(vault()),
            Chore::Prune(vault()),
            drill("a", true),
        ];
        assert_eq!(of(&all, &Experience::default()), expected);
        let all: Vec<&Obligation> = all.iter().collect();
        let asked = |chore: &Chore| is_asked(chore, &all, at(0));
        assert!(expected.iter().all(asked) && asked(&drill("a", false)));
        assert!(!asked(&drill("later", false)) && !asked(&drill("b", false)));
    }

    #[test]
    fn it_waits_for_captures_that_would_be_late() {
        // Thought to take 15 minutes.
        let drilled = owed(ObligationKind::Drill, "a", -1, 9000);
        let with = |opens, due, took| {
            let capture = owed(ObligationKind::Capture, "b", opens, due);
            let mut experience = Experience::default();
            experience.captures.insert(id("b"), Span::from_mins(took));
            of(&[drilled.clone(), capture], &experience).len()
        };
        assert_eq!(with(5, 25, 10), 1);
        assert_eq!(with(5, 25, 11), 0);
        assert_eq!(with(15, 16, 11), 1);
        // It is late already, whatever is done now.
        assert_eq!(with(-9, 0, 11), 1);
    }

    #[test]
    fn it_does_not_wait_until_it_is_late_itself() {
        let capture = owed(ObligationKind::Capture, "b", 1, 2);
        let with = |due| {
            let drilled = owed(ObligationKind::Drill, "a", -1, due);
            of(&[drilled, capture.clone()], &Experience::default()).len()
        };
        assert_eq!((with(31), with(30), with(-1)), (0, 1, 1));
    }

    #[test]
    fn how_long_it_takes_is_what_it_took() {
        let all = [
            owed(ObligationKind::Drill, "a", -1, 9000),
            owed(ObligationKind::Capture, "b", 100, 110),
        ];
        let with = |took| {
            let mut experience = Experience::default();
            experience.drills.insert(id("a"), Span::from_mins(took));
            of(&all, &experience).len()
        };
        assert_eq!((with(60), with(80)), (1, 0));
    }

    #[test]
    fn a_red_drill_rests() {
        let all = [owed(ObligationKind::Drill, "a", -1, 1)];
        let with = |ended| {
            let mut experience = Experience::default();
            experience.red.insert(id("a"), at(ended));
            of(&all, &experience).len()
        };
        assert_eq!((with(-359), with(-360)), (0, 1));
    }
}
