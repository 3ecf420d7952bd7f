//! The recoverable window of each copy of a log: from a base on, to the newest commit.

use vouchsafe_model::fact::{Fact, Recorded, RecoveryPoint};
use vouchsafe_model::{LogCopy, LogGap, LogShipped, ProtectionId, Time};

use crate::layout::{Cell, Colour, Table, TableRow, TextOptions, clean, wrapped};
use crate::words::short;

/// What was recorded last of one log.
pub(crate) struct Log<'f> {
    shipped: Option<&'f LogShipped>,
    gaps: Vec<&'f LogGap>,
}

/// So many gaps are shown.
const SHOWN: usize = 5;

impl<'f> Log<'f> {
    pub(crate) fn of(id: &ProtectionId, facts: &'f [Recorded]) -> Log<'f> {
        let mut log = Log {
            shipped: None,
            gaps: Vec::new(),
        };
        for recorded in facts {
            match &recorded.entry.fact {
                Fact::LogShipped(shipped) if shipped.protection == *id => {
                    log.shipped = Some(shipped);
                }
                Fact::LogGap(gap) if gap.protection == *id => log.gaps.push(gap),
                _ => {}
            }
        }
        log
    }

    /// Nothing where no log was ever shipped. `bases` gives the complete points in a vault.
    pub(crate) fn lines(
        &self,
        bases: &dyn Fn(&LogCopy) -> Vec<&'f RecoveryPoint>,
        now: Time,
        opts: TextOptions,
    ) -> Vec<String> {
        let Some(shipped) = self.shipped else {
            return Vec::new();
        };
        let rows = shipped
            .copies
            .iter()
            .map(|copy| TableRow {
                cells: cells(copy, &bases(copy), now),
                below: Vec::new(),
            })
            .collect();
        let mut lines = Table {
            indent: "  ",
            lead: 1,
            header: &[
                "log in",
                "any moment from",
                "to",
                "behind",
                "timeline",
                "reaches",
            ],
            rows,
        }
        .lines(opts);
        let hidden = self.gaps.len().saturating_sub(SHOWN);
        for gap in self.gaps.iter().skip(hidden) {
            let to = match &gap.to {
                Some(to) => format!("to {to}"),
                None => "without an end".to_owned(),
            };
            let text = format!(
                "gap from {} {to}, found {}: {}",
                clean(&gap.from),
                gap.found.minute(),
                gap.cause
            );
            lines.extend(wrapped(&text, opts.columns(), "  ", "    "));
        }
        lines
    }
}

/// The first moment that can be had back: when the oldest base was whole that the log goes on from.
fn begins(copy: &LogCopy, bases: &[&RecoveryPoint]) -> Option<Time> {
    let first = copy.first_commit?;
    bases
        .iter()
        .filter(|base| base.started >= first)
        .map(|base| base.completed)
        .min()
}

fn cells(copy: &LogCopy, bases: &[&RecoveryPoint], now: Time) -> Vec<Cell> {
    let from = match begins(copy, bases) {
        Some(time) => Cell::plain(second(time)),
        None => Cell::of(Colour::Bad, "✗ no base yet"),
    };
    let (to, behind) = match copy.newest_commit {
        Some(time) => (second(time), short(now.since(time))),
        None => ("no commit".to_owned(), "–".to_owned()),
    };
    vec![
        Cell::plain(copy.vault.to_string()),
        from,
        Cell::plain(to),
        Cell::plain(behind),
        Cell::plain(copy.timeline.to_string()),
        Cell::plain(clean(&copy.reaches)),
    ]
}

/// `2026-03-01 09:30:05 UTC`.
fn second(time: Time) -> String {
    time.to_timestamp()
        .strftime("%Y-%m-%d %H:%M:%S UTC")
        .to_string()
}
