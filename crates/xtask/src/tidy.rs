//! The tree against its own rules: the map, purity, opening lines, sizes, test programs, words, invariants, packages.

mod code;
mod files;
mod graph;
mod invariants;
mod lockfile;
mod map;
mod programs;
mod purity;
mod table;
mod tree;
mod words;

use std::fmt;

use crate::workspace;
use graph::Graph;
use tree::Tree;

/// The page that holds the map and the invariants.
const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Something that is not as the rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    place: String,
    text: String,
    fatal: bool,
}

impl Finding {
    fn error(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            text: text.into(),
            fatal: true,
        }
    }

    fn warning(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            fatal: false,
            ..Self::error(place, text)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.fatal { "error" } else { "warning" };
        write!(f, "{kind}: {}: {}", self.place, self.text)
    }
}

/// Reads the workspace, prints every finding, and fails if one of them is an error.
pub(crate) fn run() -> Result<(), String> {
    let root = workspace::root()?;
    let tree = Tree::load(&root)?;
    let graph = graph::load(&root)?;
    let findings = judge(&tree, &graph);
    for finding in &findings {
        println!("{finding}");
    }
    println!("{}", lockfile::summary(&tree));
    match findings.iter().filter(|finding| finding.fatal).count() {
        0 => {
            println!(
                "tidy: {} files, {} crates: in order",
                tree.len(),
                graph.len()
            );
            Ok(())
        }
        errors => Err(format!("tidy: {errors} errors")),
    }
}

fn judge(tree: &Tree, graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    match tree.text(ARCHITECTURE) {
        None => findings.push(Finding::error(ARCHITECTURE, "is missing")),
        Some(page) => {
            match map::parse(page) {
                Err(finding) => findings.push(finding),
                Ok(map) => {
                    findings.extend(graph::judge(graph, &map));
                    findings.extend(purity::judge(tree, &map));
                }
            }
            findings.extend(invariants::judge(tree, page));
        }
    }
    findings.extend(files::judge(tree));
    findings.extend(programs::judge(tree));
    findings.extend(words::judge(tree));
    findings.extend(lockfile::judge(tree));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
| crate | floor | kind | imports | in tests | what it is |
|--|--|--|--|--|--|
| `model` | 0 | pure | — | — | x |

| what must always hold | shown by |
|--|--|
| It works. | `model::it_works` |
";
    const CODE: &str = "//! Nouns.\n#[test]\nfn it_works() {}\n";
    const LOCK: &str = "[[package]]\n";

    fn texts(page: &str, code: &str, lock: &str, graph: &Graph) -> Vec<String> {
        let tree = Tree::of([
            (ARCHITECTURE, page),
            ("crates/model/src/lib.rs", code),
            ("Cargo.lock", lock),
        ]);
        let findings = judge(&tree, graph);
        findings.into_iter().map(|finding| finding.text).collect()
    }

    fn graph() -> Graph {
        let package = "vouchsafe-model".to_owned();
        let member = graph::Member {
            package,
            ..graph::Member::default()
        };
        Graph::from([("model".to_owned(), member)])
    }

    #[test]
    fn every_rule_is_asked() {
        assert!(texts(PAGE, CODE, LOCK, &graph()).is_empty());
        let damaged = [
            texts("", CODE, LOCK, &graph()),
            texts(PAGE, CODE, LOCK, &Graph::new()),
            texts(PAGE, &format!("{CODE}use std::fs;"), LOCK, &graph()),
            texts(PAGE, "//! Nouns.\n", LOCK, &graph()),
            texts(PAGE, &format!("\n{CODE}"), LOCK, &graph()),
            texts(PAGE, &format!("{CODE}fn f() {{ todo!() }}"), LOCK, &graph()),
            texts(PAGE, CODE, &LOCK.repeat(1000), &graph()),
        ];
        for findings in damaged {
            assert!(!findings.is_empty());
        }
        let left_out = Tree::of([("crates/model/tests/b.rs", "//! Tests.\n")]);
        let found = judge(&left_out, &graph());
        assert!(found.iter().any(|f| f.text.contains("tests/main.rs")));
        assert_eq!(judge(&Tree::default(), &graph())[0].text, "is missing");
    }
}
