//! `document`: the policy as prose.

use vouchsafe_evidence::document::{DocumentInput, document_html, document_markdown};
use vouchsafe_host::files;
use vouchsafe_keeper::{KeeperError, document_of};

use crate::args::document::{Document, DocumentFormat};
use crate::exit::{Exit, Failure};
use crate::session::Session;

/// Writes the policy in force, or the file's where nothing was initialised.
pub(crate) fn document(session: &Session, args: &Document) -> Result<Exit, Failure> {
    let (policy, file) = session.policy_file()?;
    let render = |input: &DocumentInput<'_>| match args.format {
        DocumentFormat::Md => document_markdown(input),
        DocumentFormat::Html => document_html(input),
    };
    let text = match session.state.is_initialised()? {
        true => {
            let keeper = session.keeper()?;
            render(&keeper.document(&file.lowered, args.requirements)?)
        }
        false => {
            let now = session.now();
            render(&document_of(&policy, &file.lowered, args.requirements, now))
        }
    };
    match args
        .output
        .as_deref()
        .filter(|path| path.as_os_str() != "-")
    {
        None => session.output.text(&text)?,
        Some(path) => {
            files::write_atomic(path, text.as_bytes(), 0o644).map_err(KeeperError::from)?;
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
