//! Erasing subjects in a restored database, in a server of its own or in one that runs.

use vouchsafe_capture::{CaptureContext, CaptureError, Erased, Erasing, Form, RestoreRequest};
use vouchsafe_model::SubjectId;

use super::restore::running;
use super::session::{Bound, Session, quoted};
use crate::checks::is_true;
use crate::erasing::{self, Fault, Open, Statements, statements};

/// Whether a restore makes a database that answers.
pub(super) fn answers(request: &RestoreRequest) -> bool {
    request.form == Form::Server || running(&request.to).is_some()
}

/// Erases everybody in one transaction of `database`, and looks for each. Of tables without transactions each statement
/// stays done.
pub(super) fn erase(
    ctx: &CaptureContext<'_>,
    erasing: &Erasing<'_>,
    place: &str,
    (session, database): (Session, &str),
) -> Result<Erased, CaptureError> {
    let said = statements(erasing, place)?;
    let mut open = Database::prepare(session, &said, database).map_err(|e| e.at(place))?;
    erasing::erase(ctx, erasing, place, &mut open)
}

/// A database with a transaction that is open.
struct Database {
    session: Session,
    find: Bound,
    erase: Vec<Bound>,
    someone: Option<Bound>,
}

impl Database {
    fn prepare(
        mut session: Session,
        said: &Statements<'_>,
        database: &str,
    ) -> Result<Database, Fault> {
        let begin = |session: &mut Session, sql: &str| {
            let done = session.execute(sql);
            done.map_err(|e| Fault::new(e.to_string(), "see `erasure` in the policy"))
        };
        begin(&mut session, &format!("USE {}", quoted(database)))?;
        // What would be compared loosely is an error, where the server can tell.
        begin(&mut session, "SET sql_mode = 'STRICT_ALL_TABLES'")?;
        let as_text = |sql: &str| format!("SELECT CAST((\n{sql}\n) AS CHAR)");
        let find = session.bind(&as_text(said.find), said.find)?;
        let erase = said.erase.iter().map(|sql| session.bind(sql, sql));
        let erase = erase.collect::<Result<_, _>>()?;
        let someone = said.someone.map(|sql| session.unbound(&as_text(sql), sql));
        let someone = someone.transpose()?;
        begin(&mut session, "START TRANSACTION")?;
        Ok(Database {
            session,
            find,
            erase,
            someone,
        })
    }
}

impl Open for Database {
    fn finds(&mut self, subject: &SubjectId) -> Result<bool, Fault> {
        let found = self.session.ask(&self.find, Some(subject))?;
        Ok(found.is_some_and(|value| is_true(&value)))
    }

    fn erase(&mut self, subject: &SubjectId) -> Result<(), Fault> {
        let mut all = self.erase.iter();
        all.try_for_each(|statement| self.session.run(statement, subject))
    }

    fn someone(&mut self) -> Result<Option<SubjectId>, Fault> {
        let Some(someone) = &self.someone else {
            return Ok(None);
        };
        let found = self.session.ask(someone, None)?;
        Ok(found.map(SubjectId::Text))
    }

    fn commit(&mut self) -> Result<(), Fault> {
        self.session.commit()
    }
}
