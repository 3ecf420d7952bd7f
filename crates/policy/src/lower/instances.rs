//! One declaration for many systems: each name of a list makes a system of its own.
//!
//! `{}` in the system's name and in every value below it stands for the instance's name. What an instance says for
//! itself takes the place of what the declaration says.

use std::collections::{BTreeMap, BTreeSet};

use crate::located::{Item, MOST_NODES, Node, Style, Value};
use crate::problem::{Level, Place, Problem};

/// What stands for the instance's name.
const HOLE: &str = "{}";
/// More systems are not made of one declaration.
const MOST: usize = 10_000;

/// The names of the systems that were made, by the name of their declaration.
pub(super) type Made = BTreeMap<String, Vec<String>>;

/// Replaces every system that has `instances: { list: … }` and a hole in its name by its instances.
pub(super) fn expand(root: &mut Node, problems: &mut Vec<Problem>) -> Made {
    let mut made = Made::new();
    let Value::Map(tables) = &mut root.value else {
        return made;
    };
    let Some(systems) = tables.iter_mut().find(|item| item.key == "systems") else {
        return made;
    };
    let Value::Map(items) = &mut systems.node.value else {
        return made;
    };
    if !items.iter().any(|item| item.key.contains(HOLE)) {
        return made;
    }
    let mut out: Vec<Item> = Vec::with_capacity(items.len());
    let mut room = MOST_NODES;
    let mut say = |place: Place, message: String, remedy: &str| {
        problems.push(Problem {
            code: "P192",
            level: Level::Error,
            line: place.0,
            column: place.1,
            message,
            remedy: remedy.to_owned(),
        });
    };
    for item in std::mem::take(items) {
        if !item.key.contains(HOLE) {
            out.push(item);
            continue;
        }
        let instances = instances(&item);
        if instances.is_empty() {
            let message = format!("`{}` has no instances to be named after", item.key);
            let remedy = "write instances: { list: [ANNA, BEN] }, or take {} out of the name";
            say(item.place(), message, remedy);
            continue;
        }
        let size = size(&item.node);
        let names = made.entry(item.key.clone()).or_default();
        for (n, (name, own)) in instances.iter().enumerate() {
            room = room.saturating_sub(size);
            if n >= MOST || room == 0 {
                let message = format!("`{}` has too many instances", item.key);
                let remedy = "at most 10,000 systems and 400,000 keys are made of instances";
                say(item.place(), message, remedy);
                break;
            }
            let one = instance(&item, name, own.as_ref());
            names.push(one.key.clone());
            out.push(one);
        }
    }
    let mut known = BTreeSet::new();
    out.retain(|item| {
        let is_new = known.insert(item.key.clone());
        if !is_new {
            let message = format!("there are two systems named `{}`", item.key);
            say(item.place(), message, "name one of them otherwise");
        }
        is_new
    });
    *items = out;
    made
}

/// The instances' names, each with what it says for itself.
fn instances(item: &Item) -> Vec<(String, Option<Node>)> {
    let Some(instances) = field(&item.node, "instances") else {
        return Vec::new();
    };
    let Some(list) = field(&instances.node, "list") else {
        return Vec::new();
    };
    let text = |node: &Node| match &node.value {
        Value::Scalar { text, .. } if !node.is_null() => Some(text.clone()),
        _ => None,
    };
    match &list.node.value {
        Value::List(nodes) => nodes
            .iter()
            .filter_map(|node| Some((text(node)?, None)))
            .collect(),
        Value::Map(items) => items
            .iter()
            .map(|item| (item.key.clone(), Some(item.node.clone())))
            .collect(),
        Value::Scalar { .. } => text(&list.node)
            .map(|name| (name, None))
            .into_iter()
            .collect(),
    }
}

fn field<'n>(node: &'n Node, key: &str) -> Option<&'n Item> {
    match &node.value {
        Value::Map(items) => items.iter().find(|item| item.key == key),
        _ => None,
    }
}

fn instance(item: &Item, name: &str, own: Option<&Node>) -> Item {
    let mut out = Item {
        key: item.key.replace(HOLE, name),
        line: item.line,
        column: item.column,
        node: item.node.clone(),
    };
    if let Value::Map(items) = &mut out.node.value {
        // Which it is one of is said once.
        items.retain(|item| item.key != "instances");
        if let Some(Value::Map(own)) = own.map(|node| &node.value) {
            for one in own {
                items.retain(|item| item.key != one.key);
                items.push(one.clone());
            }
        }
    }
    fill(&mut out.node, name);
    out
}

fn fill(node: &mut Node, name: &str) {
    match &mut node.value {
        Value::Scalar { text, style } => {
            if text.contains(HOLE) {
                *text = text.replace(HOLE, name);
                *style = Style::Quoted;
            }
        }
        Value::List(nodes) => nodes.iter_mut().for_each(|node| fill(node, name)),
        Value::Map(items) => items.iter_mut().for_each(|item| fill(&mut item.node, name)),
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 1,
        Value::List(nodes) => 1 + nodes.iter().map(size).sum::<usize>(),
        Value::Map(items) => 1 + items.iter().map(|item| size(&item.node)).sum::<usize>(),
    }
}
