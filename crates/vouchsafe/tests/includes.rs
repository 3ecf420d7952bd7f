//! A policy of many files: every fault at its file and line, in time, and nothing from outside of its folder.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use crate::common::{POLICY, Workspace, text};
use serde_json::Value;

fn json(out: &str) -> Value {
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

/// Code, file and line of every finding that is no note.
fn findings(w: &Workspace) -> BTreeSet<(String, String, u64)> {
    let out = w.run(["--json", "lint"]);
    let found = json(&text(&out.stdout));
    let all = found["findings"].as_array().unwrap();
    all.iter()
        .filter(|f| f["level"] != "note")
        .map(|f| {
            let of = |key: &str| f[key].as_str().unwrap().to_owned();
            (of("code"), of("file"), f["line"].as_u64().unwrap())
        })
        .collect()
}

/// The workspace's policy with its systems in a file of their own.
fn split(w: &Workspace) {
    let (head, systems) = POLICY.split_once("systems:\n").unwrap();
    fs::create_dir_all(w.path("systems")).unwrap();
    fs::write(
        w.path("policy.yaml"),
        format!("include: [ systems/*.yaml ]\n{head}"),
    )
    .unwrap();
    fs::write(w.path("systems/all.yaml"), format!("systems:\n{systems}")).unwrap();
    w.drill_monthly();
}

#[test]
fn five_hundred_systems_over_several_files_are_linted_in_seconds_with_each_fault_in_its_place() {
    let w = Workspace::new();
    let (head, _) = POLICY.split_once("systems:\n").unwrap();
    let main = format!(
        "include: [ systems/*.yaml, more/*/part.yaml ]\n{head}defaults:\n  environments: {{ prod: {{ owner: p@example.com, plan: nightly, tier: standard }} }}\n  applications: {{ shop: {{ owner: s@example.com }} }}\n"
    );
    fs::write(w.path("policy.yaml"), main).unwrap();
    w.drill_monthly();
    let mut planted = BTreeSet::new();
    for file in 0..10 {
        let name = match file {
            9 => "more/deep/part.yaml".to_owned(),
            n => format!("systems/part-{n}.yaml"),
        };
        let mut body = String::from("# One part of many.\nsystems:\n");
        for n in 0..50 {
            let line = 3 + n;
            let (system, fault) = (format!("s-{file}-{n:02}"), n == 10 + file);
            match (fault, file % 3) {
                (true, 0) => {
                    // Nobody answers for it, for it is in no environment that has an owner.
                    let _ = writeln!(
                        body,
                        "  {system}: {{ source: \"files:/srv/{system}\", tier: standard, plan: nightly }}"
                    );
                    planted.insert(("P103".to_owned(), name.clone(), line));
                }
                (true, 1) => {
                    let _ = writeln!(
                        body,
                        "  {system}: {{ source: \"files:/srv/{system}\", environment: prod, plann: nightly }}"
                    );
                    planted.insert(("P010".to_owned(), name.clone(), line));
                }
                (true, _) => {
                    let _ = writeln!(
                        body,
                        "  {system}: {{ source: \"files:/srv/{system}\", environment: prod, plan: weekly }}"
                    );
                    planted.insert(("P020".to_owned(), name.clone(), line));
                }
                _ => {
                    let _ = writeln!(
                        body,
                        "  {system}: {{ source: \"files:/srv/{system}\", environment: prod, application: shop }}"
                    );
                }
            }
        }
        let path = w.path(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, body).unwrap();
    }
    let errors: BTreeSet<_> = planted.iter().filter(|f| f.0 != "P103").cloned().collect();
    let begun = Instant::now();
    assert_eq!(findings(&w), errors);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
    // Without the errors the linter itself judges every system.
    for (_, file, line) in &errors {
        let body = fs::read_to_string(w.path(file)).unwrap();
        let mut lines: Vec<String> = body.lines().map(str::to_owned).collect();
        let at = usize::try_from(*line).unwrap() - 1;
        lines[at] = lines[at]
            .replace(", plann: nightly", "")
            .replace(", plan: weekly", "");
        fs::write(w.path(file), lines.join("\n")).unwrap();
    }
    let warnings: BTreeSet<_> = planted.iter().filter(|f| f.0 == "P103").cloned().collect();
    let begun = Instant::now();
    assert_eq!(findings(&w), warnings);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
    // As SARIF and as text, too, each stands in its own file.
    let log = json(&w.exits(1, ["lint", "--format", "sarif"]).0);
    let results = log["runs"][0]["results"].as_array().unwrap();
    let (_, file, line) = warnings.first().unwrap();
    let there = results.iter().any(|r| {
        let place = &r["locations"][0]["physicalLocation"];
        place["artifactLocation"]["uri"] == file.as_str() && place["region"]["startLine"] == *line
    });
    assert!(there, "{file}:{line}");
    let (shown, _) = w.exits(1, ["lint"]);
    assert!(shown.contains(&format!("{file}:{line}:3")), "{shown}");
}

#[test]
fn nothing_is_included_from_outside_in_circles_or_without_bound() {
    let w = Workspace::new();
    split(&w);
    assert_eq!(findings(&w), BTreeSet::new());
    let main = fs::read_to_string(w.path("policy.yaml")).unwrap();
    let includes = |what: &str| {
        let text = main.replace("[ systems/*.yaml ]", what);
        fs::write(w.path("policy.yaml"), text).unwrap();
        let codes = findings(&w).into_iter();
        codes
            .map(|(code, file, line)| (code, format!("{file}:{line}")))
            .collect::<Vec<_>>()
    };
    let at_first = |code: &str| vec![(code.to_owned(), "policy.yaml:1".to_owned())];
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x.yaml"), "systems: {}\n").unwrap();
    std::os::unix::fs::symlink(outside.path().join("x.yaml"), w.path("link.yaml")).unwrap();
    std::os::unix::fs::symlink(outside.path(), w.path("out")).unwrap();
    std::os::unix::fs::symlink("systems/all.yaml", w.path("inside.yaml")).unwrap();
    let absolute = format!("[ {} ]", outside.path().join("x.yaml").display());
    assert_eq!(includes(&absolute), at_first("P187"));
    assert_eq!(includes("[ ../x.yaml ]"), at_first("P187"));
    assert_eq!(includes("[ link.yaml ]"), at_first("P187"));
    assert_eq!(includes("[ out/x.yaml ]"), at_first("P187"));
    assert_eq!(includes("[ inside.yaml ]"), []);
    assert_eq!(includes("[ none/*.yaml ]"), at_first("P186"));
    assert_eq!(includes("[ none.yaml ]"), at_first("P186"));
    assert_eq!(includes("[ policy.yaml ]"), at_first("P188"));
    // A circle is told where it closes, in the file that closes it.
    fs::write(w.path("systems/again.yaml"), "\ninclude: more/loop.yaml\n").unwrap();
    fs::create_dir(w.path("systems/more")).unwrap();
    fs::write(w.path("systems/more/loop.yaml"), "systems: {}\n").unwrap();
    assert_eq!(includes("[ systems/*.yaml ]"), []);
    std::os::unix::fs::symlink("..", w.path("systems/more/up")).unwrap();
    fs::write(w.path("systems/more/loop.yaml"), "include: up/again.yaml\n").unwrap();
    let found = includes("[ systems/*.yaml ]");
    assert_eq!(
        found,
        [("P187".to_owned(), "systems/more/loop.yaml:1".to_owned())]
    );
    fs::write(w.path("systems/more/loop.yaml"), "systems: {}\n").unwrap();
    // What stands once stands once, and what has names may stand in each, but no name twice.
    fs::write(
        w.path("systems/again.yaml"),
        "policy: { id: X }\nsystems:\n  website: { exempt: no }\n",
    )
    .unwrap();
    let found = includes("[ systems/*.yaml ]");
    let wanted = [
        ("P003", "systems/all.yaml"),
        ("P191", "systems/again.yaml:1"),
    ];
    for ((code, place), (wanted, there)) in found.iter().zip(wanted) {
        assert!(code == wanted && place.starts_with(there), "{found:?}");
    }
    assert_eq!(found.len(), 2, "{found:?}");
    // A file that would pass for two is refused.
    fs::write(w.path("systems/again.yaml"), "systems: {}\n#!file x.yaml\n").unwrap();
    assert_eq!(includes("[ systems/*.yaml ]")[0].0, "P190");
    fs::write(w.path("systems/again.yaml"), "#".repeat(3 << 20)).unwrap();
    fs::write(w.path("systems/bulk.yaml"), "#".repeat(3 << 20)).unwrap();
    assert_eq!(includes("[ systems/*.yaml ]"), at_first("P189"));
}

#[test]
fn one_declaration_makes_a_system_of_each_name() {
    let w = Workspace::new();
    split(&w);
    for name in ["anna", "ben"] {
        fs::create_dir_all(w.path(format!("laptops/{name}"))).unwrap();
        fs::write(w.path(format!("laptops/{name}/file")), name).unwrap();
    }
    let laptops = "systems:\n  laptop-{}:\n    instances: { list: { anna: , ben: { owner: ben@example.com } } }\n    source: \"files:./laptops/{}\"\n    tier: standard\n    plan: nightly\n    owner: o@example.com\nrequirements:\n  R-1: systems/laptop-{}/source\n";
    fs::write(w.path("systems/laptops.yaml"), laptops).unwrap();
    assert_eq!(findings(&w), BTreeSet::new());
    w.ok(["init"]);
    w.ok(["run", "laptop-anna", "laptop-ben"]);
    let points = json(&w.ok(["--json", "points", "laptop-ben"]));
    assert_eq!(points["points"].as_array().unwrap().len(), 1);
    let traced = json(&w.ok(["--json", "trace"]));
    let row = &traced["requirements"][0];
    assert_eq!(row["footing"], "rule", "{row}");
    assert_eq!(row["at"][0]["file"], "systems/laptops.yaml");
    // Two of one name, and a name without a list, are told.
    fs::write(
        w.path("systems/laptops.yaml"),
        laptops.replace("anna:", "anna: , anna:"),
    )
    .unwrap();
    assert_eq!(findings(&w).first().unwrap().0, "P003");
    fs::write(
        w.path("systems/laptops.yaml"),
        laptops.replace("list: {", "file: x, folders: {"),
    )
    .unwrap();
    assert!(findings(&w).iter().any(|f| f.0 == "P192"));
    let twice = laptops.replace(
        "requirements:",
        "  laptop-ben: { exempt: it is there }\nrequirements:",
    );
    fs::write(w.path("systems/laptops.yaml"), twice).unwrap();
    assert!(findings(&w).iter().any(|f| f.0 == "P192"));
}

#[test]
fn a_change_in_an_included_file_is_a_change_of_the_policy_and_all_files_come_back() {
    let w = Workspace::new();
    split(&w);
    w.ok(["init"]);
    w.ok(["run"]);
    let file = w.path("systems/all.yaml");
    let all = fs::read_to_string(&file).unwrap();
    let less: String = all
        .lines()
        .filter(|l| !l.contains("code:"))
        .map(|l| format!("{l}\n"))
        .collect();
    fs::write(&file, less).unwrap();
    let out = w.run(["--json", "status"]);
    let change = json(&text(&out.stdout))["pending_change"].clone();
    assert_eq!(change["alterations"][0]["place"], "systems/code");
    fs::write(&file, &all).unwrap();
    w.ok(["run", "website"]);
    let main = fs::read_to_string(w.path("policy.yaml")).unwrap();
    fs::copy(w.path(".vouchsafe/recovery-sheet.txt"), w.path("sheet.txt")).unwrap();
    fs::remove_dir_all(w.path(".vouchsafe")).unwrap();
    fs::remove_dir_all(w.path("systems")).unwrap();
    fs::remove_file(w.path("policy.yaml")).unwrap();
    let url = w.path("vaults/local");
    w.ok([
        "recover-state",
        "--vault",
        url.to_str().unwrap(),
        "--sheet",
        "sheet.txt",
    ]);
    assert_eq!(fs::read_to_string(w.path("policy.yaml")).unwrap(), main);
    assert_eq!(fs::read_to_string(&file).unwrap(), all);
    let out = w.run(["--json", "status"]);
    assert_eq!(json(&text(&out.stdout))["pending_change"], Value::Null);
}
