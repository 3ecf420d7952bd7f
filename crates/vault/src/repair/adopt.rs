//! Packs that interrupted work has left: stored, but listed by no index.

use vouchsafe_capture::Progress;
use vouchsafe_format::{Id, IndexPack};
use vouchsafe_model::Issue;

use super::RepairError;
use super::writer::{stop_if_asked, write_indexes};
use crate::index::ListedPack;
use crate::lock::LockGuard;
use crate::machine::ObjectKind;
use crate::objects::show;
use crate::packs::{PackReader, PackVerdict, pack_issue, read_header};
use crate::repository::{Repository, issue};

/// What was found of interrupted work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Packs that are listed now.
    pub packs: Vec<Id>,
    /// Bytes of these, all of which were read back.
    pub bytes: u64,
    /// Packs whose blobs are all listed already. They are left for a prune.
    pub superfluous: Vec<Id>,
    /// Packs that are torn or cannot be read. They are left as they are.
    pub unusable: Vec<Issue>,
}

impl Repository {
    /// Lists packs that no index lists, so that what they hold need not be stored again. Each is read back as a whole
    /// first: nothing that is counted on is unread.
    ///
    /// Any lock will do: nothing is removed. Packs of a backup that is under way elsewhere may be among them; listed
    /// twice they do no harm.
    ///
    /// # Errors
    /// [`RepairError`]; then nothing was listed.
    pub fn adopt_packs(
        &self,
        lock: &LockGuard,
        progress: &dyn Progress,
    ) -> Result<Adopted, RepairError> {
        let (index, _) = self.fresh_index()?;
        let mut unlisted: Vec<(Id, u64)> = self
            .pack_sizes()?
            .into_iter()
            .filter(|(id, _)| index.pack_number(id).is_none())
            .collect();
        super::packs::require_sure(&index)?;
        unlisted.sort_unstable();
        let bytes = unlisted.iter().map(|(_, bytes)| bytes).sum();
        progress.phase("unlisted packs", Some(unlisted.len() as u64), Some(bytes));
        let mut out = Adopted::default();
        let mut listed = Vec::new();
        let mut reader = PackReader::new(self);
        for (id, bytes) in unlisted {
            stop_if_asked(self)?;
            progress.advance(1, bytes);
            let blobs = match read_header(&self.objects, &self.key, &id, bytes) {
                Ok(Ok(blobs)) => blobs,
                Ok(Err(damage)) => {
                    out.unusable.push(pack_issue(&id, &damage));
                    continue;
                }
                Err(error) => {
                    out.unusable
                        .push(issue(show(ObjectKind::Pack, &id), &error));
                    continue;
                }
            };
            if blobs.iter().all(|blob| index.contains(blob.kind, &blob.id)) {
                out.superfluous.push(id);
                continue;
            }
            let pack = ListedPack { id, bytes, blobs };
            match reader.verdict(&pack, false) {
                PackVerdict::Whole => {
                    out.packs.push(id);
                    out.bytes += bytes;
                    listed.push(IndexPack {
                        id,
                        blobs: pack.blobs,
                    });
                }
                PackVerdict::Damaged(damage) => {
                    let issues = damage.iter().map(|damage| pack_issue(&id, damage));
                    out.unusable.extend(issues);
                }
                PackVerdict::Unreadable(error) => {
                    out.unusable
                        .push(issue(show(ObjectKind::Pack, &id), &error));
                }
            }
        }
        write_indexes(self, lock, listed)?;
        Ok(out)
    }
}
