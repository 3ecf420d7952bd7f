//! What an update makes of a document.

use bson::{Bson, Document};

use crate::fault::{BAD_VALUE, FAILED_TO_PARSE, Fault, IMMUTABLE_FIELD, TYPE_MISMATCH};
use crate::filter;
use crate::order::{compare, real};

/// Whether an update gives a whole new document, and no operators.
pub(crate) fn is_replacement(update: &Document) -> bool {
    !filter::is_operators(update)
}

/// The document after the update. `inserting` tells whether it is made by an upsert.
pub(crate) fn apply(update: &Document, old: &Document, inserting: bool) -> Result<Document, Fault> {
    let new = match is_replacement(update) {
        true => replace(update, old),
        false => operate(update, old, inserting)?,
    };
    match (old.get("_id"), new.get("_id")) {
        (Some(a), Some(b)) if compare(a, b).is_ne() => Err(Fault::new(
            IMMUTABLE_FIELD,
            "Performing an update on the path '_id' would modify the immutable field '_id'",
        )),
        (Some(_), None) => Err(Fault::new(
            IMMUTABLE_FIELD,
            "the field '_id' cannot be removed",
        )),
        _ => Ok(new),
    }
}

fn replace(update: &Document, old: &Document) -> Document {
    let mut new = Document::new();
    if let (None, Some(id)) = (update.get("_id"), old.get("_id")) {
        new.insert("_id", id.clone());
    }
    new.extend(update.clone());
    id_first(new)
}

/// The server keeps `_id` in front.
pub(crate) fn id_first(document: Document) -> Document {
    match document.keys().next() {
        Some(first) if first != "_id" && document.contains_key("_id") => {
            let mut out = Document::new();
            if let Some(id) = document.get("_id") {
                out.insert("_id", id.clone());
            }
            out.extend(document.into_iter().filter(|(name, _)| name != "_id"));
            out
        }
        _ => document,
    }
}

fn operate(update: &Document, old: &Document, inserting: bool) -> Result<Document, Fault> {
    let mut new = old.clone();
    for (operator, fields) in update {
        if operator == "$v" {
            continue;
        }
        let fields = fields.as_document().ok_or_else(|| {
            Fault::new(
                FAILED_TO_PARSE,
                format!("Modifiers operate on fields but we found another type for {operator}"),
            )
        })?;
        for (path, operand) in fields {
            one(&mut new, operator, path, operand, inserting)?;
        }
    }
    Ok(id_first(new))
}

fn one(
    new: &mut Document,
    operator: &str,
    path: &str,
    operand: &Bson,
    inserting: bool,
) -> Result<(), Fault> {
    match operator {
        "$set" => set(new, path, operand.clone()),
        "$setOnInsert" if inserting => set(new, path, operand.clone()),
        "$setOnInsert" => Ok(()),
        "$unset" => {
            unset(new, path);
            Ok(())
        }
        "$inc" => {
            let now = get(new, path).cloned().unwrap_or(Bson::Int32(0));
            set(new, path, sum(&now, operand)?)
        }
        "$push" => push(new, path, operand),
        "$rename" => match (get(new, path).cloned(), operand.as_str()) {
            (Some(value), Some(to)) => {
                unset(new, path);
                set(new, to, value)
            }
            (None, Some(_)) => Ok(()),
            _ => Err(Fault::new(
                BAD_VALUE,
                "The 'to' field for $rename must be a string",
            )),
        },
        other => Err(Fault::new(
            FAILED_TO_PARSE,
            format!("Unknown modifier: {other} (the simulator may not know it)"),
        )),
    }
}

fn push(new: &mut Document, path: &str, operand: &Bson) -> Result<(), Fault> {
    let mut array = match get(new, path) {
        None => Vec::new(),
        Some(Bson::Array(array)) => array.clone(),
        Some(_) => {
            let message = format!("The field '{path}' must be an array");
            return Err(Fault::new(BAD_VALUE, message));
        }
    };
    match operand
        .as_document()
        .and_then(|d| d.get_array("$each").ok())
    {
        Some(each) => array.extend(each.iter().cloned()),
        None => array.push(operand.clone()),
    }
    set(new, path, Bson::Array(array))
}

fn sum(a: &Bson, b: &Bson) -> Result<Bson, Fault> {
    let wrong = || Fault::new(TYPE_MISMATCH, "Cannot increment with or what is no number");
    match (a, b) {
        (Bson::Int32(x), Bson::Int32(y)) => Ok(match x.checked_add(*y) {
            Some(sum) => Bson::Int32(sum),
            None => Bson::Int64(i64::from(*x) + i64::from(*y)),
        }),
        (Bson::Double(_), _) | (_, Bson::Double(_)) if number(a) && number(b) => {
            Ok(Bson::Double(real(a) + real(b)))
        }
        _ => {
            let whole = |n: &Bson| n.as_i64().or_else(|| n.as_i32().map(i64::from));
            let (x, y) = whole(a).zip(whole(b)).ok_or_else(wrong)?;
            x.checked_add(y).map(Bson::Int64).ok_or_else(wrong)
        }
    }
}

fn number(value: &Bson) -> bool {
    matches!(value, Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_))
}

/// What stands at a dotted path, through arrays by their numbers.
fn get<'a>(document: &'a Document, path: &str) -> Option<&'a Bson> {
    let mut steps = path.split('.');
    let mut at = document.get(steps.next()?)?;
    for step in steps {
        at = match at {
            Bson::Document(inner) => inner.get(step)?,
            Bson::Array(elements) => elements.get(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(at)
}

/// How far an array may be filled up by naming an element behind its end, as in the server.
const MOST_FILLED: usize = 1_500_000;

/// Sets what stands at a dotted path, and makes the documents on the way.
pub(crate) fn set(document: &mut Document, path: &str, value: Bson) -> Result<(), Fault> {
    match path.split_once('.') {
        None => {
            document.insert(path, value);
            Ok(())
        }
        Some((first, rest)) => {
            let inner = document
                .entry(first)
                .or_insert_with(|| Bson::Document(Document::new()));
            set_in(inner, rest, value)
        }
    }
}

fn set_in(inner: &mut Bson, path: &str, value: Bson) -> Result<(), Fault> {
    match inner {
        Bson::Document(inner) => set(inner, path, value),
        Bson::Array(elements) => {
            let (first, rest) = path.split_once('.').unwrap_or((path, ""));
            let at = first.parse::<usize>().ok().filter(|at| *at <= MOST_FILLED);
            let at = at.ok_or_else(|| cannot(path))?;
            if elements.len() <= at {
                elements.resize(at + 1, Bson::Null);
            }
            match (elements.get_mut(at), rest) {
                (Some(element), "") => {
                    *element = value;
                    Ok(())
                }
                (Some(element), rest) => {
                    if *element == Bson::Null {
                        *element = Bson::Document(Document::new());
                    }
                    set_in(element, rest, value)
                }
                (None, _) => Err(cannot(path)),
            }
        }
        _ => Err(cannot(path)),
    }
}

fn cannot(path: &str) -> Fault {
    Fault::new(
        28,
        format!("Cannot create field '{path}' in an element that is no document"),
    )
}

fn unset(document: &mut Document, path: &str) {
    match path.split_once('.') {
        None => {
            document.remove(path);
        }
        Some((first, rest)) => {
            if let Some(inner) = document.get_mut(first) {
                unset_in(inner, rest);
            }
        }
    }
}

fn unset_in(inner: &mut Bson, path: &str) {
    match inner {
        Bson::Document(inner) => unset(inner, path),
        Bson::Array(elements) => {
            let (first, rest) = path.split_once('.').unwrap_or((path, ""));
            let at = first
                .parse::<usize>()
                .ok()
                .and_then(|n| elements.get_mut(n));
            match (at, rest) {
                (Some(element), "") => *element = Bson::Null,
                (Some(element), rest) => unset_in(element, rest),
                (None, _) => {}
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    fn made(update: Document, old: Document) -> Document {
        apply(&update, &old, false).unwrap()
    }

    #[test]
    fn operators_and_replacements_make_what_they_say() {
        let old = doc! { "_id": 1, "a": 1, "b": { "c": [1, 2] } };
        assert_eq!(
            made(doc! { "x": 1 }, old.clone()),
            doc! { "_id": 1, "x": 1 }
        );
        assert_eq!(
            made(
                doc! { "$set": { "b.c.1": 9, "d.e": 1 }, "$inc": { "a": 2 } },
                old.clone()
            ),
            doc! { "_id": 1, "a": 3, "b": { "c": [1, 9] }, "d": { "e": 1 } }
        );
        assert_eq!(
            made(
                doc! { "$unset": { "b.c": "" }, "$push": { "p": { "$each": [1, 2] } } },
                old.clone()
            ),
            doc! { "_id": 1, "a": 1, "b": {}, "p": [1, 2] }
        );
        assert_eq!(
            apply(&doc! { "$set": { "_id": 2 } }, &old, false)
                .unwrap_err()
                .code,
            IMMUTABLE_FIELD
        );
        assert!(apply(&doc! { "$bit": { "a": 1 } }, &old, false).is_err());
        assert!(apply(&doc! { "$inc": { "b": 1 } }, &old, false).is_err());
        assert!(apply(&doc! { "$set": { "a.b": 1 } }, &old, false).is_err());
    }
}
