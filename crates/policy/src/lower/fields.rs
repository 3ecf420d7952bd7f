//! Reading one mapping: which keys it has, what stands behind them, and what is wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::Span;
use vouchsafe_model::policy::{Length, Schedule, WallTime};
use vouchsafe_model::source_url::redact;

use crate::keys::Section;
use crate::located::{Item, Node, Style, Value};
use crate::problem::{Level, Place, Problem};
use crate::words::{self, WordError};

/// More problems than anyone reads are not collected.
const MOST_PROBLEMS: usize = 1_000;

/// Collects what is found while a tree is lowered.
#[derive(Default)]
pub(super) struct Ctx {
    pub(super) problems: Vec<Problem>,
    pub(super) places: BTreeMap<String, Place>,
    /// The plan that is named by a `plan` key, by the key's place.
    pub(super) plans_named: BTreeMap<Place, String>,
    /// What is declared, by its kind and name, even if something is wrong with it.
    pub(super) declared: BTreeMap<&'static str, BTreeSet<String>>,
    /// What was referred to, by its kind and name.
    pub(super) used: BTreeSet<(&'static str, String)>,
    /// Every key that was asked for, by section: held against the tables by a test.
    #[cfg(test)]
    pub(super) asked: BTreeSet<(&'static str, &'static str)>,
}

/// One mapping, its unknown keys already reported.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    items: &'a [Item],
    #[cfg_attr(not(test), expect(dead_code, reason = "names the section to a test"))]
    section: &'static Section,
    pub(super) place: Place,
}

impl<'a> Fields<'a> {
    /// The item of that key, if it has a value.
    pub(super) fn get(&self, ctx: &mut Ctx, name: &'static str) -> Option<&'a Item> {
        #[cfg(test)]
        ctx.asked.insert((self.section.name, name));
        let _ = ctx;
        self.items
            .iter()
            .find(|i| i.key == name)
            .filter(|i| !i.node.is_null())
    }

    /// Every item.
    pub(super) fn items(&self) -> &'a [Item] {
        self.items
    }
}

impl Ctx {
    pub(super) fn error(
        &mut self,
        code: &'static str,
        place: Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.say(Level::Error, code, place, message, remedy);
    }

    pub(super) fn say(
        &mut self,
        level: Level,
        code: &'static str,
        place: Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        if self.problems.len() >= MOST_PROBLEMS {
            return;
        }
        self.problems.push(Problem {
            code,
            level,
            line: place.0,
            column: place.1,
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    pub(super) fn word_error(&mut self, place: Place, error: &WordError) {
        let code = match error {
            WordError::Schedule { .. }
            | WordError::Cron { .. }
            | WordError::Never { .. }
            | WordError::TooOften { .. } => "P014",
            WordError::Share { .. } | WordError::Rate { .. } => "P015",
            WordError::TimeOfDay { .. } | WordError::Zone { .. } => "P016",
            WordError::Date { .. } => "P017",
            _ => "P013",
        };
        self.error(code, place, error.to_string(), error.remedy());
    }

    /// The mapping's fields; reports another shape and every unknown key.
    pub(super) fn fields<'a>(&mut self, node: &'a Node, section: &'static Section) -> Fields<'a> {
        let empty = Fields {
            items: &[],
            section,
            place: node.place(),
        };
        let items = match &node.value {
            Value::Map(items) => items,
            _ if node.is_null() => return empty,
            _ => {
                let keys: Vec<&str> = section.keys().map(|k| k.name).collect();
                let wanted = format!("a mapping with any of {}", keys.join(", "));
                self.shape(node, &format!("`{}`", section.name), &wanted);
                return empty;
            }
        };
        for item in items.iter().filter(|i| !section.knows(&i.key)) {
            self.unknown_key(item, section);
        }
        Fields { items, ..empty }
    }

    fn unknown_key(&mut self, item: &Item, section: &'static Section) {
        let names: Vec<&str> = section.keys().map(|k| k.name).collect();
        let remedy = match nearest(&item.key, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", names.join(", ")),
        };
        let message = format!("`{}` is not a key of a {}", clip(&item.key), section.name);
        self.error("P010", item.place(), message, remedy);
    }

    /// The items of a mapping with names of the user's own; names are checked by the caller.
    pub(super) fn named<'a>(&mut self, node: &'a Node, what: &str) -> &'a [Item] {
        match &node.value {
            Value::Map(items) => items,
            _ if node.is_null() => &[],
            _ => {
                self.shape(node, what, "a mapping from names");
                &[]
            }
        }
    }

    pub(super) fn shape(&mut self, node: &Node, what: &str, wanted: &str) {
        let message = format!("{what} is {} here", node.kind());
        self.error("P011", node.place(), message, format!("write {wanted}"));
    }

    pub(super) fn text(&mut self, item: &Item) -> Option<String> {
        self.text_of(&item.node, &item.key)
    }

    pub(super) fn text_of(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Value::Scalar { text, .. } if !node.is_null() => Some(text.clone()),
            _ => {
                self.shape(node, &format!("`{what}`"), "a single value");
                None
            }
        }
    }

    /// A list of texts, or one text.
    pub(super) fn texts(&mut self, item: &Item) -> Vec<String> {
        match &item.node.value {
            Value::List(nodes) => nodes
                .iter()
                .filter_map(|n| self.text_of(n, &item.key))
                .collect(),
            _ => self.text(item).into_iter().collect(),
        }
    }

    pub(super) fn flag(&mut self, item: &Item) -> bool {
        match &item.node.value {
            Value::Scalar {
                text,
                style: Style::Plain,
            } if matches!(text.as_str(), "true" | "false") => text == "true",
            _ => {
                let message = format!("`{}` is neither true nor false", item.key);
                self.error("P018", item.node.place(), message, "write true or false");
                false
            }
        }
    }

    pub(super) fn count(&mut self, item: &Item) -> Option<u32> {
        let text = self.text(item)?;
        match text.parse::<u32>() {
            Ok(n @ 1..=1000) => Some(n),
            _ => {
                let message = format!("`{text}` is not a number from 1 to 1000");
                self.error(
                    "P015",
                    item.node.place(),
                    message,
                    "write a whole number from 1",
                );
                None
            }
        }
    }

    /// A value that must be one of `words`.
    pub(super) fn word(&mut self, item: &Item, words: &[&str]) -> bool {
        let Some(text) = self.text(item) else {
            return false;
        };
        if words.contains(&text.as_str()) {
            return true;
        }
        let message = format!("`{}: {text}` is not known", item.key);
        self.error(
            "P018",
            item.node.place(),
            message,
            format!("write {}", words.join(" or ")),
        );
        false
    }

    fn read<T>(&mut self, item: &Item, read: impl Fn(&str) -> Result<T, WordError>) -> Option<T> {
        let text = self.text(item)?;
        read(&text)
            .map_err(|e| self.word_error(item.node.place(), &e))
            .ok()
    }

    pub(super) fn length(&mut self, item: &Item) -> Option<Length> {
        self.read(item, words::length)
    }

    pub(super) fn span(&mut self, item: &Item) -> Option<Span> {
        self.read(item, words::span)
    }

    pub(super) fn share(&mut self, item: &Item) -> Option<(u32, u32)> {
        self.read(item, words::share)
    }

    pub(super) fn rate(&mut self, item: &Item) -> Option<u64> {
        self.read(item, words::rate)
    }

    pub(super) fn wall_time(&mut self, item: &Item) -> Option<WallTime> {
        self.read(item, words::wall_time)
    }

    pub(super) fn date(&mut self, item: &Item) -> Option<String> {
        self.read(item, words::date)
    }

    pub(super) fn schedule(&mut self, item: &Item) -> Option<Schedule> {
        self.read(item, crate::schedule::parse)
    }

    /// Looks `name` up among `known`; reports what is not declared, with the nearest name that is. What is declared
    /// and could not be read was reported there.
    pub(super) fn resolve<'m, T>(
        &mut self,
        item_place: Place,
        name: &str,
        what: &'static str,
        known: &'m BTreeMap<String, T>,
    ) -> Option<&'m T> {
        let declared = self.declared.get(what);
        if declared.is_some_and(|d| d.contains(name)) {
            self.used.insert((what, name.to_owned()));
            return known.get(name);
        }
        let names = || declared.into_iter().flatten().map(String::as_str);
        let remedy = match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names().next().is_none() => format!("the policy declares no {what} at all"),
            None => format!(
                "declared: {}",
                names().take(12).map(clip).collect::<Vec<_>>().join(", ")
            ),
        };
        let message = format!("there is no {what} named `{}`", clip(name));
        self.error("P020", item_place, message, remedy);
        None
    }
}

/// The beginning of a text of the user's, passwords hidden.
fn clip(text: &str) -> String {
    const MOST: usize = 80;
    let short: String = text.chars().take(MOST).collect();
    let shown = redact(&short);
    match short.len() < text.len() {
        true => format!("{shown}…"),
        false => shown,
    }
}

/// The name nearest to `text`, if any is near enough to be what was meant.
pub(super) fn nearest<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if text.len() > 64 {
        return None;
    }
    let lower = text.to_ascii_lowercase().replace('-', "_");
    let allowed = (lower.chars().count() / 3).clamp(1, 3);
    names
        .map(|n| {
            let other = n.to_ascii_lowercase().replace('-', "_");
            (strsim::damerau_levenshtein(&lower, &other), n)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= allowed)
        .map(|(_, n)| n)
}
