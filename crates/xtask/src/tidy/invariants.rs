//! What must always hold is shown by tests: each row of the list names some that exist.

use std::collections::BTreeSet;

use super::map::place;
use super::tree::Tree;
use super::{ARCHITECTURE, Finding, code, table};

const HEADING: [&str; 2] = ["what must always hold", "shown by"];
/// How many lines above a function its attributes and comments may begin.
const ATTRIBUTES: usize = 8;

/// Looks for every named test, written as `crate::name`, among the tests of that crate.
pub(crate) fn judge(tree: &Tree, page: &str) -> Vec<Finding> {
    let Some(rows) = table::rows(page, &HEADING) else {
        let text = format!("has no table with the heading: {}", HEADING.join(" | "));
        return vec![Finding::error(ARCHITECTURE, text)];
    };
    let tests = all_tests(tree);
    let mut findings = Vec::new();
    for (line, cells) in rows {
        let named = cells
            .get(1)
            .map(|cell| table::names(cell))
            .unwrap_or_default();
        if named.is_empty() {
            findings.push(Finding::error(place(line), "an invariant without a test"));
        }
        for name in named.iter().filter(|name| !tests.contains(*name)) {
            let text = format!("there is no test `{name}` (crate::function)");
            findings.push(Finding::error(place(line), text));
        }
    }
    findings
}

fn all_tests(tree: &Tree) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (path, text) in tree.rust() {
        let Some(folder) = path
            .strip_prefix("crates/")
            .and_then(|rest| rest.split('/').next())
        else {
            continue;
        };
        let tests = tests_in(&code::only(text));
        found.extend(tests.into_iter().map(|name| format!("{folder}::{name}")));
    }
    found
}

/// The functions that have `#[test]` among the attributes directly above them.
fn tests_in(code: &str) -> Vec<String> {
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        let above = lines.iter().take(at).rev().take(ATTRIBUTES);
        let mut attributes = above.take_while(|line| line.is_empty() || line.starts_with("#["));
        if attributes.any(|line| *line == "#[test]") {
            found.push(name.to_owned());
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("fn ")?;
    rest.split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP: &str = "| what must always hold | shown by |\n|--|--|\n";

    fn found(row: &str, code: &str) -> Vec<Finding> {
        let tree = Tree::of([("crates/vault/src/lib.rs", code)]);
        judge(&tree, &format!("{TOP}{row}\n"))
    }

    const ROW: &str = "| Nothing is lost. | `vault::nothing_is_lost` |";
    const TEST: &str = "#[test]\nfn nothing_is_lost() {}\n";

    #[test]
    fn a_test_that_exists_is_found() {
        assert_eq!(found(ROW, TEST), []);
        let property = "proptest! {\n    #[test]\n    // Why.\n    #[allow(x)]\n    fn nothing_is_lost(a in b) {}\n}";
        assert_eq!(found(ROW, property), []);
    }

    #[test]
    fn a_test_that_does_not_run_is_no_test() {
        assert_eq!(found(ROW, "").len(), 1);
        assert_eq!(found(ROW, "fn nothing_is_lost() {}").len(), 1);
        assert_eq!(found(ROW, "// #[test]\nfn nothing_is_lost() {}").len(), 1);
        assert_eq!(
            found(ROW, "#[test]\nfn other() {}\nfn nothing_is_lost() {}").len(),
            1
        );
        assert_eq!(
            found(ROW, "#[test]\nfn nothing_is_lost_either() {}").len(),
            1
        );
    }

    #[test]
    fn a_test_of_another_crate_does_not_count() {
        let tree = Tree::of([("crates/ledger/src/lib.rs", TEST)]);
        assert_eq!(judge(&tree, &format!("{TOP}{ROW}\n")).len(), 1);
    }

    #[test]
    fn an_invariant_without_a_test_and_a_page_without_invariants_are_found() {
        assert_eq!(found("| Nothing is lost. | later |", TEST).len(), 1);
        assert_eq!(judge(&Tree::default(), "no table").len(), 1);
    }
}
