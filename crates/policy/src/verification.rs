//! How much is to be read back: what a vault's rules ask for, and whether so much was read.

use vouchsafe_model::policy::{Protection, VerifyRule};
use vouchsafe_model::{Policy, Span, VaultName};

use crate::schedule::longest_gap;

/// Which part of a vault's packs is to be read: numerator and denominator.
pub type Share = (u32, u32);

/// Whether as much was read as the rule asks for; a rule without a share, or none, asks for everything.
pub fn covers(
    packs_read: u64,
    packs_total: u64,
    complete: bool,
    rule: Option<&VerifyRule>,
) -> bool {
    match rule.and_then(|rule| rule.coverage) {
        Some((n, d)) => {
            let read = u128::from(packs_read) * u128::from(d);
            complete || read >= u128::from(packs_total) * u128::from(n)
        }
        None => complete,
    }
}

/// The protections with copies in that vault which are to be read back, with their rules.
pub fn rules<'p>(
    policy: &'p Policy,
    vault: &VaultName,
) -> impl Iterator<Item = (&'p Protection, &'p VerifyRule)> {
    policy
        .protections()
        .filter(|(_, protection)| protection.copies.iter().any(|copy| copy.vault == *vault))
        .filter_map(|(_, protection)| Some((protection, protection.verify.as_ref()?)))
}

/// The largest share that any of the rules asks for; nothing if there are no rules.
pub fn largest_share<'r>(rules: impl IntoIterator<Item = &'r VerifyRule>) -> Option<Share> {
    let shares = rules
        .into_iter()
        .map(|rule| rule.coverage.unwrap_or((1, 1)));
    shares.max_by(|a, b| {
        let times = |x: u32, y: u32| u64::from(x) * u64::from(y);
        times(a.0, b.1).cmp(&times(b.0, a.1))
    })
}

/// Within which time every byte of a vault is read once, if its rules are kept: the longest of them, 28 days without
/// any.
pub fn window(policy: &Policy, vault: &VaultName) -> Span {
    let whole = |rule: &VerifyRule| {
        let (n, d) = rule.coverage.unwrap_or((1, 1));
        let turns = u64::from(d).div_ceil(u64::from(n.max(1)));
        Span::from_micros(longest_gap(&rule.every.rule).micros().saturating_mul(turns))
    };
    rules(policy, vault)
        .map(|(_, rule)| whole(rule))
        .max()
        .unwrap_or(Span::from_days(28))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::schedule;

    fn rule(every: &str, coverage: Option<(u32, u32)>) -> VerifyRule {
        VerifyRule {
            every: schedule::parse(every).unwrap(),
            coverage,
        }
    }

    fn policy(verify: &str) -> Policy {
        let text = format!(
            "vaults: {{ v: {{ url: \"file:///v\" }}, w: {{ url: \"file:///w\" }} }}\n\
             systems:\n  s: {{ source: \"files:/s\", schedule: daily, copies: [v], verify: {verify} }}\n"
        );
        crate::lower(&text, "p.yaml", Path::new("."), String::new())
            .policy
            .unwrap()
    }

    #[test]
    fn a_share_is_enough_or_not() {
        let quarter = rule("week", Some((1, 4)));
        assert!(covers(2, 8, false, Some(&quarter)));
        assert!(!covers(1, 8, false, Some(&quarter)));
        assert!(covers(0, 0, true, Some(&quarter)));
        assert!(!covers(8, 8, false, None));
        assert!(covers(8, 8, true, None));
    }

    #[test]
    fn the_largest_share_is_asked_for() {
        let rules = [
            rule("week", Some((1, 4))),
            rule("week", Some((2, 3))),
            rule("month", Some((3, 5))),
        ];
        assert_eq!(largest_share(&rules), Some((2, 3)));
        assert_eq!(
            largest_share(rules.iter().chain([&rule("year", None)])),
            Some((1, 1))
        );
        assert_eq!(largest_share([]), None);
    }

    #[test]
    fn the_window_is_that_of_the_rules() {
        let v = VaultName::new("v").unwrap();
        let days = |text: &str| window(&policy(text), &v);
        assert_eq!(days("{ every: week, coverage: 1/4 }"), Span::from_days(28));
        assert_eq!(days("{ every: week, coverage: 2/3 }"), Span::from_days(14));
        assert_eq!(days("month"), Span::from_days(31));
        let w = VaultName::new("w").unwrap();
        assert_eq!(window(&policy("month"), &w), Span::from_days(28));
        assert_eq!(rules(&policy("month"), &w).count(), 0);
    }
}
