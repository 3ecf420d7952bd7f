//! Statements with a subject's identifier as their value, which the server is told apart from the statement.

use sqlx::mysql::MySqlArguments;
use sqlx::{
    Arguments as _, AssertSqlSafe, Either, Executor as _, Row as _, SqlSafeStr as _, Statement as _,
};
use vouchsafe_capture::CaptureError;
use vouchsafe_model::SubjectId;

use super::{Session, connection, message, number};
use crate::erasing::{Fault, with_placeholders};

/// A statement that the server has understood.
pub(in crate::mysql) struct Bound {
    sql: String,
    places: usize,
}

/// A value that is no number was compared as if it were one.
const LOOSELY: u16 = 1292;

impl Session {
    /// A statement with `:subject` in it, and the part of it that somebody wrote. There is no value yet, so what is
    /// wrong with it is said in full.
    pub(in crate::mysql) fn bind(&mut self, sql: &str, shown: &str) -> Result<Bound, Fault> {
        let (text, places) = with_placeholders(sql, true, |_| "?".to_owned());
        let bound = self.understood(text, shown)?;
        if places == 0 || bound.places != places {
            let message =
                format!("`{shown}` has `:subject` within quotes only, or values of its own");
            return Err(Fault::new(message, "correct it in the policy"));
        }
        Ok(bound)
    }

    /// The same for one without a subject.
    pub(in crate::mysql) fn unbound(&mut self, sql: &str, shown: &str) -> Result<Bound, Fault> {
        let bound = self.understood(sql.to_owned(), shown)?;
        match bound.places {
            0 => Ok(bound),
            _ => Err(Fault::new(
                format!("`{shown}` wants a value"),
                "correct it in the policy",
            )),
        }
    }

    fn understood(&mut self, text: String, shown: &str) -> Result<Bound, Fault> {
        let connection = connection(&mut self.connection, &self.shown).map_err(lost)?;
        let asked = AssertSqlSafe(text.clone()).into_sql_str();
        let prepared = self.runtime.block_on(connection.prepare(asked));
        let prepared = prepared.map_err(|e| {
            let message = format!("`{shown}`: {}", message(&e));
            Fault::new(message, "correct it in the policy")
        })?;
        let places = match prepared.parameters() {
            Some(Either::Right(places)) => places,
            _ => 0,
        };
        Ok(Bound { sql: text, places })
    }

    /// The one value of a query, which is of type `CHAR`; nothing if it is null.
    pub(in crate::mysql) fn ask(
        &mut self,
        bound: &Bound,
        subject: Option<&SubjectId>,
    ) -> Result<Option<String>, Fault> {
        let arguments = arguments(bound, subject)?;
        let connection = connection(&mut self.connection, &self.shown).map_err(lost)?;
        let query = sqlx::query_with(AssertSqlSafe(bound.sql.as_str()), arguments);
        let rows = self.runtime.block_on(query.fetch_all(connection));
        let rows = rows.map_err(|e| fault(&e))?;
        self.compared_strictly()?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let value = row.try_get_unchecked::<Option<&[u8]>, _>(0);
        let value = value.map_err(|e| fault(&e))?;
        Ok(value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
    }

    /// Runs a statement.
    pub(in crate::mysql) fn run(
        &mut self,
        bound: &Bound,
        subject: &SubjectId,
    ) -> Result<(), Fault> {
        let arguments = arguments(bound, Some(subject))?;
        let connection = connection(&mut self.connection, &self.shown).map_err(lost)?;
        let query = sqlx::query_with(AssertSqlSafe(bound.sql.as_str()), arguments);
        let done = self.runtime.block_on(query.execute(connection));
        done.map_err(|e| fault(&e))?;
        self.compared_strictly()
    }

    /// Ends the transaction.
    pub(in crate::mysql) fn commit(&mut self) -> Result<(), Fault> {
        self.execute("COMMIT").map_err(lost)
    }

    /// These servers take 17 for the number that '17 OR 1=1' begins with, and 0 for 'anna'. Where that happened, who was
    /// found or erased may be somebody else.
    fn compared_strictly(&mut self) -> Result<(), Fault> {
        let said = self.rows("SHOW WARNINGS").map_err(lost)?;
        let code = LOOSELY.to_string();
        let loosely = said.iter().any(|row| {
            let number = row.get(1).and_then(Option::as_deref);
            number == Some(code.as_str())
        });
        match loosely {
            true => Err(loose()),
            false => Ok(()),
        }
    }
}

fn loose() -> Fault {
    Fault::new(
        "a text and a number were compared, which these servers do loosely, so that others might be meant",
        "write the identifier in its line as the column has it: a number without quotes, a text within them",
    )
}

/// Errors of our own statements hold no value.
fn lost(error: CaptureError) -> Fault {
    Fault::new(error.to_string(), "restore it again")
}

fn arguments(bound: &Bound, subject: Option<&SubjectId>) -> Result<MySqlArguments, Fault> {
    let mut out = MySqlArguments::default();
    let Some(subject) = subject else {
        return Ok(out);
    };
    for _ in 0..bound.places {
        let added = match subject {
            SubjectId::Number(number) => out.add(*number),
            SubjectId::Text(text) => out.add(text.clone()),
        };
        added.map_err(|_| {
            let remedy = "say by `systems` in its line where it belongs";
            Fault::new("it cannot be handed over", remedy)
        })?;
    }
    Ok(out)
}

/// What a server says of a statement may hold values; its number does not.
fn fault(error: &sqlx::Error) -> Fault {
    match number(error) {
        Some(LOOSELY) => loose(),
        Some(number) => Fault::new(
            format!("a statement fails for the subject: error {number} of the server"),
            "run the policy's statements by hand on a copy, and correct them: what refers to a subject goes first",
        ),
        None => Fault::new(
            "the connection to the server failed meanwhile",
            "see its log, and restore it again",
        ),
    }
}
