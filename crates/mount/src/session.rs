//! Mounting, serving until somebody asks to stop, and unmounting.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fuser::{BackgroundSession, Config, MountOption, Session};
use vouchsafe_host::inode::{self, Kind};
use vouchsafe_host::{Clock, Interrupt, files};
use vouchsafe_vault::{LockGuard, LockKind, Repository};

use crate::error::MountError;
use crate::filesystem::VaultFs;
use crate::layout::{Layout, Shown};

/// Where and how.
#[derive(Clone, Debug)]
pub struct MountOptions {
    /// An existing directory.
    pub at: PathBuf,
    /// The name that `mount` lists.
    pub name: String,
    /// How many requests are served at once.
    pub threads: usize,
}

/// A mounted vault. It is unmounted when this is dropped.
pub struct Mounted {
    session: BackgroundSession,
    at: PathBuf,
    /// Keeps others from removing what can be seen.
    _lock: Option<LockGuard>,
}

/// Mounts the snapshots of a repository; only the user who mounts them sees them. What cannot be read is told to
/// `trouble`, one line each.
///
/// A shared lock is held meanwhile, so that nothing that can be seen is removed; where the store takes none, `trouble`
/// is told.
///
/// # Errors
/// [`MountError`].
pub fn mount(
    repository: Repository,
    shown: Vec<Shown>,
    options: &MountOptions,
    trouble: Arc<dyn Fn(&str) + Send + Sync>,
) -> Result<Mounted, MountError> {
    let at = files::canonicalize(&options.at).unwrap_or_else(|_| options.at.clone());
    if !inode::lstat(&at).is_ok_and(|seen| seen.kind == Kind::Directory) {
        return Err(MountError::NoDirectory { at });
    }
    let lock = match repository.lock(LockKind::Shared) {
        Ok(lock) => Some(lock),
        Err(error) => {
            trouble(&format!(
                "no lock is held, so what is seen may be removed meanwhile: {error}"
            ));
            None
        }
    };
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::RO,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::FSName(options.name.clone()),
        MountOption::Subtype("vouchsafe".to_owned()),
    ];
    config.n_threads = Some(options.threads.max(1));
    let filesystem = VaultFs::new(repository, Layout::new(shown), trouble)?;
    let refused = |source| MountError::Refused {
        at: at.clone(),
        source,
    };
    let session = Session::new(filesystem, &at, &config).map_err(refused)?;
    let session = session.spawn().map_err(refused)?;
    Ok(Mounted {
        session,
        at,
        _lock: lock,
    })
}

impl Mounted {
    /// Serves until somebody asks to stop or unmounts it; then it is unmounted.
    ///
    /// # Errors
    /// [`MountError::Broken`].
    pub fn serve(self, interrupt: &Interrupt, clock: &dyn Clock) -> Result<(), MountError> {
        while !interrupt.requested() && !self.session.guard.is_finished() {
            clock.sleep(MOMENT);
        }
        let ended = match self.session.guard.is_finished() {
            true => self.session.join(),
            false => self.session.umount_and_join(),
        };
        let at = self.at;
        ended.map_err(|source| MountError::Broken { at, source })
    }
}

const MOMENT: Duration = Duration::from_millis(50);
