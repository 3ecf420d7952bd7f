//! A vault on restic's own REST server, also one that takes what comes and removes nothing.

use std::fs;

use crate::common::{self, Workspace, text};
use serde_json::Value;
use vouchsafe_testkit::restic::Restic;
use vouchsafe_testkit::servers::Server;

struct Remote {
    server: Server,
    w: Workspace,
}

impl Remote {
    /// A workspace whose only vault is on this server, and of whose points the newest is kept.
    fn on(server: Server) -> Remote {
        let w = Workspace::new();
        let vault = format!(
            "{{ url: \"rest:{}/v\", region: here, country: GB }}",
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
            .replace("at_least: 35 days", "last: 1");
        assert_ne!(policy, common::POLICY);
        fs::write(w.path("policy.yaml"), policy).unwrap();
        let remote = Remote { server, w };
        remote.exits(0, &["init"]);
        remote
    }

    #[track_caller]
    fn exits(&self, code: i32, args: &[&str]) -> (String, String) {
        let out = self.w.command(args).output().unwrap();
        let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
        assert_eq!(
            out.status.code(),
            Some(code),
            "{args:?}\nstdout:\n{stdout}\nstderr:\n{stderr}"
        );
        (stdout, stderr)
    }

    /// Two points with different content; the first one is not needed by the policy.
    fn two_points(&self) {
        for n in 0..2 {
            fs::write(self.w.path("site/changing"), format!("{n}").repeat(50_000)).unwrap();
            self.exits(0, &["run", "website"]);
        }
    }

    /// Stock restic, by the same server.
    fn restic(&self, args: &[&str]) -> String {
        let sheet = fs::read_to_string(self.w.path(".vouchsafe/recovery-sheet.txt")).unwrap();
        let passphrase = sheet
            .lines()
            .find_map(|l| l.trim().strip_prefix("passphrase"))
            .unwrap()
            .trim();
        let repository = format!("rest:{}/v/repo", self.server.url());
        let run = Restic::newest().run(args, repository, passphrase);
        run.succeeded().text()
    }

    /// The snapshots that are points, the oldest first.
    fn snapshots(&self) -> Vec<String> {
        let listed = self.restic(&["snapshots", "--json"]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let rows = listed.as_array().unwrap().iter();
        let holds_ledger = |row: &Value| {
            let tags = row["tags"].as_array().into_iter().flatten();
            tags.filter_map(Value::as_str)
                .any(|tag| tag == "vouchsafe-ledger")
        };
        rows.filter(|row| !holds_ledger(row))
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    }

    fn must_be_whole(&self, to: &str) {
        self.restic(&["check", "--read-data"]);
        self.exits(0, &["verify"]);
        self.exits(0, &["restore", "website", "--to", to]);
        let back = fs::read(self.w.path(format!("{to}/changing"))).unwrap();
        assert_eq!(back, b"1".repeat(50_000));
        let theirs = self.w.path(format!("{to}-by-restic"));
        let newest = self.snapshots().pop().unwrap();
        self.restic(&["restore", &newest, "--target", theirs.to_str().unwrap()]);
    }
}

#[test]
fn what_it_takes_is_checked_restored_and_pruned() {
    let remote = Remote::on(Server::genuine_rest(false));
    remote.two_points();
    assert_eq!(remote.snapshots().len(), 2);
    remote.must_be_whole("back");
    remote.exits(0, &["prune", "--yes"]);
    assert_eq!(remote.snapshots().len(), 1);
    remote.must_be_whole("after");
    remote.exits(0, &["prune", "--write-once", "--yes"]);
    remote.must_be_whole("later");
}

#[test]
fn where_nothing_may_be_removed_a_prune_says_so_and_everything_stays() {
    let remote = Remote::on(Server::genuine_rest(true));
    remote.two_points();
    remote.must_be_whole("back");
    let (_, locked) = remote.exits(3, &["prune", "--yes"]);
    assert!(
        locked.contains("refuses to remove snapshots/") && locked.contains("append-only"),
        "{locked}"
    );
    let (_, said) = remote.exits(3, &["prune", "--write-once", "--yes"]);
    assert!(
        said.contains("is denied to this user") && said.contains("0 snapshots and 0 packs removed"),
        "{said}"
    );
    assert_eq!(remote.snapshots().len(), 2);
    remote.must_be_whole("after");
    // No lock is left in anybody's way.
    assert_eq!(remote.restic(&["list", "locks"]).trim(), "");
    remote.exits(0, &["run", "website"]);
}
