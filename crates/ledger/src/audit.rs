//! The examination of entries, heads and signatures as they go by.

use std::collections::BTreeMap;

use vouchsafe_model::{Entry, Fact, SigningKeyChange, Time, Timestamping, Witnessing};

use crate::account::Account;
use crate::entry::{Unreadable, parse_entry};
use crate::head::{HeadError, SignedHead, accepts_size};
use crate::key::VerifyingKey;
use crate::keys::Keys;
use crate::merkle::{Frontier, TreeHash, leaf_hash};
use crate::rotation;
use crate::stamp::{StampRoots, StampToken};
use crate::verify::{Expected, Problem, ProblemKind, SeenBy, StampedBy, VerifyReport};
use crate::witness::WitnessKey;

/// How many problems are listed; more are counted.
const LISTED: usize = 100;

/// Examines one record from its first entry to its last.
pub(crate) struct Auditor {
    pub(crate) keys: Keys,
    /// The tree as the signed heads confirm it, as far as they do.
    pub(crate) frontier: Frontier,
    /// Its root at each size that it had.
    pub(crate) roots: Vec<TreeHash>,
    /// The first entry from which on no head confirms the tree.
    pub(crate) broken: Option<u64>,
    /// By how much the numbers on the lines run ahead of their places.
    pub(crate) shift: i128,
    /// The heads seen elsewhere that lie ahead, by size. Who has signed them can only be told once it is known which
    /// key signs heads of that size.
    pub(crate) published: BTreeMap<u64, Vec<String>>,
    /// How many heads seen elsewhere were met, and the largest size of them.
    matched: (u64, u64),
    /// The witnesses that are known from elsewhere.
    witnesses: Vec<WitnessKey>,
    /// What each witness has seen last.
    seen: BTreeMap<String, SeenBy>,
    /// The roots that are trusted to stamp times.
    stamp_roots: Option<StampRoots>,
    /// What each authority has stamped last, whether it is trusted or not.
    stamped: BTreeMap<(bool, String), StampedBy>,
    problems: Vec<Problem>,
    unlisted: u64,
    account: Account,
    span: Option<(Time, Time)>,
}

impl Auditor {
    /// `first` is the key that the record was begun with.
    pub(crate) fn new(first: VerifyingKey, expected: &Expected<'_>) -> Auditor {
        let mut auditor = Auditor {
            keys: Keys::new(first),
            frontier: Frontier::new(),
            roots: vec![Frontier::new().root()],
            broken: None,
            shift: 0,
            published: BTreeMap::new(),
            matched: (0, 0),
            witnesses: expected.witnesses.to_vec(),
            seen: BTreeMap::new(),
            stamp_roots: expected.stamp_roots.cloned(),
            stamped: BTreeMap::new(),
            problems: Vec::new(),
            unlisted: 0,
            account: Account::default(),
            span: None,
        };
        for note in expected.heads {
            match SignedHead::peek(note) {
                Some((_, size)) => {
                    let there = auditor.published.entry(size).or_default();
                    there.push(note.clone());
                }
                None => {
                    // Only to say what is wrong with it.
                    let error = SignedHead::parse(note, auditor.keys.first()).err();
                    auditor.unusable(error.as_ref());
                }
            }
        }
        auditor.meet_published(0, Frontier::new().root());
        auditor
    }

    /// How many entries went by.
    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root over them.
    pub(crate) fn root(&self) -> TreeHash {
        self.frontier.root()
    }

    /// The next entry. Returns the root over all entries up to this one if its head confirms it.
    pub(crate) fn entry(
        &mut self,
        seq: u64,
        leaf: TreeHash,
        signature: &[u8],
        body: &[u8],
    ) -> Option<TreeHash> {
        let place = self.size();
        let misplaced = self.check_place(place, seq);
        let parsed = parse_entry(body);
        if let Ok(Entry {
            fact: Fact::LedgerKeyRotated(change),
            ..
        }) = &parsed
        {
            self.change_key(place, change);
        }
        let root = self.check_tree(place, leaf, signature, body, misplaced);
        let now = self.root();
        self.roots.push(now);
        self.meet_published(self.size(), now);
        match parsed {
            Ok(entry) => self.note(place, &entry),
            Err(Unreadable::Version(v)) => self.report(
                ProblemKind::Newer,
                Some(place),
                format!("entry {place} has version {v}, which a newer program reads"),
            ),
            Err(Unreadable::Form) => self.report(
                ProblemKind::NotAnEntry,
                Some(place),
                format!("entry {place} does not have the form of an entry"),
            ),
        }
        root
    }

    /// Takes in what an entry says.
    pub(crate) fn note(&mut self, place: u64, entry: &Entry) {
        let (first, _) = self.span.unwrap_or((entry.at, entry.at));
        self.span = Some((first, entry.at));
        match &entry.fact {
            Fact::Witnessed(witnessing) => self.check_witnessing(place, witnessing),
            Fact::Timestamped(stamp) => self.check_stamp(place, stamp),
            _ => {}
        }
        self.account.note(place, entry);
    }

    /// The first problem that was found so far.
    pub(crate) fn first_problem(&self) -> Option<&Problem> {
        self.problems.first()
    }

    /// A line stood where an entry was expected, and cannot be taken apart.
    pub(crate) fn unreadable(&mut self, raw: &[u8]) {
        let place = self.size();
        self.report(
            ProblemKind::Malformed,
            Some(place),
            format!("the line of entry {place} does not have the form of an entry's line"),
        );
        self.broken.get_or_insert(place);
        self.frontier.push(leaf_hash(raw));
        let now = self.root();
        self.roots.push(now);
        self.meet_published(self.size(), now);
    }

    /// Whether the key that was learnt elsewhere is one of those that have signed, once all entries went by.
    pub(crate) fn expect_key(&mut self, key: &VerifyingKey) {
        if !self.keys.has(key) {
            let what = format!("the key {key} has never signed this record");
            self.report(ProblemKind::OtherKey, None, what);
        }
    }

    pub(crate) fn report(&mut self, kind: ProblemKind, first_wrong: Option<u64>, what: String) {
        self.report_between(kind, first_wrong, first_wrong, what);
    }

    /// The end, with the head that stands there. `until` is a time up to which the record should reach.
    pub(crate) fn finish(mut self, head: Option<&str>, until: Option<Time>) -> VerifyReport {
        let head = self.check_head(head);
        self.check_unmet();
        let entries = self.size();
        let accounted = self.account.close(until);
        self.problems
            .sort_by_key(|problem| problem.first_wrong.unwrap_or(u64::MAX));
        VerifyReport {
            origin: self.keys.first().origin().to_owned(),
            public_key: self.keys.current().to_string(),
            keys: self.keys,
            entries,
            head,
            first_at: self.span.map(|span| span.0),
            last_at: self.span.map(|span| span.1),
            published_matched: self.matched.0,
            problems: self.problems,
            unlisted_problems: self.unlisted,
            obligations_without_facts: accounted.unanswered,
            silence: accounted.silence,
            set_back: accounted.set_back,
            breaks: accounted.breaks,
            witnesses: self.seen.into_values().collect(),
            stamps: self.stamped.into_values().collect(),
        }
    }

    /// Whether the line carries the number of its place; reports where that changes.
    fn check_place(&mut self, place: u64, seq: u64) -> bool {
        let shift = i128::from(seq) - i128::from(place);
        if shift == self.shift {
            return false;
        }
        self.shift = shift;
        let what = match seq.cmp(&place) {
            std::cmp::Ordering::Greater => {
                format!("entry {place} is missing: entry {seq} stands in its place")
            }
            std::cmp::Ordering::Less => {
                format!("in the place of entry {place} stands entry {seq}, repeated or inserted")
            }
            std::cmp::Ordering::Equal => {
                format!("before entry {place} the entries are not in their places")
            }
        };
        self.report(ProblemKind::OutOfPlace, Some(place), what);
        true
    }

    /// Grows the tree by the leaf that the signed head confirms.
    fn check_tree(
        &mut self,
        place: u64,
        stated: TreeHash,
        signature: &[u8],
        body: &[u8],
        misplaced: bool,
    ) -> Option<TreeHash> {
        let actual = leaf_hash(body);
        let mut grown = self.frontier.clone();
        grown.push(actual);
        let key = self.keys.at(grown.size()).clone();
        if accepts_size(&key, grown.size(), grown.root(), signature) {
            if stated != actual {
                let what = format!("the leaf hash beside entry {place} was changed");
                self.report(ProblemKind::Edited, Some(place), what);
            }
            self.broken = None;
            self.frontier = grown;
            return Some(self.frontier.root());
        }
        if stated != actual {
            let mut as_stated = self.frontier.clone();
            as_stated.push(stated);
            let what = format!("entry {place} was changed: its bytes do not give its leaf hash");
            self.report(ProblemKind::Edited, Some(place), what);
            if accepts_size(&key, as_stated.size(), as_stated.root(), signature) {
                self.broken = None;
                self.frontier = as_stated;
                return None;
            }
        } else if self.broken.is_none() && !misplaced {
            let what = format!(
                "entry {place} is not the one that was signed: its head is not signed by {key}"
            );
            self.report(ProblemKind::NotSigned, Some(place), what);
        }
        self.broken.get_or_insert(place);
        self.frontier = grown;
        None
    }

    /// From here on another key signs, if both have signed that.
    fn change_key(&mut self, place: u64, change: &SigningKeyChange) {
        match rotation::check(change, self.keys.current(), place, self.root()) {
            Ok(next) => self.keys.change(place + 1, next),
            Err(error) => self.report(
                ProblemKind::KeyChange,
                Some(place),
                format!("entry {place} changes the signing key and does not count: {error}"),
            ),
        }
    }

    /// Holds what a witness has seen against the record.
    fn check_witnessing(&mut self, place: u64, stated: &Witnessing) {
        let fact = WitnessKey::parse(&stated.witness).and_then(|key| key.fact(&stated.note));
        let origin = SignedHead::peek(&stated.note).map(|(origin, _)| origin);
        if fact.as_ref() != Ok(stated) || origin.as_deref() != Some(self.keys.first().origin()) {
            let what = format!(
                "entry {place} says that {} has seen the record, and it has not signed that",
                stated.witness
            );
            return self.report(ProblemKind::Witness, Some(place), what);
        }
        let size = usize::try_from(stated.tree_size).unwrap_or(usize::MAX);
        match self.roots.get(size) {
            Some(root) if root.to_string() == stated.root => self.saw(stated, Some(place)),
            _ => {
                let what = format!(
                    "the witness {} has seen another record of {} entries",
                    stated.witness, stated.tree_size
                );
                self.report(ProblemKind::Witness, Some(place), what);
            }
        }
    }

    fn saw(&mut self, stated: &Witnessing, entry: Option<u64>) {
        let known = self.witnesses.iter();
        let known = known.map(ToString::to_string).any(|w| w == stated.witness);
        let last = self.seen.get(&stated.witness).map_or(0, |seen| seen.size);
        if stated.tree_size >= last {
            let seen = SeenBy {
                witness: stated.witness.clone(),
                size: stated.tree_size,
                at: stated.seen,
                entry,
                is_known: known,
            };
            self.seen.insert(stated.witness.clone(), seen);
        }
    }

    /// Holds what an authority has stamped against the record.
    fn check_stamp(&mut self, place: u64, stated: &Timestamping) {
        let token = StampToken::from_base64(&stated.token);
        let fact = token.as_ref().map_err(Clone::clone);
        let why = match fact.and_then(|token| token.fact(&stated.note)) {
            Ok(fact) if fact != *stated => Some("the time stamp says something else".to_owned()),
            Ok(_) => SignedHead::parse_by(&stated.note, &self.keys)
                .err()
                .map(|error| error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        let (authority, size) = (&stated.authority, stated.tree_size);
        let (Ok(token), None) = (token, &why) else {
            let what = format!(
                "entry {place} says that {authority} has stamped the record: {}",
                why.unwrap_or_default()
            );
            return self.report(ProblemKind::Stamp, Some(place), what);
        };
        let root = usize::try_from(size).ok().and_then(|n| self.roots.get(n));
        if root.is_none_or(|root| root.to_string() != stated.root) {
            let what = format!("{authority} has stamped another record of {size} entries");
            return self.report(ProblemKind::Stamp, Some(place), what);
        }
        let roots = self.stamp_roots.as_ref();
        let is_trusted = roots.is_some_and(|roots| token.check_roots(roots).is_ok());
        let key = (!is_trusted, authority.clone());
        if self.stamped.get(&key).is_none_or(|last| last.size <= size) {
            let stamped = StampedBy {
                authority: authority.clone(),
                size,
                at: stated.seen,
                accuracy_micros: stated.accuracy_micros,
                entry: place,
                is_trusted,
            };
            self.stamped.insert(key, stamped);
        }
    }

    fn unusable(&mut self, error: Option<&HeadError>) {
        let error = error.map_or_else(String::new, ToString::to_string);
        let what = format!("a published head cannot be used: {error}");
        self.report(ProblemKind::PublishedUnusable, None, what);
    }

    /// Compares the tree with the heads of this size that were seen elsewhere.
    pub(crate) fn meet_published(&mut self, size: u64, found: TreeHash) {
        for note in self.published.remove(&size).unwrap_or_default() {
            let head = match SignedHead::parse_by(&note, &self.keys) {
                Ok(head) => head,
                Err(error) => {
                    self.unusable(Some(&error));
                    continue;
                }
            };
            if head.root == found {
                self.matched = (self.matched.0 + 1, self.matched.1.max(size));
                for witness in self.witnesses.clone() {
                    if let Ok(seen) = witness.fact(&note) {
                        self.saw(&seen, None);
                    }
                }
                continue;
            }
            // Up to the last head that was met everything is as it was; the first difference is later.
            let first = self.broken.unwrap_or(self.matched.1);
            let last = self.broken.unwrap_or(size.saturating_sub(1));
            self.report_between(
                ProblemKind::Published,
                Some(first),
                Some(last),
                format!(
                    "the record was rewritten: a head published at {size} entries has the root {}, \
                     but these entries give {found}",
                    head.root
                ),
            );
        }
    }

    /// The heads seen elsewhere that cover more entries than there are.
    fn check_unmet(&mut self) {
        let size = self.size();
        for (published, notes) in std::mem::take(&mut self.published) {
            let mut bad = notes
                .iter()
                .filter_map(|note| SignedHead::parse_by(note, &self.keys).err());
            if let Some(error) = bad.next() {
                self.unusable(Some(&error));
                continue;
            }
            self.report_between(
                ProblemKind::Truncated,
                Some(size),
                Some(published.saturating_sub(1)),
                format!(
                    "entry {size} is missing: a head published at {published} entries covers it"
                ),
            );
        }
    }

    fn check_head(&mut self, note: Option<&str>) -> Option<SignedHead> {
        let size = self.size();
        let Some(note) = note else {
            let what =
                format!("after {size} entries the signed head is missing: the end was cut off");
            self.report(ProblemKind::Truncated, Some(size), what);
            return None;
        };
        let head = match SignedHead::parse_by(note, &self.keys) {
            Ok(head) => head,
            Err(error) => {
                let kind = match error {
                    HeadError::OtherKey { .. } => ProblemKind::OtherKey,
                    _ => ProblemKind::Head,
                };
                self.report(kind, None, error.to_string());
                return None;
            }
        };
        if head.size > size {
            self.report_between(
                ProblemKind::Truncated,
                Some(size),
                Some(head.size - 1),
                format!(
                    "entry {size} is missing: the signed head covers {}",
                    head.size
                ),
            );
        } else if head.size < size {
            let what = format!(
                "the signed head covers only {} of {size} entries",
                head.size
            );
            self.report(ProblemKind::Head, Some(head.size), what);
        } else if head.root != self.frontier.root() {
            let first = self.broken.unwrap_or(self.matched.1);
            let last = self.broken.unwrap_or(size.saturating_sub(1));
            let what = format!(
                "the signed head has the root {}, but these {size} entries give {}",
                head.root,
                self.frontier.root()
            );
            self.report_between(ProblemKind::Head, Some(first), Some(last), what);
        }
        Some(head)
    }

    fn report_between(
        &mut self,
        kind: ProblemKind,
        first_wrong: Option<u64>,
        not_after: Option<u64>,
        what: String,
    ) {
        if self.problems.len() >= LISTED {
            self.unlisted += 1;
            return;
        }
        self.problems.push(Problem {
            kind,
            first_wrong,
            not_after,
            what,
        });
    }
}
