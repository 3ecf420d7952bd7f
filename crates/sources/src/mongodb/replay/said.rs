//! What a log says that must be there behind its last entry.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{Bson, Document, doc};
use sha2::{Digest, Sha256};

use super::deeds::{Deed, Kind, VIEWS};

/// A document's collection, and its identity as bytes of BSON.
pub(super) type Key = (String, Vec<u8>);

/// What a document must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    /// These very bytes, by their digest.
    Exactly([u8; 32]),
    /// There; what it is, a change has told only in part.
    There,
    Gone,
}

/// A collection that the log is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// Which one of the base it was, if it was there.
    pub(super) origin: Option<String>,
    /// How many documents it has more than that one had.
    pub(super) more: i64,
    pub(super) exists: bool,
}

/// Everything that a log says.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) collections: BTreeMap<String, Counted>,
    pub(super) documents: BTreeMap<Key, Is>,
    /// Collections of the base that the log is about.
    pub(super) touched: BTreeSet<String>,
    /// Documents that there was no memory for.
    pub(super) unseen: u64,
}

/// So many documents are remembered.
const MOST: usize = 200_000;

impl Said {
    /// The next deed.
    pub(super) fn take(&mut self, deed: &Deed) {
        match deed.kind {
            Kind::Command => self.command(deed),
            _ if deed.is_of_accounts() || deed.view().is_some() => {}
            kind => {
                let more = match kind {
                    Kind::Insert => 1,
                    Kind::Delete => -1,
                    Kind::Update | Kind::Command => 0,
                };
                self.collection(&deed.ns).more += more;
                let is = match (kind, deed.whole()) {
                    (Kind::Delete, _) => Is::Gone,
                    (_, Some(whole)) if whole.contains_key("_id") => exactly(whole),
                    _ => Is::There,
                };
                if let Some(id) = deed.id() {
                    self.remember((deed.ns.clone(), id_bytes(id)), is);
                }
            }
        }
    }

    fn remember(&mut self, key: Key, is: Is) {
        if self.documents.len() < MOST || self.documents.contains_key(&key) {
            self.documents.insert(key, is);
        } else {
            self.unseen += 1;
        }
    }

    /// A collection as it has become; one that was not told of before is the one of the base.
    fn collection(&mut self, name: &str) -> &mut Counted {
        let touched = &mut self.touched;
        let begin = || {
            touched.insert(name.to_owned());
            Counted {
                origin: Some(name.to_owned()),
                more: 0,
                exists: true,
            }
        };
        self.collections
            .entry(name.to_owned())
            .or_insert_with(begin)
    }

    fn command(&mut self, deed: &Deed) {
        let (command, name) = deed.command();
        match command {
            "create" if name != VIEWS => self.begin(deed.collection(), true),
            "drop" => self.drop(deed.collection()),
            "dropDatabase" => {
                let prefix = format!("{}.", deed.database());
                let all: Vec<String> = self.collections.keys().cloned().collect();
                let of_it = all.into_iter().filter(|name| name.starts_with(&prefix));
                of_it.for_each(|name| self.drop(name));
            }
            "renameCollection" => {
                let to = deed.o.get_str("to").unwrap_or_default().to_owned();
                self.rename(name.to_owned(), to);
            }
            _ => {}
        }
    }

    fn begin(&mut self, name: String, exists: bool) {
        self.collection(&name);
        self.documents.retain(|(of, _), _| *of != name);
        let counted = Counted {
            origin: None,
            more: 0,
            exists,
        };
        self.collections.insert(name, counted);
    }

    fn drop(&mut self, name: String) {
        self.begin(name, false);
    }

    fn rename(&mut self, from: String, to: String) {
        let moved = self.collection(&from).clone();
        let all = std::mem::take(&mut self.documents);
        let (of_it, others): (BTreeMap<Key, Is>, _) =
            all.into_iter().partition(|((of, _), _)| *of == from);
        self.documents = others;
        self.drop(from);
        self.drop(to.clone());
        let renamed = of_it
            .into_iter()
            .map(|((_, id), is)| ((to.clone(), id), is));
        self.documents.extend(renamed);
        self.collections.insert(to, moved);
    }
}

/// What a document is by its bytes.
pub(super) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn exactly(document: &Document) -> Is {
    document
        .to_vec()
        .map_or(Is::There, |bytes| Is::Exactly(digest(&bytes)))
}

/// An identity as bytes of BSON: 1 and 1.0 differ.
pub(super) fn id_bytes(id: &Bson) -> Vec<u8> {
    doc! { "": id.clone() }.to_vec().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deed(kind: Kind, ns: &str, o: Document) -> Deed {
        Deed {
            kind,
            ns: ns.to_owned(),
            o2: o.get("_id").map(|id| doc! { "_id": id.clone() }),
            o,
        }
    }

    #[test]
    fn what_must_be_there_follows_renames_and_drops() {
        let mut said = Said::default();
        let mut take = |kind, ns: &str, o| said.take(&deed(kind, ns, o));
        take(Kind::Insert, "s.a", doc! { "_id": 1 });
        take(Kind::Insert, "s.a", doc! { "_id": 2 });
        take(Kind::Delete, "s.a", doc! { "_id": 1 });
        take(Kind::Update, "s.b", doc! { "_id": 5, "$v": 2 });
        take(
            Kind::Command,
            "s.$cmd",
            doc! { "renameCollection": "s.a", "to": "s.b" },
        );
        take(Kind::Command, "s.$cmd", doc! { "create": "a" });
        take(Kind::Insert, "s.a", doc! { "_id": 9 });
        take(Kind::Command, "s.$cmd", doc! { "drop": "c" });
        let of = |name: &str| said.collections.get(name).cloned().unwrap();
        let counted = |origin: Option<&str>, more, exists| Counted {
            origin: origin.map(str::to_owned),
            more,
            exists,
        };
        assert_eq!(of("s.b"), counted(Some("s.a"), 1, true));
        assert_eq!(of("s.a"), counted(None, 1, true));
        assert_eq!(of("s.c"), counted(None, 0, false));
        let is = |ns: &str, id: i32| {
            let key = (ns.to_owned(), id_bytes(&Bson::Int32(id)));
            said.documents.get(&key).copied()
        };
        assert_eq!(is("s.b", 1), Some(Is::Gone));
        assert_eq!(is("s.b", 2), Some(exactly(&doc! { "_id": 2 })));
        assert_eq!((is("s.b", 5), is("s.a", 1)), (None, None));
        let touched: Vec<&str> = said.touched.iter().map(String::as_str).collect();
        assert_eq!(touched, ["s.a", "s.b", "s.c"]);
    }
}
