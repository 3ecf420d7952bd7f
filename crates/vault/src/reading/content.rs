//! The content of one file in order: by segments, the next one fetched while the current one is handed on.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::thread;

use vouchsafe_capture::{CaptureError, ContentSink, PointReader, TreePath};
use vouchsafe_format::{BlobKind, Id, Node, NodeKind};
use vouchsafe_model::Issue;

use super::error::DumpError;
use crate::error::TreeProblem;
use crate::point::Point;

/// A file's content in its parts, or why it cannot be had.
type Whole = Result<Vec<Vec<u8>>, String>;

/// Bytes of content fetched at once; twice as much is in memory at most, and one chunk more for each thread.
pub(super) const SEGMENT: u64 = 16 << 20;

impl Point {
    /// Hands the content of the file at `path` to `out`, in order; the number of bytes.
    ///
    /// Every chunk is re-hashed before a byte of it is handed out. Nothing is handed out if a chunk is not even
    /// listed.
    ///
    /// # Errors
    /// [`DumpError`]. After [`DumpError::Broken`] `out` has the bytes before the damage.
    pub fn dump_file(&self, path: &TreePath, out: &mut dyn Write) -> Result<u64, DumpError> {
        let (path, node) = self.locate(path)?;
        if node.kind != NodeKind::File {
            return Err(DumpError::NoContent {
                path: path.to_string(),
                kind: node.kind.as_str().to_owned(),
            });
        }
        self.measure(&path, &node)?;
        self.stream(&path, &node, out)?;
        Ok(node.size)
    }

    /// Sees to it that all chunks of a file are listed and make up its size.
    pub(super) fn measure(&self, path: &TreePath, node: &Node) -> Result<(), DumpError> {
        let broken = |message: String| DumpError::Broken {
            issue: Issue {
                place: path.to_string(),
                message,
            },
        };
        let mut length = 0;
        for chunk in node.content.iter().flatten() {
            let name = node.name.escape_ascii().to_string();
            length += self.chunk_length(chunk).ok_or_else(|| {
                let chunk = *chunk;
                broken(TreeProblem::ChunkNotListed { chunk, name }.to_string())
            })?;
        }
        if length == node.size {
            Ok(())
        } else {
            let size = node.size;
            Err(broken(format!(
                "its content has {length} bytes, but the point says {size}"
            )))
        }
    }

    /// Bytes of a chunk, if it is listed.
    pub(crate) fn chunk_length(&self, chunk: &Id) -> Option<u64> {
        let place = self.blobs.index.place(BlobKind::Data, chunk);
        place.map(|place| place.plain_length())
    }

    /// Hands the content of a measured file on.
    pub(super) fn stream(
        &self,
        path: &TreePath,
        node: &Node,
        out: &mut dyn Write,
    ) -> Result<(), DumpError> {
        let mut segments = self.segments(node).into_iter();
        thread::scope(|scope| {
            let mut fetch = || {
                let segment = segments.next()?;
                Some(scope.spawn(move || self.fetch_segment(path, segment)))
            };
            let mut next = fetch();
            while let Some(current) = next {
                // A thread that died has said so on its own.
                let parts = current.join().unwrap_or(Err(DumpError::Interrupted));
                next = fetch();
                for part in parts? {
                    out.write_all(&part).map_err(DumpError::Output)?;
                }
            }
            Ok(())
        })
    }

    /// The file cut into parts of about [`SEGMENT`] bytes, each as if it were a file.
    fn segments(&self, node: &Node) -> Vec<Node> {
        let (mut out, mut content, mut size) = (Vec::new(), Vec::new(), 0);
        let mut cut = |content: Vec<Id>, size| {
            out.push(Node {
                name: node.name.clone(),
                size,
                content: Some(content),
                ..Node::default()
            });
        };
        for chunk in node.content.iter().flatten() {
            content.push(*chunk);
            size += self.chunk_length(chunk).unwrap_or(0);
            if size >= SEGMENT {
                cut(std::mem::take(&mut content), std::mem::take(&mut size));
            }
        }
        if !content.is_empty() {
            cut(content, size);
        }
        out
    }

    fn fetch_segment(&self, path: &TreePath, segment: Node) -> Result<Vec<Vec<u8>>, DumpError> {
        let mut whole = self.fetch_into_memory(&[segment])?;
        let place = path.to_string();
        match whole.pop() {
            Some(Ok(parts)) => Ok(parts),
            Some(Err(message)) => Err(DumpError::Broken {
                issue: Issue { place, message },
            }),
            None => Err(DumpError::Interrupted),
        }
    }

    /// The whole contents of small files, each in its parts; or why it cannot be had. No file takes more memory than
    /// its size.
    pub(super) fn fetch_into_memory(&self, files: &[Node]) -> Result<Vec<Whole>, DumpError> {
        let received = Received {
            files: files.iter().map(|_| Mutex::default()).collect(),
            sizes: files.iter().map(|file| file.size).collect(),
        };
        self.fetch(files, &received).map_err(|error| match error {
            CaptureError::Interrupted => DumpError::Interrupted,
            error => DumpError::Broken {
                issue: Issue {
                    place: "content".to_owned(),
                    message: error.to_string(),
                },
            },
        })?;
        Ok(received.into_files())
    }
}

#[derive(Default)]
struct Received {
    files: Vec<Mutex<Arrived>>,
    sizes: Vec<u64>,
}

#[derive(Default)]
struct Arrived {
    by_offset: BTreeMap<u64, Vec<u8>>,
    bytes: u64,
    failed: Option<String>,
}

impl Received {
    fn with(&self, file: usize, change: impl FnOnce(&mut Arrived)) {
        if let Some(parts) = self.files.get(file) {
            change(&mut parts.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn into_files(self) -> Vec<Whole> {
        let files = self.files.into_iter().zip(self.sizes);
        files
            .map(|(parts, size)| {
                let parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
                if let Some(message) = parts.failed {
                    return Err(message);
                }
                let mut at = 0;
                for (offset, part) in &parts.by_offset {
                    if *offset != at {
                        return Err(format!("its content has a gap at byte {at}"));
                    }
                    at += part.len() as u64;
                }
                if at == size {
                    Ok(parts.by_offset.into_values().collect())
                } else {
                    Err(format!(
                        "its content has {at} bytes, but the point says {size}"
                    ))
                }
            })
            .collect()
    }
}

impl ContentSink for Received {
    fn write(&self, file: usize, offset: u64, bytes: &[u8]) -> Result<(), CaptureError> {
        let size = self.sizes.get(file).copied().unwrap_or(0);
        self.with(file, |parts| {
            parts.bytes += bytes.len() as u64;
            if parts.bytes > size {
                let message = format!("its content has more than the {size} bytes it should have");
                parts.failed.get_or_insert(message);
                parts.by_offset.clear();
            } else if !bytes.is_empty() {
                parts.by_offset.insert(offset, bytes.to_vec());
            }
        });
        Ok(())
    }

    fn finished(&self, _file: usize) -> Result<(), CaptureError> {
        Ok(())
    }

    fn failed(&self, file: usize, issue: Issue) {
        self.with(file, |parts| {
            parts.failed.get_or_insert(issue.message);
            parts.by_offset.clear();
        });
    }
}
