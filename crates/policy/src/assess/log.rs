//! What would be lost with the log: judged by what was recorded of it, and by silence.

use vouchsafe_model::policy::Way;
use vouchsafe_model::{LogCopy, LogShipped, Span, Verdict};

use crate::assess::Case;
use crate::assess::points::is_outside;

/// What the log says of freshness; nothing where no log is asked for.
pub(super) fn fresh(case: &Case<'_>, facts: &mut Vec<u64>) -> Option<(Verdict, String)> {
    let target = case.system.tier.as_ref().and_then(|t| t.log_rpo);
    if case.protection.ships_log_every().is_none() {
        return unshipped(case, target?);
    }
    let goal = target.map_or(String::new(), |rpo| format!("; log RPO {rpo}"));
    let Some((seq, log)) = case.view.log() else {
        let text = format!("no log has been shipped yet{goal}");
        return Some((Verdict::Unproven, text));
    };
    facts.push(seq);
    let Some((copy, lost)) = best(case, log) else {
        let text = format!("no copy of the log lies {}{goal}", domain(case));
        return Some((Verdict::NotMet, text));
    };
    let (mut verdict, mut text) = match lost {
        None => (
            Verdict::Unproven,
            format!(
                "the log in {} holds no commit whose time is known",
                copy.vault
            ),
        ),
        Some(lost) if case.now <= log.next_by => (
            Verdict::Met,
            format!("the log in {} is at most {lost} behind", copy.vault),
        ),
        Some(lost) => (
            Verdict::Met,
            format!(
                "nothing was said of the log since {}; in {} it is {lost} old",
                case.ago(log.until),
                copy.vault
            ),
        ),
    };
    if let (Some(target), Some(lost)) = (target, lost) {
        if lost > target {
            verdict = Verdict::NotMet;
            text = format!("{text}; that is over log RPO {target}");
        } else {
            text = format!("{text}{goal}");
        }
    }
    if let Some((seq, gap)) = case.view.gap() {
        let mut points = case.view.complete.values();
        let has_base = points.any(|point| point.started >= gap.found);
        if !has_base {
            facts.push(seq);
            verdict = Verdict::NotMet;
            text = format!(
                "{text}; the log has a gap at {} ({}), and no base lies behind it",
                gap.from, gap.cause
            );
        }
    }
    Some((verdict, text))
}

/// What would be lost now, by the best copy outside the system's own failure domain.
pub(super) fn achieved(case: &Case<'_>) -> Option<Span> {
    case.protection.ships_log_every()?;
    let (_, log) = case.view.log()?;
    best(case, log)?.1
}

/// The copy that would lose least, and how much that is; nothing known of a copy without a commit.
fn best<'a>(case: &Case<'a>, log: &'a LogShipped) -> Option<(&'a LogCopy, Option<Span>)> {
    let outside = log.copies.iter().filter(|copy| {
        let vault = case.policy.vaults.get(&copy.vault);
        let is_named = case.protection.copies.iter().any(|c| c.vault == copy.vault);
        is_named && vault.is_some_and(|v| is_outside(case.system, &v.location))
    });
    outside
        .map(|copy| (copy, lost(case, log, copy)))
        .min_by_key(|(_, lost)| lost.unwrap_or(Span::from_micros(u64::MAX)))
}

/// While the next record may still come, the worst of the time of the last one; after that everything since the newest
/// commit: silence shows.
fn lost(case: &Case<'_>, log: &LogShipped, copy: &LogCopy) -> Option<Span> {
    let newest = copy.newest_commit?;
    if case.now > log.next_by {
        return Some(case.now.since(newest));
    }
    let at_the_end = log.until.since(newest);
    Some(copy.worst.unwrap_or(at_the_end).max(at_the_end))
}

fn domain(case: &Case<'_>) -> String {
    match &case.system.location.region {
        Some(region) => format!("outside region {region}"),
        None => "in any vault".to_owned(),
    }
}

/// What the tier asks of the log, where none is shipped.
fn unshipped(case: &Case<'_>, log_rpo: Span) -> Option<(Verdict, String)> {
    let Way::Capture(url) = &case.protection.way else {
        return None;
    };
    let elsewhere = case.system.protections.values();
    if elsewhere.into_iter().any(|p| p.ships_log_every().is_some()) {
        return None;
    }
    if !url.has_log() && case.protection.log_every.is_none() {
        return None;
    }
    let why = match case.protection.log_every {
        Some(_) if url.has_log() => "a dump cannot be rolled forward",
        _ => "no log is shipped",
    };
    Some((
        Verdict::Unproven,
        format!("log RPO {log_rpo} is not kept: {why}"),
    ))
}
