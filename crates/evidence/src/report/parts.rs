//! The small parts of the page: badges, references, times, tables.

use maud::{Markup, html};
use vouchsafe_model::fact::Issue;
use vouchsafe_model::{ProtectionId, Span, Strength, Time, Verdict};

use crate::words::mark;

/// The name that the style knows a verdict by.
pub(super) fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::NotMet => "not-met",
        Verdict::Unproven => "unproven",
        Verdict::Planned => "planned",
        Verdict::Exempt => "exempt",
    }
}

pub(super) fn badge(verdict: Verdict) -> Markup {
    html! { span class={ "badge " (class(verdict)) } { (mark(verdict)) " " (verdict.to_string()) } }
}

/// A yes or no of our own, with its word.
pub(super) fn yes_no(good: bool, yes: &str, no: &str) -> Markup {
    let (class, mark, word) = if good {
        ("met", "✓", yes)
    } else {
        ("not-met", "✗", no)
    };
    html! { span class={ "badge " (class) } { (mark) " " (word) } }
}

pub(super) fn strength(strength: Option<Strength>) -> Markup {
    match strength {
        Some(s) => html! { span.strength { (s.to_string()) } },
        None => html! { span.strength { "no fact" } },
    }
}

/// Links to rows of the appendix.
pub(super) fn refs(seqs: &[u64]) -> Markup {
    if seqs.is_empty() {
        return html! { span.soft { "–" } };
    }
    html! {
        span.refs {
            @for (i, seq) in seqs.iter().enumerate() {
                @if i > 0 { ", " }
                (reference(*seq))
            }
        }
    }
}

pub(super) fn reference(seq: u64) -> Markup {
    html! { a href={ "#f" (seq) } { (seq) } }
}

pub(super) fn when(t: Time) -> Markup {
    let shown = t.to_timestamp().strftime("%Y-%m-%d %H:%M").to_string();
    html! { time datetime=(t.to_string()) { (shown) } }
}

pub(super) fn when_or(t: Option<Time>, otherwise: &str) -> Markup {
    match t {
        Some(t) => when(t),
        None => html! { (otherwise) },
    }
}

pub(super) fn span_or(span: Option<Span>, otherwise: &str) -> String {
    span.map_or(otherwise.to_owned(), |s| s.to_string())
}

pub(super) fn text_or<'a>(text: Option<&'a str>, otherwise: &'a str) -> &'a str {
    text.filter(|t| !t.is_empty()).unwrap_or(otherwise)
}

/// A digest, its beginning shown and the whole at hand.
pub(super) fn brief(digest: &str) -> Markup {
    let cut: String = digest.chars().take(12).collect();
    if cut.len() == digest.len() {
        html! { code.id { (digest) } }
    } else {
        html! { code.id title=(digest) { (cut) "…" } }
    }
}

pub(super) fn anchor(id: &ProtectionId) -> String {
    format!("protection-{}--{}", id.system, id.protection)
}

pub(super) fn issues(list: &[Issue]) -> Markup {
    html! {
        @if !list.is_empty() {
            ul.issues {
                @for issue in list { li { code { (issue.place) } ": " (issue.message) } }
            }
        }
    }
}

/// How a row of a table is to be seen; its cells must say the same in words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Doubtful,
    Wrong,
}

impl Tone {
    fn class(self) -> Option<&'static str> {
        match self {
            Tone::Plain => None,
            Tone::Doubtful => Some("doubtful"),
            Tone::Wrong => Some("wrong"),
        }
    }
}

/// One row: its first cell heads it.
pub(super) struct TableRow {
    pub(super) id: Option<String>,
    pub(super) tone: Tone,
    pub(super) cells: Vec<Markup>,
}

impl TableRow {
    pub(super) fn new(tone: Tone, cells: Vec<Markup>) -> TableRow {
        TableRow {
            id: None,
            tone,
            cells,
        }
    }
}

/// A table with caption and scopes; a heading that begins with `#` is over figures.
pub(super) fn table(caption: &str, head: &[&str], rows: &[TableRow]) -> Markup {
    let figures = |i: usize| head.get(i).is_some_and(|h| h.starts_with('#'));
    let class = match (rows.len() <= 12, head.len() <= 2) {
        (true, true) => "scroll short slim",
        (true, false) => "scroll short",
        _ => "scroll",
    };
    html! {
        div class=(class) {
            table {
                caption { (caption) }
                thead { tr { @for h in head { th scope="col" class=[h.starts_with('#').then_some("n")] { (h.trim_start_matches('#')) } } } }
                tbody {
                    @for row in rows {
                        tr id=[row.id.as_deref()] class=[row.tone.class()] {
                            @for (i, cell) in row.cells.iter().enumerate() {
                                @if i == 0 { th scope="row" { (cell) } }
                                @else if figures(i) { td.n { (cell) } }
                                @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
