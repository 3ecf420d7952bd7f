//! Keys whose replacement is due: replaced where that voids nobody's paper, else told.

use vouchsafe_model::{Obligation, ObligationKind, Vault};

use crate::error::{Category, KeeperError};
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::record;
use crate::vaults;

impl Keeper {
    /// Replaces every wrapped passphrase whose replacement is due. The caller holds the state's lock, and publishes.
    ///
    /// A passphrase that stands on recovery sheets is not replaced unasked: until somebody prints the new sheet, the
    /// loss of this machine would be the loss of the vault.
    pub(crate) fn rotate_due(&self, reporter: &dyn Reporter) -> Result<(), KeeperError> {
        let facts = self.facts()?;
        let open = record::open_obligations(&facts, self.tools.clock.now());
        let mut first = Ok(());
        let connected = |v: &&Vault| vaults::is_connected(v);
        for spec in self.policy.vaults.values().filter(connected) {
            let mine = |o: &&&Obligation| {
                o.kind == ObligationKind::RotateKey && o.vault.as_ref() == Some(&spec.name)
            };
            let Some(owed) = open.iter().filter(mine).max_by_key(|o| o.due) else {
                continue;
            };
            self.stop_if_asked()?;
            let (name, due) = (&spec.name, owed.due.minute());
            let say = |text: String| reporter.event(&Event::Note { text });
            if spec.password.is_some() {
                say(format!(
                    "vault {name}: its passphrase is to be replaced by {due}: `vouchsafe key add {name}`, change what is kept, `vouchsafe key remove {name}`"
                ));
                continue;
            }
            if spec.kms.is_none() {
                say(format!(
                    "vault {name}: its passphrase is to be replaced by {due}: `vouchsafe key rotate {name}`, and then print the new recovery sheet"
                ));
                continue;
            }
            match self.rotate_locked(name, reporter) {
                Ok(_) => {}
                Err(error) if error.category() == Category::Locked => say(format!(
                    "vault {name} is in use; its passphrase is replaced by a later run, due by {due}"
                )),
                Err(error) => first = first.and(Err(error)),
            }
        }
        first
    }
}
