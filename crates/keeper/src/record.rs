//! Writing facts: who says it, with which tool; and the obligations ahead of time.

use std::collections::BTreeSet;

use vouchsafe_host::machine;
use vouchsafe_model::fact::{Entry, Fact, Issue, Outcome, Recorded};
use vouchsafe_model::{
    Obligation, ObligationId, ObligationKind, PeopleFact, ProtectionId, RunId, Span, Time,
    VaultName,
};
use vouchsafe_policy as policy;
use vouchsafe_policy::change::Standing;

use crate::catalogue;
use crate::error::KeeperError;
use crate::keeper::Keeper;

/// How far ahead obligations are written.
pub(crate) const HORIZON: Span = Span::from_days(8);

/// The tool and its version, as it appears in entries and snapshots.
pub(crate) fn tool() -> String {
    format!("vouchsafe {}", env!("CARGO_PKG_VERSION"))
}

/// Whose account on which machine this process runs in.
pub(crate) fn actor() -> String {
    format!("{}@{}", machine::username(), machine::hostname())
}

/// An entry of this process at `at`.
pub(crate) fn entry(at: Time, fact: Fact) -> Entry {
    Entry {
        v: 1,
        at,
        actor: actor(),
        tool: tool(),
        fact,
    }
}

impl Keeper {
    /// Appends facts in one step.
    pub(crate) fn record(&self, facts: Vec<Fact>) -> Result<(), KeeperError> {
        let at = self.tools.clock.now();
        let entries: Vec<Entry> = facts.into_iter().map(|fact| entry(at, fact)).collect();
        self.ledger.append(&entries)?;
        Ok(())
    }

    /// A new run's id.
    pub(crate) fn new_run(&self) -> RunId {
        RunId::from_random(self.tools.random.u64().to_be_bytes())
    }

    /// Opens a run: from here on it is missing if it is never closed.
    pub(crate) fn open_run(
        &self,
        deed: &str,
        subject: &str,
        reason: Option<&str>,
    ) -> Result<RunId, KeeperError> {
        let run = self.new_run();
        self.record(vec![Fact::RunOpened {
            run: run.clone(),
            deed: deed.to_owned(),
            subject: subject.to_owned(),
            reason: reason.map(str::to_owned),
        }])?;
        Ok(run)
    }

    /// Closes a run.
    pub(crate) fn close_run(
        &self,
        run: &RunId,
        outcome: Outcome,
        issues: Vec<Issue>,
    ) -> Result<(), KeeperError> {
        self.record(vec![Fact::RunClosed {
            run: run.clone(),
            outcome,
            issues,
        }])
    }

    /// Brings the record up to the policy and the present: the policy in force, runs that died with what they left
    /// behind, and every obligation up to the horizon. Called before each deed, with the lock held; calling it twice
    /// changes nothing.
    pub(crate) fn reconcile(&self) -> Result<(), KeeperError> {
        self.state.clear_sandboxes()?;
        self.state.clear_work(self.tools.clock.now())?;
        let facts = self.facts()?;
        let now = self.tools.clock.now();
        let mut new = Vec::new();
        let standing = Standing::of(&facts);
        // Another command put a policy in force since this one read what binds, and would go by less than that.
        if standing
            .binding
            .iter()
            .any(|digest| !self.bound.knows(digest))
        {
            return Err(KeeperError::Policy {
                message: "another policy was put in force since this one was read; nothing was done: look at `vouchsafe status`, and run the command again".to_owned(),
            });
        }
        let changed = standing.in_force.as_ref() != Some(&self.policy.digest);
        self.keep_policy_text()?;
        if changed {
            new.extend(self.change_fact());
            new.push(Fact::PolicyInForce {
                digest: self.policy.digest.clone(),
                version: self.policy.front.version.clone(),
                bytes: self.policy_text.len() as u64,
                approved: policy::approval::is_approved(
                    &self.policy,
                    &String::from_utf8_lossy(&self.policy_text),
                ),
            });
        } else {
            new.extend(self.author_fact(standing));
        }
        new.extend(
            abandoned(&facts)
                .into_iter()
                .map(|run| Fact::RunAbandoned { run }),
        );
        self.plan_ahead(&facts, now, changed, &mut new);
        let known: BTreeSet<&ObligationId> = facts.iter().filter_map(due).map(|o| &o.id).collect();
        let redrills = policy::redrills(&self.policy, &facts, now).into_iter();
        let fresh = redrills.filter(|o| !known.contains(&o.id));
        new.extend(fresh.map(Fact::ObligationDue));
        new.extend(self.space_facts(&facts, now));
        if !new.is_empty() {
            self.record(new)?;
        }
        self.tell_people(now)
    }

    /// Notes who has to be told by now; after what is owed has been written, so that the newest of it counts.
    pub(crate) fn tell_people(&self, now: Time) -> Result<(), KeeperError> {
        let facts = self.facts()?;
        let notices = policy::people::notices(&self.policy, &facts, now).into_iter();
        let alerts = policy::people::alerts(&self.policy, &facts, now).into_iter();
        let told = notices.map(PeopleFact::Noticed);
        let told = told.chain(alerts.map(PeopleFact::Alerted));
        let told: Vec<Fact> = told.map(Fact::People).collect();
        match told.is_empty() {
            true => Ok(()),
            false => self.record(told),
        }
    }

    /// Obligations up to the horizon, and those that a changed policy no longer asks for.
    pub(crate) fn plan_ahead(
        &self,
        facts: &[Recorded],
        now: Time,
        changed: bool,
        new: &mut Vec<Fact>,
    ) {
        let horizon = facts.iter().rev().find_map(|r| match r.entry.fact {
            Fact::Horizon { until } => Some(until),
            _ => None,
        });
        let until = now.plus(HORIZON);
        // A horizon that was moved less than an hour ago is far enough ahead.
        if !changed && horizon.is_some_and(|h| h.plus(Span::from_hours(1)) > until) {
            return;
        }
        let from = if changed { now } else { horizon.unwrap_or(now) };
        let wanted = policy::obligations(&self.policy, from, until);
        let known = owed(facts);
        if changed {
            let kept: BTreeSet<&ObligationId> = wanted.iter().map(|o| &o.id).collect();
            let answered = catalogue::answered(facts);
            let gone: Vec<ObligationId> = facts
                .iter()
                .filter_map(due)
                .filter(|o| o.opens >= now && !kept.contains(&o.id) && !answered.contains(&o.id))
                .filter(|o| known.contains(&o.id))
                .map(|o| o.id.clone())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
            if !gone.is_empty() {
                new.push(Fact::ObligationsWithdrawn {
                    obligations: gone,
                    policy: self.policy.digest.clone(),
                });
            }
        }
        let fresh = wanted.iter().filter(|o| !known.contains(&o.id));
        new.extend(fresh.map(|o| Fact::ObligationDue(o.clone())));
        new.push(Fact::Horizon { until });
    }

    /// The obligations that a deed done now answers: the newest open one of its kind, and older ones still in time.
    pub(crate) fn answers(
        &self,
        facts: &[Recorded],
        kind: ObligationKind,
        protection: Option<&ProtectionId>,
        vault: Option<&VaultName>,
    ) -> Vec<ObligationId> {
        let now = self.tools.clock.now();
        open_obligations(facts, now)
            .into_iter()
            .filter(|o| {
                o.kind == kind && o.protection.as_ref() == protection && o.vault.as_ref() == vault
            })
            .rev()
            .enumerate()
            .filter(|(n, o)| *n == 0 || o.due >= now)
            .map(|(_, o)| o.id.clone())
            .collect()
    }
}

/// What was written down as owed and not withdrawn since. What was withdrawn may be owed anew.
fn owed(facts: &[Recorded]) -> BTreeSet<&ObligationId> {
    let mut owed = BTreeSet::new();
    for recorded in facts {
        match &recorded.entry.fact {
            Fact::ObligationDue(obligation) => {
                owed.insert(&obligation.id);
            }
            Fact::ObligationsWithdrawn { obligations, .. } => {
                for id in obligations {
                    owed.remove(id);
                }
            }
            _ => {}
        }
    }
    owed
}

fn due(recorded: &Recorded) -> Option<&Obligation> {
    match &recorded.entry.fact {
        Fact::ObligationDue(obligation) => Some(obligation),
        _ => None,
    }
}

/// Obligations that have opened and that nothing answers yet, oldest first.
pub(crate) fn open_obligations(facts: &[Recorded], now: Time) -> Vec<&Obligation> {
    let mut out = unanswered(facts);
    out.retain(|o| o.opens <= now);
    out
}

/// Obligations that nothing answers yet, those that open later included, oldest first.
pub(crate) fn unanswered(facts: &[Recorded]) -> Vec<&Obligation> {
    let answered = catalogue::answered(facts);
    let mut out: Vec<_> = facts
        .iter()
        .filter_map(due)
        .filter(|o| !answered.contains(&o.id))
        .collect();
    out.sort();
    // What was withdrawn and owed anew is written down twice.
    out.dedup_by_key(|o| &o.id);
    out
}

/// Runs that were opened and neither closed nor given up. The caller holds the lock, so nobody is at them.
fn abandoned(facts: &[Recorded]) -> Vec<RunId> {
    let mut open: Vec<&RunId> = Vec::new();
    for recorded in facts {
        match &recorded.entry.fact {
            Fact::RunOpened { run, .. } => open.push(run),
            Fact::RunClosed { run, .. } | Fact::RunAbandoned { run } => open.retain(|r| *r != run),
            _ => {}
        }
    }
    open.into_iter().cloned().collect()
}
