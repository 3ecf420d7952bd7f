//! Which databases a server has.

use std::path::Path;

use vouchsafe_capture::CaptureError;
use vouchsafe_model::{SecretRef, SourceUrl};

use super::address::Address;
use super::session::{self, Session};

/// The addresses of all databases on the server of `url` that its user may see, as they are shown; the server's own
/// are none.
pub(crate) fn databases(
    url: &SourceUrl,
    password: Option<&SecretRef>,
    base: &Path,
) -> Result<Vec<String>, CaptureError> {
    let shown = url.to_string();
    let address = Address::of_policy(url, base)
        .map_err(|e| session::unreadable(&shown, e.to_string(), "see `vouchsafe lint`"))?;
    let password = super::password(&shown, password)?;
    let mut session = Session::open(&address, password.as_ref())?;
    let rows = session.rows(
        "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN \
         ('information_schema', 'performance_schema', 'mysql', 'sys') ORDER BY 1",
    )?;
    let names = rows.into_iter().filter_map(|row| row.into_iter().next()?);
    let at = |name: String| Address {
        database: name,
        ..address.clone()
    };
    Ok(names.map(|name| at(name).shown()).collect())
}

/// The address of a source's database as it is shown, and whether it means the whole server.
pub(crate) fn shown(url: &SourceUrl, base: &Path) -> Option<(String, bool)> {
    let address = Address::of_policy(url, base).ok()?;
    Some((address.shown(), address.database.is_empty()))
}
