//! What judging asks of a projection.

use vouchsafe_model::assessment::Silence;
use vouchsafe_model::fact::Recorded;
use vouchsafe_model::policy::Length;
use vouchsafe_model::{Obligation, ObligationId, ObligationKind, ProtectionId, Time, VaultName};

use crate::assess::projection::ids::ObligationKey;
use crate::assess::projection::obligations::{Live, Rule, Subjects, Whole};
use crate::assess::projection::past::Event;
use crate::assess::projection::{Answered, Drilled, LetGo, Name, Projection, Track, Vault};

/// A copy that was let go, with the fact that did so.
#[derive(Clone, Copy, Debug)]
pub(in crate::assess) struct Removal<'f> {
    pub(in crate::assess) seq: u64,
    pub(in crate::assess) at: Time,
    pub(in crate::assess) vault: &'f VaultName,
    /// When its point was complete, if the record knows the point.
    pub(in crate::assess) completed: Option<Time>,
}

/// An obligation as the record holds it.
pub(in crate::assess) struct Promised<'f> {
    pub(in crate::assess) kind: ObligationKind,
    pub(in crate::assess) protection: Option<&'f ProtectionId>,
    pub(in crate::assess) duty: Option<&'f str>,
    pub(in crate::assess) due: Time,
    pub(in crate::assess) withdrawn: bool,
    pub(in crate::assess) answered: Answered,
    held: Held<'f>,
}

enum Held<'f> {
    Live(&'f Rule, &'f Live),
    Whole(&'f Whole),
}

impl Projection {
    pub(in crate::assess) fn track(&self, id: &ProtectionId) -> Option<&Track> {
        self.tracks.get(id)
    }

    pub(in crate::assess) fn vault(&self, name: &VaultName) -> Option<&Vault> {
        self.vaults.get(name)
    }

    pub(in crate::assess) fn vault_name(&self, number: Name) -> Option<&VaultName> {
        self.vaults.name(number)
    }

    /// A digest, a version, a cipher or a key.
    pub(in crate::assess) fn text(&self, number: Name) -> &str {
        self.texts.name(number).map_or("", String::as_str)
    }

    /// What people did, and legal holds, as they were recorded.
    pub(in crate::assess) fn kept(&self) -> &[Recorded] {
        &self.kept
    }

    /// The first green drill that answers an obligation of people.
    pub(in crate::assess) fn drilled(&self, id: &ObligationId) -> Option<&Drilled> {
        self.drilled.get(&ObligationKey::of_id(id))
    }

    pub(in crate::assess) fn breaks(&self) -> &[(u64, String)] {
        &self.breaks
    }

    /// Where the record is silent, up to `now`.
    pub(in crate::assess) fn silence(&self, now: Time) -> Vec<Silence> {
        let mut all = self.gaps.clone();
        if let Some(from) = self.speaks_until.filter(|until| *until < now) {
            all.push(Silence { from, to: now });
        }
        all
    }

    fn subjects(&self) -> Subjects<'_> {
        Subjects {
            protections: &self.tracks,
            vaults: &self.vaults,
        }
    }

    /// What is not settled of the obligations that are not held whole.
    pub(in crate::assess) fn live(&self) -> impl Iterator<Item = Promised<'_>> {
        let rules = self.obligations.rules.iter();
        rules.flat_map(|rule| self.of_rule(rule))
    }

    /// Those that are held whole: duties of people.
    pub(in crate::assess) fn whole(&self) -> impl Iterator<Item = (&Obligation, Promised<'_>)> {
        self.obligations.whole.iter().map(|whole| {
            let promised = Promised {
                kind: whole.what.kind,
                protection: whole.what.protection.as_ref(),
                duty: whole.what.duty.as_deref(),
                due: whole.what.due,
                withdrawn: whole.withdrawn,
                answered: whole.answered,
                held: Held::Whole(whole),
            };
            (&whole.what, promised)
        })
    }

    /// How many are settled: answered in time, whatever the policy says.
    pub(in crate::assess) fn settled(&self) -> u64 {
        let rules = self.obligations.rules.iter();
        rules.map(|rule| rule.settled.count()).sum()
    }

    /// Those of one protection that are not settled, but for those that are held whole.
    pub(in crate::assess) fn live_of(&self, track: &Track) -> Vec<Promised<'_>> {
        self.rules_of(track)
            .flat_map(|rule| self.of_rule(rule))
            .collect()
    }

    /// Of each rule of one protection the settled obligation that opened last.
    pub(in crate::assess) fn settled_of(&self, track: &Track) -> Vec<Obligation> {
        let names = self.subjects();
        self.rules_of(track)
            .filter_map(|rule| names.settled(rule))
            .collect()
    }

    fn rules_of<'f>(&'f self, track: &Track) -> impl Iterator<Item = &'f Rule> {
        let rules = track.rules.iter().copied();
        rules.filter_map(|n| self.obligations.rules.get(usize::try_from(n).ok()?))
    }

    fn of_rule<'f>(&'f self, rule: &'f Rule) -> impl Iterator<Item = Promised<'f>> {
        let (kind, protection, _) = rule.subject;
        let protection = protection.and_then(|number| self.tracks.name(number));
        rule.live.iter().map(move |live| Promised {
            kind,
            protection,
            duty: None,
            due: live.due,
            withdrawn: live.withdrawn,
            answered: Answered {
                by_deed: live.answered,
                by_drill: None,
            },
            held: Held::Live(rule, live),
        })
    }

    /// When the first capture of a protection was due, of those that are not settled.
    pub(in crate::assess) fn first_capture_due(&self, id: &ProtectionId) -> Option<Time> {
        let is_mine = |p: &Promised<'_>| p.kind == ObligationKind::Capture;
        let live = self.track(id).map(|track| self.live_of(track));
        let live = live.into_iter().flatten();
        let whole = self.whole().map(|(_, promised)| promised);
        let whole = whole.filter(|p| p.protection == Some(id));
        live.chain(whole).filter(is_mine).map(|p| p.due).min()
    }

    /// As it was written down.
    pub(in crate::assess) fn obligation(&self, promised: &Promised<'_>) -> Obligation {
        match promised.held {
            Held::Live(rule, live) => self.subjects().live(rule.subject, live),
            Held::Whole(whole) => whole.what.clone(),
        }
    }

    fn event(&self, number: u32) -> Option<&Event> {
        self.events.get(usize::try_from(number).ok()?)
    }

    fn removal(&self, event: u32, completed: Option<Time>) -> Option<Removal<'_>> {
        let event = self.event(event)?;
        Some(Removal {
            seq: event.seq,
            at: event.at,
            vault: self.vaults.name(event.vault)?,
            completed,
        })
    }

    fn still_there<'f>(&'f self, track: &'f Track, one: &LetGo) -> Option<Removal<'f>> {
        let point = track.points.iter().find(|p| p.point == one.point);
        self.removal(one.event, point.map(|p| p.completed))
    }

    /// How many copies of a protection were let go, and how many of these were removed.
    pub(in crate::assess) fn let_go(&self, track: &Track) -> (usize, usize) {
        let (past, gone) = (
            track.past.len(),
            track.expired.iter().filter(|one| one.gone),
        );
        (past + track.expired.len(), past + gone.count())
    }

    /// Copies of a protection that were let go, in the order of the ledger; those may be missing that were surely older
    /// than `least`.
    pub(in crate::assess) fn let_go_before<'f>(
        &'f self,
        track: &'f Track,
        least: Length,
    ) -> Vec<Removal<'f>> {
        let mut out: Vec<Removal<'f>> = Vec::new();
        if !track.past.all_older_than(least) {
            let past = track.past.iter();
            out.extend(past.filter_map(|gone| self.removal(gone.event, Some(gone.completed))));
        }
        let there = track.expired.iter();
        out.extend(there.filter_map(|one| self.still_there(track, one)));
        out.sort_by_key(|one| one.seq);
        out
    }

    /// Copies of a protection that were removed and had to be erased, in the order of the ledger.
    pub(in crate::assess) fn erased<'f>(&'f self, track: &'f Track) -> Vec<Removal<'f>> {
        let mut out: Vec<Removal<'f>> = Vec::new();
        if track.past.any_erased() {
            let past = track.past.iter().filter(|gone| gone.erase);
            out.extend(past.filter_map(|gone| self.removal(gone.event, Some(gone.completed))));
        }
        let there = track.expired.iter().filter(|one| one.gone && one.erase);
        out.extend(there.filter_map(|one| self.still_there(track, one)));
        out.sort_by_key(|one| one.seq);
        out
    }

    /// Whether a lock keeps anything in any vault that was removed.
    pub(in crate::assess) fn hides(&self) -> bool {
        self.vaults
            .rows()
            .any(|vault| vault.last_hidden().is_some())
    }
}
