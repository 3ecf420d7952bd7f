//! Writing an archive's collections into a server.

use std::collections::BTreeSet;
use std::io::Read;

use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use vouchsafe_capture::{CaptureContext, CaptureError};

use super::about::ARCHIVE;
use super::accounts::{Accounts, is_of_accounts};
use super::archive::{ArchiveError, ArchiveReader, Event, Namespace};
use super::catalog::{Catalog, Collection};
use super::session::{Session, unreadable};
use crate::failure;

/// Where to and how.
pub(super) struct Target {
    /// The database that takes the place of the archive's one.
    pub(super) database: Option<String>,
    /// Whether users and roles are written too.
    pub(super) with_accounts: bool,
    /// Whether a collection of the same name goes first.
    pub(super) replaces: bool,
    /// Only these collections, by the names that the archive has for them; all if nothing is said.
    pub(super) only: Option<BTreeSet<String>>,
}

/// What was written.
pub(super) struct Loaded {
    /// As they are called in the target.
    pub(super) catalog: Catalog,
    pub(super) collections: u64,
    /// Of documents.
    pub(super) bytes: u64,
}

/// Documents that are written at once.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 8 << 20;

/// Documents of one collection that wait to be written.
#[derive(Default)]
struct Batch {
    number: usize,
    documents: Vec<RawDocumentBuf>,
    bytes: usize,
}

/// An archive that cannot be used.
pub(super) fn broken(error: &ArchiveError) -> CaptureError {
    unreadable(ARCHIVE, error.to_string(), "choose another point")
}

/// Makes every collection, writes its documents, then its indexes; views come last.
pub(super) fn load(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    archive: impl Read,
    target: &Target,
) -> Result<Loaded, CaptureError> {
    let mut reader = ArchiveReader::open(archive).map_err(|e| broken(&e))?;
    let namespaces = reader.prelude().namespaces.clone();
    let places = places(&namespaces, target)?;
    for collection in places.iter().flatten().filter(|c| !c.is_view) {
        make(session, collection, target.replaces)?;
    }
    let (mut accounts, mut batch, mut bytes) = (Accounts::default(), Batch::default(), 0);
    while let Some(event) = reader.next().map_err(|e| broken(&e))? {
        failure::check_interrupt(ctx)?;
        match event {
            Event::End(_) => batch.write(session, &places)?,
            Event::Document(number, document) => {
                bytes += document.len() as u64;
                ctx.progress.advance(0, document.len() as u64);
                match places.get(number) {
                    Some(Some(_)) => batch.add(session, &places, number, document)?,
                    _ => accounts.take_of(&namespaces, number, document),
                }
            }
        }
    }
    let all: Vec<Collection> = places.into_iter().flatten().collect();
    ctx.progress
        .phase("make the indexes", Some(all.len() as u64), None);
    for collection in &all {
        failure::check_interrupt(ctx)?;
        finish(session, collection, target.replaces)?;
        ctx.progress.advance(1, 0);
    }
    if target.with_accounts {
        write_accounts(session, &accounts)?;
    }
    Ok(Loaded {
        collections: all.len() as u64,
        catalog: Catalog { collections: all },
        bytes,
    })
}

impl Accounts {
    fn take_of(&mut self, namespaces: &[Namespace], number: usize, document: &[u8]) {
        if let Some(namespace) = namespaces.get(number) {
            self.take(namespace, document);
        }
    }
}

/// What each namespace becomes; nothing where it is one of accounts or of the oplog.
fn places(
    namespaces: &[Namespace],
    target: &Target,
) -> Result<Vec<Option<Collection>>, CaptureError> {
    let place = |namespace: &Namespace| {
        if namespace.db.is_empty() || is_of_accounts(namespace) {
            return Ok(None);
        }
        let collection = Collection::of_namespace(namespace);
        let mut collection =
            collection.map_err(|m| unreadable(ARCHIVE, m, "restore it by mongorestore"))?;
        let is_wanted = |only: &BTreeSet<String>| only.contains(&collection.full_name());
        if !target.only.as_ref().is_none_or(is_wanted) {
            return Ok(None);
        }
        if let Some(database) = &target.database {
            collection.db.clone_from(database);
        }
        Ok(Some(collection))
    };
    namespaces.iter().map(place).collect()
}

impl Batch {
    fn add(
        &mut self,
        session: &mut Session,
        places: &[Option<Collection>],
        number: usize,
        document: &[u8],
    ) -> Result<(), CaptureError> {
        let is_full = self.documents.len() >= BATCH || self.bytes + document.len() > BATCH_BYTES;
        if is_full || number != self.number {
            self.write(session, places)?;
        }
        self.number = number;
        self.bytes += document.len();
        let document = RawDocumentBuf::from_bytes(document.to_vec());
        self.documents.push(document.map_err(|e| {
            unreadable(
                ARCHIVE,
                format!("a document cannot be read: {e}"),
                "choose another point",
            )
        })?);
        Ok(())
    }

    fn write(
        &mut self,
        session: &mut Session,
        places: &[Option<Collection>],
    ) -> Result<(), CaptureError> {
        let place = places.get(self.number).and_then(Option::as_ref);
        if let Some(place) = place.filter(|_| !self.documents.is_empty()) {
            session.insert(&place.db, &place.name, &self.documents)?;
        }
        self.documents.clear();
        self.bytes = 0;
        Ok(())
    }
}

fn drop_if(
    session: &mut Session,
    collection: &Collection,
    replaces: bool,
) -> Result<(), CaptureError> {
    if !replaces {
        return Ok(());
    }
    let filter = doc! { "name": collection.name.as_str() };
    let there = session.list(
        &collection.db,
        doc! { "listCollections": 1, "filter": filter },
    )?;
    if there.is_empty() {
        return Ok(());
    }
    session
        .long_command(&collection.db, doc! { "drop": collection.name.as_str() })
        .map(drop)
}

/// An empty collection with the options of the original.
fn make(
    session: &mut Session,
    collection: &Collection,
    replaces: bool,
) -> Result<(), CaptureError> {
    drop_if(session, collection, replaces)?;
    let mut command = doc! { "create": collection.name.as_str() };
    command.extend(collection.options.clone());
    session.command(&collection.db, command).map(drop)
}

/// The indexes of a collection, or a view whole.
fn finish(
    session: &mut Session,
    collection: &Collection,
    replaces: bool,
) -> Result<(), CaptureError> {
    if collection.is_view {
        return make(session, collection, replaces);
    }
    let is_made = |index: &&Document| index.get_str("name").ok() != Some("_id_");
    let indexes: Vec<Bson> = collection
        .indexes
        .iter()
        .filter(is_made)
        .cloned()
        .map(Bson::Document)
        .collect();
    if indexes.is_empty() {
        return Ok(());
    }
    let command = doc! { "createIndexes": collection.name.as_str(), "indexes": indexes };
    session.long_command(&collection.db, command).map(drop)
}

fn write_accounts(session: &mut Session, accounts: &Accounts) -> Result<(), CaptureError> {
    for (collection, documents) in accounts.documents() {
        for batch in documents.chunks(BATCH) {
            let raw = batch
                .iter()
                .filter_map(|bytes| RawDocumentBuf::from_bytes(bytes.clone()).ok());
            session.insert("admin", collection, &raw.collect::<Vec<_>>())?;
        }
    }
    Ok(())
}
