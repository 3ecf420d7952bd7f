//! A finished file of our own as a stream of known length.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use vouchsafe_capture::{CaptureError, CleanEnd, StreamContent};
use vouchsafe_host::files;

use crate::failure;

/// Whole only if exactly as many bytes are read as the file had when it was opened. The file may be removed meanwhile.
pub(crate) struct FileStream {
    file: File,
    place: String,
    expected: u64,
    read: u64,
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
        })
    }
}

impl StreamContent for FileStream {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buf)?;
        self.read += count as u64;
        Ok(count)
    }

    fn finish(self: Box<Self>) -> Result<CleanEnd, CaptureError> {
        CleanEnd::of_length(&self.place, self.expected, self.read)
    }
}
