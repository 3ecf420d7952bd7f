//! The spool: what receivers have written, and not every vault has yet.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use vouchsafe_capture::{CaptureError, LogPiece};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::files;

use super::{name_and_number, numbered, parts};
use crate::failure;
use crate::log::ReadLog;

/// A directory with one of its own for each start of a receiver, since each writes its first file anew. Those are named
/// by how often the server had begun its log anew, and by their order.
#[derive(Debug, Clone)]
pub(super) struct Spool {
    directory: PathBuf,
}

/// One start of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Start {
    begun_anew: u64,
    order: u64,
}

/// A file as one receiver has written it so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) start: Start,
    pub(super) file: u64,
    pub(super) path: PathBuf,
    pub(super) length: u64,
}

const CHUNK: usize = 1 << 20;

impl Spool {
    pub(super) fn open(directory: &Path) -> Result<Spool, CaptureError> {
        files::create_dir_all(directory, files::PRIVATE_DIR).map_err(failure::file)?;
        Ok(Spool {
            directory: directory.to_path_buf(),
        })
    }

    /// A directory for a receiver that is about to start.
    pub(super) fn begin(&self, begun_anew: u64) -> Result<(Start, PathBuf), CaptureError> {
        let newest = self.starts()?.into_iter().map(|start| start.order).max();
        let start = Start {
            begun_anew,
            order: newest.unwrap_or(0) + 1,
        };
        let path = self.path_of(start);
        files::create_dir(&path, files::PRIVATE_DIR).map_err(failure::file)?;
        Ok((start, path))
    }

    /// What there is of a file, that of the newest receiver first.
    pub(super) fn copies(&self, file: u64) -> Result<Vec<Held>, CaptureError> {
        let mut out = self.held()?;
        out.retain(|held| held.file == file);
        out.sort_by_key(|held| std::cmp::Reverse(held.start));
        Ok(out)
    }

    /// Removes the files before this one, and the directories of receivers that are over and have none any more.
    pub(super) fn release(&self, file: u64) -> Result<(), CaptureError> {
        for held in self.held()? {
            if held.file < file {
                files::remove_file(&held.path).map_err(failure::file)?;
            }
        }
        let mut starts = self.starts()?;
        starts.sort_by_key(|start| start.order);
        starts.pop();
        for start in starts {
            let path = self.path_of(start);
            if files::list_dir(&path).map_err(failure::file)?.is_empty() {
                files::remove_tree(&path).map_err(failure::file)?;
            }
        }
        Ok(())
    }

    /// Removes what older receivers have written from this file on: a newer one writes all of it.
    pub(super) fn leave(&self, newer: Start, file: u64) -> Result<(), CaptureError> {
        for held in self.held()? {
            if held.start < newer && held.file >= file {
                files::remove_file(&held.path).map_err(failure::file)?;
            }
        }
        Ok(())
    }

    /// A part of a file, from one of its copies that has all of it.
    fn read(&self, file: u64, from: u64, to: Option<u64>) -> Result<Vec<u8>, CaptureError> {
        let copies = self.copies(file)?;
        let longest = copies.iter().map(|held| held.length).max().unwrap_or(0);
        let to = to.unwrap_or(longest);
        let found = copies.into_iter().find(|held| held.length >= to);
        let Some(held) = found.filter(|_| from <= to) else {
            return Err(failure::unreadable(
                &self.directory,
                format!(
                    "the spool does not hold bytes {from} to {to} of file {}",
                    parts(file).1
                ),
                "it is fetched from another vault, or received anew",
            ));
        };
        let failed = |e| CaptureError::io("read", held.path.display().to_string(), e);
        let mut open = files::open_read(&held.path).map_err(failure::file)?;
        open.seek(SeekFrom::Start(from)).map_err(failed)?;
        let mut out = Vec::new();
        open.take(to - from).read_to_end(&mut out).map_err(failed)?;
        Ok(out)
    }

    fn path_of(&self, start: Start) -> PathBuf {
        self.directory
            .join(format!("{}-{:08}", start.begun_anew, start.order))
    }

    fn starts(&self) -> Result<Vec<Start>, CaptureError> {
        let names = files::list_dir(&self.directory).map_err(failure::file)?;
        let read = |name: std::ffi::OsString| {
            let name = name.into_string().ok()?;
            let (begun_anew, order) = name.split_once('-')?;
            Some(Start {
                begun_anew: begun_anew.parse().ok()?,
                order: order.parse().ok()?,
            })
        };
        Ok(names.into_iter().filter_map(read).collect())
    }

    fn held(&self) -> Result<Vec<Held>, CaptureError> {
        let mut out = Vec::new();
        for start in self.starts()? {
            let directory = self.path_of(start);
            for name in files::list_dir(&directory).map_err(failure::file)? {
                let Some((_, number)) = name.to_str().and_then(name_and_number) else {
                    continue;
                };
                let path = directory.join(&name);
                out.push(Held {
                    start,
                    file: numbered(start.begun_anew, number),
                    length: files::size(&path).map_err(failure::file)?,
                    path,
                });
            }
        }
        Ok(out)
    }
}

impl ReadLog for Spool {
    fn read(&self, piece: &LogPiece) -> Result<Vec<u8>, CaptureError> {
        match (piece.span.from(), piece.span.to()) {
            (
                Position::File { file, offset },
                Position::File {
                    file: last,
                    offset: end,
                },
            ) => Spool::read(self, file, offset, (last == file).then_some(end)),
            _ => Ok(Vec::new()),
        }
    }
}

/// Whether two files have the same first bytes.
pub(super) fn begin_alike(one: &Path, other: &Path, length: u64) -> Result<bool, CaptureError> {
    let open = |path: &Path| files::open_read(path).map_err(failure::file);
    let (mut a, mut b) = (open(one)?.take(length), open(other)?.take(length));
    let (mut left, mut right) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut done = 0;
    while done < length {
        let want = usize::try_from(length - done).map_or(CHUNK, |rest| rest.min(CHUNK));
        let (left, right) = (
            left.get_mut(..want).unwrap_or_default(),
            right.get_mut(..want).unwrap_or_default(),
        );
        let failed = |path: &Path, e| CaptureError::io("read", path.display().to_string(), e);
        match (a.read_exact(left), b.read_exact(right)) {
            (Ok(()), Ok(())) if left == right => {}
            (Ok(()), Ok(())) => return Ok(false),
            (Err(e), _) => return Err(failed(one, e)),
            (_, Err(e)) => return Err(failed(other, e)),
        }
        done += want as u64;
    }
    Ok(true)
}
