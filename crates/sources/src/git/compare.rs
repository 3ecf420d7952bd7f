//! Comparing a restored repository with its manifest.

use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError, Source};
use vouchsafe_model::{DigestManifest, Rung};

use super::command::Git;
use super::location::Location;
use super::{GitSource, mirror};
use crate::rung::{Findings, number, skipped};

const OPENS: &str = "Does git find every object whole and everything that is referred to?";
const CONTENT: &str = "Are HEAD, every ref and every large file those of the moment of capture?";
const SOUND: &str = "git fsck --full: no error";

/// The rungs `opens` and `content`.
pub(super) fn compare(
    ctx: &CaptureContext<'_>,
    source: &GitSource,
    place: &Path,
    expected: Option<&DigestManifest>,
) -> Result<Vec<Rung>, CaptureError> {
    let opens = opens(ctx, place)?;
    if !opens.is_empty() {
        return Ok(vec![
            opens.rung("opens", OPENS, SOUND),
            skipped("content", CONTENT, "opens"),
        ]);
    }
    let opens = opens.rung("opens", OPENS, SOUND);
    let mut content = Findings::default();
    let Some(expected) = expected else {
        content.add("the point has no manifest to compare with");
        return Ok(vec![opens, content.rung("content", CONTENT, "a manifest")]);
    };
    match source.digest(ctx, place) {
        Ok(Some(actual)) => {
            for d in expected.differences(&actual) {
                content.add(match (d.expected, d.actual) {
                    (Some(e), Some(a)) => format!("{}: expected {e}; found {a}", d.part),
                    (Some(_), None) => format!("{} is missing", d.part),
                    (None, _) => format!("{} was not captured", d.part),
                });
            }
        }
        Ok(None) => content.add("no manifest could be made"),
        Err(CaptureError::Interrupted) => return Err(CaptureError::Interrupted),
        Err(error) => content.add(error.to_string()),
    }
    Ok(vec![
        opens,
        content.rung("content", CONTENT, held(expected)),
    ])
}

fn opens(ctx: &CaptureContext<'_>, place: &Path) -> Result<Findings, CaptureError> {
    let git = Git::new(ctx)?;
    let mut found = Findings::default();
    let (directory, _scratch) = match mirror::local(&git, &Location::of_target(place)) {
        Ok(found) => found,
        Err(CaptureError::Interrupted) => return Err(CaptureError::Interrupted),
        Err(error) => {
            found.add(error.to_string());
            return Ok(found);
        }
    };
    let fsck = git.on(
        &directory,
        ["fsck", "--full", "--no-dangling", "--no-progress"],
    );
    if let Err(failed) = git.attempt(fsck)? {
        found.add(failed.to_string());
    }
    Ok(found)
}

fn held(manifest: &DigestManifest) -> String {
    let count = |prefix: &str| {
        manifest
            .entries
            .keys()
            .filter(|k| k.starts_with(prefix))
            .count() as u64
    };
    let objects = manifest
        .entries
        .get("objects")
        .and_then(|e| e.count)
        .unwrap_or(0);
    format!(
        "HEAD, {} refs, {} objects, {} large files as captured",
        number(count("ref:")),
        number(objects),
        number(count("lfs:"))
    )
}
