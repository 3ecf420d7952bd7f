//! Opening stores on the servers of the tests.
// Not every test binary uses all of it.
#![allow(dead_code)]

pub(crate) mod locks;

use std::collections::HashMap;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::process::Command;
use std::sync::{Arc, Mutex};

use vouchsafe_host::process::LocalSpawn;
use vouchsafe_host::{Clock, ManualClock, OsRandom, SystemClock};
use vouchsafe_model::{Secret, Time, VaultPlace};
use vouchsafe_store::conformance::check;
use vouchsafe_store::{
    Capabilities, Key, Means, ObjectMeta, PutMode, RemoteAccess, Store, StoreError, open_remote,
};
use vouchsafe_testkit::servers::{PASSWORD, Server, Sshd, USER};

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

pub(crate) fn means() -> Means {
    Means {
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(OsRandom),
        spawn: Arc::new(LocalSpawn::new()),
        ssh_agent: None,
    }
}

pub(crate) fn now() -> Time {
    SystemClock::new().now()
}

/// What every server of the tests takes.
pub(crate) fn access() -> RemoteAccess {
    RemoteAccess {
        user: Some(USER.to_owned()),
        access_key: Some(secret(USER)),
        secret_key: Some(secret(PASSWORD)),
        credential: Some(secret(PASSWORD)),
        ..RemoteAccess::default()
    }
}

pub(crate) fn sftp(server: &Sshd) -> RemoteAccess {
    RemoteAccess {
        identity: Some(server.identity()),
        known_hosts: Some(server.known_hosts()),
        ..RemoteAccess::default()
    }
}

pub(crate) fn open(url: &str, access: &RemoteAccess) -> Arc<dyn Store> {
    let place = VaultPlace::parse(url).expect(url);
    open_remote(&place, access, &means(), true).unwrap_or_else(|e| panic!("{url}: {e}"))
}

pub(crate) fn s3(server: &Server, bucket: &str, prefix: &str) -> Arc<dyn Store> {
    open(&format!("s3:{}/{bucket}/{prefix}", server.url()), &access())
}

/// The same, by a clock that does not wait.
pub(crate) fn s3_without_waiting(server: &Server, bucket: &str, prefix: &str) -> Arc<dyn Store> {
    open_without_waiting(&format!("s3:{}/{bucket}/{prefix}", server.url()), &access())
}

pub(crate) fn open_without_waiting(url: &str, access: &RemoteAccess) -> Arc<dyn Store> {
    let place = VaultPlace::parse(url).expect("a place");
    let clock = Arc::new(ManualClock::new(Time::from_secs(0)));
    open_remote(&place, access, &Means { clock, ..means() }, true).expect("opens")
}

#[track_caller]
pub(crate) fn passes(mut fresh: impl FnMut() -> Arc<dyn Store>) {
    let broken = check(&mut fresh);
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A server of openssl that speaks TLS 1.2 and nothing newer.
pub(crate) fn old_tls_server() -> Server {
    Server::start(|home, port| {
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
            ])
            .args(["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(home)
            .output()
            .expect("openssl runs");
        assert!(made.status.success(), "{made:?}");
        let mut command = Command::new("openssl");
        command
            .args(["s_server", "-accept", &format!("127.0.0.1:{port}")])
            .args([
                "-key", "key.pem", "-cert", "cert.pem", "-tls1_2", "-www", "-quiet",
            ]);
        command
    })
}

/// Objects of any names in a store that knows only those of a repository: each becomes a pack.
pub(crate) struct Renamed {
    inner: Arc<dyn Store>,
    names: Mutex<HashMap<Key, Key>>,
}

impl Renamed {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            names: Mutex::default(),
        }
    }

    fn name(&self, key: &Key) -> Key {
        let mut id = String::new();
        // As long as restic's own names: its server takes no others.
        for part in 0..4 {
            let mut hasher = DefaultHasher::new();
            (part, key.as_str()).hash(&mut hasher);
            write!(id, "{:016x}", hasher.finish()).expect("writes");
        }
        let head = &id[..2];
        let name = Key::new(format!("repo/data/{head}/{id}")).expect("a key");
        self.names.lock().unwrap().insert(name.clone(), key.clone());
        name
    }

    fn seen<T>(&self, key: &str, got: Result<T, StoreError>) -> Result<T, StoreError> {
        got.map_err(|error| {
            let (key, store) = (key.to_owned(), self.describe());
            match error {
                StoreError::NotFound { .. } => StoreError::NotFound { key, store },
                StoreError::AlreadyExists { .. } => StoreError::AlreadyExists { key, store },
                StoreError::ShortRead {
                    offset,
                    wanted,
                    got,
                    ..
                } => StoreError::ShortRead {
                    key,
                    store,
                    offset,
                    wanted,
                    got,
                },
                StoreError::TooLong { most, .. } => StoreError::TooLong { key, store, most },
                other => other,
            }
        })
    }
}

impl Store for Renamed {
    fn describe(&self) -> String {
        self.inner.describe()
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        self.seen(key.as_str(), self.inner.get(&self.name(key)))
    }
    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        self.seen(
            key.as_str(),
            self.inner.get_range(&self.name(key), offset, len),
        )
    }
    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        self.seen(key.as_str(), self.inner.head(&self.name(key)))
    }
    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        self.seen(key.as_str(), self.inner.put(&self.name(key), bytes, mode))
    }
    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.inner.delete(&self.name(key))
    }
    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let names = self.names.lock().unwrap().clone();
        self.inner
            .list("repo/data/", &mut |name, size| match names.get(&name) {
                Some(key) if key.as_str().starts_with(prefix) => visit(key.clone(), size),
                _ => ControlFlow::Continue(()),
            })
    }
}
