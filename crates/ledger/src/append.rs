//! Appending: one batch, one transaction, a signed head for every entry.

use std::ops::Range;

use vouchsafe_model::Entry;

use crate::database::Value;
use crate::entry::ENTRY_VERSION;
use crate::error::{Corruption, LedgerError};
use crate::head::sign_size;
use crate::key::SigningKey;
use crate::lease::Lease;
use crate::ledger::Ledger;
use crate::merkle::{TreeHash, leaf_hash};
use crate::projection::Projected;
use crate::schema;
use crate::session::{Session, State, int};

/// The largest number of entries in one batch.
pub const MAX_BATCH: usize = 65_536;

/// The largest entry in bytes.
pub const MAX_ENTRY: usize = 4 << 20;

/// What must still be so when the batch is written.
#[derive(Clone, Copy, Default)]
struct Provided<'a> {
    size: Option<u64>,
    lease: Option<&'a Lease>,
}

impl Ledger {
    /// Appends a batch: all of it, or nothing if this fails.
    ///
    /// Returns the indexes that it got. When this returns, the entries, the tree and a signed head
    /// for each entry are on disk. An empty batch changes nothing.
    pub fn append(&self, entries: &[Entry]) -> Result<Range<u64>, LedgerError> {
        self.append_if(entries, Provided::default())
    }

    /// Like [`Ledger::append`], but only if there still are `size` entries: what was decided on an
    /// older state is [`LedgerError::Stale`], and nothing is written.
    pub fn append_at(&self, size: u64, entries: &[Entry]) -> Result<Range<u64>, LedgerError> {
        let provided = Provided {
            size: Some(size),
            lease: None,
        };
        self.append_if(entries, provided)
    }

    /// Like [`Ledger::append`], but only if `lease` has not passed to somebody else.
    pub fn append_under(
        &self,
        lease: &Lease,
        entries: &[Entry],
    ) -> Result<Range<u64>, LedgerError> {
        let provided = Provided {
            size: None,
            lease: Some(lease),
        };
        self.append_if(entries, provided)
    }

    fn append_if(
        &self,
        entries: &[Entry],
        provided: Provided<'_>,
    ) -> Result<Range<u64>, LedgerError> {
        let key = self.key.as_ref().ok_or_else(|| LedgerError::ReadOnly {
            place: self.place.clone(),
        })?;
        if entries.len() > MAX_BATCH {
            return Err(LedgerError::TooMany {
                count: entries.len(),
                max: MAX_BATCH,
            });
        }
        let bodies = entries
            .iter()
            .enumerate()
            .map(|(index, entry)| encode(index, entry))
            .collect::<Result<Vec<_>, _>>()?;
        self.session().writing(|turn| {
            let state = turn.must_state()?;
            let start = state.frontier.size();
            if let Some(expected) = provided.size.filter(|expected| *expected != start) {
                return Err(LedgerError::Stale {
                    expected,
                    actual: start,
                });
            }
            if let Some(lease) = provided.lease {
                turn.still_holds(lease)?;
            }
            self.signs_now(key, &state)?;
            self.continues(turn, &state)?;
            let mut growth = Growth::from(state);
            for (body, entry) in bodies.iter().zip(entries) {
                growth.add(turn, body, entry, &mut |size, root| sign(key, size, root))?;
            }
            growth.settle(turn)
        })
    }

    /// Another process may have changed the key since this one was opened.
    pub(crate) fn signs_now(&self, key: &SigningKey, state: &State) -> Result<(), LedgerError> {
        match state.keys.current() {
            current if current == key.public() => Ok(()),
            current => Err(LedgerError::OtherKey {
                place: self.place.clone(),
                stored: current.to_string(),
                given: key.public_key_text(),
            }),
        }
    }

    /// A damaged state must not be signed anew.
    pub(crate) fn continues(
        &self,
        turn: &mut Session<'_>,
        state: &State,
    ) -> Result<(), LedgerError> {
        let size = state.frontier.size();
        let stated = self.head_in(turn, state, size)?.root;
        let found = state.frontier.root();
        if found == stated {
            Ok(())
        } else {
            Err(turn.corrupt(Corruption::Root {
                size,
                stated,
                found,
            }))
        }
    }
}

/// A tree that grows within a transaction.
pub(crate) struct Growth {
    start: u64,
    state: State,
    projected: Projected,
}

impl From<State> for Growth {
    fn from(state: State) -> Growth {
        Growth {
            start: state.frontier.size(),
            projected: Projected::new(state.horizon),
            state,
        }
    }
}

impl Growth {
    /// Stores one more entry with the head over it.
    pub(crate) fn add(
        &mut self,
        turn: &mut Session<'_>,
        body: &[u8],
        entry: &Entry,
        sign: &mut dyn FnMut(u64, TreeHash) -> Vec<u8>,
    ) -> Result<(), LedgerError> {
        let frontier = &mut self.state.frontier;
        let seq = frontier.size();
        let leaf = leaf_hash(body);
        frontier.push(leaf);
        let root = frontier.root();
        let args = [
            int(seq),
            Value::Bytes(leaf.0.to_vec()),
            Value::Bytes(root.0.to_vec()),
            Value::Bytes(sign(seq + 1, root)),
            Value::Bytes(body.to_vec()),
        ];
        turn.run("append an entry", schema::INSERT_ENTRY, &args)?;
        self.projected.note(turn, seq, &entry.fact)
    }

    /// The root over what was added so far.
    pub(crate) fn root(&self) -> TreeHash {
        self.state.frontier.root()
    }

    /// Moves the state on; the range that was added.
    pub(crate) fn settle(self, turn: &mut Session<'_>) -> Result<Range<u64>, LedgerError> {
        let size = self.state.frontier.size();
        let args = [
            int(size),
            Value::Bytes(self.state.frontier.to_bytes()),
            self.projected.horizon_value(),
            int(self.start),
        ];
        if turn.run("move its state on", schema::ADVANCE, &args)? == 1 {
            return Ok(self.start..size);
        }
        let actual = turn.must_state()?.frontier.size();
        Err(LedgerError::Stale {
            expected: self.start,
            actual,
        })
    }
}

fn sign(key: &SigningKey, size: u64, root: TreeHash) -> Vec<u8> {
    sign_size(key, size, root).to_vec()
}

pub(crate) fn encode(index: usize, entry: &Entry) -> Result<Vec<u8>, LedgerError> {
    // What cannot be read back must not get into a record that nothing can be taken out of.
    if entry.v != ENTRY_VERSION {
        return Err(LedgerError::Version {
            index,
            given: entry.v,
            known: ENTRY_VERSION,
        });
    }
    let body = serde_json::to_vec(entry).map_err(|source| LedgerError::Encode { index, source })?;
    if body.len() > MAX_ENTRY {
        return Err(LedgerError::TooLarge {
            index,
            bytes: body.len(),
            max: MAX_ENTRY,
        });
    }
    Ok(body)
}
