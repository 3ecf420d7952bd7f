//! What can go wrong with a ledger.

use crate::head::HeadError;
use crate::key::KeyError;
use crate::merkle::TreeHash;

/// Two records that call themselves the same and are not: one must not be continued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fork {
    /// Two signed heads of one size.
    #[error(
        "the record is forked: at {size} entries this ledger has the root {ours}, but the head found has {theirs}"
    )]
    Roots {
        /// The size of both.
        size: u64,
        /// The root here.
        ours: TreeHash,
        /// The root there.
        theirs: TreeHash,
    },
    /// A head of another ledger.
    #[error("the head found is of the ledger `{theirs}` and not of `{ours}`")]
    OtherLedger {
        /// The origin here.
        ours: String,
        /// The origin there.
        theirs: String,
    },
}

/// What is wrong inside a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Corruption {
    /// Entries are missing, or there are more than the state says.
    #[error("the state counts {stated} entries, and there are {found}")]
    Count {
        /// What the state says.
        stated: u64,
        /// What is there.
        found: u64,
    },
    /// The leaf hashes do not give the root.
    #[error("the hashes of the first {size} entries give the root {found}, not {stated}")]
    Root {
        /// Up to here.
        size: u64,
        /// The root that was signed.
        stated: TreeHash,
        /// The root of what is stored.
        found: TreeHash,
    },
    /// A stored signature is not the key's.
    #[error("the head at {size} entries is not signed by this ledger's key")]
    Signature {
        /// Of which head.
        size: u64,
    },
    /// A stored value has a form that is never written.
    #[error("a stored value of the kind `{what}` has an impossible form")]
    Value {
        /// Which.
        what: &'static str,
    },
    /// An entry's bytes cannot be read as an entry.
    #[error(
        "entry {seq} cannot be read; the vaults have the record too: bring it back with `vouchsafe recover-state`"
    )]
    Entry {
        /// Which.
        seq: u64,
    },
    /// A projection does not say what the entries say.
    #[error(
        "the projection `{what}` differs from the entries; make it anew with `vouchsafe ledger rebuild`"
    )]
    Projection {
        /// Which.
        what: &'static str,
    },
}

/// Why a ledger could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Not a URL of a ledger.
    #[error(
        "`{place}` is not a ledger: write sqlite:/path/ledger.db or postgres://user@host/database"
    )]
    Url {
        /// The URL, without secrets.
        place: String,
    },
    /// Called from async code.
    #[error("a ledger blocks and must not be used from within an async runtime; give it a thread")]
    InsideRuntime,
    /// The runtime of the database driver could not be started.
    #[error("cannot start the database driver")]
    Runtime(#[source] std::io::Error),
    /// The database refused.
    #[error("the ledger at {place} failed to {doing}")]
    Database {
        /// The URL, without secrets.
        place: String,
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// There is a database but no ledger in it, or no database.
    #[error("there is no ledger at {place}; `vouchsafe init` makes one")]
    Missing {
        /// The URL, without secrets.
        place: String,
    },
    /// Something is there already.
    #[error("the ledger at {place} already has {entries} entries; restore into an empty place")]
    NotEmpty {
        /// The URL, without secrets.
        place: String,
        /// How many.
        entries: u64,
    },
    /// Written by a newer version.
    #[error("the ledger at {place} has form {found}; this version reads form {known}")]
    Form {
        /// The URL, without secrets.
        place: String,
        /// The form found.
        found: i64,
        /// The form known here.
        known: i64,
    },
    /// An entry of a newer version.
    #[error("entry {seq} has version {found}; this program reads version {known}: use a newer one")]
    EntryForm {
        /// Which entry.
        seq: u64,
        /// Its version.
        found: u32,
        /// The version known here.
        known: u32,
    },
    /// Another key began it.
    #[error("the ledger at {place} belongs to the key {stored}, not to {given}")]
    OtherKey {
        /// The URL, without secrets.
        place: String,
        /// The public key of the ledger.
        stored: String,
        /// The public key that was given.
        given: String,
    },
    /// A new key that is none.
    #[error("the key {key} has signed this ledger before; a new one is needed")]
    KeyUsedBefore {
        /// It.
        key: String,
    },
    /// Opened without its key.
    #[error("the ledger at {place} was opened without its key and can only be read")]
    ReadOnly {
        /// The URL, without secrets.
        place: String,
    },
    /// Somebody else has appended since.
    #[error("the ledger has {actual} entries and no longer {expected}; read on and decide again")]
    Stale {
        /// The size that the caller had seen.
        expected: u64,
        /// The size it has.
        actual: u64,
    },
    /// The lease is held by somebody else.
    #[error("`{name}` is held by {holder} until {until}")]
    Leased {
        /// The lease's name.
        name: String,
        /// Who holds it.
        holder: String,
        /// Until when.
        until: vouchsafe_model::Time,
    },
    /// The lease that was held has passed on.
    #[error(
        "the lease on `{name}` with token {token} has passed to somebody else; nothing was written"
    )]
    LeaseLost {
        /// The lease's name.
        name: String,
        /// The token that is no longer the current one.
        token: u64,
    },
    /// An entry of a version that this program does not write.
    #[error("entry {index} of the batch has version {given}; only version {known} is written")]
    Version {
        /// Its place in the batch, from 0.
        index: usize,
        /// Its version.
        given: u32,
        /// The version that is written.
        known: u32,
    },
    /// Too many entries at once.
    #[error("{count} entries at once are too many; append at most {max}")]
    TooMany {
        /// How many were given.
        count: usize,
        /// How many are allowed.
        max: usize,
    },
    /// An entry is too large.
    #[error("entry {index} of the batch has {bytes} bytes; at most {max} are allowed")]
    TooLarge {
        /// Its place in the batch, from 0.
        index: usize,
        /// Its length.
        bytes: usize,
        /// The allowed length.
        max: usize,
    },
    /// An entry cannot be written as JSON.
    #[error("entry {index} of the batch cannot be written as JSON")]
    Encode {
        /// Its place in the batch, from 0.
        index: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A range outside the ledger.
    #[error("the ledger has {size} entries; {start}..{end} is outside")]
    Range {
        /// The first entry asked for.
        start: u64,
        /// The end asked for.
        end: u64,
        /// The size.
        size: u64,
    },
    /// The database is damaged or was changed by others.
    #[error("the ledger at {place} is damaged")]
    Corrupt {
        /// The URL, without secrets.
        place: String,
        /// How.
        #[source]
        source: Corruption,
    },
    /// A head that contradicts this ledger.
    #[error(transparent)]
    Fork(#[from] Fork),
    /// A head that is not one.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// A public key that is none.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The stream could not be written.
    #[error("cannot write the export")]
    Write(#[source] std::io::Error),
}
