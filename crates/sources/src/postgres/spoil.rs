//! Damaging a restored database so that only a comparison of its rows can see it.

use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError, Spoiled};
use vouchsafe_model::Damage;
use vouchsafe_model::policy::Digests;

use super::digest::TABLES;
use super::serve;
use super::session::{Session, literal};

/// Columns that a change hurts nowhere else: held by no constraint and no index, and not the key of a partition.
const FREE: &str = "SELECT quote_ident(a.attname), format_type(a.atttypid, NULL) FROM pg_attribute a \
    WHERE a.attrelid = {}::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' \
    AND a.atttypmod = -1 AND NOT EXISTS (SELECT FROM pg_constraint k WHERE (k.conrelid = a.attrelid \
    AND a.attnum = ANY (k.conkey)) OR (k.confrelid = a.attrelid AND a.attnum = ANY (k.confkey))) \
    AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND (a.attnum = ANY (i.indkey) \
    OR i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)) \
    AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = a.attrelid AND c.relispartition)";

/// Changes one value, or removes a row, or makes a table.
pub(super) fn spoil(
    ctx: &CaptureContext<'_>,
    place: &Path,
    digests: Digests,
) -> Result<Spoiled, CaptureError> {
    let (server, about) = serve(ctx, place)?;
    let mut session = server.login(ctx, &about.database)?.session()?;
    let damage = match rows(&mut session, digests)? {
        Some(damage) => damage,
        None => definitions(&mut session)?,
    };
    drop(session);
    server.stop(ctx)?;
    Ok(Spoiled { damage })
}

/// Changes or removes one row, if rows are digested and one can be.
pub(super) fn rows(
    session: &mut Session,
    digests: Digests,
) -> Result<Option<Damage>, CaptureError> {
    // Neither triggers nor foreign keys act.
    session.execute("SET session_replication_role = replica")?;
    let (name, done) = match digests {
        Digests::Full => ("wrong-row", change_value(session)?),
        // A row that was changed need not be in the sample.
        Digests::Sample => ("missing-row", remove_row(session)?),
        Digests::None => ("", None),
    };
    Ok(done.map(|detail| damage(name, detail, "content")))
}

/// Makes a table.
pub(super) fn definitions(session: &mut Session) -> Result<Damage, CaptureError> {
    session.execute("CREATE TABLE public.of_another_time ()")?;
    let detail = "a table public.of_another_time made".to_owned();
    Ok(damage("added-table", detail, "schema"))
}

fn damage(name: &str, detail: String, must_redden: &str) -> Damage {
    Damage {
        name: name.to_owned(),
        detail,
        must_redden: must_redden.to_owned(),
    }
}

fn change_value(session: &mut Session) -> Result<Option<String>, CaptureError> {
    for row in session.rows(TABLES)? {
        let Some(Some(table)) = row.into_iter().next() else {
            continue;
        };
        for column in session.rows(&FREE.replace("{}", &literal(&table)))? {
            let mut texts = column.into_iter().flatten();
            let (Some(column), Some(kind)) = (texts.next(), texts.next()) else {
                continue;
            };
            let Some(changed) = changed(&column, &kind) else {
                continue;
            };
            let update = format!(
                "UPDATE ONLY {table} SET {column} = {changed} WHERE ctid = \
                 (SELECT ctid FROM ONLY {table} WHERE {column} IS NOT NULL LIMIT 1) RETURNING 'changed'::text"
            );
            // A column that cannot be changed this way is passed over.
            if session.rows(&update).is_ok_and(|rows| rows.len() == 1) {
                return Ok(Some(format!("one value of {table}.{column} changed")));
            }
        }
    }
    Ok(None)
}

/// Removes a row that nothing refers to, so that the database can still be restored.
fn remove_row(session: &mut Session) -> Result<Option<String>, CaptureError> {
    for row in session.rows(TABLES)? {
        let Some(Some(table)) = row.into_iter().next() else {
            continue;
        };
        let referred = format!(
            "SELECT count(*)::text FROM pg_constraint WHERE contype = 'f' AND confrelid = {}::regclass",
            literal(&table)
        );
        if session.text(&referred)? != "0" {
            continue;
        }
        let delete = format!(
            "DELETE FROM ONLY {table} WHERE ctid = (SELECT ctid FROM ONLY {table} LIMIT 1) RETURNING 'removed'::text"
        );
        // Where a rule forbids it, another table is tried.
        if session.rows(&delete).is_ok_and(|rows| rows.len() == 1) {
            return Ok(Some(format!("one row of {table} removed")));
        }
    }
    Ok(None)
}

/// Another value of the same type.
fn changed(column: &str, kind: &str) -> Option<String> {
    Some(match kind {
        "smallint" | "integer" | "bigint" | "numeric" => {
            format!("CASE WHEN {column} = 0 THEN 1 ELSE 0 END")
        }
        "text" | "character varying" => format!("{column} || '.'"),
        "boolean" => format!("NOT {column}"),
        "timestamp with time zone" | "timestamp without time zone" => {
            format!("{column} - interval '1 second'")
        }
        "date" => format!("{column} - 1"),
        "double precision" | "real" => format!("CASE WHEN {column} = 0 THEN 1 ELSE 0 END"),
        "bytea" => format!("{column} || '\\x00'"),
        _ => return None,
    })
}
