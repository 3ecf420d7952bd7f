//! Writing a file at any place and in any order, leaving holes where there is nothing but zeros.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A new file that takes its content in pieces.
///
/// Pieces of zeros are not written; [`SparseWriter::finish`] sets the length, so that what was not
/// written reads as zeros and takes no space. The file must be new and empty.
#[derive(Debug)]
pub struct SparseWriter {
    file: File,
    end: u64,
}

/// Holes smaller than a block of usual file systems save nothing.
const BLOCK: usize = 4096;

impl SparseWriter {
    pub(crate) fn new(file: File) -> Self {
        Self { file, end: 0 }
    }

    /// Puts `bytes` at `offset`, leaving out runs of zeros that fill whole blocks.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            // Pieces end at block boundaries of the file, not of the argument.
            let until_boundary = BLOCK - usize::try_from(at % BLOCK as u64).unwrap_or(0);
            let (piece, tail) = rest.split_at(until_boundary.min(rest.len()));
            if piece.iter().any(|byte| *byte != 0) {
                let run = self.data_run(piece, tail);
                let (data, after) = rest.split_at(run.min(rest.len()));
                self.file.write_all_at(data, at)?;
                at = advance(at, data.len())?;
                rest = after;
            } else {
                at = advance(at, piece.len())?;
                rest = tail;
            }
        }
        self.end = self.end.max(at);
        Ok(())
    }

    /// Sets the final length, which may be beyond the last byte written, and gives the file back.
    pub fn finish(self, len: u64) -> io::Result<File> {
        if len < self.end {
            let what = "the length is less than what was written";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        self.file.set_len(len)?;
        Ok(self.file)
    }

    /// Makes what was written so far durable.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// The file, for reading back.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// How many bytes of `piece` and what follows can go out in one call: up to the next block
    /// that is all zeros.
    fn data_run(&self, piece: &[u8], tail: &[u8]) -> usize {
        let following = tail
            .chunks(BLOCK)
            .take_while(|block| block.iter().any(|byte| *byte != 0))
            .map(<[u8]>::len)
            .sum::<usize>();
        piece.len() + following
    }
}

fn advance(at: u64, by: usize) -> io::Result<u64> {
    at.checked_add(by as u64)
        .ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Read, Seek};
    use std::os::unix::fs::MetadataExt;

    fn content(mut file: File) -> Vec<u8> {
        let mut out = Vec::new();
        file.rewind().expect("rewinds");
        file.read_to_end(&mut out).expect("reads");
        out
    }

    #[test]
    fn a_mebibyte_of_zeros_takes_no_space() {
        let mut writer = SparseWriter::new(tempfile::tempfile().expect("a file"));
        writer.write_at(0, &vec![0; 1 << 20]).expect("writes");
        writer.write_at(1 << 20, b"end").expect("writes");
        let file = writer.finish((1 << 20) + 3).expect("finishes");
        let meta = file.metadata().expect("metadata");
        assert_eq!(meta.len(), (1 << 20) + 3);
        assert!(meta.blocks() * 512 <= 64 * 1024, "{} blocks", meta.blocks());
        assert!(content(file).ends_with(b"\0\0\0end"));
    }

    #[test]
    fn data_is_not_taken_for_a_hole() {
        let mut writer = SparseWriter::new(tempfile::tempfile().expect("a file"));
        writer.write_at(0, &vec![1; 1 << 20]).expect("writes");
        let file = writer.finish(1 << 20).expect("finishes");
        assert!(file.metadata().expect("metadata").blocks() * 512 >= 1 << 20);
    }

    #[test]
    fn cutting_off_written_bytes_is_refused() {
        let mut writer = SparseWriter::new(tempfile::tempfile().expect("a file"));
        writer.write_at(10, b"abc").expect("writes");
        assert!(writer.finish(12).is_err());
    }

    proptest! {
        #[test]
        fn any_cutting_into_pieces_gives_the_same_content(
            runs in proptest::collection::vec((any::<bool>(), 1_usize..9000), 0..8),
            cut in 1_usize..5000,
            backwards in any::<bool>(),
        ) {
            let mut whole = Vec::new();
            for (data, len) in runs {
                whole.extend((0..len).map(|i| if data { (i % 251) as u8 } else { 0 }));
            }
            let mut pieces: Vec<(usize, &[u8])> =
                whole.chunks(cut).enumerate().map(|(i, c)| (i * cut, c)).collect();
            if backwards {
                pieces.reverse();
            }
            let mut writer = SparseWriter::new(tempfile::tempfile().expect("a file"));
            for (offset, piece) in pieces {
                writer.write_at(offset as u64, piece).expect("writes");
            }
            let file = writer.finish(whole.len() as u64).expect("finishes");
            prop_assert_eq!(content(file), whole);
        }
    }
}
