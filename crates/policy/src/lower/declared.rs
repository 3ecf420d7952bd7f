//! Reading what is only declared: by the table of keys itself, since nothing is computed from it yet.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::policy::Location;

use crate::declared::{Entry, Requirement, Said};
use crate::keys::{self, Form, Section, declared as tables};
use crate::located::{Item, Node, Value};
use crate::lower::fields::{Ctx, Fields};
use crate::lower::parts;
use crate::lower::tables::{digest, section};
use crate::problem::Level;
use crate::sources::holds_password;

/// Every table of the root whose names others may refer to, with the word for one of them.
const NAMED: [(&str, &str); 12] = [
    ("vault", "vaults"),
    ("tier", "tiers"),
    ("class", "classes"),
    ("plan", "plans"),
    ("system", "systems"),
    ("document", "documents"),
    ("environment", "environments"),
    ("application", "applications"),
    ("location", "locations"),
    ("role", "roles"),
    ("provider", "providers"),
    ("runbook", "runbooks"),
];

/// Notes which names the file declares, before anything refers to them.
pub(super) fn names(ctx: &mut Ctx, root: Fields<'_>) {
    for (what, table) in NAMED.into_iter().chain([("key", "keys")]) {
        let item = root.get(ctx, table);
        let names: BTreeSet<String> = item
            .map(|i| i.node.keys().map(str::to_owned).collect())
            .unwrap_or_default();
        ctx.declared.insert(what, names);
    }
}

fn one_of(table: &str) -> &'static str {
    let found = NAMED.iter().find(|(_, plural)| *plural == table);
    found.map_or("key", |(what, _)| what)
}

/// Reads the tables of the root that nothing acts on yet, and says so.
pub(super) fn root(ctx: &mut Ctx, fields: Fields<'_>) -> Entry {
    let entry = among(ctx, fields, &tables::TABLES);
    for key in tables::TABLES.keys() {
        let silent = [
            "documents",
            "environments",
            "applications",
            "locations",
            "roles",
            "people",
            "providers",
            "programme",
            "exemptions",
            "changes",
            "alerts",
            "flows",
        ];
        // A register that is a file is replayed; one that is kept elsewhere is not.
        let is_replayed = key.name == "erasure"
            && entry
                .entry("erasure")
                .is_some_and(|said| said.text("file").is_some());
        if let Some(item) = fields.get(ctx, key.name)
            && !silent.contains(&key.name)
            && !is_replayed
        {
            let message = format!("`{}` is declared, not yet connected", key.name);
            let remedy =
                "it is read and checked, and counts as unproven until this version can do it";
            ctx.say(Level::Note, "P028", item.place(), message, remedy);
        }
    }
    entry
}

/// The keys of `section` among a mapping that has others too.
pub(super) fn among(ctx: &mut Ctx, fields: Fields<'_>, section: &'static Section) -> Entry {
    let mut entry = Entry {
        sections: vec![section],
        ..Entry::default()
    };
    for key in section.keys() {
        if let Some(item) = fields.get(ctx, key.name)
            && let Some(said) = value(ctx, item, &key.form)
        {
            entry.said.insert(key.name, said);
        }
    }
    entry
}

fn whole(ctx: &mut Ctx, node: &Node, section: &'static Section) -> Entry {
    let fields = ctx.fields(node, section);
    among(ctx, fields, section)
}

fn value(ctx: &mut Ctx, item: &Item, form: &Form) -> Option<Said> {
    match form {
        Form::Text | Form::Prose => text(ctx, item).map(Said::Text),
        Form::Flag => Some(Said::Flag(ctx.flag(item))),
        Form::Count => ctx.count(item).map(Said::Count),
        Form::Length => ctx.length(item).map(Said::Length),
        Form::Exact => ctx.span(item).map(Said::Span),
        Form::Schedule => ctx.schedule(item).map(Said::Schedule),
        Form::Share => ctx.share(item).map(|(n, d)| Said::Share(n, d)),
        Form::Rate => ctx.rate(item).map(|r| Said::Text(r.to_string())),
        Form::WallTime => ctx.wall_time(item).map(Said::WallTime),
        Form::Date => ctx.date(item).map(Said::Text),
        Form::Digest => digest(ctx, item).map(Said::Text),
        Form::Word(words) => match ctx.word(item, words) {
            true => ctx.text(item).map(Said::Text),
            false => None,
        },
        Form::Reference(table) => reference(ctx, item, table),
        Form::Known(table) => known(ctx, item, table).map(Said::Text),
        Form::Section(section) => Some(Said::Entry(whole(ctx, &item.node, section))),
        Form::Named(section) => {
            let what = format!("`{}`", item.key);
            let items = ctx.named(&item.node, &what);
            let named = items
                .iter()
                .map(|i| (i.key.clone(), whole(ctx, &i.node, section)));
            Some(Said::Named(named.collect()))
        }
        Form::NamedAny(_) => None,
        Form::List(inner) => list(ctx, item, inner),
        Form::Any(forms) => {
            let form = forms.iter().find(|f| fits(f, &item.node));
            value(ctx, item, form.or(forms.first())?)
        }
    }
}

/// A text that is kept and may be shown, so that no password may stand in it.
pub(super) fn text(ctx: &mut Ctx, item: &Item) -> Option<String> {
    let text = ctx.text(item)?;
    if !holds_password(&text) {
        return Some(text);
    }
    let message = "a password stands in this text; anyone who reads the policy has it";
    ctx.error(
        "P026",
        item.node.place(),
        message,
        "take it out, and change it",
    );
    None
}

/// Whether a form takes a node of this shape.
fn fits(form: &Form, node: &Node) -> bool {
    match form {
        Form::Section(_) | Form::Named(_) | Form::NamedAny(_) => {
            matches!(node.value, Value::Map(_))
        }
        Form::List(_) => matches!(node.value, Value::List(_)),
        Form::Any(forms) => forms.iter().any(|f| fits(f, node)),
        _ => matches!(node.value, Value::Scalar { .. }),
    }
}

fn list(ctx: &mut Ctx, item: &Item, inner: &Form) -> Option<Said> {
    let Value::List(nodes) = &item.node.value else {
        ctx.shape(&item.node, &format!("`{}`", item.key), "a list");
        return None;
    };
    let mut out = Vec::with_capacity(nodes.len());
    for node in nodes {
        let one = Item {
            key: item.key.clone(),
            line: node.line,
            column: node.column,
            node: node.clone(),
        };
        out.extend(value(ctx, &one, inner));
    }
    Some(Said::List(out))
}

fn reference(ctx: &mut Ctx, item: &Item, table: &'static str) -> Option<Said> {
    let name = ctx.text(item)?;
    let nothing: BTreeMap<String, ()> = BTreeMap::new();
    ctx.resolve(item.node.place(), &name, one_of(table), &nothing);
    Some(Said::Text(name))
}

/// A name that is looked up only if the file has a table of such names; an address names a person.
pub(super) fn known(ctx: &mut Ctx, item: &Item, table: &'static str) -> Option<String> {
    let name = ctx.text(item)?;
    let what = one_of(table);
    let declares = ctx.declared.get(what).is_some_and(|d| !d.is_empty());
    if declares && !name.contains('@') {
        let nothing: BTreeMap<String, ()> = BTreeMap::new();
        ctx.resolve(item.node.place(), &name, what, &nothing);
    }
    Some(name)
}

/// Reads the declared places, for `location: NAME`.
pub(super) fn places(ctx: &mut Ctx, root: Fields<'_>) -> BTreeMap<String, Location> {
    let mut out = BTreeMap::new();
    for item in section(ctx, root, "locations") {
        // Unknown keys are told where the table is read as a whole.
        if let Value::Map(items) = &item.node.value {
            let text = |key: &str| {
                let item = items.iter().find(|i| i.key == key)?;
                match &item.node.value {
                    Value::Scalar { text, .. } if !item.node.is_null() => Some(text.clone()),
                    _ => None,
                }
            };
            let location = Location {
                region: text("region"),
                country: text("country").map(|c| c.to_ascii_uppercase()),
            };
            out.insert(item.key.clone(), location);
        }
    }
    out
}

/// Reads where a system lies: its own mapping, or the name of a declared place.
pub(super) fn location(
    ctx: &mut Ctx,
    item: &Item,
    places: &BTreeMap<String, Location>,
) -> Location {
    if matches!(item.node.value, Value::Scalar { .. }) {
        let Some(name) = ctx.text(item) else {
            return Location::default();
        };
        let place = item.node.place();
        let found = ctx.resolve(place, &name, "location", places);
        return found.cloned().unwrap_or_default();
    }
    let fields = ctx.fields(&item.node, &keys::LOCATION);
    fields.get(ctx, "zone").and_then(|i| ctx.text(i));
    parts::location(ctx, fields)
}

/// Reads which requirement is fulfilled by which key; each path must lead to a key of the file.
pub(super) fn requirements(ctx: &mut Ctx, root: Fields<'_>) -> BTreeMap<String, Requirement> {
    let mut out = BTreeMap::new();
    for item in section(ctx, root, "requirements") {
        let mut requirement = Requirement::default();
        let at = match &item.node.value {
            Value::Map(_) => {
                let fields = ctx.fields(&item.node, &tables::REQUIREMENT);
                let entry = among(ctx, fields, &tables::REQUIREMENT);
                requirement.text = entry.text("text").map(str::to_owned);
                fields.get(ctx, "at")
            }
            _ if item.node.is_null() => None,
            _ => Some(item),
        };
        for (path, place) in at.map(|i| paths(ctx, i)).unwrap_or_default() {
            if ctx.places.contains_key(&path) {
                requirement.at.push(path);
                continue;
            }
            let message = format!(
                "requirement `{}` rests on `{path}`, which is not in the file",
                item.key
            );
            let remedy = "name the key that fulfils it, like systems/NAME/keep, or write nothing";
            ctx.error("P050", place, message, remedy);
        }
        out.insert(item.key.clone(), requirement);
    }
    out
}

fn paths(ctx: &mut Ctx, item: &Item) -> Vec<(String, crate::problem::Place)> {
    let nodes = match &item.node.value {
        Value::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(&item.node),
    };
    let mut out = Vec::new();
    for node in nodes {
        out.extend(ctx.text_of(node, "at").map(|text| (text, node.place())));
    }
    out
}

#[cfg(test)]
mod tests;
