//! Sessions of clients: transactions that are open, and answers to writes that may be asked for again.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::{Bson, Document, Timestamp, Uuid, doc};

use crate::fault::{Fault, WRITE_CONFLICT};
use crate::order::Key;
use crate::records::RecordId;
use crate::state::{Change, Collection, State};

/// What is known of one session.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) transaction: Option<Transaction>,
    /// The number of the newest transaction that was committed.
    pub(crate) committed: Option<i64>,
    /// The answer to the newest write that has a number, for whoever asks again.
    pub(crate) answered: Option<(i64, Document)>,
}

/// What a transaction would change, by collection and `_id`.
type Overlay = BTreeMap<([u8; 16], Key), Option<Arc<Document>>>;

/// A transaction that is open: it reads as of its beginning, and its own changes.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) number: i64,
    begin: Timestamp,
    changes: Vec<Change>,
    overlay: Overlay,
}

impl Transaction {
    pub(crate) fn begin(number: i64, begin: Timestamp) -> Self {
        Self {
            number,
            begin,
            changes: Vec::new(),
            overlay: Overlay::new(),
        }
    }

    pub(crate) fn add(&mut self, change: Change) {
        let key = (change.uuid.bytes(), Key(change.id.clone()));
        self.overlay.insert(key, change.new.clone());
        self.changes.push(change);
    }

    /// Writes everything as one entry, or says that somebody else was faster.
    pub(crate) fn commit(self, state: &mut State, lsid: &Document) -> Result<(), Fault> {
        for change in &self.changes {
            let Some(records) = state.records(change.uuid) else {
                return Err(conflict());
            };
            if records
                .changed(&change.id)
                .is_some_and(|since| since > self.begin)
            {
                return Err(conflict());
            }
            if let Some(new) = &change.new {
                records.check(new, &change.namespace)?;
            }
        }
        if self.changes.is_empty() {
            return Ok(());
        }
        let ops: Vec<Document> = self
            .changes
            .iter()
            .map(|change| change.entry.clone())
            .collect();
        let entry = doc! {
            "lsid": lsid.clone(), "txnNumber": self.number, "op": "c", "ns": "admin.$cmd",
            "o": { "applyOps": ops },
            "prevOpTime": { "ts": Timestamp { time: 0, increment: 0 }, "t": -1_i64 },
        };
        state.commit(entry, &self.changes);
        Ok(())
    }
}

/// That somebody else changed the same.
pub(crate) fn conflict() -> Fault {
    Fault::new(
        WRITE_CONFLICT,
        "Caused by :: Write conflict during plan execution and yielding is disabled. :: Please retry your operation",
    )
    .labelled("TransientTransactionError")
}

/// What one reader sees: now, a moment, or a transaction.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) state: &'a State,
    pub(crate) at: Option<Timestamp>,
    pub(crate) transaction: Option<&'a Transaction>,
}

impl<'a> View<'a> {
    pub(crate) fn now(state: &'a State) -> Self {
        Self {
            state,
            at: None,
            transaction: None,
        }
    }

    /// The moment of the collections: that of the transaction, or the one that was asked for.
    fn moment(&self) -> Option<Timestamp> {
        self.transaction
            .map(|transaction| transaction.begin)
            .or(self.at)
    }

    pub(crate) fn collection(&self, namespace: &str) -> Option<Arc<Collection>> {
        // A collection may be made while a transaction is open that writes to it.
        let at = if self.transaction.is_some() {
            None
        } else {
            self.at
        };
        self.state.catalog_at(at).get(namespace).cloned()
    }

    pub(crate) fn get(&self, uuid: Uuid, id: &Bson) -> Option<Arc<Document>> {
        if let Some(own) = self.own(uuid, id) {
            return own.clone();
        }
        let records = self.state.records(uuid)?;
        match self.moment() {
            None => records.get(id).cloned(),
            Some(at) => records.get_at(id, at).cloned(),
        }
    }

    fn own(&self, uuid: Uuid, id: &Bson) -> Option<&'a Option<Arc<Document>>> {
        self.transaction?
            .overlay
            .get(&(uuid.bytes(), Key(id.clone())))
    }

    /// The documents in their natural order, behind a place in it.
    pub(crate) fn scan(
        &self,
        uuid: Uuid,
        after: Option<RecordId>,
    ) -> Vec<(RecordId, Arc<Document>)> {
        let Some(records) = self.state.records(uuid) else {
            return Vec::new();
        };
        let Some(transaction) = self.transaction else {
            return records
                .scan(self.moment(), after)
                .map(|(row, document)| (row, document.clone()))
                .collect();
        };
        let mut own: BTreeMap<&Key, &Option<Arc<Document>>> = transaction
            .overlay
            .iter()
            .filter(|((of, _), _)| *of == uuid.bytes())
            .map(|((_, id), document)| (id, document))
            .collect();
        let mut found = Vec::new();
        for (row, document) in records.scan(self.moment(), after) {
            let id = Key(document.get("_id").cloned().unwrap_or(Bson::Null));
            match own.remove(&id) {
                None => found.push((row, document.clone())),
                Some(Some(changed)) => found.push((row, changed.clone())),
                Some(None) => {}
            }
        }
        let new = own.into_values().flatten();
        found.extend(new.map(|document| (RecordId::MAX, document.clone())));
        found
    }
}
