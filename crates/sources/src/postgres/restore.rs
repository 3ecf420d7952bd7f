//! Bringing a database back: as files, into a server that runs, or as a server of its own.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vouchsafe_capture::{
    CaptureContext, CaptureError, Compare, Form, PointReader, RestoreRequest, Restored, TreePath,
};
use vouchsafe_format::{Node, NodeKind};
use vouchsafe_host::files::{self, TempDir};
use vouchsafe_host::machine;
use vouchsafe_host::process::{Command, Stdin, run_captured};
use vouchsafe_model::Secret;

use super::PostgresSource;
use super::about::{self, About, Dump, Parts};
use super::address::Address;
use super::dump::Door;
use super::erase;
use super::login::{Login, scratch};
use super::programs;
use super::server::{self, Server, Settings};
use super::session::{Session, literal, quoted, unreadable};
use crate::failure;
use crate::tree::{self, Ours, Scope};

/// How long a restore may take; a server that hangs is ended at last.
const RESTORE: Duration = Duration::from_secs(7 * 24 * 3600);
const GLOBALS: Duration = Duration::from_secs(3600);
/// How much of `globals.sql` is taken into memory.
const LARGEST_GLOBALS: u64 = 256 << 20;

/// Restores as [`PostgresSource`] says.
pub(super) fn restore(
    ctx: &CaptureContext<'_>,
    source: &PostgresSource,
    point: &dyn PointReader,
    request: &RestoreRequest,
) -> Result<Restored, CaptureError> {
    failure::check_interrupt(ctx)?;
    let running = erase::running(request);
    if running.is_none() && request.form == Form::Files {
        let mut root = TreePath::root();
        // A constant that is a name.
        let _ = root.push(about::DIRECTORY.as_bytes());
        let scope = Scope::below(root).narrowed(point, request.include.as_ref())?;
        return tree::restore(ctx, point, &scope, request);
    }
    if let Some(part) = request.include.as_ref().filter(|i| !i.names().is_empty()) {
        return Err(refuse_part(part));
    }
    let shown = source.shown();
    let parts = about::parts(point)?;
    let about = about::read(&shown, point, parts.about.as_ref())?;
    match running {
        Some(rest) => into_running(ctx, source, point, &about, &parts, rest, request.force),
        None => as_server(ctx, point, &about, &parts, &request.to, request.force),
    }
}

fn refuse_part(include: &TreePath) -> CaptureError {
    CaptureError::Unreadable {
        place: include.to_string(),
        message: "a database is restored to a server only whole".to_owned(),
        remedy: "bring single tables back beside live data by --only, or restore it to a directory"
            .to_owned(),
    }
}

/// A new server in `to`, stopped in the end, with roles, the database and everything in it.
fn as_server(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    about: &About,
    parts: &Parts,
    to: &Path,
    force: bool,
) -> Result<Restored, CaptureError> {
    if files::exists(to).map_err(failure::file)? {
        let empty = files::list_dir(to).map_err(failure::file)?.is_empty();
        if !empty {
            let message = if force {
                "a server is made in an empty place only, also by --force; remove what is there first"
            } else {
                "it is not empty; name a directory that does not exist"
            };
            return Err(failure::target(to, message));
        }
    }
    files::create_dir_all(to, 0o700).map_err(failure::file)?;
    let place = files::canonicalize(to).map_err(failure::file)?;
    let json = about.to_json();
    files::write_atomic(place.join(about::NAME), &json, 0o600).map_err(failure::file)?;
    ctx.progress.phase("make a server", None, None);
    server::initialise(ctx, about.major, &place, &about.superuser)?;
    let server = Server::start(ctx, about.major, &place, &about.superuser, &Settings::Ours)?;
    let door = Door::Own(server.into());
    let programs = programs::for_serving(ctx, about.major)?;
    if let Some(globals) = &parts.globals {
        load_globals(ctx, point, globals, about, &programs, &door)?;
    }
    let bytes = load(
        ctx,
        point,
        parts,
        about,
        &programs,
        &door,
        "postgres",
        &["--create"],
    )?;
    if let Door::Own(server) = &door {
        server.stop(ctx)?;
    }
    Ok(Restored {
        items: 1,
        unchanged: 0,
        bytes,
        issues: Vec::new(),
        place,
        replayed: None,
    })
}

/// A database of a server that runs. Roles are not touched there.
fn into_running(
    ctx: &CaptureContext<'_>,
    source: &PostgresSource,
    point: &dyn PointReader,
    about: &About,
    parts: &Parts,
    rest: &str,
    force: bool,
) -> Result<Restored, CaptureError> {
    let target = |message: String| CaptureError::Target {
        place: vouchsafe_model::source_url::redact(rest),
        message,
    };
    let login = login(ctx, source, rest)?;
    let address = login.address.clone();
    if address.database.is_empty() {
        return Err(target(
            "it names no database; write postgres://user@host/name".to_owned(),
        ));
    }
    if address.same_database(&source.address) && !force {
        return Err(target(
            "it is the source itself; restore into another database, or use --force to overwrite the original".to_owned(),
        ));
    }
    let mut maintenance = login.session_to("postgres")?;
    let name = literal(&address.database);
    let there = maintenance.rows(&format!(
        "SELECT ''::text FROM pg_database WHERE datname = {name}"
    ))?;
    let mut options: Vec<&str> = Vec::new();
    if there.is_empty() {
        create(&mut maintenance, about, &address.database)?;
    } else {
        let mut session = login.session()?;
        let held = held(&mut session)?;
        if held != "0" && !force {
            return Err(target(format!(
                "the database is there already and holds {held} relations; name one that does not exist, or use --force to replace what the point holds too"
            )));
        }
        if held != "0" {
            options.extend(["--clean", "--if-exists"]);
        }
    }
    drop(maintenance);
    let programs = programs::for_dumping(ctx, about.major)?;
    let place = PathBuf::from(address.shown());
    let door = Door::Login(login);
    let bytes = load(
        ctx,
        point,
        parts,
        about,
        &programs,
        &door,
        &address.database,
        &options,
    )?;
    Ok(Restored {
        items: 1,
        unchanged: 0,
        bytes,
        issues: Vec::new(),
        place,
        replayed: None,
    })
}

/// A login to the database that runs at a target.
pub(super) fn login(
    ctx: &CaptureContext<'_>,
    source: &PostgresSource,
    rest: &str,
) -> Result<Login, CaptureError> {
    let address = Address::parse(rest).map_err(|(message, remedy)| CaptureError::Target {
        place: vouchsafe_model::source_url::redact(rest),
        message: format!("{message}; {remedy}"),
    })?;
    // The source's own secret opens its own server and no other.
    let own = address.host == source.address.host && address.user == source.address.user;
    let password = if own { source.password()? } else { None };
    Login::new(ctx, address, password)
}

/// How many relations a database holds that are not the system's.
pub(super) fn held(session: &mut Session) -> Result<String, CaptureError> {
    session.text(
        "SELECT count(*)::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'",
    )
}

/// An empty database with the encoding and the locale of the original.
pub(super) fn create(session: &mut Session, about: &About, name: &str) -> Result<(), CaptureError> {
    let mut sql = format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
        quoted(name),
        literal(&about.encoding),
        literal(&about.collate),
        literal(&about.ctype)
    );
    if let Some(locale) = &about.icu_locale {
        sql.push_str(&format!(
            " LOCALE_PROVIDER icu ICU_LOCALE {}",
            literal(locale)
        ));
    }
    session.execute(&sql)
}

/// Runs `globals.sql`, without what a new cluster has already and without tablespaces: their directories belong to the
/// original.
pub(super) fn load_globals(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    node: &Node,
    about: &About,
    programs: &Path,
    door: &Door,
) -> Result<(), CaptureError> {
    ctx.progress.phase("restore the roles", None, None);
    let mut sql = Vec::new();
    point
        .open(node)?
        .take(LARGEST_GLOBALS)
        .read_to_end(&mut sql)
        .map_err(|e| CaptureError::io("read", about::GLOBALS, e))?;
    let command = Command::new(programs.join("psql"))
        .args(["-X", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1"])
        .args(["--file=-"])
        .stdin(Stdin::Bytes(Secret::new(without_given(
            &sql,
            &about.superuser,
        ))));
    let command = door.reach(command, "postgres");
    run_captured(ctx.spawn, command, GLOBALS)
        .map(drop)
        .map_err(|e| programs::failed("psql", &e, "see the roles in globals.sql of the point"))
}

/// Leaves out the making of the role that every cluster has, and everything about tablespaces.
fn without_given(sql: &[u8], superuser: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(sql.len());
    let made = [
        format!("CREATE ROLE {superuser};"),
        format!("CREATE ROLE {};", quoted(superuser)),
    ];
    for line in sql.split_inclusive(|b| *b == b'\n') {
        let text = line.trim_ascii_end();
        let tablespace = [&b"CREATE"[..], b"ALTER", b"COMMENT ON"]
            .iter()
            .any(|verb| {
                text.strip_prefix(*verb)
                    .is_some_and(|rest| rest.starts_with(b" TABLESPACE "))
            })
            || ((text.starts_with(b"GRANT ") || text.starts_with(b"REVOKE "))
                && text.windows(15).any(|part| part == b" ON TABLESPACE "));
        if !tablespace && !made.iter().any(|made| text == made.as_bytes()) {
            out.extend_from_slice(line);
        }
    }
    out
}

/// Fetches the dump and runs `pg_restore` on it; gives the dump's size.
#[allow(clippy::too_many_arguments)]
pub(super) fn load(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    parts: &Parts,
    about: &About,
    programs: &Path,
    door: &Door,
    database: &str,
    options: &[&str],
) -> Result<u64, CaptureError> {
    let dump = parts.dump.as_ref().ok_or_else(|| {
        let message = format!("the point holds no {}", about::DUMP);
        unreadable(&about.database, message, "choose another point")
    })?;
    ctx.progress.phase("fetch the dump", None, dump.bytes());
    let (_scratch, path, bytes) = fetch(ctx, point, dump)?;
    failure::check_interrupt(ctx)?;
    ctx.progress.phase("load the dump", None, None);
    let jobs = machine::parallelism();
    let command = Command::new(programs.join("pg_restore"))
        .args(["--exit-on-error", "--no-password", "--no-tablespaces"])
        .arg(format!("--jobs={jobs}"))
        .arg(format!("--dbname={}", conninfo(database)))
        .args(options)
        .arg(&path);
    let command = door.reach(command, database);
    let remedy = "what it said names the object; roles and extensions that the dump needs must exist in the server, and the locale of the original on this machine";
    run_captured(ctx.spawn, command, RESTORE)
        .map_err(|e| programs::failed("pg_restore", &e, remedy))?;
    Ok(bytes)
}

/// A database's name where a program would take one with `=` in it for more than a name.
pub(super) fn conninfo(database: &str) -> String {
    let escaped = database.replace('\\', "\\\\").replace('\'', "\\'");
    format!("dbname='{escaped}'")
}

/// The dump as a file or a directory, which `pg_restore` can read with several processes, and its length.
pub(super) fn fetch(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    dump: &Dump,
) -> Result<(TempDir, PathBuf, u64), CaptureError> {
    let scratch = scratch(ctx, "dump-")?;
    let path = files::canonicalize(scratch.path())
        .map_err(failure::file)?
        .join("dump");
    if dump.node.kind == NodeKind::Dir {
        let request = RestoreRequest {
            to: path.clone(),
            include: None,
            force: false,
            compare: Compare::default(),
            form: Form::Files,
        };
        let below = Scope::below(dump.at.clone());
        let fetched = tree::restore(ctx, &Ours::of(point), &below, &request)?;
        if let Some(issue) = fetched.issues.into_iter().next() {
            let message = format!("{}: {}", issue.place, issue.message);
            let remedy = "restore from another vault, or choose another point";
            return Err(unreadable(about::DUMP, message, remedy));
        }
        return Ok((scratch, path, fetched.bytes));
    }
    let shown = path.display().to_string();
    let mut file = files::create_new(&path, 0o600).map_err(failure::file)?;
    let mut content = point.open(&dump.node)?;
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        failure::check_interrupt(ctx)?;
        let count = content
            .read(&mut buffer)
            .map_err(|e| CaptureError::io("fetch", shown.clone(), e))?;
        if count == 0 {
            return Ok((scratch, path, bytes));
        }
        bytes += count as u64;
        let piece = buffer.get(..count).unwrap_or_default();
        std::io::Write::write_all(&mut file, piece)
            .map_err(|e| CaptureError::io("write", shown.clone(), e))?;
        ctx.progress.advance(0, count as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_new_cluster_has_is_not_made_again() {
        let sql = b"CREATE ROLE postgres;\nALTER ROLE postgres WITH SUPERUSER;\nCREATE ROLE shop;\n\
            CREATE TABLESPACE fast OWNER shop LOCATION '/fast';\nGRANT CREATE ON TABLESPACE fast TO shop;\n\
            GRANT shop TO app;\n";
        let left = String::from_utf8(without_given(sql, "postgres")).unwrap();
        assert_eq!(
            left,
            "ALTER ROLE postgres WITH SUPERUSER;\nCREATE ROLE shop;\nGRANT shop TO app;\n"
        );
        let quoted = without_given(b"CREATE ROLE \"Root\";\n", "Root");
        assert!(quoted.is_empty());
    }

    #[test]
    fn a_database_may_have_any_name() {
        assert_eq!(conninfo("a=b 'c\\"), "dbname='a=b \\'c\\\\'");
    }
}
