//! A directory that is being restored into; nothing here can reach outside of it.

mod entry;
mod error;
mod walk;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

pub use self::entry::DestEntry;
pub use self::error::DestError;
use self::error::rejected;
use self::walk::{check_path, open_beneath};
use crate::files;
use crate::inode::{self, Inode, Kind, Timestamp, Xattr, os};
use crate::sparse::SparseWriter;

/// A handle on the directory below which everything is restored.
///
/// All paths are raw bytes relative to it, with `/` between names. A path that is absolute or has
/// empty parts, `.`, `..` or NUL is rejected before anything is touched. Every directory on the way
/// is opened without following links and without leaving the root, so that a link swapped into
/// the destination while a restore runs is an error and never a way out. The last name of a path is
/// never followed either.
///
/// The path `.` alone names the root itself, for metadata and listing.
#[derive(Debug)]
pub struct DestDir {
    root: OwnedFd,
    path: PathBuf,
}

impl DestDir {
    /// Opens an existing directory. Links in `path` itself are followed: it is the caller's choice.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DestError> {
        let path = path.as_ref();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match fs::openat(CWD, path, flags, Mode::empty()) {
            Ok(root) => Ok(Self {
                root,
                path: path.to_path_buf(),
            }),
            Err(e) => Err(DestError::Failed {
                path: path.to_path_buf(),
                operation: "open the destination",
                source: e.into(),
            }),
        }
    }

    /// Opens a directory, creating it and its parents with mode 0700 where they are missing.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, DestError> {
        let path = path.as_ref();
        files::create_dir_all(path, files::PRIVATE_DIR).map_err(|e| DestError::Failed {
            path: e.path,
            operation: "create the destination",
            source: e.source,
        })?;
        Self::open(path)
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates a directory with exactly this mode; the name must be free, its parent must exist.
    pub fn mkdir(&self, rel: &[u8], mode: u32) -> Result<(), DestError> {
        let at = self.enter(rel)?;
        at.done(
            "create the directory",
            fs::mkdirat(&at.dir, at.name, Mode::from_raw_mode(0o700)),
        )?;
        self.chmod(rel, mode)
    }

    /// Creates a symbolic link with any target, also a dangling or an absolute one.
    pub fn symlink(&self, target: &[u8], rel: &[u8]) -> Result<(), DestError> {
        let at = self.enter(rel)?;
        at.done(
            "create the link",
            fs::symlinkat(os(target), &at.dir, at.name),
        )
    }

    /// Creates a named pipe with exactly this mode.
    pub fn mkfifo(&self, rel: &[u8], mode: u32) -> Result<(), DestError> {
        self.make_node(rel, FileType::Fifo, mode, 0)
    }

    /// Creates a device (or a pipe, a socket's name or an empty file) with exactly this mode.
    ///
    /// `rdev` is the device in the kernel's encoding, as [`Inode::rdev`] has it. Devices need
    /// rights that usual users lack: [`DestError::is_permission_denied`].
    pub fn mknod(&self, rel: &[u8], kind: Kind, mode: u32, rdev: u64) -> Result<(), DestError> {
        let file_type = match kind {
            Kind::CharDevice => FileType::CharacterDevice,
            Kind::BlockDevice => FileType::BlockDevice,
            Kind::Fifo => FileType::Fifo,
            Kind::Socket => FileType::Socket,
            Kind::File => FileType::RegularFile,
            Kind::Directory | Kind::Symlink | Kind::Unknown => {
                return Err(rejected(rel, "this kind of file is not made as a node"));
            }
        };
        self.make_node(rel, file_type, mode, rdev)
    }

    /// Gives what `existing` names (a link itself, not its target) the further name `new`.
    pub fn hard_link(&self, existing: &[u8], new: &[u8]) -> Result<(), DestError> {
        let from = self.enter(existing)?;
        let to = self.enter(new)?;
        let linked = fs::linkat(&from.dir, from.name, &to.dir, to.name, AtFlags::empty());
        to.done("create the hard link", linked)
    }

    /// Creates an empty file with exactly this mode, to be filled in any order.
    pub fn create_file(&self, rel: &[u8], mode: u32) -> Result<SparseWriter, DestError> {
        let at = self.enter(rel)?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = at.value(
            "create",
            fs::openat(&at.dir, at.name, flags, Mode::RUSR | Mode::WUSR),
        )?;
        at.done("set the mode of", fs::fchmod(&fd, permissions(mode)))?;
        Ok(SparseWriter::new(File::from(fd)))
    }

    /// Opens a regular file for reading, as [`inode::open_content`] does.
    pub fn open_read(&self, rel: &[u8]) -> Result<File, DestError> {
        let at = self.enter(rel)?;
        inode::open_regular(&at.dir, at.name).map_err(|e| at.failed("open", e))
    }

    /// Opens an existing regular file for writing in place.
    pub fn open_write(&self, rel: &[u8]) -> Result<File, DestError> {
        let at = self.enter(rel)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = at.value("open", fs::openat(&at.dir, at.name, flags, Mode::empty()))?;
        let stat = at.value("look at", fs::fstat(&fd))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(rejected(rel, "it is not a regular file"));
        }
        Ok(File::from(fd))
    }

    /// Metadata of a name, without following it.
    pub fn lstat(&self, rel: &[u8]) -> Result<Inode, DestError> {
        let at = self.enter_or_root(rel)?;
        let stat = fs::statat(&at.dir, at.name, AtFlags::SYMLINK_NOFOLLOW);
        Ok(inode::from_stat(&at.value("look at", stat)?))
    }

    /// Whether a name is taken, be it by a dangling link.
    pub fn exists(&self, rel: &[u8]) -> Result<bool, DestError> {
        match self.lstat(rel) {
            Ok(_) => Ok(true),
            Err(e) if e.is_not_found() => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// The target of a symbolic link, as raw bytes.
    pub fn read_link(&self, rel: &[u8]) -> Result<Vec<u8>, DestError> {
        let at = self.enter(rel)?;
        let target = fs::readlinkat(&at.dir, at.name, Vec::new());
        Ok(at.value("read the link", target)?.into_bytes())
    }

    /// The names in a directory as raw bytes, sorted, without `.` and `..`.
    pub fn read_dir(&self, rel: &[u8]) -> Result<Vec<Vec<u8>>, DestError> {
        let at = self.enter_or_root(rel)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = at.value("list", fs::openat(&at.dir, at.name, flags, Mode::empty()))?;
        let mut names = Vec::new();
        for entry in at.value("list", fs::Dir::read_from(&fd))? {
            let entry = at.value("list", entry)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        names.sort();
        Ok(names)
    }

    /// All extended attributes of a name, without following it, sorted by name.
    pub fn xattrs(&self, rel: &[u8]) -> Result<Vec<Xattr>, DestError> {
        let at = self.enter_or_root(rel)?;
        inode::xattrs(at.through_proc())
            .map_err(|e| at.failed("read the extended attributes of", e.source))
    }

    /// Sets extended attributes of a name, a link's own if it is one.
    ///
    /// All are tried; the error is the first one met.
    pub fn set_xattrs(&self, rel: &[u8], xattrs: &[Xattr]) -> Result<(), DestError> {
        let at = self.enter_or_root(rel)?;
        let path = at.through_proc();
        let mut first = Ok(());
        for attribute in xattrs {
            let set = xattr::set(&path, os(&attribute.name), &attribute.value);
            if let (Err(e), true) = (set, first.is_ok()) {
                first = Err(at.failed("set an extended attribute of", e));
            }
        }
        first
    }

    /// Sets owner and group, a link's own if it is one. May clear set-user and set-group bits, so
    /// call [`DestDir::chmod`] after it.
    pub fn lchown(&self, rel: &[u8], uid: u32, gid: u32) -> Result<(), DestError> {
        // All ones means "leave it" to the kernel, which is not what a caller with a number means.
        if uid == u32::MAX || gid == u32::MAX {
            return Err(rejected(rel, "its owner is not a valid number"));
        }
        let at = self.enter_or_root(rel)?;
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let owned = fs::chownat(
            &at.dir,
            at.name,
            Some(uid),
            Some(gid),
            AtFlags::SYMLINK_NOFOLLOW,
        );
        at.done("set the owner of", owned)
    }

    /// Sets the permission bits; a symbolic link has none and is left as it is.
    pub fn chmod(&self, rel: &[u8], mode: u32) -> Result<(), DestError> {
        let at = self.enter_or_root(rel)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = at.value("open", fs::openat(&at.dir, at.name, flags, Mode::empty()))?;
        let stat = at.value("look at", fs::fstat(&fd))?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            return Ok(());
        }
        // A handle that was opened for nothing but its place takes no fchmod; its name in procfs
        // leads to the same inode whatever happens to the directory meanwhile.
        at.done(
            "set the mode of",
            fs::chmod(proc_path(fd.as_fd()), permissions(mode)),
        )
    }

    /// Sets the times of a name to the nanosecond, a link's own if it is one.
    pub fn set_times(
        &self,
        rel: &[u8],
        atime: Timestamp,
        mtime: Timestamp,
    ) -> Result<(), DestError> {
        let at = self.enter_or_root(rel)?;
        let times = Timestamps {
            last_access: timespec(atime),
            last_modification: timespec(mtime),
        };
        let set = fs::utimensat(&at.dir, at.name, &times, AtFlags::SYMLINK_NOFOLLOW);
        at.done("set the times of", set)
    }

    /// Removes a name that is not a directory.
    pub fn remove_file(&self, rel: &[u8]) -> Result<(), DestError> {
        let at = self.enter(rel)?;
        at.done("remove", fs::unlinkat(&at.dir, at.name, AtFlags::empty()))
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, rel: &[u8]) -> Result<(), DestError> {
        let at = self.enter(rel)?;
        at.done(
            "remove the directory",
            fs::unlinkat(&at.dir, at.name, AtFlags::REMOVEDIR),
        )
    }

    /// Makes everything written to the destination's file system durable.
    pub fn sync(&self) -> Result<(), DestError> {
        let at = self.enter_or_root(b".")?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = at.value("open", fs::openat(&at.dir, at.name, flags, Mode::empty()))?;
        at.done("sync", fs::syncfs(&fd))
    }

    #[cfg(test)]
    fn handle(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    fn make_node(&self, rel: &[u8], kind: FileType, mode: u32, rdev: u64) -> Result<(), DestError> {
        let at = self.enter(rel)?;
        let private = Mode::RUSR | Mode::WUSR;
        at.done(
            "create the node",
            fs::mknodat(&at.dir, at.name, kind, private, rdev),
        )?;
        self.chmod(rel, mode)
    }

    fn enter_or_root<'a>(&'a self, rel: &'a [u8]) -> Result<Place<'a>, DestError> {
        if rel == b"." {
            let dir = Parent::Root(self.root.as_fd());
            return Ok(Place {
                dir,
                name: OsStr::new("."),
                rel,
                root: &self.path,
            });
        }
        self.enter(rel)
    }

    /// Opens the directory that holds the last name of a path.
    fn enter<'a>(&'a self, rel: &'a [u8]) -> Result<Place<'a>, DestError> {
        check_path(rel)?;
        let (dir, name) = match rel.iter().rposition(|byte| *byte == b'/') {
            None => (Parent::Root(self.root.as_fd()), rel),
            Some(slash) => {
                let (parent, name) = rel.split_at(slash);
                let opened = open_beneath(self.root.as_fd(), parent);
                let dir = opened.map_err(|errno| self.way_failed(rel, parent, errno))?;
                (Parent::Opened(dir), name.strip_prefix(b"/").unwrap_or(name))
            }
        };
        Ok(Place {
            dir,
            name: os(name),
            rel,
            root: &self.path,
        })
    }

    fn way_failed(&self, rel: &[u8], parent: &[u8], errno: Errno) -> DestError {
        match errno {
            Errno::LOOP | Errno::XDEV => DestError::Escape {
                path: PathBuf::from(os(rel)),
            },
            other => DestError::Failed {
                path: self.path.join(os(parent)),
                operation: "enter the directory",
                source: other.into(),
            },
        }
    }
}

/// An open directory and a name in it.
struct Place<'a> {
    dir: Parent<'a>,
    name: &'a OsStr,
    rel: &'a [u8],
    root: &'a Path,
}

enum Parent<'a> {
    Root(BorrowedFd<'a>),
    Opened(OwnedFd),
}

impl AsFd for Parent<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root(fd) => *fd,
            Self::Opened(fd) => fd.as_fd(),
        }
    }
}

impl Place<'_> {
    fn failed(&self, operation: &'static str, source: io::Error) -> DestError {
        DestError::Failed {
            path: self.root.join(os(self.rel)),
            operation,
            source,
        }
    }

    fn value<T>(
        &self,
        operation: &'static str,
        got: rustix::io::Result<T>,
    ) -> Result<T, DestError> {
        got.map_err(|errno| self.failed(operation, errno.into()))
    }

    fn done(&self, operation: &'static str, got: rustix::io::Result<()>) -> Result<(), DestError> {
        self.value(operation, got)
    }

    /// A path for calls that know no directory handles: the handle's name in procfs, then the name.
    fn through_proc(&self) -> PathBuf {
        proc_path(self.dir.as_fd()).join(self.name)
    }
}

fn proc_path(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o7777)
}

fn timespec(at: Timestamp) -> Timespec {
    Timespec {
        tv_sec: at.seconds,
        tv_nsec: at.nanoseconds.into(),
    }
}
