//! The ledger checked against itself.

use crate::audit::Auditor;
use crate::database::Value;
use crate::error::{Corruption, LedgerError};
use crate::head::SignedHead;
use crate::key::VerifyingKey;
use crate::ledger::Ledger;
use crate::merkle::Frontier;
use crate::schema;
use crate::session::{Session, int};
use crate::verify::{Expected, VerifyReport};

/// How many leaf hashes are held at once.
const LEAVES: i64 = 4096;

impl Ledger {
    /// Recomputes the root from the stored leaf hashes and holds it against the state and the last
    /// signed head. It does not read the entries; [`Ledger::verify`] does.
    pub fn verify_self(&self) -> Result<(), LedgerError> {
        self.session().reading(|turn| {
            let state = turn.must_state()?;
            let size = state.frontier.size();
            let frontier = stored_frontier(turn, size)?;
            let head = self.head_in(turn, &state, size)?;
            for found in [frontier.root(), state.frontier.root()] {
                if found != head.root {
                    return Err(turn.corrupt(Corruption::Root {
                        size,
                        stated: head.root,
                        found,
                    }));
                }
            }
            if size > 0 && SignedHead::parse_by(&head.note, &state.keys).is_err() {
                return Err(turn.corrupt(Corruption::Signature { size }));
            }
            Ok(())
        })
    }

    /// Reads everything again: bytes against leaf hashes, leaf hashes against roots, each signature,
    /// the heads published elsewhere, the projections.
    ///
    /// What is wrong with the record is in the report; an error means that it could not be checked,
    /// or that something beside the record is damaged.
    pub fn verify(&self, published_heads: &[String]) -> Result<VerifyReport, LedgerError> {
        let expected = Expected {
            heads: published_heads,
            ..Expected::default()
        };
        self.verify_by(&expected)
    }

    /// As [`Ledger::verify`], by all that is known from elsewhere: a key is expected to be one of those that have
    /// signed.
    pub fn verify_by(&self, expected: &Expected<'_>) -> Result<VerifyReport, LedgerError> {
        let key = expected.vkey.map(VerifyingKey::parse).transpose()?;
        self.verify_self()?;
        let head = self.head()?;
        let first = self.keys.first().clone();
        let mut auditor = Auditor::new(first, expected);
        self.each_row(0..head.size, |row| {
            match auditor.entry(row.seq, row.leaf, &row.signature, &row.body) {
                Some(found) if found != row.root => Err(self.corrupt(Corruption::Root {
                    size: row.seq + 1,
                    stated: row.root,
                    found,
                })),
                _ => Ok(()),
            }
        })?;
        if let Some(key) = key {
            auditor.expect_key(&key);
        }
        let report = auditor.finish(Some(&head.note), expected.until);
        if report.is_sound() {
            self.check_projections()?;
        }
        Ok(report)
    }
}

/// The tree of all leaf hashes that are stored, which must be `size`.
fn stored_frontier(turn: &mut Session<'_>, size: u64) -> Result<Frontier, LedgerError> {
    let mut frontier = Frontier::new();
    loop {
        let next = frontier.size();
        let args = [int(next), int(u64::MAX), Value::Int(LEAVES)];
        let rows = turn.rows("read leaf hashes", schema::READ_LEAVES, &args)?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let [seq, leaf] = turn.columns("leaf", row)?;
            if turn.count("seq", &seq)? != frontier.size() {
                let seq = frontier.size();
                return Err(turn.corrupt(Corruption::Entry { seq }));
            }
            frontier.push(turn.hash("leaf", leaf)?);
        }
    }
    if frontier.size() == size {
        Ok(frontier)
    } else {
        Err(turn.corrupt(Corruption::Count {
            stated: size,
            found: frontier.size(),
        }))
    }
}
