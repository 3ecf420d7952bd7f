//! The machine and the programs that figures belong to.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::tools::Tools;
use crate::program;

/// What has to stand beside any figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    /// When the measuring began, UTC.
    pub(crate) date: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    /// The file system of the disk runs.
    pub(crate) filesystem: String,
    /// What else ran in the minute before.
    pub(crate) load: f64,
    pub(crate) versions: Vec<String>,
    pub(crate) absent: Vec<String>,
}

/// Above this load the machine is not quiet.
const QUIET: f64 = 0.5;

impl Facts {
    /// Of this machine.
    pub(crate) fn gather(dir: &Path, tools: &Tools) -> Result<Self, String> {
        let versions = tools.all.iter().map(|tool| tool.version.clone());
        let facts = Self::of_programs(dir, versions.collect())?;
        Ok(Self {
            absent: tools.absent.clone(),
            ..facts
        })
    }

    /// Of this machine, with programs of these versions.
    pub(crate) fn of_programs(dir: &Path, versions: Vec<String>) -> Result<Self, String> {
        let read =
            |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let mut date = Command::new("date");
        let mut filesystem = Command::new("stat");
        filesystem
            .args(["--file-system", "--format", "%T"])
            .arg(dir);
        let load = read("/proc/loadavg")?;
        Ok(Self {
            date: program::read(date.args(["-u", "+%Y-%m-%dT%H%M%SZ"]))?
                .trim()
                .to_owned(),
            processor: processor(&read("/proc/cpuinfo")?),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_gib: memory(&read("/proc/meminfo")?),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            filesystem: program::read(&mut filesystem)?.trim().to_owned(),
            load: load
                .split(' ')
                .next()
                .and_then(|word| word.parse().ok())
                .unwrap_or(0.0),
            versions,
            absent: Vec::new(),
        })
    }

    /// Whether nothing else was at work.
    pub(crate) fn is_quiet(&self) -> bool {
        self.load <= QUIET
    }

    /// For the record.
    pub(crate) fn json(&self) -> Value {
        json!({
            "date": self.date,
            "processor": self.processor,
            "cores": self.cores,
            "memory_gib": self.memory_gib,
            "kernel": self.kernel,
            "filesystem": self.filesystem,
            "load_before": self.load,
            "versions": self.versions,
            "absent": self.absent,
        })
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{}, {} cores, {} GiB, Linux {}, {} on disk; {}; load before {:.2}; {}.\n",
            self.processor,
            self.cores,
            self.memory_gib,
            self.kernel,
            self.filesystem,
            self.versions.join("; "),
            self.load,
            self.date,
        );
        if !self.is_quiet() {
            text.push_str("\n**The machine was busy: these figures are no result.**\n");
        }
        for absent in &self.absent {
            text.push_str(&format!("\nNot measured: {absent}.\n"));
        }
        text
    }
}

fn processor(text: &str) -> String {
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|line| line.split_once(':'));
    model.map_or_else(
        || "an unknown processor".to_owned(),
        |(_, name)| name.trim().to_owned(),
    )
}

fn memory(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.and_then(|kib| kib.parse::<u64>().ok())
        .map_or(0, |kib| (kib + (1 << 19)) >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_describes_itself() {
        assert_eq!(
            processor("processor\t: 0\nmodel name\t: A Fine CPU\nflags\t: x\n"),
            "A Fine CPU"
        );
        assert_eq!(processor(""), "an unknown processor");
        assert_eq!(memory("MemTotal:       24684988 kB\nMemFree: 1 kB\n"), 24);
        assert_eq!(memory(""), 0);
    }
}
