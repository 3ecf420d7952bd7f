//! Plain text on a terminal of a given width: measuring, padding, wrapping, colouring, tables.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
use vouchsafe_model::Verdict;

/// How text for a terminal is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// Columns of the terminal; lines are wrapped to it, but never below 40. Commands to be typed are never broken.
    pub width: usize,
    /// Whether ANSI colours are written. They only repeat what marks and words already say.
    pub colour: bool,
    /// Whether reasons are given for what is good, too.
    pub verbose: bool,
}

impl Default for TextOptions {
    fn default() -> Self {
        TextOptions {
            width: 100,
            colour: false,
            verbose: false,
        }
    }
}

const NARROWEST: usize = 40;

impl TextOptions {
    pub(crate) fn columns(self) -> usize {
        self.width.max(NARROWEST)
    }
    pub(crate) fn paint(self, colour: Colour, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", colour.code())
        } else {
            text.to_owned()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Plain,
    Good,
    Bad,
    Unsure,
    Faint,
    Loud,
    Bold,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Colour::Plain => "0",
            Colour::Good => "32",
            Colour::Bad => "1;31",
            Colour::Unsure => "33",
            Colour::Faint => "2",
            Colour::Loud => "1;97;41",
            Colour::Bold => "1",
        }
    }
    pub(crate) fn of(verdict: Verdict) -> Colour {
        match verdict {
            Verdict::Met => Colour::Good,
            Verdict::NotMet => Colour::Bad,
            Verdict::Unproven => Colour::Unsure,
            Verdict::Planned | Verdict::Exempt => Colour::Faint,
        }
    }
}

/// Text without anything that could move the cursor or turn the direction of reading: such characters become U+FFFD,
/// line ends and tabs become spaces.
pub(crate) fn clean(text: &str) -> String {
    harmless(text).replace('\n', " ")
}

/// Like [`clean`], with the line ends kept.
pub(crate) fn harmless(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| match c {
            '\n' => '\n',
            '\r' | '\t' => ' ',
            c if c.is_control() || turns(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Columns that `text` takes.
pub(crate) fn columns_of(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// `text` with spaces up to `width` columns.
pub(crate) fn padded(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(columns_of(text));
    format!("{text}{}", " ".repeat(missing))
}

/// `text` in lines of at most `width` columns, each after its indent; over-long words are broken.
pub(crate) fn wrapped(text: &str, width: usize, first: &str, rest: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split(' ').filter(|w| !w.is_empty()) {
        for piece in pieces(word, width.saturating_sub(columns_of(rest)).max(8)) {
            let gap = usize::from(!empty);
            if !empty && columns_of(&line) + gap + columns_of(&piece) > width {
                lines.push(std::mem::replace(&mut line, rest.to_owned()));
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(&piece);
            empty = false;
        }
    }
    if !empty || lines.is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

fn pieces(word: &str, limit: usize) -> Vec<String> {
    if columns_of(word) <= limit {
        return vec![word.to_owned()];
    }
    let mut out = vec![String::new()];
    let mut used = 0;
    for c in word.chars() {
        let w = c.width().unwrap_or(0);
        if used + w > limit {
            out.push(String::new());
            used = 0;
        }
        if let Some(last) = out.last_mut() {
            last.push(c);
        }
        used += w;
    }
    out
}

/// One cell: text and its colour.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) colour: Colour,
}

impl Cell {
    pub(crate) fn plain(text: impl Into<String>) -> Cell {
        Cell {
            text: text.into(),
            colour: Colour::Plain,
        }
    }
    pub(crate) fn of(colour: Colour, text: impl Into<String>) -> Cell {
        Cell {
            text: text.into(),
            colour,
        }
    }
    fn painted(&self, opts: TextOptions, width: usize) -> String {
        match self.colour {
            Colour::Plain => padded(&self.text, width),
            colour => {
                let spaces = width.saturating_sub(columns_of(&self.text));
                format!("{}{}", opts.paint(colour, &self.text), " ".repeat(spaces))
            }
        }
    }
}

/// Rows under headings, each with further lines beneath it.
///
/// Where the columns do not fit, each row becomes a stack: its first `lead` cells on one line, the others beneath,
/// each after its heading.
pub(crate) struct Table<'a> {
    pub(crate) indent: &'a str,
    pub(crate) lead: usize,
    pub(crate) header: &'a [&'a str],
    pub(crate) rows: Vec<TableRow>,
}

pub(crate) struct TableRow {
    pub(crate) cells: Vec<Cell>,
    /// Lines as they are, beneath the row.
    pub(crate) below: Vec<String>,
}

impl Table<'_> {
    pub(crate) fn lines(&self, opts: TextOptions) -> Vec<String> {
        if self.fits(opts) {
            self.side_by_side(&self.widths(), opts)
        } else {
            self.stacked(opts)
        }
    }

    pub(crate) fn fits(&self, opts: TextOptions) -> bool {
        let widths = self.widths();
        let gaps = 2 * widths.len().saturating_sub(1);
        columns_of(self.indent) + widths.iter().sum::<usize>() + gaps <= opts.columns()
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.header.iter().map(|h| columns_of(h)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                *width = (*width).max(columns_of(&cell.text));
            }
        }
        widths
    }

    fn side_by_side(&self, widths: &[usize], opts: TextOptions) -> Vec<String> {
        let mut lines = Vec::new();
        if self.header.iter().any(|h| !h.is_empty()) {
            let head: Vec<String> = self
                .header
                .iter()
                .zip(widths)
                .map(|(h, w)| padded(h, *w))
                .collect();
            let head = format!("{}{}", self.indent, head.join("  "));
            lines.push(opts.paint(Colour::Faint, head.trim_end()));
        }
        for row in &self.rows {
            let cells: Vec<String> = row
                .cells
                .iter()
                .zip(widths)
                .map(|(cell, width)| cell.painted(opts, *width))
                .collect();
            let line = format!("{}{}", self.indent, cells.join("  "));
            lines.push(line.trim_end().to_owned());
            lines.extend(row.below.iter().cloned());
        }
        lines
    }

    fn stacked(&self, opts: TextOptions) -> Vec<String> {
        let mut lines = Vec::new();
        let inner = format!("{}    ", self.indent);
        for row in &self.rows {
            let wide: usize = row
                .cells
                .iter()
                .take(self.lead)
                .map(|c| columns_of(&c.text) + 2)
                .sum();
            let fits = columns_of(self.indent) + wide <= opts.columns() + 2;
            let led = if fits { self.lead } else { 1 };
            let lead: Vec<String> = row
                .cells
                .iter()
                .take(led)
                .map(|c| c.painted(opts, 0))
                .filter(|c| !c.is_empty())
                .collect();
            lines.push(format!("{}{}", self.indent, lead.join("  ")));
            let said: Vec<String> = self
                .header
                .iter()
                .zip(&row.cells)
                .skip(led)
                .filter(|(_, cell)| !cell.text.is_empty())
                .map(|(head, cell)| {
                    let gap = if head.is_empty() { "" } else { " " };
                    // A figure stays on the line of its heading.
                    format!("{head}{gap}{}", cell.text).replace(' ', "\u{a0}")
                })
                .collect();
            let parts = wrapped(&said.join(" · "), opts.columns(), &inner, &inner);
            lines.extend(parts.into_iter().map(|l| l.replace('\u{a0}', " ")));
            lines.extend(row.below.iter().cloned());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_drive_a_terminal_is_replaced() {
        assert_eq!(clean("a\x1b[2Jb\nc\u{202e}d"), "a\u{fffd}[2Jb c\u{fffd}d");
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(padded("日本", 6), "日本  ");
        assert_eq!(wrapped("日本日本日本日本日本", 10, "", "").len(), 2);
    }

    proptest! {
        #[test]
        fn wrapped_lines_fit_and_lose_nothing(text in "[a-zé日 ]{0,200}", width in 20usize..60) {
            let lines = wrapped(&text, width, "  ", "    ");
            for line in &lines {
                prop_assert!(columns_of(line) <= width, "{line:?} is wider than {width}");
            }
            let letters = |s: &str| s.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.join(" ")), letters(&text));
        }
    }
}
