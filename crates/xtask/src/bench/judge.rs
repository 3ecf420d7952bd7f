//! Whether the result of a run is right: a fast wrong result wins nothing.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::contest::Bench;
use super::data::at;
use super::jobs::{Lane, STREAM};
use super::tools::Tool;
use super::tree::{self, Count};

/// The share of a repository's data that restic reads when it judges.
const READ: &str = "10%";

impl Bench<'_> {
    /// Has restic check the repository and compares the newest snapshot's size with what was backed up. Repositories
    /// of another format are judged by what is restored from them.
    pub(crate) fn judge_backup(
        &self,
        tool: &Tool,
        lane: &Lane,
        expected: Count,
    ) -> Result<(), String> {
        if !tool.kind.writes_restic_format() {
            return Ok(());
        }
        self.judge_repository(lane)?;
        self.judge_size(tool, lane, expected)
    }

    /// Has restic follow the newest snapshot, and compares its size with what was backed up.
    pub(crate) fn judge_size(
        &self,
        tool: &Tool,
        lane: &Lane,
        expected: Count,
    ) -> Result<(), String> {
        // Not `stats`: it adds up whatever sizes nodes state, and rustic states one for links too.
        let said = self.restic(lane, &["ls", "--json", "latest"])?;
        let mut found = 0;
        for line in said.lines() {
            let node: Value =
                serde_json::from_str(line).map_err(|error| format!("restic ls: {error}"))?;
            if node.get("type").and_then(Value::as_str) == Some("file") {
                found += node.get("size").and_then(Value::as_u64).unwrap_or(0);
            }
        }
        if found == expected.bytes {
            return Ok(());
        }
        Err(format!(
            "{}'s snapshot holds {found} bytes instead of {}",
            tool.name(),
            expected.bytes
        ))
    }

    /// Has restic check the repository and read a part of its data.
    pub(crate) fn judge_repository(&self, lane: &Lane) -> Result<(), String> {
        self.restic(lane, &["check", "--read-data-subset", READ])
            .map(drop)
    }

    /// Has restic give the stream back, and compares all of it.
    pub(crate) fn judge_stream(
        &self,
        tool: &Tool,
        lane: &Lane,
        stream: &Path,
    ) -> Result<(), String> {
        if !tool.kind.writes_restic_format() {
            return Ok(());
        }
        self.judge_repository(lane)?;
        let mut child = Command::new(&self.tools.restic)
            .args(["--no-cache", "--quiet", "dump", "latest", STREAM])
            .arg("--repo")
            .arg(lane.repository())
            .arg("--password-file")
            .arg(self.area.password())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("restic dump: {error}"))?;
        let mut original = File::open(stream).map_err(at(stream))?;
        let same = match child.stdout.as_mut() {
            Some(output) => tree::same_readers(&mut original, output),
            None => Err("restic dump has no output".to_owned()),
        };
        // A dump that is not read to its end has to be ended.
        let _ = child.kill();
        child
            .wait()
            .map_err(|error| format!("restic dump: {error}"))?;
        match same? {
            true => Ok(()),
            false => Err(format!("{}'s stream does not come back equal", tool.name())),
        }
    }

    /// Damages one byte of the repository's data: the check must then fail. The byte is put back.
    pub(crate) fn judge_check(&self, tool: &Tool, lane: &Lane) -> Result<(), String> {
        let Some(job) = tool.check(lane) else {
            return Ok(());
        };
        let victim = largest(&lane.repository().join("data"))?;
        flip_middle(&victim)?;
        let outcome = job.run(None, self.area.logs());
        flip_middle(&victim)?;
        match outcome {
            Err(_) => Ok(()),
            Ok(_) => Err(format!(
                "{}'s check does not see a damaged byte",
                tool.name()
            )),
        }
    }

    /// How many snapshots there are.
    pub(crate) fn snapshots(&self, lane: &Lane) -> Result<usize, String> {
        let said = self.restic(lane, &["snapshots", "--json"])?;
        let all: Vec<Value> =
            serde_json::from_str(&said).map_err(|error| format!("restic snapshots: {error}"))?;
        Ok(all.len())
    }

    /// Has restic do something in a repository of its format; its output.
    pub(crate) fn restic(&self, lane: &Lane, words: &[&str]) -> Result<String, String> {
        let job = super::measure::Job::new(&self.tools.restic)
            .env("TMPDIR", lane.root().join("tmp"))
            .env("RESTIC_PASSWORD_FILE", self.area.password())
            .env("RESTIC_REPOSITORY", lane.repository())
            .args(["--no-cache", "--quiet"])
            .args(words);
        Ok(job.run(None, self.area.logs())?.output)
    }
}

fn largest(root: &Path) -> Result<PathBuf, String> {
    let (mut found, mut open) = (None, vec![root.to_path_buf()]);
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).map_err(at(&dir))? {
            let entry = entry.map_err(at(&dir))?;
            let about = entry.metadata().map_err(at(&dir))?;
            if about.is_dir() {
                open.push(entry.path());
            } else {
                found = found.max(Some((about.len(), entry.path())));
            }
        }
    }
    found
        .map(|(_, path)| path)
        .ok_or_else(|| format!("{} is empty", root.display()))
}

fn flip_middle(path: &Path) -> Result<(), String> {
    // Packs are read-only to their owner.
    let mode = fs::metadata(path).map_err(at(path))?.permissions();
    let writable = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(path, writable).map_err(at(path))?;
    let file = File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(at(path))?;
    let middle = file.metadata().map_err(at(path))?.len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).map_err(at(path))?;
    file.write_all_at(&byte.map(|byte| byte ^ 0x40), middle)
        .map_err(at(path))?;
    fs::set_permissions(path, mode).map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_file_is_damaged_and_mended() {
        let root = std::env::temp_dir().join(format!("xtask-judge-{}", std::process::id()));
        fs::create_dir_all(root.join("deep")).unwrap();
        fs::write(root.join("small"), b"ab").unwrap();
        fs::write(root.join("deep/large"), b"abcde").unwrap();
        let victim = largest(&root).unwrap();
        assert_eq!(victim, root.join("deep/large"));
        flip_middle(&victim).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"ab#de");
        flip_middle(&victim).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"abcde");
        fs::remove_dir_all(root).unwrap();
    }
}
