//! Everything that a restored server holds, in digests, and one row of it changed.

use std::collections::BTreeMap;
use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError, Spoiled};
use vouchsafe_model::policy::Digests;
use vouchsafe_model::{Damage, DigestEntry, DigestManifest};

use super::super::all::key_in;
use super::super::session::Session;
use super::super::{begin, digest, engine, spoil};
use super::{DATABASE, PostgresBaseSource, serve};
use crate::failure;

/// Each database that there is, with what is set for it.
const DATABASES: &str = "SELECT d.datname::text, concat_ws(' ', pg_get_userbyid(d.datdba), d.encoding, \
    d.datcollate, d.datctype, d.datallowconn, d.datistemplate, d.datconnlimit, d.datacl::text, \
    array_to_string(ARRAY(SELECT c.entry COLLATE \"C\" FROM pg_db_role_setting s, unnest(s.setconfig) AS c(entry) \
    WHERE s.setdatabase = d.oid ORDER BY 1), ',')), d.datallowconn::text FROM pg_database d ORDER BY 1";

/// Starts the server in `place` and digests all of it by [`PostgresBaseSource::CONTENTS`].
pub(super) fn contents(
    ctx: &CaptureContext<'_>,
    place: &Path,
) -> Result<DigestManifest, CaptureError> {
    let (server, about) = serve(ctx, place)?;
    let mut session = server.login(ctx, DATABASE)?.session()?;
    let mut entries = digest::roles(&mut session)?;
    for (name, settings, is_open) in databases(&mut session)? {
        failure::check_interrupt(ctx)?;
        entries.extend([noted(&name, &settings)]);
        if is_open {
            let mut session = server.login(ctx, &name)?.session()?;
            begin(&mut session)?;
            let found = declared(ctx, &mut session)?;
            entries.extend(with_rows(ctx, &mut session, &name, found)?);
        }
    }
    drop(session);
    server.stop(ctx)?;
    Ok(DigestManifest {
        method: PostgresBaseSource::CONTENTS.to_owned(),
        taken_at: ctx.clock.now(),
        engine: Some(engine(&about)),
        entries,
    })
}

/// What stands in a database beside its rows, within a transaction: declarations, privileges, sequences.
pub(super) fn declared(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
) -> Result<BTreeMap<String, DigestEntry>, CaptureError> {
    let mut found = digest::sequences(session)?;
    found.extend(digest::digest(ctx, session, Digests::None)?);
    Ok(found)
}

/// The same with the rows, by the database's name; without what no log tells of.
pub(super) fn with_rows(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    database: &str,
    mut found: BTreeMap<String, DigestEntry>,
) -> Result<BTreeMap<String, DigestEntry>, CaptureError> {
    digest::everything(ctx, session, &mut found)?;
    for key in digest::unlogged_sequences(session)? {
        found.remove(&key);
    }
    let named = |(key, entry): (String, _)| (key_in(database, &key), entry);
    Ok(found.into_iter().map(named).collect())
}

/// What is set for a database.
pub(super) fn noted(database: &str, settings: &str) -> (String, DigestEntry) {
    let key = key_in(database, "schema:database");
    (key, digest::of_text(settings))
}

/// Names, settings, and whether one can connect to them.
pub(super) fn databases(
    session: &mut Session,
) -> Result<Vec<(String, String, bool)>, CaptureError> {
    let rows = session.rows(DATABASES)?.into_iter();
    Ok(rows
        .map(|row| {
            let mut texts = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || texts.next().unwrap_or_default();
            (next(), next(), next() == "true")
        })
        .collect())
}

/// Changes one row of the server in `place`; where no database has one that can be changed, makes a table.
pub(super) fn alter(ctx: &CaptureContext<'_>, place: &Path) -> Result<Spoiled, CaptureError> {
    let (server, _) = serve(ctx, place)?;
    let mut session = server.login(ctx, DATABASE)?.session()?;
    let mut found = None;
    for (name, _, is_open) in databases(&mut session)? {
        if is_open && found.is_none() {
            let mut session = server.login(ctx, &name)?.session()?;
            let done = spoil::rows(&mut session, Digests::Full)?;
            found = done.map(|damage| (damage, name));
        }
    }
    let (damage, name) = match found {
        Some(found) => found,
        None => (spoil::definitions(&mut session)?, DATABASE.to_owned()),
    };
    drop(session);
    server.stop(ctx)?;
    Ok(Spoiled {
        damage: Damage {
            detail: format!("{} in the database `{name}`", damage.detail),
            ..damage
        },
    })
}
