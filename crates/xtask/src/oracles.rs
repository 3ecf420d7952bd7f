//! The two versions of restic that judge our repositories, the oldest and the newest reader, and its REST server.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{apt, program, workspace};

/// Where the oracles are.
pub(crate) struct Oracles {
    pub(crate) newest: PathBuf,
    pub(crate) oldest: PathBuf,
    pub(crate) rest_server: PathBuf,
}

/// The variables by which the tests are told.
const NEWEST_VARIABLE: &str = "VOUCHSAFE_TEST_RESTIC";
const OLDEST_VARIABLE: &str = "VOUCHSAFE_TEST_RESTIC_OLD";
const REST_SERVER_VARIABLE: &str = "VOUCHSAFE_TEST_REST_SERVER";

type Version = (u32, u32, u32);

const NEWEST_AT_LEAST: Version = (0, 18, 0);

impl Oracles {
    /// Finds all, unpacking beside the system what the system does not have itself.
    pub(crate) fn provide() -> Result<Self, String> {
        let dir = workspace::root()?.join("target/oracles");
        std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let newest = newest(&dir)?;
        let oldest = oldest(&dir)?;
        for (path, role) in [(&newest, "newest"), (&oldest, "oldest")] {
            let (major, minor, patch) = version_of(path)?;
            eprintln!("oracle: restic {major}.{minor}.{patch} as the {role} reader");
        }
        let rest_server = rest_server(&dir)?;
        let version = program::read(Command::new(&rest_server).arg("--version"))?;
        eprintln!("oracle: {}", version.lines().next().unwrap_or_default());
        Ok(Self {
            newest,
            oldest,
            rest_server,
        })
    }

    /// What to set for the tests.
    pub(crate) fn variables(&self) -> [(&'static str, &Path); 3] {
        [
            (NEWEST_VARIABLE, &self.newest),
            (OLDEST_VARIABLE, &self.oldest),
            (REST_SERVER_VARIABLE, &self.rest_server),
        ]
    }
}

fn newest(dir: &Path) -> Result<PathBuf, String> {
    suitable(dir, "trixie", "0.18 or later", |found| {
        found >= NEWEST_AT_LEAST
    })
}

fn oldest(dir: &Path) -> Result<PathBuf, String> {
    suitable(dir, "bookworm", "0.14", |found| matches!(found, (0, 14, _)))
}

/// The genuine REST server; no stable suite has it yet.
fn rest_server(dir: &Path) -> Result<PathBuf, String> {
    const NAME: &str = "restic-rest-server";
    let unpacked = dir.join("rest-server-sid");
    let own = unpacked.join("usr/bin").join(NAME);
    let runs = |path: &PathBuf| program::read(Command::new(path).arg("--version")).is_ok();
    let candidates = [program::find(NAME), Some(own.clone())];
    if let Some(found) = candidates.into_iter().flatten().find(runs) {
        return Ok(found);
    }
    apt::unpack(NAME, "sid", &unpacked)?;
    Ok(own)
}

/// The system's own restic if it suits, else that of `suite`.
fn suitable(
    dir: &Path,
    suite: &str,
    wanted: &str,
    suits: impl Fn(Version) -> bool,
) -> Result<PathBuf, String> {
    let unpacked = dir.join(format!("restic-{suite}"));
    let own = unpacked.join("usr/bin/restic");
    let candidates = [program::find("restic"), Some(own.clone())];
    for candidate in candidates.into_iter().flatten() {
        if version_of(&candidate).is_ok_and(&suits) {
            return Ok(candidate);
        }
    }
    apt::unpack("restic", suite, &unpacked)?;
    let found = version_of(&own)?;
    if suits(found) {
        return Ok(own);
    }
    Err(format!(
        "the restic of {suite} is {}.{}.{}, but {wanted} is needed",
        found.0, found.1, found.2
    ))
}

fn version_of(path: &Path) -> Result<Version, String> {
    let text = program::read(Command::new(path).arg("version"))?;
    parse_version(&text).ok_or_else(|| format!("{} is no restic: it says {text:?}", path.display()))
}

fn parse_version(text: &str) -> Option<Version> {
    let word = text.strip_prefix("restic ")?.split_whitespace().next()?;
    let mut numbers = word.split(['.', '-']).map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        let of = |text| parse_version(text).unwrap();
        assert!(of("restic 0.18.0 compiled with go1.24") >= NEWEST_AT_LEAST);
        assert!(of("restic 1.0.0") >= NEWEST_AT_LEAST);
        assert!(of("restic 0.9.9") < NEWEST_AT_LEAST);
        assert_eq!(parse_version("borg 1.2.4"), None);
    }
}
