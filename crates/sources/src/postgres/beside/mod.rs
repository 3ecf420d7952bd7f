//! Single tables of a PostgreSQL server, brought back into a schema of their own beside live data.
//!
//! They are restored into a scratch server, taken out of what they are tied to, moved into the new schema there, and
//! carried over as that schema in one transaction: the target has all of it or nothing.

mod carry;
mod choose;
mod detach;
mod load;
mod names;
mod needs;
mod target;

use std::path::Path;
use std::sync::Arc;

use vouchsafe_capture::{
    Beside, BesidePlan, BesideRequest, BesideTable, CaptureContext, CaptureError, PointReader,
};
use vouchsafe_model::policy::Digests;
use vouchsafe_model::{DigestEntry, DigestManifest, Secret};

use self::choose::{Chosen, choose};
use self::names::{Noted, Wanted};
use self::target::Target;
use super::about::{self, About, Parts};
use super::address::Address;
use super::digest::{self, ROWS, SCHEMA};
use super::server::Server;
use super::session::literal;
use crate::beside::{Expected, judged, no_clash};

/// What never comes along.
const NEVER: [&str; 3] = [
    "owners and privileges: the copy belongs to the user who brings it back, and nobody else may use it",
    "triggers, rules, row-level security, and being sent by publications",
    "foreign keys to tables that do not come along, and defaults that draw from sequences of live data",
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
    let parts = about::parts(point)?;
    let about = about::read(&own.shown, point, parts.about.as_ref())?;
    plan_of(ctx, own, (&about, &parts), request, expected)
}

/// The same of a point whose parts are known.
pub(super) fn plan_of(
    ctx: &CaptureContext<'_>,
    own: &Own<'_>,
    (about, parts): (&About, &Parts),
    request: &BesideRequest,
    expected: Option<&DigestManifest>,
) -> Result<BesidePlan, CaptureError> {
    let target = Target::open(ctx, request, own.address, own.password)?;
    let wanted = Wanted::all(request)?;
    let becomes = |bare: &str| format!("{}.{bare}", target.into);
    let noted = expected.map(Noted::all).unwrap_or_default();
    let mut stays: Vec<String> = NEVER.iter().map(|each| (*each).to_owned()).collect();
    let mut tables = Vec::new();
    let is_dump = parts.dump.is_some();
    database_of(&wanted, about, &target, is_dump)?;
    for (each, said) in wanted.iter().zip(&request.only) {
        if noted.is_empty() || !is_dump {
            tables.push(BesideTable {
                name: said.clone(),
                becomes: becomes("…"),
                rows: None,
            });
            continue;
        }
        let found = Noted::meant(&noted, each)?;
        stays.extend(expected.map_or_else(Vec::new, |m| tied(m, &found.name)));
        tables.push(BesideTable {
            name: found.name.clone(),
            becomes: becomes(&found.bare),
            rows: found.rows,
        });
    }
    if is_dump && !noted.is_empty() {
        let pairs: Vec<_> = tables
            .iter()
            .map(|table| (table.name.clone(), table.becomes.clone()))
            .collect();
        no_clash(&pairs)?;
    }
    target.demand(about.major)?;
    Ok(BesidePlan {
        place: target.place(),
        tables,
        first: match is_dump {
            true => "the definitions of the whole database and the rows of these tables are restored into a scratch server in the state directory".to_owned(),
            false => "the whole server is restored into the state directory, which needs the room for it".to_owned(),
        },
        stays,
    })
}

/// Triggers, rules and policies of a table that the manifest names.
fn tied(manifest: &DigestManifest, table: &str) -> Vec<String> {
    let mut out = Vec::new();
    for kind in ["trigger", "rule", "policy"] {
        let prefix = format!("{SCHEMA}{kind} {table} ");
        let named = manifest
            .entries
            .keys()
            .filter_map(|key| key.strip_prefix(&prefix));
        out.extend(named.map(|name| format!("the {kind} {name} of {table}")));
    }
    out
}

/// From which database of the source the tables are.
fn database_of(
    wanted: &[Wanted],
    about: &About,
    target: &Target,
    is_dump: bool,
) -> Result<String, CaptureError> {
    let mut named: Vec<&String> = wanted.iter().filter_map(|w| w.database.as_ref()).collect();
    named.sort();
    named.dedup();
    let refused = |message: String| CaptureError::Target {
        place: target.place(),
        message,
    };
    match (named.as_slice(), is_dump) {
        ([], true) => Ok(about.database.clone()),
        ([one], true) if **one == about.database => Ok(about.database.clone()),
        ([other, ..], true) => Err(refused(format!(
            "the point is of the database {}, not of {other}",
            about.database
        ))),
        ([], false) => Ok(target.address.database.clone()),
        ([one], false) => Ok((*one).clone()),
        (_, false) => Err(refused(
            "the tables are of several databases; bring them back one database after the other"
                .to_owned(),
        )),
    }
}

/// From which database of several the tables are: the one that they are named with, or the one that the target names.
pub(super) fn database_of_request(request: &BesideRequest) -> Result<String, CaptureError> {
    let named = Wanted::all(request)?
        .into_iter()
        .find_map(|each| each.database);
    let of_target = || {
        let (_, rest) = request.to.to_str()?.split_once(':')?;
        Some(Address::parse(rest).ok()?.database)
    };
    Ok(named.or_else(of_target).unwrap_or_default())
}

/// Brings tables back from a dump.
pub(super) fn from_dump(
    ctx: &CaptureContext<'_>,
    own: &Own<'_>,
    point: &dyn PointReader,
    request: &BesideRequest,
    expected: Option<&DigestManifest>,
    scratch: &Path,
) -> Result<Beside, CaptureError> {
    let parts = about::parts(point)?;
    let about = about::read(&own.shown, point, parts.about.as_ref())?;
    let from = (point, (&about, &parts));
    from_dump_of(ctx, own, from, request, expected, scratch)
}

/// The same from a point whose parts are known.
pub(super) fn from_dump_of(
    ctx: &CaptureContext<'_>,
    own: &Own<'_>,
    (point, (about, parts)): (&dyn PointReader, (&About, &Parts)),
    request: &BesideRequest,
    expected: Option<&DigestManifest>,
    scratch: &Path,
) -> Result<Beside, CaptureError> {
    let target = Target::open(ctx, request, own.address, own.password)?;
    let wanted = Wanted::all(request)?;
    let database = database_of(&wanted, about, &target, true)?;
    drop(target.demand(about.major)?);
    let server = load::load(ctx, point, (about, parts), scratch, &wanted)?;
    let restored = Restored {
        server,
        database,
        major: about.major,
    };
    bring(ctx, &restored, &wanted, &target, expected)
}

/// Brings tables back from a server that was restored whole, as it is started.
pub(super) fn from_server(
    ctx: &CaptureContext<'_>,
    own: &Own<'_>,
    (server, about): (Server, About),
    request: &BesideRequest,
) -> Result<Beside, CaptureError> {
    let target = Target::open(ctx, request, own.address, own.password)?;
    let wanted = Wanted::all(request)?;
    let database = database_of(&wanted, &about, &target, false)?;
    drop(target.demand(about.major)?);
    let known = server.login(ctx, super::base::DATABASE)?.session()?.rows(&format!(
        "SELECT datname::text FROM pg_database WHERE datallowconn AND (datname = {0} OR NOT EXISTS (\
         SELECT FROM pg_database WHERE datname = {0})) ORDER BY 1",
        literal(&database)
    ))?;
    let known: Vec<String> = known.into_iter().flatten().flatten().collect();
    if !known.contains(&database) {
        return Err(CaptureError::Target {
            place: format!("`{database}`"),
            message: format!(
                "the server had no such database; it had {}; write database.schema.table",
                known.join(", ")
            ),
        });
    }
    let restored = Restored {
        server: Arc::new(server),
        database,
        major: about.major,
    };
    bring(ctx, &restored, &wanted, &target, None)
}

/// The scratch server, and the database in it.
struct Restored {
    server: Arc<Server>,
    database: String,
    major: u32,
}

fn bring(
    ctx: &CaptureContext<'_>,
    restored: &Restored,
    wanted: &[Wanted],
    target: &Target,
    expected: Option<&DigestManifest>,
) -> Result<Beside, CaptureError> {
    let mut scratch = restored.server.login(ctx, &restored.database)?.session()?;
    let chosen = choose(&mut scratch, wanted)?;
    let becomes = |table: &Chosen| format!("{}.{}", target.into, table.bare);
    let pairs: Vec<_> = chosen
        .iter()
        .map(|table| (table.name.clone(), becomes(table)))
        .collect();
    no_clash(&pairs)?;
    let captured = |table: &Chosen| expected?.entries.get(&format!("{ROWS}{}", table.name));
    // Looked at once more: restoring may have taken long.
    let mut there = target.demand(restored.major)?;
    let mut stays = detach::detach(&mut scratch, &chosen)?;
    detach::move_into(&mut scratch, &chosen, &target.into)?;
    stays.extend(needs::settle(&mut scratch, &mut there, target)?);
    let with_rows = || chosen.iter().filter(|table| table.has_rows);
    let mut copies = Vec::new();
    for table in with_rows() {
        copies.push(match captured(table) {
            Some(_) => None,
            None => digest::of_table(&mut scratch, &becomes(table), Digests::Full)?,
        });
    }
    drop(scratch);
    carry::carry(
        ctx,
        &restored.server,
        (&restored.database, restored.major),
        target,
    )?;
    ctx.progress
        .phase("compare the rows", Some(copies.len() as u64), None);
    let digests = expected.map_or(Digests::Full, |manifest| {
        digest::of_method(&manifest.method)
    });
    let (mut tables, mut issues) = (Vec::new(), Vec::new());
    for (table, copy) in with_rows().zip(copies) {
        let captured = captured(table);
        let how = if captured.is_some() {
            digests
        } else {
            Digests::Full
        };
        let found = digest::of_table(&mut there, &becomes(table), how)?;
        let found = found.unwrap_or_else(|| DigestEntry {
            count: None,
            digest: "of nothing".to_owned(),
        });
        let expected = Expected {
            captured,
            whole: how != Digests::Sample,
            copy,
        };
        tables.push(judged(
            &table.name,
            becomes(table),
            &found,
            &expected,
            &mut issues,
        ));
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
