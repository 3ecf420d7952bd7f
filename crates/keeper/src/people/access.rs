//! Rights that are asked for, given for a time, and ended.

use std::path::Path;

use vouchsafe_model::attestation::Statement;
use vouchsafe_model::fact::Fact;
use vouchsafe_model::incident::{AccessGrant, AccessRequest, Ended};
use vouchsafe_model::people_assessment::{AccessStanding, AccessState};
use vouchsafe_model::{DutyOutcome, Identity, PeopleFact};
use vouchsafe_policy::people;

use crate::error::KeeperError;
use crate::events::Reporter;
use crate::keeper::Keeper;
use crate::people::signature;

fn refused<T>(name: &str, reason: impl Into<String>) -> Result<T, KeeperError> {
    Err(KeeperError::Refused {
        subject: name.to_owned(),
        reason: reason.into(),
    })
}

impl Keeper {
    /// Asks for a right.
    ///
    /// # Errors
    /// [`KeeperError::Refused`] if the policy does not give it to the person, or not for so long.
    pub fn ask_access(
        &self,
        order: &AccessRequest,
        reporter: &dyn Reporter,
    ) -> Result<(), KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let name = order.name.as_str();
        if [name, &order.by, &order.reason]
            .iter()
            .any(|t| t.trim().is_empty())
        {
            return refused(name, "a request says its name, who asks, and why");
        }
        let who = &self.policy.people;
        let by = who.address(&order.by);
        if let Some(reason) = people::may_ask(who, &order.right, &by, order.length) {
            return refused(name, reason);
        }
        let known = people::accesses(&self.facts()?, self.tools.clock.now());
        let alive =
            |a: &AccessState| matches!(a.standing, AccessStanding::Asked | AccessStanding::InForce);
        if known.iter().any(|a| a.name == name && alive(a)) {
            return refused(
                name,
                "a request of this name is open or in force; choose another",
            );
        }
        let asked = AccessRequest {
            by,
            ..order.clone()
        };
        self.record(vec![Fact::People(PeopleFact::AccessAsked(asked))])?;
        self.publish(reporter).map(drop)
    }

    /// Gives a right that was asked for, from now on for as long as was asked.
    ///
    /// # Errors
    /// [`KeeperError::Refused`] if nobody asked, or the person may not give it.
    pub fn grant_access(
        &self,
        name: &str,
        approved_by: &str,
        key: Option<&Path>,
        reporter: &dyn Reporter,
    ) -> Result<(), KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let now = self.tools.clock.now();
        let known = people::accesses(&self.facts()?, now);
        let asked = |a: &&AccessState| a.name == name && a.standing == AccessStanding::Asked;
        let Some(asked) = known.iter().find(asked) else {
            return refused(
                name,
                "no open request has this name; see `vouchsafe access list`",
            );
        };
        let who = &self.policy.people;
        let approved_by = who.address(approved_by);
        if let Some(reason) = people::may_grant(who, asked, &approved_by) {
            return refused(name, reason);
        }
        // What the policy says now counts, not what it said when somebody asked.
        if let Some(reason) = people::may_ask(who, &asked.right, &asked.by, asked.length) {
            return refused(name, reason);
        }
        let until = now.plus(asked.length);
        let (identity, statement) = match key {
            None => (Identity::Unverified, None),
            Some(key) => {
                let statement = Statement {
                    duty: format!("access {name}"),
                    obligations: Vec::new(),
                    outcome: DutyOutcome::Done,
                    reason: format!(
                        "the right {} is given to {} until {until}: {}",
                        asked.right, asked.by, asked.reason
                    ),
                    by: approved_by.clone(),
                    at: now,
                    policy: self.policy.digest.clone(),
                    files: Vec::new(),
                };
                match signature::sign(key, &statement.text(), &who.keys(&approved_by)) {
                    Ok(identity) => (identity, Some(statement)),
                    Err(reason) => return refused(name, reason),
                }
            }
        };
        let given = AccessGrant {
            name: name.to_owned(),
            approved_by,
            until,
            identity,
            statement,
        };
        self.record(vec![Fact::People(PeopleFact::AccessGiven(given))])?;
        self.publish(reporter).map(drop)
    }

    /// Denies a request, or ends a right before its time.
    ///
    /// # Errors
    /// [`KeeperError::Refused`] if none of the name is open or in force.
    pub fn end_access(&self, ended: &Ended, reporter: &dyn Reporter) -> Result<(), KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let name = ended.name.as_str();
        if [&ended.by, &ended.reason]
            .iter()
            .any(|t| t.trim().is_empty())
        {
            return refused(name, "it says who ends it, and why");
        }
        let known = people::accesses(&self.facts()?, self.tools.clock.now());
        let alive = known.iter().any(|a| {
            a.name == name && matches!(a.standing, AccessStanding::Asked | AccessStanding::InForce)
        });
        if !alive {
            return refused(
                name,
                "nothing of this name is open or in force; see `vouchsafe access list`",
            );
        }
        let ended = Ended {
            by: self.policy.people.address(&ended.by),
            ..ended.clone()
        };
        self.record(vec![Fact::People(PeopleFact::AccessEnded(ended))])?;
        self.publish(reporter).map(drop)
    }
}
