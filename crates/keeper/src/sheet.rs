//! The recovery sheet: written anew whenever what it says has changed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use vouchsafe_evidence::recovery_sheet::{Passphrase, SheetInput, SheetVault, recovery_sheet};
use vouchsafe_host::files;
use vouchsafe_model::fact::Fact;
use vouchsafe_model::{Secret, Vault, VaultName};

use crate::custody;
use crate::error::KeeperError;
use crate::keeper::Keeper;
use crate::vaults;

struct Row<'p> {
    spec: &'p Vault,
    url: String,
    repository: String,
    /// Nothing where the policy says where it is kept.
    passphrase: Option<Secret>,
}

impl Keeper {
    /// Writes the sheet, with every vault that the ledger knows and that this version can reach; where to.
    pub(crate) fn write_sheet(&self) -> Result<PathBuf, KeeperError> {
        let rows = self.rows()?;
        let vaults: Vec<SheetVault<'_>> = rows
            .iter()
            .filter_map(|row| {
                let spec = row.spec;
                let passphrase = match (&spec.kms, &spec.password, &row.passphrase) {
                    (Some(kms), _, _) => Passphrase::Wrapped {
                        by: kms,
                        object: custody::OBJECT,
                    },
                    (None, Some(reference), _) => Passphrase::KeptIn(reference),
                    (None, None, Some(secret)) => Passphrase::Shown(secret),
                    (None, None, None) => return None,
                };
                Some(SheetVault {
                    name: row.spec.name.as_str(),
                    url: &row.url,
                    repository: &row.repository,
                    passphrase,
                })
            })
            .collect();
        let key = self.ledger.public_key();
        let sheet = recovery_sheet(&SheetInput {
            vaults: &vaults,
            ledger_fingerprint: &key.fingerprint(),
            public_key: &key.to_string(),
            created: self.tools.clock.now(),
            tool: &crate::record::tool(),
        });
        let path = self.state.sheet_path();
        self.state.write_secret(&path, &sheet)?;
        Ok(path)
    }

    fn rows(&self) -> Result<Vec<Row<'_>>, KeeperError> {
        let facts = self.facts()?;
        let repositories: BTreeMap<&VaultName, &String> = facts
            .iter()
            .filter_map(|r| match &r.entry.fact {
                Fact::VaultKnown {
                    vault, repository, ..
                } => Some((vault, repository)),
                _ => None,
            })
            .collect();
        let mut rows = Vec::new();
        for spec in self.policy.vaults.values() {
            let Some(repository) = repositories.get(&spec.name) else {
                continue;
            };
            if !vaults::is_connected(spec) {
                continue;
            }
            let passphrase = match (&spec.kms, &spec.password) {
                (None, None) => Some(custody::unwrapped(spec, &self.state)?),
                _ => None,
            };
            rows.push(Row {
                spec,
                url: self.absolute_url(spec),
                repository: (*repository).clone(),
                passphrase,
            });
        }
        Ok(rows)
    }

    fn absolute_url(&self, spec: &Vault) -> String {
        match vaults::local_dir(spec, &self.policy.base) {
            Some(dir) => format!(
                "file://{}",
                files::canonicalize(&dir).unwrap_or(dir).display()
            ),
            None => crate::remote::whole_url(spec),
        }
    }
}
