//! Were stored bytes seen to be sealed, under a passphrase that is as young as the policy asks for?

use vouchsafe_model::{Judgement, Question, Time, Vault, Verdict};

use crate::assess::late::Late;
use crate::assess::projection::PassphraseAge;
use crate::assess::{Case, copies, judged};

/// The stored bytes, and the age of what opens them.
pub(super) fn encrypted(case: &Case<'_>) -> Judgement {
    let mut sealed = copies::sealed(case);
    for rule in &case.protection.copies {
        let Some(vault) = case.policy.vaults.get(&rule.vault) else {
            continue;
        };
        let known = case.projection.vault(&vault.name);
        let known = known.and_then(|v| v.passphrase.as_ref());
        if let Some((verdict, reason)) = rotated(vault, known, (case.late, case.now)) {
            let facts = sealed.facts.iter().copied();
            let facts = facts.chain(known.map(|key| key.seq)).collect();
            let because = format!("{}; {reason}", sealed.because);
            let verdict = sealed.verdict.worse(verdict);
            sealed = judged(Question::Encrypted, verdict, because, facts);
        }
    }
    sealed
}

/// Whether the passphrase is young enough; nothing if the policy does not ask.
fn rotated(
    vault: &Vault,
    known: Option<&PassphraseAge>,
    (late, now): (&Late, Time),
) -> Option<(Verdict, String)> {
    let rule = vault.rotate.as_ref()?;
    let name = &vault.name;
    let Some(since) = known.and_then(|key| key.since) else {
        let text = format!(
            "{name}: nobody knows how old its passphrase is, the policy says {}",
            rule.text
        );
        return Some((Verdict::Unproven, text));
    };
    let age = now.since(since);
    Some(match late.is(&rule.rule, since) {
        true => (
            Verdict::NotMet,
            format!(
                "{name}: its passphrase is {age} old, the policy says {}; `vouchsafe key rotate {name}`",
                rule.text
            ),
        ),
        false => (Verdict::Met, format!("{name}: its passphrase is {age} old")),
    })
}
