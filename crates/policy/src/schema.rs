//! JSON Schema of the policy file, made from the same tables of keys that the lowering reads by.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::keys::{Form, ROOT, Section};

/// JSON Schema (draft 2020-12) of the policy file, for editors and validators.
///
/// It knows every key that the lowering knows and no other. It says of values only what every validator can
/// check; what a schedule or a length may be is in the descriptions.
pub fn schema() -> Value {
    let mut definitions = BTreeMap::new();
    let mut root = object(&ROOT, &mut definitions);
    let mut out = Map::new();
    out.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    out.insert("title".to_owned(), json!("Vouchsafe policy"));
    out.append(&mut root);
    let definitions: Map<String, Value> = definitions
        .into_iter()
        .map(|(name, object)| (name.to_owned(), Value::Object(object)))
        .collect();
    out.insert("$defs".to_owned(), Value::Object(definitions));
    Value::Object(out)
}

type Definitions = BTreeMap<&'static str, Map<String, Value>>;

fn object(section: &'static Section, definitions: &mut Definitions) -> Map<String, Value> {
    let mut properties = Map::new();
    for key in section.keys() {
        let mut value = form(&key.form, definitions);
        value.insert("description".to_owned(), json!(key.about));
        properties.insert(key.name.to_owned(), Value::Object(value));
    }
    let mut out = Map::new();
    out.insert("type".to_owned(), json!(["object", "null"]));
    out.insert("additionalProperties".to_owned(), json!(false));
    out.insert("properties".to_owned(), Value::Object(properties));
    out
}

fn reference(section: &'static Section, definitions: &mut Definitions) -> Map<String, Value> {
    if !definitions.contains_key(section.name) {
        // Put down first, so that a section within itself would end.
        definitions.insert(section.name, Map::new());
        let object = object(section, definitions);
        definitions.insert(section.name, object);
    }
    let name = section.name.replace(' ', "%20");
    of(json!({ "$ref": format!("#/$defs/{name}") }))
}

fn form(form: &Form, definitions: &mut Definitions) -> Map<String, Value> {
    match form {
        Form::Text => of(json!({ "type": ["string", "number", "boolean", "null"] })),
        Form::Prose => of(json!({ "type": ["string", "number", "boolean", "null"] })),
        Form::Flag => of(json!({ "type": ["boolean", "null"] })),
        Form::Count => of(json!({ "type": ["integer", "null"], "minimum": 1, "maximum": 1000 })),
        Form::Length => of(json!({
            "type": ["string", "null"], "examples": ["24h", "35 days", "1 month", "7 years", "P35D"]
        })),
        Form::Exact => {
            of(json!({ "type": ["string", "null"], "examples": ["5m", "24h", "35 days", "PT5M"] }))
        }
        Form::Schedule => of(json!({ "type": ["string", "null"], "examples": [
            "daily at 02:00 UTC", "every 6 hours", "2 per day", "weekly on sunday at 03:00 Europe/London",
            "every month", "hourly", "0 2 * * * Europe/London"
        ] })),
        Form::Share => of(json!({ "type": ["string", "null"], "examples": ["1/4", "25%", "all"] })),
        Form::Rate => {
            of(json!({ "type": ["string", "null"], "examples": ["10MiB/s", "500 KiB/s", "2MB/s"] }))
        }
        Form::WallTime => of(
            json!({ "type": ["string", "null"], "examples": ["04:00 UTC", "04:00 Europe/London"] }),
        ),
        Form::Date => {
            of(json!({ "type": ["string", "null"], "pattern": "^\\d{4}-\\d{2}-\\d{2}$" }))
        }
        Form::Digest => of(json!({ "type": ["string", "null"], "pattern": "^[0-9a-fA-F]{64}$" })),
        Form::Word(words) => {
            let mut all: Vec<Value> = words.iter().map(|w| json!(w)).collect();
            // YAML takes a word like 1.3 for a number unless it stands in quotes.
            all.extend(
                words
                    .iter()
                    .filter_map(|w| w.parse::<f64>().ok())
                    .map(|n| json!(n)),
            );
            all.push(Value::Null);
            of(json!({ "enum": all }))
        }
        Form::Reference(to) => of(
            json!({ "type": ["string", "number", "null"], "$comment": format!("a name under `{to}`") }),
        ),
        Form::Known(to) => of(
            json!({ "type": ["string", "number", "null"], "$comment": format!("a name under `{to}`, if there are any") }),
        ),
        Form::Section(section) => reference(section, definitions),
        Form::Named(section) => {
            let inner = reference(section, definitions);
            of(json!({ "type": ["object", "null"], "additionalProperties": inner }))
        }
        Form::NamedAny(forms) => {
            let inner = any(forms, definitions);
            of(json!({ "type": ["object", "null"], "additionalProperties": inner }))
        }
        Form::Any(forms) => any(forms, definitions),
        Form::List(inner) => {
            let inner = self::form(inner, definitions);
            of(json!({ "type": ["array", "null"], "items": inner }))
        }
    }
}

fn any(forms: &[Form], definitions: &mut Definitions) -> Map<String, Value> {
    let all: Vec<Value> = forms
        .iter()
        .map(|f| Value::Object(form(f, definitions)))
        .collect();
    of(json!({ "anyOf": all }))
}

fn of(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests;

/// Every section that can be reached from the root, for tests.
#[cfg(test)]
pub(crate) mod tests_support {
    use super::*;

    pub(crate) fn sections() -> Vec<&'static Section> {
        let mut out: Vec<&'static Section> = vec![&ROOT];
        let mut at = 0;
        while let Some(section) = out.get(at).copied() {
            at += 1;
            for key in section.keys() {
                follow(&key.form, &mut out);
            }
        }
        out
    }

    fn follow(form: &Form, out: &mut Vec<&'static Section>) {
        match form {
            Form::Section(s) | Form::Named(s) if !out.iter().any(|o| o.name == s.name) => {
                out.push(s)
            }
            Form::NamedAny(forms) | Form::Any(forms) => forms.iter().for_each(|f| follow(f, out)),
            Form::List(inner) => follow(inner, out),
            _ => {}
        }
    }
}
