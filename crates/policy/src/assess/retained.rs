//! Retained: is nothing gone too early and nothing kept too long?

use std::collections::HashMap;

use vouchsafe_model::{Judgement, Question, Span, Time, VaultName, Verdict};

use crate::assess::{Case, count, judged};
use crate::retention::end_of;

/// Is nothing gone too early and nothing kept too long?
pub(super) fn retained(case: &Case<'_>) -> Judgement {
    let keep = &case.protection.keep;
    let say = |verdict, because, facts| judged(Question::Retained, verdict, because, facts);
    if keep.is_unsaid() {
        return say(
            Verdict::Unproven,
            "the policy does not say how long".to_owned(),
            Vec::new(),
        );
    }
    let Some(newest) = case.view.newest else {
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
    if let Some((early, facts)) = let_go_too_early(case) {
        return say(Verdict::NotMet, early, facts);
    }
    let there: Vec<_> = case
        .view
        .points()
        .iter()
        .filter(|p| !case.view.gone.contains(&p.point))
        .collect();
    // The newest complete point is never let go.
    let late: Vec<_> = there
        .iter()
        .filter(|p| p.point != newest.point)
        .filter_map(|p| Some((p.seq, over(p.completed)?)))
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
    let (kept, kept_too_long) = kept_by_locks(case, &over);
    if kept_too_long && let Some((because, facts)) = kept {
        return say(Verdict::NotMet, because, facts);
    }
    let oldest = there.iter().min_by_key(|p| p.completed).unwrap_or(&newest);
    let asked = [
        keep.at_least.map(|l| format!(", at least {l} asked")),
        keep.at_most.map(|l| format!(", at most {l}")),
        (!keep.counts.is_empty()).then(|| format!(", and {}", keep.counts)),
    ];
    let because = format!(
        "{}; the oldest of {} is {} old{}{}",
        deletions(case),
        count(there.len(), "point"),
        case.now.since(oldest.completed),
        asked.into_iter().flatten().collect::<String>(),
        kept.map_or_else(String::new, |(because, _)| format!("; {because}"))
    );
    let mut facts = vec![oldest.seq, newest.seq];
    facts.extend(case.view.track.and_then(|track| track.last_expired));
    facts.dedup();
    say(Verdict::Met, because, facts)
}

fn deletions(case: &Case<'_>) -> String {
    let track = case.view.track;
    match track.map_or((0, 0), |track| case.projection.let_go(track)) {
        (0, _) => "no deletion is recorded".to_owned(),
        (n, removed) => format!(
            "{} let go, none too early, {removed} of them removed",
            count(n, "copy").replace("copys", "copies")
        ),
    }
}

/// What must be gone and a lock keeps, hidden from everybody; and whether it is kept for longer than the policy says.
fn kept_by_locks(
    case: &Case<'_>,
    over: &impl Fn(Time) -> Option<Span>,
) -> (Option<(String, Vec<u64>)>, bool) {
    let Some(track) = case.view.track.filter(|_| case.projection.hides()) else {
        return (None, false);
    };
    let mut too_long = false;
    let mut worst: Option<(usize, Option<Time>, &VaultName)> = None;
    let mut facts = Vec::new();
    let mut lasts: HashMap<&VaultName, Option<u64>> = HashMap::new();
    for one in case.projection.erased(track) {
        let Some(vault) = case.projection.vault(one.vault) else {
            continue;
        };
        // Of what a vault hides the first that was let go has the most behind it.
        let is_first = !lasts.contains_key(one.vault);
        let last = *lasts
            .entry(one.vault)
            .or_insert_with(|| vault.last_hidden());
        if last.is_none_or(|last| last <= one.seq) {
            continue;
        }
        too_long |= one.completed.is_some_and(|at| over(at).is_some());
        facts.push(one.seq);
        if is_first {
            let (objects, until) = vault.hidden(one.seq);
            if worst.is_none_or(|(most, ..)| objects > most) {
                worst = Some((objects, until, one.vault));
            }
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
    let (least, track) = (case.protection.keep.at_least?, case.view.track?);
    let all = case.projection.let_go_before(track, least).into_iter();
    let early: Vec<(u64, Span)> = all
        .filter_map(|one| {
            let end = least.after(one.completed?);
            (one.at < end).then(|| (one.seq, end.since(one.at)))
        })
        .collect();
    let worst = early.iter().map(|(_, by)| *by).max()?;
    let what = count(early.len(), "copy").replace("copys", "copies");
    let because = format!("{what} let go too early, the worst by {worst}; at least {least} asked");
    Some((because, early.into_iter().map(|(seq, _)| seq).collect()))
}
