//! What is declared on a server: collections with their options and indexes, views.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use sha2::{Digest, Sha256};
use vouchsafe_capture::CaptureError;
use vouchsafe_model::DigestEntry;

use super::address::SYSTEM;
use super::archive::Namespace;
use super::extjson;
use super::session::{Session, unreadable, whole};

/// What begins the keys of declarations.
pub(super) const SCHEMA: &str = "schema:";

/// A collection or a view.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Collection {
    pub(super) db: String,
    pub(super) name: String,
    pub(super) is_view: bool,
    /// As `listCollections` tells them, and `create` takes them.
    pub(super) options: Document,
    /// The server's own name for it; another one if it is made anew.
    pub(super) uuid: Option<String>,
    /// As `listIndexes` tells them, and `createIndexes` takes them; that of `_id` too.
    pub(super) indexes: Vec<Document>,
}

/// Everything of one or of all databases, by database and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Catalog {
    pub(super) collections: Vec<Collection>,
}

/// The databases that are users' own.
pub(super) fn databases(session: &mut Session) -> Result<Vec<String>, CaptureError> {
    // Without this word a user is shown only what it may read, and the rest would be missing without a trace.
    let command = doc! { "listDatabases": 1, "nameOnly": true, "authorizedDatabases": false };
    let said = session.command("admin", command)?;
    let all = said
        .get_array("databases")
        .map(Vec::as_slice)
        .unwrap_or_default();
    let name = |entry: &Bson| entry.as_document()?.get_str("name").ok().map(str::to_owned);
    let mut names: Vec<String> = all.iter().filter_map(name).collect();
    names.retain(|name| !SYSTEM.contains(&name.as_str()));
    names.sort();
    Ok(names)
}

impl Catalog {
    /// Asks the server for one database, or for all if none is named.
    pub(super) fn read(session: &mut Session, database: &str) -> Result<Catalog, CaptureError> {
        let names = if database.is_empty() {
            databases(session)?
        } else {
            vec![database.to_owned()]
        };
        let mut collections = Vec::new();
        for db in &names {
            for entry in session.list(db, doc! { "listCollections": 1 })? {
                collections.extend(collection(session, db, &entry)?);
            }
        }
        collections.sort_by(|a, b| (&a.db, &a.name).cmp(&(&b.db, &b.name)));
        Ok(Catalog { collections })
    }

    /// Of each object the digest of what is declared; `shown` tells under which name a database goes.
    pub(super) fn digests(&self, shown: &dyn Fn(&str) -> String) -> BTreeMap<String, DigestEntry> {
        let mut out = BTreeMap::new();
        for collection in &self.collections {
            let name = format!("{}.{}", shown(&collection.db), collection.name);
            let kind = if collection.is_view {
                "view"
            } else {
                "collection"
            };
            out.insert(
                format!("{SCHEMA}{kind} {name}"),
                declared(&collection.options),
            );
            for index in &collection.indexes {
                let key = format!(
                    "{SCHEMA}index {name} {}",
                    index.get_str("name").unwrap_or_default()
                );
                out.insert(key, declared(index));
            }
        }
        out
    }
}

fn collection(
    session: &mut Session,
    db: &str,
    entry: &Document,
) -> Result<Option<Collection>, CaptureError> {
    let name = entry.get_str("name").unwrap_or_default();
    // The server makes these itself, but for the code that users store on it.
    if name.starts_with("system.") && name != "system.js" {
        return Ok(None);
    }
    let is_view = match entry.get_str("type").unwrap_or("collection") {
        "collection" => false,
        "view" => true,
        other => {
            return Err(unreadable(
                session.shown(),
                format!(
                    "{db}.{name} is of the type `{other}`, which this version does not capture"
                ),
                "capture the other databases one by one, and this one by another tool",
            ));
        }
    };
    let indexes = if is_view {
        Vec::new()
    } else {
        session.list(db, doc! { "listIndexes": name })?
    };
    Ok(Some(Collection {
        db: db.to_owned(),
        name: name.to_owned(),
        is_view,
        options: entry.get_document("options").cloned().unwrap_or_default(),
        uuid: entry.get_document("info").ok().and_then(uuid),
        indexes: indexes.into_iter().map(without_namespace).collect(),
    }))
}

fn uuid(info: &Document) -> Option<String> {
    match info.get("uuid") {
        Some(Bson::Binary(binary)) => Some(hex::encode(&binary.bytes)),
        _ => None,
    }
}

/// Older servers write into each index where it is.
fn without_namespace(mut index: Document) -> Document {
    index.remove("ns");
    index
}

impl Collection {
    /// As the prelude of an archive announces it.
    pub(super) fn namespace(&self) -> Namespace {
        let indexes: Vec<Bson> = self.indexes.iter().cloned().map(Bson::Document).collect();
        let metadata = doc! {
            "options": self.options.clone(),
            "indexes": indexes,
            "uuid": self.uuid.clone().unwrap_or_default(),
            "collectionName": self.name.clone(),
            "type": if self.is_view { "view" } else { "collection" },
        };
        Namespace {
            db: self.db.clone(),
            collection: self.name.clone(),
            metadata: extjson::to_json(&metadata),
            size: 0,
            kind: if self.is_view {
                "view".to_owned()
            } else {
                String::new()
            },
        }
    }

    /// From what an archive announces. The error is half a sentence.
    pub(super) fn of_namespace(namespace: &Namespace) -> Result<Collection, String> {
        let name = namespace.name();
        let wrong = |what: &str| format!("{name}: {what} in the archive cannot be read");
        let is_view = match namespace.kind.as_str() {
            "" | "collection" => false,
            "view" => true,
            other => {
                return Err(format!(
                    "{name} is of the type `{other}`, which is not restored"
                ));
            }
        };
        let metadata = match namespace.metadata.as_str() {
            "" => Document::new(),
            json => extjson::from_json(json)
                .map_err(|e| format!("{}: {e}", wrong("what is declared")))?,
        };
        let options = match metadata.get("options") {
            None | Some(Bson::Null) => Document::new(),
            Some(Bson::Document(options)) => options.clone(),
            Some(_) => return Err(wrong("the options")),
        };
        let indexes = match metadata.get("indexes") {
            None | Some(Bson::Null) => Vec::new(),
            Some(Bson::Array(indexes)) => indexes.clone(),
            Some(_) => return Err(wrong("the indexes")),
        };
        let index = |index| match index {
            Bson::Document(index) => Ok(without_namespace(index)),
            _ => Err(wrong("an index")),
        };
        Ok(Collection {
            db: namespace.db.clone(),
            name: namespace.collection.clone(),
            is_view,
            options,
            uuid: metadata
                .get_str("uuid")
                .ok()
                .filter(|u| !u.is_empty())
                .map(str::to_owned),
            indexes: indexes.into_iter().map(index).collect::<Result<_, _>>()?,
        })
    }

    /// `database.collection`.
    pub(super) fn full_name(&self) -> String {
        format!("{}.{}", self.db, self.name)
    }
}

/// The digest of options or of an index. In which order the server tells its fields does not matter, nor of which kind
/// a whole number is; within fields the order does.
fn declared(document: &Document) -> DigestEntry {
    let sorted: BTreeMap<&String, &Bson> = document.iter().collect();
    let plain: Document = sorted
        .into_iter()
        .map(|(key, value)| (key.clone(), plain(value)))
        .collect();
    let bytes = RawDocumentBuf::try_from(&plain).map(RawDocumentBuf::into_bytes);
    DigestEntry {
        count: None,
        digest: hex::encode(Sha256::digest(bytes.unwrap_or_default())),
    }
}

fn plain(value: &Bson) -> Bson {
    match value {
        Bson::Document(document) => Bson::Document(
            document
                .iter()
                .map(|(key, value)| (key.clone(), plain(value)))
                .collect(),
        ),
        Bson::Array(values) => Bson::Array(values.iter().map(plain).collect()),
        other => whole(Some(other)).map_or_else(|| other.clone(), Bson::Int64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders() -> Collection {
        Collection {
            db: "shop".into(),
            name: "orders".into(),
            is_view: false,
            options: doc! { "validator": { "$jsonSchema": { "required": ["a"] } }, "capped": true, "size": 4096 },
            uuid: Some("0f".into()),
            indexes: vec![
                doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" },
                doc! { "v": 2, "key": { "b": 1, "a": -1 }, "name": "b_1_a_-1", "unique": true },
            ],
        }
    }

    fn digests(collection: &Collection) -> BTreeMap<String, DigestEntry> {
        let catalog = Catalog {
            collections: vec![collection.clone()],
        };
        catalog.digests(&str::to_owned)
    }

    #[test]
    fn what_an_archive_announces_is_what_was_declared() {
        let orders = orders();
        assert_eq!(
            Collection::of_namespace(&orders.namespace()).unwrap(),
            orders
        );
        let view = Collection {
            is_view: true,
            options: doc! { "viewOn": "orders", "pipeline": [{ "$match": { "a": { "$gt": 1 } } }] },
            indexes: Vec::new(),
            ..orders
        };
        let namespace = view.namespace();
        assert!(namespace.metadata.contains("\"indexes\":[]"));
        assert_eq!(Collection::of_namespace(&namespace).unwrap(), view);
    }

    #[test]
    fn each_change_of_what_is_declared_has_another_digest_and_spelling_has_not() {
        let before = digests(&orders());
        let mut same = orders();
        same.uuid = None;
        same.options = doc! { "size": 4096_i64, "capped": true, "validator": { "$jsonSchema": { "required": ["a"] } } };
        same.indexes[1].insert("key", doc! { "b": 1.0, "a": -1_i64 });
        assert_eq!(digests(&same), before);
        type Change = fn(&mut Collection);
        let changes: [Change; 5] = [
            |c| drop(c.options.insert("size", 4097)),
            |c| drop(c.options.remove("validator")),
            |c| drop(c.indexes[1].insert("key", doc! { "a": -1, "b": 1 })),
            |c| drop(c.indexes[1].remove("unique")),
            |c| drop(c.indexes.pop()),
        ];
        for (n, change) in changes.iter().enumerate() {
            let mut other = orders();
            change(&mut other);
            assert_ne!(digests(&other), before, "change {n}");
        }
    }

    #[test]
    fn what_cannot_be_made_of_an_archive_is_said() {
        let mut namespace = orders().namespace();
        namespace.kind = "timeseries".into();
        assert!(
            Collection::of_namespace(&namespace)
                .unwrap_err()
                .contains("timeseries")
        );
        namespace.kind.clear();
        for metadata in ["{", r#"{"indexes":[1]}"#, r#"{"options":1}"#] {
            namespace.metadata = metadata.into();
            assert!(
                Collection::of_namespace(&namespace)
                    .unwrap_err()
                    .contains("shop.orders")
            );
        }
    }
}
