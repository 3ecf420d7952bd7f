//! The main job with vaults on other machines: S3 and SFTP, restic beside us, and the state back from a bucket.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

use common::Workspace;
use serde_json::Value;
use vouchsafe_testkit::restic::Restic;
use vouchsafe_testkit::servers::{PASSWORD, Server, Sshd, USER};

/// Runs with the variables that the policy refers to; must exit with `code`.
#[track_caller]
fn exits<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(w: &Workspace, code: i32, args: I) -> String {
    let mut command = w.command(args);
    command.env("T_ID", USER).env("T_SECRET", PASSWORD);
    let out = command.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(
        out.status.code(),
        Some(code),
        "stdout:\n{text}\nstderr:\n{said}"
    );
    assert!(
        !text.contains(PASSWORD) && !said.contains(PASSWORD),
        "a secret shows"
    );
    text
}

fn with_vaults(local: &str, offsite: &str) -> Workspace {
    let w = Workspace::new();
    let policy = common::POLICY
        .replace("{ url: ./vaults/local, region: here, country: GB }", local)
        .replace(
            "{ url: ./vaults/offsite, region: there, country: GB }",
            offsite,
        );
    assert_ne!(policy, common::POLICY);
    fs::write(w.path("policy.yaml"), policy).unwrap();
    w
}

fn s3(server: &Server, bucket: &str, more: &str) -> String {
    format!(
        "{{ url: \"s3:{}/{bucket}/prod\", region: there, country: GB, access_key: {{ env: T_ID }}, \
         secret_key: {{ env: T_SECRET }}{more} }}",
        server.url()
    )
}

#[test]
fn the_main_job_goes_to_a_bucket_and_over_ssh_and_comes_back() {
    let (bucket, ssh) = (Server::s3(), Sshd::start());
    let sftp = format!(
        "{{ url: \"{}\", region: here, country: GB, identity: {}, known_hosts: {} }}",
        ssh.url("vault"),
        ssh.identity().display(),
        ssh.known_hosts().display()
    );
    let w = with_vaults(&sftp, &s3(&bucket, "bucket", ""));
    exits(&w, 0, ["init"]);
    exits(&w, 0, ["run"]);
    exits(&w, 0, ["verify"]);
    exits(&w, 0, ["drill", "website", "--vault", "offsite"]);
    exits(
        &w,
        0,
        ["restore", "website", "--to", "back", "--vault", "offsite"],
    );
    assert_eq!(
        fs::read(w.path("back/img/noise.bin")).unwrap(),
        fs::read(w.path("site/img/noise.bin")).unwrap()
    );
    exits(
        &w,
        0,
        ["restore", "shop-db", "--to", "back.db", "--vault", "local"],
    );
    let checked = exits(&w, 0, ["vault", "check", "offsite"]);
    assert!(checked.contains("one wins"), "{checked}");
    exits(&w, 0, ["vault", "check", "local"]);

    // Stock restic, told by nobody but `vault env`.
    let env = exits(&w, 0, ["vault", "env", "offsite"]);
    let restic = Command::new("sh")
        .args([
            "-ec",
            "eval \"$1\"; exec \"$2\" --no-cache check --read-data",
            "sh",
            &env,
        ])
        .arg(Restic::newest().program())
        .env("T_ID", USER)
        .env("T_SECRET", PASSWORD)
        .env("HOME", w.root())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&restic.stdout);
    assert!(
        restic.status.success() && said.contains("no errors were found"),
        "{env}\n{restic:?}"
    );
    let passphrase = fs::read_to_string(w.path(".vouchsafe/keys/local.passphrase")).unwrap();
    let repo = ssh.served().join("vault/repo");
    Restic::newest()
        .run(["check", "--read-data"], &repo, passphrase.trim())
        .succeeded();

    // The machine is lost; the bucket, its key and the sheet are left.
    let sheet = fs::read_to_string(w.path(".vouchsafe/recovery-sheet.txt")).unwrap();
    fs::write(w.path("sheet.txt"), &sheet).unwrap();
    fs::remove_dir_all(w.path(".vouchsafe")).unwrap();
    let policy = fs::read(w.path("policy.yaml")).unwrap();
    fs::remove_file(w.path("policy.yaml")).unwrap();
    let url = format!("s3:{}/bucket/prod", bucket.url());
    assert!(sheet.contains(&url), "{sheet}");
    let mut command = w.command(["recover-state", "--vault", &url, "--sheet", "sheet.txt"]);
    let out = command
        .env("AWS_ACCESS_KEY_ID", USER)
        .env("AWS_SECRET_ACCESS_KEY", PASSWORD)
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    assert_eq!(fs::read(w.path("policy.yaml")).unwrap(), policy);
    exits(&w, 0, ["ledger", "verify"]);
    exits(&w, 0, ["run", "website"]);
}

#[test]
fn a_vault_less_locked_than_its_policy_says_is_found_and_mended() {
    let server = Server::s3();
    let w = with_vaults(
        "{ url: ./vaults/local, region: here, country: GB }",
        &s3(&server, "locked", ", retention_lock: 30 days"),
    );
    exits(&w, 0, ["init"]);
    exits(&w, 0, ["run", "website"]);
    let checked = exits(&w, 0, ["vault", "check", "offsite"]);
    assert!(
        checked.contains("0 unlocked") && checked.contains("the first lock ends"),
        "{checked}"
    );
    // Somebody without our care puts an object there.
    server.http(&format!(
        "PUT /locked/prod/policy/stray.yaml HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\
         Content-Length: 1\r\nConnection: close\r\n\r\nx",
        server.port()
    ));
    let checked = exits(&w, 1, ["vault", "check", "offsite"]);
    assert!(
        checked.contains("less locked than its policy says"),
        "{checked}"
    );
    let shown = exits(&w, 1, ["--json", "vault", "lock", "offsite", "--dry-run"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["to_extend"], serde_json::json!(["policy/stray.yaml"]));
    exits(&w, 0, ["vault", "lock", "offsite"]);
    exits(&w, 0, ["vault", "check", "offsite"]);
}

#[test]
fn a_server_without_conditions_is_named_and_a_rest_server_holds_no_record() {
    let (careless, rest) = (Server::careless_s3(), Server::rest());
    let w = with_vaults(
        &format!(
            "{{ url: \"rest:{}/v\", region: here, country: GB, user: {USER}, credential: {{ env: T_SECRET }} }}",
            rest.url()
        ),
        &s3(&careless, "bucket", ""),
    );
    exits(&w, 0, ["init"]);
    exits(&w, 0, ["run", "website"]);
    let checked = exits(&w, 1, ["vault", "check", "offsite"]);
    assert!(checked.contains("does not keep to it"), "{checked}");
    // A warning is enough for lint not to be content.
    let linted = exits(&w, 1, ["lint"]);
    assert!(
        linted.contains("P035") && linted.contains("P033"),
        "{linted}"
    );
    exits(&w, 0, ["vault", "check", "local"]);
    let env = exits(&w, 0, ["vault", "env", "local"]);
    assert!(
        env.contains("rest:http://127.0.0.1") && env.contains("RESTIC_REST_USERNAME"),
        "{env}"
    );
}
