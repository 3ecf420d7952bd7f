//! Copies and encrypted: in how many vaults and places the points lie, and whether stored bytes were seen sealed.

use vouchsafe_model::policy::{CopyRule, Tier};
use vouchsafe_model::{Judgement, ObligationKind, Question, Verdict};

use crate::assess::locked;
use crate::assess::owed::{first_open, last_due, last_missed};
use crate::assess::points::{Held, is_outside, without_point};
use crate::assess::{Case, count, judged};

/// Are there as many copies, in the places, that the policy asks for?
pub(super) fn copies(case: &Case<'_>) -> Judgement {
    let Some(newest) = case.view.newest else {
        let (verdict, because, facts) = without_point(case);
        return judged(Question::Copies, verdict, because, facts);
    };
    let rules = &case.protection.copies;
    let mut verdict = Verdict::Met;
    let mut reasons = Vec::new();
    let mut facts = Vec::new();
    let (mut good, mut awaited) = (0usize, 0usize);
    for (n, rule) in rules.iter().enumerate() {
        let held = case.view.held.get(&rule.vault);
        facts.extend(held.map(|h| h.copy.seq));
        let (one, reason) = in_vault(case, n == 0, rule, held, newest.content_time);
        match one {
            Verdict::Met => good += 1,
            Verdict::Unproven => awaited += 1,
            _ => {}
        }
        verdict = verdict.worse(one);
        reasons.extend(reason);
        let lock = held.and_then(|held| locked::in_vault(case, rule, held));
        if let Some(lock) = lock {
            verdict = verdict.worse(lock.verdict);
            reasons.push(lock.because);
            facts.extend(lock.facts);
        }
    }
    facts.sort_unstable();
    facts.dedup();
    let tier = case.system.tier.as_ref();
    if let Some(min) = tier.and_then(|t| t.min_copies) {
        let min = usize::try_from(min).unwrap_or(usize::MAX);
        if good < min {
            let short = if good + awaited >= min {
                Verdict::Unproven
            } else {
                Verdict::NotMet
            };
            verdict = verdict.worse(short);
            reasons.push(format!(
                "{good} of {} that the tier asks for",
                count(min, "copy").replace("copys", "copies")
            ));
        }
    }
    if let Some((one, reason)) = tier.and_then(|t| places(case, t)) {
        verdict = verdict.worse(one);
        reasons.push(reason);
    }
    if rules.is_empty() {
        verdict = verdict.worse(Verdict::Unproven);
        reasons.push("the policy names no vault for it".to_owned());
    }
    let names: Vec<&str> = case.view.held.keys().map(|v| v.as_str()).collect();
    let where_to = if names.is_empty() {
        "no vault".to_owned()
    } else {
        names.join(" and ")
    };
    let mut because = format!("copies read back in {where_to}");
    if !reasons.is_empty() {
        because = format!("{because}; {}", reasons.join("; "));
    }
    judged(Question::Copies, verdict, because, facts)
}

/// One vault: has it what the rule wants by now?
fn in_vault(
    case: &Case<'_>,
    first: bool,
    rule: &CopyRule,
    held: Option<&Held<'_>>,
    newest: vouchsafe_model::Time,
) -> (Verdict, Option<String>) {
    let vault = &rule.vault;
    let Some(held) = held else {
        if let Some(due) = last_missed(case, ObligationKind::Copy, Some(vault)) {
            return (
                Verdict::NotMet,
                Some(format!("none in {vault}, due by {}", due.minute())),
            );
        }
        return match first_open(case, ObligationKind::Copy, Some(vault)) {
            Some(due) if !first => (
                Verdict::Unproven,
                Some(format!("none in {vault} yet, due by {}", due.minute())),
            ),
            _ => (Verdict::NotMet, Some(format!("none in {vault}"))),
        };
    };
    let age = case.ago(held.point.content_time);
    let due = last_due(case, ObligationKind::Copy, Some(vault));
    if let Some(every) = &rule.every {
        let done = held.copy.completed;
        let late = due.is_some_and(|o| o > done) || case.late.is(&every.rule, done);
        return match late {
            true => {
                let text = format!(
                    "the one in {vault} was made {}, the policy says {}",
                    case.ago(done),
                    every.text
                );
                (Verdict::NotMet, Some(text))
            }
            false => (Verdict::Met, None),
        };
    }
    if held.point.content_time >= newest {
        return (Verdict::Met, None);
    }
    // A further vault may lag behind for as long as the copy is not due.
    let open = first_open(case, ObligationKind::Copy, Some(vault));
    match open {
        Some(open) if !first && due.is_none_or(|o| o <= held.point.content_time) => {
            let text = format!(
                "{vault} does not have the newest point yet, due by {}",
                open.minute()
            );
            (Verdict::Met, Some(text))
        }
        _ => {
            let text = format!("{vault} lacks the newest point, its own is of {age}");
            (Verdict::NotMet, Some(text))
        }
    }
}

/// What the tier asks of the copies' places. Places are declared, and a declaration is too weak to show that they
/// are met; it is strong enough to show that they are not.
fn places(case: &Case<'_>, tier: &Tier) -> Option<(Verdict, String)> {
    if !tier.other_region && !tier.same_country {
        return None;
    }
    let own = &case.system.location;
    let wanted = match (tier.other_region, tier.same_country) {
        (true, true) => "another region of the same country",
        (true, false) => "another region",
        _ => "the same country",
    };
    if (tier.other_region && own.region.is_none()) || (tier.same_country && own.country.is_none()) {
        let text =
            format!("one must lie in {wanted}, but the system's own location is not declared");
        return Some((Verdict::Unproven, text));
    }
    let fits = case.view.held.keys().find(|vault| {
        case.policy.vaults.get(**vault).is_some_and(|v| {
            let region = !tier.other_region || is_outside(case.system, &v.location);
            let country = !tier.same_country || v.location.country == own.country;
            region && country
        })
    });
    Some(match fits {
        Some(vault) => {
            let text = format!(
                "{vault} lies in {wanted} by declaration alone, which nothing has shown yet"
            );
            (Verdict::Unproven, text)
        }
        None => (Verdict::NotMet, format!("none lies in {wanted}")),
    })
}

/// Were stored bytes seen to be sealed?
pub(super) fn sealed(case: &Case<'_>) -> Judgement {
    let held: Vec<&Held<'_>> = case
        .protection
        .copies
        .iter()
        .filter_map(|rule| case.view.held.get(&rule.vault))
        .collect();
    let facts = held.iter().map(|h| h.copy.seq).collect();
    let Some(some) = held.first() else {
        let because = "no copy whose stored bytes could be looked at".to_owned();
        return judged(Question::Encrypted, Verdict::Unproven, because, facts);
    };
    if let Some(bare) = held.iter().find(|h| !h.copy.probed) {
        let because = format!(
            "{} is said of the copy in {}, but its stored bytes were not looked at",
            bare.cipher, bare.vault
        );
        return judged(Question::Encrypted, Verdict::Unproven, because, facts);
    }
    let vaults: Vec<&str> = held.iter().map(|h| h.vault.as_str()).collect();
    let because = format!(
        "stored bytes in {} were opened with {} and are not the plaintext",
        vaults.join(" and "),
        some.cipher
    );
    judged(Question::Encrypted, Verdict::Met, because, facts)
}
