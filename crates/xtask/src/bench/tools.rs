//! Our engine and its peers: where they are, and which version.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::oracles::Oracles;
use crate::{apt, program, workspace};

/// A backup program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Our engine, without policy and ledger.
    Vouchsafe,
    /// The one that all are held against.
    Restic,
    Rustic,
    Borg,
    Bupstash,
    /// `cp -a`: what a restore costs at least.
    Copy,
}

/// A program that is there.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) kind: Kind,
    pub(crate) program: PathBuf,
    pub(crate) version: String,
}

/// All that take part.
pub(crate) struct Tools {
    /// Ours and restic come first.
    pub(crate) all: Vec<Tool>,
    /// Peers that are not there, and how to get them.
    pub(crate) absent: Vec<String>,
    /// Judges all repositories in restic's format.
    pub(crate) restic: PathBuf,
    /// Our command line, for the run with policy and ledger.
    pub(crate) vouchsafe: PathBuf,
    /// What our engine can do.
    pub(crate) verbs: Vec<String>,
}

const PEERS: [Kind; 3] = [Kind::Rustic, Kind::Borg, Kind::Bupstash];

impl Kind {
    /// Its name, as of its program.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Vouchsafe => "vouchsafe",
            Kind::Restic => "restic",
            Kind::Rustic => "rustic",
            Kind::Borg => "borg",
            Kind::Bupstash => "bupstash",
            Kind::Copy => "cp -a",
        }
    }

    /// Whether its repositories have restic's format: a backup only adds files, and restic can judge them.
    pub(crate) fn writes_restic_format(self) -> bool {
        matches!(self, Kind::Vouchsafe | Kind::Restic | Kind::Rustic)
    }

    /// Whether there is no row without it.
    pub(crate) fn is_needed(self) -> bool {
        matches!(self, Kind::Vouchsafe | Kind::Restic)
    }

    /// Names a program of this kind that is not on the search path.
    fn variable(self) -> String {
        format!("VOUCHSAFE_BENCH_{}", self.name().to_uppercase())
    }

    fn find(self, installed: &Path) -> Option<PathBuf> {
        let named = std::env::var_os(self.variable()).map(PathBuf::from);
        let own = installed.join("bin").join(self.name());
        named
            .or_else(|| own.is_file().then_some(own))
            .or_else(|| program::find(self.name()))
    }

    fn version_words(self) -> &'static [&'static str] {
        match self {
            Kind::Restic => &["version"],
            _ => &["--version"],
        }
    }
}

impl Tools {
    /// Builds ours, provides restic, and finds the peers that are wanted; without a wish those that are there.
    pub(crate) fn provide(dir: &Path, wanted: Option<&[String]>) -> Result<Self, String> {
        let restic = Oracles::provide()?.newest;
        let (engine, vouchsafe) = build()?;
        let verbs = program::read(Command::new(&engine).arg("verbs"))?;
        let verbs =
            serde_json::from_str(&verbs).map_err(|error| format!("the engine's verbs: {error}"))?;
        let mut all = vec![
            Tool {
                kind: Kind::Vouchsafe,
                version: own_version()?,
                program: engine,
            },
            Tool::new(Kind::Restic, restic.clone())?,
        ];
        let mut absent = Vec::new();
        refuse_unknown(wanted)?;
        for kind in PEERS {
            let asked = wanted.is_some_and(|names| names.iter().any(|name| name == kind.name()));
            if wanted.is_some() && !asked {
                continue;
            }
            match kind.find(&installed_in(dir)) {
                Some(program) => all.push(Tool::new(kind, program)?),
                None if asked => return Err(missing(kind)),
                None => absent.push(missing(kind)),
            }
        }
        Ok(Self {
            all,
            absent,
            restic,
            vouchsafe,
            verbs,
        })
    }
}

impl Tool {
    fn new(kind: Kind, program: PathBuf) -> Result<Self, String> {
        let said = program::read(Command::new(&program).args(kind.version_words()))?;
        let version = said.lines().next().unwrap_or_default().to_owned();
        Ok(Self {
            kind,
            program,
            version,
        })
    }

    /// `cp`, as a bound.
    pub(crate) fn copy() -> Result<Self, String> {
        Self::new(Kind::Copy, PathBuf::from("/bin/cp"))
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        self.kind.name()
    }
}

/// Installs the peers: borg from Debian, the others built by cargo, beside the system.
pub(crate) fn install(dir: &Path) -> Result<(), String> {
    let place = installed_in(dir);
    if Kind::Borg.find(&place).is_none() {
        apt::install(&["borgbackup"])?;
    }
    if Kind::Bupstash.find(&place).is_none() {
        apt::install(&["libsodium-dev", "pkg-config"])?;
    }
    for (kind, package) in [(Kind::Rustic, "rustic-rs"), (Kind::Bupstash, "bupstash")] {
        if kind.find(&place).is_none() {
            let mut command = workspace::cargo();
            command
                .args(["install", "--locked", package, "--root"])
                .arg(&place);
            program::run(&mut command)?;
        }
    }
    Ok(())
}

fn installed_in(dir: &Path) -> PathBuf {
    dir.join("peers")
}

fn missing(kind: Kind) -> String {
    format!(
        "{} is not installed: `cargo xtask bench --install-peers`, or name it in {}",
        kind.name(),
        kind.variable()
    )
}

fn refuse_unknown(wanted: Option<&[String]>) -> Result<(), String> {
    let known: Vec<&str> = PEERS.iter().map(|kind| kind.name()).collect();
    match wanted
        .unwrap_or_default()
        .iter()
        .find(|name| !known.contains(&name.as_str()))
    {
        // It takes part anyway.
        Some(name) if name != "restic" => {
            Err(format!("{name} is no peer; known are {}", known.join(", ")))
        }
        _ => Ok(()),
    }
}

/// Builds what ships and the engine by itself, as released.
fn build() -> Result<(PathBuf, PathBuf), String> {
    Ok((build_engine()?, build_vouchsafe()?))
}

/// Builds the engine by itself, as released.
pub(crate) fn build_engine() -> Result<PathBuf, String> {
    let words = ["-p", "vouchsafe-keeper", "--example", "engine"];
    released(&words, "examples/engine")
}

/// Builds what ships, as released.
pub(crate) fn build_vouchsafe() -> Result<PathBuf, String> {
    released(&["-p", "vouchsafe"], "vouchsafe")
}

/// Names a folder with programs that were built before; nothing is built then.
const BUILT_VARIABLE: &str = "VOUCHSAFE_BENCH_BUILT";

fn released(what: &[&str], place: &str) -> Result<PathBuf, String> {
    if let Some(built) = std::env::var_os(BUILT_VARIABLE) {
        return Ok(PathBuf::from(built).join(place));
    }
    let root = workspace::root()?;
    let mut command = workspace::cargo();
    command
        .current_dir(&root)
        .args(["build", "--release"])
        .args(what);
    program::run(&mut command)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    Ok(target.join("release").join(place))
}

/// Which state of ours this is.
pub(crate) fn own_version() -> Result<String, String> {
    let mut command = Command::new("git");
    command.current_dir(workspace::root()?);
    let described = command.args(["describe", "--always", "--dirty", "--abbrev=12"]);
    Ok(format!("vouchsafe at {}", program::read(described)?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_peers_can_be_wished_for() {
        let names = |list: &[&str]| {
            list.iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        for good in [&["rustic", "borg"][..], &[], &["restic"]] {
            assert_eq!(refuse_unknown(Some(&names(good))), Ok(()));
        }
        assert!(refuse_unknown(Some(&names(&["kopia"]))).is_err());
        assert_eq!(refuse_unknown(None), Ok(()));
    }

    #[test]
    fn what_is_missing_is_named_with_a_remedy() {
        let text = missing(Kind::Rustic);
        assert!(
            text.contains("rustic") && text.contains("VOUCHSAFE_BENCH_RUSTIC"),
            "{text}"
        );
    }
}
