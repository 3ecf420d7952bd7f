//! Archives: opened, and read to their last byte so that every checksum in them is compared.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use vouchsafe_host::files;

use super::HandedError;

/// How many files are in it; each was read as a whole.
pub(super) fn read_whole(path: &Path) -> Result<u64, HandedError> {
    let mut file = files::open_read(path)?;
    let mut head = Vec::new();
    let begin = (&mut file).take(512).read_to_end(&mut head);
    begin
        .and_then(|_| file.seek(SeekFrom::Start(0)))
        .map_err(|e| broken(&e))?;
    let parts = match head.as_slice() {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => zip(file),
        [0x1f, 0x8b, ..] => gzip(BufReader::new(file)),
        other if is_tar(other) => tar(BufReader::new(file)),
        _ => Err(said("it is neither zip nor tar nor gzip")),
    }?;
    match parts {
        0 => Err(said("there is no file in it")),
        parts => Ok(parts),
    }
}

fn said(message: impl Into<String>) -> HandedError {
    HandedError::Archive {
        message: message.into(),
    }
}

fn broken(error: &dyn std::error::Error) -> HandedError {
    said(error.to_string())
}

fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar".as_slice())
}

/// Every file's CRC-32 is compared at its end.
fn zip(file: File) -> Result<u64, HandedError> {
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|e| broken(&e))?;
    let mut parts = 0;
    for n in 0..archive.len() {
        let mut one = archive.by_index(n).map_err(|e| broken(&e))?;
        if one.is_dir() {
            continue;
        }
        let (name, size) = (one.name().to_owned(), one.size());
        let read = io::copy(&mut one, &mut io::sink()).map_err(|e| said(format!("{name}: {e}")))?;
        if read != size {
            return Err(said(format!(
                "{name} has {read} bytes and should have {size}"
            )));
        }
        parts += 1;
    }
    Ok(parts)
}

/// The checksum of each member is compared at its end; a tar in it is walked through.
fn gzip(file: BufReader<File>) -> Result<u64, HandedError> {
    let mut plain = MultiGzDecoder::new(file);
    let mut head = Vec::new();
    (&mut plain)
        .take(512)
        .read_to_end(&mut head)
        .map_err(|e| broken(&e))?;
    let whole = io::Cursor::new(head.clone()).chain(plain);
    if is_tar(&head) {
        return tar(whole);
    }
    let mut whole = whole;
    let bytes = io::copy(&mut whole, &mut io::sink()).map_err(|e| broken(&e))?;
    Ok(u64::from(bytes > 0))
}

fn tar(stream: impl Read) -> Result<u64, HandedError> {
    let mut stream = Tail {
        inner: stream,
        zeros: 0,
    };
    let mut parts = 0;
    let mut archive = tar::Archive::new(&mut stream);
    for entry in archive.entries().map_err(|e| broken(&e))? {
        let mut entry = entry.map_err(|e| broken(&e))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let size = entry.size();
        let read =
            io::copy(&mut entry, &mut io::sink()).map_err(|e| said(format!("{name}: {e}")))?;
        if read != size {
            return Err(said(format!(
                "{name} breaks off after {read} of {size} bytes"
            )));
        }
        parts += u64::from(entry.header().entry_type().is_file());
    }
    io::copy(&mut stream, &mut io::sink()).map_err(|e| broken(&e))?;
    // POSIX: two blocks of zeros are the end; without them something may have been cut off between two files.
    if stream.zeros < 1024 {
        return Err(said("its end is missing"));
    }
    Ok(parts)
}

/// Counts the zeros at the end of what was read.
struct Tail<R> {
    inner: R,
    zeros: u64,
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        let read = buffer.get(..n).unwrap_or_default();
        let zeros = read.iter().rev().take_while(|b| **b == 0).count();
        let zeros_now = u64::try_from(zeros).unwrap_or(u64::MAX);
        self.zeros = match zeros == read.len() {
            true => self.zeros.saturating_add(zeros_now),
            false => zeros_now,
        };
        Ok(n)
    }
}
