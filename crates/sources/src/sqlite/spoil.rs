//! Damaging a restored database so that only a comparison of its rows can see it.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use vouchsafe_capture::{CaptureError, Spoiled};
use vouchsafe_model::Damage;

use super::connection;
use super::digest::{Column, Table, tables};

/// Changes one value, or inserts a row, or changes the user version: the first of these that the database allows.
pub(super) fn spoil(place: &Path) -> Result<Spoiled, CaptureError> {
    let failed = |e: rusqlite::Error| connection::error(place, &e);
    let database =
        Connection::open_with_flags(place, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    // Constraints hold, so that SQLite's own check stays green; triggers would change more than one row.
    database
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)
        .map_err(failed)?;
    database
        .execute_batch("PRAGMA foreign_keys = ON")
        .map_err(failed)?;
    let candidates = candidates(&database).map_err(failed)?;
    let damage = match candidates
        .iter()
        .find_map(|t| change_value(&database, t).ok().flatten())
    {
        Some(detail) => damage("wrong-row", detail, "content"),
        None => match candidates.iter().find(|t| insert_row(&database, t)) {
            Some(table) => damage(
                "added-row",
                format!("a row inserted into {}", table.name),
                "content",
            ),
            None => {
                let bump = "PRAGMA user_version";
                let version: i64 = database
                    .query_row(bump, [], |row| row.get(0))
                    .map_err(failed)?;
                let next = version.wrapping_add(1) & 0x7fff_ffff;
                database
                    .execute_batch(&format!("{bump} = {next}"))
                    .map_err(failed)?;
                damage(
                    "user-version",
                    format!("user version {next} instead of {version}"),
                    "schema",
                )
            }
        },
    };
    database.close().map_err(|(_, e)| failed(e))?;
    Ok(Spoiled { damage })
}

fn damage(name: &str, detail: String, must_redden: &str) -> Damage {
    Damage {
        name: name.to_owned(),
        detail,
        must_redden: must_redden.to_owned(),
    }
}

/// Ordinary tables, the one with the most rows first. Shadow tables of virtual ones have a meaning that a changed value
/// would break, and SQLite's own tables cannot be written to freely.
fn candidates(database: &Connection) -> rusqlite::Result<Vec<Table>> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage = 0";
    let mut statement = database.prepare(sql)?;
    let owners: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let is_shadow = |name: &str| {
        owners.iter().any(|owner| {
            name.strip_prefix(owner.as_str())
                .is_some_and(|rest| rest.starts_with('_'))
        })
    };
    let mut counted = Vec::new();
    for table in tables(database)? {
        if table.name.starts_with("sqlite_") || is_shadow(&table.name) {
            continue;
        }
        let sql = format!("SELECT count(*) FROM {}", table.quoted);
        let count: i64 = database.query_row(&sql, [], |row| row.get(0))?;
        counted.push((count, table));
    }
    counted.sort_by(|(a, _), (b, _)| b.cmp(a));
    Ok(counted.into_iter().map(|(_, table)| table).collect())
}

/// Changes the first value of the first row that the constraints let change; says what was done.
fn change_value(database: &Connection, table: &Table) -> rusqlite::Result<Option<String>> {
    let keys: Vec<&str> = match table.row_id {
        Some(row_id) => vec![row_id],
        None => table
            .columns
            .iter()
            .filter(|c| c.is_key)
            .map(|c| c.quoted.as_str())
            .collect(),
    };
    let conditions: Vec<String> = keys
        .iter()
        .enumerate()
        .map(|(n, key)| format!("{key} IS ?{}", n + 2))
        .collect();
    // Values that are no key first: a changed key may be refused by what refers to it.
    let mut columns: Vec<&Column> = table.columns.iter().filter(|c| c.is_plain).collect();
    columns.sort_by_key(|c| c.is_key);
    for column in columns {
        let sql = format!(
            "SELECT {}, {} FROM {} LIMIT 1",
            column.quoted,
            keys.join(", "),
            table.quoted
        );
        let row: Vec<Value> = database.query_row(&sql, [], |row| {
            (0..=keys.len())
                .map(|at| row.get(at))
                .collect::<rusqlite::Result<_>>()
        })?;
        let Some((old, key)) = row.split_first() else {
            continue;
        };
        let sql = format!(
            "UPDATE {} SET {} = ?1 WHERE {}",
            table.quoted,
            column.quoted,
            conditions.join(" AND ")
        );
        for new in others(old) {
            let arguments = std::iter::once(&new).chain(key);
            let changed = database.execute(&sql, params_from_iter(arguments));
            let check = format!("SELECT {} FROM {} LIMIT 1", column.quoted, table.quoted);
            let stored: Option<Value> = database.query_row(&check, [], |row| row.get(0)).ok();
            if changed == Ok(1) && stored.as_ref() != Some(old) {
                return Ok(Some(format!(
                    "column {} of one row of {}",
                    column.quoted, table.name
                )));
            }
        }
    }
    Ok(None)
}

/// Values that differ from this one as little as possible, to try in turn.
fn others(old: &Value) -> Vec<Value> {
    match old {
        Value::Null => vec![Value::Integer(1), Value::Text("x".to_owned())],
        Value::Integer(n) => [1, -1, 1_000_003]
            .iter()
            .map(|by| Value::Integer(n.wrapping_add(*by)))
            .collect(),
        Value::Real(x) => vec![Value::Real(x + 1.0), Value::Real(x / 2.0 - 1.0)],
        Value::Text(text) => {
            let mut shorter = text.clone();
            shorter.pop();
            vec![Value::Text(format!("{text}x")), Value::Text(shorter)]
        }
        Value::Blob(bytes) => vec![
            Value::Blob([bytes.as_slice(), b"x"].concat()),
            Value::Blob(Vec::new()),
        ],
    }
}

fn insert_row(database: &Connection, table: &Table) -> bool {
    database.execute(&format!("INSERT INTO {} DEFAULT VALUES", table.quoted), []) == Ok(1)
}
