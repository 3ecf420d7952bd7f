//! The schema against the lowering, both ways.

use std::collections::BTreeSet;
use std::path::Path;

use super::tests_support::sections;
use super::*;
use crate::located::{self, Node, Style};
use crate::lower::tests::{EVERYTHING, EXAMPLE};

/// Whether a tree has the structure that a schema asks for: types, keys, items, references, alternatives.
fn check(schema: &Value, whole: &Value, node: &Node, path: &str) -> Result<(), String> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.trim_start_matches("#/$defs/").replace("%20", " ");
        return check(&whole["$defs"][name.as_str()], whole, node, path);
    }
    if let Some(all) = schema.get("anyOf").and_then(Value::as_array) {
        let tried: Vec<_> = all.iter().map(|s| check(s, whole, node, path)).collect();
        return match tried.iter().any(Result::is_ok) {
            true => Ok(()),
            false => tried.into_iter().next().unwrap_or(Ok(())),
        };
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let found = match &node.value {
        _ if node.is_null() => "null",
        located::Value::Map(_) => "object",
        located::Value::List(_) => "array",
        located::Value::Scalar {
            text,
            style: Style::Plain,
        } if text.parse::<i64>().is_ok() => "integer",
        located::Value::Scalar {
            text,
            style: Style::Plain,
        } if text.parse::<f64>().is_ok() => "number",
        located::Value::Scalar {
            text,
            style: Style::Plain,
        } if text == "true" || text == "false" => "boolean",
        located::Value::Scalar { .. } => "string",
    };
    let fits = types.contains(&found) || (found == "integer" && types.contains(&"number"));
    if !fits {
        return Err(format!("{path} is {found}, not {types:?}"));
    }
    match &node.value {
        located::Value::Map(items) => {
            for item in items {
                let inner = schema["properties"].get(&item.key);
                let inner = inner
                    .or_else(|| schema.get("additionalProperties"))
                    .unwrap();
                if *inner == Value::Bool(false) {
                    return Err(format!("{path}/{} is not known", item.key));
                }
                check(inner, whole, &item.node, &format!("{path}/{}", item.key))?;
            }
        }
        located::Value::List(nodes) => {
            for node in nodes {
                check(&schema["items"], whole, node, path)?;
            }
        }
        located::Value::Scalar { .. } => {}
    }
    Ok(())
}

fn validate(text: &str) -> Result<(), String> {
    let whole = schema();
    let (node, problems) = located::parse(text);
    assert!(problems.is_empty());
    check(&whole, &whole, &node.unwrap(), "")
}

#[test]
fn real_policies_fit() {
    for text in [
        EXAMPLE,
        EVERYTHING,
        crate::template("default").unwrap(),
        crate::template("files").unwrap(),
        include_str!("../../../../examples/policies/stated/social-workshop.yaml"),
        include_str!("../../../../examples/policies/stated/5x.yaml"),
        include_str!("../../../../examples/policies/stated/web-firm.yaml"),
        include_str!("../../../../examples/policies/stated/bangkok.yaml"),
        include_str!("../../../../examples/policies/stated/quickseries.yaml"),
        include_str!("../../../../examples/policies/corrected/social-workshop.yaml"),
        include_str!("../../../../examples/policies/corrected/5x.yaml"),
        include_str!("../../../../examples/policies/corrected/web-firm.yaml"),
        include_str!("../../../../examples/policies/corrected/bangkok.yaml"),
        include_str!("../../../../examples/policies/corrected/quickseries.yaml"),
    ] {
        assert_eq!(validate(text), Ok(()));
    }
}

#[test]
fn what_the_lowering_refuses_does_not_fit() {
    for text in [
        "sytems: {}",
        "systems: { a: { sorce: x } }",
        "systems: [a]",
        "plans: { p: { keep: 5 days } }",
        "tiers: { t: { copies: { min: two } } }",
        "systems: { a: { source: 'pg:x', password: secret } }",
        "vaults: { v: { url: /v, kms: alias/mine } }",
        "vaults: { v: { url: /v, keys: { rotates: year } } }",
    ] {
        assert!(validate(text).is_err(), "{text}");
        assert!(
            crate::lower(text, "p", Path::new("/p"), String::new())
                .policy
                .is_none(),
            "{text}"
        );
    }
}

/// Every key that the schema names, in the lowering as well, and the other way round.
#[test]
fn schema_and_lowering_know_the_same_keys() {
    let whole = schema();
    for section in sections() {
        let object = match section.name {
            "policy file" => &whole,
            name => &whole["$defs"][name],
        };
        let in_schema: BTreeSet<&str> = object["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        for key in &in_schema {
            assert!(section.knows(key), "{}: {key}", section.name);
        }
        assert_eq!(
            in_schema,
            section.keys().map(|k| k.name).collect(),
            "{}",
            section.name
        );
        assert_eq!(object["additionalProperties"], Value::Bool(false));
    }
    let definitions = whole["$defs"].as_object().unwrap().len();
    assert_eq!(definitions + 1, sections().len());
}

#[test]
fn every_key_says_what_it_is() {
    for section in sections() {
        for key in section.keys() {
            assert!(key.about.len() > 2, "{}/{}", section.name, key.name);
        }
    }
}

/// What stands behind a key, in a few words.
fn plainly(form: &Form) -> String {
    match form {
        Form::Text | Form::Prose => "text".to_owned(),
        Form::Flag => "true or false".to_owned(),
        Form::Count => "number from 1".to_owned(),
        Form::Length => "length, months too".to_owned(),
        Form::Exact => "exact length".to_owned(),
        Form::Schedule => "schedule".to_owned(),
        Form::Share => "share".to_owned(),
        Form::Rate => "bytes a second".to_owned(),
        Form::WallTime => "time of day".to_owned(),
        Form::Date => "day".to_owned(),
        Form::Digest => "SHA-256".to_owned(),
        Form::Word(words) => words.join(", "),
        Form::Reference(to) => format!("name in `{to}`"),
        Form::Known(to) => format!("name in `{to}`, if there are any"),
        Form::Section(s) => format!("[{}](#{})", s.name, s.name.replace(' ', "-")),
        Form::Named(s) => format!("names to [{}](#{})", s.name, s.name.replace(' ', "-")),
        Form::NamedAny(forms) => format!("names to {}", either(forms)),
        Form::Any(forms) => either(forms),
        Form::List(inner) => format!("list of {}", plainly(inner)),
    }
}

fn either(forms: &[Form]) -> String {
    match forms {
        // One of a kind, or several of it.
        [one, Form::List(inner)] if plainly(one) == plainly(inner) => {
            format!("{}; or a list", plainly(one))
        }
        forms => {
            let all: Vec<String> = forms.iter().map(plainly).collect();
            all.join("; or ")
        }
    }
}

fn reference_page() -> String {
    let mut out = String::new();
    for section in sections() {
        out.push_str(&format!(
            "### {}\n\n| key | what it takes | what it says |\n|---|---|---|\n",
            section.name
        ));
        for key in section.keys() {
            out.push_str(&format!(
                "| `{}` | {} | {} |\n",
                key.name,
                plainly(&key.form),
                key.about
            ));
        }
        out.push('\n');
    }
    out
}

#[test]
fn the_documentation_has_every_key() {
    let page = include_str!("../../../../docs/policy.md");
    let reference = reference_page();
    assert!(
        page.trim_end().ends_with(reference.trim_end()),
        "docs/policy.md must end with this:\n{reference}"
    );
}
