//! Proofs from the tree: that an entry is in it, and that one head goes on from another (RFC 6962, 2.1).
//!
//! The first has the form of a C2SP tlog-proof, with the entry's bytes as its extra data; the second that of the
//! request by which C2SP tlog-witness asks a witness to sign a head.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tlog_tiles::tlog::{self, Hash, HashReader, split_stored_hash_index};
use vouchsafe_model::Time;

use crate::database::Value;
use crate::error::{Corruption, LedgerError};
use crate::head::{HeadError, SignedHead};
use crate::key::VerifyingKey;
use crate::ledger::Ledger;
use crate::line::number;
use crate::merkle::{Frontier, TreeHash, leaf_hash};
use crate::schema;
use crate::session::int;
use crate::verify::SeenBy;
use crate::witness::WitnessKey;

/// The first line of a proof that an entry is in the tree.
const ENTRY_PROOF: &str = "c2sp.org/tlog-proof@v1";

/// More hashes than any tree is high.
const MOST_HASHES: usize = 64;

/// What a proof has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proven {
    /// These bytes are this entry.
    Entry {
        /// Its index, from 0.
        index: u64,
        /// Its exact bytes.
        entry: Vec<u8>,
        /// The head that covers it.
        head: SignedHead,
        /// Which of the given witnesses have signed that head.
        witnesses: Vec<SeenBy>,
    },
    /// One head goes on from another: nothing in the older record was changed.
    Growth {
        /// The older one.
        from: SignedHead,
        /// The newer one.
        head: SignedHead,
        /// Which of the given witnesses have signed the newer one.
        witnesses: Vec<SeenBy>,
    },
}

/// Why a proof shows nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// Not a proof.
    #[error(
        "this is not a proof: it begins neither with `{ENTRY_PROOF}` nor with `old`, or has other lines than a proof has"
    )]
    Form,
    /// The head in it, or the older one, is not one of the ledger.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// It goes on from a head that was not given.
    #[error("this proof goes on from the head of {size} entries; give that head with --head")]
    OlderHead {
        /// Of what size.
        size: u64,
    },
    /// The hashes lead to another root.
    #[error("the proof does not fit: {what}")]
    Wrong {
        /// What it was to show.
        what: String,
    },
}

impl Ledger {
    /// The proof that entry `index` is in the tree of the first `size` entries; of all if no size is given.
    pub fn prove_entry(&self, index: u64, size: Option<u64>) -> Result<String, LedgerError> {
        let head = self.head_or(size)?;
        if index >= head.size {
            return Err(LedgerError::Range {
                start: index,
                end: index.saturating_add(1),
                size: head.size,
            });
        }
        let leaves = self.leaves(head.size)?;
        let path = tlog::prove_record(head.size, index, &leaves);
        let path = path.map_err(|_| self.corrupt(Corruption::Entry { seq: index }))?;
        let entry = self.read_bytes(index..index + 1)?.concat();
        let entry = BASE64_STANDARD.encode(entry);
        let path = lines_of(&path);
        Ok(format!(
            "{ENTRY_PROOF}\nextra {entry}\nindex {index}\n{path}\n{}",
            head.note
        ))
    }

    /// The proof that the head of `size` entries, or the newest one, goes on from the one of `from` entries.
    pub fn prove_growth(&self, from: u64, size: Option<u64>) -> Result<String, LedgerError> {
        let head = self.head_or(size)?;
        if from > head.size {
            return Err(LedgerError::Range {
                start: from,
                end: head.size,
                size: head.size,
            });
        }
        let leaves = self.leaves(head.size)?;
        let path = match from {
            0 => Vec::new(),
            from => tlog::prove_tree(head.size, from, &leaves)
                .map_err(|_| self.corrupt(Corruption::Entry { seq: from }))?,
        };
        Ok(format!("old {from}\n{}\n{}", lines_of(&path), head.note))
    }

    fn head_or(&self, size: Option<u64>) -> Result<SignedHead, LedgerError> {
        size.map_or_else(|| self.head(), |size| self.head_at(size))
    }

    /// The hashes of the first `size` leaves.
    pub(crate) fn leaves(&self, size: u64) -> Result<Leaves, LedgerError> {
        const PAGE: i64 = 4096;
        let mut turn = self.session();
        let mut leaves = Vec::new();
        while (leaves.len() as u64) < size {
            let next = leaves.len() as u64;
            let args = [int(next), int(size), Value::Int(PAGE)];
            let rows = turn.rows("read leaf hashes", schema::READ_LEAVES, &args)?;
            if rows.is_empty() {
                return Err(turn.corrupt(Corruption::Entry { seq: next }));
            }
            for row in rows {
                let [_, leaf] = turn.columns("leaf", row)?;
                leaves.push(turn.hash("leaf", leaf)?);
            }
        }
        Ok(Leaves(leaves))
    }
}

/// Holds a proof against the ledger's key.
///
/// `older` is the head, seen elsewhere, from which a proof of growth goes on. The key must be the one that signed these
/// heads: the ledger's newest, unless it was changed since.
pub fn check_proof(
    proof: &str,
    key: &VerifyingKey,
    older: Option<&str>,
    witnesses: &[WitnessKey],
) -> Result<Proven, ProofError> {
    let (above, note) = proof.split_once("\n\n").ok_or(ProofError::Form)?;
    let head = SignedHead::parse(note, key)?;
    let mut lines = above.lines();
    let first = lines.next().ok_or(ProofError::Form)?;
    let witnesses = signed_by(&head, witnesses);
    if let Some(from) = first.strip_prefix("old ") {
        let from = number(from.as_bytes()).ok_or(ProofError::Form)?;
        return growth(from, lines, key, older, head, witnesses);
    }
    let extra = lines.next().and_then(|line| line.strip_prefix("extra "));
    let index = lines.next().and_then(|line| line.strip_prefix("index "));
    let index = index.and_then(|digits| number(digits.as_bytes()));
    let entry = extra.and_then(|extra| BASE64_STANDARD.decode(extra).ok());
    let (Some(index), Some(entry), ENTRY_PROOF) = (index, entry, first) else {
        return Err(ProofError::Form);
    };
    let path = hashes_in(lines)?;
    let (root, leaf) = (Hash(head.root.0), Hash(leaf_hash(&entry).0));
    if tlog::check_record(&path, head.size, root, index, leaf).is_err() {
        let size = head.size;
        return Err(ProofError::Wrong {
            what: format!("these bytes are not entry {index} of the {size} that the head covers"),
        });
    }
    Ok(Proven::Entry {
        index,
        entry,
        head,
        witnesses,
    })
}

fn growth<'a>(
    from: u64,
    lines: impl Iterator<Item = &'a str>,
    key: &VerifyingKey,
    older: Option<&str>,
    head: SignedHead,
    witnesses: Vec<SeenBy>,
) -> Result<Proven, ProofError> {
    let older = older.ok_or(ProofError::OlderHead { size: from })?;
    let older = SignedHead::parse(older, key)?;
    if older.size != from {
        return Err(ProofError::OlderHead { size: from });
    }
    let path = hashes_in(lines)?;
    let (root, old_root) = (Hash(head.root.0), Hash(older.root.0));
    let fits = match from {
        // Every tree goes on from the empty one.
        0 => path.is_empty() && older.root == Frontier::new().root(),
        from => tlog::check_tree(&path, head.size, root, from, old_root).is_ok(),
    };
    if !fits {
        let size = head.size;
        return Err(ProofError::Wrong {
            what: format!("the head of {size} entries does not go on from the one of {from}"),
        });
    }
    Ok(Proven::Growth {
        from: older,
        head,
        witnesses,
    })
}

fn signed_by(head: &SignedHead, witnesses: &[WitnessKey]) -> Vec<SeenBy> {
    let read = witnesses.iter().filter_map(|key| {
        let at: Time = key.read(&head.note).ok()?.seen;
        Some(SeenBy {
            witness: key.to_string(),
            size: head.size,
            at,
            entry: None,
            is_known: true,
        })
    });
    read.collect()
}

fn lines_of(path: &[Hash]) -> String {
    let lines = path
        .iter()
        .map(|hash| BASE64_STANDARD.encode(hash.0) + "\n");
    lines.collect()
}

fn hashes_in<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Vec<Hash>, ProofError> {
    let hash = |line: &str| {
        let bytes = BASE64_STANDARD.decode(line).ok()?;
        <[u8; 32]>::try_from(bytes).ok().map(Hash)
    };
    let hashes: Option<Vec<Hash>> = lines.take(MOST_HASHES + 1).map(hash).collect();
    let hashes = hashes.ok_or(ProofError::Form)?;
    match hashes.len() > MOST_HASHES {
        true => Err(ProofError::Form),
        false => Ok(hashes),
    }
}

/// All leaves of a tree, out of which any hash in it is made.
pub(crate) struct Leaves(Vec<TreeHash>);

impl Leaves {
    pub(crate) fn size(&self) -> u64 {
        self.0.len() as u64
    }
}

impl HashReader for Leaves {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, tlog::Error> {
        let hash = |index: &u64| {
            let (level, place) = split_stored_hash_index(*index);
            let first = usize::try_from(place << level).ok()?;
            let leaves = self.0.get(first..first.checked_add(1 << level)?)?;
            let mut frontier = Frontier::new();
            leaves.iter().for_each(|leaf| frontier.push(*leaf));
            Some(Hash(frontier.root().0))
        };
        let hashes: Option<Vec<Hash>> = indexes.iter().map(hash).collect();
        hashes.ok_or(tlog::Error::IndexesNotInTree)
    }
}
