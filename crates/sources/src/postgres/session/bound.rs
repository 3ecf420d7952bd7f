//! Statements with a subject's identifier as their value, which the server is told apart from the statement.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo};
use sqlx::{
    Arguments as _, AssertSqlSafe, Either, Encode, Executor as _, Postgres, Row as _,
    SqlSafeStr as _, Statement as _, Type, TypeInfo as _,
};
use vouchsafe_model::SubjectId;

use super::{Session, connection, message};
use crate::erasing::{Fault, with_placeholders};

/// A statement that the server has understood, with the kind of value that it wants in each place.
pub(in crate::postgres) struct Bound {
    sql: String,
    kinds: Vec<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int2,
    Int4,
    Int8,
    Text,
    Uuid,
}

/// The number of the type in every server.
const UUID: Oid = Oid(2950);

struct Uuid([u8; 16]);

impl Type<Postgres> for Uuid {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(UUID)
    }
}

impl Encode<'_, Postgres> for Uuid {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }
}

impl Session {
    /// A statement with `:subject` in it, and the part of it that somebody wrote. There is no value yet, so what is
    /// wrong with it is said in full.
    pub(in crate::postgres) fn bind(&mut self, sql: &str, shown: &str) -> Result<Bound, Fault> {
        let (text, places) = with_placeholders(sql, false, |n| format!("${n}"));
        let bound = self.understood(text, shown)?;
        if places == 0 || bound.kinds.len() != places {
            let message =
                format!("`{shown}` has `:subject` within quotes only, or values of its own");
            return Err(Fault::new(message, "correct it in the policy"));
        }
        Ok(bound)
    }

    /// The same for one without a subject.
    pub(in crate::postgres) fn unbound(&mut self, sql: &str, shown: &str) -> Result<Bound, Fault> {
        let bound = self.understood(sql.to_owned(), shown)?;
        match bound.kinds.is_empty() {
            true => Ok(bound),
            false => Err(Fault::new(
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
            Fault::new(
                format!("`{shown}`: {}", message(&e)),
                "correct it in the policy; names are found as by the database's own users",
            )
        })?;
        let kinds = match prepared.parameters() {
            Some(Either::Left(types)) => types.iter().map(|t| kind(t, shown)).collect(),
            _ => Ok(Vec::new()),
        };
        Ok(Bound {
            sql: text,
            kinds: kinds?,
        })
    }

    /// The one value of a query, which is of type `text`; nothing if it is null.
    pub(in crate::postgres) fn ask(
        &mut self,
        bound: &Bound,
        subject: Option<&SubjectId>,
    ) -> Result<Option<String>, Fault> {
        let arguments = arguments(&bound.kinds, subject)?;
        let connection = connection(&mut self.connection, &self.shown).map_err(lost)?;
        let query = sqlx::query_with(AssertSqlSafe(bound.sql.as_str()), arguments);
        let rows = self.runtime.block_on(query.fetch_all(connection));
        let rows = rows.map_err(|e| fault(&e))?;
        match rows.first() {
            Some(row) => row.try_get(0).map_err(|e| fault(&e)),
            None => Ok(None),
        }
    }

    /// Runs a statement.
    pub(in crate::postgres) fn run(
        &mut self,
        bound: &Bound,
        subject: &SubjectId,
    ) -> Result<(), Fault> {
        let arguments = arguments(&bound.kinds, Some(subject))?;
        let connection = connection(&mut self.connection, &self.shown).map_err(lost)?;
        let query = sqlx::query_with(AssertSqlSafe(bound.sql.as_str()), arguments);
        let done = self.runtime.block_on(query.execute(connection));
        done.map(drop).map_err(|e| fault(&e))
    }

    /// Ends the transaction. What is only looked at then may speak of values.
    pub(in crate::postgres) fn commit(&mut self) -> Result<(), Fault> {
        let connection = connection(&mut self.connection, &self.shown).map_err(lost)?;
        let done = self
            .runtime
            .block_on(async { sqlx::raw_sql("COMMIT").execute(connection).await });
        done.map(drop).map_err(|e| fault(&e))
    }
}

fn lost(error: vouchsafe_capture::CaptureError) -> Fault {
    Fault::new(error.to_string(), "restore it again")
}

fn kind(wanted: &PgTypeInfo, sql: &str) -> Result<Kind, Fault> {
    Ok(match wanted.name() {
        "INT2" => Kind::Int2,
        "INT4" => Kind::Int4,
        "INT8" => Kind::Int8,
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "UNKNOWN" | "citext" => Kind::Text,
        "UUID" => Kind::Uuid,
        other => {
            let message = format!("`{sql}` compares `:subject` with a value of type {other}");
            let remedy = format!("write `:subject::text::{}`", other.to_lowercase());
            return Err(Fault::new(message, remedy));
        }
    })
}

fn arguments(kinds: &[Kind], subject: Option<&SubjectId>) -> Result<PgArguments, Fault> {
    let mut out = PgArguments::default();
    let Some(subject) = subject else {
        return Ok(out);
    };
    for kind in kinds {
        let added = match kind {
            Kind::Text => out.add(subject.expose()),
            Kind::Uuid => out
                .add(Uuid(as_uuid(&subject.expose()).ok_or_else(|| {
                    wrong("it is compared with a UUID, and it is none")
                })?)),
            Kind::Int8 => out.add(as_number::<i64>(subject)?),
            Kind::Int4 => out.add(as_number::<i32>(subject)?),
            Kind::Int2 => out.add(as_number::<i16>(subject)?),
        };
        added.map_err(|_| wrong("it cannot be handed over"))?;
    }
    Ok(out)
}

fn wrong(message: &str) -> Fault {
    Fault::new(
        message,
        "write it as the database has it, or say by `systems` in its line where it belongs",
    )
}

fn as_number<N: TryFrom<i64>>(subject: &SubjectId) -> Result<N, Fault> {
    let number = match subject {
        SubjectId::Number(number) => Some(*number),
        SubjectId::Text(text) => text.parse().ok(),
    };
    number
        .and_then(|number| N::try_from(number).ok())
        .ok_or_else(|| wrong("it is compared with a whole number, and it is none or too large"))
}

fn as_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let bytes = hex::decode(digits).ok()?;
    bytes.try_into().ok()
}

/// What a server says of a statement may hold values; its code and the names of the schema do not.
fn fault(error: &sqlx::Error) -> Fault {
    let sqlx::Error::Database(said) = error else {
        return Fault::new(
            "the connection to the server failed meanwhile",
            "see its log, and restore it again",
        );
    };
    let mut message = "a statement fails for the subject".to_owned();
    if let Some(code) = said.code() {
        message.push_str(&format!(": SQLSTATE {code}"));
    }
    if let Some(constraint) = said.constraint() {
        message.push_str(&format!(", constraint {constraint}"));
    }
    if let Some(table) = said.table() {
        message.push_str(&format!(", table {table}"));
    }
    Fault::new(
        message,
        "run the policy's statements by hand on a copy, and correct them: what refers to a subject goes first",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_what_the_statement_wants_or_nothing() {
        let text = |text: &str| SubjectId::Text(text.to_owned());
        assert_eq!(as_number::<i32>(&SubjectId::Number(7)).unwrap(), 7);
        assert_eq!(as_number::<i64>(&text("4711")).unwrap(), 4711);
        for bad in ["", "4711 OR 1=1", "1.5", "99999999999"] {
            let fault = as_number::<i32>(&text(bad)).unwrap_err();
            assert!(!fault.message.contains("4711"), "{fault:?}");
        }
        let uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
        assert_eq!(as_uuid(uuid).unwrap()[..2], [0x6b, 0xa7]);
        assert_eq!(as_uuid("6ba7"), None);
    }
}
