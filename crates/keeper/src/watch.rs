//! A point that is watched while it is restored: which reads failed, and how much came.

use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use vouchsafe_capture::{CaptureError, Content, ContentSink, PointReader, Sink, TreePath, Visit};
use vouchsafe_format::{Id, Node, NodeKind};
use vouchsafe_model::{DigestManifest, Issue};

/// Passes everything on and remembers what could not be read: tells the vault's failures from the target's.
pub(crate) struct Watched<'a> {
    inner: &'a dyn PointReader,
    failures: Mutex<Vec<Issue>>,
    bytes: AtomicU64,
}

impl<'a> Watched<'a> {
    pub(crate) fn new(inner: &'a dyn PointReader) -> Watched<'a> {
        Watched {
            inner,
            failures: Mutex::new(Vec::new()),
            bytes: AtomicU64::new(0),
        }
    }

    /// What could not be read so far.
    pub(crate) fn failures(&self) -> Vec<Issue> {
        self.failures
            .lock()
            .map_or_else(|e| e.into_inner().clone(), |f| f.clone())
    }

    /// Bytes of content handed out so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn failed(&self, issue: Issue) {
        if let Ok(mut failures) = self.failures.lock() {
            failures.push(issue);
        }
    }
}

impl PointReader for Watched<'_> {
    fn tree(&self) -> Id {
        self.inner.tree()
    }

    fn walk(
        &self,
        visit: &mut dyn FnMut(&TreePath, &Node) -> Result<Visit, CaptureError>,
    ) -> Result<(), CaptureError> {
        let result = self.inner.walk(visit);
        if let Err(CaptureError::Vault(error)) = &result {
            self.failed(Issue {
                place: "tree".to_owned(),
                message: error.to_string(),
            });
        }
        result
    }

    fn fetch(&self, files: &[Node], out: &dyn ContentSink) -> Result<(), CaptureError> {
        let result = self.inner.fetch(files, &WatchedSink { watch: self, out });
        if let Err(CaptureError::Vault(error)) = &result {
            self.failed(Issue {
                place: "content".to_owned(),
                message: error.to_string(),
            });
        }
        result
    }

    fn open<'b>(&'b self, file: &Node) -> Result<Box<dyn Read + Send + 'b>, CaptureError> {
        let place = String::from_utf8_lossy(&file.name).into_owned();
        match self.inner.open(file) {
            Ok(read) => Ok(Box::new(WatchedRead {
                watch: self,
                read,
                place,
            })),
            Err(error) => {
                self.failed(Issue {
                    place,
                    message: error.to_string(),
                });
                Err(error)
            }
        }
    }
}

struct WatchedSink<'a, 'b> {
    watch: &'a Watched<'b>,
    out: &'a dyn ContentSink,
}

impl ContentSink for WatchedSink<'_, '_> {
    fn write(&self, file: usize, offset: u64, bytes: &[u8]) -> Result<(), CaptureError> {
        self.watch
            .bytes
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.out.write(file, offset, bytes)
    }
    fn finished(&self, file: usize) -> Result<(), CaptureError> {
        self.out.finished(file)
    }
    fn failed(&self, file: usize, issue: Issue) {
        self.watch.failed(issue.clone());
        self.out.failed(file, issue);
    }
}

struct WatchedRead<'a, 'b> {
    watch: &'a Watched<'b>,
    read: Box<dyn Read + Send + 'a>,
    place: String,
}

impl Read for WatchedRead<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.read.read(buf) {
            Ok(n) => {
                self.watch.bytes.fetch_add(n as u64, Ordering::Relaxed);
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.watch.failed(Issue {
                    place: self.place.clone(),
                    message: error.to_string(),
                });
                Err(error)
            }
        }
    }
}

/// Bytes in memory as the content of a file.
struct Bytes(Option<Vec<u8>>);

impl Content for Bytes {
    fn open(&mut self) -> Result<Box<dyn Read + Send>, CaptureError> {
        Ok(Box::new(io::Cursor::new(self.0.take().unwrap_or_default())))
    }
}

/// A regular file's node with nothing but name, size and owner-only mode.
pub(crate) fn plain_node(name: &str, size: u64) -> Node {
    Node {
        name: name.as_bytes().to_vec(),
        kind: NodeKind::File,
        mode: 0o600,
        size,
        links: 1,
        ..Node::default()
    }
}

/// Puts bytes into the root of what is being captured.
pub(crate) fn push_bytes(
    sink: &mut dyn Sink,
    name: &str,
    bytes: Vec<u8>,
) -> Result<(), CaptureError> {
    sink.file(
        plain_node(name, bytes.len() as u64),
        Box::new(Bytes(Some(bytes))),
    )
}

/// Puts a manifest into the root of what is being captured.
pub(crate) fn push_manifest(
    sink: &mut dyn Sink,
    name: &str,
    manifest: &DigestManifest,
) -> Result<(), CaptureError> {
    let json = serde_json::to_vec(manifest).map_err(CaptureError::vault)?;
    push_bytes(sink, name, json)
}

/// Reads the manifest of a point, if it has one.
pub(crate) fn read_manifest(
    point: &dyn PointReader,
    name: &str,
) -> Result<Option<DigestManifest>, CaptureError> {
    const LIMIT: u64 = 256 << 20;
    let mut found = None;
    point.walk(&mut |path, node| {
        if path.names().len() == 1 && node.name == name.as_bytes() && node.kind == NodeKind::File {
            found = Some(node.clone());
            return Ok(Visit::Stop);
        }
        Ok(Visit::Over)
    })?;
    let Some(node) = found else { return Ok(None) };
    let mut json = Vec::new();
    point
        .open(&node)?
        .take(LIMIT)
        .read_to_end(&mut json)
        .map_err(|e| CaptureError::io("read", name, e))?;
    serde_json::from_slice(&json)
        .map(Some)
        .map_err(|error| CaptureError::Unreadable {
            place: name.to_owned(),
            message: format!("is no manifest: {error}"),
            remedy: "restore an older point, or the same point from another vault".to_owned(),
        })
}
