//! Key files: the master key, wrapped under one password each; a repository has one for each of its slots.

mod change;
mod error;
mod rotate;

use vouchsafe_format::{
    Id, KdfParams, KeyError, KeyFile, MasterKey, create_key_file, open_key_file,
};
use vouchsafe_model::{Issue, Secret};

use crate::env::Env;
use crate::error::{Damage, OpenError, RepoError};
use crate::machine::ObjectKind;
use crate::objects::{Objects, show};
use crate::repository::{Repository, issue};

pub use change::ProvenSlot;
pub use error::{KeepingError, KeyChangeError};
pub use rotate::{Begun, Keeping, Rotation};

/// What a key file tells without its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name.
    pub id: Id,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Where.
    pub hostname: String,
    /// By whom.
    pub username: String,
}

impl Repository {
    /// All key files that can be read, and what is wrong with the others.
    ///
    /// # Errors
    /// [`RepoError::Store`].
    pub fn keys(&self) -> Result<(Vec<KeyInfo>, Vec<Issue>), RepoError> {
        let (mut out, mut issues) = (Vec::new(), Vec::new());
        for (id, _) in self.objects.list(ObjectKind::Key)? {
            let decoded = self
                .objects
                .get_named(ObjectKind::Key, &id)
                .and_then(|bytes| {
                    KeyFile::decode(&bytes)
                        .map_err(|error| self.objects.damaged(ObjectKind::Key, &id, error.into()))
                });
            match decoded {
                Ok(KeyFile {
                    created,
                    hostname,
                    username,
                    ..
                }) => out.push(KeyInfo {
                    id,
                    created,
                    hostname,
                    username,
                }),
                Err(RepoError::Store(error)) => return Err(error.into()),
                Err(error) => issues.push(issue(show(ObjectKind::Key, &id), &error)),
            }
        }
        Ok((out, issues))
    }
}

/// 64 MiB of memory for each guess.
pub(crate) const STRONG: KdfParams = KdfParams {
    n: 65_536,
    r: 8,
    p: 1,
};

/// Key files that are tried; each takes a good part of a second.
const TRIED: usize = 20;

/// Wraps the master key: the bytes of a new key file.
pub(crate) fn wrap(
    env: &Env,
    key: &MasterKey,
    password: &Secret,
    kdf: KdfParams,
) -> Result<Vec<u8>, KeyError> {
    let created = env.clock.now().to_timestamp().to_string();
    let (salt, iv) = (env.random.bytes64(), env.iv());
    create_key_file(
        password.expose(),
        key,
        salt,
        iv,
        kdf,
        &created,
        &env.username,
        &env.hostname,
    )
}

/// The master key and the slot it came from: the first key file that opens and whose master key is `right`; or, if there is no such key,
/// one that is not: then what it should open is damaged.
pub(crate) fn find_key(
    objects: &Objects,
    password: &Secret,
    right: impl Fn(&MasterKey) -> bool,
) -> Result<(Id, MasterKey), OpenError> {
    let (mut tried, mut damage, mut other) = (0, None, None);
    for (id, _) in objects.list(ObjectKind::Key)?.into_iter().take(TRIED) {
        let bytes = match objects.get_named(ObjectKind::Key, &id) {
            Ok(bytes) => bytes,
            Err(RepoError::Store(error)) if error.is_not_found() => continue,
            Err(RepoError::Store(error)) => return Err(error.into()),
            Err(RepoError::Damaged { source, .. }) => {
                damage.get_or_insert((show(ObjectKind::Key, &id), source));
                continue;
            }
            Err(_) => continue,
        };
        match open_key_file(&bytes, password.expose()) {
            Ok(key) if right(&key) => return Ok((id, key)),
            Ok(key) => other = Some((id, key)),
            Err(KeyError::WrongPassword) => tried += 1,
            Err(error) => {
                damage.get_or_insert((show(ObjectKind::Key, &id), Box::new(error.into())));
            }
        }
    }
    let store = objects.place();
    match (other, damage) {
        (Some(found), _) => Ok(found),
        (None, _) if tried > 0 => Err(OpenError::WrongKey { store, tried }),
        (None, Some((object, source))) => Err(OpenError::Damaged {
            object,
            store,
            source,
        }),
        (None, None) => Err(OpenError::Damaged {
            object: "keys".to_owned(),
            store,
            source: Box::new(Damage::Missing),
        }),
    }
}
