//! The HTTP client of remote stores: which TLS is spoken, how long is waited, what may be redirected.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, tls};
use vouchsafe_model::{MinTls, Wire};

use super::{reason, unavailable};
use crate::StoreError;

/// How long the making of a connection may take.
const CONNECT: Duration = Duration::from_secs(20);
/// How long a server may be silent in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(90);

/// A client for one store.
pub(super) fn client(store: &str, wire: Wire, min_tls: MinTls) -> Result<Client, StoreError> {
    client_that_follows(3, wire, min_tls).map_err(|e| unavailable("", store, reason(&e), false))
}

/// A client that lets itself be sent on as many times.
pub(super) fn client_that_follows(
    redirections: usize,
    wire: Wire,
    min_tls: MinTls,
) -> Result<Client, reqwest::Error> {
    // The second and every later call finds a provider in place, which is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let oldest = match min_tls {
        MinTls::V1_2 => tls::Version::TLS_1_2,
        MinTls::V1_3 => tls::Version::TLS_1_3,
    };
    let mut builder = Client::builder()
        .user_agent(concat!("vouchsafe/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .redirect(match redirections {
            0 => Policy::none(),
            most => Policy::limited(most),
        })
        .tls_version_min(oldest);
    if wire == Wire::PlainLoopback {
        builder = builder.no_proxy();
    } else {
        // Also a redirection leads nowhere that is not protected.
        builder = builder.https_only(true);
    }
    builder.build()
}

/// The failure of a request that got no answer.
pub(super) fn failed(error: reqwest::Error, key: &str, store: &str) -> StoreError {
    let retryable = !(error.is_builder() || error.is_redirect());
    unavailable(key, store, reason(&error.without_url()), retryable)
}

/// What an answer's code means when it is no success.
pub(super) fn refused(status: StatusCode, said: &str, key: &str, store: &str) -> StoreError {
    let (key_, store_) = (key.to_owned(), store.to_owned());
    match status.as_u16() {
        404 | 410 => StoreError::NotFound {
            key: key_,
            store: store_,
        },
        401 | 403 => StoreError::Denied {
            key: key_,
            store: store_,
        },
        412 => StoreError::AlreadyExists {
            key: key_,
            store: store_,
        },
        413 | 507 => StoreError::Full {
            key: key_,
            store: store_,
        },
        code => {
            let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
            let reason = format!("it answered {code} {said}").trim_end().to_owned();
            unavailable(
                key,
                store,
                reason,
                matches!(code, 408 | 423 | 425 | 429 | 500..=599),
            )
        }
    }
}
