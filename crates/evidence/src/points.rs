//! Recovery points, their copies, and the recoverable window of each copy.

use std::collections::{BTreeMap, HashSet};

use vouchsafe_model::fact::{CopyFact, ExpiredCopy, Fact, Recorded, RecoveryPoint};
use vouchsafe_model::{
    Hold, LogCopy, Outcome, PointId, Policy, Protection, ProtectionId, Span, SystemName, Time,
    VaultName, human_bytes,
};

use crate::holds::order;
use crate::layout::{Cell, Colour, Table, TableRow, TextOptions, clean, wrapped};
use crate::log_window::Log;
use crate::words::{called, count, figure, len, outcome, short};

/// How many of the vaults that a protection names hold what they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CopyCount {
    /// Vaults in which the newest complete point was read back; where the vault is not to receive every point,
    /// any complete point.
    pub have: usize,
    /// Vaults that the protection names.
    pub want: usize,
}

/// Counts the copies of each protection of `policy` that has any rule about copies.
pub fn copy_counts(policy: &Policy, facts: &[Recorded]) -> BTreeMap<ProtectionId, CopyCount> {
    let held = held_points(facts);
    policy
        .protections()
        .filter(|(_, p)| !p.copies.is_empty())
        .map(|(_, p)| {
            let points = held.get(&p.id).map(Vec::as_slice).unwrap_or_default();
            let newest = points.iter().find(|h| h.point.outcome == Outcome::Done);
            let have = p
                .copies
                .iter()
                .filter(|rule| match rule.every {
                    None => newest.is_some_and(|h| h.lies_in(&rule.vault)),
                    Some(_) => points
                        .iter()
                        .any(|h| h.point.outcome == Outcome::Done && h.lies_in(&rule.vault)),
                })
                .count();
            let want = p.copies.len();
            (p.id.clone(), CopyCount { have, want })
        })
        .collect()
}

/// The points of each protection (of `only`, if given), newest first, with the vaults that hold them.
///
/// The window of a copy goes from its oldest to its newest complete point; with points alone, only their own
/// moments can be restored, so the widest gap between two of them is shown. `holds` are the legal holds in force; each
/// stands at the point that it names, or at the head of the system that it keeps as a whole.
pub fn points_text(
    policy: &Policy,
    facts: &[Recorded],
    holds: &[&Hold],
    only: Option<&SystemName>,
    now: Time,
    opts: TextOptions,
) -> String {
    let mut held = held_points(facts);
    let mut lines = Vec::new();
    for (_, protection) in policy.protections() {
        let points = held.remove(&protection.id).unwrap_or_default();
        if only.is_none_or(|s| *s == protection.id.system) {
            let head = format!("{} of {}", protection.way.word(), source_of(protection));
            let vaults = protection.copies.iter().map(|r| &r.vault).collect();
            let log = Log::of(&protection.id, facts);
            lines.extend(section(
                &protection.id,
                (&head, &log),
                vaults,
                &points,
                (holds, now),
                opts,
            ));
        }
    }
    for (id, points) in held {
        if only.is_none_or(|s| *s == id.system) {
            let head = "no longer in the policy";
            let log = Log::of(&id, facts);
            let said = (head, &log);
            lines.extend(section(&id, said, Vec::new(), &points, (holds, now), opts));
        }
    }
    if lines.is_empty() {
        lines.push("The policy names no protection here.".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}

pub(crate) fn source_of(p: &Protection) -> String {
    use vouchsafe_model::policy::Way;
    match &p.way {
        Way::Capture(url) | Way::Orchestrate(url) | Way::Observe(url) | Way::Replica(url) => {
            clean(&url.to_string())
        }
        Way::Manual { accept, .. } => clean(accept.as_deref().unwrap_or("any file")),
    }
}

struct Held<'a> {
    point: &'a RecoveryPoint,
    copies: Vec<&'a CopyFact>,
    /// Copies that do not count any more.
    let_go: Vec<LetGo<'a>>,
}

#[derive(Clone, Copy)]
struct LetGo<'a> {
    vault: &'a VaultName,
    copy: &'a ExpiredCopy,
    /// Whether it was removed since.
    gone: bool,
}

impl Held<'_> {
    /// A copy with another tree is not a copy of this point, and one that was not read back is none.
    fn lies_in(&self, vault: &VaultName) -> bool {
        self.copies
            .iter()
            .any(|c| c.vault == *vault && c.tree == self.point.tree && c.blobs_read_back > 0)
    }
}

fn held_points(facts: &[Recorded]) -> BTreeMap<ProtectionId, Vec<Held<'_>>> {
    let mut let_go: BTreeMap<&PointId, Vec<LetGo<'_>>> = BTreeMap::new();
    for recorded in facts {
        match &recorded.entry.fact {
            Fact::Expired(expiry) => {
                for copy in &expiry.copies {
                    let (vault, gone) = (&expiry.vault, false);
                    let one = LetGo { vault, copy, gone };
                    let_go.entry(&copy.point).or_default().push(one);
                }
            }
            Fact::Pruned(pruning) => {
                let gone: HashSet<&String> = pruning.snapshots.iter().collect();
                for one in let_go.values_mut().flatten() {
                    one.gone |= *one.vault == pruning.vault && gone.contains(&one.copy.snapshot);
                }
            }
            _ => {}
        }
    }
    let mut copies: BTreeMap<&PointId, Vec<&CopyFact>> = BTreeMap::new();
    for recorded in facts {
        if let Fact::Copy(c) = &recorded.entry.fact {
            let mut gone = let_go.get(&c.point).into_iter().flatten();
            if !gone.any(|one| *one.vault == c.vault && one.copy.snapshot == c.snapshot) {
                copies.entry(&c.point).or_default().push(c);
            }
        }
    }
    let mut held: BTreeMap<ProtectionId, Vec<Held<'_>>> = BTreeMap::new();
    for recorded in facts {
        if let Fact::RecoveryPoint(point) = &recorded.entry.fact {
            let copies = copies.get(&point.point).cloned().unwrap_or_default();
            let let_go = let_go.get(&point.point).cloned().unwrap_or_default();
            held.entry(point.protection.clone())
                .or_default()
                .push(Held {
                    point,
                    copies,
                    let_go,
                });
        }
    }
    for points in held.values_mut() {
        points.sort_by_key(|h| std::cmp::Reverse((h.point.content_time, h.point.completed)));
    }
    held
}

fn section<'a>(
    id: &ProtectionId,
    (head, log): (&str, &Log<'a>),
    mut vaults: Vec<&'a VaultName>,
    points: &[Held<'a>],
    (holds, now): (&[&Hold], Time),
    opts: TextOptions,
) -> Vec<String> {
    let title = called(id);
    let mut lines = wrapped(&format!("{title}  {head}"), opts.columns(), "", "  ");
    if let Some(first) = lines.first_mut() {
        *first = first.replacen(&title, &opts.paint(Colour::Bold, &title), 1);
    }
    for hold in holds.iter().filter(|h| h.systems.contains(&id.system)) {
        let text = format!("every point on hold {} {}", hold.name, order(hold));
        lines.extend(wrapped(&text, opts.columns(), "  ", "    "));
    }
    let bases = |copy: &LogCopy| {
        let complete = points.iter().filter(|h| h.point.outcome == Outcome::Done);
        complete
            .filter(|h| h.lies_in(&copy.vault))
            .map(|h| h.point)
            .collect::<Vec<_>>()
    };
    let of_log = log.lines(&bases, now, opts);
    if points.is_empty() {
        lines.push("  No recovery point.".to_owned());
        lines.extend(of_log);
        lines.push(String::new());
        return lines;
    }
    for copy in points.iter().flat_map(|h| &h.copies) {
        if !vaults.contains(&&copy.vault) {
            vaults.push(&copy.vault);
        }
    }
    lines.extend(windows(&vaults, points, now, opts));
    lines.push(String::new());
    if !of_log.is_empty() {
        lines.extend(of_log);
        lines.push(String::new());
    }
    lines.extend(list(points, holds, opts));
    lines.push(String::new());
    lines
}

fn windows(
    vaults: &[&VaultName],
    points: &[Held<'_>],
    now: Time,
    opts: TextOptions,
) -> Vec<String> {
    let rows = vaults
        .iter()
        .map(|vault| {
            let mut times: Vec<Time> = points
                .iter()
                .filter(|h| h.point.outcome == Outcome::Done && h.lies_in(vault))
                .map(|h| h.point.content_time)
                .collect();
            times.sort();
            TableRow {
                cells: window(vault, &times, now),
                below: Vec::new(),
            }
        })
        .collect();
    Table {
        indent: "  ",
        lead: 1,
        header: &[
            "vault",
            "recoverable from",
            "to",
            "newest",
            "points",
            "widest gap",
        ],
        rows,
    }
    .lines(opts)
}

fn window(vault: &VaultName, times: &[Time], now: Time) -> Vec<Cell> {
    let name = Cell::plain(vault.to_string());
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return vec![name, Cell::of(Colour::Bad, "✗ nothing")];
    };
    let gap = times
        .windows(2)
        .filter_map(|w| Some(w.get(1)?.since(*w.first()?)))
        .max()
        .map_or("–".to_owned(), |g: Span| short(g));
    vec![
        name,
        Cell::plain(first.minute()),
        Cell::plain(last.minute()),
        Cell::plain(format!("{} old", short(now.since(*last)))),
        Cell::plain(figure(len(times.len()))),
        Cell::plain(gap),
    ]
}

fn list(points: &[Held<'_>], holds: &[&Hold], opts: TextOptions) -> Vec<String> {
    let rows = points
        .iter()
        .map(|h| TableRow {
            cells: point_cells(h),
            below: {
                let mut below = held_by(h, holds, opts);
                if opts.verbose {
                    below.extend(reasons(h, opts));
                }
                below
            },
        })
        .collect();
    Table {
        indent: "  ",
        lead: 2,
        header: &[
            "point",
            "state of",
            "items",
            "content",
            "outcome",
            "copies in",
        ],
        rows,
    }
    .lines(opts)
}

fn point_cells(h: &Held<'_>) -> Vec<Cell> {
    let p = h.point;
    let said = match p.issue_count {
        0 => outcome(p.outcome).to_owned(),
        n => format!("{}, {}", outcome(p.outcome), count(n, "issue")),
    };
    let colour = match p.outcome {
        Outcome::Done => Colour::Plain,
        Outcome::Incomplete => Colour::Unsure,
        Outcome::Failed => Colour::Bad,
    };
    let copies: Vec<String> = h
        .copies
        .iter()
        .map(|c| {
            if c.tree != p.tree {
                format!("{} (ANOTHER TREE)", c.vault)
            } else if c.blobs_read_back == 0 {
                format!("{} (NOT READ BACK)", c.vault)
            } else {
                c.vault.to_string()
            }
        })
        .collect();
    let let_go = h.let_go.iter().map(|one| match one.gone {
        true => format!("{} (let go, removed)", one.vault),
        false => format!("{} (let go)", one.vault),
    });
    let all: Vec<String> = copies.into_iter().chain(let_go).collect();
    let copies = match all.is_empty() {
        true => Cell::of(Colour::Bad, "no vault"),
        false => Cell::plain(all.join(", ")),
    };
    vec![
        Cell::plain(p.point.to_string()),
        Cell::plain(p.content_time.minute()),
        Cell::plain(figure(p.items)),
        Cell::plain(human_bytes(p.bytes)),
        Cell::of(colour, said),
        copies,
    ]
}

/// The holds that name the point; one that keeps all of its system stands at the head.
fn held_by(h: &Held<'_>, holds: &[&Hold], opts: TextOptions) -> Vec<String> {
    let named = holds
        .iter()
        .filter(|hold| hold.points.contains(&h.point.point));
    named
        .flat_map(|hold| {
            let text = format!("on hold {} {}", hold.name, order(hold));
            wrapped(&text, opts.columns(), "      ", "        ")
        })
        .collect()
}

/// Why copies were let go, and what could not be captured.
fn reasons(h: &Held<'_>, opts: TextOptions) -> Vec<String> {
    let why = h.let_go.iter().flat_map(|one| {
        let text = format!("{}: let go, {}", one.vault, clean(&one.copy.reason));
        wrapped(&text, opts.columns(), "      ", "        ")
    });
    why.chain(issues(h.point, opts)).collect()
}

fn issues(p: &RecoveryPoint, opts: TextOptions) -> Vec<String> {
    let mut lines: Vec<String> = p
        .issues
        .iter()
        .flat_map(|i| {
            let text = format!("{}: {}", clean(&i.place), clean(&i.message));
            wrapped(&text, opts.columns(), "      ", "        ")
        })
        .collect();
    let more = p.issue_count.saturating_sub(len(p.issues.len()));
    if more > 0 {
        lines.push(format!("      and {} more", count(more, "issue")));
    }
    lines
}
