//! An export examined with the public key alone: what is wrong, and which entry is the first.

use std::io::{self, BufRead, Read as _};
use std::thread;

use vouchsafe_model::{Obligation, Time};

use crate::account::{BreakNote, SetBack, Silence};
use crate::append::MAX_ENTRY;
use crate::audit::Auditor;
use crate::export::{FORMAT, FORMAT_OF_SEVERAL_KEYS, Footer, Header, form_for};
use crate::head::SignedHead;
use crate::key::{KeyError, VerifyingKey};
use crate::keys::Keys;
use crate::line::{is_entry, parse_line};
use crate::stamp::StampRoots;
use crate::whole::Unnoted;
use crate::witness::WitnessKey;

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
    /// A change of the signing key that old and new key have not both signed, at this place.
    KeyChange,
    /// A witness is said to have seen what it has not signed, or has seen another record.
    Witness,
    /// A time stamp that is none, that is of something else, or of another record.
    Stamp,
}

/// How an examination came out, in one word. `docs/ledger-format.md` says what each means; other programs that examine
/// exports use the same words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every entry is what was signed, and the record tells of nothing that is lacking.
    Sound,
    /// Every entry is what was signed, and the record tells of silence, obligations without facts, a clock that was set
    /// back, or breaks.
    Gaps,
    /// The record is not what was signed.
    Wrong,
}

impl Outcome {
    /// `sound`, `gaps` or `wrong`.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Sound => "sound",
            Outcome::Gaps => "gaps",
            Outcome::Wrong => "wrong",
        }
    }
}

/// What a witness has seen of the record, at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenBy {
    /// Its public key, with its name.
    pub witness: String,
    /// How many entries it has seen.
    pub size: u64,
    /// When, by its own clock.
    pub at: Time,
    /// The entry that says so; nothing where a head that was given carries the signature.
    pub entry: Option<u64>,
    /// Whether its key was learnt elsewhere. Otherwise anybody may have made it.
    pub is_known: bool,
}

/// Up to where an authority has stamped the record, at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampedBy {
    /// The authority, by its certificate.
    pub authority: String,
    /// How many entries existed then.
    pub size: u64,
    /// When, by the authority's clock.
    pub at: Time,
    /// By how many microseconds that may be wrong, if the authority says so.
    pub accuracy_micros: Option<u64>,
    /// The entry that holds the time stamp.
    pub entry: u64,
    /// Whether its certificate leads to a root that was learnt elsewhere. Otherwise anybody may have made it.
    pub is_trusted: bool,
}

/// What is known from elsewhere about a record that is to be examined.
#[derive(Clone, Debug, Default)]
pub struct Expected<'a> {
    /// The public key, a C2SP vkey: any of those that have signed the record, best the newest.
    pub vkey: Option<&'a str>,
    /// Signed notes that were seen in vaults or with witnesses.
    pub heads: &'a [String],
    /// The public keys of witnesses.
    pub witnesses: &'a [WitnessKey],
    /// The roots of the authorities that are trusted to stamp times.
    pub stamp_roots: Option<&'a StampRoots>,
    /// A time up to which the record should reach.
    pub until: Option<Time>,
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
    /// The public key that signs it now.
    pub public_key: String,
    /// All keys that have signed it, as its own entries say.
    pub keys: Keys,
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
    /// Where the clock went backwards.
    pub set_back: Vec<SetBack>,
    /// Who has seen it besides its owner.
    pub witnesses: Vec<SeenBy>,
    /// Up to where authorities have stamped it with a time.
    pub stamps: Vec<StampedBy>,
    /// Where the record says of itself that it is broken.
    pub breaks: Vec<BreakNote>,
}

impl VerifyReport {
    /// Whether the record is exactly what was signed. Obligations without facts, silence and breaks
    /// do not count here: they are what a sound record tells.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// How it came out, in one word.
    pub fn outcome(&self) -> Outcome {
        let tells_nothing = self.obligations_without_facts.is_empty()
            && self.silence.is_empty()
            && self.set_back.is_empty()
            && self.breaks.is_empty();
        match (self.is_sound(), tells_nothing) {
            (false, _) => Outcome::Wrong,
            (true, false) => Outcome::Gaps,
            (true, true) => Outcome::Sound,
        }
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
    #[error(
        "the export has the form `{found}`; this version reads `{FORMAT}` and `{FORMAT_OF_SEVERAL_KEYS}`"
    )]
    Form {
        /// The form it names.
        found: String,
    },
    /// The expected key, or the one in the export, is none.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// How many entries are examined together, and how many bytes of them.
const TOGETHER: usize = 16_384;
const TOGETHER_BYTES: usize = 32 << 20;

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
    let expected = Expected {
        vkey: expected_vkey,
        heads: published_heads,
        ..Expected::default()
    };
    verify_export_by(reader, &expected)
}

/// The name of the ledger that an export says it is of. Nothing is examined.
pub fn export_origin(reader: impl BufRead) -> Result<String, VerifyError> {
    Ok(read_header(&mut Lines { reader })?.origin)
}

/// As [`verify_export`], by all that is known from elsewhere.
///
/// Entries are taken in some thousands at a time, which are held in memory, on as many threads as there are processors.
pub fn verify_export_by(
    reader: impl BufRead,
    expected: &Expected<'_>,
) -> Result<VerifyReport, VerifyError> {
    let mut lines = Lines { reader };
    let header = read_header(&mut lines)?;
    let key = VerifyingKey::parse(expected.vkey.unwrap_or(&header.public_key))?;
    let first = first_key(&header, &key);
    let mut auditor = Auditor::new(first, expected);
    let head = each_line(&mut auditor, &mut lines)?;
    check_header(&mut auditor, &header, &key);
    check_size(&mut auditor, &header);
    Ok(auditor.finish(head.as_deref(), expected.until))
}

/// Takes in all lines after the first; returns the head that stands at the end.
fn each_line<R: BufRead>(
    auditor: &mut Auditor,
    lines: &mut Lines<R>,
) -> Result<Option<String>, VerifyError> {
    let mut head = None;
    loop {
        let other = match head.is_some() {
            false => entries(auditor, lines)?,
            true => lines.next()?,
        };
        match (other, head.is_some()) {
            (None, _) => return Ok(head),
            (Some(_), true) => {
                let what = "something follows the signed head".to_owned();
                auditor.report(ProblemKind::Malformed, Some(auditor.size()), what);
                return Ok(head);
            }
            (Some(Text::Line(bytes)), false) => match parse_footer(&bytes) {
                Some(footer) => head = Some(footer.head),
                None => auditor.unreadable(&bytes),
            },
            (Some(Text::TooLong), false) => auditor.unreadable(&[]),
        }
    }
}

/// Takes in lines of entries until another line, which is returned, or the end.
///
/// While some thousands are examined, what the ones before them say is noted, and the next ones are read.
fn entries<R: BufRead>(
    auditor: &mut Auditor,
    lines: &mut Lines<R>,
) -> Result<Option<Text>, VerifyError> {
    let mut unnoted: Option<Unnoted> = None;
    let (mut batch, mut next) = (Batch::default(), Batch::default());
    let mut after = batch.fill(lines)?;
    loop {
        let before = auditor.before();
        let examined = batch.lines();
        let (whole, read) = thread::scope(|scope| {
            let examining = before.map(|b| {
                scope.spawn({
                    let examined = &examined;
                    move || b.examine(examined)
                })
            });
            if let Some(unnoted) = unnoted.take() {
                auditor.note_all(unnoted);
            }
            let read = match after {
                After::More => next.fill(lines),
                After::Other(_) | After::End => Ok(After::End),
            };
            let whole = examining.and_then(|thread| thread.join().ok().flatten());
            (whole, read)
        });
        unnoted = whole.and_then(|whole| auditor.take(whole));
        if unnoted.is_none() {
            one_by_one(auditor, &examined);
        }
        match after {
            After::More => {}
            After::Other(text) => {
                unnoted.into_iter().for_each(|u| auditor.note_all(u));
                return Ok(Some(text));
            }
            After::End => {
                unnoted.into_iter().for_each(|u| auditor.note_all(u));
                return Ok(None);
            }
        }
        after = read?;
        std::mem::swap(&mut batch, &mut next);
    }
}

/// Tells of each what is wrong with it.
fn one_by_one(auditor: &mut Auditor, lines: &[&[u8]]) {
    for bytes in lines {
        match parse_line(bytes) {
            Some(l) => {
                auditor.entry(l.seq, l.leaf, &l.signature, l.body);
            }
            None => auditor.unreadable(bytes),
        }
    }
}

/// The key that the record was begun with: the expected one, or an older one after which the ledger is named, if the
/// expected one may have followed it.
fn first_key(header: &Header, expected: &VerifyingKey) -> VerifyingKey {
    match VerifyingKey::parse(&header.public_key) {
        Ok(key) if key.origin() == expected.origin() && key.is_first_of_ledger() => key,
        _ => expected.clone(),
    }
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
    if form.format != FORMAT && form.format != FORMAT_OF_SEVERAL_KEYS {
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
    if header.public_key != auditor.keys.first().to_string() {
        let what = format!("the export names the key {}, not {key}", header.public_key);
        auditor.report(ProblemKind::OtherKey, None, what);
    } else {
        auditor.expect_key(key);
    }
    let form = form_for(&auditor.keys);
    if header.format != form {
        let what = format!(
            "the export says it has the form `{}`, not `{form}`",
            header.format
        );
        auditor.report(ProblemKind::Header, None, what);
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

/// Lines of entries that are examined together, one after another.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where each line ends in them.
    ends: Vec<usize>,
}

/// What follows a batch.
enum After {
    /// Perhaps more entries.
    More,
    /// Another line.
    Other(Text),
    End,
}

impl Batch {
    /// Reads lines of entries in place of those that are there, until it is full.
    fn fill<R: BufRead>(&mut self, lines: &mut Lines<R>) -> Result<After, VerifyError> {
        self.bytes.clear();
        self.ends.clear();
        while self.ends.len() < TOGETHER && self.bytes.len() < TOGETHER_BYTES {
            let start = self.bytes.len();
            match lines.read(&mut self.bytes)? {
                Read::End => return Ok(After::End),
                Read::TooLong => return Ok(After::Other(Text::TooLong)),
                Read::Line => {}
            }
            if !self.bytes.get(start..).is_some_and(is_entry) {
                return Ok(After::Other(Text::Line(self.bytes.split_off(start))));
            }
            self.ends.push(self.bytes.len());
        }
        Ok(After::More)
    }

    fn lines(&self) -> Vec<&[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        let all = starts.zip(&self.ends);
        all.filter_map(|(start, end)| self.bytes.get(start..*end))
            .collect()
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

/// What was read.
enum Read {
    Line,
    /// A line that is longer than any may be; nothing of it is kept.
    TooLong,
    End,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<Text>, VerifyError> {
        let mut line = Vec::new();
        Ok(match self.read(&mut line)? {
            Read::Line => Some(Text::Line(line)),
            Read::TooLong => Some(Text::TooLong),
            Read::End => None,
        })
    }

    /// Adds the next line, without its end, to what is there.
    fn read(&mut self, into: &mut Vec<u8>) -> Result<Read, VerifyError> {
        let start = into.len();
        let mut limited = self.reader.by_ref().take(MAX_LINE);
        let read = limited.read_until(b'\n', into);
        let read = read.map_err(VerifyError::Read)?;
        if read == 0 {
            return Ok(Read::End);
        }
        if into.last() == Some(&b'\n') {
            into.pop();
        } else if read as u64 == MAX_LINE {
            into.truncate(start);
            self.reader.skip_until(b'\n').map_err(VerifyError::Read)?;
            return Ok(Read::TooLong);
        }
        Ok(Read::Line)
    }
}
