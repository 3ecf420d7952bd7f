//! What differs between two trees: both walked side by side, equal subtrees skipped by their ids.

use std::collections::HashSet;
use std::iter::Peekable;
use std::vec;

use vouchsafe_capture::TreePath;
use vouchsafe_format::{Id, Node, NodeKind};
use vouchsafe_model::Issue;

use super::error::LookupError;
use super::walk::{unreadable, unsafe_name};
use crate::error::RepoError;
use crate::point::Point;

/// How an entry differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
    /// Its content differs: a file's bytes, a link's target, a device's number.
    Modified,
    /// Only its metadata differs: owner, permissions, time of change, attributes.
    Metadata,
    /// It is something else: a file was a directory.
    Type,
}

/// One difference.
#[derive(Debug)]
pub struct Change<'a> {
    /// Where.
    pub path: &'a TreePath,
    /// How.
    pub kind: ChangeKind,
    /// The entry in the first.
    pub old: Option<&'a Node>,
    /// The entry in the second.
    pub new: Option<&'a Node>,
}

/// The sum of the differences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiffReport {
    /// Entries that only the second has.
    pub added: u64,
    /// Entries that only the first has.
    pub removed: u64,
    /// Entries with other content.
    pub modified: u64,
    /// Entries with other metadata only; not counted unless asked for.
    pub metadata: u64,
    /// Entries that are something else.
    pub type_changed: u64,
    /// Bytes of added files, and of those chunks of modified ones that they did not have before.
    pub bytes_added: u64,
    /// Bytes of removed files, and of those chunks of modified ones that they no longer have.
    pub bytes_removed: u64,
    /// What could not be read and so not compared.
    pub issues: Vec<Issue>,
}

impl Point {
    /// Tells what differs at `path` between this snapshot and another one of the same repository, in one pass, by
    /// raw names. With `metadata` also entries of which nothing else differs. Directories are in memory only as far
    /// down as the walk has come.
    ///
    /// # Errors
    /// What `change` gives; [`LookupError`] if neither has the place, [`RepoError::Interrupted`].
    pub fn diff<E: From<RepoError> + From<LookupError>>(
        &self,
        later: &Point,
        path: &TreePath,
        metadata: bool,
        change: &mut dyn FnMut(Change<'_>) -> Result<(), E>,
    ) -> Result<DiffReport, E> {
        let (at, old) = match (self.locate(path), later.locate(path)) {
            (Ok((at, old)), _) => (at, Some(old)),
            (Err(LookupError::Absent { .. }), Ok((at, _))) => (at, None),
            (Err(error), _) => return Err(error.into()),
        };
        let new = match later.locate(&at) {
            Ok((_, new)) => Some(new),
            Err(LookupError::Absent { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let mut walk = Walk {
            points: (self, later),
            metadata,
            path: at,
            report: DiffReport::default(),
            change,
        };
        let first = walk.compare(old, new)?;
        walk.below(first)?;
        Ok(walk.report)
    }
}

/// The entries of one directory in both.
struct Pair {
    old: Peekable<vec::IntoIter<Node>>,
    new: Peekable<vec::IntoIter<Node>>,
}

impl Iterator for Pair {
    type Item = (Option<Node>, Option<Node>);

    fn next(&mut self) -> Option<Self::Item> {
        match (self.old.peek(), self.new.peek()) {
            (None, None) => None,
            (Some(old), Some(new)) if old.name == new.name => {
                Some((self.old.next(), self.new.next()))
            }
            (Some(old), Some(new)) if old.name > new.name => Some((None, self.new.next())),
            (Some(_), _) => Some((self.old.next(), None)),
            (None, Some(_)) => Some((None, self.new.next())),
        }
    }
}

struct Walk<'a, 'c, E> {
    points: (&'a Point, &'a Point),
    metadata: bool,
    path: TreePath,
    report: DiffReport,
    change: &'c mut dyn FnMut(Change<'_>) -> Result<(), E>,
}

impl<E: From<RepoError>> Walk<'_, '_, E> {
    fn below(&mut self, first: Option<Pair>) -> Result<(), E> {
        let mut stack: Vec<Pair> = first.into_iter().collect();
        while let Some(pair) = stack.last_mut() {
            let Some((old, new)) = pair.next() else {
                stack.pop();
                self.path.pop();
                continue;
            };
            let Some(named) = old.as_ref().or(new.as_ref()) else {
                continue;
            };
            if self.path.push(&named.name).is_err() {
                let issue = unsafe_name(&self.path, named);
                self.report.issues.push(issue);
                continue;
            }
            match self.compare(old, new)? {
                Some(below) => stack.push(below),
                None => {
                    self.path.pop();
                }
            }
        }
        Ok(())
    }

    /// Compares two entries; the pair of directories to go into, if there is something to be found.
    fn compare(&mut self, old: Option<Node>, new: Option<Node>) -> Result<Option<Pair>, E> {
        if let Some(kind) = self.judge(old.as_ref(), new.as_ref()) {
            self.count(kind, old.as_ref(), new.as_ref());
            (self.change)(Change {
                path: &self.path,
                kind,
                old: old.as_ref(),
                new: new.as_ref(),
            })?;
        }
        let subtree = |node: &Option<Node>| {
            let directory = node.as_ref().filter(|node| node.kind == NodeKind::Dir);
            directory.map(|node| node.subtree)
        };
        let (of_old, of_new) = (subtree(&old), subtree(&new));
        if of_old == of_new {
            return Ok(None);
        }
        let (old, new) = (
            old.filter(|_| of_old.is_some()),
            new.filter(|_| of_new.is_some()),
        );
        let old = self.entries(self.points.0, old)?;
        let new = self.entries(self.points.1, new)?;
        // One side alone would look as if all of it had come or gone.
        let (Some(old), Some(new)) = (old, new) else {
            return Ok(None);
        };
        Ok(Some(Pair {
            old: old.into_iter().peekable(),
            new: new.into_iter().peekable(),
        }))
    }

    /// Sorted entries of a directory, none for no directory; nothing if it cannot be read.
    fn entries(&mut self, point: &Point, node: Option<Node>) -> Result<Option<Vec<Node>>, E> {
        let Some(node) = node else {
            return Ok(Some(Vec::new()));
        };
        match point.entries(&node) {
            Ok(mut entries) => {
                entries.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(Some(entries))
            }
            Err(RepoError::Interrupted) => Err(RepoError::Interrupted.into()),
            Err(error) => {
                self.report.issues.push(unreadable(&self.path, &error));
                Ok(None)
            }
        }
    }

    fn judge(&self, old: Option<&Node>, new: Option<&Node>) -> Option<ChangeKind> {
        let (old, new) = match (old, new) {
            (Some(old), Some(new)) => (old, new),
            (Some(_), None) => return Some(ChangeKind::Removed),
            (None, Some(_)) => return Some(ChangeKind::Added),
            (None, None) => return None,
        };
        if old.kind != new.kind {
            return Some(ChangeKind::Type);
        }
        if old.content != new.content
            || old.linktarget != new.linktarget
            || old.device != new.device
        {
            return Some(ChangeKind::Modified);
        }
        (self.metadata && !same_metadata(old, new)).then_some(ChangeKind::Metadata)
    }

    fn count(&mut self, kind: ChangeKind, old: Option<&Node>, new: Option<&Node>) {
        let size = |node: Option<&Node>| node.map_or(0, |node| node.size);
        let report = &mut self.report;
        match kind {
            ChangeKind::Added => report.added += 1,
            ChangeKind::Removed => report.removed += 1,
            ChangeKind::Metadata => report.metadata += 1,
            ChangeKind::Type => report.type_changed += 1,
            ChangeKind::Modified => {
                report.modified += 1;
                let (Some(old), Some(new)) = (old, new) else {
                    return;
                };
                report.bytes_added += lacking(self.points.1, new, old);
                report.bytes_removed += lacking(self.points.0, old, new);
                return;
            }
        }
        if kind != ChangeKind::Metadata {
            report.bytes_added += size(new);
            report.bytes_removed += size(old);
        }
    }
}

/// Bytes of the chunks of `node` that `other` has not, each counted once.
fn lacking(point: &Point, node: &Node, other: &Node) -> u64 {
    let there: HashSet<&Id> = other.content.iter().flatten().collect();
    let own: HashSet<&Id> = node.content.iter().flatten().collect();
    own.difference(&there)
        .filter_map(|chunk| point.chunk_length(chunk))
        .sum()
}

fn same_metadata(a: &Node, b: &Node) -> bool {
    a.mode == b.mode
        && (a.uid, a.gid) == (b.uid, b.gid)
        && (&a.user, &a.group) == (&b.user, &b.group)
        && a.mtime.unix_nanos() == b.mtime.unix_nanos()
        && a.extended_attributes == b.extended_attributes
        && a.generic_attributes == b.generic_attributes
}
