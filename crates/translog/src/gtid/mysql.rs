//! Sets of MySQL's GTIDs: from whom, with which tag, and which numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::intervals::{Intervals, LAST_NUMBER};

/// The longest tag.
const TAG: usize = 32;

/// Who numbers transactions: a server, and a tag that is empty unless its clients set one (since version 8.3).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    uuid: [u8; 16],
    tag: String,
}

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gtid {
    /// Who numbered it.
    pub source: Source,
    /// From 1.
    pub number: u64,
}

/// A set of transactions. Its text is the canonical one: sources in the order of their bytes, tags in alphabetical
/// order behind those without one, intervals ascending and merged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct GtidSet(BTreeMap<Source, Intervals>);

/// A text that is no set of GTIDs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GtidError {
    /// Not the identifier of a server.
    #[error("`{text}` is not the UUID of a server")]
    Uuid {
        /// The part of the text.
        text: String,
    },
    /// Neither an interval nor a tag.
    #[error("`{text}` is neither a number, an interval nor a tag")]
    Part {
        /// The part of the text.
        text: String,
    },
    /// A server or a tag without a number.
    #[error("there is no number behind `{text}`")]
    Empty {
        /// The part of the text.
        text: String,
    },
    /// Not one transaction.
    #[error("this is not one transaction")]
    NotOne,
}

impl Source {
    /// A server without a tag.
    pub fn of(uuid: [u8; 16]) -> Source {
        let tag = String::new();
        Source { uuid, tag }
    }

    /// A server with a tag, which is set in lower case; none if no tag is written like this. An empty one is no tag.
    pub fn tagged(uuid: [u8; 16], tag: &str) -> Option<Source> {
        if !tag.is_empty() && !is_tag(tag) {
            return None;
        }
        let tag = tag.to_ascii_lowercase();
        Some(Source { uuid, tag })
    }

    /// The server.
    pub fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// The tag, empty if there is none.
    pub fn tag(&self) -> &str {
        &self.tag
    }
}

impl GtidSet {
    /// Nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sources, each with its numbers.
    pub fn iter(&self) -> impl Iterator<Item = (&Source, &Intervals)> {
        self.0.iter()
    }

    /// The numbers of one source.
    pub fn of(&self, source: &Source) -> Option<&Intervals> {
        self.0.get(source)
    }

    /// Adds an interval; false, and nothing is added, if it is none.
    pub fn insert(&mut self, source: &Source, first: u64, last: u64) -> bool {
        if first == 0 || first > last || last > LAST_NUMBER {
            return false;
        }
        match self.0.get_mut(source) {
            Some(intervals) => intervals.insert(first, last),
            None => self
                .0
                .entry(source.clone())
                .or_default()
                .insert(first, last),
        }
    }

    /// Adds one transaction; false if it was there.
    pub fn add(&mut self, gtid: &Gtid) -> bool {
        !self.contains(gtid) && self.insert(&gtid.source, gtid.number, gtid.number)
    }

    /// Whether the transaction is in it.
    pub fn contains(&self, gtid: &Gtid) -> bool {
        self.0
            .get(&gtid.source)
            .is_some_and(|numbers| numbers.contains(gtid.number))
    }

    /// What is in either.
    pub fn union(&self, other: &GtidSet) -> GtidSet {
        let mut all = self.0.clone();
        for (source, numbers) in &other.0 {
            let joined = all.get(source).map(|own| own.union(numbers));
            all.insert(source.clone(), joined.unwrap_or_else(|| numbers.clone()));
        }
        GtidSet(all)
    }

    /// What is in this and not in the other: `GTID_SUBTRACT`.
    pub fn subtract(&self, other: &GtidSet) -> GtidSet {
        self.each(|source, numbers| match other.0.get(source) {
            Some(others) => numbers.subtract(others),
            None => numbers.clone(),
        })
    }

    /// What is in both.
    pub fn intersect(&self, other: &GtidSet) -> GtidSet {
        self.each(|source, numbers| match other.0.get(source) {
            Some(others) => numbers.intersect(others),
            None => Intervals::default(),
        })
    }

    /// Whether everything in it is in the other: `GTID_SUBSET`.
    pub fn is_subset(&self, other: &GtidSet) -> bool {
        self.subtract(other).is_empty()
    }

    /// What is missing between the first and the last number of each source. A server numbers its transactions without
    /// gaps, so what is missing was not seen, or not yet.
    pub fn holes(&self) -> GtidSet {
        self.each(|_, numbers| numbers.holes())
    }

    fn each(&self, change: impl Fn(&Source, &Intervals) -> Intervals) -> GtidSet {
        let changed = self
            .0
            .iter()
            .map(|(source, numbers)| (source.clone(), change(source, numbers)));
        GtidSet(changed.filter(|(_, numbers)| !numbers.is_empty()).collect())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_uuid(&self.uuid, f)?;
        if !self.tag.is_empty() {
            write!(f, ":{}", self.tag)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.number)
    }
}

/// One server's numbers stand together: `uuid:1-3:tag:1`, and a comma between servers.
impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before: Option<[u8; 16]> = None;
        for (source, numbers) in &self.0 {
            if before != Some(source.uuid) {
                f.write_str(if before.is_some() { "," } else { "" })?;
                fmt_uuid(&source.uuid, f)?;
                before = Some(source.uuid);
            }
            if !source.tag.is_empty() {
                write!(f, ":{}", source.tag)?;
            }
            write!(f, ":{numbers}")?;
        }
        Ok(())
    }
}

/// Reads what MySQL writes and takes: white space around commas and colons, UUIDs also without dashes or in braces,
/// tags in any case. (MySQL's manual, "GTID Format and Storage") What has no number in it, such as `uuid`, `uuid:tag` or
/// `uuid:5-3`, is refused: the server takes it for nothing, and never writes it.
impl FromStr for GtidSet {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<GtidSet, GtidError> {
        let mut set = GtidSet::default();
        // Commas may also stand where nothing is between them.
        for server in text
            .split(',')
            .map(str::trim)
            .filter(|server| !server.is_empty())
        {
            add_server(&mut set, server)?;
        }
        Ok(set)
    }
}

impl From<GtidSet> for String {
    fn from(set: GtidSet) -> String {
        set.to_string()
    }
}

impl TryFrom<String> for GtidSet {
    type Error = GtidError;

    fn try_from(text: String) -> Result<GtidSet, GtidError> {
        text.parse()
    }
}

impl FromStr for Gtid {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Gtid, GtidError> {
        let set: GtidSet = text.parse()?;
        let mut each = set.0.into_iter();
        let (Some((source, numbers)), None) = (each.next(), each.next()) else {
            return Err(GtidError::NotOne);
        };
        let number = numbers.iter().next().map_or(0, |range| *range.start());
        match numbers.count() {
            1 => Ok(Gtid { source, number }),
            _ => Err(GtidError::NotOne),
        }
    }
}

fn add_server(set: &mut GtidSet, text: &str) -> Result<(), GtidError> {
    let mut parts = text.split(':').map(str::trim);
    let first = parts.next().unwrap_or_default();
    let uuid = uuid(first).ok_or_else(|| GtidError::Uuid {
        text: first.to_owned(),
    })?;
    let mut source = Source::of(uuid);
    // What has to be followed by a number.
    let mut open = Some(first);
    for part in parts {
        if let Some(tagged) = is_tag(part).then(|| Source::tagged(uuid, part)).flatten() {
            if let Some(text) = open.filter(|text| *text != first) {
                return Err(GtidError::Empty {
                    text: text.to_owned(),
                });
            }
            source = tagged;
            open = Some(part);
            continue;
        }
        let added = interval(part).is_some_and(|(from, to)| set.insert(&source, from, to));
        if !added {
            return Err(GtidError::Part {
                text: part.to_owned(),
            });
        }
        open = None;
    }
    match open {
        Some(text) => Err(GtidError::Empty {
            text: text.to_owned(),
        }),
        None => Ok(()),
    }
}

fn interval(text: &str) -> Option<(u64, u64)> {
    match text.split_once('-') {
        Some((first, last)) => Some((number(first.trim())?, number(last.trim())?)),
        None => number(text).map(|number| (number, number)),
    }
}

fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn is_tag(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= TAG
        && bytes
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let text = text
        .strip_prefix('{')
        .map_or(Some(text), |inner| inner.strip_suffix('}'))?;
    let dashes: Vec<usize> = text.match_indices('-').map(|(at, _)| at).collect();
    if !dashes.is_empty() && dashes != [8, 13, 18, 23] {
        return None;
    }
    let mut uuid = [0; 16];
    let mut digits = text.chars().filter(|c| *c != '-').map(|c| c.to_digit(16));
    for byte in &mut uuid {
        // Two digits of four bits.
        *byte = (digits.next()?? << 4 | digits.next()??) as u8;
    }
    digits.next().is_none().then_some(uuid)
}

fn fmt_uuid(uuid: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, byte) in uuid.iter().enumerate() {
        let dash = if matches!(at, 4 | 6 | 8 | 10) {
            "-"
        } else {
            ""
        };
        write!(f, "{dash}{byte:02x}")?;
    }
    Ok(())
}
