//! Retention locks: when they are too short, which are extended, and when they are to be looked at again.

use vouchsafe_model::policy::Length;
use vouchsafe_model::{Span, Time, Vault, VaultLocks};

/// A lock that ends before this time is too short: less than half of the wanted length is left.
pub fn short_before(wanted: Length, now: Time) -> Time {
    part(wanted, now, 4)
}

/// When locks are extended, those that end before this time are: an eighth of the wanted length or more was used up.
pub fn extend_before(wanted: Length, now: Time) -> Time {
    part(wanted, now, 7)
}

/// Whether the locks of a vault are to be read and extended now, by what was read last; never without a lock in
/// the policy.
///
/// What was put since the last reading was locked for the wanted length then. So no lock is near its end before five
/// eighths of the length are left of the first one that was read, and no more than one reading in a quarter of the
/// length is needed: from there on, an eighth is left to do it before the first lock is too short.
pub fn look_is_due(vault: &Vault, last: Option<&VaultLocks>, now: Time) -> bool {
    let Some(wanted) = vault.retention_lock else {
        return false;
    };
    let Some(last) = last else { return true };
    if !last.are_met() || last.wanted != wanted.to_string() || last.mode != vault.lock_mode {
        return true;
    }
    let first = last.soonest.unwrap_or(last.read);
    first.min(wanted.after(last.read)) < part(wanted, now, 5)
}

/// So many eighths of a length that begins now.
fn part(length: Length, now: Time, eighths: u64) -> Time {
    let whole = length.after(now).since(now).micros();
    now.plus(Span::from_micros(whole / 8 * eighths))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn vault(lock: &str) -> Vault {
        let text = format!(
            "vaults: {{ v: {{ url: 's3://b/x'{lock} }} }}\nsystems: {{ a: {{ source: 'files:.' }} }}"
        );
        let lowered = crate::lower(&text, "p", Path::new("/p"), "d".into());
        let policy = lowered.policy.expect("a policy");
        policy.vaults.into_values().next().expect("a vault")
    }

    fn read(vault: &Vault, read: Time, soonest: Time) -> VaultLocks {
        VaultLocks {
            vault: vault.name.clone(),
            run: None,
            read,
            wanted: vault.retention_lock.expect("a lock").to_string(),
            mode: vault.lock_mode,
            objects: 10,
            unlocked: 0,
            short: 0,
            weak: 0,
            soonest: Some(soonest),
            extended: 0,
        }
    }

    fn day(n: i64) -> Time {
        Time::from_secs(n * 86_400)
    }

    #[test]
    fn a_vault_is_looked_at_often_enough_that_no_lock_becomes_short() {
        let vault = vault(", retention_lock: 80 days");
        assert!(look_is_due(&vault, None, day(0)), "never read");
        let wanted = vault.retention_lock.expect("a lock");
        // Extended up to seven eighths at least, then left alone for a quarter of the length.
        let last = read(&vault, day(0), day(70));
        assert!(!look_is_due(&vault, Some(&last), day(20)));
        assert!(look_is_due(&vault, Some(&last), day(21)));
        // From then on an eighth of the length is left before a lock is short.
        assert!(short_before(wanted, day(21)) < day(70));
        assert_eq!(short_before(wanted, day(30)), day(70));
        assert_eq!(extend_before(wanted, day(0)), day(70));
        // What was put right after the reading has its own end.
        let last = read(&vault, day(0), day(500));
        assert!(!look_is_due(&vault, Some(&last), day(30)));
        assert!(look_is_due(&vault, Some(&last), day(31)));
    }

    #[test]
    fn what_is_not_met_or_asked_for_differently_is_looked_at_at_once() {
        let vault_ = vault(", retention_lock: 80 days");
        let whole = read(&vault_, day(0), day(80));
        assert!(!look_is_due(&vault_, Some(&whole), day(1)));
        for broken in [
            VaultLocks {
                unlocked: 1,
                ..whole.clone()
            },
            VaultLocks {
                short: 1,
                ..whole.clone()
            },
            VaultLocks {
                weak: 1,
                ..whole.clone()
            },
        ] {
            assert!(look_is_due(&vault_, Some(&broken), day(1)));
        }
        let longer = vault(", retention_lock: 90 days");
        assert!(look_is_due(&longer, Some(&whole), day(1)));
        let weaker = vault(", retention_lock: 80 days, lock_mode: governance");
        assert!(look_is_due(&weaker, Some(&whole), day(1)));
        assert!(
            !look_is_due(&vault(""), None, day(1)),
            "no lock is asked for"
        );
    }
}
