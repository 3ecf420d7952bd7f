//! Archives: opened, and read to their last byte so that every checksum in them is compared.

use std::cell::Cell;
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

/// How much may be read before the content of an entry: its header, with long names, attributes and the map of a sparse
/// file. They are held in memory.
const LONGEST_HEADERS: u64 = 4 << 20;

/// The contents of sparse files are read over as they are stored, without their holes.
fn tar(stream: impl Read) -> Result<u64, HandedError> {
    let seen = Seen::default();
    let mut stream = Watched {
        inner: stream,
        seen: &seen,
    };
    let mut parts = 0;
    let mut archive = tar::Archive::new(&mut stream);
    let mut entries = archive.entries().map_err(|e| broken(&e))?;
    let mut read_over = 0;
    loop {
        seen.may_read.set(LONGEST_HEADERS.saturating_add(read_over));
        let Some(entry) = entries.next() else {
            break;
        };
        let mut entry = entry.map_err(|e| broken(&e))?;
        read_over = 0;
        let kind = entry.header().entry_type();
        if kind.is_gnu_sparse() {
            read_over = stored(&mut entry).map_err(|e| broken(&e))?;
            parts += 1;
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let size = entry.size();
        seen.may_read.set(u64::MAX);
        let read =
            io::copy(&mut entry, &mut io::sink()).map_err(|e| said(format!("{name}: {e}")))?;
        if read != size {
            return Err(said(format!(
                "{name} breaks off after {read} of {size} bytes"
            )));
        }
        parts += u64::from(kind.is_file());
    }
    // The entries end with a block of zeros, or where nothing more can be read. Zeros of the last file are no end.
    seen.zeros.set(if seen.ended.get() { 0 } else { BLOCK });
    seen.may_read.set(u64::MAX);
    io::copy(&mut stream, &mut io::sink()).map_err(|e| broken(&e))?;
    // POSIX: two blocks of zeros are the end; without them something may have been cut off between two files.
    if seen.zeros.get() < 2 * BLOCK {
        return Err(said("its end is missing"));
    }
    Ok(parts)
}

const BLOCK: u64 = 512;

/// How many bytes the archive holds of a sparse file; where header and attributes differ, the smaller number, so that
/// no header passes for content.
fn stored(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<u64> {
    let mut bytes = entry.header().entry_size()?;
    for attribute in entry.pax_extensions()?.into_iter().flatten() {
        let attribute = attribute?;
        if attribute.key_bytes() == b"size" {
            let said = attribute.value().ok().and_then(|v| v.parse().ok());
            bytes = bytes.min(said.unwrap_or(0));
        }
    }
    Ok(bytes.saturating_add(BLOCK))
}

/// What is known of a stream while somebody else reads it.
#[derive(Default)]
struct Seen {
    /// How many bytes may still be read.
    may_read: Cell<u64>,
    /// How many zeros were read last.
    zeros: Cell<u64>,
    /// Whether nothing more could be read.
    ended: Cell<bool>,
}

struct Watched<'s, R> {
    inner: R,
    seen: &'s Seen,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.seen.may_read.get();
        if left == 0 {
            return Err(io::Error::other("its headers are too long"));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let n = self
            .inner
            .read(buffer.get_mut(..most).unwrap_or_default())?;
        let read = buffer.get(..n).unwrap_or_default();
        let count = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        self.seen.may_read.set(left.saturating_sub(count(n)));
        self.seen.ended.set(n == 0 && most > 0);
        let zeros = count(read.iter().rev().take_while(|b| **b == 0).count());
        self.seen.zeros.set(match zeros == count(n) {
            true => self.seen.zeros.get().saturating_add(zeros),
            false => zeros,
        });
        Ok(n)
    }
}
