//! Damaging a restored server so that only a comparison can see it.

use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError, Spoiled};
use vouchsafe_host::files;
use vouchsafe_model::Damage;

use super::super::about::{self, About};
use super::super::server::data_directory;
use super::super::session::unreadable;
use crate::failure;

/// The directory of `template1`, which every server has and which nobody reads while nothing is made from it.
const TEMPLATE: &str = "base/1";
/// A byte in the middle of the first page.
const BYTE: u64 = 4096;
/// No file of a relation is larger.
const LARGEST: u64 = 2 << 30;

/// Flips a byte of a page, or takes away what makes a directory a database.
pub(super) fn spoil(_ctx: &CaptureContext<'_>, place: &Path) -> Result<Spoiled, CaptureError> {
    let shown = place.display().to_string();
    let json = files::read(place.join(about::NAME), 1 << 20).map_err(failure::file)?;
    let about = About::parse(&shown, &json)?;
    let template = data_directory(place).join(TEMPLATE);
    if !about.checksums {
        files::remove_file(template.join("PG_VERSION")).map_err(failure::file)?;
        return Ok(spoiled(
            "unopenable-database",
            format!("{TEMPLATE}/PG_VERSION removed"),
            "opens",
        ));
    }
    let mut largest = None;
    for name in files::list_dir(&template).map_err(failure::file)? {
        let path = template.join(&name);
        let is_table = name
            .to_str()
            .is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        if is_table {
            let size = files::size(&path).map_err(failure::file)?;
            largest = largest.max(Some((size, path)));
        }
    }
    let (_, path) = largest
        .filter(|(size, _)| *size > BYTE)
        .ok_or_else(|| unreadable(&shown, "there is no page to change", "restore it again"))?;
    flip(&path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(spoiled(
        "flipped-page-byte",
        format!("byte {BYTE} of {TEMPLATE}/{name} flipped"),
        "checksums",
    ))
}

fn flip(path: &Path) -> Result<(), CaptureError> {
    let mut bytes = files::read(path, LARGEST).map_err(failure::file)?;
    if let Some(byte) = bytes.get_mut(BYTE as usize) {
        *byte ^= 1;
    }
    files::write_atomic(path, &bytes, 0o600).map_err(failure::file)
}

fn spoiled(name: &str, detail: String, must_redden: &str) -> Spoiled {
    Spoiled {
        damage: Damage {
            name: name.to_owned(),
            detail,
            must_redden: must_redden.to_owned(),
        },
    }
}
