//! Updates as the oplog has them: `$v: 2` with a `diff` of sub-documents.
//!
//! A diff of a document has the fields `d` (removed), `u` (changed in place), `i` (new, at the end) and, for each
//! document or array that changes inside, `s` and its name. A diff of an array has `a: true`, `l` (its new length) and,
//! for each element, `u` or `s` and its number.

use bson::{Bson, Document, doc};

use crate::fault::{FAILED_TO_PARSE, Fault};

/// What an update's entry holds as `o`: a diff, or the whole document where that could not be told by one.
pub(crate) fn entry(old: &Document, new: &Document) -> Document {
    match documents(old, new) {
        Some(diff) => doc! { "$v": 2, "diff": diff },
        None => new.clone(),
    }
}

/// None if the order of fields changes in a way that a diff cannot tell.
fn documents(old: &Document, new: &Document) -> Option<Document> {
    let (mut gone, mut changed, mut added) = (Document::new(), Document::new(), Document::new());
    let mut inner = Vec::new();
    for (name, _) in old.iter().filter(|(name, _)| !new.contains_key(name)) {
        gone.insert(name, false);
    }
    let mut before = old.keys().filter(|name| new.contains_key(*name));
    for (name, value) in new {
        match old.get(name) {
            None => {
                added.insert(name, value.clone());
            }
            Some(was) => {
                if before.next() != Some(name) || !added.is_empty() {
                    return None;
                }
                if was != value {
                    match deeper(was, value) {
                        Some(diff) => inner.push((format!("s{name}"), diff)),
                        None => {
                            changed.insert(name, value.clone());
                        }
                    }
                }
            }
        }
    }
    let mut diff = Document::new();
    for (name, part) in [("d", gone), ("u", changed), ("i", added)] {
        if !part.is_empty() {
            diff.insert(name, part);
        }
    }
    diff.extend(
        inner
            .into_iter()
            .map(|(name, part)| (name, Bson::Document(part))),
    );
    Some(diff)
}

fn deeper(old: &Bson, new: &Bson) -> Option<Document> {
    match (old, new) {
        (Bson::Document(old), Bson::Document(new)) => documents(old, new),
        (Bson::Array(old), Bson::Array(new)) => Some(arrays(old, new)),
        _ => None,
    }
}

fn arrays(old: &[Bson], new: &[Bson]) -> Document {
    let mut diff = doc! { "a": true };
    if new.len() < old.len() {
        diff.insert("l", crate::fault::number(new.len()));
    }
    for (at, value) in new.iter().enumerate() {
        match old.get(at) {
            Some(was) if was == value => {}
            was => match was.and_then(|was| deeper(was, value)) {
                Some(part) => diff.insert(format!("s{at}"), part).map_or((), drop),
                None => diff
                    .insert(format!("u{at}"), value.clone())
                    .map_or((), drop),
            },
        }
    }
    diff
}

/// The document after an update's entry: by a diff, by operators as in entries of old servers, or as a replacement.
pub(crate) fn replay(o: &Document, old: &Document) -> Result<Document, Fault> {
    match o.get_document("diff") {
        Ok(diff) if o.contains_key("$v") => document(diff, old),
        _ => {
            let mut plain = o.clone();
            plain.remove("$v");
            crate::change::apply(&plain, old, false)
        }
    }
}

/// Applies a diff. It may be applied again: what is already there or already gone stays so.
fn document(diff: &Document, old: &Document) -> Result<Document, Fault> {
    let mut new = old.clone();
    let part = |name: &str| match diff.get(name) {
        None => Ok(None),
        Some(value) => value.as_document().map(Some).ok_or_else(|| malformed(name)),
    };
    for name in part("d")?.into_iter().flat_map(Document::keys) {
        new.remove(name);
    }
    for (name, value) in part("u")?.into_iter().flatten() {
        new.insert(name, value.clone());
    }
    for (name, value) in part("i")?.into_iter().flatten() {
        // What is inserted stands at the end, also if it was somewhere else.
        new.remove(name);
        new.insert(name, value.clone());
    }
    for (key, value) in diff {
        match (key.as_str(), key.strip_prefix('s')) {
            ("d" | "u" | "i", _) => {}
            (_, Some(name)) => {
                let inner = value.as_document().ok_or_else(|| malformed(key))?;
                if let Some(was) = new.get(name) {
                    let made = below(inner, was)?;
                    new.insert(name, made);
                }
            }
            _ => return Err(malformed(key)),
        }
    }
    Ok(new)
}

/// What is of another kind by now was changed by a later entry, which comes yet: it stays.
fn below(diff: &Document, old: &Bson) -> Result<Bson, Fault> {
    match (diff.get_bool("a"), old) {
        (Ok(true), Bson::Array(old)) => array(diff, old).map(Bson::Array),
        (Err(_), Bson::Document(old)) => document(diff, old).map(Bson::Document),
        _ => Ok(old.clone()),
    }
}

/// How far a diff may fill up an array, as in the server.
const MOST_FILLED: usize = 1_500_000;

fn array(diff: &Document, old: &[Bson]) -> Result<Vec<Bson>, Fault> {
    let mut new = old.to_vec();
    if let Some(length) = diff.get("l") {
        let length = length.as_i32().and_then(|n| usize::try_from(n).ok());
        let length = length
            .filter(|n| *n <= MOST_FILLED)
            .ok_or_else(|| malformed("l"))?;
        new.resize(length, Bson::Null);
    }
    for (key, value) in diff
        .iter()
        .filter(|(key, _)| !["a", "l"].contains(&key.as_str()))
    {
        let mut letters = key.chars();
        let kind = letters.next();
        let at = letters.as_str().parse::<usize>().ok();
        let at = at
            .filter(|at| *at < MOST_FILLED)
            .ok_or_else(|| malformed(key))?;
        if new.len() <= at {
            new.resize(at + 1, Bson::Null);
        }
        let Some(element) = new.get_mut(at) else {
            return Err(malformed(key));
        };
        match (kind, value.as_document()) {
            (Some('u'), _) => *element = value.clone(),
            (Some('s'), Some(inner)) => *element = below(inner, element)?,
            _ => return Err(malformed(key)),
        }
    }
    Ok(new)
}

fn malformed(name: &str) -> Fault {
    Fault::new(
        FAILED_TO_PARSE,
        format!("a diff that is not understood, at '{name}'"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_diff_is_as_the_server_writes_it() {
        let old = doc! { "_id": 1, "a": 1, "b": { "c": 1, "d": [1, 2, 3] }, "e": 5 };
        let new = doc! { "_id": 1, "b": { "c": 2, "d": [1, 9] }, "e": 5, "f": true };
        let expected = doc! { "$v": 2, "diff": {
            "d": { "a": false }, "i": { "f": true },
            "sb": { "u": { "c": 2 }, "sd": { "a": true, "l": 2, "u1": 9 } },
        }};
        assert_eq!(entry(&old, &new), expected);
        assert_eq!(replay(&expected, &old).unwrap(), new);
    }

    #[test]
    fn what_is_no_diff_is_refused() {
        let old = doc! { "_id": 1, "b": [1] };
        for diff in [
            doc! { "u": 1 },
            doc! { "z": {} },
            doc! { "sb": 3 },
            doc! { "sb": { "a": true, "ux": 1 } },
        ] {
            assert!(
                replay(&doc! { "$v": 2, "diff": diff.clone() }, &old).is_err(),
                "{diff}"
            );
        }
    }

    fn value() -> impl Strategy<Value = Bson> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Bson::Int32),
            "[a-c]{0,2}".prop_map(Bson::String),
            Just(Bson::Null)
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Bson::Array),
                proptest::collection::vec(("[a-d]", inner), 0..4)
                    .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
            ]
        })
    }

    fn any_document() -> impl Strategy<Value = Document> {
        proptest::collection::vec(("[a-e]", value()), 0..5)
            .prop_map(|fields| fields.into_iter().collect())
    }

    proptest! {
        #[test]
        fn a_diff_leads_from_one_to_the_other_and_once_more_changes_nothing(old in any_document(), new in any_document()) {
            let entry = match documents(&old, &new) {
                Some(diff) => doc! { "$v": 2, "diff": diff },
                None => return Ok(()),
            };
            let once = replay(&entry, &old).unwrap();
            prop_assert_eq!(&once, &new);
            prop_assert_eq!(replay(&entry, &once).unwrap(), new);
        }
    }
}
