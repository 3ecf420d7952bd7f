//! Heads stamped by an authority (RFC 3161): over HTTP, carried by hand, examined, reported, and refused.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::common::{POLICY, Workspace, text};
use serde_json::Value;
use vouchsafe_testkit::authority::{Authority, Keys};

fn json(w: &Workspace, args: &[&str]) -> Value {
    let out = w.ok([&["--json"], args].concat());
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

fn run(program: &str, dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let out = Command::new(program)
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    (out.status.code(), text(&out.stdout) + &text(&out.stderr))
}

#[test]
fn an_authority_stamps_the_head_and_everybody_can_tell_when_the_record_existed() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let authority = Arc::new(Authority::new(Keys::P256));
    let url = authority.serve(|authority, query| authority.answer(query));
    let root = authority.root().display().to_string();
    let ask = ["ledger", "timestamp", "--tsa", &url, "--root", &root];
    let shown = w.ok(ask);
    assert!(
        shown.contains("CN=Test-TSA, O=Test-Time, C=GB has stamped the head of"),
        "{shown}"
    );
    let facts = w.ok(["ledger", "show", "--last", "100"]);
    assert_eq!(facts.matches("timestamped").count(), 1, "{facts}");

    let verified = json(&w, &["ledger", "verify", "--tsa-root", &root]);
    let stamp = &verified["stamps"][0];
    assert_eq!(stamp["authority_trusted"], true, "{verified}");
    assert_eq!(verified["sound"], true, "{verified}");
    let size = stamp["size"].to_string();
    w.ok(["ledger", "export", "-o", "export.jsonl"]);
    let export = ["ledger", "verify", "--export", "export.jsonl"];
    let shown = w.ok(export);
    assert!(
        shown.contains(&format!("stamped up to {size} entries at"))
            && shown.contains("that the record itself names: give --tsa-root"),
        "{shown}"
    );
    let trusted = w.ok([&export[..], &["--tsa-root", &root]].concat());
    assert!(!trusted.contains("--tsa-root"), "{trusted}");
    let other = Authority::new(Keys::P256);
    let other = other.root().display().to_string();
    let shown = w.ok([&export[..], &["--tsa-root", &other]].concat());
    assert!(
        shown.contains("leads to none of the roots given"),
        "{shown}"
    );

    // In the bundle it lies as OpenSSL reads it.
    w.ok(["report", "--bundle", "evidence.tar"]);
    assert_eq!(run("tar", w.root(), &["-xf", "evidence.tar"]).0, Some(0));
    let dir = w.path("evidence");
    let (code, said) = run("python3", &dir, &["-I", "verify_bundle.py"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("1 time stamps are those of the record"),
        "{said}"
    );
    let stamps: Vec<String> = fs::read_dir(dir.join("timestamps"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".token"))
        .collect();
    let token = format!("timestamps/{}", stamps[0]);
    let head = token.replace(".token", ".head");
    let mut openssl = vec!["ts", "-verify", "-token_in", "-in", &token];
    openssl.extend(["-data", &head, "-CAfile", &root]);
    let (code, said) = run("openssl", &dir, &openssl);
    assert!(
        code == Some(0) && said.contains("Verification: OK"),
        "{said}"
    );
    let report = fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(
        report.contains("Who outside has seen or stamped a head") && report.contains("CN=Test-TSA"),
        "{report}"
    );
    // A token that is not the one of the entry is found.
    let export = fs::read_to_string(dir.join("ledger.export")).unwrap();
    assert!(export.contains("\"fact\":\"timestamped\""));
    fs::write(dir.join(&token), "another").unwrap();
    let (code, said) = run("python3", &dir, &["-I", "verify_bundle.py"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not the time stamp of that entry"), "{said}");
}

#[test]
fn a_request_is_carried_to_an_authority_by_hand() {
    let w = Workspace::ready();
    let authority = Authority::new(Keys::Rsa);
    let root = authority.root().display().to_string();
    let take = |code| {
        let reply = [
            "ledger",
            "timestamp",
            "--reply",
            "reply.tsr",
            "--root",
            &root,
        ];
        w.exits(code, reply)
    };
    fs::write(w.path("reply.tsr"), "no answer").unwrap();
    let (_, said) = take(2);
    assert!(said.contains("--query FILE"), "{said}");
    let shown = w.ok(["ledger", "timestamp", "--query", "query.tsq"]);
    assert!(shown.contains("--reply reply.tsr"), "{shown}");
    let first = fs::read(w.path("query.tsq")).unwrap();
    let (_, said) = take(3);
    assert!(said.contains("not a time stamp"), "{said}");

    // Things happen until the answer comes, and another request is written.
    w.ok(["run", "website"]);
    w.ok(["ledger", "timestamp", "--query", "later.tsq"]);
    fs::write(w.path("reply.tsr"), authority.answer(&first)).unwrap();
    let (shown, _) = take(0);
    assert!(shown.contains("has stamped the head"), "{shown}");
    let (_, said) = take(3);
    assert!(said.contains("something else"), "{said}");
    let later = fs::read(w.path("later.tsq")).unwrap();
    fs::write(w.path("reply.tsr"), authority.answer(&later)).unwrap();
    take(0);
    let verified = json(&w, &["ledger", "verify", "--tsa-root", &root]);
    assert_eq!(verified["sound"], true, "{verified}");
    assert_eq!(verified["stamps"].as_array().unwrap().len(), 1);
    let facts = w.ok(["ledger", "show", "--last", "100"]);
    assert_eq!(facts.matches("timestamped").count(), 2, "{facts}");
}

#[test]
fn what_an_authority_answers_is_recorded_only_if_all_of_it_is_right() {
    let w = Workspace::ready();
    let authority = Arc::new(Authority::new(Keys::P384));
    let root = authority.root().display().to_string();
    let ask = |code, url: &str| {
        let ask = ["ledger", "timestamp", "--tsa", url, "--root", &root];
        w.exits(code, ask).1
    };
    // An answer to a request that was heard before, and one for another text.
    let earlier = authority.serve(|authority, query| {
        let mut query = query.to_vec();
        let nonce = query.len() - 4;
        query[nonce] ^= 1;
        authority.answer(&query)
    });
    let said = ask(3, &earlier);
    assert!(said.contains("the answer to another request"), "{said}");
    let of_other = authority.serve(|authority, query| {
        let mut query = query.to_vec();
        query[30] ^= 1;
        authority.answer(&query)
    });
    let said = ask(3, &of_other);
    assert!(said.contains("of something else"), "{said}");
    let nothing = authority.serve(|_, _| b"<html>".to_vec());
    let said = ask(3, &nothing);
    assert!(said.contains("not a time stamp"), "{said}");
    let endless = authority.serve(|_, _| vec![b'x'; 300 << 10]);
    let said = ask(3, &endless);
    assert!(said.contains("more than"), "{said}");
    let strange = Arc::new(Authority::new(Keys::P384));
    let said = ask(
        3,
        &strange.serve(|authority, query| authority.answer(query)),
    );
    assert!(said.contains("does not lead to a root"), "{said}");
    let said = ask(3, "http://127.0.0.1:9/tsa");
    assert!(said.contains("cannot be reached"), "{said}");
    let said = ask(2, "http://tsa.example.com/");
    assert!(said.contains("in plain text"), "{said}");
    let facts = w.ok(["ledger", "show", "--last", "100"]);
    assert!(!facts.contains("timestamped"), "{facts}");
    w.exits(2, ["ledger", "timestamp", "--root", &root]);
    let policy = [
        "ledger",
        "timestamp",
        "--tsa",
        &earlier,
        "--root",
        "policy.yaml",
    ];
    let (_, said) = w.exits(2, policy);
    assert!(said.contains("BEGIN CERTIFICATE"), "{said}");
}

#[test]
fn the_policy_has_the_record_stamped_in_a_rhythm() {
    let w = Workspace::new();
    let authority = Arc::new(Authority::new(Keys::P256));
    let url = authority.serve(|authority, query| authority.answer(query));
    fs::copy(authority.root(), w.path("tsa-root.pem")).unwrap();
    let policy = |url: &str, every: &str| {
        let stamps =
            format!("timestamps: {{ authority: \"{url}\", root: tsa-root.pem, every: {every} }}\n");
        fs::write(w.path("policy.yaml"), format!("{POLICY}{stamps}")).unwrap();
    };
    policy(&url, "1d");
    w.ok(["init"]);
    let stamped = || {
        let facts = w.ok(["ledger", "show", "--last", "1000"]);
        facts.matches("timestamped").count()
    };
    w.ok(["run", "website"]);
    assert_eq!(stamped(), 1);
    // Not before its time.
    w.ok(["run", "website"]);
    w.ok(["run", "--due"]);
    assert_eq!(stamped(), 1);
    // By hand it is asked at once, by what the policy says.
    let shown = w.ok(["ledger", "timestamp"]);
    assert!(shown.contains("CN=Test-TSA"), "{shown}");
    assert_eq!(stamped(), 2);
    policy(&url, "1s");
    std::thread::sleep(std::time::Duration::from_secs(2));
    w.ok(["run", "website"]);
    assert_eq!(stamped(), 3);
    // What cannot be had stops nothing and is told.
    policy("http://127.0.0.1:9/", "1s");
    std::thread::sleep(std::time::Duration::from_secs(2));
    let (shown, said) = w.exits(1, ["run", "website"]);
    assert!(shown.contains("point"), "{shown}");
    assert!(
        format!("{shown}{said}").contains("was not stamped"),
        "{shown}{said}"
    );
    assert_eq!(stamped(), 3);
}
