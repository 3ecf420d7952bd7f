//! Damaging a restored folder tree so that only a comparison can see it.

use std::os::unix::fs::FileExt;
use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError, Spoiled};
use vouchsafe_host::DestDir;
use vouchsafe_host::inode::{Inode, Kind};
use vouchsafe_model::Damage;

use crate::failure;

/// Flips the lowest bit of the middle byte of the first regular file with content.
pub(super) fn spoil(ctx: &CaptureContext<'_>, place: &Path) -> Result<Spoiled, CaptureError> {
    let dest = DestDir::open(place).map_err(failure::dest)?;
    let (name, detail) = match first_file(ctx, &dest)? {
        Some((rel, seen)) => {
            let at = flip(&dest, place, &rel, &seen)?;
            let shown = rel.escape_ascii();
            (
                "flipped-byte",
                format!("one bit of byte {at} of {shown}, size and times kept"),
            )
        }
        None => {
            let rel: &[u8] = b"vouchsafe-negative-control";
            dest.create_file(rel, 0o600).map_err(failure::dest)?;
            (
                "added-file",
                format!(
                    "an empty file {} that was never captured",
                    rel.escape_ascii()
                ),
            )
        }
    };
    let damage = Damage {
        name: name.to_owned(),
        detail,
        must_redden: "content".to_owned(),
    };
    Ok(Spoiled { damage })
}

fn flip(dest: &DestDir, place: &Path, rel: &[u8], seen: &Inode) -> Result<u64, CaptureError> {
    let io = |e| CaptureError::io("change a byte of", place.display().to_string(), e);
    let file = dest.open_write(rel).map_err(failure::dest)?;
    let at = seen.size / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).map_err(io)?;
    let flipped = byte.map(|b| b ^ 1);
    file.write_all_at(&flipped, at).map_err(io)?;
    dest.set_times(rel, seen.atime, seen.mtime)
        .map_err(failure::dest)?;
    Ok(at)
}

/// The first regular file that is not empty, by raw names, directories as they come.
fn first_file(
    ctx: &CaptureContext<'_>,
    dest: &DestDir,
) -> Result<Option<(Vec<u8>, Inode)>, CaptureError> {
    let mut waiting = vec![b".".to_vec()];
    while let Some(directory) = waiting.pop() {
        failure::check_interrupt(ctx)?;
        for name in dest.read_dir(&directory).map_err(failure::dest)? {
            let rel = if directory == b"." {
                name
            } else {
                [directory.as_slice(), b"/", &name].concat()
            };
            let seen = dest.lstat(&rel).map_err(failure::dest)?;
            match seen.kind {
                Kind::File if seen.size > 0 => return Ok(Some((rel, seen))),
                Kind::Directory => waiting.push(rel),
                _ => {}
            }
        }
    }
    Ok(None)
}
