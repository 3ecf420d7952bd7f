//! `report`: the evidence of a period, in one form or as a bundle.

use std::path::{Path, PathBuf};

use vouchsafe_evidence::bundle::{BundleParts, ReportFile, archive, bundle, population_files};
use vouchsafe_evidence::oscal::oscal;
use vouchsafe_evidence::pdf::report_pdf;
use vouchsafe_evidence::populations::{POPULATIONS, csv, populations};
use vouchsafe_evidence::report::ReportInput;
use vouchsafe_evidence::statements::{PAYLOAD_TYPE, statements};
use vouchsafe_evidence::{count, len, report_html, report_json};
use vouchsafe_host::files;
use vouchsafe_keeper::{Keeper, KeeperError, ReportOptions};
use vouchsafe_ledger::{Ledger, public_key_pem};
use vouchsafe_model::{Span, Time};

use crate::args::report::{Report, ReportFormat};
use crate::exit::{Exit, Failure};
use crate::session::Session;

/// Writes the evidence of a period.
pub(crate) fn report(session: &Session, args: &Report) -> Result<Exit, Failure> {
    let (from, to) = period(session, args)?;
    let keeper = session.keeper()?;
    let options = ReportOptions {
        redact_places: args.redact_places,
        keyed_names: args.keyed_names,
        sample: args.sample,
        seed: args.seed.clone(),
    };
    if let Some(path) = &args.bundle {
        return write_bundle(session, &keeper, (from, to), &options, path);
    }
    let format = if session.output.json {
        ReportFormat::Json
    } else {
        args.format
    };
    if args.population.is_some() && format != ReportFormat::Csv {
        return Err(usage("--population is for --format csv"));
    }
    let made = keeper.report(from, to, &options, |input| {
        made(&keeper, input, format, args.population.as_deref())
    })??;
    let path = args.output.clone().unwrap_or_else(|| made.name().into());
    let standard = path.as_os_str() == "-";
    match made {
        Made::Text(_, text) if standard => {
            session.output.text(&text)?;
            return Ok(Exit::Met);
        }
        Made::Bytes(..) | Made::Files(_) if standard => {
            return Err(usage(
                "this form is not for standard output: name a file, or for CSV one --population",
            ));
        }
        Made::Text(_, text) => write(&path, text.as_bytes())?,
        Made::Bytes(_, bytes) => write(&path, &bytes)?,
        Made::Files(all) => write_files(&path, &all)?,
    }
    told(session, &path, "")
}

fn period(session: &Session, args: &Report) -> Result<(Time, Time), Failure> {
    let time = |text: &Option<String>, default: Time| match text.as_deref() {
        None => Ok(default),
        Some(day) if day.len() == DAY => session.time(&format!("{day}T00:00:00Z")),
        Some(time) => session.time(time),
    };
    let to = time(&args.to, session.now())?;
    let from = time(&args.from, to.minus(Span::from_days(90)))?;
    match from < to {
        true => Ok((from, to)),
        false => Err(usage("the period ends before it begins")),
    }
}

/// Bytes of a day: `2026-01-31`.
const DAY: usize = 10;

/// A report in one form, with the name of its file.
enum Made {
    Text(&'static str, String),
    Bytes(&'static str, Vec<u8>),
    /// For a directory.
    Files(Vec<ReportFile>),
}

impl Made {
    fn name(&self) -> &'static str {
        match self {
            Made::Text(name, _) | Made::Bytes(name, _) => name,
            Made::Files(_) => "report-csv",
        }
    }
}

fn made(
    keeper: &Keeper,
    input: &ReportInput<'_>,
    format: ReportFormat,
    population: Option<&str>,
) -> Result<Made, Failure> {
    let pretty =
        |value: &serde_json::Value| serde_json::to_string_pretty(value).unwrap_or_default();
    Ok(match (format, population) {
        (ReportFormat::Html, _) => Made::Text("report.html", report_html(input)),
        (ReportFormat::Pdf, _) => Made::Bytes("report.pdf", report_pdf(input)),
        (ReportFormat::Json, _) => Made::Text("report.json", pretty(&report_json(input))),
        (ReportFormat::Oscal, _) => Made::Text("report.oscal.json", pretty(&oscal(input))),
        (ReportFormat::InToto, _) => {
            let mut lines = String::new();
            for text in statements(input) {
                lines.push_str(&signed(&keeper.ledger, PAYLOAD_TYPE, &text)?);
                lines.push('\n');
            }
            Made::Text("report.intoto.jsonl", lines)
        }
        (ReportFormat::Csv, None) => Made::Files(population_files(input)),
        (ReportFormat::Csv, Some(name)) => {
            let all = populations(input);
            let one = all.iter().find(|p| p.name == name).ok_or_else(|| {
                usage(&format!(
                    "there is no population `{name}`; there are {}",
                    POPULATIONS.join(", ")
                ))
            })?;
            Made::Text("report.csv", csv(one))
        }
    })
}

/// A DSSE envelope as one line of JSON.
fn signed(ledger: &Ledger, payload_type: &str, text: &str) -> Result<String, Failure> {
    let envelope = ledger
        .envelope(payload_type, text.as_bytes())
        .map_err(KeeperError::from)?;
    Ok(serde_json::to_string(&envelope).unwrap_or_default())
}

fn write_bundle(
    session: &Session,
    keeper: &Keeper,
    (from, to): (Time, Time),
    options: &ReportOptions,
    path: &Path,
) -> Result<Exit, Failure> {
    let ledger = &keeper.ledger;
    let (bytes, files) = keeper.report(from, to, options, |input| -> Result<_, Failure> {
        let mut export = Vec::new();
        let head = ledger.export(&mut export).map_err(KeeperError::from)?;
        if head.size != input.ledger.size {
            return Err(usage(
                "the ledger grew while the report was made; try again, or while no worker runs",
            ));
        }
        let parts = BundleParts {
            export,
            policy: input.policy_text.to_vec(),
            pem: public_key_pem(ledger.public_key()),
            pdf: report_pdf(input),
        };
        let files = bundle(input, parts, |kind, text| signed(ledger, kind, text))?;
        Ok((archive(&files, input.generated_at)?, files.len()))
    })??;
    write(path, &bytes)?;
    told(
        session,
        path,
        &format!(" with {}", count(len(files), "file")),
    )
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    files::write_atomic(path, bytes, 0o644).map_err(KeeperError::from)?;
    Ok(())
}

/// Writes files into a directory that is made for them.
fn write_files(dir: &Path, all: &[ReportFile]) -> Result<(), Failure> {
    for file in all {
        let path: PathBuf = dir.join(&file.path);
        let parent = path.parent().unwrap_or(dir);
        files::create_dir_all(parent, 0o755).map_err(KeeperError::from)?;
        write(&path, &file.bytes)?;
    }
    Ok(())
}

fn told(session: &Session, path: &Path, more: &str) -> Result<Exit, Failure> {
    if session.output.json {
        session.output.json(
            &serde_json::json!({ "event": "result", "report": path.display().to_string() }),
        )?;
    } else {
        session
            .output
            .text(&format!("wrote {}{more}", path.display()))?;
    }
    Ok(Exit::Met)
}

fn usage(text: &str) -> Failure {
    Failure::Usage(text.to_owned())
}
