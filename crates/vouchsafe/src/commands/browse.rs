//! `vault ls SNAPSHOT`, `find`, `diff`, `dump`: what lies in a snapshot.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;

use vouchsafe_capture::TreePath;
use vouchsafe_keeper::KeeperError;
use vouchsafe_keeper::reading::{Difference, Entry, FindOrder, Found, Reading};
use vouchsafe_model::{Issue, VaultName, human_bytes};
use vouchsafe_vault::{ChangeKind, DumpError};

use crate::args::reading::{Diff, Dump, Find, Ls};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::session::Session;

/// Lists what is in a snapshot.
pub(crate) fn entries(session: &Session, args: &Ls, wanted: &str) -> Result<Exit, Failure> {
    let reading = open(session, &args.vault)?;
    let point = reading.open(wanted)?;
    let path = tree_path(args.path.as_ref())?;
    let below = args.path.is_none() || args.recursive;
    let out = Lines::new(session);
    let issues = reading.list::<Failure>(&point, &path, below, &mut |entry| {
        out.entry(
            &entry,
            args.long,
            "",
            serde_json::json!({ "event": "entry" }),
        )
    })?;
    out.end(
        &issues,
        serde_json::json!({ "snapshot": point.id().to_hex() }),
    )
}

/// Looks for names in many snapshots.
pub(crate) fn find(session: &Session, args: &Find) -> Result<Exit, Failure> {
    let reading = open(session, &args.vault)?;
    let time = |text: &Option<String>| text.as_deref().map(|t| session.time(t)).transpose();
    let order = FindOrder {
        patterns: args.patterns.clone(),
        snapshots: args.snapshot.clone(),
        newer: time(&args.newer)?,
        older: time(&args.older)?,
        ignore_case: args.ignore_case,
    };
    let out = Lines::new(session);
    let (mut before, mut hits) = (None, 0u64);
    let issues = reading.find::<Failure>(&order, &mut |found| {
        hits += 1;
        if !session.output.json && before != Some(found.seen.snapshot) {
            before = Some(found.seen.snapshot);
            out.line(&place(&found))?;
        }
        let event = serde_json::json!({
            "event": "found", "snapshot": found.seen.snapshot.to_hex(), "point": found.seen.point,
        });
        out.entry(&found.entry, args.long, "  ", event)
    })?;
    if hits == 0 && !session.output.json {
        out.line("nothing found")?;
    }
    out.end(&issues, serde_json::json!({ "hits": hits }))
}

fn place(found: &Found<'_>) -> String {
    let seen = found.seen;
    let of = match (&seen.point, &seen.of) {
        (Some(point), Some(of)) => format!("point {point} of {of}"),
        _ => "not in the ledger".to_owned(),
    };
    format!(
        "snapshot {}  {}  {of}",
        seen.snapshot.short(),
        seen.time.minute()
    )
}

/// Compares two snapshots.
pub(crate) fn diff(session: &Session, args: &Diff) -> Result<Exit, Failure> {
    let reading = open(session, &args.vault)?;
    let (before, after) = (reading.open(&args.before)?, reading.open(&args.after)?);
    let path = tree_path(args.path.as_ref())?;
    let out = Lines::new(session);
    let report = reading.diff::<Failure>(
        (&before, &after),
        &path,
        args.metadata,
        &mut |Difference { kind, entry }| {
            let (word, letter) = named(kind);
            let event = serde_json::json!({ "event": "change", "change": word });
            out.entry(&entry, false, &format!("{letter}  "), event)
        },
    )?;
    if !session.output.json {
        out.line(&format!(
            "{} added, {} removed, {} modified, {} of another type{}; {} added, {} removed",
            report.added,
            report.removed,
            report.modified,
            report.type_changed,
            if args.metadata {
                format!(", {} in metadata only", report.metadata)
            } else {
                String::new()
            },
            human_bytes(report.bytes_added),
            human_bytes(report.bytes_removed),
        ))?;
    }
    out.end(
        &report.issues,
        serde_json::json!({
            "before": before.id().to_hex(),
            "after": after.id().to_hex(),
            "added": report.added,
            "removed": report.removed,
            "modified": report.modified,
            "type_changed": report.type_changed,
            "metadata": args.metadata.then_some(report.metadata),
            "bytes_added": report.bytes_added,
            "bytes_removed": report.bytes_removed,
        }),
    )
}

fn named(kind: ChangeKind) -> (&'static str, char) {
    match kind {
        ChangeKind::Added => ("added", '+'),
        ChangeKind::Removed => ("removed", '-'),
        ChangeKind::Modified => ("modified", 'M'),
        ChangeKind::Metadata => ("metadata", 'U'),
        ChangeKind::Type => ("type", 'T'),
    }
}

/// Writes a file or a tree to standard output.
pub(crate) fn dump(session: &Session, args: &Dump) -> Result<Exit, Failure> {
    if session.output.is_terminal() {
        return Err(Failure::Usage(
            "the content is not written to a terminal; redirect it to a file, or pipe it into a program".to_owned(),
        ));
    }
    let reading = open(session, &args.vault)?;
    let point = reading.open(&args.snapshot)?;
    let path = tree_path(Some(&args.path))?;
    let mut out = BufWriter::with_capacity(1 << 18, io::stdout().lock());
    let done = match args.archive {
        Some(_) => reading
            .archive(&point, &path, &mut out)
            .map(|report| report.issues),
        None => reading.dump(&point, &path, &mut out).map(|_| Vec::new()),
    };
    let issues = done.map_err(broken_pipe)?;
    out.flush()?;
    complain(&issues);
    Ok(incomplete_if(&issues))
}

/// A receiver that has seen enough is no failure of ours.
fn broken_pipe(error: KeeperError) -> Failure {
    match error {
        KeeperError::Dump { vault, source } => match *source {
            DumpError::Output(error) => Failure::Output(error),
            other => KeeperError::Dump {
                vault,
                source: Box::new(other),
            }
            .into(),
        },
        error => error.into(),
    }
}

/// Opens a vault for looking into it.
pub(crate) fn open(session: &Session, vault: &str) -> Result<Reading, Failure> {
    let name = VaultName::new(vault).map_err(|e| Failure::Usage(e.to_string()))?;
    Ok(session.keeper()?.reading(&name)?)
}

fn tree_path(text: Option<&OsString>) -> Result<TreePath, Failure> {
    let text = text.map_or(&b""[..], |text| text.as_bytes());
    TreePath::parse(text).map_err(|e| Failure::Usage(e.to_string()))
}

fn complain(issues: &[Issue]) {
    for issue in issues {
        Output::complain(&format!("! {}: {}", issue.place, issue.message));
    }
}

fn incomplete_if(issues: &[Issue]) -> Exit {
    if issues.is_empty() {
        Exit::Met
    } else {
        Exit::Incomplete
    }
}

/// Many lines of text or JSON, then what could not be read.
struct Lines {
    json: bool,
    out: std::cell::RefCell<BufWriter<io::StdoutLock<'static>>>,
}

impl Lines {
    fn new(session: &Session) -> Lines {
        Lines {
            json: session.output.json,
            out: BufWriter::new(io::stdout().lock()).into(),
        }
    }

    fn line(&self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.out.borrow_mut(), "{text}")?)
    }

    /// One entry; in JSON its fields follow those of `event`.
    fn entry(
        &self,
        entry: &Entry,
        long: bool,
        lead: &str,
        mut event: serde_json::Value,
    ) -> Result<(), Failure> {
        if self.json {
            if let (Some(event), Ok(serde_json::Value::Object(fields))) =
                (event.as_object_mut(), serde_json::to_value(entry))
            {
                event.extend(fields);
            }
            return self.line(&event.to_string());
        }
        let target = match &entry.target {
            Some(target) if long => format!(" -> {target}"),
            _ => String::new(),
        };
        let path = &entry.path;
        if !long {
            return self.line(&format!("{lead}{path}{target}"));
        }
        self.line(&format!(
            "{lead}{}  {:<8} {:<8} {:>12}  {}  {path}{target}",
            entry.mode,
            entry.user,
            entry.group,
            entry.size,
            entry.modified.minute()
        ))
    }

    fn end(self, issues: &[Issue], mut result: serde_json::Value) -> Result<Exit, Failure> {
        if self.json {
            if let Some(result) = result.as_object_mut() {
                result.insert("event".to_owned(), "result".into());
                result.insert("issues".to_owned(), serde_json::json!(issues));
            }
            self.line(&result.to_string())?;
        }
        self.out.into_inner().flush()?;
        complain(issues);
        Ok(incomplete_if(issues))
    }
}
