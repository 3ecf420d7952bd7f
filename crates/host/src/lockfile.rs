//! One writer of a state directory at a time, also when the last one was killed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::files::{FileError, PRIVATE_FILE};

/// Why a lock was not obtained.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "{} is in use by another run{}; wait for it to end, or stop it",
        path.display(), pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The holder, as far as it wrote its number down.
        pid: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

/// An exclusive lock; it ends when this value is dropped or the process dies, however it dies.
///
/// The file stays: removing it would let two processes lock two files of the same name.
#[derive(Debug)]
pub struct StateLock {
    file: File,
    path: PathBuf,
}

impl StateLock {
    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for StateLock {
    fn drop(&mut self) {
        // Closing the file releases the lock as well; there is nobody to tell about an error.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Takes the lock without waiting. The lock file is created (mode 0600) when it is missing.
pub fn try_lock(path: impl AsRef<Path>) -> Result<StateLock, LockError> {
    let path = path.as_ref();
    loop {
        let failed = |source| FileError::new(path, "lock", source);
        let mut file = open(path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(LockError::Held {
                    path: path.to_path_buf(),
                    pid: holder(&mut file),
                });
            }
            Err(errno) => return Err(failed(errno.into()).into()),
        }
        // Somebody may have removed the file after it was opened: then others lock another one.
        if is_still_named(&file, path).map_err(failed)? {
            file.set_len(0)
                .and_then(|()| writeln!(file, "{}", std::process::id()))
                .map_err(failed)?;
            return Ok(StateLock {
                file,
                path: path.to_path_buf(),
            });
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE_FILE)
        .open(path)
}

fn is_still_named(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) => Ok(named.ino() == held.ino() && named.dev() == held.dev()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_taker_learns_who_has_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lock");
        let lock = try_lock(&path).expect("free");
        match try_lock(&path) {
            Err(LockError::Held { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("both got it: {other:?}"),
        }
        drop(lock);
        try_lock(&path).expect("free again");
    }

    #[test]
    fn a_removed_lock_file_does_not_let_two_in_under_one_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lock");
        let first = try_lock(&path).expect("free");
        std::fs::remove_file(&path).expect("removes");
        let second = try_lock(&path).expect("another file");
        assert!(is_still_named(&second.file, &path).expect("looks"));
        assert!(!is_still_named(&first.file, &path).expect("looks"));
        assert!(matches!(try_lock(&path), Err(LockError::Held { .. })));
    }

    #[test]
    fn a_killed_holder_leaves_no_lock() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lock");
        let mut holder = std::process::Command::new("flock")
            .arg(&path)
            .args(["sh", "-c", "echo locked; exec sleep 60"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("util-linux has flock");
        let mut word = [0; 7];
        holder
            .stdout
            .take()
            .expect("a pipe")
            .read_exact(&mut word)
            .expect("speaks");
        assert!(matches!(
            try_lock(&path),
            Err(LockError::Held { pid: None, .. })
        ));
        // flock(1) holds the lock in itself and in the program it ran.
        let children = format!("/proc/{0}/task/{0}/children", holder.id());
        let sleeper = std::fs::read_to_string(children).expect("procfs");
        for pid in [holder.id().to_string(), sleeper.trim().to_owned()] {
            let pid = rustix::process::Pid::from_raw(pid.parse().expect("a number"));
            let _ =
                rustix::process::kill_process(pid.expect("a pid"), rustix::process::Signal::KILL);
        }
        holder.wait().expect("reaps");
        let waited = std::time::Instant::now();
        while try_lock(&path).is_err() {
            assert!(
                waited.elapsed().as_secs() < 5,
                "the lock outlived its holder"
            );
            std::thread::yield_now();
        }
    }
}
