//! One request to a service that is no store: bytes go there, and bytes come back.

use std::time::Duration;

use vouchsafe_model::{MinTls, Wire};

/// What is sent, and what may come back.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// The service's address: `https://`, or `http://` on this machine. It is shown in errors.
    pub url: &'a str,
    /// The media type of what is sent.
    pub content_type: &'static str,
    /// What is sent.
    pub body: &'a [u8],
    /// The most bytes that are read of the answer.
    pub longest: usize,
    /// How long all of it may take.
    pub within: Duration,
    /// The oldest version of TLS that is spoken.
    pub min_tls: MinTls,
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// Plain text over a network.
    #[error("{url} would be spoken to in plain text over a network; write https://")]
    Plain {
        /// The address.
        url: String,
    },
    /// No answer.
    #[error(
        "{url} cannot be reached: {reason}; see whether the address and the network are right, and try again"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
    /// An answer that is none.
    #[error("{url} answered with {status} and not with 200; see whether the address is right")]
    Refused {
        /// The address.
        url: String,
        /// The status of HTTP.
        status: u16,
    },
    /// More than is read.
    #[error("{url} answered with more than {longest} bytes; see whether the address is right")]
    TooLong {
        /// The address.
        url: String,
        /// What is read at most.
        longest: usize,
    },
    /// This build has no client.
    #[error(
        "this build speaks no HTTP, so {url} cannot be asked; take one with the feature `http`"
    )]
    NotBuilt {
        /// The address.
        url: String,
    },
}

/// Sends one request, once, and follows no redirection.
///
/// # Errors
/// [`PostError`]. Whether the service has seen the request is not known then.
pub fn post(request: &Post<'_>) -> Result<Vec<u8>, PostError> {
    let url = || request.url.to_owned();
    match Wire::of_address(request.url) {
        Wire::Plain => Err(PostError::Plain { url: url() }),
        #[cfg(feature = "http")]
        wire => crate::remote::post::send(request, wire),
        #[cfg(not(feature = "http"))]
        _ => Err(PostError::NotBuilt { url: url() }),
    }
}
