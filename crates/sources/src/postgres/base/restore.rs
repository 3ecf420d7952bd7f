//! Bringing a base back: as files, or as a server of its own that has replayed its log.

use std::path::Path;
use std::time::Duration;

use vouchsafe_capture::{
    CaptureContext, CaptureError, FetchedLog, Form, PointReader, RestoreRequest, Restored, TreePath,
};
use vouchsafe_host::files;
use vouchsafe_host::process::run_captured;
use vouchsafe_model::Issue;

use super::super::about::{self, About};
use super::super::programs;
use super::super::replay;
use super::super::server::data_directory;
use super::{DATA, checksums, serve};
use crate::confine::Confined;
use crate::failure;
use crate::place::refuse_existing;
use crate::tree::{self, Ours, Scope};

/// Reading every file once more takes as long as the disk takes.
const VERIFY: Duration = Duration::from_secs(7 * 24 * 3600);

/// Restores as [`super::PostgresBaseSource`] says.
pub(super) fn restore(
    ctx: &CaptureContext<'_>,
    shown: &str,
    point: &dyn PointReader,
    request: &RestoreRequest,
) -> Result<Restored, CaptureError> {
    failure::check_interrupt(ctx)?;
    refuse_running(&request.to)?;
    if request.form == Form::Files {
        return tree::restore(ctx, point, &scope(point, request)?, request);
    }
    refuse_existing(&request.to)?;
    let (restored, about) = write_out(ctx, shown, point, request)?;
    if about.is_some() {
        ctx.progress.phase("replay the log", None, None);
        serve(ctx, &restored.place)?.0.stop(ctx)?;
    }
    Ok(restored)
}

/// The same, with a log that was fetched into the target before.
pub(super) fn replay(
    ctx: &CaptureContext<'_>,
    shown: &str,
    point: &dyn PointReader,
    request: &RestoreRequest,
    fetched: FetchedLog,
    keep_log: bool,
) -> Result<Restored, CaptureError> {
    failure::check_interrupt(ctx)?;
    refuse_running(&request.to)?;
    // Nothing else is there than what was fetched.
    let request = RestoreRequest {
        force: true,
        ..request.clone()
    };
    let (mut restored, about) = write_out(ctx, shown, point, &request)?;
    let log = restored.place.join(replay::LOG);
    if let Some(about) = about {
        let bytes = Some(fetched.bytes);
        ctx.progress.phase("replay the log", None, bytes);
        restored.issues = replay::recover(ctx, &restored.place, &about, &fetched)?;
    }
    if !keep_log {
        files::remove_tree(&log).map_err(failure::file)?;
    }
    restored.replayed = Some(FetchedLog {
        place: log,
        ..fetched
    });
    Ok(restored)
}

fn refuse_running(to: &Path) -> Result<(), CaptureError> {
    if to.to_str().is_some_and(|to| to.contains("://")) {
        let message =
            "a whole server cannot be restored into one that runs; name a directory, or server:DIR";
        return Err(failure::target(to, message));
    }
    Ok(())
}

fn scope(point: &dyn PointReader, request: &RestoreRequest) -> Result<Scope, CaptureError> {
    let mut root = TreePath::root();
    // A constant that is a name.
    let _ = root.push(about::DIRECTORY.as_bytes());
    Scope::below(root).narrowed(point, request.include.as_ref())
}

/// Writes the files of a server out, verifies them, and makes the server ready to be started; what it is told of its
/// origin comes with it only if all is as it should be.
fn write_out(
    ctx: &CaptureContext<'_>,
    shown: &str,
    point: &dyn PointReader,
    request: &RestoreRequest,
) -> Result<(Restored, Option<About>), CaptureError> {
    if let Some(part) = request.include.as_ref().filter(|i| !i.names().is_empty()) {
        return Err(CaptureError::Unreadable {
            place: part.to_string(),
            message: "a server is restored only whole".to_owned(),
            remedy: "restore the part to a directory, as files".to_owned(),
        });
    }
    // They are given to whoever serves them later; that user's number is not the original's.
    let ours = Ours::of(point);
    let mut restored = tree::restore(ctx, &ours, &scope(point, request)?, request)?;
    restored.place = files::canonicalize(&restored.place).map_err(failure::file)?;
    if !restored.issues.is_empty() {
        return Ok((restored, None));
    }
    let json = files::read(restored.place.join(about::NAME), 1 << 20).map_err(failure::file)?;
    let about = About::parse(shown, &json)?;
    ctx.progress
        .phase("verify the files", None, Some(restored.bytes));
    restored.issues = verify(ctx, &about, &restored.place)?;
    if !restored.issues.is_empty() {
        return Ok((restored, None));
    }
    for signal in ["standby.signal", "recovery.signal"] {
        files::remove_file(data_directory(&restored.place).join(signal)).map_err(failure::file)?;
    }
    Ok((restored, Some(about)))
}

/// Whether every file has the size and the checksum that the server stated when it was copied, and its log can be read.
fn verify(
    ctx: &CaptureContext<'_>,
    about: &About,
    place: &Path,
) -> Result<Vec<Issue>, CaptureError> {
    let programs = programs::for_serving(ctx, about.major)?;
    let confined = Confined::to(ctx, place)?;
    let command = confined
        .program(&programs.join("pg_verifybackup"))
        .args(["--quiet", "--skip-checksums"])
        .arg(confined.seen(DATA));
    let said = match run_captured(ctx.spawn, command, VERIFY) {
        Ok(_) => None,
        Err(vouchsafe_host::process::ProcessError::Failed(failed)) => Some(Issue {
            place: place.display().to_string(),
            message: format!("pg_verifybackup: {}", failed.stderr_tail.trim_end()),
        }),
        Err(error) => {
            let remedy = "see that PostgreSQL is installed whole";
            return Err(programs::failed("pg_verifybackup", &error, remedy));
        }
    };
    match (checksums::differing(ctx, &data_directory(place)), said) {
        (Ok(differing), said) => Ok(differing.into_iter().chain(said).collect()),
        // A file that is missing, say: it was named.
        (Err(CaptureError::Io { .. } | CaptureError::Unreadable { .. }), Some(said)) => {
            Ok(vec![said])
        }
        (Err(error), _) => Err(error),
    }
}
