//! Looking at packs: whether they are there, have their size, and hold what the index says.

use std::collections::{BTreeSet, HashMap};

use vouchsafe_format::{
    Id, IdBuilder, MasterKey, Opener, PackedBlob, Sealed, count_together, header_length, open_blob,
    pack, parse_header,
};
use vouchsafe_model::Issue;
use vouchsafe_store::StoreError;

use crate::error::{Damage, RepoError};
use crate::index::{BlobIndex, ById, ListedPack};
use crate::machine::ObjectKind;
use crate::objects::{Objects, key_of, show};
use crate::repository::{Repository, in_words};

/// Lengths of all packs, as a listing shows them.
pub(crate) type PackSizes = HashMap<Id, u64, ById>;

/// A pack that an index lists, without its blobs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackRef {
    /// Its number in the index.
    pub(crate) number: u32,
    pub(crate) id: Id,
    /// Bytes that it must have.
    pub(crate) bytes: u64,
}

/// All packs that an index lists.
pub(crate) fn pack_refs(index: &BlobIndex) -> Vec<PackRef> {
    (0..)
        .zip(index.packs())
        .map(|(number, (id, bytes))| PackRef { number, id, bytes })
        .collect()
}

/// What reading a whole pack has shown.
#[derive(Debug)]
pub(crate) enum PackVerdict {
    /// Its name, its header and every blob are right.
    Whole,
    /// What is wrong with it.
    Damaged(Vec<Damage>),
    /// The store did not give it, which says nothing of the pack.
    Unreadable(StoreError),
}

/// Reads one whole pack after the other with the same memory.
pub(crate) struct PackReader<'r> {
    objects: &'r Objects,
    key: &'r MasterKey,
    bytes: Vec<u8>,
    opener: Opener,
}

impl<'r> PackReader<'r> {
    pub(crate) fn new(repository: &'r Repository) -> PackReader<'r> {
        PackReader {
            objects: &repository.objects,
            key: &repository.key,
            bytes: Vec::new(),
            opener: Opener::new(),
        }
    }

    /// Fetches a pack and looks at every byte of it.
    ///
    /// A pack of which it is known that it once had the digest that it is named after need not be hashed for that
    /// again: header and blobs are authenticated and together are all of it, and each blob is hashed for its own id.
    pub(crate) fn verdict(&mut self, pack: &ListedPack, is_name_known: bool) -> PackVerdict {
        let read = key_of(ObjectKind::Pack, &pack.id)
            .and_then(|key| self.objects.get_into(&key, pack.bytes, &mut self.bytes));
        let damage = match read {
            Ok(()) => self.damage(pack, is_name_known),
            Err(StoreError::TooLong { most, .. }) => match self.longer(&pack.id) {
                Ok(Some(found)) if found > most => vec![Damage::Size {
                    expected: most,
                    found,
                }],
                Ok(_) => vec![Damage::TooLong { most }],
                Err(error) => return PackVerdict::Unreadable(error),
            },
            Err(error) if error.is_not_found() => vec![Damage::Missing],
            Err(error) => return PackVerdict::Unreadable(error),
        };
        if damage.is_empty() {
            PackVerdict::Whole
        } else {
            PackVerdict::Damaged(damage)
        }
    }

    /// How long the store says that it is.
    fn longer(&self, pack: &Id) -> Result<Option<u64>, StoreError> {
        self.objects.size(ObjectKind::Pack, pack)
    }

    fn damage(&mut self, pack: &ListedPack, is_name_known: bool) -> Vec<Damage> {
        let found = self.bytes.len() as u64;
        if found != pack.bytes {
            let expected = pack.bytes;
            return vec![Damage::Size { expected, found }];
        }
        let is_regular = compare_header(self.key, &self.bytes, found, &pack.blobs).is_ok()
            && are_back_to_back(&pack.blobs);
        if is_regular {
            self.open_in_place(pack, is_name_known)
        } else {
            whole_pack_damage(self.key, &pack.id, &self.bytes, &pack.blobs)
        }
    }

    /// Blobs are opened where they lie, some at a time. Each piece is hashed for the pack's name before that, beside the
    /// plaintexts of the blobs before it.
    fn open_in_place(&mut self, pack: &ListedPack, is_name_known: bool) -> Vec<Damage> {
        let mut damage = Vec::new();
        let mut rest = self.bytes.as_mut_slice();
        let (mut blobs, mut later) = first_together(&pack.blobs);
        let mut name = None;
        if !is_name_known {
            let first = rest.get(..length_of(blobs)).unwrap_or_default();
            name.insert(IdBuilder::default()).update(first);
        }
        while !blobs.is_empty() {
            let (next, after_next) = first_together(later);
            let mut sealed = Vec::with_capacity(blobs.len());
            for blob in blobs {
                let length = blob.length as usize;
                let Some((bytes, after)) = std::mem::take(&mut rest).split_at_mut_checked(length)
                else {
                    return vec![Damage::HeaderAndIndex];
                };
                sealed.push(Sealed {
                    id: blob.id,
                    bytes,
                    uncompressed_length: blob.uncompressed_length,
                });
                rest = after;
            }
            let ahead = match next {
                [] => &*rest,
                next => rest.get(..length_of(next)).unwrap_or_default(),
            };
            let beside = name.as_mut().map(|name| (name, ahead));
            for opened in self.opener.open_each(self.key, sealed, beside) {
                damage.extend(opened.err().map(Damage::from));
            }
            (blobs, later) = (next, after_next);
        }
        if let Some(name) = name {
            let found = name.finish();
            if found != pack.id {
                damage.insert(0, Damage::Name { found });
            }
        }
        damage
    }
}

/// The blobs that are opened together next, and those after them.
fn first_together(blobs: &[PackedBlob]) -> (&[PackedBlob], &[PackedBlob]) {
    let lengths = blobs
        .iter()
        .map(|blob| (blob.length, blob.uncompressed_length));
    blobs.split_at(count_together(lengths).min(blobs.len()))
}

/// Sealed bytes of these.
fn length_of(blobs: &[PackedBlob]) -> usize {
    blobs.iter().map(|blob| blob.length as usize).sum()
}

fn are_back_to_back(blobs: &[PackedBlob]) -> bool {
    let mut end = 0;
    blobs.iter().all(|blob| {
        let follows = blob.offset == end;
        end = blob.offset.saturating_add(blob.length);
        follows
    })
}

impl Repository {
    pub(crate) fn pack_sizes(&self) -> Result<PackSizes, RepoError> {
        Ok(self.objects.list(ObjectKind::Pack)?.into_iter().collect())
    }

    /// Whether a pack is there with its size. A listing may be late: a pack that it does not show is asked for.
    pub(crate) fn pack_damage(
        &self,
        sizes: &PackSizes,
        pack: &Id,
        expected: u64,
    ) -> Result<Option<Damage>, RepoError> {
        let found = match sizes.get(pack) {
            Some(size) if *size == expected => return Ok(None),
            _ => self.objects.size(ObjectKind::Pack, pack)?,
        };
        Ok(match found {
            None => Some(Damage::Missing),
            Some(found) if found != expected => Some(Damage::Size { expected, found }),
            Some(_) => None,
        })
    }
}

/// The issue of a damaged pack.
pub(crate) fn pack_issue(pack: &Id, damage: &Damage) -> Issue {
    Issue {
        place: show(ObjectKind::Pack, pack),
        message: in_words(damage),
    }
}

/// Whether a pack's header, read from the store, lists the blobs that the index lists.
pub(crate) fn header_damage(
    objects: &Objects,
    key: &MasterKey,
    pack: &Id,
    size: u64,
    listed: &[PackedBlob],
) -> Result<Option<Damage>, StoreError> {
    let tail = header_tail(objects, pack, size)?;
    Ok(compare_header(key, &tail, size, listed).err())
}

/// The blobs that a pack's own header lists, or why it cannot be read.
pub(crate) fn read_header(
    objects: &Objects,
    key: &MasterKey,
    pack: &Id,
    size: u64,
) -> Result<Result<Vec<PackedBlob>, Damage>, StoreError> {
    let tail = header_tail(objects, pack, size)?;
    Ok(parse_tail(key, &tail, size))
}

/// The end of a pack, with all of its header if that has a length at all.
fn header_tail(objects: &Objects, pack: &Id, size: u64) -> Result<Vec<u8>, StoreError> {
    let eager = size.min(pack::EAGER_TAIL as u64);
    let tail = objects.get_range(pack, size - eager, eager)?;
    match missing_tail(&tail, size) {
        Some(longer) => objects.get_range(pack, size - longer, longer),
        None => Ok(tail),
    }
}

/// What is wrong with the bytes of a whole pack: its name, its header, each of its blobs.
pub(crate) fn whole_pack_damage(
    key: &MasterKey,
    pack: &Id,
    bytes: &[u8],
    listed: &[PackedBlob],
) -> Vec<Damage> {
    let mut damage = Vec::new();
    let found = Id::of(bytes);
    if found != *pack {
        damage.push(Damage::Name { found });
    }
    damage.extend(compare_header(key, bytes, bytes.len() as u64, listed).err());
    for blob in listed {
        let start = blob.offset as usize;
        let Some(sealed) = bytes.get(start..start.saturating_add(blob.length as usize)) else {
            damage.push(Damage::Size {
                expected: u64::from(blob.offset) + u64::from(blob.length),
                found: bytes.len() as u64,
            });
            continue;
        };
        damage.extend(
            open_blob(key, sealed, blob.uncompressed_length, blob.id)
                .err()
                .map(Damage::from),
        );
    }
    damage
}

/// The blobs that the header at the end of `tail` lists.
pub(crate) fn parse_tail(
    key: &MasterKey,
    tail: &[u8],
    size: u64,
) -> Result<Vec<PackedBlob>, Damage> {
    let (rest, last) = tail.split_last_chunk::<4>().ok_or(Damage::Size {
        expected: 4,
        found: size,
    })?;
    let length = header_length(*last, size)? as usize;
    let from = rest
        .len()
        .checked_sub(length)
        .ok_or(Damage::HeaderAndIndex)?;
    let header = rest.get(from..).unwrap_or_default();
    Ok(parse_header(key, header, size)?)
}

fn compare_header(
    key: &MasterKey,
    tail: &[u8],
    size: u64,
    listed: &[PackedBlob],
) -> Result<(), Damage> {
    let found = parse_tail(key, tail, size)?;
    let order = |blob: &PackedBlob| {
        (
            blob.offset,
            blob.id,
            blob.kind,
            blob.length,
            blob.uncompressed_length,
        )
    };
    let set = |blobs: &[PackedBlob]| blobs.iter().map(order).collect::<BTreeSet<_>>();
    if set(&found) == set(listed) {
        Ok(())
    } else {
        Err(Damage::HeaderAndIndex)
    }
}

/// How many bytes at the end are needed, if `tail` is too short for the header.
fn missing_tail(tail: &[u8], size: u64) -> Option<u64> {
    let last = tail.last_chunk::<4>()?;
    let needed = u64::from(header_length(*last, size).ok()?) + 4;
    (needed > tail.len() as u64).then_some(needed)
}
