//! The bytes between client and server: OP_MSG, and the OP_QUERY that old handshakes begin with.
//!
//! By MongoDB's published wire protocol: a header of four little-endian 32-bit numbers (length, request, response to,
//! operation), then the operation. Whatever is not of this form is [`Malformed`], and its connection is closed.

use std::io::{self, Read, Write};

use bson::{Bson, Document, RawBsonRef, RawDocument};

/// The longest message that is taken, as in the server.
pub(crate) const MAX_MESSAGE: usize = 48_000_000;
const HEADER: usize = 16;
const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;
const OP_MSG: i32 = 2013;
const CHECKSUM_PRESENT: u32 = 1;
const MORE_TO_COME: u32 = 2;
/// Bits below this one that are not known must be refused.
const REQUIRED_BITS: u32 = 0xffff;
/// How deep documents may lie in one another, as in the server.
const MAX_DEPTH: usize = 200;

/// Bytes that are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

/// One command as it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) id: i32,
    /// The command, with its database as `$db`.
    pub(crate) body: Document,
    /// Whether it came as OP_QUERY and is to be answered by OP_REPLY.
    pub(crate) old: bool,
    /// Whether the client waits for no answer.
    pub(crate) silent: bool,
}

/// Reads one message: none when the stream ends before one begins.
pub(crate) fn read(stream: &mut impl Read) -> io::Result<Option<Result<Request, Malformed>>> {
    let mut header = [0; HEADER];
    let mut got = 0;
    while got < HEADER {
        match stream.read(&mut header[got..])? {
            0 if got == 0 => return Ok(None),
            0 => return Ok(Some(Err(Malformed("the header ends early")))),
            n => got += n,
        }
    }
    let length = usize::try_from(number(&header, 0).unwrap_or(0)).unwrap_or(0);
    if !(HEADER..=MAX_MESSAGE).contains(&length) {
        return Ok(Some(Err(Malformed("no message is that long or short"))));
    }
    let mut rest = Vec::new();
    let expected = length - HEADER;
    stream.take(expected as u64).read_to_end(&mut rest)?;
    if rest.len() < expected {
        return Ok(Some(Err(Malformed("the message ends early"))));
    }
    Ok(Some(parse(&header, &rest)))
}

/// Reads a message that is there as a whole.
pub(crate) fn parse(header: &[u8; HEADER], rest: &[u8]) -> Result<Request, Malformed> {
    let id = number(header, 4).unwrap_or(0);
    match number(header, 12) {
        Some(OP_MSG) => message(id, rest),
        Some(OP_QUERY) => query(id, rest),
        _ => Err(Malformed("an operation that is not known")),
    }
}

fn message(id: i32, rest: &[u8]) -> Result<Request, Malformed> {
    let flags = number(rest, 0).ok_or(Malformed("no flags"))? as u32;
    if flags & REQUIRED_BITS & !(CHECKSUM_PRESENT | MORE_TO_COME) != 0 {
        return Err(Malformed("a flag that is not known"));
    }
    let end = match flags & CHECKSUM_PRESENT {
        0 => rest.len(),
        _ => rest.len().checked_sub(4).ok_or(Malformed("no checksum"))?,
    };
    let mut left = rest.get(4..end).ok_or(Malformed("no sections"))?;
    let mut body = None;
    let mut sequences: Vec<(String, Vec<Bson>)> = Vec::new();
    while let Some((kind, after)) = left.split_first() {
        left = match kind {
            0 => {
                let (document, after) = document(after)?;
                if body.replace(document).is_some() {
                    return Err(Malformed("two bodies"));
                }
                after
            }
            1 => {
                let (name, documents, after) = sequence(after)?;
                sequences.push((name, documents));
                after
            }
            _ => return Err(Malformed("a section that is not known")),
        };
    }
    let mut body = body.ok_or(Malformed("no body"))?;
    for (name, documents) in sequences {
        if body.insert(name, documents).is_some() {
            return Err(Malformed("a sequence that is in the body too"));
        }
    }
    Ok(Request {
        id,
        body,
        old: false,
        silent: flags & MORE_TO_COME != 0,
    })
}

fn query(id: i32, rest: &[u8]) -> Result<Request, Malformed> {
    let after_flags = rest.get(4..).ok_or(Malformed("no flags"))?;
    let (name, after) = cstring(after_flags)?;
    let database = name
        .strip_suffix(".$cmd")
        .ok_or(Malformed("an old query that is no command"))?;
    let after = after.get(8..).ok_or(Malformed("no numbers"))?;
    let (mut body, _) = document(after)?;
    // Old clients wrap a command to say how it is to be read.
    if let Ok(inner) = body.get_document("$query") {
        body = inner.clone();
    }
    body.insert("$db", database);
    Ok(Request {
        id,
        body,
        old: true,
        silent: false,
    })
}

fn sequence(bytes: &[u8]) -> Result<(String, Vec<Bson>, &[u8]), Malformed> {
    const SHORT: Malformed = Malformed("a sequence that is too short");
    let size = number(bytes, 0).and_then(|n| usize::try_from(n).ok());
    let size = size.ok_or(SHORT)?;
    let inside = bytes.get(4..size).ok_or(SHORT)?;
    let after = bytes.get(size..).ok_or(SHORT)?;
    let (name, mut left) = cstring(inside)?;
    let mut documents = Vec::new();
    while !left.is_empty() {
        let (document, rest) = document(left)?;
        documents.push(Bson::Document(document));
        left = rest;
    }
    Ok((name, documents, after))
}

fn cstring(bytes: &[u8]) -> Result<(String, &[u8]), Malformed> {
    let end = bytes.iter().position(|b| *b == 0);
    let (text, after) = bytes.split_at(end.ok_or(Malformed("a name without an end"))?);
    let text = String::from_utf8(text.to_vec()).map_err(|_| Malformed("a name not in UTF-8"))?;
    Ok((text, after.get(1..).unwrap_or_default()))
}

/// One document at the front, and what follows it.
pub(crate) fn document(bytes: &[u8]) -> Result<(Document, &[u8]), Malformed> {
    const SHORT: Malformed = Malformed("a document that is too short");
    let size = number(bytes, 0).and_then(|n| usize::try_from(n).ok());
    let size = size.ok_or(SHORT)?;
    let (own, after) = bytes.split_at_checked(size).ok_or(SHORT)?;
    let raw = RawDocument::from_bytes(own).map_err(|_| Malformed("no document"))?;
    check(raw, 0)?;
    let document = Document::from_reader(own).map_err(|_| Malformed("no document"))?;
    Ok((document, after))
}

/// Reading a value descends as deep as it goes, so the depth is looked at first.
fn check(raw: &RawDocument, depth: usize) -> Result<(), Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed("documents that lie too deep"));
    }
    for element in raw.iter() {
        let (_, value) = element.map_err(|_| Malformed("no document"))?;
        match value {
            RawBsonRef::Document(inner) => check(inner, depth + 1)?,
            RawBsonRef::Array(inner) => {
                let inner = RawDocument::from_bytes(inner.as_bytes());
                check(inner.map_err(|_| Malformed("no array"))?, depth + 1)?;
            }
            RawBsonRef::JavaScriptCodeWithScope(code) => check(code.scope, depth + 1)?,
            _ => {}
        }
    }
    Ok(())
}

/// Writes an answer.
pub(crate) fn write(
    stream: &mut impl Write,
    request: &Request,
    reply: &Document,
) -> io::Result<()> {
    let body = reply.to_vec().map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(body.len() + HEADER + 20);
    let (operation, before): (i32, &[u8]) = match request.old {
        // Flags (it knows awaiting), no cursor, from the first of one document.
        true => (
            OP_REPLY,
            &[8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
        ),
        false => (OP_MSG, &[0, 0, 0, 0, 0]),
    };
    let length = i32::try_from(HEADER + before.len() + body.len()).map_err(io::Error::other)?;
    for number in [length, request.id.wrapping_add(1), request.id, operation] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(before);
    bytes.extend_from_slice(&body);
    stream.write_all(&bytes)
}

fn number(bytes: &[u8], at: usize) -> Option<i32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(i32::from_le_bytes(*four))
}
