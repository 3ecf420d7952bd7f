//! The main job with vaults on other machines: S3 and SFTP, restic beside us, and the state back from a bucket.

use std::fs;
use std::process::Command;

use crate::common::vaults::{erasure, exits, facts, locks_are_facts, s3, with_vaults};
use vouchsafe_testkit::restic::Restic;
use vouchsafe_testkit::servers::{PASSWORD, Server, Sshd, USER};
use vouchsafe_testkit::signed;

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
    locks_are_facts(&w, &server, true);
    exits(&w, 0, ["vault", "lock", "offsite"]);
    exits(&w, 0, ["vault", "check", "offsite"]);
}

#[test]
fn locks_are_extended_by_the_run_and_only_of_what_is_needed() {
    let server = Server::s3();
    let lock = ", retention_lock: 40s, lock_mode: governance";
    let w = with_vaults(
        "{ url: ./vaults/local, region: here, country: GB }",
        &s3(&server, "locked", lock),
    );
    exits(&w, 0, ["init"]);
    exits(&w, 0, ["run", "website"]);
    let read = facts(&w, "locks");
    assert_eq!(read.len(), 1, "{read:?}");
    assert_eq!(read[0]["mode"], "governance");
    // A pack that no index lists waits for its lock to end, and has none here.
    let unlisted = format!("locked/prod/repo/data/ab/{}", "ab".repeat(32));
    assert_eq!(signed::send(&server, "PUT", &unlisted, &[]), 200);
    // Less than five eighths are left of the first lock.
    std::thread::sleep(std::time::Duration::from_secs(16));
    exits(&w, 0, ["run", "website"]);
    let read = facts(&w, "locks");
    let (before, after) = (&read[0], &read[1]);
    assert!(after["extended"].as_u64().unwrap() >= 3, "{after}");
    assert!(
        after["soonest"].as_str() > before["soonest"].as_str(),
        "{read:?}"
    );
    assert_eq!((&after["unlocked"], &after["weak"]), (&0.into(), &0.into()));
    let held = signed::read(&server, &format!("{unlisted}?retention"));
    assert!(!held.contains("GOVERNANCE"), "{held}");
    // A policy that binds more is seen at once, and every lock is made to bind as much.
    let policy = fs::read_to_string(w.path("policy.yaml")).unwrap();
    let policy = policy.replace("40s, lock_mode: governance", "1 day");
    fs::write(w.path("policy.yaml"), policy).unwrap();
    let status = exits(&w, 1, ["status"]);
    assert!(status.contains("not met"), "{status}");
    exits(&w, 0, ["run", "website"]);
    let read = facts(&w, "locks");
    let newest = read.last().unwrap();
    assert_eq!(newest["mode"], "compliance");
    assert_eq!((&newest["weak"], &newest["short"]), (&0.into(), &0.into()));
    let checked = exits(&w, 0, ["vault", "check", "offsite"]);
    assert!(
        checked.contains("in compliance mode: 0 unlocked"),
        "{checked}"
    );
}

#[test]
fn what_must_be_erased_leaves_no_older_versions_as_far_as_locks_allow() {
    erasure(&Server::s3());
}

#[test]
fn a_server_without_conditions_is_named_and_a_rest_server_holds_the_record_within() {
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
    w.drill_monthly();
    let linted = exits(&w, 0, ["lint"]);
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
