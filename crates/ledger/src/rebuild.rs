//! A ledger got back from what was published to a vault.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::audit::Auditor;
use crate::error::Fork;
use crate::head::{HeadError, SignedHead};
use crate::key::{KeyError, VerifyingKey};
use crate::keys::Keys;
use crate::line::parse_line;
use crate::publish::{
    ObjectError, PublishedObjects, Unseal, key_name, parse_head_name, parse_segment_name,
};
use crate::verify::Expected;
use crate::verify::Problem;

/// Entries whose every byte was checked against signed heads. Only [`rebuild`] makes one.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    pub(crate) keys: Keys,
    pub(crate) entries: Vec<RebuiltEntry>,
    head: Option<SignedHead>,
    heads: Vec<SignedHead>,
}

#[derive(Clone, Debug)]
pub(crate) struct RebuiltEntry {
    pub(crate) body: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// Why a ledger cannot be got back from what was published.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The objects could not be listed or read.
    #[error("cannot read `{name}`")]
    Load {
        /// The object, or the prefix that was listed.
        name: String,
        /// Why.
        #[source]
        source: ObjectError,
    },
    /// The vault has no public key, or an unusable one.
    #[error("`{name}` does not hold a public key")]
    Key {
        /// The object.
        name: String,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// Another key than the expected one.
    #[error("the vault holds the ledger of the key {found}; {expected} was expected")]
    OtherKey {
        /// The key expected.
        expected: String,
        /// The key found.
        found: String,
    },
    /// A head that is not one.
    #[error("`{name}` is not a good head")]
    Head {
        /// The object.
        name: String,
        /// Why.
        #[source]
        source: HeadError,
    },
    /// A head of another size than its name says.
    #[error("`{name}` holds a head of {size} entries")]
    HeadName {
        /// The object.
        name: String,
        /// The size inside.
        size: u64,
    },
    /// A segment cannot be opened.
    #[error("the segment `{name}` cannot be opened")]
    Sealed {
        /// The object.
        name: String,
        /// Why.
        #[source]
        source: ObjectError,
    },
    /// A segment does not hold what its name says.
    #[error("the segment `{name}` does not hold the entries that its name says")]
    Segment {
        /// The object.
        name: String,
    },
    /// Entries that a head covers are not there.
    #[error("entry {missing} was not published here, though a head covers {covered} entries")]
    Missing {
        /// The first that is missing.
        missing: u64,
        /// What the largest head covers.
        covered: u64,
    },
    /// The entries are not those that were signed.
    #[error("the published entries are not those that were signed: {}", .0.what)]
    Wrong(Problem),
    /// A head contradicts the entries.
    #[error(transparent)]
    Fork(#[from] Fork),
}

/// Loads and checks everything that the ledger `ledger_id` has published.
///
/// `open` undoes the seal of segments. `expected_vkey` is the public key as it was learnt elsewhere;
/// without it the one found beside the objects is believed. Nothing is returned before every entry
/// was checked against its own signed head and against every head found. Entries that were stored
/// after the last head, for publishing stopped there, are included: each proves itself. The result
/// holds the whole ledger in memory.
pub fn rebuild(
    objects: &mut dyn PublishedObjects,
    ledger_id: &str,
    expected_vkey: Option<&str>,
    open: &Unseal<'_>,
) -> Result<Rebuilt, RebuildError> {
    let expected = expected_vkey.map(VerifyingKey::parse).transpose();
    let expected = expected.map_err(|source| RebuildError::Key {
        name: "the key that is expected".to_owned(),
        source,
    })?;
    let first = load_key(objects, ledger_id, expected.as_ref())?;
    let notes = load_heads(objects, ledger_id)?;
    let covered = notes.keys().last().copied().unwrap_or(0);
    let segments = list_segments(objects, ledger_id)?;
    let mut check = Check {
        auditor: Auditor::new(first, &Expected::default()),
        notes,
        heads: Vec::new(),
        entries: Vec::new(),
    };
    check.meet_head(0)?;
    while let Some(plain) = next_segment(objects, &segments, check.auditor.size(), open)? {
        check.segment(&plain)?;
    }
    let size = check.auditor.size();
    let ahead = check.notes.keys().find(|ahead| **ahead > size).copied();
    if let Some(ahead) = ahead {
        // A head that is none says nothing about what is missing.
        check.head_at(ahead)?;
    }
    if size < covered {
        return Err(RebuildError::Missing {
            missing: size,
            covered,
        });
    }
    let (root, keys) = (check.auditor.root(), check.auditor.keys.clone());
    if let Some(expected) = expected.filter(|expected| !keys.has(expected)) {
        return Err(RebuildError::OtherKey {
            expected: expected.to_string(),
            found: keys.current().to_string(),
        });
    }
    let (entries, heads) = (check.entries, check.heads);
    let last = entries.last();
    let head = last
        .map(|last| SignedHead::assemble(keys.current(), size, root, &last.signature))
        .or_else(|| heads.last().cloned());
    Ok(Rebuilt {
        keys,
        entries,
        head,
        heads,
    })
}

impl Rebuilt {
    /// The ledger's public key: the one that signs now.
    pub fn public_key(&self) -> &VerifyingKey {
        self.keys.current()
    }

    /// All keys that have signed it.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// How many entries were found.
    pub fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Whether none were found.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The exact bytes of each entry.
    pub fn bodies(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().map(|entry| entry.body.as_slice())
    }

    /// The head over all entries; nothing if neither entries nor heads were found.
    pub fn head(&self) -> Option<&SignedHead> {
        self.head.as_ref()
    }

    /// The heads found, the smallest first.
    pub fn heads(&self) -> &[SignedHead] {
        &self.heads
    }
}

struct Check {
    auditor: Auditor,
    /// The heads found, unread, by the sizes in their names.
    notes: BTreeMap<u64, (String, String)>,
    /// Those of them that fit.
    heads: Vec<SignedHead>,
    entries: Vec<RebuiltEntry>,
}

impl Check {
    fn segment(&mut self, plain: &Plain) -> Result<(), RebuildError> {
        let bad = || RebuildError::Segment {
            name: plain.name.clone(),
        };
        for raw in plain.bytes.split_inclusive(|b| *b == b'\n') {
            let line = raw
                .strip_suffix(b"\n")
                .and_then(parse_line)
                .ok_or_else(bad)?;
            // Segments may overlap where publishing stopped between a segment and its head.
            if line.seq < self.auditor.size() {
                continue;
            }
            let root = self
                .auditor
                .entry(line.seq, line.leaf, &line.signature, line.body);
            if let Some(problem) = self.auditor.first_problem() {
                return Err(RebuildError::Wrong(problem.clone()));
            }
            root.ok_or_else(bad)?;
            self.entries.push(RebuiltEntry {
                body: line.body.to_vec(),
                signature: line.signature.to_vec(),
            });
            self.meet_head(line.seq + 1)?;
        }
        Ok(())
    }

    fn meet_head(&mut self, size: u64) -> Result<(), RebuildError> {
        let Some(head) = self.head_at(size)? else {
            return Ok(());
        };
        let ours = self.auditor.root();
        if head.root != ours {
            return Err(Fork::Roots {
                size,
                ours,
                theirs: head.root,
            }
            .into());
        }
        self.heads.push(head);
        Ok(())
    }

    /// The head that was published at that size, if the key that signs heads of that size has signed it.
    fn head_at(&self, size: u64) -> Result<Option<SignedHead>, RebuildError> {
        let Some((name, note)) = self.notes.get(&size) else {
            return Ok(None);
        };
        let head = SignedHead::parse_by(note, &self.auditor.keys);
        let head = head.map_err(|source| RebuildError::Head {
            name: name.clone(),
            source,
        })?;
        if head.size == size {
            Ok(Some(head))
        } else {
            let (name, size) = (name.clone(), head.size);
            Err(RebuildError::HeadName { name, size })
        }
    }
}

fn load_key(
    objects: &mut dyn PublishedObjects,
    ledger_id: &str,
    expected: Option<&VerifyingKey>,
) -> Result<VerifyingKey, RebuildError> {
    let name = key_name(ledger_id);
    let text = String::from_utf8_lossy(&load(objects, &name)?).into_owned();
    let key = VerifyingKey::parse(text.trim_end())
        .map_err(|source| RebuildError::Key { name, source })?;
    // An expected key that is a later one of the same ledger is met where the key changes.
    let later =
        |expected: &VerifyingKey| key.origin() == expected.origin() && key.is_first_of_ledger();
    match expected.filter(|expected| **expected != key && !later(expected)) {
        None => Ok(key),
        Some(expected) => Err(RebuildError::OtherKey {
            expected: expected.to_string(),
            found: key.to_string(),
        }),
    }
}

/// All heads with their names, by the sizes in these. Who has signed them is known when the entries were read.
fn load_heads(
    objects: &mut dyn PublishedObjects,
    ledger_id: &str,
) -> Result<BTreeMap<u64, (String, String)>, RebuildError> {
    let mut heads = BTreeMap::new();
    for name in list(objects, &format!("{ledger_id}/heads/"))? {
        let note = String::from_utf8_lossy(&load(objects, &name)?).into_owned();
        let Some(size) = parse_head_name(&name) else {
            let size = SignedHead::peek(&note).map_or(0, |(_, size)| size);
            return Err(RebuildError::HeadName { name, size });
        };
        heads.insert(size, (name, note));
    }
    Ok(heads)
}

fn list_segments(
    objects: &mut dyn PublishedObjects,
    ledger_id: &str,
) -> Result<Vec<(Range<u64>, String)>, RebuildError> {
    let names = list(objects, &format!("{ledger_id}/segments/"))?;
    names
        .into_iter()
        .map(|name| match parse_segment_name(&name) {
            Some(range) => Ok((range, name)),
            None => Err(RebuildError::Segment { name }),
        })
        .collect()
}

struct Plain {
    name: String,
    bytes: Vec<u8>,
}

/// The opened segment that leads furthest on from `size`; another one that also leads on if that
/// one is damaged; nothing where none leads on.
fn next_segment(
    objects: &mut dyn PublishedObjects,
    segments: &[(Range<u64>, String)],
    size: u64,
    open: &Unseal<'_>,
) -> Result<Option<Plain>, RebuildError> {
    let mut fitting: Vec<_> = segments
        .iter()
        .filter(|(range, _)| range.contains(&size))
        .collect();
    fitting.sort_by_key(|(range, _)| std::cmp::Reverse(range.end));
    let mut first_error = None;
    for (range, name) in fitting {
        match open_segment(objects, range, name, open) {
            Ok(plain) => return Ok(Some(plain)),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    first_error.map_or(Ok(None), Err)
}

fn open_segment(
    objects: &mut dyn PublishedObjects,
    range: &Range<u64>,
    name: &str,
    open: &Unseal<'_>,
) -> Result<Plain, RebuildError> {
    let sealed = load(objects, name)?;
    let bytes = open(&sealed).map_err(|source| RebuildError::Sealed {
        name: name.to_owned(),
        source,
    })?;
    let mut next = range.start;
    for raw in bytes.split_inclusive(|b| *b == b'\n') {
        let seq = raw.strip_suffix(b"\n").and_then(parse_line).map(|l| l.seq);
        if seq != Some(next) {
            next = u64::MAX;
            break;
        }
        next += 1;
    }
    let name = name.to_owned();
    if next == range.end {
        Ok(Plain { name, bytes })
    } else {
        Err(RebuildError::Segment { name })
    }
}

fn list(objects: &mut dyn PublishedObjects, prefix: &str) -> Result<Vec<String>, RebuildError> {
    let names = objects.names(prefix);
    names.map_err(|source| RebuildError::Load {
        name: prefix.to_owned(),
        source,
    })
}

fn load(objects: &mut dyn PublishedObjects, name: &str) -> Result<Vec<u8>, RebuildError> {
    let bytes = objects.load(name);
    bytes.map_err(|source| RebuildError::Load {
        name: name.to_owned(),
        source,
    })
}
