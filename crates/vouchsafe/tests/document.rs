//! The policy as prose: of five real policies, every name is in it, and nothing that only a program would write.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{POLICY, Workspace};
use vouchsafe_keeper::PolicyFile;

const NAMES: [&str; 5] = [
    "5x",
    "bangkok",
    "quickseries",
    "social-workshop",
    "web-firm",
];

fn policy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../../examples/policies/corrected/{name}.yaml"))
}

fn made(w: &Workspace, name: &str, more: &[&str]) -> String {
    let path = policy(name);
    let mut args = vec![
        "--policy",
        path.to_str().unwrap(),
        "--state",
        "none",
        "document",
    ];
    args.extend(more);
    w.ok(args)
}

/// As Markdown writes it.
fn escaped(text: &str) -> String {
    text.replace('_', "\\_")
}

#[test]
fn every_name_of_the_five_policies_is_in_its_document() {
    let w = Workspace::new();
    for name in NAMES {
        let file = PolicyFile::read(&policy(name)).unwrap();
        let declared = &file.lowered.declared;
        let p = file.lowered.policy.as_ref().unwrap();
        let mut wanted: Vec<String> = p.systems.keys().map(ToString::to_string).collect();
        wanted.extend(p.vaults.keys().map(ToString::to_string));
        wanted.extend(p.duties.iter().map(|d| d.name.clone()));
        wanted.extend(declared.tiers.keys().cloned());
        wanted.extend(declared.classes.keys().cloned());
        for table in [
            "roles",
            "providers",
            "applications",
            "runbooks",
            "programme",
            "exemptions",
            "keys",
        ] {
            wanted.extend(declared.root.named(table).map(|(n, _)| n.clone()));
        }
        for (_, role) in declared.root.named("roles") {
            wanted.extend(role.texts("people").into_iter().map(str::to_owned));
        }
        wanted.extend(
            declared
                .front
                .list("history")
                .filter_map(|h| h.text("version").map(str::to_owned)),
        );
        wanted.extend(file.lowered.clauses.iter().map(|c| c.name.clone()));
        assert!(wanted.len() > 15, "{name}");
        let markdown = made(&w, name, &[]);
        let page = made(&w, name, &["--format", "html"]);
        for one in &wanted {
            assert!(
                markdown.contains(&escaped(one)),
                "{name}: {one} is not in the Markdown"
            );
            assert!(
                page.contains(one.as_str()),
                "{name}: {one} is not on the page"
            );
        }
    }
}

#[test]
fn no_document_has_an_empty_section_or_the_words_of_a_program() {
    let w = Workspace::new();
    for name in NAMES {
        for more in [&[][..], &["--requirements"][..]] {
            let markdown = made(&w, name, more);
            for word in [
                "None", "Some(", "null", "{ ", "[]", "\"\"", "()", "  .", " ,", "..", " .",
            ] {
                assert!(
                    !markdown.contains(word),
                    "{name} holds `{word}`:\n{markdown}"
                );
            }
            let lines: Vec<&str> = markdown.lines().filter(|l| !l.is_empty()).collect();
            for pair in lines.windows(2) {
                let level = |line: &str| line.bytes().take_while(|b| *b == b'#').count();
                let (a, b) = (level(pair[0]), level(pair[1]));
                assert!(
                    a == 0 || b == 0,
                    "{name}: nothing stands under `{}`",
                    pair[0]
                );
            }
            for line in lines.iter().filter(|l| l.starts_with('|')) {
                let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
                let all_empty = cells.iter().all(|c| c.is_empty());
                assert!(!all_empty || line.contains("| |"), "{name}: `{line}`");
            }
        }
        // Every requirement has its note, and each mark its note.
        let markdown = made(&w, name, &["--requirements"]);
        let notes = markdown.lines().filter(|l| l.starts_with("[^")).count();
        assert!(notes > 15, "{name}: {notes}");
    }
}

#[test]
fn the_page_needs_nothing_else_and_draws_where_copies_go() {
    let w = Workspace::new();
    for name in NAMES {
        let page = made(&w, name, &["--format", "html", "--requirements"]);
        assert!(page.contains("<svg"), "{name}");
        for foreign in ["<script", "<link", "<img", "src=", "@import", "url("] {
            assert!(!page.contains(foreign), "{name}: {foreign}");
        }
        // Every link of the page leads somewhere on it.
        for target in page.split("href=\"#").skip(1) {
            let id = target.split('"').next().unwrap();
            assert!(page.contains(&format!("id=\"{id}\"")), "{name}: #{id}");
        }
    }
}

#[test]
fn what_others_write_into_a_policy_does_nothing_in_its_document() {
    let w = Workspace::new();
    let hostile = POLICY
        .replace(
            "title: Test policy",
            "title: \"<script>alert(1)</script> | x\", purpose: \"a `b [c](http://x) *d*\"",
        )
        .replace(
            "owner: o@example.com }",
            "owner: \"<img src=x onerror=y>\" }",
        );
    fs::write(w.path("policy.yaml"), hostile).unwrap();
    let page = w.ok(["document", "--format", "html"]);
    assert!(
        !page.contains("<script") && !page.contains("<img"),
        "{page}"
    );
    let markdown = w.ok(["document"]);
    assert!(
        !markdown.contains("<script") && !markdown.contains("<img"),
        "{markdown}"
    );
    assert!(!markdown.contains("[c](http"), "{markdown}");
}

#[test]
fn the_document_is_of_what_is_in_force_and_tells_its_versions() {
    let w = Workspace::new();
    assert!(w.ok(["document"]).contains("not put in force yet"));
    w.ok(["init"]);
    assert!(w.ok(["document"]).contains("In force since"));
    let shorter = POLICY
        .replace("at_least: 35 days", "at_least: 5 days")
        .replace("version: \"1\"", "version: \"2\"");
    fs::write(w.path("policy.yaml"), shorter).unwrap();
    w.ok(["run", "website"]);
    let waits = w.ok(["document"]);
    assert!(waits.contains("waits for approval"), "{waits}");
    assert!(
        waits.contains("at least 35 days") || waits.contains("At least 35 days"),
        "{waits}"
    );
    assert!(waits.contains("not approved yet"), "{waits}");
    let out = w.run(["--json", "status"]);
    let status: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let id = status["pending_change"]["change"].as_str().unwrap();
    w.ok([
        "approve",
        id,
        "--by",
        "chief@example.com",
        "--reason",
        "agreed",
    ]);
    w.ok(["document", "--format", "html", "--output", "policy.html"]);
    let page = fs::read_to_string(w.path("policy.html")).unwrap();
    assert!(
        page.contains("approved by chief@example.com (stated)"),
        "{page}"
    );
    assert!(page.contains("At least 5 days"), "{page}");
}

/// The document of one of the five, as it is read by people: see that it still reads well when it changes.
#[test]
fn the_document_of_an_isms_reads_as_it_did() {
    let w = Workspace::new();
    let made = made(&w, "bangkok", &[]);
    // The last line has the day and the version of the tool.
    let (body, _) = made.rsplit_once("---").unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/bangkok.md");
    if std::env::var_os("VOUCHSAFE_BLESS").is_some() {
        fs::create_dir_all(golden.parent().unwrap()).unwrap();
        fs::write(&golden, body).unwrap();
    }
    let wanted = fs::read_to_string(&golden).unwrap();
    assert_eq!(
        body, wanted,
        "look at it, and set VOUCHSAFE_BLESS=1 to take it over"
    );
}
