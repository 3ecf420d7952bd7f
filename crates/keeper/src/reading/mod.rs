//! Looking into a vault: which snapshot is meant, which point of the ledger it is, and what is in it.

mod browse;
mod entry;
mod pattern;

use std::collections::BTreeMap;

use vouchsafe_format::Id;
use vouchsafe_model::{PointId, VaultName};
use vouchsafe_vault::{Point, SelectError};

use crate::catalogue::{Catalogue, KnownPoint};
use crate::error::KeeperError;
use crate::keeper::Keeper;
use crate::vault_record::is_ledger_snapshot;
use crate::vaults::VaultHandle;

pub use browse::{Difference, FindOrder, Found, Seen};
pub use entry::Entry;

/// A vault that is looked into, with what the ledger knows of it.
pub struct Reading {
    /// The vault.
    pub vault: VaultHandle,
    catalogue: Catalogue,
}

impl Keeper {
    /// Opens a vault for looking into it.
    ///
    /// # Errors
    /// As for [`Keeper::vault`].
    pub fn reading(&self, vault: &VaultName) -> Result<Reading, KeeperError> {
        let vault = self.vault(vault)?;
        let catalogue = Catalogue::of(&self.facts()?);
        Ok(Reading { vault, catalogue })
    }
}

impl Reading {
    /// The points that have a copy here, by their snapshot (lower hex).
    pub fn known(&self) -> BTreeMap<String, &KnownPoint> {
        self.catalogue.by_snapshot(self.vault.name())
    }

    /// The point that a snapshot is, if the ledger knows it.
    pub fn point_of(&self, snapshot: &Id) -> Option<&KnownPoint> {
        self.known().get(&snapshot.to_hex()).copied()
    }

    /// The snapshot that is meant by `latest`, a point's name, or the beginning of a snapshot's id.
    ///
    /// `latest` is the newest point that the ledger knows here: a snapshot of unknown origin takes its place only if
    /// there is none that is known. A snapshot that carries a ledger never does.
    ///
    /// # Errors
    /// [`KeeperError::Select`].
    pub fn snapshot(&self, wanted: &str) -> Result<Id, KeeperError> {
        if wanted == "latest" {
            return self.latest();
        }
        let named = PointId::new(wanted).ok();
        if let Some(point) = named.and_then(|id| self.catalogue.get(&id)) {
            let here = point.copy_in(self.vault.name());
            let snapshot = here.and_then(|copy| copy.snapshot.parse().ok());
            return snapshot.ok_or_else(|| KeeperError::NoCopy {
                point: point.point.point.clone(),
                vault: self.vault.name().to_string(),
                known: point
                    .copies
                    .iter()
                    .map(|c| c.vault.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            });
        }
        let found = self.vault.repo.snapshot_by_prefix(wanted);
        found.map_err(|source| self.select_error(source))
    }

    /// A snapshot, open for reading.
    ///
    /// # Errors
    /// As for [`Reading::snapshot`]; [`KeeperError::Repository`].
    pub fn open(&self, wanted: &str) -> Result<Point, KeeperError> {
        let snapshot = self.snapshot(wanted)?;
        let opened = self.vault.repo.reader(&snapshot);
        opened.map_err(|source| KeeperError::Repository {
            vault: self.vault.name().to_string(),
            source: Box::new(source),
        })
    }

    fn latest(&self) -> Result<Id, KeeperError> {
        let known = self.known();
        let newest = known
            .iter()
            .max_by_key(|(_, p)| (p.point.content_time, p.point.completed, p.seq));
        match newest.and_then(|(snapshot, _)| snapshot.parse().ok()) {
            Some(snapshot) => Ok(snapshot),
            None => {
                // One that carries a ledger is nobody's data, however new it is.
                let newest = self
                    .vault
                    .repo
                    .newest_snapshot(|snapshot| !is_ledger_snapshot(snapshot));
                Ok(newest.map_err(|source| self.select_error(source))?.0)
            }
        }
    }

    fn select_error(&self, source: SelectError) -> KeeperError {
        KeeperError::Select {
            vault: self.vault.name().to_string(),
            source: Box::new(source),
        }
    }
}
