//! Are the stores of the vaults less full than the policy wants told?

use std::collections::BTreeMap;

use vouchsafe_model::alert::AlertKind;
use vouchsafe_model::fact::Recorded;
use vouchsafe_model::policy::Vault;
use vouchsafe_model::{
    Fact, Policy, Span, StorageState, Strength, Time, VaultName, VaultPlace, VaultSpace, Verdict,
};

use crate::assess::projection::Projection;
use crate::verification::Share;

/// What was measured longer ago says nothing of now.
const FRESH: Span = Span::from_days(2);
/// How often it is recorded while nothing changes.
const DAILY: Span = Span::from_days(1);
/// A store that comes and goes about the limit is recorded no more often than this.
const HOURLY: Span = Span::from_hours(1);

/// Whether a vault of this place can say how full it is: directories of this machine can.
pub(crate) fn tells(vault: &Vault) -> bool {
    matches!(VaultPlace::parse(&vault.url), Ok(VaultPlace::File { .. }))
}

fn limit(policy: &Policy) -> Option<Share> {
    policy.alerts.get(&AlertKind::Storage)?.above
}

/// One for each vault; none if the policy names no share.
pub(super) fn storage(policy: &Policy, projection: &Projection, now: Time) -> Vec<StorageState> {
    let Some(above) = limit(policy) else {
        return Vec::new();
    };
    policy
        .vaults
        .values()
        .map(|vault| state(vault, above, projection, now))
        .collect()
}

fn state(vault: &Vault, above: Share, projection: &Projection, now: Time) -> StorageState {
    let known = projection.vault(&vault.name).and_then(|v| v.space.as_ref());
    let tells = tells(vault);
    let (verdict, because) = match known {
        _ if !tells => (
            Verdict::Unproven,
            "its kind of store does not say how full it is".to_owned(),
        ),
        None => (
            Verdict::Unproven,
            "nobody has asked yet how full it is".to_owned(),
        ),
        Some((_, space)) if space.seen.plus(FRESH) < now => (
            Verdict::Unproven,
            format!(
                "it did not say for {} how full it is; then it was {}",
                now.since(space.seen),
                space.said()
            ),
        ),
        Some((_, space)) if space.is_taken(above) => (
            Verdict::NotMet,
            format!("{}; the policy warns at {}", space.said(), share(above)),
        ),
        Some((_, space)) => (Verdict::Met, space.said()),
    };
    let known = known.filter(|_| tells);
    StorageState {
        vault: vault.name.clone(),
        verdict,
        tells,
        strength: known.map(|_| Strength::Measured),
        because,
        fact: known.map(|(seq, _)| *seq),
    }
}

/// A share as people write it.
pub(super) fn share((n, d): Share) -> String {
    let percent = u64::from(n) * 100;
    match percent.checked_rem(u64::from(d)) {
        Some(0) => format!("{}%", percent / u64::from(d)),
        _ => format!("{n}/{d}"),
    }
}

/// Those of these measurements that belong into the record: the first of a vault, one each day, and the first on the
/// other side of what the policy allows, at most one an hour. None if the policy does not ask.
pub fn space_to_record(
    policy: &Policy,
    facts: &[Recorded],
    seen: Vec<VaultSpace>,
) -> Vec<VaultSpace> {
    let Some(above) = limit(policy) else {
        return Vec::new();
    };
    let mut last: BTreeMap<&VaultName, &VaultSpace> = BTreeMap::new();
    for recorded in facts {
        if let Fact::Space(space) = &recorded.entry.fact {
            last.insert(&space.vault, space);
        }
    }
    let is_news = |space: &VaultSpace| {
        last.get(&space.vault).is_none_or(|last| {
            let old = space.seen.since(last.seen);
            let crossed = last.is_taken(above) != space.is_taken(above);
            old >= DAILY || (crossed && old >= HOURLY)
        })
    };
    let is_known = |space: &VaultSpace| policy.vaults.contains_key(&space.vault);
    seen.into_iter()
        .filter(|space| is_known(space) && is_news(space))
        .collect()
}
