//! Writing a part of a point into a directory.

use std::collections::{HashMap, HashSet};
use std::io;
use std::panic;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use vouchsafe_capture::{
    CaptureContext, CaptureError, PointReader, RestoreRequest, Restored, Visit,
};
use vouchsafe_format::{Id, Node, NodeKind};
use vouchsafe_host::inode::{self, Kind};
use vouchsafe_host::{DestDir, DestEntry, DestError, files};
use vouchsafe_model::Issue;

use super::batch::Batch;
use super::metadata::{Metadata, shown};
use super::scope::{Scope, Where};
use super::unchanged::Unchanged;
use super::writing::Writing;
use crate::failure;

/// Writes the scope's entries below the target, which must be empty, absent, or overwritten by `force`; then only what
/// differs is written.
pub(crate) fn restore(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    scope: &Scope,
    request: &RestoreRequest,
) -> Result<Restored, CaptureError> {
    let to = request.to.as_path();
    let found = prepare_target(to, request.force)?;
    // Where nothing is, nothing has to be looked at before it is overwritten.
    let force = found == Found::Entries;
    let dest = DestDir::create(to).map_err(failure::dest)?;
    let restore = Restore {
        ctx,
        point,
        scope,
        dest: &dest,
        force,
        metadata: Metadata::new(&dest),
        lost: Mutex::default(),
        unchanged: Unchanged {
            dest: &dest,
            point,
            compare: request.compare,
        },
        kept: AtomicU64::new(0),
        items: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
    };
    ctx.progress.phase("restore", None, None);
    restore.entries()?;
    restore.directories(found == Found::Nothing)?;
    dest.sync().map_err(failure::dest)?;
    Ok(Restored {
        items: restore.items.into_inner(),
        unchanged: restore.kept.into_inner(),
        bytes: restore.bytes.into_inner(),
        issues: restore.metadata.into_issues(),
        place: to.to_path_buf(),
        replayed: None,
    })
}

/// What is at the target before anything is restored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    EmptyDirectory,
    Entries,
}

/// Refuses a target that holds something, unless forced.
fn prepare_target(to: &Path, force: bool) -> Result<Found, CaptureError> {
    if !files::exists(to).map_err(failure::file)? {
        return Ok(Found::Nothing);
    }
    let real = files::canonicalize(to).map_err(failure::file)?;
    if inode::lstat(&real).map_err(failure::file)?.kind != Kind::Directory {
        return Err(failure::target(
            to,
            "it is not a directory; name a directory, or one that does not exist yet",
        ));
    }
    let names = files::list_dir(&real).map_err(failure::file)?;
    if names.is_empty() {
        return Ok(Found::EmptyDirectory);
    }
    if !force {
        let message = format!(
            "it holds {} entries already; name an empty directory, or use --force to overwrite what has the same names",
            names.len()
        );
        return Err(failure::target(to, message));
    }
    Ok(Found::Entries)
}

pub(super) struct Restore<'a> {
    pub(super) ctx: &'a CaptureContext<'a>,
    point: &'a dyn PointReader,
    scope: &'a Scope,
    pub(super) dest: &'a DestDir,
    force: bool,
    pub(super) metadata: Metadata<'a>,
    /// Files that could not be had: nothing may be linked to what lies there.
    lost: Mutex<HashSet<Vec<u8>>>,
    unchanged: Unchanged<'a>,
    kept: AtomicU64,
    items: AtomicU64,
    bytes: AtomicU64,
}

/// A name that becomes a link to another one.
struct FurtherName {
    first: Vec<u8>,
    new: Vec<u8>,
}

/// Names of one file, all but the first of which are linked to the first when that is whole.
struct Links {
    first: HashMap<(u64, u64), (Vec<u8>, Id)>,
    later: Vec<FurtherName>,
}

impl Restore<'_> {
    /// Everything but the metadata of directories. What a damaged tree hides is an issue, and the rest is restored.
    ///
    /// Contents of files are fetched while the walk goes on to the next ones.
    fn entries(&self) -> Result<(), CaptureError> {
        let (batches, taken) = mpsc::sync_channel(0);
        let linked = thread::scope(|scope| {
            let fetching =
                scope.spawn(move || taken.iter().try_for_each(|batch| self.fetch(&batch)));
            let walked = self.files(batches);
            match fetching.join() {
                Ok(fetched) => fetched.and(walked),
                Err(panic) => panic::resume_unwind(panic),
            }
        })?;
        for FurtherName { first, new } in &linked {
            failure::check_interrupt(self.ctx)?;
            if self.lost().contains(first) {
                let message = format!("{}, its other name, could not be restored", shown(first));
                self.metadata.issue(Issue {
                    place: shown(new),
                    message,
                });
                continue;
            }
            if self.force && self.unchanged.is_one_file(first, new) {
                self.kept.fetch_add(1, Ordering::Relaxed);
                self.done(0);
                continue;
            }
            let linked = self
                .free(new)
                .and_then(|()| self.dest.hard_link(first, new));
            if linked.is_ok() {
                self.done(0);
            }
            self.metadata.note(new, linked);
        }
        Ok(())
    }

    /// Makes everything but files, which it hands over in batches, and further names of files, which it gives back.
    fn files(&self, batches: SyncSender<Batch>) -> Result<Vec<FurtherName>, CaptureError> {
        let mut batch = Batch::default();
        let mut links = Links {
            first: HashMap::new(),
            later: Vec::new(),
        };
        // Nobody takes batches any more only when fetching has failed, and that error is the one that counts.
        let hand_over = |batch| batches.send(batch).map_err(|_| CaptureError::Interrupted);
        let hidden = self.walk(&mut |place, node| {
            let Where::Inside(rel) = place else {
                return Ok(Visit::Into);
            };
            match node.kind {
                NodeKind::Dir => return self.directory(rel),
                NodeKind::File => match links.earlier(rel, node) {
                    Some(first) => {
                        let new = rel.clone();
                        links.later.push(FurtherName { first, new });
                    }
                    None if self.is_kept(rel, node) => {}
                    None => batch.push(node.clone(), rel.clone()),
                },
                NodeKind::Socket => {}
                _ if self.is_kept(rel, node) => {}
                _ => self.special(rel, node),
            }
            if batch.is_full() {
                hand_over(std::mem::take(&mut batch))?;
            }
            Ok(Visit::Into)
        })?;
        if let Some(damage) = hidden {
            let place = self.dest.path().display().to_string();
            self.metadata.issue(failure::issue(place, &damage));
        }
        hand_over(batch)?;
        Ok(links.later)
    }

    /// Whether the content is there already; then it gets its metadata, and nothing is fetched or written.
    fn is_kept(&self, rel: &[u8], node: &Node) -> bool {
        let kept = self.force && self.unchanged.is(rel, node);
        if kept {
            self.metadata.apply(rel, node);
            self.kept.fetch_add(1, Ordering::Relaxed);
            self.done(0);
        }
        kept
    }

    /// Visits the scope's entries; gives the error of a tree that could not be read whole, after visiting the rest.
    fn walk(
        &self,
        visit: &mut dyn FnMut(&Where, &Node) -> Result<Visit, CaptureError>,
    ) -> Result<Option<CaptureError>, CaptureError> {
        let mut ours = false;
        let walked = self.scope.walk(self.point, &mut |place, node| {
            let visited = failure::check_interrupt(self.ctx).and_then(|()| visit(place, node));
            ours |= visited.is_err();
            visited
        });
        match walked {
            Ok(()) => Ok(None),
            Err(error) if ours || matches!(error, CaptureError::Interrupted) => Err(error),
            Err(error) => Ok(Some(error)),
        }
    }

    /// Only its owner may look into it until its metadata is set at the very end.
    fn directory(&self, rel: &[u8]) -> Result<Visit, CaptureError> {
        let is_there = || {
            let seen = self.dest.lstat(rel);
            seen.is_ok_and(|seen| seen.kind == Kind::Directory)
        };
        let made = if self.force && is_there() {
            Ok(())
        } else {
            self.free(rel).and_then(|()| self.dest.mkdir_private(rel))
        };
        match made {
            Ok(()) => Ok(Visit::Into),
            Err(error) => {
                self.fatal(&error)?;
                self.metadata.issue(failure::issue(shown(rel), &error));
                Ok(Visit::Over)
            }
        }
    }

    /// Links, pipes and devices.
    fn special(&self, rel: &[u8], node: &Node) {
        let mode = crate::node::permissions(node);
        let made = self.free(rel).and_then(|()| match node.kind {
            NodeKind::Symlink => self.dest.symlink(&node.linktarget, rel),
            NodeKind::Fifo => self.dest.mkfifo(rel, mode),
            NodeKind::Dev => self.dest.mknod(rel, Kind::BlockDevice, mode, node.device),
            NodeKind::CharDev => self.dest.mknod(rel, Kind::CharDevice, mode, node.device),
            _ => self.dest.mknod(rel, Kind::Unknown, mode, 0),
        });
        if made.is_ok() {
            self.metadata.apply(rel, node);
            self.done(0);
        }
        self.metadata.note(rel, made);
    }

    /// Removes what has the name, if that was asked for. A directory is removed only if it is empty.
    fn free(&self, rel: &[u8]) -> Result<(), DestError> {
        if !self.force {
            return Ok(());
        }
        match self.dest.lstat(rel) {
            Ok(seen) if seen.kind == Kind::Directory => self.dest.remove_dir(rel),
            Ok(_) => self.dest.remove_file(rel),
            Err(e) if e.is_not_found() => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn fetch(&self, batch: &Batch) -> Result<(), CaptureError> {
        if batch.len() == 0 {
            return Ok(());
        }
        let open = |number: usize, known: bool| self.open(batch, number, known);
        let out = Writing::new(self, batch, open);
        self.point.fetch(batch.nodes(), &out)?;
        for number in 0..batch.len() {
            // A vault that forgets a file must not make it look restored.
            if !out.is_settled(number) {
                out.give_up(number, "the vault did not deliver its content".to_owned());
            }
        }
        Ok(())
    }

    pub(super) fn open(
        &self,
        batch: &Batch,
        number: usize,
        known: bool,
    ) -> Result<DestEntry, DestError> {
        // An unknown number has the empty path, which the destination refuses.
        let rel = batch.file(number).map_or(&[][..], |(rel, _)| rel);
        if known {
            return self.dest.open_entry(rel);
        }
        self.free(rel)?;
        self.dest.create_entry(rel)
    }

    /// Metadata of directories, children first, so that nothing changes a directory's time any more.
    fn directories(&self, created: bool) -> Result<(), CaptureError> {
        let mut open: Vec<(Vec<u8>, Node)> = Vec::new();
        // Damage of the tree was said before.
        self.walk(&mut |place, node| {
            if node.kind != NodeKind::Dir {
                return Ok(Visit::Over);
            }
            let rel = match place {
                Where::Inside(rel) => rel.clone(),
                // The target itself keeps its metadata if it was there before.
                Where::Root if created => b".".to_vec(),
                _ => return Ok(Visit::Into),
            };
            while open.last().is_some_and(|(above, _)| !is_below(&rel, above)) {
                self.leave(open.pop());
            }
            open.push((rel, node.clone()));
            Ok(Visit::Into)
        })?;
        while !open.is_empty() {
            self.leave(open.pop());
        }
        Ok(())
    }

    fn leave(&self, directory: Option<(Vec<u8>, Node)>) {
        // One that could not be made is an issue already.
        if let Some((rel, node)) = directory
            && let Ok(entry) = self.dest.open_dir_entry(&rel)
        {
            self.metadata.apply_to(&entry, &rel, &node);
        }
    }

    /// Files that could not be had.
    pub(super) fn lost(&self) -> MutexGuard<'_, HashSet<Vec<u8>>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn done(&self, bytes: u64) {
        self.items.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.ctx.progress.advance(1, 0);
    }

    /// What would befall every further file too ends the restore.
    pub(super) fn fatal(&self, error: &DestError) -> Result<(), CaptureError> {
        let ends = matches!(
            error.kind(),
            Some(
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::ReadOnlyFilesystem
            )
        );
        if !ends {
            return Ok(());
        }
        Err(failure::target(
            self.dest.path(),
            failure::issue("", error).message,
        ))
    }
}

impl Links {
    /// The earlier name of the same file, if there is one with equal content.
    fn earlier(&mut self, rel: &[u8], node: &Node) -> Option<Vec<u8>> {
        if node.links < 2 || node.inode == 0 {
            return None;
        }
        let content: Vec<u8> = node
            .content
            .iter()
            .flatten()
            .flat_map(|id| id.as_bytes().iter().copied())
            .collect();
        let content = Id::of(&content);
        match self.first.get(&(node.device_id, node.inode)) {
            Some((first, same)) if *same == content => Some(first.clone()),
            // The file was changed while its names were captured: two files, then.
            Some(_) => None,
            None => {
                self.first
                    .insert((node.device_id, node.inode), (rel.to_vec(), content));
                None
            }
        }
    }
}

fn is_below(rel: &[u8], above: &[u8]) -> bool {
    above == b"."
        || rel
            .strip_prefix(above)
            .is_some_and(|rest| rest.starts_with(b"/"))
}
