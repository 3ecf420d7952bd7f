//! Restoring a repository to a directory, or by pushing it into an empty one.

use std::collections::BTreeMap;
use std::path::Path;

use vouchsafe_capture::{
    CaptureContext, CaptureError, MANIFEST_NAME, PointReader, RestoreRequest, Restored, Source,
    TreePath, Visit,
};
use vouchsafe_format::NodeKind;
use vouchsafe_host::files;
use vouchsafe_model::Issue;

use super::command::{Git, program_error};
use super::location::Location;
use super::mirror::{self, Head};
use super::{GitSource, lfs, scan};
use crate::failure;
use crate::tree::{self, Scope};

/// Restores as [`GitSource::restore`] says.
pub(super) fn restore(
    ctx: &CaptureContext<'_>,
    source: &GitSource,
    point: &dyn PointReader,
    request: &RestoreRequest,
) -> Result<Restored, CaptureError> {
    if source.owns(&request.to) && !request.force {
        return Err(failure::target(
            &request.to,
            "it is the source itself; restore to another place, or use --force to overwrite the original",
        ));
    }
    let scope = repository_scope(source, point)?;
    if let Some(include) = request.include.as_ref().filter(|i| !i.names().is_empty()) {
        return Err(CaptureError::Unreadable {
            place: include.to_string(),
            message: "only whole repositories can be restored".to_owned(),
            remedy: "restore it whole, and check out from it what is needed".to_owned(),
        });
    }
    let git = Git::new(ctx)?;
    let target = Location::of_target(&request.to);
    let existing = match &target {
        Location::Local(path) => mirror::repository_in(&git, path)?,
        Location::Remote(_) => None,
    };
    if existing.is_none() && matches!(target, Location::Local(_)) {
        return tree::restore(ctx, point, &scope, request);
    }
    refuse_refs(&git, &target, existing.as_deref(), request)?;
    let scratch = files::scratch_dir_in(ctx.work_dir, "git-restore-").map_err(failure::file)?;
    let copy = files::canonicalize(scratch.path())
        .map_err(failure::file)?
        .join(&source.name);
    let into = RestoreRequest {
        to: copy.clone(),
        include: None,
        force: false,
        compare: request.compare,
        form: Default::default(),
    };
    let mut restored = tree::restore(ctx, point, &scope, &into)?;
    push(&git, &copy, &target, existing.as_deref(), &mut restored)?;
    restored.place = request.to.clone();
    Ok(restored)
}

/// The directory of the point that holds the repository: under the source's name, or whichever there is.
fn repository_scope(source: &GitSource, point: &dyn PointReader) -> Result<Scope, CaptureError> {
    let mut found: Option<Vec<u8>> = None;
    point.walk(&mut |_, node| {
        let is_candidate = node.kind == NodeKind::Dir && node.name != MANIFEST_NAME.as_bytes();
        if is_candidate && (found.is_none() || node.name == source.name.as_bytes()) {
            found = Some(node.name.clone());
        }
        Ok(Visit::Over)
    })?;
    let root = found.and_then(|name| TreePath::root().join(&name).ok());
    root.map(Scope::below)
        .ok_or_else(|| CaptureError::Unreadable {
            place: source.named.to_string(),
            message: "the point holds no repository".to_owned(),
            remedy: "choose a point that was captured from this source".to_owned(),
        })
}

/// A repository that has refs is overwritten only by force.
fn refuse_refs(
    git: &Git<'_>,
    target: &Location,
    existing: Option<&Path>,
    request: &RestoreRequest,
) -> Result<(), CaptureError> {
    let has_refs = match existing {
        Some(repository) => !mirror::refs(git, repository)?.is_empty(),
        None => !mirror::advertised(git, target)?.is_empty(),
    };
    if has_refs && !request.force {
        return Err(failure::target(
            &request.to,
            "this repository has refs already; name an empty one, or use --force to make it equal to the point",
        ));
    }
    Ok(())
}

fn push(
    git: &Git<'_>,
    copy: &Path,
    target: &Location,
    existing: Option<&Path>,
    restored: &mut Restored,
) -> Result<(), CaptureError> {
    let wanted = scan::scan(git, copy)?.large_files;
    let ids: Vec<(&String, u64)> = wanted.iter().map(|(id, size)| (id, *size)).collect();
    // Large files first: a repository that already points to them must not lack them.
    match (existing, target) {
        (Some(repository), _) => lfs::copy_all(git, copy, repository, &ids)?,
        (None, Location::Remote(url)) if !ids.is_empty() => {
            let upload = lfs::with_remote(git.on(copy, ["lfs", "push", "--all", "origin"]), url);
            if let Err(failed) = git.attempt(upload)? {
                restored.issues.push(Issue {
                    place: format!("{target}: {} large files", ids.len()),
                    message: format!("they could not be uploaded: {failed}"),
                });
            }
        }
        _ => {}
    }
    push_refs(git, copy, target, restored)?;
    bring_the_rest(git, copy, target, existing, restored)?;
    let head = mirror::head_of(git, copy)?;
    if let Some(repository) = existing {
        return mirror::set_head(git, &Location::Local(copy.to_path_buf()), repository, &head);
    }
    let theirs = mirror::head(git, target)?;
    // A remote tells nothing of a HEAD whose branch does not exist: then it is not ours, which does, or it is the same.
    let ours_exists = git.succeeds(git.on(copy, ["rev-parse", "--verify", "--quiet", "HEAD"]))?;
    if theirs != head && (theirs != Head::Unknown || ours_exists) {
        let wanted = match head {
            Head::Symbolic(name) => name,
            Head::Detached(id) => id,
            Head::Unknown => return Ok(()),
        };
        restored.issues.push(Issue {
            place: format!("{target}: HEAD"),
            message: format!("git cannot set it from afar; make {wanted} the default branch there"),
        });
    }
    Ok(())
}

/// Refs that a push leaves out without a word, such as the stash: fetched by a local target, said of a remote one.
fn bring_the_rest(
    git: &Git<'_>,
    copy: &Path,
    target: &Location,
    existing: Option<&Path>,
    restored: &mut Restored,
) -> Result<(), CaptureError> {
    let wanted = mirror::refs(git, copy)?;
    let missing = |there: BTreeMap<String, String>| -> Vec<String> {
        let absent = wanted
            .iter()
            .filter(|(name, id)| there.get(*name) != Some(id));
        absent.map(|(name, _)| name.clone()).collect()
    };
    let mut left = missing(match existing {
        Some(repository) => mirror::refs(git, repository)?,
        None => mirror::advertised(git, target)?,
    });
    if let Some(repository) = existing.filter(|_| !left.is_empty()) {
        let args = [
            "fetch",
            "--quiet",
            "--force",
            "--no-tags",
            "--no-write-fetch-head",
            "--",
        ];
        let refs = left.iter().map(|name| format!("+{name}:{name}"));
        // What it refuses is found missing once more.
        let _ = git.attempt(git.on(repository, args).arg(copy).args(refs))?;
        left = missing(mirror::refs(git, repository)?);
    }
    for name in left {
        let place = format!("{target}: {name}");
        if !restored.issues.iter().any(|issue| issue.place == place) {
            let message =
                "git did not bring this ref there; fetch it from a restore to a directory"
                    .to_owned();
            restored.issues.push(Issue { place, message });
        }
    }
    Ok(())
}

/// Pushes everything; refs that the other side refuses are issues.
fn push_refs(
    git: &Git<'_>,
    copy: &Path,
    target: &Location,
    restored: &mut Restored,
) -> Result<(), CaptureError> {
    let args = ["push", "--mirror", "--porcelain", "--no-verify", "--"];
    let spool = super::command::Spool::new(git.ctx.work_dir)?;
    let command = git.on(copy, args).arg(target.argument());
    let pushed = git.attempt(command.stdout(spool.output()?))?;
    let spool = spool.rewound()?;
    let before = restored.issues.len();
    spool.lines(|line| {
        let text = String::from_utf8_lossy(line);
        // `!`, the two names of the ref, and the reason, between tabs.
        if let Some(refused) = text.strip_prefix("!\t") {
            let (names, reason) = refused.split_once('\t').unwrap_or((refused, ""));
            let name = names.rsplit(':').next().unwrap_or(names);
            restored.issues.push(Issue {
                place: format!("{target}: {name}"),
                message: reason.to_owned(),
            });
        }
        Ok(())
    })?;
    match pushed {
        Err(failed) if restored.issues.len() == before => Err(program_error(
            &failed,
            "see that the repository exists and can be written to",
        )),
        _ => Ok(()),
    }
}
