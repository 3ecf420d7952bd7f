//! Bringing a database back: as files, into a server that runs, or as a server of its own.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vouchsafe_capture::{
    CaptureContext, CaptureError, Form, PointReader, RestoreRequest, Restored, TreePath,
};
use vouchsafe_format::Node;
use vouchsafe_host::files;
use vouchsafe_host::machine;
use vouchsafe_host::process::{ProcessError, Stdin};
use vouchsafe_model::Secret;

use super::MySqlSource;
use super::about::{self, About, Parts};
use super::accounts::OURS;
use super::address::Address;
use super::dump::Door;
use super::login::Login;
use super::programs::{self, Kind, Product};
use super::server::{self, Server};
use super::session::{Session, literal, quoted, unreadable};
use crate::failure;
use crate::tree::{self, Scope};

/// The part of a target that follows its scheme, if it is a server that runs.
pub(super) fn running(to: &Path) -> Option<&str> {
    let to = to.to_str()?;
    to.strip_prefix("mysql:").or(to.strip_prefix("mariadb:"))
}

/// Restores as [`MySqlSource`] says.
pub(super) fn restore(
    ctx: &CaptureContext<'_>,
    source: &MySqlSource,
    point: &dyn PointReader,
    request: &RestoreRequest,
) -> Result<Restored, CaptureError> {
    failure::check_interrupt(ctx)?;
    let running = running(&request.to);
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
        None => as_server(ctx, point, &about, &parts, request),
    }
}

fn refuse_part(include: &TreePath) -> CaptureError {
    CaptureError::Unreadable {
        place: include.to_string(),
        message: "a database is restored to a server only whole".to_owned(),
        remedy: "restore it to a directory, and take what is needed from the dump".to_owned(),
    }
}

/// A directory that may become a server: it is not there, or empty. Also by force: a server that was there would be
/// torn.
pub(super) fn empty_place(request: &RestoreRequest) -> Result<(), CaptureError> {
    let to = &request.to;
    if !files::exists(to).map_err(failure::file)?
        || files::list_dir(to).map_err(failure::file)?.is_empty()
    {
        return Ok(());
    }
    let message = if request.force {
        "a server is made in an empty place only, also by --force; remove what is there first"
    } else {
        "it is not empty; name a directory that does not exist"
    };
    Err(failure::target(to, message))
}

/// A new server in `to`, stopped in the end, with the database, everything in it, and the accounts.
fn as_server(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    about: &About,
    parts: &Parts,
    request: &RestoreRequest,
) -> Result<Restored, CaptureError> {
    empty_place(request)?;
    files::create_dir_all(&request.to, 0o700).map_err(failure::file)?;
    let place = files::canonicalize(&request.to).map_err(failure::file)?;
    files::write_atomic(place.join(about::NAME), &about.to_json(), 0o600).map_err(failure::file)?;
    ctx.progress.phase("make a server", None, None);
    server::initialise(ctx, about, &place, &[])?;
    let server = Server::start(ctx, about, &place, &[])?;
    let mut session = server.session(ctx)?;
    let door = Door::Own(Arc::new(server));
    create(&mut session, about, &about.database)?;
    let bytes = load(ctx, point, parts, about, &door, &about.database)?;
    if let Some(node) = &parts.accounts {
        ctx.progress.phase("restore the accounts", None, None);
        drop_accounts(&mut session, about.product)?;
        feed(ctx, point, node, about, &door, "mysql", about::ACCOUNTS)?;
    }
    drop(session);
    door.close(ctx)?;
    Ok(Restored {
        items: 1,
        unchanged: 0,
        bytes,
        issues: Vec::new(),
        place,
        replayed: None,
    })
}

/// Takes away the accounts that a new server has: those of the original come instead.
fn drop_accounts(session: &mut Session, product: Product) -> Result<(), CaptureError> {
    let of_the_server = match product {
        Product::MariaDb => "is_role = 'Y' OR User = 'mariadb.sys'",
        Product::MySql => "User IN ('mysql.sys', 'mysql.session', 'mysql.infoschema')",
    };
    let rows = session.rows(&format!(
        "SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.user \
         WHERE NOT ({of_the_server}) AND User <> '{OURS}'"
    ))?;
    for account in rows.into_iter().flatten().flatten() {
        session.execute(&format!("DROP USER {account}"))?;
    }
    Ok(())
}

/// A database of a server that runs. Accounts are not touched there.
fn into_running(
    ctx: &CaptureContext<'_>,
    source: &MySqlSource,
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
            "it names no database; write mysql://user@host/name".to_owned(),
        ));
    }
    if address.same_database(&source.address) && !force {
        return Err(target(
            "it is the source itself; restore into another database, or use --force to overwrite the original".to_owned(),
        ));
    }
    let mut session = login.session()?;
    let there = About::ask(&mut session, &address.shown(), "")?;
    if there.product != about.product {
        return Err(target(format!(
            "it is {}, the point is of {}: their dumps differ",
            there.product.name(),
            about.product.name()
        )));
    }
    let name = literal(&address.database);
    let found = session.optional(&format!(
        "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {name}"
    ))?;
    if found.is_none() {
        create(&mut session, about, &address.database)?;
    } else if !force {
        let held = session.text(&format!(
            "SELECT (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = {name}) + \
             (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = {name}) + \
             (SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {name})"
        ))?;
        if held != "0" {
            return Err(target(format!(
                "the database is there already and holds {held} tables and routines; name one that does not exist, or use --force to replace what the point holds too"
            )));
        }
    }
    drop(session);
    let place = PathBuf::from(address.shown());
    let door = Door::Login(login);
    let bytes = load(ctx, point, parts, about, &door, &address.database)?;
    Ok(Restored {
        items: 1,
        unchanged: 0,
        bytes,
        issues: Vec::new(),
        place,
        replayed: None,
    })
}

/// A login to the server that runs at a target.
pub(super) fn login(
    ctx: &CaptureContext<'_>,
    source: &MySqlSource,
    rest: &str,
) -> Result<Login, CaptureError> {
    let address = Address::parse(rest).map_err(|(message, remedy)| CaptureError::Target {
        place: vouchsafe_model::source_url::redact(rest),
        message: format!("{message}; {remedy}"),
    })?;
    // The source's own secret opens its own server and no other.
    let own = address.same_server(&source.address) && address.user == source.address.user;
    let password = if own {
        source.password()?
    } else {
        machine::env_var("MYSQL_PWD").map(|text| Secret::new(text.into_encoded_bytes()))
    };
    Login::new(ctx, address, password)
}

/// An empty database with the character set and collation of the original.
pub(super) fn create(session: &mut Session, about: &About, name: &str) -> Result<(), CaptureError> {
    let word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !word(&about.character_set) || !word(&about.collation) {
        return Err(unreadable(
            &about.database,
            format!("{} names no character set", about::NAME),
            "choose another point",
        ));
    }
    session.execute(&format!(
        "CREATE DATABASE {} CHARACTER SET {} COLLATE {}",
        quoted(name),
        about.character_set,
        about.collation
    ))
}

/// Runs the dump; gives its size.
fn load(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    parts: &Parts,
    about: &About,
    door: &Door,
    database: &str,
) -> Result<u64, CaptureError> {
    let node = parts.dump.as_ref().ok_or_else(|| {
        let message = format!("the point holds no {}", about::DUMP);
        unreadable(&about.database, message, "choose another point")
    })?;
    ctx.progress.phase("load the dump", None, Some(node.size));
    feed(ctx, point, node, about, door, database, about::DUMP)?;
    Ok(node.size)
}

/// Lets the server's own program run a file of the point. It stops at the first error, and takes nothing in the file
/// for a command of its own.
fn feed(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    node: &Node,
    about: &About,
    door: &Door,
    database: &str,
    shown: &str,
) -> Result<(), CaptureError> {
    let program = programs::client(ctx, Kind::Client, about.product, about.series)?;
    let command = door
        .program(ctx, &program, about.product)?
        .args(["--batch", "--binary-mode", "--local-infile=0"])
        .args([
            "--default-character-set=utf8mb4",
            "--max-allowed-packet=1073741824",
        ])
        .arg(format!("--database={database}"))
        .stdin(Stdin::Pipe);
    let remedy = "what it said names the object; the account needs the right to make it, and those that it names as definers";
    let failed = |e: &_| failed("loading the point", e, remedy);
    let mut child = ctx.spawn.spawn(command).map_err(|e| failed(&e.into()))?;
    let mut content = point.open(node)?;
    let mut into = child.stdin_writer();
    let mut buffer = vec![0; 1 << 20];
    loop {
        if let Err(interrupted) = failure::check_interrupt(ctx) {
            child.kill_tree();
            return Err(interrupted);
        }
        let count = match content.read(&mut buffer) {
            Ok(count) => count,
            Err(error) => {
                // Its input must not look as if it had come to an end.
                child.kill_tree();
                return Err(CaptureError::io("fetch", shown, error));
            }
        };
        let piece = buffer.get(..count).unwrap_or_default();
        let written = into.as_mut().map_or(Ok(()), |into| into.write_all(piece));
        // If it has stopped reading, it says why when it ends.
        if count == 0 || written.is_err() {
            break;
        }
        ctx.progress.advance(0, count as u64);
    }
    drop(into);
    child.finish().map(drop).map_err(|e| failed(&e.into()))
}

/// What a client said that stopped. The statement at which it did, which it repeats, holds rows: those go nowhere.
pub(super) fn failed(what: &str, error: &ProcessError, remedy: &str) -> CaptureError {
    let ProcessError::Failed(ended) = error else {
        return failure::program(what, error, remedy);
    };
    let why = ended.stderr_tail.lines().rev();
    let why = why.filter(|line| line.starts_with("ERROR ")).take(1);
    CaptureError::Program {
        program: what.to_owned(),
        message: std::iter::once(ended.status.to_string())
            .chain(why.map(str::to_owned))
            .collect::<Vec<_>>()
            .join("; it said: "),
        remedy: remedy.to_owned(),
    }
}
