//! People's part from the command line: what is owed, statements with keys of OpenSSH's own tool, uploads, incidents,
//! exemptions.

use std::fs;
use std::process::Command;

use crate::common::{self, Workspace};
use serde_json::Value;
use vouchsafe_model::{Span, Time};

/// A small company with one key.
fn company() -> Workspace {
    let w = Workspace::new();
    let keygen = |name: &str, passphrase: &str| {
        let out = Command::new("ssh-keygen")
            .args([
                "-q", "-t", "ed25519", "-C", "somebody", "-N", passphrase, "-f",
            ])
            .arg(w.path(name))
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
        fs::read_to_string(w.path(format!("{name}.pub"))).unwrap()
    };
    let (ann, sealed) = (keygen("ann", ""), keygen("sealed", "secret"));
    keygen("mallory", "");
    let policy = format!(
        r#"
policy: {{ id: P-1, title: Backups, owner: boss, version: "1", next_review: 2999-01-01 }}
people:
  ann: {{ address: ann@example.com, key: [ "{}", "{}" ] }}
roles:
  boss: {{ people: [ eve@example.com ] }}
  it: {{ people: [ ann ], delegate: ben@example.com }}
vaults: {{ local: {{ url: ./vaults/local }} }}
systems:
  website: {{ source: "files:./site", schedule: daily, keep: {{ at_least: 35 days }}, copies: local, owner: it }}
  wiki:
    owner: it
    keep: {{ at_least: 400 days }}
    manual: {{ every: year, accept: "*.zip", instructions: Export the wiki, copies: local }}
duties:
  metrics: {{ every: year, role: it, input: figures, escalate: {{ after: 5 days, to: boss }} }}
  read: {{ every: year, role: it, acknowledge: true }}
  after-failure: {{ role: it, after: a failure }}
access:
  restore: {{ role: it, may: [ restore ], approvers: boss, at_most: 4h, mfa: true }}
"#,
        ann.trim(),
        sealed.trim()
    );
    fs::write(w.path("policy.yaml"), policy).unwrap();
    w.ok(["init"]);
    w.ok(["run", "website"]);
    w
}

fn json(text: &str) -> Value {
    text.lines()
        .filter_map(|l| serde_json::from_str::<Value>(l).ok())
        .next_back()
        .unwrap_or_else(|| panic!("no JSON: {text}"))
}

fn attest<'a>(duty: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let by = ["--reason", "looked at it", "--by", "ann@example.com"];
    let outcome: &[&str] = match more.contains(&"--outcome") {
        true => &[],
        false => &["--outcome", "done"],
    };
    [&["attest", duty][..], outcome, &by[..], more].concat()
}

fn duty(w: &Workspace, name: &str) -> Value {
    let out = w.run(["--json", "status"]);
    let all = json(&common::text(&out.stdout));
    let found = all["duties"]
        .as_array()
        .unwrap()
        .iter()
        .find(|d| d["name"] == name);
    found.unwrap_or_else(|| panic!("{all}")).clone()
}

/// The number of the newest entry that holds a text.
fn newest(w: &Workspace, holds: &str) -> String {
    let all = json(&w.ok(["--json", "ledger", "show", "--last", "500"]));
    let entries = all["entries"].as_array().unwrap_or_else(|| panic!("{all}"));
    let found = entries.iter().filter(|e| e.to_string().contains(holds));
    let newest = found.filter_map(|e| e["seq"].as_u64()).max();
    newest
        .unwrap_or_else(|| panic!("no {holds}: {all}"))
        .to_string()
}

#[test]
fn what_is_owed_is_listed_with_who_answers_and_who_hears_of_it() {
    let w = company();
    let text = w.ok(["duties"]);
    for said in [
        "OPEN  3 obligations",
        "metrics (duty)",
        "read: ann@example.com (acknowledgement)",
        "wiki/main (upload)",
        "by ann@example.com, or instead ben@example.com",
        "needs: figures",
        "if it is not done",
        "→ vouchsafe attest metrics --outcome done",
    ] {
        assert!(text.contains(said), "no {said:?} in {text}");
    }
    assert!(!text.contains("after-failure"), "it has no time: {text}");
    let mine = |who: &str| {
        json(&w.ok(["--json", "duties", "--days", "0", "--mine", who]))["duties"].clone()
    };
    assert_eq!(mine("ann").as_array().unwrap().len(), 3);
    assert_eq!(mine("ben@example.com").as_array().unwrap().len(), 2);
    assert_eq!(mine("eve@example.com").as_array().unwrap().len(), 0);
    // When the year is over and five days more, it goes to the boss.
    let now: Time = json(&w.ok(["--json", "duties"]))["now"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let later = now.plus(Span::from_days(400)).to_string();
    let (text, _) = w.exits(1, ["duties", "--as-of", &later]);
    assert!(text.contains("OVERDUE  3 obligations"), "{text}");
    assert!(text.contains("goes to eve@example.com now"), "{text}");
    let (late, _) = w.exits(
        1,
        [
            "--json",
            "duties",
            "--as-of",
            &later,
            "--mine",
            "eve@example.com",
        ],
    );
    assert_eq!(json(&late)["duties"][0]["duty"], "metrics");
    // The status says it too, and what to type.
    let status = common::text(&w.run(["status"]).stdout);
    assert!(
        status.contains("duty metrics: unproven") && status.contains("→ vouchsafe duties"),
        "{status}"
    );
}

#[test]
fn a_statement_is_signed_by_a_key_of_openssh_or_says_that_it_is_not() {
    let w = company();
    let said = w.ok(attest("metrics", &[]));
    assert!(said.contains("identity unverified"), "{said}");
    let judged = duty(&w, "metrics");
    assert_eq!(
        (judged["verdict"].as_str(), judged["strength"].as_str()),
        (Some("met"), Some("stated"))
    );
    assert!(
        judged["because"]
            .as_str()
            .unwrap()
            .contains("identity unverified")
    );

    let said = w.ok(attest("metrics", &["--key", "ann"]));
    assert!(said.contains("signed with key SHA256:"), "{said}");
    assert!(
        duty(&w, "metrics")["because"]
            .as_str()
            .unwrap()
            .contains("(signed)")
    );
    let shown = json(&w.ok([&["--json"][..], &attest("metrics", &["--key", "ann"])[..]].concat()));
    let attestation = &shown["attestation"];
    let statement: vouchsafe_model::Statement =
        serde_json::from_value(attestation["statement"].clone()).unwrap();
    fs::write(w.path("text"), statement.text()).unwrap();
    fs::write(
        w.path("text.sig"),
        attestation["identity"]["signature"].as_str().unwrap(),
    )
    .unwrap();
    let public = fs::read_to_string(w.path("ann.pub")).unwrap();
    fs::write(w.path("signers"), format!("ann@example.com {public}")).unwrap();
    let verify = |text: &str| {
        Command::new("ssh-keygen")
            .args([
                "-Y",
                "verify",
                "-f",
                "signers",
                "-I",
                "ann@example.com",
                "-n",
                "vouchsafe",
                "-s",
                "text.sig",
            ])
            .stdin(fs::File::open(w.path(text)).unwrap())
            .current_dir(w.root())
            .output()
            .unwrap()
    };
    assert!(verify("text").status.success(), "{:?}", verify("text"));
    fs::write(
        w.path("other"),
        statement.text().replace("looked", "locked"),
    )
    .unwrap();
    assert!(!verify("other").status.success());
    // Another's key is refused, and so is one that is sealed, with the way out.
    let (_, stderr) = w.exits(2, attest("read", &["--key", "mallory"]));
    assert!(stderr.contains("another key"), "{stderr}");
    let (_, stderr) = w.exits(2, attest("read", &["--key", "sealed"]));
    assert!(stderr.contains("--statement"), "{stderr}");
    let other = [
        "attest",
        "metrics",
        "--outcome",
        "done",
        "--reason",
        "r",
        "--by",
        "ben@example.com",
        "--key",
        "ann",
    ];
    let (_, stderr) = w.exits(2, other);
    assert!(stderr.contains("gives this person no key"), "{stderr}");
}

#[test]
fn a_statement_can_be_signed_elsewhere() {
    let w = company();
    let command = attest("read", &["--statement", "read.txt"]);
    let (said, _) = w.exits(1, &command);
    assert!(
        said.contains("ssh-keygen -Y sign -n vouchsafe -f KEY read.txt"),
        "{said}"
    );
    let sign = |key: &str, namespace: &str| {
        let _ = fs::remove_file(w.path("read.txt.sig"));
        let out = Command::new("ssh-keygen")
            .args(["-Y", "sign", "-n", namespace, "-f", key, "read.txt"])
            .current_dir(w.root())
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
    };
    let refused = |said: &str| {
        let (_, stderr) = w.exits(2, &command);
        assert!(stderr.contains(said), "{stderr}");
    };
    refused("there is no signature");
    sign("mallory", "vouchsafe");
    refused("another key");
    sign("ann", "file");
    refused("not one over this statement");
    sign("ann", "vouchsafe");
    let text = fs::read_to_string(w.path("read.txt")).unwrap();
    fs::write(w.path("read.txt"), text.replace("looked at it", "liked it")).unwrap();
    refused("does not say what would be recorded");
    fs::write(w.path("read.txt"), &text).unwrap();
    let said = w.ok(&command);
    assert!(said.contains("signed with key"), "{said}");
    assert_eq!(duty(&w, "read")["last"]["verified"], true);
}

#[test]
fn only_who_has_the_role_or_stands_in_may_answer() {
    let w = company();
    let by = |who: &'static str, duty: &'static str| {
        [
            "attest",
            duty,
            "--outcome",
            "done",
            "--reason",
            "r",
            "--by",
            who,
        ]
    };
    let (_, stderr) = w.exits(2, by("mallory@example.com", "metrics"));
    assert!(
        stderr.contains("owed by ann@example.com, or instead ben@example.com"),
        "{stderr}"
    );
    let (_, stderr) = w.exits(2, by("ben@example.com", "read"));
    assert!(stderr.contains("may not answer"), "{stderr}");
    let (_, stderr) = w.exits(2, by("ann", "metric"));
    assert!(stderr.contains("no such duty"), "{stderr}");
    w.ok(by("ben@example.com", "metrics"));
    w.ok(by("ann", "after-failure"));
    assert!(
        newest(&w, "\"capacity\":\"delegate\"")
            .parse::<u64>()
            .is_ok()
    );
}

#[test]
fn an_upload_is_looked_into_and_becomes_a_point_that_comes_back() {
    let w = company();
    let zip = |name: &str, content: &str| {
        fs::write(w.path("page.txt"), content).unwrap();
        let _ = fs::remove_file(w.path(name));
        let out = Command::new("zip")
            .args(["-q", name, "page.txt"])
            .current_dir(w.root())
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
    };
    let noise: String = common::noise(60_000)
        .iter()
        .map(|b| char::from(b'a' + b % 26))
        .collect();
    zip("export.zip", &noise);
    let whole = fs::read(w.path("export.zip")).unwrap();
    fs::write(w.path("cut.zip"), &whole[..whole.len() / 2]).unwrap();
    let (said, _) = w.exits(1, attest("wiki", &["--file", "cut.zip"]));
    assert!(
        said.contains("does not open as an archive") && said.contains("as unanswered as before"),
        "{said}"
    );
    let (said, _) = w.exits(1, attest("wiki", &["--file", "page.txt"]));
    assert!(said.contains("does not fit `*.zip`"), "{said}");
    assert_eq!(
        json(&w.ok(["--json", "duties", "--days", "0"]))["duties"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|d| d["duty"] == "wiki/main")
            .count(),
        1
    );
    let said = w.ok(attest("wiki", &["--file", "export.zip", "--key", "ann"]));
    assert!(said.contains("export.zip taken as archive"), "{said}");
    assert!(!w.ok(["duties", "--days", "0"]).contains("wiki/main"));
    let (said, _) = w.exits(1, attest("wiki", &["--file", "export.zip"]));
    assert!(said.contains("handed in last"), "{said}");
    zip("small.zip", "nothing");
    let (said, _) = w.exits(1, attest("wiki", &["--file", "small.zip"]));
    assert!(said.contains("less than half"), "{said}");
    w.ok(attest(
        "wiki",
        &["--file", "small.zip", "--smaller-is-right"],
    ));
    w.ok(["verify"]);
    w.ok(["drill", "wiki"]);
    w.ok(["restore", "wiki", "--to", "back"]);
    assert!(w.path("back/small.zip").exists());
    let out = json(&common::text(&w.run(["--json", "status"]).stdout));
    let wiki = out["protections"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["id"] == "wiki/main")
        .unwrap();
    for judged in wiki["judgements"].as_array().unwrap() {
        assert_eq!(judged["verdict"], "met", "{judged}");
    }
}

#[test]
fn a_failure_goes_from_acknowledgement_to_closure() {
    let w = company();
    let said = w.ok(attest("metrics", &["--outcome", "problems"]));
    assert!(said.contains("open an incident"), "{said}");
    let entry = newest(&w, "\"deed\":\"attested\"");
    let open = [
        "incident",
        "open",
        "disk",
        "--about",
        &entry,
        "--by",
        "ann",
        "--reason",
        "a disk is full",
    ];
    w.ok(open);
    let (_, stderr) = w.exits(2, open);
    assert!(stderr.contains("choose another"), "{stderr}");
    let status = common::text(&w.run(["status"]).stdout);
    assert!(status.contains("incident disk is open"), "{status}");
    let close = |entry: &str| {
        [
            "incident",
            "close",
            "disk",
            "--retest",
            entry,
            "--by",
            "eve@example.com",
            "--reason",
            "mended",
        ]
        .map(str::to_owned)
    };
    let (_, stderr) = w.exits(2, close(&entry));
    assert!(stderr.contains("its cause is not noted"), "{stderr}");
    w.ok([
        "incident",
        "note",
        "disk",
        "--cause",
        "logs",
        "--fix",
        "logs are rotated",
        "--by",
        "ann",
    ]);
    let (_, stderr) = w.exits(2, close(&entry));
    assert!(stderr.contains("older than the incident"), "{stderr}");
    w.ok(["run", "website"]);
    let seq = newest(&w, "recovery-point");
    w.ok(close(&seq));
    let listed = w.ok(["incident", "list"]);
    assert!(
        listed.contains("closed") && listed.contains(&format!("retested by entry {seq}")),
        "{listed}"
    );
    assert_eq!(duty(&w, "metrics")["verdict"], "met");
    let (_, stderr) = w.exits(
        2,
        ["incident", "note", "disk", "--remark", "x", "--by", "ann"],
    );
    assert!(stderr.contains("no open incident"), "{stderr}");
    w.ok(["report"]);
    let report = fs::read_to_string(w.path("report.html")).unwrap();
    assert!(report.contains("Incident disk closed by eve@example.com"));
}

#[test]
fn a_departure_is_allowed_by_somebody_else_until_a_day() {
    let w = company();
    let add = |from: &'static str, approver: &'static str, until: &'static str| {
        vec![
            "exempt",
            "add",
            "no-drill",
            "--from",
            from,
            "--system",
            "website",
            "--by",
            "ann",
            "--approved-by",
            approver,
            "--reason",
            "it is moved",
            "--until",
            until,
        ]
    };
    let far = "2999-01-01T00:00:00Z";
    for (args, said) in [
        (
            add("proven", "ann@example.com", far),
            "somebody else has to",
        ),
        (add("proven", "ben@example.com", far), "eve@example.com may"),
        (
            add("proven", "eve@example.com", "2001-01-01T00:00:00Z"),
            "has passed",
        ),
        (
            add("weather", "eve@example.com", far),
            "name one of covered",
        ),
    ] {
        let (_, stderr) = w.exits(2, args);
        assert!(stderr.contains(said), "{stderr}");
    }
    let proven = |w: &Workspace| {
        let out = json(&common::text(&w.run(["--json", "status"]).stdout));
        let all = out["protections"].as_array().unwrap().clone();
        let website = all
            .iter()
            .find(|p| p["id"] == "website/main")
            .unwrap()
            .clone();
        let judged = website["judgements"].as_array().unwrap().clone();
        judged.iter().find(|j| j["question"] == "proven").unwrap()["verdict"].clone()
    };
    assert_eq!(proven(&w), "unproven");
    w.ok(add("proven", "eve@example.com", far));
    assert_eq!(proven(&w), "exempt");
    assert!(
        w.ok(["exempt", "list"])
            .contains("allowed by eve@example.com: it is moved")
    );
    w.ok([
        "exempt",
        "end",
        "no-drill",
        "--by",
        "eve@example.com",
        "--reason",
        "it was moved",
    ]);
    assert_eq!(proven(&w), "unproven");
    assert_eq!(w.ok(["exempt", "list"]), "there is no exemption\n");
}

#[test]
fn a_right_is_given_by_somebody_else_for_a_time() {
    let w = company();
    let ask = |by: &'static str, length: &'static str| {
        [
            "access", "request", "r1", "--right", "restore", "--by", by, "--for", length,
            "--reason", "a drill",
        ]
    };
    let (_, stderr) = w.exits(2, ask("mallory@example.com", "1h"));
    assert!(stderr.contains("ann@example.com may"), "{stderr}");
    let (_, stderr) = w.exits(2, ask("ann", "5h"));
    assert!(stderr.contains("4h at a time"), "{stderr}");
    assert!(w.ok(ask("ann", "2h")).contains("asked for"));
    let grant = |by: &'static str| ["access", "grant", "r1", "--approved-by", by];
    let (_, stderr) = w.exits(2, grant("ann"));
    assert!(stderr.contains("somebody else has to"), "{stderr}");
    let given = w.ok(grant("eve@example.com"));
    assert!(
        given.contains("in force until") && given.contains("allowed by eve@example.com"),
        "{given}"
    );
    let status = common::text(&w.run(["status"]).stdout);
    assert!(
        status.contains("right restore of ann@example.com: in force"),
        "{status}"
    );
    let ended = w.ok(["access", "end", "r1", "--by", "ann", "--reason", "done"]);
    assert!(ended.contains("ended"), "{ended}");
}

#[test]
fn what_is_paused_is_not_done_by_itself_and_is_owed_all_the_same() {
    let w = company();
    w.ok(["run", "website"]);
    let start = |by: &'static str, until: &'static str| {
        [
            "pause",
            "start",
            "website",
            "--until",
            until,
            "--by",
            by,
            "--reason",
            "it is moved",
        ]
    };
    let far = "2999-01-01T00:00:00Z";
    let (_, stderr) = w.exits(2, start("mallory@example.com", far));
    assert!(
        stderr.contains("ann@example.com, eve@example.com may"),
        "{stderr}"
    );
    let (_, stderr) = w.exits(2, start("ann", "2001-01-01T00:00:00Z"));
    assert!(stderr.contains("has passed"), "{stderr}");
    w.ok(start("ann", far));
    let status = common::text(&w.run(["status"]).stdout);
    assert!(
        status.contains("website is paused until 2999-01-01 00:00 UTC by ann@example.com"),
        "{status}"
    );
    // By name it is done all the same, for somebody asked for it.
    w.ok(["run", "website"]);
    w.ok([
        "pause",
        "end",
        "website",
        "--by",
        "eve@example.com",
        "--reason",
        "it was moved",
    ]);
    assert_eq!(w.ok(["pause", "list"]), "nothing is paused\n");
    let (_, stderr) = w.exits(
        2,
        [
            "pause", "end", "website", "--by", "ann", "--reason", "again",
        ],
    );
    assert!(stderr.contains("it is not paused"), "{stderr}");
}
