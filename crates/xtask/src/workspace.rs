//! Where the workspace is.

use std::path::PathBuf;

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

/// The cargo that started us.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}
