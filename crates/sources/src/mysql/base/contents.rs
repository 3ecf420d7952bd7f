//! Everything that a restored server holds, in digests, and one row of it changed.

use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError, Spoiled};
use vouchsafe_model::policy::Digests;
use vouchsafe_model::{Damage, DigestManifest};

use super::super::about::About;
use super::super::accounts::Accounts;
use super::super::digest;
use super::super::session::{Session, quoted};
use super::super::{engine, moment, spoil};
use super::{MySqlBaseSource, serve};
use crate::failure;

/// The server's own are none.
const DATABASES: &str = "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN \
    ('information_schema', 'performance_schema', 'mysql', 'sys') ORDER BY 1";

/// Starts the server in `place` and digests all of it by [`MySqlBaseSource::CONTENTS`].
pub(super) fn contents(
    ctx: &CaptureContext<'_>,
    place: &Path,
) -> Result<DigestManifest, CaptureError> {
    let (server, about) = serve(ctx, place)?;
    let mut session = server.session(ctx)?;
    let accounts = Accounts::read(&mut session, &place.display().to_string(), &about)?;
    let mut entries = accounts.digests();
    for one in databases(&mut session, &about)? {
        failure::check_interrupt(ctx)?;
        let mut session = server.session(ctx)?;
        let mut found = digest::schema(&mut session, &one)?;
        moment::begin(&mut session)?;
        found.extend(digest::content(ctx, &mut session, &one, Digests::Full)?);
        let found = found.into_iter();
        entries.extend(found.map(|(key, entry)| (key_in(&one.database, &key), entry)));
    }
    drop(session);
    server.stop(ctx)?;
    Ok(DigestManifest {
        method: MySqlBaseSource::CONTENTS.to_owned(),
        taken_at: ctx.clock.now(),
        engine: Some(engine(&about)),
        entries,
    })
}

/// What is known of the server, for each of its databases.
fn databases(session: &mut Session, about: &About) -> Result<Vec<About>, CaptureError> {
    let names = session.rows(DATABASES)?.into_iter().flatten().flatten();
    Ok(names
        .map(|database| About {
            database,
            ..about.clone()
        })
        .collect())
}

/// `rows:t` in the database `shop`: `rows:shop t`.
fn key_in(database: &str, key: &str) -> String {
    let (kind, name) = key.split_once(':').unwrap_or((key, ""));
    format!("{kind}:{} {name}", quoted(database))
}

/// Changes one row of the server in `place`.
pub(super) fn alter(ctx: &CaptureContext<'_>, place: &Path) -> Result<Spoiled, CaptureError> {
    let (server, about) = serve(ctx, place)?;
    let mut session = server.session(ctx)?;
    let mut found = None;
    for one in databases(&mut session, &about)? {
        if found.is_none() {
            found = spoil::value(&mut session, &one)?.map(|detail| (detail, one.database));
        }
    }
    drop(session);
    server.stop(ctx)?;
    let (detail, database) = found.ok_or_else(|| {
        let message = "no row of any database can be changed";
        let remedy = "there is nothing to test the comparison with";
        super::session::unreadable(&place.display().to_string(), message, remedy)
    })?;
    Ok(Spoiled {
        damage: Damage {
            name: "wrong-row".to_owned(),
            detail: format!("{detail} in the database `{database}`"),
            must_redden: "content".to_owned(),
        },
    })
}
