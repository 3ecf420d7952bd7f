//! Listing, finding, comparing and handing out what snapshots hold.

use std::io::Write;

use vouchsafe_capture::{TreePath, Visit};
use vouchsafe_format::{Id, NodeKind};
use vouchsafe_model::{Issue, PointId, ProtectionId, Time};
use vouchsafe_vault::{
    ArchiveReport, ChangeKind, DiffReport, DumpError, LookupError, Point, RepoError, from_timestamp,
};

use super::entry::Entry;
use super::pattern::Matcher;
use super::{KeeperError, Reading};
use crate::vault_record::is_ledger_snapshot;

/// What is looked for, and where.
#[derive(Clone, Debug, Default)]
pub struct FindOrder {
    /// Patterns as for excludes. One with a slash inside matches at any depth, one that begins with a slash the whole
    /// path.
    pub patterns: Vec<String>,
    /// In these snapshots; in all if none is named.
    pub snapshots: Vec<String>,
    /// Changed after this.
    pub newer: Option<Time>,
    /// Changed before this.
    pub older: Option<Time>,
    /// Upper case as lower case.
    pub ignore_case: bool,
}

/// A snapshot in which something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub snapshot: Id,
    /// When it was taken, by its own account.
    pub time: Time,
    /// The point that it is, if the ledger knows it.
    pub point: Option<PointId>,
    /// What it is a point of.
    pub of: Option<ProtectionId>,
    /// Whether it holds a ledger, by its own account.
    pub is_ledger: bool,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Where.
    pub seen: &'a Seen,
    /// What.
    pub entry: Entry,
}

/// One difference between two snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// How.
    pub kind: ChangeKind,
    /// What: as it is in the second, or was in the first.
    pub entry: Entry,
}

/// Snapshots with their roots, and what is wrong with the others.
type Searched = (Vec<(Seen, Id)>, Vec<Issue>);

/// Why a pass over snapshots ended early.
enum Stop<E> {
    Repository(RepoError),
    Lookup(LookupError),
    Receiver(E),
}

impl<E> From<RepoError> for Stop<E> {
    fn from(error: RepoError) -> Self {
        Stop::Repository(error)
    }
}

impl<E> From<LookupError> for Stop<E> {
    fn from(error: LookupError) -> Self {
        Stop::Lookup(error)
    }
}

impl Reading {
    /// Tells the entries at a place: a directory's own, or with `below` all that lie below it too; or the one that is
    /// no directory. What could not be read is returned.
    ///
    /// # Errors
    /// What `tell` gives; [`KeeperError::Dump`] if there is nothing at that place.
    pub fn list<E: From<KeeperError>>(
        &self,
        point: &Point,
        path: &TreePath,
        below: bool,
        tell: &mut dyn FnMut(Entry) -> Result<(), E>,
    ) -> Result<Vec<Issue>, E> {
        let (at, node) = point.locate(path).map_err(|e| self.dump_error(e.into()))?;
        if node.kind != NodeKind::Dir {
            tell(Entry::of(&at, &node))?;
            return Ok(Vec::new());
        }
        let next = if below { Visit::Into } else { Visit::Over };
        let listed = point.walk_below::<Stop<E>>(&at, &node, &mut |path, node| {
            tell(Entry::of(path, node)).map_err(Stop::Receiver)?;
            Ok(next)
        });
        let mut issues = listed.map_err(|stop| self.told(stop))?;
        issues.extend(self.index_issues(point, !issues.is_empty()));
        Ok(issues)
    }

    /// Tells what fits the order in each snapshot, oldest first. What could not be read is returned.
    ///
    /// # Errors
    /// What `tell` gives; [`KeeperError::Pattern`], [`KeeperError::Select`], [`KeeperError::Repository`].
    pub fn find<E: From<KeeperError>>(
        &self,
        order: &FindOrder,
        tell: &mut dyn FnMut(Found<'_>) -> Result<(), E>,
    ) -> Result<Vec<Issue>, E> {
        let matcher = Matcher::new(order)?;
        let (mut seen, mut issues) = self.searched(order)?;
        seen.retain(|(s, _)| !s.is_ledger || !order.snapshots.is_empty());
        let roots: Vec<(Id, Id)> = seen.iter().map(|(s, root)| (s.snapshot, *root)).collect();
        let mut at = 0;
        let found = self.vault.repo.find::<Stop<E>>(
            &roots,
            matcher.by_path,
            &|path, node| matcher.matches(path, node),
            &mut |hit| {
                while seen
                    .get(at)
                    .is_some_and(|(s, _)| s.snapshot != hit.snapshot)
                {
                    at += 1;
                }
                let Some((seen, _)) = seen.get(at) else {
                    return Ok(());
                };
                let entry = Entry::of(hit.path, hit.node);
                tell(Found { seen, entry }).map_err(Stop::Receiver)
            },
        );
        issues.extend(found.map_err(|stop| self.told(stop))?.issues);
        Ok(issues)
    }

    /// All snapshots, oldest first, and what is wrong with those that cannot be read.
    ///
    /// # Errors
    /// [`KeeperError::Repository`].
    pub fn snapshots(&self) -> Result<(Vec<Seen>, Vec<Issue>), KeeperError> {
        let (seen, issues) = self.searched(&FindOrder::default())?;
        Ok((seen.into_iter().map(|(seen, _)| seen).collect(), issues))
    }

    /// The snapshots to be searched with their roots, oldest first, each once.
    fn searched(&self, order: &FindOrder) -> Result<Searched, KeeperError> {
        let repo = &self.vault.repo;
        let in_vault = |source| self.repository_error(source);
        let (all, issues) = if order.snapshots.is_empty() {
            repo.readable_snapshots().map_err(in_vault)?
        } else {
            let mut chosen = Vec::new();
            for wanted in &order.snapshots {
                let id = self.snapshot(wanted)?;
                if !chosen.iter().any(|(known, _)| *known == id) {
                    chosen.push((id, repo.snapshot(&id).map_err(in_vault)?));
                }
            }
            chosen.sort_by_key(|(id, snapshot)| (snapshot.time.unix_nanos(), *id));
            (chosen, Vec::new())
        };
        let known = self.known();
        let seen = all.into_iter().map(|(snapshot, found)| {
            let point = known.get(&snapshot.to_hex());
            let seen = Seen {
                snapshot,
                time: from_timestamp(&found.time),
                point: point.map(|p| p.point.point.clone()),
                of: point.map(|p| p.point.protection.clone()),
                is_ledger: is_ledger_snapshot(&found),
            };
            (seen, found.tree)
        });
        Ok((seen.collect(), issues))
    }

    /// Tells what differs between two snapshots at a place.
    ///
    /// # Errors
    /// What `tell` gives; [`KeeperError::Dump`] if neither has that place, [`KeeperError::Repository`].
    pub fn diff<E: From<KeeperError>>(
        &self,
        points: (&Point, &Point),
        path: &TreePath,
        metadata: bool,
        tell: &mut dyn FnMut(Difference) -> Result<(), E>,
    ) -> Result<DiffReport, E> {
        let compared = points
            .0
            .diff::<Stop<E>>(points.1, path, metadata, &mut |change| {
                let Some(node) = change.new.or(change.old) else {
                    return Ok(());
                };
                tell(Difference {
                    kind: change.kind,
                    entry: Entry::of(change.path, node),
                })
                .map_err(Stop::Receiver)
            });
        compared.map_err(|stop| self.told(stop))
    }

    /// Hands out the content of a file; the number of its bytes.
    ///
    /// # Errors
    /// [`KeeperError::Dump`].
    pub fn dump(
        &self,
        point: &Point,
        path: &TreePath,
        out: &mut dyn Write,
    ) -> Result<u64, KeeperError> {
        let dumped = point.dump_file(path, out);
        dumped.map_err(|source| self.dump_error(source))
    }

    /// Hands out a tree as a tar archive.
    ///
    /// # Errors
    /// [`KeeperError::Dump`]; what cannot be read is an issue in the report.
    pub fn archive(
        &self,
        point: &Point,
        path: &TreePath,
        out: &mut dyn Write,
    ) -> Result<ArchiveReport, KeeperError> {
        let written = point.archive(path, out);
        written.map_err(|source| self.dump_error(source))
    }

    fn told<E: From<KeeperError>>(&self, stop: Stop<E>) -> E {
        match stop {
            Stop::Repository(source) => self.repository_error(source).into(),
            Stop::Lookup(source) => self.dump_error(source.into()).into(),
            Stop::Receiver(error) => error,
        }
    }

    /// A damaged index file matters only if something was missed.
    fn index_issues(&self, point: &Point, missed: bool) -> Vec<Issue> {
        let issues = point.index_issues();
        if missed { issues.to_vec() } else { Vec::new() }
    }

    fn repository_error(&self, source: RepoError) -> KeeperError {
        KeeperError::Repository {
            vault: self.vault.name().to_string(),
            source: Box::new(source),
        }
    }

    fn dump_error(&self, source: DumpError) -> KeeperError {
        KeeperError::Dump {
            vault: self.vault.name().to_string(),
            source: Box::new(source),
        }
    }
}
