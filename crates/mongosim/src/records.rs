//! The documents of one collection, with what they were at earlier moments.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{Bson, Document, Timestamp};

use crate::fault::{DUPLICATE_KEY, Fault};
use crate::filter::values;
use crate::order::Key;

/// Where a document stands in the natural order of its collection.
pub(crate) type RecordId = u64;

/// One declared unique index: what it is called, its fields, and what is in it.
#[derive(Debug, Default)]
struct Unique {
    fields: Vec<String>,
    sparse: bool,
    entries: BTreeMap<Vec<Key>, RecordId>,
}

/// What a document was from which moment on; none where it was removed.
type Version = (Timestamp, Option<Arc<Document>>);

/// All documents of a collection that are or were there.
#[derive(Debug, Default)]
pub(crate) struct Records {
    rows: BTreeMap<RecordId, Vec<Version>>,
    by_id: BTreeMap<Key, RecordId>,
    unique: BTreeMap<String, Unique>,
    next: RecordId,
}

impl Records {
    /// The document that has this `_id` now.
    pub(crate) fn get(&self, id: &Bson) -> Option<&Arc<Document>> {
        self.rows
            .get(self.by_id.get(&Key(id.clone()))?)?
            .last()?
            .1
            .as_ref()
    }

    /// Since when the document of this `_id` is as it is; none if there never was one.
    pub(crate) fn changed(&self, id: &Bson) -> Option<Timestamp> {
        Some(self.rows.get(self.by_id.get(&Key(id.clone()))?)?.last()?.0)
    }

    /// The documents as of a moment or as of now, behind a place in the natural order.
    pub(crate) fn scan(
        &self,
        at: Option<Timestamp>,
        after: Option<RecordId>,
    ) -> impl Iterator<Item = (RecordId, &Arc<Document>)> {
        let from = after.map_or(0, |id| id.saturating_add(1));
        self.rows.range(from..).filter_map(move |(id, versions)| {
            let version = match at {
                None => versions.last(),
                Some(at) => versions.iter().rev().find(|(since, _)| *since <= at),
            };
            Some((*id, version?.1.as_ref()?))
        })
    }

    /// The document that had this `_id` at a moment.
    pub(crate) fn get_at(&self, id: &Bson, at: Timestamp) -> Option<&Arc<Document>> {
        // An `_id` that was removed and used again has more than one row.
        match self.by_id.get(&Key(id.clone())) {
            None => None,
            Some(_) => self
                .scan(Some(at), None)
                .map(|(_, document)| document)
                .find(|document| {
                    document
                        .get("_id")
                        .is_some_and(|own| crate::order::compare(own, id).is_eq())
                }),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.scan(None, None).count()
    }

    /// Puts a document in, or another one in its place. Uniqueness was looked at by [`Records::check`].
    pub(crate) fn put(&mut self, document: Arc<Document>, now: Timestamp, oldest: Timestamp) {
        let id = document.get("_id").cloned().unwrap_or(Bson::Null);
        let live = self.by_id.get(&Key(id.clone())).copied();
        let live = live.filter(|row| {
            self.rows
                .get(row)
                .and_then(|v| v.last())
                .is_some_and(|v| v.1.is_some())
        });
        let row = live.unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        if let Some(old) = self
            .rows
            .get(&row)
            .and_then(|versions| versions.last()?.1.clone())
        {
            self.unlist(&old, row);
        }
        self.list(&document, row);
        self.by_id.insert(Key(id), row);
        let versions = self.rows.entry(row).or_default();
        add(versions, (now, Some(document)), oldest);
    }

    /// Takes a document out, if it is there.
    pub(crate) fn remove(&mut self, id: &Bson, now: Timestamp, oldest: Timestamp) {
        let Some(row) = self.by_id.get(&Key(id.clone())).copied() else {
            return;
        };
        if let Some(old) = self
            .rows
            .get(&row)
            .and_then(|versions| versions.last()?.1.clone())
        {
            self.unlist(&old, row);
            add(self.rows.entry(row).or_default(), (now, None), oldest);
        }
    }

    /// Whether a document may stand beside all others but the one of the same `_id`.
    pub(crate) fn check(&self, document: &Document, namespace: &str) -> Result<(), Fault> {
        let own = document
            .get("_id")
            .and_then(|id| self.by_id.get(&Key(id.clone())));
        for (name, unique) in &self.unique {
            for key in unique.keys(document) {
                if let Some(other) = unique.entries.get(&key).filter(|row| Some(*row) != own) {
                    let _ = other;
                    return Err(duplicate(namespace, name, &unique.fields, &key));
                }
            }
        }
        Ok(())
    }

    /// Declares a unique index, unless what is there already breaks it.
    pub(crate) fn declare(&mut self, spec: &Document, namespace: &str) -> Result<(), Fault> {
        let name = spec.get_str("name").unwrap_or_default();
        let key = spec.get_document("key").cloned().unwrap_or_default();
        let mut unique = Unique {
            fields: key.keys().cloned().collect(),
            sparse: spec.get_bool("sparse").unwrap_or(false),
            entries: BTreeMap::new(),
        };
        let live: Vec<(RecordId, Arc<Document>)> =
            self.scan(None, None).map(|(r, d)| (r, d.clone())).collect();
        for (row, document) in live {
            for key in unique.keys(&document) {
                if unique
                    .entries
                    .insert(key.clone(), row)
                    .is_some_and(|other| other != row)
                {
                    return Err(duplicate(namespace, name, &unique.fields, &key));
                }
            }
        }
        self.unique.insert(name.to_owned(), unique);
        Ok(())
    }

    pub(crate) fn undeclare(&mut self, name: &str) {
        self.unique.remove(name);
    }

    /// Forgets everything that was done after a moment. Unique indexes are to be declared anew.
    pub(crate) fn back_to(&mut self, moment: Timestamp) {
        for versions in self.rows.values_mut() {
            versions.retain(|(since, _)| *since <= moment);
        }
        self.rows.retain(|_, versions| !versions.is_empty());
        self.by_id.clear();
        for (row, versions) in &self.rows {
            let named = versions.iter().rev().find_map(|version| version.1.as_ref());
            if let Some(id) = named.and_then(|document| document.get("_id")) {
                self.by_id.insert(Key(id.clone()), *row);
            }
        }
        self.unique.clear();
    }

    fn list(&mut self, document: &Document, row: RecordId) {
        for unique in self.unique.values_mut() {
            for key in unique.keys(document) {
                unique.entries.insert(key, row);
            }
        }
    }

    fn unlist(&mut self, document: &Document, row: RecordId) {
        for unique in self.unique.values_mut() {
            for key in unique.keys(document) {
                if unique.entries.get(&key) == Some(&row) {
                    unique.entries.remove(&key);
                }
            }
        }
    }
}

impl Unique {
    /// What the document has in this index: more than one key where a field is an array.
    fn keys(&self, document: &Document) -> Vec<Vec<Key>> {
        let mut keys = vec![Vec::new()];
        let mut there = false;
        for field in &self.fields {
            let found = values(document, field);
            there |= !found.is_empty();
            let mut own: Vec<Bson> = found
                .into_iter()
                .flat_map(|value| match value {
                    Bson::Array(elements) if !elements.is_empty() => elements.clone(),
                    other => vec![other.clone()],
                })
                .collect();
            if own.is_empty() {
                own.push(Bson::Null);
            }
            keys = keys
                .into_iter()
                .flat_map(|key: Vec<Key>| {
                    own.iter().map(move |value| {
                        let mut longer = key.clone();
                        longer.push(Key(value.clone()));
                        longer
                    })
                })
                .collect();
        }
        if self.sparse && !there {
            Vec::new()
        } else {
            keys
        }
    }
}

/// Adds a version, and drops those that nobody may ask for any more.
fn add(versions: &mut Vec<Version>, version: Version, oldest: Timestamp) {
    match versions.last_mut() {
        Some(last) if last.0 == version.0 => *last = version,
        _ => versions.push(version),
    }
    let needed = versions
        .partition_point(|(since, _)| *since <= oldest)
        .saturating_sub(1);
    // Not each time: what is left behind would have to move.
    if needed > versions.len() / 2 {
        versions.drain(..needed);
    }
}

pub(crate) fn duplicate(namespace: &str, index: &str, fields: &[String], key: &[Key]) -> Fault {
    let value: Document = fields
        .iter()
        .cloned()
        .zip(key.iter().map(|key| key.0.clone()))
        .collect();
    let pattern: Document = fields
        .iter()
        .map(|field| (field.clone(), Bson::Int32(1)))
        .collect();
    let message = format!(
        "E11000 duplicate key error collection: {namespace} index: {index} dup key: {value}"
    );
    let mut fault = Fault::new(DUPLICATE_KEY, message);
    fault.extra.insert("keyPattern", pattern);
    fault.extra.insert("keyValue", value);
    fault
}
