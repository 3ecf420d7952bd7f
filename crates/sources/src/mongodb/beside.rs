//! Single collections, brought back into a database of their own beside live data.
//!
//! They are written as the archive is read; nothing else of it is. The database goes again if that does not end well.

use std::collections::BTreeSet;

use mongodb::bson::doc;
use vouchsafe_capture::{
    Beside, BesidePlan, BesideRequest, BesideTable, CaptureContext, CaptureError, PointReader,
};
use vouchsafe_host::machine;
use vouchsafe_model::{DigestEntry, DigestManifest, Issue, Secret};

use super::MongoDbSource;
use super::about::{self, About};
use super::address::{Address, SYSTEM};
use super::catalog::{Catalog, SCHEMA};
use super::digest::{self, DOCUMENTS};
use super::load::{Target, load};
use super::restore::{PASSWORD, running};
use super::session::Session;
use crate::beside::{Expected, judged, no_clash, no_table, plain_name};
use crate::failure;

/// Names of databases have so many bytes at most.
const LONGEST: usize = 63;

/// What never comes along.
const NEVER: [&str; 2] = ["users and roles", "views"];

/// One collection that is wanted.
struct Wanted {
    /// With its database, as the point calls it.
    name: String,
    /// With that in which it will be.
    becomes: String,
}

/// Where to.
struct Order {
    session: Session,
    place: String,
    wanted: Vec<Wanted>,
}

/// Looks at point and target, and refuses what cannot be done.
fn order(
    source: &MongoDbSource,
    about: &About,
    request: &BesideRequest,
    expected: Option<&DigestManifest>,
) -> Result<Order, CaptureError> {
    plain_name(request, LONGEST)?;
    let refused = |message: String| CaptureError::Target {
        place: request
            .to
            .to_str()
            .map_or_else(String::new, vouchsafe_model::source_url::redact),
        message,
    };
    let Some(rest) = running(&request.to) else {
        return Err(refused(
            "with --only it must be a server that runs; write mongodb://user@host".to_owned(),
        ));
    };
    let address = Address::parse(rest).map_err(|(m, remedy)| refused(format!("{m}; {remedy}")))?;
    if SYSTEM.contains(&request.into.as_str()) {
        return Err(refused(format!(
            "the server keeps the database {} for itself; name another by --into",
            request.into
        )));
    }
    let wanted = wanted(about, request, expected)?;
    let own = address.same_server(&source.address) && address.user == source.address.user;
    let password = if own {
        source.password()?
    } else {
        machine::env_var(PASSWORD).map(|text| Secret::new(text.into_encoded_bytes()))
    };
    let mut session = Session::open(&address, password.as_ref())?;
    if !session.hello()?.is_writable {
        return Err(refused(
            "it takes no writes; name the replica set's primary, or ?replicaSet=NAME".to_owned(),
        ));
    }
    let there = Catalog::read(&mut session, &request.into)?;
    if !there.collections.is_empty() {
        return Err(refused(format!(
            "it has a database {} already; name one by --into that is not there, or drop it first",
            request.into
        )));
    }
    let mut server = address;
    server.database = String::new();
    Ok(Order {
        place: format!("database {} of {}", request.into, server.shown()),
        session,
        wanted,
    })
}

/// Which collections are meant: `collection`, or `database.collection`.
fn wanted(
    about: &About,
    request: &BesideRequest,
    expected: Option<&DigestManifest>,
) -> Result<Vec<Wanted>, CaptureError> {
    let all: Vec<&str> = expected
        .iter()
        .flat_map(|m| m.entries.keys())
        .filter_map(|key| key.strip_prefix(DOCUMENTS))
        .collect();
    let view = |name: &str| format!("{SCHEMA}view {name}");
    let mut out = Vec::new();
    for text in &request.only {
        let full = match about.database.is_empty() {
            true => text.clone(),
            false => format!("{}.{text}", about.database),
        };
        // A collection may have a dot in its name.
        let names = [full, text.clone()];
        let is_view = names
            .iter()
            .any(|name| expected.is_some_and(|m| m.entries.contains_key(&view(name))));
        let found = names.iter().find(|name| all.contains(&name.as_str()));
        let Some(name) = found else {
            if is_view {
                return Err(CaptureError::Target {
                    place: format!("`{text}`"),
                    message:
                        "it is a view, which has no documents of its own; name the collections"
                            .to_owned(),
                });
            }
            return Err(no_table(
                text,
                all.iter().map(|name| (*name).to_owned()).collect(),
            ));
        };
        let bare = name.split_once('.').map_or(name.as_str(), |(_, bare)| bare);
        out.push(Wanted {
            name: name.clone(),
            becomes: format!("{}.{bare}", request.into),
        });
    }
    let pairs = out.iter().map(|w| (w.name.clone(), w.becomes.clone()));
    no_clash(&pairs.collect::<Vec<_>>())?;
    Ok(out)
}

/// What would be done.
pub(super) fn plan(
    source: &MongoDbSource,
    point: &dyn PointReader,
    request: &BesideRequest,
    expected: Option<&DigestManifest>,
) -> Result<BesidePlan, CaptureError> {
    let about = about::parts(point)?.read_about(&source.shown(), point)?;
    let order = order(source, &about, request, expected)?;
    let rows = |name: &str| expected?.entries.get(&format!("{DOCUMENTS}{name}"))?.count;
    let planned = |each: &Wanted| BesideTable {
        name: each.name.clone(),
        becomes: each.becomes.clone(),
        rows: rows(&each.name),
    };
    Ok(BesidePlan {
        tables: order.wanted.iter().map(planned).collect(),
        place: order.place,
        first: "the archive is read to its end, and only these collections of it are written"
            .to_owned(),
        stays: NEVER.iter().map(|each| (*each).to_owned()).collect(),
    })
}

/// Does it.
pub(super) fn from_archive(
    ctx: &CaptureContext<'_>,
    source: &MongoDbSource,
    point: &dyn PointReader,
    request: &BesideRequest,
    expected: Option<&DigestManifest>,
) -> Result<Beside, CaptureError> {
    failure::check_interrupt(ctx)?;
    let shown = source.shown();
    let parts = about::parts(point)?;
    let about = parts.read_about(&shown, point)?;
    let Order {
        mut session,
        place,
        wanted,
    } = order(source, &about, request, expected)?;
    let archive = parts.open_archive(&shown, point)?;
    let target = Target {
        database: Some(request.into.clone()),
        with_accounts: false,
        replaces: false,
        only: Some(wanted.iter().map(|each| each.name.clone()).collect()),
    };
    let bytes = parts.archive.as_ref().map(|node| node.size);
    ctx.progress.phase("put the collections in", None, bytes);
    let loaded = match load(ctx, &mut session, archive, &target) {
        Ok(loaded) => loaded,
        Err(error) => {
            // It was not there a moment ago. The first error is the one to report.
            let _ = session.long_command(&request.into, doc! { "dropDatabase": 1 });
            return Err(error);
        }
    };
    let names: BTreeSet<String> = loaded
        .catalog
        .collections
        .iter()
        .map(|c| c.full_name())
        .collect();
    let mut there = Catalog::read(&mut session, &request.into)?;
    there.collections.retain(|c| names.contains(&c.full_name()));
    let found = digest::of_server(ctx, &mut session, &there, &str::to_owned)?;
    let (mut tables, mut issues) = (Vec::new(), Vec::new());
    for each in &wanted {
        let key = |name: &str| format!("{DOCUMENTS}{name}");
        let is = found.get(&key(&each.becomes)).cloned();
        let is = is.unwrap_or_else(|| DigestEntry {
            count: None,
            digest: "of nothing".to_owned(),
        });
        let captured = Expected {
            captured: expected.and_then(|m| m.entries.get(&key(&each.name))),
            whole: true,
            copy: None,
        };
        tables.push(judged(
            &each.name,
            each.becomes.clone(),
            &is,
            &captured,
            &mut issues,
        ));
        issues.extend(expected.into_iter().flat_map(|m| declared(m, &found, each)));
    }
    Ok(Beside {
        place,
        tables,
        stays: NEVER.iter().map(|each| (*each).to_owned()).collect(),
        issues,
        replayed: None,
    })
}

/// Options and indexes of a collection that are not there as they were.
fn declared(
    expected: &DigestManifest,
    found: &std::collections::BTreeMap<String, DigestEntry>,
    wanted: &Wanted,
) -> Vec<Issue> {
    let collection = format!("{SCHEMA}collection {}", wanted.name);
    let index = format!("{SCHEMA}index {} ", wanted.name);
    let ours = expected
        .entries
        .iter()
        .filter(|(key, _)| **key == collection || key.starts_with(&index));
    let differs = |(key, entry): (&String, &DigestEntry)| {
        let there = key.replacen(&wanted.name, &wanted.becomes, 1);
        (found.get(&there) != Some(entry)).then(|| Issue {
            place: there,
            message: "it is not declared as it was".to_owned(),
        })
    };
    ours.filter_map(differs).collect()
}
