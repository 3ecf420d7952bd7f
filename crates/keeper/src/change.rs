//! Which policies bind beside the file at hand, and what people decide on changes of it.

use std::path::PathBuf;

use vouchsafe_format::Id;
use vouchsafe_ledger::Ledger;
use vouchsafe_model::fact::Fact;
use vouchsafe_model::{
    Alteration, ChangeDecision, ChangeId, Effect, Policy, PolicyChange, Strength,
};
use vouchsafe_policy::Lowered;
use vouchsafe_policy::change::{self, Standing, Version};

use crate::error::KeeperError;
use crate::events::Reporter;
use crate::keeper::{Keeper, Tools};
use crate::signed::{self, SignedObject};
use crate::state::State;
use crate::vault_record::ledgers;
use crate::vaults;

/// As many alterations are written to the record; their number is always whole.
const MOST_RECORDED: usize = 200;

/// What binds beside the policy at hand, for it changed and nobody has agreed to that yet.
#[derive(Debug)]
pub struct Bound {
    /// The policy as its file has it; the one in force has the older rules in place of those that are weaker.
    pub written: Policy,
    /// The older policies, with what they declare and their texts.
    pub older: Vec<Older>,
    /// Digests of older policies whose text is nowhere to be had. What they keep nobody knows, so nothing may go.
    pub unread: Vec<String>,
    /// What differs; nothing if the policy is the one that was agreed to.
    pub change: Option<PolicyChange>,
    /// The decision by which it was denied.
    pub denied: Option<ChangeDecision>,
}

/// A policy that binds though its file is another one by now.
#[derive(Debug)]
pub struct Older {
    /// What it is.
    pub lowered: Lowered,
    /// The same as it is read by those who decide.
    pub policy: Policy,
    /// Its text.
    pub text: Vec<u8>,
}

impl Bound {
    /// Nothing but the policy itself.
    pub(crate) fn alone(written: Policy) -> Bound {
        Bound {
            written,
            older: Vec::new(),
            unread: Vec::new(),
            change: None,
            denied: None,
        }
    }

    /// Whether a policy that binds by now was taken into account.
    pub(crate) fn knows(&self, digest: &str) -> bool {
        let mut older = self.older.iter().map(|older| &older.policy.digest);
        digest == self.written.digest
            || older.any(|known| known == digest)
            || self.unread.iter().any(|known| known == digest)
    }

    /// The change that waits or was denied, if what it weakens is held back.
    pub fn waiting(&self) -> Option<&PolicyChange> {
        self.change.as_ref().filter(|change| change.weakens > 0)
    }
}

/// What somebody decides.
#[derive(Clone, Debug)]
pub struct DecisionOrder {
    /// On which change.
    pub change: ChangeId,
    /// Whether they agree.
    pub granted: bool,
    /// Who.
    pub by: Option<String>,
    /// Why.
    pub reason: String,
    /// A signed commit or tag that holds the policy, by which it is known who agrees.
    pub signed: Option<SignedObject>,
}

/// The policy in force and what binds beside it.
pub(crate) fn bind(
    written: Policy,
    text: &[u8],
    ledger: &Ledger,
    state: &State,
    tools: &Tools,
) -> Result<(Policy, Bound), KeeperError> {
    let mut standing = Standing::default();
    ledger.each(0..ledger.len()?, |recorded| {
        standing.note(&recorded.entry.fact);
        Ok(())
    })?;
    bind_by(standing, written, text, state, tools)
}

/// As [`bind`], where the policy stands as `standing` says.
pub(crate) fn bind_by(
    standing: Standing,
    written: Policy,
    text: &[u8],
    state: &State,
    tools: &Tools,
) -> Result<(Policy, Bound), KeeperError> {
    let from: Vec<String> = standing
        .binding
        .iter()
        .filter(|digest| **digest != written.digest)
        .cloned()
        .collect();
    if from.is_empty() {
        return Ok((written.clone(), Bound::alone(written)));
    }
    let (mut older, mut unread) = (Vec::new(), Vec::new());
    for digest in &from {
        let found = text_of(digest, &written, state, tools)?;
        let read = found.and_then(|text| read(text, &written, digest));
        match read {
            Some(read) => older.push(read),
            None => unread.push(digest.clone()),
        }
    }
    let text = String::from_utf8_lossy(text);
    let lowered =
        vouchsafe_policy::lower(&text, "policy.yaml", &written.base, written.digest.clone());
    let versions: Vec<Version<'_>> = older
        .iter()
        .map(|o| Version {
            policy: &o.policy,
            declared: &o.lowered.declared,
        })
        .collect();
    let new = Version {
        policy: &written,
        declared: &lowered.declared,
    };
    let compared = change::compare(&versions, new);
    let mut alterations: Vec<Alteration> = unread.iter().map(|digest| unreadable(digest)).collect();
    alterations.extend(compared.alterations);
    let known = standing.open.filter(|open| open.to == written.digest);
    let change = change::change_id(&from, &written.digest).map(|id| PolicyChange {
        change: id,
        from,
        to: written.digest.clone(),
        author: known.as_ref().map(|k| k.author.clone()).unwrap_or_default(),
        author_known: known.map_or(Strength::Stated, |k| k.author_known),
        weakens: count(&alterations, Effect::Weakens),
        strengthens: count(&alterations, Effect::Strengthens),
        neutral: count(&alterations, Effect::Neutral),
        alterations,
    });
    let denied = change.as_ref().and_then(|change| {
        let denied = standing.denied.as_ref()?;
        (denied.change == change.change).then(|| denied.clone())
    });
    let bound = Bound {
        written,
        older,
        unread,
        change,
        denied,
    };
    Ok((compared.in_force, bound))
}

fn unreadable(digest: &str) -> Alteration {
    let short = digest.get(..12).unwrap_or(digest);
    Alteration {
        effect: Effect::Weakens,
        place: "policy".to_owned(),
        what: format!(
            "the policy that was agreed to, SHA-256 {short}…, is nowhere to be had, so nobody can say what it promised"
        ),
    }
}

fn count(alterations: &[Alteration], effect: Effect) -> u64 {
    alterations.iter().filter(|a| a.effect == effect).count() as u64
}

/// The policy of a text; nothing if it is none that this version understands.
pub(crate) fn read(text: Vec<u8>, written: &Policy, digest: &str) -> Option<Older> {
    let whole = String::from_utf8(text).ok()?;
    let lowered = vouchsafe_policy::lower(&whole, "policy.yaml", &written.base, digest.to_owned());
    let policy = lowered.policy.clone()?;
    Some(Older {
        lowered,
        policy,
        text: whole.into_bytes(),
    })
}

/// The text of a policy: from the state, else from a vault that can be reached.
pub(crate) fn text_of(
    digest: &str,
    written: &Policy,
    state: &State,
    tools: &Tools,
) -> Result<Option<Vec<u8>>, KeeperError> {
    if let Some(text) = state.kept_policy(digest)? {
        return Ok(Some(text));
    }
    for spec in written.vaults.values().filter(|v| vaults::is_connected(v)) {
        // One that cannot be reached, or does not have it, leaves the others to be asked.
        let Ok(vault) = vaults::open(spec, &written.base, state, tools) else {
            continue;
        };
        for held in ledgers(spec, &vault.root, &vault.repo).unwrap_or_default() {
            let read = held.first(&vault.root, &vault.repo, &mut Vec::new(), |record| {
                record.policy(&vault.repo, digest)
            });
            if let Ok(text) = read {
                return Ok(Some(text));
            }
        }
    }
    Ok(None)
}

impl Keeper {
    /// What is recorded of a policy that was not in force yet; nothing of the first.
    pub(crate) fn change_fact(&self) -> Option<Fact> {
        let mut change = self.bound.change.clone()?;
        (change.author, change.author_known) = self.author();
        change.alterations.truncate(MOST_RECORDED);
        Some(Fact::PolicyChanged(change))
    }

    /// The change that waits once more, if it was recorded before its author could be known and git names one by now.
    pub(crate) fn author_fact(&self, standing: Standing) -> Option<Fact> {
        let open = standing.open?;
        if open.to != self.policy.digest || open.author_known != Strength::Stated {
            return None;
        }
        match self.author() {
            (author, Strength::Observed) => Some(Fact::PolicyChanged(PolicyChange {
                author,
                author_known: Strength::Observed,
                ..open
            })),
            _ => None,
        }
    }

    /// Who wrote the policy at hand: by git, if it is committed there; else by the history that it states; else
    /// nobody but the account that runs this is known.
    fn author(&self) -> (String, Strength) {
        let text = String::from_utf8_lossy(&self.policy_text);
        let older = self.bound.older.iter();
        let older = older.filter_map(|older| std::str::from_utf8(&older.text).ok());
        if let Some(author) = signed::author(&self.tools, &self.policy_path(), &text, older) {
            return (author, Strength::Observed);
        }
        let lowered = self.lowered();
        let changes: Vec<_> = lowered.declared.front.list("history").collect();
        let newest = changes
            .iter()
            .max_by_key(|change| change.text("date").unwrap_or_default());
        if let Some(editor) = newest.and_then(|change| change.text("editor")) {
            return (editor.to_owned(), Strength::Stated);
        }
        let account = format!("account {}", crate::record::actor());
        (account, Strength::Stated)
    }

    /// The policy as its file has it.
    fn lowered(&self) -> Lowered {
        let text = String::from_utf8_lossy(&self.policy_text);
        let digest = self.policy.digest.clone();
        vouchsafe_policy::lower(&text, "policy.yaml", &self.policy.base, digest)
    }

    fn policy_path(&self) -> PathBuf {
        let named = self.policy_file.clone();
        named.unwrap_or_else(|| self.policy.base.join("policy.yaml"))
    }

    /// Records somebody's decision on the change that waits, and publishes it. What was agreed to is in force from
    /// then on.
    ///
    /// # Errors
    /// [`KeeperError::Change`] if there is no such change, or if whoever decides may not.
    pub fn decide_change(
        &mut self,
        order: &DecisionOrder,
        reporter: &dyn Reporter,
    ) -> Result<ChangeDecision, KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let refused = |reason: String| KeeperError::Change {
            change: order.change.to_string(),
            reason,
        };
        let standing = Standing::of(&self.facts()?);
        let Some(open) = standing.open else {
            return Err(refused("no change waits for a decision".to_owned()));
        };
        if open.change != order.change {
            return Err(refused(format!("the change that waits is {}", open.change)));
        }
        let signed = match &order.signed {
            Some(object) => {
                let agreed = standing.settled.as_deref();
                Some(self.verified(object, agreed).map_err(refused)?)
            }
            None => None,
        };
        let by = match (&order.by, &signed) {
            (Some(by), Some(signed)) if !by.trim().eq_ignore_ascii_case(&signed.signer) => {
                return Err(refused(format!(
                    "the {} is signed by {}, not by {by}",
                    signed.kind, signed.signer
                )));
            }
            (_, Some(signed)) => signed.signer.clone(),
            (Some(by), None) => by.trim().to_owned(),
            (None, None) => String::new(),
        };
        if by.is_empty() || order.reason.trim().is_empty() {
            return Err(refused("a decision says who takes it and why".to_owned()));
        }
        let strength = match &signed {
            Some(_) => Strength::Measured,
            None => Strength::Stated,
        };
        if order.granted {
            let declared: Vec<_> = self
                .bound
                .older
                .iter()
                .map(|o| &o.lowered.declared)
                .collect();
            change::may_decide(&declared, &open, &by, strength)
                .map_err(|refusal| refused(refusal.to_string()))?;
        }
        let decision = ChangeDecision {
            change: open.change,
            granted: order.granted,
            by,
            reason: order.reason.clone(),
            strength,
            signed,
        };
        self.record(vec![Fact::ChangeDecided(decision.clone())])?;
        if order.granted {
            self.policy = self.bound.written.clone();
            self.bound = Bound::alone(self.policy.clone());
            let mut new = Vec::new();
            self.plan_ahead(&self.facts()?, self.tools.clock.now(), true, &mut new);
            self.record(new)?;
        } else {
            self.bound.denied = Some(decision.clone());
        }
        self.publish(reporter)?;
        Ok(decision)
    }

    /// Verifies a signature over the policy at hand, by the allowed signers of the policy that was agreed to last: what
    /// waits does not say whose signature counts.
    fn verified(
        &self,
        object: &SignedObject,
        agreed: Option<&str>,
    ) -> Result<vouchsafe_model::SignedBy, String> {
        let file = self.allowed_signers(agreed)?;
        let text = String::from_utf8_lossy(&self.policy_text);
        signed::verify(&self.tools, &self.policy_path(), &text, object, &file)
    }

    fn allowed_signers(&self, agreed: Option<&str>) -> Result<PathBuf, String> {
        let mut older = self.bound.older.iter();
        let older = older.find(|older| Some(older.policy.digest.as_str()) == agreed);
        let written = (agreed == Some(&self.bound.written.digest)).then(|| self.lowered());
        let Some(lowered) = written.as_ref().or(older.map(|older| &older.lowered)) else {
            return Err("the policy that was agreed to last is nowhere to be had, so nobody knows whose signatures it allows; leave out --commit and --tag".to_owned());
        };
        let changes = lowered.declared.root.entry("changes");
        let Some(file) = changes.and_then(|changes| changes.text("allowed_signers")) else {
            return Err("the policy in force names no file of allowed signers; without one a signature proves nothing: leave out --commit and --tag, or write changes: { allowed_signers: FILE } and have that approved first".to_owned());
        };
        Ok(self.policy.base.join(file))
    }

    /// Whether somebody has agreed, since this was opened, to the change that waited then: what is in force is then
    /// another policy, and this has to be opened anew.
    ///
    /// # Errors
    /// [`KeeperError::Ledger`].
    pub fn was_agreed_to(&self) -> Result<bool, KeeperError> {
        if self.bound.waiting().is_none() {
            return Ok(false);
        }
        let standing = Standing::of(&self.facts()?);
        let in_force = standing.in_force.as_ref() == Some(&self.policy.digest);
        Ok(in_force && standing.open.is_none())
    }

    /// Keeps the text of the policy at hand, so that a later one can be held against it.
    pub(crate) fn keep_policy_text(&self) -> Result<(), KeeperError> {
        if self.state.kept_policy(&self.policy.digest)?.is_some() {
            return Ok(());
        }
        debug_assert_eq!(Id::of(&self.policy_text).to_hex(), self.policy.digest);
        self.state
            .keep_policy(&self.policy.digest, &self.policy_text)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use vouchsafe_host::clock::ManualClock;
    use vouchsafe_host::files::temp_dir;
    use vouchsafe_host::process::LocalSpawn;
    use vouchsafe_host::random::OsRandom;
    use vouchsafe_host::signals::Interrupt;
    use vouchsafe_model::Time;

    use super::*;
    use crate::{Silent, init};

    fn with_state(dir: &Path, text: &str) -> Result<Keeper, KeeperError> {
        let digest = Id::of(text.as_bytes()).to_hex();
        let lowered = vouchsafe_policy::lower(text, "policy.yaml", dir, digest);
        let tools = Tools {
            clock: Arc::new(ManualClock::new(Time::from_secs(1_767_600_000))),
            random: Arc::new(OsRandom),
            interrupt: Interrupt::manual(),
            spawn: Arc::new(LocalSpawn),
        };
        let (policy, text) = (lowered.policy.unwrap(), text.as_bytes().to_vec());
        let state = State::at(dir.join("state"));
        match state.is_initialised()? {
            true => Keeper::open(policy, text, state, tools),
            false => Ok(init(policy, text, state, tools, false, &Silent::default())?.0),
        }
    }

    #[test]
    fn a_policy_that_was_put_in_force_meanwhile_is_not_passed_over() {
        let dir = temp_dir("meanwhile").unwrap();
        let first = with_state(dir.path(), "duties: { look: { every: month } }\n").unwrap();
        let more = "duties: { look: { every: month }, more: { every: week } }\n";
        let second = with_state(dir.path(), more).unwrap();
        second.reconcile().unwrap();
        let entries = first.ledger.len().unwrap();
        let refused = first.reconcile().unwrap_err();
        assert!(refused.to_string().contains("another policy"), "{refused}");
        assert_eq!(first.ledger.len().unwrap(), entries);
        // Read anew it is held against what binds by now, so that what it drops stays.
        let again = with_state(dir.path(), "duties: { look: { every: month } }\n").unwrap();
        again.reconcile().unwrap();
        assert!(again.policy.people.duties.contains_key("more"));
        // What it put in force itself, and what binds beside it, is no reason to refuse.
        again.reconcile().unwrap();
    }
}
