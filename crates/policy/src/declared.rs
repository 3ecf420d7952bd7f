//! What a policy declares beside the rules that this version acts on, as typed values by their keys.

use std::collections::BTreeMap;
use std::fmt;

use vouchsafe_model::policy::{Length, Location, Schedule, Tier, WallTime};
use vouchsafe_model::{ProtectionId, Span, SystemName};

use crate::keys::Section;

/// One value as it was understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// A text, a word, a name, or a day written `YYYY-MM-DD`.
    Text(String),
    /// `true` or `false`.
    Flag(bool),
    /// A whole number from 1.
    Count(u32),
    /// A length with calendar months.
    Length(Length),
    /// An exact length.
    Span(Span),
    /// When something happens.
    Schedule(Schedule),
    /// Numerator and denominator.
    Share(u32, u32),
    /// Time of day.
    WallTime(WallTime),
    /// A mapping with known keys.
    Entry(Entry),
    /// A mapping from names of one's own.
    Named(BTreeMap<String, Entry>),
    /// A list.
    List(Vec<Said>),
}

/// As people would write it: `AES-256`, `every month`, `80%`; mappings as `key: value, key: value`.
impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Text(text) => f.pad(text),
            Said::Flag(flag) => f.pad(if *flag { "yes" } else { "no" }),
            Said::Count(n) => write!(f, "{n}"),
            Said::Length(length) => write!(f, "{length}"),
            Said::Span(span) => write!(f, "{span}"),
            Said::Schedule(schedule) => f.pad(&schedule.text),
            Said::Share(n, d) if n == d => f.pad("all"),
            Said::Share(n, d) if (u64::from(*n) * 100).is_multiple_of(u64::from((*d).max(1))) => {
                write!(f, "{}%", u64::from(*n) * 100 / u64::from((*d).max(1)))
            }
            Said::Share(n, d) => write!(f, "{n}/{d}"),
            Said::WallTime(time) => write!(
                f,
                "{:02}:{:02} {}",
                time.minutes / 60,
                time.minutes % 60,
                time.zone
            ),
            Said::Entry(entry) => {
                let parts: Vec<String> = entry
                    .iter()
                    .map(|(k, v)| format!("{}: {v}", k.replace('_', " ")))
                    .collect();
                f.pad(&parts.join(", "))
            }
            Said::Named(named) => {
                let names: Vec<&str> = named.keys().map(String::as_str).collect();
                f.pad(&names.join(", "))
            }
            Said::List(all) => {
                let parts: Vec<String> = all.iter().map(Said::to_string).collect();
                f.pad(&parts.join(", "))
            }
        }
    }
}

/// A mapping with known keys: what was said under each of them.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    pub(crate) said: BTreeMap<&'static str, Said>,
    pub(crate) sections: Vec<&'static Section>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.said == other.said
    }
}

impl Entry {
    /// What was said under a key; nothing if nothing was, or if it could not be read.
    pub fn get(&self, key: &str) -> Option<&Said> {
        debug_assert!(
            self.sections.is_empty() || self.sections.iter().any(|s| s.knows(key)),
            "no section here has a key `{key}`"
        );
        self.said.get(key)
    }

    /// Every key that was said, with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Said)> {
        self.said.iter().map(|(key, said)| (*key, said))
    }

    /// Whether anything was said under a key.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// A text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Said::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Every text of a list; or the one that stands alone.
    pub fn texts(&self, key: &str) -> Vec<&str> {
        match self.get(key) {
            Some(Said::Text(text)) => vec![text],
            Some(Said::List(all)) => all
                .iter()
                .filter_map(|said| match said {
                    Said::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// A flag; nothing if it was not said.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key)? {
            Said::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    /// A rhythm.
    pub fn schedule(&self, key: &str) -> Option<&Schedule> {
        match self.get(key)? {
            Said::Schedule(schedule) => Some(schedule),
            _ => None,
        }
    }

    /// A length with calendar months.
    pub fn length(&self, key: &str) -> Option<Length> {
        match self.get(key)? {
            Said::Length(length) => Some(*length),
            _ => None,
        }
    }

    /// An exact length.
    pub fn span(&self, key: &str) -> Option<Span> {
        match self.get(key)? {
            Said::Span(span) => Some(*span),
            _ => None,
        }
    }

    /// A mapping with known keys.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match self.get(key)? {
            Said::Entry(entry) => Some(entry),
            _ => None,
        }
    }

    /// The named mappings under a key, by name.
    pub fn named(&self, key: &str) -> impl Iterator<Item = (&String, &Entry)> {
        let named = match self.get(key) {
            Some(Said::Named(named)) => Some(named),
            _ => None,
        };
        named.into_iter().flatten()
    }

    /// The mappings of a list.
    pub fn list(&self, key: &str) -> impl Iterator<Item = &Entry> {
        let list = match self.get(key) {
            Some(Said::List(list)) => list.as_slice(),
            _ => &[],
        };
        list.iter().filter_map(|said| match said {
            Said::Entry(entry) => Some(entry),
            _ => None,
        })
    }
}

/// What somebody asks for, and which keys of the file fulfil it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirement {
    /// What is asked for, if the file says so.
    pub text: Option<String>,
    /// Paths of keys, joined by `/`; each of them is in the file.
    pub at: Vec<String>,
}

/// A kind of data, as it is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// The tier that it names.
    pub tier: Option<String>,
    /// Whether it is about people.
    pub personal: bool,
    /// What belongs to it.
    pub description: Option<String>,
}

/// Everything that is declared beside the rules that this version acts on.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// The tables of the root by their names: `documents`, `roles`, `alerts`, `programme` …
    pub root: Entry,
    /// What the head says beside [`vouchsafe_model::policy::FrontMatter`].
    pub front: Entry,
    /// The controls that the head names of each framework.
    pub controls: BTreeMap<String, Vec<String>>,
    /// Declared places by name.
    pub places: BTreeMap<String, Location>,
    /// Where systems lie that do not say it.
    pub everywhere: Location,
    /// What systems say beside [`vouchsafe_model::policy::System`].
    pub systems: BTreeMap<SystemName, Entry>,
    /// What protections say beside [`vouchsafe_model::policy::Protection`].
    pub protections: BTreeMap<ProtectionId, Entry>,
    /// What is backed up by hand, as its URL.
    pub manual: BTreeMap<ProtectionId, String>,
    /// What duties say beside their rhythm and role.
    pub duties: BTreeMap<String, Entry>,
    /// What plans say beside the rules that their systems follow.
    pub plans: BTreeMap<String, Entry>,
    /// Every tier by its name, also those that no system has.
    pub tiers: BTreeMap<String, Tier>,
    /// Every class by its name.
    pub classes: BTreeMap<String, Class>,
    /// The layers that tiers ask for.
    pub layers: BTreeMap<String, Vec<String>>,
    /// Requirements by their ids.
    pub requirements: BTreeMap<String, Requirement>,
}

impl Declared {
    /// What a protection says under a key, or its system for all of its protections.
    pub fn of(&self, id: &ProtectionId, key: &str) -> Option<&Said> {
        let own = self.protections.get(id).and_then(|e| e.get(key));
        own.or_else(|| self.systems.get(&id.system)?.get(key))
    }

    /// The same, as a text.
    pub fn text_of(&self, id: &ProtectionId, key: &str) -> Option<&str> {
        match self.of(id, key)? {
            Said::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The same, as texts.
    pub fn texts_of(&self, id: &ProtectionId, key: &str) -> Vec<&str> {
        match self.protections.get(id) {
            Some(own) if own.has(key) => own.texts(key),
            _ => match self.systems.get(&id.system) {
                Some(system) => system.texts(key),
                None => Vec::new(),
            },
        }
    }
}
