//! The heartbeat tokens in segments that were replayed.

use std::path::Path;

use vouchsafe_capture::{CaptureError, FetchedLog, ReplayTarget};
use vouchsafe_host::files;
use vouchsafe_model::Rung;
use vouchsafe_translog::token::PREFIX;
use vouchsafe_translog::wal::{
    DEFAULT_BLOCK_SIZE, History, Meaning, SegmentSize, Timeline, WalEvent, WalFileName, WalReader,
    WalRecord, WalStart,
};

use super::{LOG, lsn};
use crate::failure;
use crate::tokens::{self, Chains};

/// The longest history that is read.
const LONGEST: u64 = 1 << 20;

/// The text of a token in a record, if there is one.
pub(super) fn token_in(record: &WalRecord) -> Option<&[u8]> {
    match &record.meaning {
        Meaning::Message(message) if message.prefix == PREFIX.as_bytes() => Some(&message.content),
        _ => None,
    }
}

/// Reads the log that was replayed in `place` once more, as it lies there.
pub(in crate::postgres) fn tokens(
    place: &Path,
    fetched: &FetchedLog,
) -> Result<Rung, CaptureError> {
    let mut chains = Chains::default();
    match read(&place.join(LOG), &fetched.target, |text| chains.take(text))? {
        Ok(()) => {}
        Err(message) => chains.found.add(message),
    }
    Ok(tokens::rung(chains, fetched))
}

/// Feeds the files of a log to a reader up to the target; what is wrong with them is the inner error.
fn read(
    dir: &Path,
    target: &ReplayTarget,
    mut take: impl FnMut(&[u8]),
) -> Result<Result<(), String>, CaptureError> {
    let timeline = u32::try_from(target.timeline).ok().and_then(Timeline::new);
    let Some(timeline) = timeline else {
        return Ok(Err(format!("there is no timeline {}", target.timeline)));
    };
    let Some(size) = segment_size(dir)? else {
        return Ok(Err("the log that was replayed is not there".to_owned()));
    };
    let path = dir.join(WalFileName::History { timeline }.name(size));
    let history = if files::exists(&path).map_err(failure::file)? {
        let text = files::read(&path, LONGEST).map_err(failure::file)?;
        match History::parse(timeline, &text) {
            Ok(history) => history,
            Err(error) => return Ok(Err(error.to_string())),
        }
    } else {
        History::of(timeline)
    };
    let (from, end) = (lsn(target.from), lsn(target.end));
    let start = WalStart {
        segment_size: size,
        block_size: DEFAULT_BLOCK_SIZE,
        lsn: from,
        history: history.clone(),
        system: None,
    };
    let mut reader = match WalReader::new(start) {
        Ok(reader) => reader,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let last = size.segment_of(end);
    for segment in size.segment_of(from)..=last {
        let begins = size.start_of(segment).unwrap_or(end);
        if end <= begins {
            break;
        }
        let timeline = history.file_of(segment, size);
        let name = WalFileName::Segment { timeline, segment }.name(size);
        let path = dir.join(&name);
        if !files::exists(&path).map_err(failure::file)? {
            return Ok(Err(format!("{name} is not there")));
        }
        let bytes = files::read(&path, size.bytes().into()).map_err(failure::file)?;
        let count = usize::try_from(end.0 - begins.0).unwrap_or(usize::MAX);
        let bytes = bytes.get(..count).unwrap_or(&bytes);
        let fed = reader.feed(bytes, |event| {
            if let WalEvent::Record(record) = &event
                && let Some(text) = token_in(record)
            {
                take(text);
            }
        });
        if let Err(error) = fed {
            return Ok(Err(error.to_string()));
        }
    }
    let verified = reader.status().verified;
    Ok(match verified {
        Some(verified) if verified == end => Ok(()),
        Some(verified) => Err(format!(
            "the log that was replayed ends at {verified}, not {end}"
        )),
        None => Err("the log that was replayed has no record".to_owned()),
    })
}

/// All files of a log are equally long.
fn segment_size(dir: &Path) -> Result<Option<SegmentSize>, CaptureError> {
    if !files::exists(dir).map_err(failure::file)? {
        return Ok(None);
    }
    for name in files::list_dir(dir).map_err(failure::file)? {
        let path = dir.join(&name);
        let size = files::size(&path).map_err(failure::file)?;
        let size = u32::try_from(size).ok().and_then(SegmentSize::new);
        let name = name.to_str().unwrap_or_default();
        if let Some(size) = size
            && let Some(WalFileName::Segment { .. }) = WalFileName::parse(name, size)
        {
            return Ok(Some(size));
        }
    }
    Ok(None)
}
