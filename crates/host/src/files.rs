//! Files of our own: state, vault objects, reports. Whole reads with a limit, durable writes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FlockOperation, flock};
use vouchsafe_model::Time;

/// An operation on a path that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct FileError {
    /// What the operation was about.
    pub path: PathBuf,
    /// The operation, as a verb phrase that fits after "cannot".
    pub operation: &'static str,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

impl FileError {
    /// Joins an error of the operating system with what was being done.
    pub fn new(path: impl AsRef<Path>, operation: &'static str, source: io::Error) -> Self {
        Self {
            path: path.as_ref().to_path_buf(),
            operation,
            source,
        }
    }

    /// The kind of the underlying error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether the path (or a directory on the way to it) does not exist.
    pub fn is_not_found(&self) -> bool {
        self.kind() == io::ErrorKind::NotFound
    }
}

/// Files and directories that only their owner may use.
pub const PRIVATE_FILE: u32 = 0o600;
/// The mode of directories that hold state or vault objects.
pub const PRIVATE_DIR: u32 = 0o700;
/// How names of half-written files begin; whoever lists a directory of ours skips these.
pub const TEMPORARY_PREFIX: &str = ".vouchsafe-tmp-";

/// Reads a whole file of at most `limit` bytes; a longer one is `FileTooLarge`.
pub fn read(path: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>, FileError> {
    let path = path.as_ref();
    let failed = |source| FileError::new(path, "read", source);
    let file = File::open(path).map_err(failed)?;
    let expected = file.metadata().map_err(failed)?.len().min(limit);
    let mut out = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    file.take(limit.saturating_add(1))
        .read_to_end(&mut out)
        .map_err(failed)?;
    if out.len() as u64 > limit {
        let longer = format!("it is longer than the {limit} bytes allowed here");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, longer)));
    }
    Ok(out)
}

/// Reads a whole file of at most `limit` bytes into memory that is used again; a longer one is `FileTooLarge`.
///
/// What `into` held is overwritten; its capacity stays. A file that grows meanwhile is read as it was.
pub fn read_into(path: impl AsRef<Path>, limit: u64, into: &mut Vec<u8>) -> Result<(), FileError> {
    let path = path.as_ref();
    let failed = |source| FileError::new(path, "read", source);
    let mut file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if metadata.len() > limit {
        let longer = format!("it is longer than the {limit} bytes allowed here");
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, longer)));
    }
    // Only what is new is cleared; all of it is read over.
    into.resize(length, 0);
    let mut filled = 0;
    while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(e)),
        }
    }
    into.truncate(filled);
    Ok(())
}

/// Reads a whole UTF-8 file of at most `limit` bytes; other bytes are `InvalidData`.
pub fn read_to_string(path: impl AsRef<Path>, limit: u64) -> Result<String, FileError> {
    let path = path.as_ref();
    String::from_utf8(read(path, limit)?).map_err(|error| {
        FileError::new(
            path,
            "read",
            io::Error::new(io::ErrorKind::InvalidData, error),
        )
    })
}

/// Replaces the contents of `path` so that a crash leaves either the old or the new file whole.
///
/// The bytes are durable when this returns: the file is written under a temporary name in the same
/// directory, synced, renamed, and the directory synced.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let path = path.as_ref();
    let temporary = write_temporary(path, bytes, mode)?;
    if let Err(error) = rename(&temporary, path) {
        // The first error is the one to report; the leftover is recognisable by its name.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    fsync_dir(parent_of(path))
}

/// Writes and syncs a file with a fresh temporary name beside `path`, and gives that name.
///
/// The first half of [`write_atomic`], for callers that must publish by other means than `rename`.
pub fn write_temporary(path: &Path, bytes: &[u8], mode: u32) -> Result<PathBuf, FileError> {
    let (temporary, mut file) = create_temporary(path, mode)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(source) = written {
        let _ = fs::remove_file(&temporary);
        return Err(FileError::new(path, "write", source));
    }
    Ok(temporary)
}

/// Creates an empty file with a fresh temporary name beside `path`, for writing; gives that name too.
///
/// For callers that write it piece by piece, and who sync, publish or remove it themselves.
pub fn create_temporary(path: &Path, mode: u32) -> Result<(PathBuf, File), FileError> {
    let temporary = temporary_beside(path);
    let file = create_new(&temporary, mode)?;
    Ok((temporary, file))
}

/// Creates a directory and all its parents; those that are new get `mode`.
pub fn create_dir_all(path: impl AsRef<Path>, mode: u32) -> Result<(), FileError> {
    let path = path.as_ref();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(|source| FileError::new(path, "create the directory", source))
}

/// Creates one directory with `mode`; its parent must exist and the name be free.
pub fn create_dir(path: impl AsRef<Path>, mode: u32) -> Result<(), FileError> {
    let path = path.as_ref();
    fs::DirBuilder::new()
        .mode(mode)
        .create(path)
        .map_err(|source| FileError::new(path, "create the directory", source))
}

/// Removes one file; one that does not exist is fine.
pub fn remove_file(path: impl AsRef<Path>) -> Result<(), FileError> {
    let path = path.as_ref();
    absent_is_fine(fs::remove_file(path)).map_err(|e| FileError::new(path, "remove", e))
}

/// Removes a directory with everything below it, following no links; an absent one is fine.
pub fn remove_tree(path: impl AsRef<Path>) -> Result<(), FileError> {
    let path = path.as_ref();
    absent_is_fine(fs::remove_dir_all(path))
        .map_err(|e| FileError::new(path, "remove the directory", e))
}

/// The raw names in a directory, sorted by their bytes, without `.` and `..`.
pub fn list_dir(path: impl AsRef<Path>) -> Result<Vec<std::ffi::OsString>, FileError> {
    let path = path.as_ref();
    let failed = |source| FileError::new(path, "list", source);
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name());
    }
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    Ok(names)
}

/// What a directory holds under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The raw name.
    pub name: std::ffi::OsString,
    /// A directory, also by way of a link.
    pub is_dir: bool,
    /// Bytes of content, for files.
    pub size: u64,
}

/// The entries of a directory, sorted by the bytes of their names, links followed.
///
/// What disappears while it is looked at, and links that lead nowhere, are left out.
pub fn list_entries(path: impl AsRef<Path>) -> Result<Vec<Entry>, FileError> {
    let path = path.as_ref();
    let mut out = Vec::new();
    for name in list_dir(path)? {
        let full = path.join(&name);
        match fs::metadata(&full) {
            Ok(found) => out.push(Entry {
                name,
                is_dir: found.is_dir(),
                size: found.len(),
            }),
            Err(e) if is_absent(&e) => {}
            Err(e) => return Err(FileError::new(full, "look at", e)),
        }
    }
    Ok(out)
}

/// Whether something exists at `path`, be it a dangling link; errors other than absence are errors.
pub fn exists(path: impl AsRef<Path>) -> Result<bool, FileError> {
    let path = path.as_ref();
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if is_absent(&e) => Ok(false),
        Err(e) => Err(FileError::new(path, "look at", e)),
    }
}

/// The length of a file in bytes, following links.
pub fn size(path: impl AsRef<Path>) -> Result<u64, FileError> {
    let path = path.as_ref();
    Ok(fs::metadata(path)
        .map_err(|e| FileError::new(path, "look at", e))?
        .len())
}

/// Opens a file for reading and seeking.
pub fn open_read(path: impl AsRef<Path>) -> Result<File, FileError> {
    let path = path.as_ref();
    File::open(path).map_err(|e| FileError::new(path, "open", e))
}

/// Creates a file that must not exist yet, for reading and writing.
///
/// The mode is set exactly, whatever the process's umask.
pub fn create_new(path: impl AsRef<Path>, mode: u32) -> Result<File, FileError> {
    let path = path.as_ref();
    let failed = |source| FileError::new(path, "create", source);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(mode & 0o700)
        .open(path)
        .map_err(failed)?;
    file.set_permissions(fs::Permissions::from_mode(mode))
        .map_err(failed)?;
    Ok(file)
}

/// Copies a file's content and the time of its last change into a new file, which is made durable; the number of its
/// bytes. The target must not exist.
pub fn copy_new(from: impl AsRef<Path>, to: impl AsRef<Path>, mode: u32) -> Result<u64, FileError> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let mut source = open_read(from)?;
    let looked = source.metadata().and_then(|found| {
        let regular = found.is_file();
        let no_file = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
        if regular {
            found.modified()
        } else {
            Err(no_file())
        }
    });
    let modified = looked.map_err(|e| FileError::new(from, "read", e))?;
    let mut target = create_new(to, mode)?;
    let copied = io::copy(&mut source, &mut target)
        .and_then(|n| target.set_modified(modified).map(|()| n))
        .and_then(|n| target.sync_all().map(|()| n));
    copied.map_err(|e| FileError::new(to, "write", e))
}

/// Opens a file for appending, creating it with `mode` when absent.
pub fn open_append(path: impl AsRef<Path>, mode: u32) -> Result<File, FileError> {
    let path = path.as_ref();
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(mode)
        .open(path)
        .map_err(|e| FileError::new(path, "open for appending", e))
}

/// Renames within one file system, replacing what is there.
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), FileError> {
    let to = to.as_ref();
    fs::rename(from, to).map_err(|e| FileError::new(to, "move a file to", e))
}

/// Renames within one file system; an existing target is `AlreadyExists` and left as it is.
///
/// Of several callers racing for one name exactly one wins. File systems without an exclusive
/// rename are served by a hard link, which has the same promise.
pub fn rename_new(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), FileError> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    let (from, to) = (from.as_ref(), to.as_ref());
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            hard_link(from, to)?;
            remove_file(from)
        }
        Err(errno) => Err(FileError::new(to, "move a file to", errno.into())),
    }
}

/// Gives an existing file a second name, which must be free.
pub fn hard_link(existing: impl AsRef<Path>, new: impl AsRef<Path>) -> Result<(), FileError> {
    let new = new.as_ref();
    fs::hard_link(existing, new).map_err(|e| FileError::new(new, "link", e))
}

/// Makes names created, renamed or removed in a directory durable.
pub fn fsync_dir(path: impl AsRef<Path>) -> Result<(), FileError> {
    let path = path.as_ref();
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| FileError::new(path, "sync the directory", e))
}

/// Sets permission bits, following links.
pub fn set_mode(path: impl AsRef<Path>, mode: u32) -> Result<(), FileError> {
    let path = path.as_ref();
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|e| FileError::new(path, "set the mode of", e))
}

/// The length of a file in bytes and when it was last written to, following links.
///
/// A directory is `IsADirectory`.
pub fn size_and_time(path: impl AsRef<Path>) -> Result<(u64, Time), FileError> {
    let path = path.as_ref();
    let failed = |source| FileError::new(path, "look at", source);
    let found = fs::metadata(path).map_err(failed)?;
    if found.is_dir() {
        return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    let modified = found.modified().map_err(failed)?;
    Ok((found.len(), crate::clock::system_time(modified)))
}

/// When something was last written to, following links.
pub fn modified(path: impl AsRef<Path>) -> Result<Time, FileError> {
    let path = path.as_ref();
    let at = fs::metadata(path).and_then(|m| m.modified());
    at.map(crate::clock::system_time)
        .map_err(|e| FileError::new(path, "look at", e))
}

/// Bytes free for this user and bytes that it may hold in all, of the file system that holds `path`.
///
/// What is reserved for others counts as neither, as `df` has it: where nothing is free, all of it is taken.
pub fn free_space(path: impl AsRef<Path>) -> Result<(u64, u64), FileError> {
    let path = path.as_ref();
    let stat = rustix::fs::statvfs(path)
        .map_err(|e| FileError::new(path, "ask for the free space of", e.into()))?;
    let block = stat.f_frsize;
    let taken = stat.f_blocks.saturating_sub(stat.f_bfree);
    Ok((
        stat.f_bavail.saturating_mul(block),
        taken.saturating_add(stat.f_bavail).saturating_mul(block),
    ))
}

/// The absolute path without links; the path must exist.
pub fn canonicalize(path: impl AsRef<Path>) -> Result<PathBuf, FileError> {
    let path = path.as_ref();
    fs::canonicalize(path).map_err(|e| FileError::new(path, "resolve", e))
}

/// A directory of our own that disappears with this value.
#[derive(Debug)]
pub struct TempDir {
    inner: tempfile::TempDir,
    /// Locked for as long as somebody uses a scratch directory: the kernel ends it with the process.
    _held: Option<File>,
}

impl TempDir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.inner.path()
    }

    /// Removes it now and says so when that fails.
    pub fn close(self) -> Result<(), FileError> {
        let path = self.path().to_path_buf();
        self.inner
            .close()
            .map_err(|e| FileError::new(path, "remove the directory", e))
    }

    /// Leaves it on disk for good.
    pub fn keep(self) -> PathBuf {
        self.inner.keep()
    }
}

/// A new directory with mode 0700 in the machine's place for temporary files.
pub fn temp_dir(prefix: &str) -> Result<TempDir, FileError> {
    temp_dir_in(std::env::temp_dir(), prefix)
}

/// A new directory with mode 0700 in `parent`.
pub fn temp_dir_in(parent: impl AsRef<Path>, prefix: &str) -> Result<TempDir, FileError> {
    let parent = parent.as_ref();
    tempfile::Builder::new()
        .prefix(prefix)
        .permissions(fs::Permissions::from_mode(PRIVATE_DIR))
        .tempdir_in(parent)
        .map(|inner| TempDir { inner, _held: None })
        .map_err(|e| FileError::new(parent, "make a temporary directory in", e))
}

/// The last character of a scratch directory's name.
pub(crate) const SCRATCH: char = '~';

/// The same, for what is large or secret: if the process is killed,
/// [`remove_abandoned_directories`](crate::scratch::remove_abandoned_directories) finds it and removes it.
pub fn scratch_dir_in(parent: impl AsRef<Path>, prefix: &str) -> Result<TempDir, FileError> {
    let parent = parent.as_ref();
    let inner = tempfile::Builder::new()
        .prefix(prefix)
        .suffix(&SCRATCH.to_string())
        .permissions(fs::Permissions::from_mode(PRIVATE_DIR))
        .tempdir_in(parent)
        .map_err(|e| FileError::new(parent, "make a temporary directory in", e))?;
    let held = open_read(inner.path())?;
    // Where directories cannot be locked nobody else gets the lock either, and it stays.
    let _ = flock(&held, FlockOperation::NonBlockingLockExclusive);
    Ok(TempDir {
        inner,
        _held: Some(held),
    })
}

/// The directory that holds `path`, `.` for a bare name.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A name in the same directory that no other call in any process uses at the same time.
fn temporary_beside(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut salt = [0; 8];
    crate::random::Random::fill(&crate::random::OsRandom, &mut salt);
    let name = format!(
        "{TEMPORARY_PREFIX}{}-{}-{:016x}",
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed),
        u64::from_le_bytes(salt)
    );
    path.with_file_name(name)
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if is_absent(&e) => Ok(()),
        other => other,
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
