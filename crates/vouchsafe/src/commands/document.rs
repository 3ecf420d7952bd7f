//! `document`: the policy as prose.

use std::path::Path;

use vouchsafe_evidence::document::{DocumentInput, document_html, document_markdown, document_pdf};
use vouchsafe_host::files;
use vouchsafe_keeper::{KeeperError, document_of};

use crate::args::document::{Document, DocumentFormat};
use crate::exit::{Exit, Failure};
use crate::session::Session;

/// Writes the policy in force, or the file's where nothing was initialised.
pub(crate) fn document(session: &Session, args: &Document) -> Result<Exit, Failure> {
    let (policy, file) = session.policy_file()?;
    let render = |input: &DocumentInput<'_>| match args.format {
        DocumentFormat::Md => document_markdown(input).into_bytes(),
        DocumentFormat::Html => document_html(input).into_bytes(),
        DocumentFormat::Pdf => document_pdf(input),
    };
    let path = output(args)?;
    let bytes = match session.state.is_initialised()? {
        true => {
            let keeper = session.keeper()?;
            render(&keeper.document(&file.lowered, args.requirements)?)
        }
        false => {
            let now = session.now();
            render(&document_of(&policy, &file.lowered, args.requirements, now))
        }
    };
    match path {
        None => session.output.text(&String::from_utf8_lossy(&bytes))?,
        Some(path) => {
            files::write_atomic(path, &bytes, 0o644).map_err(KeeperError::from)?;
            let path = path.display().to_string();
            match session.output.json {
                true => session
                    .output
                    .json(&serde_json::json!({ "event": "result", "document": path }))?,
                false => session.output.text(&format!("wrote {path}"))?,
            }
        }
    }
    Ok(Exit::Met)
}

/// The file to write; nothing for standard output.
fn output(args: &Document) -> Result<Option<&Path>, Failure> {
    let is_standard = |path: &&Path| path.as_os_str() == "-";
    match (args.output.as_deref(), args.format) {
        (Some(path), DocumentFormat::Pdf) if is_standard(&path) => Err(Failure::Usage(
            "this form is not for standard output: name a file".to_owned(),
        )),
        (None, DocumentFormat::Pdf) => Ok(Some(Path::new("document.pdf"))),
        (path, _) => Ok(path.filter(|path| !is_standard(path))),
    }
}
