//! A changed policy in git: whose it is, and whose signature counts.

use std::fs;
use std::process::{Command, Output};

use crate::common::{POLICY, Workspace, text};
use serde_json::Value;

fn json(out: &str) -> Value {
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

fn write(w: &Workspace, policy: &str) {
    fs::write(w.path("policy.yaml"), policy).unwrap();
}

fn replaced(from: &str, to: &str) -> String {
    assert!(POLICY.contains(from), "{from}");
    POLICY.replace(from, to)
}

/// The change that waits, by `status`.
fn waiting(w: &Workspace) -> Value {
    let out = w.run(["--json", "status"]);
    json(&text(&out.stdout))["pending_change"].clone()
}

fn id(change: &Value) -> String {
    change["change"].as_str().unwrap().to_owned()
}

/// A policy in a git repository, with two people and their keys.
struct Signed {
    w: Workspace,
}

const RULES: &str = "changes: { approved_by: chief, four_eyes: true, allowed_signers: ./signers }\nroles: { chief: { people: [ b@example.com, a@example.com ] } }\n";

impl Signed {
    fn new() -> Signed {
        let w = Workspace::new();
        let mut signers = String::new();
        for who in ["a", "b"] {
            let out = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", who, "-f"])
                .arg(w.path(format!("key-{who}")))
                .output()
                .unwrap();
            assert!(out.status.success(), "{}", text(&out.stderr));
            let public = fs::read_to_string(w.path(format!("key-{who}.pub"))).unwrap();
            signers.push_str(&format!("{who}@example.com {public}"));
        }
        fs::write(w.path("signers"), signers).unwrap();
        let s = Signed { w };
        write(&s.w, &format!("{POLICY}{RULES}"));
        s.git("a", &["init", "-q", "-b", "main"]);
        s.commit("a", "first");
        s.w.ok(["init"]);
        s
    }

    fn git(&self, who: &str, args: &[&str]) {
        let out = Command::new("git")
            .args(["-c", "gpg.format=ssh", "-c"])
            .arg(format!(
                "user.signingkey={}",
                self.w.path(format!("key-{who}")).display()
            ))
            .args(args)
            .current_dir(self.w.root())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_NAME", who)
            .env("GIT_AUTHOR_EMAIL", format!("{who}@example.com"))
            .env("GIT_COMMITTER_NAME", who)
            .env("GIT_COMMITTER_EMAIL", format!("{who}@example.com"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{args:?}: {}", text(&out.stderr));
    }

    fn commit(&self, who: &str, message: &str) {
        self.git(who, &["add", "policy.yaml"]);
        self.git(who, &["commit", "-q", "-S", "-m", message]);
    }
}

#[test]
fn a_signed_tag_by_another_person_is_what_is_measured() {
    let s = Signed::new();
    let w = &s.w;
    let shorter = format!(
        "{}{RULES}",
        replaced("at_least: 35 days", "at_least: 20 days")
    );
    write(w, &shorter);
    s.commit("a", "shorter");
    let change = waiting(w);
    let approve = |more: &[&str]| {
        let id = id(&change);
        let mut args = vec!["approve", &id, "--reason", "agreed"];
        args.extend(more);
        w.run(&args)
    };
    let refused = |more: &[&str], why: &str| {
        let out = approve(more);
        assert_eq!(out.status.code(), Some(2));
        let said = text(&out.stderr);
        assert!(said.contains(why), "{more:?}: {said}");
    };
    // Who wrote it is known by the commit, and does not approve it: neither by saying so nor by signing.
    refused(&["--by", "a@example.com"], "somebody else");
    refused(&["--commit", "HEAD"], "somebody else");
    refused(&["--by", "stranger@example.com"], "may not approve");
    // Nor does a signature over another text, none at all, or one by a key that is not allowed.
    s.git("b", &["tag", "-s", "-m", "old", "old", "HEAD~1"]);
    refused(&["--tag", "old"], "another text");
    s.git("b", &["tag", "-a", "-m", "unsigned", "unsigned"]);
    refused(&["--tag", "unsigned"], "not signed by an allowed signer");
    let signers = fs::read_to_string(w.path("signers")).unwrap();
    s.git("b", &["tag", "-s", "-m", "agreed", "agreed"]);
    fs::write(w.path("signers"), signers.lines().next().unwrap()).unwrap();
    refused(&["--tag", "agreed"], "not signed by an allowed signer");
    fs::write(w.path("signers"), &signers).unwrap();
    refused(
        &["--tag", "agreed", "--by", "a@example.com"],
        "signed by b@example.com",
    );
    // A program that the repository names is not asked.
    s.git("b", &["config", "gpg.ssh.program", "true"]);
    let out = approve(&["--tag", "agreed"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(
        text(&out.stdout).contains("measured"),
        "{}",
        text(&out.stdout)
    );
    let shown = json(&w.ok(["--json", "ledger", "show", "--last", "20"]));
    let facts = shown["entries"].as_array().unwrap();
    let decided = facts
        .iter()
        .find(|f| f["entry"]["fact"] == "change-decided")
        .unwrap();
    assert_eq!(decided["entry"]["strength"], "measured");
    assert_eq!(decided["entry"]["signed"]["signer"], "b@example.com");
    let changed = facts
        .iter()
        .find(|f| f["entry"]["fact"] == "policy-changed")
        .unwrap();
    assert_eq!(changed["entry"]["author"], "a@example.com");
    assert_eq!(changed["entry"]["author_known"], "observed");
    assert_eq!(waiting(w), Value::Null);
}

#[test]
fn the_agenda_against_another_version_tells_what_would_be_lost_and_when() {
    let s = Signed::new();
    let w = &s.w;
    w.ok(["run"]);
    fs::write(w.path("site/index.html"), "<h1>again</h1>").unwrap();
    w.ok(["run", "website"]);
    let shorter = replaced("at_least: 35 days", "at_least: 20 days")
        .replace("daily at 02:00 UTC", "weekly on sunday at 02:00 UTC")
        .replace("  code: ", "  code2: ");
    write(w, &format!("{shorter}{RULES}"));
    let seen = |args: &[&str]| {
        let mut all = vec!["--json", "agenda", "--against"];
        all.extend(args);
        json(&w.ok(all))
    };
    let by_revision = seen(&["HEAD", "--days", "14"]);
    fs::write(w.path("before.yaml"), format!("{POLICY}{RULES}")).unwrap();
    let mut by_file = seen(&["before.yaml", "--days", "14"]);
    by_file["against"] = "HEAD".into();
    by_file["now"] = by_revision["now"].clone();
    assert_eq!(by_file["alterations"], by_revision["alterations"]);
    assert_eq!(by_file["points"], by_revision["points"]);
    let points = by_revision["points"].as_array().unwrap();
    let of = |id: &str, vault: &str| {
        let found = points
            .iter()
            .find(|p| p["protection"] == id && p["vault"] == vault);
        found.unwrap_or_else(|| panic!("{id} in {vault}: {points:#?}"))
    };
    assert_eq!(
        of("website/main", "local")["earlier"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let goes = of("website/main", "local")["earlier"][0]["goes"]
        .as_str()
        .unwrap();
    assert!(goes.starts_with("20"), "{goes}");
    assert_eq!(of("code/main", "offsite")["abandoned"], true);
    let gone = by_revision["obligations_gone"].as_array().unwrap();
    assert!(gone.iter().any(|o| o["protection"] == "code/main"));
    // Against itself nothing differs, and what is no version is refused.
    write(w, &format!("{POLICY}{RULES}"));
    let same = seen(&["HEAD"]);
    assert_eq!(same["alterations"], Value::Array(Vec::new()));
    assert_eq!(same["points"], Value::Array(Vec::new()));
    let (_, said) = w.exits(2, ["agenda", "--against", "no-such-thing"]);
    assert!(said.contains("neither a file nor a git revision"), "{said}");
    let shown = w.ok(["agenda", "--against", "HEAD"]);
    assert!(shown.contains("it promises the same"), "{shown}");
}

/// Somebody agrees to what waits.
fn approve(w: &Workspace, more: &[&str]) -> Output {
    let id = id(&waiting(w));
    let mut args = vec!["approve", &id, "--reason", "agreed"];
    args.extend(more);
    w.run(&args)
}

fn refused(out: &Output, why: &str) {
    let said = text(&out.stderr);
    assert!(out.status.code() == Some(2) && said.contains(why), "{said}");
}

fn agreed(out: &Output) {
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
}

/// Brings the record up to the policy at hand.
fn note(w: &Workspace, name: &str) {
    let what = ["hold", "place", name, "--system", "code"];
    w.ok([&what[..], &["--by", "c@example.com", "--reason", "r"]].concat());
}

fn shorter(rules: &str) -> String {
    let days = replaced("at_least: 35 days", "at_least: 20 days");
    format!("{days}{rules}")
}

#[test]
fn what_waits_does_not_say_whose_signature_counts() {
    let s = Signed::new();
    let w = &s.w;
    // Somebody would have their own signers count; that is recorded, and waits.
    let mine = fs::read_to_string(w.path("key-a.pub")).unwrap();
    fs::write(w.path("mine"), format!("b@example.com {mine}")).unwrap();
    let rules = RULES.replace("./signers", "./mine");
    write(w, &format!("{POLICY}{rules}"));
    s.commit("a", "my signers");
    note(w, "one");
    write(w, &shorter(&rules));
    s.commit("a", "shorter");
    note(w, "two");
    // By those it would be B who signs here.
    s.git("a", &["tag", "-s", "-m", "mine", "mine-agrees"]);
    refused(&approve(w, &["--tag", "mine-agrees"]), "somebody else");
    s.git("b", &["tag", "-s", "-m", "agreed", "agreed"]);
    agreed(&approve(w, &["--tag", "agreed"]));
    assert_eq!(waiting(w), Value::Null);
}

#[test]
fn the_author_is_known_once_the_change_is_committed() {
    let s = Signed::new();
    let w = &s.w;
    write(w, &shorter(RULES));
    note(w, "one");
    refused(
        &approve(w, &["--by", "b@example.com"]),
        "the author is not known",
    );
    s.commit("a", "shorter");
    refused(&approve(w, &["--by", "a@example.com"]), "somebody else");
    agreed(&approve(w, &["--by", "b@example.com"]));
    let shown = json(&w.ok(["--json", "ledger", "show", "--last", "100"]));
    let facts = shown["entries"].as_array().unwrap();
    let authors: Vec<&Value> = facts
        .iter()
        .filter(|f| f["entry"]["fact"] == "policy-changed")
        .map(|f| &f["entry"]["author_known"])
        .collect();
    assert_eq!(authors, ["stated", "observed"]);
    w.ok(["ledger", "verify"]);
}

/// A policy with the system `code` in a file of its own, which is included by a pattern. B has written all of it.
fn several_files() -> Signed {
    let s = Signed::new();
    let w = &s.w;
    let (code, others): (Vec<&str>, Vec<&str>) =
        POLICY.lines().partition(|line| line.starts_with("  code:"));
    let main = format!("include: [ more/*.yaml ]\n{}\n{RULES}", others.join("\n"));
    write(w, &main);
    fs::create_dir(w.path("more")).unwrap();
    fs::write(w.path("more/code.yaml"), format!("systems:\n{}\n", code[0])).unwrap();
    fs::write(w.path("more/roles.yaml"), "applications: {}\n").unwrap();
    s.git("b", &["add", "more"]);
    s.commit("b", "several files");
    note(w, "before");
    assert_eq!(waiting(w), Value::Null);
    s
}

#[test]
fn who_takes_a_file_away_is_the_author_of_that() {
    let s = several_files();
    let w = &s.w;
    s.git("a", &["rm", "-q", "more/code.yaml"]);
    s.git("a", &["commit", "-q", "-m", "without code"]);
    refused(&approve(w, &["--by", "a@example.com"]), "somebody else");
    agreed(&approve(w, &["--by", "b@example.com"]));
}

#[test]
fn a_signature_is_over_the_whole_policy_with_every_file_that_the_commit_has() {
    let s = several_files();
    let w = &s.w;
    // What B has signed has a file that is not there any more; all others are the same.
    s.git("b", &["tag", "-s", "-m", "all", "all"]);
    fs::remove_file(w.path("more/code.yaml")).unwrap();
    refused(
        &approve(w, &["--tag", "all"]),
        "another text of more/code.yaml",
    );
    s.git("a", &["add", "-A", "more"]);
    s.git("a", &["commit", "-q", "-m", "without code"]);
    s.git("b", &["tag", "-s", "-m", "less", "less"]);
    agreed(&approve(w, &["--tag", "less"]));
}
