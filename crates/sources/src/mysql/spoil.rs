//! Damaging a restored database so that only a comparison of its rows can see it.

use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError, Spoiled};
use vouchsafe_model::Damage;
use vouchsafe_model::policy::Digests;

use super::about::About;
use super::digest::{free_columns, tables};
use super::serve;
use super::session::{Session, literal, quoted};

/// Changes one value, or removes a row, or makes a table.
pub(super) fn spoil(
    ctx: &CaptureContext<'_>,
    place: &Path,
    digests: Digests,
) -> Result<Spoiled, CaptureError> {
    let (server, about) = serve(ctx, place)?;
    let mut session = server.session(ctx)?;
    let (name, done) = match digests {
        Digests::Full => ("wrong-row", value(&mut session, &about)?),
        // A row that was changed need not be in the sample.
        Digests::Sample => {
            strictly(&mut session)?;
            ("missing-row", remove_row(&mut session, &about)?)
        }
        Digests::None => ("", None),
    };
    let damage = match done {
        Some(detail) => damage(name, detail, "content"),
        None => {
            let made = format!(
                "CREATE TABLE {}.of_another_time (x int)",
                quoted(&about.database)
            );
            session.execute(&made)?;
            let detail = "a table of_another_time made".to_owned();
            damage("added-table", detail, "schema")
        }
    };
    drop(session);
    server.stop(ctx)?;
    Ok(Spoiled { damage })
}

/// Changes one value of the database, if one can be changed.
pub(super) fn value(session: &mut Session, about: &About) -> Result<Option<String>, CaptureError> {
    strictly(session)?;
    change_value(session, about)
}

/// A value that does not fit is refused and not cut off.
fn strictly(session: &mut Session) -> Result<(), CaptureError> {
    session.execute("SET sql_mode = 'STRICT_ALL_TABLES', foreign_key_checks = 0")
}

fn damage(name: &str, detail: String, must_redden: &str) -> Damage {
    Damage {
        name: name.to_owned(),
        detail,
        must_redden: must_redden.to_owned(),
    }
}

/// Whether something would act beside what is done to this table.
fn acts(session: &mut Session, about: &About, table: &str) -> Result<bool, CaptureError> {
    let (database, table) = (literal(&about.database), literal(table));
    let count = session.text(&format!(
        "SELECT (SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = {database} \
         AND EVENT_OBJECT_TABLE = {table}) + (SELECT COUNT(*) FROM information_schema.REFERENTIAL_CONSTRAINTS \
         WHERE UNIQUE_CONSTRAINT_SCHEMA = {database} AND REFERENCED_TABLE_NAME = {table})"
    ))?;
    Ok(count != "0")
}

fn change_value(session: &mut Session, about: &About) -> Result<Option<String>, CaptureError> {
    for table in tables(session, about)? {
        if !table.is_of_one_moment() || acts(session, about, &table.name)? {
            continue;
        }
        let place = format!("{}.{}", quoted(&about.database), quoted(&table.name));
        for (name, kind) in free_columns(session, about, &table)? {
            let column = quoted(&name);
            let Some(changed) = changed(&column, &kind) else {
                continue;
            };
            let update = format!(
                "UPDATE {place} SET {column} = {changed} WHERE {column} IS NOT NULL LIMIT 1"
            );
            // A column that cannot be changed this way is passed over.
            if did_one(session, &update) {
                return Ok(Some(format!("one value of {}.{name} changed", table.name)));
            }
        }
    }
    Ok(None)
}

/// Removes a row that nothing refers to, so that the database can still be restored.
fn remove_row(session: &mut Session, about: &About) -> Result<Option<String>, CaptureError> {
    for table in tables(session, about)? {
        if !table.is_of_one_moment() || acts(session, about, &table.name)? {
            continue;
        }
        let place = format!("{}.{}", quoted(&about.database), quoted(&table.name));
        if did_one(session, &format!("DELETE FROM {place} LIMIT 1")) {
            return Ok(Some(format!("one row of {} removed", table.name)));
        }
    }
    Ok(None)
}

fn did_one(session: &mut Session, sql: &str) -> bool {
    let done = session
        .execute(sql)
        .and_then(|()| session.text("SELECT ROW_COUNT()"));
    done.is_ok_and(|count| count == "1")
}

/// Another value of the same type.
fn changed(column: &str, kind: &str) -> Option<String> {
    Some(match kind {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "decimal" | "double" => {
            format!("IF({column} = 0, 1, 0)")
        }
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" => format!("CONCAT({column}, '.')"),
        "varbinary" | "tinyblob" | "blob" | "mediumblob" => format!("CONCAT({column}, 0x01)"),
        "datetime" | "timestamp" => format!("{column} - INTERVAL 1 SECOND"),
        "date" => format!("{column} - INTERVAL 1 DAY"),
        _ => return None,
    })
}
