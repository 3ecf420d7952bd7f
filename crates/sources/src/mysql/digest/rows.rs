//! The rows of every table, as the server writes them.

use std::collections::BTreeMap;

use vouchsafe_capture::CaptureError;
use vouchsafe_model::DigestEntry;
use vouchsafe_model::policy::Digests;

use super::super::about::About;
use super::super::session::{Session, literal, quoted};
use super::{Values, entry};
use crate::sum::Sum;

/// A table that holds rows which a dump holds too.
#[derive(Debug)]
pub(in crate::mysql) struct Table {
    pub(in crate::mysql) name: String,
    pub(in crate::mysql) engine: String,
    /// Whether the server keeps what was in it before.
    pub(in crate::mysql) is_versioned: bool,
    /// What is stored in it, in order: names and types.
    columns: Vec<(String, String)>,
}

/// Engines whose rows a transaction sees at one moment.
const OF_ONE_MOMENT: [&str; 2] = ["InnoDB", "ROCKSDB"];

/// Which share of the rows is in a sample.
const ONE_IN: u32 = 64;

impl Table {
    /// Whether its rows are those of the transaction's moment.
    pub(in crate::mysql) fn is_of_one_moment(&self) -> bool {
        OF_ONE_MOMENT
            .iter()
            .any(|engine| engine.eq_ignore_ascii_case(&self.engine))
    }

    fn place(&self, about: &About) -> String {
        format!("{}.{}", quoted(&about.database), quoted(&self.name))
    }

    /// A first column that is short keeps the length of a later one from being taken for the end of the rows.
    fn selected(&self) -> String {
        let names = self.columns.iter().map(|(name, _)| quoted(name));
        let all: Vec<String> = std::iter::once("0".to_owned()).chain(names).collect();
        all.join(", ")
    }
}

/// Every table of the database, the largest first.
pub(in crate::mysql) fn tables(
    session: &mut Session,
    about: &About,
) -> Result<Vec<Table>, CaptureError> {
    let database = literal(&about.database);
    let mut columns: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let rows = session.rows(&format!(
        "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {database} \
         AND COALESCE(GENERATION_EXPRESSION, '') = '' AND EXTRA NOT LIKE '%GENERATED%' \
         ORDER BY TABLE_NAME, ORDINAL_POSITION"
    ))?;
    for row in rows {
        let mut row = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || row.next().unwrap_or_default();
        let (table, column, kind) = (next(), next(), next());
        columns.entry(table).or_default().push((column, kind));
    }
    let rows = session.rows(&format!(
        "SELECT TABLE_NAME, ENGINE, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = {database} \
         AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY DATA_LENGTH DESC, TABLE_NAME"
    ))?;
    let table = |row: super::super::session::Texts| {
        let mut row = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || row.next().unwrap_or_default();
        let (name, engine, kind) = (next(), next(), next());
        Table {
            is_versioned: kind == "SYSTEM VERSIONED",
            columns: columns.get(&name).cloned().unwrap_or_default(),
            name,
            engine,
        }
    };
    Ok(rows.into_iter().map(table).collect())
}

/// The number of rows and the sum of their SHA-256. What was locked for reading is let go again: nobody who wants to
/// alter the table waits for us.
pub(super) fn digest(
    session: &mut Session,
    about: &About,
    table: &Table,
    digests: Digests,
) -> Result<DigestEntry, CaptureError> {
    session.execute("SAVEPOINT vouchsafe")?;
    let (selected, place) = (table.selected(), table.place(about));
    let out = match digests {
        Digests::Sample => {
            let count = session.text(&format!("SELECT COUNT(*) FROM {place}"))?;
            let chosen = chosen(table);
            let sample = of_rows(
                session,
                &format!("SELECT {selected} FROM {place} WHERE {chosen}"),
            )?;
            DigestEntry {
                count: count.parse().ok(),
                digest: sample.digest,
            }
        }
        Digests::Full | Digests::None => {
            of_rows(session, &format!("SELECT {selected} FROM {place}"))?
        }
    };
    session.execute("ROLLBACK TO SAVEPOINT vouchsafe")?;
    Ok(out)
}

fn of_rows(session: &mut Session, sql: &str) -> Result<DigestEntry, CaptureError> {
    let (mut sum, mut count) = (Sum::default(), 0);
    let mut values = Values::default();
    session.each(sql, &mut |row| {
        values.0.clear();
        for value in row.iter().skip(1) {
            values.add(*value);
        }
        sum.add(values.digest());
        count += 1;
        Ok(())
    })?;
    Ok(DigestEntry {
        digest: sum.to_hex(),
        ..entry(Some(count), &[])
    })
}

/// Chooses rows by what is in them. Values that have no text are left out of the choice.
fn chosen(table: &Table) -> String {
    let weighed = table
        .columns
        .iter()
        .filter(|(_, kind)| !is_geometry(kind))
        .zip((1_u32..).step_by(2));
    let terms: Vec<String> = weighed
        .map(|((name, _), weight)| format!("COALESCE(CRC32({}), 7) * {weight}", quoted(name)))
        .collect();
    if terms.is_empty() {
        return "TRUE".to_owned();
    }
    format!("({}) % {ONE_IN} = 0", terms.join(" + "))
}

fn is_geometry(kind: &str) -> bool {
    let kinds = [
        "geometry",
        "point",
        "linestring",
        "polygon",
        "geomcollection",
    ];
    kinds.contains(&kind) || kind.starts_with("multi") || kind == "geometrycollection"
}

/// Columns of a table in which a change hurts nowhere else, with their types: part of no key, and nothing that is
/// computed from others depends on any.
pub(in crate::mysql) fn free_columns(
    session: &mut Session,
    about: &About,
    table: &Table,
) -> Result<Vec<(String, String)>, CaptureError> {
    let (database, name) = (literal(&about.database), literal(&table.name));
    let of = format!("TABLE_SCHEMA = {database} AND TABLE_NAME = {name}");
    let taken: Vec<String> = session
        .rows(&format!(
            "SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE {of} AND COLUMN_NAME IS NOT NULL \
             UNION SELECT COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE WHERE {of}"
        ))?
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    let free = table
        .columns
        .iter()
        .filter(|(name, _)| !taken.contains(name));
    Ok(free.cloned().collect())
}
