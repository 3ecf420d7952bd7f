//! Bringing documents back: as files, into a server that runs, or as a server of its own.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use vouchsafe_capture::{
    CaptureContext, CaptureError, FetchedLog, Form, PointReader, RestoreRequest, Restored, TreePath,
};
use vouchsafe_host::files;
use vouchsafe_host::machine;
use vouchsafe_model::{DigestManifest, Issue, Secret};

use super::MongoDbSource;
use super::about::{self, About, Parts};
use super::address::Address;
use super::catalog::Catalog;
use super::compare;
use super::digest;
use super::load::{Target, load};
use super::replay;
use super::server::{self, Server};
use super::session::Session;
use crate::failure;
use crate::tree::{self, Scope};

/// The variable that has the password of a server which is not the source's own.
pub(super) const PASSWORD: &str = "MONGODB_PASSWORD";

/// The part of a target that follows its scheme, if it is a server that runs.
pub(super) fn running(to: &Path) -> Option<&str> {
    to.to_str()?.strip_prefix("mongodb:")
}

/// Restores as [`MongoDbSource`] says, and replays a log over it that was fetched for that.
pub(super) fn restore(
    ctx: &CaptureContext<'_>,
    source: &MongoDbSource,
    point: &dyn PointReader,
    request: &RestoreRequest,
    fetched: Option<FetchedLog>,
) -> Result<Restored, CaptureError> {
    failure::check_interrupt(ctx)?;
    let running = running(&request.to);
    if running.is_none() && request.form == Form::Files {
        let mut root = TreePath::root();
        // A constant that is a name.
        let _ = root.push(about::DIRECTORY.as_bytes());
        let scope = Scope::below(root).narrowed(point, request.include.as_ref())?;
        let request = RestoreRequest {
            // The log that was fetched lies there, and nothing else.
            force: request.force || fetched.is_some(),
            ..request.clone()
        };
        let mut restored = tree::restore(ctx, point, &scope, &request)?;
        restored.items += u64::from(fetched.is_some());
        restored.replayed = fetched;
        return Ok(restored);
    }
    if let Some(part) = request.include.as_ref().filter(|i| !i.names().is_empty()) {
        return Err(CaptureError::Unreadable {
            place: part.to_string(),
            message: "a database is restored to a server only whole".to_owned(),
            remedy: "restore it to a directory, and take what is needed from the archive by mongorestore --nsInclude"
                .to_owned(),
        });
    }
    let shown = source.shown();
    let parts = about::parts(point)?;
    let about = parts.read_about(&shown, point)?;
    let archive = parts.open_archive(&shown, point)?;
    let mut restored = match running {
        Some(rest) => {
            let manifest = parts.read_manifest(&shown, point)?;
            let held = Held {
                archive,
                about: &about,
                manifest: manifest.as_ref(),
                log: fetched.as_ref(),
            };
            into_running(ctx, source, held, rest, request.force)?
        }
        None => as_server(ctx, &parts, archive, (&about, fetched.as_ref()), request)?,
    };
    restored.replayed = fetched;
    Ok(restored)
}

/// What is restored into a server that runs.
struct Held<'a> {
    archive: Box<dyn Read + Send + 'a>,
    about: &'a About,
    manifest: Option<&'a DigestManifest>,
    /// The log that is replayed over it.
    log: Option<&'a FetchedLog>,
}

/// A new server in `to`, stopped in the end, with all that the archive holds.
fn as_server(
    ctx: &CaptureContext<'_>,
    parts: &Parts,
    archive: Box<dyn Read + Send + '_>,
    (about, log): (&About, Option<&FetchedLog>),
    request: &RestoreRequest,
) -> Result<Restored, CaptureError> {
    // Before anything is made.
    server::program(ctx, &about.server_version)?;
    let to = &request.to;
    let is_there = files::exists(to).map_err(failure::file)?;
    let mut names = match is_there {
        true => files::list_dir(to).map_err(failure::file)?,
        false => Vec::new(),
    };
    // The log that was fetched lies there.
    names.retain(|name| log.is_none() || name != replay::LOG);
    if !names.is_empty() {
        let message = if request.force {
            "a server is made in an empty place only, also by --force; remove what is there first"
        } else {
            "it is not empty; name a directory that does not exist"
        };
        return Err(failure::target(to, message));
    }
    files::create_dir_all(to, 0o700).map_err(failure::file)?;
    let place = files::canonicalize(to).map_err(failure::file)?;
    files::write_atomic(place.join(about::NAME), &about.to_json(), 0o600).map_err(failure::file)?;
    ctx.progress.phase("make a server", None, None);
    let server = Server::start(ctx, &about.server_version, &place)?;
    let mut session = server.session()?;
    let bytes = parts.archive.as_ref().map(|node| node.size);
    ctx.progress.phase("load the archive", None, bytes);
    let target = Target {
        database: None,
        with_accounts: true,
        replaces: false,
        only: None,
    };
    let loaded = load(ctx, &mut session, archive, &target)?;
    if let Some(log) = log {
        ctx.progress.phase("replay the log", None, Some(log.bytes));
        replay::apply(ctx, &mut session, &log.place, (about.accounts, false))?;
    }
    drop(session);
    server.stop()?;
    Ok(Restored {
        items: loaded.collections,
        bytes: loaded.bytes,
        place,
        ..Restored::default()
    })
}

/// One database, or all, of a server that runs. Users and roles are not touched there.
fn into_running(
    ctx: &CaptureContext<'_>,
    source: &MongoDbSource,
    held: Held<'_>,
    rest: &str,
    force: bool,
) -> Result<Restored, CaptureError> {
    let Held {
        archive,
        about,
        manifest,
        log,
    } = held;
    let target = |message: String| CaptureError::Target {
        place: vouchsafe_model::source_url::redact(rest),
        message,
    };
    let address = Address::parse(rest).map_err(|(m, remedy)| target(format!("{m}; {remedy}")))?;
    match (about.database.is_empty(), address.database.is_empty()) {
        (false, true) => {
            let message = "it names no database; write mongodb://user@host/name";
            return Err(target(message.to_owned()));
        }
        (true, false) => {
            let message = "the point holds several databases, which keep their names; write mongodb://user@host without one";
            return Err(target(message.to_owned()));
        }
        _ => {}
    }
    if address.overlaps(&source.address) && !force {
        return Err(target(
            "it is the source itself; restore into another database, or use --force to overwrite the original".to_owned(),
        ));
    }
    // The source's own secret opens its own server and no other.
    let own = address.same_server(&source.address) && address.user == source.address.user;
    let password = if own {
        source.password()?
    } else {
        machine::env_var(PASSWORD).map(|text| Secret::new(text.into_encoded_bytes()))
    };
    let mut session = Session::open(&address, password.as_ref())?;
    if !session.hello()?.is_writable {
        return Err(target(
            "it takes no writes; name the replica set's primary, or ?replicaSet=NAME".to_owned(),
        ));
    }
    let shown_name = |db: &str| match db == address.database {
        true => about.database.clone(),
        false => db.to_owned(),
    };
    if !force {
        refuse_full(&mut session, &address, manifest, &target)?;
    }
    let into = Target {
        database: (!address.database.is_empty()).then(|| address.database.clone()),
        with_accounts: false,
        replaces: force,
        only: None,
    };
    ctx.progress.phase("load the archive", None, None);
    let loaded = load(ctx, &mut session, archive, &into)?;
    let issues = match log {
        Some(log) => {
            ctx.progress.phase("replay the log", None, Some(log.bytes));
            replay::apply(ctx, &mut session, &log.place, (false, force))?;
            replay::differences(ctx, &mut session, log, manifest)?
        }
        None => verify(ctx, &mut session, &loaded.catalog, manifest, &shown_name)?,
    };
    Ok(Restored {
        items: loaded.collections,
        bytes: loaded.bytes,
        issues,
        place: PathBuf::from(address.shown()),
        ..Restored::default()
    })
}

/// Refuses a target in which something is where the point's collections would be.
fn refuse_full(
    session: &mut Session,
    address: &Address,
    manifest: Option<&DigestManifest>,
    target: &dyn Fn(String) -> CaptureError,
) -> Result<(), CaptureError> {
    let there = Catalog::read(session, &address.database)?;
    let ours: BTreeSet<&str> = manifest
        .iter()
        .flat_map(|m| compare::databases(m))
        .collect();
    let in_the_way = there.collections.iter().filter(|collection| {
        !address.database.is_empty() || manifest.is_none() || ours.contains(collection.db.as_str())
    });
    match in_the_way.count() {
        0 => Ok(()),
        held => Err(target(format!(
            "it holds {held} collections and views already; name a database that does not exist, or use --force to replace what the point holds too"
        ))),
    }
}

/// Reads all that was written once more. What differs is named: somebody else may write there too.
fn verify(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    loaded: &Catalog,
    manifest: Option<&DigestManifest>,
    shown: &dyn Fn(&str) -> String,
) -> Result<Vec<Issue>, CaptureError> {
    let Some(manifest) = manifest else {
        let issue = Issue {
            place: vouchsafe_capture::MANIFEST_NAME.to_owned(),
            message: "the point has no digests to compare with".to_owned(),
        };
        return Ok(vec![issue]);
    };
    let mut there = Catalog::default();
    for db in loaded
        .collections
        .iter()
        .map(|c| &c.db)
        .collect::<BTreeSet<_>>()
    {
        there
            .collections
            .extend(Catalog::read(session, db)?.collections);
    }
    // By force the target may hold more, which was left as it was.
    let names: BTreeSet<String> = loaded.collections.iter().map(|c| c.full_name()).collect();
    there
        .collections
        .retain(|collection| names.contains(&collection.full_name()));
    let actual = digest::of_server(ctx, session, &there, shown)?;
    Ok(compare::issues(manifest, actual))
}
