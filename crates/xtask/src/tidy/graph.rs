//! The crates as cargo sees them, held against the map in both directions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::map::{self, Entry, Floor, Map};
use super::{ARCHITECTURE, Finding};
use crate::{program, workspace};

/// Crates that do input or output, or read clock, environment or randomness: not for pure crates.
const IMPURE: &[&str] = &[
    "fs4",
    "getrandom",
    "libc",
    "mio",
    "nix",
    "opendal",
    "rand",
    "reqwest",
    "rusqlite",
    "rustix",
    "signal-hook",
    "sqlx",
    "tempfile",
    "tokio",
    "walkdir",
    "xattr",
];

/// The crates of the workspace by the names of their folders.
pub(crate) type Graph = BTreeMap<String, Member>;

/// What one crate's manifest says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Member {
    /// The name of the package.
    pub(crate) package: String,
    /// Folders of the workspace's crates that it imports, also in build scripts.
    pub(crate) imports: BTreeSet<String>,
    /// Folders of the workspace's crates that only its tests import.
    pub(crate) in_tests: BTreeSet<String>,
    /// Everything else that it imports.
    pub(crate) outside: BTreeSet<String>,
}

/// Asks `cargo metadata`, without resolving versions.
pub(crate) fn load(root: &Path) -> Result<Graph, String> {
    let text = program::read(workspace::cargo().current_dir(root).args([
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
    ]))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    parse(&value).ok_or_else(|| "cargo metadata: not in the form that is known".to_owned())
}

/// Holds every crate against its row in the map, and every row against its crate.
pub(crate) fn judge(graph: &Graph, map: &Map) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, member) in graph {
        match map.get(name) {
            None => findings.push(Finding::error(
                ARCHITECTURE,
                format!("the crate `{name}` is not in the map"),
            )),
            Some(entry) => {
                findings.extend(compare(name, member, entry));
                findings.extend(floors(name, member, entry, map));
                findings.extend(pure_dependencies(name, member, entry, map));
            }
        }
        if !is_named_for(&member.package, name) {
            let text = format!("the package in this folder is called {}", member.package);
            findings.push(Finding::error(format!("crates/{name}"), text));
        }
    }
    for (name, entry) in map.iter().filter(|(name, _)| !graph.contains_key(*name)) {
        let text = format!("the crate `{name}` is in the map but not in the workspace");
        findings.push(Finding::error(map::place(entry.line), text));
    }
    findings
}

fn compare(name: &str, member: &Member, entry: &Entry) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut hold = |real: &BTreeSet<String>, drawn: &BTreeSet<String>, how: &str| {
        for other in real.difference(drawn) {
            let text = format!("`{name}` imports `{other}`{how}: the map does not say so");
            findings.push(Finding::error(map::place(entry.line), text));
        }
        for other in drawn.difference(real) {
            let text = format!("the map says that `{name}` imports `{other}`{how}: it does not");
            findings.push(Finding::error(map::place(entry.line), text));
        }
    };
    hold(&member.imports, &entry.imports, "");
    hold(&member.in_tests, &entry.in_tests, " in tests");
    findings
}

/// Arrows point downwards only, so the floors make cycles impossible.
fn floors(name: &str, member: &Member, entry: &Entry, map: &Map) -> Vec<Finding> {
    let arrows = member.imports.iter().map(|other| (other, false));
    let in_tests = member.in_tests.iter().map(|other| (other, true));
    arrows
        .chain(in_tests)
        .filter_map(|(other, in_tests)| Some((other, in_tests, map.get(other)?.floor)))
        .filter(|(_, in_tests, floor)| !may_import(entry.floor, *floor, *in_tests))
        .map(|(other, ..)| {
            let text = format!("`{name}` imports `{other}`, which is not on a lower floor");
            Finding::error(format!("crates/{name}/Cargo.toml"), text)
        })
        .collect()
}

fn may_import(own: Floor, other: Floor, in_tests: bool) -> bool {
    match (own, other) {
        (Floor::Number(own), Floor::Number(other)) => other < own,
        (Floor::Number(_), Floor::Dev) => in_tests,
        (Floor::Dev, Floor::Number(_)) => true,
        (Floor::Dev, Floor::Dev) => false,
    }
}

fn pure_dependencies(name: &str, member: &Member, entry: &Entry, map: &Map) -> Vec<Finding> {
    if !entry.pure {
        return Vec::new();
    }
    let inside = member
        .imports
        .iter()
        .filter(|other| !map.get(*other).is_some_and(|entry| entry.pure));
    let outside = member
        .outside
        .iter()
        .filter(|other| IMPURE.contains(&other.as_str()));
    inside
        .chain(outside)
        .map(|other| {
            let text = format!("`{name}` is pure, but imports `{other}`, which is not");
            Finding::error(format!("crates/{name}/Cargo.toml"), text)
        })
        .collect()
}

fn is_named_for(package: &str, folder: &str) -> bool {
    package.strip_prefix("vouchsafe-") == Some(folder)
        || (package == folder && ["vouchsafe", "xtask"].contains(&folder))
}

fn parse(value: &Value) -> Option<Graph> {
    let mut graph = Graph::new();
    for package in value.get("packages")?.as_array()? {
        let manifest = Path::new(package.get("manifest_path")?.as_str()?);
        let mut member = Member {
            package: package.get("name")?.as_str()?.to_owned(),
            ..Member::default()
        };
        for dependency in package.get("dependencies")?.as_array()? {
            add(&mut member, dependency)?;
        }
        graph.insert(last_part(manifest.parent()?)?, member);
    }
    Some(graph)
}

fn add(member: &mut Member, dependency: &Value) -> Option<()> {
    let in_tests = dependency.get("kind")?.as_str() == Some("dev");
    match dependency.get("path").and_then(Value::as_str) {
        Some(path) => {
            let folder = last_part(Path::new(path))?;
            if in_tests {
                member.in_tests.insert(folder);
            } else {
                member.imports.insert(folder);
            }
        }
        None if !in_tests => {
            member
                .outside
                .insert(dependency.get("name")?.as_str()?.to_owned());
        }
        None => {}
    }
    Some(())
}

fn last_part(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn member(
        folder: &str,
        imports: &[&str],
        in_tests: &[&str],
        outside: &[&str],
    ) -> (String, Member) {
        let member = Member {
            package: format!("vouchsafe-{folder}"),
            imports: set(imports),
            in_tests: set(in_tests),
            outside: set(outside),
        };
        (folder.to_owned(), member)
    }

    fn house() -> Graph {
        Graph::from([
            member("model", &[], &[], &["serde"]),
            member("host", &["model"], &["testkit"], &["rustix"]),
            member("testkit", &["host"], &[], &[]),
        ])
    }

    fn drawn(rows: &str) -> Map {
        let top =
            "| crate | floor | kind | imports | in tests | what it is |\n|--|--|--|--|--|--|\n";
        map::parse(&format!("{top}{rows}")).unwrap()
    }

    fn plan() -> Map {
        drawn(
            "| `model` | 0 | pure | — | — | x |\n\
             | `host` | 1 | edge | `model` | `testkit` | x |\n\
             | `testkit` | dev | dev | `host` | — | x |\n",
        )
    }

    fn only(findings: &[Finding]) -> &str {
        assert_eq!(findings.len(), 1, "{findings:?}");
        &findings[0].text
    }

    #[test]
    fn a_house_that_equals_its_map_has_no_findings() {
        assert_eq!(judge(&house(), &plan()), []);
    }

    #[test]
    fn a_crate_without_a_row_and_a_row_without_a_crate_are_found() {
        let mut graph = house();
        graph.extend([member("store", &[], &[], &[])]);
        assert!(only(&judge(&graph, &plan())).contains("`store` is not in the map"));
        let mut map = plan();
        let entry = map["model"].clone();
        map.insert("cellar".to_owned(), entry);
        assert!(only(&judge(&house(), &map)).contains("`cellar` is in the map but not"));
    }

    #[test]
    fn an_arrow_that_only_one_side_has_is_found() {
        let mut map = plan();
        map.get_mut("testkit")
            .unwrap()
            .imports
            .insert("model".to_owned());
        assert!(only(&judge(&house(), &map)).contains("it does not"));
        let mut graph = house();
        graph
            .get_mut("testkit")
            .unwrap()
            .imports
            .insert("model".to_owned());
        assert!(only(&judge(&graph, &plan())).contains("the map does not say so"));
        let mut graph = house();
        graph.get_mut("host").unwrap().in_tests.clear();
        assert!(only(&judge(&graph, &plan())).contains("in tests: it does not"));
    }

    #[test]
    fn an_arrow_that_does_not_point_down_is_found() {
        let mut map = plan();
        map.get_mut("model").unwrap().floor = Floor::Number(1);
        assert!(only(&judge(&house(), &map)).contains("not on a lower floor"));
    }

    #[test]
    fn what_ships_does_not_import_what_does_not() {
        let (mut graph, mut map) = (house(), plan());
        for imports in [
            &mut graph.get_mut("host").unwrap().imports,
            &mut map.get_mut("host").unwrap().imports,
        ] {
            imports.insert("testkit".to_owned());
        }
        assert!(only(&judge(&graph, &map)).contains("not on a lower floor"));
    }

    #[test]
    fn a_pure_crate_imports_nothing_impure() {
        let mut graph = house();
        graph
            .get_mut("model")
            .unwrap()
            .outside
            .insert("tokio".to_owned());
        assert!(only(&judge(&graph, &plan())).contains("imports `tokio`"));
        let mut map = plan();
        map.get_mut("host").unwrap().pure = true;
        assert!(only(&judge(&house(), &map)).contains("imports `rustix`"));
        let mut map = plan();
        map.get_mut("testkit").unwrap().pure = true;
        assert!(only(&judge(&house(), &map)).contains("imports `host`"));
    }

    #[test]
    fn a_package_is_named_for_its_folder() {
        let mut graph = house();
        graph.get_mut("model").unwrap().package = "vouchsafe-nouns".to_owned();
        assert!(only(&judge(&graph, &plan())).contains("vouchsafe-nouns"));
        assert!(is_named_for("vouchsafe", "vouchsafe") && is_named_for("xtask", "xtask"));
        assert!(!is_named_for("model", "model"));
    }

    #[test]
    fn metadata_is_read_by_kind_and_path() {
        let value = json!({ "packages": [{
            "name": "vouchsafe-host",
            "manifest_path": "/x/crates/host/Cargo.toml",
            "dependencies": [
                { "name": "vouchsafe-model", "kind": null, "path": "/x/crates/model" },
                { "name": "vouchsafe-testkit", "kind": "dev", "path": "/x/crates/testkit" },
                { "name": "rustix", "kind": null },
                { "name": "proptest", "kind": "dev" },
            ],
        }]});
        let expected = Graph::from([member("host", &["model"], &["testkit"], &["rustix"])]);
        assert_eq!(parse(&value), Some(expected));
        assert_eq!(parse(&json!({})), None);
    }
}
