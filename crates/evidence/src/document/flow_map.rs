//! The map of where copies go, as a drawing of lines and boxes.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::DocumentInput;
use super::places::holders;
use crate::drawing::{Anchor, Drawing, Ink, Shape};

const ROW: usize = 26;
const LEFT: usize = 300;
const RIGHT: usize = 250;
const WIDTH: usize = 760;
const RIGHT_X: usize = WIDTH - RIGHT;
/// How far links go straight on before they bend, at both ends.
const BEND: (usize, usize) = (90, 80);
const LABEL: &str = "Map of systems and the places of their copies";
/// With more systems those with the same holders share a box.
const MOST: usize = 40;

/// Where everything stands on the map.
#[derive(Clone, Debug)]
pub(super) struct FlowMap {
    height: usize,
    /// From which height on the left to which on the right.
    links: Vec<(usize, usize)>,
    systems: Vec<(String, usize)>,
    holders: Vec<Holder>,
    regions: Vec<Region>,
}

#[derive(Clone, Debug)]
struct Holder {
    region: String,
    name: String,
    y: usize,
}

#[derive(Clone, Debug)]
struct Region {
    name: String,
    top: usize,
    bottom: usize,
}

/// The map; nothing if nothing is copied anywhere.
pub(super) fn map(input: &DocumentInput<'_>) -> Option<FlowMap> {
    let all = holders(input);
    let held: Vec<(&String, BTreeSet<(&String, &String)>)> = all
        .iter()
        .map(|(system, regions)| {
            let pairs = regions
                .iter()
                .flat_map(|(region, names)| names.iter().map(move |name| (region, name)));
            (system, pairs.collect())
        })
        .filter(|(_, pairs): &(_, BTreeSet<_>)| !pairs.is_empty())
        .collect();
    if held.is_empty() {
        return None;
    }
    let mut groups: BTreeMap<Vec<(&String, &String)>, Vec<&String>> = BTreeMap::new();
    for (system, pairs) in &held {
        let key = pairs.iter().copied().collect();
        groups.entry(key).or_default().push(system);
    }
    let boxes: Vec<(String, Vec<(&String, &String)>)> = match held.len() > MOST {
        true => groups
            .into_iter()
            .map(|(pairs, systems)| (label(&systems), pairs))
            .collect(),
        // Those with the same holders stand together, so that few lines cross.
        false => groups
            .into_iter()
            .flat_map(|(pairs, systems)| {
                systems
                    .into_iter()
                    .map(move |system| (system.clone(), pairs.clone()))
            })
            .collect(),
    };
    Some(laid_out(&boxes))
}

fn label(systems: &[&String]) -> String {
    match systems {
        [one] => (*one).clone(),
        [first, second] => format!("{first}, {second}"),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        [] => String::new(),
    }
}

fn laid_out(boxes: &[(String, Vec<(&String, &String)>)]) -> FlowMap {
    let mut wanted: BTreeSet<(&String, &String)> = BTreeSet::new();
    for (_, pairs) in boxes {
        wanted.extend(pairs.iter().copied());
    }
    let mut holders: Vec<Holder> = Vec::new();
    let mut regions: Vec<Region> = Vec::new();
    let mut y = 8;
    for (region, name) in wanted {
        if regions.last().is_none_or(|known| known.name != *region) {
            y += if regions.is_empty() { 0 } else { 14 };
            regions.push(Region {
                name: region.clone(),
                top: y,
                bottom: 0,
            });
            y += 22;
        }
        holders.push(Holder {
            region: region.clone(),
            name: name.clone(),
            y,
        });
        y += ROW + 4;
        if let Some(last) = regions.last_mut() {
            last.bottom = y + 2;
        }
    }
    let height = (boxes.len() * ROW + 16).max(y + 8);
    // The shorter side stands in the middle of the longer one.
    let right_shift = (height - (y + 8)) / 2;
    let left_shift = (height - (boxes.len() * ROW + 16)) / 2;
    for holder in &mut holders {
        holder.y += right_shift;
    }
    for region in &mut regions {
        region.top += right_shift;
        region.bottom += right_shift;
    }
    let at = |n: usize| 8 + left_shift + n * ROW;
    let links = boxes.iter().enumerate().flat_map(|(n, (_, pairs))| {
        let held = pairs.iter().filter_map(|(region, name)| {
            holders
                .iter()
                .find(|h| h.region == **region && h.name == **name)
        });
        held.map(move |holder| (at(n) + ROW / 2 - 2, holder.y + ROW / 2))
    });
    FlowMap {
        height,
        links: links.collect(),
        systems: boxes
            .iter()
            .enumerate()
            .map(|(n, (name, _))| (name.clone(), at(n)))
            .collect(),
        holders,
        regions,
    }
}

impl FlowMap {
    /// For a page.
    pub(super) fn svg(&self) -> Markup {
        html! {
            svg viewBox={ "0 0 " (WIDTH) " " (self.height) } role="img" xmlns="http://www.w3.org/2000/svg" aria-label=(LABEL) {
                @for (from, to) in &self.links {
                    path d={ "M" (LEFT) " " (from) " C" (LEFT + BEND.0) " " (from) " " (RIGHT_X - BEND.1) " " (to) " " (RIGHT_X + 8) " " (to) }
                        fill="none" stroke="#8a96a3" stroke-width="1" {}
                }
                @for (name, y) in &self.systems {
                    rect x="2" y=(y) width=(LEFT - 2) height=(ROW - 4) rx="3" fill="#eef3f8" stroke="#1f4e8c" {}
                    text x="10" y=(y + 15) font-size="11" { (cut(name, 46)) }
                }
                @for region in &self.regions {
                    rect x=(RIGHT_X) y=(region.top) width=(RIGHT - 2) height=(region.bottom - region.top) rx="4"
                        fill="none" stroke="#4a5159" stroke-dasharray="4 3" {}
                    text x=(RIGHT_X + 10) y=(region.top + 15) font-size="11" font-weight="bold" { (cut(&region.name, 34)) }
                }
                @for holder in &self.holders {
                    rect x=(RIGHT_X + 8) y=(holder.y) width=(RIGHT - 18) height=(ROW - 2) rx="3"
                        fill="#e4f3e8" stroke="#0f5c2b" {}
                    text x=(RIGHT_X + 16) y=(holder.y + 16) font-size="11" { (cut(&holder.name, 34)) }
                }
            }
        }
    }

    /// The same for paper.
    pub(super) fn drawing(&self, caption: &str) -> Drawing {
        let mut shapes: Vec<Shape> = Vec::new();
        for (from, to) in &self.links {
            shapes.push(line(
                curve(length(*from), length(*to)),
                Ink::Unsure,
                1.0,
                false,
            ));
        }
        for (name, y) in &self.systems {
            frame(&mut shapes, (2, *y), (LEFT - 2, ROW - 4), Ink::Blue, false);
            shapes.push(words((10, y + 15), cut(name, 46)));
        }
        for region in &self.regions {
            let size = (RIGHT - 2, region.bottom - region.top);
            frame(&mut shapes, (RIGHT_X, region.top), size, Ink::Plain, true);
            let at = (RIGHT_X + 10, region.top + 15);
            shapes.push(words(at, cut(&region.name, 34)));
        }
        for holder in &self.holders {
            let size = (RIGHT - 18, ROW - 2);
            frame(&mut shapes, (RIGHT_X + 8, holder.y), size, Ink::Good, false);
            let at = (RIGHT_X + 16, holder.y + 16);
            shapes.push(words(at, cut(&holder.name, 34)));
        }
        Drawing {
            width: length(WIDTH),
            height: length(self.height),
            label: LABEL.to_owned(),
            caption: caption.to_owned(),
            shapes,
        }
    }
}

/// A link as the page draws it, a cubic curve, in short straight pieces.
fn curve(from: f64, to: f64) -> Vec<(f64, f64)> {
    const PIECES: u8 = 16;
    let ends = [
        (length(LEFT), from),
        (length(LEFT + BEND.0), from),
        (length(RIGHT_X - BEND.1), to),
        (length(RIGHT_X + 8), to),
    ];
    let point = |n: u8| {
        let t = f64::from(n) / f64::from(PIECES);
        let u = 1.0 - t;
        let weights = [u * u * u, 3.0 * u * u * t, 3.0 * u * t * t, t * t * t];
        let all = ends.iter().zip(weights);
        all.fold((0.0, 0.0), |(x, y), ((a, b), w)| (x + a * w, y + b * w))
    };
    (0..=PIECES).map(point).collect()
}

fn line(points: Vec<(f64, f64)>, ink: Ink, width: f64, dashed: bool) -> Shape {
    Shape::Line {
        points,
        ink,
        width,
        dashed,
    }
}

fn frame(
    shapes: &mut Vec<Shape>,
    at: (usize, usize),
    size: (usize, usize),
    ink: Ink,
    dashed: bool,
) {
    let ((x, y), (w, h)) = (at, size);
    let corners = [(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)];
    let corners = corners.map(|(x, y)| (length(x), length(y)));
    shapes.push(line(corners.to_vec(), ink, 1.0, dashed));
}

fn words(at: (usize, usize), text: String) -> Shape {
    Shape::Text {
        at: (length(at.0), length(at.1)),
        anchor: Anchor::Start,
        ink: Ink::Plain,
        text,
    }
}

/// A length of the drawing; none is so large that this were not exact.
fn length(value: usize) -> f64 {
    f64::from(u32::try_from(value).unwrap_or(u32::MAX))
}

fn cut(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => format!("{}…", text.chars().take(most - 1).collect::<String>()),
        false => text.to_owned(),
    }
}
