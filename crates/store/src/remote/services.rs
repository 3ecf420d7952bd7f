//! The services of OpenDAL that need nothing of our own: how each one is addressed and opened.

use std::sync::Arc;

use opendal::{Builder, HttpTransporter, OperationContext, Operator};
use vouchsafe_model::{Secret, VaultPlace, Wire};

use super::bounded::Bounded;
use super::dal::{DalStore, Shape};
use super::{Means, RemoteAccess, http, text_of};
use crate::Store;
use crate::open::OpenError;

/// The operator over a service, speaking through our own client.
pub(super) fn operator(
    service: impl Builder,
    name: &str,
    access: &RemoteAccess,
    wire: Wire,
) -> Result<Operator, OpenError> {
    let client = http::client(name, wire, access.min_tls)?;
    let transport = HttpTransporter::new(Bounded::new(client));
    let context = OperationContext::new().with_http_transport(transport);
    let operator = Operator::new(service).map_err(|e| OpenError::Service {
        store: name.to_owned(),
        reason: e.message().to_owned(),
    })?;
    Ok(operator.with_context(context))
}

/// Every secret that a service was given.
pub(super) fn secrets(access: &RemoteAccess) -> Vec<Secret> {
    [&access.access_key, &access.secret_key, &access.credential]
        .into_iter()
        .flatten()
        .cloned()
        .collect()
}

fn store(
    service: impl Builder,
    name: String,
    shape: Shape,
    access: &RemoteAccess,
    means: &Means,
    wire: Wire,
) -> Result<Arc<dyn Store>, OpenError> {
    let operator = operator(service, &name, access, wire)?;
    let random = Arc::clone(&means.random);
    Ok(Arc::new(DalStore::new(
        operator,
        name,
        secrets(access),
        shape,
        random,
    )))
}

/// A WebDAV folder; basic authentication if a user is named.
#[cfg(feature = "webdav")]
pub(super) fn webdav(
    place: &VaultPlace,
    url: &str,
    access: &RemoteAccess,
    means: &Means,
    wire: Wire,
) -> Result<Arc<dyn Store>, OpenError> {
    let name = place.to_string();
    // What lies below the server itself is the root: it is made if it is missing, with what is above it.
    let host = url.split_once("://").map_or(url.len(), |(scheme, rest)| {
        scheme.len() + 3 + rest.find('/').unwrap_or(rest.len())
    });
    let (server, root) = url.split_at(host);
    let mut service = opendal::services::Webdav::default()
        .endpoint(server)
        .root(root);
    if let Some(user) = &access.user {
        let password = text_of(
            access.credential.as_ref(),
            &name,
            "the user's password (credential)",
        )?;
        service = service.username(user).password(&password);
    }
    store(service, name, Shape::Folders, access, means, wire)
}

/// A container of Azure Blob Storage, opened by the account's key.
#[cfg(feature = "azblob")]
pub(super) fn azblob(
    place: &VaultPlace,
    (container, prefix): (&str, &str),
    access: &RemoteAccess,
    means: &Means,
    wire: Wire,
) -> Result<Arc<dyn Store>, OpenError> {
    let name = place.to_string();
    let needs = |needs| OpenError::Access {
        store: name.clone(),
        needs,
    };
    let account = access
        .user
        .as_deref()
        .ok_or_else(|| needs("the account's name (user)"))?;
    let key = text_of(
        access.credential.as_ref(),
        &name,
        "the account's key (credential)",
    )?;
    let usual = format!("https://{account}.blob.core.windows.net");
    let service = opendal::services::Azblob::default()
        .container(container)
        .root(&format!("/{prefix}"))
        .endpoint(access.endpoint.as_deref().unwrap_or(&usual))
        .account_name(account)
        .account_key(&key);
    store(service, name, Shape::Keys, access, means, wire)
}

/// A bucket of Google Cloud Storage, opened by a service account's key; without one it must be open to all.
#[cfg(feature = "gcs")]
pub(super) fn gcs(
    place: &VaultPlace,
    (bucket, prefix): (&str, &str),
    access: &RemoteAccess,
    means: &Means,
    wire: Wire,
) -> Result<Arc<dyn Store>, OpenError> {
    use base64::Engine;
    let name = place.to_string();
    let mut service = opendal::services::Gcs::default()
        .bucket(bucket)
        .root(&format!("/{prefix}"))
        .disable_vm_metadata()
        .disable_config_load();
    if let Some(endpoint) = &access.endpoint {
        service = service.endpoint(endpoint);
    }
    service = match &access.credential {
        Some(account) => {
            service.credential(&base64::engine::general_purpose::STANDARD.encode(account.expose()))
        }
        None => service.skip_signature(),
    };
    store(service, name, Shape::Keys, access, means, wire)
}

/// A folder of Google Drive, opened by what a login gave: `client_id`, `client_secret` and `refresh_token` as JSON.
#[cfg(feature = "gdrive")]
pub(super) fn gdrive(
    place: &VaultPlace,
    path: &str,
    access: &RemoteAccess,
    means: &Means,
    wire: Wire,
) -> Result<Arc<dyn Store>, OpenError> {
    const NEEDS: &str = "a credential with client_id, client_secret and refresh_token as JSON";
    let name = place.to_string();
    let text = text_of(access.credential.as_ref(), &name, NEEDS)?;
    let needs = || OpenError::Access {
        store: name.clone(),
        needs: NEEDS,
    };
    let login: serde_json::Value = serde_json::from_str(&text).map_err(|_| needs())?;
    let part = |name: &str| {
        login
            .get(name)
            .and_then(serde_json::Value::as_str)
            .ok_or_else(needs)
    };
    let service = opendal::services::Gdrive::default()
        .root(&format!("/{path}"))
        .client_id(part("client_id")?)
        .client_secret(part("client_secret")?)
        .refresh_token(part("refresh_token")?);
    store(service, name, Shape::Folders, access, means, wire)
}
