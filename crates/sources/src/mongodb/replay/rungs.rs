//! Whether a server stands exactly where its replay was to end: by what the log says of documents, and by the base.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mongodb::bson::{Bson, Document, doc};
use vouchsafe_capture::{CaptureContext, CaptureError, FetchedLog, Until};
use vouchsafe_model::{DigestManifest, Issue, Rung, RungOutcome, Time};

use super::super::catalog::Catalog;
use super::super::digest::{self, DOCUMENTS};
use super::super::session::{Session, whole};
use super::deeds::{Kind, VIEWS, entries, walk};
use super::said::{Is, Key, Said, digest as digest_of, id_bytes};
use super::{BEYOND, ENTRIES};
use crate::failure;
use crate::rung::{self, Findings, number};
use crate::tokens::{self, Chains};

const POSITION: &str = "Is every document as the last entry left it that belongs to the moment, and does each collection hold as many as the log says?";
const MOMENT: &str = "By the times of entries: is all of it of before the moment, and what the next entries do, if any are known, not part of it?";
const BASE: &str =
    "Does every collection that the log does not tell of hold exactly the documents of the base?";
const TOKENS: &str = tokens::QUESTION;

/// So many documents are asked for at once.
const AT_ONCE: usize = 100;

/// The rungs `position`, `moment`, `tokens` and `base` of a server over whose base a log was replayed.
pub(in crate::mongodb) fn by_server(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    log: &FetchedLog,
    expected: Option<&DigestManifest>,
) -> Result<Vec<Rung>, CaptureError> {
    let said = said(ctx, log)?;
    let position = position(ctx, session, &said, expected)?;
    let text = format!(
        "{} documents of {} collections as the last of {} entries left them, at {}",
        number(said.documents.len() as u64),
        number(said.collections.len() as u64),
        number(log.target.commits),
        log.target.shown
    );
    let mut rungs = vec![position.rung("position", POSITION, text)];
    rungs.push(moment(ctx, session, log)?);
    rungs.push(tokens_of(ctx, log)?);
    rungs.push(base(ctx, session, &said, expected)?);
    Ok(rungs)
}

/// The rungs of a log that lies beside an archive: there is no server to ask.
pub(in crate::mongodb) fn by_archive(
    ctx: &CaptureContext<'_>,
    log: &FetchedLog,
    why: &str,
) -> Result<Vec<Rung>, CaptureError> {
    // That all of it can be read is seen by reading it.
    said(ctx, log)?;
    let without = [("position", POSITION), ("moment", MOMENT), ("base", BASE)];
    let mut rungs: Vec<Rung> = without
        .map(|(name, question)| not_climbed(name, question, why))
        .into();
    rungs.push(tokens_of(ctx, log)?);
    Ok(rungs)
}

/// Where a rung below is red.
pub(in crate::mongodb) fn skipped(below: &str) -> Vec<Rung> {
    let all = [
        ("position", POSITION),
        ("moment", MOMENT),
        ("tokens", TOKENS),
        ("base", BASE),
    ];
    all.map(|(name, question)| rung::skipped(name, question, below))
        .into()
}

/// What a server that runs holds otherwise than the log says.
pub(in crate::mongodb) fn differences(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    log: &FetchedLog,
    expected: Option<&DigestManifest>,
) -> Result<Vec<Issue>, CaptureError> {
    let said = said(ctx, log)?;
    let all = [
        position(ctx, session, &said, expected)?.rung("position", POSITION, ""),
        base(ctx, session, &said, expected)?,
    ];
    let red = all
        .into_iter()
        .filter(|rung| rung.outcome == RungOutcome::Red);
    let issue = |rung: Rung| Issue {
        place: rung.name,
        message: rung.actual,
    };
    Ok(red.map(issue).collect())
}

fn not_climbed(name: &str, question: &str, why: &str) -> Rung {
    Rung {
        name: name.to_owned(),
        question: question.to_owned(),
        expected: String::new(),
        actual: format!("not climbed: {why}"),
        outcome: RungOutcome::Skipped,
    }
}

fn said(ctx: &CaptureContext<'_>, log: &FetchedLog) -> Result<Said, CaptureError> {
    let mut said = Said::default();
    walk(ctx, &log.place.join(ENTRIES), &mut |deed| {
        said.take(&deed);
        Ok(())
    })?;
    Ok(said)
}

fn documents_in(manifest: Option<&DigestManifest>, name: &str) -> i64 {
    let entry = manifest.and_then(|m| m.entries.get(&format!("{DOCUMENTS}{name}")));
    let count = entry.and_then(|entry| entry.count).unwrap_or(0);
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn position(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    said: &Said,
    expected: Option<&DigestManifest>,
) -> Result<Findings, CaptureError> {
    let mut found = Findings::default();
    let catalog = Catalog::read(session, "")?;
    let mut capped = BTreeSet::new();
    let mut there = BTreeSet::new();
    for collection in catalog.collections.iter().filter(|c| !c.is_view) {
        there.insert(collection.full_name());
        if collection.options.get_bool("capped").unwrap_or(false) {
            capped.insert(collection.full_name());
        }
    }
    for (name, counted) in &said.collections {
        failure::check_interrupt(ctx)?;
        let is_there = there.contains(name);
        if is_there != counted.exists {
            found.add(match is_there {
                true => format!("{name} is there, and was dropped"),
                false => format!("{name} is missing"),
            });
            continue;
        }
        // What is pushed out of one with an end, the log tells of only in newer versions.
        if !is_there || capped.contains(name) {
            continue;
        }
        let base = counted.origin.as_ref();
        let base = base.map_or(0, |origin| documents_in(expected, origin));
        let (wanted, held) = (base.saturating_add(counted.more), count(session, name)?);
        if wanted != held {
            found.add(format!("{name}: expected {wanted} documents, found {held}"));
        }
    }
    let known = said.documents.iter();
    let all: Vec<(&Key, Is)> = known
        .filter(|((name, _), _)| !capped.contains(name))
        .map(|(key, is)| (key, *is))
        .collect();
    for (key, held) in held(ctx, session, all.iter().map(|(key, _)| *key))? {
        let Some(expected) = said.documents.get(&key) else {
            continue;
        };
        let is_so = match (expected, held) {
            (Is::Gone, None) | (Is::There, Some(_)) => true,
            (Is::Exactly(digest), Some(held)) => *digest == held,
            _ => false,
        };
        if !is_so {
            let id = named(&key);
            found.add(format!("{}: {id} is not as the log left it last", key.0));
        }
    }
    Ok(found)
}

/// An identity for people.
fn named(key: &Key) -> String {
    let document = Document::from_reader(key.1.as_slice()).unwrap_or_default();
    let id = document.get("").cloned().unwrap_or(Bson::Null);
    format!("_id {id}")
}

fn count(session: &mut Session, name: &str) -> Result<i64, CaptureError> {
    let (database, collection) = name.split_once('.').unwrap_or((name, ""));
    let pipeline = vec![doc! { "$count": "n" }];
    let command = doc! { "aggregate": collection, "pipeline": pipeline, "cursor": {} };
    let said = session.list(database, command)?;
    Ok(said
        .first()
        .and_then(|one| whole(one.get("n")))
        .unwrap_or(0))
}

/// A document and the digest of what the server holds of it.
type Held = (Key, Option<[u8; 32]>);

/// Of each of these documents, what the server holds.
fn held<'k>(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    keys: impl Iterator<Item = &'k Key>,
) -> Result<Vec<Held>, CaptureError> {
    let mut by_name: BTreeMap<&str, Vec<&Key>> = BTreeMap::new();
    for key in keys {
        by_name.entry(&key.0).or_default().push(key);
    }
    let mut out = Vec::new();
    for (name, keys) in by_name {
        let (database, collection) = name.split_once('.').unwrap_or((name, ""));
        for some in keys.chunks(AT_ONCE) {
            failure::check_interrupt(ctx)?;
            let id = |key: &&Key| {
                let document = Document::from_reader(key.1.as_slice()).ok()?;
                document.get("").cloned()
            };
            let ids: Vec<Bson> = some.iter().filter_map(id).collect();
            let mut found: BTreeMap<Vec<u8>, [u8; 32]> = BTreeMap::new();
            let filter = doc! { "_id": { "$in": ids } };
            session.each(database, collection, filter, &mut |bytes| {
                let document = Document::from_reader(bytes).unwrap_or_default();
                if let Some(id) = document.get("_id") {
                    found.insert(id_bytes(id), digest_of(bytes));
                }
                Ok(())
            })?;
            let some = some.iter();
            out.extend(some.map(|key| ((*key).clone(), found.get(&key.1).copied())));
        }
    }
    Ok(out)
}

/// What comes next leaves other documents behind.
fn moment(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    log: &FetchedLog,
) -> Result<Rung, CaptureError> {
    let mut found = Findings::default();
    let (newest, next) = (
        times(ctx, &log.place.join(ENTRIES))?.1,
        times(ctx, &log.place.join(BEYOND))?.0,
    );
    if let Until::Time(at) = log.until {
        if let Some(late) = newest.filter(|time| at < *time) {
            found.add(format!("what was written at {late} is part of it"));
        }
        if let Some(early) = next.filter(|time| *time <= at) {
            found.add(format!("what was written at {early} is not part of it"));
        }
    }
    let first = first_deeds(ctx, &log.place.join(BEYOND));
    let mut compared = 0_u64;
    for (key, is_there) in held(ctx, session, first.keys())? {
        let expected = first.get(&key).copied().unwrap_or(Kind::Update);
        let is_wrong = match expected {
            Kind::Insert => is_there.is_some(),
            Kind::Delete => is_there.is_none(),
            Kind::Update | Kind::Command => continue,
        };
        compared += 1;
        if is_wrong {
            let id = named(&key);
            found.add(format!(
                "{}: what was done to {id} afterwards is part of it",
                key.0
            ));
        }
    }
    let known = match next {
        None => "no later entry is known".to_owned(),
        Some(time) => format!(
            "the next one is of {time}; {} documents that later entries make or remove are as before",
            number(compared)
        ),
    };
    let last = newest.map_or_else(
        || "that of the base".to_owned(),
        |time| format!("of {time}"),
    );
    Ok(found.rung(
        "moment",
        MOMENT,
        format!("the last entry is {last}; {known}"),
    ))
}

/// When the first entry of a file was written, and the newest one.
fn times(
    ctx: &CaptureContext<'_>,
    path: &Path,
) -> Result<(Option<Time>, Option<Time>), CaptureError> {
    let (mut first, mut newest) = (None, None);
    entries(ctx, path, &mut |entry| {
        first = first.or(Some(entry.time));
        newest = newest.max(Some(entry.time));
    })?;
    Ok((first, newest))
}

/// What is done first to each document, up to the first command; a transaction that goes on farther is left out.
fn first_deeds(ctx: &CaptureContext<'_>, path: &Path) -> BTreeMap<Key, Kind> {
    let mut first = BTreeMap::new();
    let mut is_over = false;
    let read = walk(ctx, path, &mut |deed| {
        is_over |= deed.kind == Kind::Command;
        let is_other = deed.is_of_accounts() || deed.ns.ends_with(VIEWS);
        if let (Some(id), false, false) = (deed.id(), is_over, is_other) {
            first
                .entry((deed.ns.clone(), id_bytes(id)))
                .or_insert(deed.kind);
        }
        Ok(())
    });
    // Where it breaks off, there is what was read before.
    drop(read);
    first
}

fn tokens_of(ctx: &CaptureContext<'_>, log: &FetchedLog) -> Result<Rung, CaptureError> {
    let mut chains = Chains::default();
    entries(ctx, &log.place.join(ENTRIES), &mut |entry| {
        if let Some(text) = entry.token_text() {
            chains.take(text.as_bytes());
        }
    })?;
    Ok(tokens::rung(chains, log))
}

fn base(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    said: &Said,
    expected: Option<&DigestManifest>,
) -> Result<Rung, CaptureError> {
    let mut found = Findings::default();
    let Some(expected) = expected else {
        found.add("the point has no manifest to compare with");
        return Ok(found.rung("base", BASE, "a manifest"));
    };
    let kept: BTreeMap<&str, &vouchsafe_model::DigestEntry> = expected
        .entries
        .iter()
        .filter_map(|(key, entry)| Some((key.strip_prefix(DOCUMENTS)?, entry)))
        .filter(|(name, _)| !said.touched.contains(*name))
        .collect();
    let mut catalog = Catalog::read(session, "")?;
    let is_kept = |name: &str| kept.contains_key(name);
    catalog.collections.retain(|c| is_kept(&c.full_name()));
    let actual = digest::of_server(ctx, session, &catalog, &str::to_owned)?;
    for (name, entry) in &kept {
        match actual.get(&format!("{DOCUMENTS}{name}")) {
            Some(held) if held == *entry => {}
            Some(_) => found.add(format!("{name} does not hold the documents of the base")),
            None => found.add(format!("{name} is missing")),
        }
    }
    let text = format!(
        "{} collections are those of the base",
        number(kept.len() as u64)
    );
    Ok(found.rung("base", BASE, text))
}
