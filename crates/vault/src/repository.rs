//! A repository: created, opened, its snapshots and its index.

use std::fmt;
use std::sync::Arc;

use vouchsafe_format::{
    Chunker, Config, ConfigError, CryptoError, Id, KdfParams, MasterKey, Polynomial,
};
use vouchsafe_host::machine;
use vouchsafe_model::{Issue, Secret};
use vouchsafe_store::{Store, StoreError};

use crate::drive::{Driver, Threads};
use crate::env::Env;
use crate::error::{Damage, OpenError};
use crate::indexes::Indexes;
use crate::keys;
use crate::machine::{ObjectKind, Settings};
use crate::objects::{Objects, config_key, open_file};

/// An open restic repository in a store that is rooted at it.
pub struct Repository {
    pub(crate) objects: Objects,
    pub(crate) key: MasterKey,
    slot: Id,
    pub(crate) config: Config,
    pub(crate) driver: Driver,
    pub(crate) settings: Settings,
    pub(crate) indexes: Indexes,
}

/// How a repository is to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct CreateOptions {
    /// The repository's id; nothing for a random one.
    pub id: Option<Id>,
    /// By which files are cut; nothing for a random one. Vaults that share it share chunks when copied.
    pub polynomial: Option<Polynomial>,
    /// The price of guessing the password; nothing for the strong default of 64 MiB for each guess.
    pub kdf: Option<KdfParams>,
}

impl Repository {
    /// Makes a new repository with one key.
    ///
    /// `config` is written last: an interrupted creation leaves no repository.
    ///
    /// # Errors
    /// [`OpenError::Exists`], [`OpenError::Store`], [`OpenError::Key`].
    pub fn create(
        store: Arc<dyn Store>,
        env: &Env,
        password: &Secret,
        options: &CreateOptions,
    ) -> Result<Repository, OpenError> {
        let objects = Objects::new(store, env.clone());
        let exists = || OpenError::Exists {
            store: objects.place(),
        };
        match objects.get_config() {
            Ok(_) => return Err(exists()),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        let random = &env.random;
        // A creation that was interrupted has left its key: a second one beside it would hide it from others.
        let (slot, key) = match keys::find_key(&objects, password, |_| true) {
            Ok(found) => found,
            Err(OpenError::Store(error)) => return Err(error.into()),
            Err(_) => {
                let key = MasterKey::from_random(random.bytes64())
                    .map_err(vouchsafe_format::KeyError::from)?;
                let wrapped = keys::wrap(env, &key, password, options.kdf.unwrap_or(keys::STRONG))?;
                let slot = Id::of(&wrapped);
                objects.put(ObjectKind::Key, &slot, &wrapped)?;
                (slot, key)
            }
        };
        let mut id = [0; 32];
        random.fill(&mut id);
        let id = options.id.unwrap_or(Id::from_bytes(id));
        let polynomial = options
            .polynomial
            .unwrap_or_else(|| Polynomial::from_random(|| random.u64()));
        let config = Config {
            version: 2,
            id,
            chunker_polynomial: polynomial,
        };
        match objects.put_config(&key.seal(env.iv(), &config.encode())) {
            Ok(()) => Ok(Repository::assemble(objects, key, slot, config)),
            Err(StoreError::AlreadyExists { .. }) => Err(exists()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a store holds a repository, readable or not.
    ///
    /// # Errors
    /// [`OpenError::Store`] if the store cannot say.
    pub fn exists(store: &dyn Store) -> Result<bool, OpenError> {
        Ok(vouchsafe_store::exists(store, &config_key()?)?)
    }

    /// Opens a repository with one of its passwords.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::WrongKey`] only if there is a key file that is in order.
    pub fn open(
        store: Arc<dyn Store>,
        env: &Env,
        password: &Secret,
    ) -> Result<Repository, OpenError> {
        let objects = Objects::new(store, env.clone());
        let sealed = objects.get_config().map_err(|error| match error {
            error if error.is_not_found() => OpenError::NoRepository {
                store: objects.place(),
            },
            error => error.into(),
        })?;
        let opens = |key: &MasterKey| key.open(&sealed).is_ok();
        let (slot, key) = keys::find_key(&objects, password, opens)?;
        let config = open_config(&key, &sealed).map_err(|damage| match damage {
            Damage::Config(ConfigError::Version { version }) => OpenError::Unsupported {
                store: objects.place(),
                version,
            },
            source => OpenError::Damaged {
                object: "config".to_owned(),
                store: objects.place(),
                source: Box::new(source),
            },
        })?;
        Ok(Repository::assemble(objects, key, slot, config))
    }

    /// The same repository, its work done in another way.
    pub fn with_driver(mut self, driver: Driver) -> Repository {
        self.driver = driver;
        self
    }

    /// The same repository with other sizes of packs and indexes, and another memory budget.
    pub fn with_settings(mut self, settings: Settings) -> Repository {
        self.settings = settings;
        self
    }

    /// The repository's identity.
    pub fn id(&self) -> Id {
        self.config.id
    }

    /// The slot that it was opened with.
    pub fn slot(&self) -> Id {
        self.slot
    }

    /// By which files are cut.
    pub fn polynomial(&self) -> Polynomial {
        self.config.chunker_polynomial
    }

    /// Where it is.
    pub fn place(&self) -> String {
        self.objects.place()
    }

    /// Seals data that is kept beside the repository.
    pub fn seal(&self, plaintext: &[u8]) -> Vec<u8> {
        self.key.seal(self.env().iv(), plaintext)
    }

    /// Opens what [`Repository::seal`] sealed.
    ///
    /// # Errors
    /// [`CryptoError`] if it is damaged or of another repository.
    pub fn open_sealed(&self, sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.key.open(sealed)
    }

    pub(crate) fn env(&self) -> &Env {
        self.objects.env()
    }

    pub(crate) fn chunker(&self) -> Chunker {
        Chunker::new(self.config.chunker_polynomial)
    }

    /// How many threads may work; one in a simulation, where the order of calls must follow from the seed.
    pub(crate) fn hands(&self) -> usize {
        match self.driver {
            Driver::Simulated(_) => 1,
            _ => self.threads().workers,
        }
    }

    pub(crate) fn threads(&self) -> Threads {
        match self.driver {
            Driver::Threaded(threads) => threads,
            _ => Threads::for_machine(machine::parallelism()),
        }
    }

    fn assemble(objects: Objects, key: MasterKey, slot: Id, config: Config) -> Repository {
        Repository {
            objects,
            key,
            slot,
            config,
            driver: Driver::default(),
            settings: Settings::for_machine(machine::parallelism()),
            indexes: Indexes::default(),
        }
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository")
            .field("id", &self.config.id)
            .field("place", &self.place())
            .finish_non_exhaustive()
    }
}

/// An issue that tells an error with its causes.
pub(crate) fn issue(place: String, error: &dyn std::error::Error) -> Issue {
    Issue {
        place,
        message: in_words(error),
    }
}

/// An error and its causes, from the outermost to the innermost, each only if it says something new.
pub(crate) fn in_words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

pub(crate) fn open_config(key: &MasterKey, sealed: &[u8]) -> Result<Config, Damage> {
    let plaintext = key.open(sealed)?;
    // restic never compresses it, but reads it like everything else.
    match Config::decode(&plaintext) {
        Err(ConfigError::Malformed(_)) if plaintext.first() == Some(&2) => {
            Ok(Config::decode(&open_file(key, sealed)?)?)
        }
        other => Ok(other?),
    }
}
