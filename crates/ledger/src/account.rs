//! What the entries themselves say is lacking: obligations without facts, silence, breaks.

use std::collections::{BTreeMap, HashSet};

use vouchsafe_model::{Entry, Fact, Obligation, ObligationId, Span, Time};

/// A time for which nothing was promised to be in the record.
///
/// Up to a stated horizon every obligation is in the ledger, so nothing can be left out unseen.
/// After it, until a new horizon was stated, only the entries that happen to be there are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Silence {
    /// The horizon that had been stated.
    pub from: Time,
    /// The last entry before a new one was stated, or that stated it.
    pub to: Time,
}

/// A place where the record says of itself that it is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakNote {
    /// The entry.
    pub seq: u64,
    /// When it was recorded.
    pub at: Time,
    /// Why.
    pub reason: String,
}

/// The clock went backwards: what follows may have been recorded later than it says.
///
/// Machines that share a record differ a little; what is less than a minute is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetBack {
    /// The first entry with an earlier time.
    pub seq: u64,
    /// The latest time before it.
    pub from: Time,
    /// Its time.
    pub to: Time,
}

/// Gathers while entries go by in their order.
///
/// It keeps the ids of all obligations and the whole of those that are open, nothing else that grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    known: HashSet<ObligationId>,
    open: BTreeMap<ObligationId, Obligation>,
    horizon: Option<Time>,
    silence: Vec<Silence>,
    /// Whether the last silence still lasts, for no horizon was stated since.
    silent: bool,
    breaks: Vec<BreakNote>,
    set_back: Vec<SetBack>,
    /// Whether the last of them still lasts, for no entry has reached the time before it.
    behind: bool,
    latest: Option<Time>,
    last: Option<Time>,
}

/// What was gathered.
pub(crate) struct Accounted {
    /// Due before the last entry, and no later fact answers them; by due time.
    pub(crate) unanswered: Vec<Obligation>,
    pub(crate) silence: Vec<Silence>,
    pub(crate) set_back: Vec<SetBack>,
    pub(crate) breaks: Vec<BreakNote>,
}

impl Account {
    pub(crate) fn note(&mut self, seq: u64, entry: &Entry) {
        self.note_silence(entry.at);
        self.note_clock(seq, entry.at);
        self.last = Some(entry.at);
        for id in answered(&entry.fact) {
            self.open.remove(id);
        }
        match &entry.fact {
            Fact::ObligationDue(due) if self.known.insert(due.id.clone()) => {
                self.open.insert(due.id.clone(), due.clone());
            }
            Fact::ObligationsWithdrawn { obligations, .. } => self.withdraw(obligations, entry.at),
            Fact::Horizon { until } if self.horizon.is_none_or(|known| *until > known) => {
                self.horizon = Some(*until);
                self.silent = false;
            }
            Fact::Break { reason, .. } => self.breaks.push(BreakNote {
                seq,
                at: entry.at,
                reason: reason.clone(),
            }),
            _ => {}
        }
    }

    /// `until` is a time up to which the record should reach: after the last horizon it is silent.
    pub(crate) fn close(mut self, until: Option<Time>) -> Accounted {
        if let Some(until) = until {
            self.note_silence(until);
        }
        let mut unanswered: Vec<Obligation> = self
            .open
            .into_values()
            .filter(|due| self.last.is_some_and(|last| due.due < last))
            .collect();
        unanswered.sort_by(|a, b| (a.due, &a.id).cmp(&(b.due, &b.id)));
        Accounted {
            unanswered,
            silence: self.silence,
            set_back: self.set_back,
            breaks: self.breaks,
        }
    }

    /// What is withdrawn before it is due need not be answered; afterwards it stays missed.
    fn withdraw(&mut self, ids: &[ObligationId], at: Time) {
        for id in ids {
            if self.open.get(id).is_some_and(|due| at <= due.due) {
                self.open.remove(id);
                // It may be written ahead once more.
                self.known.remove(id);
            }
        }
    }

    fn note_clock(&mut self, seq: u64, at: Time) {
        const TOLERATED: Span = Span::from_secs(60);
        match self.latest {
            Some(from) if at < from => {
                if !self.behind && at.plus(TOLERATED) < from {
                    self.set_back.push(SetBack { seq, from, to: at });
                    self.behind = true;
                }
            }
            _ => {
                self.latest = Some(at);
                self.behind = false;
            }
        }
    }

    fn note_silence(&mut self, at: Time) {
        let Some(horizon) = self.horizon.filter(|horizon| at > *horizon) else {
            return;
        };
        match self.silence.last_mut().filter(|_| self.silent) {
            Some(lasting) => lasting.to = lasting.to.max(at),
            None => {
                self.silence.push(Silence {
                    from: horizon,
                    to: at,
                });
                self.silent = true;
            }
        }
    }
}

/// The obligations that a fact answers.
fn answered(fact: &Fact) -> &[ObligationId] {
    match fact {
        Fact::RecoveryPoint(point) => &point.obligations,
        Fact::Copy(copy) => &copy.obligations,
        Fact::Verification(verification) => &verification.obligations,
        Fact::Drill(drill) => &drill.obligations,
        Fact::KeyChange(change) => &change.obligations,
        Fact::Pruned(pruning) => &pruning.obligations,
        Fact::People(fact) => fact.answers(),
        Fact::PolicyInForce { .. }
        | Fact::PolicyChanged(_)
        | Fact::ChangeDecided(_)
        | Fact::CopyLost(_)
        | Fact::Coverage(_)
        | Fact::Repaired(_)
        | Fact::ErasuresReplayed(_)
        | Fact::LogShipped(_)
        | Fact::LogGap(_)
        | Fact::ObligationDue(_)
        | Fact::ObligationsWithdrawn { .. }
        | Fact::Horizon { .. }
        | Fact::RunOpened { .. }
        | Fact::RunClosed { .. }
        | Fact::RunAbandoned { .. }
        | Fact::Locks(_)
        | Fact::Space(_)
        | Fact::VaultKnown { .. }
        | Fact::Published { .. }
        | Fact::Joined { .. }
        | Fact::LedgerKeyRotated(_)
        | Fact::Witnessed(_)
        | Fact::Timestamped(_)
        | Fact::Held(_)
        | Fact::HoldReleased(_)
        | Fact::Expired(_)
        | Fact::Break { .. } => &[],
    }
}
