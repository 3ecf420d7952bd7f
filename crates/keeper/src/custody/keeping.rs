//! How another passphrase takes the place of the one in force, in the state directory or wrapped in the vault.

use vouchsafe_format::Id;
use vouchsafe_host::{files, secret};
use vouchsafe_model::{Secret, VaultName};
use vouchsafe_store::PutMode;
use vouchsafe_vault::{Begun, Keeping, KeepingError};

use super::wrapped::{Wrapping, purpose};
use crate::error::KeeperError;
use crate::keeper::Keeper;
use crate::vaults::VaultHandle;

/// The place that holds the passphrase of one vault.
///
/// What is noted of a change lies in the state directory, wrapped where the passphrase is: without it nobody is locked
/// out, for the passphrase in force opens until the new one is.
pub(crate) struct Custodian<'k> {
    keeper: &'k Keeper,
    vault: VaultName,
    repository: Id,
    wrapping: Option<Wrapping>,
}

impl<'k> Custodian<'k> {
    /// Refuses a vault whose passphrase is kept elsewhere: there we cannot replace it.
    pub(crate) fn of(keeper: &'k Keeper, open: &VaultHandle) -> Result<Custodian<'k>, KeeperError> {
        match &open.spec.password {
            Some(reference) => Err(KeeperError::KeptElsewhere {
                vault: open.name().clone(),
                place: reference.to_string(),
            }),
            None => Ok(Custodian {
                keeper,
                vault: open.name().clone(),
                repository: open.repo.id(),
                wrapping: Wrapping::of(&open.spec, &open.root, &keeper.tools)?,
            }),
        }
    }

    fn write(&self, passphrase: &Secret) -> Result<(), KeeperError> {
        let state = &self.keeper.state;
        match &self.wrapping {
            Some(wrapping) => wrapping.put(passphrase, &self.repository, PutMode::Replace)?,
            None => state.write_secret(&state.passphrase_path(&self.vault), passphrase)?,
        }
        // The sheet is right before the old passphrase ends.
        self.keeper.write_sheet()?;
        Ok(())
    }
}

impl Keeping for Custodian<'_> {
    fn begun(&mut self) -> Result<Option<Begun>, KeepingError> {
        let path = self.keeper.state.rotation_path(&self.vault);
        if !files::exists(&path)? {
            return Ok(None);
        }
        let written = Secret::new(files::read(&path, secret::LONGEST_SECRET)?);
        let noted = match &self.wrapping {
            Some(wrapping) => {
                let place = path.display().to_string();
                wrapping
                    .unwrapped(written.expose(), purpose::CHANGE, &place)
                    .map_err(not_kept)?
                    .passphrase
            }
            None => written,
        };
        Ok(Some(read_note(&noted).ok_or_else(|| {
            format!(
                "{} cannot be understood; if the vault opens with its passphrase, delete that file",
                path.display()
            )
        })?))
    }

    fn begin(&mut self, begun: &Begun) -> Result<(), KeepingError> {
        let state = &self.keeper.state;
        let noted = match &self.wrapping {
            Some(wrapping) => {
                let wrapped = wrapping.wrapped(&note(begun), &self.repository, purpose::CHANGE);
                Secret::new(wrapped.map_err(not_kept)?)
            }
            None => note(begun),
        };
        Ok(state.write_secret(&state.rotation_path(&self.vault), &noted)?)
    }

    fn put_in_force(&mut self, passphrase: &Secret) -> Result<(), KeepingError> {
        self.write(passphrase).map_err(not_kept)
    }
}

/// Whoever is told that a passphrase could not be kept is told of which vault, and that the one in force opens it: what
/// to do while a vault does not open is not said a second time, nor the vault named again.
fn not_kept(error: KeeperError) -> KeepingError {
    match error {
        KeeperError::Kms { source, .. } => source,
        error => Box::new(error),
    }
}

/// The old slots in one line, then the new passphrase.
fn note(begun: &Begun) -> Secret {
    let old: Vec<String> = begun.old.iter().map(Id::to_hex).collect();
    let next = begun.next.expose();
    let line = old.join(" ");
    let mut bytes = Vec::with_capacity(line.len() + 1 + next.len());
    bytes.extend_from_slice(line.as_bytes());
    bytes.push(b'\n');
    bytes.extend_from_slice(next);
    Secret::new(bytes)
}

fn read_note(noted: &Secret) -> Option<Begun> {
    let bytes = noted.expose();
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let (line, next) = (bytes.get(..end)?, bytes.get(end + 1..)?);
    let old: Option<Vec<Id>> = std::str::from_utf8(line)
        .ok()?
        .split_whitespace()
        .map(|id| id.parse().ok())
        .collect();
    let old = old.filter(|old| !old.is_empty() && !next.is_empty())?;
    Some(Begun {
        old,
        next: Secret::new(next.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_a_cut_one_is_not() {
        let begun = Begun {
            old: vec![Id::of(b"a"), Id::of(b"b")],
            next: Secret::new(b"new\npass".to_vec()),
        };
        let noted = note(&begun);
        let back = read_note(&noted).unwrap();
        assert_eq!((back.old, back.next), (begun.old, begun.next));
        for cut in [0, 10, 64, 129] {
            let part = Secret::new(noted.expose()[..cut].to_vec());
            assert!(read_note(&part).is_none(), "{cut}");
        }
    }
}
