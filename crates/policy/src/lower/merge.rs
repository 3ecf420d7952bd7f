//! Several files as one tree: each node keeps its place, counted in lines of the whole text.

use crate::files::{self, FileMap};
use crate::keys::{self, Form};
use crate::located::{self, Item, MOST_NODES, Node, Value};
use crate::problem::{Level, Place, Problem};

/// A file, or a pattern of files, that a policy includes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// As it is written; relative to the folder of the file that it stands in.
    pub pattern: String,
    /// Line and column within that file, from 1.
    pub place: Place,
}

/// What one file includes, in its order; nothing of a file that cannot be understood.
pub fn includes(text: &str) -> Vec<Include> {
    // Most files include nothing, and are parsed only once then.
    if !text.contains("include") {
        return Vec::new();
    }
    let (Some(root), _) = located::parse(text) else {
        return Vec::new();
    };
    let Value::Map(items) = root.value else {
        return Vec::new();
    };
    let found = items.into_iter().find(|item| item.key == "include");
    let nodes = match found.map(|item| item.node) {
        Some(Node {
            value: Value::List(nodes),
            ..
        }) => nodes,
        Some(node) => vec![node],
        None => Vec::new(),
    };
    let texts = nodes.into_iter().filter_map(|node| match node.value {
        Value::Scalar { ref text, .. } if !node.is_null() => Some(Include {
            pattern: text.clone(),
            place: node.place(),
        }),
        _ => None,
    });
    texts.collect()
}

/// The tree of a text of one or several files, and what is wrong with it.
pub(super) fn tree(text: &str, map: &FileMap) -> (Option<Node>, Vec<Problem>) {
    let parts = files::parts(text);
    if let [only] = parts.as_slice() {
        return located::parse(only.text);
    }
    let mut merger = Merger {
        map,
        problems: Vec::new(),
        root: Vec::new(),
        place: None,
        nodes: 0,
    };
    for part in parts {
        let (root, mut problems) = located::parse(part.text);
        let ahead = part.line - 1;
        for problem in &mut problems {
            problem.line += ahead;
        }
        merger.problems.append(&mut problems);
        if let Some(mut root) = root {
            merger.nodes += shift(&mut root, ahead);
            merger.add(root);
        }
    }
    let (line, column) = merger.place.unwrap_or((1, 1));
    if merger.nodes > MOST_NODES {
        let message = format!("the files hold more than {MOST_NODES} keys and values together");
        merger.say(
            "P002",
            (line, column),
            message,
            "take out what is not policy",
        );
        return (None, merger.problems);
    }
    let root = Node {
        line,
        column,
        value: Value::Map(merger.root),
    };
    (Some(root), merger.problems)
}

/// Moves a tree by that many lines; gives the number of its nodes.
fn shift(node: &mut Node, ahead: usize) -> usize {
    node.line += ahead;
    match &mut node.value {
        Value::Scalar { .. } => 1,
        Value::List(nodes) => 1 + nodes.iter_mut().map(|n| shift(n, ahead)).sum::<usize>(),
        Value::Map(items) => {
            let mut nodes = 1;
            for item in items {
                item.line += ahead;
                nodes += shift(&mut item.node, ahead);
            }
            nodes
        }
    }
}

struct Merger<'m> {
    map: &'m FileMap,
    problems: Vec<Problem>,
    root: Vec<Item>,
    place: Option<Place>,
    nodes: usize,
}

impl Merger<'_> {
    fn add(&mut self, root: Node) {
        let place = root.place();
        self.place.get_or_insert(place);
        if root.is_null() {
            return;
        }
        let Value::Map(items) = root.value else {
            let (file, _) = self.map.locate(place.0);
            let message = format!("{file} is {} here", root.kind());
            self.say(
                "P011",
                place,
                message,
                "write tables of a policy, like systems:",
            );
            return;
        };
        for item in items {
            match self.root.iter().position(|known| known.key == item.key) {
                None => self.root.push(item),
                Some(at) => self.join(at, item),
            }
        }
    }

    /// Adds a table to the one of that name.
    fn join(&mut self, at: usize, item: Item) {
        let Some(known) = self.root.get_mut(at) else {
            return;
        };
        let first = known.place();
        let place = item.place();
        let key = item.key.clone();
        // Each file names its own, and they were followed when the text was made.
        if item.node.is_null() || key == "include" {
            return;
        }
        if known.node.is_null() {
            *known = item;
            return;
        }
        match (&mut known.node.value, item.node.value) {
            (Value::List(nodes), Value::List(more)) => nodes.extend(more),
            (Value::Map(items), Value::Map(more)) if has_names(&key) => {
                let names: std::collections::HashMap<String, Place> =
                    items.iter().map(|i| (i.key.clone(), i.place())).collect();
                let mut twice = Vec::new();
                for item in more {
                    match names.get(&item.key) {
                        Some(first) => twice.push((item, *first)),
                        None => items.push(item),
                    }
                }
                for (item, first) in twice {
                    self.twice(
                        "P003",
                        &item.key,
                        item.place(),
                        first,
                        "keep one of the two",
                    );
                }
            }
            _ => {
                let remedy = "write it in one file";
                self.twice("P191", &key, place, first, remedy);
            }
        }
    }

    fn twice(&mut self, code: &'static str, key: &str, place: Place, first: Place, remedy: &str) {
        let (file, line) = self.map.locate(first.0);
        let message = format!("`{key}` was already given in {file} on line {line}");
        self.say(code, place, message, remedy);
    }

    fn say(&mut self, code: &'static str, place: Place, message: String, remedy: &str) {
        self.problems.push(Problem {
            code,
            level: Level::Error,
            line: place.0,
            column: place.1,
            message,
            remedy: remedy.to_owned(),
        });
    }
}

/// Whether a key of the root leads to names of one's own, so that several files may add to it.
fn has_names(key: &str) -> bool {
    fn leads(form: &Form) -> bool {
        match form {
            Form::Named(_) | Form::NamedAny(_) => true,
            Form::Any(forms) => forms.iter().any(leads),
            _ => false,
        }
    }
    let known = keys::ROOT.keys().find(|known| known.name == key);
    known.is_some_and(|known| leads(&known.form))
}
