//! What the kernel asks, answered from the repository.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyXattr, Request,
};
use vouchsafe_format::{Id, Node, NodeKind, unix_mode_from_go};
use vouchsafe_vault::{Contents, RepoError, Repository};

use crate::cache::Cache;
use crate::error::MountError;
use crate::inodes::{Inodes, Known, ROOT, What, number};
use crate::layout::{Layout, Upper};

/// A repository as a file system.
pub(crate) struct VaultFs {
    repository: Repository,
    contents: Contents,
    layout: Layout,
    inodes: Inodes,
    /// The roots of snapshots, by their numbers.
    roots: Cache<usize, Id>,
    /// Directories, weighed by their entries.
    trees: Cache<Id, Vec<Node>>,
    /// Chunks, weighed by their bytes.
    chunks: Cache<Id, Vec<u8>>,
    open: Mutex<HashMap<u64, Arc<OpenFile>>>,
    next: AtomicU64,
    trouble: Arc<dyn Fn(&str) + Send + Sync>,
}

/// A file that is open: where each of its chunks ends.
struct OpenFile {
    chunks: Vec<(Id, u64)>,
}

type Answer<T> = Result<T, Errno>;

impl VaultFs {
    pub(crate) fn new(
        repository: Repository,
        layout: Layout,
        trouble: Arc<dyn Fn(&str) + Send + Sync>,
    ) -> Result<VaultFs, MountError> {
        let contents = repository.contents()?;
        for issue in contents.index_issues() {
            trouble(&format!("{}: {}", issue.place, issue.message));
        }
        Ok(VaultFs {
            contents,
            repository,
            layout,
            inodes: Inodes::default(),
            roots: Cache::new(ROOTS),
            trees: Cache::new(TREE_ENTRIES),
            chunks: Cache::new(CHUNK_BYTES),
            open: Mutex::default(),
            next: AtomicU64::new(1),
            trouble,
        })
    }

    fn known(&self, ino: INodeNo) -> Answer<Known> {
        self.inodes.get(ino.0).ok_or(Errno::ENOENT)
    }

    fn failed(&self, ino: u64, name: &[u8], error: &dyn std::error::Error) -> Errno {
        let below = match name {
            [] => String::new(),
            name => format!("/{}", name.escape_ascii()),
        };
        let place = self.inodes.path(ino);
        (self.trouble)(&format!("{place}{below}: {}", chain(error)));
        Errno::EIO
    }

    /// The tree of a directory; nothing for upper ones.
    fn tree(&self, ino: u64, known: &Known) -> Answer<Option<Id>> {
        match &known.what {
            What::Upper(_) => Ok(None),
            What::Snapshot(snapshot) => self.root(ino, *snapshot).map(Some),
            What::Entry(node) if node.kind == NodeKind::Dir => match node.subtree {
                Some(tree) => Ok(Some(tree)),
                None => Err(Errno::EIO),
            },
            What::Entry(_) => Err(Errno::ENOTDIR),
        }
    }

    fn root(&self, ino: u64, snapshot: usize) -> Answer<Id> {
        let shown = self.layout.shown(snapshot).ok_or(Errno::ENOENT)?;
        let fetch = || {
            let found = self.repository.snapshot(&shown.snapshot)?;
            Ok(found.tree)
        };
        match self.roots.get(snapshot, |_| 1, fetch) {
            Ok(tree) => Ok(*tree),
            Err(error) => Err(self.unread(ino, &[], error)),
        }
    }

    fn entries(&self, ino: u64, tree: Id) -> Answer<Arc<Vec<Node>>> {
        let weigh = |nodes: &Vec<Node>| nodes.len() as u64 + 1;
        let fetch = || {
            let mut nodes = self.contents.directory(&tree)?;
            // Names that lead out of a directory are in none.
            nodes.retain(Node::has_safe_name);
            Ok(nodes)
        };
        let found = self.trees.get(tree, weigh, fetch);
        found.map_err(|error| self.unread(ino, &[], error))
    }

    /// Whoever waited for the one who was told the error is told nothing more.
    fn unread(&self, ino: u64, name: &[u8], error: Option<RepoError>) -> Errno {
        match error {
            Some(error) => self.failed(ino, name, &error),
            None => Errno::EIO,
        }
    }

    fn child(&self, parent: INodeNo, name: &[u8]) -> Answer<What> {
        let above = self.known(parent)?;
        if let What::Upper(directory) = above.what {
            return match self.layout.find(directory, name) {
                Some(Upper::Directory(number)) => Ok(What::Upper(number)),
                Some(Upper::Snapshot(number)) => Ok(What::Snapshot(number)),
                None => Err(Errno::ENOENT),
            };
        }
        let node = self.node(parent.0, &above, name)?;
        Ok(What::Entry(Arc::new(Node {
            content: None,
            extended_attributes: Vec::new(),
            generic_attributes: Default::default(),
            ..node
        })))
    }

    /// The whole entry of that name, with content and attributes.
    fn node(&self, ino: u64, directory: &Known, name: &[u8]) -> Answer<Node> {
        let tree = self.tree(ino, directory)?.ok_or(Errno::ENOENT)?;
        let entries = self.entries(ino, tree)?;
        let found = entries.iter().find(|node| node.name == name);
        found.cloned().ok_or(Errno::ENOENT)
    }

    /// The whole entry that an inode is; nothing for the roots of snapshots and what lies above.
    fn whole(&self, ino: INodeNo) -> Answer<Option<Node>> {
        let known = self.known(ino)?;
        match known.what {
            What::Entry(_) => {
                let above = self.known(INodeNo(known.parent))?;
                self.node(known.parent, &above, &known.name).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn attributes(&self, ino: u64, what: &What) -> FileAttr {
        let node = match what {
            What::Entry(node) => Some(node),
            _ => None,
        };
        let snapshot = match what {
            What::Snapshot(number) => self.layout.shown(*number).map(|s| s.time.micros()),
            _ => None,
        };
        let (seconds, nanos) = match (node, snapshot) {
            (Some(node), _) => (node.mtime.secs, node.mtime.nanos),
            (None, Some(micros)) => (micros.div_euclid(1_000_000), 0),
            (None, None) => (0, 0),
        };
        let offset = Duration::from_secs(seconds.unsigned_abs());
        let whole = match seconds < 0 {
            true => UNIX_EPOCH.checked_sub(offset),
            false => UNIX_EPOCH.checked_add(offset),
        };
        let at = whole.unwrap_or(UNIX_EPOCH) + Duration::from_nanos(nanos.into());
        let size = node.map_or(0, |node| node.size);
        FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: size.div_ceil(512),
            atime: at,
            mtime: at,
            ctime: at,
            crtime: at,
            kind: node.map_or(FileType::Directory, |node| kind(&node.kind)),
            perm: node.map_or(0o555, |node| permissions(node)),
            nlink: 1,
            uid: node.map_or_else(vouchsafe_host::machine::uid, |node| node.uid),
            gid: node.map_or_else(vouchsafe_host::machine::gid, |node| node.gid),
            rdev: node.map_or(0, |node| u32::try_from(node.device).unwrap_or(0)),
            blksize: 4096,
            flags: 0,
        }
    }

    /// Name, number and kind of everything in a directory.
    fn listing(&self, ino: INodeNo) -> Answer<Vec<(u64, FileType, Vec<u8>)>> {
        let known = self.known(ino)?;
        let below = |name: &[u8], kind| (number(ino.0, name), kind, name.to_vec());
        let mut out = vec![
            (ino.0, FileType::Directory, b".".to_vec()),
            (known.parent, FileType::Directory, b"..".to_vec()),
        ];
        match self.tree(ino.0, &known)? {
            Some(tree) => {
                let entries = self.entries(ino.0, tree)?;
                out.extend(entries.iter().map(|n| below(&n.name, kind(&n.kind))));
            }
            None => {
                if let What::Upper(directory) = known.what {
                    let entries = self.layout.entries(directory);
                    out.extend(entries.map(|(n, _)| below(n.as_bytes(), FileType::Directory)));
                }
            }
        }
        Ok(out)
    }

    fn open_file(&self, ino: INodeNo) -> Answer<u64> {
        let node = self.whole(ino)?.ok_or(Errno::EISDIR)?;
        let (mut chunks, mut end) = (Vec::new(), 0u64);
        for chunk in node.content.iter().flatten() {
            let length = self.contents.chunk_length(chunk);
            end += length.map_err(|error| self.failed(ino.0, &[], &error))?;
            chunks.push((*chunk, end));
        }
        let handle = self.next.fetch_add(1, Ordering::Relaxed);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(handle, Arc::new(OpenFile { chunks }));
        Ok(handle)
    }

    fn read_at(&self, ino: u64, handle: FileHandle, offset: u64, size: u32) -> Answer<Vec<u8>> {
        let file = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.get(&handle.0).cloned().ok_or(Errno::EBADF)?
        };
        let mut out = Vec::with_capacity(size as usize);
        let mut at = file.chunks.partition_point(|(_, end)| *end <= offset);
        let mut start = match at.checked_sub(1).and_then(|before| file.chunks.get(before)) {
            Some((_, end)) => *end,
            None => 0,
        };
        while let Some((chunk, end)) = file.chunks.get(at)
            && out.len() < size as usize
        {
            let bytes = self.chunk(ino, *chunk)?;
            if bytes.len() as u64 != end - start {
                return Err(self.failed(ino, &[], &WrongLength(*chunk)));
            }
            let skip = usize::try_from((offset + out.len() as u64).saturating_sub(start));
            let rest = bytes.get(skip.unwrap_or(usize::MAX)..).unwrap_or_default();
            let wanted = rest.len().min(size as usize - out.len());
            out.extend_from_slice(rest.get(..wanted).unwrap_or_default());
            start = *end;
            at += 1;
        }
        Ok(out)
    }

    fn chunk(&self, ino: u64, chunk: Id) -> Answer<Arc<Vec<u8>>> {
        let weigh = |bytes: &Vec<u8>| bytes.len() as u64;
        let found = self
            .chunks
            .get(chunk, weigh, || self.contents.chunk(&chunk));
        found.map_err(|error| self.unread(ino, &[], error))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the chunk {0} has another length than the index says")]
struct WrongLength(Id);

/// Nothing changes while it is mounted.
const LONG: Duration = Duration::from_secs(3600);
/// Snapshots whose root is remembered.
const ROOTS: u64 = 10_000;
/// Entries of directories in memory; each takes about half a KiB.
const TREE_ENTRIES: u64 = 100_000;
/// Bytes of chunks in memory.
const CHUNK_BYTES: u64 = 64 << 20;

impl Filesystem for VaultFs {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // What the kernel does not grant it does not need.
        let _ = config.set_max_readahead(1 << 20);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.as_bytes();
        match self.child(parent, name) {
            Ok(what) => {
                let ino = number(parent.0, name);
                let attributes = self.attributes(ino, &what);
                self.inodes.remember(ino, || Known {
                    what,
                    parent: parent.0,
                    name: name.into(),
                });
                reply.entry(&LONG, &attributes, Generation(0));
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn forget(&self, _: &Request, ino: INodeNo, times: u64) {
        if ino.0 != ROOT {
            self.inodes.forget(ino.0, times);
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.known(ino) {
            Ok(known) => reply.attr(&LONG, &self.attributes(ino.0, &known.what)),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.known(ino).map(|known| known.what) {
            Ok(What::Entry(node)) if node.kind == NodeKind::Symlink => {
                reply.data(&node.linktarget);
            }
            Ok(_) => reply.error(Errno::EINVAL),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.open_file(ino) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::FOPEN_KEEP_CACHE),
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.read_at(ino.0, handle, offset, size) {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(errno),
        }
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&handle.0);
        drop(open);
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let entries = match self.listing(ino) {
            Ok(entries) => entries,
            Err(errno) => return reply.error(errno),
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (at, (ino, kind, name)) in (1..).zip(&entries).skip(from) {
            if reply.add(INodeNo(*ino), at, *kind, OsStr::from_bytes(name)) {
                break;
            }
        }
        reply.ok();
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let value = self.whole(ino).and_then(|node| {
            let all = node.into_iter().flat_map(|node| node.extended_attributes);
            let mut named = all.filter(|x| x.name == name.as_bytes());
            named.next().map(|x| x.value).ok_or(Errno::ENODATA)
        });
        answer(value, size, reply);
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let names = self.whole(ino).map(|node| {
            let all = node.into_iter().flat_map(|node| node.extended_attributes);
            all.flat_map(|x| x.name.into_iter().chain([0])).collect()
        });
        answer(names, size, reply);
    }
}

fn answer(bytes: Answer<Vec<u8>>, size: u32, reply: ReplyXattr) {
    match bytes {
        Ok(bytes) if size == 0 => reply.size(u32::try_from(bytes.len()).unwrap_or(u32::MAX)),
        Ok(bytes) if bytes.len() <= size as usize => reply.data(&bytes),
        Ok(_) => reply.error(Errno::ERANGE),
        Err(errno) => reply.error(errno),
    }
}

fn kind(kind: &NodeKind) -> FileType {
    match kind {
        NodeKind::Dir => FileType::Directory,
        NodeKind::Symlink => FileType::Symlink,
        NodeKind::Dev => FileType::BlockDevice,
        NodeKind::CharDev => FileType::CharDevice,
        NodeKind::Fifo => FileType::NamedPipe,
        NodeKind::Socket => FileType::Socket,
        NodeKind::File | NodeKind::Irregular(_) => FileType::RegularFile,
    }
}

/// Permission bits with set-user, set-group and sticky.
fn permissions(node: &Node) -> u16 {
    u16::try_from(unix_mode_from_go(node.mode) & 0o7777).unwrap_or(0)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}
