//! Writing the pages of records into a restored database.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError, FetchedLog};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::files;
use vouchsafe_translog::sqlite::{RecordReader, Step};

use super::fetch::RECORDS;
use crate::failure;

/// Bytes that are read at once.
const CHUNK: u64 = 1 << 20;

/// Brings the database in `file` to the target of what was fetched.
pub(in crate::sqlite) fn apply(
    ctx: &CaptureContext<'_>,
    fetched: &FetchedLog,
    file: &File,
    place: &Path,
) -> Result<(), CaptureError> {
    let mut failed = None;
    let mut size = 0;
    let mut pages = None;
    read(&fetched.place, fetched, Part::Before, &mut |step| {
        failure::check_interrupt(ctx)?;
        match step {
            Step::Frame { frame, page_size } => {
                let at =
                    u64::from(frame.page.saturating_sub(1)).saturating_mul(u64::from(page_size));
                failed = failed.take().or(file.write_all_at(frame.content, at).err());
                size = page_size;
            }
            Step::Look(looked) => pages = looked.pages.or(pages),
            Step::Record { bytes, .. } => ctx.progress.advance(0, bytes.len() as u64),
        }
        Ok(())
    })?;
    let cut = match (failed, pages) {
        (Some(error), _) => Err(error),
        (None, Some(pages)) => file.set_len(u64::from(pages).saturating_mul(u64::from(size))),
        (None, None) => Ok(()),
    };
    cut.map_err(|e| CaptureError::io("write the database in", place.display().to_string(), e))
}

/// Which of the records that were fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Those up to the target.
    Before,
    /// Those behind it.
    Beyond,
}

/// Reads records out of the place that they were fetched to.
pub(super) fn read(
    place: &Path,
    fetched: &FetchedLog,
    part: Part,
    take: &mut dyn FnMut(Step<'_>) -> Result<(), CaptureError>,
) -> Result<(), CaptureError> {
    let path = place.join(RECORDS);
    let io = |e: io::Error| CaptureError::io("read", path.display().to_string(), e);
    let (Position::Byte(from), Position::Byte(end)) = (fetched.target.from, fetched.target.end)
    else {
        return Ok(());
    };
    let mut file = files::open_read(&path).map_err(failure::file)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut reader = RecordReader::at(from);
    let mut left = match part {
        Part::Before => end.saturating_sub(from),
        Part::Beyond => u64::MAX,
    };
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let count = (&mut file)
            .take(left.min(CHUNK))
            .read_to_end(&mut buffer)
            .map_err(io)?;
        if count == 0 {
            return Ok(());
        }
        left -= count as u64;
        let mut outcome = Ok(());
        let mut at = reader.position();
        let fed = reader.feed(&buffer, |step| {
            // A record is told of behind its pages, and a look behind its last record.
            let is_beyond = match &step {
                Step::Look(looked) => end < looked.end,
                Step::Frame { .. } | Step::Record { .. } => end <= at,
            };
            let is_wanted = part == Part::Before || is_beyond;
            if let Step::Record { end, .. } = &step {
                at = *end;
            }
            if is_wanted && outcome.is_ok() {
                outcome = take(step);
            }
        });
        outcome?;
        fed.map_err(|error| {
            failure::unreadable(&path, error.to_string(), "fetch the log once more")
        })?;
    }
}
