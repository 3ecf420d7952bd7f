//! Comparing a restored database with its manifest.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use vouchsafe_capture::{CaptureContext, CaptureError, FetchedLog, PointReader};
use vouchsafe_model::{Difference, DigestManifest, Rung};

use super::digest::SCHEMA;
use super::{SqliteSource, connection, replay, restore};
use crate::rung::{Findings, number, skipped};

const OPENS: &str = "Does SQLite open the database and find its structure sound?";
const SCHEMA_QUESTION: &str = "Are schema and settings those of the moment of capture?";
const CONTENT: &str = "Does every table hold exactly the rows of the moment of capture?";

/// The problems that SQLite's own check (`quick_check`, `integrity_check`) finds.
pub(super) fn check(
    connection: &Connection,
    pragma: &str,
    place: &Path,
) -> Result<Vec<String>, CaptureError> {
    let failed = |e: rusqlite::Error| connection::error(place, &e);
    let mut statement = connection
        .prepare(&format!("PRAGMA {pragma}"))
        .map_err(failed)?;
    let found = statement
        .query_map([], |row| row.get::<_, String>(0))
        .map_err(failed)?;
    // A damaged database may end the check itself with an error, which is a finding like the others.
    let lines: Vec<String> = found
        .map(|line| line.unwrap_or_else(|e| e.to_string()))
        .collect();
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

/// The one value of a query that somebody else wrote, as text; nothing if it is null or there is no row.
pub(super) fn answer(place: &Path, sql: &str) -> rusqlite::Result<Option<String>> {
    let flags =
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(place, flags)?;
    let mut statement = connection.prepare(sql)?;
    if statement.column_count() != 1 {
        return Err(rusqlite::Error::InvalidColumnName(
            "one column is needed".to_owned(),
        ));
    }
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(match row.get_ref(0)? {
        ValueRef::Null => None,
        ValueRef::Integer(n) => Some(n.to_string()),
        ValueRef::Real(n) => Some(n.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
    })
}

/// The rungs `opens`, `schema` and `content`.
pub(super) fn compare(
    ctx: &CaptureContext<'_>,
    source: &SqliteSource,
    place: &Path,
    expected: Option<&DigestManifest>,
) -> Result<Vec<Rung>, CaptureError> {
    let opens = opens(place);
    if !opens.is_empty() {
        return Ok(vec![
            opens.rung("opens", OPENS, "integrity_check: ok"),
            skipped("schema", SCHEMA_QUESTION, "opens"),
            skipped("content", CONTENT, "opens"),
        ]);
    }
    let opens = opens.rung("opens", OPENS, "integrity_check: ok");
    let (mut schema, mut content) = (Findings::default(), Findings::default());
    let Some(expected) = expected else {
        schema.add("the point has no manifest to compare with");
        let schema = schema.rung("schema", SCHEMA_QUESTION, "a manifest");
        return Ok(vec![opens, schema, skipped("content", CONTENT, "schema")]);
    };
    let (actual, unread) = source.manifest_of(ctx, place)?;
    // Where a base lies in the log is not digested.
    let is_content = |difference: &Difference| difference.part != replay::POSITION;
    for difference in expected.differences(&actual).into_iter().filter(is_content) {
        let is_schema = difference.part == SCHEMA || difference.part == "method";
        let rung = if is_schema { &mut schema } else { &mut content };
        rung.add(sentence(&difference));
    }
    unread
        .into_iter()
        .for_each(|issue| content.add(format!("{}: {}", issue.place, issue.message)));
    let objects = expected
        .entries
        .get(SCHEMA)
        .and_then(|e| e.count)
        .unwrap_or(0);
    let red = !schema.is_empty();
    let schema = schema.rung(
        "schema",
        SCHEMA_QUESTION,
        format!("{} objects, equal digest", number(objects)),
    );
    let content = if red {
        skipped("content", CONTENT, "schema")
    } else {
        content.rung("content", CONTENT, held(expected))
    };
    Ok(vec![opens, schema, content])
}

/// The rungs of a database over which a log was replayed: `opens`, `position`, `moment` and `pages`.
pub(super) fn compare_replayed(
    ctx: &CaptureContext<'_>,
    source: &SqliteSource,
    (place, log): (&Path, &FetchedLog),
    point: &dyn PointReader,
) -> Result<Vec<Rung>, CaptureError> {
    let opens = opens(place);
    let red = !opens.is_empty();
    let mut rungs = vec![opens.rung("opens", OPENS, "integrity_check: ok")];
    if red {
        rungs.extend(replay::skipped("opens"));
        return Ok(rungs);
    }
    let base = restore::database_node(source, point)?;
    rungs.extend(replay::compare(ctx, log, place, (point, &base))?);
    Ok(rungs)
}

fn opens(place: &Path) -> Findings {
    let mut found = Findings::default();
    let problems = connection::open_quiet(place).and_then(|c| check(&c, "integrity_check", place));
    match problems {
        Ok(problems) => problems.into_iter().for_each(|p| found.add(p)),
        Err(error) => found.add(error.to_string()),
    }
    found
}

fn held(manifest: &DigestManifest) -> String {
    let tables = manifest
        .entries
        .iter()
        .filter(|(key, _)| key.starts_with("table:"));
    let (count, rows) = tables.fold((0, 0), |(n, rows), (_, e)| {
        (n + 1, rows + e.count.unwrap_or(0))
    });
    format!(
        "{} tables with {} rows, equal digests",
        number(count),
        number(rows)
    )
}

fn sentence(difference: &Difference) -> String {
    let part = &difference.part;
    match (&difference.expected, &difference.actual) {
        (Some(expected), Some(actual)) => format!("{part}: expected {expected}; found {actual}"),
        (Some(_), None) => format!("{part} is missing"),
        (None, _) => format!("{part} was not captured"),
    }
}
