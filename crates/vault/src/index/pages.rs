//! Rows of fixed width in pages of a file. Each page carries its place and a digest, so that no accident goes unseen.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;

use vouchsafe_format::Id;
use vouchsafe_host::Interrupt;

/// Pages that are read at random.
pub(super) const SMALL: usize = 4 << 10;
/// Pages whose rows are wanted together.
pub(super) const LARGE: usize = 16 << 10;

/// The page's place in the file and the digest, 8 bytes each.
const TAIL: usize = 16;

/// Bytes could not be had, or are not those that were written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("it cannot be read or written: {0}")]
    Io(#[from] io::Error),
    #[error("the page at byte {at} is damaged")]
    Page { at: u64 },
    #[error("{0}")]
    Other(&'static str),
}

/// A stretch of pages with equal rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) start: u64,
    pub(super) rows: u64,
    pub(super) width: usize,
    pub(super) page: usize,
}

impl Section {
    /// Rows that fit into one page.
    pub(super) fn per_page(&self) -> u64 {
        ((self.page - TAIL) / self.width) as u64
    }

    pub(super) fn pages(&self) -> u64 {
        self.rows.div_ceil(self.per_page())
    }

    /// The first byte after it.
    pub(super) fn end(&self) -> Option<u64> {
        let length = self.pages().checked_mul(self.page as u64)?;
        self.start.checked_add(length)
    }

    pub(super) fn read(&self, file: &File, number: u64) -> Result<Page, Fault> {
        let at = self.start + number * self.page as u64;
        let rows = self.rows.saturating_sub(number * self.per_page());
        let mut bytes = vec![0; self.page];
        file.read_exact_at(&mut bytes, at)?;
        let found = bytes.split_last_chunk::<8>();
        let (body, digest) = found.ok_or(Fault::Page { at })?;
        let own_place = body.last_chunk::<8>().copied().map(u64::from_le_bytes);
        if own_place != Some(at) || digest_of(body) != *digest {
            return Err(Fault::Page { at });
        }
        bytes.truncate(rows.min(self.per_page()) as usize * self.width);
        Ok(Page(bytes))
    }
}

/// The rows of one page.
#[derive(Debug)]
pub(super) struct Page(Vec<u8>);

impl Page {
    /// All rows, `N` bytes wide.
    pub(super) fn rows<const N: usize>(&self) -> &[[u8; N]] {
        self.0.as_chunks::<N>().0
    }
}

/// Reads rows one after the other.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    file: &'a File,
    section: Section,
    page: Option<(u64, Page)>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(file: &'a File, section: Section) -> Rows<'a> {
        Rows {
            file,
            section,
            page: None,
        }
    }

    pub(super) fn get<const N: usize>(&mut self, row: u64) -> Result<[u8; N], Fault> {
        let number = row / self.section.per_page();
        let page = match self.page.take() {
            Some((known, page)) if known == number => page,
            _ => self.section.read(self.file, number)?,
        };
        let at = (row % self.section.per_page()) as usize;
        let found = page.rows::<N>().get(at).copied();
        self.page = Some((number, page));
        found.ok_or(Fault::Other("a row beyond the end was asked for"))
    }

    /// Shows all rows.
    pub(super) fn each<const N: usize>(
        &mut self,
        mut visit: impl FnMut([u8; N]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        for number in 0..self.section.pages() {
            for row in self.section.read(self.file, number)?.rows::<N>() {
                visit(*row)?;
            }
        }
        Ok(())
    }
}

/// Appends to a file.
#[derive(Debug)]
pub(super) struct Appender {
    out: BufWriter<File>,
    at: u64,
    interrupt: Interrupt,
}

impl Appender {
    /// The file is empty; nobody else moves its position.
    pub(super) fn new(file: File, interrupt: Interrupt) -> Appender {
        Appender {
            out: BufWriter::with_capacity(256 << 10, file),
            at: 0,
            interrupt,
        }
    }

    /// A page at the file's beginning, to be filled in later by [`write_page`].
    pub(super) fn leave_page(&mut self) -> Result<(), Fault> {
        self.push(&[0; SMALL])
    }

    pub(super) fn finish(mut self) -> Result<File, Fault> {
        self.out.flush()?;
        self.out
            .into_inner()
            .map_err(|error| Fault::Io(error.into_error()))
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.interrupt.requested() {
            return Err(Fault::Other("interrupted"));
        }
        self.out.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// Writes a section; nothing else is appended meanwhile.
#[derive(Debug)]
pub(super) struct SectionWriter {
    section: Section,
    page: Vec<u8>,
}

impl SectionWriter {
    pub(super) fn new(out: &Appender, width: usize, page: usize) -> SectionWriter {
        SectionWriter {
            section: Section {
                start: out.at,
                rows: 0,
                width,
                page,
            },
            page: Vec::with_capacity(page),
        }
    }

    pub(super) fn push(&mut self, out: &mut Appender, row: &[u8]) -> Result<(), Fault> {
        self.page.extend_from_slice(row);
        self.section.rows += 1;
        if self.page.len() + self.section.width > self.section.page - TAIL {
            self.close(out)?;
        }
        Ok(())
    }

    pub(super) fn rows(&self) -> u64 {
        self.section.rows
    }

    /// Whether the next row begins a page.
    pub(super) fn is_between_pages(&self) -> bool {
        self.page.is_empty()
    }

    pub(super) fn finish(mut self, out: &mut Appender) -> Result<Section, Fault> {
        if !self.page.is_empty() {
            self.close(out)?;
        }
        Ok(self.section)
    }

    fn close(&mut self, out: &mut Appender) -> Result<(), Fault> {
        seal(&mut self.page, self.section.page, out.at);
        out.push(&self.page)?;
        self.page.clear();
        Ok(())
    }
}

/// Writes the page that was left free at the beginning.
pub(super) fn write_page(file: &File, payload: &[u8]) -> Result<(), Fault> {
    let mut page = payload.to_vec();
    seal(&mut page, SMALL, 0);
    Ok(file.write_all_at(&page, 0)?)
}

/// Makes a whole page of rows.
fn seal(page: &mut Vec<u8>, size: usize, at: u64) {
    page.resize(size - TAIL, 0);
    page.extend_from_slice(&at.to_le_bytes());
    let digest = digest_of(page);
    page.extend_from_slice(&digest);
}

fn digest_of(body: &[u8]) -> [u8; 8] {
    let digest = Id::of(body);
    digest
        .as_bytes()
        .first_chunk::<8>()
        .copied()
        .unwrap_or_default()
}
