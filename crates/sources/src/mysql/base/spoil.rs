//! Damaging a restored server so that only a comparison can see it.

use std::path::Path;

use vouchsafe_capture::{CaptureError, Spoiled};
use vouchsafe_host::files;
use vouchsafe_model::Damage;

use super::super::server::data_directory;
use super::super::session::unreadable;
use super::files::Copy;
use crate::failure;

/// The size of InnoDB's pages; where they are of another one, the byte lies in some page all the same.
const PAGE: usize = 16 << 10;
/// A larger file is not changed while there is another one.
const LARGEST: u64 = 1 << 30;

/// Flips a byte of the last page of a table that holds something: opening the table does not read it.
pub(super) fn spoil(place: &Path) -> Result<Spoiled, CaptureError> {
    let root = data_directory(place);
    let mut tables = Copy::look(&root)?.page_files()?;
    tables.retain(|(path, size)| path.extension().is_some_and(|e| e == "ibd") && *size <= LARGEST);
    // Those of the server itself last, then by size: the larger, the farther is its last page from what is read.
    tables.sort_by_key(|(path, size)| {
        let own = path.parent() == Some(root.as_path())
            || ["mysql", "sys"]
                .iter()
                .any(|name| path.starts_with(root.join(name)));
        (own, std::cmp::Reverse(*size))
    });
    for (path, _) in tables {
        let mut bytes = files::read(&path, LARGEST).map_err(failure::file)?;
        let last = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .unwrap_or_default()
            / PAGE;
        // Before are headers, a description of the table, and the root.
        if last < 5 {
            continue;
        }
        let at = last * PAGE + PAGE / 2;
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1;
        }
        files::write_atomic(&path, &bytes, 0o600).map_err(failure::file)?;
        let name = path.strip_prefix(&root).unwrap_or(&path).display();
        return Ok(Spoiled {
            damage: Damage {
                name: "flipped-page-byte".to_owned(),
                detail: format!("byte {at} of {name} flipped"),
                must_redden: "checksums".to_owned(),
            },
        });
    }
    Err(unreadable(
        &place.display().to_string(),
        "there is no page to change",
        "restore it again",
    ))
}
