//! A vault with a log stream, and logs of given bytes.
#![allow(dead_code, unreachable_pub)]

use std::sync::{Arc, OnceLock};

use vouchsafe_capture::LogPiece;
use vouchsafe_format::fragment::{Commits, Position, Span, StreamName};
use vouchsafe_store::{Key, MemoryStore, Prefixed, PutMode, Store, list_all};
use vouchsafe_vault::Repository;
use vouchsafe_vault::logs::{
    Fence, Kept, LogError, LogPart, LogRun, LogStream, LogVault, LogWriter,
};

use super::{noise, options, secret, still_env};

pub fn name() -> StreamName {
    StreamName::new("shop-db", "pitr/wal").unwrap()
}

fn repo_of(root: &Arc<dyn Store>) -> Arc<dyn Store> {
    Arc::new(Prefixed::new(root.clone(), Key::new("repo").unwrap()))
}

type Objects = Vec<(Key, Vec<u8>)>;

/// The objects of two repositories with keys of their own: made once, for making keys takes long.
fn made(which: u64) -> Objects {
    static MADE: [OnceLock<Objects>; 2] = [OnceLock::new(), OnceLock::new()];
    let make = || {
        let root: Arc<dyn Store> = Arc::new(MemoryStore::new());
        Repository::create(repo_of(&root), &still_env(which), &secret(), &options()).unwrap();
        let keys = list_all(&*root, "").unwrap();
        keys.into_iter()
            .map(|(key, _)| (key.clone(), root.get(&key).unwrap()))
            .collect()
    };
    MADE[usize::try_from(which).unwrap()]
        .get_or_init(make)
        .clone()
}

/// A vault's root store with repository 0 or 1 in it.
pub fn root(which: u64) -> Arc<dyn Store> {
    let root: Arc<dyn Store> = Arc::new(MemoryStore::new());
    fill_root(&*root, which);
    root
}

pub fn fill_root(root: &dyn Store, which: u64) {
    for (key, bytes) in made(which) {
        root.put(&key, &bytes, PutMode::IfAbsent).unwrap();
    }
}

/// The logs of repository 0 or 1, whatever store they are in; the repository is opened elsewhere, so that the store
/// sees no calls but those for logs.
pub fn logs(store: Arc<dyn Store>, which: u64, seed: u64) -> LogVault {
    logs_with(store, which, &still_env(seed))
}

pub fn logs_with(store: Arc<dyn Store>, which: u64, env: &vouchsafe_vault::Env) -> LogVault {
    let repository = Repository::open(repo_of(&root(which)), env, &secret()).unwrap();
    repository.logs(store)
}

pub fn stream(store: &Arc<dyn Store>, which: u64) -> LogStream {
    logs(store.clone(), which, 7).stream(name())
}

pub fn writer(store: &Arc<dyn Store>) -> LogWriter {
    stream(store, 0).writer(Fence::Store).unwrap()
}

pub fn bytes(from: u64, to: u64) -> Span {
    Span::new(Position::Byte(from), Position::Byte(to)).unwrap()
}

/// The log of the whole world: any part of it is known by its positions.
pub fn truth(from: u64, to: u64) -> Vec<u8> {
    static LOG: OnceLock<Vec<u8>> = OnceLock::new();
    let all = LOG.get_or_init(|| noise(5, 1 << 20));
    all[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()].to_vec()
}

/// The piece from one byte to another on timeline 1, with commits of the seconds that its positions are.
pub fn piece(from: u64, to: u64) -> LogPiece {
    let second = |at: u64| i64::try_from(at).unwrap() * 1_000_000;
    LogPiece {
        timeline: 1,
        span: bytes(from, to),
        commits: Some(Commits {
            first: second(from),
            last: second(to),
        }),
    }
}

pub fn append(writer: &mut LogWriter, from: u64, to: u64) -> Result<Kept, LogError> {
    writer.append(piece(from, to), &truth(from, to))
}

/// Fragments of 100 bytes each, from byte 0 on.
pub fn hundreds(writer: &mut LogWriter, count: u64) {
    let from = match writer.tip().unwrap().reached {
        Some(reached) => byte(reached.to),
        None => 0,
    };
    for n in 0..count {
        append(writer, from + 100 * n, from + 100 * (n + 1)).unwrap();
    }
}

pub fn byte(position: Position) -> u64 {
    match position {
        Position::Byte(at) => at,
        other => panic!("{other}"),
    }
}

/// What a run holds, put together by positions.
pub fn read(stream: &LogStream, run: &LogRun) -> Result<Vec<u8>, LogError> {
    read_between(stream, run, byte(run.from), byte(run.to))
}

pub fn read_between(
    stream: &LogStream,
    run: &LogRun,
    from: u64,
    to: u64,
) -> Result<Vec<u8>, LogError> {
    let mut out = Vec::new();
    let mut take = |part: LogPart<'_>| {
        assert_eq!(byte(part.span.from()), from + out.len() as u64);
        out.extend_from_slice(part.log);
        assert_eq!(byte(part.span.to()), from + out.len() as u64);
        Ok(())
    };
    let (from, to) = (Position::Byte(from), Position::Byte(to));
    stream.read(run, from, to, &mut take)?;
    Ok(out)
}

/// The one run of a stream, all of which reads as it was written.
pub fn whole(stream: &LogStream) -> LogRun {
    let window = stream.window().unwrap();
    assert!(window.problems.is_empty(), "{:?}", window.problems);
    assert_eq!(window.runs.len(), 1, "{window:?}");
    let run = window.runs[0].clone();
    let found = read(stream, &run).unwrap();
    assert!(found == truth(byte(run.from), byte(run.to)), "other bytes");
    run
}

/// The names of all objects, without what is the same in each.
pub fn names(store: &Arc<dyn Store>) -> Vec<String> {
    let keys = list_all(&**store, "logs/").unwrap();
    let short = |key: &Key| {
        let (_, rest) = key.as_str().split_once("/").unwrap();
        let (_, rest) = rest.split_once("/").unwrap();
        let (kind, place) = rest.split_once("/").unwrap();
        let numbers: Vec<String> = place
            .split('-')
            .map(|n| n.parse::<u64>().unwrap().to_string())
            .collect();
        format!("{} {}", &kind[..1], numbers.join("-"))
    };
    keys.iter().map(|(key, _)| short(key)).collect()
}

pub fn key(store: &Arc<dyn Store>, short: &str) -> Key {
    let keys = list_all(&**store, "logs/").unwrap();
    let at = names(store).iter().position(|name| name == short);
    keys[at.unwrap_or_else(|| panic!("no {short} in {:?}", names(store)))]
        .0
        .clone()
}
