//! A PostgreSQL server brought back to moments in its past from the command line, and a drill that proves it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use crate::common::Workspace;
use serde_json::Value;
use vouchsafe_capture::LogPiece;
use vouchsafe_format::fragment::{Commits, Position, Span, StreamName};
use vouchsafe_host::clock::SystemClock;
use vouchsafe_host::random::OsRandom;
use vouchsafe_host::signals::Interrupt;
use vouchsafe_model::{Secret, Time};
use vouchsafe_store::{Key, LocalStore, Prefixed, Store};
use vouchsafe_testkit::postgres::Postgres;
use vouchsafe_translog::token::Token;
use vouchsafe_translog::wal::{
    History, Lsn, Meaning, SegmentSize, Timeline, WalEvent, WalFileName, WalReader, WalStart,
};
use vouchsafe_vault::logs::Fence;
use vouchsafe_vault::{Env, Repository};

const SEGMENT: u32 = 1 << 20;

/// A workspace whose policy protects a whole server, and that server.
pub(crate) struct Shop {
    pub(crate) server: Postgres,
    pub(crate) work: Workspace,
    token: Token,
    /// Up to where the log lies in each vault.
    shipped: BTreeMap<String, Lsn>,
}

impl Shop {
    fn new() -> Shop {
        Shop::drilled_by("")
    }

    /// The same, with more keys of the drill.
    pub(crate) fn drilled_by(more: &str) -> Shop {
        Shop::of(Shop::server(), more)
    }

    pub(crate) fn server() -> Postgres {
        Postgres::start_with(
            &["--wal-segsize=1", "--data-checksums"],
            &[
                "wal_keep_size=1GB",
                "track_commit_timestamp=on",
                "full_page_writes=on",
            ],
        )
    }

    /// Of a server that is there.
    pub(crate) fn of(server: Postgres, more: &str) -> Shop {
        server.sql("CREATE TABLE t (id serial PRIMARY KEY, pad text)");
        let work = Workspace::new();
        let policy = format!(
            r#"
policy: {{ id: T-1, title: Test policy, owner: o@example.com, version: "1", next_review: 2999-01-01 }}
vaults:
  local:   {{ url: ./vaults/local, region: here, country: GB }}
  offsite: {{ url: ./vaults/offsite, region: there, country: GB }}
tiers:
  standard: {{ rpo: 24h, rto: 1h, log_rpo: 1m, copies: {{ min: 2 }} }}
plans:
  nightly:
    schedule: "daily at 02:00 UTC"
    keep: {{ at_least: 35 days }}
    copies: [ local, offsite ]
    logs: {{ every: 5s, keep: 7 days }}
    verify: {{ every: week }}
    drill:
      every: quarter
      negative_control: every year
      checks: ["SELECT count(*) > 0 FROM t"]
{more}systems:
  shop:
    source: "{}"
    tier: standard
    plan: nightly
    owner: o@example.com
"#,
            server.url("").replace("/?", "?")
        );
        fs::write(work.path("policy.yaml"), policy).unwrap();
        work.ok(["init"]);
        Shop {
            server,
            work,
            token: Token::first([5; 8], Time::from_secs(1_700_000_000)),
            shipped: BTreeMap::new(),
        }
    }

    /// Rows in transactions of their own, and tokens between them.
    pub(crate) fn rows(&mut self, count: usize) {
        let mut sql = String::new();
        for at in 0..count {
            if at % 10 == 0 {
                sql += &format!(
                    "SELECT pg_logical_emit_message(true, 'vouchsafe', '{}');\n",
                    self.token
                );
                self.token = self.token.next(Time::from_secs(1_700_000_000 + at as i64));
            }
            sql += "INSERT INTO t (pad) VALUES (repeat('x', 500));\n";
        }
        self.server.sql(&sql);
    }

    /// When the server says that each row was committed.
    pub(crate) fn committed(&self) -> Vec<(u64, Time)> {
        let rows = self.server.sql(
            "SELECT id, to_char(pg_xact_commit_timestamp(xmin) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM t ORDER BY id",
        );
        let read = |row: &str| {
            let (id, time) = row.split_once('|').unwrap();
            (id.parse().unwrap(), time.parse().unwrap())
        };
        rows.lines().map(read).collect()
    }

    /// Puts what the server has written since the last time into both vaults, as one that ships logs does.
    fn ship(&mut self) {
        self.ship_to(&["local", "offsite"]);
    }

    /// The same, into some of the vaults.
    pub(crate) fn ship_to(&mut self, vaults: &[&str]) {
        self.server
            .sql("SELECT pg_logical_emit_message(false, 'flush', '')");
        let (start, bytes) = self.written();
        for vault in vaults {
            let begun = self.shipped.get(*vault).copied().unwrap_or(start);
            let (pieces, reached) = cut(start, &bytes, begun);
            let (repo, root) = self.vault(vault);
            let name = StreamName::new("shop", format!("{}/wal", self.protection())).unwrap();
            let mut writer = repo.logs(root).stream(name).writer(Fence::Store).unwrap();
            for (piece, range) in &pieces {
                writer.append(*piece, &bytes[range.clone()]).unwrap();
            }
            self.shipped.insert((*vault).to_owned(), reached);
        }
    }

    /// The name of the only protection.
    fn protection(&self) -> String {
        let said = self.work.ok(["points", "shop", "--json"]);
        let at = said.find("\"shop/").unwrap() + 6;
        said[at..].split('"').next().unwrap().to_owned()
    }

    fn vault(&self, name: &str) -> (Repository, Arc<dyn Store>) {
        let passphrase = self.work.path(format!(".vouchsafe/keys/{name}.passphrase"));
        let passphrase = fs::read_to_string(passphrase).unwrap();
        let root: Arc<dyn Store> =
            Arc::new(LocalStore::open(self.work.path(format!("vaults/{name}"))).unwrap());
        let store = Arc::new(Prefixed::new(Arc::clone(&root), Key::new("repo").unwrap()));
        let secret = Secret::new(passphrase.trim().as_bytes().to_vec());
        (Repository::open(store, &env(), &secret).unwrap(), root)
    }

    /// All segments that the server has.
    fn written(&self) -> (Lsn, Vec<u8>) {
        let mut segments: BTreeMap<u64, PathBuf> = BTreeMap::new();
        for entry in fs::read_dir(self.server.data().join("pg_wal")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if let Some(WalFileName::Segment { segment, .. }) = WalFileName::parse(&name, size()) {
                segments.insert(segment, entry.path());
            }
        }
        let first = *segments.keys().next().unwrap();
        let bytes = segments.values().flat_map(|path| fs::read(path).unwrap());
        (size().start_of(first).unwrap(), bytes.collect())
    }
}

fn size() -> SegmentSize {
    SegmentSize::new(SEGMENT).unwrap()
}

fn env() -> Env {
    Env {
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(OsRandom),
        interrupt: Interrupt::manual(),
        hostname: "testhost".to_owned(),
        username: "tester".to_owned(),
        pid: std::process::id(),
        uid: 1000,
        gid: 1000,
        program_version: "test".to_owned(),
    }
}

type Pieces = Vec<(LogPiece, std::ops::Range<usize>)>;

/// Cuts a log at the ends of records, with the commits in each piece.
fn cut(start: Lsn, bytes: &[u8], begun: Lsn) -> (Pieces, Lsn) {
    let history = History::of(Timeline::FIRST);
    let first = WalStart::at_segment(size(), size().segment_of(start), history).unwrap();
    let mut reader = WalReader::new(first).unwrap();
    let (mut pieces, mut begun, mut commits) = (Pieces::new(), begun, None);
    for chunk in bytes.chunks(30_000) {
        let from = begun;
        let fed = reader.feed(chunk, |event| {
            if let WalEvent::Record(record) = event
                && let Meaning::Commit { time, .. } = record.meaning
                && record.lsn >= from
            {
                commits = Some(Commits {
                    first: commits.map_or(time.micros(), |before: Commits| before.first),
                    last: time.micros(),
                });
            }
        });
        fed.unwrap();
        let verified = reader.status().verified.unwrap_or(begun);
        if begun < verified {
            let span = Span::new(Position::Byte(begun.0), Position::Byte(verified.0)).unwrap();
            let piece = LogPiece {
                timeline: 1,
                span,
                commits: commits.take(),
            };
            pieces.push((
                piece,
                (begun.0 - start.0) as usize..(verified.0 - start.0) as usize,
            ));
            begun = verified;
        }
        if reader.status().end.is_some() {
            break;
        }
    }
    (pieces, begun)
}

/// The rows of a restored server, by stock PostgreSQL.
fn rows_in(work: &Workspace, place: &str) -> Vec<u64> {
    let served = Postgres::on_copy_of(&work.path(place).join("data"));
    let rows = served.sql("SELECT id FROM t ORDER BY id");
    rows.lines().map(|id| id.parse().unwrap()).collect()
}

fn by(committed: &[(u64, Time)], until: Time) -> Vec<u64> {
    let there = committed.iter().filter(|(_, time)| *time <= until);
    there.map(|(id, _)| *id).collect()
}

#[test]
fn a_server_is_brought_to_any_moment_and_drilled_and_every_damage_to_its_log_is_caught() {
    let mut shop = Shop::new();
    shop.rows(5);
    shop.work.ok(["run", "shop"]);
    shop.rows(60);
    shop.ship();
    let committed = shop.committed();
    let (middle, newest) = (committed[30].1, committed.last().unwrap().1);

    // The worklist first, then the deed.
    let at = middle.to_string();
    let said = shop.work.ok([
        "restore",
        "shop",
        "--at",
        &at,
        "--to",
        "server:./served",
        "--dry-run",
    ]);
    assert!(
        said.contains("of log at most") && said.contains("on timeline 1"),
        "{said}"
    );
    assert!(!shop.work.path("served").exists());
    let said = shop
        .work
        .ok(["restore", "shop", "--at", &at, "--to", "server:./served"]);
    assert!(said.contains("of timeline 1"), "{said}");
    assert_eq!(rows_in(&shop.work, "served"), by(&committed, middle));
    assert!(!shop.work.path("served/wal").exists());

    let said = shop.work.ok([
        "restore",
        "shop",
        "--at",
        "latest",
        "--to",
        "server:./latest",
        "--json",
    ]);
    assert!(
        said.contains(&format!("\"newest_commit\":\"{newest}\"")),
        "{said}"
    );
    assert_eq!(rows_in(&shop.work, "latest").len(), committed.len());

    // One table of that moment beside the live ones.
    let live = shop.server.url("postgres");
    let beside = ["restore", "shop", "--only", "t", "--into", "back", "--to"];
    let said = shop
        .work
        .ok(beside.iter().copied().chain([live.as_str(), "--at", &at]));
    assert!(
        said.contains("of timeline 1") && said.contains("equal to those of the restored copy"),
        "{said}"
    );
    let back = shop.server.sql("SELECT id FROM back.t ORDER BY id");
    let back: Vec<u64> = back.lines().map(|id| id.parse().unwrap()).collect();
    assert_eq!(back, by(&committed, middle));
    let all = shop.server.sql("SELECT count(*) FROM t");
    assert_eq!(all, committed.len().to_string(), "live data is as it was");
    shop.server.sql("DROP SCHEMA back CASCADE");

    // Beyond either end nothing is done, and it is said what can be.
    let beyond = newest.plus(vouchsafe_model::Span::from_secs(1)).to_string();
    let (_, said) = shop.work.exits(
        2,
        ["restore", "shop", "--at", &beyond, "--to", "server:./no"],
    );
    assert!(
        said.contains(&newest.to_string()) && said.contains("in local"),
        "{said}"
    );
    let before = committed[0]
        .1
        .minus(vouchsafe_model::Span::from_secs(3600))
        .to_string();
    let (_, said) = shop.work.exits(
        2,
        ["restore", "shop", "--at", &before, "--to", "server:./no"],
    );
    assert!(said.contains("to any moment from"), "{said}");
    assert!(!shop.work.path("no").exists());

    // A drill climbs from the vault to the rows, and its twins are caught.
    let (said, _) = shop
        .work
        .exits(0, ["drill", "shop", "--at", &at, "--negative", "--json"]);
    for rung in [
        "log",
        "log-sealed",
        "position",
        "moment",
        "tokens",
        "checksums",
        "checks",
    ] {
        assert!(
            said.contains(&format!("\"name\":\"{rung}\"")),
            "{rung}: {said}"
        );
    }
    for control in [
        "missing-log",
        "flipped-log-byte",
        "exchanged-log",
        "other-server",
        "stale-manifest",
    ] {
        assert!(
            said.contains(&format!("\"name\":\"{control}\"")),
            "{control}: {said}"
        );
    }
    let (said, _) = shop
        .work
        .exits(0, ["drill", "shop", "--at", "random", "--json"]);
    let drilled = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|value| value.pointer("/drills/0").cloned())
        .expect("a result");
    assert!(drilled["seed"].is_u64(), "{drilled}");

    // What is lost in one vault is refused there, and had from the other.
    let last = newest_fragment(&shop.work, "local");
    fs::remove_file(last).unwrap();
    let at = newest.to_string();
    let order = [
        "restore",
        "shop",
        "--at",
        &at,
        "--to",
        "server:./again",
        "--vault",
        "local",
    ];
    let (_, said) = shop.work.exits(2, order);
    assert!(said.contains("cannot be brought to"), "{said}");
    shop.work
        .ok(["restore", "shop", "--at", &at, "--to", "server:./again"]);
    assert_eq!(rows_in(&shop.work, "again").len(), committed.len());
}

/// The file of the last fragment in a vault.
pub(crate) fn newest_fragment(work: &Workspace, vault: &str) -> PathBuf {
    let logs = work.path(format!("vaults/{vault}/logs"));
    let mut found = Vec::new();
    let mut open = vec![logs];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found.pop().expect("a fragment")
}
