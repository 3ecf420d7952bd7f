//! A worker that ships logs, and what the record says meanwhile.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Workspace;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A worker that is running. It is killed when the value is dropped.
pub(crate) struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Worker {
    /// It writes what it says into `worker.log`.
    pub(crate) fn start(w: &Workspace) -> Worker {
        let mut command = w.command(["worker", "--record-every", "1"]);
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(w.path("worker.log"))
            .unwrap();
        Worker(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("sh")
            .args(["-c", "kill \"$1\" \"$2\"", "sh", &format!("-{name}")])
            .arg(self.0.id().to_string())
            .status()
            .unwrap();
        assert!(done.success());
    }

    /// How it ended, which must be soon.
    pub(crate) fn ends(mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "the worker does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The arguments and environments of all processes.
pub(crate) fn lines_of_processes() -> String {
    let lines = Command::new("sh")
        .args([
            "-c",
            "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'",
        ])
        .output()
        .unwrap();
    String::from_utf8_lossy(&lines.stdout).into_owned()
}

/// What workers have said.
pub(crate) fn said(w: &Workspace) -> String {
    fs::read_to_string(w.path("worker.log")).unwrap_or_default()
}

/// Everything in the record of that kind, oldest first.
pub(crate) fn facts(w: &Workspace, kind: &str) -> Vec<Value> {
    let text = w.ok(["ledger", "export"]);
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| {
            let entry = line.get("entry").unwrap_or(&line).clone();
            let entry = match entry {
                Value::String(text) => serde_json::from_str(&text).ok()?,
                other => other,
            };
            (entry["fact"] == kind).then_some(entry)
        })
        .collect()
}

pub(crate) fn until(w: &Workspace, what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: {}", said(w));
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Until the record says that both vaults have all of a binary log up to here; what it says.
pub(crate) fn until_recorded(w: &Workspace, (file, offset): (u64, u64)) -> Value {
    let place = |text: &str| -> (u64, u64) {
        let (file, offset) = text.rsplit_once(':').unwrap();
        (file.parse().unwrap(), offset.parse().unwrap())
    };
    let has = |copy: &Value| place(copy["reaches"].as_str().unwrap()) >= (file, offset);
    let there = || {
        let last = facts(w, "log-shipped").pop()?;
        let copies = last["copies"].as_array().unwrap();
        (copies.len() == 2 && copies.iter().all(has)).then_some(last)
    };
    until(w, "the log in every vault", || there().is_some());
    there().unwrap()
}

/// The bytes that a run added, as it says.
pub(crate) fn added_bytes(said: &str) -> u64 {
    let mut found = said.lines().rev().filter_map(|line| {
        let value: Value = serde_json::from_str(line).ok()?;
        let bytes = value
            .get("added_bytes")
            .or(value.pointer("/runs/0/added_bytes"));
        bytes?.as_u64()
    });
    found.next().expect("it says how much")
}
