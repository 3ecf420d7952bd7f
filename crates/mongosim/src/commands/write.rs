//! Commands that change documents.

use bson::oid::ObjectId;
use bson::{Bson, Document, Timestamp, doc};

use super::{Call, size};
use crate::change;
use crate::cursor::select;
use crate::diff;
use crate::fault::{
    Answer, BAD_VALUE, FAILED_TO_PARSE, Fault, ILLEGAL_OPERATION, NOT_SUPPORTED, VIEW_UNSUPPORTED,
    number,
};
use crate::filter::{is_operators, project, sort, truth};
use crate::order::Key;
use crate::records::duplicate;
use crate::server::Shared;
use crate::session::{Transaction, View};
use crate::state::{Change, OPLOG};

/// Where the changes of one command go: into a transaction, or each into the oplog by itself.
struct Target<'a> {
    shared: &'a mut Shared,
    open: Option<&'a mut Transaction>,
    namespace: String,
    /// Session and number of a write that may be asked for again.
    stamp: Document,
    statements: i32,
}

impl Target<'_> {
    fn view(&self) -> View<'_> {
        View {
            state: &self.shared.state,
            at: None,
            transaction: self.open.as_deref(),
        }
    }

    fn add(&mut self, change: Change) -> Result<(), Fault> {
        match &mut self.open {
            Some(open) => open.add(change),
            None => {
                let mut entry = self.stamp.clone();
                entry.extend(change.entry.clone());
                if !self.stamp.is_empty() {
                    entry.insert("stmtId", self.statements);
                    entry.insert(
                        "prevOpTime",
                        doc! { "ts": Timestamp { time: 0, increment: 0 }, "t": -1_i64 },
                    );
                }
                self.shared.state.commit(entry, &[change]);
            }
        }
        Ok(())
    }

    fn insert(&mut self, mut document: Document) -> Result<(), Fault> {
        if !document.contains_key("_id") {
            let mut with = doc! { "_id": ObjectId::new() };
            with.extend(document);
            document = with;
        }
        let document = change::id_first(document);
        if matches!(
            document.get("_id"),
            Some(Bson::Array(_) | Bson::Undefined | Bson::RegularExpression(_))
        ) {
            return Err(Fault::new(53, "The '_id' value cannot be of this type"));
        }
        let collection = self.shared.state.ensure(&self.namespace)?;
        if collection.is_view() {
            return Err(Fault::new(
                VIEW_UNSUPPORTED,
                format!("Namespace {} is a view, not a collection", self.namespace),
            ));
        }
        let id = document.get("_id").cloned().unwrap_or(Bson::Null);
        if self.view().get(collection.uuid, &id).is_some() {
            return Err(duplicate(
                &self.namespace,
                "_id_",
                &["_id".to_owned()],
                &[Key(id)],
            ));
        }
        self.unique(collection.uuid, &document)?;
        self.add(Change::insert(
            &self.namespace.clone(),
            collection.uuid,
            document,
        ))
    }

    fn unique(&self, uuid: bson::Uuid, document: &Document) -> Result<(), Fault> {
        let records = self.shared.state.records(uuid);
        records.map_or(Ok(()), |records| records.check(document, &self.namespace))
    }

    fn change(
        &mut self,
        uuid: bson::Uuid,
        update: &Document,
        old: &Document,
    ) -> Result<bool, Fault> {
        let new = change::apply(update, old, false)?;
        if &new == old {
            return Ok(false);
        }
        self.unique(uuid, &new)?;
        let o = match change::is_replacement(update) {
            true => new.clone(),
            false => diff::entry(old, &new),
        };
        self.add(Change::update(&self.namespace.clone(), uuid, new, o))?;
        Ok(true)
    }

    fn found(
        &self,
        filter: &Document,
    ) -> Result<Vec<(bson::Uuid, std::sync::Arc<Document>)>, Fault> {
        let view = self.view();
        match view.collection(&self.namespace) {
            None => Ok(Vec::new()),
            Some(collection) if collection.is_view() => Err(Fault::new(
                VIEW_UNSUPPORTED,
                format!("Namespace {} is a view, not a collection", self.namespace),
            )),
            Some(collection) => {
                let found = select(&view, collection.uuid, filter)?;
                Ok(found
                    .into_iter()
                    .map(|(_, document)| (collection.uuid, document))
                    .collect())
            }
        }
    }
}

fn target<'a>(
    call: &Call<'_>,
    shared: &'a mut Shared,
    open: Option<&'a mut Transaction>,
) -> Result<Target<'a>, Fault> {
    let namespace = call.namespace()?;
    if namespace == OPLOG {
        return Err(Fault::new(
            ILLEGAL_OPERATION,
            format!("cannot write to {OPLOG}"),
        ));
    }
    let stamp = match (call.body.get("lsid"), call.body.get("txnNumber")) {
        (Some(lsid), Some(number)) if open.is_none() => {
            doc! { "lsid": lsid.clone(), "txnNumber": number.clone() }
        }
        _ => Document::new(),
    };
    Ok(Target {
        shared,
        open,
        namespace,
        stamp,
        statements: 0,
    })
}

/// Does each statement; without `ordered: false` none behind one that fails. In a transaction a failure ends all.
fn each(
    call: &Call<'_>,
    name: &str,
    target: &mut Target<'_>,
    mut one: impl FnMut(&mut Target<'_>, usize, &Document) -> Result<(), Fault>,
) -> Result<Vec<Bson>, Fault> {
    let ordered = call.body.get("ordered").is_none_or(truth);
    let mut errors = Vec::new();
    for (index, statement) in call.documents(name)?.into_iter().enumerate() {
        target.statements = number(index);
        if let Err(fault) = one(target, index, statement) {
            if target.open.is_some() {
                return Err(fault);
            }
            errors.push(Bson::Document(fault.write_error(index)));
            if ordered {
                break;
            }
        }
    }
    Ok(errors)
}

fn with_errors(mut reply: Document, errors: Vec<Bson>) -> Document {
    if !errors.is_empty() {
        reply.insert("writeErrors", errors);
    }
    reply
}

pub(super) fn insert(call: &Call<'_>, open: Option<&mut Transaction>) -> Answer {
    let mut shared = call.server.lock();
    let mut target = target(call, &mut shared, open)?;
    let mut count = 0;
    let errors = each(call, "documents", &mut target, |target, _, document| {
        target.insert(document.clone())?;
        count += 1;
        Ok(())
    })?;
    call.server.wake();
    Ok(with_errors(doc! { "n": count }, errors))
}

pub(super) fn update(call: &Call<'_>, open: Option<&mut Transaction>) -> Answer {
    let mut shared = call.server.lock();
    let mut target = target(call, &mut shared, open)?;
    let (mut matched, mut modified, mut upserted) = (0, 0, Vec::new());
    let errors = each(call, "updates", &mut target, |target, index, statement| {
        let filter = statement.get_document("q").map_err(|_| missing("q"))?;
        let update = update_of(statement, "u")?;
        let multi = statement.get("multi").is_some_and(truth);
        if multi && change::is_replacement(&update) {
            return Err(Fault::new(
                FAILED_TO_PARSE,
                "multi update is not supported for replacement-style update",
            ));
        }
        let mut found = target.found(filter)?;
        found.truncate(if multi { usize::MAX } else { 1 });
        if found.is_empty() && statement.get("upsert").is_some_and(truth) {
            let id = upsert(target, filter, &update)?
                .get("_id")
                .cloned()
                .unwrap_or(Bson::Null);
            upserted.push(Bson::Document(doc! { "index": number(index), "_id": id }));
            matched += 1;
            return Ok(());
        }
        for (uuid, old) in found {
            matched += 1;
            modified += i32::from(target.change(uuid, &update, &old)?);
        }
        Ok(())
    })?;
    call.server.wake();
    let mut reply = doc! { "n": matched, "nModified": modified };
    if !upserted.is_empty() {
        reply.insert("upserted", upserted);
    }
    Ok(with_errors(reply, errors))
}

fn update_of(statement: &Document, name: &str) -> Result<Document, Fault> {
    match statement.get(name) {
        Some(Bson::Document(update)) => Ok(update.clone()),
        Some(Bson::Array(_)) => Err(Fault::new(
            NOT_SUPPORTED,
            "the simulator has no updates by pipelines",
        )),
        _ => Err(missing(name)),
    }
}

fn missing(name: &str) -> Fault {
    Fault::new(
        BAD_VALUE,
        format!("'{name}' is missing but a required field"),
    )
}

/// Inserts what an update that found nothing says.
fn upsert(
    target: &mut Target<'_>,
    filter: &Document,
    update: &Document,
) -> Result<Document, Fault> {
    let mut base = Document::new();
    for (path, condition) in filter.iter().filter(|(path, _)| !path.starts_with('$')) {
        let equal = match condition {
            Bson::Document(operators) if is_operators(operators) => operators.get("$eq"),
            value => Some(value),
        };
        if let (Some(value), true) = (equal, path == "_id" || !change::is_replacement(update)) {
            change::set(&mut base, path, value.clone())?;
        }
    }
    let mut new = change::apply(update, &base, true)?;
    if !new.contains_key("_id") {
        new.insert("_id", ObjectId::new());
        new = change::id_first(new);
    }
    target.insert(new.clone())?;
    Ok(new)
}

pub(super) fn delete(call: &Call<'_>, open: Option<&mut Transaction>) -> Answer {
    let mut shared = call.server.lock();
    let mut target = target(call, &mut shared, open)?;
    let mut count = 0;
    let errors = each(call, "deletes", &mut target, |target, _, statement| {
        let filter = statement.get_document("q").map_err(|_| missing("q"))?;
        let limit = statement.get("limit").and_then(super::whole);
        let mut found = target.found(filter)?;
        found.truncate(size(limit).filter(|limit| *limit > 0).unwrap_or(usize::MAX));
        for (uuid, old) in found {
            let id = old.get("_id").cloned().unwrap_or(Bson::Null);
            target.add(Change::delete(&target.namespace.clone(), uuid, id))?;
            count += 1;
        }
        Ok(())
    })?;
    call.server.wake();
    Ok(with_errors(doc! { "n": count }, errors))
}

pub(super) fn find_and_modify(call: &Call<'_>, open: Option<&mut Transaction>) -> Answer {
    let mut shared = call.server.lock();
    let mut target = target(call, &mut shared, open)?;
    let filter = call.document("query")?;
    let mut found = target.found(&filter)?;
    let order = call.document("sort")?;
    if !order.is_empty() {
        let mut documents: Vec<_> = found.iter().map(|(_, document)| document.clone()).collect();
        sort(&mut documents, &order);
        let uuid = found.first().map(|(uuid, _)| *uuid);
        found = uuid
            .into_iter()
            .flat_map(|uuid| documents.iter().map(move |d| (uuid, d.clone())))
            .collect();
    }
    let first = found.into_iter().next();
    let fields = call.document("fields")?;
    let shown = |document: Option<&Document>| match document {
        Some(document) if fields.is_empty() => Bson::Document(document.clone()),
        Some(document) => Bson::Document(project(&fields, document)),
        None => Bson::Null,
    };
    let (value, outcome) = if call.flag("remove") {
        if let Some((uuid, old)) = &first {
            let id = old.get("_id").cloned().unwrap_or(Bson::Null);
            target.add(Change::delete(&target.namespace.clone(), *uuid, id))?;
        }
        (
            shown(first.as_ref().map(|(_, d)| d.as_ref())),
            doc! { "n": i32::from(first.is_some()) },
        )
    } else {
        let update = update_of(call.body, "update")?;
        match &first {
            Some((uuid, old)) => {
                target.change(*uuid, &update, old)?;
                let new = change::apply(&update, old, false)?;
                let shown = shown(Some(if call.flag("new") { &new } else { old }));
                (shown, doc! { "n": 1, "updatedExisting": true })
            }
            None if call.flag("upsert") => {
                let new = upsert(&mut target, &filter, &update)?;
                let id = new.get("_id").cloned().unwrap_or(Bson::Null);
                let shown = shown(call.flag("new").then_some(&new));
                (
                    shown,
                    doc! { "n": 1, "updatedExisting": false, "upserted": id },
                )
            }
            None => (Bson::Null, doc! { "n": 0, "updatedExisting": false }),
        }
    };
    call.server.wake();
    Ok(doc! { "lastErrorObject": outcome, "value": value })
}
