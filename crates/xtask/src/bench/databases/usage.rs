//! What a process and all that it started use, as the kernel tells it while they run.

use std::collections::BTreeMap;
use std::fs;

/// Processor time and memory of a tree of processes at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// Seconds since each began; of those that have ended too, once they were waited for.
    pub(crate) cpu: f64,
    /// Bytes; what several processes share counts once, by each one's part of it.
    pub(crate) memory: u64,
}

/// Ticks of the kernel's clock in a second, as it tells them to programs on every machine that Linux runs on today.
const TICKS: f64 = 100.0;

impl Usage {
    /// Of this process and everything below it; nothing of one that is gone.
    pub(crate) fn of(root: u32) -> Self {
        let all: BTreeMap<u32, Stat> = processes();
        let mut total = Self::default();
        let mut open = vec![root];
        while let Some(pid) = open.pop() {
            let Some(stat) = all.get(&pid) else { continue };
            total.cpu += stat.ticks as f64 / TICKS;
            total.memory += memory(pid);
            open.extend(
                all.iter()
                    .filter(|(_, other)| other.parent == pid)
                    .map(|(pid, _)| *pid),
            );
        }
        total
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Stat {
    parent: u32,
    ticks: u64,
}

fn processes() -> BTreeMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let read = |pid: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, stat(&text)?))
    };
    pids.filter_map(read).collect()
}

/// The parent, and the ticks of the process and of its children that it has waited for.
fn stat(text: &str) -> Option<Stat> {
    // The name before it may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
    })
}

fn memory(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_bracket_is_no_end() {
        let line = "7 (a) b) S 3 7 7 0 -1 4194560 100 0 0 0 10 20 3 4 20 0 1 0 5 0 0";
        assert_eq!(
            stat(line),
            Some(Stat {
                parent: 3,
                ticks: 37
            })
        );
        assert_eq!(stat("7 (a"), None);
    }

    #[test]
    fn children_are_counted() {
        let alone = Usage::of(std::process::id());
        assert!(alone.memory > 100_000, "{alone:?}");
        let mut child = std::process::Command::new("sleep")
            .arg("5")
            .spawn()
            .unwrap();
        let seen = processes();
        assert_eq!(
            seen.get(&child.id()).map(|s| s.parent),
            Some(std::process::id())
        );
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(Usage::of(u32::MAX), Usage::default());
    }
}
