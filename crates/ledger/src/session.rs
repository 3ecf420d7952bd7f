//! One caller's turn at the database: statements, transactions, the state row.

use std::sync::MutexGuard;

use vouchsafe_model::Time;

use crate::database::{Database, Value};
use crate::error::{Corruption, LedgerError};
use crate::keys::Keys;
use crate::merkle::{Frontier, TreeHash};
use crate::schema;

pub(crate) struct Session<'a> {
    pub(crate) database: MutexGuard<'a, Box<dyn Database>>,
    pub(crate) place: &'a str,
}

/// What the state row says.
pub(crate) struct State {
    pub(crate) keys: Keys,
    pub(crate) empty_signature: Vec<u8>,
    pub(crate) frontier: Frontier,
    pub(crate) horizon: Option<Time>,
}

/// An entry's row.
pub(crate) struct Row {
    pub(crate) seq: u64,
    pub(crate) leaf: TreeHash,
    pub(crate) root: TreeHash,
    pub(crate) signature: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

impl Session<'_> {
    pub(crate) fn run(
        &mut self,
        doing: &'static str,
        sql: &str,
        args: &[Value],
    ) -> Result<u64, LedgerError> {
        let done = self.database.run(sql, args);
        done.map_err(|source| self.failed(doing, source))
    }

    pub(crate) fn rows(
        &mut self,
        doing: &'static str,
        sql: &str,
        args: &[Value],
    ) -> Result<Vec<Vec<Value>>, LedgerError> {
        let rows = self.database.rows(sql, args);
        rows.map_err(|source| self.failed(doing, source))
    }

    /// Runs `deed` as the only writer: all of it is stored, or nothing.
    pub(crate) fn writing<T>(
        &mut self,
        deed: impl FnOnce(&mut Self) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let begin = self.database.dialect().begin_writing;
        self.transaction(begin, deed)
    }

    /// Runs `deed` on one unchanging state.
    pub(crate) fn reading<T>(
        &mut self,
        deed: impl FnOnce(&mut Self) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let begin = self.database.dialect().begin_reading;
        self.transaction(&[begin], deed)
    }

    fn transaction<T>(
        &mut self,
        begin: &[&str],
        deed: impl FnOnce(&mut Self) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let done = self
            .begin(begin)
            .and_then(|()| deed(self))
            .and_then(|done| {
                self.run("commit", "COMMIT", &[])?;
                Ok(done)
            });
        if done.is_err() {
            // The first error counts; where no transaction is open this one says nothing new.
            let _ = self.database.run("ROLLBACK", &[]);
        }
        done
    }

    fn begin(&mut self, begin: &[&str]) -> Result<(), LedgerError> {
        for sql in begin {
            self.run("begin a transaction", sql, &[])?;
        }
        Ok(())
    }

    pub(crate) fn has_tables(&mut self) -> Result<bool, LedgerError> {
        let sql = self.database.dialect().has_table;
        let table = Value::Text("ledger_state".to_owned());
        Ok(!self.rows("look for a ledger", sql, &[table])?.is_empty())
    }

    /// The state; nothing if the tables are there and no ledger was founded in them.
    pub(crate) fn state(&mut self) -> Result<Option<State>, LedgerError> {
        let mut rows = self.rows("read its state", schema::STATE, &[])?;
        let Some(row) = rows.pop() else {
            return Ok(None);
        };
        let [form, public, empty, size, frontier, horizon] = self.columns("state", row)?;
        let form = self.int("form", &form)?;
        if form != schema::FORM && form != schema::FORM_OF_SEVERAL_KEYS {
            return Err(LedgerError::Form {
                place: self.place.to_owned(),
                found: form,
                known: schema::FORM_OF_SEVERAL_KEYS,
            });
        }
        let size = self.count("size", &size)?;
        let frontier = self.bytes("frontier", frontier)?;
        let keys = self.text("public key", public)?;
        Ok(Some(State {
            keys: Keys::parse(&keys).ok_or_else(|| self.value("public key"))?,
            empty_signature: self.bytes("signature", empty)?,
            frontier: Frontier::from_bytes(size, &frontier)
                .ok_or_else(|| self.value("frontier"))?,
            horizon: match horizon {
                Value::Null => None,
                other => Some(Time::from_micros(self.int("horizon", &other)?)),
            },
        }))
    }

    /// The state of a ledger that is known to be there.
    pub(crate) fn must_state(&mut self) -> Result<State, LedgerError> {
        let state = self.state()?;
        state.ok_or_else(|| LedgerError::Missing {
            place: self.place.to_owned(),
        })
    }

    /// Up to `limit` entries from `start` on and before `end`.
    pub(crate) fn entries(
        &mut self,
        start: u64,
        end: u64,
        limit: i64,
    ) -> Result<Vec<Row>, LedgerError> {
        let args = [int(start), int(end), Value::Int(limit)];
        let rows = self.rows("read entries", schema::READ_ENTRIES, &args)?;
        rows.into_iter()
            .map(|row| {
                let [seq, leaf, root, signature, body] = self.columns("entry", row)?;
                Ok(Row {
                    seq: self.count("seq", &seq)?,
                    leaf: self.hash("leaf", leaf)?,
                    root: self.hash("root", root)?,
                    signature: self.bytes("signature", signature)?,
                    body: self.bytes("body", body)?,
                })
            })
            .collect()
    }

    /// The bytes of up to `limit` entries from `start` on and before `end`, without a gap.
    pub(crate) fn bodies(
        &mut self,
        start: u64,
        end: u64,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, LedgerError> {
        let args = [int(start), int(end), int(limit as u64)];
        let rows = self.rows("read entries", schema::READ_BODIES, &args)?;
        (start..)
            .zip(rows)
            .map(|(place, row)| {
                let [seq, body] = self.columns("entry", row)?;
                if self.count("seq", &seq)? != place {
                    return Err(self.corrupt(Corruption::Entry { seq: place }));
                }
                self.bytes("body", body)
            })
            .collect()
    }

    pub(crate) fn columns<const N: usize>(
        &self,
        what: &'static str,
        row: Vec<Value>,
    ) -> Result<[Value; N], LedgerError> {
        row.try_into().map_err(|_| self.value(what))
    }

    pub(crate) fn int(&self, what: &'static str, value: &Value) -> Result<i64, LedgerError> {
        match value {
            Value::Int(int) => Ok(*int),
            _ => Err(self.value(what)),
        }
    }

    pub(crate) fn count(&self, what: &'static str, value: &Value) -> Result<u64, LedgerError> {
        u64::try_from(self.int(what, value)?).map_err(|_| self.value(what))
    }

    pub(crate) fn text(&self, what: &'static str, value: Value) -> Result<String, LedgerError> {
        match value {
            Value::Text(text) => Ok(text),
            _ => Err(self.value(what)),
        }
    }

    pub(crate) fn bytes(&self, what: &'static str, value: Value) -> Result<Vec<u8>, LedgerError> {
        match value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.value(what)),
        }
    }

    pub(crate) fn hash(&self, what: &'static str, value: Value) -> Result<TreeHash, LedgerError> {
        let bytes = self.bytes(what, value)?;
        TreeHash::from_slice(&bytes).ok_or_else(|| self.value(what))
    }

    pub(crate) fn corrupt(&self, source: Corruption) -> LedgerError {
        LedgerError::Corrupt {
            place: self.place.to_owned(),
            source,
        }
    }

    fn value(&self, what: &'static str) -> LedgerError {
        self.corrupt(Corruption::Value { what })
    }

    fn failed(&self, doing: &'static str, source: sqlx::Error) -> LedgerError {
        LedgerError::Database {
            place: self.place.to_owned(),
            doing,
            source,
        }
    }
}

/// A count as the database's integer; no count of entries comes near the limit.
pub(crate) fn int(count: u64) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}
