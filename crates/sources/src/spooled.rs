//! Finished files and bytes of our own as streams of known length.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use vouchsafe_capture::{CaptureError, CleanEnd, Cutting, StreamContent};
use vouchsafe_host::files;
use vouchsafe_host::process::Output;

use crate::failure;

/// Whole only if exactly as many bytes are read as the file had when it was opened. The file may be removed meanwhile.
pub(crate) struct FileStream {
    file: File,
    place: String,
    expected: u64,
    read: u64,
    cutting: Cutting,
}

impl FileStream {
    /// Opens the file; `place` is what errors name.
    pub(crate) fn open(path: &Path, place: String) -> Result<FileStream, CaptureError> {
        let file = files::open_read(path).map_err(failure::file)?;
        let expected = files::size(path).map_err(failure::file)?;
        Ok(FileStream {
            file,
            place,
            expected,
            read: 0,
            cutting: Cutting::ByContent,
        })
    }

    /// Cut every so many bytes.
    pub(crate) fn cut_every(mut self, bytes: u32) -> FileStream {
        self.cutting = Cutting::Every(bytes);
        self
    }
}

impl StreamContent for FileStream {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buf)?;
        self.read += count as u64;
        Ok(count)
    }

    fn cutting(&self) -> Cutting {
        self.cutting
    }

    fn finish(self: Box<Self>) -> Result<CleanEnd, CaptureError> {
        CleanEnd::of_length(&self.place, self.expected, self.read)
    }
}

/// Bytes in memory that are whole.
pub(crate) struct Written {
    bytes: std::io::Cursor<Vec<u8>>,
    end: CleanEnd,
    cutting: Cutting,
}

impl Written {
    pub(crate) fn by_program(output: Output) -> Written {
        Written {
            end: CleanEnd::of_program(&output.exit),
            bytes: std::io::Cursor::new(output.stdout),
            cutting: Cutting::ByContent,
        }
    }

    /// Bytes of our own.
    pub(crate) fn whole(bytes: Vec<u8>) -> Result<Written, CaptureError> {
        let length = bytes.len() as u64;
        Written::of_length("a file of ours", bytes, length)
    }

    /// Bytes of which `expected` were announced.
    pub(crate) fn of_length(
        place: &str,
        bytes: Vec<u8>,
        expected: u64,
    ) -> Result<Written, CaptureError> {
        Ok(Written {
            end: CleanEnd::of_length(place, expected, bytes.len() as u64)?,
            bytes: std::io::Cursor::new(bytes),
            cutting: Cutting::ByContent,
        })
    }

    /// Cut every so many bytes.
    pub(crate) fn cut_every(mut self, bytes: u32) -> Written {
        self.cutting = Cutting::Every(bytes);
        self
    }
}

impl StreamContent for Written {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.bytes.read(buf)
    }

    fn cutting(&self) -> Cutting {
        self.cutting
    }

    fn finish(self: Box<Self>) -> Result<CleanEnd, CaptureError> {
        Ok(self.end)
    }
}

/// How large the parts are into which files of pages are cut: they grow with the server, so that an index of them does
/// not.
pub(crate) fn pages_cut(bytes: u64) -> u32 {
    match bytes >> 30 {
        0..64 => 32 << 10,
        64..1024 => 128 << 10,
        _ => 512 << 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_with_the_server() {
        assert_eq!(pages_cut(0), 32 << 10);
        assert_eq!(pages_cut((64 << 30) - 1), 32 << 10);
        assert_eq!(pages_cut(64 << 30), 128 << 10);
        assert_eq!(pages_cut((1 << 40) - 1), 128 << 10);
        assert_eq!(pages_cut(1 << 40), 512 << 10);
    }
}
