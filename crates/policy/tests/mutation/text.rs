//! A policy as lines, and faults as changes of some of them.
#![allow(unreachable_pub, clippy::unwrap_used)]

/// Lines that are changed, counted from 0, with what stands there then; and the line of the finding.
pub struct Fault {
    pub edits: Vec<(usize, String)>,
    pub line: usize,
}

pub struct Operator {
    pub name: &'static str,
    pub code: &'static str,
    pub faults: fn(&Text<'_>) -> Vec<Fault>,
}

/// A policy as lines, with what can be seen from their indentation.
pub struct Text<'t> {
    pub lines: Vec<&'t str>,
}

pub fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

impl<'t> Text<'t> {
    pub fn new(text: &'t str) -> Text<'t> {
        Text {
            lines: text.lines().collect(),
        }
    }

    /// The line of the mapping that a line stands in.
    pub fn parent(&self, at: usize) -> usize {
        let own = indent(self.lines[at]);
        (0..at)
            .rev()
            .find(|n| !self.lines[*n].trim().is_empty() && indent(self.lines[*n]) < own)
            .unwrap_or(0)
    }

    /// The top-level key above a line.
    pub fn section(&self, at: usize) -> &'t str {
        let top = (0..=at)
            .rev()
            .find(|n| self.lines[*n].starts_with(|c: char| c.is_ascii_alphabetic()));
        top.map_or("", |n| self.lines[n].trim_end_matches(':'))
    }

    /// The lines that stand in the same mapping, the given one too.
    pub fn siblings(&self, at: usize) -> Vec<usize> {
        let parent = self.parent(at);
        let own = indent(self.lines[at]);
        let after = |n: &usize| self.lines[*n].trim().is_empty() || indent(self.lines[*n]) >= own;
        (parent + 1..self.lines.len())
            .take_while(after)
            .filter(|n| indent(self.lines[*n]) == own && !self.lines[*n].trim().is_empty())
            .collect()
    }

    pub fn sibling(&self, at: usize, key: &str) -> Option<usize> {
        let begins = format!("{key}:");
        let mut all = self.siblings(at).into_iter();
        all.find(|n| self.lines[*n].trim_start().starts_with(&begins))
    }

    /// The value that a key beside a line has.
    pub fn value(&self, at: usize, key: &str) -> &'t str {
        let found = self.sibling(at, key).map(|n| self.lines[n]);
        found
            .and_then(|l| l.split_once(": "))
            .map_or("", |(_, value)| value.trim())
    }

    /// Every line that begins with a key, within a section, or anywhere if that is empty.
    pub fn with(&self, section: &str, key: &str) -> Vec<usize> {
        let begins = format!("{key}:");
        (0..self.lines.len())
            .filter(|n| self.lines[*n].trim_start().starts_with(&begins))
            .filter(|n| section.is_empty() || self.section(*n) == section)
            .collect()
    }

    pub fn blank(&self, at: usize, line: usize) -> Fault {
        Fault {
            edits: vec![(at, String::new())],
            line,
        }
    }

    /// Replaces a part of one line.
    pub fn swap(&self, at: usize, from: &str, to: &str, line: usize) -> Option<Fault> {
        let old = self.lines[at];
        let new = old.replacen(from, to, 1);
        (new != old).then(|| Fault {
            edits: vec![(at, new)],
            line,
        })
    }

    /// The same at each line of a section that begins with a key; the finding is there too.
    pub fn swapped(&self, section: &str, key: &str, from: &str, to: &str) -> Vec<Fault> {
        let all = self.with(section, key).into_iter();
        all.filter_map(|n| self.swap(n, from, to, n)).collect()
    }

    /// Takes each line of a section that begins with a key away; the finding is at the mapping it stood in.
    pub fn taken(&self, section: &str, key: &str, depth: usize) -> Vec<Fault> {
        let all = self.with(section, key).into_iter();
        all.filter(|n| indent(self.lines[*n]) >= depth)
            .map(|n| self.blank(n, self.parent(n)))
            .collect()
    }
}

/// Removes `, key: value` from a line.
pub fn without_key(line: &str, key: &str) -> Option<String> {
    let begins = format!(", {key}: ");
    let at = line.find(&begins)?;
    let rest = &line[at + begins.len()..];
    let end = rest.find([',', '}']).unwrap_or(rest.len());
    let tail = rest[end..].to_owned();
    let space = if tail.starts_with('}') { " " } else { "" };
    Some(format!("{}{space}{tail}", &line[..at]))
}
