//! Large files that Git LFS keeps beside a repository.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use vouchsafe_capture::CaptureError;
use vouchsafe_host::files::{self, PRIVATE_DIR, PRIVATE_FILE};
use vouchsafe_host::inode;
use vouchsafe_host::{Command, FileError};
use vouchsafe_model::Issue;

use super::command::Git;
use super::location::Location;
use super::mirror;
use crate::failure;

/// Where the large file with this SHA-256 lies in a repository's directory.
pub(super) fn place(repository: &Path, id: &str) -> PathBuf {
    let (first, second) = (
        id.get(..2).unwrap_or_default(),
        id.get(2..4).unwrap_or_default(),
    );
    repository
        .join("lfs")
        .join("objects")
        .join(first)
        .join(second)
        .join(id)
}

/// Brings the large files into the mirror, and removes those that nothing points to any more. Those that cannot be had
/// are issues.
pub(super) fn collect(
    git: &Git<'_>,
    from: &Location,
    mirror: &Path,
    wanted: &BTreeMap<String, u64>,
) -> Result<Vec<Issue>, CaptureError> {
    let mut issues = Vec::new();
    let missing: Vec<(&String, u64)> = wanted
        .iter()
        .filter(|(id, size)| !is_there(mirror, id, **size))
        .map(|(id, size)| (id, *size))
        .collect();
    if !missing.is_empty() {
        let why = match from {
            Location::Local(path) => {
                let original = mirror::repository_in(git, path)?.unwrap_or_else(|| path.clone());
                copy_all(git, &original, mirror, &missing)?;
                "it is not in lfs/objects of the repository; run `git lfs fetch --all` there"
                    .to_owned()
            }
            Location::Remote(url) => download(git, url, mirror)?,
        };
        for (id, size) in missing {
            if !is_there(mirror, id, size) {
                issues.push(Issue {
                    place: format!("{from}: large file {id} ({size} bytes)"),
                    message: format!("it could not be captured: {why}"),
                });
            }
        }
    }
    forget_others(mirror, wanted)?;
    Ok(issues)
}

/// Copies every large file that `ids` names from one repository's directory to another's, checking each.
/// Those that are not there or are damaged are left out.
pub(super) fn copy_all(
    git: &Git<'_>,
    from: &Path,
    to: &Path,
    ids: &[(&String, u64)],
) -> Result<(), CaptureError> {
    for (id, size) in ids {
        failure::check_interrupt(git.ctx)?;
        let source = place(from, id);
        if is_there(from, id, *size) && !is_there(to, id, *size) {
            copy(git, &source, &place(to, id), id)?;
        }
    }
    Ok(())
}

/// SHA-256 and size of a large file as it is; nothing if it is not there.
pub(super) fn digest(
    git: &Git<'_>,
    repository: &Path,
    id: &str,
) -> Result<Option<(String, u64)>, CaptureError> {
    let path = place(repository, id);
    match inode::open_content(&path) {
        Ok(mut file) => pump(git, &path, &mut file, None).map(Some),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(failure::file(e)),
    }
}

/// A command that lets git-lfs see `url` as its remote `origin` without writing that down.
pub(super) fn with_remote(command: Command, url: &str) -> Command {
    command
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "remote.origin.url")
        .env("GIT_CONFIG_VALUE_0", url)
}

/// Whether git-lfs is installed.
pub(super) fn is_installed(git: &Git<'_>) -> Result<bool, CaptureError> {
    git.succeeds(git.command(["lfs", "version"]))
}

fn is_there(repository: &Path, id: &str, size: u64) -> bool {
    inode::lstat(place(repository, id))
        .is_ok_and(|seen| seen.kind == inode::Kind::File && seen.size == size)
}

/// Fetches everything; says why something may still be missing.
fn download(git: &Git<'_>, url: &str, mirror: &Path) -> Result<String, CaptureError> {
    if !is_installed(git)? {
        return Ok("git-lfs is not installed (Debian: apt-get install git-lfs)".to_owned());
    }
    let fetch = with_remote(git.on(mirror, ["lfs", "fetch", "--all", "origin"]), url);
    Ok(match git.attempt(fetch)? {
        Ok(_) => "the server does not have it".to_owned(),
        Err(failed) => failed.to_string(),
    })
}

/// A damaged original is not copied, so that it is reported as missing.
fn copy(git: &Git<'_>, from: &Path, to: &Path, id: &str) -> Result<(), CaptureError> {
    if let Some(directory) = to.parent() {
        files::create_dir_all(directory, PRIVATE_DIR).map_err(failure::file)?;
    }
    let temporary = to.with_extension("tmp");
    files::remove_file(&temporary).map_err(failure::file)?;
    let mut source = match inode::open_content(from) {
        Ok(file) => file,
        Err(_) => return Ok(()),
    };
    let mut target = files::create_new(&temporary, PRIVATE_FILE).map_err(failure::file)?;
    let (found, _) = pump(git, from, &mut source, Some((&mut target, &temporary)))?;
    if found != id {
        return files::remove_file(&temporary).map_err(failure::file);
    }
    target
        .sync_all()
        .map_err(|e| failure::file(FileError::new(&temporary, "write", e)))?;
    files::rename(&temporary, to).map_err(failure::file)
}

/// Reads to the end, writing it elsewhere if wanted; SHA-256 and size.
fn pump(
    git: &Git<'_>,
    place: &Path,
    from: &mut File,
    mut to: Option<(&mut File, &Path)>,
) -> Result<(String, u64), CaptureError> {
    let mut hash = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 1 << 18];
    loop {
        failure::check_interrupt(git.ctx)?;
        let count = from
            .read(&mut buffer)
            .map_err(|e| failure::file(FileError::new(place, "read", e)))?;
        if count == 0 {
            return Ok((hex::encode(hash.finalize()), size));
        }
        let bytes = buffer.get(..count).unwrap_or_default();
        hash.update(bytes);
        size += count as u64;
        if let Some((file, target)) = &mut to {
            file.write_all(bytes)
                .map_err(|e| failure::file(FileError::new(*target, "write", e)))?;
        }
        git.ctx.progress.advance(0, count as u64);
    }
}

fn forget_others(mirror: &Path, wanted: &BTreeMap<String, u64>) -> Result<(), CaptureError> {
    let objects = mirror.join("lfs").join("objects");
    if !files::exists(&objects).map_err(failure::file)? {
        return Ok(());
    }
    for first in files::list_dir(&objects).map_err(failure::file)? {
        let first = objects.join(first);
        for second in files::list_dir(&first).unwrap_or_default() {
            let second = first.join(second);
            for name in files::list_dir(&second).unwrap_or_default() {
                if !name.to_str().is_some_and(|id| wanted.contains_key(id)) {
                    files::remove_file(second.join(name)).map_err(failure::file)?;
                }
            }
        }
    }
    Ok(())
}
