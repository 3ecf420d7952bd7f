//! A server's documents as an archive, digested as they pass.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use vouchsafe_capture::{CaptureError, CleanEnd, StreamContent};
use vouchsafe_model::DigestEntry;

use super::accounts::Accounts;
use super::archive::{ArchiveWriter, Header, Prelude, write_prelude};
use super::catalog::{Catalog, Collection};
use super::digest::{DOCUMENTS, Documents};
use super::server::Server;
use super::session::{Session, unreadable};

/// Digests of all that went into an archive.
pub(super) type Entries = BTreeMap<String, DigestEntry>;

/// The archive that is being made. It is whole only if what is declared is the same after the last document as it was
/// before the first.
pub(super) struct ArchiveStream {
    session: Session,
    /// The server that is read, where it is one of our own: it lives as long as the stream.
    _server: Option<Arc<Server>>,
    database: String,
    catalog: Catalog,
    accounts: Option<Accounts>,
    parts: Vec<Part>,
    /// Which of them is written, and whether it is being read.
    at: usize,
    is_reading: bool,
    writer: ArchiveWriter,
    documents: Documents,
    entries: Entries,
    /// What was written and not yet handed out.
    out: Vec<u8>,
    given: usize,
    written: u64,
    read: u64,
    told: Sender<Entries>,
}

/// One namespace of the archive.
enum Part {
    Collection(Collection),
    View,
    /// Documents of users or roles, which were read before.
    Accounts(Vec<Vec<u8>>),
}

/// What an archive is made of.
pub(super) struct Whole {
    pub(super) session: Session,
    pub(super) server: Option<Arc<Server>>,
    pub(super) server_version: String,
    pub(super) database: String,
    pub(super) catalog: Catalog,
    pub(super) accounts: Option<Accounts>,
}

/// How many bytes are read at once.
const PORTION: usize = 1 << 20;

impl ArchiveStream {
    /// Nothing is read yet. When all has passed, its digests are sent to `told`.
    pub(super) fn new(whole: Whole, told: Sender<Entries>) -> Result<ArchiveStream, CaptureError> {
        let Whole {
            session,
            server,
            server_version,
            database,
            catalog,
            accounts,
        } = whole;
        let (mut namespaces, mut parts) = (Vec::new(), Vec::new());
        // `mongorestore` looks for them before it restores anything, and only among what comes first.
        for (namespace, documents) in accounts
            .iter()
            .flat_map(|a| a.clone().namespaces(&database))
        {
            namespaces.push(namespace);
            parts.push(Part::Accounts(documents));
        }
        for collection in &catalog.collections {
            namespaces.push(collection.namespace());
            parts.push(match collection.is_view {
                true => Part::View,
                false => Part::Collection(collection.clone()),
            });
        }
        let prelude = Prelude {
            header: Header {
                concurrent_collections: 1,
                server_version,
                tool_version: concat!("vouchsafe ", env!("CARGO_PKG_VERSION")).to_owned(),
            },
            namespaces,
        };
        let mut out = Vec::new();
        let writer = write_prelude(&mut out, &prelude)
            .map_err(|e| CaptureError::io("write", "the archive", e))?;
        let mut entries = catalog.digests(&str::to_owned);
        entries.extend(accounts.iter().flat_map(Accounts::digests));
        Ok(ArchiveStream {
            session,
            _server: server,
            database,
            catalog,
            accounts,
            parts,
            at: 0,
            is_reading: false,
            writer,
            documents: Documents::default(),
            entries,
            written: out.len() as u64,
            out,
            given: 0,
            read: 0,
            told,
        })
    }

    /// Writes some more; nothing if all was written.
    fn fill(&mut self) -> Result<(), CaptureError> {
        let at = self.at;
        let failed = |e| CaptureError::io("write", "the archive", e);
        let Some(part) = self.parts.get(at) else {
            return Ok(());
        };
        match part {
            Part::View => {}
            Part::Accounts(documents) => {
                for document in documents {
                    self.writer
                        .document(&mut self.out, at, document)
                        .map_err(failed)?;
                }
            }
            Part::Collection(collection) => {
                if !self.is_reading {
                    self.session
                        .begin(&collection.db, &collection.name, Default::default())?;
                    self.is_reading = true;
                }
                let (writer, out, documents) =
                    (&mut self.writer, &mut self.out, &mut self.documents);
                let more = self.session.some(PORTION, &mut |bytes| {
                    documents.add(bytes);
                    writer.document(out, at, bytes).map_err(failed)
                })?;
                if more {
                    return Ok(());
                }
                let key = format!("{DOCUMENTS}{}", collection.full_name());
                self.entries
                    .insert(key, std::mem::take(&mut self.documents).entry());
            }
        }
        self.is_reading = false;
        self.at += 1;
        self.writer.end(&mut self.out, at).map_err(failed)
    }

    /// Whether everything was written and handed out.
    fn is_whole(&self) -> bool {
        self.at == self.parts.len() && self.given == self.out.len()
    }

    /// What is declared keeps to no moment.
    fn still_stands(&mut self) -> Result<(), CaptureError> {
        self.session.read_now();
        let after = Catalog::read(&mut self.session, &self.database)?;
        let mut name = first_difference(&self.catalog, &after);
        if let (None, Some(before)) = (&name, &self.accounts) {
            let now = Accounts::read(&mut self.session, &self.database)?;
            name = (now.as_ref() != Some(before)).then(|| "a user or role".to_owned());
        }
        match name {
            None => Ok(()),
            Some(name) => Err(unreadable(
                self.session.shown(),
                format!("{name} was altered while the documents were read"),
                "capture it when nobody alters what is declared",
            )),
        }
    }
}

fn first_difference(before: &Catalog, after: &Catalog) -> Option<String> {
    let of = |catalog: &Catalog| -> BTreeMap<String, Collection> {
        let all = catalog.collections.iter();
        all.map(|c| (c.full_name(), c.clone())).collect()
    };
    let (before, after) = (of(before), of(after));
    let mut names = before.keys().chain(after.keys());
    names
        .find(|name| before.get(*name) != after.get(*name))
        .cloned()
}

impl StreamContent for ArchiveStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.given == self.out.len() && self.at < self.parts.len() {
            self.out.clear();
            self.given = 0;
            self.fill().map_err(io::Error::other)?;
            self.written += self.out.len() as u64;
        }
        let rest = self.out.get(self.given..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.given += count;
        self.read += count as u64;
        Ok(count)
    }

    fn finish(mut self: Box<Self>) -> Result<CleanEnd, CaptureError> {
        if !self.is_whole() {
            return Err(unreadable(
                self.session.shown(),
                "the archive was not read to its end",
                "run the capture again",
            ));
        }
        self.still_stands()?;
        let end = CleanEnd::of_length("the archive", self.written, self.read)?;
        // Who waits for them may have given up.
        let _ = self.told.send(std::mem::take(&mut self.entries));
        Ok(end)
    }
}
