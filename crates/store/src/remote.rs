//! Stores reached over a network: which kind a place is, and how it is opened.

#[cfg(feature = "dal")]
mod bounded;
#[cfg(feature = "dal")]
mod dal;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "kms")]
pub(crate) mod kms;
#[cfg(feature = "http")]
pub(crate) mod post;
#[cfg(feature = "rest")]
mod rest;
#[cfg(feature = "runtime")]
mod runtime;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "s3")]
mod s3_objects;
#[cfg(feature = "dal")]
mod services;
#[cfg(feature = "sftp")]
mod sftp;
#[cfg(feature = "sftp")]
mod sftp_session;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use vouchsafe_host::{Clock, Random, Spawn};
use vouchsafe_model::{Limits, MinTls, Secret, VaultPlace, Wire};

use crate::open::OpenError;
use crate::{Paced, Retrying, Store, StoreError};

/// What opens a remote store; the secrets are there, no longer by reference.
#[derive(Clone, Debug, Default)]
pub struct RemoteAccess {
    /// The service's address, where the place does not name it.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub signing_region: Option<String>,
    /// Who logs in: a user, an account.
    pub user: Option<String>,
    /// S3: the identifier of the access key.
    pub access_key: Option<Secret>,
    /// S3: the access key's secret.
    pub secret_key: Option<Secret>,
    /// What other services take as proof.
    pub credential: Option<Secret>,
    /// SFTP: the private key.
    pub identity: Option<PathBuf>,
    /// SFTP: the file of the hosts' keys.
    pub known_hosts: Option<PathBuf>,
    /// The oldest version of TLS that is spoken.
    pub min_tls: MinTls,
    /// How much it may be used.
    pub limits: Limits,
}

/// What a remote store uses of this machine.
#[derive(Clone)]
pub struct Means {
    /// Waits between attempts, and measures what is sent.
    pub clock: Arc<dyn Clock>,
    /// Spreads attempts, and names what is being written.
    pub random: Arc<dyn Random>,
    /// Starts `ssh`.
    pub spawn: Arc<dyn Spawn>,
    /// Where SSH finds its agent, if there is one.
    pub ssh_agent: Option<OsString>,
}

/// Opens a remote store: bounded connections and rates outside, repeated attempts inside.
///
/// Nothing is sent yet, with one exception: SFTP logs in, and looks for its directory. With `create` it makes that;
/// buckets and containers are made by people.
///
/// # Errors
/// [`OpenError::NotBuilt`] for a kind that this build leaves out, [`OpenError::Access`] if something that the
/// service needs is missing, [`OpenError::Plain`] for plain text to another machine.
pub fn open_remote(
    place: &VaultPlace,
    access: &RemoteAccess,
    means: &Means,
    create: bool,
) -> Result<Arc<dyn Store>, OpenError> {
    let wire = place.wire(access.endpoint.as_deref());
    if wire == Wire::Plain {
        return Err(OpenError::Plain {
            store: place.to_string(),
        });
    }
    let bare = open_bare(place, access, means, wire, create)?;
    let retrying = Retrying::new(bare, Arc::clone(&means.clock), Arc::clone(&means.random));
    Ok(Arc::new(Paced::new(
        Arc::new(retrying),
        access.limits,
        Arc::clone(&means.clock),
    )))
}

fn open_bare(
    place: &VaultPlace,
    access: &RemoteAccess,
    means: &Means,
    wire: Wire,
    create: bool,
) -> Result<Arc<dyn Store>, OpenError> {
    match place {
        VaultPlace::File { .. } => Err(OpenError::BadUrl {
            reason: "it is a directory of this machine",
        }),
        #[cfg(feature = "s3")]
        VaultPlace::S3 { .. } => Ok(Arc::new(s3::S3Store::open(place, access, means, wire)?)),
        #[cfg(feature = "rest")]
        VaultPlace::Rest { url } => Ok(Arc::new(rest::RestStore::open(url, access, wire)?)),
        #[cfg(feature = "sftp")]
        VaultPlace::Sftp { .. } => Ok(Arc::new(sftp::SftpStore::open(
            place, access, means, create,
        )?)),
        #[cfg(feature = "webdav")]
        VaultPlace::WebDav { url } => services::webdav(place, url, access, means, wire),
        #[cfg(feature = "azblob")]
        VaultPlace::Azblob { container, prefix } => {
            services::azblob(place, (container, prefix), access, means, wire)
        }
        #[cfg(feature = "gcs")]
        VaultPlace::Gcs { bucket, prefix } => {
            services::gcs(place, (bucket, prefix), access, means, wire)
        }
        #[cfg(feature = "gdrive")]
        VaultPlace::Gdrive { path } => services::gdrive(place, path, access, means, wire),
        #[allow(unreachable_patterns)]
        other => Err(OpenError::NotBuilt {
            scheme: other.kind(),
        }),
    }
}

/// A secret as text, for services that take nothing else.
#[cfg(feature = "runtime")]
fn text_of(secret: Option<&Secret>, store: &str, needs: &'static str) -> Result<String, OpenError> {
    let missing = || OpenError::Access {
        store: store.to_owned(),
        needs,
    };
    let secret = secret.ok_or_else(missing)?;
    String::from_utf8(secret.expose().to_vec()).map_err(|_| missing())
}

/// The error and its causes in one line.
#[cfg(feature = "runtime")]
fn reason(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !out.contains(&text) {
            out = format!("{out}: {text}");
        }
        next = cause.source();
    }
    out
}

#[cfg(feature = "runtime")]
fn unavailable(key: &str, store: &str, reason: String, retryable: bool) -> StoreError {
    StoreError::Unavailable {
        key: key.to_owned(),
        store: store.to_owned(),
        reason,
        retryable,
    }
}
