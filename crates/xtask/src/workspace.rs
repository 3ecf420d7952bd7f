//! Where the workspace is, and its cargo.

use std::path::PathBuf;
use std::process::Command;

/// The root of the workspace: two levels above this crate, as cargo names it for `cargo run`.
pub(crate) fn root() -> Result<PathBuf, String> {
    let own = std::env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .ok_or("CARGO_MANIFEST_DIR is not set: start this as `cargo xtask`")?;
    own.ancestors()
        .nth(2)
        .map(PathBuf::from)
        .ok_or_else(|| format!("{} is not in a workspace", own.display()))
}

/// The cargo that started us, without what it says to us of our own package: build scripts that look at that would be run
/// anew, and everything above them be built anew, each time that cargo is called by us and by hand in turn.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_our_package) {
            command.env_remove(name);
        }
    }
    command
}

fn is_of_our_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_hears_nothing_of_our_own_package() {
        let removed: Vec<_> = cargo()
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .filter_map(|(name, _)| name.to_str().map(str::to_owned))
            .collect();
        assert!(removed.iter().any(|name| name == "CARGO_MANIFEST_DIR"));
        assert!(removed.iter().any(|name| name == "CARGO_PKG_NAME"));
        assert!(!is_of_our_package("CARGO_INCREMENTAL"));
    }
}
