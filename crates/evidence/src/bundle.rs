//! A bundle: everything of one report in one archive that can be checked where we are not installed.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest, Sha256};
use vouchsafe_model::Time;
use vouchsafe_model::fact::{Fact, Recorded};

use crate::oscal::oscal;
use crate::populations::{csv, populations};
use crate::report::{ReportInput, report_html, report_json};
use crate::sample::{sample, sampled};
use crate::statements::{Digested, PAYLOAD_TYPE, bundle_statement, statements};
use crate::words::count;

/// The examiner of a ledger's export, as it stands in our own documentation.
const VERIFY_LEDGER: &str = include_str!("../../../docs/tools/verify_ledger.py");
/// The examiner of a bundle.
const VERIFY_BUNDLE: &str = include_str!("../../../docs/tools/verify_bundle.py");

/// The folder that everything in the archive lies in.
pub const FOLDER: &str = "evidence";

/// One file of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportFile {
    /// Its path, with `/`.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl ReportFile {
    /// A file of text.
    pub fn new(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> ReportFile {
        ReportFile {
            path: path.into(),
            bytes: bytes.into(),
        }
    }

    fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.bytes))
    }
}

/// The populations and samples as files: `populations.json`, `samples.json`, and a CSV file for each.
pub fn population_files(input: &ReportInput<'_>) -> Vec<ReportFile> {
    let all = populations(input);
    let heads: Vec<_> = all.iter().map(|p| p.head()).collect();
    let samples: Vec<_> = all.iter().map(|p| sample(p, &input.sampling)).collect();
    let mut files = vec![
        ReportFile::new("populations.json", json(&heads)),
        ReportFile::new("samples.json", json(&samples)),
    ];
    for (population, sample) in all.iter().zip(&samples) {
        files.push(ReportFile::new(population.file(), csv(population)));
        let drawn = sampled(population, sample);
        files.push(ReportFile::new(
            format!("samples/{}.csv", population.name),
            csv(&drawn),
        ));
    }
    files
}

/// The time stamps of the period, and the newest, as files that `openssl ts -verify` reads: by the number of its entry
/// each has the head that was stamped and the authority's token.
pub(crate) fn time_stamps(input: &ReportInput<'_>) -> Vec<ReportFile> {
    let stamp = |recorded: &'_ Recorded| match &recorded.entry.fact {
        Fact::Timestamped(stamp) => Some((recorded.seq, recorded.entry.at, stamp.clone())),
        _ => None,
    };
    let all: Vec<_> = input.facts.iter().filter_map(stamp).collect();
    let newest = all.iter().map(|(seq, _, _)| *seq).max();
    let mut files = Vec::new();
    for (seq, at, stamp) in all {
        let is_of_period = input.from <= at && at < input.to;
        let token = BASE64_STANDARD.decode(&stamp.token).ok();
        let Some(token) = token.filter(|_| is_of_period || Some(seq) == newest) else {
            continue;
        };
        let path = |kind: &str| format!("timestamps/{seq}.{kind}");
        files.push(ReportFile::new(path("head"), stamp.note));
        files.push(ReportFile::new(path("token"), token));
    }
    files
}

/// What a bundle has beside the report.
pub struct BundleParts {
    /// The ledger's export; its head is the one that the report speaks of.
    pub export: Vec<u8>,
    /// The policy that was judged by.
    pub policy: Vec<u8>,
    /// The ledger's public key as PEM.
    pub pem: String,
    /// The report as PDF.
    pub pdf: Vec<u8>,
}

/// The files of a bundle, in the order of their paths. `sign` makes a DSSE envelope, as JSON, of a media type and a
/// text.
///
/// `SHA256SUMS` has the digests of all files for people; `bundle.intoto.json` has them, and that of `SHA256SUMS`,
/// signed with the ledger's key: whoever changes a file and its line in the list is found out by that.
pub fn bundle<E>(
    input: &ReportInput<'_>,
    parts: BundleParts,
    sign: impl Fn(&str, &str) -> Result<String, E>,
) -> Result<Vec<ReportFile>, E> {
    let mut files = population_files(input);
    files.extend(time_stamps(input));
    let mut lines = String::new();
    for text in statements(input) {
        lines.push_str(&sign(PAYLOAD_TYPE, &text)?);
        lines.push('\n');
    }
    files.extend([
        ReportFile::new("README.txt", readme(input)),
        ReportFile::new("report.html", report_html(input)),
        ReportFile::new("report.json", json(&report_json(input))),
        ReportFile::new("report.pdf", parts.pdf),
        ReportFile::new("report.oscal.json", json(&oscal(input))),
        ReportFile::new("statements.intoto.jsonl", lines),
        ReportFile::new("ledger.export", parts.export),
        ReportFile::new("ledger.vkey", format!("{}\n", input.ledger.vkey)),
        ReportFile::new("ledger.pem", parts.pem),
        ReportFile::new("policy.yaml", parts.policy),
        ReportFile::new("verify_ledger.py", VERIFY_LEDGER),
        ReportFile::new("verify_bundle.py", VERIFY_BUNDLE),
    ]);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let sums: String = files
        .iter()
        .map(|f| format!("{}  {}\n", f.sha256(), f.path))
        .collect();
    files.push(ReportFile::new("SHA256SUMS", sums));
    let digests: Vec<Digested> = files
        .iter()
        .map(|f| Digested {
            name: f.path.clone(),
            sha256: f.sha256(),
        })
        .collect();
    let signed = sign(PAYLOAD_TYPE, &bundle_statement(input, &digests))?;
    files.push(ReportFile::new("bundle.intoto.json", format!("{signed}\n")));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The files as a tar archive, below [`FOLDER`]. The same files and time always give the same bytes.
pub fn archive(files: &[ReportFile], at: Time) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.mode(tar::HeaderMode::Deterministic);
    for file in files {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(crate::words::len(file.bytes.len()));
        header.set_mode(0o644);
        header.set_mtime(u64::try_from(at.to_timestamp().as_second()).unwrap_or(0));
        builder.append_data(
            &mut header,
            format!("{FOLDER}/{}", file.path),
            file.bytes.as_slice(),
        )?;
    }
    builder.into_inner()
}

fn json(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

fn readme(input: &ReportInput<'_>) -> String {
    format!(
        "Backup evidence for the period from {from} up to, and without, {to}

Made at {made} by {tool}. The ledger has {entries} under its head; the root is
{root}.

HOW TO CHECK IT, without the program that made it

You need Python 3.8 or newer and nothing else. Have the ledger's public key from elsewhere: from the recovery sheet,
or from an earlier audit. Its fingerprint (SHA-256 of the 32 bytes of the key) is
{fingerprint}.
Have the two programs from elsewhere, too, from docs/tools of the project: whoever can forge a bundle can put a program
into it that finds nothing wrong. Those here are the same, for comparison. In the folder with yours,

    python3 verify_bundle.py FOLDER --key '{vkey}'

with the folder of this file for FOLDER, checks that every file is the one that was signed (bundle.intoto.json), that
each statement was signed by the same key, that each population has the rows, by their keys, that its query yields
from the ledger's export, that each sample is the one that its seed yields, and then runs

    python3 verify_ledger.py FOLDER/ledger.export --key '{vkey}'

which checks each entry of the record, its place, and all signatures. Nothing else is computed again: queries and
seeds, the other columns of the populations, and what report and statements say are as the owner of the key has signed
them. Whether a time stamp of an authority is genuine, neither program can tell; OpenSSL can, with the authority's root
certificate (ROOT.pem) as the authority publishes it, for each N in timestamps/:

    openssl ts -verify -token_in -in timestamps/N.token -data timestamps/N.head -CAfile ROOT.pem

Give the first program heads that you have from elsewhere, such
as a vault (--head FILE): only they show that the end of the record was cut off, or that somebody with the key wrote
it anew. Without the Python programs:

    sha256sum -c SHA256SUMS

and, for the signature of an envelope, any tool for DSSE with ledger.pem.

WHAT IS IN IT

    report.html, report.pdf    the report for people
    report.json                the same for programs
    report.oscal.json          OSCAL assessment results
    statements.intoto.jsonl    in-toto statements in DSSE envelopes: the period, and each drill as a test result
    populations.json           each population: its query, period, ledger size and root, number of rows, SHA-256
    populations/               their rows as CSV
    samples.json, samples/     a sample of each: its seed, its rule, its rows
    policy.yaml                the policy that was judged by
    ledger.export              the whole record: docs/ledger-format.md of the project describes it
    ledger.vkey, ledger.pem    the public key in two forms
    timestamps/                for each time stamp of an authority, by its entry, the head and the token, if there are any
    verify_bundle.py, verify_ledger.py, SHA256SUMS, bundle.intoto.json

A field in a CSV file that begins with = + - @ has an apostrophe before it, so that no spreadsheet computes it.

WHAT IT DOES NOT PROVE stands in the report under `How to read this report`. A signature shows who wrote something
and that it was not changed since; it does not show that it is true.
",
        from = input.from,
        to = input.to,
        made = input.generated_at,
        tool = input.tool,
        entries = count(input.ledger.size, "entry"),
        root = input.ledger.root,
        fingerprint = input.ledger.fingerprint,
        vkey = input.ledger.vkey,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_give_the_same_archive() {
        let files = [
            ReportFile::new("a/b.txt", "one"),
            ReportFile::new("c", "two"),
        ];
        let at = Time::from_secs(1_700_000_000);
        let one = archive(&files, at).unwrap();
        assert_eq!(one, archive(&files, at).unwrap());
        let mut back = tar::Archive::new(one.as_slice());
        let paths: Vec<String> = back
            .entries()
            .unwrap()
            .map(|e| e.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(paths, ["evidence/a/b.txt", "evidence/c"]);
    }
}
