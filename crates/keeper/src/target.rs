//! Which places a restore or a drill must never touch.

use std::path::{Path, PathBuf};

use vouchsafe_host::files;

use crate::error::KeeperError;
use crate::keeper::Keeper;

impl Keeper {
    /// Refuses a place that a known system, the state directory or a vault uses, or that lies within one.
    pub(crate) fn refuse_known_places(&self, place: &Path) -> Result<(), KeeperError> {
        self.refuse_own_places(place)?;
        self.refuse_systems(place, &real_path(place))
    }

    /// Refuses a place that the state directory or a vault uses, or that lies within one. What is only added to live
    /// data may go to where a system is.
    pub(crate) fn refuse_own_places(&self, place: &Path) -> Result<(), KeeperError> {
        let real = real_path(place);
        for own in self.own_places() {
            if real.starts_with(&own) || own.starts_with(&real) {
                return Err(target(
                    place,
                    format!("{} holds our own state or a vault", own.display()),
                ));
            }
        }
        Ok(())
    }

    fn refuse_systems(&self, place: &Path, real: &Path) -> Result<(), KeeperError> {
        for (system, protection) in self.policy.protections() {
            if !protection.way.is_connected() {
                continue;
            }
            if self.source(protection)?.owns(real) {
                return Err(target(
                    place,
                    format!("system `{}` uses it; choose another place", system.name),
                ));
            }
        }
        Ok(())
    }

    /// For a sandbox. The state directory is never captured nor restored to, so a sandbox within it is nobody's data,
    /// even where a system's folder holds the state directory.
    pub(crate) fn refuse_known_systems(&self, place: &Path) -> Result<(), KeeperError> {
        let real = real_path(place);
        if real.starts_with(real_path(self.state.root())) {
            return Ok(());
        }
        self.refuse_systems(place, &real)
    }
}

fn target(place: &Path, reason: String) -> KeeperError {
    KeeperError::Target {
        place: place.display().to_string(),
        reason,
    }
}

/// The path without links, as far as it exists yet.
fn real_path(place: &Path) -> PathBuf {
    let absolute = match vouchsafe_host::machine::current_dir() {
        Ok(dir) => dir.join(place),
        Err(_) => place.to_owned(),
    };
    let mut rest = Vec::new();
    let mut there = absolute.as_path();
    loop {
        if let Ok(real) = files::canonicalize(there) {
            return rest
                .iter()
                .rev()
                .fold(real, |path: PathBuf, name: &std::ffi::OsString| {
                    path.join(name)
                });
        }
        match (there.file_name(), there.parent()) {
            (Some(name), Some(parent)) => {
                rest.push(name.to_owned());
                there = parent;
            }
            _ => return absolute,
        }
    }
}
