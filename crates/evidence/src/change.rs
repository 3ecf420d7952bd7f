//! What a change of the policy alters, as lines of text; equal alterations of many places are told once.

use vouchsafe_model::{Alteration, ChangeDecision, Effect, PolicyChange, Strength};

use crate::layout::{Colour, TextOptions, clean, wrapped};
use crate::words::{count, len};

/// A change that waits, or was denied, as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct PendingChange<'a> {
    /// The change, its list of alterations whole.
    pub change: &'a PolicyChange,
    /// The decision by which it was denied, if it was.
    pub denied: Option<&'a ChangeDecision>,
}

/// Alterations of the same kind, each with the places that it concerns, in the order given.
pub fn grouped(alterations: &[Alteration]) -> Vec<(Effect, &str, Vec<&str>)> {
    let mut out: Vec<(Effect, &str, Vec<&str>)> = Vec::new();
    let mut known = std::collections::BTreeMap::new();
    for alteration in alterations {
        let key = (
            alteration.effect,
            alteration.what.as_str(),
            kind_of(&alteration.place),
        );
        let at = *known.entry(key).or_insert_with(|| {
            out.push((alteration.effect, &alteration.what, Vec::new()));
            out.len() - 1
        });
        if let Some((_, _, places)) = out.get_mut(at) {
            places.push(&alteration.place);
        }
    }
    out
}

/// A place without the name in it: `systems/*/keep`.
fn kind_of(place: &str) -> (&str, &str) {
    let table = place.split('/').next().unwrap_or_default();
    let key = place.rsplit('/').next().unwrap_or_default();
    match place.matches('/').count() {
        0 | 1 => (table, ""),
        _ => (table, key),
    }
}

/// Alterations as lines: a mark, the places, what differs.
pub fn alterations_text(alterations: &[Alteration], opts: TextOptions) -> Vec<String> {
    const MOST: usize = 4;
    let mut lines = Vec::new();
    for (effect, what, places) in grouped(alterations) {
        let (mark, colour) = match effect {
            Effect::Weakens => ("-", Colour::Bad),
            Effect::Strengthens => ("+", Colour::Good),
            Effect::Neutral => ("~", Colour::Plain),
        };
        let more = places.len().saturating_sub(MOST);
        let mut shown: Vec<String> = places.iter().take(MOST).map(|p| clean(p)).collect();
        if more > 0 {
            shown.push(format!("and {more} more"));
        }
        let text = format!("{}: {}", shown.join(", "), clean(what));
        let first = format!("  {} ", opts.paint(colour, mark));
        lines.extend(wrapped(&text, opts.columns(), &first, "    "));
    }
    lines
}

/// A change that waits, and what to do about it.
pub fn pending_text(pending: PendingChange<'_>, opts: TextOptions) -> String {
    let change = pending.change;
    let head = match pending.denied {
        None => format!(
            "CHANGE {} WAITS FOR APPROVAL: {} the policy; what was promised before stays in force",
            change.change,
            weakening(change.weakens)
        ),
        Some(denied) => format!(
            "CHANGE {} WAS DENIED by {} ({}): {} the policy; what was promised before stays in force",
            change.change,
            clean(&denied.by),
            clean(&denied.reason),
            weakening(change.weakens)
        ),
    };
    let mut lines: Vec<String> = wrapped(&head, opts.columns(), "", "")
        .into_iter()
        .map(|line| opts.paint(Colour::Bad, &line))
        .collect();
    let weakening: Vec<Alteration> = change
        .alterations
        .iter()
        .filter(|a| a.effect == Effect::Weakens)
        .cloned()
        .collect();
    lines.extend(alterations_text(&weakening, opts));
    let advice = match pending.denied {
        None => format!(
            "  agree: vouchsafe approve {0} --by NAME --reason WHY; refuse: vouchsafe deny {0} …; or take it back in the file",
            change.change
        ),
        Some(_) => "  take it back in the file, or have it approved after all".to_owned(),
    };
    lines.extend(wrapped(&advice, opts.columns(), "", "  "));
    lines.push(String::new());
    lines.join("\n")
}

fn weakening(n: u64) -> String {
    match n {
        1 => "1 alteration weakens".to_owned(),
        n => format!("{n} alterations weaken"),
    }
}

/// A change as a sentence for the record.
pub(crate) fn changed(change: &PolicyChange) -> String {
    let mut text = format!(
        "Policy {} by {} ({}) differs: {} weaken, {} strengthen, {} do neither.",
        short(&change.to),
        change.author,
        change.author_known,
        change.weakens,
        change.strengthens,
        change.neutral
    );
    if change.weakens > 0 {
        text = format!(
            "Change {} waits for approval. {text} It weakens {}.",
            change.change,
            weakens(change)
        );
    }
    text
}

fn weakens(change: &PolicyChange) -> String {
    let weakening: Vec<&Alteration> = change
        .alterations
        .iter()
        .filter(|a| a.effect == Effect::Weakens)
        .take(20)
        .collect();
    let mut shown: Vec<String> = weakening
        .iter()
        .map(|a| format!("{}: {}", a.place, a.what))
        .collect();
    let more = change.weakens.saturating_sub(len(shown.len()));
    if more > 0 {
        shown.push(format!("{} more", count(more, "place")));
    }
    shown.join("; ")
}

/// A decision as a sentence for the record.
pub(crate) fn decided(decision: &ChangeDecision) -> String {
    let done = match decision.granted {
        true => "approved",
        false => "denied",
    };
    let how = match (&decision.signed, decision.strength) {
        (Some(signed), _) => format!(
            "measured: {} {} is signed by {} with {}",
            signed.kind, signed.object, signed.signer, signed.key
        ),
        (None, Strength::Stated) => "stated, identity unverified".to_owned(),
        (None, strength) => strength.to_string(),
    };
    format!(
        "Change {} {done} by {} ({how}): {}",
        decision.change, decision.by, decision.reason
    )
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
