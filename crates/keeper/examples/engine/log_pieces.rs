//! What the headers of a log say of its fragments, for measuring how old the newest commit in a vault was.

use std::sync::Arc;

use serde_json::json;
use vouchsafe_capture::LogReader;
use vouchsafe_format::fragment::StreamName;
use vouchsafe_store::{Key, Prefixed, Store, open_url};
use vouchsafe_vault::Repository;

use super::{Done, env, secret_of};

/// The folder of the stream below the vault, and for each fragment its place and the time of its last commit. The
/// stream must be one run of fragments that were not put together.
pub(crate) fn list(vault: &str, password: &str, system: &str, stream: &str) -> Done {
    let root = open_url(vault)?;
    let repository: Arc<dyn Store> = Arc::new(Prefixed::new(Arc::clone(&root), Key::new("repo")?));
    let repository = Repository::open(repository, &env(), &secret_of(password)?)?;
    let stream = repository
        .logs(root)
        .stream(StreamName::new(system, stream)?);
    let window = LogReader::window(&stream)?;
    let [run] = window.runs.as_slice() else {
        return Err(format!("the log has {} runs instead of one", window.runs.len()).into());
    };
    let pieces = stream.pieces(run)?;
    if pieces.len() as u64 != run.last + 1 - run.first {
        return Err("fragments of the log were put together".into());
    }
    let pieces = pieces.iter().zip(run.first..).map(|(piece, sequence)| {
        json!({
            "sequence": sequence,
            "last_commit_micros": piece.commits.map(|commits| commits.last),
        })
    });
    Ok(json!({ "folder": stream.folder(), "pieces": pieces.collect::<Vec<_>>() }))
}
