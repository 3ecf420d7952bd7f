//! Reading vaults back by `vault check --read-data`, and what is left of it when the process is killed.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::{self, POLICY, Workspace, noise};
use serde_json::Value;
use vouchsafe_testkit::servers::{PASSWORD, Server, USER};

fn last_json(out: &str) -> Value {
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

#[test]
fn a_check_reads_all_data_or_a_share_and_names_what_is_damaged() {
    let w = Workspace::ready();
    w.ok(["run"]);
    let all = last_json(&w.ok(["--json", "vault", "check", "local", "--read-data"]));
    let done = &all["vaults"][0]["verification"];
    assert_eq!(done["complete"], true, "{all}");
    for budget in ["10%", "1KiB", "20m"] {
        let some = last_json(&w.ok([
            "--json",
            "vault",
            "check",
            "local",
            "--read-data-subset",
            budget,
        ]));
        assert!(
            some["vaults"][0]["verification"]["packs_read"]
                .as_u64()
                .unwrap()
                > 0,
            "{some}"
        );
    }
    w.exits(2, ["vault", "check", "local", "--read-data-subset", "some"]);
    let pack = w.packs("local").remove(0);
    w.damage(&pack, |bytes| bytes[100] ^= 1);
    // Structure alone does not show it.
    w.ok(["vault", "check", "local"]);
    let (_, said) = w.exits(1, ["vault", "check", "local", "--read-data"]);
    let name = pack.file_name().unwrap().to_str().unwrap();
    assert!(said.contains(&name[..8]), "{said}");
    // And the record knows it.
    let status = common::text(&w.run(["status"]).stdout);
    assert!(
        status.contains("verify") || status.contains("verified"),
        "{status}"
    );
}

#[test]
fn what_a_killed_verification_has_read_is_kept() {
    let server = Server::rest();
    let w = Workspace::new();
    let vault = |limits: &str| {
        format!(
            "{{ url: \"rest:{}/v\", region: here, country: GB, user: {USER}, credential: {{ env: T_SECRET }}{limits} }}",
            server.url()
        )
    };
    let policy = |limits: &str| {
        POLICY
            .replace(
                "{ url: ./vaults/local, region: here, country: GB }",
                &vault(limits),
            )
            .replace("[ local, offsite ]", "[ local ]")
    };
    fs::write(w.path("policy.yaml"), policy("")).unwrap();
    let command = |args: &[&str]| {
        let mut command = w.command(args);
        command.env("T_SECRET", PASSWORD);
        command
    };
    let ok = |args: &[&str]| {
        let out = command(args).output().unwrap();
        assert!(out.status.success(), "{args:?}: {out:?}");
        common::text(&out.stdout)
    };
    ok(&["init"]);
    // A pack each time.
    for n in 0..8 {
        fs::write(w.path("site/img/noise.bin"), &noise(400_000 + n)[n..]).unwrap();
        ok(&["run", "website"]);
    }
    fs::write(
        w.path("policy.yaml"),
        policy(", limits: { download: 400KiB/s }"),
    )
    .unwrap();
    let mut child = command(&["verify", "--vault", "local"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let memory = w.path(".vouchsafe/verified/local");
    let began = Instant::now();
    while !memory.exists() || fs::read_dir(&memory).unwrap().next().is_none() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "nothing was kept"
        );
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it was killed"
        );
        sleep(Duration::from_millis(20));
    }
    // The fact that binds it follows at once.
    sleep(Duration::from_millis(300));
    assert!(
        child.try_wait().unwrap().is_none(),
        "it ended before it was killed"
    );
    child.kill().unwrap();
    child.wait().unwrap();

    fs::write(w.path("policy.yaml"), policy("")).unwrap();
    ok(&["ledger", "verify"]);
    let out = ok(&["--json", "verify", "--vault", "local", "--budget", "1k"]);
    assert!(!out.contains("counts as not verified"), "{out}");
    let outcome = last_json(&out)["vaults"][0].clone();
    let (read, total) = (
        outcome["verification"]["packs_read"].as_u64().unwrap(),
        outcome["verification"]["packs_total"].as_u64().unwrap(),
    );
    let never = outcome["coverage"]["packs_never"].as_u64().unwrap();
    // One pack fits the budget; more than that one have a result.
    assert_eq!(read, 1);
    assert!(never + 1 < total, "{outcome}");
}
