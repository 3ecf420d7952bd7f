//! Killed at random moments: the ledger stays whole, and nothing that was acknowledged is lost.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{self, Place, key, series};
use vouchsafe_ledger::Ledger;

const URL: &str = "VOUCHSAFE_LEDGER_CRASH_URL";
const ACKNOWLEDGED: &str = "VOUCHSAFE_LEDGER_CRASH_ACKNOWLEDGED";

/// Not a test of its own: what the killed process does. Alone it does nothing.
#[test]
fn child_appends_until_it_is_killed() {
    let (Ok(url), Ok(path)) = (std::env::var(URL), std::env::var(ACKNOWLEDGED)) else {
        return;
    };
    let ledger = Ledger::open(&url, key()).unwrap();
    let mut acknowledged = fs::File::options().append(true).open(path).unwrap();
    loop {
        // The length of a batch follows from its first entry, so that half a batch would show.
        let at = ledger.len().unwrap();
        let batch = series(at..at + 1 + at % 7);
        if let Ok(got) = ledger.append_at(at, &batch) {
            acknowledged
                .write_all(format!("{} {}\n", got.start, got.end).as_bytes())
                .unwrap();
        }
    }
}

#[test]
fn killed_on_sqlite() {
    rounds(&common::sqlite(), 20);
}

#[test]
fn killed_on_postgres() {
    rounds(&common::postgres(), 6);
}

fn rounds(place: &Place, count: u64) {
    let dir = tempfile::tempdir().unwrap();
    let acknowledged = dir.path().join("acknowledged");
    fs::write(&acknowledged, "").unwrap();
    for round in 0..count {
        let before = fs::read(&acknowledged).unwrap().len();
        // Every third round two processes append against each other.
        let children: Vec<Child> = (0..=u64::from(round % 3 == 2))
            .map(|_| start(place, &acknowledged))
            .collect();
        wait_for_growth(&acknowledged, before);
        std::thread::sleep(Duration::from_micros(round * 7919 % 40_000));
        for mut child in children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let ledger = place.open();
        let report = ledger.verify(&[]).unwrap();
        assert!(report.is_sound(), "round {round}: {report:?}");
        let size = ledger.len().unwrap();
        let acks = fs::read_to_string(&acknowledged).unwrap();
        let mut covered = 0;
        for line in acks.lines() {
            let (start, end) = line.split_once(' ').unwrap();
            let (start, end): (u64, u64) = (start.parse().unwrap(), end.parse().unwrap());
            assert_eq!(end - start, 1 + start % 7, "batches are whole");
            covered = covered.max(end);
        }
        assert!(covered <= size, "acknowledged {covered}, found {size}");
        let all = ledger.read_all().unwrap();
        assert!(
            all.iter()
                .zip(series(0..size))
                .all(|(found, wanted)| found.entry == wanted),
            "round {round}: not the entries that were appended"
        );
        let mut batch = 0;
        while batch < size {
            batch += 1 + batch % 7;
        }
        assert_eq!(batch, size, "round {round}: half a batch");
    }
}

fn start(place: &Place, acknowledged: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::child_appends_until_it_is_killed",
            "--nocapture",
        ])
        .env(URL, &place.url)
        .env(ACKNOWLEDGED, acknowledged)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait_for_growth(path: &Path, before: usize) {
    let begun = Instant::now();
    while fs::read(path).unwrap().len() == before {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the child appends nothing"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}
