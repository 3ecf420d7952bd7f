//! Single tables of a MariaDB or MySQL server, brought back into a database of their own beside live data.
//!
//! They are restored into a scratch server, taken out of what they are tied to there, dumped, and loaded into a new
//! database of the live server, which goes again if that does not end well.

mod choose;
mod target;

use std::path::Path;
use std::time::Duration;

use vouchsafe_capture::{
    Beside, BesidePlan, BesideRequest, BesideTable, CaptureContext, CaptureError, PointReader,
};
use vouchsafe_host::files;
use vouchsafe_host::process::{Stdin, run_captured};
use vouchsafe_model::policy::Digests;
use vouchsafe_model::{DigestEntry, DigestManifest, Secret};

use self::choose::{Wanted, demand};
use self::target::Target;
use super::about::{self, About};
use super::address::Address;
use super::digest::{self, OF_NO_MOMENT, ROWS};
use super::programs::{self, Kind, Product};
use super::restore::{create, failed};
use super::server::Server;
use super::session::{Session, literal, quoted};
use super::{login, moment};
use crate::beside::{Expected, judged, no_table};
use crate::failure;

const LASTS: Duration = Duration::from_secs(7 * 24 * 3600);

/// What never comes along.
const NEVER: [&str; 3] = [
    "grants: who may use the copy is who may use a new database",
    "triggers, and the history of system-versioned tables",
    "foreign keys to tables that do not come along, and defaults that draw from sequences",
];

/// What of a source is asked for: where it is, and what opens it.
pub(super) struct Own<'a> {
    pub(super) address: &'a Address,
    pub(super) shown: String,
    pub(super) password: &'a dyn Fn() -> Result<Option<Secret>, CaptureError>,
}

/// What would be done, from a dump or from a base.
pub(super) fn plan(
    ctx: &CaptureContext<'_>,
    own: &Own<'_>,
    point: &dyn PointReader,
    request: &BesideRequest,
    expected: Option<&DigestManifest>,
) -> Result<BesidePlan, CaptureError> {
    let target = Target::open(ctx, request, own.address, own.password)?;
    let parts = about::parts(point)?;
    let about = about::read(&own.shown, point, parts.about.as_ref())?;
    let is_dump = parts.dump.is_some();
    let wanted = wanted(request, &about, &target, expected)?;
    let noted = |table: &str| {
        let entries = &expected?.entries;
        let rows = entries.get(&format!("{ROWS}{table}"));
        rows.or_else(|| entries.get(&format!("{OF_NO_MOMENT}{table}")))
    };
    let says_all = is_dump && expected.is_some_and(has_tables);
    for table in wanted.tables.iter().filter(|_| says_all) {
        if noted(table).is_none() {
            return Err(no_table(table, expected.map(tables_of).unwrap_or_default()));
        }
    }
    drop(target.demand(about.product)?);
    let planned = |table: &String| BesideTable {
        name: format!("{}.{table}", wanted.database),
        becomes: format!("{}.{table}", target.into),
        rows: noted(table).and_then(|entry| entry.count),
    };
    Ok(BesidePlan {
        place: target.place(),
        tables: wanted.tables.iter().map(planned).collect(),
        first: match is_dump {
            true => "the whole database is restored into a scratch server in the state directory, which needs the room for it".to_owned(),
            false => "the whole server is restored into the state directory, which needs the room for it".to_owned(),
        },
        stays: NEVER.iter().map(|each| (*each).to_owned()).collect(),
    })
}

fn has_tables(manifest: &DigestManifest) -> bool {
    manifest.entries.keys().any(|key| key.starts_with(ROWS))
}

fn tables_of(manifest: &DigestManifest) -> Vec<String> {
    let name = |key: &String| {
        let name = key.strip_prefix(ROWS).or(key.strip_prefix(OF_NO_MOMENT));
        name.map(str::to_owned)
    };
    manifest.entries.keys().filter_map(name).collect()
}

fn wanted(
    request: &BesideRequest,
    about: &About,
    target: &Target,
    expected: Option<&DigestManifest>,
) -> Result<Wanted, CaptureError> {
    if about.database.is_empty() {
        return Wanted::of_server(request, target);
    }
    let tables = expected.map(tables_of).unwrap_or_default();
    let is_there = |name: &str| tables.iter().any(|table| table == name);
    Ok(Wanted::of_database(request, &about.database, is_there))
}

/// Brings tables back from a server that was restored whole, as it is started.
pub(super) fn from_server(
    ctx: &CaptureContext<'_>,
    own: &Own<'_>,
    (server, about): (&Server, &About),
    request: &BesideRequest,
    expected: Option<&DigestManifest>,
) -> Result<Beside, CaptureError> {
    let target = Target::open(ctx, request, own.address, own.password)?;
    let wanted = wanted(request, about, &target, expected)?;
    let mut scratch = server.session(ctx)?;
    let from = About::ask(&mut scratch, &own.shown, &wanted.database)?;
    demand(&mut scratch, &wanted)?;
    let captured = |table: &str| expected?.entries.get(&format!("{ROWS}{table}"));
    ctx.progress.phase("take the tables out", None, None);
    moment::begin(&mut scratch)?;
    let mut copies = Vec::new();
    for table in &wanted.tables {
        copies.push(match captured(table) {
            Some(_) => None,
            None => digest::of_table(&mut scratch, &from, table, Digests::Full)?,
        });
    }
    scratch.execute("COMMIT")?;
    let mut stays = detach(&mut scratch, &wanted)?;
    drop(scratch);
    let dumped = login::scratch(ctx, "carry-")?;
    let path = files::canonicalize(dumped.path())
        .map_err(failure::file)?
        .join("dump");
    dump(ctx, server, &from, &wanted, &path)?;
    failure::check_interrupt(ctx)?;
    // Looked at once more: restoring may have taken long.
    let mut there = target.demand(from.product)?;
    ctx.progress.phase("put the tables in", None, None);
    create(&mut there, &from, &target.into)?;
    if let Err(error) = load(ctx, &target, &from, &path) {
        // It was made a moment ago, by us. The first error is the one to report.
        let _ = there.execute(&format!("DROP DATABASE {}", quoted(&target.into)));
        return Err(error);
    }
    let side = About {
        database: target.into.clone(),
        ..from
    };
    let digests = expected.map_or(Digests::Full, |manifest| {
        digest::of_method(&manifest.method)
    });
    ctx.progress
        .phase("compare the rows", Some(copies.len() as u64), None);
    moment::begin(&mut there)?;
    let (mut tables, mut issues) = (Vec::new(), Vec::new());
    for (table, copy) in wanted.tables.iter().zip(copies) {
        let captured = captured(table);
        let how = if captured.is_some() {
            digests
        } else {
            Digests::Full
        };
        let found = digest::of_table(&mut there, &side, table, how)?;
        let found = found.unwrap_or_else(|| DigestEntry {
            count: None,
            digest: "of nothing".to_owned(),
        });
        let expected = Expected {
            captured,
            whole: how != Digests::Sample,
            copy,
        };
        let name = format!("{}.{table}", wanted.database);
        let becomes = format!("{}.{table}", target.into);
        tables.push(judged(&name, becomes, &found, &expected, &mut issues));
        ctx.progress.advance(1, 0);
    }
    stays.insert(
        0,
        NEVER
            .first()
            .map_or_else(String::new, |each| (*each).to_owned()),
    );
    Ok(Beside {
        place: target.place(),
        tables,
        stays,
        issues,
        replayed: None,
    })
}

/// Takes away what binds the tables to others; gives what that was, and what is not dumped, each as half a sentence.
fn detach(scratch: &mut Session, wanted: &Wanted) -> Result<Vec<String>, CaptureError> {
    let database = literal(&wanted.database);
    let names: Vec<String> = wanted.tables.iter().map(|table| literal(table)).collect();
    let names = names.join(", ");
    let mut stays = Vec::new();
    let pairs = |scratch: &mut Session, sql: String| -> Result<Vec<[String; 3]>, CaptureError> {
        let rows = scratch.rows(&sql)?;
        let three = |row: Vec<Option<String>>| {
            let mut row = row.into_iter().map(Option::unwrap_or_default);
            [(); 3].map(|()| row.next().unwrap_or_default())
        };
        Ok(rows.into_iter().map(three).collect())
    };
    let keys = pairs(
        scratch,
        format!(
            "SELECT r.TABLE_NAME, r.CONSTRAINT_NAME, CONCAT(r.UNIQUE_CONSTRAINT_SCHEMA, '.', r.REFERENCED_TABLE_NAME) \
             FROM information_schema.REFERENTIAL_CONSTRAINTS r WHERE r.CONSTRAINT_SCHEMA = {database} \
             AND r.TABLE_NAME IN ({names}) AND NOT (r.UNIQUE_CONSTRAINT_SCHEMA = {database} \
             AND r.REFERENCED_TABLE_NAME IN ({names})) ORDER BY 1, 2"
        ),
    )?;
    let place = |table: &str| format!("{}.{}", quoted(&wanted.database), quoted(table));
    for [table, key, to] in keys {
        scratch.execute(&format!(
            "ALTER TABLE {} DROP FOREIGN KEY {}",
            place(&table),
            quoted(&key)
        ))?;
        stays.push(format!("the foreign key {key} of {table} to {to}"));
    }
    // The copy would take numbers away from live data.
    let drawn = pairs(
        scratch,
        format!(
            "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = {database} AND TABLE_NAME IN ({names}) AND COLUMN_DEFAULT LIKE '%nextval(%' ORDER BY 1, 2"
        ),
    )?;
    for [table, column, default] in drawn {
        scratch.execute(&format!(
            "ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT",
            place(&table),
            quoted(&column)
        ))?;
        stays.push(format!("the default of {table}.{column}: {default}"));
    }
    let triggers = pairs(
        scratch,
        format!(
            "SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME, '' FROM information_schema.TRIGGERS \
             WHERE EVENT_OBJECT_SCHEMA = {database} AND EVENT_OBJECT_TABLE IN ({names}) ORDER BY 1, 2"
        ),
    )?;
    let triggers = triggers.into_iter();
    stays.extend(triggers.map(|[table, name, _]| format!("the trigger {name} of {table}")));
    let versioned = pairs(
        scratch,
        format!(
            "SELECT TABLE_NAME, '', '' FROM information_schema.TABLES WHERE TABLE_SCHEMA = {database} \
             AND TABLE_NAME IN ({names}) AND TABLE_TYPE = 'SYSTEM VERSIONED' ORDER BY 1"
        ),
    )?;
    let versioned = versioned.into_iter();
    stays.extend(versioned.map(|[table, ..]| format!("the history of {table}")));
    Ok(stays)
}

/// Only the tables as they are; nothing of them is dropped where they go.
const DUMPED: [&str; 9] = [
    "--single-transaction",
    "--quick",
    "--skip-lock-tables",
    "--skip-add-locks",
    "--skip-add-drop-table",
    "--skip-triggers",
    "--hex-blob",
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1073741824",
];
const DUMPED_MYSQL: [&str; 3] = [
    "--no-tablespaces",
    "--set-gtid-purged=OFF",
    "--column-statistics=0",
];

fn dump(
    ctx: &CaptureContext<'_>,
    server: &Server,
    from: &About,
    wanted: &Wanted,
    path: &Path,
) -> Result<(), CaptureError> {
    let program = programs::client(ctx, Kind::Dump, from.product, from.series)?;
    let mut command = server.program(ctx, &program, from.product)?.args(DUMPED);
    if from.product == Product::MySql {
        command = command.args(DUMPED_MYSQL);
    }
    let command = command
        .arg(format!("--result-file={}", path.display()))
        .arg("--")
        .arg(&wanted.database)
        .args(&wanted.tables);
    run_captured(ctx.spawn, command, LASTS)
        .map(drop)
        .map_err(|e| failure::program("the dump", &e, "what it said names the table"))
}

fn load(
    ctx: &CaptureContext<'_>,
    target: &Target,
    from: &About,
    path: &Path,
) -> Result<(), CaptureError> {
    let program = programs::client(ctx, Kind::Client, from.product, from.series)?;
    let dumped = files::open_read(path).map_err(failure::file)?;
    let command = target
        .login
        .program(&program, from.product)
        .args(["--batch", "--binary-mode", "--local-infile=0"])
        .args([
            "--default-character-set=utf8mb4",
            "--max-allowed-packet=1073741824",
        ])
        .arg(format!("--database={}", target.into))
        .stdin(Stdin::File(dumped));
    let remedy = "nothing of it was left in the target; what it said names the table";
    run_captured(ctx.spawn, command, LASTS)
        .map(drop)
        .map_err(|e| failed("loading the tables", &e, remedy))
}
