//! The document as blocks for paper.

use super::{Block, Document, DocumentInput, Section};
use crate::pdf::{self, Paper, Tone};

pub(super) fn render(
    document: &Document,
    version: Option<&str>,
    input: &DocumentInput<'_>,
) -> Vec<u8> {
    let title = plain(&document.title);
    let paper = Paper {
        foot: match version {
            Some(version) => format!("{title}, version {}", plain(version)),
            None => title.clone(),
        },
        title,
        tool: input.tool.clone(),
        made: input.made,
    };
    pdf::file(&blocks(document), &paper)
}

fn blocks(document: &Document) -> Vec<pdf::Block> {
    let pairs = |all: &[(String, String)]| {
        let all = all.iter().map(|(name, value)| (plain(name), plain(value)));
        pdf::Block::Pairs(all.collect())
    };
    let mut out = vec![pdf::Block::Heading(0, plain(&document.title))];
    if !document.head.is_empty() {
        out.push(pairs(&document.head));
    }
    out.push(pdf::Block::Text(plain(&document.standing)));
    for (n, section) in document.sections.iter().enumerate() {
        self::section(&mut out, n + 1, section);
    }
    if !document.notes.is_empty() {
        out.push(pdf::Block::Heading(1, "Requirements".to_owned()));
        out.push(pdf::Block::Text(
            "What is asked for, by the numbers of whoever asks; the parts of this document that fulfil it name the number."
                .to_owned(),
        ));
        out.push(pairs(&document.notes));
    }
    out.push(pdf::Block::Text(plain(&document.made)));
    out
}

fn section(out: &mut Vec<pdf::Block>, n: usize, section: &Section) {
    let title = format!("{n}. {}", plain(&section.title));
    out.push(pdf::Block::Heading(1, title));
    for block in &section.blocks {
        self::block(out, block);
    }
    marks(out, &section.fulfils);
}

/// The requirements that what stands above fulfils.
fn marks(out: &mut Vec<pdf::Block>, ids: &[String]) {
    if !ids.is_empty() {
        out.push(pdf::Block::Text(format!("Fulfils: {}", ids.join(", "))));
    }
}

fn block(out: &mut Vec<pdf::Block>, block: &Block) {
    match block {
        Block::Paragraph(text) => out.push(pdf::Block::Text(plain(text))),
        Block::List(items) => {
            out.push(pdf::Block::List(items.iter().map(|i| plain(i)).collect()));
        }
        Block::Table { head, rows } => out.push(pdf::Block::Table {
            caption: String::new(),
            head: head.iter().map(|h| (*h).to_owned()).collect(),
            rows: rows
                .iter()
                .map(|row| (Tone::Plain, row.iter().map(|c| cell(c)).collect()))
                .collect(),
        }),
        Block::Sub {
            title,
            blocks,
            fulfils,
        } => {
            out.push(pdf::Block::Heading(2, plain(title)));
            for inner in blocks {
                self::block(out, inner);
            }
            marks(out, fulfils);
        }
        Block::Figure { map, caption } => {
            out.push(pdf::Block::Drawing(map.drawing(caption)));
        }
    }
}

fn cell(text: &str) -> String {
    match text {
        "" => "–".to_owned(),
        text => plain(text),
    }
}

/// Text on one line, without the marks of code, which the letters here do not show.
fn plain(text: &str) -> String {
    let is_paired = text.matches('`').count().is_multiple_of(2);
    let letters = text.trim().chars().filter_map(|c| match c {
        '`' if is_paired => None,
        '`' => Some('\''),
        '\n' | '\r' | '\t' => Some(' '),
        c if c.is_control() => None,
        c => Some(c),
    });
    letters.collect()
}
