//! The grammar of `report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `report`
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Beginning of the period: a time (RFC 3339), or a day in UTC; 90 days ago if not named.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// End of the period, not included, in the same form; now if not named. What was recorded later is not looked at.
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// In which form.
    #[arg(long, value_enum, default_value_t = ReportFormat::Html)]
    pub(crate) format: ReportFormat,
    /// Where to write it; `report.html`, `report.pdf` … in this directory if not named, `-` for standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// With --format csv: only this population, as one file.
    #[arg(long, value_name = "NAME")]
    pub(crate) population: Option<String>,
    /// How many rows of each population are sampled; 25 of what happens daily, 8 of weekly, 5 of monthly, and all of
    /// what is rarer, if not named.
    #[arg(long, value_name = "N")]
    pub(crate) sample: Option<u64>,
    /// By which text samples are drawn, so that they can be drawn again; the ledger's root if not named.
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<String>,
    /// Replace names of files, tables and refs by digests.
    #[arg(long)]
    pub(crate) redact_places: bool,
    /// The same, with digests under a key that follows from the ledger's: nobody else can confirm a guess.
    #[arg(long)]
    pub(crate) keyed_names: bool,
    /// Write everything into one archive that can be checked without us: the report in all forms, its populations,
    /// the ledger's export, the public key, the examiners, instructions. It holds the ledger's entries as they are,
    /// with the names of files and tables in them.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["format", "output", "population", "redact_places", "keyed_names"])]
    pub(crate) bundle: Option<PathBuf>,
}

/// The forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// One self-contained page.
    Html,
    /// The same for paper, shortened.
    Pdf,
    /// The same content for programs.
    Json,
    /// A directory with each population, a sample of each, and what yields them.
    Csv,
    /// OSCAL assessment results.
    Oscal,
    /// in-toto statements in DSSE envelopes, signed with the ledger's key, one a line.
    InToto,
}
