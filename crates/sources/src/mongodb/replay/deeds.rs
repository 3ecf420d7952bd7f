//! What the entries of a fetched log tell to be done, one deed after the other: transactions as they were committed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use mongodb::bson::{Bson, Document};
use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::files;

use super::super::oplog::entry::{Entry, length, shown};
use super::super::session::unreadable;
use super::open::{Open, Role, role};
use crate::failure;

/// What is to be done.
#[derive(Debug)]
pub(super) struct Deed {
    pub(super) kind: Kind,
    /// Database and collection.
    pub(super) ns: String,
    /// The document, what identifies it, what changes in it, or the command.
    pub(super) o: Document,
    /// Of a change, what identifies the document.
    pub(super) o2: Option<Document>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Insert,
    Update,
    Delete,
    /// The first field of `o` is the command.
    Command,
}

/// How deep entries may lie in one another.
const DEEPEST: usize = 10;
/// A server's own databases: `mongorestore` leaves out what it would have to know of them, and so does this.
const OWN: [&str; 2] = ["config", "local"];
/// That of users and roles.
const ADMIN: &str = "admin";
const ACCOUNTS: [&str; 2] = ["admin.system.users", "admin.system.roles"];
/// What belongs to time-series collections, which are not captured either.
const BUCKETS: &str = "system.buckets.";

/// Hands out the deeds of a file of entries, in their order.
pub(super) fn walk(
    ctx: &CaptureContext<'_>,
    path: &Path,
    take: &mut dyn FnMut(Deed) -> Result<(), CaptureError>,
) -> Result<(), CaptureError> {
    let mut walk = Walk {
        lying: Lying::open(path)?,
        open: Open::new(),
        take,
    };
    let mut at = 0;
    while at < walk.lying.size {
        failure::check_interrupt(ctx)?;
        let bytes = walk.lying.read(at)?;
        walk.entry(at, &bytes)?;
        at = at.saturating_add(bytes.len() as u64);
        ctx.progress.advance(0, bytes.len() as u64);
    }
    Ok(())
}

/// Hands out the entries themselves.
pub(super) fn entries(
    ctx: &CaptureContext<'_>,
    path: &Path,
    take: &mut dyn FnMut(&Entry<'_>),
) -> Result<(), CaptureError> {
    let lying = Lying::open(path)?;
    let mut at = 0;
    while at < lying.size {
        failure::check_interrupt(ctx)?;
        let bytes = lying.read(at)?;
        let entry = Entry::parse(&bytes).map_err(|message| lying.wrong(&message))?;
        take(&entry);
        at = at.saturating_add(bytes.len() as u64);
    }
    Ok(())
}

/// A file of entries.
struct Lying {
    file: File,
    path: PathBuf,
    size: u64,
}

impl Lying {
    fn open(path: &Path) -> Result<Lying, CaptureError> {
        Ok(Lying {
            file: files::open_read(path).map_err(failure::file)?,
            path: path.to_path_buf(),
            size: files::size(path).map_err(failure::file)?,
        })
    }

    /// The bytes of the entry that begins here.
    fn read(&self, at: u64) -> Result<Vec<u8>, CaptureError> {
        let failed = |e| CaptureError::io("read", self.path.display().to_string(), e);
        let mut head = [0; 4];
        self.file.read_exact_at(&mut head, at).map_err(failed)?;
        let length = length(&head);
        let length = length.ok_or_else(|| self.wrong(&format!("byte {at} begins no entry")))?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, at).map_err(failed)?;
        Ok(bytes)
    }

    fn wrong(&self, message: &str) -> CaptureError {
        let remedy = "restore an earlier moment, or another point";
        unreadable(&self.path.display().to_string(), message, remedy)
    }
}

struct Walk<'w> {
    lying: Lying,
    /// Where in the file the entries of transactions lie that may still be committed.
    open: Open<u64>,
    take: &'w mut dyn FnMut(Deed) -> Result<(), CaptureError>,
}

impl Walk<'_> {
    fn entry(&mut self, at: u64, bytes: &[u8]) -> Result<(), CaptureError> {
        let entry = Entry::parse(bytes).map_err(|message| self.lying.wrong(&message))?;
        let named = |message: String| format!("the entry {}: {message}", shown(entry.mark));
        let role = role(&entry.document).map_err(|message| self.lying.wrong(&named(message)))?;
        let done = match role {
            Role::Note => Ok(()),
            Role::Part(key) => {
                self.open.add(key, at);
                Ok(())
            }
            Role::Abort(key) => {
                self.open.take(&key);
                Ok(())
            }
            Role::Commit(key) => match self.open.take(&key) {
                Some(parts) => self.parts(&parts),
                None => Err(Failed::Log(UNKNOWN.to_owned())),
            },
            Role::Last(key, has_before) => match (self.open.take(&key), has_before) {
                (None, true) => Err(Failed::Log(UNKNOWN.to_owned())),
                (parts, _) => self
                    .parts(&parts.unwrap_or_default())
                    .and_then(|()| self.deed(entry.document, 0)),
            },
            Role::Deed | Role::Deeds => self.deed(entry.document, 0),
        };
        done.map_err(|failed| match failed {
            Failed::Log(message) => self
                .lying
                .wrong(&format!("the entry {}: {message}", shown(entry.mark))),
            Failed::Other(error) => error,
        })
    }

    fn parts(&mut self, parts: &[u64]) -> Result<(), Failed> {
        for at in parts {
            let bytes = self.lying.read(*at)?;
            let document = Document::from_reader(bytes.as_slice()).map_err(|e| e.to_string())?;
            self.deed(document, 0)?;
        }
        Ok(())
    }

    /// An entry, or one within another.
    fn deed(&mut self, mut entry: Document, depth: usize) -> Result<(), Failed> {
        if depth > DEEPEST {
            return Err("its deeds lie too deep in one another".to_owned().into());
        }
        let kind = match entry.get_str("op").unwrap_or_default() {
            "n" => return Ok(()),
            "i" => Kind::Insert,
            "u" => Kind::Update,
            "d" => Kind::Delete,
            "c" => Kind::Command,
            other => return Err(format!("its kind `{other}` is not known here").into()),
        };
        let ns = entry.get_str("ns").unwrap_or_default().to_owned();
        let document = |value: Option<Bson>| match value {
            Some(Bson::Document(document)) => Some(document),
            _ => None,
        };
        let o = document(entry.remove("o")).ok_or_else(|| "it has no field `o`".to_owned())?;
        let o2 = document(entry.remove("o2"));
        if let (Kind::Command, Some(Bson::Array(deeds))) = (kind, o.get("applyOps")) {
            for deed in deeds {
                let inner = deed
                    .as_document()
                    .ok_or_else(|| "a deed in it is no document".to_owned())?;
                self.deed(inner.clone(), depth + 1)?;
            }
            return Ok(());
        }
        if kind == Kind::Update && o2.is_none() {
            return Err("it does not say which document is changed"
                .to_owned()
                .into());
        }
        let named = named(kind, &ns, &o);
        if named
            .split_once('.')
            .is_some_and(|(_, name)| name.starts_with(BUCKETS))
        {
            return Err(
                format!("{named} is of a time-series collection, which is not replayed").into(),
            );
        }
        if !is_kept(kind, &named) {
            return Ok(());
        }
        (self.take)(Deed { kind, ns, o, o2 }).map_err(Failed::Other)
    }
}

const UNKNOWN: &str = "it ends a transaction that began before the log does";

/// What a deed failed of.
enum Failed {
    Log(String),
    Other(CaptureError),
}

impl From<String> for Failed {
    fn from(message: String) -> Failed {
        Failed::Log(message)
    }
}

impl From<CaptureError> for Failed {
    fn from(error: CaptureError) -> Failed {
        Failed::Other(error)
    }
}

/// The collection that a deed is about; `database.$cmd` where it is about a whole database.
fn named(kind: Kind, ns: &str, o: &Document) -> String {
    let first = o.iter().next();
    match (kind, first) {
        (Kind::Command, Some((command, Bson::String(name)))) => match command.as_str() {
            "renameCollection" => name.clone(),
            _ => format!("{}.{name}", database(ns)),
        },
        _ => ns.to_owned(),
    }
}

/// Whether it is about what is captured, or about users and roles.
fn is_kept(kind: Kind, named: &str) -> bool {
    match database(named) {
        ADMIN => kind != Kind::Command && ACCOUNTS.contains(&named),
        database => !OWN.contains(&database),
    }
}

impl Deed {
    /// Whether it is about users or roles.
    pub(super) fn is_of_accounts(&self) -> bool {
        ACCOUNTS.contains(&self.ns.as_str())
    }

    /// The command's name and, where it is about one, the collection.
    pub(super) fn command(&self) -> (&str, &str) {
        match self.o.iter().next() {
            Some((name, value)) => (name, value.as_str().unwrap_or_default()),
            None => ("", ""),
        }
    }

    /// The same collection with its database.
    pub(super) fn collection(&self) -> String {
        format!("{}.{}", self.database(), self.command().1)
    }

    pub(super) fn database(&self) -> &str {
        database(&self.ns)
    }

    /// The view that it declares or removes, if it is about one.
    pub(super) fn view(&self) -> Option<&str> {
        let is_of_views = self.ns.split_once('.')?.1 == VIEWS;
        let id = match self.kind {
            Kind::Update => self.o2.as_ref()?.get_str("_id"),
            _ => self.o.get_str("_id"),
        };
        id.ok()
            .filter(|_| is_of_views && self.kind != Kind::Command)
    }

    /// What a change leaves, if it is told whole.
    pub(super) fn whole(&self) -> Option<&Document> {
        let is_whole = match self.kind {
            Kind::Insert => true,
            Kind::Update => {
                let first = self.o.keys().next();
                !self.o.contains_key("$v") && first.is_none_or(|key| !key.starts_with('$'))
            }
            Kind::Delete | Kind::Command => false,
        };
        is_whole.then_some(&self.o)
    }

    /// The identity of the document that it is about.
    pub(super) fn id(&self) -> Option<&Bson> {
        match self.kind {
            Kind::Insert | Kind::Delete => self.o.get("_id"),
            Kind::Update => self.o2.as_ref()?.get("_id"),
            Kind::Command => None,
        }
    }
}

/// The collection in which a database has its views.
pub(super) const VIEWS: &str = "system.views";

/// Of a name with one.
pub(super) fn database(named: &str) -> &str {
    named
        .split_once('.')
        .map_or(named, |(database, _)| database)
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Timestamp, doc};
    use vouchsafe_capture::NoProgress;
    use vouchsafe_host::{Interrupt, LocalSpawn, SystemClock};

    use super::*;

    struct Told(u32, Vec<u8>);

    impl Told {
        fn add(&mut self, mut entry: Document) -> &mut Told {
            self.0 += 1;
            let ts = Timestamp {
                time: 7,
                increment: self.0,
            };
            entry.insert("ts", ts);
            self.1.extend(entry.to_vec().unwrap());
            self
        }

        /// The identities of what is inserted.
        fn inserted(&self) -> Result<Vec<i32>, String> {
            let place = files::temp_dir("deeds-").unwrap();
            let path = place.path().join("oplog.bson");
            files::write_atomic(&path, &self.1, 0o600).unwrap();
            let (clock, interrupt) = (SystemClock::new(), Interrupt::manual());
            let ctx = CaptureContext {
                spawn: &LocalSpawn,
                clock: &clock,
                work_dir: place.path(),
                interrupt: &interrupt,
                progress: &NoProgress,
                own_places: &[],
            };
            let mut seen = Vec::new();
            walk(&ctx, &path, &mut |deed| {
                seen.push(deed.o.get_i32("_id").unwrap_or(-1));
                Ok(())
            })
            .map_err(|e| e.to_string())?;
            Ok(seen)
        }
    }

    fn insert(ns: &str, id: i32) -> Document {
        doc! { "op": "i", "ns": ns, "o": { "_id": id } }
    }

    fn within(number: i64, before: u32, o: Document) -> Document {
        let ts = Timestamp {
            time: before,
            increment: before,
        };
        doc! { "op": "c", "ns": "admin.$cmd", "o": o, "lsid": { "id": "a" }, "txnNumber": number, "prevOpTime": { "ts": ts } }
    }

    #[test]
    fn a_transaction_is_done_where_it_is_committed_and_not_at_all_where_it_is_not() {
        let mut told = Told(0, Vec::new());
        let part = |id, more: &str| doc! { "applyOps": [insert("shop.a", id)], more: true };
        told.add(within(1, 0, part(10, "partialTxn")))
            .add(within(2, 0, part(20, "prepare")))
            .add(within(3, 0, part(30, "prepare")))
            .add(within(4, 0, part(40, "partialTxn")))
            .add(insert("shop.a", 1))
            .add(within(1, 1, part(11, "count")))
            .add(within(3, 3, doc! { "abortTransaction": 1 }))
            .add(insert("shop.a", 2))
            .add(within(2, 2, doc! { "commitTransaction": 1 }))
            .add(within(5, 0, part(50, "count")));
        assert_eq!(told.inserted(), Ok(vec![1, 10, 11, 2, 20, 50]));
        // The end of one whose beginning is not here.
        for o in [doc! { "commitTransaction": 1 }, part(60, "count")] {
            let mut told = Told(0, Vec::new());
            let said = told.add(within(9, 5, o)).inserted().unwrap_err();
            assert!(said.contains("began before"), "{said}");
        }
    }

    #[test]
    fn what_is_the_servers_own_is_left_out_and_what_is_not_known_is_refused() {
        let mut told = Told(0, Vec::new());
        told.add(insert("config.transactions", 1))
            .add(insert("local.a", 2))
            .add(insert("admin.system.version", 3))
            .add(insert("admin.system.users", 4))
            .add(doc! { "op": "c", "ns": "config.$cmd", "o": { "create": "a", "_id": 5 } })
            .add(doc! { "op": "n", "ns": "", "o": { "_id": 6 } })
            .add(doc! { "op": "c", "ns": "shop.$cmd", "o": { "applyOps": [insert("shop.a", 7)] } });
        assert_eq!(told.inserted(), Ok(vec![4, 7]));
        for bad in [
            doc! { "op": "xi", "ns": "shop.a", "o": {} },
            doc! { "op": "i", "ns": "shop.a" },
            doc! { "op": "u", "ns": "shop.a", "o": { "a": 1 } },
            insert("shop.system.buckets.a", 1),
        ] {
            assert!(
                Told(0, Vec::new()).add(bad.clone()).inserted().is_err(),
                "{bad}"
            );
        }
    }
}
