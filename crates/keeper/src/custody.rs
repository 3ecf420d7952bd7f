//! Where the passphrase of a vault is kept, and how another one takes its place.

use vouchsafe_format::Id;
use vouchsafe_host::random::Random;
use vouchsafe_host::{files, secret};
use vouchsafe_model::{Secret, SecretRef, Vault, VaultName};
use vouchsafe_vault::{Begun, Keeping, KeepingError};

use crate::error::KeeperError;
use crate::keeper::Keeper;
use crate::state::State;

/// The passphrase of a vault: by the policy's reference, else from the state directory.
pub(crate) fn passphrase(vault: &Vault, state: &State) -> Result<Secret, KeeperError> {
    if let Some(reference) = &vault.password {
        return Ok(secret::resolve_passphrase(reference)?);
    }
    let path = state.passphrase_path(&vault.name);
    if !files::exists(&path)? {
        return Err(KeeperError::NoPassphrase {
            vault: vault.name.clone(),
            place: path.display().to_string(),
        });
    }
    Ok(secret::resolve_passphrase(&SecretRef::File(path))?)
}

/// 160 random bits in eight groups of four characters that cannot be mistaken for one another.
pub(crate) fn new_passphrase(random: &dyn Random) -> Secret {
    const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let mut out = Vec::with_capacity(39);
    for group in 0..8 {
        if group > 0 {
            out.push(b'-');
        }
        let mut bytes = [0u8; 4];
        random.fill(&mut bytes);
        out.extend(
            bytes
                .iter()
                .filter_map(|b| ALPHABET.get(usize::from(b % 32))),
        );
    }
    Secret::new(out)
}

/// The state directory as the place that holds the passphrase of one vault.
pub(crate) struct InState<'k> {
    keeper: &'k Keeper,
    vault: VaultName,
}

impl<'k> InState<'k> {
    /// Refuses a vault whose passphrase is kept elsewhere: there we cannot replace it.
    pub(crate) fn of(keeper: &'k Keeper, vault: &Vault) -> Result<InState<'k>, KeeperError> {
        match &vault.password {
            Some(reference) => Err(KeeperError::KeptElsewhere {
                vault: vault.name.clone(),
                place: reference.to_string(),
            }),
            None => Ok(InState {
                keeper,
                vault: vault.name.clone(),
            }),
        }
    }

    /// Whether a change was begun and not ended.
    pub(crate) fn is_begun(&self) -> Result<bool, KeeperError> {
        Ok(files::exists(self.keeper.state.rotation_path(&self.vault))?)
    }

    /// Forgets the change: it is done and recorded.
    pub(crate) fn end(&self) -> Result<(), KeeperError> {
        Ok(files::remove_file(
            self.keeper.state.rotation_path(&self.vault),
        )?)
    }

    fn write(&self, passphrase: &Secret) -> Result<(), KeeperError> {
        let state = &self.keeper.state;
        state.write_secret(&state.passphrase_path(&self.vault), passphrase)?;
        // The sheet is right before the old passphrase ends.
        self.keeper.write_sheet()?;
        Ok(())
    }
}

impl Keeping for InState<'_> {
    fn begun(&mut self) -> Result<Option<Begun>, KeepingError> {
        let path = self.keeper.state.rotation_path(&self.vault);
        if !files::exists(&path)? {
            return Ok(None);
        }
        let noted = Secret::new(files::read(&path, secret::LONGEST_SECRET)?);
        Ok(Some(read_note(&noted).ok_or_else(|| {
            format!(
                "{} cannot be understood; if the vault opens with its passphrase, delete that file",
                path.display()
            )
        })?))
    }

    fn begin(&mut self, begun: &Begun) -> Result<(), KeepingError> {
        let state = &self.keeper.state;
        Ok(state.write_secret(&state.rotation_path(&self.vault), &note(begun))?)
    }

    fn put_in_force(&mut self, passphrase: &Secret) -> Result<(), KeepingError> {
        Ok(self.write(passphrase)?)
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
