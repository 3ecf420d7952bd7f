//! From a vault's URL to its store.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::{LocalStore, Store, StoreError};

/// Why a URL gives no store. Never contains the URL itself: it may hold credentials.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The kind of store is known to the design and not built yet.
    #[error("stores of the kind `{scheme}:` are declared, not yet connected; use file:///path")]
    NotConnected {
        /// The part before the colon.
        scheme: String,
    },
    /// Not a URL that names a store.
    #[error("the store's URL is not understood: {reason}; write it like file:///srv/vault")]
    BadUrl {
        /// What is wrong.
        reason: &'static str,
    },
    /// The kind of store is known, and this build was made without it.
    #[error("this build was made without stores of the kind `{scheme}:`; use one that has them")]
    NotBuilt {
        /// The kind.
        scheme: &'static str,
    },
    /// Something that the service needs to let us in is missing.
    #[error(
        "{store} cannot be opened without {needs}; name it beside the vault's url in the policy"
    )]
    Access {
        /// The store.
        store: String,
        /// What.
        needs: &'static str,
    },
    /// It would be spoken to in plain text, over a network.
    #[error(
        "{store} would be spoken to in plain text over a network; use https, or http to 127.0.0.1"
    )]
    Plain {
        /// The store.
        store: String,
    },
    /// The service does not take what it was given.
    #[error("{store} cannot be opened: {reason}; check url, endpoint and credentials")]
    Service {
        /// The store.
        store: String,
        /// What it said.
        reason: String,
    },
    /// The store is there in principle and cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Opens the existing store that a URL names: `file:///path` or a plain absolute path.
pub fn open_url(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(LocalStore::open(local_path(url)?)?))
}

/// Like [`open_url`], but makes the store's directory if it is missing.
pub fn create_url(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(LocalStore::create(local_path(url)?)?))
}

fn local_path(url: &str) -> Result<PathBuf, OpenError> {
    let bad = |reason| OpenError::BadUrl { reason };
    if url.starts_with('/') {
        return Ok(PathBuf::from(url));
    }
    let (scheme, rest) = url
        .split_once(':')
        .ok_or(bad("it has no scheme and is not absolute"))?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(allowed) {
        return Err(bad("what stands before the colon is not a scheme"));
    }
    if !scheme.eq_ignore_ascii_case("file") {
        return Err(OpenError::NotConnected {
            scheme: scheme.to_ascii_lowercase(),
        });
    }
    let path = match rest.strip_prefix("//") {
        Some(after) => after
            .strip_prefix("localhost")
            .filter(|p| p.starts_with('/'))
            .unwrap_or(after),
        None => rest,
    };
    if !path.starts_with('/') {
        return Err(bad(
            "a file URL needs an absolute path, which makes three slashes",
        ));
    }
    let bytes =
        percent_decoded(path.as_bytes()).ok_or(bad("a % is not followed by two hex digits"))?;
    if bytes.contains(&0) {
        return Err(bad("it contains a NUL byte"));
    }
    Ok(PathBuf::from(OsString::from_vec(bytes)))
}

fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        if *byte == b'%' {
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            let value = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
            out.push(u8::try_from(value).ok()?);
        } else {
            out.push(*byte);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_url_or_by_path() {
        for (url, path) in [
            ("/srv/a b", "/srv/a b"),
            ("file:///srv/a%20b", "/srv/a b"),
            ("file:/srv/x", "/srv/x"),
            ("FILE://localhost/srv", "/srv"),
        ] {
            assert_eq!(local_path(url).expect(url), PathBuf::from(path));
        }
    }

    #[test]
    fn other_kinds_are_declared_and_nonsense_is_refused() {
        for url in [
            "s3://key:hunter2@bucket/x",
            "rest:https://u:hunter2@h/",
            "sftp://h/x",
        ] {
            let error = open_url(url).err().expect(url);
            assert!(matches!(error, OpenError::NotConnected { .. }), "{error}");
            assert!(!error.to_string().contains("hunter2"));
        }
        for url in [
            "",
            "srv/x",
            "file://srv/x",
            "file:x",
            "://x",
            "file:///a%2",
            "file:///a%00b",
        ] {
            assert!(
                matches!(open_url(url), Err(OpenError::BadUrl { .. })),
                "{url}"
            );
        }
    }

    #[test]
    fn opening_does_not_create() {
        let dir = vouchsafe_host::files::temp_dir("open-").expect("a directory");
        let path = dir.path().join("vault");
        let url = format!("file://{}", path.display());
        assert!(matches!(open_url(&url), Err(OpenError::Store(_))));
        create_url(&url).expect("creates");
        open_url(&url).expect("opens");
    }
}
