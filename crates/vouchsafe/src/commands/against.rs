//! `agenda --against`: what the policy at hand changes, held against another version of it.

use std::collections::BTreeMap;

use vouchsafe_evidence::{alterations_text, count, len};
use vouchsafe_host::files;
use vouchsafe_keeper::{KeeperError, PointsAgainst, PolicyFile, points_against};
use vouchsafe_model::{Obligation, ObligationId, Span, Time};
use vouchsafe_policy::change::{self, Version};

use crate::exit::{Exit, Failure};
use crate::findings;
use crate::session::Session;

/// Shows what differs.
pub(crate) fn against(session: &Session, revision: &str, days: u32) -> Result<Exit, Failure> {
    let (_, file) = session.policy_file()?;
    let other = other(session, revision)?;
    let (Some(old), Some(new)) = (Version::of(&other.lowered), Version::of(&file.lowered)) else {
        let errors = other.lowered.problems.iter();
        let rows: Vec<String> = errors
            .filter(|p| findings::is_error(p))
            .map(|p| findings::line(&other, p))
            .collect();
        return Err(Failure::Usage(format!(
            "the policy of `{revision}` cannot be used:\n  {}",
            rows.join("\n  ")
        )));
    };
    let compared = change::compare(&[old], new);
    let now = session.now();
    let until = now.plus(Span::from_days(days.into()));
    let ahead = |policy| -> BTreeMap<ObligationId, Obligation> {
        let all = vouchsafe_policy::obligations(policy, now, until);
        all.into_iter().map(|o| (o.id.clone(), o)).collect()
    };
    let (before, after) = (ahead(old.policy), ahead(new.policy));
    let gone = only_in(&before, &after);
    let fresh = only_in(&after, &before);
    let is_made = session.state.is_initialised()?;
    let facts = match is_made {
        true => session.keeper()?.facts()?,
        false => Vec::new(),
    };
    let points = points_against(old.policy, new.policy, &facts, now);
    if session.output.json {
        session.output.json(&serde_json::json!({
            "against": revision,
            "now": now,
            "alterations": compared.alterations,
            "obligations_gone": gone,
            "obligations_new": fresh,
            "points": points.iter().map(json).collect::<Vec<_>>(),
        }))?;
        return Ok(Exit::Met);
    }
    let mut lines = vec![
        format!("The policy, held against {revision}:"),
        String::new(),
    ];
    let options = session.output.text_options(false);
    match compared.alterations.is_empty() {
        true => lines.push("  it promises the same".to_owned()),
        false => lines.extend(alterations_text(&compared.alterations, options)),
    }
    lines.push(String::new());
    let ahead = count(days.into(), "day");
    lines.extend(differing(&format!("NO LONGER DUE within {ahead}"), &gone));
    lines.extend(differing(&format!("NEWLY DUE within {ahead}"), &fresh));
    match is_made {
        true => lines.extend(points_text(&points, now)),
        false => {
            lines.push("nothing is initialised here, so there are no points to look at".to_owned())
        }
    }
    session.output.text(&lines.join("\n"))?;
    Ok(Exit::Met)
}

/// A file by that name, else a git revision.
fn other(session: &Session, revision: &str) -> Result<PolicyFile, Failure> {
    let base = session.policy_path.parent().unwrap_or(&session.policy_path);
    let path = std::path::Path::new(revision);
    if files::exists(path).map_err(KeeperError::from)? {
        return Ok(PolicyFile::read_for(path, base)?);
    }
    let found = PolicyFile::at_revision(&session.policy_path, revision, &session.tools);
    Ok(found?)
}

fn only_in<'o>(
    these: &'o BTreeMap<ObligationId, Obligation>,
    those: &BTreeMap<ObligationId, Obligation>,
) -> Vec<&'o Obligation> {
    let mut out: Vec<&Obligation> = these
        .iter()
        .filter(|(id, _)| !those.contains_key(*id))
        .map(|(_, o)| o)
        .collect();
    out.sort_by_key(|o| (o.due, o.kind, o.subject()));
    out
}

/// One line for each kind and subject.
fn differing(head: &str, obligations: &[&Obligation]) -> Vec<String> {
    if obligations.is_empty() {
        return Vec::new();
    }
    let mut by_subject: BTreeMap<(String, String), (u64, Time)> = BTreeMap::new();
    for o in obligations {
        let entry = by_subject
            .entry((o.kind.to_string(), o.subject()))
            .or_insert((0, o.due));
        entry.0 += 1;
        entry.1 = entry.1.min(o.due);
    }
    let mut lines = vec![head.to_owned()];
    for ((kind, subject), (n, first)) in by_subject {
        let times = match n {
            1 => String::new(),
            n => format!(", {n} times"),
        };
        lines.push(format!("  {kind} {subject}: {}{times}", first.minute()));
    }
    lines.push(String::new());
    lines
}

fn points_text(points: &[PointsAgainst], now: Time) -> Vec<String> {
    if points.is_empty() {
        return vec!["no point that is there would be lost earlier".to_owned()];
    }
    let mut lines = vec!["POINTS".to_owned()];
    for group in points {
        let (protection, vault) = (&group.protection, &group.vault);
        if group.abandoned {
            lines.push(format!(
                "  {protection} in {vault}: {} stay there, nothing tends them any more, and no new ones come",
                count(len(group.points), "point")
            ));
            continue;
        }
        lines.push(format!(
            "  {protection} in {vault}: {} of {} would be lost earlier",
            group.earlier.len(),
            count(len(group.points), "point")
        ));
        for fate in &group.earlier {
            let when = match fate.goes {
                Some(at) if at <= now => "at the next prune".to_owned(),
                Some(at) => format!("from {} on", at.minute()),
                None => "when newer points take its place".to_owned(),
            };
            lines.push(format!(
                "    - {} {when}, was kept {} ({})",
                fate.point, fate.before, fate.reason
            ));
        }
    }
    lines
}

fn json(group: &PointsAgainst) -> serde_json::Value {
    serde_json::json!({
        "protection": group.protection,
        "vault": group.vault,
        "points": group.points,
        "abandoned": group.abandoned,
        "earlier": group.earlier.iter().map(|fate| serde_json::json!({
            "point": fate.point,
            "kept_before": fate.before,
            "goes": fate.goes,
            "reason": fate.reason,
        })).collect::<Vec<_>>(),
    })
}
