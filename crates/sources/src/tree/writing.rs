//! Files of a restore, as their contents come in any order.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use vouchsafe_capture::{CaptureError, ContentSink};
use vouchsafe_host::{DestEntry, DestError};
use vouchsafe_model::Issue;

use super::batch::Batch;
use super::metadata::shown;
use super::open_files::OpenFiles;
use super::restore::Restore;
use crate::failure;

/// Receives the content of one batch.
pub(super) struct Writing<'a, F> {
    restore: &'a Restore<'a>,
    batch: &'a Batch,
    files: OpenFiles<F, DestEntry>,
    /// Finished or given up.
    settled: Vec<AtomicBool>,
    /// Where the last byte of each file lies that has come.
    ends: Vec<AtomicU64>,
}

impl<'a, F> Writing<'a, F>
where
    F: Fn(usize, bool) -> Result<DestEntry, DestError>,
{
    /// For a batch, of which `open` opens a file by its number; it is told whether the file was opened before.
    pub(super) fn new(restore: &'a Restore<'a>, batch: &'a Batch, open: F) -> Writing<'a, F> {
        Writing {
            restore,
            batch,
            files: OpenFiles::new(batch.len(), open),
            settled: (0..batch.len()).map(|_| AtomicBool::new(false)).collect(),
            ends: (0..batch.len()).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(super) fn is_settled(&self, number: usize) -> bool {
        self.settled
            .get(number)
            .is_none_or(|s| s.load(Ordering::Acquire))
    }

    /// Records why a file cannot be had, and removes what there is of it: half a file must not look like a whole one.
    pub(super) fn give_up(&self, number: usize, message: String) {
        let Some((rel, _)) = self.batch.file(number) else {
            return;
        };
        if self
            .settled
            .get(number)
            .is_some_and(|s| s.swap(true, Ordering::AcqRel))
        {
            return;
        }
        self.restore.lost().insert(rel.to_vec());
        let metadata = &self.restore.metadata;
        if self.files.close(number) {
            metadata.note(rel, self.restore.dest.remove_file(rel));
        }
        metadata.issue(Issue {
            place: shown(rel),
            message,
        });
    }

    fn failed_here(&self, number: usize, error: DestError) -> Result<(), CaptureError> {
        self.restore.fatal(&error)?;
        self.give_up(number, failure::issue("", &error).message);
        Ok(())
    }

    fn write_to(&self, entry: &DestEntry, offset: u64, bytes: &[u8]) -> Result<(), DestError> {
        write_data(entry.file(), offset, bytes).map_err(|source| DestError::Failed {
            path: self.restore.dest.path().to_path_buf(),
            operation: "write to a file in",
            source,
        })
    }

    /// All of a file has come: its length, its metadata.
    fn complete(&self, number: usize, entry: &DestEntry) -> Result<(), DestError> {
        let Some((rel, node)) = self.batch.file(number) else {
            return Ok(());
        };
        let length = self
            .ends
            .get(number)
            .map_or(0, |end| end.load(Ordering::Relaxed));
        if length != node.size {
            let message = format!(
                "its content has {length} bytes, but the point says {}",
                node.size
            );
            self.give_up(number, message);
            return Ok(());
        }
        // Zeros at the end are not written.
        if entry.stat()?.size != length {
            entry.set_len(length)?;
        }
        if self
            .settled
            .get(number)
            .is_some_and(|s| s.swap(true, Ordering::AcqRel))
        {
            return Ok(());
        }
        self.files.close(number);
        self.restore.metadata.apply_to(entry, rel, node);
        self.restore.done(node.size);
        Ok(())
    }
}

impl<F> ContentSink for Writing<'_, F>
where
    F: Fn(usize, bool) -> Result<DestEntry, DestError> + Sync,
{
    fn write(&self, number: usize, offset: u64, bytes: &[u8]) -> Result<(), CaptureError> {
        failure::check_interrupt(self.restore.ctx)?;
        if self.is_settled(number) {
            return Ok(());
        }
        if let Some(end) = self.ends.get(number) {
            end.fetch_max(offset + bytes.len() as u64, Ordering::Relaxed);
        }
        self.restore.ctx.progress.advance(0, bytes.len() as u64);
        // A small file is made, filled and described in one go, without others waiting for it.
        let whole = self.batch.file(number).is_some_and(|(_, node)| {
            node.content.as_ref().is_some_and(|ids| ids.len() == 1)
                && bytes.len() as u64 == node.size
        });
        let written = if whole {
            self.restore
                .open(self.batch, number, false)
                .and_then(|entry| {
                    self.files.note_opened(number);
                    self.write_to(&entry, offset, bytes)?;
                    self.complete(number, &entry)
                })
        } else {
            let entry = self.files.get(number);
            entry.and_then(|entry| self.write_to(&entry, offset, bytes))
        };
        written.or_else(|error| self.failed_here(number, error))
    }

    fn finished(&self, number: usize) -> Result<(), CaptureError> {
        if self.is_settled(number) {
            return Ok(());
        }
        let completed = self
            .files
            .get(number)
            .and_then(|entry| self.complete(number, &entry));
        completed.or_else(|error| self.failed_here(number, error))
    }

    fn failed(&self, number: usize, issue: Issue) {
        self.give_up(number, issue.message);
    }
}

/// Writes what is not zeros; the file has its length already, so that the rest are holes.
fn write_data(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    const BLOCK: u64 = 4096;
    let mut at = offset;
    let mut rest = bytes;
    let mut pending: Option<(u64, &[u8])> = None;
    while !rest.is_empty() {
        let until = usize::try_from(BLOCK - at % BLOCK)
            .unwrap_or(rest.len())
            .min(rest.len());
        let (block, tail) = rest.split_at(until);
        if block.iter().all(|b| *b == 0) {
            if let Some((from, run)) = pending.take() {
                let length = usize::try_from(at - from).unwrap_or(run.len());
                file.write_all_at(run.get(..length).unwrap_or(run), from)?;
            }
        } else if pending.is_none() {
            pending = Some((at, rest));
        }
        at += until as u64;
        rest = tail;
    }
    match pending {
        Some((from, run)) => file.write_all_at(run, from),
        None => Ok(()),
    }
}
