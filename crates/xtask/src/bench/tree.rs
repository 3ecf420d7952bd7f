//! Trees on disk: counted, read into the page cache, compared, reset to what they were.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::data::at;

/// Regular files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// What lies below a folder, by relative path.
type Listing = BTreeMap<PathBuf, Metadata>;

/// How many regular files there are.
pub(crate) fn count(root: &Path) -> Result<Count, String> {
    let mut count = Count::default();
    for about in list(root)?.values().filter(|about| about.is_file()) {
        count.files += 1;
        count.bytes += about.len();
    }
    Ok(count)
}

/// Reads every file, so that the page cache holds what fits.
pub(crate) fn warm(root: &Path) -> Result<(), String> {
    let files = match root.is_file() {
        true => vec![PathBuf::new()],
        false => regular(&list(root)?),
    };
    in_parallel(&files, |path| {
        // The root itself may be a file: an empty name joined to it would make a directory of it.
        let path = if path.as_os_str().is_empty() {
            root.to_path_buf()
        } else {
            root.join(path)
        };
        let mut file = File::open(&path).map_err(at(&path))?;
        let mut buffer = vec![0; 1 << 18];
        while file.read(&mut buffer).map_err(at(&path))? > 0 {}
        Ok(())
    })
}

/// Fails at the first thing below `expected` that is not the same below `found`, or is only there.
pub(crate) fn compare(expected: &Path, found: &Path) -> Result<(), String> {
    let (wanted, there) = (list(expected)?, list(found)?);
    if let Some(path) = there.keys().find(|path| !wanted.contains_key(*path)) {
        return Err(format!("{} is there and should not be", path.display()));
    }
    for (path, about) in &wanted {
        let differs = |what: &str| Err(format!("{}: {what}", path.display()));
        let Some(other) = there.get(path) else {
            return differs("is missing");
        };
        if about.file_type() != other.file_type() || about.mode() != other.mode() {
            return differs("is of another kind or mode");
        }
        let timed = |about: &Metadata| (about.mtime(), about.mtime_nsec());
        if timed(about) != timed(other) {
            return differs("has another modification time");
        }
        if about.is_symlink() {
            let target = |root: &Path| fs::read_link(root.join(path)).ok();
            if target(expected) != target(found) {
                return differs("points elsewhere");
            }
        }
    }
    in_parallel(&regular(&wanted), |path| {
        match same_bytes(&expected.join(path), &found.join(path))? {
            true => Ok(()),
            false => Err(format!("{} has other bytes", path.display())),
        }
    })
}

/// A folder as it was, so that what was added since can be taken away.
pub(crate) struct Remembered(Listing);

impl Remembered {
    /// Looks at it.
    pub(crate) fn of(root: &Path) -> Result<Self, String> {
        Ok(Self(list(root)?))
    }

    /// Removes files that were added; fails if one was changed or removed.
    pub(crate) fn reset(&self, root: &Path) -> Result<(), String> {
        let now = list(root)?;
        for (path, about) in self.0.iter().filter(|(_, about)| about.is_file()) {
            let same = |now: &Metadata| {
                (now.len(), now.ino(), now.mtime_nsec())
                    == (about.len(), about.ino(), about.mtime_nsec())
            };
            if !now.get(path).is_some_and(same) {
                return Err(format!("{} was changed", root.join(path).display()));
            }
        }
        for path in now.keys().rev().filter(|path| !self.0.contains_key(*path)) {
            remove(&root.join(path))?;
        }
        Ok(())
    }
}

/// Removes a file or a whole tree; what is not there is fine.
pub(crate) fn remove(path: &Path) -> Result<(), String> {
    let removed = match path.symlink_metadata() {
        Ok(about) if about.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => return Ok(()),
    };
    removed.map_err(at(path))
}

/// Whether two files hold the same bytes.
pub(crate) fn same_bytes(one: &Path, other: &Path) -> Result<bool, String> {
    let open = |path: &Path| File::open(path).map_err(at(path));
    same_readers(&mut open(one)?, &mut open(other)?)
}

/// Whether two streams give the same bytes to their ends.
pub(crate) fn same_readers(one: &mut dyn Read, other: &mut dyn Read) -> Result<bool, String> {
    let (mut a, mut b) = (vec![0; 1 << 18], vec![0; 1 << 18]);
    loop {
        let got = fill(one, &mut a)?;
        if fill(other, &mut b)? != got || a.get(..got) != b.get(..got) {
            return Ok(false);
        }
        if got < a.len() {
            return Ok(true);
        }
    }
}

fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, String> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest).map_err(|error| error.to_string())? {
            0 => break,
            got => filled += got,
        }
    }
    Ok(filled)
}

fn list(root: &Path) -> Result<Listing, String> {
    let (mut found, mut open) = (Listing::new(), vec![PathBuf::new()]);
    while let Some(dir) = open.pop() {
        let path = root.join(&dir);
        for entry in fs::read_dir(&path).map_err(at(&path))? {
            let entry = entry.map_err(at(&path))?;
            let about = entry.metadata().map_err(at(&path))?;
            let below = dir.join(entry.file_name());
            if about.is_dir() {
                open.push(below.clone());
            }
            found.insert(below, about);
        }
    }
    Ok(found)
}

fn regular(listing: &Listing) -> Vec<PathBuf> {
    let files = listing.iter().filter(|(_, about)| about.is_file());
    files.map(|(path, _)| path.clone()).collect()
}

/// Does something for each path by all cores, until it fails for one.
fn in_parallel(
    paths: &[PathBuf],
    work: impl Fn(&Path) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = work(path) {
                        next.store(paths.len(), Ordering::Relaxed);
                        *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    }
                }
            });
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pair(PathBuf);

    impl Pair {
        fn new(name: &str) -> Self {
            let root =
                std::env::temp_dir().join(format!("xtask-tree-{}-{name}", std::process::id()));
            for side in ["a", "b"] {
                fs::create_dir_all(root.join(side).join("deep")).unwrap();
                for (file, bytes) in [("deep/one", "first"), ("two", "second")] {
                    let path = root.join(side).join(file);
                    fs::write(&path, bytes).unwrap();
                    set_time(&path);
                }
                std::os::unix::fs::symlink("two", root.join(side).join("link")).unwrap();
            }
            let pair = Self(root);
            pair.level();
            pair
        }

        /// Folders and links get the times of their counterparts.
        fn level(&self) {
            for path in ["deep", "link", "."] {
                let touched = std::process::Command::new("touch")
                    .args(["-h", "-d", "@1700000000"])
                    .args([self.0.join("a").join(path), self.0.join("b").join(path)])
                    .status()
                    .unwrap();
                assert!(touched.success());
            }
        }

        fn compared(&self) -> Result<(), String> {
            compare(&self.0.join("a"), &self.0.join("b"))
        }
    }

    impl Drop for Pair {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn set_time(path: &Path) {
        let at = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        File::options()
            .append(true)
            .open(path)
            .unwrap()
            .set_modified(at)
            .unwrap();
    }

    #[test]
    fn a_file_is_read_as_what_lies_in_a_folder_is() {
        let pair = Pair::new("warm");
        let folder = pair.0.join("a");
        warm(&folder).unwrap();
        warm(&folder.join("two")).unwrap();
        assert!(warm(&folder.join("three")).is_err());
    }

    #[test]
    fn equal_trees_are_equal_and_every_difference_is_seen() {
        type Damage = fn(&Path);
        let damage: [(&str, Damage); 6] = [
            ("bytes", |b| {
                fs::write(b.join("two"), "sEcond").unwrap();
                set_time(&b.join("two"));
            }),
            ("missing", |b| fs::remove_file(b.join("deep/one")).unwrap()),
            ("more", |b| fs::write(b.join("deep/more"), "").unwrap()),
            ("time", |b| fs::write(b.join("two"), "second").unwrap()),
            ("target", |b| {
                fs::remove_file(b.join("link")).unwrap();
                std::os::unix::fs::symlink("deep", b.join("link")).unwrap();
            }),
            ("mode", |b| {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                fs::set_permissions(b.join("two"), mode).unwrap();
            }),
        ];
        for (name, damage) in damage {
            let pair = Pair::new(name);
            assert_eq!(pair.compared(), Ok(()));
            damage(&pair.0.join("b"));
            pair.level();
            assert!(pair.compared().is_err(), "{name}");
        }
    }

    #[test]
    fn what_was_added_is_taken_away_and_what_was_changed_is_refused() {
        let pair = Pair::new("reset");
        let root = pair.0.join("a");
        let before = Remembered::of(&root).unwrap();
        fs::create_dir(root.join("new")).unwrap();
        fs::write(root.join("new/file"), "x").unwrap();
        fs::write(root.join("deep/file"), "x").unwrap();
        assert_eq!(
            count(&root).unwrap(),
            Count {
                files: 4,
                bytes: 13
            }
        );
        before.reset(&root).unwrap();
        assert_eq!(
            count(&root).unwrap(),
            Count {
                files: 2,
                bytes: 11
            }
        );
        fs::write(root.join("two"), "other").unwrap();
        assert!(before.reset(&root).is_err());
        fs::remove_file(root.join("two")).unwrap();
        assert!(before.reset(&root).is_err());
    }

    #[test]
    fn streams_are_compared_to_their_ends() {
        let same = |a: &[u8], b: &[u8]| same_readers(&mut &*a, &mut &*b).unwrap();
        let long = vec![3; (1 << 18) + 5];
        assert!(same(&long, &long) && same(b"", b""));
        assert!(!same(&long, &long[1..]) && !same(b"a", b"") && !same(b"a", b"b"));
    }
}
