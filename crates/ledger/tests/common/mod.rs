//! What the tests share: entries with fixed times, keys with fixed seeds, places for ledgers.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub
)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sqlx::Connection;
use vouchsafe_ledger::{Frontier, Ledger, SignedHead, SigningKey, VerifyReport, leaf_hash};
use vouchsafe_model::fact::Verification;
use vouchsafe_model::{
    Entry, Fact, Obligation, ObligationId, ObligationKind, RunId, Span, Time, VaultName,
};
use vouchsafe_testkit::postgres::Postgres;

/// 2026-01-31T04:00:00Z.
pub const START: i64 = 1_769_832_000;

pub fn key() -> SigningKey {
    SigningKey::from_seed([7; 32])
}

pub fn other_key() -> SigningKey {
    SigningKey::from_seed([8; 32])
}

pub fn at(secs: i64) -> Time {
    Time::from_secs(START + secs)
}

pub fn entry(secs: i64, fact: Fact) -> Entry {
    Entry {
        v: 1,
        at: at(secs),
        actor: "vouchsafe@host".into(),
        tool: "vouchsafe 0.1.0".into(),
        fact,
    }
}

/// The `n`th of a series of entries that differ.
pub fn numbered(n: u64) -> Entry {
    let fact = Fact::RunOpened {
        run: RunId::new(format!("r-{n}")).unwrap(),
        deed: "capture".into(),
        subject: "shop-db/main → “offsite”".into(),
        reason: n
            .is_multiple_of(3)
            .then(|| format!("because of {n}\n\"quoted\"")),
    };
    entry(n as i64, fact)
}

pub fn series(range: std::ops::Range<u64>) -> Vec<Entry> {
    range.map(numbered).collect()
}

pub fn horizon(secs: i64, until: i64) -> Entry {
    entry(secs, Fact::Horizon { until: at(until) })
}

pub fn obligation(opens: i64, due: i64) -> Obligation {
    let vault = VaultName::new("local").unwrap();
    let kind = ObligationKind::Verify;
    Obligation::new(kind, None, Some(vault), None, at(opens), at(due))
}

pub fn due(secs: i64, obligation: &Obligation) -> Entry {
    entry(secs, Fact::ObligationDue(obligation.clone()))
}

pub fn answer(secs: i64, ids: &[&ObligationId]) -> Entry {
    let verification = Verification {
        vault: VaultName::new("local").unwrap(),
        run: RunId::new("r-1").unwrap(),
        obligations: ids.iter().map(|id| (*id).clone()).collect(),
        started: at(secs),
        completed: at(secs).plus(Span::from_secs(1)),
        packs_total: 1,
        packs_read: 1,
        bytes_read: 1,
        complete: true,
        problems: vec![],
    };
    entry(secs, Fact::Verification(verification))
}

/// Where a ledger of a test lies; removed when dropped.
pub struct Place {
    pub url: String,
    _dir: Option<tempfile::TempDir>,
    _server: Option<Arc<Postgres>>,
}

pub fn sqlite() -> Place {
    let dir = tempfile::tempdir().unwrap();
    Place {
        url: format!("sqlite:{}/ledger.db", dir.path().display()),
        _dir: Some(dir),
        _server: None,
    }
}

pub fn postgres() -> Place {
    let server = Postgres::shared();
    Place {
        url: server.database(),
        _dir: None,
        _server: Some(server),
    }
}

impl Place {
    pub fn open(&self) -> Ledger {
        Ledger::open(&self.url, key()).unwrap()
    }

    /// Changes the database behind the ledger's back; how many rows were touched.
    pub fn tamper(&self, sql: &str) -> u64 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let sql = sqlx::AssertSqlSafe(sql);
        runtime.block_on(async {
            if self.url.starts_with("sqlite:") {
                let mut db = sqlx::SqliteConnection::connect(&self.url).await.unwrap();
                let done = sqlx::query(sql).execute(&mut db).await.unwrap();
                db.close().await.unwrap();
                done.rows_affected()
            } else {
                let mut db = sqlx::PgConnection::connect(&self.url).await.unwrap();
                let done = sqlx::query(sql).execute(&mut db).await.unwrap();
                done.rows_affected()
            }
        })
    }
}

pub fn exported(ledger: &Ledger) -> Vec<u8> {
    let mut bytes = Vec::new();
    ledger.export(&mut bytes).unwrap();
    bytes
}

/// The 64 bytes of the signature in a note.
pub fn signature_in(note: &str) -> Vec<u8> {
    let last = note.lines().last().unwrap();
    let base64 = last.rsplit(' ').next().unwrap();
    BASE64_STANDARD.decode(base64).unwrap().split_off(4)
}

/// An export put together without the crate's own writer, as whoever has the key can do it.
pub fn composed(key: &SigningKey, bodies: &[Vec<u8>]) -> Vec<u8> {
    composed_by(key, |_| key, 1, bodies)
}

/// The same, where `signer` says who signs the head of a size, in that form.
pub fn composed_by<'k>(
    first: &SigningKey,
    signer: impl Fn(u64) -> &'k SigningKey,
    form: u32,
    bodies: &[Vec<u8>],
) -> Vec<u8> {
    let mut tree = Frontier::new();
    let mut lines = Vec::new();
    let mut note = SignedHead::sign(signer(0), 0, tree.root()).note;
    for (seq, body) in bodies.iter().enumerate() {
        let leaf = leaf_hash(body);
        tree.push(leaf);
        let key = signer(tree.size());
        note = SignedHead::sign(key, tree.size(), tree.root()).note;
        let signature = BASE64_STANDARD.encode(signature_in(&note));
        let before =
            format!("{{\"seq\":{seq},\"leaf\":\"{leaf}\",\"signature\":\"{signature}\",\"entry\":");
        lines.push([before.as_bytes(), body, b"}"].concat());
    }
    let vkey = first.public_key_text();
    let origin = vkey.split('+').next().unwrap();
    let header = format!(
        "{{\"format\":\"vouchsafe-ledger-export/{form}\",\"origin\":\"{origin}\",\"public_key\":\"{vkey}\",\"size\":{}}}",
        bodies.len()
    );
    lines.insert(0, header.into_bytes());
    let note = serde_json::to_string(&note).unwrap();
    lines.push(format!("{{\"head\":{note}}}").into_bytes());
    lines.push(Vec::new());
    lines.join(&b'\n')
}

/// What a program says of an export: the word for the outcome, and the first wrong entry if it is `wrong`.
pub type Said = (String, Option<u64>);

pub fn said_by_us(report: &VerifyReport) -> Said {
    let word = report.outcome().word().to_owned();
    let wrong = word == "wrong";
    (word, report.first_wrong().filter(|_| wrong))
}

/// `docs/tools/verify_ledger.py` on an export: what it says in its last line, and all of it.
pub fn said_by_python(
    export: &[u8],
    key: Option<&str>,
    heads: &[String],
    more: &[&str],
) -> (Said, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("export.jsonl");
    std::fs::write(&file, export).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tools/verify_ledger.py");
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).arg(&file).args(more);
    command.args(key.iter().flat_map(|key| ["--key", key]));
    for (n, head) in heads.iter().enumerate() {
        let name = dir.path().join(format!("head{n}"));
        std::fs::write(&name, head).unwrap();
        command.arg("--head").arg(name);
    }
    let output = command
        .output()
        .expect("python3 is needed: apt-get install python3");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = text.lines().last().unwrap_or_default().to_owned();
    let words: Vec<&str> = last.split([' ', ':']).collect();
    let word = words.first().copied().unwrap_or_default().to_owned();
    let code = match word.as_str() {
        "sound" | "gaps" => 0,
        "wrong" => 1,
        "refused" => 2,
        _ => panic!("{text}{errors}"),
    };
    if !more.contains(&"--strict") {
        assert_eq!(output.status.code(), Some(code), "{text}{errors}");
    }
    let entry = words.get(1).and_then(|word| word.parse().ok());
    let entry = entry.filter(|_| word == "wrong");
    ((word, entry), text)
}
