//! The policy's own questions to a restored server.

use mongodb::bson::{Bson, Document};

use super::extjson;
use super::session::Session;

/// Runs a command, written in Extended JSON, in the database: `{"count": "orders", "query": {"state": "open"}}`.
///
/// Its answer is `n` where it has one; of an aggregation it is the one value, beside `_id`, of the first document.
pub(super) fn ask(
    session: &mut Session,
    database: &str,
    query: &str,
) -> Result<Option<String>, String> {
    let mut command =
        extjson::from_json(query).map_err(|e| format!("it is no command in Extended JSON: {e}"))?;
    // Where all databases were captured, it says itself which one it asks.
    let named = command.remove("$db");
    let database = match (&named, database) {
        (Some(Bson::String(name)), _) => name.as_str(),
        (None, "") => return Err("it names no database; add \"$db\"".to_owned()),
        (None, database) => database,
        (Some(_), _) => return Err("`$db` is no text".to_owned()),
    };
    if command.contains_key("aggregate") && !command.contains_key("cursor") {
        command.insert("cursor", Document::new());
    }
    let said = session
        .command(database, command)
        .map_err(|e| e.to_string())?;
    if let Some(n) = said.get("n") {
        return Ok(value(n));
    }
    let first = said
        .get_document("cursor")
        .ok()
        .and_then(|c| c.get_array("firstBatch").ok());
    let Some(Bson::Document(first)) = first.and_then(|batch| batch.first()) else {
        return Ok(None);
    };
    let mut values = first.iter().filter(|(key, _)| *key != "_id");
    match (values.next(), values.next()) {
        (Some((_, one)), None) => Ok(value(one)),
        _ => Err("it gives more than one value".to_owned()),
    }
}

fn value(value: &Bson) -> Option<String> {
    match value {
        Bson::Null | Bson::Undefined => None,
        Bson::Boolean(is) => Some(is.to_string()),
        Bson::String(text) => Some(text.clone()),
        Bson::Double(n) => Some(n.to_string()),
        other => Some(
            super::session::whole(Some(other)).map_or_else(|| other.to_string(), |n| n.to_string()),
        ),
    }
}
