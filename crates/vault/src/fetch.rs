//! Fetching blobs: single ones, and many in the order of their packs.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use vouchsafe_capture::{CaptureError, ContentSink};
use vouchsafe_format::{
    BlobError, BlobKind, Id, MasterKey, Node, Opener, Sealed, count_together, open_blob,
};
use vouchsafe_model::Issue;
use vouchsafe_store::StoreError;

use crate::index::{BlobIndex, IndexFileError, Place};
use crate::machine::ObjectKind;
use crate::objects::{Objects, show};
use crate::parallel;
use crate::repository::in_words;

/// Reads blobs of one repository, each re-hashed before it is handed out.
pub(crate) struct Blobs {
    pub(crate) objects: Objects,
    pub(crate) key: MasterKey,
    pub(crate) index: Arc<BlobIndex>,
    pub(crate) threads: usize,
}

/// Why a blob cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlobProblem {
    #[error("no index lists the blob {id}")]
    NotListed { id: Id },
    #[error("{pack}: {source}")]
    Damaged { pack: String, source: BlobError },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    IndexFile(#[from] IndexFileError),
}

impl Blobs {
    /// A blob's plaintext, from whichever place has it unharmed.
    pub(crate) fn read(&self, kind: BlobKind, id: &Id) -> Result<Vec<u8>, BlobProblem> {
        let mut problem = None;
        for place in self.index.places(kind, id) {
            let sealed =
                self.objects
                    .get_range(&place.pack, place.offset.into(), place.length.into());
            match sealed
                .map_err(BlobProblem::from)
                .and_then(|sealed| self.open(id, &place, &sealed))
            {
                Ok(plaintext) => return Ok(plaintext),
                Err(error) => problem = Some(error),
            }
        }
        Err(problem.unwrap_or_else(|| self.not_listed(id)))
    }

    fn not_listed(&self, id: &Id) -> BlobProblem {
        match self.index.trouble() {
            Some(trouble) => trouble.into(),
            None => BlobProblem::NotListed { id: *id },
        }
    }

    /// Fetches the contents of files: see [`vouchsafe_capture::PointReader::fetch`].
    pub(crate) fn fetch(&self, files: &[Node], out: &dyn ContentSink) -> Result<(), CaptureError> {
        let progress: Vec<FileProgress> = files.iter().map(FileProgress::new).collect();
        let mut uses = Vec::new();
        for (file, node) in files.iter().enumerate() {
            let content = node.content.as_deref().unwrap_or_default();
            if content.is_empty() {
                out.finished(file)?;
            }
            self.add_uses(file, node, content, &progress, &mut uses, out);
            if uses.len() >= BATCH {
                self.fetch_batch(std::mem::take(&mut uses), files, &progress, out)?;
            }
        }
        self.fetch_batch(uses, files, &progress, out)
    }

    fn add_uses(
        &self,
        file: usize,
        node: &Node,
        content: &[Id],
        progress: &[FileProgress],
        uses: &mut Vec<Use>,
        out: &dyn ContentSink,
    ) {
        let before = uses.len();
        let mut at = 0;
        for id in content {
            let Some(place) = self.index.place(BlobKind::Data, id) else {
                uses.truncate(before);
                give_up(file, node, &self.not_listed(id), progress, out);
                return;
            };
            uses.push(Use {
                place,
                id: *id,
                file,
                at,
            });
            at += place.plain_length();
        }
    }

    fn fetch_batch(
        &self,
        mut uses: Vec<Use>,
        files: &[Node],
        progress: &[FileProgress],
        out: &dyn ContentSink,
    ) -> Result<(), CaptureError> {
        uses.sort_unstable_by_key(|u| (u.place.number, u.place.offset));
        let failure = Mutex::new(None);
        let openers = Mutex::new(Vec::new());
        let runs = runs(&uses);
        let all = parallel::each(&runs, self.threads, &self.objects.env().interrupt, |run| {
            let shelf = || openers.lock().unwrap_or_else(PoisonError::into_inner);
            let mut opener = shelf().pop().unwrap_or_default();
            let fetched = self.fetch_run(run, files, progress, &mut opener, out);
            shelf().push(opener);
            let Err(error) = fetched else { return true };
            {
                failure
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(error);
                false
            }
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None if all => Ok(()),
            None => Err(CaptureError::Interrupted),
        }
    }

    fn fetch_run(
        &self,
        run: &[Use],
        files: &[Node],
        progress: &[FileProgress],
        opener: &mut Opener,
        out: &dyn ContentSink,
    ) -> Result<(), CaptureError> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return Ok(());
        };
        let start = first.place.offset;
        let length = u64::from(last.place.offset - start) + u64::from(last.place.length);
        // What cannot be read in one go is tried blob by blob below.
        let mut bytes = self
            .objects
            .get_range(&first.place.pack, start.into(), length)
            .ok();
        let wanted: Vec<&[Use]> = run
            .chunk_by(|a, b| a.place.offset == b.place.offset)
            .filter(|same| {
                let has_failed =
                    |u: &Use| progress.get(u.file).is_none_or(FileProgress::has_failed);
                !same.iter().all(has_failed)
            })
            .collect();
        let mut rest = wanted.as_slice();
        while !rest.is_empty() {
            let lengths = rest.iter().filter_map(|same| same.first());
            let count =
                count_together(lengths.map(|u| (u.place.length, u.place.uncompressed_length)));
            let (together, after) = rest.split_at(count.min(rest.len()));
            rest = after;
            let sealed = bytes.as_mut().and_then(|bytes| cut(bytes, start, together));
            let opened = opener.open_each(&self.key, sealed.unwrap_or_default(), None);
            let mut opened = opened.into_iter().map(Result::ok);
            for same in together {
                let opened = opened.next().flatten();
                self.hand_out_each(same, opened, files, progress, out)?;
            }
        }
        Ok(())
    }

    /// Hands a blob to all places that want it: as it was opened, or else from any place that has it unharmed.
    fn hand_out_each(
        &self,
        same: &[Use],
        opened: Option<&[u8]>,
        files: &[Node],
        progress: &[FileProgress],
        out: &dyn ContentSink,
    ) -> Result<(), CaptureError> {
        let Some(Use { id, .. }) = same.first() else {
            return Ok(());
        };
        let plaintext = match opened {
            Some(plaintext) => Ok(Cow::Borrowed(plaintext)),
            None => self.read(BlobKind::Data, id).map(Cow::Owned),
        };
        for used in same {
            match (&plaintext, files.get(used.file)) {
                (Ok(plaintext), _) => hand_out(used, plaintext, progress, out)?,
                (Err(problem), Some(node)) => give_up(used.file, node, problem, progress, out),
                (Err(_), None) => {}
            }
        }
        Ok(())
    }

    fn open(&self, id: &Id, place: &Place, sealed: &[u8]) -> Result<Vec<u8>, BlobProblem> {
        open_blob(&self.key, sealed, place.uncompressed_length, *id).map_err(|source| {
            BlobProblem::Damaged {
                pack: show(ObjectKind::Pack, &place.pack),
                source,
            }
        })
    }
}

/// The sealed bytes of each blob, if none of them overlap. `bytes` begin at `start` of the pack.
fn cut<'a>(bytes: &'a mut [u8], start: u32, blobs: &[&[Use]]) -> Option<Vec<Sealed<'a>>> {
    let (mut rest, mut at) = (bytes, start);
    let each = blobs.iter().map(|same| {
        let Use { place, id, .. } = same.first()?;
        let skipped = place.offset.checked_sub(at)? as usize;
        let from = std::mem::take(&mut rest).get_mut(skipped..)?;
        let (bytes, after) = from.split_at_mut_checked(place.length as usize)?;
        (rest, at) = (after, place.offset.checked_add(place.length)?);
        Some(Sealed {
            id: *id,
            bytes,
            uncompressed_length: place.uncompressed_length,
        })
    });
    each.collect()
}

/// A blob at one place of one file.
#[derive(Clone, Debug)]
struct Use {
    place: Place,
    id: Id,
    file: usize,
    at: u64,
}

struct FileProgress {
    missing: AtomicU32,
    /// Held for reading while bytes are handed out, so that nothing comes after a failure was told.
    failed: RwLock<bool>,
}

impl FileProgress {
    fn new(node: &Node) -> FileProgress {
        let blobs = node.content.as_ref().map_or(0, Vec::len);
        FileProgress {
            missing: AtomicU32::new(u32::try_from(blobs).unwrap_or(u32::MAX)),
            failed: RwLock::new(false),
        }
    }

    fn has_failed(&self) -> bool {
        *self.failed.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hand_out(
    used: &Use,
    plaintext: &[u8],
    progress: &[FileProgress],
    out: &dyn ContentSink,
) -> Result<(), CaptureError> {
    let Some(file) = progress.get(used.file) else {
        return Ok(());
    };
    let failed = file.failed.read().unwrap_or_else(PoisonError::into_inner);
    if *failed {
        return Ok(());
    }
    out.write(used.file, used.at, plaintext)?;
    // The one who brings the last blob tells that the file is whole; a failed file never gets there.
    if file.missing.fetch_sub(1, Ordering::SeqCst) == 1 {
        out.finished(used.file)?;
    }
    Ok(())
}

fn give_up(
    file: usize,
    node: &Node,
    problem: &BlobProblem,
    progress: &[FileProgress],
    out: &dyn ContentSink,
) {
    let Some(given_up) = progress.get(file) else {
        return;
    };
    let mut failed = given_up
        .failed
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    if !std::mem::replace(&mut *failed, true) {
        let place = String::from_utf8_lossy(&node.name).into_owned();
        let message = in_words(problem);
        out.failed(file, Issue { place, message });
    }
}

/// Blobs planned at once.
const BATCH: usize = 100_000;
/// Bytes of one read that holds several blobs.
const RUN_BYTES: u64 = 4 << 20;
/// Unwanted bytes between two blobs that are read rather than skipped.
const GAP: u32 = 64 << 10;

/// Parts that are read at once: neighbours in one pack.
fn runs(uses: &[Use]) -> Vec<&[Use]> {
    let mut out = Vec::new();
    let mut rest = uses;
    while let Some(first) = rest.first() {
        let mut end = first.place.offset.saturating_add(first.place.length);
        let mut count = 0;
        for used in rest {
            let place = &used.place;
            let stop = place.offset.saturating_add(place.length);
            let near =
                place.number == first.place.number && place.offset.saturating_sub(end) <= GAP;
            let small = u64::from(stop.saturating_sub(first.place.offset)) <= RUN_BYTES;
            if count > 0 && !(near && (small || stop <= end)) {
                break;
            }
            end = end.max(stop);
            count += 1;
        }
        let (run, after) = rest.split_at(count);
        out.push(run);
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(number: u32, offset: u32, length: u32) -> Use {
        let place = Place {
            pack: Id::of(b"p"),
            number,
            offset,
            length,
            uncompressed_length: None,
        };
        Use {
            place,
            id: Id::of(b"b"),
            file: 0,
            at: 0,
        }
    }

    #[test]
    fn overlapping_blobs_are_not_cut() {
        let mut bytes: Vec<u8> = (0..100).collect();
        let [first, second, third] = [used(0, 1000, 10), used(0, 1020, 30), used(0, 1049, 1)];
        let each = [[first].as_slice().to_vec(), vec![second], vec![third]];
        let [first, second, third] = [&each[0][..], &each[1], &each[2]];
        let cut_of = |bytes: &mut [u8], blobs: &[&[Use]]| {
            let sealed = cut(bytes, 1000, blobs)?;
            Some(
                sealed
                    .iter()
                    .map(|blob| blob.bytes.to_vec())
                    .collect::<Vec<_>>(),
            )
        };
        let whole = cut_of(&mut bytes, &[first, second]).unwrap();
        assert_eq!(whole, [(0..10).collect(), (20..50).collect::<Vec<u8>>()]);
        assert!(cut_of(&mut bytes, &[second, third]).is_none());
        assert!(cut_of(&mut bytes, &[second, first]).is_none());
        assert!(cut_of(&mut bytes[..40], &[first, second]).is_none());
    }

    #[test]
    fn neighbours_are_read_together() {
        let uses = [
            used(0, 0, 100),
            used(0, 100, 100),
            used(0, 100, 100),
            used(0, 200 + GAP + 1, 100),
            used(1, 0, 6 << 20),
            used(1, 0, 6 << 20),
            used(1, 6 << 20, 100),
            used(2, 0, 100),
        ];
        let counts: Vec<usize> = runs(&uses).iter().map(|run| run.len()).collect();
        assert_eq!(counts, [3, 1, 2, 1, 1]);
    }
}
