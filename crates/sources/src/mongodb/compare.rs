//! Comparing what was restored with the manifest that was taken as the documents were read.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError, PointReader, Restored};
use vouchsafe_host::files;
use vouchsafe_model::{Difference, DigestManifest, Issue, Rung, RungOutcome};

use super::about::{self, About};
use super::accounts::{Accounts, GRANTS, is_of_accounts};
use super::archive::{ArchiveReader, Event};
use super::catalog::{Catalog, Collection, SCHEMA};
use super::checks;
use super::digest::{self, DOCUMENTS, Documents};
use super::load::broken;
use super::replay;
use super::server;
use super::session::unreadable;
use super::stream::Entries;
use super::{MongoDbSource, serve};
use crate::failure;
use crate::rung::{self, Findings, climbed, held, number, skipped};

const ARCHIVE: &str = "Is the archive whole, with every sum in it right?";
const OPENS: &str = "Does the restored server start, and tell its collections?";
const SCHEMA_QUESTION: &str = "Is every collection, index and view declared as it was?";
const GRANTS_QUESTION: &str = "Are users and roles those of the moment of capture?";
const CONTENT: &str = "Does every collection hold exactly the documents of the moment of capture?";
const CHECKS: &str = "Do the policy's own queries find what they should?";

/// The names of the databases of which a manifest tells.
pub(super) fn databases(manifest: &DigestManifest) -> impl Iterator<Item = &str> {
    let keys = manifest
        .entries
        .keys()
        .filter_map(|key| key.strip_prefix(SCHEMA));
    keys.filter_map(|key| Some(key.split_once(' ')?.1.split_once('.')?.0))
}

/// Digests of what an archive holds, read from its beginning to its end.
pub(super) fn of_archive(
    ctx: &CaptureContext<'_>,
    archive: impl Read,
) -> Result<Entries, CaptureError> {
    let mut reader = ArchiveReader::open(archive).map_err(|e| broken(&e))?;
    let namespaces = reader.prelude().namespaces.clone();
    let mut catalog = Catalog::default();
    for namespace in namespaces
        .iter()
        .filter(|n| !n.db.is_empty() && !is_of_accounts(n))
    {
        let collection = Collection::of_namespace(namespace);
        let collection =
            collection.map_err(|m| unreadable(about::ARCHIVE, m, "choose another point"))?;
        catalog.collections.push(collection);
    }
    let mut documents: BTreeMap<usize, Documents> = BTreeMap::new();
    let (mut out, mut accounts) = (catalog.digests(&str::to_owned), Accounts::default());
    while let Some(event) = reader.next().map_err(|e| broken(&e))? {
        failure::check_interrupt(ctx)?;
        match event {
            Event::Document(at, bytes) => match namespaces.get(at) {
                Some(namespace) if is_of_accounts(namespace) => accounts.take(namespace, bytes),
                _ => documents.entry(at).or_default().add(bytes),
            },
            Event::End(at) => {
                let ended = documents.remove(&at).unwrap_or_default();
                let of_users = |n: &&super::archive::Namespace| {
                    !n.db.is_empty() && n.kind != "view" && !is_of_accounts(n)
                };
                if let Some(namespace) = namespaces.get(at).filter(of_users) {
                    out.insert(format!("{DOCUMENTS}{}", namespace.name()), ended.entry());
                }
            }
        }
    }
    out.extend(accounts.digests());
    Ok(out)
}

/// Digests of the restored data in `place`: those of a server, or of an archive.
pub(super) fn of_place(
    ctx: &CaptureContext<'_>,
    place: &Path,
) -> Result<DigestManifest, CaptureError> {
    let (entries, about) = if is_archive(place)? {
        let archive = files::open_read(place.join(about::ARCHIVE)).map_err(failure::file)?;
        (of_archive(ctx, archive)?, super::about_of(place)?)
    } else {
        let (server, about) = serve(ctx, place)?;
        let mut session = server.session()?;
        let entries = digest::of_restored(ctx, &mut session, &about)?;
        drop(session);
        server.stop()?;
        (entries, about)
    };
    Ok(manifest(ctx, entries, &about))
}

fn is_archive(place: &Path) -> Result<bool, CaptureError> {
    files::exists(place.join(about::ARCHIVE)).map_err(failure::file)
}

fn manifest(ctx: &CaptureContext<'_>, entries: Entries, about: &About) -> DigestManifest {
    DigestManifest {
        method: MongoDbSource::METHOD.to_owned(),
        taken_at: ctx.clock.now(),
        engine: Some(about.engine()),
        entries,
    }
}

/// The rungs above the restore.
pub(super) fn compare(
    ctx: &CaptureContext<'_>,
    restored: &Restored,
    expected: Option<&DigestManifest>,
    checks: &[String],
    point: &dyn PointReader,
) -> Result<Vec<Rung>, CaptureError> {
    let place = restored.place.as_path();
    if is_archive(place)? {
        let mut rungs = without_server(ctx, place, expected)?;
        let about = about::parts(point)?.read_about(&place.display().to_string(), point)?;
        let why = match server::program(ctx, &about.server_version) {
            Ok(_) => "no server was made of it".to_owned(),
            Err(error) => error.to_string(),
        };
        rungs.push(not_climbed("opens", OPENS, &why));
        if let Some(log) = &restored.replayed {
            rungs.extend(replay::by_archive(ctx, log, "there is no server to ask")?);
        }
        if !checks.is_empty() {
            rungs.push(not_climbed("checks", CHECKS, "there is no server to ask"));
        }
        return Ok(rungs);
    }
    by_server(ctx, restored, expected, checks)
}

fn by_server(
    ctx: &CaptureContext<'_>,
    restored: &Restored,
    expected: Option<&DigestManifest>,
    checks: &[String],
) -> Result<Vec<Rung>, CaptureError> {
    let replayed = restored.replayed.as_ref();
    let served = serve(ctx, &restored.place).and_then(|(server, about)| {
        let mut session = server.session()?;
        let catalog = Catalog::read(&mut session, &about.database)?;
        Ok((server, session, about, catalog))
    });
    let mut opens = Findings::default();
    let (server, mut session, about, catalog) = match served {
        Ok(served) => served,
        Err(error) => {
            opens.add(error.to_string());
            let mut rungs = vec![opens.rung("opens", OPENS, "a server of the source's version")];
            rungs.extend(match replayed {
                Some(_) => replay::skipped("opens"),
                None => rest_skipped("opens"),
            });
            return Ok(rungs);
        }
    };
    let found = format!(
        "MongoDB {} serves {} collections and views",
        session.version()?,
        number(catalog.collections.len() as u64)
    );
    let mut rungs = vec![opens.rung("opens", OPENS, found)];
    match (replayed, expected) {
        (Some(log), _) => rungs.extend(replay::by_server(ctx, &mut session, log, expected)?),
        (None, None) => rungs.extend(no_manifest()),
        (None, Some(expected)) => {
            let entries = digest::of_restored(ctx, &mut session, &about)?;
            rungs.extend(judge(expected, &manifest(ctx, entries, &about)));
        }
    }
    if !checks.is_empty() && (replayed.is_some() || expected.is_some()) {
        let ask = |query: &str| checks::ask(&mut session, &about.database, query);
        rungs.push(crate::checks::rung(&rungs, checks, ask));
    }
    drop(session);
    server.stop()?;
    Ok(rungs)
}

/// What can be compared without a server: the archive itself.
fn without_server(
    ctx: &CaptureContext<'_>,
    place: &Path,
    expected: Option<&DigestManifest>,
) -> Result<Vec<Rung>, CaptureError> {
    let file = files::open_read(place.join(about::ARCHIVE)).map_err(failure::file)?;
    let mut whole = Findings::default();
    let entries = match of_archive(ctx, std::io::BufReader::with_capacity(1 << 20, file)) {
        Ok(entries) => entries,
        Err(CaptureError::Interrupted) => return Err(CaptureError::Interrupted),
        Err(error) => {
            whole.add(error.to_string());
            Entries::new()
        }
    };
    let red = !whole.is_empty();
    let collections = entries
        .keys()
        .filter(|key| key.starts_with(DOCUMENTS))
        .count();
    let found = format!(
        "{} collections, every sum right",
        number(collections as u64)
    );
    let mut rungs = vec![whole.rung("archive", ARCHIVE, found)];
    match expected {
        _ if red => rungs.extend(rest_skipped("archive")),
        None => rungs.extend(no_manifest()),
        Some(expected) => {
            let about = super::about_of(place)?;
            rungs.extend(judge(expected, &manifest(ctx, entries, &about)));
        }
    }
    Ok(rungs)
}

/// The rungs of the comparison: where one is red those above are not compared, so that the first red one names the
/// fault.
fn judge(expected: &DigestManifest, actual: &DigestManifest) -> Vec<Rung> {
    let (mut schema, mut grants) = (Findings::default(), Findings::default());
    let mut content = Findings::default();
    // Where a base lies in the log is not digested.
    let is_content = |difference: &Difference| difference.part != replay::POSITION;
    for difference in expected.differences(actual).into_iter().filter(is_content) {
        let part = difference.part.as_str();
        if part.starts_with(GRANTS) {
            grants.add(sentence(&difference, GRANTS));
        } else if part.starts_with(DOCUMENTS) {
            content.add(sentence(&difference, DOCUMENTS));
        } else {
            schema.add(sentence(&difference, SCHEMA));
        }
    }
    let held = |prefix| held(expected, prefix);
    let equal = |n, what: &str| format!("{} {what}, equal digests", number(n));
    let (collections, documents) = held(DOCUMENTS);
    let compared = format!(
        "{} collections with {} documents, equal digests",
        number(collections),
        number(documents)
    );
    let all = [
        (
            "schema",
            SCHEMA_QUESTION,
            schema,
            equal(held(SCHEMA).0, "objects"),
        ),
        (
            "grants",
            GRANTS_QUESTION,
            grants,
            equal(held(GRANTS).0, "users and roles"),
        ),
        ("content", CONTENT, content, compared),
    ];
    climbed(all)
}

fn no_manifest() -> Vec<Rung> {
    let mut schema = Findings::default();
    schema.add("the point has no manifest to compare with");
    let mut out = vec![schema.rung("schema", SCHEMA_QUESTION, "a manifest")];
    out.extend(rest_skipped("schema").into_iter().skip(1));
    out
}

fn rest_skipped(below: &str) -> Vec<Rung> {
    let rest = [
        ("schema", SCHEMA_QUESTION),
        ("grants", GRANTS_QUESTION),
        ("content", CONTENT),
    ];
    rest.map(|(name, question)| skipped(name, question, below))
        .into()
}

/// A rung for which something is missing on this machine: the drill is not green.
fn not_climbed(name: &str, question: &str, why: &str) -> Rung {
    Rung {
        name: name.to_owned(),
        question: question.to_owned(),
        expected: String::new(),
        actual: format!("not climbed: {why}"),
        outcome: RungOutcome::Skipped,
    }
}

/// What differs between a point and a server that it was restored into; accounts are not restored there.
pub(super) fn issues(expected: &DigestManifest, actual: Entries) -> Vec<Issue> {
    let mut expected = expected.clone();
    let is_restored = |key: &str| !key.starts_with(GRANTS) && key != replay::POSITION;
    expected.entries.retain(|key, _| is_restored(key));
    let actual = DigestManifest {
        entries: actual,
        ..expected.clone()
    };
    let issue = |difference: Difference| Issue {
        message: sentence(&difference, ""),
        place: difference.part,
    };
    expected
        .differences(&actual)
        .into_iter()
        .map(issue)
        .collect()
}

/// The same, of what counts documents where other sources count rows.
fn sentence(difference: &Difference, prefix: &str) -> String {
    let told = |text: &Option<String>| {
        let text = text.as_ref()?;
        Some(text.replace(" rows,", " documents,"))
    };
    let difference = Difference {
        part: difference.part.clone(),
        expected: told(&difference.expected),
        actual: told(&difference.actual),
    };
    rung::sentence(&difference, prefix)
}

#[cfg(test)]
mod tests {
    use vouchsafe_model::{DigestEntry, Time};

    use super::*;

    fn of(entries: &[(&str, Option<u64>, &str)]) -> DigestManifest {
        let entry = |(key, count, digest): &(&str, Option<u64>, &str)| {
            let entry = DigestEntry {
                count: *count,
                digest: (*digest).to_owned(),
            };
            ((*key).to_owned(), entry)
        };
        DigestManifest {
            method: MongoDbSource::METHOD.to_owned(),
            taken_at: Time::from_secs(1),
            engine: None,
            entries: entries.iter().map(entry).collect(),
        }
    }

    const WHOLE: [(&str, Option<u64>, &str); 4] = [
        ("schema:collection shop.orders", None, "aa"),
        ("schema:index shop.orders _id_", None, "ab"),
        ("grants:user shop.app", None, "bb"),
        ("documents:shop.orders", Some(2), "dd"),
    ];

    fn first_red(changed: usize, to: (&str, Option<u64>, &str)) -> Option<String> {
        let mut other = WHOLE;
        other[changed] = to;
        let rungs = judge(&of(&WHOLE), &of(&other));
        let red = rungs.iter().find(|r| r.outcome == RungOutcome::Red);
        red.map(|r| r.name.clone())
    }

    #[test]
    fn each_kind_of_difference_between_mongodb_servers_reddens_its_own_rung() {
        let reddens = |at, to| first_red(at, to).unwrap_or_default();
        assert_eq!(first_red(0, WHOLE[0]), None);
        assert_eq!(
            reddens(0, ("schema:collection shop.orders", None, "x")),
            "schema"
        );
        assert_eq!(
            reddens(0, ("schema:collection shop.other", None, "aa")),
            "schema"
        );
        assert_eq!(
            reddens(1, ("schema:index shop.orders b", None, "ab")),
            "schema"
        );
        assert_eq!(reddens(2, ("grants:user shop.app", None, "x")), "grants");
        assert_eq!(
            reddens(3, ("documents:shop.orders", Some(3), "dd")),
            "content"
        );
        assert_eq!(
            reddens(3, ("documents:shop.orders", Some(2), "de")),
            "content"
        );
        let mut other = of(&WHOLE);
        other.method = "mongodb-documents/2".to_owned();
        assert_eq!(judge(&of(&WHOLE), &other)[0].outcome, RungOutcome::Red);
        assert_eq!(databases(&of(&WHOLE)).next(), Some("shop"));
    }

    #[test]
    fn what_a_running_server_holds_otherwise_is_named() {
        let mut actual = of(&WHOLE).entries;
        actual.remove("grants:user shop.app");
        assert_eq!(issues(&of(&WHOLE), actual.clone()), []);
        actual.remove("documents:shop.orders");
        let issues = issues(&of(&WHOLE), actual);
        assert_eq!(issues.len(), 1);
        assert!(
            issues[0].message.contains("missing"),
            "{}",
            issues[0].message
        );
    }
}
