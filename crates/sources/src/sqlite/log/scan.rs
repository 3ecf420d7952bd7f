//! Reading a database's log file as it grows, verified frame by frame.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use vouchsafe_capture::CaptureError;
use vouchsafe_host::files;
use vouchsafe_translog::sqlite::{FRAME_HEADER, HEADER, Salts, Sum, WalCursor, WalHeader};

use crate::failure;

/// One generation of a log, and up to where it was read.
#[derive(Debug)]
pub(super) struct Scan {
    header: [u8; HEADER],
    /// Up to where transactions are whole.
    whole: WalCursor,
    /// Where the last of them began, and its first bytes.
    last: Option<(u64, [u8; FRAME_HEADER])>,
    /// Up to where frames were read, of a transaction that is not whole yet, and its first bytes.
    ahead: WalCursor,
    first_ahead: Option<[u8; FRAME_HEADER]>,
}

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// The log file as it is now, if there is one that has begun.
pub(super) fn open(log: &Path) -> Result<Option<(File, WalHeader)>, CaptureError> {
    let file = match files::open_read(log) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(failure::file(error)),
    };
    let mut bytes = [0; HEADER];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(CaptureError::io("read", log.display().to_string(), e)),
    }
    // One that is just being written is looked at the next time.
    Ok(WalHeader::parse(&bytes).ok().map(|header| (file, header)))
}

impl Scan {
    /// At the beginning of a generation.
    pub(super) fn begin(file: &File) -> io::Result<Option<Scan>> {
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0)?;
        let parsed = WalHeader::parse(&header).ok().map(WalCursor::after);
        Ok(parsed.map(|cursor| Scan {
            header,
            whole: cursor,
            last: None,
            ahead: cursor,
            first_ahead: None,
        }))
    }

    pub(super) fn salts(&self) -> Salts {
        self.whole.header().salts
    }

    /// Up to where transactions are whole; nothing while there is none.
    pub(super) fn committed(&self) -> Option<u64> {
        self.last.map(|_| self.whole.offset())
    }

    /// Reads on to the end, or up to `limit`.
    pub(super) fn read_on(&mut self, file: &File, limit: Option<u64>) -> io::Result<()> {
        self.look_back(file)?;
        let frame = self.ahead.frame_length();
        // Mostly there is nothing new.
        let mut buffer = vec![0; frame];
        loop {
            let count = read_at(file, &mut buffer, self.ahead.offset())?;
            let mut rest = buffer.get(..count).unwrap_or_default();
            if rest.len() < frame {
                return Ok(());
            }
            while rest.len() >= frame {
                if limit.is_some_and(|limit| self.ahead.offset() >= limit) {
                    return Ok(());
                }
                let head = rest.first_chunk::<FRAME_HEADER>().copied();
                let Ok(found) = self.ahead.next(rest) else {
                    return Ok(());
                };
                let is_commit = found.commit.is_some();
                self.first_ahead = self.first_ahead.or(head);
                if is_commit {
                    let began = self.whole.offset();
                    self.last = self.first_ahead.take().map(|head| (began, head));
                    self.whole = self.ahead;
                }
                rest = rest.get(frame..).unwrap_or_default();
            }
            buffer.resize((CHUNK / frame).max(1) * frame, 0);
        }
    }

    /// A transaction that was given up is written over.
    fn look_back(&mut self, file: &File) -> io::Result<()> {
        if let Some(first) = self.first_ahead
            && !has_at(file, self.whole.offset(), &first)?
        {
            self.ahead = self.whole;
            self.first_ahead = None;
        }
        Ok(())
    }

    /// Whether the last whole transaction still stands there. One that could not be made durable is written over.
    pub(super) fn stands(&self, file: &File) -> io::Result<bool> {
        match &self.last {
            Some((at, first)) => has_at(file, *at, first),
            None => Ok(true),
        }
    }

    /// The sum at the end of what is whole.
    pub(super) fn sum(&self) -> Sum {
        self.whole.sum()
    }

    /// The cursor at a place, for reading from there on once more.
    pub(super) fn whole(&self) -> WalCursor {
        self.whole
    }

    pub(super) fn header_bytes(&self) -> &[u8; HEADER] {
        &self.header
    }
}

fn has_at(file: &File, at: u64, expected: &[u8; FRAME_HEADER]) -> io::Result<bool> {
    let mut found = [0; FRAME_HEADER];
    Ok(read_at(file, &mut found, at)? == FRAME_HEADER && found == *expected)
}

/// As much as there is.
pub(in crate::sqlite) fn read_at(file: &File, buffer: &mut [u8], mut at: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(count) => {
                done += count;
                at += count as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}
