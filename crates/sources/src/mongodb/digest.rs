//! Digests of documents, whatever their order.

use std::collections::BTreeMap;

use mongodb::bson::Document;
use sha2::{Digest, Sha256};
use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_model::DigestEntry;

use super::about::About;
use super::accounts::Accounts;
use super::catalog::Catalog;
use super::session::Session;
use crate::failure;
use crate::sum::Sum;

/// What begins the keys of collections' documents.
pub(super) const DOCUMENTS: &str = "documents:";

/// The documents of one collection, as far as they have come.
#[derive(Default)]
pub(super) struct Documents {
    sum: Sum,
    count: u64,
}

impl Documents {
    /// One more, as the server stores it.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.sum.add(Sha256::digest(bytes).into());
        self.count += 1;
    }

    /// All that came.
    pub(super) fn entry(self) -> DigestEntry {
        DigestEntry {
            count: Some(self.count),
            digest: self.sum.to_hex(),
        }
    }
}

/// The digest of one document.
pub(super) fn of_document(bytes: &[u8]) -> DigestEntry {
    DigestEntry {
        count: None,
        digest: hex::encode(Sha256::digest(bytes)),
    }
}

/// Digests of what a server holds of `catalog` now; `shown` tells under which name a database goes.
pub(super) fn of_server(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    catalog: &Catalog,
    shown: &dyn Fn(&str) -> String,
) -> Result<BTreeMap<String, DigestEntry>, CaptureError> {
    let mut out = catalog.digests(shown);
    let collections = catalog.collections.iter().filter(|c| !c.is_view);
    let count = collections.clone().count() as u64;
    ctx.progress
        .phase("digest the documents", Some(count), None);
    for collection in collections {
        let mut documents = Documents::default();
        session.each(
            &collection.db,
            &collection.name,
            Document::new(),
            &mut |bytes| {
                documents.add(bytes);
                failure::check_interrupt(ctx)
            },
        )?;
        let name = format!("{}.{}", shown(&collection.db), collection.name);
        out.insert(format!("{DOCUMENTS}{name}"), documents.entry());
        ctx.progress.advance(1, 0);
    }
    Ok(out)
}

/// The same of all that `about` tells of, with accounts where it holds them.
pub(super) fn of_restored(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    about: &About,
) -> Result<BTreeMap<String, DigestEntry>, CaptureError> {
    let catalog = Catalog::read(session, &about.database)?;
    let mut out = of_server(ctx, session, &catalog, &str::to_owned)?;
    if about.accounts {
        out.extend(
            Accounts::read(session, &about.database)?
                .unwrap_or_default()
                .digests(),
        );
    }
    Ok(out)
}
