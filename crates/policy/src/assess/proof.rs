//! Verified, proven, retained: were copies read back, does a restore work, is nothing kept too long?

use vouchsafe_model::fact::{CopyFact, VaultCoverage, Verification};
use vouchsafe_model::policy::VerifyRule;
use vouchsafe_model::{
    DrillResult, Judgement, ObligationKind, Question, RungOutcome, Span, Time, VaultName, Verdict,
};

use crate::assess::index::{Index, Seen};
use crate::assess::owed::{first_open, last_missed};
use crate::assess::points::Held;
use crate::assess::redrill;
use crate::assess::{Case, count, judged};
use crate::retention::end_of;
use crate::schedule::{good_until, next_end};
use crate::verification;

/// Were the copies read back in time?
pub(super) fn verified(case: &Case<'_>, index: &Index<'_>) -> Judgement {
    let mut verdict = Verdict::Met;
    let mut reasons = Vec::new();
    let mut facts = Vec::new();
    for rule in &case.protection.copies {
        let Some(held) = case.view.held.get(&rule.vault) else {
            continue;
        };
        let runs = index.verifications(&rule.vault);
        let coverage = index.coverage(&rule.vault);
        let (one, reason, seq) = vault_verified(case, &rule.vault, held, runs, coverage);
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
    runs: &[Seen<'_, Verification>],
    coverage: Option<Seen<'_, VaultCoverage>>,
) -> (Verdict, String, Option<u64>) {
    if let Some((seq, bad)) = standing_problem(runs, coverage)
        && held.since <= bad.completed
    {
        let first = bad.problems.first().map_or("", |p| p.place.as_str());
        let text = format!(
            "{vault}: {} found {}, first at {first}",
            count(bad.problems.len(), "problem"),
            case.ago(bad.completed)
        );
        return (Verdict::NotMet, text, Some(*seq));
    }
    let rule = case.protection.verify.as_ref();
    let clean = runs
        .iter()
        .filter(|(_, v)| v.problems.is_empty())
        .max_by_key(|(_, v)| covers(v, rule).then_some(v.completed));
    match clean {
        Some((seq, v)) if covers(v, rule) => {
            let (verdict, mut text) = in_time(case, vault, v, rule);
            if let Some((_, coverage)) = coverage.filter(|_| !v.complete) {
                text = format!("{text}; {}", coverage.share());
            }
            (verdict, text, Some(*seq))
        }
        Some((seq, v)) => {
            let text = format!(
                "{vault}: {} of {} read {}, less than the policy asks for",
                v.packs_read,
                count(usize::try_from(v.packs_total).unwrap_or(usize::MAX), "pack"),
                case.ago(v.completed)
            );
            (Verdict::Unproven, text, Some(*seq))
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
        None => "the policy does not say how often".to_owned(),
    };
    let text = format!("{vault}: not read back since it was copied; {when}");
    (Verdict::Unproven, text, None)
}

fn in_time(
    case: &Case<'_>,
    vault: &VaultName,
    done: &Verification,
    rule: Option<&VerifyRule>,
) -> (Verdict, String) {
    let bytes = match done.complete {
        true => "all bytes".to_owned(),
        false => format!("{} of {} packs", done.packs_read, done.packs_total),
    };
    let text = format!("{vault}: {bytes} read back {}", case.ago(done.completed));
    match rule {
        Some(rule) if next_end(&rule.every.rule, done.completed) < case.now => (
            Verdict::NotMet,
            format!("{text}, the policy says {}", rule.every.text),
        ),
        _ => (Verdict::Met, text),
    }
}

/// The newest verification with problems, unless later ones have read everything and were clean: at once, or
/// piece by piece, as what is remembered of them shows.
fn standing_problem<'s, 'f>(
    runs: &'s [Seen<'f, Verification>],
    coverage: Option<Seen<'_, VaultCoverage>>,
) -> Option<&'s Seen<'f, Verification>> {
    let bad = runs
        .iter()
        .filter(|(_, v)| !v.problems.is_empty())
        .max_by_key(|(seq, v)| (v.completed, *seq))?;
    let cleared = runs.iter().any(|(seq, v)| {
        let piecewise = coverage.is_some_and(|(at, c)| c.is_whole() && at > *seq);
        (v.complete || piecewise) && v.problems.is_empty() && v.completed > bad.1.completed
    });
    (!cleared).then_some(bad)
}

fn covers(done: &Verification, rule: Option<&VerifyRule>) -> bool {
    verification::covers(done.packs_read, done.packs_total, done.complete, rule)
}

/// Drills that say something: under the rules of now, on a complete point that the ledger knows, with the engine and
/// the key of now.
fn valid<'a>(case: &Case<'a>) -> impl Iterator<Item = Seen<'a, DrillResult>> {
    let rules = case.protection.rules_digest();
    let all = case.view.drills.iter().copied();
    all.filter(move |(_, d)| void(case, d, &rules).is_none())
        .collect::<Vec<_>>()
        .into_iter()
}

/// Why a drill says nothing any more.
fn void(case: &Case<'_>, drill: &DrillResult, rules: &str) -> Option<&'static str> {
    if drill.rules_digest != rules {
        return Some("before the protection's rules changed");
    }
    if !case.view.complete.contains_key(&drill.point) {
        return Some("on a point that is not complete or not known");
    }
    let newest = case.view.newest.and_then(|(_, p)| p.engine.as_ref());
    if let (Some(then), Some(now)) = (&drill.engine, newest)
        && then.major() != now.major()
    {
        return Some("with another major version of the engine");
    }
    let key_of = |copy: &CopyFact| copy.encryption.key.clone();
    let held = case.view.held.get(&drill.vault).map(|h| key_of(h.copy));
    let of_point = |c: &CopyFact| c.point == drill.point && c.vault == drill.vault;
    let copies = case.view.copies.iter().rev();
    let drilled = copies.map(|(_, c)| *c).find(|c| of_point(c)).map(key_of);
    match (drilled, held) {
        (Some(then), Some(now)) if then != now => Some("under another master key"),
        _ => None,
    }
}

/// The newest drill that says something.
pub(super) fn newest<'a>(case: &Case<'a>) -> Option<Seen<'a, DrillResult>> {
    valid(case).max_by_key(|(seq, d)| (d.ended, *seq))
}

/// The newest green one.
pub(super) fn newest_green<'a>(case: &Case<'a>) -> Option<Seen<'a, DrillResult>> {
    valid(case)
        .filter(|(_, d)| d.is_green())
        .max_by_key(|(seq, d)| (d.ended, *seq))
}

/// Did a drill show in time that it comes back, within the RTO?
pub(super) fn proven(case: &Case<'_>) -> Judgement {
    let Some((seq, drill)) = newest(case) else {
        return unproven(case);
    };
    let facts = vec![seq];
    let say = |verdict, because| judged(Question::Proven, verdict, because, facts.clone());
    let age = case.ago(drill.ended);
    if !drill.is_green() {
        return say(
            Verdict::NotMet,
            format!("the last drill, {age}, failed: {}", failure(drill)),
        );
    }
    let rto = drill.achieved_rto;
    let restored = format!("restored and compared {age} from {}, in {rto}", drill.vault);
    if let Some(target) = case.system.tier.as_ref().and_then(|t| t.rto)
        && rto > target
    {
        return say(
            Verdict::NotMet,
            format!("{restored}; that is over RTO {target}"),
        );
    }
    let changed = redrill::due(
        case.view.complete.values().map(|(_, p)| *p),
        valid(case).filter(|(_, d)| d.is_green()).map(|(_, d)| d),
    )
    .filter(|_| case.protection.drill.is_some());
    let restored = match changed {
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

fn unproven(case: &Case<'_>) -> Judgement {
    if let Some((seq, old)) = case
        .view
        .drills
        .iter()
        .max_by_key(|(seq, d)| (d.ended, *seq))
    {
        let why = void(case, old, &case.protection.rules_digest()).unwrap_or("void");
        let because = format!(
            "the last drill, {}, was {why}; it proves nothing now",
            case.ago(old.ended)
        );
        return judged(Question::Proven, Verdict::Unproven, because, vec![*seq]);
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
            None => (
                Verdict::Unproven,
                "never restored, and the policy asks for no drill".to_owned(),
            ),
        },
    };
    judged(Question::Proven, verdict, because, Vec::new())
}

fn failure(drill: &DrillResult) -> String {
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

/// Is nothing gone too early and nothing kept too long?
pub(super) fn retained(case: &Case<'_>, index: &Index<'_>) -> Judgement {
    let keep = &case.protection.keep;
    let say = |verdict, because, facts| judged(Question::Retained, verdict, because, facts);
    if keep.is_unsaid() {
        return say(
            Verdict::Unproven,
            "the policy does not say how long".to_owned(),
            Vec::new(),
        );
    }
    let Some((newest_seq, newest)) = case.view.newest else {
        return say(
            Verdict::Unproven,
            "no point to keep yet".to_owned(),
            Vec::new(),
        );
    };
    let over = |completed: Time| {
        let end = keep.at_most.and_then(|_| end_of(completed, keep))?;
        let end = keep.grace.map_or(end, |grace| grace.after(end));
        (end < case.now).then(|| case.now.since(end))
    };
    // The newest complete point is never let go.
    let others = case
        .view
        .points
        .iter()
        .filter(|(_, p)| p.point != newest.point && !case.view.gone.contains(&p.point));
    if let Some((early, facts)) = let_go_too_early(case) {
        return say(Verdict::NotMet, early, facts);
    }
    let late: Vec<_> = others
        .filter_map(|(seq, p)| Some((*seq, over(p.completed)?)))
        .collect();
    if let Some(worst) = late.iter().map(|(_, by)| *by).max() {
        let because = format!(
            "{} kept too long, the oldest by {worst}",
            count(late.len(), "point")
        );
        return say(
            Verdict::NotMet,
            because,
            late.into_iter().map(|(seq, _)| seq).collect(),
        );
    }
    let (kept, kept_too_long) = kept_by_locks(case, index, &over);
    if kept_too_long && let Some((because, facts)) = kept {
        return say(Verdict::NotMet, because, facts);
    }
    let there: Vec<_> = case
        .view
        .points
        .iter()
        .filter(|(_, p)| !case.view.gone.contains(&p.point))
        .collect();
    let oldest = there.iter().min_by_key(|(_, p)| p.completed);
    let (oldest_seq, age) = match oldest {
        Some((seq, p)) => (*seq, case.now.since(p.completed)),
        None => (newest_seq, case.now.since(newest.completed)),
    };
    let asked = [
        keep.at_least.map(|l| format!(", at least {l} asked")),
        keep.at_most.map(|l| format!(", at most {l}")),
        (!keep.counts.is_empty()).then(|| format!(", and {}", keep.counts)),
    ];
    let removed = case.view.expired.iter().filter(|one| one.gone).count();
    let deletions = match (case.view.expired.len(), removed) {
        (0, _) => "no deletion is recorded".to_owned(),
        (n, removed) => format!(
            "{} let go, none too early, {removed} of them removed",
            count(n, "copy").replace("copys", "copies")
        ),
    };
    let because = format!(
        "{deletions}; the oldest of {} is {age} old{}{}",
        count(there.len(), "point"),
        asked.into_iter().flatten().collect::<String>(),
        kept.map_or_else(String::new, |(because, _)| format!("; {because}"))
    );
    let mut facts = vec![oldest_seq, newest_seq];
    facts.extend(case.view.expired.last().map(|one| one.seq));
    facts.dedup();
    say(Verdict::Met, because, facts)
}

/// What must be gone and a lock keeps, hidden from everybody; and whether it is kept for longer than the policy says.
fn kept_by_locks(
    case: &Case<'_>,
    index: &Index<'_>,
    over: &impl Fn(Time) -> Option<Span>,
) -> (Option<(String, Vec<u64>)>, bool) {
    let mut too_long = false;
    let mut worst: Option<(usize, Option<Time>, &VaultName)> = None;
    let mut facts = Vec::new();
    for one in case
        .view
        .expired
        .iter()
        .filter(|one| one.gone && one.copy.erase)
    {
        let (objects, until) = index.hidden(one.vault, one.seq);
        if objects == 0 {
            continue;
        }
        let point = case
            .view
            .points
            .iter()
            .find(|(_, p)| p.point == one.copy.point);
        too_long |= point.is_some_and(|(_, p)| over(p.completed).is_some());
        facts.push(one.seq);
        if worst.is_none_or(|(most, ..)| objects > most) {
            worst = Some((objects, until, one.vault));
        }
    }
    let said = worst.map(|(objects, until, vault)| {
        let until = match until {
            Some(at) => format!("locked until {}", at.minute()),
            None => "held".to_owned(),
        };
        let what = count(objects, "object");
        (
            format!("{what} that must be gone from {vault} hidden and {until}"),
            facts,
        )
    });
    (said, too_long)
}

/// Copies that were let go before they were as old as the policy asks for at least.
fn let_go_too_early(case: &Case<'_>) -> Option<(String, Vec<u64>)> {
    let least = case.protection.keep.at_least?;
    let mut early: Vec<(u64, Span)> = Vec::new();
    for one in case.view.expired {
        let point = case
            .view
            .points
            .iter()
            .find(|(_, p)| p.point == one.copy.point);
        let end = point.map(|(_, p)| least.after(p.completed));
        early.extend(
            end.filter(|end| one.at < *end)
                .map(|end| (one.seq, end.since(one.at))),
        );
    }
    let worst = early.iter().map(|(_, by)| *by).max()?;
    let what = count(early.len(), "copy").replace("copys", "copies");
    let because = format!("{what} let go too early, the worst by {worst}; at least {least} asked");
    Some((because, early.into_iter().map(|(seq, _)| seq).collect()))
}
