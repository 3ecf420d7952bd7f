//! Which paths are allowed below a destination, and opening directories without leaving it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::error::{DestError, rejected};
use crate::inode::os;

/// What is opened on the way to a name: nothing is read, nothing is followed.
const PASSING: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Refuses every path that is not plainly "name/name/name".
pub(super) fn check_path(rel: &[u8]) -> Result<(), DestError> {
    if rel.is_empty() {
        return Err(rejected(rel, "it is empty"));
    }
    if rel.contains(&0) {
        return Err(rejected(rel, "it contains a NUL byte"));
    }
    if rel.starts_with(b"/") {
        return Err(rejected(rel, "it is absolute"));
    }
    for part in rel.split(|byte| *byte == b'/') {
        match part {
            b"" => return Err(rejected(rel, "it has an empty part")),
            b"." => return Err(rejected(rel, "it has the part `.`")),
            b".." => return Err(rejected(rel, "it has the part `..`")),
            _ => {}
        }
    }
    Ok(())
}

/// Opens a directory below `root`; any link on the way is `LOOP`.
pub(super) fn open_beneath(root: BorrowedFd<'_>, rel: &[u8]) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // With this flag a link at the end would be "not a directory" rather than a link.
    let flags = PASSING - OFlags::NOFOLLOW;
    // The kernel gives up with AGAIN when somebody renames directories at the same moment.
    for _ in 0..16 {
        match fs::openat2(root, os(rel), flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            // Old kernels, filters that do not know the call, and paths beyond its limit.
            Err(Errno::NOSYS | Errno::PERM | Errno::NAMETOOLONG) => break,
            other => return other,
        }
    }
    open_stepwise(root, rel)
}

/// The same, one name at a time.
fn open_stepwise(root: BorrowedFd<'_>, rel: &[u8]) -> rustix::io::Result<OwnedFd> {
    let mut here: Option<OwnedFd> = None;
    for part in rel.split(|byte| *byte == b'/') {
        let from = here.as_ref().map_or(root, AsFd::as_fd);
        let next = match fs::openat(from, os(part), PASSING, Mode::empty()) {
            Err(Errno::NOTDIR) if is_link(from, part) => return Err(Errno::LOOP),
            other => other?,
        };
        here = Some(next);
    }
    here.ok_or(Errno::INVAL)
}

fn is_link(dir: BorrowedFd<'_>, name: &[u8]) -> bool {
    fs::statat(dir, os(name), AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::DestDir;
    use crate::inode::Kind;

    /// Both ways of walking must refuse the same things.
    #[test]
    fn a_link_on_the_way_stops_both_walks() {
        let outside = tempfile::tempdir().expect("a directory");
        let inside = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(inside.path().join("a/b")).expect("directories");
        std::os::unix::fs::symlink(outside.path(), inside.path().join("a/out")).expect("a link");
        std::os::unix::fs::symlink("b", inside.path().join("a/in")).expect("a link");
        let dest = DestDir::open(inside.path()).expect("opens");
        let root = dest.handle();
        for walk in [open_beneath, open_stepwise] {
            assert!(walk(root, b"a/b").is_ok());
            assert_eq!(walk(root, b"a/out").err(), Some(Errno::LOOP));
            assert_eq!(walk(root, b"a/in").err(), Some(Errno::LOOP));
            assert_eq!(walk(root, b"a/none").err(), Some(Errno::NOENT));
        }
    }

    #[test]
    fn paths_longer_than_the_kernel_takes_at_once_work() {
        let inside = tempfile::tempdir().expect("a directory");
        let dest = DestDir::open(inside.path()).expect("opens");
        let name = "n".repeat(200);
        let mut path = String::new();
        for _ in 0..30 {
            path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}/{name}")
            };
            dest.mkdir(path.as_bytes(), 0o700)
                .expect("makes a directory");
        }
        assert!(path.len() > 4096);
        assert_eq!(
            dest.lstat(path.as_bytes()).expect("looks").kind,
            Kind::Directory
        );
    }
}
