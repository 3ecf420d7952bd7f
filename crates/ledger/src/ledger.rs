//! The ledger: opening, reading, heads.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use vouchsafe_model::Entry;
use vouchsafe_model::fact::Recorded;

use crate::database::{Database, Value, connect, place};
use crate::error::{Corruption, Fork, LedgerError};
use crate::head::{HeadRelation, SignedHead, sign_size};
use crate::key::{SigningKey, VerifyingKey};
use crate::merkle::Frontier;
use crate::schema::{self, TABLES};
use crate::session::{Row, Session};

/// How many entries are held at once while reading through.
const PAGE: i64 = 64;

/// The version of an entry's form that this crate reads and writes.
pub(crate) const ENTRY_VERSION: u32 = 1;

/// An open ledger. Every call blocks until the database has answered.
///
/// Several processes and machines may have one ledger open and append to it; each batch becomes one
/// transaction under a lock. It must not be used from inside an async runtime.
pub struct Ledger {
    pub(crate) place: String,
    pub(crate) key: Option<SigningKey>,
    pub(crate) public: VerifyingKey,
    pub(crate) database: Mutex<Box<dyn Database>>,
}

impl Ledger {
    /// Opens the ledger at `url` (`sqlite:/path/ledger.db` or `postgres://…`), or founds it there.
    ///
    /// Recomputes the root from the stored leaf hashes and holds it against the last signed head;
    /// what does not fit is [`LedgerError::Corrupt`]. A ledger of another key is refused.
    pub fn open(url: &str, key: SigningKey) -> Result<Ledger, LedgerError> {
        let database = Mutex::new(connect(url, true)?);
        let place = place(url);
        found(&mut session(&database, &place), &key)?;
        Ledger::attach(database, place, Some(key))
    }

    /// Opens an existing ledger for reading, without its key.
    pub fn open_reader(url: &str) -> Result<Ledger, LedgerError> {
        let database = Mutex::new(connect(url, false)?);
        Ledger::attach(database, place(url), None)
    }

    pub(crate) fn attach(
        database: Mutex<Box<dyn Database>>,
        place: String,
        key: Option<SigningKey>,
    ) -> Result<Ledger, LedgerError> {
        let public = stored_key(&mut session(&database, &place))?;
        if let Some(key) = key.as_ref().filter(|key| *key.public() != public) {
            return Err(LedgerError::OtherKey {
                place,
                stored: public.to_string(),
                given: key.public_key_text(),
            });
        }
        let ledger = Ledger {
            place,
            key,
            public,
            database,
        };
        ledger.verify_self()?;
        Ok(ledger)
    }

    /// Its public key.
    pub fn public_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// Its name, the first line of each head: `vouchsafe/<ledger id>`.
    pub fn origin(&self) -> &str {
        self.public.origin()
    }

    /// How many entries it has.
    pub fn len(&self) -> Result<u64, LedgerError> {
        Ok(self.session().must_state()?.frontier.size())
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> Result<bool, LedgerError> {
        Ok(self.len()? == 0)
    }

    /// The newest head.
    pub fn head(&self) -> Result<SignedHead, LedgerError> {
        let mut turn = self.session();
        let size = turn.must_state()?.frontier.size();
        self.head_in(&mut turn, size)
    }

    /// The head when there were `size` entries. Every size has one.
    pub fn head_at(&self, size: u64) -> Result<SignedHead, LedgerError> {
        let mut turn = self.session();
        let now = turn.must_state()?.frontier.size();
        if size > now {
            return Err(LedgerError::Range {
                start: size,
                end: size,
                size: now,
            });
        }
        self.head_in(&mut turn, size)
    }

    /// How a head found elsewhere stands to this ledger.
    ///
    /// A head of the same size with another root, of a size that this ledger had with another root,
    /// or of another ledger is a [`Fork`] that names both.
    pub fn relation(&self, note: &str) -> Result<HeadRelation, LedgerError> {
        if let Some((theirs, _)) = SignedHead::peek(note).filter(|(o, _)| o != self.origin()) {
            let ours = self.origin().to_owned();
            return Err(Fork::OtherLedger { ours, theirs }.into());
        }
        let theirs = SignedHead::parse(note, &self.public)?;
        let size = self.len()?;
        if theirs.size > size {
            return Ok(HeadRelation::Longer);
        }
        let ours = self.head_at(theirs.size)?;
        if ours.root != theirs.root {
            return Err(Fork::Roots {
                size: theirs.size,
                ours: ours.root,
                theirs: theirs.root,
            }
            .into());
        }
        Ok(if theirs.size == size {
            HeadRelation::Equal
        } else {
            HeadRelation::Earlier
        })
    }

    /// The entries of a range.
    pub fn read(&self, range: Range<u64>) -> Result<Vec<Recorded>, LedgerError> {
        let mut all = Vec::new();
        self.each(range, |recorded| {
            all.push(recorded);
            Ok(())
        })?;
        Ok(all)
    }

    /// All entries. For long ledgers prefer [`Ledger::each`].
    pub fn read_all(&self) -> Result<Vec<Recorded>, LedgerError> {
        self.read(0..self.len()?)
    }

    /// The stored bytes of the entries of a range: exactly what was hashed.
    pub fn read_bytes(&self, range: Range<u64>) -> Result<Vec<Vec<u8>>, LedgerError> {
        let mut all = Vec::new();
        self.each_row(range, |row| {
            all.push(row.body);
            Ok(())
        })?;
        Ok(all)
    }

    /// Shows the entries of a range to `visit`, a few in memory at a time.
    pub fn each(
        &self,
        range: Range<u64>,
        mut visit: impl FnMut(Recorded) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        self.each_row(range, |row| {
            let entry = self.session().entry(row.seq, &row.body)?;
            visit(Recorded {
                seq: row.seq,
                entry,
            })
        })
    }

    pub(crate) fn each_row(
        &self,
        range: Range<u64>,
        mut visit: impl FnMut(Row) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let size = self.len()?;
        if range.start > range.end || range.end > size {
            return Err(LedgerError::Range {
                start: range.start,
                end: range.end,
                size,
            });
        }
        let mut next = range.start;
        while next < range.end {
            let rows = self.session().entries(next, range.end, PAGE)?;
            if rows.is_empty() {
                return Err(self.corrupt(Corruption::Entry { seq: next }));
            }
            for row in rows {
                if row.seq != next {
                    return Err(self.corrupt(Corruption::Entry { seq: next }));
                }
                next += 1;
                visit(row)?;
            }
        }
        Ok(())
    }

    pub(crate) fn session(&self) -> Session<'_> {
        session(&self.database, &self.place)
    }

    pub(crate) fn corrupt(&self, source: Corruption) -> LedgerError {
        LedgerError::Corrupt {
            place: self.place.clone(),
            source,
        }
    }

    pub(crate) fn head_in(
        &self,
        turn: &mut Session<'_>,
        size: u64,
    ) -> Result<SignedHead, LedgerError> {
        let Some(last) = size.checked_sub(1) else {
            let root = Frontier::new().root();
            let signature = match &self.key {
                Some(key) => sign_size(key, 0, root).to_vec(),
                None => turn.must_state()?.empty_signature,
            };
            return Ok(SignedHead::assemble(&self.public, 0, root, &signature));
        };
        let args = [crate::session::int(last)];
        let mut rows = turn.rows("read a head", schema::READ_HEAD, &args)?;
        let row = rows
            .pop()
            .ok_or_else(|| turn.corrupt(Corruption::Entry { seq: last }))?;
        let [root, signature] = turn.columns("head", row)?;
        let root = turn.hash("root", root)?;
        let signature = turn.bytes("signature", signature)?;
        Ok(SignedHead::assemble(&self.public, size, root, &signature))
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ledger({} at {})", self.public, self.place)
    }
}

impl Session<'_> {
    /// Reads an entry's bytes.
    pub(crate) fn entry(&self, seq: u64, body: &[u8]) -> Result<Entry, LedgerError> {
        match parse_entry(body) {
            Ok(entry) => Ok(entry),
            Err(Unreadable::Version(found)) => Err(LedgerError::EntryForm {
                seq,
                found,
                known: ENTRY_VERSION,
            }),
            Err(Unreadable::Form) => Err(self.corrupt(Corruption::Entry { seq })),
        }
    }
}

/// Why bytes are not an entry.
pub(crate) enum Unreadable {
    /// An entry of another version.
    Version(u32),
    /// Nothing that is known.
    Form,
}

pub(crate) fn parse_entry(body: &[u8]) -> Result<Entry, Unreadable> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let version = serde_json::from_slice::<Version>(body).map_err(|_| Unreadable::Form)?;
    if version.v != ENTRY_VERSION {
        return Err(Unreadable::Version(version.v));
    }
    serde_json::from_slice(body).map_err(|_| Unreadable::Form)
}

pub(crate) fn session<'a>(database: &'a Mutex<Box<dyn Database>>, place: &'a str) -> Session<'a> {
    Session {
        // A panic elsewhere left at most an open transaction, which the next one refuses to nest in.
        database: database.lock().unwrap_or_else(PoisonError::into_inner),
        place,
    }
}

fn stored_key(turn: &mut Session<'_>) -> Result<VerifyingKey, LedgerError> {
    if turn.has_tables()? {
        Ok(turn.must_state()?.public)
    } else {
        Err(LedgerError::Missing {
            place: turn.place.to_owned(),
        })
    }
}

/// Makes the tables and the state row, if they are not there.
fn found(turn: &mut Session<'_>, key: &SigningKey) -> Result<(), LedgerError> {
    if turn.has_tables()? && turn.state()?.is_some() {
        return Ok(());
    }
    turn.writing(|turn| {
        make_tables(turn)?;
        if turn.state()?.is_none() {
            let signature = sign_size(key, 0, Frontier::new().root());
            write_state(turn, key.public(), &signature)?;
        }
        Ok(())
    })
}

/// Makes the tables that are missing, within a transaction.
pub(crate) fn make_tables(turn: &mut Session<'_>) -> Result<(), LedgerError> {
    if turn.has_tables()? {
        return Ok(());
    }
    let dialect = turn.database.dialect();
    for table in TABLES {
        let sql = table
            .replace("{integer}", dialect.integer)
            .replace("{bytes}", dialect.bytes);
        turn.run("make its tables", &sql, &[])?;
    }
    Ok(())
}

/// Writes the state of a ledger without entries.
pub(crate) fn write_state(
    turn: &mut Session<'_>,
    public: &VerifyingKey,
    empty_signature: &[u8],
) -> Result<(), LedgerError> {
    let args = [
        Value::Int(schema::FORM),
        Value::Text(public.to_string()),
        Value::Bytes(empty_signature.to_vec()),
        Value::Bytes(Frontier::new().to_bytes()),
    ];
    turn.run("found the ledger", schema::FOUND, &args)?;
    Ok(())
}
