//! Putting blocks onto pages of A4.

use pdf_writer::{Content, Name, Str};

use super::blocks::{Block, Tone};
use super::letters::{Face, encode, width, wrap};
use crate::drawing::{Anchor, Drawing, Ink, MARK, Shape, TEXT};

pub(super) const WIDTH: f32 = 595.0;
pub(super) const HEIGHT: f32 = 842.0;
pub(super) const MARGIN: f32 = 42.0;
/// Where the text of a page ends, from below.
const FLOOR: f32 = 56.0;
const ROOM: f32 = WIDTH - 2.0 * MARGIN;
const PAD: f32 = 3.0;

pub(super) const REGULAR: Name<'static> = Name(b"F1");
pub(super) const BOLD: Name<'static> = Name(b"F2");
pub(super) const MONO: Name<'static> = Name(b"F3");

/// A heading, where it stands: for the outline.
pub(super) struct Mark {
    pub(super) title: String,
    pub(super) level: u8,
    pub(super) page: usize,
    pub(super) y: f32,
}

/// Pages that are done, and the headings on them.
pub(super) struct Pages {
    pub(super) pages: Vec<Content>,
    pub(super) marks: Vec<Mark>,
}

/// What has been put onto pages so far.
pub(super) struct Layout {
    done: Vec<Content>,
    page: Content,
    y: f32,
    marks: Vec<Mark>,
}

impl Layout {
    pub(super) fn new() -> Layout {
        Layout {
            done: Vec::new(),
            page: Content::new(),
            y: HEIGHT - MARGIN,
            marks: Vec::new(),
        }
    }

    pub(super) fn into_pages(mut self) -> Pages {
        self.done.push(self.page);
        Pages {
            pages: self.done,
            marks: self.marks,
        }
    }

    pub(super) fn block(&mut self, block: &Block) {
        match block {
            Block::Heading(level, text) => self.heading(*level, text),
            Block::Text(text) => self.text(Face::Regular, 9.0, Ink::Plain, text),
            Block::Loud(text) => self.text(Face::Bold, 10.0, Ink::Bad, text),
            Block::Code(text) => self.text(Face::Mono, 7.5, Ink::Plain, text),
            Block::List(items) => self.list(items),
            Block::Pairs(pairs) => self.pairs(pairs),
            Block::Table {
                caption,
                head,
                rows,
            } => self.table(caption, head, rows),
            Block::Drawing(drawing) => self.drawing(drawing),
        }
    }

    /// A new page, unless this one is empty.
    fn turn(&mut self) {
        if self.y < HEIGHT - MARGIN {
            self.done
                .push(std::mem::replace(&mut self.page, Content::new()));
            self.y = HEIGHT - MARGIN;
        }
    }

    fn ensure(&mut self, height: f32) {
        if self.y - height < FLOOR {
            self.turn();
        }
    }

    fn line(&mut self, at: (f32, f32), face: Face, size: f32, ink: Ink, text: &[u8]) {
        put(&mut self.page, at, face, size, ink, text);
    }

    fn heading(&mut self, level: u8, text: &str) {
        let size = match level {
            0 => 20.0,
            1 => 14.0,
            2 => 11.0,
            _ => 9.5,
        };
        // A heading does not stand alone at the foot of a page.
        self.ensure(size + 70.0);
        self.y -= size * if level == 0 { 1.2 } else { 1.9 };
        let (page, y) = (self.done.len(), self.y + size);
        for line in wrap(Face::Bold, size, ROOM, text) {
            self.line((MARGIN, self.y), Face::Bold, size, Ink::Plain, &line);
            self.y -= size * 1.2;
        }
        if level == 1 {
            rule(&mut self.page, self.y + size * 0.8, Ink::Plain, 1.0);
        }
        self.y -= 3.0;
        self.marks.push(Mark {
            title: text.to_owned(),
            level,
            page,
            y,
        });
    }

    fn text(&mut self, face: Face, size: f32, ink: Ink, text: &str) {
        for line in wrap(face, size, ROOM, text) {
            self.ensure(size * 1.35);
            self.y -= size * 1.35;
            self.line((MARGIN, self.y), face, size, ink, &line);
        }
        self.y -= 5.0;
    }

    fn list(&mut self, items: &[String]) {
        const SIZE: f32 = 9.0;
        const INDENT: f32 = 12.0;
        for item in items {
            for (n, line) in wrap(Face::Regular, SIZE, ROOM - INDENT, item)
                .iter()
                .enumerate()
            {
                self.ensure(SIZE * 1.35);
                self.y -= SIZE * 1.35;
                let y = self.y;
                if n == 0 {
                    let mark = encode("•");
                    self.line((MARGIN + 2.0, y), Face::Regular, SIZE, Ink::Plain, &mark);
                }
                self.line((MARGIN + INDENT, y), Face::Regular, SIZE, Ink::Plain, line);
            }
            self.y -= 1.5;
        }
        self.y -= 5.0;
    }

    fn pairs(&mut self, pairs: &[(String, String)]) {
        const SIZE: f32 = 8.5;
        const STEP: f32 = 11.5;
        let widest = pairs
            .iter()
            .map(|(k, _)| width(Face::Regular, SIZE, &encode(k)));
        let left = widest.fold(0.0, f32::max).min(ROOM / 3.0) + 10.0;
        for (key, value) in pairs {
            let names = wrap(Face::Regular, SIZE, left - 8.0, key);
            let values = wrap(Face::Regular, SIZE, ROOM - left, value);
            for n in 0..names.len().max(values.len()) {
                self.ensure(STEP);
                self.y -= STEP;
                if let Some(name) = names.get(n) {
                    self.line((MARGIN, self.y), Face::Regular, SIZE, Ink::Unsure, name);
                }
                if let Some(value) = values.get(n) {
                    self.line(
                        (MARGIN + left, self.y),
                        Face::Regular,
                        SIZE,
                        Ink::Plain,
                        value,
                    );
                }
            }
        }
        self.y -= 6.0;
    }

    fn table(&mut self, caption: &str, head: &[String], rows: &[(Tone, Vec<String>)]) {
        const SIZE: f32 = 7.5;
        const STEP: f32 = 9.5;
        /// Lines of a row that go onto one page.
        const MOST: usize = 60;
        let widths = widths(SIZE, head, rows);
        let wrapped = |face, cells: &[String]| -> Vec<Vec<Vec<u8>>> {
            let all = cells.iter().zip(&widths);
            all.map(|(cell, room)| wrap(face, SIZE, room - 2.0 * PAD, cell))
                .collect()
        };
        let tall = |cells: &[Vec<Vec<u8>>]| cells.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let height =
            |lines: usize| f32::from(u16::try_from(lines).unwrap_or(u16::MAX)) * STEP + 2.0 * PAD;
        let heads = wrapped(Face::Bold, head);
        let first = rows
            .first()
            .map(|(_, cells)| tall(&wrapped(Face::Regular, cells)));
        self.ensure(14.0 + height(tall(&heads)) + height(first.unwrap_or(1).min(12)));
        if !caption.is_empty() {
            let y = self.y - 12.0;
            self.line((MARGIN, y), Face::Bold, 8.5, Ink::Plain, &encode(caption));
            self.y = y;
        }
        self.y -= 4.0;
        self.row(
            Tone::Head,
            &heads,
            &widths,
            (SIZE, STEP),
            height(tall(&heads)),
        );
        for (tone, cells) in rows {
            let mut cells = wrapped(Face::Regular, cells);
            // What is taller than a page goes on over the next ones.
            while tall(&cells) > 0 {
                let rest: Vec<Vec<Vec<u8>>> = cells
                    .iter_mut()
                    .map(|lines| lines.split_off(lines.len().min(MOST)))
                    .collect();
                let needs = height(tall(&cells));
                if self.y - needs < FLOOR {
                    self.turn();
                    self.row(
                        Tone::Head,
                        &heads,
                        &widths,
                        (SIZE, STEP),
                        height(tall(&heads)),
                    );
                }
                self.row(*tone, &cells, &widths, (SIZE, STEP), needs);
                if rest.iter().all(Vec::is_empty) {
                    break;
                }
                cells = rest;
            }
        }
        self.y -= 8.0;
    }

    fn row(
        &mut self,
        tone: Tone,
        cells: &[Vec<Vec<u8>>],
        widths: &[f32],
        (size, step): (f32, f32),
        height: f32,
    ) {
        let top = self.y;
        if let Some([r, g, b]) = tone.ground() {
            self.page.set_fill_rgb(r, g, b);
            self.page
                .rect(MARGIN, top - height, ROOM, height)
                .fill_nonzero();
        }
        let face = if tone == Tone::Head {
            Face::Bold
        } else {
            Face::Regular
        };
        let mut x = MARGIN;
        for (lines, room) in cells.iter().zip(widths) {
            let mut y = top - PAD - size;
            for line in lines {
                self.line((x + PAD, y), face, size, Ink::Plain, line);
                y -= step;
            }
            x += room;
        }
        self.y = top - height;
        rule(&mut self.page, self.y, Ink::Faint, 0.5);
    }

    fn drawing(&mut self, drawing: &Drawing) {
        // What is tall is drawn smaller, for a drawing does not go on over pages.
        let most = HEIGHT - MARGIN - FLOOR - 60.0;
        let scale = (ROOM / small(drawing.width)).min(most / small(drawing.height));
        let height = small(drawing.height) * scale;
        self.ensure(height + 24.0);
        self.y -= 4.0;
        let top = self.y;
        let at = |(x, y): (f64, f64)| (MARGIN + small(x) * scale, top - small(y) * scale);
        for shape in &drawing.shapes {
            draw(&mut self.page, shape, scale, &at);
        }
        self.y = top - height;
        self.text(Face::Regular, 8.0, Ink::Unsure, &drawing.caption);
    }
}

/// Room for each column: what its longest word and its text ask for, fitted into the page.
fn widths(size: f32, head: &[String], rows: &[(Tone, Vec<String>)]) -> Vec<f32> {
    let mut least = vec![0.0f32; head.len()];
    let mut wished = vec![0.0f32; head.len()];
    let heads = std::iter::once((Face::Bold, head));
    let cells = rows
        .iter()
        .map(|(_, cells)| (Face::Regular, cells.as_slice()));
    for (face, cells) in heads.chain(cells) {
        for ((cell, least), wished) in cells.iter().zip(&mut least).zip(&mut wished) {
            let of = |text: &str| width(face, size, &encode(text)) + 2.0 * PAD + 1.0;
            let words = cell.split([' ', '\n']).map(of);
            *least = words.fold(*least, f32::max).min(110.0);
            *wished = wished.max(of(cell)).min(260.0);
        }
    }
    let sum: f32 = least.iter().sum();
    if sum >= ROOM {
        return least.iter().map(|w| w * ROOM / sum).collect();
    }
    let more: f32 = wished
        .iter()
        .zip(&least)
        .map(|(w, l)| (w - l).max(0.0))
        .sum();
    let share = if more > 0.0 { (ROOM - sum) / more } else { 0.0 };
    let all = wished.iter().zip(&least);
    let fitted: Vec<f32> = all
        .map(|(w, l)| l + (w - l).max(0.0) * share.min(1.0))
        .collect();
    // What is left over goes to the last column, so that the ground of a row ends with it.
    let left = ROOM - fitted.iter().sum::<f32>();
    let last = fitted.len().saturating_sub(1);
    let widened = fitted.iter().enumerate();
    widened
        .map(|(n, w)| if n == last { w + left } else { *w })
        .collect()
}

pub(super) fn put(
    page: &mut Content,
    at: (f32, f32),
    face: Face,
    size: f32,
    ink: Ink,
    text: &[u8],
) {
    if text.is_empty() {
        return;
    }
    let name = match face {
        Face::Regular => REGULAR,
        Face::Bold => BOLD,
        Face::Mono => MONO,
    };
    let [r, g, b] = rgb(ink);
    page.set_fill_rgb(r, g, b);
    page.begin_text();
    page.set_font(name, size);
    page.next_line(at.0, at.1);
    page.show(Str(text));
    page.end_text();
}

fn rule(page: &mut Content, y: f32, ink: Ink, thick: f32) {
    let [r, g, b] = rgb(ink);
    page.set_stroke_rgb(r, g, b);
    page.set_line_width(thick);
    page.move_to(MARGIN, y).line_to(WIDTH - MARGIN, y).stroke();
}

fn draw(page: &mut Content, shape: &Shape, scale: f32, at: &impl Fn((f64, f64)) -> (f32, f32)) {
    match shape {
        Shape::Line {
            points,
            ink,
            width,
            dashed,
        } => {
            stroke(page, *ink, small(*width) * scale);
            if *dashed {
                page.set_dash_pattern([4.0, 3.0], 0.0);
            }
            for (n, point) in points.iter().enumerate() {
                let (x, y) = at(*point);
                match n {
                    0 => page.move_to(x, y),
                    _ => page.line_to(x, y),
                };
            }
            page.stroke();
            if *dashed {
                page.set_dash_pattern([], 0.0);
            }
        }
        Shape::Rect {
            at: from,
            size,
            ink,
        } => {
            let (x, y) = at(*from);
            let (w, h) = (small(size.0) * scale, small(size.1) * scale);
            fill(page, *ink);
            page.rect(x, y - h, w, h).fill_nonzero();
        }
        Shape::Dot { at: from, ink } => {
            let ((x, y), r) = (at(*from), small(MARK) * scale);
            // A circle of four curves; the number is the usual one for it.
            let k = r * 0.552_285;
            fill(page, *ink);
            page.move_to(x + r, y)
                .cubic_to(x + r, y + k, x + k, y + r, x, y + r)
                .cubic_to(x - k, y + r, x - r, y + k, x - r, y)
                .cubic_to(x - r, y - k, x - k, y - r, x, y - r)
                .cubic_to(x + k, y - r, x + r, y - k, x + r, y)
                .fill_nonzero();
        }
        Shape::Cross { at: from, ink } => {
            let ((x, y), r) = (at(*from), small(MARK) * scale);
            stroke(page, *ink, 2.0 * scale);
            page.move_to(x - r, y - r).line_to(x + r, y + r);
            page.move_to(x - r, y + r).line_to(x + r, y - r).stroke();
        }
        Shape::Text {
            at: from,
            anchor,
            ink,
            text,
        } => {
            let size = small(TEXT) * scale;
            let bytes = encode(text);
            let (x, y) = at(*from);
            let wide = width(Face::Regular, size, &bytes);
            let x = match anchor {
                Anchor::Start => x,
                Anchor::Middle => x - wide / 2.0,
                Anchor::End => x - wide,
            };
            put(page, (x, y), Face::Regular, size, *ink, &bytes);
        }
    }
}

fn stroke(page: &mut Content, ink: Ink, width: f32) {
    let [r, g, b] = rgb(ink);
    page.set_stroke_rgb(r, g, b);
    page.set_line_width(width);
}

fn fill(page: &mut Content, ink: Ink) {
    let [r, g, b] = rgb(ink);
    page.set_fill_rgb(r, g, b);
}

fn rgb(ink: Ink) -> [f32; 3] {
    ink.rgb().map(|part| f32::from(part) / 255.0)
}

/// Exact enough for paper.
#[allow(clippy::cast_possible_truncation)]
fn small(value: f64) -> f32 {
    value as f32
}
