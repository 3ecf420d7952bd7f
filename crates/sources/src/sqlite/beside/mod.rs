//! Single tables of a SQLite database, brought back under other names beside live data.
//!
//! The point is restored into a scratch file, the tables are renamed there, which SQLite does in every statement that
//! names them, and then copied with their indexes in one transaction of the live database.

mod words;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};
use vouchsafe_capture::{
    Beside, BesidePlan, BesideRequest, BesideTable, CaptureContext, CaptureError,
};
use vouchsafe_host::files;
use vouchsafe_model::DigestManifest;

use self::words::{index_called, without_foreign_keys};
use super::connection;
use super::digest::{self, quoted};
use crate::beside::{Expected, judged, no_clash, no_table, plain_name};
use crate::failure;

/// How long to wait for those who write to the live database.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest beginning of a name.
const LONGEST: usize = 64;
/// The name under which the restored copy is read.
const COPY: &str = "vouchsafe_copy";
/// What begins the keys of tables in a manifest.
const TABLE: &str = "table:";

/// What never comes along.
const NEVER: [&str; 2] = ["triggers", "foreign keys to tables that do not come along"];

/// A table, and what it will be called.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    name: String,
    becomes: String,
}

fn wanted(request: &BesideRequest) -> Result<Vec<Wanted>, CaptureError> {
    plain_name(request, LONGEST)?;
    let all = request.only.iter().map(|name| Wanted {
        name: name.clone(),
        becomes: format!("{}_{name}", request.into),
    });
    let all: Vec<Wanted> = all.collect();
    let pairs = all
        .iter()
        .map(|w| (w.name.clone(), w.becomes.to_lowercase()));
    no_clash(&pairs.collect::<Vec<_>>())?;
    Ok(all)
}

fn place(request: &BesideRequest) -> String {
    request.to.display().to_string()
}

/// What would be done.
pub(super) fn plan(
    request: &BesideRequest,
    expected: Option<&DigestManifest>,
) -> Result<BesidePlan, CaptureError> {
    let wanted = wanted(request)?;
    let rows = |name: &str| expected?.entries.get(&format!("{TABLE}{name}"))?.count;
    if let Some(expected) = expected {
        let tables = || {
            expected
                .entries
                .keys()
                .filter_map(|key| key.strip_prefix(TABLE))
        };
        for each in &wanted {
            if !tables().any(|name| name == each.name) {
                return Err(no_table(&each.name, tables().map(str::to_owned).collect()));
            }
        }
    }
    open(request, &wanted)?;
    Ok(BesidePlan {
        place: place(request),
        tables: wanted
            .iter()
            .map(|each| BesideTable {
                name: each.name.clone(),
                becomes: each.becomes.clone(),
                rows: rows(&each.name),
            })
            .collect(),
        first: "the whole database is restored into the state directory, which needs the room for it; while the tables are copied, others who write to the live one wait".to_owned(),
        stays: NEVER.iter().map(|each| (*each).to_owned()).collect(),
    })
}

/// The live database, in which nothing is called as the tables will be.
fn open(request: &BesideRequest, wanted: &[Wanted]) -> Result<Connection, CaptureError> {
    if !files::exists(&request.to).map_err(failure::file)? {
        return Err(failure::target(
            &request.to,
            "with --only it must be a database that is there; without it the whole database is restored into a new file",
        ));
    }
    let failed = |e: rusqlite::Error| connection::error(&request.to, &e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let live = Connection::open_with_flags(&request.to, flags).map_err(failed)?;
    live.busy_timeout(PATIENCE).map_err(failed)?;
    refuse_taken(&live, request, wanted)?;
    Ok(live)
}

fn refuse_taken(
    live: &Connection,
    request: &BesideRequest,
    wanted: &[Wanted],
) -> Result<(), CaptureError> {
    let failed = |e: rusqlite::Error| connection::error(&request.to, &e);
    for each in wanted {
        let sql = "SELECT count(*) FROM main.sqlite_master WHERE name = ?1 COLLATE NOCASE";
        let taken: i64 = live
            .query_row(sql, [&each.becomes], |row| row.get(0))
            .map_err(failed)?;
        if taken != 0 {
            return Err(failure::target(
                &request.to,
                format!(
                    "it has a `{}` already; name another beginning by --into",
                    each.becomes
                ),
            ));
        }
    }
    Ok(())
}

/// Brings tables back from a database that was restored whole, which is changed on the way.
pub(super) fn from_copy(
    ctx: &CaptureContext<'_>,
    copy: &Path,
    request: &BesideRequest,
    expected: Option<&DigestManifest>,
) -> Result<Beside, CaptureError> {
    let wanted = wanted(request)?;
    let live = open(request, &wanted)?;
    let failed = |e: rusqlite::Error| connection::error(&request.to, &e);
    let (prepared, copies) = prepare(ctx, copy, &wanted)?;
    let mut stays = prepared.stays.clone();
    ctx.progress
        .phase("put the tables in", Some(wanted.len() as u64), None);
    // Rows come in any order, and nothing refers to them yet.
    live.execute_batch("PRAGMA foreign_keys = OFF")
        .map_err(failed)?;
    let path = copy.to_str().unwrap_or_default();
    live.execute(&format!("ATTACH DATABASE ?1 AS {COPY}"), [path])
        .map_err(failed)?;
    live.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    let written =
        refuse_taken(&live, request, &wanted).and_then(|()| insert(ctx, &live, request, &prepared));
    if let Err(error) = written {
        // Closing it would do the same. The first error is the one to report.
        let _ = live.execute_batch("ROLLBACK");
        return Err(error);
    }
    live.execute_batch("COMMIT").map_err(failed)?;
    live.execute_batch(&format!("DETACH DATABASE {COPY}"))
        .map_err(failed)?;
    let (mut tables, mut issues) = (Vec::new(), Vec::new());
    for (each, copy) in wanted.iter().zip(copies) {
        let found = digest::of_table(ctx, &live, &each.becomes, &request.to)?;
        let key = format!("{TABLE}{}", each.name);
        let expected = Expected {
            captured: expected.and_then(|manifest| manifest.entries.get(&key)),
            whole: true,
            copy: Some(copy),
        };
        let becomes = each.becomes.clone();
        tables.push(judged(&each.name, becomes, &found, &expected, &mut issues));
    }
    stays.sort();
    Ok(Beside {
        place: place(request),
        tables,
        stays,
        issues,
        replayed: None,
    })
}

/// What is made in the live database.
struct Prepared {
    /// Statements of tables and indexes.
    tables: Vec<String>,
    indexes: Vec<String>,
    /// Names that the tables have in the copy and will have, with the columns that can be written, quoted.
    filled: Vec<(String, Vec<String>)>,
    becomes: Vec<String>,
    stays: Vec<String>,
    from: PathBuf,
}

type Digests = Vec<vouchsafe_model::DigestEntry>;

/// Digests the tables in the copy, and renames them there.
fn prepare(
    ctx: &CaptureContext<'_>,
    copy: &Path,
    wanted: &[Wanted],
) -> Result<(Prepared, Digests), CaptureError> {
    let failed = |e: rusqlite::Error| connection::error(copy, &e);
    ctx.progress.phase("take the tables out", None, None);
    let database =
        Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    let there = digest::tables(&database).map_err(failed)?;
    let is_own = |name: &str| !name.to_ascii_lowercase().starts_with("sqlite_");
    let names = || {
        there
            .iter()
            .map(|table| table.name.clone())
            .filter(|name| is_own(name))
    };
    let mut copies = Vec::new();
    for each in wanted {
        if !names().any(|name| name == each.name) {
            return Err(no_table(&each.name, names().collect()));
        }
        copies.push(digest::of_table(ctx, &database, &each.name, copy)?);
    }
    let mut stays = Vec::new();
    for each in wanted {
        let sql = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE ORDER BY 1";
        for name in texts(&database, sql, &each.name).map_err(failed)? {
            stays.push(format!("the trigger {name} of {}", each.name));
        }
    }
    // They may name what only their own program knows, and renaming reads all of them.
    let others = "SELECT 'DROP ' || type || ' ' || '\"' || replace(name, '\"', '\"\"') || '\"' FROM sqlite_master WHERE type IN ('trigger', 'view') AND ?1 = ?1";
    for statement in texts(&database, others, "").map_err(failed)? {
        database.execute_batch(&statement).map_err(failed)?;
    }
    database
        .execute_batch("PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = OFF")
        .map_err(failed)?;
    for each in wanted {
        let (from, to) = (quoted(&each.name), quoted(&each.becomes));
        database
            .execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}"))
            .map_err(failed)?;
    }
    let mut out = Prepared {
        tables: Vec::new(),
        indexes: Vec::new(),
        filled: Vec::new(),
        becomes: wanted.iter().map(|each| each.becomes.clone()).collect(),
        stays,
        from: copy.to_path_buf(),
    };
    for table in digest::tables(&database).map_err(failed)? {
        if let Some(each) = wanted.iter().find(|each| each.becomes == table.name) {
            out.take(&database, each, &table).map_err(failed)?;
        }
    }
    database.close().map_err(|(_, e)| failed(e))?;
    Ok((out, copies))
}

impl Prepared {
    fn take(
        &mut self,
        database: &Connection,
        wanted: &Wanted,
        table: &digest::Table,
    ) -> rusqlite::Result<()> {
        let of_table = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?1";
        let comes = |name: &str| self.becomes.iter().any(|b| b.eq_ignore_ascii_case(name));
        for sql in texts(database, of_table, &table.name)? {
            let (sql, to) = without_foreign_keys(&sql, comes);
            let said = |to: String| format!("the foreign key of {} to {to}", wanted.name);
            self.stays.extend(to.into_iter().map(said));
            self.tables.push(sql);
        }
        let of_indexes = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ?1 COLLATE NOCASE AND sql IS NOT NULL ORDER BY 1";
        let prefix = wanted
            .becomes
            .strip_suffix(&wanted.name)
            .unwrap_or_default();
        for name in texts(database, of_indexes, &table.name)? {
            let of_index = "SELECT sql FROM sqlite_master WHERE type = 'index' AND name = ?1";
            let called = quoted(&format!("{prefix}{name}"));
            let found = texts(database, of_index, &name)?;
            self.indexes
                .extend(found.iter().filter_map(|sql| index_called(sql, &called)));
        }
        let columns = table.row_id.map(str::to_owned).into_iter();
        let plain = table.columns.iter().filter(|column| column.is_plain);
        let columns = columns.chain(plain.map(|column| column.quoted.clone()));
        self.filled.push((table.name.clone(), columns.collect()));
        Ok(())
    }
}

fn texts(database: &Connection, sql: &str, about: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = database.prepare(sql)?;
    let rows = statement.query_map([about], |row| row.get(0))?;
    rows.collect()
}

/// Makes the tables, fills them, makes their indexes; within a transaction.
fn insert(
    ctx: &CaptureContext<'_>,
    live: &Connection,
    request: &BesideRequest,
    prepared: &Prepared,
) -> Result<(), CaptureError> {
    let failed = |e: rusqlite::Error| connection::error(&request.to, &e);
    for sql in &prepared.tables {
        live.execute_batch(sql).map_err(failed)?;
    }
    for (name, columns) in &prepared.filled {
        failure::check_interrupt(ctx)?;
        let keys = texts(
            live,
            "SELECT \"table\" FROM pragma_foreign_key_list(?1)",
            name,
        );
        let comes = |to: &String| prepared.becomes.iter().any(|b| b.eq_ignore_ascii_case(to));
        if let Some(to) = keys.map_err(failed)?.iter().find(|to| !comes(to)) {
            return Err(failure::unreadable(
                &prepared.from,
                format!("the foreign key of {name} to {to} could not be taken out"),
                "restore the database into a new file, and take the rows from there",
            ));
        }
        let (columns, name) = (columns.join(", "), quoted(name));
        live.execute_batch(&format!(
            "INSERT INTO main.{name} ({columns}) SELECT {columns} FROM {COPY}.{name}"
        ))
        .map_err(failed)?;
        ctx.progress.advance(1, 0);
    }
    for sql in &prepared.indexes {
        live.execute_batch(sql).map_err(failed)?;
    }
    // Numbers that were given once are not given again.
    let counts: i64 = live
        .query_row(
            &format!(
                "SELECT (SELECT count(*) FROM main.sqlite_master WHERE name = 'sqlite_sequence') * \
                      (SELECT count(*) FROM {COPY}.sqlite_master WHERE name = 'sqlite_sequence')"
            ),
            [],
            |row| row.get(0),
        )
        .map_err(failed)?;
    for name in prepared.becomes.iter().filter(|_| counts != 0) {
        let set = format!(
            "UPDATE main.sqlite_sequence SET seq = max(seq, coalesce((SELECT seq FROM {COPY}.sqlite_sequence \
             WHERE name = ?1), 0)) WHERE name = ?1"
        );
        live.execute(&set, params![name]).map_err(failed)?;
    }
    Ok(())
}
