//! A new database made from what was got back from a vault.

use std::sync::Mutex;

use crate::append::Growth;
use crate::database::{connect, place};
use crate::error::{Corruption, LedgerError};
use crate::head::sign_size;
use crate::key::SigningKey;
use crate::ledger::{Ledger, make_tables, session, write_state};
use crate::merkle::Frontier;
use crate::rebuild::Rebuilt;

impl Ledger {
    /// Makes a new database at `url` from what was got back: the same bytes, signatures and root.
    ///
    /// The place must have no ledger, or an empty one of the same key. Without `key` the result can
    /// only be read, until it is opened with it. All or nothing is written.
    pub fn restore(
        url: &str,
        key: Option<SigningKey>,
        rebuilt: &Rebuilt,
    ) -> Result<Ledger, LedgerError> {
        let database = Mutex::new(connect(url, true)?);
        let place = place(url);
        let (first, current) = (rebuilt.keys.first(), rebuilt.keys.current());
        if let Some(key) = key
            .as_ref()
            .filter(|key| !key.public().is_same_key(current))
        {
            return Err(LedgerError::OtherKey {
                place,
                stored: current.to_string(),
                given: key.public_key_text(),
            });
        }
        let mut turn = session(&database, &place);
        turn.writing(|turn| {
            make_tables(turn)?;
            if turn.state()?.is_none() {
                let is_first = |key: &&SigningKey| key.public() == first;
                let empty = empty_signature(key.as_ref().filter(is_first));
                write_state(turn, first, &empty)?;
            }
            let state = turn.must_state()?;
            if state.frontier.size() > 0 {
                return Err(LedgerError::NotEmpty {
                    place: turn.place.to_owned(),
                    entries: state.frontier.size(),
                });
            }
            if state.keys.first() != first {
                return Err(LedgerError::OtherKey {
                    place: turn.place.to_owned(),
                    stored: state.keys.first().to_string(),
                    given: first.to_string(),
                });
            }
            let mut growth = Growth::from(state);
            for (seq, published) in (0..).zip(&rebuilt.entries) {
                let entry = turn.entry(seq, &published.body)?;
                let mut signature = |_, _| published.signature.clone();
                growth.add(turn, &published.body, &entry, &mut signature)?;
            }
            let root = growth.root();
            match rebuilt.head().filter(|head| head.root != root) {
                Some(head) => Err(turn.corrupt(Corruption::Root {
                    size: head.size,
                    stated: head.root,
                    found: root,
                })),
                None => {
                    growth.settle(turn)?;
                    turn.change_keys(&rebuilt.keys)
                }
            }
        })?;
        drop(turn);
        Ledger::attach(database, place, key)
    }
}

/// The signature on the head of the empty ledger; nothing without the key, and then that one head
/// cannot be shown.
fn empty_signature(key: Option<&SigningKey>) -> Vec<u8> {
    key.map(|key| sign_size(key, 0, Frontier::new().root()).to_vec())
        .unwrap_or_default()
}
