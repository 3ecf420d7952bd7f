//! Which databases a server has.

use std::path::Path;

use vouchsafe_capture::CaptureError;
use vouchsafe_model::{SecretRef, SourceUrl};

use super::address::Address;
use super::catalog;
use super::session::{Session, unreadable};

/// The addresses of all databases on the server of `url`, as they are shown; the server's own are none.
pub(crate) fn databases(
    url: &SourceUrl,
    password: Option<&SecretRef>,
    base: &Path,
) -> Result<Vec<String>, CaptureError> {
    let shown = url.to_string();
    let address = Address::of_policy(url, base)
        .map_err(|e| unreadable(&shown, e.to_string(), "see `vouchsafe lint`"))?;
    let password = super::password(&shown, password)?;
    let mut session = Session::open(&address, password.as_ref())?;
    let names = catalog::databases(&mut session)?;
    Ok(names
        .iter()
        .map(|name| address.with_database(name).shown())
        .collect())
}

/// The address of a source's database as it is shown, and whether it means the whole server.
pub(crate) fn shown(url: &SourceUrl, base: &Path) -> Option<(String, bool)> {
    let address = Address::of_policy(url, base).ok()?;
    Some((address.shown(), address.database.is_empty()))
}
