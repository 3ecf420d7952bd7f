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
            order: newest.unwrap_or(0).saturating_add(1),
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

    /// Removes what starts before this one have left behind and is of no use: directories with nothing in them, and
    /// copies of `file` that broke off before `needed`. One that is read is kept, and so is that of a receiver that went
    /// on to the next file, as what it has there follows on it.
    pub(super) fn tidy(
        &self,
        newest: Start,
        (file, needed): (u64, u64),
        source: Option<Start>,
    ) -> Result<(), CaptureError> {
        let held = self.held()?;
        let went_on = |start| {
            let mut held = held.iter();
            held.any(|held| held.start == start && held.file > file)
        };
        // Where none is read yet, it is the oldest that will be.
        let copies = held.iter().filter(|held| held.file == file);
        let source = source.or(copies.clone().map(|held| held.start).min());
        for copy in copies {
            let start = copy.start;
            if start < newest && Some(start) != source && copy.length < needed && !went_on(start) {
                files::remove_file(&copy.path).map_err(failure::file)?;
            }
        }
        self.remove_empty()
    }

    /// Removes the files before this one, and the directories of receivers that are over and have none any more.
    pub(super) fn release(&self, file: u64) -> Result<(), CaptureError> {
        for held in self.held()? {
            if held.file < file {
                files::remove_file(&held.path).map_err(failure::file)?;
            }
        }
        self.remove_empty()
    }

    fn remove_empty(&self) -> Result<(), CaptureError> {
        let mut starts = self.starts()?;
        starts.sort_by_key(|start| start.order);
        // That of the newest is not over, and no other may have its number.
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

    /// A part of a file, from the oldest of its copies that has all of it. That is the one that was read, or is equal to
    /// it: a newer one may not have been compared yet, and be of another past.
    fn read(&self, file: u64, from: u64, to: Option<u64>) -> Result<Vec<u8>, CaptureError> {
        let copies = self.copies(file)?;
        let to = to.or(copies.last().map(|held| held.length)).unwrap_or(0);
        let found = copies.into_iter().rev().find(|held| held.length >= to);
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
        open.take(to.saturating_sub(from))
            .read_to_end(&mut out)
            .map_err(failed)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_format::fragment::Span;
    use vouchsafe_host::files::TempDir;

    /// A spool with a directory for each of these receivers, and the files that it has written.
    fn spool(receivers: &[&[(u64, &str)]]) -> (TempDir, Spool, Vec<Start>) {
        let place = files::temp_dir("spool-").unwrap();
        let spool = Spool::open(place.path()).unwrap();
        let mut starts = Vec::new();
        for written in receivers {
            let (start, directory) = spool.begin(0).unwrap();
            for (number, text) in *written {
                let path = directory.join(format!("bin.{number:06}"));
                files::write_atomic(path, text.as_bytes(), 0o600).unwrap();
            }
            starts.push(start);
        }
        (place, spool, starts)
    }

    fn piece(from: (u64, u64), to: (u64, u64)) -> LogPiece {
        let at = |(file, offset)| Position::File { file, offset };
        LogPiece {
            timeline: 1,
            span: Span::new(at(from), at(to)).unwrap(),
            commits: None,
        }
    }

    fn read(spool: &Spool, from: (u64, u64), to: (u64, u64)) -> Option<String> {
        let bytes = ReadLog::read(spool, &piece(from, to)).ok()?;
        Some(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn what_was_cut_is_read_and_not_what_came_later() {
        let (_place, spool, _) = spool(&[&[(1, "old bytes")], &[(1, "others, and more of them")]]);
        assert_eq!(read(&spool, (1, 0), (1, 3)).as_deref(), Some("old"));
        assert_eq!(read(&spool, (1, 4), (2, 0)).as_deref(), Some("bytes"));
        // Only a newer one may have it.
        assert_eq!(read(&spool, (1, 6), (1, 10)).as_deref(), Some(", an"));
        assert_eq!(read(&spool, (1, 6), (1, 90)), None);
        assert_eq!(read(&spool, (3, 0), (3, 1)), None);
    }

    /// Which receivers still have a directory, and which a copy of file 2.
    fn left(spool: &Spool, starts: &[Start]) -> (Vec<usize>, Vec<usize>) {
        let there = spool.starts().unwrap();
        let copies = spool.copies(2).unwrap();
        let has = |start| copies.iter().any(|held| held.start == start);
        let numbered = || starts.iter().copied().enumerate();
        let all = numbered().filter(|(_, start)| there.contains(start));
        let with = numbered().filter(|(_, start)| has(*start));
        (
            all.map(|(at, _)| at).collect(),
            with.map(|(at, _)| at).collect(),
        )
    }

    #[test]
    fn what_broke_off_is_removed_and_what_may_be_needed_stays() {
        let receivers: [&[(u64, &str)]; 7] = [
            &[(1, "all"), (2, "short")],
            &[],
            &[(2, "sho")],
            &[(2, "as long as is needed")],
            &[(2, ""), (3, "more")],
            &[(2, "")],
            &[],
        ];
        let (_place, spool, starts) = spool(&receivers);
        let needed = (2, "as long as is needed".len() as u64);
        // The oldest is the one that is read next.
        spool.tidy(starts[6], needed, None).unwrap();
        assert_eq!(left(&spool, &starts), (vec![0, 3, 4, 6], vec![0, 3, 4]));
        spool.tidy(starts[6], needed, Some(starts[3])).unwrap();
        assert_eq!(left(&spool, &starts), (vec![0, 3, 4, 6], vec![3, 4]));
        // A new one never has the number of one before.
        assert!(spool.begin(0).unwrap().0 > starts[6]);
        let last = Start {
            begun_anew: 0,
            order: u64::MAX,
        };
        files::create_dir(spool.path_of(last), files::PRIVATE_DIR).unwrap();
        assert!(spool.begin(0).is_err());
    }
}
