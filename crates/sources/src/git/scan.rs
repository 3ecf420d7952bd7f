//! What the refs of a repository reach: how many objects, and which large files are pointed to.

use std::collections::BTreeMap;
use std::io::{BufRead, Read};
use std::path::Path;

use vouchsafe_capture::CaptureError;
use vouchsafe_host::files;

use super::command::{Git, Spool};
use crate::failure;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scanned {
    /// Commits, trees, blobs and tags that refs and HEAD reach.
    pub(super) objects: u64,
    /// Large files by their SHA-256 in lower hex, with their sizes.
    pub(super) large_files: BTreeMap<String, u64>,
}

const DAMAGED: &str =
    "the repository is damaged: see git fsck, repair it, or restore an earlier point";
/// A pointer is never longer, by the Git LFS specification.
const LONGEST_POINTER: u64 = 1024;
/// The version line alone is longer than this.
const SHORTEST_POINTER: u64 = 60;

/// Walks everything that refs and HEAD reach.
pub(super) fn scan(git: &Git<'_>, repository: &Path) -> Result<Scanned, CaptureError> {
    let reached = git.to_file(
        git.on(repository, ["rev-list", "--objects", "--all"]),
        DAMAGED,
    )?;
    let format = "--batch-check=%(objectname) %(objecttype) %(objectsize) %(rest)";
    let described = git
        .on(repository, ["cat-file", format])
        .stdin(reached.input()?);
    let described = git.to_file(described, DAMAGED)?;
    drop(reached);
    let mut found = Scanned::default();
    let mut attributes = Spool::new(git.ctx.work_dir)?;
    let mut candidates = Spool::new(git.ctx.work_dir)?;
    described.lines(|line| {
        found.objects += 1;
        if found.objects.is_multiple_of(4096) {
            failure::check_interrupt(git.ctx)?;
            git.ctx.progress.advance(4096, 0);
        }
        let Some((id, size, path)) = blob(line) else {
            return Ok(());
        };
        let row = [id, b"\n"].concat();
        if path.rsplit(|b| *b == b'/').next() == Some(b".gitattributes") && size < 1 << 20 {
            attributes.write(&row)?;
        }
        if (SHORTEST_POINTER..=LONGEST_POINTER).contains(&size) {
            candidates.write(&row)?;
        }
        Ok(())
    })?;
    let mut has_large_files = files::exists(repository.join("lfs")).map_err(failure::file)?;
    if !has_large_files {
        contents(git, repository, &attributes, |text| {
            has_large_files |= text.windows(10).any(|w| w == b"filter=lfs");
        })?;
    }
    if has_large_files {
        contents(git, repository, &candidates, |text| {
            if let Some((id, size)) = pointer(text) {
                found.large_files.insert(id, size);
            }
        })?;
    }
    Ok(found)
}

/// A blob's id, size and path, if the line of `cat-file` tells of one.
fn blob(line: &[u8]) -> Option<(&[u8], u64, &[u8])> {
    let mut parts = line.splitn(4, |b| *b == b' ');
    let (id, kind, size) = (parts.next()?, parts.next()?, parts.next()?);
    if kind != b"blob" {
        return None;
    }
    let size = std::str::from_utf8(size).ok()?.parse().ok()?;
    Some((id, size, parts.next().unwrap_or_default()))
}

/// The content of each small blob whose id is in `ids`.
fn contents(
    git: &Git<'_>,
    repository: &Path,
    ids: &Spool,
    mut each: impl FnMut(&[u8]),
) -> Result<(), CaptureError> {
    let command = git
        .on(repository, ["cat-file", "--batch"])
        .stdin(ids.input()?);
    let output = git.to_file(command, DAMAGED)?;
    let mut reader = output.reader();
    let mut text = Vec::new();
    loop {
        failure::check_interrupt(git.ctx)?;
        text.clear();
        let read = (&mut reader).take(4096).read_until(b'\n', &mut text);
        if read.map_err(|e| output.io("read", e))? == 0 {
            return Ok(());
        }
        let Some((_, size, _)) = blob(text.trim_ascii_end()) else {
            continue;
        };
        text.clear();
        // The content and the line end after it.
        let read = (&mut reader)
            .take(size.saturating_add(1))
            .read_to_end(&mut text);
        read.map_err(|e| output.io("read", e))?;
        text.pop();
        each(&text);
    }
}

/// Reads a Git LFS pointer: lines of key and value, `version` first, then `oid sha256:…` and `size` among others.
fn pointer(text: &[u8]) -> Option<(String, u64)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut lines = text.lines();
    let version = lines.next()?.strip_prefix("version ")?;
    if !version.contains("git-lfs") && !version.contains("hawser") {
        return None;
    }
    let (mut id, mut size) = (None, None);
    for line in lines {
        match line.split_once(' ') {
            Some(("oid", value)) => id = value.strip_prefix("sha256:"),
            Some(("size", value)) => size = value.parse().ok(),
            _ => {}
        }
    }
    let id = id.filter(|id| {
        id.len() == 64
            && id
                .bytes()
                .all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
    });
    Some((id?.to_owned(), size?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_read_and_nothing_else_is() {
        let id = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
        let good =
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{id}\nsize 12345\n");
        assert_eq!(pointer(good.as_bytes()), Some((id.to_owned(), 12345)));
        let extended = format!(
            "version https://git-lfs.github.com/spec/v1\next-0-x sha256:{id}\noid sha256:{id}\nsize 1\n"
        );
        assert_eq!(pointer(extended.as_bytes()), Some((id.to_owned(), 1)));
        for bad in [
            "",
            "version 1\nsize 1\n",
            "hello",
            "version https://git-lfs.github.com/spec/v1\noid sha256:../../etc/passwd\nsize 1\n",
            &good.replace("size 12345", "size many"),
            &good.replace("sha256:4d", "sha256:4D"),
        ] {
            assert_eq!(pointer(bad.as_bytes()), None, "{bad}");
        }
    }
}
