//! The file: catalogue, pages, fonts, outline, what is said of the document.

use pdf_writer::types::PageMode;
use pdf_writer::{Date, Finish, Name, Pdf, Rect, Ref, TextStr};
use vouchsafe_model::Time;

use super::layout::{BOLD, HEIGHT, MARGIN, MONO, Mark, Pages, REGULAR, WIDTH, put};
use super::letters::{Face, encode, width, wrap};
use crate::drawing::Ink;

/// What is said of the file as a whole.
pub(crate) struct Paper {
    pub(crate) title: String,
    /// At the foot of each page, beside its number.
    pub(crate) foot: String,
    /// The program that made it.
    pub(crate) tool: String,
    pub(crate) made: Time,
}

/// Numbers objects in their order.
struct Refs(i32);

impl Refs {
    fn next(&mut self) -> Ref {
        self.0 += 1;
        Ref::new(self.0)
    }
}

pub(super) fn finish(made: Pages, paper: &Paper) -> Vec<u8> {
    let mut refs = Refs(0);
    let mut pdf = Pdf::new();
    pdf.set_version(1, 7);
    let (catalog, tree, info, outline) = (refs.next(), refs.next(), refs.next(), refs.next());
    let fonts = [
        (REGULAR, refs.next(), Name(b"Helvetica")),
        (BOLD, refs.next(), Name(b"Helvetica-Bold")),
        (MONO, refs.next(), Name(b"Courier")),
    ];
    for (_, font, base) in fonts {
        pdf.type1_font(font)
            .base_font(base)
            .encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    let pages: Vec<Ref> = made.pages.iter().map(|_| refs.next()).collect();
    let count = pages.len();
    for ((number, mut page), id) in made.pages.into_iter().enumerate().zip(&pages) {
        foot(&mut page, number + 1, count, &paper.foot);
        let stream = refs.next();
        let mut writer = pdf.page(*id);
        writer.media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT));
        writer.parent(tree);
        writer.contents(stream);
        let mut resources = writer.resources();
        let mut named = resources.fonts();
        for (name, font, _) in fonts {
            named.pair(name, font);
        }
        named.finish();
        resources.finish();
        writer.finish();
        let shown = page.finish();
        pdf.stream(stream, &shown).finish();
    }
    let total = i32::try_from(count).unwrap_or(i32::MAX);
    pdf.pages(tree).kids(pages.iter().copied()).count(total);
    let shown = outlines(&mut pdf, &mut refs, outline, &made.marks, &pages);
    let mut writer = pdf.document_info(info);
    writer.title(TextStr(&paper.title));
    writer.producer(TextStr(&paper.tool));
    writer.creation_date(date(paper.made));
    writer.finish();
    let mut writer = pdf.catalog(catalog);
    writer.pages(tree);
    writer.lang(TextStr("en"));
    writer.viewer_preferences().display_doc_title(true);
    if shown {
        writer.outlines(outline);
        writer.page_mode(PageMode::UseOutlines);
    }
    writer.finish();
    pdf.finish()
}

/// The sections, for the reader's side pane.
fn outlines(pdf: &mut Pdf, refs: &mut Refs, root: Ref, marks: &[Mark], pages: &[Ref]) -> bool {
    let items: Vec<(&Mark, Ref, Ref)> = marks
        .iter()
        .filter(|m| m.level == 1)
        .filter_map(|m| Some((m, refs.next(), *pages.get(m.page)?)))
        .collect();
    let (Some((_, first, _)), Some((_, last, _))) = (items.first(), items.last()) else {
        return false;
    };
    pdf.outline(root)
        .first(*first)
        .last(*last)
        .count(i32::try_from(items.len()).unwrap_or(i32::MAX));
    for (n, (mark, id, page)) in items.iter().enumerate() {
        let mut item = pdf.outline_item(*id);
        item.title(TextStr(&mark.title));
        item.parent(root);
        if let Some((_, next, _)) = items.get(n + 1) {
            item.next(*next);
        }
        if let Some((_, before, _)) = n.checked_sub(1).and_then(|n| items.get(n)) {
            item.prev(*before);
        }
        item.dest().page(*page).xyz(0.0, mark.y + 10.0, None);
        item.finish();
    }
    true
}

fn foot(page: &mut pdf_writer::Content, number: usize, count: usize, text: &str) {
    const SIZE: f32 = 7.5;
    let room = WIDTH - 2.0 * MARGIN - 80.0;
    let mut lines = wrap(Face::Regular, SIZE, room, text).into_iter();
    let left = lines.next().unwrap_or_default();
    let right = encode(&format!("page {number} of {count}"));
    put(
        page,
        (MARGIN, 30.0),
        Face::Regular,
        SIZE,
        Ink::Unsure,
        &left,
    );
    let x = WIDTH - MARGIN - width(Face::Regular, SIZE, &right);
    put(page, (x, 30.0), Face::Regular, SIZE, Ink::Unsure, &right);
}

fn date(at: Time) -> Date {
    let text = at.to_timestamp().strftime("%Y %m %d %H %M %S").to_string();
    let mut parts = text.split(' ').map(|p| p.parse::<u16>().unwrap_or(0));
    let year = parts.next().unwrap_or(0);
    let mut small = || parts.next().and_then(|n| u8::try_from(n).ok()).unwrap_or(0);
    Date::new(year)
        .month(small())
        .day(small())
        .hour(small())
        .minute(small())
        .second(small())
        .utc_offset_hour(0)
}
