//! Reading an archive, document by document.

use std::collections::HashMap;
use std::io::Read;

use crc_fast::Digest;
use mongodb::bson::{RawBsonRef, RawDocument};

use super::{
    ArchiveError, Header, LARGEST, LARGEST_PRELUDE, MAGIC, Namespace, OPLOG, Prelude, TERMINATOR,
    VERSION, check, full_name, sum,
};

/// What comes next in an archive.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::mongodb) enum Event<'a> {
    /// A document of the namespace with this number in the prelude.
    Document(usize, &'a [u8]),
    /// All documents of this namespace have come, and their sum is the one that the archive has.
    End(usize),
}

/// An archive whose prelude was read.
pub(in crate::mongodb) struct ArchiveReader<R> {
    input: Counted<R>,
    prelude: Prelude,
    numbers: HashMap<(String, String), usize>,
    states: Vec<State>,
    /// The namespace whose block is being read.
    block: Option<usize>,
    document: Vec<u8>,
}

struct State {
    sum: Digest,
    ended: bool,
}

impl State {
    fn new() -> State {
        State {
            sum: sum(),
            ended: false,
        }
    }
}

/// What a block's header says.
struct Block {
    db: String,
    collection: String,
    ends: bool,
    sum: u64,
}

/// Counts the bytes that were read.
struct Counted<R> {
    inner: R,
    at: u64,
}

/// What comes where a document may begin.
#[derive(PartialEq, Eq)]
enum Next {
    Document,
    Terminator,
    End,
}

impl<R: Read> ArchiveReader<R> {
    /// Reads the prelude.
    pub(in crate::mongodb) fn open(input: R) -> Result<ArchiveReader<R>, ArchiveError> {
        let mut input = Counted {
            inner: input,
            at: 0,
        };
        let mut magic = [0; 4];
        input.exact(&mut magic, "its first bytes")?;
        if magic != MAGIC {
            return Err(ArchiveError::Magic);
        }
        let mut document = Vec::new();
        if input.document(&mut document, "the header")? != Next::Document {
            return Err(malformed(4, "the header is missing"));
        }
        let header = header(&document)?;
        let mut out = ArchiveReader {
            input,
            prelude: Prelude {
                header,
                namespaces: Vec::new(),
            },
            numbers: HashMap::new(),
            states: Vec::new(),
            block: None,
            document,
        };
        out.read_namespaces()?;
        Ok(out)
    }

    fn read_namespaces(&mut self) -> Result<(), ArchiveError> {
        loop {
            let at = self.input.at;
            match self.input.document(&mut self.document, "the prelude")? {
                Next::Terminator => return Ok(()),
                Next::End => return Err(truncated(at, "the prelude")),
                Next::Document => {}
            }
            if self.input.at > LARGEST_PRELUDE {
                let message = format!("the prelude is longer than {LARGEST_PRELUDE} bytes");
                return Err(malformed(at, message));
            }
            let announced = namespace(&self.document).map_err(|m| malformed(at, m))?;
            self.add(at, announced)?;
        }
    }

    fn add(&mut self, at: u64, namespace: Namespace) -> Result<usize, ArchiveError> {
        let number = self.states.len();
        let key = (namespace.db.clone(), namespace.collection.clone());
        if self.numbers.insert(key, number).is_some() {
            return Err(ArchiveError::Order {
                at,
                namespace: namespace.name(),
                message: "is announced twice",
            });
        }
        self.prelude.namespaces.push(namespace);
        self.states.push(State::new());
        Ok(number)
    }

    /// What stands before the blocks. The oplog is added to it when its first block comes.
    pub(in crate::mongodb) fn prelude(&self) -> &Prelude {
        &self.prelude
    }

    /// What comes next; nothing after the last namespace has ended.
    pub(in crate::mongodb) fn next(&mut self) -> Result<Option<Event<'_>>, ArchiveError> {
        loop {
            let at = self.input.at;
            let Some(number) = self.block else {
                match self.header()? {
                    None => return Ok(None),
                    Some(Block {
                        ends: true,
                        sum,
                        db,
                        collection,
                    }) => {
                        let number = self.number(at, &db, &collection)?;
                        return self.end(number, sum).map(|()| Some(Event::End(number)));
                    }
                    Some(Block { db, collection, .. }) => {
                        let number = self.number(at, &db, &collection)?;
                        self.block = Some(number);
                        continue;
                    }
                }
            };
            match self.input.document(&mut self.document, "a block")? {
                Next::End => return Err(truncated(at, "a block")),
                // Of a namespace without documents the tools write a block all the same.
                Next::Terminator => self.block = None,
                Next::Document => {
                    check(&self.document).map_err(|m| malformed(at, m))?;
                    if let Some(state) = self.states.get_mut(number) {
                        state.sum.update(&self.document);
                    }
                    return Ok(Some(Event::Document(number, &self.document)));
                }
            }
        }
    }

    /// The header of a block; nothing where the archive ends as it may.
    fn header(&mut self) -> Result<Option<Block>, ArchiveError> {
        let at = self.input.at;
        match self
            .input
            .document(&mut self.document, "the header of a block")?
        {
            Next::Document => {}
            Next::Terminator => return Err(malformed(at, "a block has no header")),
            Next::End => {
                let open = self.states.iter().position(|state| !state.ended);
                return match open {
                    None => Ok(None),
                    Some(number) => Err(ArchiveError::Unended {
                        namespace: self.name(number),
                    }),
                };
            }
        }
        let block = block(&self.document).map_err(|m| malformed(at, m))?;
        if block.ends {
            let after = self.input.at;
            let mut terminator = [0; 4];
            self.input
                .exact(&mut terminator, "the end of a namespace")?;
            if terminator != TERMINATOR {
                return Err(malformed(after, "the end of a namespace has no terminator"));
            }
        }
        Ok(Some(block))
    }

    fn number(&mut self, at: u64, db: &str, collection: &str) -> Result<usize, ArchiveError> {
        let key = (db.to_owned(), collection.to_owned());
        let known = self.numbers.get(&key).copied();
        let number = match known {
            Some(number) => number,
            None if (db, collection) == OPLOG => self.add(at, oplog())?,
            None => {
                return Err(ArchiveError::Order {
                    at,
                    namespace: full_name(db, collection),
                    message: "was not announced",
                });
            }
        };
        if self.states.get(number).is_some_and(|state| state.ended) {
            return Err(self.out_of_order(at, number, "goes on after its end"));
        }
        Ok(number)
    }

    fn end(&mut self, number: usize, expected: u64) -> Result<(), ArchiveError> {
        let Some(state) = self.states.get_mut(number) else {
            return Ok(());
        };
        state.ended = true;
        let actual = std::mem::replace(&mut state.sum, sum()).finalize();
        if actual == expected {
            return Ok(());
        }
        Err(ArchiveError::Sum {
            namespace: self.name(number),
            expected,
            actual,
        })
    }

    fn name(&self, number: usize) -> String {
        let namespace = self.prelude.namespaces.get(number);
        namespace.map(Namespace::name).unwrap_or_default()
    }

    fn out_of_order(&self, at: u64, number: usize, message: &'static str) -> ArchiveError {
        ArchiveError::Order {
            at,
            namespace: self.name(number),
            message,
        }
    }
}

impl<R: Read> Counted<R> {
    /// Fills `buffer`, or says what was cut off.
    fn exact(&mut self, buffer: &mut [u8], within: &'static str) -> Result<(), ArchiveError> {
        match self.fill(buffer)? {
            count if count == buffer.len() => Ok(()),
            _ => Err(truncated(self.at, within)),
        }
    }

    /// Fills `buffer` as far as there are bytes; how many came.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.inner.read(rest) {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    self.at += count as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(ArchiveError::Io {
                        at: self.at,
                        source,
                    });
                }
            }
        }
        Ok(filled)
    }

    /// Reads a document into `out`, or sees that none comes. It grows with what really comes, whatever is announced.
    fn document(&mut self, out: &mut Vec<u8>, within: &'static str) -> Result<Next, ArchiveError> {
        let at = self.at;
        let mut length = [0; 4];
        match self.fill(&mut length)? {
            0 => return Ok(Next::End),
            4 if length == TERMINATOR => return Ok(Next::Terminator),
            4 => {}
            _ => return Err(truncated(self.at, within)),
        }
        let announced = i32::from_le_bytes(length);
        let size = usize::try_from(announced)
            .ok()
            .filter(|size| (5..=LARGEST).contains(size));
        let size = size.ok_or_else(|| {
            malformed(
                at,
                format!("a document has the impossible length {announced}"),
            )
        })?;
        out.clear();
        out.extend_from_slice(&length);
        while out.len() < size {
            let filled = out.len();
            out.resize(size.min(filled + (1 << 20)), 0);
            let rest = out.get_mut(filled..).unwrap_or_default();
            self.exact(rest, within)?;
        }
        if out.last() != Some(&0) {
            return Err(malformed(at, "a document does not end with a 0"));
        }
        Ok(Next::Document)
    }
}

fn oplog() -> Namespace {
    Namespace {
        db: OPLOG.0.to_owned(),
        collection: OPLOG.1.to_owned(),
        metadata: String::new(),
        size: 0,
        kind: String::new(),
    }
}

fn truncated(at: u64, within: &'static str) -> ArchiveError {
    ArchiveError::Truncated { at, within }
}

fn malformed(at: u64, message: impl Into<String>) -> ArchiveError {
    ArchiveError::Malformed {
        at,
        message: message.into(),
    }
}

/// The document with these bytes, whose structure was looked at.
fn raw(bytes: &[u8]) -> Result<&RawDocument, String> {
    check(bytes)?;
    RawDocument::from_bytes(bytes).map_err(|e| e.to_string())
}

fn header(bytes: &[u8]) -> Result<Header, ArchiveError> {
    let document = raw(bytes).map_err(|m| malformed(4, m))?;
    let text = |key: &str| match document.get(key) {
        Ok(Some(RawBsonRef::String(text))) => Ok(text.to_owned()),
        _ => Err(malformed(4, format!("the header has no text `{key}`"))),
    };
    let version = text("version")?;
    if version != VERSION {
        return Err(ArchiveError::Version { version });
    }
    let concurrent = document.get_i32("concurrent_collections");
    Ok(Header {
        concurrent_collections: concurrent
            .map_err(|_| malformed(4, "the header has no number `concurrent_collections`"))?,
        server_version: text("server_version")?,
        tool_version: text("tool_version")?,
    })
}

fn namespace(bytes: &[u8]) -> Result<Namespace, String> {
    let document = raw(bytes)?;
    let text = |key: &str| {
        let found = document.get_str(key).map(str::to_owned);
        found.map_err(|_| format!("a namespace of the prelude has no text `{key}`"))
    };
    Ok(Namespace {
        db: text("db")?,
        collection: text("collection")?,
        metadata: text("metadata")?,
        size: document.get_i32("size").unwrap_or(0),
        // The older tools did not write it.
        kind: document.get_str("type").unwrap_or_default().to_owned(),
    })
}

/// The tools refuse a header with anything else in it, and so do we.
fn block(bytes: &[u8]) -> Result<Block, String> {
    let mut out = Block {
        db: String::new(),
        collection: String::new(),
        ends: false,
        sum: 0,
    };
    let mut seen = 0_u8;
    for element in raw(bytes)?.iter() {
        let (key, value) = element.map_err(|e| e.to_string())?;
        seen |= match (key.as_str(), value) {
            ("db", RawBsonRef::String(text)) => {
                text.clone_into(&mut out.db);
                1
            }
            ("collection", RawBsonRef::String(text)) => {
                text.clone_into(&mut out.collection);
                2
            }
            ("EOF", RawBsonRef::Boolean(ends)) => {
                out.ends = ends;
                4
            }
            ("CRC", RawBsonRef::Int64(sum)) => {
                out.sum = sum.cast_unsigned();
                8
            }
            (key, _) => return Err(format!("the header of a block has the field `{key}`")),
        };
    }
    if seen != 15 {
        return Err("the header of a block lacks a field".to_owned());
    }
    if !out.ends && out.sum != 0 {
        return Err("the header of a block has a sum".to_owned());
    }
    Ok(out)
}
