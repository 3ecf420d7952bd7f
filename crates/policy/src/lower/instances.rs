//! One declaration for many systems: each name of a list makes a system of its own.
//!
//! `{}` in the system's name and in every value below it stands for the instance's name. What an instance says for
//! itself takes the place of what the declaration says.

use std::collections::{BTreeMap, BTreeSet};

use crate::located::{Item, MOST_BYTES, MOST_NODES, Node, Style, Value};
use crate::problem::{Level, Place, Problem};

/// What stands for the instance's name.
const HOLE: &str = "{}";
/// More systems are not made of one declaration.
const MOST: usize = 10_000;
/// All that is made of instances has no more bytes: 32 MiB.
const MOST_MADE: usize = 8 * MOST_BYTES;

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
    let mut room = Size {
        nodes: MOST_NODES,
        bytes: MOST_MADE,
    };
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
    for mut item in std::mem::take(items) {
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
        if let Value::Map(items) = &mut item.node.value {
            // Which it is one of is said once.
            items.retain(|item| item.key != "instances");
        }
        let shared = measure(&item.key).and(weigh(&item.node));
        let names = made.entry(item.key.clone()).or_default();
        for (n, (name, own)) in instances.iter().enumerate() {
            let own_weight = own.as_ref().map(weigh).unwrap_or_default();
            let left = room.without(shared.and(own_weight), name);
            let Some(left) = left.filter(|_| n < MOST) else {
                let message = format!("`{}` has too many instances, or too long ones", item.key);
                let remedy = "at most 10,000 systems are made of one declaration, and 400,000 keys and 32 MiB of all";
                say(item.place(), message, remedy);
                break;
            };
            room = left;
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
    if let Value::Map(items) = &mut out.node.value
        && let Some(Value::Map(own)) = own.map(|node| &node.value)
    {
        let said: BTreeSet<&str> = own.iter().map(|item| item.key.as_str()).collect();
        items.retain(|item| !said.contains(item.key.as_str()));
        items.extend(own.iter().cloned());
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

/// What may still be made.
#[derive(Clone, Copy)]
struct Size {
    nodes: usize,
    bytes: usize,
}

impl Size {
    /// What is left beside an instance of that name; nothing if it does not fit.
    fn without(self, weight: Weight, name: &str) -> Option<Size> {
        let filled = weight.holes.saturating_mul(name.len());
        Some(Size {
            nodes: self.nodes.checked_sub(weight.nodes)?,
            bytes: self
                .bytes
                .checked_sub(filled.saturating_add(weight.bytes))?,
        })
    }
}

/// How much a node holds, with all that is below it.
#[derive(Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    /// Of texts and keys.
    bytes: usize,
    /// How often the instance's name stands in them.
    holes: usize,
}

impl Weight {
    fn and(self, other: Weight) -> Weight {
        Weight {
            nodes: self.nodes + other.nodes,
            bytes: self.bytes + other.bytes,
            holes: self.holes + other.holes,
        }
    }
}

fn measure(text: &str) -> Weight {
    Weight {
        nodes: 0,
        bytes: text.len(),
        holes: text.matches(HOLE).count(),
    }
}

fn weigh(node: &Node) -> Weight {
    let one = Weight {
        nodes: 1,
        ..Weight::default()
    };
    match &node.value {
        Value::Scalar { text, .. } => one.and(measure(text)),
        Value::List(nodes) => nodes.iter().map(weigh).fold(one, Weight::and),
        Value::Map(items) => items.iter().fold(one, |sum, item| {
            let key = Weight {
                bytes: item.key.len(),
                ..Weight::default()
            };
            sum.and(key).and(weigh(&item.node))
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn codes(text: &str) -> (Vec<&'static str>, usize) {
        let lowered = crate::lower(text, "p", Path::new("/p"), String::new());
        let made = lowered.instances.values().map(Vec::len).sum();
        (lowered.problems.iter().map(|p| p.code).collect(), made)
    }

    #[test]
    fn what_instances_make_has_its_bounds() {
        let names: Vec<String> = (0..4_000).map(|n| format!("n{n}")).collect();
        let system = |what: &str| {
            format!(
                "systems:\n  s-{{}}:\n    instances: {{ list: [ {} ] }}\n    source: \"files:/srv/{{}}\"\n    exempt: {what}\n",
                names.join(", ")
            )
        };
        // A long list is not counted again for each of its names.
        let (found, made) = codes(&system("it is a test"));
        assert_eq!((found.contains(&"P192"), made), (false, 4_000));
        // A long text in each, or a long name in each of many places, would be more than memory holds.
        for what in ["x".repeat(1 << 20), "{}".repeat(1 << 20)] {
            let (found, made) = codes(&system(&format!("\"{what}\"")));
            assert!(found.contains(&"P192"), "{found:?}");
            assert!(made < 40, "{made}");
        }
    }
}
