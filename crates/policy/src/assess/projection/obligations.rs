//! The obligations of the record and what answers them. Those that were answered in time and whose time is over become
//! one number: nothing that comes later can change how they stand.

use std::collections::HashMap;

use vouchsafe_model::{Obligation, ObligationId, ObligationKind, ProtectionId, Time, VaultName};

use crate::assess::projection::ids::{Name, ObligationKey, Table, append};
use crate::assess::projection::settled::Settled;
use crate::assess::projection::track::Track;
use crate::assess::projection::vault::Vault;

/// What obligations are told apart by, their times aside.
pub(super) type Subject = (ObligationKind, Option<Name>, Option<Name>);

/// The earliest that answers say, of their beginnings and of their ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::assess) struct Earliest {
    pub(in crate::assess) started: Time,
    pub(in crate::assess) done: Time,
}

impl Earliest {
    fn and(self, other: Option<Earliest>) -> Earliest {
        other.map_or(self, |other| Earliest {
            started: self.started.min(other.started),
            done: self.done.min(other.done),
        })
    }
}

/// A deed that claims to fulfil an obligation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) kind: ObligationKind,
    pub(super) protection: Option<Name>,
    pub(super) vault: Option<Name>,
    pub(super) when: Earliest,
    /// Whether a drill claims to answer a duty of people.
    pub(super) by_drill: bool,
}

impl Answer {
    fn fits(&self, (kind, protection, vault): Subject) -> bool {
        self.kind == kind
            && (self.protection.is_none() || self.protection == protection)
            && (self.vault.is_none() || self.vault == vault)
    }
}

/// What answers one obligation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::assess) struct Answered {
    pub(in crate::assess) by_deed: Option<Earliest>,
    /// Counts only where the policy leaves the duty to drills.
    pub(in crate::assess) by_drill: Option<Earliest>,
}

impl Answered {
    fn take(&mut self, answer: &Answer) {
        let place = match answer.by_drill {
            true => &mut self.by_drill,
            false => &mut self.by_deed,
        };
        *place = Some(answer.when.and(*place));
    }
}

/// An obligation that may still come to stand otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Live {
    key: ObligationKey,
    opens: Time,
    pub(super) due: Time,
    /// Taken back before it was due, because the policy changed.
    pub(super) withdrawn: bool,
    pub(super) answered: Option<Earliest>,
}

/// The obligations of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) subject: Subject,
    pub(super) live: Vec<Live>,
    pub(super) settled: Settled,
}

/// An obligation that is held as it was written: a duty of people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) what: Obligation,
    subject: Subject,
    pub(super) withdrawn: bool,
    pub(super) answered: Answered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Rule(Name),
    Whole(usize),
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Obligations {
    pub(super) rules: Vec<Rule>,
    by_subject: HashMap<Subject, Name>,
    pub(super) whole: Vec<Whole>,
    places: HashMap<ObligationKey, Place>,
    /// Answers to what is not in the record, or not yet.
    early: HashMap<ObligationKey, Vec<Answer>>,
}

/// Names of protections and vaults.
pub(super) struct Subjects<'n> {
    pub(super) protections: &'n Table<ProtectionId, Track>,
    pub(super) vaults: &'n Table<VaultName, Vault>,
}

impl Subjects<'_> {
    /// The obligation of that subject with these times. Its id is that which such an obligation always has.
    fn obligation(&self, (kind, protection, vault): Subject, opens: Time, due: Time) -> Obligation {
        let protection = protection.and_then(|p| self.protections.name(p)).cloned();
        let vault = vault.and_then(|v| self.vaults.name(v)).cloned();
        Obligation::new(kind, protection, vault, None, opens, due)
    }

    /// As it was written down.
    pub(super) fn live(&self, subject: Subject, live: &Live) -> Obligation {
        let mut what = self.obligation(subject, live.opens, live.due);
        if let Some(id) = live.key.id() {
            what.id = id;
        }
        what
    }

    /// The one of the settled that opened last.
    pub(super) fn settled(&self, rule: &Rule) -> Option<Obligation> {
        let newest = rule.settled.newest()?;
        Some(self.obligation(rule.subject, newest.opens, newest.due))
    }
}

impl Obligations {
    /// What was promised first stands, unless it was withdrawn since. A new rule's number is returned.
    pub(super) fn due(
        &mut self,
        what: &Obligation,
        subject: Subject,
        names: &Subjects<'_>,
        settles_before: Option<Time>,
    ) -> Option<Name> {
        let key = ObligationKey::of_id(&what.id);
        match self.places.get(&key) {
            Some(Place::Whole(at)) => {
                let old = self.whole.get_mut(*at).filter(|old| old.withdrawn)?;
                (old.what, old.subject, old.withdrawn) = (what.clone(), subject, false);
                return None;
            }
            Some(Place::Rule(rule)) => {
                let old = find(&mut self.rules, *rule, &key).filter(|old| old.withdrawn)?;
                (old.opens, old.due, old.withdrawn) = (what.opens, what.due, false);
                return None;
            }
            None => {}
        }
        let mut answered = Answered::default();
        let (number, new) = match is_plain(what) {
            true => self.number(subject),
            false => (Name::MAX, false),
        };
        if let Some(rule) = at_mut(&mut self.rules, number) {
            rule.settle(names, settles_before, &mut self.places);
            let same = || names.obligation(subject, what.opens, what.due).id == what.id;
            if rule.settled.has(what.opens) && same() {
                return None;
            }
        }
        for answer in self.early.remove(&key).unwrap_or_default() {
            if answer.fits(subject) {
                answered.take(&answer);
            }
        }
        let place = match at_mut(&mut self.rules, number) {
            Some(rule) => {
                let live = Live {
                    key: key.clone(),
                    opens: what.opens,
                    due: what.due,
                    withdrawn: false,
                    answered: answered.by_deed,
                };
                append(&mut rule.live, live);
                Place::Rule(number)
            }
            None => {
                self.whole.push(Whole {
                    what: what.clone(),
                    subject,
                    withdrawn: false,
                    answered,
                });
                Place::Whole(self.whole.len() - 1)
            }
        };
        self.places.insert(key, place);
        new.then_some(number)
    }

    /// What the record has passed already cannot be taken back, by a clock that was set back neither: it stays missed.
    pub(super) fn withdraw(&mut self, ids: &[ObligationId], latest: Time) {
        for id in ids {
            let key = ObligationKey::of_id(id);
            match self.places.get(&key) {
                Some(Place::Rule(rule)) => {
                    if let Some(live) = find(&mut self.rules, *rule, &key) {
                        live.withdrawn |= latest <= live.due;
                    }
                }
                Some(Place::Whole(at)) => {
                    if let Some(whole) = self.whole.get_mut(*at) {
                        whole.withdrawn |= latest <= whole.what.due;
                    }
                }
                None => {}
            }
        }
    }

    pub(super) fn answer(&mut self, ids: &[ObligationId], answer: Answer) {
        for id in ids {
            let key = ObligationKey::of_id(id);
            match self.places.get(&key) {
                Some(Place::Rule(rule)) => {
                    let fits = at_mut(&mut self.rules, *rule).filter(|r| answer.fits(r.subject));
                    let live = fits.and_then(|rule| rule.find(&key));
                    if let Some(live) = live.filter(|_| !answer.by_drill) {
                        live.answered = Some(answer.when.and(live.answered));
                    }
                }
                Some(Place::Whole(at)) => {
                    let fits = self.whole.get_mut(*at).filter(|w| answer.fits(w.subject));
                    if let Some(whole) = fits {
                        whole.answered.take(&answer);
                    }
                }
                None => self.early.entry(key).or_default().push(answer),
            }
        }
    }

    /// Whether the id is that of an obligation of a protection or of a key, which no person answers.
    pub(super) fn is_of_rule(&self, id: &ObligationId) -> bool {
        let place = self.places.get(&ObligationKey::of_id(id));
        matches!(place, Some(Place::Rule(_)))
    }

    fn number(&mut self, subject: Subject) -> (Name, bool) {
        if let Some(number) = self.by_subject.get(&subject) {
            return (*number, false);
        }
        let number = Name::try_from(self.rules.len()).unwrap_or(Name::MAX);
        self.by_subject.insert(subject, number);
        self.rules.push(Rule {
            subject,
            live: Vec::new(),
            settled: Settled::default(),
        });
        (number, true)
    }
}

impl Rule {
    /// The newest come last and are asked for most.
    fn find(&mut self, key: &ObligationKey) -> Option<&mut Live> {
        self.live.iter_mut().rev().find(|live| live.key == *key)
    }

    /// Settles what was answered in time, by beginning and end, and was due before `before`. Only an id that follows
    /// from subject and opening is known again without being kept.
    fn settle(
        &mut self,
        names: &Subjects<'_>,
        before: Option<Time>,
        places: &mut HashMap<ObligationKey, Place>,
    ) {
        let Some(before) = before else { return };
        let (subject, settled) = (self.subject, &mut self.settled);
        self.live.retain(|live| {
            let in_time = live
                .answered
                .is_some_and(|a| a.done <= live.due && a.started <= live.due);
            if live.withdrawn || !in_time || live.due >= before {
                return true;
            }
            let usual = names.obligation(subject, live.opens, live.due).id;
            if ObligationKey::of_id(&usual) != live.key {
                return true;
            }
            settled.put(live.opens, live.due);
            places.remove(&live.key);
            false
        });
    }
}

/// Whether it is nothing but subject and times.
fn is_plain(what: &Obligation) -> bool {
    what.duty.is_none() && what.about.is_none() && what.person.is_none()
}

fn at_mut(rules: &mut [Rule], number: Name) -> Option<&mut Rule> {
    rules.get_mut(usize::try_from(number).ok()?)
}

fn find<'r>(rules: &'r mut [Rule], number: Name, key: &ObligationKey) -> Option<&'r mut Live> {
    at_mut(rules, number)?.find(key)
}
