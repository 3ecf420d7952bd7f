//! Incidents from failure to closure, and permissions to depart from a rule.

use std::path::PathBuf;

use vouchsafe_model::attestation::Statement;
use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::incident::{Closure, Ended, Exemption, Incident, IncidentNote, NoteKind};
use vouchsafe_model::people::Capacity;
use vouchsafe_model::people_assessment::{ExemptionState, IncidentState};
use vouchsafe_model::{
    DutyOutcome, Identity, ObligationId, PeopleFact, Question, SystemName, Time,
};
use vouchsafe_policy::people;

use crate::error::KeeperError;
use crate::events::Reporter;
use crate::keeper::Keeper;
use crate::people::signature;

/// A failure that is acknowledged.
#[derive(Clone, Debug)]
pub struct IncidentOrder {
    /// Its name.
    pub name: String,
    /// What it is about: an obligation's id, the number of a ledger entry, or what is overdue of a duty, a system or a
    /// protection.
    pub about: Vec<String>,
    /// Who acknowledges it.
    pub by: String,
    /// What happened.
    pub reason: String,
}

/// What is to be noted of an incident.
#[derive(Clone, Debug)]
pub struct NoteOrder {
    /// Which.
    pub name: String,
    /// Each with what kind it is.
    pub notes: Vec<(NoteKind, String)>,
    /// Who says so.
    pub by: String,
}

/// A permission that is given.
#[derive(Clone, Debug)]
pub struct ExemptOrder {
    /// Its name.
    pub name: String,
    /// What is departed from: a question such as `proven`, a key of the policy that decides one, or a duty.
    pub from: String,
    /// For which systems; all if there are none.
    pub systems: Vec<SystemName>,
    /// Who asks for it.
    pub asked_by: String,
    /// Who allows it.
    pub approved_by: String,
    /// Why.
    pub reason: String,
    /// When it ends.
    pub until: Time,
    /// The private key of whoever allows it.
    pub key: Option<PathBuf>,
}

fn refused<T>(subject: &str, reason: impl Into<String>) -> Result<T, KeeperError> {
    Err(KeeperError::Refused {
        subject: subject.to_owned(),
        reason: reason.into(),
    })
}

fn said(subject: &str, texts: &[&str]) -> Result<(), KeeperError> {
    match texts.iter().any(|t| t.trim().is_empty()) {
        true => refused(subject, "it says its name, who says so, and why"),
        false => Ok(()),
    }
}

impl Keeper {
    /// Acknowledges a failure.
    ///
    /// # Errors
    /// [`KeeperError::Refused`] if an open one has the name, or what it is about is not to be found.
    pub fn open_incident(
        &self,
        order: &IncidentOrder,
        reporter: &dyn Reporter,
    ) -> Result<Incident, KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        said(&order.name, &[&order.name, &order.by, &order.reason])?;
        let facts = self.facts()?;
        if self.open_one(&facts, &order.name).is_some() {
            return refused(
                &order.name,
                "an open incident has this name; choose another",
            );
        }
        let mut incident = Incident {
            name: order.name.clone(),
            obligations: Vec::new(),
            facts: Vec::new(),
            by: self.policy.people.address(&order.by),
            reason: order.reason.clone(),
        };
        for about in &order.about {
            self.concern(&facts, about, &mut incident)?;
        }
        if incident.obligations.is_empty() && incident.facts.is_empty() {
            return refused(&order.name, "name with --about what failed");
        }
        self.tell(PeopleFact::IncidentOpened(incident.clone()), reporter)?;
        Ok(incident)
    }

    fn concern(
        &self,
        facts: &[Recorded],
        about: &str,
        incident: &mut Incident,
    ) -> Result<(), KeeperError> {
        if let Ok(seq) = about.parse::<u64>() {
            if !facts.iter().any(|r| r.seq == seq) {
                return refused(
                    &incident.name,
                    format!("the ledger has no entry {seq}; see `vouchsafe ledger show`"),
                );
            }
            incident.facts.push(seq);
            return Ok(());
        }
        let now = self.tools.clock.now();
        let missed = self.judge(None)?.assessment.missed;
        let is_due = |id: &ObligationId| {
            facts.iter().any(|r| matches!(&r.entry.fact, Fact::ObligationDue(o) if o.id == *id && o.opens <= now))
        };
        if let Ok(id) = ObligationId::new(about)
            && is_due(&id)
        {
            incident.obligations.push(id);
            return Ok(());
        }
        let named = missed.iter().filter(|o| {
            let protection = o.protection.as_ref();
            o.duty.as_deref() == Some(about)
                || protection.is_some_and(|p| p.to_string() == about || p.system.as_str() == about)
        });
        let found: Vec<ObligationId> = named.map(|o| o.id.clone()).collect();
        if found.is_empty() {
            return refused(
                &incident.name,
                format!(
                    "nothing that is called {about} was missed; see `vouchsafe status` and `vouchsafe duties`"
                ),
            );
        }
        incident.obligations.extend(found);
        Ok(())
    }

    /// Notes something of an open incident.
    ///
    /// # Errors
    /// [`KeeperError::Refused`] if there is no open one of the name.
    pub fn note_incident(
        &self,
        order: &NoteOrder,
        reporter: &dyn Reporter,
    ) -> Result<IncidentState, KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        self.must_be_open(&order.name)?;
        if order.notes.is_empty() {
            return refused(&order.name, "say something with --cause, --fix or --remark");
        }
        for (kind, text) in &order.notes {
            said(&order.name, &[text, &order.by])?;
            let note = IncidentNote {
                name: order.name.clone(),
                kind: *kind,
                text: text.clone(),
                by: self.policy.people.address(&order.by),
            };
            self.record(vec![Fact::People(PeopleFact::IncidentNoted(note))])?;
        }
        self.publish(reporter)?;
        self.must_be_open(&order.name)
    }

    /// Closes an incident of which cause and fix are noted and that was tested again.
    ///
    /// # Errors
    /// [`KeeperError::Refused`] if one of them is missing, or the retest shows nothing.
    pub fn close_incident(
        &self,
        closure: &Closure,
        reporter: &dyn Reporter,
    ) -> Result<(), KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        said(&closure.name, &[&closure.by, &closure.reason])?;
        let incident = self.must_be_open(&closure.name)?;
        if let Err(reason) = people::can_close(&self.facts()?, &incident, closure.retest) {
            return refused(&closure.name, reason);
        }
        let closure = Closure {
            by: self.policy.people.address(&closure.by),
            ..closure.clone()
        };
        self.tell(PeopleFact::IncidentClosed(closure), reporter)
    }

    fn open_one(&self, facts: &[Recorded], name: &str) -> Option<IncidentState> {
        let all = people::incidents(facts, self.tools.clock.now());
        all.into_iter()
            .find(|i| i.name == name && i.closed.is_none())
    }

    fn must_be_open(&self, name: &str) -> Result<IncidentState, KeeperError> {
        match self.open_one(&self.facts()?, name) {
            Some(incident) => Ok(incident),
            None => refused(
                name,
                "no open incident has this name; see `vouchsafe incident list`",
            ),
        }
    }

    /// Allows a departure from a rule.
    ///
    /// # Errors
    /// [`KeeperError::Refused`] if who allows it may not or is the one who asks, if its end has passed, or if nothing
    /// is departed from.
    pub fn exempt(
        &self,
        order: &ExemptOrder,
        reporter: &dyn Reporter,
    ) -> Result<Exemption, KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let name = order.name.as_str();
        said(
            name,
            &[name, &order.asked_by, &order.approved_by, &order.reason],
        )?;
        let now = self.tools.clock.now();
        let who = &self.policy.people;
        let (asked_by, approved_by) = (
            who.address(&order.asked_by),
            who.address(&order.approved_by),
        );
        if asked_by == approved_by {
            return refused(
                name,
                "who asks for it does not allow it; somebody else has to",
            );
        }
        let capacity = who.capacity(&approved_by, &who.approvers, None);
        if matches!(capacity, Some(Capacity::Unnamed)) {
            return refused(
                name,
                "the policy names nobody who may allow it; write `owner` or `approved_by` under `policy`",
            );
        }
        if capacity.is_none() {
            let may: Vec<String> = who.all_holders(&who.approvers).into_iter().collect();
            return refused(
                name,
                format!("{approved_by} may not allow it; {} may", may.join(", ")),
            );
        }
        if order.until <= now {
            return refused(
                name,
                format!("its end, {}, has passed", order.until.minute()),
            );
        }
        if people::question_of(&order.from).is_none() && !who.duties.contains_key(&order.from) {
            let words = Question::ALL.map(Question::word).join(", ");
            let from = &order.from;
            return refused(
                name,
                format!("nothing is decided by `{from}`; name one of {words}, or a duty"),
            );
        }
        if who.duties.contains_key(&order.from) && !order.systems.is_empty() {
            return refused(name, "a duty is exempt as a whole; leave --system out");
        }
        if let Some(unknown) = order
            .systems
            .iter()
            .find(|s| !self.policy.systems.contains_key(*s))
        {
            return Err(self.unknown(unknown.as_str()));
        }
        let known = people::exemptions(&self.policy, &self.facts()?, now);
        if known.iter().any(|e| e.name == name && e.in_force) {
            return refused(
                name,
                "an exemption in force has this name; choose another, or end that one",
            );
        }
        let (identity, statement) = match &order.key {
            None => (Identity::Unverified, None),
            Some(key) => {
                let statement = self.permission(order, &approved_by, now);
                let signed = signature::sign(key, &statement.text(), &who.keys(&approved_by));
                match signed {
                    Ok(identity) => (identity, Some(statement)),
                    Err(reason) => return refused(name, reason),
                }
            }
        };
        let exemption = Exemption {
            name: order.name.clone(),
            from: order.from.clone(),
            systems: order.systems.clone(),
            asked_by,
            approved_by,
            reason: order.reason.clone(),
            until: order.until,
            identity,
            statement,
        };
        self.tell(PeopleFact::Exempted(exemption.clone()), reporter)?;
        Ok(exemption)
    }

    /// What is signed: everything that the permission says, in one sentence.
    fn permission(&self, order: &ExemptOrder, by: &str, now: Time) -> Statement {
        let systems: Vec<&str> = order.systems.iter().map(SystemName::as_str).collect();
        let of = match systems.is_empty() {
            true => "every system".to_owned(),
            false => systems.join(", "),
        };
        Statement {
            duty: format!("exemption {}", order.name),
            obligations: Vec::new(),
            outcome: DutyOutcome::Done,
            reason: format!(
                "departure from {} for {of} until {}, asked for by {}: {}",
                order.from, order.until, order.asked_by, order.reason
            ),
            by: by.to_owned(),
            at: now,
            policy: self.policy.digest.clone(),
            files: Vec::new(),
        }
    }

    /// Ends a permission before its time.
    ///
    /// # Errors
    /// [`KeeperError::Refused`] if the record holds none of the name; one that the policy gives ends in the policy.
    pub fn end_exemption(&self, ended: &Ended, reporter: &dyn Reporter) -> Result<(), KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let name = ended.name.as_str();
        said(name, &[&ended.by, &ended.reason])?;
        let known = people::exemptions(&self.policy, &self.facts()?, self.tools.clock.now());
        match known.iter().find(|e| e.name == name) {
            Some(ExemptionState { seq: Some(_), .. }) => {
                self.tell(PeopleFact::ExemptionEnded(ended.clone()), reporter)
            }
            Some(_) => refused(name, "the policy itself gives it; take it out there"),
            None => refused(
                name,
                "there is no such exemption; see `vouchsafe exempt list`",
            ),
        }
    }

    fn tell(&self, fact: PeopleFact, reporter: &dyn Reporter) -> Result<(), KeeperError> {
        self.record(vec![Fact::People(fact)])?;
        self.publish(reporter).map(drop)
    }
}
