//! The HTTP client of remote stores: which TLS is spoken, how long is waited, what may be redirected.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, tls};
use vouchsafe_model::{MinTls, Wire};

use super::{reason, unavailable};
use crate::StoreError;

/// How long the making of a connection may take.
const CONNECT: Duration = Duration::from_secs(20);
/// How long a server may be silent in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(90);

/// Bytes that are set aside before any of them has come.
const AT_ONCE: u64 = 64 << 20;
/// Bytes that are read of what a server says to a request that it refuses.
pub(super) const LONGEST_REFUSAL: u64 = 64 << 10;
/// Bytes that a listing, or another answer about objects, may have.
pub(super) const LONGEST_ANSWER: u64 = 1 << 30;

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

/// The body of an answer if it has at most `most` bytes, else nothing: what is longer is not kept, whatever the server
/// says or sends.
pub(super) async fn body(
    mut answer: Response,
    most: u64,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let stated = answer.content_length().unwrap_or(0);
    if stated > most {
        return Ok(None);
    }
    // It is set aside in proportion to what really comes.
    let mut out = Vec::with_capacity(usize::try_from(stated.min(AT_ONCE)).unwrap_or(0));
    while let Some(part) = answer.chunk().await? {
        if (out.len() + part.len()) as u64 > most {
            return Ok(None);
        }
        out.extend_from_slice(&part);
    }
    Ok(Some(out))
}

/// What a server says to a request that it refuses: the beginning of it.
pub(super) async fn said(answer: Response) -> String {
    let said = body(answer, LONGEST_REFUSAL).await;
    let said = said.ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&said).into_owned()
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
