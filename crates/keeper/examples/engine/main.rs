//! The engine by itself, without policy and ledger, for `cargo xtask bench` and for profiling.
//!
//! It does what `restic` does by the same verbs: takes restic's locks, makes everything durable before the snapshot
//! is written, and reads back what it has written. One line of JSON on standard output says what was done.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod log_pieces;
mod many_blobs;
mod source;

use std::error::Error;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};
use vouchsafe_capture::{NoProgress, RestoreRequest};
use vouchsafe_format::Id;
use vouchsafe_host::{Interrupt, OsRandom, SystemClock, machine, secret};
use vouchsafe_model::SecretRef;
use vouchsafe_model::{Issue, Outcome, Secret, Time};
use vouchsafe_store::{Store, create_url, open_url};
use vouchsafe_vault::{
    BackupOptions, BackupReport, Budget, CreateOptions, Env, IndexSettings, KnownPoints, LockKind,
    PruneOptions, ReadBack, Repository, WholeRecord, from_timestamp,
};

const USAGE: &str = "\
usage: engine verbs
       engine init REPOSITORY PASSWORD_FILE
       engine backup REPOSITORY PASSWORD_FILE DIRECTORY [--no-read-back]
       engine backup-stdin REPOSITORY PASSWORD_FILE NAME BYTES [--no-read-back]
       engine restore REPOSITORY PASSWORD_FILE SNAPSHOT|latest TARGET
       engine check REPOSITORY PASSWORD_FILE [--read-data]
       engine prune REPOSITORY PASSWORD_FILE
       engine many-blobs REPOSITORY PASSWORD_FILE BLOBS     index files that list blobs of packs that do not exist
       engine log-pieces VAULT PASSWORD_FILE SYSTEM STREAM      what the fragments of a log say of their commits
       engine --cache DIRECTORY ...                         keeps a large index there";

/// What `cargo xtask bench` may ask of us.
const VERBS: &[&str] = &[
    "init",
    "backup",
    "backup-stdin",
    "restore",
    "check",
    "prune",
    "many-blobs",
    "log-pieces",
];

/// Where a large index is kept.
static CACHE: OnceLock<PathBuf> = OnceLock::new();

pub(crate) type Done = Result<Value, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match work(&words) {
        Ok(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("engine: {}", in_words(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn work(words: &[&str]) -> Done {
    match *words {
        ["--cache", directory, ref rest @ ..] => {
            // Before any repository is opened; a second one changes nothing.
            let _ = CACHE.set(directory.into());
            work(rest)
        }
        ["verbs"] => Ok(json!(VERBS)),
        ["init", repository, password] => init(repository, password),
        ["backup", repository, password, directory] => {
            Engine::open(repository, password)?.backup(directory, true)
        }
        ["backup", repository, password, directory, "--no-read-back"] => {
            Engine::open(repository, password)?.backup(directory, false)
        }
        ["backup-stdin", repository, password, name, bytes] => {
            Engine::open(repository, password)?.backup_stream(name, bytes.parse()?, stdin(), true)
        }
        [
            "backup-stdin",
            repository,
            password,
            name,
            bytes,
            "--no-read-back",
        ] => {
            Engine::open(repository, password)?.backup_stream(name, bytes.parse()?, stdin(), false)
        }
        ["restore", repository, password, snapshot, target] => {
            Engine::open(repository, password)?.restore(snapshot, target)
        }
        ["check", repository, password] => Engine::open(repository, password)?.check(false),
        ["check", repository, password, "--read-data"] => {
            Engine::open(repository, password)?.check(true)
        }
        ["prune", repository, password] => Engine::open(repository, password)?.prune(),
        ["many-blobs", repository, password, blobs] => {
            let engine = Engine::open(repository, password)?;
            many_blobs::write(&engine.repository, engine.store.as_ref(), blobs.parse()?)
        }
        ["log-pieces", vault, password, system, stream] => {
            log_pieces::list(vault, password, system, stream)
        }
        _ => Err(USAGE.into()),
    }
}

fn init(repository: &str, password: &str) -> Done {
    let store = create_url(repository)?;
    let made = Repository::create(
        store,
        &env(),
        &secret_of(password)?,
        &CreateOptions::default(),
    )?;
    Ok(json!({ "repository": made.id().to_hex() }))
}

pub(crate) struct Engine {
    repository: Repository,
    store: Arc<dyn Store>,
}

impl Engine {
    pub(crate) fn open(repository: &str, password: &str) -> Result<Engine, Box<dyn Error>> {
        let store = open_url(repository)?;
        let repository = Repository::open(Arc::clone(&store), &env(), &secret_of(password)?)?;
        let repository = repository.with_index_settings(IndexSettings {
            cache: CACHE.get().cloned(),
            ..IndexSettings::default()
        });
        Ok(Engine { repository, store })
    }

    fn backup(&self, directory: &str, read_back: bool) -> Done {
        let lock = self.repository.lock_early(LockKind::Shared)?;
        let source = source::files(directory)?;
        let options = self.options(directory)?;
        let done = source::with_context(|ctx| {
            self.repository
                .backup(&options, &NoProgress, |sink| source.capture(ctx, sink))
        });
        lock.settled()?;
        let (_, report) = done?;
        self.finished(&report, read_back)
    }

    pub(crate) fn backup_stream(
        &self,
        name: &str,
        bytes: u64,
        from: impl Read + Send + 'static,
        read_back: bool,
    ) -> Done {
        let lock = self.repository.lock_early(LockKind::Shared)?;
        let options = self.options(&format!("/{name}"))?;
        let done = self.repository.backup(&options, &NoProgress, |sink| {
            source::push_stream(name, bytes, from, sink)
        });
        lock.settled()?;
        let (_, report) = done?;
        self.finished(&report, read_back)
    }

    /// The newest snapshot of the same paths is the parent, as with restic.
    fn options(&self, path: &str) -> Result<BackupOptions, Box<dyn Error>> {
        let paths = vec![path.to_owned()];
        let newest = self.repository.snapshots()?.into_iter().rev();
        let parent = newest
            .filter(|(_, snapshot)| snapshot.paths == paths)
            .map(|(id, _)| id)
            .next();
        let now = env().clock.now();
        Ok(BackupOptions {
            parent,
            ..BackupOptions::new(paths, machine::hostname(), now)
        })
    }

    fn finished(&self, report: &BackupReport, read_back: bool) -> Done {
        refuse(&report.issues)?;
        if report.outcome != Outcome::Done {
            return Err("the backup is incomplete".into());
        }
        if read_back {
            let scope = ReadBack::Added(report.added_packs.clone());
            refuse(&self.repository.read_back(&report.snapshot, scope)?.problems)?;
        }
        Ok(json!({
            "snapshot": report.snapshot.to_hex(),
            "tree": report.tree.to_hex(),
            "files_new": report.files_new,
            "files_unchanged": report.files_unchanged,
            "bytes_total": report.bytes_total,
            "bytes_read": report.bytes_read,
            "added_bytes": report.added_bytes,
        }))
    }

    fn restore(&self, snapshot: &str, target: &str) -> Done {
        let lock = self.repository.lock_early(LockKind::Shared)?;
        let id: Id = match snapshot {
            "latest" => {
                let all = self.repository.snapshots()?;
                all.last().ok_or("there is no snapshot")?.0
            }
            id => id.parse()?,
        };
        let point = self.repository.reader(&id)?;
        let path = point.snapshot().paths.first().cloned();
        let source = source::files(&path.ok_or("the snapshot names no path")?)?;
        let request = RestoreRequest {
            to: PathBuf::from(target),
            include: None,
            force: true,
            compare: Default::default(),
            form: Default::default(),
        };
        let restored = source::with_context(|ctx| source.restore(ctx, &point, &request))?;
        lock.settled()?;
        refuse(&restored.issues)?;
        Ok(json!({ "items": restored.items, "bytes": restored.bytes }))
    }

    fn check(&self, read_data: bool) -> Done {
        let lock = self.repository.lock_early(LockKind::Shared)?;
        let report = self.repository.check(&NoProgress)?;
        refuse(&report.problems)?;
        let mut read = 0;
        if read_data {
            let verified = self.repository.verify(Budget::All, 0, &NoProgress)?;
            refuse(&verified.problems)?;
            read = verified.bytes_read;
        }
        lock.settled()?;
        Ok(json!({
            "packs": report.packs,
            "blobs": report.blobs,
            "snapshots": report.snapshots,
            "bytes_read": read,
        }))
    }

    /// Every snapshot that is there stays; as with restic, 5 % may stay unused.
    fn prune(&self) -> Done {
        let lock = self.repository.lock(LockKind::Exclusive)?;
        let all = self.repository.snapshots()?;
        let newest = all
            .last()
            .map_or(Time::MIN, |(_, s)| from_timestamp(&s.time));
        let known = KnownPoints::new(all.iter().map(|(id, _)| *id), Vec::new());
        let options = PruneOptions::default();
        let worklist = self.repository.plan_prune(&known, &options, &NoProgress)?;
        refuse(&worklist.issues)?;
        let record = WholeRecord {
            entries: all.len() as u64,
            newest,
        };
        let cleared = self.repository.clear_deletion(lock, record)?;
        let report = self.repository.prune(&worklist, &cleared, &NoProgress)?;
        Ok(json!({
            "removed_packs": report.removed.len(),
            "added_packs": report.added.0,
            "freed_bytes": report.freed,
            "moved_blobs": report.moved,
        }))
    }
}

/// Nothing is done while something is wrong.
fn refuse(problems: &[Issue]) -> Result<(), Box<dyn Error>> {
    match problems.first() {
        None => Ok(()),
        Some(first) => Err(format!(
            "{} problems, the first: {}: {}",
            problems.len(),
            first.place,
            first.message
        )
        .into()),
    }
}

pub(crate) fn secret_of(file: &str) -> Result<Secret, Box<dyn Error>> {
    Ok(secret::resolve(&SecretRef::File(
        Path::new(file).to_path_buf(),
    ))?)
}

pub(crate) fn env() -> Env {
    Env {
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(OsRandom),
        interrupt: Interrupt::manual(),
        hostname: machine::hostname(),
        username: machine::username(),
        pid: machine::pid(),
        uid: machine::uid(),
        gid: machine::gid(),
        program_version: format!("vouchsafe {}", env!("CARGO_PKG_VERSION")),
    }
}

fn in_words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
