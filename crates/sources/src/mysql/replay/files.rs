//! The files of a log that was fetched, and what is in them.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use vouchsafe_capture::CaptureError;
use vouchsafe_host::files;
use vouchsafe_translog::binlog::{BinlogReader, BinlogRecord, GtidState};

use super::super::binlog::name_and_number;
use super::dialect;
use super::sieve::Place;
use crate::failure;

/// The files of a log in their order, as they are written.
#[derive(Debug)]
pub(super) struct Writing {
    directory: PathBuf,
    open: Option<(u64, File)>,
    numbers: Vec<u64>,
}

/// How they are called.
const NAME: &str = "binlog";
const CHUNK: usize = 256 << 10;

impl Writing {
    pub(super) fn into(directory: &Path) -> Writing {
        Writing {
            directory: directory.to_path_buf(),
            open: None,
            numbers: Vec::new(),
        }
    }

    /// Adds to the file with this number.
    pub(super) fn write(&mut self, number: u64, bytes: &[u8]) -> Result<(), CaptureError> {
        let path = path(&self.directory, number);
        let (_, file) = match self.open.take() {
            Some((open, file)) if open == number => self.open.insert((open, file)),
            _ => {
                self.numbers.push(number);
                let file = files::create_new(&path, 0o600).map_err(failure::file)?;
                self.open.insert((number, file))
            }
        };
        file.write_all(bytes)
            .map_err(|e| CaptureError::io("write", path.display().to_string(), e))
    }

    /// Takes away everything from `end` on.
    pub(super) fn finish(mut self, end: Place) -> Result<(), CaptureError> {
        self.open = None;
        for number in self.numbers {
            let path = path(&self.directory, number);
            if number > end.0 {
                files::remove_file(&path).map_err(failure::file)?;
            } else if number == end.0 {
                let file = files::open_append(&path, 0o600).map_err(failure::file)?;
                let failed = |e| CaptureError::io("cut", path.display().to_string(), e);
                file.set_len(end.1).map_err(failed)?;
            }
        }
        Ok(())
    }
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{NAME}.{number:06}"))
}

/// The files of a log in a directory that are called `name`, by their numbers.
pub(super) fn listed(directory: &Path, name: &str) -> Result<Vec<(u64, PathBuf)>, CaptureError> {
    if !files::exists(directory).map_err(failure::file)? {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for entry in files::list_dir(directory).map_err(failure::file)? {
        let found = entry.to_str().and_then(name_and_number);
        if let Some((found, number)) = found
            && found == name
        {
            out.push((number, directory.join(&entry)));
        }
    }
    out.sort();
    Ok(out)
}

/// The fetched files in a directory.
pub(super) fn fetched(directory: &Path) -> Result<Vec<(u64, PathBuf)>, CaptureError> {
    listed(directory, NAME)
}

/// Reads files one after the other and hands each event out, with the transactions that there are after it. What is
/// wrong with them is the inner error.
pub(super) fn read(
    listed: &[(u64, PathBuf)],
    take: &mut dyn FnMut(u64, &BinlogRecord, &GtidState),
) -> Result<Result<GtidState, String>, CaptureError> {
    let mut past = GtidState::Unknown;
    let mut gtids = GtidState::Unknown;
    for (number, path) in listed {
        let mut reader = BinlogReader::new(gtids);
        let mut file = files::open_read(path).map_err(failure::file)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = file
                .read(&mut buffer)
                .map_err(|e| CaptureError::io("read", path.display().to_string(), e))?;
            if count == 0 {
                break;
            }
            let fed = reader.feed(buffer.get(..count).unwrap_or_default(), |record| {
                dialect::note(&mut past, &record.meaning);
                take(*number, &record, &past);
            });
            if let Err(error) = fed {
                return Ok(Err(format!("file {number}: {error}")));
            }
        }
        let status = reader.status();
        if status.verified < status.next {
            return Ok(Err(format!("file {number} ends within an event")));
        }
        gtids = status.gtids;
    }
    Ok(Ok(past))
}
