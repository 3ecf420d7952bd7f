//! Bringing all databases back: as files, into a server that runs, or as a server of its own.

use std::path::{Path, PathBuf};

use vouchsafe_capture::{
    CaptureContext, CaptureError, Form, PointReader, RestoreRequest, Restored, TreePath,
};
use vouchsafe_host::files;

use super::super::about;
use super::super::address::Address;
use super::super::base::DATABASE;
use super::super::dump::Door;
use super::super::login::Login;
use super::super::programs;
use super::super::restore::{create, held, load, load_globals};
use super::super::server::{self, Server, Settings};
use super::super::session::literal;
use super::listed::{AllAbout, parts_of};
use super::{PostgresAllSource, means_all};
use crate::failure;
use crate::place::refuse_existing;
use crate::tree::{self, Scope};

/// Restores as [`PostgresAllSource`] says.
pub(super) fn restore(
    ctx: &CaptureContext<'_>,
    source: &PostgresAllSource,
    point: &dyn PointReader,
    request: &RestoreRequest,
) -> Result<Restored, CaptureError> {
    failure::check_interrupt(ctx)?;
    let running = request.to.to_str().and_then(|to| {
        to.strip_prefix("postgres:")
            .or(to.strip_prefix("postgresql:"))
    });
    if running.is_none() && request.form == Form::Files {
        let mut root = TreePath::root();
        // A constant that is a name.
        let _ = root.push(about::DIRECTORY.as_bytes());
        let scope = Scope::below(root).narrowed(point, request.include.as_ref())?;
        return tree::restore(ctx, point, &scope, request);
    }
    if let Some(part) = request.include.as_ref().filter(|i| !i.names().is_empty()) {
        return Err(CaptureError::Unreadable {
            place: part.to_string(),
            message: "all databases are restored to a server together".to_owned(),
            remedy:
                "bring single tables back by --only, or restore the part to a directory, as files"
                    .to_owned(),
        });
    }
    let all = AllAbout::read(&source.shown(), point)?;
    match running {
        Some(rest) => into_running(ctx, source, point, &all, rest, request.force),
        None => as_server(ctx, point, &all, &request.to),
    }
}

/// A new server in `to`, stopped in the end, with roles, every database and everything in them.
fn as_server(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    all: &AllAbout,
    to: &Path,
) -> Result<Restored, CaptureError> {
    refuse_existing(to)?;
    files::create_dir_all(to, 0o700).map_err(failure::file)?;
    let place = files::canonicalize(to).map_err(failure::file)?;
    let from = &all.server;
    files::write_atomic(place.join(about::NAME), &all.to_json(), 0o600).map_err(failure::file)?;
    ctx.progress.phase("make a server", None, None);
    server::initialise(ctx, from.major, &place, &from.superuser)?;
    let server = Server::start(ctx, from.major, &place, &from.superuser, &Settings::Ours)?;
    let door = Door::Own(server.into());
    let programs = programs::for_serving(ctx, from.major)?;
    let mut bytes = 0;
    for (number, about) in all.databases.iter().enumerate() {
        let parts = parts_of(point, &about.database)?;
        if let Some(globals) = parts.globals.as_ref().filter(|_| number == 0) {
            load_globals(ctx, point, globals, from, &programs, &door)?;
        }
        // The one that is there already is made anew, with the locale of the original.
        let (to, options): (&str, &[&str]) = match about.database == DATABASE {
            true => ("template1", &["--clean", "--if-exists", "--create"]),
            false => (DATABASE, &["--create"]),
        };
        bytes += load(ctx, point, &parts, about, &programs, &door, to, options)?;
    }
    door.close(ctx)?;
    Ok(Restored {
        items: all.databases.len() as u64,
        bytes,
        place,
        ..Restored::default()
    })
}

/// Databases of a server that runs, each under its name. Roles are not touched there.
fn into_running(
    ctx: &CaptureContext<'_>,
    source: &PostgresAllSource,
    point: &dyn PointReader,
    all: &AllAbout,
    rest: &str,
    force: bool,
) -> Result<Restored, CaptureError> {
    let target = |message: String| CaptureError::Target {
        place: vouchsafe_model::source_url::redact(rest),
        message,
    };
    let address =
        Address::parse(rest).map_err(|(message, remedy)| target(format!("{message}; {remedy}")))?;
    if !address.database.is_empty() && !means_all(&address) {
        return Err(target(
            "the point holds several databases, which keep their names; write postgres://user@host/*"
                .to_owned(),
        ));
    }
    let own = &source.inner.address;
    if address.same_server(own) && !force {
        return Err(target(
            "it is the source itself; restore into another server, or use --force to overwrite the original"
                .to_owned(),
        ));
    }
    // The source's own secret opens its own server and no other.
    let password = match address.host == own.host && address.user == own.user {
        true => source.inner.password()?,
        false => None,
    };
    let login = Login::new(ctx, address.with_database(DATABASE), password)?;
    let mut maintenance = login.session()?;
    // Everything is looked at before anything is made.
    let mut full = Vec::new();
    for about in &all.databases {
        let there = maintenance.rows(&format!(
            "SELECT ''::text FROM pg_database WHERE datname = {}",
            literal(&about.database)
        ))?;
        let is_full = !there.is_empty() && held(&mut login.session_to(&about.database)?)? != "0";
        if is_full && !force {
            return Err(target(format!(
                "the database {} is there already and not empty; restore into another server, or use --force to replace what the point holds too",
                about.database
            )));
        }
        full.push((there.is_empty(), is_full));
    }
    let programs = programs::for_dumping(ctx, all.server.major)?;
    let door = Door::Login(login);
    let mut bytes = 0;
    for (about, (is_new, is_full)) in all.databases.iter().zip(full) {
        if is_new {
            create(&mut maintenance, about, &about.database)?;
        }
        let options: &[&str] = match is_full {
            true => &["--clean", "--if-exists"],
            false => &[],
        };
        let parts = parts_of(point, &about.database)?;
        let name = &about.database;
        bytes += load(ctx, point, &parts, about, &programs, &door, name, options)?;
    }
    Ok(Restored {
        items: all.databases.len() as u64,
        bytes,
        place: PathBuf::from(address.with_database("*").shown()),
        ..Restored::default()
    })
}
