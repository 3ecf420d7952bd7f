//! The map of where copies go, as a drawing of lines and boxes.

use std::collections::{BTreeMap, BTreeSet};

use maud::html;

use super::DocumentInput;
use super::places::holders;

const ROW: usize = 26;
const LEFT: usize = 300;
const RIGHT: usize = 250;
const WIDTH: usize = 760;
/// With more systems those with the same holders share a box.
const MOST: usize = 40;

struct Holder {
    region: String,
    name: String,
    y: usize,
}

/// The drawing; nothing if nothing is copied anywhere.
pub(super) fn map(input: &DocumentInput<'_>) -> Option<String> {
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
    Some(draw(&boxes))
}

fn label(systems: &[&String]) -> String {
    match systems {
        [one] => (*one).clone(),
        [first, second] => format!("{first}, {second}"),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        [] => String::new(),
    }
}

fn draw(boxes: &[(String, Vec<(&String, &String)>)]) -> String {
    let mut wanted: BTreeSet<(&String, &String)> = BTreeSet::new();
    for (_, pairs) in boxes {
        wanted.extend(pairs.iter().copied());
    }
    let mut holders: Vec<Holder> = Vec::new();
    let mut regions: Vec<(String, usize, usize)> = Vec::new();
    let mut y = 8;
    for (region, name) in wanted {
        if regions.last().is_none_or(|(known, _, _)| known != region) {
            y += if regions.is_empty() { 0 } else { 14 };
            regions.push((region.clone(), y, 0));
            y += 22;
        }
        holders.push(Holder {
            region: region.clone(),
            name: name.clone(),
            y,
        });
        y += ROW + 4;
        if let Some(last) = regions.last_mut() {
            last.2 = y + 2;
        }
    }
    let height = (boxes.len() * ROW + 16).max(y + 8);
    // The shorter side stands in the middle of the longer one.
    let right_shift = (height - (y + 8)) / 2;
    let left_shift = (height - (boxes.len() * ROW + 16)) / 2;
    let at = |n: usize| 8 + left_shift + n * ROW;
    let right_x = WIDTH - RIGHT;
    let svg = html! {
        svg viewBox={ "0 0 " (WIDTH) " " (height) } role="img" xmlns="http://www.w3.org/2000/svg"
            aria-label="Map of systems and the places of their copies" {
            @for (n, (_, pairs)) in boxes.iter().enumerate() {
                @for (region, name) in pairs {
                    @if let Some(holder) = holders.iter().find(|h| h.region == **region && h.name == **name) {
                        @let from = at(n) + ROW / 2 - 2;
                        @let to = holder.y + right_shift + ROW / 2;
                        path d={ "M" (LEFT) " " (from) " C" (LEFT + 90) " " (from) " " (right_x - 80) " " (to) " " (right_x + 8) " " (to) }
                            fill="none" stroke="#8a96a3" stroke-width="1" {}
                    }
                }
            }
            @for (n, (name, _)) in boxes.iter().enumerate() {
                rect x="2" y=(at(n)) width=(LEFT - 2) height=(ROW - 4) rx="3" fill="#eef3f8" stroke="#1f4e8c" {}
                text x="10" y=(at(n) + 15) font-size="11" { (cut(name, 46)) }
            }
            @for (region, top, bottom) in &regions {
                rect x=(right_x) y=(top + right_shift) width=(RIGHT - 2) height=(bottom - top) rx="4"
                    fill="none" stroke="#4a5159" stroke-dasharray="4 3" {}
                text x=(right_x + 10) y=(top + right_shift + 15) font-size="11" font-weight="bold" { (cut(region, 34)) }
            }
            @for holder in &holders {
                rect x=(right_x + 8) y=(holder.y + right_shift) width=(RIGHT - 18) height=(ROW - 2) rx="3"
                    fill="#e4f3e8" stroke="#0f5c2b" {}
                text x=(right_x + 16) y=(holder.y + right_shift + 16) font-size="11" { (cut(&holder.name, 34)) }
            }
        }
    };
    svg.into_string()
}

fn cut(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => format!("{}…", text.chars().take(most - 1).collect::<String>()),
        false => text.to_owned(),
    }
}
