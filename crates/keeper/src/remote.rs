//! Vaults that are reached over a network: what opens them, from the policy's references or the usual variables.

use std::sync::Arc;

use vouchsafe_host::{machine, secret};
use vouchsafe_model::{Secret, SecretRef, Vault, VaultPlace};
use vouchsafe_store::{Means, RemoteAccess, Retained, Store, open_remote};

use crate::error::KeeperError;
use crate::keeper::Tools;

/// The variables that are asked where the policy names nothing; those that restic asks, too.
struct Usual {
    user: Option<&'static str>,
    access_key: Option<&'static str>,
    secret_key: Option<&'static str>,
    credential: Option<&'static str>,
    region: Option<&'static str>,
}

const NONE: Usual = Usual {
    user: None,
    access_key: None,
    secret_key: None,
    credential: None,
    region: None,
};

/// Opens the store; with a retention lock in the policy, what is put into it is locked.
pub(crate) fn open(
    vault: &Vault,
    create: bool,
    tools: &Tools,
) -> Result<Arc<dyn Store>, KeeperError> {
    let place = place_of(vault)?;
    let access = resolve(vault, &place)?;
    let means = Means {
        clock: Arc::clone(&tools.clock),
        random: Arc::clone(&tools.random),
        spawn: Arc::clone(&tools.spawn),
        ssh_agent: machine::env_var("SSH_AUTH_SOCK"),
    };
    let store = open_remote(&place, &access, &means, create)?;
    Ok(match vault.retention_lock {
        Some(length) if matches!(place, VaultPlace::S3 { .. }) => Arc::new(Retained::new(
            store,
            length,
            vault.lock_mode,
            Arc::clone(&tools.clock),
        )),
        _ => store,
    })
}

/// The vault's URL with everything in it that an empty machine needs to find the place.
pub(crate) fn whole_url(vault: &Vault) -> String {
    match VaultPlace::parse(&vault.url) {
        Ok(VaultPlace::S3 {
            endpoint: None,
            bucket,
            prefix,
        }) if vault.access.endpoint.is_some() => VaultPlace::S3 {
            endpoint: vault.access.endpoint.clone(),
            bucket,
            prefix,
        }
        .to_string(),
        _ => vault.url.clone(),
    }
}

fn place_of(vault: &Vault) -> Result<VaultPlace, KeeperError> {
    VaultPlace::parse(&vault.url).map_err(|e| KeeperError::Policy {
        message: format!("vault `{}`: {e}", vault.name),
    })
}

fn usual(place: &VaultPlace) -> Usual {
    match place {
        VaultPlace::S3 { .. } => Usual {
            access_key: Some("AWS_ACCESS_KEY_ID"),
            secret_key: Some("AWS_SECRET_ACCESS_KEY"),
            region: Some("AWS_DEFAULT_REGION"),
            ..NONE
        },
        VaultPlace::Rest { .. } => Usual {
            user: Some("RESTIC_REST_USERNAME"),
            credential: Some("RESTIC_REST_PASSWORD"),
            ..NONE
        },
        VaultPlace::WebDav { .. } => Usual {
            user: Some("WEBDAV_USERNAME"),
            credential: Some("WEBDAV_PASSWORD"),
            ..NONE
        },
        VaultPlace::Azblob { .. } => Usual {
            user: Some("AZURE_ACCOUNT_NAME"),
            credential: Some("AZURE_ACCOUNT_KEY"),
            ..NONE
        },
        _ => NONE,
    }
}

/// Fetches every secret that the vault's store needs.
fn resolve(vault: &Vault, place: &VaultPlace) -> Result<RemoteAccess, KeeperError> {
    let access = &vault.access;
    let usual = usual(place);
    let user = access.user.clone().or_else(|| variable(usual.user));
    // A password without a user is nobody's.
    let needs_user = matches!(place, VaultPlace::Rest { .. } | VaultPlace::WebDav { .. });
    let credential = match (&access.credential, usual.credential) {
        (Some(reference), _) => Some(secret::resolve(reference)?),
        (None, Some(name)) if user.is_some() || !needs_user => Some(from_variable(name)?),
        (None, _) if matches!(place, VaultPlace::Gcs { .. }) => account_file()?,
        (None, _) => None,
    };
    Ok(RemoteAccess {
        endpoint: access.endpoint.clone(),
        signing_region: access
            .signing_region
            .clone()
            .or_else(|| variable(usual.region)),
        user,
        access_key: one(access.access_key.as_ref(), usual.access_key)?,
        secret_key: one(access.secret_key.as_ref(), usual.secret_key)?,
        credential,
        identity: access.identity.clone(),
        known_hosts: access.known_hosts.clone(),
        min_tls: access.min_tls,
        limits: access.limits,
    })
}

/// By the policy's reference, else from the usual variable.
fn one(
    reference: Option<&SecretRef>,
    usual: Option<&'static str>,
) -> Result<Option<Secret>, KeeperError> {
    match (reference, usual) {
        (Some(reference), _) => Ok(Some(secret::resolve(reference)?)),
        (None, Some(name)) => Ok(Some(from_variable(name)?)),
        (None, None) => Ok(None),
    }
}

fn from_variable(name: &str) -> Result<Secret, KeeperError> {
    Ok(secret::resolve(&SecretRef::Env(name.to_owned()))?)
}

/// The service account whose file Google's own tools would read.
fn account_file() -> Result<Option<Secret>, KeeperError> {
    match machine::env_var("GOOGLE_APPLICATION_CREDENTIALS") {
        Some(path) => Ok(Some(secret::resolve(&SecretRef::File(path.into()))?)),
        None => Ok(None),
    }
}

fn variable(name: Option<&'static str>) -> Option<String> {
    let value = machine::env_var(name?)?.into_string().ok()?;
    Some(value).filter(|v| !v.is_empty())
}
