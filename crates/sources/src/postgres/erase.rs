//! Erasing subjects in a restored database, in a server of its own or in one that runs.

use vouchsafe_capture::{CaptureContext, CaptureError, Erased, Erasing, Form, RestoreRequest};
use vouchsafe_model::SubjectId;

use super::session::{Bound, Session};
use crate::checks::is_true;
use crate::erasing::{self, Fault, Open, Statements, statements};

/// Whether a restore makes a database that answers.
pub(super) fn answers(request: &RestoreRequest) -> bool {
    request.form == Form::Server || running(request).is_some()
}

/// The part of a target that follows its scheme, if it is a server that runs.
pub(super) fn running(request: &RestoreRequest) -> Option<&str> {
    let to = request.to.to_str()?;
    to.strip_prefix("postgres:")
        .or(to.strip_prefix("postgresql:"))
}

/// Erases everybody in one transaction, and looks for each.
pub(super) fn erase(
    ctx: &CaptureContext<'_>,
    erasing: &Erasing<'_>,
    place: &str,
    session: Session,
) -> Result<Erased, CaptureError> {
    let said = statements(erasing, place)?;
    let mut open = Database::prepare(session, &said).map_err(|e| e.at(place))?;
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
    fn prepare(mut session: Session, said: &Statements<'_>) -> Result<Database, Fault> {
        let begin = |session: &mut Session, sql: &str| {
            let done = session.execute(sql);
            done.map_err(|e| Fault::new(e.to_string(), "restore it again"))
        };
        // Names are found as the database's own users find them.
        begin(&mut session, "RESET search_path")?;
        let as_text = |sql: &str| format!("SELECT (\n{sql}\n)::text");
        let find = session.bind(&as_text(said.find), said.find)?;
        let erase = said.erase.iter().map(|sql| session.bind(sql, sql));
        let erase = erase.collect::<Result<_, _>>()?;
        let someone = said.someone.map(|sql| session.unbound(&as_text(sql), sql));
        let someone = someone.transpose()?;
        begin(&mut session, "BEGIN")?;
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
