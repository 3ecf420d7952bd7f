//! The examination of entries, heads and signatures as they go by.

use std::collections::BTreeMap;

use crate::account::Account;
use crate::head::{HeadError, SignedHead, accepts_size};
use crate::key::VerifyingKey;
use crate::ledger::{Unreadable, parse_entry};
use crate::merkle::{Frontier, TreeHash, leaf_hash};
use crate::verify::{Problem, ProblemKind, VerifyReport};

/// How many problems are listed; more are counted.
const LISTED: usize = 100;

/// Examines one record from its first entry to its last.
pub(crate) struct Auditor {
    key: VerifyingKey,
    /// The tree as the signed heads confirm it, as far as they do.
    frontier: Frontier,
    /// The first entry from which on no head confirms the tree.
    broken: Option<u64>,
    /// By how much the numbers on the lines run ahead of their places.
    shift: i128,
    /// The heads seen elsewhere that lie ahead, by size.
    published: BTreeMap<u64, Vec<SignedHead>>,
    /// How many heads seen elsewhere were met, and the largest size of them.
    matched: (u64, u64),
    problems: Vec<Problem>,
    unlisted: u64,
    account: Account,
    span: Option<(vouchsafe_model::Time, vouchsafe_model::Time)>,
}

impl Auditor {
    pub(crate) fn new(key: VerifyingKey, published: &[String]) -> Auditor {
        let mut auditor = Auditor {
            key,
            frontier: Frontier::new(),
            broken: None,
            shift: 0,
            published: BTreeMap::new(),
            matched: (0, 0),
            problems: Vec::new(),
            unlisted: 0,
            account: Account::default(),
            span: None,
        };
        for note in published {
            match SignedHead::parse(note, &auditor.key) {
                Ok(head) => auditor.published.entry(head.size).or_default().push(head),
                Err(error) => auditor.report(
                    ProblemKind::PublishedUnusable,
                    None,
                    format!("a published head cannot be used: {error}"),
                ),
            }
        }
        auditor.meet_published();
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
        let root = self.check_tree(place, leaf, signature, body, misplaced);
        self.meet_published();
        match parse_entry(body) {
            Ok(entry) => {
                let (first, _) = self.span.unwrap_or((entry.at, entry.at));
                self.span = Some((first, entry.at));
                self.account.note(place, &entry);
            }
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
        self.meet_published();
    }

    pub(crate) fn report(&mut self, kind: ProblemKind, first_wrong: Option<u64>, what: String) {
        self.report_between(kind, first_wrong, first_wrong, what);
    }

    /// The end, with the head that stands there.
    pub(crate) fn finish(mut self, head: Option<&str>) -> VerifyReport {
        let head = self.check_head(head);
        self.check_unmet();
        let entries = self.size();
        let accounted = self.account.close();
        self.problems
            .sort_by_key(|problem| problem.first_wrong.unwrap_or(u64::MAX));
        VerifyReport {
            origin: self.key.origin().to_owned(),
            public_key: self.key.to_string(),
            entries,
            head,
            first_at: self.span.map(|span| span.0),
            last_at: self.span.map(|span| span.1),
            published_matched: self.matched.0,
            problems: self.problems,
            unlisted_problems: self.unlisted,
            obligations_without_facts: accounted.unanswered,
            silence: accounted.silence,
            breaks: accounted.breaks,
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
        if accepts_size(&self.key, grown.size(), grown.root(), signature) {
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
            if accepts_size(&self.key, as_stated.size(), as_stated.root(), signature) {
                self.broken = None;
                self.frontier = as_stated;
                return None;
            }
        } else if self.broken.is_none() && !misplaced {
            let what = format!(
                "entry {place} is not the one that was signed: its head is not signed by {}",
                self.key
            );
            self.report(ProblemKind::NotSigned, Some(place), what);
        }
        self.broken.get_or_insert(place);
        self.frontier = grown;
        None
    }

    /// Compares the tree with the heads of this size that were seen elsewhere.
    fn meet_published(&mut self) {
        let size = self.size();
        for head in self.published.remove(&size).unwrap_or_default() {
            let found = self.frontier.root();
            if head.root == found {
                self.matched = (self.matched.0 + 1, self.matched.1.max(size));
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
        for (published, _) in std::mem::take(&mut self.published) {
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
        let head = match SignedHead::parse(note, &self.key) {
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
