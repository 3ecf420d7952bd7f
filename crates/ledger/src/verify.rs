//! An export examined with the public key alone: what is wrong, and which entry is the first.

use std::io::{self, BufRead, Read};

use vouchsafe_model::{Obligation, Time};

use crate::account::{BreakNote, Silence};
use crate::append::MAX_ENTRY;
use crate::audit::Auditor;
use crate::export::{FORMAT, Footer, Header};
use crate::head::SignedHead;
use crate::key::{KeyError, VerifyingKey};
use crate::line::{is_entry, parse_line};

/// What kind of wrong was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The export's first line contradicts the rest.
    Header,
    /// Another key than the expected one.
    OtherKey,
    /// A line that is not in the form.
    Malformed,
    /// An entry was removed, moved, repeated or inserted.
    OutOfPlace,
    /// An entry's bytes or the leaf hash beside them were changed.
    Edited,
    /// The entry is not the one over which the head was signed, or the signature was changed.
    NotSigned,
    /// Bytes that are not an entry.
    NotAnEntry,
    /// An entry of a newer version; not wrong, but not understood.
    Newer,
    /// Entries are missing at the end.
    Truncated,
    /// The signed head at the end is forged or does not fit.
    Head,
    /// The record contradicts a head that was published.
    Published,
    /// A published head that was given is not one of this ledger's.
    PublishedUnusable,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub kind: ProblemKind,
    /// The first entry that is not as it was, by its index from 0; nothing where it concerns none.
    pub first_wrong: Option<u64>,
    /// The first wrong entry is not after this one: the same where it is known exactly.
    pub not_after: Option<u64>,
    /// For people.
    pub what: String,
}

/// What an examination found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// The ledger's name.
    pub origin: String,
    /// The public key that it was examined with.
    pub public_key: String,
    /// How many entries there are.
    pub entries: u64,
    /// The head at the end, if its signature is good.
    pub head: Option<SignedHead>,
    /// When the first entry was recorded.
    pub first_at: Option<Time>,
    /// When the last entry was recorded.
    pub last_at: Option<Time>,
    /// How many published heads were met with the same root.
    pub published_matched: u64,
    /// What is wrong, the earliest entry first; problems that concern no entry come last.
    pub problems: Vec<Problem>,
    /// Problems beyond those listed.
    pub unlisted_problems: u64,
    /// Obligations that were due before the last entry and that no later fact answers.
    pub obligations_without_facts: Vec<Obligation>,
    /// Times for which the record promises nothing.
    pub silence: Vec<Silence>,
    /// Where the record says of itself that it is broken.
    pub breaks: Vec<BreakNote>,
}

impl VerifyReport {
    /// Whether the record is exactly what was signed. Obligations without facts, silence and breaks
    /// do not count here: they are what a sound record tells.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// The first entry that is not as it was.
    pub fn first_wrong(&self) -> Option<u64> {
        self.problems.iter().filter_map(|p| p.first_wrong).min()
    }
}

/// Why an export could not be examined at all.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It could not be read.
    #[error("cannot read the export")]
    Read(#[source] io::Error),
    /// Not an export.
    #[error("this is not a ledger export: its first line does not say `{FORMAT}`")]
    NotAnExport,
    /// Another form.
    #[error("the export has the form `{found}`; this version reads `{FORMAT}`")]
    Form {
        /// The form it names.
        found: String,
    },
    /// The expected key, or the one in the export, is none.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The longest line that is read: an entry and what stands around it.
const MAX_LINE: u64 = MAX_ENTRY as u64 + 1024;

/// Examines an export.
///
/// `expected_vkey` is the public key as it was learnt elsewhere; without it, the key in the export is
/// believed, and only inner contradictions are found. `published_heads` are signed notes that were
/// seen elsewhere (in vaults, with witnesses); they alone show that the end was cut off, or that
/// somebody who has the signing key rewrote the record. Reads line by line.
pub fn verify_export(
    reader: impl BufRead,
    expected_vkey: Option<&str>,
    published_heads: &[String],
) -> Result<VerifyReport, VerifyError> {
    let mut lines = Lines { reader };
    let header = read_header(&mut lines)?;
    let key = VerifyingKey::parse(expected_vkey.unwrap_or(&header.public_key))?;
    let mut auditor = Auditor::new(key.clone(), published_heads);
    check_header(&mut auditor, &header, &key);
    let mut head = None;
    while let Some(line) = lines.next()? {
        match (&line, head.is_some()) {
            (Text::Line(bytes), false) if is_entry(bytes) => match parse_line(bytes) {
                Some(l) => {
                    auditor.entry(l.seq, l.leaf, &l.signature, l.body);
                }
                None => auditor.unreadable(bytes),
            },
            (Text::Line(bytes), false) => match parse_footer(bytes) {
                Some(footer) => head = Some(footer.head),
                None => auditor.unreadable(bytes),
            },
            (Text::TooLong, false) => auditor.unreadable(&[]),
            (_, true) => {
                let what = "something follows the signed head".to_owned();
                auditor.report(ProblemKind::Malformed, Some(auditor.size()), what);
                break;
            }
        }
    }
    check_size(&mut auditor, &header);
    Ok(auditor.finish(head.as_deref()))
}

fn read_header<R: BufRead>(lines: &mut Lines<R>) -> Result<Header, VerifyError> {
    #[derive(serde::Deserialize)]
    struct Form {
        format: String,
    }
    let Some(Text::Line(line)) = lines.next()? else {
        return Err(VerifyError::NotAnExport);
    };
    let form: Form = serde_json::from_slice(&line).map_err(|_| VerifyError::NotAnExport)?;
    if form.format != FORMAT {
        return Err(VerifyError::Form { found: form.format });
    }
    serde_json::from_slice(&line).map_err(|_| VerifyError::NotAnExport)
}

/// Only the one text that is written for a head is accepted, so that no byte can change unseen.
fn parse_footer(line: &[u8]) -> Option<Footer> {
    let footer = serde_json::from_slice::<Footer>(line).ok()?;
    (serde_json::to_vec(&footer).ok()? == line).then_some(footer)
}

fn check_header(auditor: &mut Auditor, header: &Header, key: &VerifyingKey) {
    if header.public_key != key.to_string() {
        let what = format!("the export names the key {}, not {key}", header.public_key);
        auditor.report(ProblemKind::OtherKey, None, what);
    }
    if header.origin != key.origin() {
        let what = format!(
            "the export names the ledger `{}`, its key `{}`",
            header.origin,
            key.origin()
        );
        auditor.report(ProblemKind::Header, None, what);
    }
}

fn check_size(auditor: &mut Auditor, header: &Header) {
    let size = auditor.size();
    if header.size > size {
        let what = format!(
            "entry {size} is missing: the export says it has {} entries",
            header.size
        );
        auditor.report(ProblemKind::Truncated, Some(size), what);
    } else if header.size < size {
        let what = format!(
            "the export says it has {} entries and has {size}",
            header.size
        );
        auditor.report(ProblemKind::Header, None, what);
    }
}

/// Lines of bounded length.
struct Lines<R> {
    reader: R,
}

enum Text {
    Line(Vec<u8>),
    TooLong,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<Text>, VerifyError> {
        let mut line = Vec::new();
        let mut limited = self.reader.by_ref().take(MAX_LINE);
        let read = limited.read_until(b'\n', &mut line);
        if read.map_err(VerifyError::Read)? == 0 {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() as u64 == MAX_LINE {
            self.reader.skip_until(b'\n').map_err(VerifyError::Read)?;
            return Ok(Some(Text::TooLong));
        }
        Ok(Some(Text::Line(line)))
    }
}
