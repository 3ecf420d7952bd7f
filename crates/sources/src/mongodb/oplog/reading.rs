//! Questions about an oplog to the server that keeps it.

use mongodb::bson::{Bson, Document, doc};
use vouchsafe_capture::CaptureError;

use super::super::session::Session;
use super::entry::{Entry, mark, stamp};
use super::{COLLECTION, DATABASE, wrong};

/// How far the oplog of a member goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// The replica set.
    pub(super) replica_set: String,
    /// Whether it takes writes.
    pub(super) is_writable: bool,
    /// Its newest entry.
    pub(super) newest: u64,
    /// The newest entry that most members have.
    pub(super) agreed: u64,
}

/// Asks a member how far it is.
pub(super) fn written(session: &mut Session) -> Result<Written, CaptureError> {
    let said = session.command("admin", doc! { "hello": 1 })?;
    let replica_set = said.get_str("setName").unwrap_or_default().to_owned();
    let last = said.get_document("lastWrite").cloned().unwrap_or_default();
    let at = |name: &str| {
        let time = last.get_document(name).ok()?.get_timestamp("ts").ok()?;
        Some(mark(time))
    };
    match (at("opTime"), at("majorityOpTime")) {
        (Some(newest), Some(agreed)) if !replica_set.is_empty() => Ok(Written {
            replica_set,
            is_writable: said.get_bool("isWritablePrimary").unwrap_or(false),
            newest,
            agreed: agreed.min(newest),
        }),
        _ => Err(wrong(
            session,
            "it does not say how far it is, so it is no member of a replica set",
        )),
    }
}

/// The oldest entry that there is.
pub(super) fn oldest(session: &mut Session) -> Result<Option<u64>, CaptureError> {
    let first = one(session, Document::new(), 1)?;
    Ok(first.and_then(|bytes| Entry::parse(&bytes).ok().map(|entry| entry.mark)))
}

/// The last entry at or before a mark.
pub(in crate::mongodb) fn last_up_to(
    session: &mut Session,
    at: u64,
) -> Result<Option<Vec<u8>>, CaptureError> {
    one(session, doc! { "ts": { "$lte": stamp(at) } }, -1)
}

/// From where on the log is needed for what was under way at `at`: where the oldest transaction began that may still be
/// committed.
pub(in crate::mongodb) fn oldest_open(session: &mut Session, at: u64) -> Result<u64, CaptureError> {
    let mut from = at;
    let open = doc! { "state": { "$in": ["prepared", "inProgress"] } };
    session.each("config", "transactions", open, &mut |bytes| {
        let document = Document::from_reader(bytes).unwrap_or_default();
        if let Ok(begun) = document.get_document("startOpTime")
            && let Ok(time) = begun.get_timestamp("ts")
        {
            from = from.min(mark(time));
        }
        Ok(())
    })?;
    Ok(from)
}

/// Hands out the entries from one mark to another one, both included, in their order; `take` says whether it wants more.
pub(super) fn between(
    session: &mut Session,
    (from, to): (u64, u64),
    take: &mut dyn FnMut(&[u8]) -> Result<bool, CaptureError>,
) -> Result<(), CaptureError> {
    let range = doc! { "ts": { "$gte": stamp(from), "$lte": stamp(to) } };
    session.begin(DATABASE, COLLECTION, range)?;
    let mut wants_more = true;
    while wants_more {
        let more = session.some(PORTION, &mut |bytes| {
            if wants_more {
                wants_more = take(bytes)?;
            }
            Ok(())
        })?;
        if !more {
            return Ok(());
        }
    }
    session.read_now();
    Ok(())
}

/// How many bytes are read at once.
const PORTION: usize = 1 << 20;

/// The first document that fits, in the order of the collection or backwards.
fn one(
    session: &mut Session,
    filter: Document,
    order: i32,
) -> Result<Option<Vec<u8>>, CaptureError> {
    let find = doc! {
        "find": COLLECTION, "filter": filter, "sort": { "$natural": order }, "limit": 1, "singleBatch": true,
    };
    let said = session.command(DATABASE, find)?;
    let batch = said
        .get_document("cursor")
        .and_then(|cursor| cursor.get_array("firstBatch"));
    let first = batch.ok().and_then(|batch| batch.first());
    match first {
        None => Ok(None),
        Some(Bson::Document(document)) => {
            let bytes = document.to_vec();
            bytes.map(Some).map_err(|e| wrong(session, e.to_string()))
        }
        Some(_) => Err(wrong(session, "an entry of it is no document")),
    }
}
