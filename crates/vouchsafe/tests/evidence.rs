//! The evidence of a period from the command line, and a bundle of it that others check without us.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Workspace, files_below, text};
use serde_json::Value;
use vouchsafe_ledger::{Envelope, VerifyingKey};

/// Something of everything: captured, copied, read back, rehearsed.
fn lived() -> Workspace {
    let w = Workspace::new();
    w.drill_monthly();
    w.ok(["init"]);
    w.ok(["run", "website", "shop-db"]);
    w.ok(["verify"]);
    w.ok(["drill", "website", "--negative"]);
    w
}

fn vkey(w: &Workspace) -> String {
    let shown: Value =
        serde_json::from_str(&w.ok(["--json", "ledger", "show", "--last", "1"])).unwrap();
    shown["public_key"].as_str().unwrap().to_owned()
}

/// A bundle, unpacked by tar into a directory of its own.
fn unpacked(w: &Workspace, name: &str) -> PathBuf {
    let dir = w.path(name);
    fs::create_dir(&dir).unwrap();
    let out = Command::new("tar")
        .arg("-xf")
        .arg(w.path("evidence.tar"))
        .current_dir(&dir)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
    dir.join("evidence")
}

/// An examiner from the bundle, run where there is nothing of ours, with Python's own library only.
fn python(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let out = Command::new("python3")
        .arg("-I")
        .args(args)
        .current_dir(dir)
        .output()
        .expect("python3 runs; `cargo xtask test` installs it");
    (
        out.status.code(),
        format!("{}{}", text(&out.stdout), text(&out.stderr)),
    )
}

/// What is done to a bundle: its name, what is then said, and the deed.
type Damage = (&'static str, &'static str, fn(&Path));

#[test]
fn a_bundle_is_checked_without_us_and_whatever_is_damaged_in_it_is_found() {
    let w = lived();
    let key = vkey(&w);
    let said = w.ok(["report", "--bundle", "evidence.tar"]);
    assert!(said.contains("wrote evidence.tar with "), "{said}");
    let dir = unpacked(&w, "whole");
    let record = ["verify_ledger.py", "ledger.export", "--key", &key];
    let (code, said) = python(&dir, &record);
    assert_eq!(code, Some(0), "{said}");
    let whole = ["verify_bundle.py", "--key", &key];
    let (code, said) = python(&dir, &whole);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.ends_with("sound: everything is what was signed\n"),
        "{said}"
    );
    let sums = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
        .current_dir(&dir)
        .output()
        .unwrap();
    assert!(sums.status.success(), "{}", text(&sums.stderr));
    // Another key than that of the recovery sheet signed nothing of this.
    let other = "vouchsafe/0000000000000000+00000000+AQAA";
    assert_eq!(
        python(&dir, &["verify_bundle.py", "--key", other]).0,
        Some(2)
    );
    let other = vkey(&Workspace::ready());
    let (code, said) = python(&dir, &["verify_bundle.py", "--key", &other]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not signed by this key"), "{said}");
    // Without a key nothing says who made it, and that is said to the end.
    let (code, said) = python(&dir, &["verify_bundle.py"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.ends_with(
            "sound: everything is what was signed, by a key that the bundle itself names\n"
        ),
        "{said}"
    );
    nothing_out_of_the_bundle_runs(&w, &key);
    each_damage_is_found(&w, &key);
}

/// Whoever changes a bundle can change the programs in it too: the examiner that was had from elsewhere runs its own.
fn nothing_out_of_the_bundle_runs(w: &Workspace, key: &str) {
    let dir = unpacked(w, "with-a-program");
    let ran = dir.with_file_name("ran");
    let program = format!(
        "open({:?}, 'w')\ndef all_signed(items):\n    return True\nprint('sound 1: every entry')\n",
        ran.to_str().unwrap()
    );
    for name in ["verify_ledger.py", "json.py", "base64.py"] {
        fs::write(dir.join(name), &program).unwrap();
    }
    replace(
        &dir,
        "ledger.export",
        "\"outcome\":\"done\"",
        "\"outcome\":\"lost\"",
    );
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tools");
    let examiner = tools.join("verify_bundle.py");
    let examiner = examiner.to_str().unwrap();
    for folder in [dir.to_str().unwrap(), "."] {
        let (code, said) = python(&dir, &[examiner, folder, "--key", key]);
        assert_eq!(code, Some(1), "{said}");
        for says in [
            "verify_ledger.py: not the file that was signed",
            "json.py: not part of the bundle",
            "ledger.export: not the record that was signed",
        ] {
            assert!(said.contains(says), "not `{says}`:\n{said}");
        }
        assert!(!ran.exists(), "{said}");
    }
}

fn each_damage_is_found(w: &Workspace, key: &str) {
    let names: Vec<String> = files_below(&unpacked(w, "names"))
        .iter()
        .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert!(names.len() > 30, "{names:?}");
    let damages: [Damage; 9] = [
        (
            "a-changed-row",
            "populations/copies.csv: not the file",
            |dir| {
                replace(dir, "populations/copies.csv", "local", "secure");
            },
        ),
        (
            "a-row-left-out",
            "population copies: the record yields",
            |dir| {
                let path = dir.join("populations/copies.csv");
                let text = fs::read_to_string(&path).unwrap();
                let fewer: Vec<&str> = text.lines().take(2).collect();
                fs::write(path, format!("{}\r\n", fewer.join("\r\n"))).unwrap();
            },
        ),
        ("another-sample", "sample of copies: not the one", |dir| {
            let path = dir.join("samples.json");
            let mut all: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let copies = all.as_array_mut().unwrap().iter_mut();
            for sample in copies.filter(|s| s["population"] == "copies") {
                sample["keys"][0] = "1".into();
            }
            fs::write(path, all.to_string()).unwrap();
        }),
        (
            "a-changed-statement",
            "statements.intoto.jsonl, line 1: not signed",
            |dir| {
                let path = dir.join("statements.intoto.jsonl");
                let text = fs::read_to_string(&path).unwrap();
                let (first, rest) = text.split_once('\n').unwrap();
                let mut envelope: Envelope = serde_json::from_str(first).unwrap();
                envelope.payload_type = "text/plain".into();
                let first = serde_json::to_string(&envelope).unwrap();
                fs::write(path, format!("{first}\n{rest}")).unwrap();
            },
        ),
        (
            "a-forged-list",
            "bundle.intoto.json: not signed by this key",
            |dir| {
                let path = dir.join("bundle.intoto.json");
                let mut envelope: Value =
                    serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                envelope["payload"] = "e30=".into();
                fs::write(path, envelope.to_string()).unwrap();
            },
        ),
        ("no-form", "a file is not in its form", |dir| {
            fs::write(dir.join("samples.json"), "[{}]").unwrap();
        }),
        ("a-missing-file", "report.pdf: missing", |dir| {
            fs::remove_file(dir.join("report.pdf")).unwrap();
        }),
        (
            "an-added-file",
            "extra.txt: not part of the bundle",
            |dir| {
                fs::write(dir.join("extra.txt"), "x").unwrap();
            },
        ),
        ("a-cut-record", "ledger.export: not the record", |dir| {
            let path = dir.join("ledger.export");
            let text = fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            let kept = [&lines[..3], &lines[4..]].concat();
            fs::write(path, format!("{}\n", kept.join("\n"))).unwrap();
        }),
    ];
    for (name, says, damage) in damages {
        let dir = unpacked(w, name);
        damage(&dir);
        let (code, said) = python(&dir, &["verify_bundle.py", "--key", key]);
        assert_eq!(code, Some(1), "{name}:\n{said}");
        assert!(said.contains(says), "{name} does not say `{says}`:\n{said}");
    }
}

fn replace(dir: &Path, name: &str, from: &str, to: &str) {
    let path = dir.join(name);
    let text = fs::read_to_string(&path).unwrap();
    let changed = text.replacen(from, to, 1);
    assert_ne!(changed, text);
    fs::write(path, changed).unwrap();
}

#[test]
fn each_form_is_written_and_says_what_it_should() {
    let w = lived();
    for (format, file, starts) in [
        ("html", "report.html", "<!DOCTYPE html>"),
        ("json", "report.json", "{"),
        ("pdf", "report.pdf", "%PDF-1.7"),
        ("oscal", "report.oscal.json", "{"),
        ("in-toto", "report.intoto.jsonl", "{\"payload\":"),
    ] {
        w.ok(["report", "--format", format]);
        let bytes = fs::read(w.path(file)).unwrap();
        assert!(bytes.starts_with(starts.as_bytes()), "{file}");
    }
    let key = VerifyingKey::parse(&vkey(&w)).unwrap();
    let lines = fs::read_to_string(w.path("report.intoto.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 2, "the period and one drill");
    for line in lines.lines() {
        let envelope: Envelope = serde_json::from_str(line).unwrap();
        let statement: Value = serde_json::from_slice(&envelope.open(&key).unwrap()).unwrap();
        assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    }
    w.ok(["report", "--format", "csv"]);
    let heads: Value =
        serde_json::from_slice(&fs::read(w.path("report-csv/populations.json")).unwrap()).unwrap();
    let heads = heads.as_array().unwrap();
    for head in heads {
        let file = w.path("report-csv").join(head["file"].as_str().unwrap());
        assert!(file.exists(), "{head}");
    }
    let copies = w.ok([
        "report",
        "--format",
        "csv",
        "--population",
        "copies",
        "-o",
        "-",
    ]);
    assert_eq!(
        copies.lines().count(),
        5,
        "two points in two vaults:\n{copies}"
    );
    let (_, said) = w.exits(
        2,
        [
            "report",
            "--format",
            "csv",
            "--population",
            "copys",
            "-o",
            "-",
        ],
    );
    assert!(said.contains("there is no population `copys`"), "{said}");
    let (_, said) = w.exits(2, ["report", "--format", "pdf", "-o", "-"]);
    assert!(said.contains("not for standard output"), "{said}");
    w.exits(2, ["report", "--population", "copies"]);
    w.exits(2, ["report", "--bundle", "b.tar", "--keyed-names"]);
}

#[test]
fn samples_are_drawn_again_by_their_seed() {
    let w = lived();
    let drawn = |args: &[&str]| -> Value {
        let fixed = ["report", "--format", "json", "-o", "-"];
        let all: Value = serde_json::from_str(&w.ok(fixed.iter().chain(args))).unwrap();
        let samples = all["samples"].as_array().unwrap().clone();
        samples
            .into_iter()
            .find(|s| s["population"] == "obligations")
            .unwrap()
    };
    let now = String::from("--to=2999-01-01T00:00:00Z");
    let by = |seed: &str| {
        drawn(&[
            "--sample",
            "3",
            "--seed",
            seed,
            "--from=2020-01-01T00:00:00Z",
            &now,
        ])
    };
    let one = by("2026-Q4");
    assert_eq!(one["seed"], "2026-Q4");
    assert_eq!(one["keys"].as_array().unwrap().len(), 3);
    assert_eq!(one, by("2026-Q4"));
    assert_ne!(one["keys"], by("another")["keys"]);
    // Without a seed it is the ledger's root, which nobody could choose.
    assert_eq!(drawn(&[])["seed"].as_str().unwrap().len(), 64);
}

#[test]
fn keyed_names_show_no_file() {
    let w = Workspace::new();
    w.drill_monthly();
    w.ok(["init"]);
    w.ok(["run", "website"]);
    w.ok(["drill", "website", "--negative"]);
    let open = w.ok(["report", "-o", "-"]);
    let keyed = w.ok(["report", "--keyed-names", "-o", "-"]);
    assert!(keyed.contains("under a key that only the owner"));
    let packs: Vec<String> = w
        .packs("local")
        .iter()
        .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert!(
        packs.iter().any(|p| open.contains(p.as_str())),
        "no object is named at all"
    );
    assert!(
        !packs.iter().any(|p| keyed.contains(p.as_str())),
        "an object is still named"
    );
}

#[test]
fn no_report_is_made_of_a_record_that_was_changed() {
    let w = lived();
    let sqlite = |sql: &str| {
        let database = w.path(".vouchsafe/ledger.db");
        let run = Command::new("sqlite3").arg(database).arg(sql).output();
        let run = run.unwrap();
        assert!(run.status.success(), "{}", text(&run.stderr));
    };
    // What lies beside the entries is made anew from them.
    sqlite("DELETE FROM ledger_obligation");
    let (_, told) = w.exits(3, ["report"]);
    assert!(told.contains("`vouchsafe ledger rebuild`"), "{told}");
    let said = w.ok(["ledger", "rebuild"]);
    assert!(said.contains("made anew from"), "{said}");
    w.ok(["ledger", "verify"]);
    w.ok(["report"]);
    fs::remove_file(w.path("report.html")).unwrap();
    // An entry that still reads like one.
    sqlite(
        "UPDATE ledger_entry SET body = CAST(REPLACE(CAST(body AS TEXT), '\"added_bytes\":', '\"added_bytes\":1') AS BLOB) \
         WHERE seq = (SELECT MAX(seq) FROM ledger_entry WHERE CAST(body AS TEXT) LIKE '%\"fact\":\"copy\"%')",
    );
    let (_, told) = w.exits(3, ["report"]);
    assert!(told.contains("not whole at entry"), "{told}");
    assert!(told.contains("`vouchsafe ledger verify`"), "{told}");
    assert!(!w.path("report.html").exists());
}

#[test]
fn a_report_tells_of_incidents_and_of_who_agreed_to_what() {
    let w = Workspace::new();
    let policy = fs::read_to_string(w.path("policy.yaml")).unwrap();
    let policy = format!(
        "{policy}duties:\n  look: {{ every: month, role: o@example.com, text: It is looked at. }}\n"
    );
    fs::write(w.path("policy.yaml"), &policy).unwrap();
    w.ok(["init"]);
    let by = ["--by", "o@example.com"];
    let said = |args: &[&str]| w.ok([args, &by[..]].concat());
    said(&[
        "attest",
        "look",
        "--outcome",
        "problems",
        "--reason",
        "slow",
    ]);
    let facts: Value =
        serde_json::from_str(&w.ok(["--json", "ledger", "show", "--last", "9"])).unwrap();
    let entries = facts["entries"].as_array().unwrap();
    let problems = |e: &&Value| e.to_string().contains("problems");
    let seq = entries.iter().rfind(problems).unwrap()["seq"].to_string();
    let open = ["incident", "open", "slow-disk", "--about", &seq];
    said(&[&open[..], &["--reason", "nights take long"]].concat());
    let note = ["incident", "note", "slow-disk", "--cause", "a worn disk"];
    said(&note);

    let weaker = policy.replace("at_least: 35 days", "at_least: 20 days");
    assert_ne!(weaker, policy);
    fs::write(w.path("policy.yaml"), weaker).unwrap();
    let (status, _) = w.exits(1, ["status", "--json"]);
    let at = status.find("\"c-").unwrap() + 1;
    let change = &status[at..at + status[at..].find('"').unwrap()];
    said(&["approve", change, "--reason", "law changed"]);

    let report: Value =
        serde_json::from_str(&w.ok(["report", "--format", "json", "-o", "-"])).unwrap();
    let incident = &report["incidents"][0];
    assert_eq!(incident["name"], "slow-disk");
    assert_eq!(
        (&incident["has_cause"], &incident["has_fix"]),
        (&true.into(), &false.into())
    );
    assert_eq!(incident["lines"].as_array().unwrap().len(), 2);
    let artefact = |name: &str| {
        let all = report["artefacts"].as_array().unwrap().iter();
        let mut all = all.flat_map(|control| control["artefacts"].as_array().unwrap());
        all.find(|a| a["name"] == name).unwrap().clone()
    };
    assert_eq!(artefact("Timeline of each incident")["presence"], "here");
    assert_eq!(artefact("Root cause")["presence"], "here");
    let approved = artefact("Approved policy");
    let who = "approved by o@example.com (stated)";
    assert!(approved["says"].to_string().contains(who), "{approved}");
    assert_eq!(report["policy"]["agreed"]["granted"], true);
    let texts = report["policy"]["in_force"].as_array().unwrap();
    assert_eq!(texts.first().unwrap()["agreed"], Value::Null);
    assert_eq!(texts.last().unwrap()["agreed"]["text"], who);

    w.ok(["report"]);
    let html = fs::read_to_string(w.path("report.html")).unwrap();
    for says in ["a worn disk", who, "Incident slow-disk: since "] {
        assert!(html.contains(says), "{says}");
    }
}
