//! YAML as a tree in which every node knows its place.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput};

use crate::problem::{Level, Place, Problem};

/// Larger files are refused: 4 MiB.
pub const MOST_BYTES: usize = 4 << 20;
/// Deeper nesting is refused.
pub const MOST_DEPTH: usize = 32;
/// Files with more keys, list items and values are refused.
pub const MOST_NODES: usize = 400_000;

/// How a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: `null`, `true` and numbers mean themselves.
    Plain,
    /// With quotes or as a block: always text.
    Quoted,
}

/// A value, a list or a mapping, and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What it is.
    pub value: Value,
}

/// The content of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// One value.
    Scalar {
        /// As YAML understands it, without quotes and escapes.
        text: String,
        /// How it was written.
        style: Style,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping in the order of the file; no key occurs twice.
    Map(Vec<Item>),
}

/// One key of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The key.
    pub key: String,
    /// Line of the key, from 1.
    pub line: usize,
    /// Column of the key in characters, from 1.
    pub column: usize,
    /// What it leads to.
    pub node: Node,
}

impl Node {
    /// Line and column.
    pub fn place(&self) -> Place {
        (self.line, self.column)
    }

    /// Whether nothing was written: `null`, `~`, or no value at all.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, style: Style::Plain }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The keys of a mapping; none of anything else.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let items = match &self.value {
            Value::Map(items) => items.as_slice(),
            _ => &[],
        };
        items.iter().map(|i| i.key.as_str())
    }

    /// What it is, for people.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

impl Item {
    /// Line and column of the key.
    pub fn place(&self) -> Place {
        (self.line, self.column)
    }
}

/// Reads one YAML document. On errors the tree holds what could be read, and the problems name each place.
///
/// Anchors, aliases, tags and merge keys are refused: a policy says what it says where it says it. An empty
/// file gives no node and no problem.
pub fn parse(text: &str) -> (Option<Node>, Vec<Problem>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > MOST_BYTES {
        let message = format!(
            "the file has {} bytes; at most {MOST_BYTES} are read",
            text.len()
        );
        return (
            None,
            vec![problem(
                "P002",
                (1, 1),
                message,
                "split it, or take out what is not policy",
            )],
        );
    }
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    // Each event consumes input or closes what was opened, so this ends; the bound is for safety's sake.
    for _ in 0..MOST_NODES * 4 {
        match step(&mut parser) {
            None => break,
            Some(Ok((event, mark))) => {
                if !builder.take(event, mark) {
                    break;
                }
            }
            Some(Err(error)) => {
                builder.problems.push(syntax(&error, text));
                break;
            }
        }
    }
    builder.finish()
}

type Step<'a> = Option<Result<(Event<'a>, Marker), ScanError>>;

fn step<'a>(parser: &mut Parser<'a, StrInput<'a>>) -> Step<'a> {
    parser
        .next_event()
        .map(|result| result.map(|(event, span)| (event, span.start)))
}

fn problem(code: &'static str, place: Place, message: String, remedy: &str) -> Problem {
    Problem {
        code,
        level: Level::Error,
        line: place.0,
        column: place.1,
        message,
        remedy: remedy.to_owned(),
    }
}

fn place_of(mark: Marker) -> Place {
    (mark.line().max(1), mark.col() + 1)
}

fn syntax(error: &ScanError, text: &str) -> Problem {
    let place = place_of(*error.marker());
    let line = text.lines().nth(place.0 - 1).unwrap_or_default();
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    if indent.contains('\t') || error.info().to_ascii_lowercase().contains("tab") {
        return problem(
            "P006",
            place,
            "a tab stands where YAML wants spaces".to_owned(),
            "indent with spaces",
        );
    }
    problem(
        "P001",
        place,
        format!("this is not YAML: {}", error.info()),
        "look for a missing quote, bracket, colon or wrong indentation at or before this place",
    )
}

enum Open {
    List {
        at: Place,
        nodes: Vec<Node>,
    },
    Map {
        at: Place,
        items: Vec<Item>,
        seen: HashMap<String, Place>,
        key: Option<Key>,
    },
}

struct Key {
    text: String,
    place: Place,
    /// A repeated or impossible key: its value is read and dropped.
    dropped: bool,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
    problems: Vec<Problem>,
}

impl Builder {
    /// Takes one event; false when reading on makes no sense.
    fn take(&mut self, event: Event<'_>, mark: Marker) -> bool {
        let at = place_of(mark);
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            let message = format!("the file holds more than {MOST_NODES} keys and values");
            return self.stop(
                "P002",
                at,
                message,
                "split it, or take out what is not policy",
            );
        }
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "a second YAML document begins here".to_owned();
                    return self.stop(
                        "P005",
                        at,
                        message,
                        "keep one document a file: remove the line `---`",
                    );
                }
            }
            Event::Alias(_) => {
                self.refuse_reference(at, "an alias");
                self.place_node(Node {
                    line: at.0,
                    column: at.1,
                    value: Value::Scalar {
                        text: String::new(),
                        style: Style::Plain,
                    },
                });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.check_marks(at, anchor, tag.is_some());
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    _ => Style::Quoted,
                };
                self.scalar(at, text.into_owned(), style);
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_marks(at, anchor, tag.is_some());
                return self.push(
                    at,
                    Open::List {
                        at,
                        nodes: Vec::new(),
                    },
                );
            }
            Event::MappingStart(anchor, tag) => {
                self.check_marks(at, anchor, tag.is_some());
                let open = Open::Map {
                    at,
                    items: Vec::new(),
                    seen: HashMap::new(),
                    key: None,
                };
                return self.push(at, open);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        true
    }

    fn stop(&mut self, code: &'static str, at: Place, message: String, remedy: &str) -> bool {
        self.problems.push(problem(code, at, message, remedy));
        false
    }

    fn refuse_reference(&mut self, at: Place, what: &str) {
        self.problems.push(problem(
            "P004",
            at,
            format!("{what} stands here; a policy says what it says where it says it"),
            "write the value out, or put what is shared into a plan, a tier or `defaults`",
        ));
    }

    fn check_marks(&mut self, at: Place, anchor: usize, tag: bool) {
        if anchor > 0 {
            self.refuse_reference(at, "an anchor");
        }
        if tag {
            self.refuse_reference(at, "a tag");
        }
    }

    fn push(&mut self, at: Place, open: Open) -> bool {
        if self.open.len() >= MOST_DEPTH {
            let message = format!("this is nested more than {MOST_DEPTH} deep");
            return self.stop(
                "P002",
                at,
                message,
                "no policy needs that: look for a missing bracket",
            );
        }
        self.open.push(open);
        true
    }

    fn close(&mut self) {
        let (at, value) = match self.open.pop() {
            Some(Open::List { at, nodes }) => (at, Value::List(nodes)),
            Some(Open::Map { at, items, .. }) => (at, Value::Map(items)),
            None => return,
        };
        self.place_node(Node {
            line: at.0,
            column: at.1,
            value,
        });
    }

    fn scalar(&mut self, at: Place, text: String, style: Style) {
        if let Some(Open::Map { seen, key, .. }) = self.open.last_mut()
            && key.is_none()
        {
            let mut dropped = false;
            if text == "<<" && style == Style::Plain {
                dropped = true;
                self.problems.push(problem(
                    "P004",
                    at,
                    "a merge key stands here; a policy says what it says where it says it"
                        .to_owned(),
                    "put what is shared into a plan, a tier or `defaults`",
                ));
            } else if let Some(first) = seen.get(&text) {
                dropped = true;
                self.problems.push(problem(
                    "P003",
                    at,
                    format!("`{text}` was already given on line {}", first.0),
                    "keep one of the two",
                ));
            } else {
                seen.insert(text.clone(), at);
            }
            *key = Some(Key {
                text,
                place: at,
                dropped,
            });
            return;
        }
        self.place_node(Node {
            line: at.0,
            column: at.1,
            value: Value::Scalar { text, style },
        });
    }

    fn place_node(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { nodes, .. }) => nodes.push(node),
            Some(Open::Map { items, key, .. }) => match key.take() {
                Some(key) if key.dropped => {}
                Some(key) => items.push(Item {
                    key: key.text,
                    line: key.place.0,
                    column: key.place.1,
                    node,
                }),
                None => {
                    // A list, mapping or alias as a key: its value is read and dropped.
                    let place = node.place();
                    *key = Some(Key {
                        text: String::new(),
                        place,
                        dropped: true,
                    });
                    self.problems.push(problem(
                        "P011",
                        place,
                        "a key must be a single word".to_owned(),
                        "write `key: value`",
                    ));
                }
            },
        }
    }

    fn finish(mut self) -> (Option<Node>, Vec<Problem>) {
        // What broke off keeps what was read before, so that other errors can be told as well.
        while !self.open.is_empty() {
            if let Some(Open::Map { key, .. }) = self.open.last_mut() {
                *key = None;
            }
            let whole = self.open.len() == 1;
            match self.open.pop() {
                Some(Open::Map { at, items, .. }) if whole => {
                    self.root = Some(Node {
                        line: at.0,
                        column: at.1,
                        value: Value::Map(items),
                    });
                }
                Some(open) => {
                    self.open.push(open);
                    self.close();
                }
                None => break,
            }
        }
        (self.root, self.problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn codes(text: &str) -> Vec<(&'static str, usize, usize)> {
        let (_, problems) = parse(text);
        problems
            .iter()
            .map(|p| (p.code, p.line, p.column))
            .collect()
    }

    #[test]
    fn nodes_know_their_place() {
        let (node, problems) = parse("# c\na: 1\nb:\n  - x\n  - 'é: y'\n  - { k: v }\n");
        assert!(problems.is_empty());
        let Value::Map(items) = node.unwrap().value else {
            panic!()
        };
        assert_eq!((items[0].place(), items[0].node.place()), ((2, 1), (2, 4)));
        let Value::List(list) = &items[1].node.value else {
            panic!()
        };
        assert_eq!(list[1].place(), (5, 5));
        assert_eq!(
            list[1].value,
            Value::Scalar {
                text: "é: y".into(),
                style: Style::Quoted
            }
        );
        assert_eq!(list[2].place(), (6, 5));
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(parse(""), (None, vec![]));
        assert_eq!(parse("# only a comment\n").1, vec![]);
        assert!(parse("~").0.unwrap().is_null());
        assert!(!parse("'null'").0.unwrap().is_null());
    }

    #[test]
    fn each_trap_has_its_place() {
        assert_eq!(codes("a: 1\nb: 2\na: 3\n"), [("P003", 3, 1)]);
        assert_eq!(codes("a: &x 1\nb: *x\n"), [("P004", 1, 4), ("P004", 2, 4)]);
        assert_eq!(codes("a: 1\n---\nb: 2\n"), [("P005", 2, 1)]);
        assert_eq!(codes("a:\n\tb: 1\n")[0].0, "P006");
        assert_eq!(codes("a: [1, 2\nb: 3\n")[0].0, "P001");
        assert_eq!(codes("a: !!str 1\n")[0].0, "P004");
        assert_eq!(codes("a: {<<: 1}\n")[0].0, "P004");
        assert_eq!(codes("[a]: 1\n")[0].0, "P011");
    }

    #[test]
    fn bombs_do_not_go_off() {
        assert_eq!(codes(&"[".repeat(MOST_DEPTH + 1))[0].0, "P002");
        assert!(matches!(codes(&"[".repeat(50_000))[0].0, "P001" | "P002"));
        assert!(matches!(codes(&"- ".repeat(50_000))[0].0, "P001" | "P002"));
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for n in 1..30 {
            let refs = vec![format!("*a{}", n - 1); 9].join(",");
            bomb.push_str(&format!("a{n}: &a{n} [{refs}]\n"));
        }
        assert!(codes(&bomb).iter().all(|c| c.0 == "P004"));
        let many = "- 1\n".repeat(MOST_NODES + 10);
        assert_eq!(codes(&many)[0].0, "P002");
        let big = "#".repeat(MOST_BYTES + 1);
        assert_eq!(codes(&big), [("P002", 1, 1)]);
    }

    #[test]
    fn what_was_read_before_the_break_is_kept() {
        let (node, problems) = parse("a: 1\nb: { c: 2, d: [3\nx: 1\n");
        assert_eq!(problems.len(), 1);
        let Value::Map(items) = node.unwrap().value else {
            panic!()
        };
        assert_eq!(items[0].key, "a");
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[ \\-a-c:#\\[\\]{}&*!|>'\"\\n\\t,?%@]{0,80}", any in "\\PC{0,40}") {
            let _ = (parse(&text), parse(&any));
        }
    }
}
