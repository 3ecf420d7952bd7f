//! Damaging a restored repository so that only a comparison of its refs can see it.

use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError, Spoiled};
use vouchsafe_model::Damage;

use super::command::Git;
use super::location::Location;
use super::mirror;
use crate::failure;

const REMEDY: &str = "restore it again";

/// Moves the first ref whose commit has a parent to that parent; without one, adds a ref.
pub(super) fn spoil(ctx: &CaptureContext<'_>, place: &Path) -> Result<Spoiled, CaptureError> {
    let git = Git::new(ctx)?;
    if let Location::Remote(_) = Location::of_target(place) {
        return Err(failure::target(
            place,
            "only a local copy is damaged on purpose; restore to a directory",
        ));
    }
    let (repository, _) = mirror::local(&git, &Location::of_target(place))?;
    let refs = mirror::refs(&git, &repository)?;
    for name in refs.keys() {
        failure::check_interrupt(ctx)?;
        let parent = format!("{name}^1^{{commit}}");
        let look = git
            .on(&repository, ["rev-parse", "--verify", "--quiet", &parent])
            .capture(1 << 16);
        let Ok(found) = git.attempt(look)? else {
            continue;
        };
        let parent = found.text().trim_end().to_owned();
        git.run(git.on(&repository, ["update-ref", name, &parent]), REMEDY)?;
        return Ok(spoiled(
            "moved-ref",
            format!("{name} moved to its parent {parent}"),
        ));
    }
    let object = match refs.values().next() {
        Some(id) => id.clone(),
        // An empty repository has no object but those that are made.
        None => git.line(
            git.on(
                &repository,
                ["hash-object", "-w", "-t", "blob", "/dev/null"],
            ),
            REMEDY,
        )?,
    };
    let name = "refs/tags/vouchsafe-negative-control";
    git.run(git.on(&repository, ["update-ref", name, &object]), REMEDY)?;
    Ok(spoiled("added-ref", format!("{name} added at {object}")))
}

fn spoiled(name: &str, detail: String) -> Spoiled {
    let damage = Damage {
        name: name.to_owned(),
        detail,
        must_redden: "content".to_owned(),
    };
    Spoiled { damage }
}
