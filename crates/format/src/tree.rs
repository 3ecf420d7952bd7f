//! Trees: the entries of one directory, in the very bytes that restic writes.
//!
//! A tree is named by the digest of its JSON, hence every byte counts: the order
//! of keys, the keys left out, the escapes, the newline at the end.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::gojson::{push_compact, push_string, spelling_of};
use crate::id::Id;
use crate::node::{Node, NodeKind, Spelling, Xattr};
use crate::quote::{quote, unquote};
use crate::timestamp::{Timestamp, TimestampError};

/// A tree cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Names do not ascend strictly: not sorted, or twice the same.
    #[error("entry {position} of the tree, {:?}, does not come after the one before", name.escape_ascii().to_string())]
    Order {
        /// Position of the entry, from 0.
        position: usize,
        /// Its name.
        name: Vec<u8>,
    },
    /// A name that no directory's entry can have.
    #[error("entry {position} of the tree has the impossible name {:?}", name.escape_ascii().to_string())]
    Name {
        /// Position of the entry, from 0.
        position: usize,
        /// Its name.
        name: Vec<u8>,
    },
    /// A generic attribute that is no JSON.
    #[error("the attribute {attribute:?} of entry {position} is not JSON")]
    Attribute {
        /// Position of the entry, from 0.
        position: usize,
        /// The attribute's name.
        attribute: String,
        /// What the parser met.
        source: serde_json::Error,
    },
    /// Not the JSON of a tree.
    #[error("the tree is malformed")]
    Malformed(#[from] serde_json::Error),
    /// A quoted name that cannot be read.
    #[error("the name of entry {position} of the tree, {quoted:?}, is not properly quoted")]
    Quoted {
        /// Position of the entry, from 0.
        position: usize,
        /// The quoted name.
        quoted: String,
    },
    /// A time that cannot be read.
    #[error("the {field} of entry {position} of the tree cannot be read")]
    Time {
        /// Position of the entry, from 0.
        position: usize,
        /// `mtime`, `atime` or `ctime`.
        field: &'static str,
        /// What was wrong.
        source: TimestampError,
    },
    /// Bytes that are not base64.
    #[error("the {field} of entry {position} of the tree is not base64")]
    Base64 {
        /// Position of the entry, from 0.
        position: usize,
        /// `linktarget_raw` or `extended_attributes`.
        field: &'static str,
        /// What was wrong.
        source: base64::DecodeError,
    },
}

/// The bytes of a tree with these entries.
///
/// # Errors
/// [`TreeError::Order`] unless the names ascend strictly by their bytes,
/// [`TreeError::Name`] for a name that is unsafe
/// ([`Node::has_safe_name`]), [`TreeError::Attribute`].
pub fn encode_tree(nodes: &[Node]) -> Result<Vec<u8>, TreeError> {
    if let Some(position) = first_out_of_order(nodes) {
        let name = nodes
            .get(position)
            .map(|node| node.name.clone())
            .unwrap_or_default();
        return Err(TreeError::Order { position, name });
    }
    let mut out = Vec::with_capacity(16 + nodes.len() * 512);
    out.extend_from_slice(br#"{"nodes":["#);
    for (position, node) in nodes.iter().enumerate() {
        if !node.has_safe_name() {
            return Err(TreeError::Name {
                position,
                name: node.name.clone(),
            });
        }
        if position > 0 {
            out.push(b',');
        }
        push_node(&mut out, node).map_err(|(attribute, source)| TreeError::Attribute {
            position,
            attribute,
            source,
        })?;
    }
    out.extend_from_slice(b"]}\n");
    Ok(out)
}

/// The entries of a tree.
///
/// What restic wrote is kept in full: [`encode_tree`] makes the same bytes of it.
/// The order of names and their safety are not judged here, so that damaged
/// trees can still be restored from: see [`first_out_of_order`] and
/// [`Node::has_safe_name`].
///
/// # Errors
/// [`TreeError`]. Memory stays in proportion to the bytes given.
pub fn decode_tree(json: &[u8]) -> Result<Vec<Node>, TreeError> {
    if has_old_escapes(json) {
        let tree: Tree<'_, &RawValue> = serde_json::from_slice(json)?;
        let nodes = tree.nodes.into_iter().enumerate();
        return nodes
            .map(|(position, raw)| decode_spelled(position, raw.get()))
            .collect();
    }
    let tree: Tree<'_, NodeJson<'_>> = serde_json::from_slice(json)?;
    let nodes = tree.nodes.into_iter().enumerate();
    nodes
        .map(|(position, node)| node.into_node(position, Spelling::default()))
        .collect()
}

/// Position of the first entry whose name does not come after the one before.
pub fn first_out_of_order(nodes: &[Node]) -> Option<usize> {
    let pairs = nodes.iter().zip(nodes.iter().skip(1));
    pairs
        .into_iter()
        .position(|(a, b)| a.name >= b.name)
        .map(|i| i + 1)
}

#[derive(Deserialize)]
struct Tree<'a, N> {
    nodes: Vec<N>,
    #[serde(skip)]
    borrowed: std::marker::PhantomData<&'a ()>,
}

#[derive(Deserialize)]
struct NodeJson<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    mode: u32,
    #[serde(borrow)]
    mtime: Cow<'a, str>,
    #[serde(borrow)]
    atime: Cow<'a, str>,
    #[serde(borrow)]
    ctime: Cow<'a, str>,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    #[serde(default)]
    user: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    inode: u64,
    #[serde(default)]
    device_id: u64,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    links: u64,
    #[serde(default)]
    linktarget: String,
    #[serde(borrow, default)]
    linktarget_raw: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    extended_attributes: Option<Vec<XattrJson<'a>>>,
    #[serde(borrow, default)]
    generic_attributes: Option<BTreeMap<String, &'a RawValue>>,
    #[serde(default)]
    device: u64,
    #[serde(default)]
    content: Option<Vec<Id>>,
    #[serde(default)]
    subtree: Option<Id>,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct XattrJson<'a> {
    name: String,
    #[serde(borrow)]
    value: Option<Cow<'a, str>>,
}

impl NodeJson<'_> {
    fn into_node(self, position: usize, mut spelling: Spelling) -> Result<Node, TreeError> {
        let Some(name) = unquote(&self.name) else {
            return Err(TreeError::Quoted {
                position,
                quoted: self.name.into_owned(),
            });
        };
        if quote(&name) != self.name {
            spelling.name = Some(self.name.into());
        }
        let time = |field, text: &str| {
            text.parse::<Timestamp>().map_err(|source| TreeError::Time {
                position,
                field,
                source,
            })
        };
        let bytes = |field, text: &str| {
            STANDARD.decode(text).map_err(|source| TreeError::Base64 {
                position,
                field,
                source,
            })
        };
        let linktarget = match self.linktarget_raw {
            Some(raw) => bytes("linktarget_raw", &raw)?,
            None => self.linktarget.into_bytes(),
        };
        let xattr = |xattr: XattrJson<'_>| {
            let value = bytes(
                "extended_attributes",
                xattr.value.as_deref().unwrap_or_default(),
            )?;
            Ok::<_, TreeError>(Xattr {
                name: xattr.name.into_bytes(),
                value,
            })
        };
        let xattrs = self.extended_attributes.unwrap_or_default().into_iter();
        let generic = self.generic_attributes.unwrap_or_default().into_iter();
        Ok(Node {
            name,
            kind: NodeKind::from_name(&self.kind),
            mode: self.mode,
            mtime: time("mtime", &self.mtime)?,
            atime: time("atime", &self.atime)?,
            ctime: time("ctime", &self.ctime)?,
            uid: self.uid,
            gid: self.gid,
            user: self.user,
            group: self.group,
            inode: self.inode,
            device_id: self.device_id,
            size: self.size,
            links: self.links,
            linktarget,
            extended_attributes: xattrs.map(xattr).collect::<Result<_, _>>()?,
            generic_attributes: generic
                .map(|(name, raw)| (name, raw.get().to_owned()))
                .collect(),
            device: self.device,
            content: self.content,
            subtree: self.subtree,
            error: self.error,
            spelling,
        })
    }
}

/// A node whose text has escapes that may be those of an older restic.
fn decode_spelled(position: usize, raw: &str) -> Result<Node, TreeError> {
    let json: NodeJson<'_> = serde_json::from_str(raw)?;
    let mut node = json.into_node(position, Spelling::default())?;
    if !is_spelled(&node, raw) {
        let now = node.spelling.clone();
        node.spelling = Spelling {
            name: now.name.clone(),
            ..spelling_of(raw)
        };
        // Kept only if it does yield the same bytes again.
        if !is_spelled(&node, raw) {
            node.spelling = now;
        }
    }
    Ok(node)
}

/// Whether writing the node yields the text `raw`.
fn is_spelled(node: &Node, raw: &str) -> bool {
    let mut written = Vec::with_capacity(raw.len());
    push_node(&mut written, node).is_ok() && written == raw.as_bytes()
}

/// Whether an escape that today's restic would not write may occur in `json`.
fn has_old_escapes(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|b| *b == b'\\') {
        rest = rest.get(at + 1..).unwrap_or_default();
        if [b"ufffd", b"u0008", b"u000c"]
            .iter()
            .any(|escape| rest.starts_with(*escape))
        {
            return true;
        }
    }
    false
}

/// A node in restic's order of keys; the attribute that is no JSON otherwise.
fn push_node(out: &mut Vec<u8>, node: &Node) -> Result<(), (String, serde_json::Error)> {
    let text = |out: &mut Vec<u8>, key: &str, value: &[u8]| {
        push_key(out, key);
        push_string(out, value, &node.spelling);
    };
    let unless_empty = |out: &mut Vec<u8>, key: &str, value: &[u8]| {
        if !value.is_empty() {
            text(out, key, value);
        }
    };
    out.push(b'{');
    text(out, "name", stored_name(node).as_bytes());
    text(out, "type", node.kind.as_str().as_bytes());
    unless_zero(out, "mode", node.mode.into());
    for (key, time) in [
        ("mtime", node.mtime),
        ("atime", node.atime),
        ("ctime", node.ctime),
    ] {
        push_key(out, key);
        out.push(b'"');
        time.push_text(out);
        out.push(b'"');
    }
    number(out, "uid", node.uid.into());
    number(out, "gid", node.gid.into());
    unless_empty(out, "user", node.user.as_bytes());
    unless_empty(out, "group", node.group.as_bytes());
    unless_zero(out, "inode", node.inode);
    unless_zero(out, "device_id", node.device_id);
    unless_zero(out, "size", node.size);
    unless_zero(out, "links", node.links);
    unless_empty(out, "linktarget", &node.linktarget);
    if std::str::from_utf8(&node.linktarget).is_err() {
        push_key(out, "linktarget_raw");
        push_base64(out, &node.linktarget);
    }
    push_xattrs(out, node);
    push_generic(out, node)?;
    unless_zero(out, "device", node.device);
    push_content(out, node.content.as_deref());
    if let Some(subtree) = node.subtree {
        push_key(out, "subtree");
        push_id(out, &subtree);
    }
    unless_empty(out, "error", node.error.as_bytes());
    out.push(b'}');
    Ok(())
}

/// The quoted name: as it was read, if that still stands for the same name.
fn stored_name(node: &Node) -> Cow<'_, str> {
    match &node.spelling.name {
        Some(kept) if unquote(kept).as_ref() == Some(&node.name) => Cow::Borrowed(kept),
        _ => Cow::Owned(quote(&node.name)),
    }
}

fn push_xattrs(out: &mut Vec<u8>, node: &Node) {
    if node.extended_attributes.is_empty() {
        return;
    }
    push_key(out, "extended_attributes");
    for (i, xattr) in node.extended_attributes.iter().enumerate() {
        out.extend_from_slice(if i == 0 {
            br#"[{"name":"#
        } else {
            br#",{"name":"#
        });
        push_string(out, &xattr.name, &node.spelling);
        out.extend_from_slice(br#","value":"#);
        push_base64(out, &xattr.value);
        out.push(b'}');
    }
    out.push(b']');
}

fn push_generic(out: &mut Vec<u8>, node: &Node) -> Result<(), (String, serde_json::Error)> {
    if node.generic_attributes.is_empty() {
        return Ok(());
    }
    push_key(out, "generic_attributes");
    for (i, (name, raw)) in node.generic_attributes.iter().enumerate() {
        serde_json::from_str::<IgnoredAny>(raw).map_err(|source| (name.clone(), source))?;
        out.push(if i == 0 { b'{' } else { b',' });
        push_string(out, name.as_bytes(), &node.spelling);
        out.push(b':');
        push_compact(out, raw);
    }
    out.push(b'}');
    Ok(())
}

fn push_content(out: &mut Vec<u8>, content: Option<&[Id]>) {
    push_key(out, "content");
    let Some(ids) = content else {
        out.extend_from_slice(b"null");
        return;
    };
    out.push(b'[');
    for (i, id) in ids.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        push_id(out, id);
    }
    out.push(b']');
}

/// `"key":`, after a comma unless the object has just been opened.
fn push_key(out: &mut Vec<u8>, key: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

fn push_id(out: &mut Vec<u8>, id: &Id) {
    out.push(b'"');
    id.push_hex(out);
    out.push(b'"');
}

fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

fn number(out: &mut Vec<u8>, key: &str, value: u64) {
    push_key(out, key);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn unless_zero(out: &mut Vec<u8>, key: &str, value: u64) {
    if value != 0 {
        number(out, key, value);
    }
}
