//! What the server holds: its collections, what they were, and its oplog.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bson::{Bson, DateTime, Document, Timestamp, Uuid, doc};

use crate::fault::{Fault, INVALID_NAMESPACE, NAMESPACE_EXISTS, NAMESPACE_NOT_FOUND};
use crate::records::Records;

/// The namespace of the oplog.
pub(crate) const OPLOG: &str = "local.oplog.rs";
/// The collection in which a database has its views.
pub(crate) const VIEWS: &str = "system.views";

/// A collection or view as it is declared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Collection {
    pub(crate) uuid: Uuid,
    pub(crate) options: Document,
    pub(crate) indexes: Vec<Document>,
}

impl Collection {
    pub(crate) fn is_view(&self) -> bool {
        self.options.contains_key("viewOn")
    }
}

/// The collections by `database.collection`.
pub(crate) type Catalog = BTreeMap<String, Arc<Collection>>;

/// How much of the past is kept, in entries of the oplog.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) oplog: usize,
    pub(crate) history: usize,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct State {
    catalogs: Vec<(Timestamp, Arc<Catalog>)>,
    records: HashMap<Uuid, Records>,
    oplog: VecDeque<Arc<Document>>,
    last: Timestamp,
    pub(crate) term: i64,
    limits: Limits,
    /// Moments before this one can no longer be read.
    oldest: Timestamp,
    /// The newest entry that the oplog has forgotten.
    forgotten: Timestamp,
}

impl State {
    /// An empty server that was just made primary.
    pub(crate) fn new(limits: Limits) -> Self {
        let zero = Timestamp {
            time: 0,
            increment: 0,
        };
        let mut state = Self {
            catalogs: vec![(zero, Arc::new(Catalog::new()))],
            records: HashMap::new(),
            oplog: VecDeque::new(),
            last: zero,
            term: 1,
            limits,
            oldest: zero,
            forgotten: zero,
        };
        state.log(doc! { "op": "n", "ns": "", "o": { "msg": "initiating set" } });
        state.log(doc! { "op": "n", "ns": "", "o": { "msg": "new primary" } });
        state
    }

    /// The newest moment.
    pub(crate) fn now(&self) -> Timestamp {
        self.last
    }

    /// Moments before this one can no longer be read.
    pub(crate) fn oldest(&self) -> Timestamp {
        self.oldest
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        self.catalogs.last().map_or(&EMPTY, |(_, catalog)| catalog)
    }

    pub(crate) fn catalog_at(&self, at: Option<Timestamp>) -> &Catalog {
        match at {
            None => self.catalog(),
            Some(at) => {
                let found = self.catalogs.iter().rev().find(|(since, _)| *since <= at);
                found.map_or(&EMPTY, |(_, catalog)| catalog)
            }
        }
    }

    pub(crate) fn records(&self, uuid: Uuid) -> Option<&Records> {
        self.records.get(&uuid)
    }

    pub(crate) fn oplog(&self) -> &VecDeque<Arc<Document>> {
        &self.oplog
    }

    /// The place in the oplog of the first entry behind a moment.
    pub(crate) fn behind(&self, moment: Timestamp) -> usize {
        self.oplog.partition_point(|entry| stamp(entry) <= moment)
    }

    /// The databases that have something in them.
    pub(crate) fn databases(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .catalog()
            .keys()
            .filter_map(|namespace| Some(namespace.split_once('.')?.0.to_owned()))
            .collect();
        names.push("local".to_owned());
        names.sort();
        names.dedup();
        names
    }

    /// The collections of one database.
    pub(crate) fn in_database<'a>(
        &'a self,
        database: &str,
    ) -> impl Iterator<Item = (&'a str, &'a Arc<Collection>)> {
        let prefix = format!("{database}.");
        self.catalog()
            .iter()
            .filter_map(move |(namespace, collection)| {
                Some((namespace.strip_prefix(&prefix)?, collection))
            })
    }

    pub(crate) fn by_uuid(&self, uuid: Uuid) -> Option<(&String, &Arc<Collection>)> {
        self.catalog()
            .iter()
            .find(|(_, collection)| collection.uuid == uuid)
    }

    /// The next moment: later than every one before, and by the clock.
    fn tick(&mut self) -> Timestamp {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        let time = u32::try_from(seconds).unwrap_or(u32::MAX);
        self.last = match time > self.last.time {
            true => Timestamp { time, increment: 1 },
            false => Timestamp {
                time: self.last.time,
                increment: self.last.increment.wrapping_add(1),
            },
        };
        self.last
    }

    /// Writes an entry, and returns its moment. The entry comes without moment, term, version and wall clock.
    pub(crate) fn log(&mut self, entry: Document) -> Timestamp {
        let now = self.tick();
        self.log_at(entry, now);
        now
    }

    fn log_at(&mut self, mut entry: Document, now: Timestamp) {
        entry.insert("ts", now);
        entry.insert("t", self.term);
        entry.insert("v", 2_i64);
        entry.insert("wall", DateTime::now());
        self.oplog.push_back(Arc::new(entry));
        let many = self.oplog.len().saturating_sub(self.limits.oplog.max(1));
        self.roll(many);
        if self.oplog.len() > self.limits.history {
            let at = self.oplog.len() - self.limits.history - 1;
            self.oldest = self.oplog.get(at).map_or(self.oldest, |entry| stamp(entry));
        }
    }

    /// Forgets the oldest entries.
    pub(crate) fn roll(&mut self, count: usize) {
        // The newest always stays, as in the server.
        let count = count.min(self.oplog.len().saturating_sub(1));
        if let Some(last) = self.oplog.drain(..count).next_back() {
            self.forgotten = stamp(&last);
        }
    }

    /// The newest entry that the oplog has forgotten.
    pub(crate) fn forgotten(&self) -> Timestamp {
        self.forgotten
    }

    /// Undoes the newest entries, and goes on in a new term.
    pub(crate) fn roll_back(&mut self, count: usize) {
        let keep = self.oplog.len().saturating_sub(count).max(1);
        self.oplog.truncate(keep);
        let moment = self.oplog.back().map_or(self.last, |entry| stamp(entry));
        self.catalogs.retain(|(since, _)| *since <= moment);
        for records in self.records.values_mut() {
            records.back_to(moment);
        }
        let declared: Vec<(String, Arc<Collection>)> = self
            .catalog()
            .iter()
            .map(|(ns, c)| (ns.clone(), c.clone()))
            .collect();
        for (namespace, collection) in declared {
            let records = self.records.entry(collection.uuid).or_default();
            for index in collection.indexes.iter().filter(|index| is_unique(index)) {
                // It held at that moment.
                let _ = records.declare(index, &namespace);
            }
        }
        self.new_term();
    }

    /// Another election, which the same server wins.
    pub(crate) fn new_term(&mut self) {
        self.term += 1;
        self.log(doc! { "op": "n", "ns": "", "o": { "msg": "new primary" } });
    }

    /// Changes the catalog at a moment that was just logged.
    fn declare(&mut self, now: Timestamp, change: impl FnOnce(&mut Catalog)) {
        let mut catalog = self.catalog().clone();
        change(&mut catalog);
        self.catalogs.push((now, Arc::new(catalog)));
        let needed = self
            .catalogs
            .iter()
            .rposition(|(since, _)| *since <= self.oldest);
        self.catalogs.drain(..needed.unwrap_or(0));
    }

    /// Makes a collection.
    pub(crate) fn create(
        &mut self,
        namespace: &str,
        options: Document,
        uuid: Option<Uuid>,
    ) -> Result<Uuid, Fault> {
        valid(namespace)?;
        if self.catalog().contains_key(namespace) {
            let message = format!("Collection {namespace} already exists.");
            return Err(Fault::new(NAMESPACE_EXISTS, message));
        }
        let uuid = uuid.unwrap_or_default();
        let id_index = doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" };
        let (database, name) = split(namespace);
        let mut o = doc! { "create": name };
        o.extend(options.clone());
        o.insert("idIndex", id_index.clone());
        let collection = Collection {
            uuid,
            options,
            indexes: vec![id_index],
        };
        let now = match database {
            "local" => self.tick(),
            _ => self.log(doc! { "op": "c", "ns": format!("{database}.$cmd"), "ui": uuid, "o": o }),
        };
        self.records.insert(uuid, Records::default());
        self.declare(now, |catalog| {
            catalog.insert(namespace.to_owned(), Arc::new(collection));
        });
        Ok(uuid)
    }

    /// Makes a view: it is a document of `system.views`, as in the server.
    pub(crate) fn create_view(&mut self, namespace: &str, options: Document) -> Result<(), Fault> {
        valid(namespace)?;
        if self.catalog().contains_key(namespace) {
            return Err(Fault::new(
                NAMESPACE_EXISTS,
                format!("a view already exists: {namespace}"),
            ));
        }
        let views = format!("{}.{VIEWS}", split(namespace).0);
        let uuid = self.ensure(&views)?.uuid;
        let mut document = doc! { "_id": namespace };
        document.extend(options);
        let change = Change::insert(&views, uuid, document);
        self.commit(change.entry.clone(), &[change]);
        Ok(())
    }

    /// Follows a change of `system.views`.
    fn declare_view(&mut self, now: Timestamp, change: &Change) {
        let Some(namespace) = change.id.as_str().map(str::to_owned) else {
            return;
        };
        let new = change.new.as_ref().map(|document| {
            let mut options = Document::clone(document);
            options.remove("_id");
            Arc::new(Collection {
                uuid: Uuid::new(),
                options,
                indexes: Vec::new(),
            })
        });
        self.declare(now, |catalog| match new {
            Some(view) => drop(catalog.insert(namespace, view)),
            None => drop(catalog.remove(&namespace)),
        });
    }

    /// The collection of this name, made if it is not there.
    pub(crate) fn ensure(&mut self, namespace: &str) -> Result<Arc<Collection>, Fault> {
        if !self.catalog().contains_key(namespace) {
            self.create(namespace, Document::new(), None)?;
        }
        self.collection(namespace)
    }

    pub(crate) fn collection(&self, namespace: &str) -> Result<Arc<Collection>, Fault> {
        let found = self.catalog().get(namespace).cloned();
        found.ok_or_else(|| Fault::new(NAMESPACE_NOT_FOUND, format!("ns not found: {namespace}")))
    }

    pub(crate) fn drop_collection(&mut self, namespace: &str) -> Result<Arc<Collection>, Fault> {
        let collection = self.collection(namespace)?;
        let (database, name) = split(namespace);
        if collection.is_view() {
            let views = format!("{database}.{VIEWS}");
            let uuid = self.collection(&views)?.uuid;
            let change = Change::delete(&views, uuid, Bson::from(namespace));
            self.commit(change.entry.clone(), &[change]);
            return Ok(collection);
        }
        let count = self.records.get(&collection.uuid).map_or(0, Records::len);
        let now = self.log(doc! {
            "op": "c", "ns": format!("{database}.$cmd"), "ui": collection.uuid,
            "o": { "drop": name }, "o2": { "numRecords": crate::fault::number(count) },
        });
        let views = name == VIEWS;
        let prefix = format!("{database}.");
        self.declare(now, |catalog| {
            catalog.remove(namespace);
            if views {
                catalog.retain(|namespace, other| {
                    !(other.is_view() && namespace.starts_with(&prefix))
                });
            }
        });
        Ok(collection)
    }

    pub(crate) fn drop_database(&mut self, database: &str) -> Result<(), Fault> {
        // The views go with the collection that they stand in.
        let real = self
            .in_database(database)
            .filter(|(_, collection)| !collection.is_view());
        let names: Vec<String> = real.map(|(name, _)| name.to_owned()).collect();
        for name in &names {
            self.drop_collection(&format!("{database}.{name}"))?;
        }
        if !names.is_empty() {
            self.log(
                doc! { "op": "c", "ns": format!("{database}.$cmd"), "o": { "dropDatabase": 1 } },
            );
        }
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str, drop_target: bool) -> Result<(), Fault> {
        valid(to)?;
        let collection = self.collection(from)?;
        let mut o = doc! { "renameCollection": from, "to": to, "stayTemp": false };
        match (self.catalog().get(to), drop_target) {
            (Some(target), true) => {
                o.insert("dropTarget", target.uuid);
            }
            (Some(_), false) => {
                return Err(Fault::new(NAMESPACE_EXISTS, "target namespace exists"));
            }
            (None, _) => {}
        }
        let ns = format!("{}.$cmd", split(from).0);
        let now = self.log(doc! { "op": "c", "ns": ns, "ui": collection.uuid, "o": o });
        self.declare(now, |catalog| {
            catalog.remove(from);
            catalog.insert(to.to_owned(), collection);
        });
        Ok(())
    }

    /// Declares an index that is not there yet.
    pub(crate) fn create_index(&mut self, namespace: &str, spec: Document) -> Result<(), Fault> {
        let collection = self.collection(namespace)?;
        let (database, name) = split(namespace);
        let uuid = collection.uuid;
        let records = self.records.entry(uuid).or_default();
        if is_unique(&spec) {
            records.declare(&spec, namespace)?;
        }
        let ns = format!("{database}.$cmd");
        let now = match records.len() {
            0 => {
                let mut o = doc! { "createIndexes": name };
                o.extend(spec.clone());
                self.log(doc! { "op": "c", "ns": ns, "ui": uuid, "o": o })
            }
            _ => {
                let build = Uuid::new();
                let o = |what: &str| doc! { what: name, "indexBuildUUID": build, "indexes": [spec.clone()] };
                self.log(doc! { "op": "c", "ns": &ns, "ui": uuid, "o": o("startIndexBuild") });
                self.log(doc! { "op": "c", "ns": ns, "ui": uuid, "o": o("commitIndexBuild") })
            }
        };
        self.alter(now, namespace, |collection| collection.indexes.push(spec));
        Ok(())
    }

    /// Takes an index out of a collection that has it.
    pub(crate) fn drop_index(&mut self, namespace: &str, index: &Document) -> Result<(), Fault> {
        let collection = self.collection(namespace)?;
        let name = index.get_str("name").unwrap_or_default();
        let (database, of) = split(namespace);
        let now = self.log(doc! {
            "op": "c", "ns": format!("{database}.$cmd"), "ui": collection.uuid,
            "o": { "dropIndexes": of, "index": name }, "o2": index.clone(),
        });
        if let Some(records) = self.records.get_mut(&collection.uuid) {
            records.undeclare(name);
        }
        self.alter(now, namespace, |collection| {
            collection.indexes.retain(|own| own != index)
        });
        Ok(())
    }

    /// Changes a collection's declaration, by an entry that is given.
    pub(crate) fn modify(
        &mut self,
        namespace: &str,
        entry: Document,
        change: impl FnOnce(&mut Collection),
    ) {
        let now = self.log(entry);
        self.alter(now, namespace, change);
    }

    fn alter(&mut self, now: Timestamp, namespace: &str, change: impl FnOnce(&mut Collection)) {
        self.declare(now, |catalog| {
            if let Some(collection) = catalog.get_mut(namespace) {
                change(Arc::make_mut(collection));
            }
        });
    }

    /// Does one change, or all of a transaction, at one moment and by one entry.
    pub(crate) fn commit(&mut self, entry: Document, changes: &[Change]) {
        let local = changes
            .iter()
            .all(|change| change.namespace.starts_with("local."));
        let now = match local {
            true => self.tick(),
            false => self.log(entry),
        };
        let oldest = self.oldest;
        for change in changes {
            let records = self.records.entry(change.uuid).or_default();
            match &change.new {
                Some(document) => records.put(document.clone(), now, oldest),
                None => records.remove(&change.id, now, oldest),
            }
            if split(&change.namespace).1 == VIEWS {
                self.declare_view(now, change);
            }
        }
    }
}

static EMPTY: Catalog = Catalog::new();

/// One document that is inserted, changed or removed.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) namespace: String,
    pub(crate) uuid: Uuid,
    pub(crate) id: Bson,
    /// What it is afterwards; none if it is removed.
    pub(crate) new: Option<Arc<Document>>,
    /// The entry's own fields: `op`, `ns`, `ui`, `o` and `o2`.
    pub(crate) entry: Document,
}

impl Change {
    pub(crate) fn insert(namespace: &str, uuid: Uuid, document: Document) -> Self {
        let id = document.get("_id").cloned().unwrap_or(Bson::Null);
        let entry = doc! { "op": "i", "ns": namespace, "ui": uuid, "o": document.clone(), "o2": { "_id": id.clone() } };
        Self {
            namespace: namespace.to_owned(),
            uuid,
            id,
            new: Some(Arc::new(document)),
            entry,
        }
    }

    /// `o` is what the entry says: a diff, or the whole document.
    pub(crate) fn update(namespace: &str, uuid: Uuid, new: Document, o: Document) -> Self {
        let id = new.get("_id").cloned().unwrap_or(Bson::Null);
        let entry =
            doc! { "op": "u", "ns": namespace, "ui": uuid, "o": o, "o2": { "_id": id.clone() } };
        Self {
            namespace: namespace.to_owned(),
            uuid,
            id,
            new: Some(Arc::new(new)),
            entry,
        }
    }

    pub(crate) fn delete(namespace: &str, uuid: Uuid, id: Bson) -> Self {
        let entry = doc! { "op": "d", "ns": namespace, "ui": uuid, "o": { "_id": id.clone() } };
        Self {
            namespace: namespace.to_owned(),
            uuid,
            id,
            new: None,
            entry,
        }
    }
}

/// The moment of an entry.
pub(crate) fn stamp(entry: &Document) -> Timestamp {
    entry.get_timestamp("ts").unwrap_or(Timestamp {
        time: 0,
        increment: 0,
    })
}

/// Whether an index that is declared lets no value in twice.
pub(crate) fn is_unique(spec: &Document) -> bool {
    spec.get("unique").is_some_and(crate::filter::truth)
        && spec.get_str("name").ok() != Some("_id_")
}

/// Database and collection.
pub(crate) fn split(namespace: &str) -> (&str, &str) {
    namespace.split_once('.').unwrap_or((namespace, ""))
}

fn valid(namespace: &str) -> Result<(), Fault> {
    let (database, name) = split(namespace);
    let bad = |c: char| "/\\ \"$\0".contains(c);
    if database.is_empty()
        || name.is_empty()
        || database.contains(bad)
        || name.contains(['$', '\0'])
        || database.len() > 63
    {
        let message = format!("Invalid namespace specified '{namespace}'");
        return Err(Fault::new(INVALID_NAMESPACE, message));
    }
    Ok(())
}
