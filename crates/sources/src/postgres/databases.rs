//! Which databases a server has.

use std::path::Path;

use vouchsafe_capture::CaptureError;
use vouchsafe_host::secret;
use vouchsafe_model::{SecretRef, SourceUrl};

use super::address::Address;
use super::session::{self, Session};

/// The addresses of all databases on the server of `url` that one can connect to, as they are shown; templates are
/// none.
pub(crate) fn databases(
    url: &SourceUrl,
    password: Option<&SecretRef>,
    base: &Path,
) -> Result<Vec<String>, CaptureError> {
    let shown = url.to_string();
    let address = Address::of_policy(url, base)
        .map_err(|e| session::unreadable(&shown, e.to_string(), "see `vouchsafe lint`"))?;
    let password = password.map(secret::resolve).transpose().map_err(|e| {
        let remedy = "see `password:` of this protection in the policy";
        session::unreadable(&shown, e.to_string(), remedy)
    })?;
    let to = match is_whole(&address) {
        true => address.with_database("postgres"),
        false => address.clone(),
    };
    let mut session = Session::open(&to, password.as_ref())?;
    let rows = session.rows(
        "SELECT datname::text FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1",
    )?;
    let names = rows.into_iter().filter_map(|row| row.into_iter().next()?);
    Ok(names
        .map(|name| address.with_database(&name).shown())
        .collect())
}

/// The address of a source's database as it is shown, and whether it means the whole server.
pub(crate) fn shown(url: &SourceUrl, base: &Path) -> Option<(String, bool)> {
    let address = Address::of_policy(url, base).ok()?;
    Some(match is_whole(&address) {
        true => (address.with_database("").shown(), true),
        false => (address.shown(), false),
    })
}

/// Whether all databases of the server are read, be it file by file or by a dump of each.
fn is_whole(address: &Address) -> bool {
    address.database.is_empty() || super::all::means_all(address)
}
