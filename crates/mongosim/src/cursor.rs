//! Cursors: what a query has yet to give.

use std::collections::VecDeque;
use std::sync::Arc;

use bson::{Bson, Document, Timestamp, Uuid};

use crate::fault::{CAPPED_POSITION_LOST, Fault, PLAN_KILLED};
use crate::filter::{matches, project};
use crate::records::RecordId;
use crate::session::View;
use crate::state::{State, stamp};

/// The most bytes of documents that one answer holds, as in the server.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// The rows that a scan looks at before it gives the others a chance.
const LONGEST_SCAN: usize = 100_000;

/// What is open for one client.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) namespace: String,
    pub(crate) source: Source,
    pub(crate) projection: Document,
    /// How many documents it may give yet.
    pub(crate) left: Option<usize>,
    /// The moment that is read, if it was asked for one.
    pub(crate) at: Option<Timestamp>,
}

/// Where a cursor's documents come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// They were all found when it was opened.
    Fixed(VecDeque<Arc<Document>>),
    /// A collection as it is when they are asked for, in its natural order.
    Scan {
        uuid: Uuid,
        filter: Document,
        after: Option<RecordId>,
    },
    /// The oplog, forwards.
    Oplog {
        filter: Document,
        after: Timestamp,
        begun: bool,
        /// Whether it stays open at the end.
        tailable: bool,
        /// Whether it waits at the end for more.
        waits: bool,
    },
}

impl Cursor {
    /// At most `count` documents, and whether there is nothing behind them for good.
    pub(crate) fn fill(&mut self, state: &State, count: usize) -> Result<(Vec<Bson>, bool), Fault> {
        let mut batch = Batch {
            documents: Vec::new(),
            bytes: 0,
            most: self.left.map_or(count, |left| count.min(left)),
        };
        let ended = match &mut self.source {
            Source::Fixed(documents) => {
                while let Some(next) = documents.front() {
                    if !batch.add(next, &self.projection) {
                        break;
                    }
                    documents.pop_front();
                }
                documents.is_empty()
            }
            Source::Scan {
                uuid,
                filter,
                after,
            } => {
                if state.by_uuid(*uuid).is_none() {
                    let message = format!("collection dropped. UUID {uuid}");
                    return Err(Fault::new(PLAN_KILLED, message));
                }
                scan(state, *uuid, filter, after, &mut batch, &self.projection)?
            }
            Source::Oplog {
                filter,
                after,
                begun,
                tailable,
                ..
            } => {
                if *begun && *after <= state.forgotten() {
                    return Err(lost());
                }
                let ended = follow(state, filter, after, &mut batch, &self.projection)?;
                *begun |= !batch.documents.is_empty();
                ended && !*tailable
            }
        };
        let mut done = ended;
        if let Some(left) = &mut self.left {
            *left -= batch.documents.len().min(*left);
            done |= *left == 0;
        }
        Ok((batch.documents, done))
    }
}

fn lost() -> Fault {
    Fault::new(
        CAPPED_POSITION_LOST,
        "CollectionScan died due to position in capped collection being deleted.",
    )
}

/// What goes into one answer.
struct Batch {
    documents: Vec<Bson>,
    bytes: usize,
    most: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.documents.len() >= self.most
    }

    /// Adds a document, if there is room for it.
    fn add(&mut self, document: &Document, projection: &Document) -> bool {
        if self.is_full() {
            return false;
        }
        let document = match projection.is_empty() {
            true => document.clone(),
            false => project(projection, document),
        };
        let bytes = document.to_vec().map_or(0, |bytes| bytes.len());
        if !self.documents.is_empty() && self.bytes + bytes > MOST_BYTES {
            self.most = self.documents.len();
            return false;
        }
        self.bytes += bytes;
        self.documents.push(Bson::Document(document));
        true
    }
}

fn scan(
    state: &State,
    uuid: Uuid,
    filter: &Document,
    after: &mut Option<RecordId>,
    batch: &mut Batch,
    projection: &Document,
) -> Result<bool, Fault> {
    let Some(records) = state.records(uuid) else {
        return Ok(true);
    };
    for (seen, (row, document)) in records.scan(None, *after).enumerate() {
        if batch.is_full() || (seen > LONGEST_SCAN && !batch.documents.is_empty()) {
            return Ok(false);
        }
        if matches(filter, document)? && !batch.add(document, projection) {
            return Ok(false);
        }
        *after = Some(row);
    }
    Ok(true)
}

fn follow(
    state: &State,
    filter: &Document,
    after: &mut Timestamp,
    batch: &mut Batch,
    projection: &Document,
) -> Result<bool, Fault> {
    for entry in state.oplog().range(state.behind(*after)..) {
        if batch.is_full() || (matches(filter, entry)? && !batch.add(entry, projection)) {
            return Ok(false);
        }
        *after = stamp(entry);
    }
    Ok(true)
}

/// The moment before the first entry that a filter of the oplog can take.
pub(crate) fn oplog_start(filter: &Document) -> Timestamp {
    let zero = Timestamp {
        time: 0,
        increment: 0,
    };
    let before = |t: &Timestamp| match (t.time, t.increment) {
        (time, 0) => Timestamp {
            time: time.saturating_sub(1),
            increment: u32::MAX,
        },
        (time, n) => Timestamp {
            time,
            increment: n - 1,
        },
    };
    match filter.get("ts") {
        Some(Bson::Timestamp(exactly)) => before(exactly),
        Some(Bson::Document(range)) => match (range.get("$gte"), range.get("$gt")) {
            (Some(Bson::Timestamp(from)), _) => before(from),
            (_, Some(Bson::Timestamp(behind))) => *behind,
            _ => zero,
        },
        _ => zero,
    }
}

/// All documents of a view that a filter takes.
pub(crate) fn select(
    view: &View<'_>,
    uuid: Uuid,
    filter: &Document,
) -> Result<Vec<(RecordId, Arc<Document>)>, Fault> {
    if let Some(id) = crate::filter::exact_id(filter) {
        let found = view.get(uuid, id).filter(|_| true);
        return match found {
            Some(document) if matches(filter, &document)? => Ok(vec![(0, document)]),
            _ => Ok(Vec::new()),
        };
    }
    let mut found = Vec::new();
    for (row, document) in view.scan(uuid, None) {
        if matches(filter, &document)? {
            found.push((row, document));
        }
    }
    Ok(found)
}
