//! What a repository holds, as a manifest.

use std::collections::BTreeMap;
use std::path::Path;

use vouchsafe_capture::CaptureError;
use vouchsafe_model::{DigestEntry, DigestManifest, Time};

use super::command::Git;
use super::mirror::{self, Head};
use super::scan::Scanned;
use super::{GitSource, lfs};

/// The manifest of the repository in this directory, by [`GitSource::METHOD`].
pub(super) fn of(
    git: &Git<'_>,
    repository: &Path,
    scanned: &Scanned,
    taken_at: Time,
) -> Result<DigestManifest, CaptureError> {
    let value = |digest: String| DigestEntry {
        count: None,
        digest,
    };
    let mut entries = BTreeMap::new();
    let head = match mirror::head_of(git, repository)? {
        Head::Symbolic(name) => format!("ref: {name}"),
        Head::Detached(id) => id,
        Head::Unknown => "unknown".to_owned(),
    };
    entries.insert("HEAD".to_owned(), value(head));
    for (name, id) in mirror::refs(git, repository)? {
        entries.insert(format!("ref:{name}"), value(id));
    }
    let reached = DigestEntry {
        count: Some(scanned.objects),
        digest: "reachable".to_owned(),
    };
    entries.insert("objects".to_owned(), reached);
    for id in scanned.large_files.keys() {
        let found = match lfs::digest(git, repository, id)? {
            Some((digest, size)) => format!("sha256 {digest}, {size} bytes"),
            None => "missing".to_owned(),
        };
        entries.insert(format!("lfs:{id}"), value(found));
    }
    Ok(DigestManifest {
        method: GitSource::METHOD.to_owned(),
        taken_at,
        engine: Some(git.engine()?),
        entries,
    })
}
