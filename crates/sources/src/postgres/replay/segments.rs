//! A log written out as the files that a recovery asks for.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use vouchsafe_capture::CaptureError;
use vouchsafe_host::files;
use vouchsafe_translog::wal::{History, Lsn, SegmentSize, Timeline, WalFileName};

use crate::failure;

/// Writes a log, byte after byte, into files of one segment each.
pub(super) struct Segments {
    dir: PathBuf,
    size: SegmentSize,
    history: History,
    /// The segment that is being written.
    open: Option<(u64, File)>,
    /// Those that are there.
    first: u64,
    next: Lsn,
}

impl Segments {
    /// Begins with the segment that starts at `from`.
    pub(super) fn new(dir: &Path, size: SegmentSize, history: History, from: Lsn) -> Segments {
        Segments {
            dir: dir.to_path_buf(),
            size,
            history,
            open: None,
            first: size.segment_of(from),
            next: from,
        }
    }

    /// Writes what comes next.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), CaptureError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let segment = self.size.segment_of(self.next);
            let room = self.size.bytes() - self.size.offset(self.next);
            let (now, later) = rest.split_at(rest.len().min(room as usize));
            let path = self.path(segment);
            let file = match &mut self.open {
                Some((number, file)) if *number == segment => file,
                open => {
                    let file = files::create_new(&path, 0o600).map_err(failure::file)?;
                    &mut open.insert((segment, file)).1
                }
            };
            file.write_all(now)
                .map_err(|e| CaptureError::io("write", path.display().to_string(), e))?;
            self.next = self.next.plus(now.len() as u64);
            rest = later;
        }
        Ok(())
    }

    /// Takes away everything from `end` on, and fills the last file up with zeros. A recovery on `timeline` finds its
    /// last file by that timeline's name, though another one may begin in the same segment.
    pub(super) fn finish(mut self, end: Lsn, timeline: Timeline) -> Result<(), CaptureError> {
        self.open = None;
        let last = self.size.segment_of(Lsn(end.0.saturating_sub(1)));
        let written = self.size.segment_of(Lsn(self.next.0.saturating_sub(1)));
        for segment in last.saturating_add(1)..=written {
            files::remove_file(self.path(segment)).map_err(failure::file)?;
        }
        if last < self.first {
            return Ok(());
        }
        let path = self.path(last);
        let file = files::open_append(&path, 0o600).map_err(failure::file)?;
        let offset = match self.size.offset(end) {
            0 => self.size.bytes(),
            offset => offset,
        };
        file.set_len(offset.into())
            .and_then(|()| file.set_len(self.size.bytes().into()))
            .map_err(|e| CaptureError::io("cut", path.display().to_string(), e))?;
        if timeline < self.history.file_of(last, self.size) {
            let segment = last;
            let name = WalFileName::Segment { timeline, segment }.name(self.size);
            files::rename(&path, self.dir.join(name)).map_err(failure::file)?;
        }
        Ok(())
    }

    fn path(&self, segment: u64) -> PathBuf {
        let timeline = self.history.file_of(segment, self.size);
        let name = WalFileName::Segment { timeline, segment };
        self.dir.join(name.name(self.size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 1 << 20;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = files::list_dir(dir)
            .unwrap()
            .into_iter()
            .map(|name| name.into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_cut_at_the_end_and_filled_up() {
        let dir = files::temp_dir("segments-").unwrap();
        let size = SegmentSize::new(SIZE as u32).unwrap();
        let history = History::parse(Timeline::new(2).unwrap(), b"1\t0/280000\tx\n").unwrap();
        let from = Lsn(SIZE);
        let written = |end: u64, timeline: u32| {
            let place = dir.path().join(format!("{end}-{timeline}"));
            files::create_dir(&place, 0o700).unwrap();
            let mut segments = Segments::new(&place, size, history.clone(), from);
            for _ in 0..7 {
                segments.write(&vec![7; SIZE as usize / 2]).unwrap();
            }
            let timeline = Timeline::new(timeline).unwrap();
            segments.finish(Lsn(end), timeline).unwrap();
            place
        };
        let whole = written(SIZE * 4, 2);
        let expected = [
            "000000010000000000000001",
            "000000020000000000000002",
            "000000020000000000000003",
        ];
        assert_eq!(names(&whole), expected);
        let cut = written(SIZE * 2 + 10, 1);
        let expected = ["000000010000000000000001", "000000010000000000000002"];
        assert_eq!(names(&cut), expected);
        let bytes = files::read(cut.join("000000010000000000000002"), SIZE).unwrap();
        assert_eq!(bytes.len() as u64, SIZE);
        assert_eq!(bytes.iter().filter(|byte| **byte == 7).count(), 10);
        let at_an_end = written(SIZE * 2, 1);
        assert_eq!(names(&at_an_end), ["000000010000000000000001"]);
    }
}
