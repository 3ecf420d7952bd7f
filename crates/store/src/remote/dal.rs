//! Any service of OpenDAL as a store: exact ranges, exact prefixes, and conditions only where they hold.

use std::collections::HashSet;
use std::ops::{ControlFlow, RangeBounds};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use opendal::{Error, ErrorKind, Operator};
use vouchsafe_host::{Random, secret};
use vouchsafe_model::{Secret, Time};

use super::{reason, runtime, unavailable};
use crate::probe::{Conditions, condition_holds};
use crate::{Capabilities, Key, LARGEST, ObjectMeta, PutMode, Store, StoreError};

/// A service reached through OpenDAL.
pub(super) struct DalStore {
    operator: Operator,
    name: String,
    secrets: Vec<Secret>,
    shape: Shape,
    random: Arc<dyn Random>,
    /// Whether the service keeps the promise that one of many puts of a key wins; asked once, at the first such put.
    conditions: Conditions,
    /// Keys of which it is known that they are objects and not folders.
    files: Mutex<HashSet<Key>>,
}

/// How a service names objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// By keys alone: a slash means nothing, and what is stored appears whole.
    Keys,
    /// In folders, like files: a put may be seen half done, a folder may answer like an object.
    Folders,
}

/// Keys that are remembered to be objects.
const REMEMBERED: usize = 100_000;
/// The folder of objects that are being written.
const UNDER_WAY: &str = ".under-way";

impl DalStore {
    pub(super) fn new(
        operator: Operator,
        name: String,
        secrets: Vec<Secret>,
        shape: Shape,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            operator,
            name,
            secrets,
            shape,
            random,
            conditions: Conditions::default(),
            files: Mutex::default(),
        }
    }

    fn wait<T>(
        &self,
        key: &str,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StoreError> {
        match runtime::wait(future) {
            Ok(done) => done.map_err(|e| self.error(&e, key)),
            Err(reason) => Err(unavailable(key, &self.name, reason, false)),
        }
    }

    /// Sorts an error of the service into our kinds.
    pub(super) fn error(&self, error: &Error, key: &str) -> StoreError {
        let (key, store) = (key.to_owned(), self.name.clone());
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory => {
                StoreError::NotFound { key, store }
            }
            ErrorKind::AlreadyExists | ErrorKind::ConditionNotMatch => {
                StoreError::AlreadyExists { key, store }
            }
            ErrorKind::PermissionDenied => StoreError::Denied { key, store },
            kind => {
                let told = std::error::Error::source(error).map(reason);
                let mut reason = format!("{kind}: {}", error.message());
                if let Some(told) = told {
                    reason = format!("{reason}: {told}");
                }
                let reason: String = reason
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(300)
                    .collect();
                let known: Vec<&Secret> = self.secrets.iter().collect();
                let passing = error.is_temporary()
                    || matches!(kind, ErrorKind::RateLimited | ErrorKind::Conflict);
                unavailable(&key, &store, secret::redact(&reason, &known), passing)
            }
        }
    }

    fn not_found(&self, key: &Key) -> StoreError {
        StoreError::NotFound {
            key: key.to_string(),
            store: self.name.clone(),
        }
    }

    fn short(&self, key: &Key, offset: u64, wanted: u64, size: u64) -> StoreError {
        StoreError::ShortRead {
            key: key.to_string(),
            store: self.name.clone(),
            offset,
            wanted,
            got: size.saturating_sub(offset).min(wanted),
        }
    }

    /// Where folders answer like objects: makes sure that this is an object.
    fn require_file(&self, key: &Key) -> Result<(), StoreError> {
        if self.shape == Shape::Keys || self.files().contains(key) {
            return Ok(());
        }
        self.head(key).map(drop)
    }

    fn remember(&self, key: &Key) {
        if self.shape == Shape::Folders {
            let mut files = self.files();
            if files.len() >= REMEMBERED {
                files.clear();
            }
            files.insert(key.clone());
        }
    }

    fn files(&self) -> std::sync::MutexGuard<'_, HashSet<Key>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One put with the service's own condition.
    fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let body = Bytes::copy_from_slice(bytes);
        self.wait(path, async {
            self.operator
                .write_with(path, body)
                .if_not_exists(true)
                .await
                .map(drop)
        })
    }

    /// Writes beside and renames, where a put may be seen half done.
    fn put_whole(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError> {
        let body = Bytes::copy_from_slice(bytes);
        if self.shape == Shape::Keys || !self.operator.info().capability().rename {
            return self.wait(key.as_str(), async {
                self.operator.write(key.as_str(), body).await.map(drop)
            });
        }
        let name: String = self
            .random
            .bytes16()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let beside = format!("{UNDER_WAY}/{name}");
        let moved = self.wait(key.as_str(), async {
            self.operator.write(&beside, body).await?;
            self.operator.rename(&beside, key.as_str()).await
        });
        if moved.is_err() {
            // The first error is the one to report.
            let _ = runtime::wait(self.operator.delete(&beside));
        }
        moved
    }

    /// Reads a part of an object, in place of what `into` held; false as soon as more than `most` bytes have come.
    async fn read_at_most(
        &self,
        key: &Key,
        range: impl RangeBounds<u64>,
        most: u64,
        into: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        into.clear();
        let reader = self.operator.reader(key.as_str()).await?;
        let mut parts = reader.into_stream(range).await?;
        while let Some(part) = parts.next().await {
            let part = part?;
            if (into.len() + part.len()) as u64 > most {
                return Ok(false);
            }
            for piece in part {
                into.extend_from_slice(&piece);
            }
        }
        Ok(true)
    }

    fn offers_conditions(&self) -> bool {
        self.operator.info().capability().write_with_if_not_exists
    }

    /// Whether the service's condition holds; found out once.
    pub(super) fn condition_holds(&self) -> Result<bool, StoreError> {
        if !self.offers_conditions() {
            return Ok(false);
        }
        self.conditions.ask(|| {
            condition_holds(
                &|path, bytes| self.put_if_absent(path, bytes),
                &|path| Ok(self.wait(path, self.operator.read(path))?.to_vec()),
                &|path| self.wait(path, self.operator.delete(path)),
            )
        })
    }
}

impl Store for DalStore {
    fn describe(&self) -> String {
        self.name.clone()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            put_if_absent: self.condition_holds().unwrap_or(false),
            broken_conditions: self.conditions.known() == Some(false),
            atomic_put: true,
            list_consistent: true,
            durable: true,
            retention_lock: false,
            versions: false,
            other_prefixes: true,
        }
    }

    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        let mut out = Vec::new();
        self.get_into(key, LARGEST, &mut out)?;
        Ok(out)
    }

    fn get_into(&self, key: &Key, most: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        self.require_file(key)?;
        let whole = self.wait(key.as_str(), self.read_at_most(key, .., most, into))?;
        self.remember(key);
        if whole {
            return Ok(());
        }
        Err(StoreError::TooLong {
            key: key.to_string(),
            store: self.name.clone(),
            most,
        })
    }

    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        let end = offset.checked_add(len);
        if len == 0 || len > LARGEST || end.is_none() {
            let size = self.head(key)?.size;
            if len == 0 {
                return Ok(Vec::new());
            }
            if size.saturating_sub(offset) < len {
                return Err(self.short(key, offset, len, size));
            }
        }
        self.require_file(key)?;
        let range = offset..end.unwrap_or(u64::MAX);
        let mut out = Vec::new();
        let got = runtime::wait(self.read_at_most(key, range, len, &mut out))
            .map_err(|reason| unavailable(key.as_str(), &self.name, reason, false))?;
        let error = match got {
            Ok(true) if out.len() as u64 == len => return Ok(out),
            Ok(_) => None,
            Err(error) => match self.error(&error, key.as_str()) {
                lost if lost.is_not_found() || lost.is_transient() => return Err(lost),
                other => Some(other),
            },
        };
        // Services tell an object that is too short in many ways.
        let size = self.head(key)?.size;
        if size.saturating_sub(offset) < len {
            return Err(self.short(key, offset, len, size));
        }
        Err(error.unwrap_or_else(|| StoreError::Corrupt {
            key: key.to_string(),
            store: self.name.clone(),
            reason: "a range came with another length than was asked for".to_owned(),
        }))
    }

    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        let meta = self.wait(key.as_str(), self.operator.stat(key.as_str()))?;
        if !meta.is_file() {
            return Err(self.not_found(key));
        }
        self.remember(key);
        Ok(ObjectMeta {
            size: meta.content_length(),
            modified: meta
                .last_modified()
                .map(|at| Time::from_timestamp(at.into_inner())),
        })
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        match mode {
            PutMode::Replace => self.put_whole(key, bytes)?,
            PutMode::IfAbsent if self.condition_holds()? => {
                self.put_if_absent(key.as_str(), bytes)?
            }
            PutMode::IfAbsent => {
                if crate::exists(self, key)? {
                    let (key, store) = (key.to_string(), self.name.clone());
                    return Err(StoreError::AlreadyExists { key, store });
                }
                self.put_whole(key, bytes)?;
            }
        }
        self.remember(key);
        Ok(())
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        if self.shape == Shape::Folders {
            self.files().remove(key);
            // A folder of this name would go with everything in it.
            match self.head(key) {
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
                Ok(_) => {
                    self.files().remove(key);
                }
            }
        }
        match self.wait(key.as_str(), self.operator.delete(key.as_str())) {
            Err(error) if error.is_not_found() => Ok(()),
            done => done,
        }
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let Some(start) = start_of(prefix, self.shape) else {
            return Ok(());
        };
        let listed = runtime::wait(async {
            let mut lister = match self.operator.lister_with(&start).recursive(true).await {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                other => other?,
            };
            while let Some(entry) = lister.next().await {
                let entry = match entry {
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    other => other?,
                };
                let Some(key) = key_of(entry.path(), prefix) else {
                    continue;
                };
                if !entry.metadata().is_file() {
                    continue;
                }
                if visit(key, entry.metadata().content_length()).is_break() {
                    break;
                }
            }
            Ok(())
        });
        match listed {
            Ok(done) => done.map_err(|e: Error| self.error(&e, prefix)),
            Err(reason) => Err(unavailable(prefix, &self.name, reason, false)),
        }
    }
}

/// From where to list; nothing if no key can begin with the prefix.
fn start_of(prefix: &str, shape: Shape) -> Option<String> {
    if prefix == "/" {
        return None;
    }
    let dir = prefix.rsplit_once('/').map_or("", |(dir, _)| dir);
    if !dir.is_empty() && Key::new(dir).is_err() {
        return None;
    }
    match (shape, dir) {
        (Shape::Keys, _) if !prefix.is_empty() => Some(prefix.to_owned()),
        (_, "") => Some("/".to_owned()),
        (_, dir) => Some(format!("{dir}/")),
    }
}

/// The key of a listed path, unless it is a folder, something under way, or foreign.
fn key_of(path: &str, prefix: &str) -> Option<Key> {
    if path.ends_with('/') || !path.starts_with(prefix) {
        return None;
    }
    Key::new(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_begins_where_its_keys_can_be() {
        for (prefix, keys, folders) in [
            ("", Some("/"), Some("/")),
            ("data", Some("data"), Some("/")),
            ("data/", Some("data/"), Some("data/")),
            ("data/0", Some("data/0"), Some("data/")),
            ("../", None, None),
            ("/", None, None),
            ("data//", None, None),
        ] {
            assert_eq!(start_of(prefix, Shape::Keys).as_deref(), keys, "{prefix}");
            assert_eq!(
                start_of(prefix, Shape::Folders).as_deref(),
                folders,
                "{prefix}"
            );
        }
    }

    #[test]
    fn what_is_no_object_is_not_listed() {
        assert!(key_of("data/ab", "data/").is_some());
        for path in ["data/", ".under-way/0f", "other/x", "data/.hidden"] {
            assert!(key_of(path, "data/").is_none(), "{path}");
        }
        assert!(key_of(".under-way/0f", "").is_none());
    }
}
