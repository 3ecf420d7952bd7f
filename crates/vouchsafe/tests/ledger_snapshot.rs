//! A vault that holds a repository and nothing beside it: the ledger travels within, and comes back from there.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use crate::common::{self, Workspace, text};
use serde_json::Value;
use vouchsafe_testkit::restic::Restic;
use vouchsafe_testkit::servers::{PASSWORD, Server, USER};

/// A workspace whose only vault is on a REST server.
struct Remote {
    server: Server,
    w: Workspace,
}

impl Remote {
    fn ready() -> Remote {
        let (server, w) = (Server::rest(), Workspace::new());
        let vault = format!(
            "{{ url: \"rest:{}/v\", region: here, country: GB, user: {USER}, credential: {{ env: T_SECRET }} }}",
            server.url()
        );
        let policy = common::POLICY
            .replace("{ url: ./vaults/local, region: here, country: GB }", &vault)
            .replace(
                "  offsite: { url: ./vaults/offsite, region: there, country: GB }\n",
                "",
            )
            .replace("[ local, offsite ]", "[ local ]")
            .replace(", copies: { min: 2 }", "")
            .replace("at_least: 35 days", "at_least: 1s, at_most: 1s");
        assert_ne!(policy, common::POLICY);
        fs::write(w.path("policy.yaml"), policy).unwrap();
        let remote = Remote { server, w };
        remote.exits(0, &["init"]);
        remote
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = self.w.command(args);
        command
            .env("T_SECRET", PASSWORD)
            .env("RESTIC_REST_USERNAME", USER)
            .env("RESTIC_REST_PASSWORD", PASSWORD);
        command.output().unwrap()
    }

    #[track_caller]
    fn exits(&self, code: i32, args: &[&str]) -> (String, String) {
        let out = self.run(args);
        let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
        assert_eq!(
            out.status.code(),
            Some(code),
            "{args:?}\nstdout:\n{stdout}\nstderr:\n{stderr}"
        );
        (stdout, stderr)
    }

    fn json(&self, args: &[&str]) -> Value {
        let all: Vec<&str> = ["--json"].iter().chain(args).copied().collect();
        serde_json::from_slice(&self.run(&all).stdout).unwrap()
    }

    fn repo(&self) -> PathBuf {
        self.server.served().join("v/repo")
    }

    fn restic(&self, args: &[&str]) -> String {
        let passphrase = fs::read_to_string(self.w.path("sheet.txt")).unwrap();
        let passphrase = passphrase
            .lines()
            .find_map(|l| l.trim().strip_prefix("passphrase"))
            .unwrap()
            .trim()
            .to_owned();
        let out = Restic::newest().run(args, self.repo(), &passphrase);
        out.succeeded().text()
    }

    /// The ledger snapshots, the oldest first.
    fn ledgers(&self) -> Vec<String> {
        let listed = self.restic(&["snapshots", "--tag", "vouchsafe-ledger", "--json"]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let rows = listed.as_array().unwrap().iter();
        rows.map(|s| s["id"].as_str().unwrap().to_owned()).collect()
    }

    fn keep_the_sheet(&self) {
        fs::copy(
            self.w.path(".vouchsafe/recovery-sheet.txt"),
            self.w.path("sheet.txt"),
        )
        .unwrap();
    }

    fn lose_the_machine(&self) {
        fs::remove_dir_all(self.w.path(".vouchsafe")).unwrap();
        fs::remove_file(self.w.path("policy.yaml")).unwrap();
    }

    fn recover(&self, code: i32) -> (String, String) {
        let url = format!("rest:{}/v", self.server.url());
        self.exits(
            code,
            &["recover-state", "--vault", &url, "--sheet", "sheet.txt"],
        )
    }

    fn newest_entry(&self) -> String {
        let shown = self.json(&["ledger", "show", "--last", "1"]);
        shown["entries"][0]["entry"]["at"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

#[test]
fn the_state_comes_back_from_a_vault_that_holds_only_a_repository() {
    let remote = Remote::ready();
    remote.exits(0, &["run"]);
    remote.exits(0, &["drill", "website"]);
    remote.keep_the_sheet();
    let at = remote.newest_entry();
    let before = remote.json(&["status", "--as-of", &at]);
    let policy = fs::read(remote.w.path("policy.yaml")).unwrap();

    // No point, nothing unknown, and no harm for stock restic.
    let listed = remote.json(&["vault", "ls", "local"]);
    let rows = listed["snapshots"].as_array().unwrap().clone();
    let ledgers = rows.iter().filter(|r| r["ledger"] == true).count();
    assert_eq!(rows.len() - ledgers, 3);
    assert_eq!(remote.ledgers().len(), ledgers);
    assert!(
        rows.iter()
            .all(|r| (r["ledger"] == true) == r["point"].is_null())
    );
    remote.restic(&["check", "--read-data"]);
    let names = remote.restic(&["ls", remote.ledgers().last().unwrap()]);
    assert!(
        names.contains("/segments/") && names.contains("/heads/") && names.contains("/policy/"),
        "{names}"
    );
    remote.exits(0, &["vault", "check", "local"]);

    remote.lose_the_machine();
    let (out, _) = remote.recover(0);
    assert!(out.contains("each checked"), "{out}");
    assert_eq!(fs::read(remote.w.path("policy.yaml")).unwrap(), policy);
    assert_eq!(remote.json(&["status", "--as-of", &at]), before);
    // And it goes on.
    remote.exits(0, &["run"]);
    remote.exits(0, &["ledger", "verify"]);
}

#[test]
fn a_prune_drops_the_ledger_snapshots_that_newer_ones_have_replaced() {
    let remote = Remote::ready();
    for _ in 0..4 {
        remote.exits(0, &["run", "website"]);
    }
    remote.keep_the_sheet();
    let before = remote.ledgers();
    assert!(before.len() >= 4, "{before:?}");
    // Somebody's own, which only says that it is one.
    fs::write(remote.w.path("mine"), "precious").unwrap();
    let mine = remote.w.path("mine");
    remote.restic(&[
        "backup",
        mine.to_str().unwrap(),
        "--tag",
        "vouchsafe-ledger",
    ]);
    let (shown, _) = remote.exits(0, &["prune", "--dry-run"]);
    assert!(
        shown.contains("superseded ledger snapshots") && !shown.contains("not in the ledger"),
        "{shown}"
    );
    remote.exits(0, &["prune", "--yes"]);
    let after = remote.ledgers();
    // The two newest, somebody's own, and the one that the prune itself has published.
    assert_eq!(after.len(), 4, "{before:?} {after:?}");
    assert!(after.contains(before.last().unwrap()));
    assert!(!after.contains(&before[0]));
    remote.restic(&["check", "--read-data"]);
    let at = remote.newest_entry();
    let status = remote.json(&["status", "--as-of", &at]);
    remote.lose_the_machine();
    remote.recover(0);
    assert_eq!(remote.json(&["status", "--as-of", &at]), status);
    // What was published last is not in its own record; it is known by its signature.
    remote.exits(0, &["run", "website"]);
    remote.exits(0, &["run", "website"]);
    remote.exits(0, &["prune", "--yes"]);
    assert_eq!(remote.ledgers().len(), 4);
}

#[test]
fn a_damaged_ledger_snapshot_is_passed_over_and_said_and_no_ledger_is_an_error() {
    let remote = Remote::ready();
    remote.exits(0, &["run", "website"]);
    remote.exits(0, &["run", "website"]);
    remote.keep_the_sheet();
    let ledgers = remote.ledgers();
    let newest = ledgers.last().unwrap();
    let file = remote.repo().join("snapshots").join(newest);
    let tree = remote.restic(&["cat", "snapshot", newest]);
    let tree: Value = serde_json::from_str(&tree).unwrap();
    let pack = remote.pack_of(tree["tree"].as_str().unwrap());
    remote.w.damage(&pack, |bytes| {
        for byte in bytes.iter_mut() {
            *byte ^= 1;
        }
    });
    remote.lose_the_machine();
    let (out, said) = remote.recover(3);
    assert!(
        said.contains(&newest[..8]) && out.contains("another vault"),
        "{said}\n{out}"
    );
    remote.exits(0, &["ledger", "verify"]);

    // Without any ledger snapshot there is nothing to recover from.
    fs::remove_dir_all(remote.w.path(".vouchsafe")).unwrap();
    fs::remove_file(file).unwrap();
    for id in remote.ledgers() {
        fs::remove_file(remote.repo().join("snapshots").join(id)).unwrap();
    }
    let (_, said) = remote.recover(3);
    assert!(said.contains("no ledger was ever published here"), "{said}");
    assert!(!remote.w.path(".vouchsafe/ledger.db").exists());
}

#[test]
fn a_forged_ledger_snapshot_is_not_believed() {
    let remote = Remote::ready();
    remote.exits(0, &["run", "website"]);
    remote.keep_the_sheet();
    // Who has the vault's key takes the newest apart, changes a word, and puts it back under the same tags.
    let ledgers = remote.ledgers();
    let back = remote.w.path("forged");
    remote.restic(&[
        "restore",
        ledgers.last().unwrap(),
        "--target",
        back.to_str().unwrap(),
    ]);
    let segment = common::files_below(&back)
        .into_iter()
        .find(|p| p.to_string_lossy().contains("segments"))
        .unwrap();
    let words = fs::read_to_string(&segment).unwrap();
    let changed = words.replacen("website", "webfake", 1);
    assert_ne!(words, changed);
    fs::write(&segment, changed).unwrap();
    let id = fs::read_dir(back.join("ledger"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let tag = format!("vouchsafe-ledger:{}", id.file_name().to_str().unwrap());
    // The folder itself, so that the root holds `ledger` and `policy` as ours does.
    let passphrase = fs::read_to_string(remote.w.path(".vouchsafe/keys/local.passphrase")).unwrap();
    let out = std::process::Command::new(Restic::newest().program())
        .args(["--no-cache", "-r"])
        .arg(remote.repo())
        .args([
            "backup",
            "ledger",
            "policy",
            "--tag",
            "vouchsafe-ledger",
            "--tag",
            &tag,
        ])
        .current_dir(&back)
        .env("RESTIC_PASSWORD", passphrase.trim())
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    let forged = remote.ledgers().last().unwrap().clone();
    remote.lose_the_machine();
    let (_, said) = remote.recover(3);
    assert!(
        said.contains(&forged[..8]) && said.contains("not those that were signed"),
        "{said}"
    );
    remote.exits(0, &["ledger", "verify"]);
}

impl Remote {
    fn pack_of(&self, tree: &str) -> PathBuf {
        let found = self.restic(&["find", "--tree", tree, "--show-pack-id"]);
        let line = found
            .lines()
            .find(|l| l.contains("pack"))
            .unwrap_or_else(|| panic!("{found}"));
        let id = line
            .split(|c: char| !c.is_ascii_hexdigit())
            .find(|word| word.len() == 64 && *word != tree)
            .unwrap_or_else(|| panic!("{found}"));
        self.repo().join("data").join(&id[..2]).join(id)
    }
}

#[test]
fn the_latest_snapshot_is_never_one_that_carries_the_ledger() {
    let remote = Remote::ready();
    remote.keep_the_sheet();
    assert!(!remote.ledgers().is_empty());
    let (_, told) = remote.exits(2, &["vault", "ls", "local", "latest"]);
    assert!(told.contains("there is no snapshot in"), "{told}");
    // Somebody's own snapshot, which the ledger does not know; then the ledger is published once more.
    let site = remote.w.path("site").display().to_string();
    remote.restic(&["backup", &site]);
    let before = remote.ledgers();
    remote.exits(0, &["key", "add", "local", "--generate"]);
    assert_ne!(remote.ledgers(), before);
    let (listed, _) = remote.exits(0, &["vault", "ls", "local", "latest"]);
    assert!(listed.contains("index.html"), "{listed}");
    let page = format!("{site}/index.html");
    let (dumped, _) = remote.exits(0, &["vault", "dump", "local", "latest", &page]);
    assert_eq!(dumped, "<h1>hello</h1>");
    let (differs, _) = remote.exits(0, &["vault", "diff", "local", "latest", "latest"]);
    assert!(differs.starts_with("0 added, 0 removed"), "{differs}");
    fs::write(&page, "later").unwrap();
    remote.exits(0, &["run", "website"]);
    let (dumped, _) = remote.exits(0, &["vault", "dump", "local", "latest", &page]);
    assert_eq!(dumped, "later");
}
