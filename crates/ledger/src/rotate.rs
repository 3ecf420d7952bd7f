//! The signing key replaced by another one, as an entry that both have signed.

use vouchsafe_model::{Entry, Fact};

use crate::append::{Growth, encode};
use crate::database::Value;
use crate::error::LedgerError;
use crate::head::sign_size;
use crate::key::SigningKey;
use crate::ledger::Ledger;
use crate::rotation;
use crate::schema;
use crate::session::Session;

impl Ledger {
    /// From one more entry on `new` signs; `entry` makes it of the fact. Returns its index.
    ///
    /// The entry carries what both keys have signed, and the head over it is the first that `new` signs. All of it is
    /// stored, or nothing: until this returns, the key before is the one that signs. Whoever else has this ledger open
    /// can append no more and has to open it again with the new key.
    pub fn rotate_key(
        &mut self,
        new: SigningKey,
        entry: impl FnOnce(Fact) -> Entry,
    ) -> Result<u64, LedgerError> {
        let Some(old) = &self.key else {
            return Err(LedgerError::ReadOnly {
                place: self.place.clone(),
            });
        };
        let new = new.of_ledger(self.origin());
        let (place, keys) = self.session().writing(|turn| {
            let state = turn.must_state()?;
            self.signs_now(old, &state)?;
            self.continues(turn, &state)?;
            let mut keys = state.keys.clone();
            if keys.has(new.public()) {
                return Err(LedgerError::KeyUsedBefore {
                    key: new.public_key_text(),
                });
            }
            let place = state.frontier.size();
            let change = rotation::sign(old, &new, place, state.frontier.root());
            let entry = entry(Fact::LedgerKeyRotated(change));
            let body = encode(0, &entry)?;
            let mut growth = Growth::from(state);
            growth.add(turn, &body, &entry, &mut |size, root| {
                sign_size(&new, size, root).to_vec()
            })?;
            growth.settle(turn)?;
            keys.change(place + 1, new.public().clone());
            turn.change_keys(&keys)?;
            Ok((place, keys))
        })?;
        self.keys = keys;
        self.key = Some(new);
        Ok(place)
    }
}

impl Session<'_> {
    /// Writes down which keys have signed.
    pub(crate) fn change_keys(&mut self, keys: &crate::keys::Keys) -> Result<(), LedgerError> {
        let form = match keys.are_several() {
            true => schema::FORM_OF_SEVERAL_KEYS,
            false => schema::FORM,
        };
        let args = [Value::Int(form), Value::Text(keys.to_string())];
        self.run("change its key", schema::CHANGE_KEYS, &args)?;
        Ok(())
    }
}
