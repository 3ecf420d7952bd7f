//! One entry as a line of text: the same in exports and in published segments.

use std::io::{self, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::merkle::TreeHash;

/// A line taken apart; the body is exactly the bytes that were hashed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) seq: u64,
    pub(crate) leaf: TreeHash,
    pub(crate) signature: [u8; 64],
    pub(crate) body: &'a [u8],
}

const SEQ: &[u8] = b"{\"seq\":";
const LEAF: &[u8] = b",\"leaf\":\"";
const SIGNATURE: &[u8] = b"\",\"signature\":\"";
const ENTRY: &[u8] = b"\",\"entry\":";
const END: &[u8] = b"}";

/// Whether a line begins like that of an entry.
pub(crate) fn is_entry(line: &[u8]) -> bool {
    line.starts_with(SEQ)
}

pub(crate) fn write_line(
    out: &mut dyn Write,
    seq: u64,
    leaf: TreeHash,
    signature: &[u8],
    body: &[u8],
) -> io::Result<()> {
    out.write_all(SEQ)?;
    write!(out, "{seq}")?;
    out.write_all(LEAF)?;
    write!(out, "{leaf}")?;
    out.write_all(SIGNATURE)?;
    out.write_all(BASE64_STANDARD.encode(signature).as_bytes())?;
    out.write_all(ENTRY)?;
    out.write_all(body)?;
    out.write_all(END)?;
    out.write_all(b"\n")
}

/// Takes a line (without its newline) apart; nothing if it deviates from the form by a single byte.
pub(crate) fn parse_line(line: &[u8]) -> Option<Line<'_>> {
    let rest = line.strip_prefix(SEQ)?;
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at_checked(digits)?;
    let seq = number(digits)?;
    let (leaf, rest) = rest.strip_prefix(LEAF)?.split_at_checked(64)?;
    let leaf = std::str::from_utf8(leaf).ok()?.parse().ok()?;
    let (signature, rest) = rest.strip_prefix(SIGNATURE)?.split_at_checked(88)?;
    let signature = BASE64_STANDARD.decode(signature).ok()?.try_into().ok()?;
    let body = rest.strip_prefix(ENTRY)?.strip_suffix(END)?;
    Some(Line {
        seq,
        leaf,
        signature,
        body,
    })
}

/// Digits without a leading zero.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let number = text.parse::<u64>().ok()?;
    (number.to_string() == text).then_some(number)
}
