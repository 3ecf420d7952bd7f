//! What can go wrong with an object in a store.

use std::io;

use vouchsafe_host::FileError;

/// A store's refusal or failure. `key` is the object's key, or the prefix of a listing, or empty
/// when the store as a whole is meant; `store` is the store's description.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error(
        "{} is not in {store}; if it should be, check the vault or use another copy",
        shown(key)
    )]
    NotFound {
        /// The key.
        key: String,
        /// The store.
        store: String,
    },
    /// The key is taken; nothing was changed.
    #[error("{} already exists in {store} and was left as it is", shown(key))]
    AlreadyExists {
        /// The key.
        key: String,
        /// The store.
        store: String,
    },
    /// The object ends before the bytes that were asked for.
    #[error(
        "{} in {store} gave {got} of {wanted} bytes from {offset}; \
         the object is cut short: use another copy",
        shown(key)
    )]
    ShortRead {
        /// The key.
        key: String,
        /// The store.
        store: String,
        /// Where reading began.
        offset: u64,
        /// Bytes asked for.
        wanted: u64,
        /// Bytes there are.
        got: u64,
    },
    /// The store takes no changes.
    #[error(
        "{} cannot be changed: {store} is read-only; make it writable",
        shown(key)
    )]
    ReadOnly {
        /// The key.
        key: String,
        /// The store.
        store: String,
    },
    /// There is no space left, or the quota is used up.
    #[error(
        "{} cannot be stored: {store} is full; free space or raise the quota",
        shown(key)
    )]
    Full {
        /// The key.
        key: String,
        /// The store.
        store: String,
    },
    /// Rights are missing.
    #[error(
        "{} in {store} is denied to this user; check owner, mode or credentials",
        shown(key)
    )]
    Denied {
        /// The key.
        key: String,
        /// The store.
        store: String,
    },
    /// The store cannot be reached or cannot answer now.
    #[error(
        "{store} is not available for {}: {reason}{}", shown(key),
        if *retryable { "; try again" } else { "" }
    )]
    Unavailable {
        /// The key.
        key: String,
        /// The store.
        store: String,
        /// What is known of the reason.
        reason: String,
        /// Whether the same call may succeed later without anybody doing anything.
        retryable: bool,
    },
    /// What the store gave cannot be right.
    #[error("{} in {store} is corrupt: {reason}; use another copy", shown(key))]
    Corrupt {
        /// The key.
        key: String,
        /// The store.
        store: String,
        /// What is wrong.
        reason: String,
    },
    /// The object is longer than it may be; the rest was not read.
    #[error(
        "{} in {store} has more than the {most} bytes that it may have; use another copy",
        shown(key)
    )]
    TooLong {
        /// The key.
        key: String,
        /// The store.
        store: String,
        /// The most bytes.
        most: u64,
    },
    /// The store cannot do this at all.
    #[error("{store} knows no {what}; take a store that does")]
    Unsupported {
        /// The key.
        key: String,
        /// The store.
        store: String,
        /// What was asked for.
        what: &'static str,
    },
    /// The operating system reported something else.
    #[error(
        "{store} failed on {}; see the system's log of that disk or network",
        shown(key)
    )]
    Io {
        /// The key.
        key: String,
        /// The store.
        store: String,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable {
                retryable: true,
                ..
            }
        )
    }

    /// Whether the object is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// The key, the prefix, or nothing.
    pub fn key(&self) -> &str {
        match self {
            Self::NotFound { key, .. }
            | Self::AlreadyExists { key, .. }
            | Self::ShortRead { key, .. }
            | Self::ReadOnly { key, .. }
            | Self::Full { key, .. }
            | Self::Denied { key, .. }
            | Self::Unavailable { key, .. }
            | Self::Corrupt { key, .. }
            | Self::TooLong { key, .. }
            | Self::Unsupported { key, .. }
            | Self::Io { key, .. } => key,
        }
    }

    /// The same failure under the names that the caller knows: for stores made of other stores.
    pub(crate) fn seen_as(mut self, key: &str, store: String) -> Self {
        match &mut self {
            Self::NotFound {
                key: k, store: s, ..
            }
            | Self::AlreadyExists {
                key: k, store: s, ..
            }
            | Self::ShortRead {
                key: k, store: s, ..
            }
            | Self::ReadOnly {
                key: k, store: s, ..
            }
            | Self::Full {
                key: k, store: s, ..
            }
            | Self::Denied {
                key: k, store: s, ..
            }
            | Self::Unavailable {
                key: k, store: s, ..
            }
            | Self::Corrupt {
                key: k, store: s, ..
            }
            | Self::TooLong {
                key: k, store: s, ..
            }
            | Self::Unsupported {
                key: k, store: s, ..
            }
            | Self::Io {
                key: k, store: s, ..
            } => {
                key.clone_into(k);
                *s = store;
            }
        }
        self
    }

    /// Sorts an error of the file system into the kinds above.
    pub(crate) fn from_file(error: FileError, key: &str, store: &str) -> Self {
        use io::ErrorKind as Kind;
        let (key, store) = (key.to_owned(), store.to_owned());
        match error.kind() {
            Kind::NotFound => Self::NotFound { key, store },
            Kind::AlreadyExists => Self::AlreadyExists { key, store },
            Kind::PermissionDenied => Self::Denied { key, store },
            Kind::ReadOnlyFilesystem => Self::ReadOnly { key, store },
            Kind::StorageFull | Kind::QuotaExceeded => Self::Full { key, store },
            Kind::TimedOut
            | Kind::ResourceBusy
            | Kind::StaleNetworkFileHandle
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
            | Kind::HostUnreachable => Self::Unavailable {
                key,
                store,
                reason: error.source.to_string(),
                retryable: true,
            },
            _ => Self::Io {
                key,
                store,
                source: error.source,
            },
        }
    }
}

fn shown(key: &str) -> String {
    if key.is_empty() {
        "the store".to_owned()
    } else {
        format!("`{key}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_codes_that_matter_are_told_apart() {
        let sorted = |code| {
            let error = FileError::new("/v/k", "write", io::Error::from_raw_os_error(code));
            StoreError::from_file(error, "k", "/v")
        };
        // Numbers of Linux: ENOSPC, EDQUOT, EROFS, EACCES, ESTALE, EIO.
        assert!(matches!(sorted(28), StoreError::Full { .. }));
        assert!(matches!(sorted(122), StoreError::Full { .. }));
        assert!(matches!(sorted(30), StoreError::ReadOnly { .. }));
        assert!(matches!(sorted(13), StoreError::Denied { .. }));
        assert!(sorted(116).is_transient());
        assert!(matches!(sorted(5), StoreError::Io { .. }));
        assert!(!sorted(5).is_transient());
    }

    #[test]
    fn the_text_names_key_and_place_and_remedy() {
        let full = StoreError::Full {
            key: "data/ab".into(),
            store: "/srv/v".into(),
        };
        let text = full.to_string();
        assert!(text.contains("data/ab") && text.contains("/srv/v") && text.contains("free space"));
    }
}
