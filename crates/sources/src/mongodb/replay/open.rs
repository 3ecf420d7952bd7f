//! What an entry is to a transaction, and which transactions are open.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document};

use super::super::session::whole;

/// By which the entries of one transaction know one another: its session and its number there.
pub(super) type Key = Vec<u8>;

/// What an entry is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing to be done.
    Note,
    /// A deed of its own.
    Deed,
    /// Deeds of its own, in an array.
    Deeds,
    /// Deeds that are done only if their transaction is committed.
    Part(Key),
    /// The last deeds of a transaction, which commits it; whether there are some before.
    Last(Key, bool),
    /// Commits a transaction that was prepared.
    Commit(Key),
    /// Gives a transaction up that was prepared.
    Abort(Key),
}

/// What writes of one retryable command are marked with, which are no transaction.
const SEPARATE: i64 = 1;

/// What an entry is. The error is half a sentence.
pub(super) fn role(entry: &Document) -> Result<Role, String> {
    let kind = entry.get_str("op").unwrap_or_default();
    let o = match (kind, entry.get_document("o")) {
        ("n", _) => return Ok(Role::Note),
        ("c", Ok(o)) => o,
        ("i" | "u" | "d", Ok(_)) => return Ok(Role::Deed),
        ("i" | "u" | "d" | "c", Err(_)) => return Err("it has no field `o`".to_owned()),
        (other, _) => return Err(format!("its kind `{other}` is not known here")),
    };
    let is_separate = whole(entry.get("multiOpType")) == Some(SEPARATE);
    let key = key(entry)?.filter(|_| !is_separate);
    let says = |name: &str| o.get_bool(name).unwrap_or(false);
    let first = o.keys().next().map(String::as_str).unwrap_or_default();
    match (first, key) {
        ("commitTransaction", Some(key)) => Ok(Role::Commit(key)),
        ("abortTransaction", Some(key)) => Ok(Role::Abort(key)),
        ("commitTransaction" | "abortTransaction", None) => {
            Err("it does not say which transaction it ends".to_owned())
        }
        ("applyOps", Some(key)) if says("partialTxn") || says("prepare") => Ok(Role::Part(key)),
        ("applyOps", Some(key)) => Ok(Role::Last(key, has_before(entry))),
        ("applyOps", None) => Ok(Role::Deeds),
        _ => Ok(Role::Deed),
    }
}

fn key(entry: &Document) -> Result<Option<Key>, String> {
    let (Some(Bson::Document(lsid)), Some(number)) =
        (entry.get("lsid"), whole(entry.get("txnNumber")))
    else {
        return Ok(None);
    };
    let mut key = lsid.to_vec().map_err(|e| e.to_string())?;
    key.extend(number.to_be_bytes());
    Ok(Some(key))
}

/// Whether the transaction has an entry before this one.
fn has_before(entry: &Document) -> bool {
    let before = entry.get_document("prevOpTime").ok();
    let at = before.and_then(|before| before.get_timestamp("ts").ok());
    at.is_some_and(|at| (at.time, at.increment) != (0, 0))
}

/// Transactions that may still be committed, each with what its entries left here.
#[derive(Debug)]
pub(super) struct Open<T>(BTreeMap<Key, Vec<T>>);

impl<T> Open<T> {
    pub(super) fn new() -> Open<T> {
        Open(BTreeMap::new())
    }

    /// One more entry of a transaction.
    pub(super) fn add(&mut self, key: Key, entry: T) {
        self.0.entry(key).or_default().push(entry);
    }

    /// Takes out all that a transaction has; nothing if none of it is known.
    pub(super) fn take(&mut self, key: &Key) -> Option<Vec<T>> {
        self.0.remove(key)
    }

    /// Everything of all of them.
    pub(super) fn into_all(self) -> Vec<T> {
        self.0.into_values().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{Timestamp, doc};

    use super::*;

    fn of(o: Document, before: u32) -> Document {
        let ts = Timestamp {
            time: before,
            increment: before,
        };
        doc! { "op": "c", "ns": "admin.$cmd", "o": o, "lsid": { "id": "a" }, "txnNumber": 7_i64, "prevOpTime": { "ts": ts, "t": -1_i64 } }
    }

    #[test]
    fn each_kind_of_entry_has_its_role() {
        let key = key(&of(doc! {}, 0)).unwrap().unwrap();
        let is = |o: Document, before, expected: Role| {
            assert_eq!(role(&of(o.clone(), before)), Ok(expected), "{o}");
        };
        is(doc! { "applyOps": [] }, 0, Role::Last(key.clone(), false));
        is(
            doc! { "applyOps": [] , "count": 9 },
            3,
            Role::Last(key.clone(), true),
        );
        is(
            doc! { "applyOps": [], "partialTxn": true },
            0,
            Role::Part(key.clone()),
        );
        is(
            doc! { "applyOps": [], "prepare": true },
            3,
            Role::Part(key.clone()),
        );
        is(
            doc! { "commitTransaction": 1 },
            3,
            Role::Commit(key.clone()),
        );
        is(doc! { "abortTransaction": 1 }, 3, Role::Abort(key.clone()));
        is(doc! { "create": "a" }, 0, Role::Deed);
        let mut separate = of(doc! { "applyOps": [] }, 3);
        separate.insert("multiOpType", 1);
        assert_eq!(role(&separate), Ok(Role::Deeds));
        let alone = doc! { "op": "c", "ns": "admin.$cmd", "o": { "applyOps": [] } };
        assert_eq!(role(&alone), Ok(Role::Deeds));
        assert_eq!(role(&doc! { "op": "n", "ns": "" }), Ok(Role::Note));
        assert_eq!(
            role(&doc! { "op": "i", "ns": "a.b", "o": {} }),
            Ok(Role::Deed)
        );
        assert!(role(&doc! { "op": "i", "ns": "a.b" }).is_err());
        assert!(role(&doc! { "op": "xi", "ns": "a.b", "o": {} }).is_err());
        assert!(role(&doc! { "op": "c", "ns": "a.b", "o": { "commitTransaction": 1 } }).is_err());
    }
}
