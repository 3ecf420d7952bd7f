//! The process between the benchmark and what it measures, as a process.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used
)]

use std::path::PathBuf;
use std::process::{Command, Stdio};

struct Result(PathBuf);

impl Drop for Result {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn measured(name: &str, script: &str) -> (std::process::Output, Vec<String>) {
    let file = format!("xtask-measured-{}-{name}", std::process::id());
    let result = Result(std::env::temp_dir().join(file));
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("measured")
        .arg(&result.0)
        .args(["/bin/sh", "-c", script])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = std::fs::read_to_string(&result.0).unwrap();
    let words = text.trim_end_matches('\n').splitn(4, ' ');
    (output, words.map(str::to_owned).collect())
}

/// Ours are larger than this: what is counted is the program's memory.
#[test]
fn a_small_program_stays_small_whoever_started_it() {
    let ballast = vec![7_u8; 200 << 20];
    let (output, words) = measured("small", "echo hello");
    assert_eq!(output.stdout, b"hello\n");
    let peak: u64 = words[2].parse().unwrap();
    assert!(peak > 500_000 && peak < 16 << 20, "{peak}");
    assert_eq!(words[3], "");
    assert_eq!(
        ballast.iter().map(|byte| u64::from(*byte)).sum::<u64>(),
        7 * (200 << 20)
    );
}

#[test]
fn a_failure_is_told_in_the_result() {
    let (output, words) = measured("failure", "echo bad luck >&2; exit 3");
    assert!(output.status.success());
    assert_eq!(output.stderr, b"bad luck\n");
    assert!(words[3].contains('3'), "{words:?}");
}
