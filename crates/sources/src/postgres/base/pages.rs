//! Files of a data directory while a server writes to them: read to the length that they had, page by page.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::Sender;

use crc_fast::{CrcAlgorithm, Digest};
use vouchsafe_capture::{CaptureError, CleanEnd, Cutting, StreamContent};

use super::manifest::Listed;

/// Bytes of a page, as every packaged PostgreSQL has them.
pub(super) const PAGE: usize = 8192;
/// Pages in one file of a relation, likewise: 1 GiB.
pub(super) const PAGES_PER_FILE: u32 = 131_072;

/// What is read at once, whole pages.
const PIECE: usize = 32 * PAGE;
/// How many damaged pages of one file are named.
const NAMED: usize = 3;

/// Which checksums the pages of a file should have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checks {
    /// The number of the first page in the relation.
    pub(super) first: u32,
    /// The position of the log from which everything is replayed: a page that was written since may be half old and
    /// half new, and is brought whole by the replay.
    pub(super) start: u64,
}

/// What became of a file that was handed over.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) listed: Listed,
    /// Pages without their checksum, the first few of them by number.
    pub(super) damaged: Vec<u32>,
    pub(super) damaged_count: u64,
}

/// A file as long as it was when it was opened. What is cut off meanwhile is read as zeros, for the log cuts it off
/// again; what is added is in the log.
pub(super) struct PageFile {
    file: File,
    size: u64,
    read: u64,
    buffer: Vec<u8>,
    given: usize,
    checks: Option<Checks>,
    cut: u32,
    digest: Digest,
    ended: Ended,
    tell: Sender<Option<Ended>>,
    is_whole: bool,
}

impl PageFile {
    /// `listed` says which file it is; its checksum is made here. To `tell` is sent what became of it, or nothing where
    /// it was not read to its end.
    pub(super) fn new(
        file: File,
        listed: Listed,
        checks: Option<Checks>,
        cut: u32,
        tell: Sender<Option<Ended>>,
    ) -> PageFile {
        PageFile {
            file,
            size: listed.size,
            read: 0,
            buffer: Vec::new(),
            given: 0,
            checks,
            cut,
            digest: Digest::new(CrcAlgorithm::Crc32Iscsi),
            ended: Ended {
                listed,
                damaged: Vec::new(),
                damaged_count: 0,
            },
            tell,
            is_whole: false,
        }
    }

    /// Reads the next piece; leaves it empty at the end.
    fn fill(&mut self) -> io::Result<()> {
        let rest = usize::try_from(self.size - self.read).unwrap_or(usize::MAX);
        let wanted = rest.min(PIECE);
        self.given = 0;
        self.buffer.clear();
        (&self.file)
            .take(wanted as u64)
            .read_to_end(&mut self.buffer)?;
        self.buffer.resize(wanted, 0);
        if let Some(checks) = self.checks {
            self.check(checks)?;
        }
        self.digest.update(&self.buffer);
        self.read += wanted as u64;
        Ok(())
    }

    fn check(&mut self, checks: Checks) -> io::Result<()> {
        let (pages, _) = self.buffer.as_chunks_mut::<PAGE>();
        for (place, page) in (self.read..).step_by(PAGE).zip(pages) {
            let within = u32::try_from(place / PAGE as u64).unwrap_or(u32::MAX);
            let number = checks.first.wrapping_add(within);
            if is_as_it_should_be(page, number, checks.start) {
                continue;
            }
            // Half of it may have been written while it was read.
            let mut again = [0; PAGE];
            let read = self.file.read_exact_at(&mut again, place);
            if read.is_ok() {
                *page = again;
            }
            if read.is_ok() && !is_as_it_should_be(page, number, checks.start) {
                self.ended.damaged_count += 1;
                if self.ended.damaged.len() < NAMED {
                    self.ended.damaged.push(number);
                }
            }
        }
        Ok(())
    }
}

impl StreamContent for PageFile {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.given == self.buffer.len() && self.read < self.size {
            self.fill()?;
        }
        let rest = self.buffer.get(self.given..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.given += count;
        Ok(count)
    }

    fn cutting(&self) -> Cutting {
        Cutting::Every(self.cut)
    }

    fn finish(mut self: Box<Self>) -> Result<CleanEnd, CaptureError> {
        let end = CleanEnd::of_length(&self.ended.listed.path, self.size, self.read)?;
        self.is_whole = true;
        Ok(end)
    }
}

impl Drop for PageFile {
    fn drop(&mut self) {
        let told = self.is_whole.then(|| {
            let crc = u32::try_from(self.digest.finalize()).unwrap_or_default();
            Ended {
                listed: Listed {
                    crc,
                    ..self.ended.listed.clone()
                },
                damaged: std::mem::take(&mut self.ended.damaged),
                damaged_count: self.ended.damaged_count,
            }
        });
        // Whoever would hear it has given up.
        let _ = self.tell.send(told);
    }
}

/// Whether a page is new, or written since `start`, or has its checksum.
fn is_as_it_should_be(page: &[u8; PAGE], number: u32, start: u64) -> bool {
    let half = |at: usize| {
        let bytes = page.get(at..at + 2).and_then(|b| b.try_into().ok());
        u16::from_le_bytes(bytes.unwrap_or_default())
    };
    let word = |at: usize| {
        let bytes = page.get(at..at + 4).and_then(|b| b.try_into().ok());
        u64::from(u32::from_le_bytes(bytes.unwrap_or_default()))
    };
    let upper = half(14);
    let position = word(0) << 32 | word(4);
    upper == 0 || position >= start || checksum(page, number) == half(8)
}

/// What PostgreSQL writes into a page as its checksum (src/include/storage/checksum_impl.h): 32 sums in the manner of
/// FNV-1a side by side, folded to 16 bits with the page's number; the field itself counts as zero.
pub(super) fn checksum(page: &[u8; PAGE], number: u32) -> u16 {
    const LANES: usize = 32;
    let (words, _) = page.as_chunks::<4>();
    let (rows, _) = words.as_chunks::<LANES>();
    let mut sums = OFFSETS;
    for (place, row) in rows.iter().enumerate() {
        let mut row = row.map(u32::from_le_bytes);
        if place == 0
            && let Some(field) = row.get_mut(2)
        {
            *field &= 0xffff_0000;
        }
        for (sum, word) in sums.iter_mut().zip(row) {
            *sum = mixed(*sum, word);
        }
    }
    for _ in 0..2 {
        sums = sums.map(|sum| mixed(sum, 0));
    }
    let folded = sums.into_iter().fold(0, |all, sum| all ^ sum) ^ number;
    u16::try_from(folded % 65_535 + 1).unwrap_or_default()
}

fn mixed(sum: u32, word: u32) -> u32 {
    let both = sum ^ word;
    both.wrapping_mul(16_777_619) ^ (both >> 17)
}

const OFFSETS: [u32; 32] = [
    0x5b1f_36e9,
    0xb852_5960,
    0x02ab_50aa,
    0x1de6_6d2a,
    0x79ff_467a,
    0x9bb9_f8a3,
    0x217e_7cd2,
    0x83e1_3d2c,
    0xf8d4_474f,
    0xe39e_b970,
    0x42c6_ae16,
    0x9932_16fa,
    0x7b09_3b5d,
    0x98da_ff3c,
    0xf718_902a,
    0x0b1c_9cdb,
    0xe58f_764b,
    0x1876_36bc,
    0x5d7b_3bb1,
    0xe73d_e7de,
    0x92be_c979,
    0xcca6_c0b2,
    0x304a_0979,
    0x85aa_43d4,
    0x7831_25bb,
    0x6ca8_eaa2,
    0xe407_eac6,
    0x4b5c_fc3e,
    0x9fbf_8c76,
    0x15ca_20be,
    0xf2ca_9fd3,
    0x959b_d756,
];

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};
    use std::sync::mpsc;

    use super::*;

    /// A page with content, a position and its checksum.
    fn page(number: u32, position: u64) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        for (at, byte) in page.iter_mut().enumerate().skip(24) {
            *byte = (at % 251) as u8;
        }
        page[..4].copy_from_slice(&((position >> 32) as u32).to_le_bytes());
        page[4..8].copy_from_slice(&(position as u32).to_le_bytes());
        page[14..16].copy_from_slice(&4000_u16.to_le_bytes());
        let sum = checksum(&page, number);
        page[8..10].copy_from_slice(&sum.to_le_bytes());
        page
    }

    fn read(bytes: &[u8], size: u64, checks: Option<Checks>) -> (Vec<u8>, Ended) {
        let mut file = tempfile();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        let (tell, told) = mpsc::channel();
        let listed = Listed {
            path: "base/1/2".to_owned(),
            size,
            modified: 0,
            crc: 0,
        };
        let mut content: Box<dyn StreamContent> =
            Box::new(PageFile::new(file, listed, checks, 32 << 10, tell));
        let mut got = Vec::new();
        let mut buf = [0; 5000];
        loop {
            let count = content.read(&mut buf).unwrap();
            if count == 0 {
                break;
            }
            got.extend_from_slice(&buf[..count]);
        }
        content.finish().unwrap();
        (got, told.recv().unwrap().unwrap())
    }

    fn tempfile() -> File {
        let folder = vouchsafe_host::files::temp_dir("pages").unwrap();
        File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(folder.path().join("f"))
            .unwrap()
    }

    #[test]
    fn a_damaged_page_is_named_unless_it_is_new_or_written_since() {
        let checks = Checks {
            first: PAGES_PER_FILE,
            start: 1000,
        };
        let mut bytes = Vec::new();
        for n in 0..70 {
            bytes.extend_from_slice(&page(PAGES_PER_FILE + n, 900));
        }
        let size = bytes.len() as u64;
        let (got, ended) = read(&bytes, size, Some(checks));
        assert_eq!(got, bytes);
        assert_eq!((ended.damaged_count, ended.damaged), (0, vec![]));
        bytes[66 * PAGE + 5000] ^= 1;
        let (got, ended) = read(&bytes, size, Some(checks));
        assert_eq!(got, bytes);
        assert_eq!(ended.damaged, [PAGES_PER_FILE + 66]);
        assert_eq!(ended.damaged_count, 1);
        assert_eq!(read(&bytes, size, None).1.damaged_count, 0);
        // Written since the start: whatever it looks like, the log brings it whole.
        let mut young = page(PAGES_PER_FILE, 1000);
        young[5000] ^= 1;
        assert_eq!(read(&young, PAGE as u64, Some(checks)).1.damaged_count, 0);
        let new = [0; PAGE];
        assert_eq!(read(&new, PAGE as u64, Some(checks)).1.damaged_count, 0);
        // In another's place.
        let other = page(PAGES_PER_FILE + 1, 900);
        assert_eq!(read(&other, PAGE as u64, Some(checks)).1.damaged_count, 1);
    }

    #[test]
    fn a_file_has_the_length_that_it_had() {
        let bytes = vec![7; 3 * PAGE];
        let (cut_off, ended) = read(&bytes, 5 * PAGE as u64, None);
        assert_eq!(cut_off.len(), 5 * PAGE);
        assert!(cut_off[3 * PAGE..].iter().all(|b| *b == 0));
        let crc = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, &cut_off);
        assert_eq!(u64::from(ended.listed.crc), crc);
        let (grown, _) = read(&bytes, PAGE as u64 + 100, None);
        assert_eq!(grown.len(), PAGE + 100);
    }

    #[test]
    fn whoever_gives_up_says_nothing_of_it() {
        let (tell, told) = mpsc::channel();
        let listed = Listed {
            path: "f".to_owned(),
            size: 5,
            modified: 0,
            crc: 0,
        };
        drop(PageFile::new(tempfile(), listed, None, 4096, tell));
        assert!(told.recv().unwrap().is_none());
    }
}
