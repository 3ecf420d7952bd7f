//! Deciding what becomes of each pack, from how much of it is needed. Pure.

use std::collections::BTreeMap;

use vouchsafe_format::{BlobKind, PackedBlob};

use super::mark::Marks;
use super::worklist::Why;
use crate::index::{BlobIndex, IndexFileError};

/// How much of one pack is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Blobs that are kept here, and their bytes.
    pub(super) used: (u64, u64),
    /// Blobs that are not, and their bytes; second copies among them.
    pub(super) unused: (u64, u64),
    /// Whether one of the unused must be erased.
    pub(super) erase: bool,
    /// Whether it is there with its size.
    pub(super) whole: bool,
    /// Whether an index file lists it; what none lists is not decided on here.
    pub(super) listed: bool,
    /// Holds trees, or data: small packs are merged with their like.
    pub(super) trees: bool,
}

/// What becomes of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Stays,
    Removed(Why),
    Repacked(Why),
}

/// How much of each pack is needed, by its number; and the entries that are kept, one for each needed blob.
///
/// `packs` tells of each pack whether it is whole and listed. Of a blob that lies in several packs one copy is kept:
/// in a whole pack before others, then where most else is needed.
pub(super) fn measure(
    index: &BlobIndex,
    needed: &Marks,
    erased: Option<&Marks>,
    mut packs: Vec<Usage>,
) -> Result<(Vec<Usage>, Marks), IndexFileError> {
    let (keep, several) = (Marks::new(index.len()), Marks::new(index.len()));
    index.visit(|at, first, _, _| {
        if at != first {
            several.set(first);
        }
    })?;
    let mut doubles: BTreeMap<u64, Vec<Copy>> = BTreeMap::new();
    index.visit(|at, first, number, blob| {
        let bytes = u64::from(blob.length);
        if let Some(pack) = packs.get_mut(number as usize) {
            pack.trees |= blob.kind == BlobKind::Tree;
        }
        if !needed.get(first) {
            let is_erased = erased.is_some_and(|erased| erased.get(first));
            count_unused(&mut packs, number, bytes, is_erased);
        } else if several.get(first) {
            let copy = Copy { at, number, bytes };
            doubles.entry(first).or_default().push(copy);
        } else {
            keep.set(at);
            count_used(&mut packs, number, bytes);
        }
    })?;
    for copies in doubles.values() {
        choose(copies, &mut packs, &keep);
    }
    Ok((packs, keep))
}

/// One of several copies of a blob.
struct Copy {
    at: u64,
    number: u32,
    bytes: u64,
}

fn choose(copies: &[Copy], packs: &mut [Usage], keep: &Marks) {
    let rank = |copy: &&Copy| {
        let pack = packs.get(copy.number as usize).copied().unwrap_or_default();
        let total = (pack.used.1 + pack.unused.1).max(1);
        let share = pack.used.1.saturating_mul(1000) / total;
        (pack.whole, pack.listed, share, std::cmp::Reverse(copy.at))
    };
    let best = copies.iter().max_by_key(rank).map(|copy| copy.at);
    for copy in copies {
        if Some(copy.at) == best {
            keep.set(copy.at);
            count_used(packs, copy.number, copy.bytes);
        } else {
            count_unused(packs, copy.number, copy.bytes, false);
        }
    }
}

fn count_used(packs: &mut [Usage], number: u32, bytes: u64) {
    if let Some(pack) = packs.get_mut(number as usize) {
        pack.used.0 += 1;
        pack.used.1 += bytes;
    }
}

fn count_unused(packs: &mut [Usage], number: u32, bytes: u64, erase: bool) {
    if let Some(pack) = packs.get_mut(number as usize) {
        pack.unused.0 += 1;
        pack.unused.1 += bytes;
        pack.erase |= erase;
    }
}

/// What becomes of each pack. `sizes` are those of whole packs, in the same order.
pub(super) fn decide(packs: &[Usage], sizes: &[u64], max_unused: f64, full_pack: u64) -> Vec<Fate> {
    let mut fates: Vec<Fate> = packs
        .iter()
        .map(|pack| match pack {
            pack if !pack.listed => Fate::Stays,
            pack if pack.used.0 == 0 => Fate::Removed(Why::Unused),
            pack if pack.erase => Fate::Repacked(Why::Erased),
            _ => Fate::Stays,
        })
        .collect();
    repack_the_worst(packs, &mut fates, max_unused);
    merge_small(packs, sizes, &mut fates, full_pack);
    fates
}

/// Packs of which the largest share is unused are rewritten, until no more is unused than is tolerated.
fn repack_the_worst(packs: &[Usage], fates: &mut [Fate], max_unused: f64) {
    let used: u64 = packs.iter().map(|pack| pack.used.1).sum();
    let share = max_unused.clamp(0.0, 1.0);
    let tolerated = if share >= 1.0 {
        u64::MAX
    } else {
        (used as f64 * share / (1.0 - share)) as u64
    };
    let mut partly: Vec<(usize, &Usage)> = packs
        .iter()
        .enumerate()
        .filter(|(at, pack)| {
            pack.listed && pack.unused.0 > 0 && fates.get(*at) == Some(&Fate::Stays)
        })
        .collect();
    let mut unused: u64 = partly.iter().map(|(_, pack)| pack.unused.1).sum();
    let share = |pack: &Usage| {
        let total = (pack.used.1 + pack.unused.1).max(1);
        u128::from(pack.unused.1) * 1_000_000_000 / u128::from(total)
    };
    partly.sort_by_key(|(at, pack)| (std::cmp::Reverse(share(pack)), *at));
    for (at, pack) in partly {
        if unused <= tolerated {
            return;
        }
        unused -= pack.unused.1;
        if let Some(fate) = fates.get_mut(at) {
            *fate = Fate::Repacked(Why::PartlyUnused);
        }
    }
}

/// Small packs of one kind are merged once there are enough of them to fill something.
fn merge_small(packs: &[Usage], sizes: &[u64], fates: &mut [Fate], full_pack: u64) {
    for trees in [false, true] {
        let small: Vec<usize> = (0..packs.len())
            .filter(|at| {
                let is = |pack: &Usage| pack.trees == trees && pack.whole && pack.listed;
                fates.get(*at) == Some(&Fate::Stays)
                    && packs.get(*at).is_some_and(is)
                    && sizes.get(*at).is_some_and(|size| *size < full_pack / SMALL)
            })
            .collect();
        if small.len() < MANY {
            continue;
        }
        for at in small {
            if let Some(fate) = fates.get_mut(at) {
                *fate = Fate::Repacked(Why::Small);
            }
        }
    }
}

/// A pack below this part of a full one is small.
const SMALL: u64 = 8;
/// From how many small packs on they are merged.
const MANY: usize = 16;

/// Shows the entries that are kept.
pub(super) fn visit_kept(
    index: &BlobIndex,
    keep: &Marks,
    mut show: impl FnMut(u32, PackedBlob),
) -> Result<(), IndexFileError> {
    index.visit(|at, _, number, blob| {
        if keep.get(at) {
            show(number, blob);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_format::{Id, IndexPack};

    fn blob(text: &[u8], offset: u32, length: u32) -> PackedBlob {
        PackedBlob {
            id: Id::of(text),
            kind: BlobKind::Data,
            offset,
            length,
            uncompressed_length: None,
        }
    }

    fn index(packs: Vec<Vec<PackedBlob>>) -> BlobIndex {
        let packs = packs.into_iter().enumerate().map(|(n, blobs)| IndexPack {
            id: Id::of(&[n as u8]),
            blobs,
        });
        BlobIndex::default().with([(Id::of(b"file"), packs.collect())])
    }

    fn there(whole: &[bool]) -> Vec<Usage> {
        let usage = |whole: &bool| Usage {
            whole: *whole,
            listed: true,
            ..Usage::default()
        };
        whole.iter().map(usage).collect()
    }

    fn needed(index: &BlobIndex, names: &[&[u8]]) -> Marks {
        let marks = Marks::new(index.len());
        for name in names {
            marks.set(index.position(BlobKind::Data, &Id::of(name)).unwrap());
        }
        marks
    }

    #[test]
    fn of_two_copies_the_better_place_is_kept_and_counted_once() {
        let index = index(vec![
            vec![blob(b"a", 0, 100), blob(b"gone", 100, 900)],
            vec![blob(b"a", 0, 100), blob(b"b", 100, 900)],
        ]);
        let marks = needed(&index, &[b"a", b"b"]);
        let (packs, keep) = measure(&index, &marks, None, there(&[true, true])).unwrap();
        assert_eq!((packs[0].used, packs[0].unused), ((0, 0), (2, 1000)));
        assert_eq!((packs[1].used, packs[1].unused), ((2, 1000), (0, 0)));
        let mut kept = Vec::new();
        visit_kept(&index, &keep, |number, blob| kept.push((number, blob.id))).unwrap();
        kept.sort();
        assert_eq!(kept.len(), 2);
        assert!(kept.iter().all(|(number, _)| *number == 1));
        // A pack that is not whole is never preferred.
        let (packs, _) = measure(&index, &marks, None, there(&[true, false])).unwrap();
        assert_eq!(packs[0].used.0, 1);
    }

    #[test]
    fn the_worst_packs_go_until_the_rest_is_tolerated() {
        let pack = |used: u64, unused: u64| Usage {
            used: (u64::from(used > 0), used),
            unused: (u64::from(unused > 0), unused),
            whole: true,
            listed: true,
            ..Usage::default()
        };
        let packs = [
            pack(1000, 0),
            pack(900, 10),
            pack(100, 90),
            pack(0, 50),
            pack(500, 60),
        ];
        let sizes = [1000; 5];
        let fates = decide(&packs, &sizes, 0.05, 1000);
        assert_eq!(
            fates,
            [
                Fate::Stays,
                Fate::Stays,
                Fate::Repacked(Why::PartlyUnused),
                Fate::Removed(Why::Unused),
                Fate::Stays,
            ]
        );
        let strict = decide(&packs, &sizes, 0.0, 1000);
        assert_eq!(strict[1], Fate::Repacked(Why::PartlyUnused));
        assert_eq!(strict[0], Fate::Stays);
        let lax = decide(&packs, &sizes, 1.0, 1000);
        assert_eq!(lax[2], Fate::Stays);
    }

    #[test]
    fn what_must_be_erased_is_repacked_whatever_is_tolerated() {
        let index = index(vec![vec![
            blob(b"a", 0, 100_000),
            blob(b"secret", 100_000, 40),
        ]]);
        let marks = needed(&index, &[b"a"]);
        let erased = needed(&index, &[b"secret"]);
        let (packs, _) = measure(&index, &marks, Some(&erased), there(&[true])).unwrap();
        assert_eq!(decide(&packs, &[1], 1.0, 1)[0], Fate::Repacked(Why::Erased));
        let (packs, _) = measure(&index, &marks, None, there(&[true])).unwrap();
        assert_eq!(decide(&packs, &[1], 1.0, 1)[0], Fate::Stays);
    }

    #[test]
    fn many_small_packs_are_merged_and_a_few_are_not() {
        let small = Usage {
            used: (1, 10),
            whole: true,
            listed: true,
            ..Usage::default()
        };
        let few = vec![small; MANY - 1];
        assert!(
            decide(&few, &[10; MANY - 1], 0.05, 1000)
                .iter()
                .all(|f| *f == Fate::Stays)
        );
        let many = vec![small; MANY];
        assert!(
            decide(&many, &[10; MANY], 0.05, 1000)
                .iter()
                .all(|f| *f == Fate::Repacked(Why::Small))
        );
    }
}
