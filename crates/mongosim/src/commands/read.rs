//! Commands that read documents.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{Bson, Document, Timestamp, Uuid, doc};

use super::{Call, pipeline, size, whole};
use crate::cursor::{Cursor, Source, oplog_start, select};
use crate::fault::{
    Answer, BAD_VALUE, CURSOR_NOT_FOUND, Fault, INVALID_OPTIONS, NAMESPACE_NOT_FOUND,
    SNAPSHOT_TOO_OLD, number,
};
use crate::filter::{matches, sort, values};
use crate::order::Key;
use crate::server::Shared;
use crate::session::{Transaction, View};
use crate::state::{OPLOG, State};

const FIRST_BATCH: usize = 101;
/// How long a cursor waits at the end of the oplog unless it is told.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn find(call: &Call<'_>, open_transaction: Option<&Transaction>) -> Answer {
    let mut shared = call.server.lock();
    let namespace = match call.body.get("find") {
        id @ Some(Bson::Binary(_)) => by_uuid(&shared.state, id)?,
        _ => call.namespace()?,
    };
    let filter = call.document("filter")?;
    let limit = size(call.number("limit").map(i64::abs)).filter(|limit| *limit > 0);
    let at = moment(call, &shared.state)?;
    let cursor = Cursor {
        source: source(
            call,
            &shared.state,
            &namespace,
            filter,
            open_transaction,
            at,
        )?,
        namespace,
        projection: call.document("projection")?,
        left: limit,
        at,
    };
    open(&mut shared, call, cursor)
}

fn source(
    call: &Call<'_>,
    state: &State,
    namespace: &str,
    filter: Document,
    open_transaction: Option<&Transaction>,
    at: Option<Timestamp>,
) -> Result<Source, Fault> {
    let order = call.document("sort")?;
    let natural = order
        .get("$natural")
        .or_else(|| call.body.get_document("hint").ok()?.get("$natural"));
    let backwards = natural.and_then(whole) == Some(-1);
    let order: Document = order
        .into_iter()
        .filter(|(name, _)| name != "$natural")
        .collect();
    let skip = size(call.number("skip")).unwrap_or(0);
    let sorted = !order.is_empty() || backwards || skip > 0;
    if namespace == OPLOG && !sorted {
        return Ok(Source::Oplog {
            after: oplog_start(&filter),
            filter,
            begun: false,
            tailable: call.flag("tailable"),
            waits: call.flag("awaitData"),
        });
    }
    if call.flag("tailable") {
        let message = format!(
            "error processing query: ns={namespace}: tailable cursor requested on non capped collection"
        );
        return Err(Fault::new(BAD_VALUE, message));
    }
    let view = View {
        state,
        at,
        transaction: open_transaction,
    };
    let plain = at.is_none()
        && open_transaction.is_none()
        && !sorted
        && crate::filter::exact_id(&filter).is_none();
    if let (true, Some(collection)) = (plain, view.collection(namespace).filter(|c| !c.is_view())) {
        // An operator that is not known is a fault even where there is nothing to hold it against.
        matches(&filter, &Document::new())?;
        return Ok(Source::Scan {
            uuid: collection.uuid,
            filter,
            after: None,
        });
    }
    let mut found = documents(&view, namespace, &filter)?;
    if backwards {
        found.reverse();
    }
    if !order.is_empty() {
        sort(&mut found, &order);
    }
    Ok(Source::Fixed(found.into_iter().skip(skip).collect()))
}

/// All documents that a filter takes: of a collection, a view or the oplog.
pub(super) fn documents(
    view: &View<'_>,
    namespace: &str,
    filter: &Document,
) -> Result<Vec<Arc<Document>>, Fault> {
    if namespace == OPLOG {
        let from = view.state.behind(oplog_start(filter));
        let mut found = Vec::new();
        for entry in view.state.oplog().range(from..) {
            if matches(filter, entry)? {
                found.push(entry.clone());
            }
        }
        return Ok(found);
    }
    let Some(collection) = view.collection(namespace) else {
        matches(filter, &Document::new())?;
        return Ok(Vec::new());
    };
    if collection.is_view() {
        let through = pipeline::through_view(view, namespace, &collection)?;
        let mut found = Vec::new();
        for document in through {
            if matches(filter, &document)? {
                found.push(document);
            }
        }
        return Ok(found);
    }
    Ok(select(view, collection.uuid, filter)?
        .into_iter()
        .map(|(_, document)| document)
        .collect())
}

/// The moment that is to be read, by the command's read concern.
pub(super) fn moment(call: &Call<'_>, state: &State) -> Result<Option<Timestamp>, Fault> {
    let Ok(concern) = call.body.get_document("readConcern") else {
        return Ok(None);
    };
    let level = concern.get_str("level").unwrap_or("local");
    if level != "snapshot" || call.body.contains_key("startTransaction") {
        return match level {
            "local" | "majority" | "available" | "linearizable" | "snapshot" => Ok(None),
            other => Err(Fault::new(
                BAD_VALUE,
                format!(
                    "Enumeration value '{other}' for field 'readConcern.level' is not a valid value."
                ),
            )),
        };
    }
    match concern.get("atClusterTime") {
        None => Ok(Some(state.now())),
        Some(Bson::Timestamp(at)) if *at > state.now() => Err(Fault::new(
            INVALID_OPTIONS,
            "readConcern atClusterTime value must not be greater than the current clusterTime",
        )),
        Some(Bson::Timestamp(at)) if *at < state.oldest() => Err(Fault::new(
            SNAPSHOT_TOO_OLD,
            format!("Read timestamp {at} is older than the oldest available timestamp."),
        )),
        Some(Bson::Timestamp(at)) => Ok(Some(*at)),
        Some(_) => Err(Fault::new(BAD_VALUE, "atClusterTime must be a timestamp")),
    }
}

/// The collection that has a UUID.
pub(super) fn by_uuid(state: &State, id: Option<&Bson>) -> Result<String, Fault> {
    let bytes = id.and_then(|id| match id {
        Bson::Binary(binary) => <[u8; 16]>::try_from(binary.bytes.as_slice()).ok(),
        _ => None,
    });
    let found = bytes.and_then(|bytes| state.by_uuid(Uuid::from_bytes(bytes)));
    let found = found.map(|(namespace, _)| namespace.clone());
    found.ok_or_else(|| Fault::new(NAMESPACE_NOT_FOUND, "Unable to resolve UUID"))
}

/// Answers with the first batch, and keeps the cursor if there is more to come.
pub(super) fn open(shared: &mut Shared, call: &Call<'_>, mut cursor: Cursor) -> Answer {
    let in_cursor = call
        .body
        .get_document("cursor")
        .ok()
        .and_then(|cursor| cursor.get("batchSize"));
    let count = call
        .number("batchSize")
        .or_else(|| in_cursor.and_then(whole));
    let count = size(count).unwrap_or(FIRST_BATCH);
    let (batch, ended) = cursor.fill(&shared.state, count)?;
    let namespace = cursor.namespace.clone();
    let at = cursor.at;
    let id = match ended
        || call.flag("singleBatch")
        || call.number("limit").is_some_and(|limit| limit < 0)
    {
        true => 0,
        false => keep(shared, cursor),
    };
    let mut reply = doc! { "firstBatch": batch, "id": id, "ns": namespace };
    if let Some(at) = at {
        reply.insert("atClusterTime", at);
    }
    Ok(doc! { "cursor": reply })
}

fn keep(shared: &mut Shared, cursor: Cursor) -> i64 {
    let mut bytes = [0; 8];
    loop {
        // Without randomness the numbers are those that are free.
        let random = getrandom::fill(&mut bytes).is_ok();
        let id = match random {
            true => i64::from_le_bytes(bytes) & i64::MAX,
            false => shared.cursors.keys().max().map_or(1, |last| last + 1),
        };
        if id != 0 && !shared.cursors.contains_key(&id) {
            shared.cursors.insert(id, cursor);
            return id;
        }
    }
}

pub(super) fn get_more(call: &Call<'_>) -> Answer {
    let id = call.number("getMore").unwrap_or(0);
    let count = size(call.number("batchSize"))
        .filter(|n| *n > 0)
        .unwrap_or(usize::MAX);
    let patience = call
        .number("maxTimeMS")
        .and_then(|ms| u64::try_from(ms).ok());
    let until = Instant::now() + patience.map_or(PATIENCE, Duration::from_millis);
    let mut shared = call.server.lock();
    loop {
        let Shared { cursors, state, .. } = &mut *shared;
        let cursor = cursors.get_mut(&id);
        let cursor = cursor
            .ok_or_else(|| Fault::new(CURSOR_NOT_FOUND, format!("cursor id {id} not found")))?;
        let (batch, ended) = match cursor.fill(state, count) {
            Ok(filled) => filled,
            Err(fault) => {
                cursors.remove(&id);
                return Err(fault);
            }
        };
        let waits = matches!(
            cursor.source,
            Source::Oplog {
                tailable: true,
                waits: true,
                ..
            }
        );
        let left = until.saturating_duration_since(Instant::now());
        if waits && batch.is_empty() && left > Duration::ZERO && !call.server.is_ending() {
            shared = call.server.wait(shared, left);
            continue;
        }
        let mut reply =
            doc! { "nextBatch": batch, "id": if ended { 0 } else { id }, "ns": &cursor.namespace };
        if let Some(at) = cursor.at {
            reply.insert("atClusterTime", at);
        }
        if ended {
            cursors.remove(&id);
        }
        return Ok(doc! { "cursor": reply });
    }
}

pub(super) fn kill_cursors(call: &Call<'_>) -> Answer {
    let ids = call.body.get_array("cursors").cloned().unwrap_or_default();
    let mut shared = call.server.lock();
    let (mut killed, mut unknown) = (Vec::new(), Vec::new());
    for id in ids {
        match whole(&id).and_then(|id| shared.cursors.remove(&id)) {
            Some(_) => killed.push(id),
            None => unknown.push(id),
        }
    }
    call.server.wake();
    let none = Vec::<Bson>::new();
    Ok(
        doc! { "cursorsKilled": killed, "cursorsNotFound": unknown, "cursorsAlive": none.clone(), "cursorsUnknown": none },
    )
}

pub(super) fn count(call: &Call<'_>, open_transaction: Option<&Transaction>) -> Answer {
    let namespace = call.namespace()?;
    let shared = call.server.lock();
    let view = View {
        state: &shared.state,
        at: moment(call, &shared.state)?,
        transaction: open_transaction,
    };
    let all = documents(&view, &namespace, &call.document("query")?)?.len();
    let left = all.saturating_sub(size(call.number("skip")).unwrap_or(0));
    let limit = size(call.number("limit").map(i64::abs)).filter(|limit| *limit > 0);
    Ok(doc! { "n": number(limit.map_or(left, |limit| left.min(limit))) })
}

pub(super) fn distinct(call: &Call<'_>, open_transaction: Option<&Transaction>) -> Answer {
    let namespace = call.namespace()?;
    let shared = call.server.lock();
    let key = call
        .body
        .get_str("key")
        .map_err(|_| Fault::new(BAD_VALUE, "distinct needs a key"))?;
    let at = moment(call, &shared.state)?;
    let view = View {
        state: &shared.state,
        at,
        transaction: open_transaction,
    };
    let mut found = std::collections::BTreeSet::new();
    for document in documents(&view, &namespace, &call.document("query")?)? {
        for value in values(&document, key) {
            match value {
                Bson::Array(elements) => found.extend(elements.iter().cloned().map(Key)),
                other => drop(found.insert(Key(other.clone()))),
            }
        }
    }
    let mut reply = doc! { "values": found.into_iter().map(|key| key.0).collect::<Vec<Bson>>() };
    if let Some(at) = at {
        reply.insert("atClusterTime", at);
    }
    Ok(reply)
}

/// A cursor of documents that are all there.
pub(super) fn fixed(
    namespace: String,
    documents: VecDeque<Arc<Document>>,
    at: Option<Timestamp>,
) -> Cursor {
    Cursor {
        namespace,
        source: Source::Fixed(documents),
        projection: Document::new(),
        left: None,
        at,
    }
}
