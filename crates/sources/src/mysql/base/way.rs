//! What is particular to copying a server of either product whole.

use std::path::{Path, PathBuf};

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_model::{DigestEntry, DigestManifest};

use super::super::about::About;
use super::super::address::Address;
use super::super::login::Login;
use super::super::programs::Product;
use super::super::server::Server;
use super::super::session::Session;
use super::clone::ByClone;
use super::maria::ByBackup;
use crate::rung::Findings;

/// The server that is copied.
pub(super) struct Origin<'a> {
    pub(super) address: &'a Address,
    pub(super) shown: String,
    pub(super) login: &'a Login,
}

/// What a manifest notes of a base.
pub(super) type Entries = Vec<(&'static str, DigestEntry)>;

/// How a server is copied, and what its files say of themselves.
pub(super) trait Way {
    /// The manifest's method.
    fn method(&self) -> &'static str;

    /// An error that says why this server cannot be copied from here, by this user.
    fn demand(&self, from: &Origin<'_>, session: &mut Session) -> Result<(), CaptureError>;

    /// The query for the size of its files, in bytes.
    fn size(&self) -> &'static str;

    /// Copies it below `scratch`, and gives the directory of the data, the name of which is that of a server's.
    fn copy(
        &self,
        ctx: &CaptureContext<'_>,
        from: &Origin<'_>,
        session: &mut Session,
        about: &mut About,
        scratch: &Path,
    ) -> Result<PathBuf, CaptureError>;

    /// What is to be noted of a fresh copy. It was handed over, and may be changed by being looked at.
    fn note(
        &self,
        ctx: &CaptureContext<'_>,
        about: &mut About,
        data: &Path,
    ) -> Result<Entries, CaptureError>;

    /// What is to be noted of a restored server that is captured as it lies there, stopped.
    fn note_restored(&self, about: &mut About, data: &Path) -> Result<Entries, CaptureError>;

    /// Makes restored files consistent, as far as the server does not do that by itself.
    fn prepare(
        &self,
        ctx: &CaptureContext<'_>,
        about: &About,
        place: &Path,
    ) -> Result<(), CaptureError>;

    /// With which options a server over these files is started.
    fn options(&self, about: &About, data: &Path) -> Result<Vec<String>, CaptureError>;

    /// What of a restored server that runs is not what was noted is a finding; gives what was compared.
    fn compare(
        &self,
        session: &mut Session,
        data: &Path,
        noted: &Noted<'_>,
        found: &mut Findings,
    ) -> Result<String, CaptureError>;
}

/// What a manifest notes, by its key.
pub(super) struct Noted<'m>(pub(super) &'m DigestManifest);

impl Noted<'_> {
    /// The text; empty if there is none.
    pub(super) fn text(&self, key: &str) -> &str {
        let entry = self.0.entries.get(key);
        entry.map_or("", |entry| entry.digest.as_str())
    }

    /// The count, where one is noted.
    pub(super) fn count(&self, key: &str) -> Option<u64> {
        self.0.entries.get(key).and_then(|entry| entry.count)
    }
}

/// A text that is noted.
pub(super) fn text(digest: impl Into<String>) -> DigestEntry {
    DigestEntry {
        count: None,
        digest: digest.into(),
    }
}

/// The way for servers of this product.
pub(super) fn of(product: Product) -> &'static dyn Way {
    match product {
        Product::MariaDb => &ByBackup,
        Product::MySql => &ByClone,
    }
}

/// The options by which a server lays its files out, of names and values that are these and harmless.
pub(super) fn layout<'a>(
    known: &[&str],
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<String> {
    let plain = |value: &str| {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b';' | b'_' | b'.');
        !value.is_empty() && !value.contains("..") && value.bytes().all(fine)
    };
    pairs
        .filter(|(key, value)| known.contains(key) && plain(value))
        .map(|(key, value)| format!("--{}={value}", key.replace('_', "-")))
        .collect()
}

/// Starts the restored server in `place`.
pub(super) fn serve(
    ctx: &CaptureContext<'_>,
    place: &Path,
) -> Result<(Server, About), CaptureError> {
    let about = super::super::about_of(place)?;
    let data = super::super::server::data_directory(place);
    let more = of(about.product).options(&about, &data)?;
    let server = Server::start(ctx, &about, place, &more)?;
    Ok((server, about))
}
