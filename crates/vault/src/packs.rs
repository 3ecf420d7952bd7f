//! Looking at packs: whether they are there, have their size, and hold what the index says.

use std::collections::{BTreeSet, HashMap};

use vouchsafe_format::{Id, MasterKey, PackedBlob, header_length, open_blob, pack, parse_header};
use vouchsafe_model::Issue;
use vouchsafe_store::StoreError;

use crate::error::{Damage, RepoError};
use crate::index::ById;
use crate::machine::ObjectKind;
use crate::objects::{Objects, show};
use crate::repository::{Repository, in_words};

/// Lengths of all packs, as a listing shows them.
pub(crate) type PackSizes = HashMap<Id, u64, ById>;

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

fn parse_tail(key: &MasterKey, tail: &[u8], size: u64) -> Result<Vec<PackedBlob>, Damage> {
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
