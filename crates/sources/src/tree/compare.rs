//! Comparing a restored tree with the point it came from.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use vouchsafe_capture::{CaptureContext, CaptureError, ContentSink, PointReader, Visit};
use vouchsafe_format::NodeKind;
use vouchsafe_host::inode::Kind;
use vouchsafe_host::{DestDir, DestError};
use vouchsafe_model::{Issue, Rung};

use super::batch::Batch;
use super::metadata::shown;
use super::open_files::OpenFiles;
use super::scope::{Scope, Where};
use super::structure;
use crate::failure;
use crate::rung::{Findings, number, skipped};

const OPENS: &str = "Is every directory there, and can it be listed?";
const CONTENT: &str =
    "Does every file hold exactly the captured bytes, and is nothing more or less there?";
const METADATA: &str =
    "Are modes, times, owners, link targets, attributes and hard links as captured?";

/// The rungs `opens`, `content` and `metadata` for the scope's entries below `place`.
pub(crate) fn compare(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    scope: &Scope,
    place: &Path,
) -> Result<Vec<Rung>, CaptureError> {
    let dest = match DestDir::open(place) {
        Ok(dest) => dest,
        Err(error) => {
            let mut found = Findings::default();
            found.add(failure::issue("", &error).message);
            return Ok(vec![
                found.rung("opens", OPENS, "a directory"),
                skipped("content", CONTENT, "opens"),
                skipped("metadata", METADATA, "opens"),
            ]);
        }
    };
    ctx.progress.phase("compare", None, None);
    let seen = structure::look(ctx, point, scope, &dest)?;
    let opens = format!("{} directories", number(seen.directories));
    if !seen.opens.is_empty() {
        return Ok(vec![
            seen.opens.rung("opens", OPENS, opens),
            skipped("content", CONTENT, "opens"),
            skipped("metadata", METADATA, "opens"),
        ]);
    }
    let mut content = seen.names;
    content.append(contents(ctx, point, scope, &dest)?);
    let held = format!(
        "{} files with {} bytes, {} other entries",
        number(seen.files),
        number(seen.bytes),
        number(seen.others)
    );
    let all = number(seen.directories + seen.files + seen.others);
    let metadata = if content.is_empty() {
        seen.metadata
            .rung("metadata", METADATA, format!("{all} entries as captured"))
    } else {
        skipped("metadata", METADATA, "content")
    };
    Ok(vec![
        seen.opens.rung("opens", OPENS, opens),
        content.rung("content", CONTENT, held),
        metadata,
    ])
}

/// Every file that differs in its bytes.
fn contents(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    scope: &Scope,
    dest: &DestDir,
) -> Result<Findings, CaptureError> {
    let mut found = Findings::default();
    let mut batch = Batch::default();
    scope.walk(point, &mut |place, node| {
        let Where::Inside(rel) = place else {
            return Ok(Visit::Into);
        };
        if node.kind != NodeKind::File {
            return Ok(Visit::Into);
        }
        match dest.lstat(rel) {
            Ok(seen) if seen.kind == Kind::File && seen.size != node.size => {
                found.add(format!(
                    "{} has {} bytes, not {}",
                    shown(rel),
                    seen.size,
                    node.size
                ));
            }
            Ok(seen) if seen.kind == Kind::File => batch.push(node.clone(), rel.clone()),
            // What is missing or of another kind was found before.
            _ => {}
        }
        if batch.is_full() {
            found.append(compare_batch(
                ctx,
                point,
                dest,
                &std::mem::take(&mut batch),
            )?);
        }
        Ok(Visit::Into)
    })?;
    found.append(compare_batch(ctx, point, dest, &batch)?);
    Ok(found)
}

fn compare_batch(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    dest: &DestDir,
    batch: &Batch,
) -> Result<Findings, CaptureError> {
    if batch.len() == 0 {
        return Ok(Findings::default());
    }
    let open = |number: usize, _known: bool| {
        // An unknown number has the empty path, which the destination refuses.
        dest.open_read(batch.file(number).map_or(&[], |(rel, _)| rel))
    };
    let out = Comparing {
        ctx,
        batch,
        files: OpenFiles::new(batch.len(), open),
        states: (0..batch.len()).map(|_| AtomicU8::new(PENDING)).collect(),
        covered: (0..batch.len()).map(|_| AtomicU64::new(0)).collect(),
        found: Mutex::default(),
    };
    point.fetch(batch.nodes(), &out)?;
    for number in 0..batch.len() {
        if out
            .states
            .get(number)
            .is_some_and(|s| s.load(Ordering::Acquire) == PENDING)
        {
            out.differs(number, "the vault did not deliver its content");
        }
    }
    Ok(out
        .found
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner))
}

const PENDING: u8 = 0;
const EQUAL: u8 = 1;
const DIFFERENT: u8 = 2;

/// Receives the captured content of one batch and holds it against what is on disk.
struct Comparing<'a, F> {
    ctx: &'a CaptureContext<'a>,
    batch: &'a Batch,
    files: OpenFiles<F, File>,
    states: Vec<AtomicU8>,
    /// Bytes of each file that were compared.
    covered: Vec<AtomicU64>,
    found: Mutex<Findings>,
}

impl<F> Comparing<'_, F>
where
    F: Fn(usize, bool) -> Result<File, DestError>,
{
    /// Names a file once, whatever else is wrong with it.
    fn differs(&self, number: usize, how: &str) {
        let (Some(state), Some((rel, _))) = (self.states.get(number), self.batch.file(number))
        else {
            return;
        };
        if state.swap(DIFFERENT, Ordering::AcqRel) != DIFFERENT {
            let text = format!("{}: {how}", shown(rel));
            self.found
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add(text);
        }
        self.files.close(number);
    }
}

impl<F> ContentSink for Comparing<'_, F>
where
    F: Fn(usize, bool) -> Result<File, DestError> + Sync,
{
    fn write(&self, number: usize, offset: u64, bytes: &[u8]) -> Result<(), CaptureError> {
        failure::check_interrupt(self.ctx)?;
        self.ctx.progress.advance(0, bytes.len() as u64);
        if self
            .states
            .get(number)
            .is_none_or(|s| s.load(Ordering::Acquire) == DIFFERENT)
        {
            return Ok(());
        }
        match self.files.get(number) {
            Err(error) => self.differs(number, &failure::issue("", &error).message),
            Ok(file) => match first_difference(&file, offset, bytes) {
                Ok(None) => {
                    if let Some(covered) = self.covered.get(number) {
                        covered.fetch_add(bytes.len() as u64, Ordering::AcqRel);
                    }
                }
                Ok(Some(at)) => self.differs(number, &format!("byte {at} differs")),
                Err(error) => {
                    self.differs(number, &format!("cannot be read at byte {offset}: {error}"))
                }
            },
        }
        Ok(())
    }

    fn finished(&self, number: usize) -> Result<(), CaptureError> {
        let covered = self
            .covered
            .get(number)
            .map_or(0, |c| c.load(Ordering::Acquire));
        let size = self.batch.file(number).map_or(0, |(_, node)| node.size);
        if covered != size {
            self.differs(
                number,
                &format!("{covered} of {size} bytes could be compared"),
            );
        }
        if let Some(state) = self.states.get(number) {
            let _ = state.compare_exchange(PENDING, EQUAL, Ordering::AcqRel, Ordering::Acquire);
        }
        self.files.close(number);
        Ok(())
    }

    fn failed(&self, number: usize, issue: Issue) {
        self.differs(number, &issue.message);
    }
}

/// Where the file first differs from the captured bytes of this range.
fn first_difference(file: &File, offset: u64, captured: &[u8]) -> io::Result<Option<u64>> {
    let mut buffer = vec![0; captured.len().min(256 * 1024)];
    let mut at = offset;
    for expected in captured.chunks(buffer.len().max(1)) {
        let Some(actual) = buffer.get_mut(..expected.len()) else {
            continue;
        };
        file.read_exact_at(actual, at)?;
        if actual != expected {
            let same = actual
                .iter()
                .zip(expected)
                .take_while(|(a, b)| a == b)
                .count();
            return Ok(Some(at + same as u64));
        }
        at += expected.len() as u64;
    }
    Ok(None)
}
