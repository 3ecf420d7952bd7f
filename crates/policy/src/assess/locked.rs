//! Locked: do a vault's locks keep what the policy says, by what the store stated of them?

use vouchsafe_model::policy::CopyRule;
use vouchsafe_model::{Time, Vault, VaultLocks, Verdict};

use crate::assess::Case;
use crate::assess::points::Held;
use crate::locks::short_before;

/// What is to be said of one vault's locks, and the facts that it rests on.
pub(super) struct Locked {
    pub(super) verdict: Verdict,
    pub(super) because: String,
    pub(super) facts: Vec<u64>,
}

/// The locks of the vault that a copy lies in; nothing where the policy asks for none.
pub(super) fn in_vault(case: &Case<'_>, rule: &CopyRule, held: &Held<'_>) -> Option<Locked> {
    let vault = case.policy.vaults.get(&rule.vault)?;
    let wanted = vault.retention_lock?;
    let half = short_before(wanted, case.now);
    let known = case.projection.vault(&vault.name);
    let read = known.and_then(|v| v.locks.as_ref());
    let mut facts: Vec<u64> = read.iter().map(|(seq, _)| *seq).collect();
    let wrong = read
        .and_then(|(_, locks)| as_read(vault, locks, half))
        .or_else(|| {
            // What came later than the reading tells for itself.
            let own = held.copy.lock.as_ref()?;
            if read.is_some_and(|(_, locks)| locks.read > held.copy.completed) {
                return None;
            }
            facts.push(held.copy.seq);
            if own.unlocked > 0 {
                let (name, n, all) = (&vault.name, own.unlocked, own.objects);
                return Some(format!(
                    "{n} of {all} objects of the newest copy in {name} are not locked"
                ));
            }
            if own.mode < vault.lock_mode {
                let (mode, name) = (own.mode.word(), &vault.name);
                return Some(format!(
                    "the newest copy in {name} is locked in {mode} mode"
                ));
            }
            let until = own.until.filter(|until| *until < half)?;
            Some(ends(vault, until))
        });
    if let Some(because) = wrong {
        return Some(Locked {
            verdict: Verdict::NotMet,
            because,
            facts,
        });
    }
    if read.is_none() && held.copy.lock.is_none() {
        return Some(Locked {
            verdict: Verdict::Unproven,
            because: format!("no lock in {} was read back yet", vault.name),
            facts,
        });
    }
    let first = read.and_then(|(_, locks)| locks.soonest);
    let until = first.or_else(|| held.copy.lock.as_ref().and_then(|lock| lock.until));
    let until = until.map_or_else(String::new, |at| format!(" until {} at least", at.minute()));
    Some(Locked {
        verdict: Verdict::Met,
        because: format!("{} is locked{until}", vault.name),
        facts,
    })
}

/// What is wrong by the last reading of a vault's locks.
fn as_read(vault: &Vault, locks: &VaultLocks, half: Time) -> Option<String> {
    let name = &vault.name;
    if !locks.are_met() {
        return Some(format!(
            "{name} is less locked than the policy says: of {} objects {} are not locked, {} for too short a time, \
             {} in too weak a mode",
            locks.objects, locks.unlocked, locks.short, locks.weak
        ));
    }
    if locks.mode < vault.lock_mode {
        return Some(format!(
            "the locks in {name} are of {} mode, the policy says {}",
            locks.mode.word(),
            vault.lock_mode.word()
        ));
    }
    let first = locks.soonest.filter(|first| *first < half)?;
    Some(ends(vault, first))
}

fn ends(vault: &Vault, first: Time) -> String {
    let wanted = vault.retention_lock.map_or_else(String::new, |wanted| {
        format!(", less than half of {wanted} away")
    });
    format!(
        "the first lock in {} ends {}{wanted}",
        vault.name,
        first.minute()
    )
}
