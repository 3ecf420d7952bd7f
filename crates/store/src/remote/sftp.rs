//! A directory of another machine, reached by SSH: written beside, synced, and given its name in one step.

use std::collections::HashSet;
use std::io::SeekFrom;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::stream;
use openssh_sftp_client::error::SftpErrorKind;
use openssh_sftp_client::file::{File, TokioCompatFile};
use openssh_sftp_client::metadata::{MetaData, Permissions};
use openssh_sftp_client::{Error, Sftp};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use vouchsafe_host::Random;
use vouchsafe_model::{Time, VaultPlace};

use super::sftp_session::{Session, Sessions};
use super::{Means, RemoteAccess, runtime, unavailable};
use crate::key::is_part;
use crate::open::OpenError;
use crate::{Capabilities, Key, LARGEST, ObjectMeta, PutMode, Store, StoreError};

/// Objects as files (mode 0400) below a directory of another machine.
///
/// A put writes a file under a name that is no key, syncs it, links it to its own name, which fails if that is
/// taken, and syncs again, which on usual file systems makes the name durable too.
pub(super) struct SftpStore {
    sessions: Sessions,
    name: String,
    root: PathBuf,
    random: Arc<dyn Random>,
    /// Directories that are known to be there.
    made: Mutex<HashSet<PathBuf>>,
}

/// What a file is called while it is written; no key begins like that.
const UNDER_WAY: &str = ".under-way-";
/// Requests for one object that are under way at the same time.
const PIPELINED: usize = 16;
/// Bytes that one request asks for; a server may give less.
const READ_STEP: u64 = 128 * 1024;
/// Bytes that are set aside before any of them has come.
const AT_ONCE: u64 = 64 << 20;

impl SftpStore {
    pub(super) fn open(
        place: &VaultPlace,
        access: &RemoteAccess,
        means: &Means,
        create: bool,
    ) -> Result<Self, OpenError> {
        let VaultPlace::Sftp { path, .. } = place else {
            return Err(OpenError::BadUrl {
                reason: "it names no directory reached by SSH",
            });
        };
        let name = place.to_string();
        let store = Self {
            sessions: Sessions::new(name.clone(), place, access, means),
            name,
            root: PathBuf::from(path),
            random: Arc::clone(&means.random),
            made: Mutex::default(),
        };
        if create {
            store.call("", async |sftp| make_all(sftp, &store.root).await)?;
        }
        store.require_root("")?;
        Ok(store)
    }

    fn call<T>(
        &self,
        key: &str,
        work: impl AsyncFnOnce(&Sftp) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        let session = self.sessions.get(key)?;
        self.call_on(key, &session, work)
    }

    fn call_on<T>(
        &self,
        key: &str,
        session: &Arc<Session>,
        work: impl AsyncFnOnce(&Sftp) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        match runtime::wait(work(&session.sftp)) {
            Ok(done) => done.map_err(|e| self.sessions.error(&e, key, session)),
            Err(reason) => Err(unavailable(key, &self.name, reason, false)),
        }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// A directory that is missing as a whole is a mount that is missing, not an empty store.
    fn require_root(&self, key: &str) -> Result<(), StoreError> {
        let there = self.call(key, async |sftp| sftp.fs().metadata(&self.root).await);
        match there {
            Ok(meta) if is_dir(&meta) => Ok(()),
            Err(error) if !error.is_not_found() => Err(error),
            _ => {
                let reason = "its directory does not exist; is it mounted?".to_owned();
                Err(unavailable(key, &self.name, reason, false))
            }
        }
    }

    /// Not found, unless the whole store is.
    fn lost(&self, error: StoreError, key: &Key) -> StoreError {
        if error.is_not_found() {
            self.require_root(key.as_str()).err().unwrap_or(error)
        } else {
            error
        }
    }

    fn not_found(&self, key: &Key) -> StoreError {
        StoreError::NotFound {
            key: key.to_string(),
            store: self.name.clone(),
        }
    }

    fn taken(&self, key: &Key) -> StoreError {
        StoreError::AlreadyExists {
            key: key.to_string(),
            store: self.name.clone(),
        }
    }

    fn prepare(&self, key: &Key) -> Result<(), StoreError> {
        let path = self.path(key);
        let Some(dir) = path.parent().filter(|dir| *dir != self.root) else {
            return Ok(());
        };
        if self.made().contains(dir) {
            return Ok(());
        }
        self.require_root(key.as_str())?;
        self.call(key.as_str(), async |sftp| {
            make_below(sftp, &self.root, dir).await
        })?;
        self.made().insert(dir.to_owned());
        Ok(())
    }

    fn made(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens an object and tells its length.
    async fn open_object(sftp: &Sftp, path: &Path) -> Result<Option<(File, u64)>, Error> {
        let mut file = sftp.open(path).await?;
        let meta = file.metadata().await?;
        Ok((!is_dir(&meta)).then(|| (file, meta.len().unwrap_or_default())))
    }

    fn list_below(
        &self,
        dir: &Path,
        dir_key: &str,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let entries = match self.call(prefix, async |sftp| entries(sftp, dir).await) {
            Err(error) if error.is_not_found() => return Ok(ControlFlow::Continue(())),
            other => other?,
        };
        for (name, is_dir, size) in entries {
            let path = format!("{dir_key}{name}");
            let flow = if is_dir {
                let below = format!("{path}/");
                if !(below.starts_with(prefix) || prefix.starts_with(&below)) {
                    continue;
                }
                self.list_below(&dir.join(&name), &below, prefix, visit)?
            } else {
                match Key::new(path) {
                    Ok(key) if key.as_str().starts_with(prefix) => visit(key, size),
                    _ => continue,
                }
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Store for SftpStore {
    fn describe(&self) -> String {
        self.name.clone()
    }

    fn capabilities(&self) -> Capabilities {
        let session = self.sessions.get("").ok();
        let has = |ask: fn(&Sftp) -> bool| session.as_ref().is_some_and(|s| ask(&s.sftp));
        Capabilities {
            put_if_absent: has(Sftp::support_hardlink),
            broken_conditions: false,
            atomic_put: has(Sftp::support_posix_rename),
            list_consistent: true,
            durable: has(Sftp::support_fsync),
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
        let path = self.path(key);
        let got = self.call(key.as_str(), async |sftp| {
            match Self::open_object(sftp, &path).await? {
                Some((_, size)) if size > most => Ok(Some(None)),
                Some((file, size)) => Ok(Some(Some(read(&file, 0, size).await?))),
                None => Ok(None),
            }
        });
        let got = got
            .map_err(|e| self.lost(e, key))?
            .ok_or_else(|| self.not_found(key))?;
        *into = got.ok_or_else(|| StoreError::TooLong {
            key: key.to_string(),
            store: self.name.clone(),
            most,
        })?;
        Ok(())
    }

    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.path(key);
        let got = self.call(key.as_str(), async |sftp| {
            let Some((file, size)) = Self::open_object(sftp, &path).await? else {
                return Ok(None);
            };
            let available = size.saturating_sub(offset);
            if available < len {
                return Ok(Some(Err(available)));
            }
            read(&file, offset, len).await.map(|bytes| Some(Ok(bytes)))
        });
        let short = |got| StoreError::ShortRead {
            key: key.to_string(),
            store: self.name.clone(),
            offset,
            wanted: len,
            got,
        };
        match got.map_err(|e| self.lost(e, key))? {
            None => Err(self.not_found(key)),
            Some(Err(available)) => Err(short(available)),
            Some(Ok(bytes)) if bytes.len() as u64 != len => Err(short(bytes.len() as u64)),
            Some(Ok(bytes)) => Ok(bytes),
        }
    }

    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        let path = self.path(key);
        let meta = self.call(key.as_str(), async |sftp| sftp.fs().metadata(&path).await);
        let meta = meta.map_err(|e| self.lost(e, key))?;
        if is_dir(&meta) {
            return Err(self.not_found(key));
        }
        Ok(ObjectMeta {
            size: meta.len().unwrap_or_default(),
            modified: meta
                .modified()
                .and_then(|at| i64::try_from(at.as_duration().as_secs()).ok())
                .map(Time::from_secs),
        })
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        self.prepare(key)?;
        let path = self.path(key);
        let token: String = self
            .random
            .bytes16()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let beside = path.with_file_name(format!("{UNDER_WAY}{token}"));
        let session = self.sessions.get(key.as_str())?;
        if mode == PutMode::IfAbsent && crate::exists(self, key)? {
            return Err(self.taken(key));
        }
        let done = self.call_on(key.as_str(), &session, async |sftp| {
            let mut file = write(sftp, &beside, bytes).await?;
            sync(sftp, &mut file).await?;
            match mode {
                PutMode::IfAbsent if sftp.support_hardlink() => {
                    sftp.fs().hard_link(&beside, &path).await?;
                    sftp.fs().remove_file(&beside).await?;
                }
                _ => sftp.fs().rename(&beside, &path).await?,
            }
            sync(sftp, &mut file).await?;
            file.close().await
        });
        let Err(error) = done else {
            return Ok(());
        };
        // The first error is the one to report; the leftover is recognisable by its name.
        let _ = self.call_on(key.as_str(), &session, async |sftp| {
            sftp.fs().remove_file(&beside).await
        });
        if error.is_not_found() {
            self.made().clear();
            self.require_root(key.as_str())?;
        }
        // The protocol has one word for most failures: a taken name among them.
        let told_apart = mode == PutMode::IfAbsent && !error.is_transient();
        if told_apart && crate::exists(self, key).unwrap_or(false) {
            return Err(self.taken(key));
        }
        Err(error)
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        match self.head(key) {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        };
        let path = self.path(key);
        match self.call(key.as_str(), async |sftp| {
            sftp.fs().remove_file(&path).await
        }) {
            Err(error) if error.is_not_found() => Ok(()),
            done => done,
        }
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.require_root(prefix)?;
        let dir_key = prefix.rsplit_once('/').map_or("", |(dir, _)| dir);
        if !dir_key.is_empty() && Key::new(dir_key).is_err() || prefix == "/" {
            return Ok(());
        }
        let start = if dir_key.is_empty() {
            String::new()
        } else {
            format!("{dir_key}/")
        };
        let _ = self.list_below(&self.root.join(dir_key), &start, prefix, visit)?;
        Ok(())
    }
}

fn is_dir(meta: &MetaData) -> bool {
    meta.file_type().is_some_and(|kind| kind.is_dir())
}

/// Names that can be parts of keys, with what they are and how long.
async fn entries(sftp: &Sftp, dir: &Path) -> Result<Vec<(String, bool, u64)>, Error> {
    let opened = match sftp.fs().open_dir(dir).await {
        // A file of this name: nothing is below it.
        Err(Error::SftpError(SftpErrorKind::Failure, _)) => return Ok(Vec::new()),
        other => other?,
    };
    let mut listing = Box::pin(opened.read_dir());
    let mut out = Vec::new();
    while let Some(entry) = listing.next().await {
        let entry = entry?;
        let name = entry.filename().to_string_lossy().into_owned();
        if is_part(&name) {
            let meta = entry.metadata();
            out.push((name, is_dir(&meta), meta.len().unwrap_or_default()));
        }
    }
    Ok(out)
}

async fn write(sftp: &Sftp, path: &Path, bytes: &[u8]) -> Result<File, Error> {
    let mut file = sftp
        .options()
        .write(true)
        .create_new(true)
        .open(path)
        .await?;
    // The writer keeps many requests under way; it is given a handle of its own to the same file.
    let mut writer = Box::pin(TokioCompatFile::new(file.clone()));
    writer.as_mut().write_all(bytes).await?;
    writer.as_mut().flush().await?;
    let mut mode = Permissions::new();
    mode.set_read_by_owner(true);
    file.set_permissions(mode).await?;
    Ok(file)
}

async fn sync(sftp: &Sftp, file: &mut File) -> Result<(), Error> {
    if sftp.support_fsync() {
        file.sync_all().await
    } else {
        Ok(())
    }
}

/// Reads a range by several requests at a time; gives less if the file ends before.
async fn read(file: &File, offset: u64, len: u64) -> Result<Vec<u8>, Error> {
    let pieces = (0..len.div_ceil(READ_STEP)).map(|n| {
        let mut file = file.clone();
        async move {
            let begin = offset + n * READ_STEP;
            let end = (begin + READ_STEP).min(offset + len);
            read_piece(&mut file, begin, end).await
        }
    });
    let mut out = Vec::with_capacity(usize::try_from(len.min(AT_ONCE)).unwrap_or_default());
    let mut reading = stream::iter(pieces).buffered(PIPELINED);
    while let Some(piece) = reading.next().await {
        out.extend_from_slice(&piece?);
    }
    Ok(out)
}

async fn read_piece(file: &mut File, begin: u64, end: u64) -> Result<BytesMut, Error> {
    let mut out = BytesMut::new();
    let mut at = begin;
    while at < end {
        file.seek(SeekFrom::Start(at)).await?;
        let wanted = u32::try_from(end - at).unwrap_or(u32::MAX);
        match file.read(wanted, BytesMut::new()).await? {
            Some(got) if !got.is_empty() => {
                at += got.len() as u64;
                out.extend_from_slice(&got);
            }
            _ => break,
        }
    }
    Ok(out)
}

/// Makes a directory and those above it that are missing.
async fn make_all(sftp: &Sftp, dir: &Path) -> Result<(), Error> {
    let mut above: Vec<&Path> = dir
        .ancestors()
        .filter(|p| !p.as_os_str().is_empty())
        .collect();
    above.reverse();
    for dir in above {
        make(sftp, dir).await?;
    }
    Ok(())
}

/// Makes the directories between a root that is there and `dir`.
async fn make_below(sftp: &Sftp, root: &Path, dir: &Path) -> Result<(), Error> {
    let mut above: Vec<&Path> = dir.ancestors().take_while(|p| *p != root).collect();
    above.reverse();
    for dir in above {
        make(sftp, dir).await?;
    }
    Ok(())
}

async fn make(sftp: &Sftp, dir: &Path) -> Result<(), Error> {
    let mut fs = sftp.fs();
    if fs.metadata(dir).await.is_ok_and(|meta| is_dir(&meta)) {
        return Ok(());
    }
    let mut mode = Permissions::new();
    mode.set_read_by_owner(true);
    mode.set_write_by_owner(true);
    mode.set_execute_by_owner(true);
    let made = fs.dir_builder().permissions(mode).create(dir).await;
    match made {
        // Somebody else was faster.
        Err(_) if fs.metadata(dir).await.is_ok_and(|meta| is_dir(&meta)) => Ok(()),
        done => done,
    }
}
