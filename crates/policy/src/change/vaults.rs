//! What differs between the vaults of two policies.

use std::collections::BTreeMap;

use vouchsafe_model::policy::{Length, MinTls};
use vouchsafe_model::{Effect, Vault, VaultName};

use super::diff::Diff;
use super::lengths::order;

/// Puts back what is weakened.
pub(super) fn vaults(
    diff: &mut Diff,
    old: &BTreeMap<VaultName, Vault>,
    new: &mut BTreeMap<VaultName, Vault>,
) {
    for (name, before) in old {
        let place = format!("vaults/{name}");
        match new.get_mut(name) {
            Some(vault) => one(diff, &place, before, vault),
            None => {
                diff.say(Effect::Weakens, place, "the vault is dropped");
                new.insert(name.clone(), before.clone());
            }
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(name)) {
        let place = format!("vaults/{name}");
        diff.say(Effect::Strengthens, place, "a new vault");
    }
}

fn one(diff: &mut Diff, place: &str, old: &Vault, new: &mut Vault) {
    let elsewhere = match () {
        () if old.url != new.url => Some("url"),
        () if old.access.endpoint != new.access.endpoint => Some("endpoint"),
        // Of this kind the account is a part of where it lies.
        () if old.url.starts_with("azblob:") && old.access.user != new.access.user => Some("user"),
        () => None,
    };
    if let Some(key) = elsewhere {
        let what = "it lies elsewhere, where the copies made so far are not";
        diff.say(Effect::Weakens, format!("{place}/{key}"), what);
        // The old place is reached as before.
        new.url.clone_from(&old.url);
        new.access = old.access.clone();
        new.password.clone_from(&old.password);
        new.kms.clone_from(&old.kms);
        new.location = old.location.clone();
    }
    let at = |key: &str| format!("{place}/{key}");
    diff.other(
        &at("region"),
        &old.location,
        &new.location,
        "it is said to lie elsewhere",
    );
    diff.promise(
        &at("retention_lock"),
        "the retention lock",
        &old.retention_lock,
        &mut new.retention_lock,
        order,
        Length::to_string,
    );
    if new.retention_lock.is_some() && old.retention_lock.is_some() {
        let (before, mode) = (Some(old.lock_mode), &mut Some(new.lock_mode));
        let word = |mode: &vouchsafe_model::LockMode| mode.word().to_owned();
        let name = "the mode of the lock";
        diff.promise(&at("lock_mode"), name, &before, mode, Ord::cmp, word);
        new.lock_mode = mode.unwrap_or(new.lock_mode);
    }
    diff.rhythm(
        &at("keys/rotate"),
        "the passphrase's replacement",
        &old.rotate,
        &mut new.rotate,
    );
    diff.rhythm(
        &at("prune"),
        "the removal of what is let go",
        &old.prune,
        &mut new.prune,
    );
    let tls = |tls: &MinTls| match tls {
        MinTls::V1_2 => "TLS 1.2".to_owned(),
        MinTls::V1_3 => "TLS 1.3".to_owned(),
    };
    let mut oldest = Some(new.access.min_tls);
    let before = Some(old.access.min_tls);
    let name = "the oldest protocol that is spoken";
    diff.promise(&at("min_tls"), name, &before, &mut oldest, Ord::cmp, tls);
    new.access.min_tls = oldest.unwrap_or(new.access.min_tls);
    let kms = "another key service, or none, wraps the passphrase";
    diff.other(&at("kms"), &old.kms, &new.kms, kms);
    let kept = "the passphrase is kept elsewhere";
    diff.other(&at("password"), &old.password, &new.password, kept);
    let reached = "it is reached in another way";
    diff.other(place, &old.access, &new.access, reached);
}
