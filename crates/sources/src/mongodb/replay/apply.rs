//! Doing on a server what a fetched log tells.

use std::path::Path;

use mongodb::bson::{Bson, Document, doc};
use vouchsafe_capture::{CaptureContext, CaptureError};

use super::super::session::{Session, unreadable};
use super::ENTRIES;
use super::deeds::{Deed, Kind, VIEWS, walk};

/// So many documents are changed by one command, of about so many bytes.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 4 << 20;
/// The server's numbers for what is not there.
const NO_COLLECTION: i32 = 26;
const NO_INDEX: i32 = 27;

/// Applies what lies in `place`, in its order. Users and roles are left as they are unless `with_accounts`; a
/// collection that the log makes takes the place of one that is there if `replaces`.
pub(in crate::mongodb) fn apply(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    place: &Path,
    (with_accounts, replaces): (bool, bool),
) -> Result<(), CaptureError> {
    let mut applying = Applying {
        session,
        batch: Vec::new(),
        bytes: 0,
        replaces,
    };
    walk(
        ctx,
        &place.join(ENTRIES),
        &mut |deed| match deed.is_of_accounts() && !with_accounts {
            true => Ok(()),
            false => applying.take(deed),
        },
    )?;
    applying.flush()
}

struct Applying<'s> {
    session: &'s mut Session,
    /// Changes of documents, which the server's own command applies as a secondary does.
    batch: Vec<Bson>,
    bytes: usize,
    replaces: bool,
}

impl Applying<'_> {
    fn take(&mut self, deed: Deed) -> Result<(), CaptureError> {
        if let Some(view) = deed.view()
            && (deed.kind == Kind::Delete || deed.whole().is_some())
        {
            let name = view.split_once('.').map_or(view, |(_, name)| name);
            self.flush()?;
            return self.view(deed.database(), name, &deed);
        }
        if deed.kind == Kind::Command {
            self.flush()?;
            return self.command(&deed);
        }
        let (ns, o) = (deed.ns, deed.o);
        // Without the collection's number: in another server it has another one.
        let mut entry = match deed.kind {
            Kind::Insert => doc! { "op": "i", "ns": ns, "o": o },
            Kind::Update => doc! { "op": "u", "ns": ns, "o": o },
            Kind::Delete | Kind::Command => doc! { "op": "d", "ns": ns, "o": o },
        };
        if let (Kind::Update, Some(o2)) = (deed.kind, deed.o2) {
            entry.insert("o2", o2);
        }
        self.bytes += entry.to_vec().map_or(BATCH_BYTES, |bytes| bytes.len());
        self.batch.push(Bson::Document(entry));
        match self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), CaptureError> {
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        if batch.is_empty() {
            return Ok(());
        }
        let count = batch.len();
        let command = doc! { "applyOps": batch, "bypassDocumentValidation": true };
        let said = self.session.long_command("admin", command)?;
        let results = said.get_array("results").cloned().unwrap_or_default();
        let done = results.iter().filter(|one| **one == Bson::Boolean(true));
        match done.count() == count {
            true => Ok(()),
            false => Err(self.refused("it did not apply all that the log tells")),
        }
    }

    fn refused(&self, message: &str) -> CaptureError {
        let remedy = "restore another moment or point, and see the server's log";
        unreadable(self.session.shown(), message, remedy)
    }

    /// A view as it is from then on.
    fn view(&mut self, database: &str, name: &str, deed: &Deed) -> Result<(), CaptureError> {
        self.absent(database, doc! { "drop": name }, NO_COLLECTION)?;
        let Some(declared) = deed.whole() else {
            return Ok(());
        };
        let mut command = doc! { "create": name };
        command.extend(declared.clone());
        command.remove("_id");
        self.session.long_command(database, command).map(drop)
    }

    /// A command after which something is not there; that it was not there before does no harm.
    fn absent(&mut self, database: &str, command: Document, code: i32) -> Result<(), CaptureError> {
        match self.session.long_command(database, command) {
            Err(_) if self.session.told() == Some(code) => Ok(()),
            done => done.map(drop),
        }
    }

    fn command(&mut self, deed: &Deed) -> Result<(), CaptureError> {
        let (database, (command, name)) = (deed.database(), deed.command());
        match command {
            // The server makes it with the first view.
            "create" if name == VIEWS => Ok(()),
            "create" => self.create(database, name, &deed.o),
            "drop" => self.absent(database, doc! { "drop": name }, NO_COLLECTION),
            "dropDatabase" => {
                let command = doc! { "dropDatabase": 1 };
                self.session.long_command(database, command).map(drop)
            }
            "renameCollection" => self.rename(&deed.o),
            "createIndexes" => {
                let mut index = deed.o.clone();
                index.remove("createIndexes");
                self.indexes(database, name, vec![Bson::Document(index)])
            }
            "commitIndexBuild" => {
                let indexes = deed.o.get_array("indexes").cloned();
                self.indexes(database, name, indexes.unwrap_or_default())
            }
            // Nothing is there of one before it is committed.
            "startIndexBuild" | "abortIndexBuild" => Ok(()),
            "dropIndexes" | "deleteIndexes" | "dropIndex" | "deleteIndex" => {
                let index = deed.o.get("index").cloned().unwrap_or(Bson::Null);
                let command = doc! { "dropIndexes": name, "index": index };
                self.absent(database, command, NO_INDEX)
            }
            "collMod" | "convertToCapped" => self
                .session
                .long_command(database, deed.o.clone())
                .map(drop),
            other => Err(self.refused(&format!(
                "the log holds `{other}`, which this version does not replay"
            ))),
        }
    }

    fn create(&mut self, database: &str, name: &str, o: &Document) -> Result<(), CaptureError> {
        if o.contains_key("timeseries") {
            let message =
                format!("{database}.{name} is a time-series collection, which is not replayed");
            return Err(self.refused(&message));
        }
        if self.replaces {
            self.absent(database, doc! { "drop": name }, NO_COLLECTION)?;
        }
        let mut command = o.clone();
        // The server makes that index by itself.
        command.remove("idIndex");
        command.remove("temp");
        self.session.long_command(database, command).map(drop)
    }

    fn rename(&mut self, o: &Document) -> Result<(), CaptureError> {
        let drops = match o.get("dropTarget") {
            None | Some(Bson::Null) => false,
            Some(Bson::Boolean(drops)) => *drops,
            // The number of the collection that makes way.
            Some(_) => true,
        };
        let from = o.get("renameCollection").cloned().unwrap_or(Bson::Null);
        let to = o.get("to").cloned().unwrap_or(Bson::Null);
        let command =
            doc! { "renameCollection": from, "to": to, "dropTarget": drops || self.replaces };
        self.session.long_command("admin", command).map(drop)
    }

    fn indexes(
        &mut self,
        database: &str,
        name: &str,
        indexes: Vec<Bson>,
    ) -> Result<(), CaptureError> {
        let without = |index: Bson| match index {
            Bson::Document(mut index) => {
                index.remove("ns");
                Bson::Document(index)
            }
            other => other,
        };
        let indexes: Vec<Bson> = indexes.into_iter().map(without).collect();
        let command = doc! { "createIndexes": name, "indexes": indexes };
        self.session.long_command(database, command).map(drop)
    }
}
