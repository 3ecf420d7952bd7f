//! Where a row is measured: a folder in memory or on disk, with the data sets and one lane for each repository.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::data::{Set, Size, at};
use super::jobs::Lane;
use super::options::Place;
use super::tools::Tool;
use super::tree;
use crate::{apt, program};

/// Set in the copy of ourselves that has a mount namespace of its own.
const NAMESPACE: &str = "VOUCHSAFE_BENCH_NAMESPACE";

/// A folder for one place.
pub(crate) struct Area {
    pub(crate) place: Place,
    root: PathBuf,
    keep: bool,
}

impl Area {
    /// An empty one; the data sets of earlier disk runs stay.
    pub(crate) fn new(place: Place, dir: &Path, keep: bool) -> Result<Self, String> {
        let root = match place {
            Place::Disk => dir.join("disk"),
            Place::Tmpfs if apt::is_root() => mounted(&dir.join("tmpfs"))?,
            Place::Tmpfs => Path::new("/dev/shm").join("vouchsafe-bench"),
        };
        let area = Self { place, root, keep };
        tree::remove(&area.lanes())?;
        fs::create_dir_all(area.lanes()).map_err(at(&area.root))?;
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&area.root, private).map_err(at(&area.root))?;
        let password = area.password();
        fs::write(&password, "a password for measuring").map_err(at(&password))?;
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(&password, private).map_err(at(&password))?;
        Ok(area)
    }

    /// The data set, written if it is not there.
    pub(crate) fn data(&self, set: Set, size: &Size) -> Result<PathBuf, String> {
        set.provide(&self.root.join("data"), size)
    }

    /// Makes room: in memory only one set has its place.
    pub(crate) fn drop_data(&self, set: Set) -> Result<(), String> {
        match self.place {
            Place::Disk => Ok(()),
            Place::Tmpfs => {
                let place = self.root.join("data").join(set.name());
                tree::remove(&place.with_extension("stamp"))?;
                tree::remove(&place)
            }
        }
    }

    /// The lane of a tool for some purpose.
    pub(crate) fn lane(&self, tool: &Tool, purpose: &str) -> Lane {
        let name = format!("{purpose}-{}", tool.name());
        Lane::new(self.lanes().join(name), &self.password())
    }

    /// A folder for anything else.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.lanes().join(name)
    }

    /// Where the outputs of programs go.
    pub(crate) fn logs(&self) -> &Path {
        &self.root
    }

    /// The password of every repository.
    pub(crate) fn password(&self) -> PathBuf {
        self.root.join("password")
    }

    fn lanes(&self) -> PathBuf {
        self.root.join("lanes")
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        if self.keep && self.place == Place::Disk {
            return;
        }
        // What cannot be removed now is removed by the next run.
        let _ = tree::remove(&self.lanes());
        if self.place == Place::Tmpfs {
            let _ = tree::remove(&self.root.join("data"));
        }
    }
}

/// Goes on in a mount namespace of our own: however we end, what is mounted there is gone. True if that was done, by
/// a copy of ourselves.
pub(crate) fn enter_namespace(places: &[Place], arguments: &[String]) -> Result<bool, String> {
    let inside = std::env::var_os(NAMESPACE).is_some();
    if inside || !apt::is_root() || !places.contains(&Place::Tmpfs) {
        return Ok(false);
    }
    let own = std::env::current_exe().map_err(|error| format!("our own program: {error}"))?;
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "--"])
        .arg(own)
        .arg("bench")
        .args(arguments)
        .env(NAMESPACE, "1");
    let status = command
        .status()
        .map_err(|error| format!("unshare: {error}"))?;
    // The copy has said what was wrong.
    if status.success() {
        Ok(true)
    } else {
        Err("the benchmark did not end well".to_owned())
    }
}

fn mounted(dir: &Path) -> Result<PathBuf, String> {
    fs::create_dir_all(dir).map_err(at(dir))?;
    let mut command = Command::new("mount");
    command
        .args(["-t", "tmpfs", "-o", "size=90%,mode=700", "vouchsafe-bench"])
        .arg(dir);
    program::run(&mut command)?;
    Ok(dir.to_path_buf())
}
