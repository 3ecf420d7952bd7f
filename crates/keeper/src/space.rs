//! How full the stores of the vaults are, as they say it.

use vouchsafe_host::files;
use vouchsafe_model::alert::AlertKind;
use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::{Time, VaultSpace};

use crate::keeper::Keeper;
use crate::vaults;

impl Keeper {
    /// What has to be recorded of how full the stores are; nothing if the policy does not ask.
    ///
    /// A store that cannot be asked now says nothing: what is known of it grows old, and is unproven then.
    pub(crate) fn space_facts(&self, facts: &[Recorded], now: Time) -> Vec<Fact> {
        if !self.policy.alerts.contains_key(&AlertKind::Storage) {
            return Vec::new();
        }
        let asked = self.policy.vaults.values().filter_map(|vault| {
            let dir = vaults::local_dir(vault, &self.policy.base)?;
            let (free, total) = files::free_space(dir).ok()?;
            (total > 0).then(|| VaultSpace {
                vault: vault.name.clone(),
                seen: now,
                free,
                total,
            })
        });
        let news = vouchsafe_policy::space_to_record(&self.policy, facts, asked.collect());
        news.into_iter().map(Fact::Space).collect()
    }
}
