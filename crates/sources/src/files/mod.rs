//! The kind `files`: a folder tree, captured as it lies on disk.

mod ahead;
mod content;
mod erase;
mod spoil;
mod walk;

use std::path::{Path, PathBuf};

use vouchsafe_capture::{
    CaptureContext, CaptureError, Captured, Discovery, Erased, Erasing, PointReader,
    RestoreRequest, Restored, Sink, Source, Spoiled, TreePath,
};
use vouchsafe_host::inode;
use vouchsafe_model::{DigestManifest, Rung, SourceUrl};

use crate::exclude::Excludes;
use crate::tree::{self, Scope};
use crate::{OpenSourceError, absolute, failure, place};

/// A folder tree (or a single file): `files:/var/www`.
///
/// The point holds the absolute path as restic does (`/var/www/index.html` lies under `var`, `www`), with the metadata
/// of the parent directories. Links below the root are recorded, not followed; the root itself and its parents may be
/// links and are followed. File systems that are mounted below the root are captured too.
///
/// A restore puts what lies below the root directly into the target: `/var/www/index.html` becomes
/// `<target>/index.html`. An `include` is relative to the root, or absolute and inside of it.
///
/// Sockets are recorded but neither restored nor compared: without the program that made it a socket is of no use.
/// There is no manifest: the tree itself is one.
#[derive(Debug)]
pub struct FilesSource {
    /// The absolute path as the policy names it; the names in the point.
    named: PathBuf,
    /// Where the data is read: the same, or a copy.
    read: PathBuf,
    names: TreePath,
    exclude: Excludes,
}

impl FilesSource {
    /// The tree at `url`, without what `exclude` matches; reading `copy` instead if there is one.
    pub fn open(
        url: &SourceUrl,
        exclude: &[String],
        base: &Path,
        copy: Option<PathBuf>,
    ) -> Result<FilesSource, OpenSourceError> {
        let named = absolute(url, base)?;
        let names = TreePath::from_fs(&named).map_err(|e| OpenSourceError::Place {
            source_url: url.to_string(),
            message: e.to_string(),
            remedy: "write an absolute path".to_owned(),
        })?;
        let exclude = Excludes::new(exclude, &named)?;
        Ok(FilesSource {
            read: copy.unwrap_or_else(|| named.clone()),
            named,
            names,
            exclude,
        })
    }

    fn whole(&self) -> Scope {
        Scope::below(self.names.clone())
    }
}

/// Pushes the directory `read` under one name of its own, without what the patterns match. It may lie in our own places.
pub(crate) fn capture_directory(
    ctx: &CaptureContext<'_>,
    name: &str,
    read: &Path,
    leave_out: &[&str],
    sink: &mut dyn Sink,
) -> Result<(), CaptureError> {
    let named = Path::new("/").join(name);
    let bad = |message: String| failure::unreadable(&named, message, "rename the source");
    let patterns: Vec<String> = leave_out.iter().map(|p| (*p).to_owned()).collect();
    let directory = FilesSource {
        names: TreePath::from_fs(&named).map_err(|e| bad(e.to_string()))?,
        exclude: Excludes::new(&patterns, &named).map_err(|e| bad(e.to_string()))?,
        read: read.to_path_buf(),
        named: named.clone(),
    };
    let within = CaptureContext {
        spawn: ctx.spawn,
        clock: ctx.clock,
        work_dir: ctx.work_dir,
        interrupt: ctx.interrupt,
        progress: ctx.progress,
        own_places: &[],
    };
    walk::capture(&within, &directory, sink).map(drop)
}

impl Source for FilesSource {
    fn discover(&self, _ctx: &CaptureContext<'_>) -> Result<Discovery, CaptureError> {
        let real = walk::real_root(&self.read)?;
        inode::lstat(&real).map_err(failure::file)?;
        Ok(Discovery {
            paths: vec![self.named.display().to_string()],
            engine: None,
        })
    }

    fn capture(
        &self,
        ctx: &CaptureContext<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Captured, CaptureError> {
        let content_time = ctx.clock.now();
        let left_out = walk::capture(ctx, self, sink)?;
        Ok(Captured {
            content_time,
            manifest: None,
            engine: None,
            notes: Vec::new(),
            left_out,
        })
    }

    fn restore(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &RestoreRequest,
    ) -> Result<Restored, CaptureError> {
        if self.owns(&request.to) && !request.force {
            return Err(failure::target(
                &request.to,
                "it lies within the source itself; restore to another directory, or use --force to overwrite the original",
            ));
        }
        let scope = self.whole().narrowed(point, request.include.as_ref())?;
        tree::restore(ctx, point, &scope, request)
    }

    fn erases(&self, _request: &RestoreRequest) -> bool {
        true
    }

    /// Removes what the rule's paths name below the target, whether it came from the point or was there before.
    fn erase(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
        _request: &RestoreRequest,
        erasing: &Erasing<'_>,
    ) -> Result<Erased, CaptureError> {
        erase::erase(ctx, restored, erasing)
    }

    fn digest(
        &self,
        _ctx: &CaptureContext<'_>,
        _place: &Path,
    ) -> Result<Option<DigestManifest>, CaptureError> {
        Ok(None)
    }

    /// The rungs `opens` (every directory is there and can be listed), `content` (every file byte by byte, and nothing
    /// more or less than the tree has) and `metadata` (modes, times, link targets, attributes, hard links; owners if we
    /// are root). The metadata of the target directory itself is not compared: it may have been there before.
    fn compare(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
        _expected: Option<&DigestManifest>,
        point: &dyn PointReader,
    ) -> Result<Vec<Rung>, CaptureError> {
        tree::compare(ctx, point, &self.whole(), &restored.place)
    }

    /// Changes one byte of one regular file and keeps its size and times; if no file has content, adds a file.
    ///
    /// [`Source::compare`] sees it on the rung `content`. A point captured from the damaged copy differs from the
    /// original already in the identity of its tree, so whoever compares trees first must expect that rung instead.
    fn spoil(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
    ) -> Result<Spoiled, CaptureError> {
        spoil::spoil(ctx, &restored.place)
    }

    fn owns(&self, place: &Path) -> bool {
        place::overlap(&self.named, place)
    }
}
