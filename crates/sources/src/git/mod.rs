//! The kind `git`: a repository with all its refs, tags, notes and large files.

mod command;
mod compare;
mod lfs;
mod location;
mod manifest;
mod mirror;
mod restore;
mod scan;
mod spoil;

use std::path::{Path, PathBuf};

use vouchsafe_capture::{
    CaptureContext, CaptureError, Captured, Discovery, PointReader, RestoreRequest, Restored, Sink,
    Source, Spoiled,
};
use vouchsafe_model::{DigestManifest, Rung, SourceUrl};

use crate::{OpenSourceError, files, place};
use command::Git;
use location::Location;

/// A git repository: `git:/srv/code.git`, `git:/home/me/project`, `git:https://host/code.git`, `git:me@host:code.git`.
///
/// The point holds a bare repository `<name>.git` with every ref and everything that the refs and HEAD reach, and the
/// large files (Git LFS) that are pointed to. It is a mirror kept in the private working directory, so that each capture
/// fetches only what is new. Not part of it: uncommitted files, the index, stashes older than the newest, the reflog, hooks
/// and configuration of the original, and submodules, which are repositories of their own. Large files that cannot be
/// had make the capture incomplete.
///
/// Git runs without the user's and the system's configuration and without hooks or prompts; for `ssh` it uses the user's
/// keys, for `https` no credentials.
///
/// The manifest's method is `git-refs/1`: see [`GitSource::METHOD`].
#[derive(Debug)]
pub struct GitSource {
    /// The repository as the policy names it.
    named: Location,
    /// The repository that is read: the same, or a copy.
    read: Location,
    /// The name in the point, ending in `.git`.
    name: String,
}

impl GitSource {
    /// The way in which manifests are made.
    ///
    /// - `HEAD`: `ref: NAME`, or an object id if it is detached.
    /// - `ref:NAME` for every ref: its object id.
    /// - `objects`: counts the objects that refs and HEAD reach.
    /// - `lfs:OID` for every large file pointed to: its SHA-256 and size as found, or `missing`.
    ///
    /// Object ids bind all content; `git fsck` holds the content against them.
    pub const METHOD: &'static str = "git-refs/1";

    /// The repository at `url`, reading `copy` instead if there is one.
    pub fn open(
        url: &SourceUrl,
        base: &Path,
        copy: Option<PathBuf>,
    ) -> Result<GitSource, OpenSourceError> {
        let named = Location::of_source(url, base)?;
        let read = copy.map_or_else(|| named.clone(), Location::Local);
        Ok(GitSource {
            name: named.repository_name(),
            named,
            read,
        })
    }
}

impl Source for GitSource {
    fn discover(&self, ctx: &CaptureContext<'_>) -> Result<Discovery, CaptureError> {
        let git = Git::new(ctx)?;
        mirror::head(&git, &self.read)?;
        Ok(Discovery {
            paths: vec![self.named.to_string()],
            engine: Some(git.engine()?),
        })
    }

    fn capture(
        &self,
        ctx: &CaptureContext<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Captured, CaptureError> {
        let git = Git::new(ctx)?;
        let content_time = ctx.clock.now();
        ctx.progress.phase("fetch", None, None);
        let mirror = mirror::path(ctx.work_dir, &self.read);
        mirror::update(&git, &self.read, &mirror)?
            .into_iter()
            .for_each(|issue| sink.issue(issue));
        ctx.progress.phase("digest", None, None);
        let scanned = scan::scan(&git, &mirror)?;
        let issues = lfs::collect(&git, &self.read, &mirror, &scanned.large_files)?;
        issues.into_iter().for_each(|issue| sink.issue(issue));
        let manifest = manifest::of(&git, &mirror, &scanned, content_time)?;
        let engine = manifest.engine.clone();
        files::capture_directory(ctx, &self.name, &mirror, &mirror::LEFT_OUT, sink)?;
        Ok(Captured {
            content_time,
            manifest: Some(manifest),
            engine,
            notes: Vec::new(),
            left_out: Vec::new(),
        })
    }

    /// Restores to one of:
    ///
    /// - a directory that is empty or does not exist: it becomes the bare repository;
    /// - an existing repository, bare or not, without any ref, or the URL of one: everything is pushed there. One that
    ///   has refs is overwritten only by force; refs that the point does not have are then removed from it.
    ///
    /// Only whole repositories can be restored.
    fn restore(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &RestoreRequest,
    ) -> Result<Restored, CaptureError> {
        restore::restore(ctx, self, point, request)
    }

    fn digest(
        &self,
        ctx: &CaptureContext<'_>,
        place: &Path,
    ) -> Result<Option<DigestManifest>, CaptureError> {
        let git = Git::new(ctx)?;
        let location = Location::of_target(place);
        let (directory, scratch) = mirror::local(&git, &location)?;
        let scanned = scan::scan(&git, &directory)?;
        if scratch.is_some() {
            // What cannot be had is missing in the manifest.
            lfs::collect(&git, &location, &directory, &scanned.large_files)?;
        }
        Ok(Some(manifest::of(
            &git,
            &directory,
            &scanned,
            ctx.clock.now(),
        )?))
    }

    /// The rungs `opens` (`git fsck --full`) and `content` (HEAD, every ref, the count of objects, every large file).
    fn compare(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
        expected: Option<&DigestManifest>,
        _point: &dyn PointReader,
    ) -> Result<Vec<Rung>, CaptureError> {
        compare::compare(ctx, self, &restored.place, expected)
    }

    /// Moves one ref to the parent of its commit; if no commit has a parent, adds a ref. The repository stays sound, so
    /// that only `content` sees it.
    fn spoil(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
    ) -> Result<Spoiled, CaptureError> {
        spoil::spoil(ctx, &restored.place)
    }

    /// The repository's directory, anything within it and any directory that it lies in; for a remote one its URL.
    fn owns(&self, place: &Path) -> bool {
        match (&self.named, Location::of_target(place)) {
            (Location::Local(own), Location::Local(other)) => place::overlap(own, &other),
            (own, other) => own.is_same_remote(&other),
        }
    }
}
