//! `document`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `document`
#[derive(Debug, Args)]
pub(crate) struct Document {
    /// In which form.
    #[arg(long, value_enum, default_value_t = DocumentFormat::Md)]
    pub(crate) format: DocumentFormat,
    /// Where to write it; `-` for standard output. If not named, standard output, and `document.pdf` in this directory
    /// for PDF.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Name the requirements that each part fulfils.
    #[arg(long)]
    pub(crate) requirements: bool,
}

/// The forms of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DocumentFormat {
    /// Markdown.
    Md,
    /// One self-contained page, with the map of where copies go.
    Html,
    /// The same for paper, with page numbers.
    Pdf,
}
