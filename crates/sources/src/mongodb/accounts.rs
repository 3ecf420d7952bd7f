//! Users and roles, as the server keeps them in its database `admin`.

use std::collections::BTreeMap;

use mongodb::bson::{Document, RawDocument, doc};
use vouchsafe_capture::CaptureError;
use vouchsafe_model::DigestEntry;

use super::archive::Namespace;
use super::digest;
use super::session::Session;

/// What begins the keys of users and roles.
pub(super) const GRANTS: &str = "grants:";

/// The collections in which they are kept. The version tells `mongorestore` how to read the others.
const KEPT: [&str; 3] = ["system.users", "system.roles", "system.version"];
/// What stands before these names in an archive of one database.
const OF_ONE: &str = "$admin.";

/// Documents of each of [`KEPT`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Accounts([Vec<Vec<u8>>; 3]);

impl Accounts {
    /// Asks the server for those of one database, or for all if none is named; nothing if the user may not read them.
    pub(super) fn read(
        session: &mut Session,
        database: &str,
    ) -> Result<Option<Accounts>, CaptureError> {
        let mut out = Accounts::default();
        for (kept, documents) in KEPT.iter().zip(&mut out.0) {
            let filter = match *kept {
                "system.version" => doc! { "_id": "authSchema" },
                _ if database.is_empty() => Document::new(),
                _ => doc! { "db": database },
            };
            let read = session.each("admin", kept, filter, &mut |bytes| {
                documents.push(bytes.to_vec());
                Ok(())
            });
            match read {
                Err(_) if session.was_not_allowed() => return Ok(None),
                read => read?,
            }
        }
        Ok(Some(out))
    }

    /// As an archive announces them, each with its documents. What has none is left out: `mongorestore` asks the server to
    /// take over what is announced, also if it brought nothing.
    pub(super) fn namespaces(
        self,
        database: &str,
    ) -> impl Iterator<Item = (Namespace, Vec<Vec<u8>>)> {
        let (db, before) = match database {
            "" => ("admin".to_owned(), ""),
            database => (database.to_owned(), OF_ONE),
        };
        let all = KEPT.into_iter().zip(self.0);
        let held = all.filter(|(_, documents)| !documents.is_empty());
        held.map(move |(kept, documents)| {
            let collection = format!("{before}{kept}");
            let namespace = Namespace {
                db: db.clone(),
                metadata: format!(
                    r#"{{"options":{{}},"indexes":[],"uuid":"","collectionName":"{collection}","type":"collection"}}"#
                ),
                collection,
                size: 0,
                kind: String::new(),
            };
            (namespace, documents)
        })
    }

    /// Takes over a document of an archive, if its namespace is one of these.
    pub(super) fn take(&mut self, namespace: &Namespace, bytes: &[u8]) {
        let kept = kept(namespace).and_then(|at| self.0.get_mut(at));
        if let Some(documents) = kept {
            documents.push(bytes.to_vec());
        }
    }

    /// The collection of `admin` in which each document belongs that a restored server needs.
    pub(super) fn documents(&self) -> impl Iterator<Item = (&'static str, &[Vec<u8>])> {
        KEPT.into_iter()
            .zip(&self.0)
            .take(2)
            .map(|(kept, all)| (kept, all.as_slice()))
    }

    /// Of each user and role the digest of its document: its name, its credentials, what it may do.
    pub(super) fn digests(&self) -> BTreeMap<String, DigestEntry> {
        let mut out = BTreeMap::new();
        for ((_, documents), kind) in self.documents().zip(["user", "role"]) {
            for bytes in documents {
                let id = RawDocument::from_bytes(bytes).ok();
                let id = id
                    .and_then(|document| document.get_str("_id").ok())
                    .unwrap_or("?");
                out.insert(format!("{GRANTS}{kind} {id}"), digest::of_document(bytes));
            }
        }
        out
    }
}

/// Whether a namespace of an archive is one of accounts.
pub(super) fn is_of_accounts(namespace: &Namespace) -> bool {
    kept(namespace).is_some()
}

fn kept(namespace: &Namespace) -> Option<usize> {
    let name = match namespace.db.as_str() {
        "admin" => namespace.collection.as_str(),
        _ => namespace.collection.strip_prefix(OF_ONE)?,
    };
    KEPT.iter().position(|kept| *kept == name)
}
