//! Small drawings where people would rather look than read; the tables beside them hold the same figures.

use std::collections::BTreeSet;

use maud::{Markup, html};
use vouchsafe_model::{DrillResult, Outcome, ProtectionId, Span, Time};

use super::content::ReportContent;
use crate::words::{count, len, precise};

const WIDTH: u64 = 720;
const MARGIN: u64 = 8;

/// Where `part` of `whole` lies on the drawing, in tenths of a unit.
fn tenths(part: u64, whole: u64) -> u64 {
    let room = u128::from(WIDTH - 2 * MARGIN) * 10;
    let along = u128::from(part.min(whole)) * room / u128::from(whole.max(1));
    u64::try_from(along).unwrap_or(0) + MARGIN * 10
}

fn number(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Complete,
    Incomplete,
    Missed,
}

/// When points of one protection were complete, and which captures were missed, along the period.
pub(super) fn timeline(c: &ReportContent, id: &ProtectionId) -> Markup {
    let whole = c.to.since(c.from).micros();
    let at = |t: Time| tenths(t.since(c.from).micros(), whole);
    let points = c.points.rows.iter().filter(|r| r.fact.protection == *id);
    let mut marks: Vec<(u64, Mark)> = points
        .map(|r| match r.fact.outcome {
            Outcome::Done => (at(r.at), Mark::Complete),
            Outcome::Incomplete | Outcome::Failed => (at(r.at), Mark::Incomplete),
        })
        .collect();
    let missed = c.obligations.missed.iter().filter(|o| {
        o.protection.as_ref() == Some(id)
            && o.kind == vouchsafe_model::ObligationKind::Capture
            && o.due >= c.from
            && o.due < c.to
    });
    marks.extend(missed.map(|o| (at(o.due), Mark::Missed)));
    let of = |mark: Mark| len(marks.iter().filter(|(_, m)| *m == mark).count());
    let said = format!(
        "{}, {} incomplete or failed, {} missed",
        count(of(Mark::Complete), "complete point"),
        of(Mark::Incomplete),
        of(Mark::Missed)
    );
    if marks.is_empty() {
        return html! { p.soft { "No recovery point in the period." } };
    }
    // Marks that would cover each other entirely are drawn once.
    let drawn: BTreeSet<(Mark, u64)> = marks.iter().map(|(x, m)| (*m, x / 10 * 10)).collect();
    html! {
        figure {
            svg viewBox={ "0 0 " (WIDTH) " 58" } role="img" aria-label={ "Recovery points of " (id) ": " (said) } {
                line x1=(MARGIN) y1="22" x2=(WIDTH - MARGIN) y2="22" stroke="#4a5159" stroke-width="1" {}
                (ticks(c.from, c.to))
                @for (mark, x) in drawn { (drawn_mark(mark, x)) }
            }
            figcaption {
                "Captures along the period: " (said) ". "
                span.key { "● complete" } span.key { "▲ incomplete or failed" } span.key { "✗ missed" }
            }
        }
    }
}

fn drawn_mark(mark: Mark, x: u64) -> Markup {
    let (left, mid, right) = (number(x.saturating_sub(45)), number(x), number(x + 45));
    match mark {
        Mark::Complete => {
            html! { circle cx=(mid) cy="22" r="4" fill="#0f5c2b" stroke="#fff" stroke-width="0.8" {} }
        }
        Mark::Incomplete => html! {
            path d={ "M" (left) " 27 L" (mid) " 16 L" (right) " 27 Z" } fill="#ffd27a" stroke="#6b4200" stroke-width="1.4" {}
        },
        Mark::Missed => html! {
            path d={ "M" (left) " 17 L" (right) " 27 M" (left) " 27 L" (right) " 17" } stroke="#9b0c22" stroke-width="2.4" fill="none" {}
        },
    }
}

fn ticks(from: Time, to: Time) -> Markup {
    const STEPS: u64 = 4;
    let whole = to.since(from).micros();
    let form = if whole > Span::from_days(3).micros() {
        "%Y-%m-%d"
    } else {
        "%m-%d %H:%M"
    };
    let ticks: Vec<(u64, &str, String)> = (0..=STEPS)
        .map(|i| {
            let part =
                u64::try_from(u128::from(whole) * u128::from(i) / u128::from(STEPS)).unwrap_or(0);
            let t = from.plus(Span::from_micros(part));
            let anchor = match i {
                0 => "start",
                STEPS => "end",
                _ => "middle",
            };
            (
                tenths(part, whole),
                anchor,
                t.to_timestamp().strftime(form).to_string(),
            )
        })
        .collect();
    html! {
        @for (x, anchor, label) in &ticks {
            line x1=(number(*x)) y1="32" x2=(number(*x)) y2="38" stroke="#4a5159" stroke-width="1" {}
            text x=(number(*x)) y="51" text-anchor=(anchor) { (label) }
        }
    }
}

const SHADES: [(&str, &str); 4] = [
    ("#1f4e8c", "#ffffff"),
    ("#a9c4e6", "#1a1d21"),
    ("#4f7fbd", "#ffffff"),
    ("#dbe7f5", "#1a1d21"),
];

/// How the phases of a drill share its time; the target is drawn where it lies within sight.
pub(super) fn phases(d: &DrillResult) -> Markup {
    let total = d
        .phases
        .iter()
        .fold(0u64, |sum, p| sum.saturating_add(p.took.micros()));
    if total == 0 {
        return html! {};
    }
    let target = d
        .target_rto
        .filter(|t| t.micros() <= total.saturating_mul(4));
    let scale = total
        .max(target.map_or(0, Span::micros))
        .max(d.achieved_rto.micros());
    let mut begun = 0u64;
    let bars: Vec<(u64, u64, usize, String, &str)> = d
        .phases
        .iter()
        .enumerate()
        .map(|(i, p)| {
            let from = tenths(begun, scale);
            begun = begun.saturating_add(p.took.micros());
            let label = format!("{}: {}", p.name, precise(p.took));
            (
                from,
                tenths(begun, scale) - from,
                i % SHADES.len(),
                label,
                p.name.as_str(),
            )
        })
        .collect();
    let names: Vec<&str> = bars.iter().map(|b| b.3.as_str()).collect();
    html! {
        figure {
            svg viewBox={ "0 0 " (WIDTH) " 62" } role="img" aria-label={ "Time by phase: " (names.join(", ")) } {
                @for (x, width, shade, label, name) in &bars {
                    @let (fill, ink) = SHADES.get(*shade).copied().unwrap_or(("#fff", "#000"));
                    rect x=(number(*x)) y="18" width=(number(*width)) height="26" fill=(fill) stroke="#1a1d21" stroke-width="0.6" {
                        title { (label) }
                    }
                    @if *width > 90 + 70 * len(name.chars().count()) {
                        text x=(number(x + width / 2)) y="35" text-anchor="middle" style={ "fill:" (ink) } { (name) }
                    }
                }
                (flag(d.achieved_rto, scale, "achieved RTO", "#1a1d21", 59))
                @if let Some(t) = target { (flag(t, scale, "target RTO", "#9b0c22", 11)) }
            }
            figcaption { "Time by phase: " (names.join(", ")) ". " (share(d)) }
        }
    }
}

fn flag(at: Span, scale: u64, name: &str, ink: &str, label: u64) -> Markup {
    let x = tenths(at.micros(), scale);
    let anchor = if x > WIDTH * 5 { "end" } else { "start" };
    html! {
        line x1=(number(x)) y1="14" x2=(number(x)) y2="48" stroke=(ink) stroke-width="2" {}
        text x=(number(x)) y=(label) text-anchor=(anchor) { (name) " " (precise(at)) }
    }
}

fn share(d: &DrillResult) -> String {
    match d.target_rto.map(Span::micros) {
        Some(target) if target > 0 => {
            let permille = u128::from(d.achieved_rto.micros()) * 1_000 / u128::from(target);
            format!(
                "Achieved RTO {}: {}.{} % of what the target allows.",
                precise(d.achieved_rto),
                permille / 10,
                permille % 10
            )
        }
        _ => format!(
            "Achieved RTO {}; there is no target.",
            precise(d.achieved_rto)
        ),
    }
}
