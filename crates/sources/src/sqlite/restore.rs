//! Writing a captured database out.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use vouchsafe_capture::{
    CaptureContext, CaptureError, FetchedLog, MANIFEST_NAME, PointReader, RestoreRequest, Restored,
    TreePath, Visit,
};
use vouchsafe_format::{Node, NodeKind};
use vouchsafe_host::DestDir;
use vouchsafe_host::files::{self, TEMPORARY_PREFIX};
use vouchsafe_host::inode::{self, Kind};

use super::connection::{SIBLINGS, sibling};
use super::{SqliteSource, replay};
use crate::failure;

/// Writes the database beside its final name, replays a log over it if there is one, syncs it, and only then gives it
/// that name.
pub(super) fn restore(
    ctx: &CaptureContext<'_>,
    source: &SqliteSource,
    point: &dyn PointReader,
    request: &RestoreRequest,
    log: Option<FetchedLog>,
) -> Result<Restored, CaptureError> {
    let database = database_node(source, point)?;
    refuse_parts(&database, request.include.as_ref())?;
    let target = target(&database, &request.to)?;
    refuse_existing(source, &target, request.force)?;
    let directory = target
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let dest = DestDir::create(directory).map_err(failure::dest)?;
    let name = target.file_name().map(OsStr::as_bytes).unwrap_or_default();
    let temporary = [TEMPORARY_PREFIX.as_bytes(), b"restore-", name].concat();
    discard(&dest, &temporary)?;
    ctx.progress.phase("restore", Some(1), Some(database.size));
    let written = write(ctx, (point, &database), log.as_ref(), &dest, &temporary);
    let bytes = match written {
        Ok(bytes) => bytes,
        Err(error) => {
            // The first error is the one to report.
            let _ = dest.remove_file(&temporary);
            return Err(error);
        }
    };
    let metadata = crate::tree::Metadata::new(&dest);
    metadata.apply(&temporary, &database);
    if request.force {
        for ending in SIBLINGS {
            files::remove_file(sibling(&target, ending)).map_err(failure::file)?;
        }
        files::rename(directory.join(OsStr::from_bytes(&temporary)), &target)
            .map_err(failure::file)?;
    } else {
        files::rename_new(directory.join(OsStr::from_bytes(&temporary)), &target)
            .map_err(failure::file)?;
    }
    files::fsync_dir(directory).map_err(failure::file)?;
    ctx.progress.advance(1, 0);
    let mut issues = metadata.into_issues();
    issues
        .iter_mut()
        .for_each(|issue| issue.place = target.display().to_string());
    Ok(Restored {
        items: 1,
        unchanged: 0,
        bytes,
        issues,
        place: target,
        replayed: log,
    })
}

/// The database in the point: under the source's name, or whatever single file there is.
pub(super) fn database_node(
    source: &SqliteSource,
    point: &dyn PointReader,
) -> Result<Node, CaptureError> {
    let mut found: Option<Node> = None;
    point.walk(&mut |_, node| {
        let is_candidate = node.kind == NodeKind::File && node.name != MANIFEST_NAME.as_bytes();
        if is_candidate && (found.is_none() || node.name == source.name) {
            found = Some(node.clone());
        }
        Ok(Visit::Over)
    })?;
    found.ok_or_else(|| {
        failure::unreadable(
            &source.named,
            "the point holds no database",
            "choose a point that was captured from this source",
        )
    })
}

fn refuse_parts(database: &Node, include: Option<&TreePath>) -> Result<(), CaptureError> {
    let Some(include) = include else {
        return Ok(());
    };
    match include.names() {
        [] => Ok(()),
        [name] if *name == database.name => Ok(()),
        _ => Err(CaptureError::Unreadable {
            place: include.to_string(),
            message: "the point holds one database only".to_owned(),
            remedy: "restore it whole, and take from it what is needed".to_owned(),
        }),
    }
}

/// The file that will be the database.
fn target(database: &Node, to: &Path) -> Result<PathBuf, CaptureError> {
    let name = OsStr::from_bytes(&database.name);
    let as_directory = to.as_os_str().as_bytes().ends_with(b"/");
    if !files::exists(to).map_err(failure::file)? {
        return Ok(if as_directory {
            to.join(name)
        } else {
            to.to_path_buf()
        });
    }
    let real = files::canonicalize(to).map_err(failure::file)?;
    let kind = inode::lstat(&real).map_err(failure::file)?.kind;
    Ok(if kind == Kind::Directory {
        to.join(name)
    } else {
        to.to_path_buf()
    })
}

fn refuse_existing(source: &SqliteSource, target: &Path, force: bool) -> Result<(), CaptureError> {
    if force {
        return Ok(());
    }
    if crate::place::overlap(&source.named, target) {
        return Err(failure::target(
            target,
            "it is the source itself; restore to another path, or use --force to replace the original",
        ));
    }
    let existing =
        std::iter::once(target.to_path_buf()).chain(SIBLINGS.map(|ending| sibling(target, ending)));
    for path in existing {
        if files::exists(&path).map_err(failure::file)? {
            let message = format!(
                "{} exists; name another path, or use --force to replace it",
                path.display()
            );
            return Err(failure::target(target, message));
        }
    }
    Ok(())
}

/// What an interrupted restore left behind.
fn discard(dest: &DestDir, temporary: &[u8]) -> Result<(), CaptureError> {
    match dest.remove_file(temporary) {
        Err(e) if !e.is_not_found() => Err(failure::dest(e)),
        _ => Ok(()),
    }
}

fn write(
    ctx: &CaptureContext<'_>,
    (point, database): (&dyn PointReader, &Node),
    log: Option<&FetchedLog>,
    dest: &DestDir,
    temporary: &[u8],
) -> Result<u64, CaptureError> {
    let place = dest.path().display().to_string();
    let io = |e| CaptureError::io("write the database in", place.clone(), e);
    let writer = dest.create_file(temporary, 0o600).map_err(failure::dest)?;
    let mut file = writer.finish(0).map_err(io)?;
    let mut content = point.open(database)?;
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        failure::check_interrupt(ctx)?;
        let count = content
            .read(&mut buffer)
            .map_err(|e| CaptureError::io("read the point for", place.clone(), e))?;
        if count == 0 {
            break;
        }
        file.write_all(buffer.get(..count).unwrap_or_default())
            .map_err(io)?;
        bytes += count as u64;
        ctx.progress.advance(0, count as u64);
    }
    if bytes != database.size {
        let message = format!("it has {bytes} bytes, but the point says {}", database.size);
        return Err(failure::unreadable(
            dest.path(),
            message,
            "restore another point or from another vault",
        ));
    }
    if let Some(log) = log {
        ctx.progress.phase("replay the log", None, Some(log.bytes));
        replay::apply(ctx, log, &file, dest.path())?;
    }
    file.sync_all().map_err(io)?;
    Ok(bytes)
}
