//! A store in a directory of this machine: one file for each object.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use vouchsafe_host::files::{self, FileError, PRIVATE_DIR, TEMPORARY_PREFIX};
use vouchsafe_model::Time;

use crate::key::is_part;
use crate::{Capabilities, Growing, Key, LARGEST, ObjectMeta, PutMode, Store, StoreError};

/// Objects as files (mode 0400) in directories (mode 0700) below a root.
///
/// A put writes a temporary file beside the object's name, syncs it, renames it and syncs the
/// directory. Names that are not keys, and leftovers of interrupted puts, are not listed.
///
/// The root is never created by a put: when it is missing, a mount is probably missing, and an
/// empty directory in its place must not be taken for the store.
#[derive(Debug)]
pub struct LocalStore {
    root: PathBuf,
    name: String,
    /// Directories whose own names are known to be durable.
    anchored: Mutex<HashSet<PathBuf>>,
}

/// The mode of an object: nobody has a reason to write to it.
const OBJECT_MODE: u32 = 0o400;

impl LocalStore {
    /// Opens a store whose directory exists.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, StoreError> {
        let store = Self::at(root.as_ref());
        store.require_root("")?;
        Ok(store)
    }

    /// Opens a store, making its directory (mode 0700) if it is missing.
    pub fn create(root: impl AsRef<Path>) -> Result<Self, StoreError> {
        let store = Self::at(root.as_ref());
        let missing = missing_ancestors(&store.root);
        files::create_dir_all(&store.root, PRIVATE_DIR).map_err(|e| store.error(e, ""))?;
        for created in missing {
            store.sync_parent(&created, "")?;
        }
        store.require_root("")?;
        Ok(store)
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn clear(&self, before: Time) -> Result<u64, StoreError> {
        let mut leftovers = Vec::new();
        let mut collect = |path: PathBuf| {
            leftovers.push(path);
            ControlFlow::Continue(())
        };
        let _ = self.walk(&self.root, "", &mut |found| match found {
            Found::Leftover(path) => collect(path),
            Found::Object(..) => ControlFlow::Continue(()),
        })?;
        let mut removed = 0;
        for path in leftovers {
            let old = match files::modified(&path) {
                Ok(at) => at < before,
                Err(e) if e.is_not_found() => false,
                Err(e) => return Err(self.error(e, "")),
            };
            if old {
                files::remove_file(&path).map_err(|e| self.error(e, ""))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn at(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            name: root.display().to_string(),
            anchored: Mutex::default(),
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn error(&self, error: FileError, key: &str) -> StoreError {
        StoreError::from_file(error, key, &self.name)
    }

    /// An error about an object, unless the reason is that the whole store is not there.
    fn object_error(&self, error: FileError, key: &Key) -> StoreError {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::NotFound => {
                self.require_root(key.as_str())
                    .err()
                    .unwrap_or_else(|| StoreError::NotFound {
                        key: key.to_string(),
                        store: self.name.clone(),
                    })
            }
            // A directory of this name, or a file where a directory would have to be, holds no
            // object of this name.
            ErrorKind::IsADirectory | ErrorKind::NotADirectory => StoreError::NotFound {
                key: key.to_string(),
                store: self.name.clone(),
            },
            _ => self.error(error, key.as_str()),
        }
    }

    fn require_root(&self, key: &str) -> Result<(), StoreError> {
        if self.root.is_dir() {
            return Ok(());
        }
        Err(StoreError::Unavailable {
            key: key.to_owned(),
            store: self.name.clone(),
            reason: "its directory does not exist; is it mounted?".to_owned(),
            retryable: false,
        })
    }

    /// Makes the directories between root and object, and their names durable.
    fn prepare_directory(&self, key: &Key) -> Result<PathBuf, StoreError> {
        let path = self.path(key);
        let below_root: Vec<&str> = key.as_str().split('/').collect();
        let mut dir = self.root.clone();
        for part in below_root.iter().take(below_root.len().saturating_sub(1)) {
            dir.push(part);
            let known = self
                .anchored
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&dir);
            if known && dir.is_dir() {
                continue;
            }
            match files::create_dir(&dir, PRIVATE_DIR) {
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                other => other.map_err(|e| self.writing_error(e, key))?,
            }
            // Also when it existed: whoever made it may not have come to make it durable.
            self.sync_parent(&dir, key.as_str())?;
            self.anchored
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(dir.clone());
        }
        Ok(path)
    }

    fn sync_parent(&self, path: &Path, key: &str) -> Result<(), StoreError> {
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
        files::fsync_dir(parent.unwrap_or(Path::new("."))).map_err(|e| self.error(e, key))
    }

    /// When writing, something not found is the store, not the object.
    fn writing_error(&self, error: FileError, key: &Key) -> StoreError {
        if error.is_not_found() {
            if let Err(missing) = self.require_root(key.as_str()) {
                return missing;
            }
            let (key, store) = (key.to_string(), self.name.clone());
            return StoreError::Io {
                key,
                store,
                source: error.source,
            };
        }
        self.error(error, key.as_str())
    }

    fn walk(
        &self,
        dir: &Path,
        dir_key: &str,
        visit: &mut dyn FnMut(Found) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let entries = match files::list_entries(dir) {
            Ok(entries) => entries,
            // Removed since it was seen; the root is looked at by the callers.
            Err(e) if e.is_not_found() => return Ok(ControlFlow::Continue(())),
            // A file of this name: nothing is below it.
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => {
                return Ok(ControlFlow::Continue(()));
            }
            Err(e) => return Err(self.error(e, dir_key)),
        };
        for entry in entries {
            let Some(name) = entry.name.to_str() else {
                continue;
            };
            let flow = if name.starts_with(TEMPORARY_PREFIX) {
                visit(Found::Leftover(dir.join(name)))
            } else if !is_part(name) {
                continue;
            } else if entry.is_dir {
                self.walk(&dir.join(name), &format!("{dir_key}{name}/"), visit)?
            } else {
                match Key::new(format!("{dir_key}{name}")) {
                    Ok(key) => visit(Found::Object(key, entry.size)),
                    Err(_) => continue,
                }
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

enum Found {
    Object(Key, u64),
    Leftover(PathBuf),
}

impl Store for LocalStore {
    fn describe(&self) -> String {
        self.name.clone()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            put_if_absent: true,
            atomic_put: true,
            list_consistent: true,
            durable: true,
            retention_lock: false,
            versions: false,
            other_prefixes: true,
            broken_conditions: false,
        }
    }

    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        let mut out = Vec::new();
        self.get_into(key, LARGEST, &mut out)?;
        Ok(out)
    }

    fn get_into(&self, key: &Key, most: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        files::read_into(self.path(key), most, into).map_err(|e| match e.kind() {
            io::ErrorKind::FileTooLarge => StoreError::TooLong {
                key: key.to_string(),
                store: self.name.clone(),
                most,
            },
            _ => self.object_error(e, key),
        })
    }

    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.path(key);
        let failed = |source| self.object_error(FileError::new(&path, "read", source), key);
        let file = files::open_read(&path).map_err(|e| self.object_error(e, key))?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(StoreError::NotFound {
                key: key.to_string(),
                store: self.name.clone(),
            });
        }
        let available = metadata.len().saturating_sub(offset);
        let short = |got| StoreError::ShortRead {
            key: key.to_string(),
            store: self.name.clone(),
            offset,
            wanted: len,
            got,
        };
        if available < len {
            return Err(short(available));
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| short(0))?];
        match file.read_exact_at(&mut bytes, offset) {
            Ok(()) => Ok(bytes),
            // Cut off by somebody after its length was asked for.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(short(0)),
            Err(e) => Err(failed(e)),
        }
    }

    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        let (size, modified) =
            files::size_and_time(self.path(key)).map_err(|e| self.object_error(e, key))?;
        Ok(ObjectMeta {
            size,
            modified: Some(modified),
        })
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        self.require_root(key.as_str())?;
        let path = self.prepare_directory(key)?;
        let taken = || StoreError::AlreadyExists {
            key: key.to_string(),
            store: self.name.clone(),
        };
        if mode == PutMode::IfAbsent
            && files::exists(&path).map_err(|e| self.writing_error(e, key))?
        {
            return Err(taken());
        }
        let temporary = files::write_temporary(&path, bytes, OBJECT_MODE)
            .map_err(|e| self.writing_error(e, key))?;
        if let Err(error) = publish(&temporary, &path, mode) {
            // The first error is the one to report; the leftover is recognisable by its name.
            let _ = files::remove_file(&temporary);
            return Err(self.writing_error(error, key));
        }
        self.sync_parent(&path, key.as_str())
    }

    fn grows(&self) -> bool {
        true
    }

    fn begin(self: Arc<Self>, beside: &Key) -> Result<Box<dyn Growing>, StoreError> {
        self.require_root(beside.as_str())?;
        let path = self.prepare_directory(beside)?;
        let (temporary, file) = files::create_temporary(&path, OBJECT_MODE)
            .map_err(|e| self.writing_error(e, beside))?;
        Ok(Box::new(GrowingFile {
            temporary,
            file,
            is_put: false,
            beside: beside.clone(),
            store: self,
        }))
    }

    /// A put still under way elsewhere is younger than any sensible limit.
    fn remove_leftovers(&self, before: Time) -> Result<u64, StoreError> {
        self.clear(before)
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.require_root(key.as_str())?;
        let path = self.path(key);
        match files::size_and_time(&path) {
            Ok(_) => {}
            Err(e) => match self.object_error(e, key) {
                StoreError::NotFound { .. } => return Ok(()),
                other => return Err(other),
            },
        }
        files::remove_file(&path).map_err(|e| self.error(e, key.as_str()))?;
        self.sync_parent(&path, key.as_str())
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.require_root(prefix)?;
        let dir_key = prefix.rsplit_once('/').map_or("", |(dir, _)| dir);
        // No key begins with something that is not a key itself.
        if !dir_key.is_empty() && Key::new(dir_key).is_err() || prefix == "/" {
            return Ok(());
        }
        let start = if dir_key.is_empty() {
            String::new()
        } else {
            format!("{dir_key}/")
        };
        let _ = self.walk(&self.root.join(dir_key), &start, &mut |found| match found {
            Found::Object(key, size) if key.as_str().starts_with(prefix) => visit(key, size),
            Found::Object(..) | Found::Leftover(_) => ControlFlow::Continue(()),
        })?;
        Ok(())
    }
}

/// Gives a temporary file the name of an object.
fn publish(temporary: &Path, path: &Path, mode: PutMode) -> Result<(), FileError> {
    match mode {
        PutMode::IfAbsent => files::rename_new(temporary, path),
        PutMode::Replace => files::rename(temporary, path),
    }
}

/// A temporary file that becomes an object.
struct GrowingFile {
    temporary: PathBuf,
    file: File,
    is_put: bool,
    /// What errors name as long as the object has no key.
    beside: Key,
    store: Arc<LocalStore>,
}

impl Growing for GrowingFile {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(|source| {
            let error = FileError::new(&self.temporary, "write", source);
            self.store.writing_error(error, &self.beside)
        })
    }

    fn put(&mut self, key: &Key, mode: PutMode) -> Result<(), StoreError> {
        let store = &self.store;
        store.require_root(key.as_str())?;
        let path = store.prepare_directory(key)?;
        self.file.sync_all().map_err(|source| {
            store.writing_error(FileError::new(&self.temporary, "sync", source), key)
        })?;
        if !self.is_put {
            publish(&self.temporary, &path, mode).map_err(|e| store.writing_error(e, key))?;
            self.is_put = true;
        }
        store.sync_parent(&path, key.as_str())
    }
}

impl Drop for GrowingFile {
    fn drop(&mut self) {
        if !self.is_put {
            // What stays is recognisable by its name, and no object.
            let _ = files::remove_file(&self.temporary);
        }
    }
}

/// The directories on the way to `path` that do not exist yet, outermost first.
fn missing_ancestors(path: &Path) -> Vec<PathBuf> {
    let absent = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let mut out: Vec<PathBuf> = path
        .ancestors()
        .take_while(absent)
        .map(Path::to_path_buf)
        .collect();
    out.reverse();
    out
}
