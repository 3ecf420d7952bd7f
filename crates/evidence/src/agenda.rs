//! What will happen when, and what is overdue, as lines of text.

use vouchsafe_model::{Obligation, Time};

use crate::layout::{Cell, Colour, Table, TableRow, TextOptions, clean, wrapped};
use crate::words::{count, len, short};

/// The obligations, which nothing has answered yet, by the day (UTC) on which they are due; overdue ones first.
///
/// `now` tells overdue from open and from to come.
pub fn agenda_text(obligations: &[Obligation], now: Time, opts: TextOptions) -> String {
    let mut sorted: Vec<&Obligation> = obligations.iter().collect();
    sorted.sort();
    sorted.sort_by_key(|o| o.due);
    let (overdue, ahead): (Vec<&Obligation>, Vec<&Obligation>) =
        sorted.into_iter().partition(|o| o.due <= now);
    let mut lines = Vec::new();
    if !overdue.is_empty() {
        let head = format!("OVERDUE  {}", count(len(overdue.len()), "obligation"));
        lines.push(opts.paint(Colour::Bad, &head));
        lines.extend(rows(&overdue, now, opts));
        lines.push(String::new());
    }
    let mut rest = ahead.as_slice();
    while let Some(first) = rest.first() {
        let day = day_of(first.due);
        let same = rest.iter().take_while(|o| day_of(o.due) == day).count();
        let (today, later) = rest.split_at(same);
        lines.push(opts.paint(Colour::Bold, &day));
        lines.extend(rows(today, now, opts));
        lines.push(String::new());
        rest = later;
    }
    if lines.is_empty() {
        let text = "Nothing is due. A policy without schedules makes no obligations.";
        lines.extend(wrapped(text, opts.columns(), "", ""));
        lines.push(String::new());
    }
    lines.join("\n")
}

fn day_of(t: Time) -> String {
    t.to_timestamp().strftime("%A %Y-%m-%d").to_string()
}

fn rows(obligations: &[&Obligation], now: Time, opts: TextOptions) -> Vec<String> {
    let rows = obligations
        .iter()
        .map(|o| TableRow {
            cells: cells(o, now),
            below: Vec::new(),
        })
        .collect();
    Table {
        indent: "  ",
        lead: 2,
        header: &["", "", "", ""],
        rows,
    }
    .lines(opts)
}

fn cells(o: &Obligation, now: Time) -> Vec<Cell> {
    let (by, when, colour) = if o.due <= now {
        (
            format!("was due {}", o.due.minute()),
            format!("{} ago", short(now.since(o.due))),
            Colour::Bad,
        )
    } else {
        let by = o.due.to_timestamp().strftime("by %H:%M UTC").to_string();
        let when = if o.opens <= now {
            format!("open now, {} left", short(o.due.since(now)))
        } else {
            format!("opens in {}", short(o.opens.since(now)))
        };
        (by, when, Colour::Plain)
    };
    vec![
        Cell::plain(o.kind.to_string()),
        Cell::plain(clean(&o.subject())),
        Cell::of(colour, by),
        Cell::of(colour, when),
    ]
}
