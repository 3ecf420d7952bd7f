//! Many entries examined together: fast where all of them are whole, and without effect where one is not.

use vouchsafe_model::{Entry, Fact};

use crate::audit::Auditor;
use crate::batch::{Signed, all_signed};
use crate::entry::parse_entry;
use crate::hands::{hands, map_all, side_by_side};
use crate::head::{SignedHead, checkpoint_text};
use crate::key::VerifyingKey;
use crate::line::parse_line;
use crate::merkle::{Frontier, TreeHash, leaf_hash};

/// What a line holds, if its bytes give the leaf hash that stands on it.
struct Good {
    leaf: TreeHash,
    signature: [u8; 64],
    entry: Entry,
}

/// What an auditor knows before it takes in more entries, as far as they are examined by it.
pub(crate) struct Before {
    frontier: Frontier,
    key: VerifyingKey,
}

/// Entries that are whole, in their places, and signed.
pub(crate) struct Whole {
    frontier: Frontier,
    roots: Vec<TreeHash>,
    entries: Vec<Good>,
}

/// Entries that were taken in, and of which it is yet to be noted what they say.
pub(crate) struct Unnoted {
    start: u64,
    roots: Vec<TreeHash>,
    entries: Vec<Good>,
}

impl Before {
    /// The entries on these lines, if each is in its place, whole, signed, and known here. Otherwise nothing: they are to
    /// be examined one by one, which tells what is wrong. A change of the key is left to that, too.
    pub(crate) fn examine(&self, lines: &[&[u8]]) -> Option<Whole> {
        let start = self.frontier.size();
        let entries = map_all(lines, |n, line| good(start + n as u64, line))?;
        let mut frontier = self.frontier.clone();
        let share = entries.len().div_ceil(hands()).max(1);
        let shares: Vec<(Frontier, &[Good])> = entries
            .chunks(share)
            .map(|share| {
                let start = frontier.clone();
                share.iter().for_each(|good| frontier.push(good.leaf));
                (start, share)
            })
            .collect();
        let signed = side_by_side(shares, |(start, share)| {
            signed_roots(&self.key, start, share)
        });
        let roots = signed?.concat();
        Some(Whole {
            frontier,
            roots,
            entries,
        })
    }
}

impl Auditor {
    /// What the next entries are examined by; nothing while the record is broken, or its numbers are shifted.
    pub(crate) fn before(&self) -> Option<Before> {
        let is_straight = self.broken.is_none() && self.shift == 0;
        is_straight.then(|| Before {
            frontier: self.frontier.clone(),
            key: self.keys.current().clone(),
        })
    }

    /// Takes in entries that were examined by what was known [before](Self::before), if every head that was seen
    /// elsewhere fits. What they say is yet to be [noted](Self::note_all), before what is taken in next is.
    pub(crate) fn take(&mut self, whole: Whole) -> Option<Unnoted> {
        if !self.heads_fit(&whole.roots) {
            return None;
        }
        let start = self.size();
        self.frontier = whole.frontier;
        self.roots.extend(&whole.roots);
        Some(Unnoted {
            start,
            roots: whole.roots,
            entries: whole.entries,
        })
    }

    /// Takes in what entries say.
    pub(crate) fn note_all(&mut self, unnoted: Unnoted) {
        let all = unnoted.roots.into_iter().zip(unnoted.entries);
        for (place, (root, good)) in (unnoted.start..).zip(all) {
            self.meet_published(place + 1, root);
            self.note(place, &good.entry);
        }
    }

    /// Whether every head that was seen elsewhere of the next sizes has the root of its size.
    fn heads_fit(&self, roots: &[TreeHash]) -> bool {
        let first = self.size() + 1;
        let next = self.published.range(first..first + roots.len() as u64);
        next.flat_map(|(size, notes)| notes.iter().map(move |note| (size - first, note)))
            .all(|(place, note)| {
                let root = usize::try_from(place).ok().and_then(|at| roots.get(at));
                let head = SignedHead::parse_by(note, &self.keys).ok();
                head.is_some_and(|head| Some(&head.root) == root)
            })
    }
}

fn good(place: u64, line: &[u8]) -> Option<Good> {
    let line = parse_line(line).filter(|line| line.seq == place)?;
    if leaf_hash(line.body) != line.leaf {
        return None;
    }
    let entry = parse_entry(line.body).ok()?;
    let stays = !matches!(entry.fact, Fact::LedgerKeyRotated(_));
    stays.then_some(Good {
        leaf: line.leaf,
        signature: line.signature,
        entry,
    })
}

/// The root after each of these entries, if the key has signed all of them.
fn signed_roots(
    key: &VerifyingKey,
    mut frontier: Frontier,
    entries: &[Good],
) -> Option<Vec<TreeHash>> {
    let mut roots = Vec::with_capacity(entries.len());
    let mut signed = Vec::with_capacity(entries.len());
    for entry in entries {
        frontier.push(entry.leaf);
        let root = frontier.root();
        roots.push(root);
        signed.push(Signed {
            message: checkpoint_text(key.origin(), frontier.size(), root).into_bytes(),
            signature: entry.signature,
        });
    }
    all_signed(key.ed25519(), &signed).then_some(roots)
}
