//! The spool: records of what was seen of the log, until every vault has them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use vouchsafe_capture::{CaptureError, LogPiece};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::files;
use vouchsafe_translog::sqlite::{RECORD_HEADER, Record};

use crate::failure;
use crate::log::ReadLog;

/// A directory of files, each named by the position of its first record. A file follows on the one before it unless its
/// name says that something lies between.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    directory: PathBuf,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) path: PathBuf,
}

/// Adds records, as the only one.
pub(super) struct Writing {
    spool: Spool,
    /// The file that is written, and where it begins.
    open: Option<(u64, File)>,
    end: u64,
}

/// So long a file may become before the next one is begun.
const FILE: u64 = 4 << 20;

impl Spool {
    pub(super) fn open(directory: &Path) -> Result<Spool, CaptureError> {
        files::create_dir_all(directory, files::PRIVATE_DIR).map_err(failure::file)?;
        Ok(Spool {
            directory: directory.to_path_buf(),
        })
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        self.directory.join("lock")
    }

    /// All files, the oldest first.
    pub(super) fn held(&self) -> Result<Vec<Held>, CaptureError> {
        let mut out = Vec::new();
        for name in files::list_dir(&self.directory).map_err(failure::file)? {
            let digits = name.to_str().and_then(|name| name.strip_suffix(".records"));
            let Some(from) = digits.and_then(|digits| digits.parse::<u64>().ok()) else {
                continue;
            };
            let path = self.directory.join(&name);
            let to = from.saturating_add(files::size(&path).map_err(failure::file)?);
            out.push(Held { from, to, path });
        }
        out.sort_by_key(|held| held.from);
        Ok(out)
    }

    /// The last record of the last whole look, and where it ends.
    pub(super) fn last(&self) -> Result<Option<(Record, u64)>, CaptureError> {
        for held in self.held()?.iter().rev() {
            let mut last = None;
            walk(held, held.from, &mut |record, end| {
                if record.whole {
                    last = Some((record, end));
                }
            })?;
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }

    /// Removes the files that end before a position; the newest one stays, from which it is gone on.
    pub(super) fn release(&self, reached: u64) -> Result<(), CaptureError> {
        let mut held = self.held()?;
        held.pop();
        for one in held.iter().filter(|one| one.to <= reached) {
            files::remove_file(&one.path).map_err(failure::file)?;
        }
        Ok(())
    }

    fn part(&self, from: u64, to: u64) -> Result<Vec<u8>, CaptureError> {
        let held = self.held()?;
        let Some(one) = held.iter().find(|one| one.from <= from && to <= one.to) else {
            return Err(failure::unreadable(
                &self.directory,
                format!("the spool does not hold bytes {from} to {to}"),
                "it is fetched from another vault, or a new base is made",
            ));
        };
        let failed = |e| CaptureError::io("read", one.path.display().to_string(), e);
        let mut file = files::open_read(&one.path).map_err(failure::file)?;
        file.seek(SeekFrom::Start(from - one.from))
            .map_err(failed)?;
        let mut out = Vec::new();
        file.take(to - from).read_to_end(&mut out).map_err(failed)?;
        Ok(out)
    }
}

impl ReadLog for Spool {
    fn read(&self, piece: &LogPiece) -> Result<Vec<u8>, CaptureError> {
        match (piece.span.from(), piece.span.to()) {
            (Position::Byte(from), Position::Byte(to)) => self.part(from, to),
            _ => Ok(Vec::new()),
        }
    }
}

/// Tells of each record of a file from a position on, with where it ends, as far as they are there to their ends.
pub(super) fn walk(
    held: &Held,
    from: u64,
    visit: &mut dyn FnMut(Record, u64),
) -> Result<(), CaptureError> {
    let failed = |e| CaptureError::io("read", held.path.display().to_string(), e);
    let file = files::open_read(&held.path).map_err(failure::file)?;
    let mut reader = std::io::BufReader::new(file);
    let mut at = from.max(held.from);
    reader
        .seek(SeekFrom::Start(at - held.from))
        .map_err(failed)?;
    let mut header = [0; RECORD_HEADER];
    while held.to.saturating_sub(at) >= RECORD_HEADER as u64 {
        reader.read_exact(&mut header).map_err(failed)?;
        let record = match Record::parse(&header) {
            Ok(Some(record)) => record,
            _ => {
                return Err(failure::unreadable(
                    &held.path,
                    format!("the spool is damaged at byte {at}"),
                    "remove this directory while no worker runs: a new base is made then",
                ));
            }
        };
        let length = record.length();
        let end = at.saturating_add((RECORD_HEADER + length) as u64);
        if end > held.to {
            return Ok(());
        }
        visit(record, end);
        reader
            .seek_relative(i64::try_from(length).unwrap_or(0))
            .map_err(failed)?;
        at = end;
    }
    Ok(())
}

impl Writing {
    /// Goes on behind the last whole look; what a crash has left of another one goes.
    pub(super) fn resume(spool: Spool) -> Result<(Writing, Option<Record>), CaptureError> {
        let last = spool.last()?;
        let mut writing = Writing {
            end: last.as_ref().map_or(0, |(_, end)| *end),
            spool,
            open: None,
        };
        writing.cut_to(writing.end)?;
        Ok((writing, last.map(|(record, _)| record)))
    }

    /// Where the next record goes.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Leaves something out: the next record goes behind this position, in a file of its own.
    pub(super) fn leave_out(&mut self, reached: u64) {
        self.end = self.end.max(reached).saturating_add(1);
        self.open = None;
    }

    /// Before the records of a look, which lie in one file.
    pub(super) fn begin_look(&mut self) {
        let is_long = |(from, _): &(u64, File)| self.end - from > FILE;
        if self.open.as_ref().is_some_and(is_long) {
            self.open = None;
        }
    }

    /// Adds one record. It is durable only after [`Writing::sync`].
    pub(super) fn add(&mut self, record: &Record, log: &[u8]) -> Result<(), CaptureError> {
        if self.open.is_none() {
            self.begin_file()?;
        }
        let Some((from, file)) = &mut self.open else {
            return Ok(());
        };
        let place = name_of(&self.spool.directory, *from);
        let failed = |e| CaptureError::io("write", place.display().to_string(), e);
        file.write_all(&record.to_bytes()).map_err(failed)?;
        file.write_all(log).map_err(failed)?;
        self.end = self.end.saturating_add((RECORD_HEADER + log.len()) as u64);
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), CaptureError> {
        match &self.open {
            Some((from, file)) => {
                let place = name_of(&self.spool.directory, *from);
                let failed = |e| CaptureError::io("write", place.display().to_string(), e);
                file.sync_data().map_err(failed)
            }
            None => Ok(()),
        }
    }

    /// Takes back what was added behind a position.
    pub(super) fn cut_to(&mut self, position: u64) -> Result<(), CaptureError> {
        self.open = None;
        self.end = position;
        for held in self.spool.held()? {
            if held.from >= position && held.from > 0 {
                files::remove_file(&held.path).map_err(failure::file)?;
            } else if held.to > position {
                let failed = |e| CaptureError::io("cut", held.path.display().to_string(), e);
                let file = files::open_append(&held.path, 0o600).map_err(failure::file)?;
                file.set_len(position - held.from).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn begin_file(&mut self) -> Result<(), CaptureError> {
        // After a crash it is the one that is there already.
        let held = self.spool.held()?;
        let goes_on = held
            .last()
            .filter(|held| held.to == self.end && self.end - held.from <= FILE);
        let from = goes_on.map_or(self.end, |held| held.from);
        let path = name_of(&self.spool.directory, from);
        let file = files::open_append(&path, 0o600).map_err(failure::file)?;
        files::fsync_dir(&self.spool.directory).map_err(failure::file)?;
        self.open = Some((from, file));
        Ok(())
    }
}

fn name_of(directory: &Path, from: u64) -> PathBuf {
    directory.join(format!("{from:020}.records"))
}
