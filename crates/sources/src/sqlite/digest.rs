//! Digests of a database's schema and rows.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use sha2::{Digest, Sha256};
use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_model::{DigestEntry, Issue};

use super::connection;
use crate::failure;
use crate::sum::Sum;

/// The manifest's key of the schema.
pub(super) const SCHEMA: &str = "schema";

/// Digests by part, and the tables that could not be read.
pub(super) struct Digested {
    pub(super) entries: BTreeMap<String, DigestEntry>,
    pub(super) issues: Vec<Issue>,
}

/// One table with rows of its own.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    /// Quoted for SQL.
    pub(super) quoted: String,
    /// How its row id is called; nothing if it has none.
    pub(super) row_id: Option<&'static str>,
    pub(super) columns: Vec<Column>,
}

/// One column that is stored.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Quoted for SQL.
    pub(super) quoted: String,
    /// Whether it can be assigned to.
    pub(super) is_plain: bool,
    /// Whether it is part of the primary key.
    pub(super) is_key: bool,
}

/// Digests everything, by [`super::SqliteSource::METHOD`].
pub(super) fn digest(
    ctx: &CaptureContext<'_>,
    from: &Connection,
    place: &Path,
) -> Result<Digested, CaptureError> {
    let failed = |e: rusqlite::Error| connection::error(place, &e);
    let mut out = Digested {
        entries: BTreeMap::new(),
        issues: Vec::new(),
    };
    out.entries
        .insert(SCHEMA.to_owned(), schema(from).map_err(failed)?);
    for table in tables(from).map_err(failed)? {
        failure::check_interrupt(ctx)?;
        match rows(ctx, from, &table) {
            Ok(Some(entry)) => drop(out.entries.insert(format!("table:{}", table.name), entry)),
            Ok(None) => return Err(CaptureError::Interrupted),
            Err(e) => out.issues.push(Issue {
                place: format!("{}: table {}", place.display(), table.name),
                message: e.to_string(),
            }),
        }
    }
    out.entries
        .insert("foreign-keys".to_owned(), foreign_keys(from));
    Ok(out)
}

/// The rows of one table; nothing of it is there if there is none of this name.
pub(super) fn of_table(
    ctx: &CaptureContext<'_>,
    from: &Connection,
    name: &str,
    place: &Path,
) -> Result<DigestEntry, CaptureError> {
    let failed = |e: rusqlite::Error| connection::error(place, &e);
    let found = table(from, name.to_owned()).map_err(failed)?;
    if found.columns.is_empty() {
        return Ok(DigestEntry {
            count: None,
            digest: "of nothing".to_owned(),
        });
    }
    match rows(ctx, from, &found).map_err(failed)? {
        Some(entry) => Ok(entry),
        None => Err(CaptureError::Interrupted),
    }
}

/// All tables that have rows of their own, by name.
pub(super) fn tables(from: &Connection) -> rusqlite::Result<Vec<Table>> {
    // Virtual tables have no pages.
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 ORDER BY name";
    let mut statement = from.prepare(sql)?;
    let names: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    // The schema is a table itself, but digested apart.
    names
        .into_iter()
        .filter(|n| n != "sqlite_master")
        .map(|name| table(from, name))
        .collect()
}

/// An identifier, quoted for SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The digest of one row: whether there is a row id, then each value with its type.
pub(super) fn row_digest<'a>(
    has_row_id: bool,
    values: impl Iterator<Item = ValueRef<'a>>,
) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([u8::from(has_row_id)]);
    for value in values {
        let (tag, bits, bytes): (u8, u64, &[u8]) = match value {
            ValueRef::Null => (0, 0, &[]),
            ValueRef::Integer(n) => (1, n.cast_unsigned(), &[]),
            ValueRef::Real(x) => (2, x.to_bits(), &[]),
            ValueRef::Text(t) => (3, t.len() as u64, t),
            ValueRef::Blob(b) => (4, b.len() as u64, b),
        };
        hash.update([tag]);
        hash.update(bits.to_be_bytes());
        hash.update(bytes);
    }
    hash.finalize().into()
}

fn table(from: &Connection, name: String) -> rusqlite::Result<Table> {
    let mut statement = from.prepare("SELECT name, hidden, pk FROM pragma_table_xinfo(?1)")?;
    let found: Vec<(String, i64, i64)> = statement
        .query_map([&name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let is_column = |alias: &str| {
        found
            .iter()
            .any(|(column, _, _)| column.eq_ignore_ascii_case(alias))
    };
    let quoted_name = quoted(&name);
    // A column may take one of the names of the row id; a table without row ids knows none of them.
    let row_id = ["rowid", "_rowid_", "oid"]
        .into_iter()
        .find(|alias| !is_column(alias))
        .filter(|alias| {
            from.prepare(&format!("SELECT {alias} FROM {quoted_name}"))
                .is_ok()
        });
    let columns = found
        .iter()
        // 2 is computed when read; what it is computed from is digested.
        .filter(|(_, hidden, _)| matches!(hidden, 0 | 3))
        .map(|(column, hidden, key)| Column {
            quoted: quoted(column),
            is_plain: *hidden == 0,
            is_key: *key > 0,
        })
        .collect();
    Ok(Table {
        name,
        quoted: quoted_name,
        row_id,
        columns,
    })
}

/// Nothing if interrupted.
fn rows(
    ctx: &CaptureContext<'_>,
    from: &Connection,
    table: &Table,
) -> rusqlite::Result<Option<DigestEntry>> {
    let selected: Vec<&str> = table
        .row_id
        .into_iter()
        .chain(table.columns.iter().map(|c| c.quoted.as_str()))
        .collect();
    let mut statement = from.prepare(&format!(
        "SELECT {} FROM {}",
        selected.join(", "),
        table.quoted
    ))?;
    let width = statement.column_count();
    let mut found = statement.query([])?;
    let (mut sum, mut count) = (Sum::default(), 0_u64);
    while let Some(row) = found.next()? {
        sum.add(digest_of(row, width, table.row_id.is_some())?);
        count += 1;
        if count.is_multiple_of(4096) {
            ctx.progress.advance(4096, 0);
            if ctx.interrupt.requested() {
                return Ok(None);
            }
        }
    }
    Ok(Some(DigestEntry {
        count: Some(count),
        digest: sum.to_hex(),
    }))
}

fn digest_of(row: &Row<'_>, width: usize, has_row_id: bool) -> rusqlite::Result<[u8; 32]> {
    let values: Vec<ValueRef<'_>> = (0..width)
        .map(|at| row.get_ref(at))
        .collect::<Result<_, _>>()?;
    Ok(row_digest(has_row_id, values.into_iter()))
}

fn schema(from: &Connection) -> rusqlite::Result<DigestEntry> {
    let mut hash = Sha256::new();
    for pragma in ["page_size", "encoding", "user_version", "application_id"] {
        let digest = from.query_row(&format!("PRAGMA {pragma}"), [], |row| {
            digest_of(row, 1, false)
        })?;
        hash.update(digest);
    }
    let sql =
        "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name, tbl_name, sql";
    let mut statement = from.prepare(sql)?;
    let mut objects = statement.query([])?;
    let mut count = 0;
    while let Some(row) = objects.next()? {
        hash.update(digest_of(row, 4, false)?);
        count += 1;
    }
    Ok(DigestEntry {
        count: Some(count),
        digest: hex::encode(hash.finalize()),
    })
}

fn foreign_keys(from: &Connection) -> DigestEntry {
    let count = from
        .prepare("PRAGMA foreign_key_check")
        .and_then(|mut statement| {
            let mut rows = statement.query([])?;
            let mut count = 0_u64;
            while rows.next()?.is_some() {
                count += 1;
            }
            Ok(count)
        });
    match count {
        Ok(count) => DigestEntry {
            count: Some(count),
            digest: "rows that refer to nothing".to_owned(),
        },
        // A schema whose references fit no key: legal, and the same after a restore.
        Err(_) => DigestEntry {
            count: None,
            digest: "cannot be checked".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusqlite::types::Value;

    fn one(value: &Value) -> [u8; 32] {
        row_digest(true, [ValueRef::from(value)].into_iter())
    }

    #[test]
    fn types_are_told_apart() {
        let values = [
            Value::Null,
            Value::Integer(1),
            Value::Real(1.0),
            Value::Text("1".into()),
            Value::Blob(vec![0x31]),
            Value::Integer(0),
            Value::Text(String::new()),
            Value::Blob(Vec::new()),
        ];
        for (i, a) in values.iter().enumerate() {
            for (j, b) in values.iter().enumerate() {
                assert_eq!(one(a) == one(b), i == j, "{a:?} and {b:?}");
            }
        }
        assert_ne!(
            row_digest(true, std::iter::empty()),
            row_digest(false, std::iter::empty())
        );
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Integer),
            any::<f64>()
                .prop_filter("a number", |x| !x.is_nan())
                .prop_map(Value::Real),
            "[a-c]{0,3}".prop_map(Value::Text),
            proptest::collection::vec(any::<u8>(), 0..3).prop_map(Value::Blob),
        ]
    }

    fn total(rows: &[Vec<Value>]) -> Sum {
        let mut sum = Sum::default();
        for row in rows {
            sum.add(row_digest(false, row.iter().map(ValueRef::from)));
        }
        sum
    }

    proptest! {
        #[test]
        fn the_order_of_rows_does_not_matter_but_every_value_does(
            rows in proptest::collection::vec(proptest::collection::vec(value(), 1..4), 1..6),
            other in value(),
            turn in 0_usize..6,
        ) {
            let mut turned = rows.clone();
            let by = turn % rows.len();
            turned.rotate_left(by);
            prop_assert_eq!(total(&rows), total(&turned));
            let mut changed = rows.clone();
            let old = std::mem::replace(&mut changed[by][0], other.clone());
            let same = match (&old, &other) {
                (Value::Real(a), Value::Real(b)) => a.to_bits() == b.to_bits(),
                (a, b) => a == b,
            };
            prop_assert_eq!(total(&rows) == total(&changed), same);
        }

        #[test]
        fn a_value_cannot_move_into_the_next(a in "[ab]{0,4}", b in "[ab]{0,4}", c in "[ab]{0,4}", d in "[ab]{0,4}") {
            let row = |x: &str, y: &str| row_digest(false, [ValueRef::Text(x.as_bytes()), ValueRef::Text(y.as_bytes())].into_iter());
            prop_assert_eq!(row(&a, &b) == row(&c, &d), (a, b) == (c, d));
        }
    }
}
