//! Digests of a database: what is declared in it, who may do what, and every row.

mod catalogs;
mod rows;

pub(super) use rows::TABLES;

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};
use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_model::policy::Digests;
use vouchsafe_model::{DigestEntry, Span};

use super::PostgresSource;
use super::session::Session;
use crate::failure;
use crate::rung::number;

/// What begins the keys of declarations, of owners and privileges, of tables' rows, of sequences.
pub(super) const SCHEMA: &str = "schema:";
pub(super) const GRANTS: &str = "grants:";
pub(super) const ROWS: &str = "rows:";
pub(super) const SEQUENCE: &str = "sequence:";
/// The key of all large objects.
pub(super) const LARGE_OBJECTS: &str = "large-objects";
/// So many relations are locked by one request.
const LOCKED_AT_ONCE: usize = 500;

/// Digests everything that `session` sees, by [`super::PostgresSource::METHOD`].
pub(super) fn digest(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    digests: Digests,
) -> Result<BTreeMap<String, DigestEntry>, CaptureError> {
    let mut out = BTreeMap::new();
    ctx.progress.phase("digest the schema", None, None);
    for catalog in catalogs::all() {
        failure::check_interrupt(ctx)?;
        for row in session.rows(&catalog.sql)? {
            let mut texts = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || texts.next().unwrap_or_default();
            let (identity, definition, grants) = (next(), next(), next());
            let name = format!("{} {identity}", catalog.kind);
            out.insert(format!("{SCHEMA}{name}"), of_text(&definition));
            if !grants.is_empty() {
                out.insert(format!("{GRANTS}{name}"), of_text(&grants));
            }
        }
    }
    if digests != Digests::None {
        rows::digest(ctx, session, digests, &mut out)?;
        large_objects(session, &mut out)?;
    }
    Ok(out)
}

/// Adds what two copies of one server's files have in common and a dump need not have: the rows of every table and
/// materialised view that is in the log, those of extensions too, and the large objects.
pub(super) fn everything(
    ctx: &CaptureContext<'_>,
    session: &mut Session,
    out: &mut BTreeMap<String, DigestEntry>,
) -> Result<(), CaptureError> {
    rows::digest_of(ctx, session, rows::EVERYTHING, Digests::Full, out)?;
    large_objects(session, out)
}

/// Takes ACCESS SHARE on every relation whose rows [`everything`] reads, within a transaction, until that ends.
pub(super) fn lock_everything(session: &mut Session) -> Result<(), CaptureError> {
    let tables = session.rows(rows::EVERYTHING)?;
    let names: Vec<String> = tables
        .into_iter()
        .filter_map(|row| row.into_iter().next().flatten())
        .collect();
    for some in names.chunks(LOCKED_AT_ONCE) {
        let one = |name: &String| format!("SELECT FROM ONLY {name} LIMIT 0;");
        session.execute(&some.iter().map(one).collect::<String>())?;
    }
    Ok(())
}

/// The keys of sequences that are not in the log: a server that recovers sets them back, and a standby cannot read them.
pub(super) fn unlogged_sequences(session: &mut Session) -> Result<Vec<String>, CaptureError> {
    let sql = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c \
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relpersistence = 'u' AND c.relkind = 'S'";
    let names = session.rows(sql)?.into_iter().flatten().flatten();
    Ok(names.map(|name| format!("{SEQUENCE}{name}")).collect())
}

/// The rows of one table, which is named as the catalogs name it; nothing if there is none of this name.
pub(super) fn of_table(
    session: &mut Session,
    name: &str,
    digests: Digests,
) -> Result<Option<DigestEntry>, CaptureError> {
    rows::of_table(session, name, digests)
}

/// The manifest's method.
pub(super) fn method(digests: Digests) -> &'static str {
    match digests {
        Digests::Full => PostgresSource::METHOD,
        Digests::Sample => PostgresSource::SAMPLE,
        Digests::None => PostgresSource::SCHEMA,
    }
}

/// What a manifest of this method digested; everything if it is not known.
pub(super) fn of_method(method: &str) -> Digests {
    match method {
        PostgresSource::SAMPLE => Digests::Sample,
        PostgresSource::SCHEMA => Digests::None,
        _ => Digests::Full,
    }
}

/// What the digests took, and for how long the snapshot was held open meanwhile.
pub(super) fn cost(
    entries: &BTreeMap<String, DigestEntry>,
    took: Duration,
    snapshot: Duration,
) -> String {
    let tables = entries.iter().filter(|(key, _)| key.starts_with(ROWS));
    let (tables, rows) = tables.fold((0, 0), |(n, rows), (_, entry)| {
        (n + 1, rows + entry.count.unwrap_or(0))
    });
    format!(
        "digests of {} tables with {} rows took {}; the snapshot was open for {} by then",
        number(tables),
        number(rows),
        Span::from_duration(took),
        Span::from_duration(snapshot)
    )
}

pub(super) fn of_text(text: &str) -> DigestEntry {
    DigestEntry {
        count: None,
        digest: hex::encode(Sha256::digest(text.as_bytes())),
    }
}

/// Every role but the system's, with what it may do, its settings and its memberships; not the passwords.
///
/// Roles belong to the server. `session` must not be within a snapshot: what was dumped of them is later than that.
pub(super) fn roles(session: &mut Session) -> Result<BTreeMap<String, DigestEntry>, CaptureError> {
    let mut out = BTreeMap::new();
    let sql = "SELECT r.rolname::text, concat_ws(' ', r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, \
        r.rolcanlogin, r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil, \
        array_to_string(ARRAY(SELECT c.entry COLLATE \"C\" FROM pg_db_role_setting s, unnest(s.setconfig) AS c(entry) \
        WHERE s.setrole = r.oid AND s.setdatabase = 0 ORDER BY 1), ','), 'member of', \
        array_to_string(ARRAY(SELECT DISTINCT g.rolname || CASE WHEN m.admin_option THEN ' admin' ELSE '' END \
        COLLATE \"C\" FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid ORDER BY 1), ',')) \
        FROM pg_roles r WHERE r.rolname !~ '^pg_'";
    for row in session.rows(sql)? {
        let mut texts = row.into_iter().map(Option::unwrap_or_default);
        let (name, about) = (texts.next().unwrap_or_default(), texts.next());
        out.insert(
            format!("{GRANTS}role {name}"),
            of_text(&about.unwrap_or_default()),
        );
    }
    Ok(out)
}

/// Where each sequence stands. Sequences keep to no snapshot: asked before the dump, a restored one may stand further
/// on, never further back.
pub(super) fn sequences(
    session: &mut Session,
) -> Result<BTreeMap<String, DigestEntry>, CaptureError> {
    let mut out = BTreeMap::new();
    let sql = "SELECT format('%I.%I', n.nspname, c.relname), format('%I.%I', n.nspname, c.relname)::regclass::text \
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S' \
        AND (c.relpersistence <> 'u' OR NOT pg_is_in_recovery()) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
        AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid \
        AND e.deptype = 'e')";
    for row in session.rows(sql)? {
        let Some(Some(name)) = row.into_iter().next() else {
            continue;
        };
        let stand = session.text(&format!(
            "SELECT concat_ws(' ', s.last_value, s.is_called, (SELECT seqincrement FROM pg_sequence \
             WHERE seqrelid = s.tableoid)) FROM {name} s"
        ))?;
        let entry = DigestEntry {
            count: None,
            digest: stand,
        };
        out.insert(format!("{SEQUENCE}{name}"), entry);
    }
    Ok(out)
}

/// The number of large objects and the sum of the digests of number, owner and content of each.
fn large_objects(
    session: &mut Session,
    out: &mut BTreeMap<String, DigestEntry>,
) -> Result<(), CaptureError> {
    let sql = "COPY (SELECT m.oid::text, pg_get_userbyid(m.lomowner), sha256(lo_get(m.oid)) \
        FROM pg_largeobject_metadata m) TO STDOUT";
    let entry = rows::of_copy(session, sql)?;
    if entry.count != Some(0) {
        out.insert(LARGE_OBJECTS.to_owned(), entry);
    }
    Ok(())
}

/// Which sequences of `actual` stand further back than in `expected`, or are missing.
pub(super) fn behind(
    expected: &BTreeMap<String, DigestEntry>,
    actual: &BTreeMap<String, DigestEntry>,
) -> Vec<String> {
    // Counted in the direction in which the sequence counts.
    let stand = |entry: &DigestEntry| {
        let mut parts = entry.digest.split(' ');
        let value: i128 = parts.next()?.parse().ok()?;
        let called = parts.next()? == "t";
        let up = !parts.next()?.starts_with('-');
        Some((if up { value } else { -value }, called))
    };
    let mut out = Vec::new();
    for (key, entry) in expected {
        let Some(name) = key.strip_prefix(SEQUENCE) else {
            continue;
        };
        let found = actual.get(key);
        let (wanted, is) = (stand(entry), found.and_then(stand));
        let reached = matches!((wanted, is), (Some(wanted), Some(is)) if is >= wanted);
        if !reached {
            let found = found.map_or("missing".to_owned(), |f| f.digest.clone());
            out.push(format!("{name}: expected {}, found {found}", entry.digest));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequences(stands: &[(&str, &str)]) -> BTreeMap<String, DigestEntry> {
        let entry = |(name, stand): &(&str, &str)| {
            let entry = DigestEntry {
                count: None,
                digest: (*stand).to_owned(),
            };
            (format!("{SEQUENCE}{name}"), entry)
        };
        stands.iter().map(entry).collect()
    }

    #[test]
    fn a_sequence_may_stand_further_on_and_never_further_back() {
        let expected = sequences(&[("public.a", "5 t 1"), ("public.b", "1 f 1")]);
        let further = sequences(&[("public.a", "6 t 1"), ("public.b", "1 t 1")]);
        assert!(behind(&expected, &expected).is_empty());
        assert!(behind(&expected, &further).is_empty());
        assert_eq!(behind(&further, &expected).len(), 2);
        let one = sequences(&[("public.a", "5 t 1")]);
        assert_eq!(behind(&expected, &one).len(), 1);
        let down = |stand: &str| sequences(&[("public.d", stand)]);
        assert!(behind(&down("1 t -2"), &down("-1 t -2")).is_empty());
        assert_eq!(behind(&down("-1 t -2"), &down("1 t -2")).len(), 1);
    }
}
