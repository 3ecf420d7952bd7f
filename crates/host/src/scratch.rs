//! Large files of our own that are made piece by piece: gone with their value, unless they are given a name.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tempfile::NamedTempFile;
use vouchsafe_model::Time;

use crate::files::{self, FileError, PRIVATE_FILE, SCRATCH, TEMPORARY_PREFIX};

/// A file under a temporary name, for reading and writing, with mode 0600.
#[derive(Debug)]
pub struct ScratchFile {
    inner: NamedTempFile,
}

impl ScratchFile {
    /// A new file in a directory that exists.
    pub fn new_in(directory: impl AsRef<Path>) -> Result<ScratchFile, FileError> {
        let directory = directory.as_ref();
        tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(PRIVATE_FILE))
            .tempfile_in(directory)
            .map(|inner| ScratchFile { inner })
            .map_err(|e| FileError::new(directory, "make a temporary file in", e))
    }

    /// The file.
    pub fn file(&self) -> &File {
        self.inner.as_file()
    }

    /// Makes the bytes durable and gives the file this name, in place of what had it: a crash leaves either the old
    /// or the new file whole. The path must be on the same file system.
    pub fn publish(self, path: impl AsRef<Path>) -> Result<File, FileError> {
        let path = path.as_ref();
        self.file()
            .sync_all()
            .map_err(|e| FileError::new(path, "write", e))?;
        let file = self
            .inner
            .persist(path)
            .map_err(|e| FileError::new(path, "move a file to", e.error))?;
        files::fsync_dir(path.parent().unwrap_or(Path::new(".")))?;
        Ok(file)
    }
}

/// A file without a name, which is gone when it is closed, whatever happens to the process.
pub fn nameless_in(directory: impl AsRef<Path>) -> Result<File, FileError> {
    let directory = directory.as_ref();
    tempfile::tempfile_in(directory)
        .map_err(|e| FileError::new(directory, "make a temporary file in", e))
}

/// Where large temporary files belong: what the environment says, else `/var/tmp`, which is not kept in memory.
pub fn roomy_directory() -> PathBuf {
    match std::env::var_os("TMPDIR") {
        Some(directory) if !directory.is_empty() => directory.into(),
        _ => PathBuf::from("/var/tmp"),
    }
}

/// Removes files with temporary names that were last written before `before`: their makers are gone.
pub fn remove_abandoned(directory: impl AsRef<Path>, before: Time) -> Result<(), FileError> {
    let directory = directory.as_ref();
    for name in files::list_dir(directory)? {
        let path = directory.join(&name);
        let ours = name.to_string_lossy().starts_with(TEMPORARY_PREFIX);
        let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
        if ours && is_file && files::modified(&path).is_ok_and(|at| at < before) {
            files::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Removes scratch directories that were last changed before `before` and that nobody holds any more: their makers were
/// killed. One that cannot be removed is left for the next time.
pub fn remove_abandoned_directories(
    directory: impl AsRef<Path>,
    before: Time,
) -> Result<(), FileError> {
    let directory = directory.as_ref();
    for name in files::list_dir(directory)? {
        let path = directory.join(&name);
        let ours = name.to_string_lossy().ends_with(SCRATCH);
        let is_directory = fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
        if !ours || !is_directory || !files::modified(&path).is_ok_and(|at| at < before) {
            continue;
        }
        let Ok(held) = File::open(&path) else {
            continue;
        };
        if flock(&held, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = files::remove_tree(&path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_what_is_published_stays() {
        let directory = files::temp_dir("scratch").unwrap();
        let path = directory.path().join("kept");
        for text in ["first", "second"] {
            let scratch = ScratchFile::new_in(directory.path()).unwrap();
            scratch.file().write_all(text.as_bytes()).unwrap();
            scratch.publish(&path).unwrap();
            assert_eq!(files::read_to_string(&path, 100).unwrap(), text);
        }
        drop(ScratchFile::new_in(directory.path()).unwrap());
        drop(nameless_in(directory.path()).unwrap());
        assert_eq!(files::list_dir(directory.path()).unwrap(), ["kept"]);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_when_it_is_old() {
        let directory = files::temp_dir("scratch").unwrap();
        let left = directory.path().join(format!("{TEMPORARY_PREFIX}x"));
        let other = directory.path().join("other");
        for path in [&left, &other] {
            files::write_atomic(path, b"x", PRIVATE_FILE).unwrap();
        }
        let written = files::modified(&left).unwrap();
        remove_abandoned(directory.path(), written).unwrap();
        assert!(files::exists(&left).unwrap());
        remove_abandoned(
            directory.path(),
            Time::from_micros(written.micros() + 1_000_000),
        )
        .unwrap();
        assert!(!files::exists(&left).unwrap());
        assert!(files::exists(&other).unwrap());
    }

    #[test]
    fn a_scratch_directory_goes_when_nobody_holds_it_and_it_is_old() {
        let parent = files::temp_dir("scratch").unwrap();
        let held = files::scratch_dir_in(parent.path(), "held-").unwrap();
        let left = files::scratch_dir_in(parent.path(), "left-").unwrap();
        let at = left.path().to_path_buf();
        files::write_atomic(at.join("rows"), b"x", PRIVATE_FILE).unwrap();
        // As if its process had been killed: the lock ends, the directory stays.
        assert_eq!(left.keep(), at);
        fs::create_dir(parent.path().join("spool")).unwrap();
        let later = Time::from_micros(files::modified(&at).unwrap().micros() + 1_000_000);
        let earlier = Time::from_micros(later.micros() - 3_600_000_000);
        remove_abandoned_directories(parent.path(), earlier).unwrap();
        assert!(at.is_dir());
        remove_abandoned_directories(parent.path(), later).unwrap();
        assert!(!at.exists());
        assert!(held.path().is_dir());
        assert!(parent.path().join("spool").is_dir());
    }
}
