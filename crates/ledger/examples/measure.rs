//! How fast a long record is examined, and its projections are made anew: `measure [ENTRIES] [FILE]`.
//!
//! Writes an export of that many entries to the file, for other programs to be measured on the same. With 0 entries the
//! export that lies in the file is examined, and nothing else is done.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used
)]

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;
use std::time::Instant;

use vouchsafe_ledger::{Ledger, SigningKey, verify_export};
use vouchsafe_model::fact::{Outcome, RecoveryPoint};
use vouchsafe_model::{
    Entry, Fact, Obligation, ObligationKind, PointId, ProtectionId, RunId, Time, VaultName,
};

/// Entries that are appended in one transaction.
const BATCH: u64 = 50_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let count: u64 = args
        .next()
        .map_or(1_000_000, |n| n.parse().expect("a number"));
    let folder = tempfile::tempdir().unwrap();
    let file = args
        .next()
        .map_or(folder.path().join("export.jsonl"), Into::into);
    if count == 0 {
        return timed("export examined", 0, || {
            examine(&file, None);
        });
    }
    let url = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let ledger = Ledger::open(&url, SigningKey::from_seed([7; 32])).unwrap();
    timed("appended", count, || {
        for first in (0..count).step_by(BATCH as usize) {
            let last = (first + BATCH).min(count);
            let batch: Vec<Entry> = (first..last).map(entry).collect();
            ledger.append(&batch).unwrap();
        }
    });
    timed("exported", count, || {
        let mut out = File::create(&file).unwrap();
        ledger.export(&mut out).unwrap();
        out.flush().unwrap();
    });
    timed("read as facts", count, || {
        let mut facts = 0;
        let all = 0..ledger.len().unwrap();
        ledger
            .each(all, |_| {
                facts += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(facts, count);
    });
    timed("projections made anew", count, || {
        ledger.rebuild_projections().unwrap()
    });
    let vkey = ledger.public_key().to_string();
    timed("export examined", count, || {
        assert_eq!(examine(&file, Some(&vkey)), count);
    });
}

/// How many entries a sound export has.
fn examine(file: &Path, key: Option<&str>) -> u64 {
    let reader = BufReader::with_capacity(1 << 20, File::open(file).unwrap());
    let report = verify_export(reader, key, &[]).unwrap();
    assert!(report.is_sound(), "{report:?}");
    report.entries
}

fn timed(what: &str, count: u64, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    let took = start.elapsed().as_secs_f64();
    println!(
        "{what}: {count} entries in {took:.2} s, {:.0} a second",
        count as f64 / took
    );
}

/// As a keeper writes them: ten obligations ahead, then each run with its point, and now and then the horizon.
fn entry(n: u64) -> Entry {
    let seconds = |n: u64| Time::from_secs(1_769_832_000 + i64::try_from(n).unwrap());
    let run = RunId::new(format!("r-{n:016x}")).unwrap();
    let protection = ProtectionId::try_from(format!("system-{}/main", n / 5 % 500)).unwrap();
    let vault = VaultName::new("local").unwrap();
    let obligation = |n: u64| {
        let (opens, due) = (seconds(n + 60), seconds(n + 3600));
        let vault = Some(vault.clone());
        Obligation::new(
            ObligationKind::Copy,
            Some(protection.clone()),
            vault,
            None,
            opens,
            due,
        )
    };
    let fact = match n % 5 {
        0 if n.is_multiple_of(1000) => Fact::Horizon {
            until: seconds(n + 700_000),
        },
        0 => Fact::RunOpened {
            run,
            deed: "capture".into(),
            subject: protection.to_string(),
            reason: None,
        },
        1 | 2 => Fact::ObligationDue(obligation(n)),
        3 => Fact::RecoveryPoint(RecoveryPoint {
            point: PointId::from_random(n.to_be_bytes()),
            obligations: vec![obligation(n - 2).id, obligation(n - 1).id],
            protection,
            run,
            started: seconds(n),
            content_time: seconds(n),
            completed: seconds(n),
            outcome: Outcome::Done,
            issues: vec![],
            issue_count: 0,
            items: n,
            bytes: n * 4096,
            tree: format!("{n:064x}"),
            manifest: None,
            engine: None,
            schema: None,
        }),
        _ => Fact::RunClosed {
            run,
            outcome: Outcome::Done,
            issues: vec![],
        },
    };
    Entry {
        v: 1,
        at: seconds(n),
        actor: "vouchsafe@host".into(),
        tool: "vouchsafe 0.1.0".into(),
        fact,
    }
}
