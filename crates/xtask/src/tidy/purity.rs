//! Deciding is pure: no file, process, network, environment or clock in the crates that decide; no unsafe code but in one.

use super::map::{Floor, Map};
use super::tree::Tree;
use super::{Finding, code};

/// Modules of `std` that reach out of the program.
const MODULES: &[&str] = &["env", "fs", "net", "process", "thread"];
/// Names that read a clock or randomness, however they are imported.
const NAMES: &[&str] = &[
    "Instant",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "getrandom",
];

/// The one crate of what ships that may lift the ban on the machine.
const MACHINE: &str = "host";
/// The lints that are the ban.
const BAN: &str = "clippy::disallowed_";
/// The one crate that may hold unsafe code.
const UNSAFE: &str = "digest";
/// The lint that forbids it.
const UNSAFE_BAN: &str = "unsafe_code";

/// Looks through what ships of every crate in the map.
pub(crate) fn judge(tree: &Tree, map: &Map) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, entry) in map {
        for (path, code) in tree.shipped(name) {
            if entry.pure {
                findings.extend(impurities(path, &code));
            }
            if name != MACHINE && entry.floor != Floor::Dev {
                let text = format!("only `{MACHINE}` lifts the ban on the machine ({BAN}…)");
                findings.extend(at_each(path, &code, code.match_indices(BAN), &text));
            }
            if name != UNSAFE {
                let text = format!("only `{UNSAFE}` holds unsafe code");
                findings.extend(at_each(path, &code, code.match_indices(UNSAFE_BAN), &text));
            }
        }
    }
    findings
}

fn impurities(path: &str, code: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for module in MODULES {
        let text = format!("a pure crate does not use std::{module}");
        let full = format!("std::{module}");
        let places = code::words(code, &full).map(|at| (at, ""));
        findings.extend(at_each(path, code, places, &text));
        let places = grouped(code, module).map(|at| (at, ""));
        findings.extend(at_each(path, code, places, &text));
    }
    for name in NAMES {
        let text = format!("a pure crate does not use {name}");
        let places = code::words(code, name).map(|at| (at, ""));
        findings.extend(at_each(path, code, places, &text));
    }
    findings
}

fn at_each<'a>(
    path: &str,
    code: &str,
    places: impl Iterator<Item = (usize, &'a str)>,
    text: &str,
) -> Vec<Finding> {
    places
        .map(|(at, _)| Finding::error(format!("{path}:{}", code::line_at(code, at)), text))
        .collect()
}

/// Where `module` stands directly inside `std::{ … }`.
fn grouped<'a>(code: &'a str, module: &'a str) -> impl Iterator<Item = usize> + 'a {
    const OPEN: &str = "std::{";
    code.match_indices(OPEN).flat_map(move |(start, _)| {
        let inside = start + OPEN.len();
        let group = code.get(inside..).unwrap_or_default();
        code::words(group, module)
            .take_while(|at| depth_before(group, *at).is_some())
            .filter(|at| is_direct(group, *at))
            .map(move |at| inside + at)
            .collect::<Vec<_>>()
    })
}

/// How many braces are open before `at`; none if the group has already ended.
fn depth_before(group: &str, at: usize) -> Option<usize> {
    let before = group.get(..at)?;
    before.chars().try_fold(0_usize, |depth, c| match c {
        '{' => Some(depth + 1),
        '}' => depth.checked_sub(1),
        _ => Some(depth),
    })
}

fn is_direct(group: &str, at: usize) -> bool {
    let before = group.get(..at).unwrap_or_default().trim_end();
    depth_before(group, at) == Some(0) && (before.is_empty() || before.ends_with(','))
}

#[cfg(test)]
mod tests {
    use super::super::map;
    use super::*;

    fn house() -> Map {
        let top =
            "| crate | floor | kind | imports | in tests | what it is |\n|--|--|--|--|--|--|\n";
        let rows = "| `model` | 0 | pure | — | — | x |\n| `vault` | 2 | edge | — | — | x |\n\
                    | `host` | 0 | edge | — | — | x |\n| `testkit` | dev | dev | — | — | x |\n";
        map::parse(&format!("{top}{rows}")).unwrap()
    }

    fn found(path: &str, text: &str) -> Vec<Finding> {
        judge(&Tree::of([(path, text)]), &house())
    }

    const PURE: &str = "crates/model/src/lib.rs";

    #[test]
    fn each_way_out_of_a_pure_crate_is_found() {
        for text in [
            "use std::fs;",
            "fn f() { std::env::var(x); }",
            "use std::process::Command;",
            "use std::net::TcpStream;",
            "use std::{collections::BTreeMap, fs};",
            "use std::{\n    fmt,\n    env::{self, var},\n};",
            "use std::time::SystemTime;",
            "use std::time::{Duration, Instant};",
            "let now = jiff::Timestamp::now();",
            "let now = Zoned::now();",
            "getrandom::fill(&mut bytes);",
            "std::thread::sleep(x);",
        ] {
            assert_eq!(found(PURE, text).len(), 1, "{text}");
        }
        assert_eq!(
            found(PURE, "\n\nuse std::fs;")[0].place,
            format!("{PURE}:3")
        );
    }

    #[test]
    fn pure_code_and_words_about_impure_code_are_left_alone() {
        for text in [
            "use std::{fmt, collections::{BTreeMap, fs}};\nuse crate::env;",
            "use std::{fmt};\nmod a { use b::{fs, env}; }",
            "// like std::fs, but pure\nlet text = \"std::env\";",
            "struct Instantaneous; use std::time::Duration;",
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n",
        ] {
            assert_eq!(found(PURE, text), [], "{text}");
        }
    }

    #[test]
    fn the_same_words_are_allowed_outside_pure_crates() {
        assert_eq!(found("crates/vault/src/lib.rs", "use std::env;"), []);
    }

    #[test]
    fn only_host_and_the_kit_lift_the_ban() {
        let text = "#![allow(clippy::disallowed_methods)]";
        assert_eq!(found("crates/vault/src/lib.rs", text).len(), 1);
        assert_eq!(found("crates/vault/tests/it.rs", text), []);
        assert_eq!(found("crates/host/src/lib.rs", text), []);
        assert_eq!(found("crates/testkit/src/lib.rs", text), []);
    }

    #[test]
    fn only_one_crate_lifts_the_ban_on_unsafe_code() {
        let text = "#[allow(unsafe_code)]";
        for path in ["crates/vault/src/a.rs", "crates/testkit/src/lib.rs"] {
            assert_eq!(found(path, text).len(), 1, "{path}");
        }
        assert_eq!(found("crates/digest/src/x86.rs", text), []);
    }
}
