//! The spool: what the receiver has written, and not every vault has yet.

use std::ffi::OsString;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vouchsafe_capture::CaptureError;
use vouchsafe_host::files;
use vouchsafe_translog::wal::{History, Lsn, SegmentSize, Timeline, WalFileName};

use crate::failure;

/// A directory in which `pg_receivewal` keeps segments, under the names that the server gives them. Nobody else writes
/// there.
#[derive(Debug, Clone)]
pub(super) struct Spool {
    directory: PathBuf,
    pub(super) identity: Identity,
    size: SegmentSize,
}

/// What every file in a spool has in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// The server's identifier.
    pub(super) system: u64,
    /// Bytes of a segment.
    pub(super) segment_size: u32,
    /// Bytes of a page.
    pub(super) block_size: u32,
}

/// A segment in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Held {
    pub(super) segment: u64,
    pub(super) timeline: u32,
    /// Whether it was written to its end.
    pub(super) complete: bool,
}

/// What the names of segments end with that the receiver is not to see.
const KEPT: &str = ".kept";
/// The file beside the segments that says whose they are.
const IDENTITY: &str = "identity.json";
/// A history is a line for each promotion.
const LONGEST_HISTORY: u64 = 16 << 20;

impl Spool {
    /// The spool in `directory`, if one was begun there.
    pub(super) fn open(directory: &Path) -> Result<Option<Spool>, CaptureError> {
        let path = directory.join(IDENTITY);
        if !files::exists(&path).map_err(failure::file)? {
            return Ok(None);
        }
        let json = files::read(&path, 1 << 12).map_err(failure::file)?;
        // What cannot be understood is begun anew: it holds nothing but what the server or the vaults have.
        let identity: Option<Identity> = serde_json::from_slice(&json).ok();
        Ok(identity.and_then(|identity| Spool::of(directory, identity)))
    }

    /// Begins a spool of this server in `directory`, or goes on with it.
    pub(super) fn begin(directory: &Path, identity: Identity) -> Result<Spool, CaptureError> {
        let spool = Spool::of(directory, identity).ok_or_else(|| {
            failure::unreadable(
                directory,
                format!("segments of {} bytes are unknown", identity.segment_size),
                "ask the server for its wal_segment_size",
            )
        })?;
        files::create_dir_all(directory, files::PRIVATE_DIR).map_err(failure::file)?;
        if Spool::open(directory)?.is_some_and(|there| there.identity == identity) {
            return Ok(spool);
        }
        spool.clear()?;
        let json = serde_json::to_vec(&identity).unwrap_or_default();
        files::write_atomic(directory.join(IDENTITY), &json, 0o600).map_err(failure::file)?;
        Ok(spool)
    }

    fn of(directory: &Path, identity: Identity) -> Option<Spool> {
        Some(Spool {
            directory: directory.to_path_buf(),
            size: SegmentSize::new(identity.segment_size)?,
            identity,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn size(&self) -> SegmentSize {
        self.size
    }

    /// Where the segment that holds `lsn` begins.
    pub(super) fn start_of(&self, lsn: Lsn) -> Lsn {
        Lsn(lsn.0 - u64::from(self.size.offset(lsn)))
    }

    /// The segments, in the order of their places; at one place the older timeline first.
    pub(super) fn segments(&self) -> Result<Vec<Held>, CaptureError> {
        let mut out: Vec<Held> = self.names()?.into_iter().filter_map(held).collect();
        out.sort_unstable();
        Ok(out)
    }

    /// The newest timelines first: those whose histories are here.
    pub(super) fn timelines(&self) -> Result<Vec<u32>, CaptureError> {
        let mut out: Vec<u32> = self
            .names()?
            .into_iter()
            .filter_map(|name| match name {
                WalFileName::History { timeline } => Some(timeline.number()),
                _ => None,
            })
            .collect();
        out.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
        Ok(out)
    }

    /// The `.history` file of a timeline, and what it says; nothing if it is not here.
    pub(super) fn history(&self, number: u32) -> Result<Option<(Vec<u8>, History)>, CaptureError> {
        let Some(timeline) = Timeline::new(number) else {
            return Ok(None);
        };
        let name = WalFileName::History { timeline }.name(self.size);
        let path = self.directory.join(name);
        if !files::exists(&path).map_err(failure::file)? {
            return Ok(None);
        }
        let bytes = files::read(&path, LONGEST_HISTORY).map_err(failure::file)?;
        let history = History::parse(timeline, &bytes).map_err(|e| {
            failure::unreadable(
                &path,
                e.to_string(),
                "remove it; the receiver fetches it once more",
            )
        })?;
        Ok(Some((bytes, history)))
    }

    /// The segment of a timeline as the receiver writes it, opened, and whether it is whole; nothing if it is not here.
    pub(super) fn open_segment(
        &self,
        timeline: Timeline,
        segment: u64,
    ) -> Result<Option<(std::fs::File, bool)>, CaptureError> {
        self.first_of(timeline, segment, "")
    }

    fn first_of(
        &self,
        timeline: Timeline,
        segment: u64,
        suffix: &str,
    ) -> Result<Option<(std::fs::File, bool)>, CaptureError> {
        let whole = WalFileName::Segment { timeline, segment }.name(self.size);
        let part = WalFileName::Partial { timeline, segment }.name(self.size);
        // It may be renamed from the one to the other while we look.
        for (name, complete) in [(&whole, true), (&part, false), (&whole, true)] {
            let path = self.directory.join(format!("{name}{suffix}"));
            match files::open_read(&path) {
                Ok(file) if complete && is_hole(&file, &path)? => {}
                Ok(file) => return Ok(Some((file, complete))),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(failure::file(error)),
            }
        }
        Ok(None)
    }

    /// The bytes of a timeline between two places, all of which must be here.
    pub(super) fn read(
        &self,
        timeline: Timeline,
        from: Lsn,
        to: Lsn,
    ) -> Result<Vec<u8>, CaptureError> {
        let mut out = Vec::with_capacity(usize::try_from(to.0.saturating_sub(from.0)).unwrap_or(0));
        let mut at = from;
        while at < to {
            let segment = self.size.segment_of(at);
            let name = WalFileName::Segment { timeline, segment }.name(self.size);
            // What was shipped of a segment that was set aside was verified before that.
            let found = match self.first_of(timeline, segment, "")? {
                None => self.first_of(timeline, segment, KEPT)?,
                found => found,
            };
            let Some((mut file, _)) = found else {
                return Err(self.lacks(&name, at));
            };
            let end = Lsn(self.start_of(at).0 + u64::from(self.size.bytes())).min(to);
            let place = || self.directory.join(&name).display().to_string();
            let failed = |e| CaptureError::io("read", place(), e);
            let before = out.len() as u64;
            file.seek(SeekFrom::Start(u64::from(self.size.offset(at))))
                .map_err(failed)?;
            file.take(end.0 - at.0)
                .read_to_end(&mut out)
                .map_err(failed)?;
            if out.len() as u64 - before != end.0 - at.0 {
                return Err(self.lacks(&name, at));
            }
            at = end;
        }
        Ok(out)
    }

    /// Whether the receiver can go on by itself after what is here: the segment that is wanted is here, and every one
    /// from there to the newest.
    pub(super) fn goes_on_from(&self, timeline: u32, segment: u64) -> Result<bool, CaptureError> {
        let held = self.segments()?;
        let mut next = segment;
        for one in held.iter().filter(|one| one.segment >= segment) {
            if one.segment > next {
                return Ok(false);
            }
            next = one.segment + 1;
        }
        let wanted = |one: &Held| one.segment == segment && one.timeline == timeline;
        // After a whole segment it goes on with the next one by itself.
        let before =
            |one: &Held| one.segment + 1 == segment && one.timeline == timeline && one.complete;
        Ok(held.iter().any(wanted) || held.last().is_some_and(before))
    }

    /// Makes the receiver begin at this segment: it goes on after the newest whole segment that it finds, whatever is in
    /// that. What is here can still be read, but the receiver does not see it any more.
    pub(super) fn begin_at(&self, timeline: Timeline, segment: u64) -> Result<(), CaptureError> {
        self.set_aside()?;
        let Some(before) = segment.checked_sub(1) else {
            return Ok(());
        };
        let name = WalFileName::Segment {
            timeline,
            segment: before,
        }
        .name(self.size);
        let path = self.directory.join(name);
        let file = files::create_new(&path, 0o600).map_err(failure::file)?;
        // A hole: it takes no space.
        file.set_len(u64::from(self.size.bytes()))
            .map_err(|e| CaptureError::io("make", path.display().to_string(), e))
    }

    /// Removes what lies wholly before this place, but never the newest segment, after which the receiver goes on.
    pub(super) fn release(&self, timeline: u32, before: Lsn) -> Result<(), CaptureError> {
        let held = self.segments()?;
        let Some((_, older)) = held.split_last() else {
            return Ok(());
        };
        let first = self.size.segment_of(before);
        for one in older {
            let passed = one.timeline == timeline && one.complete && one.segment < first;
            let left = one.timeline < timeline && one.segment <= first;
            if passed || left {
                self.remove(one, "")?;
            }
        }
        for one in self.kept()? {
            let passed = one.timeline == timeline && one.segment < first;
            if passed || (one.timeline < timeline && one.segment <= first) {
                self.remove(&one, KEPT)?;
            }
        }
        Ok(())
    }

    /// Bytes of segments that are here.
    pub(super) fn bytes(&self) -> Result<u64, CaptureError> {
        Ok(self.segments()?.len() as u64 * u64::from(self.size.bytes()))
    }

    fn set_aside(&self) -> Result<(), CaptureError> {
        for one in self.segments()? {
            let Some(name) = self.name_of(&one) else {
                continue;
            };
            let path = self.directory.join(&name);
            let file = files::open_read(&path).map_err(failure::file)?;
            if is_hole(&file, &path)? {
                files::remove_file(&path).map_err(failure::file)?;
            } else {
                let kept = self.directory.join(format!("{name}{KEPT}"));
                files::rename(&path, kept).map_err(failure::file)?;
            }
        }
        Ok(())
    }

    /// What was set aside.
    fn kept(&self) -> Result<Vec<Held>, CaptureError> {
        let listed = self.listed()?;
        let parse = |name: OsString| {
            let name = name.to_str()?.strip_suffix(KEPT)?;
            held(WalFileName::parse(name, self.size)?)
        };
        Ok(listed.into_iter().filter_map(parse).collect())
    }

    fn name_of(&self, one: &Held) -> Option<String> {
        let (timeline, segment) = (Timeline::new(one.timeline)?, one.segment);
        let name = match one.complete {
            true => WalFileName::Segment { timeline, segment },
            false => WalFileName::Partial { timeline, segment },
        };
        Some(name.name(self.size))
    }

    /// Everything goes, histories too: it is another server's.
    fn clear(&self) -> Result<(), CaptureError> {
        for name in self.listed()? {
            files::remove_tree(self.directory.join(name)).map_err(failure::file)?;
        }
        Ok(())
    }

    fn remove(&self, one: &Held, suffix: &str) -> Result<(), CaptureError> {
        let Some(name) = self.name_of(one) else {
            return Ok(());
        };
        match files::remove_file(self.directory.join(format!("{name}{suffix}"))) {
            Err(error) if !error.is_not_found() => Err(failure::file(error)),
            _ => Ok(()),
        }
    }

    fn names(&self) -> Result<Vec<WalFileName>, CaptureError> {
        let listed = self.listed()?;
        let parse = |name: OsString| WalFileName::parse(name.to_str()?, self.size);
        Ok(listed.into_iter().filter_map(parse).collect())
    }

    fn listed(&self) -> Result<Vec<OsString>, CaptureError> {
        files::list_dir(&self.directory).map_err(failure::file)
    }

    fn lacks(&self, name: &str, at: Lsn) -> CaptureError {
        failure::unreadable(
            &self.directory,
            format!("{name} does not hold the log at {at} any more"),
            "nothing but Vouchsafe may change the spool",
        )
    }
}

fn held(name: WalFileName) -> Option<Held> {
    let (timeline, segment, complete) = match name {
        WalFileName::Segment { timeline, segment } => (timeline, segment, true),
        WalFileName::Partial { timeline, segment } => (timeline, segment, false),
        _ => return None,
    };
    Some(Held {
        segment,
        timeline: timeline.number(),
        complete,
    })
}

/// Whether it only names the place at which the receiver is to begin: a page of a log never begins with zeros.
fn is_hole(file: &std::fs::File, path: &Path) -> Result<bool, CaptureError> {
    let failed = |e| CaptureError::io("read", path.display().to_string(), e);
    let mut file = file;
    let mut magic = [0; 2];
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let count = file.read(&mut magic).map_err(failed)?;
    Ok(count < magic.len() || magic == [0; 2])
}
