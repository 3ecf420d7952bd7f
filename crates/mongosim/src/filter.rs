//! Which documents a query takes.

use std::cmp::Ordering;

use bson::{Bson, Document};

use crate::fault::{BAD_VALUE, Fault};
use crate::order::{class, compare, real};

/// Whether `document` is one that `filter` takes; an operator that is not known is a fault.
pub(crate) fn matches(filter: &Document, document: &Document) -> Result<bool, Fault> {
    for (name, condition) in filter {
        let holds = match name.as_str() {
            "$and" => parts(condition)?.iter().try_fold(true, |so_far, part| {
                Ok::<_, Fault>(so_far && matches(part, document)?)
            })?,
            "$or" => any(&parts(condition)?, document)?,
            "$nor" => !any(&parts(condition)?, document)?,
            "$comment" => true,
            "$expr" if condition == &Bson::Boolean(true) => true,
            name if name.starts_with('$') => return Err(unknown(name)),
            path => field(&values(document, path), condition)?,
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn any(parts: &[&Document], document: &Document) -> Result<bool, Fault> {
    parts
        .iter()
        .try_fold(false, |so_far, part| Ok(so_far || matches(part, document)?))
}

fn parts(condition: &Bson) -> Result<Vec<&Document>, Fault> {
    let parts = condition.as_array().filter(|parts| !parts.is_empty());
    let parts = parts.ok_or_else(|| bad("$and/$or/$nor must be a nonempty array"))?;
    parts
        .iter()
        .map(|part| {
            part.as_document()
                .ok_or_else(|| bad("$or/$and/$nor entries need to be full objects"))
        })
        .collect()
}

/// What stands at a dotted path; through an array its elements too.
pub(crate) fn values<'a>(document: &'a Document, path: &str) -> Vec<&'a Bson> {
    let mut found = Vec::new();
    match path.split_once('.') {
        None => found.extend(document.get(path)),
        Some((first, rest)) => {
            if let Some(value) = document.get(first) {
                below(value, rest, &mut found);
            }
        }
    }
    found
}

fn below<'a>(value: &'a Bson, path: &str, found: &mut Vec<&'a Bson>) {
    match value {
        Bson::Document(inner) => found.extend(values(inner, path)),
        Bson::Array(elements) => {
            let (first, rest) = path.split_once('.').unwrap_or((path, ""));
            let at = first.parse::<usize>().ok().and_then(|n| elements.get(n));
            match at {
                Some(element) if rest.is_empty() => found.push(element),
                Some(element) => below(element, rest, found),
                None => {}
            }
            for element in elements {
                if let Bson::Document(inner) = element {
                    found.extend(values(inner, path));
                }
            }
        }
        _ => {}
    }
}

fn field(values: &[&Bson], condition: &Bson) -> Result<bool, Fault> {
    match condition {
        Bson::Document(operators) if is_operators(operators) => {
            for (name, operand) in operators {
                if !operator(name, operand, values)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Bson::RegularExpression(_) => Err(unknown("$regex")),
        other => Ok(equals(values, other)),
    }
}

/// Whether a document is one of operators and no value.
pub(crate) fn is_operators(document: &Document) -> bool {
    document
        .keys()
        .next()
        .is_some_and(|name| name.starts_with('$'))
}

fn operator(name: &str, operand: &Bson, values: &[&Bson]) -> Result<bool, Fault> {
    let list = || {
        operand
            .as_array()
            .ok_or_else(|| bad(format!("{name} needs an array")))
    };
    let holds = match name {
        "$eq" => equals(values, operand),
        "$ne" => !equals(values, operand),
        "$gt" => compares(values, operand, |order| order == Ordering::Greater),
        "$gte" => compares(values, operand, |order| order != Ordering::Less),
        "$lt" => compares(values, operand, |order| order == Ordering::Less),
        "$lte" => compares(values, operand, |order| order != Ordering::Greater),
        "$in" => list()?.iter().any(|one| equals(values, one)),
        "$nin" => !list()?.iter().any(|one| equals(values, one)),
        "$exists" => truth(operand) != values.is_empty(),
        "$not" => !field(values, operand)?,
        "$size" => values.iter().any(|value| match value {
            Bson::Array(elements) => elements.len() as f64 == real(operand),
            _ => false,
        }),
        "$mod" => match list()?.as_slice() {
            [divisor, rest] if real(divisor) != 0.0 => values
                .iter()
                .any(|v| class(v) == 3 && (real(v) % real(divisor)).trunc() == real(rest)),
            _ => return Err(bad("malformed mod")),
        },
        other => return Err(unknown(other)),
    };
    Ok(holds)
}

/// What counts as true in a condition or an option.
pub(crate) fn truth(value: &Bson) -> bool {
    match value {
        Bson::Boolean(b) => *b,
        Bson::Null | Bson::Undefined => false,
        Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) => real(value) != 0.0,
        _ => true,
    }
}

fn equals(values: &[&Bson], wanted: &Bson) -> bool {
    if values.is_empty() {
        return matches!(wanted, Bson::Null);
    }
    with_elements(values).any(|value| compare(value, wanted).is_eq())
}

fn compares(values: &[&Bson], operand: &Bson, wanted: impl Fn(Ordering) -> bool) -> bool {
    let all_types = matches!(operand, Bson::MinKey | Bson::MaxKey);
    with_elements(values).any(|value| {
        (all_types || class(value) == class(operand)) && wanted(compare(value, operand))
    })
}

/// The values, and of each array what is in it.
fn with_elements<'a>(values: &'a [&'a Bson]) -> impl Iterator<Item = &'a Bson> {
    values.iter().flat_map(|value| {
        let elements = value.as_array().map(Vec::as_slice).unwrap_or_default();
        std::iter::once(*value).chain(elements)
    })
}

fn unknown(name: &str) -> Fault {
    bad(format!(
        "unknown operator: {name} (the simulator may not know it)"
    ))
}

fn bad(message: impl Into<String>) -> Fault {
    Fault::new(BAD_VALUE, message)
}

/// The `_id` that a filter demands, if it is a plain value: then no other document can match.
pub(crate) fn exact_id(filter: &Document) -> Option<&Bson> {
    match filter.get("_id")? {
        Bson::Document(operators) if is_operators(operators) => match operators.iter().next() {
            Some((name, value)) if name == "$eq" && operators.len() == 1 => Some(value),
            _ => None,
        },
        Bson::Array(_) | Bson::RegularExpression(_) | Bson::Null => None,
        value => Some(value),
    }
}

/// Sorts by the fields of `sort`, each 1 or -1. Of an array the least or the greatest element counts.
pub(crate) fn sort<T: AsRef<Document>>(documents: &mut [T], sort: &Document) {
    documents.sort_by(|a, b| {
        for (path, direction) in sort {
            let down = real(direction) < 0.0;
            let (x, y) = (edge(a.as_ref(), path, down), edge(b.as_ref(), path, down));
            let order = compare(x, y);
            if order.is_ne() {
                return if down { order.reverse() } else { order };
            }
        }
        Ordering::Equal
    });
}

fn edge<'a>(document: &'a Document, path: &str, greatest: bool) -> &'a Bson {
    let found = values(document, path);
    let all = found.iter().flat_map(|value| match value {
        Bson::Array(elements) if !elements.is_empty() => elements.iter().collect(),
        _ => vec![*value],
    });
    let edge = match greatest {
        true => all.max_by(|a, b| compare(a, b)),
        false => all.min_by(|a, b| compare(a, b)),
    };
    edge.unwrap_or(&Bson::Null)
}

/// Of top-level fields and dotted ones in documents, either those that are named or all the others.
pub(crate) fn project(projection: &Document, document: &Document) -> Document {
    let takes = |value: &Bson| truth(value);
    let including = projection
        .iter()
        .find(|(name, _)| *name != "_id")
        .is_some_and(|(_, value)| takes(value))
        || (projection.len() == 1 && projection.get("_id").is_some_and(takes));
    let id = projection.get("_id").is_none_or(takes);
    if !including {
        let mut left = document.clone();
        for name in projection.iter().filter(|(_, v)| !takes(v)).map(|(n, _)| n) {
            remove(&mut left, name);
        }
        return left;
    }
    let named: Vec<&str> = projection
        .iter()
        .filter(|(name, value)| *name != "_id" && takes(value))
        .map(|(name, _)| name.as_str())
        .collect();
    let mut out = Document::new();
    for (name, value) in document {
        match name.as_str() {
            "_id" if id => {
                out.insert("_id", value.clone());
            }
            "_id" => {}
            name => keep(&mut out, name, value, &named),
        }
    }
    out
}

fn keep(out: &mut Document, name: &str, value: &Bson, named: &[&str]) {
    if named.contains(&name) {
        out.insert(name, value.clone());
        return;
    }
    let inside: Vec<&str> = named
        .iter()
        .filter_map(|path| path.strip_prefix(name)?.strip_prefix('.'))
        .collect();
    if let (false, Bson::Document(inner)) = (inside.is_empty(), value) {
        let mut kept = Document::new();
        for (name, value) in inner {
            keep(&mut kept, name, value, &inside);
        }
        out.insert(name, kept);
    }
}

fn remove(document: &mut Document, path: &str) {
    match path.split_once('.') {
        None => {
            document.remove(path);
        }
        Some((first, rest)) => {
            if let Ok(inner) = document.get_document_mut(first) {
                remove(inner, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    fn takes(filter: Document, document: &Document) -> bool {
        matches(&filter, document).unwrap()
    }

    #[test]
    fn conditions_hold_as_in_the_server() {
        let one = doc! { "a": 5, "b": { "c": [1, 2, { "d": 7 }] }, "n": null, "s": "x" };
        for filter in [
            doc! {},
            doc! { "a": 5.0 },
            doc! { "b.c": 2 },
            doc! { "b.c.d": 7 },
            doc! { "b.c.0": 1 },
            doc! { "n": null },
            doc! { "missing": null },
            doc! { "a": { "$gt": 4, "$lte": 5 } },
            doc! { "a": { "$in": [1, 5] }, "s": { "$nin": ["y"] } },
            doc! { "missing": { "$exists": false } },
            doc! { "$or": [{ "a": 1 }, { "s": "x" }] },
            doc! { "$and": [{ "a": { "$ne": 1 } }, { "a": { "$not": { "$lt": 2 } } }] },
            doc! { "a": { "$mod": [2, 1] } },
        ] {
            assert!(takes(filter.clone(), &one), "{filter}");
        }
        for filter in [
            doc! { "a": "5" },
            doc! { "a": { "$gt": "4" } },
            doc! { "s": { "$gt": 1 } },
            doc! { "b.c": 9 },
            doc! { "a": { "$exists": false } },
            doc! { "$nor": [{ "a": 5 }] },
        ] {
            assert!(!takes(filter.clone(), &one), "{filter}");
        }
        assert!(matches(&doc! { "a": { "$near": 1 } }, &one).is_err());
        assert!(matches(&doc! { "$and": [] }, &one).is_err());
    }

    #[test]
    fn fields_are_chosen_and_left_out() {
        let one = doc! { "_id": 1, "a": { "b": 1, "c": 2 }, "d": 3 };
        assert_eq!(project(&doc! { "d": 1 }, &one), doc! { "_id": 1, "d": 3 });
        assert_eq!(
            project(&doc! { "_id": 0, "a.b": 1 }, &one),
            doc! { "a": { "b": 1 } }
        );
        assert_eq!(
            project(&doc! { "a.b": 0 }, &one),
            doc! { "_id": 1, "a": { "c": 2 }, "d": 3 }
        );
        assert_eq!(project(&doc! { "_id": 1 }, &one), doc! { "_id": 1 });
        assert_eq!(
            project(&doc! { "_id": 0 }, &one),
            doc! { "a": { "b": 1, "c": 2 }, "d": 3 }
        );
    }
}
