//! What holds for each file: Rust opens with one `//!` line and stays small; crates take the lints.

use super::Finding;
use super::tree::Tree;

/// Above this many lines a file is asked to be split.
const LONG: usize = 500;
/// Above this many lines it has to be.
const TOO_LONG: usize = 600;

/// Looks at every Rust file and every crate's manifest.
pub(crate) fn judge(tree: &Tree) -> Vec<Finding> {
    let rust = tree.rust().flat_map(|(path, text)| {
        [opening(path, text), size(path, text)]
            .into_iter()
            .flatten()
    });
    let manifests = tree
        .files()
        .filter(|(path, _)| path.starts_with("crates/") && path.ends_with("/Cargo.toml"))
        .filter_map(|(path, text)| lints(path, text));
    rust.chain(manifests).collect()
}

fn opening(path: &str, text: &str) -> Option<Finding> {
    let says_something = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("//! "))
        .is_some_and(|line| !line.trim().is_empty());
    (!says_something).then(|| {
        Finding::error(
            format!("{path}:1"),
            "does not open with a `//!` line that says what it is",
        )
    })
}

fn size(path: &str, text: &str) -> Option<Finding> {
    match text.lines().count() {
        lines if lines > TOO_LONG => Some(Finding::error(
            path,
            format!("{lines} lines: more than {TOO_LONG} is refused, split it"),
        )),
        lines if lines > LONG => Some(Finding::warning(
            path,
            format!("{lines} lines: more than {LONG} is long"),
        )),
        _ => None,
    }
}

fn lints(path: &str, text: &str) -> Option<Finding> {
    let mut lines = text.lines().map(str::trim);
    let takes_them =
        lines.any(|line| line == "[lints]") && lines.next() == Some("workspace = true");
    (!takes_them).then(|| Finding::error(path, "does not take the workspace's lints"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<Finding> {
        judge(&Tree::of([(path, text)]))
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_is_found() {
        assert_eq!(found("a.rs", "//! What it is.\n"), []);
        for text in [
            "",
            "fn a() {}\n",
            "\n//! Late.\n",
            "//!\n",
            "// Not a doc line.\n",
        ] {
            assert_eq!(found("a.rs", text).len(), 1, "{text:?}");
        }
        assert_eq!(found("a.md", "text"), []);
    }

    #[test]
    fn long_files_are_warned_of_and_longer_ones_refused() {
        let of = |lines: usize| found("a.rs", &format!("//! What.\n{}", "x\n".repeat(lines - 1)));
        assert_eq!(of(500), []);
        assert!(!of(501)[0].fatal);
        assert!(!of(600)[0].fatal);
        assert!(of(601)[0].fatal);
    }

    #[test]
    fn a_crate_without_the_lints_is_found() {
        let path = "crates/a/Cargo.toml";
        assert_eq!(found(path, "[package]\n\n[lints]\nworkspace = true\n"), []);
        assert_eq!(found(path, "[package]\n").len(), 1);
        assert_eq!(found(path, "[lints]\n\n[dependencies]\n").len(), 1);
    }
}
