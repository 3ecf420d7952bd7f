//! A change of the key that signs the record: both keys have to sign it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use signed_note::{Note, Signature};
use vouchsafe_model::SigningKeyChange;

use crate::key::{SigningKey, VerifyingKey};
use crate::merkle::TreeHash;

/// Why a change of the signing key does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RotationError {
    /// The key that it names as the next one is none, or one of another ledger.
    #[error("the next key is not a key of this ledger")]
    Next,
    /// It speaks of another place, record or key than that at which it stands.
    #[error("its text is not that of a change at this place of this record")]
    Text,
    /// One of the signatures is not there or not good.
    #[error("it is not signed by both keys")]
    Unsigned,
}

/// What both keys sign: the first line keeps it from being taken for a head.
fn text(old: &VerifyingKey, new: &VerifyingKey, size: u64, root: TreeHash) -> String {
    let root = BASE64_STANDARD.encode(root.0);
    let origin = old.origin();
    format!("vouchsafe-ledger-key/1\n{origin}\n{size}\n{root}\n{old}\n{new}\n")
}

/// The change from `old` to `new` after `size` entries with that root.
pub(crate) fn sign(
    old: &SigningKey,
    new: &SigningKey,
    size: u64,
    root: TreeHash,
) -> SigningKeyChange {
    let text = text(old.public(), new.public(), size, root);
    let mut note = format!("{text}\n");
    for key in [old, new] {
        let signature = key.sign(text.as_bytes()).to_vec();
        let name = key.public().origin().to_owned();
        if let Ok(line) = Signature::new(name, key.public().note_id(), signature) {
            note.push_str(&String::from_utf8_lossy(&line.to_bytes()));
        }
    }
    SigningKeyChange {
        from: old.public().to_string(),
        to: new.public().to_string(),
        note,
    }
}

/// The key that signs from here on, if the change is signed by both and for this place.
pub(crate) fn check(
    change: &SigningKeyChange,
    old: &VerifyingKey,
    size: u64,
    root: TreeHash,
) -> Result<VerifyingKey, RotationError> {
    let new = VerifyingKey::parse(&change.to).map_err(|_| RotationError::Next)?;
    if new.origin() != old.origin() || new.is_same_key(old) {
        return Err(RotationError::Next);
    }
    let note = Note::from_bytes(change.note.as_bytes()).map_err(|_| RotationError::Text)?;
    let expected = text(old, &new, size, root);
    if note.text() != expected.as_bytes() || change.from != old.to_string() {
        return Err(RotationError::Text);
    }
    // Each is asked for by itself: one signature must not do for both.
    match [old, &new].iter().all(|key| note.verify(*key).is_ok()) {
        true => Ok(new),
        false => Err(RotationError::Unsigned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::leaf_hash;

    fn keys() -> (SigningKey, SigningKey) {
        let old = SigningKey::from_seed([1; 32]);
        let new = SigningKey::from_seed([2; 32]).of_ledger(old.public().origin());
        (old, new)
    }

    #[test]
    fn it_counts_only_where_and_for_whom_it_was_signed() {
        let (old, new) = keys();
        let root = leaf_hash(b"root");
        let change = sign(&old, &new, 7, root);
        assert_eq!(
            check(&change, old.public(), 7, root).as_ref(),
            Ok(new.public())
        );
        let refused = |change: &SigningKeyChange, size, root| {
            check(change, old.public(), size, root).unwrap_err()
        };
        assert_eq!(refused(&change, 8, root), RotationError::Text);
        assert_eq!(refused(&change, 7, leaf_hash(b"x")), RotationError::Text);
        let other = SigningKey::from_seed([3; 32]);
        let mut renamed = change.clone();
        renamed.to = other.public_key_text();
        assert_eq!(refused(&renamed, 7, root), RotationError::Next);
        let mut unnamed = change.clone();
        unnamed.from = other.public_key_text();
        assert_eq!(refused(&unnamed, 7, root), RotationError::Text);
    }

    #[test]
    fn neither_signature_does_for_both() {
        let (old, new) = keys();
        let root = leaf_hash(b"root");
        let whole = sign(&old, &new, 7, root);
        let lines: Vec<&str> = whole.note.split_inclusive('\n').collect();
        for missing in [lines.len() - 2, lines.len() - 1] {
            let mut lines = lines.clone();
            lines.remove(missing);
            let mut change = whole.clone();
            change.note = lines.concat();
            let found = check(&change, old.public(), 7, root);
            assert_eq!(found, Err(RotationError::Unsigned));
            // The same signature twice is no second one.
            let last = lines.last().copied().unwrap_or_default();
            change.note = [lines.concat().as_str(), last].concat();
            assert!(check(&change, old.public(), 7, root).is_err());
        }
        let other = SigningKey::from_seed([3; 32]).of_ledger(old.public().origin());
        let forged = sign(&other, &new, 7, root);
        assert_eq!(
            check(&forged, old.public(), 7, root),
            Err(RotationError::Text)
        );
    }
}
