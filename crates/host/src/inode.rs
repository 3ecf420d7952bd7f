//! What the file system knows of one name, read without following links.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::files::FileError;
use crate::users;

/// What kind of thing a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket; its name can be recorded but not restored to use.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// Something the kernel knows and we do not.
    Unknown,
}

/// A moment as file systems keep it: seconds since the Unix epoch, UTC, and nanoseconds after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// 0 to 999,999,999, added to the seconds.
    pub nanoseconds: u32,
}

/// All metadata of one name except extended attributes and link targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with set-user, set-group and sticky: the low twelve bits of `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The owner's name on this machine.
    pub user: Option<String>,
    /// The group's name on this machine.
    pub group: Option<String>,
    /// The number of the inode, unique within `dev`.
    pub ino: u64,
    /// The file system.
    pub dev: u64,
    /// How many names the inode has.
    pub nlink: u64,
    /// Bytes of content; for a link the length of its target.
    pub size: u64,
    /// Content last changed.
    pub mtime: Timestamp,
    /// Content last read.
    pub atime: Timestamp,
    /// Metadata last changed; cannot be restored.
    pub ctime: Timestamp,
    /// The device a device file stands for, in the kernel's encoding; 0 otherwise.
    pub rdev: u64,
    /// 512-byte blocks in use; fewer than the size needs when the file is sparse.
    pub blocks: u64,
}

/// One extended attribute. POSIX ACLs appear as `system.posix_acl_access` and `…_default`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// The name with its namespace, as raw bytes.
    pub name: Vec<u8>,
    /// The value, as raw bytes.
    pub value: Vec<u8>,
}

/// Reads the metadata of a name; a symbolic link is described, not followed.
pub fn lstat(path: impl AsRef<Path>) -> Result<Inode, FileError> {
    let path = path.as_ref();
    rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)
        .map(|stat| from_stat(&stat))
        .map_err(|e| FileError::new(path, "look at", e.into()))
}

/// Reads the metadata of an open file.
pub fn fstat(file: &File) -> io::Result<Inode> {
    Ok(from_stat(&rustix::fs::fstat(file)?))
}

/// Reads all extended attributes of a name without following it, sorted by name.
///
/// A file system without extended attributes gives none. An attribute that disappears between the
/// listing and the reading is left out; one that may not be read is an error.
pub fn xattrs(path: impl AsRef<Path>) -> Result<Vec<Xattr>, FileError> {
    let path = path.as_ref();
    let failed = |source| FileError::new(path, "read the extended attributes of", source);
    let names = match xattr::list(path) {
        Ok(names) => names,
        Err(e) if is_unsupported(&e) => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut out = Vec::new();
    for name in names {
        if let Some(value) = xattr::get(path, &name).map_err(failed)? {
            out.push(Xattr {
                name: name.into_vec(),
                value,
            });
        }
    }
    out.sort();
    Ok(out)
}

/// The target of a symbolic link, as raw bytes.
pub fn read_link(path: impl AsRef<Path>) -> Result<Vec<u8>, FileError> {
    let path = path.as_ref();
    fs::read_link(path)
        .map(|target| target.into_os_string().into_vec())
        .map_err(|e| FileError::new(path, "read the link", e))
}

/// The names in a directory as raw bytes, sorted, without `.` and `..`.
pub fn read_dir(path: impl AsRef<Path>) -> Result<Vec<Vec<u8>>, FileError> {
    let names = crate::files::list_dir(path)?;
    Ok(names.into_iter().map(OsString::into_vec).collect())
}

/// An open directory: its names are looked at without following its path again.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens a directory; a link is an error.
    pub fn open(path: impl AsRef<Path>) -> Result<Directory, FileError> {
        let path = path.as_ref();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .map_err(|e| FileError::new(path, "list", e.into()))?;
        Ok(Directory {
            fd,
            path: path.to_path_buf(),
        })
    }

    /// The names in it as raw bytes, sorted, without `.` and `..`.
    pub fn names(&self) -> Result<Vec<Vec<u8>>, FileError> {
        let failed = |e: Errno| FileError::new(&self.path, "list", e.into());
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// As [`lstat`], of a name in it.
    pub fn lstat(&self, name: &[u8]) -> Result<Inode, FileError> {
        rustix::fs::statat(&self.fd, os(name), AtFlags::SYMLINK_NOFOLLOW)
            .map(|stat| from_stat(&stat))
            .map_err(|e| FileError::new(self.path.join(os(name)), "look at", e.into()))
    }
}

/// Opens the content of a regular file for reading.
///
/// The name itself is not followed if it is a link, the access time is left alone where the kernel
/// allows it, and nothing here can block: if the name turns out to be a pipe, a device or anything
/// else that is not a regular file, that is an error of kind `InvalidInput`.
pub fn open_content(path: impl AsRef<Path>) -> Result<File, FileError> {
    let path = path.as_ref();
    open_regular(CWD, path.as_os_str()).map_err(|e| FileError::new(path, "open", e))
}

/// [`open_content`] below an open directory.
pub(crate) fn open_regular(dir: impl AsFd, name: &OsStr) -> io::Result<File> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let dir = dir.as_fd();
    let opened = rustix::fs::openat(dir, name, flags | OFlags::NOATIME, Mode::empty());
    // Only the owner of a file may ask for its access time to be left alone.
    let fd: OwnedFd = match opened {
        Err(Errno::PERM) => rustix::fs::openat(dir, name, flags, Mode::empty())?,
        other => other?,
    };
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
    if kind != FileType::RegularFile {
        let what = "it is not a regular file any more";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    // Regular files ignore the flag, but whoever inherits the handle should not see it.
    rustix::fs::fcntl_setfl(&fd, rustix::fs::fcntl_getfl(&fd)? - OFlags::NONBLOCK)?;
    Ok(File::from(fd))
}

pub(crate) fn from_stat(stat: &Stat) -> Inode {
    Inode {
        kind: kind_of(FileType::from_raw_mode(stat.st_mode)),
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        user: users::user_name(stat.st_uid),
        group: users::group_name(stat.st_gid),
        ino: stat.st_ino,
        dev: stat.st_dev,
        nlink: stat.st_nlink,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mtime: timestamp(stat.st_mtime, stat.st_mtime_nsec),
        atime: timestamp(stat.st_atime, stat.st_atime_nsec),
        ctime: timestamp(stat.st_ctime, stat.st_ctime_nsec),
        rdev: stat.st_rdev,
        blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
    }
}

fn kind_of(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::CharDevice,
        FileType::BlockDevice => Kind::BlockDevice,
        _ => Kind::Unknown,
    }
}

fn timestamp(seconds: i64, nanoseconds: impl TryInto<u32>) -> Timestamp {
    Timestamp {
        seconds,
        nanoseconds: nanoseconds.try_into().unwrap_or(0),
    }
}

pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw_os_error),
        Some(Errno::OPNOTSUPP | Errno::NOSYS)
    )
}

/// Raw bytes as the operating system's string.
pub(crate) fn os(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}
