//! Vaults whose passphrase a key service wraps: the main job, the state back without a sheet's passphrase, and
//! everything that can be wrong with service, key, and what lies wrapped.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::common::{self, POLICY, Workspace, text};
use vouchsafe_testkit::restic::Restic;
use vouchsafe_testkit::servers::{PASSWORD, Server, USER};

const LOCAL: &str = "local:   { url: ./vaults/local, region: here, country: GB }";

/// A workspace in which vault `local` has these further lines.
fn with(w: &Workspace, more: &str) {
    let policy = POLICY.replace(
        LOCAL,
        &format!("local: {{ url: ./vaults/local, region: here, country: GB, {more} }}"),
    );
    assert_ne!(policy, POLICY);
    fs::write(w.path("policy.yaml"), policy).unwrap();
}

fn aws(server: &Server, key: &str) -> String {
    format!(
        "kms: {{ aws: \"{key}\", endpoint: \"{}\", access_key: {{ env: T_ID }}, secret_key: {{ env: T_SECRET }} }}",
        server.url()
    )
}

fn command(w: &Workspace, args: &[&str]) -> Command {
    let mut command = w.command(args);
    command.env("T_ID", USER).env("T_SECRET", PASSWORD);
    command
}

#[track_caller]
fn exits(w: &Workspace, code: i32, args: &[&str]) -> String {
    let out = command(w, args).output().unwrap();
    let said = text(&out.stdout) + &text(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{args:?}:\n{said}");
    assert!(!said.contains(PASSWORD), "a secret shows:\n{said}");
    said
}

fn envelope(w: &Workspace, vault: &str) -> PathBuf {
    w.path(format!("vaults/{vault}/custody/passphrase.json"))
}

fn opens_with_restic(w: &Workspace) -> bool {
    let binary = env!("CARGO_BIN_EXE_vouchsafe");
    let restic = Restic::newest().program().display().to_string();
    let script =
        format!("eval \"$({binary} vault env local)\" && {restic} --no-cache check --read-data");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(w.root());
    let out = shell
        .env("T_ID", USER)
        .env("T_SECRET", PASSWORD)
        .output()
        .unwrap();
    out.status.success()
}

#[test]
fn the_main_job_with_a_wrapped_passphrase_and_the_state_back_by_the_key_alone() {
    let (w, server) = (Workspace::new(), Server::s3());
    let key = server.kms_key();
    with(&w, &aws(&server, &key));
    w.drill_monthly();
    let linted = exits(&w, 0, &["lint"]);
    assert!(
        linted.contains("P130") && linted.contains("P033"),
        "{linted}"
    );
    exits(&w, 0, &["init"]);
    assert!(!w.path(".vouchsafe/keys/local.passphrase").exists());
    exits(&w, 0, &["init"]);
    exits(&w, 0, &["run", "website"]);
    exits(&w, 0, &["verify", "--vault", "local"]);
    exits(
        &w,
        0,
        &["drill", "website", "--vault", "local", "--negative"],
    );
    exits(
        &w,
        0,
        &["restore", "website", "--to", "back", "--vault", "local"],
    );
    assert!(opens_with_restic(&w));
    let listed = exits(&w, 0, &["key", "list"]);
    for said in [&key, "Enabled", "without the key service nothing opens it"] {
        assert!(listed.contains(said), "{said} is not in {listed}");
    }
    let sheet = fs::read_to_string(w.path(".vouchsafe/recovery-sheet.txt")).unwrap();
    for said in [
        &key,
        "custody/passphrase.json",
        "--encryption-context",
        "second key",
    ] {
        assert!(sheet.contains(said), "{said} is not in {sheet}");
    }
    let passphrase = exits(&w, 0, &["key", "passphrase", "local"]);
    assert!(!sheet.contains(passphrase.trim()));
    for file in common::files_below(w.root()) {
        let bytes = fs::read(&file).unwrap();
        let shows = bytes
            .windows(39)
            .any(|part| part == passphrase.trim().as_bytes());
        assert!(!shows, "the passphrase lies in {}", file.display());
    }

    // The machine is lost. Neither the address of the service nor a secret is in the vault.
    fs::rename(w.path(".vouchsafe/recovery-sheet.txt"), w.path("sheet")).unwrap();
    let url = w.path("vaults/local").display().to_string();
    for how in [&["--sheet", "sheet"][..], &["--wrapped"]] {
        fs::remove_dir_all(w.path(".vouchsafe")).unwrap();
        let recover = |endpoint: &str, id: &str| {
            let mut command = w.command(["recover-state", "--vault", &url]);
            command.args(how).env("AWS_ENDPOINT_URL_KMS", endpoint);
            command.env(id, USER).env("AWS_SECRET_ACCESS_KEY", PASSWORD);
            command.output().unwrap()
        };
        let without = recover(&server.url(), "SOMETHING_ELSE");
        assert!(
            text(&without.stderr).contains("AWS_ACCESS_KEY_ID"),
            "{without:?}"
        );
        let out = recover(&server.url(), "AWS_ACCESS_KEY_ID");
        assert!(out.status.success(), "{out:?}");
    }
    // The other vault's passphrase was on the sheet only.
    let other = sheet_passphrase(&sheet);
    let path = w.path(".vouchsafe/keys/offsite.passphrase");
    fs::write(&path, other).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    exits(&w, 0, &["ledger", "verify"]);
    exits(&w, 0, &["run", "website"]);
}

fn sheet_passphrase(sheet: &str) -> String {
    let line = sheet
        .lines()
        .find(|l| l.trim_start().starts_with("passphrase "))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn what_is_wrong_with_the_key_is_said_and_another_key_of_the_vault_opens_it() {
    let (w, server) = (Workspace::new(), Server::s3());
    let (key, other) = (server.kms_key(), server.kms_key());
    with(&w, &aws(&server, &key));
    exits(&w, 0, &["init"]);
    exits(&w, 0, &["run", "website"]);
    exits(&w, 0, &["key", "add", "local", "--generate"]);
    let listed = exits(&w, 0, &["key", "list"]);
    assert!(!listed.contains("nothing opens it"), "{listed}");

    let fails = |code: i32, said: &[&str]| {
        let told = exits(&w, code, &["vault", "ls", "local"]);
        for said in said.iter().chain(&["vault `local`"]) {
            assert!(told.contains(said), "{said} is not in {told}");
        }
    };
    server.kms("DisableKey", &format!("{{\"KeyId\":\"{key}\"}}"));
    fails(
        3,
        &[
            "DisabledException",
            &key,
            "enable-key",
            "in place of `kms:`",
        ],
    );
    server.kms("EnableKey", &format!("{{\"KeyId\":\"{key}\"}}"));
    with(&w, &aws(&server, &other));
    fails(12, &["did not wrap it", &key, &other, "key wrap"]);
    let none = format!("{}-none", &key[..key.len() - 5]);
    with(&w, &aws(&server, &none));
    fails(12, &["did not wrap it"]);
    let told = exits(&w, 12, &["key", "list"]);
    assert!(told.contains("does not exist"), "{told}");
    let dead = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    with(
        &w,
        &aws(&server, &key).replace(&server.url(), &format!("http://{dead}")),
    );
    fails(3, &["cannot be reached"]);
    with(&w, &aws(&server, &key).replace("T_ID", "T_NONE"));
    let told = exits(&w, 2, &["vault", "ls", "local"]);
    assert!(told.contains("T_NONE"), "{told}");
    server.kms(
        "ScheduleKeyDeletion",
        &format!("{{\"KeyId\":\"{key}\",\"PendingWindowInDays\":7}}"),
    );
    with(&w, &aws(&server, &key));
    fails(3, &["pending deletion", "cancel-key-deletion"]);
    let listed = exits(&w, 3, &["key", "list"]);
    assert!(
        listed.contains("PendingDeletion, gone at ") && listed.contains("offsite"),
        "{listed}"
    );
    // The other vault is not hindered, and what was captured waits for nothing but the copy.
    exits(&w, 0, &["vault", "ls", "offsite"]);

    // Who has another key of the vault opens it, and wraps anew by a key that lives.
    let fresh = fs::read_dir(w.path(".vouchsafe/keys")).unwrap();
    let mut fresh = fresh.map(|f| f.unwrap().path());
    let fresh = fresh
        .find(|f| f.display().to_string().contains("local.slot-"))
        .unwrap();
    with(&w, &format!("password: {{ file: {} }}", fresh.display()));
    exits(&w, 0, &["run", "website"]);
    with(&w, &aws(&server, &other));
    let told = exits(
        &w,
        0,
        &[
            "key",
            "wrap",
            "local",
            "--passphrase-file",
            &fresh.display().to_string(),
        ],
    );
    assert!(told.contains(&other), "{told}");
    exits(&w, 0, &["run", "website"]);
    exits(
        &w,
        0,
        &["restore", "website", "--to", "back", "--vault", "local"],
    );
    assert!(exits(&w, 0, &["ledger", "export"]).contains("wrapped"));
}

#[test]
fn what_lies_wrapped_is_bound_to_its_vault_and_every_change_of_it_is_seen() {
    let (w, server) = (Workspace::new(), Server::s3());
    let key = server.kms_key();
    let policy = POLICY.replace(
        "country: GB }",
        &format!("country: GB, {} }}", aws(&server, &key)),
    );
    fs::write(w.path("policy.yaml"), policy).unwrap();
    exits(&w, 0, &["init"]);
    let whole = fs::read_to_string(envelope(&w, "local")).unwrap();
    let others = fs::read_to_string(envelope(&w, "offsite")).unwrap();
    let repository = |text: &str| text.split("\"repository\": \"").nth(1).unwrap()[..64].to_owned();
    let put = |text: &str| fs::write(envelope(&w, "local"), text).unwrap();
    let fails = |code: i32, said: &str| {
        let told = exits(&w, code, &["vault", "ls", "local"]);
        assert!(told.contains(said), "{said} is not in {told}");
    };
    // Another vault's, as it is, and made to look like this one's.
    put(&others);
    fails(12, "opens no key of vault `local`");
    put(&others.replace(&repository(&others), &repository(&whole)));
    fails(12, "was changed, or was wrapped for another vault");
    put(&whole.replace(&repository(&whole), &repository(&others)));
    fails(12, "was changed, or was wrapped for another vault");
    // A flipped bit in what was wrapped, a cut, another version, another service, nothing.
    let at = whole.rfind('"').unwrap() - 8;
    let letter = if &whole[at..=at] == "A" { "B" } else { "A" };
    put(&format!("{}{letter}{}", &whole[..at], &whole[at + 1..]));
    exits(&w, 12, &["vault", "ls", "local"]);
    put(&whole[..whole.len() / 2]);
    fails(3, "cannot be understood");
    put(&whole.replace("\"v\": 1", "\"v\": 2"));
    fails(3, "version 2");
    put(&whole.replace("\"aws\"", "\"command\""));
    fails(12, "did not wrap it");
    put(&" ".repeat(70_000));
    fails(3, "cannot be understood");
    fs::remove_file(envelope(&w, "local")).unwrap();
    fails(2, "key wrap local");
    put(&whole);
    exits(&w, 0, &["run", "website"]);
}

#[test]
fn a_vault_that_was_there_is_wrapped_and_its_clear_passphrase_goes() {
    let w = Workspace::ready();
    w.ok(["run", "website"]);
    let turn = "tr a-z0-9 n-za-m5-90-4";
    let back = "tr n-za-m5-90-4 a-z0-9";
    let kms = format!(
        "kms: {{ command: {{ key: safe, wrap: [sh, -c, {turn:?}], unwrap: [sh, -c, {back:?}] }} }}"
    );
    with(&w, &kms);
    let state = w.path(".vouchsafe/keys/local.passphrase");
    let clear = fs::read_to_string(&state).unwrap();
    let told = exits(&w, 3, &["run", "website"]);
    assert!(told.contains("key wrap local"), "{told}");
    exits(&w, 0, &["key", "wrap", "local"]);
    assert!(!state.exists());
    let written = fs::read_to_string(envelope(&w, "local")).unwrap();
    assert!(!written.contains(clear.trim()));
    exits(&w, 0, &["run", "website"]);
    assert!(opens_with_restic(&w));
    exits(&w, 0, &["key", "rotate", "local"]);
    assert!(!state.exists() && fs::read_to_string(envelope(&w, "local")).unwrap() != written);
    assert!(exits(&w, 0, &["key", "list"]).contains("key safe of the program sh"));
    // The state comes back by a program that is named by whoever brings it back, not by the vault.
    fs::rename(w.path(".vouchsafe/recovery-sheet.txt"), w.path("sheet")).unwrap();
    let sheet = fs::read_to_string(w.path("sheet")).unwrap();
    assert!(sheet.contains("--unwrap sh -c"), "{sheet}");
    fs::remove_dir_all(w.path(".vouchsafe")).unwrap();
    let url = w.path("vaults/local").display().to_string();
    let told = exits(&w, 2, &["recover-state", "--vault", &url, "--wrapped"]);
    assert!(told.contains("--unwrap"), "{told}");
    exits(
        &w,
        0,
        &[
            "recover-state",
            "--vault",
            &url,
            "--sheet",
            "sheet",
            "--unwrap",
            "sh",
            "-c",
            back,
        ],
    );
    exits(&w, 0, &["run", "website"]);
    // A program that fails is named, and its input is not shown.
    with(&w, &kms.replace(back, "cat >&2; exit 7"));
    let told = exits(&w, 3, &["vault", "ls", "local"]);
    assert!(
        told.contains("exited with code 7") && told.contains("key safe"),
        "{told}"
    );
    // One that gives back something else puts nothing in force.
    with(&w, &kms.replace(turn, "tr a-z b-za"));
    let before = fs::read(envelope(&w, "local")).unwrap();
    let told = exits(&w, 3, &["key", "rotate", "local"]);
    assert!(told.contains("does not come back"), "{told}");
    assert_eq!(fs::read(envelope(&w, "local")).unwrap(), before);
    with(&w, &kms);
    exits(&w, 0, &["vault", "ls", "local"]);
}

/// A program that wraps, and that dies at the call with the number in the file `dies-at`, having told nothing.
fn dying(w: &Workspace) -> String {
    let script = |turn: &str| {
        format!(
            "n=$(($(cat {0}/calls) + 1)); echo $n > {0}/calls; [ $n = \"$(cat {0}/dies-at)\" ] && exit 1; exec {turn}",
            w.root().display()
        )
    };
    let (turn, back) = (
        script("tr a-z0-9 n-za-m5-90-4"),
        script("tr n-za-m5-90-4 a-z0-9"),
    );
    dies_at(w, 0);
    format!(
        "kms: {{ command: {{ key: safe, wrap: [sh, -c, {turn:?}], unwrap: [sh, -c, {back:?}] }} }}"
    )
}

fn dies_at(w: &Workspace, call: u32) {
    fs::write(w.path("calls"), "0").unwrap();
    fs::write(w.path("dies-at"), call.to_string()).unwrap();
}

fn slots(w: &Workspace) -> usize {
    let listed = exits(w, 0, &["key", "list"]);
    listed
        .lines()
        .filter(|l| l.starts_with("local  ") && l.contains("made "))
        .count()
}

#[test]
fn a_rotation_survives_the_failure_of_each_call_to_the_key_service() {
    let w = Workspace::new();
    with(&w, &dying(&w));
    exits(&w, 0, &["init"]);
    exits(&w, 0, &["run", "website"]);
    let passphrase = || exits(&w, 0, &["key", "passphrase", "local"]);
    let mut call = 1;
    loop {
        let before = passphrase();
        dies_at(&w, call);
        let failed = !command(&w, &["key", "rotate", "local"])
            .status()
            .unwrap()
            .success();
        dies_at(&w, 0);
        exits(&w, 0, &["vault", "ls", "local"]);
        let told = exits(&w, 0, &["key", "rotate", "local"]);
        assert_ne!(passphrase(), before, "call {call}: {told}");
        assert_eq!(slots(&w), 1, "call {call}");
        assert!(!w.path(".vouchsafe/keys/local.rotating").exists());
        if !failed {
            break;
        }
        call += 1;
    }
    assert!(call > 6, "the service was called {call} times only");
}

#[test]
fn a_rotation_that_fails_is_explained_once() {
    let w = Workspace::new();
    with(&w, &dying(&w));
    exits(&w, 0, &["init"]);
    // The passphrase is unwrapped twice, to open the vault and to know what it opens; then the change is wrapped.
    dies_at(&w, 3);
    let told = exits(&w, 3, &["key", "rotate", "local"]);
    assert!(
        told.contains("the one in force still opens the vault: the key safe of"),
        "{told}"
    );
    assert_eq!(told.matches("vault `local`").count(), 1, "{told}");
    assert!(!told.contains("opens it meanwhile"), "{told}");
}

#[test]
fn a_rotation_killed_at_any_event_leaves_a_vault_that_opens_and_is_gone_on_with() {
    let (w, server) = (Workspace::new(), Server::s3());
    with(&w, &aws(&server, &server.kms_key()));
    exits(&w, 0, &["init"]);
    exits(&w, 0, &["run", "website"]);
    let mut n = 1;
    loop {
        let before = exits(&w, 0, &["key", "passphrase", "local"]);
        let mut rotate = command(&w, &["--json", "key", "rotate", "local"]);
        let killed = common::killed_at_event(&mut rotate, n);
        if let Ok(noted) = fs::read_to_string(w.path(".vouchsafe/keys/local.rotating")) {
            assert!(
                noted.contains("\"wrapped\""),
                "a passphrase lies in the clear: {noted}"
            );
        }
        exits(&w, 0, &["vault", "ls", "local"]);
        exits(&w, 0, &["key", "rotate", "local"]);
        assert_ne!(exits(&w, 0, &["key", "passphrase", "local"]), before);
        assert_eq!(slots(&w), 1, "after {n} events");
        exits(&w, 0, &["ledger", "verify"]);
        if !killed {
            break;
        }
        n += 1;
    }
    assert!(n > 4, "told only {n} events");
}

#[test]
fn what_was_wrapped_before_the_repository_was_made_opens_it_in_the_end() {
    let w = Workspace::new();
    with(&w, &dying(&w));
    for call in 1..=3 {
        dies_at(&w, call);
        exits(&w, 3, &["init"]);
    }
    dies_at(&w, 0);
    exits(&w, 0, &["init"]);
    let written = fs::read(envelope(&w, "local")).unwrap();
    // As after a crash between the two: the envelope is there, the repository is not.
    fs::remove_dir_all(w.path("vaults/local/repo")).unwrap();
    fs::remove_dir_all(w.path(".vouchsafe")).unwrap();
    fs::remove_dir_all(w.path("vaults/offsite")).unwrap();
    fs::remove_dir_all(w.path("vaults/local/ledger")).unwrap();
    exits(&w, 0, &["init"]);
    assert_eq!(fs::read(envelope(&w, "local")).unwrap(), written);
    exits(&w, 0, &["run", "website"]);
}
