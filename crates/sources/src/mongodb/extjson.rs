//! Canonical Extended JSON, version 2: how an archive tells of options and indexes.
//!
//! Told by
//! <https://github.com/mongodb/specifications/blob/master/source/extended-json/extended-json.md>. The order of fields is
//! kept, since the order of an index's fields is what it is.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mongodb::bson::{
    Binary, Bson, DateTime, Decimal128, Document, JavaScriptCodeWithScope, Regex, Timestamp,
    oid::ObjectId, spec::BinarySubtype,
};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A document as JSON, on one line.
pub(super) fn to_json(document: &Document) -> String {
    let mut out = String::new();
    write_document(&mut out, document);
    out
}

/// A document from JSON, canonical or relaxed. The error is half a sentence.
pub(super) fn from_json(text: &str) -> Result<Document, String> {
    let json: Json = serde_json::from_str(text).map_err(|e| e.to_string())?;
    match value(json)? {
        Bson::Document(document) => Ok(document),
        _ => Err("it is no document".to_owned()),
    }
}

fn write_document(out: &mut String, document: &Document) {
    out.push('{');
    for (n, (key, value)) in document.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        out.push_str(&quoted(key));
        out.push(':');
        write_value(out, value);
    }
    out.push('}');
}

fn write_value(out: &mut String, value: &Bson) {
    match value {
        Bson::Document(document) => write_document(out, document),
        Bson::Array(values) => {
            out.push('[');
            for (n, value) in values.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write_value(out, value);
            }
            out.push(']');
        }
        Bson::String(text) => out.push_str(&quoted(text)),
        Bson::Boolean(is) => out.push_str(if *is { "true" } else { "false" }),
        Bson::Null => out.push_str("null"),
        Bson::JavaScriptCodeWithScope(code) => {
            out.push_str(&format!("{{\"$code\":{},\"$scope\":", quoted(&code.code)));
            write_document(out, &code.scope);
            out.push('}');
        }
        other => out.push_str(&wrapped(other)),
    }
}

/// A value that JSON has no word for.
fn wrapped(value: &Bson) -> String {
    let one = |key: &str, text: &str| format!("{{\"{key}\":{}}}", quoted(text));
    match value {
        Bson::Int32(n) => one("$numberInt", &n.to_string()),
        Bson::Int64(n) => one("$numberLong", &n.to_string()),
        Bson::Double(n) => one("$numberDouble", &double(*n)),
        Bson::Decimal128(n) => one("$numberDecimal", &n.to_string()),
        Bson::ObjectId(id) => one("$oid", &id.to_hex()),
        Bson::Symbol(text) => one("$symbol", text),
        Bson::JavaScriptCode(text) => one("$code", text),
        Bson::DateTime(at) => {
            format!(
                "{{\"$date\":{}}}",
                one("$numberLong", &at.timestamp_millis().to_string())
            )
        }
        Bson::Timestamp(at) => {
            format!(
                "{{\"$timestamp\":{{\"t\":{},\"i\":{}}}}}",
                at.time, at.increment
            )
        }
        Bson::RegularExpression(regex) => format!(
            "{{\"$regularExpression\":{{\"pattern\":{},\"options\":{}}}}}",
            quoted(regex.pattern.as_str()),
            quoted(regex.options.as_str())
        ),
        Bson::Binary(binary) => format!(
            "{{\"$binary\":{{\"base64\":\"{}\",\"subType\":\"{:02x}\"}}}}",
            BASE64.encode(&binary.bytes),
            u8::from(binary.subtype)
        ),
        Bson::MinKey => "{\"$minKey\":1}".to_owned(),
        Bson::MaxKey => "{\"$maxKey\":1}".to_owned(),
        Bson::Undefined => "{\"$undefined\":true}".to_owned(),
        // The one kind whose parts the driver hides; nobody writes it any more.
        other => one("$symbol", &other.to_string()),
    }
}

/// As the specification wants it: always with a point, and words for what is no number.
fn double(n: f64) -> String {
    if n.is_nan() {
        return "NaN".to_owned();
    }
    if n.is_infinite() {
        return if n > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    format!("{n:?}")
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// JSON whose fields keep their order.
enum Json {
    Plain(Value),
    List(Vec<Json>),
    Fields(Vec<(String, Json)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Json, D::Error> {
        from.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Plain(Value::Null))
    }
    fn visit_bool<E>(self, is: bool) -> Result<Json, E> {
        Ok(Json::Plain(is.into()))
    }
    fn visit_i64<E>(self, n: i64) -> Result<Json, E> {
        Ok(Json::Plain(n.into()))
    }
    fn visit_u64<E>(self, n: u64) -> Result<Json, E> {
        Ok(Json::Plain(n.into()))
    }
    fn visit_f64<E>(self, n: f64) -> Result<Json, E> {
        Ok(Json::Plain(n.into()))
    }
    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Plain(text.into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let mut out = Vec::new();
        while let Some(value) = from.next_element()? {
            out.push(value);
        }
        Ok(Json::List(out))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let mut out = Vec::new();
        while let Some(pair) = from.next_entry()? {
            out.push(pair);
        }
        Ok(Json::Fields(out))
    }
}

fn value(json: Json) -> Result<Bson, String> {
    match json {
        Json::Plain(Value::Null) => Ok(Bson::Null),
        Json::Plain(Value::Bool(is)) => Ok(Bson::Boolean(is)),
        Json::Plain(Value::String(text)) => Ok(Bson::String(text)),
        Json::Plain(Value::Number(n)) => number(&n),
        Json::Plain(_) => Err("it has a value of no kind".to_owned()),
        Json::List(values) => values
            .into_iter()
            .map(value)
            .collect::<Result<_, _>>()
            .map(Bson::Array),
        Json::Fields(fields) => match fields.first() {
            Some((key, _)) if key.starts_with('$') && is_wrapper(&fields) => unwrapped(fields),
            _ => document(fields).map(Bson::Document),
        },
    }
}

fn document(fields: Vec<(String, Json)>) -> Result<Document, String> {
    let pair = |(key, json)| value(json).map(|value| (key, value));
    fields.into_iter().map(pair).collect()
}

fn number(n: &serde_json::Number) -> Result<Bson, String> {
    if let Some(n) = n.as_i64() {
        return Ok(i32::try_from(n).map_or(Bson::Int64(n), Bson::Int32));
    }
    n.as_f64()
        .map(Bson::Double)
        .ok_or_else(|| format!("{n} is no number of BSON"))
}

/// Whether the keys are those of a value that JSON has no word for; others with a `$` are operators.
fn is_wrapper(fields: &[(String, Json)]) -> bool {
    let keys: Vec<&str> = fields.iter().map(|(key, _)| key.as_str()).collect();
    let single = [
        "$numberInt",
        "$numberLong",
        "$numberDouble",
        "$numberDecimal",
        "$oid",
        "$symbol",
        "$code",
        "$date",
        "$timestamp",
        "$regularExpression",
        "$binary",
        "$minKey",
        "$maxKey",
        "$undefined",
    ];
    match keys.as_slice() {
        [key] => single.contains(key),
        ["$code", "$scope"] => true,
        _ => false,
    }
}

fn unwrapped(fields: Vec<(String, Json)>) -> Result<Bson, String> {
    let mut fields = fields.into_iter();
    let Some((key, first)) = fields.next() else {
        return Ok(Bson::Document(Document::new()));
    };
    let wrong = |key: &str| format!("`{key}` has no value that fits");
    if let Some((_, scope)) = fields.next() {
        return match (text(first), value(scope)?) {
            (Some(code), Bson::Document(scope)) => {
                Ok(Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope {
                    code,
                    scope,
                }))
            }
            _ => Err(wrong("$code")),
        };
    }
    if let Json::Fields(inner) = first {
        return composed(&key, inner).ok_or_else(|| wrong(&key));
    }
    let found = match key.as_str() {
        "$minKey" => Some(Bson::MinKey),
        "$maxKey" => Some(Bson::MaxKey),
        "$undefined" => Some(Bson::Undefined),
        _ => text(first).and_then(|text| simple(&key, text)),
    };
    found.ok_or_else(|| wrong(&key))
}

fn text(json: Json) -> Option<String> {
    match json {
        Json::Plain(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn simple(key: &str, text: String) -> Option<Bson> {
    Some(match key {
        "$numberInt" => Bson::Int32(text.parse().ok()?),
        "$numberLong" => Bson::Int64(text.parse().ok()?),
        "$numberDouble" => Bson::Double(text.parse().ok()?),
        "$numberDecimal" => Bson::Decimal128(text.parse::<Decimal128>().ok()?),
        "$oid" => Bson::ObjectId(ObjectId::parse_str(text).ok()?),
        "$symbol" => Bson::Symbol(text),
        "$code" => Bson::JavaScriptCode(text),
        "$date" => Bson::DateTime(DateTime::parse_rfc3339_str(text).ok()?),
        _ => return None,
    })
}

fn composed(key: &str, inner: Vec<(String, Json)>) -> Option<Bson> {
    let mut parts = Document::new();
    for (key, json) in inner {
        parts.insert(key, value(json).ok()?);
    }
    let whole = |key: &str| match parts.get(key) {
        Some(Bson::Int32(n)) => u32::try_from(*n).ok(),
        Some(Bson::Int64(n)) => u32::try_from(*n).ok(),
        _ => None,
    };
    Some(match key {
        "$date" => match parts.get("$numberLong") {
            Some(Bson::String(text)) => Bson::DateTime(DateTime::from_millis(text.parse().ok()?)),
            _ => return None,
        },
        "$timestamp" => Bson::Timestamp(Timestamp {
            time: whole("t")?,
            increment: whole("i")?,
        }),
        "$regularExpression" => Bson::RegularExpression(Regex {
            pattern: parts.get_str("pattern").ok()?.to_owned().try_into().ok()?,
            options: parts.get_str("options").ok()?.to_owned().try_into().ok()?,
        }),
        "$binary" => Bson::Binary(Binary {
            bytes: BASE64.decode(parts.get_str("base64").ok()?).ok()?,
            subtype: BinarySubtype::from(
                u8::from_str_radix(parts.get_str("subType").ok()?, 16).ok()?,
            ),
        }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    #[test]
    fn every_kind_of_value_comes_back() {
        let regex = Regex {
            pattern: "^a\"b".to_owned().try_into().unwrap(),
            options: "i".to_owned().try_into().unwrap(),
        };
        let all = doc! {
            "b": 1, "a": -7_i64, "d": 1.0, "big": 1e300, "t": "é\n\"", "n": Bson::Null, "y": true,
            "o": ObjectId::from_bytes([7; 12]), "at": DateTime::from_millis(-5), "ts": Timestamp { time: u32::MAX, increment: 3 },
            "re": regex, "list": [1, [doc! {}], Bson::MinKey], "max": Bson::MaxKey, "u": Bson::Undefined,
            "code": Bson::JavaScriptCode("x".into()), "sym": Bson::Symbol("s".into()),
            "scoped": Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code: "y".into(), scope: doc! { "z": 1 } }),
            "dec": Bson::Decimal128("1.50".parse().unwrap()),
            "query": { "$gt": 5, "$exists": true }, "only": { "$gt": 1 },
        };
        let json = to_json(&all);
        assert_eq!(from_json(&json).unwrap(), all, "{json}");
        for length in 0..9 {
            let bytes: Vec<u8> = (0..length).map(|n: u8| n.wrapping_mul(37)).collect();
            let binary = Binary {
                subtype: BinarySubtype::Generic,
                bytes,
            };
            let document = doc! { "x": binary };
            assert_eq!(from_json(&to_json(&document)).unwrap(), document);
        }
    }

    #[test]
    fn it_is_written_as_the_specification_has_it() {
        let document = doc! { "a": 1, "b": 1.5, "c": 2.0, "d": f64::NAN, "e": [true], "f": { "g": Timestamp { time: 1, increment: 2 } } };
        assert_eq!(
            to_json(&document),
            r#"{"a":{"$numberInt":"1"},"b":{"$numberDouble":"1.5"},"c":{"$numberDouble":"2.0"},"d":{"$numberDouble":"NaN"},"e":[true],"f":{"g":{"$timestamp":{"t":1,"i":2}}}}"#
        );
    }

    #[test]
    fn relaxed_json_is_read_and_what_is_none_is_said() {
        let read =
            from_json(r#"{"b":1,"a":5000000000,"c":1.5,"d":{"$date":"1970-01-01T00:00:01Z"}}"#)
                .unwrap();
        assert_eq!(
            read,
            doc! { "b": 1, "a": 5_000_000_000_i64, "c": 1.5, "d": DateTime::from_millis(1000) }
        );
        assert_eq!(read.keys().next().map(String::as_str), Some("b"));
        for bad in [
            "",
            "[1]",
            "{",
            r#"{"a":{"$oid":"x"}}"#,
            r#"{"a":{"$numberInt":1}}"#,
            r#"{"a":{"$timestamp":{"t":-1,"i":0}}}"#,
        ] {
            assert!(from_json(bad).is_err(), "{bad}");
        }
    }
}
