//! The log streams of one vault, and one of them.

use std::fmt;
use std::sync::Arc;

use vouchsafe_format::fragment::{LogKeys, LogName, StreamName};
use vouchsafe_store::Store;

use super::objects::LogObjects;
use crate::env::Env;
use crate::repository::Repository;

/// The log streams of one vault. It holds what their keys are derived from, and gives it to nobody.
pub struct LogVault {
    store: Arc<dyn Store>,
    keys: LogKeys,
    env: Env,
    hands: usize,
}

/// One stream in one vault. Making it touches nothing.
#[derive(Clone)]
pub struct LogStream {
    pub(super) objects: LogObjects,
}

impl Repository {
    /// The log streams beside this repository; `root` is the store of the whole vault.
    pub fn logs(&self, root: Arc<dyn Store>) -> LogVault {
        LogVault {
            store: root,
            keys: LogKeys::of(&self.key),
            env: self.env().clone(),
            hands: self.hands(),
        }
    }
}

impl LogVault {
    /// The stream of this name, whether anything of it is there or not.
    pub fn stream(&self, name: StreamName) -> LogStream {
        LogStream {
            objects: LogObjects {
                id: self.keys.stream_id(&name),
                stream: name,
                store: Arc::clone(&self.store),
                keys: self.keys.clone(),
                env: self.env.clone(),
                hands: self.hands,
            },
        }
    }
}

impl LogStream {
    /// The system and the stream.
    pub fn name(&self) -> &StreamName {
        &self.objects.stream
    }

    /// The folder below the vault's root that holds its objects, with a slash behind it.
    pub fn folder(&self) -> String {
        LogName::folder(self.objects.id)
    }

    /// Where the vault is.
    pub fn place(&self) -> String {
        self.objects.place()
    }
}

impl fmt::Debug for LogVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogVault")
            .field("store", &self.store.describe())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for LogStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogStream")
            .field("name", self.name())
            .field("store", &self.place())
            .finish_non_exhaustive()
    }
}
