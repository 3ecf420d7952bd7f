//! What is made for paper, as PDF: headings, lists, tables, drawings, page numbers, an outline.
//!
//! Letters outside of Windows-1252 are written as `<U+65E5>`, since the fonts that every reader of PDF brings along
//! have no others; the page and the JSON form have them as they are.

mod blocks;
mod layout;
mod letters;
mod paper;
mod records;

use crate::report::content::ReportContent;
use crate::report::{ReportInput, report_content};

pub(crate) use blocks::{Block, Tone};
pub(crate) use paper::Paper;

/// The report as a PDF file, without the long lists of points and copies and without the facts, which the page and
/// the populations have. The same input gives the same bytes.
pub fn report_pdf(input: &ReportInput<'_>) -> Vec<u8> {
    let content = report_content(input);
    file(&blocks::blocks(&content), &of_report(&content))
}

/// Blocks, laid out on as many pages of A4 as they need, as a PDF file. The same input gives the same bytes.
pub(crate) fn file(blocks: &[Block], paper: &Paper) -> Vec<u8> {
    let mut layout = layout::Layout::new();
    for block in blocks {
        layout.block(block);
    }
    paper::finish(layout.into_pages(), paper)
}

fn of_report(content: &ReportContent) -> Paper {
    Paper {
        title: format!(
            "Backup evidence: {}",
            content.policy.title.as_deref().unwrap_or("backup policy")
        ),
        foot: format!(
            "Backup evidence, {} up to {}; ledger of {} entries",
            content.from.minute(),
            content.to.minute(),
            content.ledger.size
        ),
        tool: content.tool.clone(),
        made: content.generated_at,
    }
}
