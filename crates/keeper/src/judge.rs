//! Judging: facts and policy become verdicts, and verdicts a report.

use vouchsafe_evidence::report::{Approval, BreakFact, LedgerFacts, ReportInput, Witness};
use vouchsafe_evidence::sample::Sampling;
use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::{Assessment, Time, VaultName};

use crate::error::KeeperError;
use crate::keeper::Keeper;
use crate::past::JudgedBy;

/// An assessment with the facts that it rests on.
#[derive(Debug)]
pub struct Judged {
    /// The verdicts.
    pub assessment: Assessment,
    /// The facts up to its time.
    pub facts: Vec<Recorded>,
    /// By which policy.
    pub by: JudgedBy,
}

/// How a report is made.
#[derive(Clone, Debug, Default)]
pub struct ReportOptions {
    /// Whether names of files, tables and refs are replaced by digests.
    pub redact_places: bool,
    /// Whether these digests are keyed, so that who guesses a name cannot confirm it; they then are replaced, too.
    pub keyed_names: bool,
    /// How many rows of each population are sampled; by how often its things happen if not given.
    pub sample: Option<u64>,
    /// The seed of the samples; the ledger's root if not given, which nobody could choose.
    pub seed: Option<String>,
}

/// The record's head, and who has it.
pub type LedgerHead = LedgerFacts;

impl Keeper {
    /// Judges as of `at`: facts recorded later do not count, and what counts is the policy that was in force then.
    pub fn judge(&self, at: Option<Time>) -> Result<Judged, KeeperError> {
        let now = self.tools.clock.now();
        let mut facts = self.facts()?;
        if let Some(at) = at {
            facts.retain(|r| r.entry.at <= at);
        }
        let by = self.judged_by(at, &facts)?;
        let assessment = vouchsafe_policy::assess(by.policy(self), &facts, at.unwrap_or(now));
        Ok(Judged {
            assessment,
            facts,
            by,
        })
    }

    /// The newest head, and which vaults have seen which.
    pub fn ledger_head(&self, facts: &[Recorded]) -> Result<LedgerHead, KeeperError> {
        let head = self.ledger.head()?;
        let key = self.ledger.public_key();
        let breaks = facts.iter().filter_map(|r| match &r.entry.fact {
            Fact::Break { reason, .. } => Some(BreakFact {
                seq: r.seq,
                reason: reason.clone(),
            }),
            _ => None,
        });
        Ok(LedgerFacts {
            size: head.size,
            root: head.root.to_string(),
            checkpoint: head.note,
            vkey: key.to_string(),
            fingerprint: key.fingerprint(),
            witnesses: witnesses(facts),
            breaks: breaks.collect(),
        })
    }

    /// Refuses to make evidence of a record that is not what was signed.
    fn must_be_signed(&self) -> Result<(), KeeperError> {
        let found = self.ledger.verify(&[])?;
        match found.is_sound() {
            true => Ok(()),
            false => Err(KeeperError::RecordUnsound {
                deed: "no evidence is made of it",
                entry: found.first_wrong(),
            }),
        }
    }

    /// Everything that a report of a period shows, handed to `render`. The whole record is examined first.
    pub fn report<T>(
        &self,
        from: Time,
        to: Time,
        options: &ReportOptions,
        render: impl FnOnce(&ReportInput<'_>) -> T,
    ) -> Result<T, KeeperError> {
        self.must_be_signed()?;
        let now = self.tools.clock.now();
        let judged = self.judge((to < now).then_some(to))?;
        let policy = judged.by.policy(self);
        let approval = vouchsafe_policy::approval(policy, &judged.facts);
        let ledger = self.ledger_head(&judged.facts)?;
        let (facts, as_of) = (&judged.facts, judged.assessment.at);
        // What an incident says of a failure says more than what was allowed beforehand.
        let mut closures = vouchsafe_policy::people::excused(policy, facts, as_of);
        closures.extend(vouchsafe_policy::people::closures(facts, as_of));
        let closures = &closures;
        let period = vouchsafe_policy::assess_period(policy, facts, closures, (from, to), as_of);
        let obligations =
            vouchsafe_policy::period_obligations(policy, facts, closures, (from, to), as_of);
        let names_key = match options.keyed_names {
            true => Some(self.ledger.derived_key("names in reports")?),
            false => None,
        };
        Ok(render(&ReportInput {
            policy,
            policy_text: judged.by.text(self),
            judged_by: judged.by.sentence(),
            assessment: &judged.assessment,
            facts,
            period: &period,
            obligations: &obligations,
            sampling: Sampling {
                size: options.sample,
                seed: options.seed.clone().unwrap_or_else(|| ledger.root.clone()),
            },
            from,
            to,
            ledger,
            approval: Approval {
                stated: policy.front.approved.clone(),
                digest_matches: vouchsafe_policy::approval::is_approved(
                    policy,
                    &String::from_utf8_lossy(judged.by.text(self)),
                ),
                text: approval.sentence(),
            },
            generated_at: now,
            tool: crate::record::tool(),
            redact_places: options.redact_places || options.keyed_names,
            names_key,
        }))
    }
}

fn witnesses(facts: &[Recorded]) -> Vec<Witness> {
    let mut out: std::collections::BTreeMap<&VaultName, Witness> =
        std::collections::BTreeMap::new();
    for recorded in facts {
        if let Fact::Published {
            vault, tree_size, ..
        } = &recorded.entry.fact
        {
            let witness = Witness {
                vault: vault.clone(),
                tree_size: *tree_size,
                at: recorded.entry.at,
            };
            out.insert(vault, witness);
        }
    }
    out.into_values().collect()
}
