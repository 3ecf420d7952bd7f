//! Bringing a base back: as files, or as a server of its own that has replayed its log.

use vouchsafe_capture::{
    CaptureContext, CaptureError, FetchedLog, Form, PointReader, RestoreRequest, Restored, TreePath,
};
use vouchsafe_host::files;

use super::super::about::{self, About};
use super::super::about_of;
use super::super::replay;
use super::super::restore::empty_place;
use super::super::server::data_directory;
use super::way::{self, serve};
use crate::failure;
use crate::tree::{self, Ours, Scope};

/// Restores as [`super::MySqlBaseSource`] says.
pub(super) fn restore(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    request: &RestoreRequest,
) -> Result<Restored, CaptureError> {
    failure::check_interrupt(ctx)?;
    if request.to.to_str().is_some_and(|to| to.contains("://")) {
        let message =
            "a whole server cannot be restored into one that runs; name a directory, or server:DIR";
        return Err(failure::target(&request.to, message));
    }
    if request.form == Form::Files {
        return tree::restore(ctx, point, &scope(point, request)?, request);
    }
    empty_place(request)?;
    let (restored, about) = write_out(ctx, point, request)?;
    if about.is_some() {
        serve(ctx, &restored.place)?.0.stop(ctx)?;
    }
    Ok(restored)
}

/// Restores a server and lets it run a fetched log, exactly up to its target.
pub(super) fn replay(
    ctx: &CaptureContext<'_>,
    point: &dyn PointReader,
    request: &RestoreRequest,
    fetched: FetchedLog,
    keep_log: bool,
) -> Result<Restored, CaptureError> {
    failure::check_interrupt(ctx)?;
    let request = RestoreRequest {
        // The log that was fetched lies there.
        force: true,
        form: Form::Server,
        ..request.clone()
    };
    let (mut restored, about) = write_out(ctx, point, &request)?;
    let fetched = FetchedLog {
        place: restored.place.join(replay::LOG),
        ..fetched
    };
    if let Some(about) = about {
        let bytes = Some(fetched.bytes);
        ctx.progress.phase("replay the log", None, bytes);
        let data = data_directory(&restored.place);
        let more = way::of(about.product).options(&about, &data)?;
        let place = (restored.place.as_path(), &about);
        restored.issues = replay::apply(ctx, point, place, &fetched, &more)?;
    }
    if !keep_log {
        replay::forget(&restored.place)?;
        files::remove_tree(&fetched.place).map_err(failure::file)?;
    }
    restored.replayed = Some(fetched);
    Ok(restored)
}

fn scope(point: &dyn PointReader, request: &RestoreRequest) -> Result<Scope, CaptureError> {
    let mut root = TreePath::root();
    // A constant that is a name.
    let _ = root.push(about::DIRECTORY.as_bytes());
    Scope::below(root).narrowed(point, request.include.as_ref())
}

/// Writes the files of a server out and makes them consistent; what it is told of its origin comes with it only if all
/// is as it should be.
fn write_out(
    ctx: &CaptureContext<'_>,
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
    let mut restored = tree::restore(ctx, &Ours::of(point), &scope(point, request)?, request)?;
    if !restored.issues.is_empty() {
        return Ok((restored, None));
    }
    restored.place = files::canonicalize(&restored.place).map_err(failure::file)?;
    let about = about_of(&restored.place)?;
    way::of(about.product).prepare(ctx, &about, &restored.place)?;
    Ok((restored, Some(about)))
}
