//! What the tests share: repositories in memory, trees of given bytes, and everything of a point as one value.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

pub mod damages;
pub mod logs;
pub mod removing;
pub mod world;

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex};

use vouchsafe_capture::{
    CaptureError, CleanEnd, Content, ContentSink, NoProgress, PointReader, Sink, StreamContent,
    Visit,
};
use vouchsafe_format::{Id, KdfParams, Node, NodeKind, Timestamp};
use vouchsafe_host::{Interrupt, ManualClock, OsRandom, Random, SeededRandom, SystemClock};
use vouchsafe_model::{Issue, Secret, Time};
use vouchsafe_store::{MemoryStore, Store};
use vouchsafe_vault::{BackupError, BackupOptions, BackupReport, CreateOptions, Env, Repository};

pub const PASSWORD: &str = "correct horse";
pub const KDF: KdfParams = KdfParams { n: 128, r: 1, p: 1 };

pub fn secret() -> Secret {
    Secret::new(PASSWORD.as_bytes().to_vec())
}

/// The machine's clock and randomness.
pub fn real_env() -> Env {
    env_of(Arc::new(SystemClock::new()), Arc::new(OsRandom))
}

/// A clock that stands still and randomness from a seed.
pub fn still_env(seed: u64) -> Env {
    let clock = ManualClock::new(Time::from_secs(1_767_225_600));
    env_of(Arc::new(clock), Arc::new(SeededRandom::new(seed)))
}

pub fn env_of(clock: Arc<dyn vouchsafe_host::Clock>, random: Arc<dyn Random>) -> Env {
    Env {
        clock,
        random,
        interrupt: Interrupt::manual(),
        hostname: "testhost".to_owned(),
        username: "tester".to_owned(),
        pid: std::process::id(),
        uid: 1000,
        gid: 1000,
        program_version: "vouchsafe test".to_owned(),
    }
}

pub fn options() -> CreateOptions {
    CreateOptions {
        id: None,
        polynomial: None,
        kdf: Some(KDF),
    }
}

pub fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new())
}

pub fn create(store: Arc<dyn Store>) -> Repository {
    Repository::create(store, &real_env(), &secret(), &options()).unwrap()
}

pub fn open(store: Arc<dyn Store>) -> Repository {
    Repository::open(store, &real_env(), &secret()).unwrap()
}

/// What is in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Dir(Vec<u8>, Vec<Item>),
    File(Vec<u8>, Arc<Vec<u8>>),
    Link(Vec<u8>, Vec<u8>),
    Unreadable(Vec<u8>),
    Stream(Vec<u8>, Arc<Vec<u8>>),
    /// Ends after its bytes without a proof.
    BrokenStream(Vec<u8>, Arc<Vec<u8>>),
}

pub fn dir(name: &str, items: Vec<Item>) -> Item {
    Item::Dir(name.into(), items)
}

pub fn file(name: &str, bytes: impl Into<Vec<u8>>) -> Item {
    Item::File(name.into(), Arc::new(bytes.into()))
}

/// Bytes that do not compress and follow from the seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SeededRandom::new(seed).fill(&mut bytes);
    bytes
}

pub fn node(name: &[u8], kind: NodeKind, size: u64) -> Node {
    let mode = match kind {
        NodeKind::Dir => (1 << 31) | 0o755,
        NodeKind::Symlink => (1 << 27) | 0o777,
        _ => 0o644,
    };
    let at = Timestamp::utc(1_700_000_000, 123_456_789);
    let inode = u64::from_le_bytes(Id::of(name).as_bytes()[..8].try_into().unwrap()) >> 1;
    Node {
        name: name.to_vec(),
        kind,
        mode,
        size,
        mtime: at,
        atime: at,
        ctime: at,
        inode,
        links: 1,
        ..Node::default()
    }
}

/// The content id as the change time: a file with other bytes is another file.
pub fn file_node(name: &[u8], bytes: &[u8]) -> Node {
    let digest = Id::of(bytes);
    let nanos = u32::from_le_bytes(digest.as_bytes()[..4].try_into().unwrap()) % 1_000_000_000;
    Node {
        ctime: Timestamp::utc(1_700_000_000, nanos),
        ..node(name, NodeKind::File, bytes.len() as u64)
    }
}

pub fn fill(sink: &mut dyn Sink, items: &[Item]) -> Result<(), CaptureError> {
    for item in items {
        match item {
            Item::Dir(name, below) => {
                sink.enter(node(name, NodeKind::Dir, 0))?;
                fill(sink, below)?;
                sink.leave()?;
            }
            Item::File(name, bytes) => {
                sink.file(
                    file_node(name, bytes),
                    Box::new(BytesContent(Some(bytes.clone()))),
                )?;
            }
            Item::Unreadable(name) => {
                sink.file(node(name, NodeKind::File, 1), Box::new(BytesContent(None)))?
            }
            Item::Link(name, target) => {
                sink.entry(Node {
                    linktarget: target.clone(),
                    ..node(name, NodeKind::Symlink, 0)
                })?;
            }
            Item::Stream(name, bytes) | Item::BrokenStream(name, bytes) => {
                let proved = matches!(item, Item::Stream(..));
                let stream = BytesStream {
                    bytes: Cursor::new(bytes.to_vec()),
                    proved,
                };
                sink.stream(node(name, NodeKind::File, 0), Box::new(stream))?;
            }
        }
    }
    Ok(())
}

struct BytesContent(Option<Arc<Vec<u8>>>);

impl Content for BytesContent {
    fn open(&mut self) -> Result<Box<dyn Read + Send>, CaptureError> {
        match self.0.take() {
            Some(bytes) => Ok(Box::new(Cursor::new(Arc::unwrap_or_clone(bytes)))),
            None => Err(CaptureError::io(
                "open",
                "a secret place",
                io::Error::from(io::ErrorKind::PermissionDenied),
            )),
        }
    }
}

struct BytesStream {
    bytes: Cursor<Vec<u8>>,
    proved: bool,
}

impl StreamContent for BytesStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buf)
    }
    fn finish(self: Box<Self>) -> Result<CleanEnd, CaptureError> {
        let read = self.bytes.position();
        CleanEnd::of_length("a stream", if self.proved { read } else { read + 1 }, read)
    }
}

pub fn backup_options() -> BackupOptions {
    BackupOptions::new(
        vec!["/data".to_owned()],
        "testhost".to_owned(),
        Time::from_secs(1_767_225_600),
    )
}

pub fn back_up(repository: &Repository, items: &[Item]) -> Result<BackupReport, BackupError> {
    back_up_after(repository, items, None)
}

pub fn back_up_after(
    repository: &Repository,
    items: &[Item],
    parent: Option<Id>,
) -> Result<BackupReport, BackupError> {
    let options = BackupOptions {
        parent,
        ..backup_options()
    };
    repository
        .backup(&options, &NoProgress, |sink| fill(sink, items))
        .map(|((), report)| report)
}

/// All of a point: what each path is, and what it holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Everything {
    pub entries: BTreeMap<String, Vec<u8>>,
    pub failed: BTreeMap<String, String>,
}

/// What `read` should find.
pub fn expected(items: &[Item]) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    collect("", items, &mut out);
    out
}

fn collect(above: &str, items: &[Item], out: &mut BTreeMap<String, Vec<u8>>) {
    for item in items {
        let shown = |name: &[u8]| {
            vouchsafe_capture::TreePath::root()
                .join(name)
                .unwrap()
                .to_string()
        };
        match item {
            Item::Dir(name, below) => {
                let path = format!("{above}{}", shown(name));
                out.insert(path.clone(), b"dir".to_vec());
                collect(&path, below, out);
            }
            Item::File(name, bytes) | Item::Stream(name, bytes) => {
                out.insert(format!("{above}{}", shown(name)), bytes.to_vec());
            }
            Item::Link(name, target) => {
                out.insert(
                    format!("{above}{}", shown(name)),
                    [b"-> ", target.as_slice()].concat(),
                );
            }
            Item::Unreadable(_) | Item::BrokenStream(..) => {}
        }
    }
}

pub fn read(point: &dyn PointReader) -> Result<Everything, CaptureError> {
    let mut everything = Everything::default();
    let (mut files, mut paths) = (Vec::new(), Vec::new());
    point.walk(&mut |path, node| {
        match node.kind {
            NodeKind::File => {
                files.push(node.clone());
                paths.push(path.to_string());
            }
            NodeKind::Symlink => {
                everything.entries.insert(
                    path.to_string(),
                    [b"-> ", node.linktarget.as_slice()].concat(),
                );
            }
            _ => {
                everything
                    .entries
                    .insert(path.to_string(), node.kind.as_str().into());
            }
        }
        Ok(Visit::Into)
    })?;
    let received = Received(Mutex::new(vec![Part::default(); files.len()]));
    point.fetch(&files, &received)?;
    for ((path, part), node) in paths
        .into_iter()
        .zip(received.0.into_inner().unwrap())
        .zip(&files)
    {
        match part.failed {
            Some(message) => {
                assert!(!part.finished, "{path} is both failed and finished");
                everything.failed.insert(path, message);
            }
            None => {
                assert!(part.finished, "{path} was neither finished nor failed");
                assert_eq!(part.bytes.len() as u64, node.size, "{path}");
                everything.entries.insert(path, part.bytes);
            }
        }
    }
    Ok(everything)
}

#[derive(Clone, Default)]
struct Part {
    bytes: Vec<u8>,
    finished: bool,
    failed: Option<String>,
}

struct Received(Mutex<Vec<Part>>);

impl ContentSink for Received {
    fn write(&self, file: usize, offset: u64, bytes: &[u8]) -> Result<(), CaptureError> {
        let part = &mut self.0.lock().unwrap()[file];
        assert!(!part.finished, "bytes came after the end");
        assert!(part.failed.is_none(), "bytes came after the failure");
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if part.bytes.len() < end {
            part.bytes.resize(end, 0);
        }
        part.bytes[start..end].copy_from_slice(bytes);
        Ok(())
    }
    fn finished(&self, file: usize) -> Result<(), CaptureError> {
        let part = &mut self.0.lock().unwrap()[file];
        assert!(!part.finished, "finished twice");
        part.finished = true;
        Ok(())
    }
    fn failed(&self, file: usize, issue: Issue) {
        let part = &mut self.0.lock().unwrap()[file];
        assert!(part.failed.is_none(), "failed twice");
        part.failed = Some(issue.message);
    }
}

/// A tree with a bit of everything.
pub fn sample() -> Vec<Item> {
    vec![
        dir(
            "a",
            vec![
                file("empty", ""),
                file("one", "x"),
                dir("deep", vec![file("text", "hello ".repeat(1000))]),
            ],
        ),
        dir("b", vec![]),
        file("noise", noise(1, 3 << 20)),
        file("same", noise(1, 3 << 20)),
        Item::Link(b"link".to_vec(), b"a/one".to_vec()),
        Item::File(b"not \xff utf-8".to_vec(), Arc::new(b"bytes".to_vec())),
        Item::Stream(b"dump".to_vec(), Arc::new(noise(2, 700_000))),
    ]
}
