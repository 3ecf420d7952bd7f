//! Many entries examined together: fast where all of them are whole, and without effect where one is not.

use vouchsafe_model::{Entry, Fact};

use crate::audit::Auditor;
use crate::batch::{Signed, all_signed};
use crate::hands::{hands, map_all, side_by_side};
use crate::head::{SignedHead, checkpoint_text};
use crate::key::VerifyingKey;
use crate::ledger::parse_entry;
use crate::line::parse_line;
use crate::merkle::{Frontier, TreeHash, leaf_hash};

/// What a line holds, if its bytes give the leaf hash that stands on it.
struct Good {
    leaf: TreeHash,
    signature: [u8; 64],
    entry: Entry,
}

impl Auditor {
    /// Takes in the entries on these lines, if each is in its place, whole, signed, and known here, and if every head
    /// that was seen elsewhere fits. Otherwise nothing is taken in, and they are to be examined one by one, which tells
    /// what is wrong. A change of the key is left to that, too.
    pub(crate) fn whole(&mut self, lines: &[&[u8]]) -> bool {
        if lines.is_empty() {
            return true;
        }
        if self.broken.is_some() || self.shift != 0 {
            return false;
        }
        let start = self.size();
        let Some(entries) = map_all(lines, |n, line| good(start + n as u64, line)) else {
            return false;
        };
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
        let key = self.keys.current();
        let signed = side_by_side(shares, |(start, share)| signed_roots(key, start, share));
        let Some(roots) = signed.map(|shares| shares.concat()) else {
            return false;
        };
        if !self.heads_fit(&roots) {
            return false;
        }
        self.frontier = frontier;
        self.roots.extend(&roots);
        for ((place, root), good) in (start..).zip(roots).zip(entries) {
            self.meet_published(place + 1, root);
            self.note(place, &good.entry);
        }
        true
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
