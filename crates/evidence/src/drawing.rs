//! A drawing as shapes, so that a page and a PDF show the same one.

use maud::{Markup, html};

/// Ink that means something everywhere; what it says is also said in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Axes and text.
    Plain,
    /// Lines that only help the eye.
    Faint,
    /// What is as it should be.
    Good,
    /// What is not.
    Bad,
    /// Nothing is known.
    Unsure,
    /// What was measured.
    Blue,
}

impl Ink {
    pub(crate) fn rgb(self) -> [u8; 3] {
        match self {
            Ink::Plain => [0x1a, 0x1d, 0x21],
            Ink::Faint => [0xc9, 0xce, 0xd4],
            Ink::Good => [0x0f, 0x5c, 0x2b],
            Ink::Bad => [0x9b, 0x0c, 0x22],
            Ink::Unsure => [0x8a, 0x93, 0x9c],
            Ink::Blue => [0x1f, 0x4e, 0x8c],
        }
    }

    fn hex(self) -> String {
        let [r, g, b] = self.rgb();
        format!("#{r:02x}{g:02x}{b:02x}")
    }
}

/// To which side of its place a text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// One shape; lengths are in units of the drawing, down from its upper left corner.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    /// Joined points.
    Line {
        points: Vec<(f64, f64)>,
        ink: Ink,
        width: f64,
        dashed: bool,
    },
    /// A filled area.
    Rect {
        at: (f64, f64),
        size: (f64, f64),
        ink: Ink,
    },
    /// A filled disc.
    Dot { at: (f64, f64), ink: Ink },
    /// A cross of two strokes.
    Cross { at: (f64, f64), ink: Ink },
    /// Words, their baseline at the place.
    Text {
        at: (f64, f64),
        anchor: Anchor,
        ink: Ink,
        text: String,
    },
}

/// The radius of dots and crosses.
pub(crate) const MARK: f64 = 4.0;
/// The size of texts.
pub(crate) const TEXT: f64 = 11.0;

/// Shapes on a ground, with words for those who do not see them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Drawing {
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// What is drawn, and the figures that matter.
    pub(crate) label: String,
    /// The sentence beneath it.
    pub(crate) caption: String,
    pub(crate) shapes: Vec<Shape>,
}

impl Drawing {
    pub(crate) fn svg(&self) -> Markup {
        html! {
            figure {
                svg viewBox={ "0 0 " (number(self.width)) " " (number(self.height)) } role="img" aria-label=(self.label) {
                    @for shape in &self.shapes { (svg_shape(shape)) }
                }
                figcaption { (self.caption) }
            }
        }
    }
}

fn svg_shape(shape: &Shape) -> Markup {
    match shape {
        Shape::Line {
            points,
            ink,
            width,
            dashed,
        } => {
            let points: Vec<String> = points
                .iter()
                .map(|(x, y)| format!("{},{}", number(*x), number(*y)))
                .collect();
            html! {
                polyline points=(points.join(" ")) fill="none" stroke=(ink.hex()) stroke-width=(number(*width))
                    stroke-dasharray=[dashed.then_some("5 4")] {}
            }
        }
        Shape::Rect { at, size, ink } => html! {
            rect x=(number(at.0)) y=(number(at.1)) width=(number(size.0)) height=(number(size.1)) fill=(ink.hex()) {}
        },
        Shape::Dot { at, ink } => html! {
            circle cx=(number(at.0)) cy=(number(at.1)) r=(number(MARK)) fill=(ink.hex()) {}
        },
        Shape::Cross { at: (x, y), ink } => {
            let (l, r, t, b) = (x - MARK, x + MARK, y - MARK, y + MARK);
            let stroke = |from: (f64, f64), to: (f64, f64)| {
                format!(
                    "M{} {} L{} {}",
                    number(from.0),
                    number(from.1),
                    number(to.0),
                    number(to.1)
                )
            };
            let path = format!("{} {}", stroke((l, t), (r, b)), stroke((l, b), (r, t)));
            html! { path d=(path) fill="none" stroke=(ink.hex()) stroke-width="2.2" {} }
        }
        Shape::Text {
            at,
            anchor,
            ink,
            text,
        } => {
            let anchor = match anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            html! { text x=(number(at.0)) y=(number(at.1)) text-anchor=(anchor) style={ "fill:" (ink.hex()) } { (text) } }
        }
    }
}

/// One decimal, and the same for minus zero.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    match text.as_str() {
        "-0.0" => "0.0".to_owned(),
        _ => text,
    }
}
