//! Entries of an oplog, applied as a secondary applies them: once more does no harm.

use bson::{Bson, Document, Uuid, doc};

use super::{Call, catalog, indexes};
use crate::diff;
use crate::fault::{
    Answer, BAD_VALUE, FAILED_TO_PARSE, Fault, NAMESPACE_NOT_FOUND, NOT_SUPPORTED, number,
};
use crate::session::View;
use crate::state::{Change, State, split};

/// How deep entries may lie in one another.
const MOST_NESTED: usize = 10;

pub(super) fn command(call: &Call<'_>) -> Answer {
    let entries = call.documents("applyOps")?;
    let mut shared = call.server.lock();
    let mut results = Vec::new();
    for entry in entries {
        let done = one(&mut shared.state, entry, 0);
        results.push(Bson::Boolean(done.is_ok()));
        if let Err(mut fault) = done {
            call.server.wake();
            fault.extra.insert("applied", number(results.len()));
            fault.extra.insert("results", results);
            return Err(fault);
        }
    }
    call.server.wake();
    Ok(doc! { "applied": number(results.len()), "results": results })
}

pub(super) fn note(call: &Call<'_>) -> Answer {
    call.only_admin()?;
    let data = call
        .body
        .get_document("data")
        .map_err(|_| Fault::new(BAD_VALUE, "appendOplogNote needs data"))?;
    let entry = doc! { "op": "n", "ns": "", "o": data.clone() };
    call.server.lock().state.log(entry);
    call.server.wake();
    Ok(Document::new())
}

fn one(state: &mut State, entry: &Document, depth: usize) -> Result<(), Fault> {
    let wrong = |name: &str| Fault::new(FAILED_TO_PARSE, format!("an entry without '{name}'"));
    if depth > MOST_NESTED {
        return Err(Fault::new(
            FAILED_TO_PARSE,
            "applyOps too deep in one another",
        ));
    }
    let kind = entry.get_str("op").map_err(|_| wrong("op"))?;
    let ns = entry.get_str("ns").map_err(|_| wrong("ns"))?;
    let o = entry.get_document("o").map_err(|_| wrong("o"))?;
    match kind {
        "n" => Ok(()),
        "i" => insert(state, entry, ns, o),
        "u" => update(state, entry, ns, o),
        "d" => delete(state, entry, ns, o),
        "c" => of_catalog(state, entry, ns, o, depth),
        other => Err(Fault::new(BAD_VALUE, format!("unknown op: {other}"))),
    }
}

/// The collection of an entry: by its UUID if it has one, or by its name.
fn resolve(state: &State, entry: &Document, ns: &str) -> Result<(String, Uuid), Fault> {
    let by_name = || {
        state
            .catalog()
            .get(ns)
            .filter(|c| !c.is_view())
            .map(|collection| (ns.to_owned(), collection.uuid))
    };
    let found = match uuid(entry) {
        Some(uuid) => state
            .by_uuid(uuid)
            .map(|(namespace, _)| (namespace.clone(), uuid)),
        None => by_name(),
    };
    found.ok_or_else(|| {
        Fault::new(
            NAMESPACE_NOT_FOUND,
            format!("Failed to apply operation due to missing collection: {ns}"),
        )
    })
}

fn uuid(entry: &Document) -> Option<Uuid> {
    match entry.get("ui") {
        Some(Bson::Binary(binary)) => {
            Some(Uuid::from_bytes(binary.bytes.as_slice().try_into().ok()?))
        }
        _ => None,
    }
}

fn id_of(document: &Document) -> Result<Bson, Fault> {
    let id = document.get("_id").cloned();
    id.ok_or_else(|| Fault::new(FAILED_TO_PARSE, "an entry without an _id"))
}

fn put(state: &mut State, change: Change) -> Result<(), Fault> {
    if let (Some(new), Some(records)) = (&change.new, state.records(change.uuid)) {
        records.check(new, &change.namespace)?;
    }
    state.commit(change.entry.clone(), &[change]);
    Ok(())
}

fn insert(state: &mut State, entry: &Document, ns: &str, o: &Document) -> Result<(), Fault> {
    let (namespace, uuid) = resolve(state, entry, ns)?;
    let id = id_of(o)?;
    let document = crate::change::id_first(o.clone());
    match View::now(state).get(uuid, &id) {
        None => put(state, Change::insert(&namespace, uuid, document)),
        Some(_) => put(
            state,
            Change::update(&namespace, uuid, document.clone(), document),
        ),
    }
}

fn update(state: &mut State, entry: &Document, ns: &str, o: &Document) -> Result<(), Fault> {
    let (namespace, uuid) = resolve(state, entry, ns)?;
    let wanted = entry
        .get_document("o2")
        .map_err(|_| Fault::new(FAILED_TO_PARSE, "an update without 'o2'"))?;
    let id = id_of(wanted)?;
    let whole = !o.contains_key("$v") && crate::change::is_replacement(o);
    match View::now(state).get(uuid, &id) {
        Some(old) => {
            let new = diff::replay(o, &old)?;
            let o = if whole { new.clone() } else { o.clone() };
            put(state, Change::update(&namespace, uuid, new, o))
        }
        None if whole => {
            let new = diff::replay(o, &doc! { "_id": id })?;
            put(state, Change::insert(&namespace, uuid, new))
        }
        // It was removed by an entry that comes yet.
        None => Ok(()),
    }
}

fn delete(state: &mut State, entry: &Document, ns: &str, o: &Document) -> Result<(), Fault> {
    let (namespace, uuid) = resolve(state, entry, ns)?;
    let id = id_of(o)?;
    match View::now(state).get(uuid, &id) {
        None => Ok(()),
        Some(_) => put(state, Change::delete(&namespace, uuid, id)),
    }
}

fn of_catalog(
    state: &mut State,
    entry: &Document,
    ns: &str,
    o: &Document,
    depth: usize,
) -> Result<(), Fault> {
    let (command, what) = o
        .iter()
        .next()
        .ok_or_else(|| Fault::new(FAILED_TO_PARSE, "an empty command"))?;
    let database = split(ns).0;
    let namespace = format!("{database}.{}", what.as_str().unwrap_or_default());
    match command.as_str() {
        "create" => create(state, entry, &namespace, o),
        "drop" => match resolve(state, entry, &namespace) {
            Ok((namespace, _)) => state.drop_collection(&namespace).map(drop),
            Err(_) => Ok(()),
        },
        "dropDatabase" => state.drop_database(database),
        "createIndexes" => {
            let (namespace, _) = resolve(state, entry, &namespace)?;
            let spec = o
                .iter()
                .skip(1)
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            indexes::declare(state, &namespace, &spec)
        }
        "startIndexBuild" | "abortIndexBuild" => Ok(()),
        "commitIndexBuild" => {
            let (namespace, _) = resolve(state, entry, &namespace)?;
            let specs = o.get_array("indexes").cloned().unwrap_or_default();
            let mut specs = specs.iter().filter_map(Bson::as_document);
            specs.try_for_each(|spec| indexes::declare(state, &namespace, spec))
        }
        "dropIndexes" | "deleteIndexes" | "dropIndex" | "deleteIndex" => {
            let (namespace, _) = resolve(state, entry, &namespace)?;
            match indexes::take_out(state, &namespace, o.get("index").unwrap_or(&Bson::Null)) {
                Err(fault) if fault.code == crate::fault::INDEX_NOT_FOUND => Ok(()),
                done => done.map(drop),
            }
        }
        "collMod" => {
            let (namespace, _) = resolve(state, entry, &namespace)?;
            catalog::alter(state, &namespace, o).map(drop)
        }
        "renameCollection" => rename(state, entry, o),
        "applyOps" => {
            let inner = o
                .get_array("applyOps")
                .map_err(|_| Fault::new(FAILED_TO_PARSE, "applyOps without an array"))?;
            let mut inner = inner.iter().filter_map(Bson::as_document);
            inner.try_for_each(|entry| one(state, entry, depth + 1))
        }
        other => Err(Fault::new(
            NOT_SUPPORTED,
            format!("the simulator applies no entry '{other}'"),
        )),
    }
}

fn create(state: &mut State, entry: &Document, namespace: &str, o: &Document) -> Result<(), Fault> {
    let wanted = uuid(entry);
    let there = state.catalog().get(namespace).cloned();
    match (there, wanted) {
        (Some(there), Some(wanted)) if there.uuid == wanted => Ok(()),
        (Some(there), None) if there.options == catalog::options(o) => Ok(()),
        // Another one of this name makes way, under a name that nobody uses.
        (Some(_), Some(_)) => {
            let aside = format!("{}.tmp{}", split(namespace).0, Uuid::new());
            state.rename(namespace, &aside, false)?;
            catalog::make(state, namespace, o, wanted)
        }
        _ => catalog::make(state, namespace, o, wanted),
    }
}

fn rename(state: &mut State, entry: &Document, o: &Document) -> Result<(), Fault> {
    let wrong = || Fault::new(FAILED_TO_PARSE, "renameCollection without names");
    let from = o.get_str("renameCollection").map_err(|_| wrong())?;
    let to = o.get_str("to").map_err(|_| wrong())?;
    let own = match resolve(state, entry, from) {
        Ok((own, _)) => own,
        // It was renamed already.
        Err(_) if state.catalog().contains_key(to) => return Ok(()),
        Err(fault) => return Err(fault),
    };
    if own == to {
        return Ok(());
    }
    let target = state.catalog().contains_key(to);
    if target && !o.contains_key("dropTarget") {
        return Err(Fault::new(
            crate::fault::NAMESPACE_EXISTS,
            "target namespace exists",
        ));
    }
    state.rename(&own, to, target)
}
