//! A file or directory of the destination that is open: its metadata is set through the handle, so that no path has to
//! be followed again.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use rustix::fs::{self, Gid, Mode, OFlags, Uid};
use xattr::FileExt;

use super::{DestDir, DestError, permissions, rejected, timespec};
use crate::inode::{self, Inode, Timestamp, Xattr, os};

/// An open file or directory below a destination.
#[derive(Debug)]
pub struct DestEntry {
    file: File,
    /// Where it is, for errors.
    path: PathBuf,
}

impl DestDir {
    /// Creates an empty file that nobody but its owner may open, to be filled in any order; the name must be free.
    pub fn create_entry(&self, rel: &[u8]) -> Result<DestEntry, DestError> {
        let at = self.enter(rel)?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let opened = fs::openat(&at.dir, at.name, flags, mode);
        let fd = at.value("create", opened)?;
        Ok(self.entry(File::from(fd), rel))
    }

    /// Opens an existing regular file for writing in place.
    pub fn open_entry(&self, rel: &[u8]) -> Result<DestEntry, DestError> {
        Ok(self.entry(self.open_write(rel)?, rel))
    }

    /// Opens an existing directory, which may be the root, for its metadata.
    pub fn open_dir_entry(&self, rel: &[u8]) -> Result<DestEntry, DestError> {
        let at = self.enter_or_root(rel)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = fs::openat(&at.dir, at.name, flags, Mode::empty());
        let fd = at.value("open", opened)?;
        Ok(self.entry(File::from(fd), rel))
    }

    /// Creates a directory that nobody but its owner may enter; the name must be free, its parent must exist.
    pub fn mkdir_private(&self, rel: &[u8]) -> Result<(), DestError> {
        let at = self.enter(rel)?;
        at.done(
            "create the directory",
            fs::mkdirat(&at.dir, at.name, Mode::RWXU),
        )
    }

    fn entry(&self, file: File, rel: &[u8]) -> DestEntry {
        DestEntry {
            file,
            path: self.path().join(os(rel)),
        }
    }
}

impl DestEntry {
    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// What it is now.
    pub fn stat(&self) -> Result<Inode, DestError> {
        let stat = fs::fstat(&self.file).map_err(|e| self.failed("look at", e.into()))?;
        Ok(inode::from_stat(&stat))
    }

    /// Sets the length; what is added reads as zeros and takes no space.
    pub fn set_len(&self, length: u64) -> Result<(), DestError> {
        self.file
            .set_len(length)
            .map_err(|e| self.failed("set the length of", e))
    }

    /// Sets owner and group. May clear set-user and set-group bits, so call [`DestEntry::chmod`] after it.
    pub fn chown(&self, uid: u32, gid: u32) -> Result<(), DestError> {
        // All ones means "leave it" to the kernel, which is not what a caller with a number means.
        if uid == u32::MAX || gid == u32::MAX {
            return Err(rejected(
                self.path.as_os_str().as_encoded_bytes(),
                "its owner is not a valid number",
            ));
        }
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        fs::fchown(&self.file, Some(uid), Some(gid))
            .map_err(|e| self.failed("set the owner of", e.into()))
    }

    /// Sets the permission bits.
    pub fn chmod(&self, mode: u32) -> Result<(), DestError> {
        fs::fchmod(&self.file, permissions(mode))
            .map_err(|e| self.failed("set the mode of", e.into()))
    }

    /// Sets extended attributes. All are tried; the error is the first one met.
    pub fn set_xattrs(&self, xattrs: &[Xattr]) -> Result<(), DestError> {
        let mut first = Ok(());
        for attribute in xattrs {
            let set = self.file.set_xattr(os(&attribute.name), &attribute.value);
            if let (Err(e), true) = (set, first.is_ok()) {
                first = Err(self.failed("set an extended attribute of", e));
            }
        }
        first
    }

    /// Sets the times to the nanosecond.
    pub fn set_times(&self, atime: Timestamp, mtime: Timestamp) -> Result<(), DestError> {
        let times = fs::Timestamps {
            last_access: timespec(atime),
            last_modification: timespec(mtime),
        };
        fs::futimens(&self.file, &times).map_err(|e| self.failed("set the times of", e.into()))
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> DestError {
        DestError::Failed {
            path: self.path.clone(),
            operation,
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn destination() -> (crate::TempDir, DestDir) {
        let dir = crate::files::temp_dir("entry-").unwrap();
        let dest = DestDir::open(dir.path()).unwrap();
        (dir, dest)
    }

    #[test]
    fn metadata_is_set_through_the_handle_whatever_the_name_leads_to() {
        let (dir, dest) = destination();
        let entry = dest.create_entry(b"f").unwrap();
        std::fs::rename(dir.path().join("f"), dir.path().join("g")).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("f")).unwrap();
        let at = Timestamp {
            seconds: 1_000_000_000,
            nanoseconds: 7,
        };
        entry.set_len(9).unwrap();
        entry.chmod(0o4751).unwrap();
        entry.set_times(at, at).unwrap();
        let found = std::fs::metadata(dir.path().join("g")).unwrap();
        assert_eq!(
            (
                found.mode() & 0o7777,
                found.mtime(),
                found.mtime_nsec(),
                found.len()
            ),
            (0o4751, 1_000_000_000, 7, 9)
        );
        assert_eq!(entry.stat().unwrap().size, 9);
    }

    #[test]
    fn nothing_is_created_or_opened_through_a_link() {
        let (dir, dest) = destination();
        let (_outside, outside) = {
            let outside = crate::files::temp_dir("outside-").unwrap();
            let path = outside.path().to_path_buf();
            (outside, path)
        };
        std::fs::write(outside.join("f"), b"x").unwrap();
        std::os::unix::fs::symlink(&outside, dir.path().join("way")).unwrap();
        std::os::unix::fs::symlink(outside.join("f"), dir.path().join("link")).unwrap();
        assert!(dest.create_entry(b"way/new").is_err());
        assert!(dest.mkdir_private(b"way/new").is_err());
        assert!(dest.create_entry(b"link").is_err());
        assert!(dest.open_entry(b"link").is_err());
        assert!(dest.open_dir_entry(b"way").is_err());
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    }

    #[test]
    fn a_name_that_is_taken_stays() {
        let (_dir, dest) = destination();
        dest.mkdir_private(b"d").unwrap();
        assert!(dest.create_entry(b"d").err().unwrap().is_already_exists());
        assert!(dest.mkdir_private(b"d").err().unwrap().is_already_exists());
        assert_eq!(
            dest.open_dir_entry(b"d").unwrap().stat().unwrap().mode,
            0o700
        );
        let refused = dest.open_dir_entry(b"d").unwrap().chown(u32::MAX, 0);
        assert!(matches!(refused, Err(DestError::Rejected { .. })));
    }
}
