//! Writing the data sets out, by all cores, once: a stamp beside them says what they are.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::content::{Kind, Writer};
use super::plan::{File, Plan, Size};
use super::words::Words;

/// The data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Set {
    /// Mixed files in a tree.
    Files,
    /// Four large files that do not compress.
    Random,
    /// One file like a database dump, to be replayed on standard input.
    Stream,
}

/// Raised when equal seeds make other bytes than before.
const VERSION: u32 = 1;
const PIECE: usize = 1 << 20;
/// 2023-11-14: files are older than any run.
const EPOCH: u64 = 1_700_000_000;

impl Set {
    pub(crate) const ALL: [Set; 3] = [Set::Files, Set::Random, Set::Stream];

    /// Its name, and that of its folder.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Set::Files => "files",
            Set::Random => "random",
            Set::Stream => "stream",
        }
    }

    /// Writes the set below `dir` unless it is there already, and says where.
    pub(crate) fn provide(self, dir: &Path, size: &Size) -> Result<PathBuf, String> {
        let place = dir.join(self.name());
        let stamp = stamp_of(&place);
        let wanted = format!("version {VERSION}, {}\n", size.stamp());
        if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(place);
        }
        eprintln!("writing {}: {}", place.display(), size.stamp());
        if place.exists() {
            fs::remove_dir_all(&place).map_err(at(&place))?;
        }
        fs::create_dir_all(&place).map_err(at(&place))?;
        self.write(&place, size)?;
        fs::write(&stamp, wanted).map_err(at(&stamp))?;
        Ok(place)
    }

    fn write(self, place: &Path, size: &Size) -> Result<(), String> {
        let words = Words::new();
        match self {
            Set::Files => write_tree(place, &Plan::new(size, &words), &words),
            Set::Random => {
                let parts: Vec<File> = (0..4)
                    .map(|part| single(&format!("{part}.bin"), Kind::Media, size.bytes / 4, part))
                    .map(|file| File {
                        seed: file.seed ^ size.seed,
                        ..file
                    })
                    .collect();
                write_files(place, &parts, &words)
            }
            Set::Stream => {
                let dump = single("dump.sql", Kind::Table, size.bytes, size.seed);
                write_files(place, &[dump], &words)
            }
        }
    }
}

/// Says that the set at `place` is no longer as it was written, until it is put back.
pub(crate) fn unstamp(place: &Path) -> Result<String, String> {
    let stamp = stamp_of(place);
    let was = fs::read_to_string(&stamp).map_err(at(&stamp))?;
    fs::remove_file(&stamp).map_err(at(&stamp))?;
    Ok(was)
}

/// Says that it is again.
pub(crate) fn stamp_again(place: &Path, was: &str) -> Result<(), String> {
    let stamp = stamp_of(place);
    fs::write(&stamp, was).map_err(at(&stamp))
}

fn stamp_of(place: &Path) -> PathBuf {
    place.with_extension("stamp")
}

fn single(path: &str, kind: Kind, length: u64, seed: u64) -> File {
    File {
        path: path.to_owned(),
        length,
        kind,
        seed,
    }
}

fn write_tree(place: &Path, plan: &Plan, words: &Words) -> Result<(), String> {
    for directory in &plan.directories {
        let path = place.join(directory);
        fs::create_dir(&path).map_err(at(&path))?;
    }
    write_files(place, &plan.files, words)?;
    for (path, target) in &plan.links {
        let path = place.join(path);
        std::os::unix::fs::symlink(target, &path).map_err(at(&path))?;
    }
    Ok(())
}

/// Writes files below `place`, several at once.
pub(crate) fn write_files(place: &Path, files: &[File], words: &Words) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut buffer = Vec::with_capacity(PIECE);
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = write_file(place, file, words, &mut buffer) {
                        *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        next.store(files.len(), Ordering::Relaxed);
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

fn write_file(
    place: &Path,
    file: &File,
    words: &Words,
    buffer: &mut Vec<u8>,
) -> Result<(), String> {
    let path = place.join(&file.path);
    let mut out = fs::File::create(&path).map_err(at(&path))?;
    let mut writer = Writer::new(words, file.kind, file.seed);
    let mut left = file.length;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        buffer.clear();
        writer.fill(buffer, piece);
        out.write_all(buffer).map_err(at(&path))?;
        left -= piece as u64;
    }
    let modified = SystemTime::UNIX_EPOCH + Duration::new(EPOCH + file.seed % 50_000_000, 0);
    out.set_modified(modified).map_err(at(&path))?;
    if file.seed.is_multiple_of(20) {
        let executable = fs::Permissions::from_mode(0o755);
        out.set_permissions(executable).map_err(at(&path))?;
    }
    Ok(())
}

/// Puts the place before an error.
pub(crate) fn at(path: &Path) -> impl Fn(std::io::Error) -> String + '_ {
    move |error| format!("{}: {error}", path.display())
}
