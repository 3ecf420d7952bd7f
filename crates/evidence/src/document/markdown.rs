//! The document as Markdown, with tables and footnotes as GitHub and Pandoc read them.

use super::{Block, Document, Section};

pub(super) fn render(document: &Document) -> String {
    let mut out = format!("# {}\n\n", escape(&document.title));
    if !document.head.is_empty() {
        out.push_str("| | |\n|---|---|\n");
        for (name, value) in &document.head {
            out.push_str(&format!("| {} | {} |\n", cell(name), cell(value)));
        }
        out.push('\n');
    }
    out.push_str(&format!("*{}*\n\n", escape(&document.standing)));
    let mut used = std::collections::BTreeSet::new();
    for (n, section) in document.sections.iter().enumerate() {
        self::section(&mut out, n + 1, section, &mut used);
    }
    out.push_str(&format!("---\n\n{}\n", escape(&document.made)));
    let notes = document
        .notes
        .iter()
        .filter(|(id, _)| used.contains(id.as_str()));
    let notes: Vec<String> = notes
        .map(|(id, text)| format!("[^{id}]: {id}: {}", escape(text)))
        .collect();
    if !notes.is_empty() {
        out.push('\n');
        out.push_str(&notes.join("\n"));
        out.push('\n');
    }
    out
}

type Used<'d> = std::collections::BTreeSet<&'d str>;

fn section<'d>(out: &mut String, n: usize, section: &'d Section, used: &mut Used<'d>) {
    out.push_str(&format!("## {n}. {}\n\n", escape(&section.title)));
    for block in &section.blocks {
        self::block(out, block, used);
    }
    marks(out, &section.fulfils, used);
}

/// The requirements that what stands above fulfils.
fn marks<'d>(out: &mut String, ids: &'d [String], used: &mut Used<'d>) {
    if ids.is_empty() {
        return;
    }
    used.extend(ids.iter().map(String::as_str));
    let marks: Vec<String> = ids.iter().map(|id| format!("[^{id}]")).collect();
    out.push_str(&format!("Fulfils: {}\n\n", marks.join(" ")));
}

fn block<'d>(out: &mut String, block: &'d Block, used: &mut Used<'d>) {
    match block {
        Block::Paragraph(text) => out.push_str(&format!("{}\n\n", escape(text))),
        Block::List(items) => {
            for item in items {
                out.push_str(&format!("- {}\n", escape(item)));
            }
            out.push('\n');
        }
        Block::Table { head, rows } => {
            out.push_str(&format!("| {} |\n", head.join(" | ")));
            out.push_str(&format!("|{}\n", "---|".repeat(head.len())));
            for row in rows {
                let cells: Vec<String> = row.iter().map(|c| cell(c)).collect();
                out.push_str(&format!("| {} |\n", cells.join(" | ")));
            }
            out.push('\n');
        }
        Block::Sub {
            title,
            blocks,
            fulfils,
        } => {
            out.push_str(&format!("### {}\n\n", escape(title)));
            for inner in blocks {
                self::block(out, inner, used);
            }
            marks(out, fulfils, used);
        }
        // Its words stand in the table above it.
        Block::Figure { .. } => {}
    }
}

fn cell(text: &str) -> String {
    match text {
        "" => "–".to_owned(),
        text => escape(text),
    }
}

/// Text of the policy's own as text: on one line, and nothing in it means anything to Markdown or HTML.
fn escape(text: &str) -> String {
    // A mark of code without its pair is no mark.
    let text = match text.matches('`').count().is_multiple_of(2) {
        true => text.to_owned(),
        false => text.replace('`', "'"),
    };
    let mut out = String::with_capacity(text.len());
    let mut is_code = false;
    for c in text.trim().chars() {
        match c {
            '`' => {
                is_code = !is_code;
                out.push(c);
            }
            '|' => out.push_str("\\|"),
            '\n' | '\r' | '\t' => out.push(' '),
            '*' | '_' | '[' | ']' | '#' | '\\' if !is_code => {
                out.push('\\');
                out.push(c);
            }
            '<' if !is_code => out.push_str("&lt;"),
            '&' if !is_code => out.push_str("&amp;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}
