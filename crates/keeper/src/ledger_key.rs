//! The key that signs the record: opening the ledger with it, and replacing it by a new one.

use std::path::PathBuf;

use vouchsafe_host::files;
use vouchsafe_ledger::{Ledger, LedgerError, SigningKey};
use vouchsafe_model::Secret;

use crate::error::KeeperError;
use crate::events::Reporter;
use crate::keeper::{Keeper, ledger_url};
use crate::record;
use crate::state::State;

/// A signing key that took the place of another.
#[derive(Clone, Debug)]
pub struct RotatedLedgerKey {
    /// The key before, a C2SP vkey.
    pub from: String,
    /// The key that signs now.
    pub to: String,
    /// Its fingerprint, as it is on the new recovery sheet.
    pub fingerprint: String,
    /// The entry that both have signed.
    pub entry: u64,
    /// Where the new recovery sheet lies.
    pub sheet: PathBuf,
}

/// Opens the ledger of a state directory with its key. Where a change of the key broke off after it was recorded, the
/// new key is put in its place.
pub(crate) fn open_ledger(state: &State) -> Result<Ledger, KeeperError> {
    let url = ledger_url(state);
    let opened = Ledger::open(&url, SigningKey::from_seed(state.read_seed()?));
    let next = state.next_ledger_key_path();
    match opened {
        Err(LedgerError::OtherKey { .. }) if files::exists(&next)? => {
            let ledger = Ledger::open(&url, SigningKey::from_seed(State::seed_at(&next)?))?;
            files::rename(&next, state.ledger_key_path())?;
            Ok(ledger)
        }
        opened => Ok(opened?),
    }
}

impl Keeper {
    /// Replaces the key that signs the record. Both keys sign the entry that says so, the vaults that can be reached get
    /// the new key (sealed, as the one before), the others with what is published next, and the recovery sheet names it.
    /// The seed of the key before is removed from the state directory; what the vaults hold of it, sealed, stays there.
    pub fn rotate_ledger_key(
        &mut self,
        reporter: &dyn Reporter,
    ) -> Result<RotatedLedgerKey, KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        // What the key before has signed is seen by every vault that can be reached before another one signs.
        self.publish(reporter)?;
        let mut seed = [0u8; 32];
        self.tools.random.fill(&mut seed);
        let next = self.state.next_ledger_key_path();
        self.state
            .write_secret(&next, &Secret::new(seed.to_vec()))?;
        let from = self.ledger.public_key().to_string();
        let now = self.tools.clock.now();
        let key = SigningKey::from_seed(seed);
        let entry = self
            .ledger
            .rotate_key(key, |fact| record::entry(now, fact))?;
        files::rename(&next, self.state.ledger_key_path())?;
        self.publish(reporter)?;
        let sheet = self.write_sheet()?;
        let to = self.ledger.public_key();
        Ok(RotatedLedgerKey {
            from,
            to: to.to_string(),
            fingerprint: to.fingerprint(),
            entry,
            sheet,
        })
    }
}
