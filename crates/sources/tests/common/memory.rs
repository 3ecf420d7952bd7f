//! A vault that keeps everything in memory: content in chunks under their SHA-256, trees as they were pushed.

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::thread::JoinHandle;

use vouchsafe_capture::{
    CaptureError, Content, ContentSink, PointReader, Sink, StreamContent, TreePath, Visit,
};
use vouchsafe_format::{Id, Node, NodeKind};
use vouchsafe_model::Issue;

/// Small, so that files have several chunks.
const CHUNK: usize = 1000;

/// Takes a tree; contents are opened and read only at the end, as a vault's threads may do it.
pub struct Memory {
    /// Open directories; the first is the root.
    open: Vec<(Node, Vec<Entry>)>,
    pub issues: Vec<Issue>,
}

enum Entry {
    Plain(Node, Vec<Entry>),
    File(Node, Box<dyn Content>),
    /// Read from the start: whoever writes it may wait for that.
    Stream(Node, JoinHandle<Vec<u8>>),
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            open: vec![(Node::default(), Vec::new())],
            issues: Vec::new(),
        }
    }
}

impl Memory {
    fn push(&mut self, entry: Entry) {
        self.open
            .last_mut()
            .expect("the root is open")
            .1
            .push(entry);
    }

    /// The point, with what could not be read.
    pub fn finish(mut self) -> Point {
        assert_eq!(
            self.open.len(),
            1,
            "every directory that was entered is left"
        );
        let (_, entries) = self.open.pop().expect("the root");
        let mut point = Point {
            issues: self.issues,
            ..Point::default()
        };
        point.root = point.resolve(entries);
        point
    }
}

impl Sink for Memory {
    fn enter(&mut self, directory: Node) -> Result<(), CaptureError> {
        assert_eq!(directory.kind, NodeKind::Dir);
        assert!(directory.has_safe_name());
        self.open.push((directory, Vec::new()));
        Ok(())
    }
    fn leave(&mut self) -> Result<(), CaptureError> {
        assert!(self.open.len() > 1, "leaving the root is an error");
        let (node, entries) = self.open.pop().expect("an open directory");
        self.push(Entry::Plain(node, entries));
        Ok(())
    }
    fn entry(&mut self, node: Node) -> Result<(), CaptureError> {
        assert!(!matches!(node.kind, NodeKind::Dir | NodeKind::File));
        self.push(Entry::Plain(node, Vec::new()));
        Ok(())
    }
    fn file(&mut self, node: Node, content: Box<dyn Content>) -> Result<(), CaptureError> {
        assert_eq!(node.kind, NodeKind::File);
        self.push(Entry::File(node, content));
        Ok(())
    }
    fn stream(&mut self, node: Node, stream: Box<dyn StreamContent>) -> Result<(), CaptureError> {
        let reading = std::thread::spawn(move || read_stream(stream));
        self.push(Entry::Stream(node, reading));
        Ok(())
    }
    fn issue(&mut self, issue: Issue) {
        self.issues.push(issue);
    }
}

fn read_stream(mut stream: Box<dyn StreamContent>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 700];
    loop {
        let count = stream.read(&mut buffer).expect("reads");
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..count]);
    }
    stream.finish().expect("a clean end");
    bytes
}

/// What a damaged vault does.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Gives a changed byte of the largest file.
    WrongByte,
    /// Says that the largest file cannot be had.
    Failed,
    /// Forgets the largest file.
    Forgotten,
    /// Nothing can be fetched any more.
    Lost,
}

/// A finished point.
#[derive(Default)]
pub struct Point {
    pub root: Vec<(Node, Tree)>,
    pub issues: Vec<Issue>,
    pub fault: Fault,
    /// The directory whose tree cannot be read.
    pub hidden: Option<Vec<u8>>,
    chunks: HashMap<Id, Vec<u8>>,
}

/// What lies in a directory, by raw name.
#[derive(Default)]
pub struct Tree(pub Vec<(Node, Tree)>);

impl Point {
    /// Changes a byte of the file at this path.
    pub fn damage(&mut self, path: &str) {
        let content = self.node(path).and_then(|node| node.content);
        let id = content.expect("a file")[0];
        self.chunks.get_mut(&id).expect("a chunk")[0] ^= 1;
    }

    /// The entry at this path.
    pub fn node(&self, path: &str) -> Option<Node> {
        let wanted = TreePath::parse(path.as_bytes()).expect("a path");
        let mut found = None;
        self.walk(&mut |path, node| {
            if *path == wanted {
                found = Some(node.clone());
            }
            Ok(Visit::Into)
        })
        .expect("walks");
        found
    }

    /// All paths, as text.
    pub fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.walk(&mut |path, _| {
            out.push(path.to_string());
            Ok(Visit::Into)
        })
        .expect("walks");
        out
    }

    pub fn content(&self, node: &Node) -> Vec<u8> {
        let mut out = Vec::new();
        self.open(node)
            .expect("opens")
            .read_to_end(&mut out)
            .expect("reads");
        out
    }

    fn resolve(&mut self, entries: Vec<Entry>) -> Vec<(Node, Tree)> {
        let mut out: Vec<(Node, Tree)> = Vec::new();
        for entry in entries {
            let resolved = match entry {
                Entry::Plain(node, below) => Some((node, Tree(self.resolve(below)))),
                Entry::File(node, content) => {
                    self.file(node, content).map(|n| (n, Tree::default()))
                }
                Entry::Stream(node, stream) => Some((self.stream(node, stream), Tree::default())),
            };
            out.extend(resolved);
        }
        out.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        assert!(
            out.windows(2).all(|w| w[0].0.name != w[1].0.name),
            "a name came twice"
        );
        out
    }

    fn file(&mut self, node: Node, mut content: Box<dyn Content>) -> Option<Node> {
        let place = node.name.escape_ascii().to_string();
        let read = content.open().and_then(|mut reader| {
            let mut bytes = Vec::new();
            reader
                .read_to_end(&mut bytes)
                .map_err(|e| CaptureError::io("read", place.clone(), e))?;
            let newer = content.close(bytes.len() as u64)?;
            Ok((bytes, newer))
        });
        match read {
            Ok((bytes, newer)) => Some(self.store(newer.unwrap_or(node), &bytes)),
            Err(error) => {
                self.issues.push(Issue {
                    place,
                    message: error.to_string(),
                });
                None
            }
        }
    }

    fn stream(&mut self, mut node: Node, reading: JoinHandle<Vec<u8>>) -> Node {
        let bytes = reading.join().expect("a clean end");
        node.size = bytes.len() as u64;
        self.store(node, &bytes)
    }

    fn store(&mut self, mut node: Node, bytes: &[u8]) -> Node {
        let ids = bytes.chunks(CHUNK).map(|chunk| {
            let id = Id::of(chunk);
            self.chunks.insert(id, chunk.to_vec());
            id
        });
        node.content = Some(ids.collect());
        node
    }

    /// False if the visitor wants no more; `broken` tells whether something was hidden.
    fn visit(
        &self,
        entries: &[(Node, Tree)],
        path: &mut TreePath,
        broken: &mut bool,
        visit: &mut dyn FnMut(&TreePath, &Node) -> Result<Visit, CaptureError>,
    ) -> Result<bool, CaptureError> {
        for (node, below) in entries {
            path.push(&node.name).expect("a name");
            let wanted = visit(path, node)?;
            if wanted == Visit::Stop {
                return Ok(false);
            }
            let hidden = self.hidden.as_ref() == Some(&node.name);
            *broken |= hidden && wanted == Visit::Into;
            let into = wanted == Visit::Into && !hidden;
            if into && !self.visit(&below.0, path, broken, visit)? {
                return Ok(false);
            }
            path.pop();
        }
        Ok(true)
    }
}

impl PointReader for Point {
    fn tree(&self) -> Id {
        let mut text = Vec::new();
        self.walk(&mut |path, node| {
            text.extend(format!("{path} {node:?}\n").bytes());
            Ok(Visit::Into)
        })
        .expect("walks");
        Id::of(&text)
    }

    fn walk(
        &self,
        visit: &mut dyn FnMut(&TreePath, &Node) -> Result<Visit, CaptureError>,
    ) -> Result<(), CaptureError> {
        let mut broken = false;
        self.visit(&self.root, &mut TreePath::root(), &mut broken, visit)?;
        if broken {
            return Err(CaptureError::vault(std::io::Error::other(
                "a tree is damaged",
            )));
        }
        Ok(())
    }

    /// From the last file to the first and from the last chunk to the first, on two threads.
    fn fetch(&self, files: &[Node], out: &dyn ContentSink) -> Result<(), CaptureError> {
        if self.fault == Fault::Lost {
            return Err(CaptureError::vault(std::io::Error::other(
                "the vault is gone",
            )));
        }
        let largest = (0..files.len()).max_by_key(|n| files[*n].size);
        let one = |number: usize| -> Result<(), CaptureError> {
            let fault = if Some(number) == largest {
                self.fault
            } else {
                Fault::None
            };
            match fault {
                Fault::Failed => {
                    out.failed(
                        number,
                        Issue {
                            place: "pack".to_owned(),
                            message: "the pack is damaged".to_owned(),
                        },
                    );
                    return Ok(());
                }
                Fault::Forgotten => return Ok(()),
                Fault::None | Fault::WrongByte | Fault::Lost => {}
            }
            for (at, id) in files[number]
                .content
                .as_deref()
                .unwrap_or_default()
                .iter()
                .enumerate()
                .rev()
            {
                let mut bytes = self.chunks[id].clone();
                if fault == Fault::WrongByte {
                    bytes[0] ^= 1;
                }
                out.write(number, (at * CHUNK) as u64, &bytes)?;
            }
            out.finished(number)
        };
        std::thread::scope(|scope| {
            let halves = [0, 1].map(|odd| {
                let one = &one;
                scope.spawn(move || {
                    (0..files.len())
                        .rev()
                        .filter(|n| n % 2 == odd)
                        .try_for_each(one)
                })
            });
            halves
                .into_iter()
                .try_for_each(|half| half.join().expect("no panic"))
        })
    }

    fn chunk_lengths(&self, file: &Node) -> Option<Vec<u64>> {
        let chunks = file.content.iter().flatten();
        Some(chunks.map(|id| self.chunks[id].len() as u64).collect())
    }

    fn open<'a>(&'a self, file: &Node) -> Result<Box<dyn Read + Send + 'a>, CaptureError> {
        let mut bytes: Vec<u8> = file
            .content
            .iter()
            .flatten()
            .flat_map(|id| self.chunks[id].clone())
            .collect();
        if self.fault == Fault::WrongByte
            && let Some(first) = bytes.last_mut()
        {
            *first ^= 1;
        }
        Ok(Box::new(Cursor::new(bytes)))
    }
}
