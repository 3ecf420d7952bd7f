//! The tests of a crate from outside are one program, and no file of them is left out of it.

use super::Finding;
use super::tree::Tree;

/// Looks at every Rust file that lies in the `tests` folder of a crate, not deeper: it is the program's `main.rs`, a
/// module of it, or a program that the manifest names.
pub(crate) fn judge(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter_map(|(path, _)| {
            let (folder, name) = path.strip_suffix(".rs")?.rsplit_once('/')?;
            let package = folder.strip_prefix("crates/")?.strip_suffix("/tests")?;
            if package.contains('/') || name == "main" {
                return None;
            }
            let says = |file: &str, line: &str| {
                tree.text(&format!("crates/{package}/{file}"))
                    .is_some_and(|text| text.lines().any(|found| found.trim() == line))
            };
            let runs = says("tests/main.rs", &format!("mod {name};"))
                || says("Cargo.toml", &format!("name = \"{name}\""));
            (!runs).then(|| {
                Finding::error(
                    path,
                    "neither a module of the crate's tests/main.rs nor a program that its manifest names",
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(main: &str, manifest: &str) -> Vec<Finding> {
        judge(&Tree::of([
            ("crates/a/Cargo.toml", manifest),
            ("crates/a/src/b.rs", "//! No test."),
            ("crates/a/tests/main.rs", main),
            ("crates/a/tests/b.rs", "//! Tests."),
            ("crates/a/tests/common/c.rs", "//! Shared."),
        ]))
    }

    #[test]
    fn a_file_of_tests_that_nobody_runs_is_found() {
        assert_eq!(found("mod b;", ""), []);
        assert_eq!(found("", "[[test]]\nname = \"b\"\n"), []);
        for (main, manifest) in [("", ""), ("// mod b;", ""), ("mod bc;", "name = \"a\"")] {
            let findings = found(main, manifest);
            assert_eq!(findings.len(), 1, "{main}");
            assert!(findings[0].fatal);
            assert_eq!(findings[0].place, "crates/a/tests/b.rs");
        }
    }
}
