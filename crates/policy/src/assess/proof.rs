//! Verified, proven, retained: were copies read back, does a restore work, is nothing kept too long?

use vouchsafe_model::policy::VerifyRule;
use vouchsafe_model::{
    DrillResult, Judgement, ObligationKind, Question, RungOutcome, Span, Time, VaultName, Verdict,
};

use crate::assess::owed::{first_open, last_missed};
use crate::assess::points::Held;
use crate::assess::projection::{Clean, Drill, Vault};
use crate::assess::redrill::{self, Captured};
use crate::assess::{Case, count, judged};
use crate::schedule::good_until;

/// Were the copies read back in time?
pub(super) fn verified(case: &Case<'_>) -> Judgement {
    let mut verdict = Verdict::Met;
    let mut reasons = Vec::new();
    let mut facts = Vec::new();
    for rule in &case.protection.copies {
        let Some(held) = case.view.held.get(&rule.vault) else {
            continue;
        };
        let known = case.projection.vault(&rule.vault);
        let (one, reason, seq) = vault_verified(case, &rule.vault, held, known);
        verdict = verdict.worse(one);
        reasons.push(reason);
        facts.extend(seq);
    }
    if reasons.is_empty() {
        verdict = Verdict::Unproven;
        reasons.push("no copy to read back".to_owned());
    }
    judged(Question::Verified, verdict, reasons.join("; "), facts)
}

fn vault_verified(
    case: &Case<'_>,
    vault: &VaultName,
    held: &Held<'_>,
    known: Option<&Vault>,
) -> (Verdict, String, Option<u64>) {
    if let Some(bad) = known.and_then(Vault::standing_problem)
        && held.since <= bad.completed
    {
        let text = format!(
            "{vault}: {} found {}, first at {}",
            count(bad.problems, "problem"),
            case.ago(bad.completed),
            bad.first
        );
        return (Verdict::NotMet, text, Some(bad.seq));
    }
    let rule = case.protection.verify.as_ref();
    // What was read before the first copy was there says nothing of it.
    let clean = known.and_then(|vault| vault.clean(rule));
    match clean.filter(|v| held.first <= v.completed) {
        Some(v) if v.covers(rule) => {
            let (verdict, mut text) = in_time(case, vault, v, rule);
            let coverage = known.and_then(|vault| vault.coverage.as_ref());
            if let Some((_, coverage)) = coverage.filter(|_| !v.complete) {
                text = format!("{text}; {}", coverage.share());
            }
            (verdict, text, Some(v.seq))
        }
        Some(v) => {
            let text = format!(
                "{vault}: {} of {} read {}, less than the policy asks for",
                v.packs_read,
                count(usize::try_from(v.packs_total).unwrap_or(usize::MAX), "pack"),
                case.ago(v.completed)
            );
            (Verdict::Unproven, text, Some(v.seq))
        }
        None => never_verified(case, vault),
    }
}

fn never_verified(case: &Case<'_>, vault: &VaultName) -> (Verdict, String, Option<u64>) {
    let kind = ObligationKind::Verify;
    if let Some(due) = last_missed(case, kind, Some(vault)) {
        let text = format!(
            "{vault}: not read back since it was copied; due by {}",
            due.minute()
        );
        return (Verdict::NotMet, text, None);
    }
    let when = match first_open(case, kind, Some(vault)) {
        Some(due) => format!("the first time is due by {}", due.minute()),
        None => match &case.protection.verify {
            Some(rule) => format!("the policy says {}", rule.every.text),
            None => "the policy does not say how often".to_owned(),
        },
    };
    let text = format!("{vault}: not read back since it was copied; {when}");
    (Verdict::Unproven, text, None)
}

fn in_time(
    case: &Case<'_>,
    vault: &VaultName,
    done: &Clean,
    rule: Option<&VerifyRule>,
) -> (Verdict, String) {
    let bytes = match done.complete {
        true => "all bytes".to_owned(),
        false => format!("{} of {} packs", done.packs_read, done.packs_total),
    };
    let text = format!("{vault}: {bytes} read back {}", case.ago(done.completed));
    match rule {
        Some(rule) if case.late.is(&rule.every.rule, done.completed) => (
            Verdict::NotMet,
            format!("{text}, the policy says {}", rule.every.text),
        ),
        _ => (Verdict::Met, text),
    }
}

/// Drills that say something: under the rules of now, on a complete point that the ledger knows, with the engine and
/// the key of now.
fn valid<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a Drill> {
    let all = case.view.track.map_or(&[][..], |track| &track.drills);
    all.iter().filter(|drill| void(case, drill).is_none())
}

/// Why a drill says nothing any more.
fn void(case: &Case<'_>, drill: &Drill) -> Option<&'static str> {
    if case.projection.text(drill.rules) != case.rules {
        return Some("before the protection's rules changed");
    }
    if !case.view.complete.contains_key(&drill.point) {
        return Some("on a point that is not complete or not known");
    }
    let newest = case.view.newest.and_then(|p| p.engine);
    if let (Some(then), Some(now)) = (drill.engine, newest)
        && then != now
    {
        return Some("with another major version of the engine");
    }
    let vault = case.projection.vault_name(drill.vault)?;
    let held = case.view.held.get(vault).map(|h| h.copy.key);
    let copies = case.view.track.map_or(&[][..], |track| &track.copies);
    let mut copies = copies.iter().rev().filter(|copy| !copy.void);
    let drilled = copies.find(|c| c.point == drill.point && c.vault == drill.vault);
    match (drilled.map(|copy| copy.key), held) {
        (Some(then), Some(now)) if then != now => Some("under another master key"),
        _ => None,
    }
}

/// The newest drill that says something.
pub(super) fn newest<'a>(case: &Case<'a>) -> Option<&'a Drill> {
    valid(case).max_by_key(|d| (d.ended, d.seq))
}

/// The newest green one.
pub(super) fn newest_green<'a>(case: &Case<'a>) -> Option<&'a Drill> {
    let green = valid(case).filter(|d| d.is_green());
    green.max_by_key(|d| (d.ended, d.seq))
}

/// By when a drill is due because the schema changed since the last one.
fn redrill_due(case: &Case<'_>) -> Option<Time> {
    case.protection.drill.as_ref()?;
    let points = case.view.complete.values().map(|p| Captured {
        point: &p.point,
        content_time: p.content_time,
        completed: p.completed,
        schema: p.schema,
    });
    let green = valid(case).filter(|d| d.is_green());
    redrill::due(points, green.map(|d| &d.point))
}

/// Did a drill show in time that it comes back, within the RTO?
pub(super) fn proven(case: &Case<'_>) -> Judgement {
    let Some(drill) = newest(case) else {
        return unproven(case);
    };
    let facts = vec![drill.seq];
    let say = |verdict, because| judged(Question::Proven, verdict, because, facts.clone());
    let age = case.ago(drill.ended);
    if let Some(failure) = &drill.failure {
        return say(
            Verdict::NotMet,
            format!("the last drill, {age}, failed: {failure}"),
        );
    }
    let rto = drill.achieved_rto;
    let vault = case.projection.vault_name(drill.vault);
    let vault = vault.map_or("", VaultName::as_str);
    let restored = format!("restored and compared {age} from {vault}, in {rto}");
    if let Some(target) = case.system.tier.as_ref().and_then(|t| t.rto)
        && rto > target
    {
        return say(
            Verdict::NotMet,
            format!("{restored}; that is over RTO {target}"),
        );
    }
    let asked = case.protection.equality();
    let is_shown = |asked| drill.equal_to.as_ref().is_some_and(|e| e.answers(asked));
    if !asked.is_none_or(is_shown) {
        let because = format!(
            "{restored}; to what else it is equal, as the policy asks, no drill has shown since"
        );
        return say(Verdict::Unproven, because);
    }
    let restored = match &drill.equal_to {
        Some(equal) => format!("{restored}, equal to {}", equal.text),
        None => restored,
    };
    let restored = match projected(case, drill) {
        None => restored,
        Some((times, projected)) => {
            let because = format!(
                "{restored}; the newest point is {times} times as large, which by that measure takes {projected}"
            );
            if let Some(target) = case.system.tier.as_ref().and_then(|t| t.rto)
                && projected > target
            {
                return say(
                    Verdict::Unproven,
                    format!("{because}; that is over RTO {target}, and no drill has shown less"),
                );
            }
            because
        }
    };
    let restored = match redrill_due(case) {
        Some(due) if due < case.now => {
            let because = format!(
                "{restored}; its schema changed since, and the drill of that, due by {}, was missed",
                due.minute()
            );
            return say(Verdict::NotMet, because);
        }
        Some(due) => format!(
            "{restored}; its schema changed since, a drill of that is due by {}",
            due.minute()
        ),
        None => restored,
    };
    match &case.protection.drill {
        Some(rule) if good_until(&rule.every.rule, drill.ended) < case.now => {
            let because = format!(
                "{restored}; the proof is older than the policy allows ({})",
                rule.every.text
            );
            say(Verdict::NotMet, because)
        }
        Some(_) => say(Verdict::Met, restored),
        None => say(
            Verdict::Met,
            format!("{restored}; the policy does not say how often"),
        ),
    }
}

/// How many times as large as the drilled point the newest one is, and how long it would take if time grows as size
/// does; nothing unless it is larger by a tenth or more.
fn projected(case: &Case<'_>, drill: &Drill) -> Option<(String, Span)> {
    let now = case.view.newest?.bytes;
    let then = drill.bytes;
    if then == 0 || u128::from(now) * 10 < u128::from(then) * 11 {
        return None;
    }
    let tenths = u128::from(now) * 10 / u128::from(then);
    let took = u128::from(drill.achieved_rto.micros());
    let grown = took.saturating_mul(u128::from(now)) / u128::from(then);
    let grown = Span::from_micros(u64::try_from(grown).unwrap_or(u64::MAX));
    Some((format!("{}.{}", tenths / 10, tenths % 10), grown))
}

fn unproven(case: &Case<'_>) -> Judgement {
    let last = case.view.track.and_then(|track| track.last_drill.as_ref());
    if let Some(old) = last {
        let why = void(case, old).unwrap_or("void");
        let because = format!(
            "the last drill, {}, was {why}; it proves nothing now",
            case.ago(old.ended)
        );
        return judged(Question::Proven, Verdict::Unproven, because, vec![old.seq]);
    }
    let (verdict, because) = match last_missed(case, ObligationKind::Drill, None) {
        Some(due) => (
            Verdict::NotMet,
            format!(
                "never restored; the drill due by {} was missed",
                due.minute()
            ),
        ),
        None => match first_open(case, ObligationKind::Drill, None) {
            Some(due) => (
                Verdict::Unproven,
                format!("never restored; the first drill is due by {}", due.minute()),
            ),
            None => {
                let asked = match &case.protection.drill {
                    Some(rule) => format!("the policy says {}", rule.every.text),
                    None => "and the policy asks for no drill".to_owned(),
                };
                (Verdict::Unproven, format!("never restored, {asked}"))
            }
        },
    };
    judged(Question::Proven, verdict, because, Vec::new())
}

/// What of a drill that is not green went wrong first.
pub(super) fn failure(drill: &DrillResult) -> String {
    if let Some(red) = drill.ladder.first_red() {
        return format!(
            "rung {} expected {} and found {}",
            red.name, red.expected, red.actual
        );
    }
    if let Some(missed) = drill.negative_controls.iter().find(|c| !c.caught()) {
        return format!(
            "the damage {} was not caught by rung {}",
            missed.damage.name, missed.damage.must_redden
        );
    }
    if !drill.sandbox.destroyed {
        return "the sandbox was not shown to be gone".to_owned();
    }
    let skipped = drill
        .ladder
        .rungs
        .iter()
        .find(|r| r.outcome == RungOutcome::Skipped);
    match skipped {
        Some(rung) => format!("rung {} was skipped", rung.name),
        None => "nothing was compared".to_owned(),
    }
}
