//! A scratch server with every definition of a dump, and the rows of a few tables.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError, PointReader};
use vouchsafe_host::files;
use vouchsafe_host::process::{Command, run_captured};

use super::super::about::{self, About, Parts};
use super::super::dump::Door;
use super::super::restore::{conninfo, create, fetch, load_globals};
use super::super::server::{self, Server, Settings};
use super::super::session::{literal, unreadable};
use super::super::{login, programs};
use super::choose::{Chosen, choose};
use super::names::Wanted;
use crate::failure;

const LASTS: Duration = Duration::from_secs(7 * 24 * 3600);
/// How much of a list of what is in a dump is taken into memory.
const LARGEST_LIST: usize = 256 << 20;
const REMEDY: &str = "what it said names the object; extensions that the dump needs must exist on this machine, and the locale of the original";

/// Makes the server in `place`, which is not there yet.
pub(super) fn load(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    (about, parts): (&About, &Parts),
    place: &Path,
    wanted: &[Wanted],
) -> Result<Arc<Server>, CaptureError> {
    let dumped = parts.dump.as_ref().ok_or_else(|| {
        let message = format!("the point holds no {}", about::DUMP);
        unreadable(&about.database, message, "choose another point")
    })?;
    files::create_dir_all(place, 0o700).map_err(failure::file)?;
    let place = files::canonicalize(place).map_err(failure::file)?;
    ctx.progress.phase("make a scratch server", None, None);
    server::initialise(ctx, about.major, &place, &about.superuser)?;
    let server = Server::start(ctx, about.major, &place, &about.superuser, &Settings::Ours)?;
    let server = Arc::new(server);
    let door = Door::Own(Arc::clone(&server));
    let programs = programs::for_serving(ctx, about.major)?;
    if let Some(globals) = &parts.globals {
        load_globals(ctx, point, globals, about, &programs, &door)?;
    }
    let mut maintenance = server.login(ctx, "postgres")?.session()?;
    let there = maintenance.rows(&format!(
        "SELECT ''::text FROM pg_database WHERE datname = {}",
        literal(&about.database)
    ))?;
    if there.is_empty() {
        create(&mut maintenance, about, &about.database)?;
    }
    drop(maintenance);
    ctx.progress.phase("fetch the dump", None, dumped.bytes());
    let (_fetched, dump, _) = fetch(ctx, point, dumped)?;
    let restore = Restore {
        ctx,
        door: &door,
        database: &about.database,
        programs: &programs,
        dump: &dump,
    };
    ctx.progress.phase("load the definitions", None, None);
    restore.run(&["--section=pre-data"], None)?;
    let mut session = server.login(ctx, &about.database)?.session()?;
    let chosen = choose(&mut session, wanted)?;
    drop(session);
    let list = restore.list()?;
    // Tables are empty still, so that every constraint holds.
    restore.run(&["--section=post-data"], Some(&only(&list, is_no_refresh)))?;
    ctx.progress.phase("load the rows", None, None);
    let rows = only(&list, |entry| is_of(entry, &chosen));
    restore.run(&["--data-only", "--disable-triggers"], Some(&rows))?;
    Ok(server)
}

/// What `pg_restore` is run with each time.
struct Restore<'a> {
    ctx: &'a CaptureContext<'a>,
    door: &'a Door,
    database: &'a str,
    programs: &'a Path,
    dump: &'a Path,
}

impl Restore<'_> {
    /// Restores what these options say, and of that only what is in `list`.
    fn run(&self, options: &[&str], list: Option<&str>) -> Result<(), CaptureError> {
        failure::check_interrupt(self.ctx)?;
        let scratch = login::scratch(self.ctx, "list-")?;
        let mut command = Command::new(self.programs.join("pg_restore"))
            .args(["--exit-on-error", "--no-password", "--no-tablespaces"])
            .arg(format!("--dbname={}", conninfo(self.database)))
            .args(options);
        if let Some(list) = list {
            let path = files::canonicalize(scratch.path())
                .map_err(failure::file)?
                .join("list");
            files::write_atomic(&path, list.as_bytes(), 0o600).map_err(failure::file)?;
            command = command.arg(format!("--use-list={}", path.display()));
        }
        let command = self.door.reach(command.arg(self.dump), self.database);
        run_captured(self.ctx.spawn, command, LASTS)
            .map(drop)
            .map_err(|e| programs::failed("pg_restore", &e, REMEDY))
    }

    /// What is in the dump, a line each.
    fn list(&self) -> Result<String, CaptureError> {
        let command = Command::new(self.programs.join("pg_restore"))
            .arg("--list")
            .arg(self.dump)
            .capture(LARGEST_LIST);
        let command = self.door.reach(command, self.database);
        run_captured(self.ctx.spawn, command, LASTS)
            .map(|output| output.text())
            .map_err(|e| programs::failed("pg_restore --list", &e, REMEDY))
    }
}

/// The lines of a list that are wanted.
fn only(list: &str, wanted: impl Fn(&str) -> bool) -> String {
    let mut out = String::new();
    for line in list.lines().filter(|line| !line.starts_with(';')) {
        if let Some((_, entry)) = line.split_once("; ")
            && wanted(entry)
        {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

/// Computing views anew would run queries that nobody asked for.
fn is_no_refresh(entry: &str) -> bool {
    !entry.contains(" MATERIALIZED VIEW DATA ")
}

/// Whether an entry holds rows of one of these tables, or where a sequence stands. Names with spaces may make it more than
/// that, never less.
fn is_of(entry: &str, chosen: &[Chosen]) -> bool {
    if entry.contains(" SEQUENCE SET ") {
        return true;
    }
    // The list has names on one line each.
    let flat = |name: &str| name.replace(['\n', '\r'], " ");
    entry.split_once(" TABLE DATA ").is_some_and(|(_, rest)| {
        chosen.iter().any(|table| {
            let name = format!("{} {} ", flat(&table.schema), flat(&table.table));
            rest.starts_with(&name)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rows_that_are_wanted_are_loaded() {
        let list = ";\n; Archive created\n\
            3374; 0 16387 TABLE DATA public orders shop\n\
            3375; 0 16388 TABLE DATA public orders_old shop\n\
            3376; 0 16389 TABLE DATA stock orders shop\n\
            3380; 0 0 SEQUENCE SET public orders_id_seq shop\n\
            3381; 0 16399 MATERIALIZED VIEW DATA public busy shop\n";
        let chosen = [Chosen {
            oid: "1".to_owned(),
            schema: "public".to_owned(),
            table: "orders".to_owned(),
            name: "public.orders".to_owned(),
            bare: "orders".to_owned(),
            has_rows: true,
        }];
        let rows = only(list, |entry| is_of(entry, &chosen));
        assert!(rows.contains("3374;") && rows.contains("3380;"), "{rows}");
        assert_eq!(rows.lines().count(), 2, "{rows}");
        let rest = only(list, is_no_refresh);
        assert_eq!(rest.lines().count(), 4);
        assert!(!rest.contains("busy"));
    }
}
