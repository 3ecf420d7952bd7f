//! The report as PDF, for paper: headings, tables, drawings, page numbers.
//!
//! Letters outside of Windows-1252 are written as `<U+65E5>`, since the fonts that every reader of PDF brings along
//! have no others; the page and the JSON form have them as they are.

mod blocks;
mod layout;
mod letters;
mod paper;
mod records;

use crate::report::{ReportInput, report_content};

/// The report as a PDF file, without the long lists of points and copies and without the facts, which the page and
/// the populations have. The same input gives the same bytes.
pub fn report_pdf(input: &ReportInput<'_>) -> Vec<u8> {
    let content = report_content(input);
    let mut layout = layout::Layout::new();
    for block in blocks::blocks(&content) {
        layout.block(&block);
    }
    paper::finish(layout.into_pages(), &content)
}
