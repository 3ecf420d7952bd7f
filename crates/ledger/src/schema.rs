//! The SQL: one text for SQLite and PostgreSQL.

/// The form of the tables.
pub(crate) const FORM: i64 = 1;

/// The form of the same tables once the signing key was changed: `public_key` has a line for each further key, which
/// earlier versions cannot follow.
pub(crate) const FORM_OF_SEVERAL_KEYS: i64 = 2;

/// The few words in which the databases differ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// A 64-bit integer.
    pub(crate) integer: &'static str,
    /// A byte string.
    pub(crate) bytes: &'static str,
    /// Begins a transaction that no other writer can overlap.
    pub(crate) begin_writing: &'static [&'static str],
    /// Begins a transaction that sees one state.
    pub(crate) begin_reading: &'static str,
    /// One row if the table `$1` is there.
    pub(crate) has_table: &'static str,
}

pub(crate) const SQLITE: Dialect = Dialect {
    // Only this word makes the primary key the row's own number.
    integer: "INTEGER",
    bytes: "BLOB",
    begin_writing: &["BEGIN IMMEDIATE"],
    begin_reading: "BEGIN",
    has_table: "SELECT CAST(1 AS BIGINT) FROM sqlite_master WHERE type = 'table' AND name = $1",
};

pub(crate) const POSTGRES: Dialect = Dialect {
    integer: "BIGINT",
    bytes: "BYTEA",
    // The lock also keeps two first openings from making the tables at once.
    begin_writing: &["BEGIN", "SELECT pg_advisory_xact_lock(8531642077145202)"],
    begin_reading: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    has_table: "SELECT CAST(1 AS BIGINT) FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1",
};

/// The tables, with `{integer}` and `{bytes}` to be filled in.
pub(crate) const TABLES: [&str; 4] = [
    "CREATE TABLE ledger_entry (
        seq {integer} PRIMARY KEY,
        leaf {bytes} NOT NULL,
        root {bytes} NOT NULL,
        signature {bytes} NOT NULL,
        body {bytes} NOT NULL)",
    "CREATE TABLE ledger_state (
        id {integer} PRIMARY KEY,
        form {integer} NOT NULL,
        public_key TEXT NOT NULL,
        empty_signature {bytes} NOT NULL,
        size {integer} NOT NULL,
        frontier {bytes} NOT NULL,
        horizon {integer})",
    "CREATE TABLE ledger_obligation (
        id TEXT PRIMARY KEY,
        seq {integer} NOT NULL)",
    "CREATE TABLE ledger_lease (
        name TEXT PRIMARY KEY,
        holder TEXT NOT NULL,
        token {integer} NOT NULL,
        until {integer} NOT NULL)",
];

pub(crate) const FOUND: &str = "INSERT INTO ledger_state \
     (id, form, public_key, empty_signature, size, frontier, horizon) \
     VALUES (1, $1, $2, $3, 0, $4, NULL)";

pub(crate) const STATE: &str = "SELECT form, public_key, empty_signature, size, frontier, horizon \
     FROM ledger_state WHERE id = 1";

/// Moves the state on, if it is still where the caller saw it.
pub(crate) const ADVANCE: &str = "UPDATE ledger_state SET size = $1, frontier = $2, horizon = $3 \
     WHERE id = 1 AND size = $4";

pub(crate) const INSERT_ENTRY: &str =
    "INSERT INTO ledger_entry (seq, leaf, root, signature, body) VALUES ($1, $2, $3, $4, $5)";

pub(crate) const READ_ENTRIES: &str = "SELECT seq, leaf, root, signature, body FROM ledger_entry \
     WHERE seq >= $1 AND seq < $2 ORDER BY seq LIMIT $3";

pub(crate) const READ_BODIES: &str = "SELECT seq, body FROM ledger_entry \
     WHERE seq >= $1 AND seq < $2 ORDER BY seq LIMIT $3";

pub(crate) const READ_LEAVES: &str =
    "SELECT seq, leaf FROM ledger_entry WHERE seq >= $1 AND seq < $2 ORDER BY seq LIMIT $3";

pub(crate) const READ_HEAD: &str = "SELECT root, signature FROM ledger_entry WHERE seq = $1";

pub(crate) const NOTE_OBLIGATION: &str =
    "INSERT INTO ledger_obligation (id, seq) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";

/// The same for `count` obligations at once, into an empty table.
pub(crate) fn note_obligations(count: usize) -> String {
    let rows: Vec<String> = (0..count)
        .map(|n| format!("(${}, ${})", 2 * n + 1, 2 * n + 2))
        .collect();
    format!(
        "INSERT INTO ledger_obligation (id, seq) VALUES {}",
        rows.join(", ")
    )
}

pub(crate) const READ_OBLIGATIONS: &str = "SELECT id, seq FROM ledger_obligation ORDER BY seq, id";

pub(crate) const FORGET_OBLIGATION: &str = "DELETE FROM ledger_obligation WHERE id = $1";

pub(crate) const DROP_OBLIGATIONS: &str = "DELETE FROM ledger_obligation";

pub(crate) const SET_HORIZON: &str = "UPDATE ledger_state SET horizon = $1 WHERE id = 1";

pub(crate) const CHANGE_KEYS: &str =
    "UPDATE ledger_state SET form = $1, public_key = $2 WHERE id = 1";

pub(crate) const READ_LEASE: &str = "SELECT holder, token, until FROM ledger_lease WHERE name = $1";

pub(crate) const TAKE_LEASE: &str = "INSERT INTO ledger_lease (name, holder, token, until) \
     VALUES ($1, $2, $3, $4) \
     ON CONFLICT (name) DO UPDATE SET holder = $2, token = $3, until = $4";

pub(crate) const EXTEND_LEASE: &str =
    "UPDATE ledger_lease SET until = $1 WHERE name = $2 AND token = $3";
