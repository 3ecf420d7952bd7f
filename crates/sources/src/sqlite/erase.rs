//! Erasing subjects in a restored database.

use std::path::Path;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags, Statement, ToSql};
use vouchsafe_capture::{CaptureContext, CaptureError, Erased, Erasing};
use vouchsafe_model::SubjectId;

use super::connection;
use crate::checks::is_true;
use crate::erasing::{self, Fault, Open, Statements, statements};

const SUBJECT: &str = ":subject";

/// What is erased is overwritten in the file, and what refers to it goes as the schema says. A log beside the database
/// is written into it and removed.
const SETTINGS: &str = "PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON; BEGIN IMMEDIATE";

/// Erases everybody in one transaction, and looks for each.
pub(super) fn erase(
    ctx: &CaptureContext<'_>,
    place: &Path,
    erasing: &Erasing<'_>,
) -> Result<Erased, CaptureError> {
    let shown = place.display().to_string();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |e: &rusqlite::Error| connection::error(place, e);
    let connection = Connection::open_with_flags(place, flags).map_err(|e| failed(&e))?;
    connection.execute_batch(SETTINGS).map_err(|e| failed(&e))?;
    let erased = {
        let said = statements(erasing, &shown)?;
        let mut open = Database::prepare(&connection, &said).map_err(|e| e.at(&shown))?;
        erasing::erase(ctx, erasing, &shown, &mut open)?
    };
    // A database without a log has nothing to check in.
    let log = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    log.map_err(|e| failed(&e))?;
    connection.close().map_err(|(_, e)| failed(&e))?;
    Ok(erased)
}

/// A database with a transaction that is open.
struct Database<'c> {
    connection: &'c Connection,
    find: Statement<'c>,
    erase: Vec<Statement<'c>>,
    someone: Option<Statement<'c>>,
}

impl<'c> Database<'c> {
    fn prepare(connection: &'c Connection, said: &Statements<'_>) -> Result<Database<'c>, Fault> {
        let find = prepare(connection, said.find, 1)?;
        let erase = said.erase.iter().map(|sql| prepare(connection, sql, 1));
        let erase = erase.collect::<Result<_, _>>()?;
        let someone = said.someone.map(|sql| prepare(connection, sql, 0));
        Ok(Database {
            connection,
            find,
            erase,
            someone: someone.transpose()?,
        })
    }
}

/// Without values, so that whatever is wrong with it can be said in full.
fn prepare<'c>(
    connection: &'c Connection,
    sql: &str,
    parameters: usize,
) -> Result<Statement<'c>, Fault> {
    let statement = connection
        .prepare(sql)
        .map_err(|e| Fault::new(format!("`{sql}`: {e}"), "correct it in the policy"))?;
    let named = statement.parameter_index(SUBJECT).ok().flatten().is_some();
    if statement.parameter_count() != parameters || named != (parameters == 1) {
        let message = format!("`{sql}` has other values than `:subject`, or has it within quotes");
        return Err(Fault::new(message, "correct it in the policy"));
    }
    Ok(statement)
}

fn value(subject: &SubjectId) -> Value {
    match subject {
        SubjectId::Number(number) => Value::Integer(*number),
        SubjectId::Text(text) => Value::Text(text.clone()),
    }
}

/// What the database says may hold values, its number does not.
fn fault(error: &rusqlite::Error) -> Fault {
    let number = match error {
        rusqlite::Error::SqliteFailure(failure, _) => {
            format!("SQLite's error {}", failure.extended_code)
        }
        _ => "SQLite could not do it".to_owned(),
    };
    Fault::new(
        format!("a statement fails for the subject: {number}"),
        "run the policy's statements by hand on a copy, and correct them",
    )
}

/// The first value of the first row; nothing if it is null.
fn first(
    statement: &mut Statement<'_>,
    values: &[(&str, &dyn ToSql)],
) -> rusqlite::Result<Option<SubjectId>> {
    let mut rows = statement.query(values)?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(match row.get_ref(0)? {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(SubjectId::Number(number)),
        ValueRef::Real(number) => Some(SubjectId::Text(number.to_string())),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            let text = String::from_utf8_lossy(bytes).into_owned();
            Some(SubjectId::Text(text))
        }
    })
}

impl Open for Database<'_> {
    fn finds(&mut self, subject: &SubjectId) -> Result<bool, Fault> {
        let found = first(&mut self.find, &[(SUBJECT, &value(subject))]);
        let found = found.map_err(|e| fault(&e))?;
        Ok(found.is_some_and(|value| is_true(&value.expose())))
    }

    fn erase(&mut self, subject: &SubjectId) -> Result<(), Fault> {
        let value = value(subject);
        for statement in &mut self.erase {
            // A statement may give rows; all of them are drawn, or it is not done.
            let done = statement
                .query(&[(SUBJECT, &value as &dyn ToSql)])
                .and_then(|mut rows| {
                    while rows.next()?.is_some() {}
                    Ok(())
                });
            done.map_err(|e| fault(&e))?;
        }
        Ok(())
    }

    fn someone(&mut self) -> Result<Option<SubjectId>, Fault> {
        let Some(statement) = &mut self.someone else {
            return Ok(None);
        };
        first(statement, &[]).map_err(|e| fault(&e))
    }

    fn commit(&mut self) -> Result<(), Fault> {
        let done = self.connection.execute_batch("COMMIT");
        done.map_err(|e| fault(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Statements<'static> = Statements {
        database: None,
        find: "SELECT count(*) FROM customers WHERE id = :subject",
        erase: &[],
        someone: Some("SELECT id FROM customers ORDER BY id LIMIT 1"),
    };

    fn connection() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        let sql = "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT); \
            INSERT INTO customers VALUES (17, 'anna'), (4711, 'ben'); BEGIN";
        connection.execute_batch(sql).unwrap();
        connection
    }

    #[test]
    fn a_subject_is_a_value_and_never_a_part_of_the_statement() {
        let connection = connection();
        let erase = ["DELETE FROM customers WHERE id = :subject".to_owned()];
        let said = Statements {
            erase: &erase,
            ..RULE
        };
        let mut database = Database::prepare(&connection, &said).unwrap();
        let evil = SubjectId::Text("0 OR 1=1".to_owned());
        database.erase(&evil).unwrap();
        assert!(database.finds(&SubjectId::Number(17)).unwrap());
        // As the column has it, a number in quotes is the number.
        database.erase(&SubjectId::Text("17".to_owned())).unwrap();
        assert!(!database.finds(&SubjectId::Number(17)).unwrap());
        assert_eq!(database.someone().unwrap(), Some(SubjectId::Number(4711)));
    }

    #[test]
    fn statements_that_are_about_nobody_are_refused_with_their_text() {
        let connection = connection();
        for sql in [
            "DELETE FROM customers",
            "DELETE FROM customers WHERE name = ':subject'",
            "DELETE FROM customers WHERE id = :subject AND name = ?",
            "DELETE FROM nothing WHERE id = :subject",
        ] {
            let fault = prepare(&connection, sql, 1).err().unwrap();
            assert!(fault.message.contains(sql), "{}", fault.message);
        }
    }

    #[test]
    fn what_fails_for_a_subject_does_not_say_whom() {
        let connection = connection();
        let trigger = "CREATE TRIGGER no BEFORE DELETE ON customers BEGIN SELECT RAISE(ABORT, 'anna stays'); END";
        connection.execute_batch(trigger).unwrap();
        let erase = ["DELETE FROM customers WHERE id = :subject".to_owned()];
        let said = Statements {
            erase: &erase,
            ..RULE
        };
        let mut database = Database::prepare(&connection, &said).unwrap();
        let fault = database.erase(&SubjectId::Number(17)).unwrap_err();
        assert!(fault.message.contains("SQLite's error"), "{fault:?}");
        assert!(
            !fault.message.contains("anna") && !fault.message.contains("17"),
            "{fault:?}"
        );
    }
}
