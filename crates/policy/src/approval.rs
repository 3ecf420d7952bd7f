//! Whether the policy at hand is the one in force, and whether its text is the approved one.

use sha2::{Digest, Sha256};
use vouchsafe_model::fact::Recorded;
use vouchsafe_model::{Fact, Policy};

/// What the record says of this policy text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approval {
    /// The ledger has never heard of this text; `in_force` is the digest of the one it knows, if any.
    NotInForce {
        /// SHA-256, lower hex.
        in_force: Option<String>,
    },
    /// In force, and its text is the one that was approved.
    Approved {
        /// The fact that says so.
        seq: u64,
    },
    /// In force, and changed since it was approved.
    Changed {
        /// The fact that says so.
        seq: u64,
    },
    /// In force; the policy names no digest of an approved text.
    NotStated {
        /// The fact that puts it in force.
        seq: u64,
    },
}

impl Approval {
    /// One sentence for a report.
    pub fn sentence(&self) -> String {
        match self {
            Approval::NotInForce { in_force: None } => {
                "this text was never put in force; run `vouchsafe init`".to_owned()
            }
            Approval::NotInForce {
                in_force: Some(digest),
            } => format!(
                "this text is not the one in force, whose SHA-256 begins {}",
                digest.get(..12).unwrap_or(digest)
            ),
            Approval::Approved { .. } => "this text is the approved one".to_owned(),
            Approval::Changed { .. } => "this text was changed after it was approved".to_owned(),
            Approval::NotStated { .. } => {
                "the policy names no digest of an approved text, so nobody can tell".to_owned()
            }
        }
    }
}

/// Compares `policy` with the newest fact that puts a policy in force.
pub fn approval(policy: &Policy, facts: &[Recorded]) -> Approval {
    let last = facts.iter().rev().find_map(|r| match &r.entry.fact {
        Fact::PolicyInForce {
            digest, approved, ..
        } => Some((r.seq, digest, *approved)),
        _ => None,
    });
    match last {
        None => Approval::NotInForce { in_force: None },
        Some((_, digest, _)) if *digest != policy.digest => Approval::NotInForce {
            in_force: Some(digest.clone()),
        },
        Some((seq, _, Some(true))) => Approval::Approved { seq },
        Some((seq, _, Some(false))) => Approval::Changed { seq },
        Some((seq, _, None)) => Approval::NotStated { seq },
    }
}

/// SHA-256, lower hex, of the policy's text without its `approved_digest` line: what an approver writes there.
///
/// For the digest to have a line of its own, `policy:` is written over several lines.
pub fn approved_digest(text: &str) -> String {
    let mut hash = Sha256::new();
    for line in text.split_inclusive('\n') {
        if !line.trim_start().starts_with("approved_digest:") {
            hash.update(line.as_bytes());
        }
    }
    hex::encode(hash.finalize())
}

/// Whether `text` is the approved one: nothing if its head states no digest.
pub fn is_approved(policy: &Policy, text: &str) -> Option<bool> {
    let stated = policy.front.approved_digest.as_ref()?;
    Some(*stated == approved_digest(text))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use vouchsafe_model::{Entry, Time};

    fn policy(text: &str) -> Policy {
        let lowered = crate::lower(text, "policy.yaml", Path::new("/p"), "d1".into());
        lowered.policy.unwrap()
    }

    fn in_force(seq: u64, digest: &str, approved: Option<bool>) -> Recorded {
        Recorded {
            seq,
            entry: Entry {
                v: 1,
                at: Time::from_secs(seq as i64),
                actor: "a".into(),
                tool: "t".into(),
                fact: Fact::PolicyInForce {
                    digest: digest.into(),
                    version: None,
                    bytes: 1,
                    approved,
                },
            },
        }
    }

    #[test]
    fn the_newest_fact_decides() {
        let p = policy("systems: {}\n");
        assert_eq!(approval(&p, &[]), Approval::NotInForce { in_force: None });
        let facts = [
            in_force(0, "d1", Some(true)),
            in_force(1, "d1", Some(false)),
        ];
        assert_eq!(approval(&p, &facts), Approval::Changed { seq: 1 });
        assert_eq!(approval(&p, &facts[..1]), Approval::Approved { seq: 0 });
        let other = [in_force(0, "d2", Some(true))];
        assert!(matches!(
            approval(&p, &other),
            Approval::NotInForce { in_force: Some(_) }
        ));
        assert_eq!(
            approval(&p, &[in_force(3, "d1", None)]),
            Approval::NotStated { seq: 3 }
        );
    }

    #[test]
    fn one_changed_letter_voids_the_approval() {
        let body = "policy:\n  id: A\n";
        let digest = approved_digest(body);
        let text = format!("policy:\n  id: A\n  approved_digest: {digest}\n");
        assert_eq!(is_approved(&policy(&text), &text), Some(true));
        let changed = text.replace("id: A", "id: B");
        assert_eq!(is_approved(&policy(&changed), &changed), Some(false));
        assert_eq!(is_approved(&policy(body), body), None);
    }
}
