//! Which policies bind, which change waits, and who may decide on it: by the facts alone.

use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::{ChangeDecision, PolicyChange, Strength};

use crate::declared::{Declared, Entry};

/// Where the policy stands by the record.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Digest of the policy that was put in force last; nothing if none ever was.
    pub in_force: Option<String>,
    /// Digest of the policy that was agreed to last: nothing waited when it was put in force, or somebody approved it.
    pub settled: Option<String>,
    /// Digests of the policies that bind: the one last agreed to and, while a change waits, those that came after it,
    /// the newest last.
    pub binding: Vec<String>,
    /// The change that waits for a decision, or was denied.
    pub open: Option<PolicyChange>,
    /// The decision by which it was denied.
    pub denied: Option<ChangeDecision>,
    /// Earlier changes that somebody agreed to, oldest first.
    pub agreed: Vec<(PolicyChange, ChangeDecision)>,
}

impl Standing {
    /// Reads the facts in their order.
    pub fn of(facts: &[Recorded]) -> Standing {
        let mut standing = Standing::default();
        for recorded in facts {
            standing.note(&recorded.entry.fact);
        }
        standing
    }

    /// Takes in one more fact.
    pub fn note(&mut self, fact: &Fact) {
        match fact {
            Fact::PolicyInForce { digest, .. } => {
                // The first, or one by a version that did not note changes yet.
                if !self.binding.contains(digest) {
                    self.settle(digest);
                }
                self.in_force = Some(digest.clone());
            }
            Fact::PolicyChanged(change) if change.weakens == 0 => self.settle(&change.to),
            Fact::PolicyChanged(change) => {
                self.binding.retain(|digest| *digest != change.to);
                self.binding.push(change.to.clone());
                // The same change again, when its author became known: what was decided on it stands.
                let is_known = |open: &PolicyChange| open.change == change.change;
                if !self.open.as_ref().is_some_and(is_known) {
                    self.denied = None;
                }
                self.open = Some(change.clone());
            }
            Fact::ChangeDecided(decision) => self.decide(decision),
            _ => {}
        }
    }

    fn decide(&mut self, decision: &ChangeDecision) {
        match self.open.take() {
            Some(open) if open.change != decision.change => self.open = Some(open),
            Some(open) if decision.granted => {
                self.settle(&open.to);
                self.agreed.push((open, decision.clone()));
            }
            open => {
                self.denied = open.is_some().then(|| decision.clone());
                self.open = open;
            }
        }
    }

    /// From here on that policy alone binds.
    fn settle(&mut self, digest: &str) {
        self.binding = vec![digest.to_owned()];
        self.settled = Some(digest.to_owned());
        self.open = None;
        self.denied = None;
    }
}

/// Why somebody may not decide on a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The policy wants another pair of eyes.
    #[error("{by} wrote the change, and the policy wants somebody else to approve it")]
    SamePerson {
        /// Who.
        by: String,
    },
    /// The policy wants another pair of eyes, and nobody knows whose the first one was.
    #[error(
        "the policy wants somebody else than the author to approve a change, and the author is not known; commit the policy to git, or name the editor in `policy: history:`"
    )]
    NoAuthor,
    /// The policy names who may.
    #[error("{by} may not approve changes; by the policy in force that is for {allowed}")]
    NotAllowed {
        /// Who.
        by: String,
        /// Who may.
        allowed: String,
    },
    /// The policy wants a signature.
    #[error(
        "the policy in force wants a signature: sign a commit or tag that holds the policy, and name it with --commit or --tag"
    )]
    Unsigned,
}

/// Whether `by`, who is known as `strength` says, may agree to `change`: by every policy that binds, for a change must
/// not be what allows itself. Nobody is kept from denying.
pub fn may_decide(
    binding: &[&Declared],
    change: &PolicyChange,
    by: &str,
    strength: Strength,
) -> Result<(), Refusal> {
    for declared in binding {
        let Some(rules) = declared.root.entry("changes") else {
            continue;
        };
        if rules.flag("signed") == Some(true) && strength != Strength::Measured {
            return Err(Refusal::Unsigned);
        }
        let allowed = rules.texts("approved_by");
        if !allowed.is_empty() && !allowed.iter().any(|who| is_one(declared, who, by)) {
            return Err(Refusal::NotAllowed {
                by: by.to_owned(),
                allowed: allowed.join(", "),
            });
        }
        if rules.flag("four_eyes") == Some(true) {
            if !is_person(&change.author) {
                return Err(Refusal::NoAuthor);
            }
            if same(&change.author, by) {
                return Err(Refusal::SamePerson { by: by.to_owned() });
            }
        }
    }
    Ok(())
}

/// Whether `by` is `who`: that address, or somebody who has that role.
fn is_one(declared: &Declared, who: &str, by: &str) -> bool {
    let role = declared.root.named("roles").find(|(name, _)| *name == who);
    let people = role.map(|(_, role): (&String, &Entry)| role.texts("people"));
    same(who, by) || people.is_some_and(|people| people.iter().any(|person| same(person, by)))
}

/// An account of a machine names no person.
fn is_person(author: &str) -> bool {
    !author.is_empty() && !author.starts_with("account ")
}

fn same(a: &str, b: &str) -> bool {
    a.trim().eq_ignore_ascii_case(b.trim())
}
