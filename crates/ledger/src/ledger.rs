//! The ledger: opening, reading, heads.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use vouchsafe_model::Entry;
use vouchsafe_model::fact::Recorded;

use crate::database::{Database, Value, connect, place};
use crate::entry::{ENTRY_VERSION, Unreadable, parse_entry};
use crate::error::{Corruption, Fork, LedgerError};
use crate::hands::map_all;
use crate::head::{HeadRelation, SignedHead, sign_size};
use crate::key::{SigningKey, VerifyingKey};
use crate::keys::Keys;
use crate::merkle::Frontier;
use crate::schema::{self, TABLES};
use crate::session::{Row, Session, State};

/// How many entries are held at once while reading through.
const PAGE: i64 = 64;

/// The same where only their bytes are read: from as few to as many, as long as those read last are not too long.
const FIRST_PAGE: usize = 64;
const LARGEST_PAGE: usize = 4096;
const PAGE_BYTES: usize = 4 << 20;

/// An open ledger. Every call blocks until the database has answered.
///
/// Several processes and machines may have one ledger open and append to it; each batch becomes one
/// transaction under a lock. It must not be used from inside an async runtime.
pub struct Ledger {
    pub(crate) place: String,
    pub(crate) key: Option<SigningKey>,
    pub(crate) keys: Keys,
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
        let keys = stored_keys(&mut session(&database, &place))?;
        let current = keys.current();
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
        let ledger = Ledger {
            place,
            key: key.map(|key| key.of_ledger(keys.first().origin())),
            keys,
            database,
        };
        ledger.verify_self()?;
        Ok(ledger)
    }

    /// Its public key: the one that signs now.
    pub fn public_key(&self) -> &VerifyingKey {
        self.keys.current()
    }

    /// All keys that have signed it.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Its name, the first line of each head: `vouchsafe/<ledger id>`.
    pub fn origin(&self) -> &str {
        self.keys.first().origin()
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
        let state = turn.must_state()?;
        self.head_in(&mut turn, &state, state.frontier.size())
    }

    /// The head when there were `size` entries. Every size has one.
    pub fn head_at(&self, size: u64) -> Result<SignedHead, LedgerError> {
        let mut turn = self.session();
        let state = turn.must_state()?;
        let now = state.frontier.size();
        if size > now {
            return Err(LedgerError::Range {
                start: size,
                end: size,
                size: now,
            });
        }
        self.head_in(&mut turn, &state, size)
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
        let theirs = SignedHead::parse_by(note, &self.keys)?;
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
        let count = range.end.saturating_sub(range.start);
        let mut all = Vec::with_capacity(usize::try_from(count).unwrap_or(0).min(LARGEST_PAGE));
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
        self.each_page(range, |_, mut bodies| {
            all.append(&mut bodies);
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
        self.each_page(range, |first, bodies| {
            let parsed = map_all(&bodies, |_, body| parse_entry(body).ok());
            let entries = match parsed {
                Some(entries) => entries,
                // One of them cannot be read: which, and why.
                None => (first..)
                    .zip(&bodies)
                    .map(|(seq, body)| self.session().entry(seq, body))
                    .collect::<Result<_, _>>()?,
            };
            (first..)
                .zip(entries)
                .try_for_each(|(seq, entry)| visit(Recorded { seq, entry }))
        })
    }

    /// Shows the bytes of the entries of a range to `visit`, some megabytes at a time, with the index of the first.
    pub(crate) fn each_page(
        &self,
        range: Range<u64>,
        mut visit: impl FnMut(u64, Vec<Vec<u8>>) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        self.is_within(&range)?;
        let (mut next, mut page) = (range.start, FIRST_PAGE);
        while next < range.end {
            let bodies = self.session().bodies(next, range.end, page)?;
            if bodies.is_empty() {
                return Err(self.corrupt(Corruption::Entry { seq: next }));
            }
            let bytes: usize = bodies.iter().map(Vec::len).sum();
            let count = bodies.len();
            visit(next, bodies)?;
            next += count as u64;
            // Few where entries are long, so that little is held at once; many where they are short, for speed.
            page = match bytes > PAGE_BYTES {
                true => FIRST_PAGE,
                false => LARGEST_PAGE.min(page * 4),
            };
        }
        Ok(())
    }

    fn is_within(&self, range: &Range<u64>) -> Result<(), LedgerError> {
        let size = self.len()?;
        if range.start > range.end || range.end > size {
            return Err(LedgerError::Range {
                start: range.start,
                end: range.end,
                size,
            });
        }
        Ok(())
    }

    pub(crate) fn each_row(
        &self,
        range: Range<u64>,
        mut visit: impl FnMut(Row) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        self.is_within(&range)?;
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
        state: &State,
        size: u64,
    ) -> Result<SignedHead, LedgerError> {
        let signer = state.keys.at(size);
        let Some(last) = size.checked_sub(1) else {
            let root = Frontier::new().root();
            let signature = match self.key.as_ref().filter(|key| key.public() == signer) {
                Some(key) => sign_size(key, 0, root).to_vec(),
                None => state.empty_signature.clone(),
            };
            return Ok(SignedHead::assemble(signer, 0, root, &signature));
        };
        let args = [crate::session::int(last)];
        let mut rows = turn.rows("read a head", schema::READ_HEAD, &args)?;
        let row = rows
            .pop()
            .ok_or_else(|| turn.corrupt(Corruption::Entry { seq: last }))?;
        let [root, signature] = turn.columns("head", row)?;
        let root = turn.hash("root", root)?;
        let signature = turn.bytes("signature", signature)?;
        Ok(SignedHead::assemble(signer, size, root, &signature))
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ledger({} at {})", self.keys.current(), self.place)
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

pub(crate) fn session<'a>(database: &'a Mutex<Box<dyn Database>>, place: &'a str) -> Session<'a> {
    Session {
        // A panic elsewhere left at most an open transaction, which the next one refuses to nest in.
        database: database.lock().unwrap_or_else(PoisonError::into_inner),
        place,
    }
}

fn stored_keys(turn: &mut Session<'_>) -> Result<Keys, LedgerError> {
    if turn.has_tables()? {
        Ok(turn.must_state()?.keys)
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
