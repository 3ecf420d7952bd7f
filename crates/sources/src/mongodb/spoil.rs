//! Damaging a restored server so that only a comparison of its documents can see it.

use std::path::Path;

use mongodb::bson::{Document, RawDocumentBuf, doc};
use vouchsafe_capture::{CaptureContext, CaptureError, Spoiled};
use vouchsafe_model::Damage;

use super::catalog::Catalog;
use super::serve;
use super::session::{Session, whole};

/// The collection that is made where there is none.
const ADDED: &str = "of_another_time";

/// Removes a document, or adds one to a collection without any, or makes a collection.
pub(super) fn spoil(ctx: &CaptureContext<'_>, place: &Path) -> Result<Spoiled, CaptureError> {
    let (server, about) = serve(ctx, place)?;
    let mut session = server.session()?;
    let catalog = Catalog::read(&mut session, &about.database)?;
    let damage = damage(&mut session, &catalog, &about.database)?;
    drop(session);
    server.stop()?;
    Ok(Spoiled { damage })
}

fn damage(
    session: &mut Session,
    catalog: &Catalog,
    database: &str,
) -> Result<Damage, CaptureError> {
    let collections = || catalog.collections.iter().filter(|c| !c.is_view);
    for collection in collections() {
        let one = doc! { "q": {}, "limit": 1 };
        let delete = doc! { "delete": collection.name.as_str(), "deletes": [one] };
        let said = session.command(&collection.db, delete);
        // Where nothing can be removed, another collection is tried.
        if said.is_ok_and(|said| whole(said.get("n")) == Some(1)) {
            let detail = format!("one document of {} removed", collection.full_name());
            return Ok(told("missing-document", detail, "content"));
        }
    }
    if let Some(collection) = collections().next() {
        let document = RawDocumentBuf::try_from(&doc! { "_id": ADDED }).unwrap_or_default();
        session.insert(&collection.db, &collection.name, &[document])?;
        let detail = format!("one document added to {}", collection.full_name());
        return Ok(told("extra-document", detail, "content"));
    }
    let database = if database.is_empty() { ADDED } else { database };
    let mut create = Document::new();
    create.insert("create", ADDED);
    session.command(database, create)?;
    Ok(told(
        "added-collection",
        format!("a collection {ADDED} made"),
        "schema",
    ))
}

fn told(name: &str, detail: String, must_redden: &str) -> Damage {
    Damage {
        name: name.to_owned(),
        detail,
        must_redden: must_redden.to_owned(),
    }
}
