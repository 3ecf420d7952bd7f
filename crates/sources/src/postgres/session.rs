//! Our own connection to a server: statements, snapshots, rows as text.

mod bound;

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row, ValueRef};
use tokio::runtime::{Builder, Runtime};
use vouchsafe_capture::CaptureError;
use vouchsafe_model::Secret;

use super::address::Address;

pub(super) use bound::Bound;

/// One connection. Dropping it ends what it had begun.
pub(super) struct Session {
    runtime: Runtime,
    connection: Option<PgConnection>,
    shown: String,
    /// How long an answer may take; nothing where a statement may take as long as it takes.
    patience: Option<Duration>,
}

/// How long a server may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a value looks like as text depends on these; and nothing may end a long transaction while we read.
const SETTINGS: &str = "SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; \
    SET extra_float_digits = 3; SET bytea_output = 'hex'; SET client_encoding = 'UTF8'; SET xmloption = 'content'; \
    SET lc_monetary = 'C'; SET lc_numeric = 'C'; SET lc_time = 'C'; SET search_path = ''; \
    SET standard_conforming_strings = on; SET array_nulls = on; SET row_security = off; SET quote_all_identifiers = off; \
    SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0";

impl Session {
    /// Connects and fixes how values are written.
    pub(super) fn open(
        address: &Address,
        password: Option<&Secret>,
    ) -> Result<Session, CaptureError> {
        let shown = address.shown();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| CaptureError::io("start the connection to", shown.clone(), e))?;
        let mut options = address.options();
        if let Some(password) = password {
            let text = std::str::from_utf8(password.expose())
                .map_err(|_| unreadable(&shown, "the password is not UTF-8", "set another one"))?;
            options = options.password(text);
        }
        let connected =
            runtime.block_on(async { tokio::time::timeout(PATIENCE, options.connect()).await });
        let connection = match connected {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(refused(address, &error)),
            Err(_) => {
                let message = format!("it did not answer within {} s", PATIENCE.as_secs());
                return Err(unreadable(
                    &shown,
                    message,
                    "see that host and port are right and that no firewall is in between",
                ));
            }
        };
        let mut session = Session {
            runtime,
            connection: Some(connection),
            shown,
            patience: None,
        };
        session.execute(SETTINGS)?;
        Ok(session)
    }

    /// The same, but what is not answered within this time is an error, after which the connection is of no use.
    pub(super) fn patient_for(mut self, patience: Duration) -> Session {
        self.patience = Some(patience);
        self
    }

    /// Runs statements that give no rows.
    pub(super) fn execute(&mut self, sql: &str) -> Result<(), CaptureError> {
        let connection = connection(&mut self.connection, &self.shown)?;
        self.runtime
            .block_on(async { sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await })
            .map(drop)
            .map_err(|e| failed(&self.shown, &e))
    }

    /// Rows whose columns are all of type `text`, or null.
    pub(super) fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, CaptureError> {
        let (shown, patience) = (&self.shown, self.patience);
        let connection = connection(&mut self.connection, shown)?;
        let answer = self.runtime.block_on(async {
            let asked = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection);
            match patience {
                Some(patience) => tokio::time::timeout(patience, asked).await,
                None => Ok(asked.await),
            }
        });
        let answer = answer.map_err(|_| {
            let message = "it does not answer any more";
            unreadable(
                shown,
                message,
                "see whether the server or the network hangs",
            )
        })?;
        let rows = answer.map_err(|e| failed(shown, &e))?;
        rows.iter()
            .map(|row| {
                (0..row.len())
                    .map(|at| row.try_get::<Option<String>, _>(at))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|e| failed(shown, &e))
            })
            .collect()
    }

    /// The one text of a query that gives one row with one column that is not null.
    pub(super) fn text(&mut self, sql: &str) -> Result<String, CaptureError> {
        let rows = self.rows(sql)?;
        let only = rows
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next());
        only.flatten()
            .ok_or_else(|| unreadable(&self.shown, "it gave no answer to a query", "see its log"))
    }

    /// The one value of a query that somebody else wrote, as text; nothing if it is null or there is no row.
    ///
    /// It finds names as the database's own users do, from here on in this session.
    pub(super) fn answer(&mut self, sql: &str) -> Result<Option<String>, CaptureError> {
        self.execute("RESET search_path")?;
        let shown = &self.shown;
        let connection = connection(&mut self.connection, shown)?;
        let rows = self
            .runtime
            .block_on(async {
                sqlx::raw_sql(AssertSqlSafe(sql))
                    .fetch_all(connection)
                    .await
            })
            .map_err(|e| failed(shown, &e))?;
        match rows.as_slice() {
            [] => Ok(None),
            [row] if row.len() == 1 => {
                let value = row.try_get_raw(0).map_err(|e| failed(shown, &e))?;
                if value.is_null() {
                    return Ok(None);
                }
                let text = value
                    .as_str()
                    .map_err(|e| unreadable(shown, e.to_string(), "cast the value to boolean"))?;
                Ok(Some(text.to_owned()))
            }
            _ => Err(unreadable(
                shown,
                "the query gives more than one value",
                "write one that gives one",
            )),
        }
    }

    /// Hands `take` what `COPY … TO STDOUT` writes, in pieces that end anywhere.
    pub(super) fn copy_out(
        &mut self,
        sql: &str,
        take: &mut dyn FnMut(&[u8]) -> Result<(), CaptureError>,
    ) -> Result<(), CaptureError> {
        let shown = &self.shown;
        let connection = connection(&mut self.connection, shown)?;
        self.runtime.block_on(async {
            let stream = connection.copy_out_raw(sql).await;
            let mut stream = stream.map_err(|e| failed(shown, &e))?;
            while let Some(piece) = stream.try_next().await.map_err(|e| failed(shown, &e))? {
                take(&piece)?;
            }
            Ok(())
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // A server that does not answer is left to notice by itself.
            let _ = self.runtime.block_on(async {
                tokio::time::timeout(Duration::from_secs(2), connection.close()).await
            });
        }
    }
}

fn connection<'c>(
    connection: &'c mut Option<PgConnection>,
    shown: &str,
) -> Result<&'c mut PgConnection, CaptureError> {
    connection
        .as_mut()
        .ok_or_else(|| unreadable(shown, "the connection is closed", "run it again"))
}

/// An error for a server that cannot be read.
pub(super) fn unreadable(
    shown: &str,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> CaptureError {
    CaptureError::Unreadable {
        place: shown.to_owned(),
        message: message.into(),
        remedy: remedy.into(),
    }
}

/// What the server said to a statement.
fn failed(shown: &str, error: &sqlx::Error) -> CaptureError {
    let remedy = match code(error).as_deref() {
        Some("42501") => {
            "grant the user pg_read_all_data (PostgreSQL 14 and later), or SELECT on everything"
        }
        Some("57P01" | "57P02" | "57P03") => {
            "the server is going down or coming up; run it again when it is there"
        }
        Some("53300") => {
            "the server has no connection left; raise max_connections, or the user's connection limit"
        }
        Some("55P03") => "somebody holds a lock on it; run it again later",
        _ => "see the server's log",
    };
    unreadable(shown, message(error), remedy)
}

/// Why there is no connection.
fn refused(address: &Address, error: &sqlx::Error) -> CaptureError {
    let shown = address.shown();
    let remedy = match code(error).as_deref() {
        Some("28P01" | "28000") => {
            "see that `password:` in the policy is this user's, and that pg_hba.conf lets the user in from here".to_owned()
        }
        Some("3D000") => "see that the database's name is right".to_owned(),
        Some("53300") => {
            "the server has no connection left; raise max_connections, or the user's connection limit".to_owned()
        }
        Some("57P03") => "the server is starting or stopping; try again when it is up".to_owned(),
        Some(_) => "see the server's log".to_owned(),
        None if is_about_tls(error) => format!(
            "TLS is {}; name the authority's file in the URL by ?sslrootcert=PATH, or lower it by ?sslmode=…, which is a finding",
            address.tls.word()
        ),
        None => "see that the server runs, and that host and port are right".to_owned(),
    };
    unreadable(&shown, message(error), remedy)
}

/// Errors of TLS come as themselves or wrapped in errors of the connection.
fn is_about_tls(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Tls(_)) || message(error).contains("certificate")
}

fn code(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Database(database) => database.code().map(|code| code.into_owned()),
        _ => None,
    }
}

fn message(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => database.message().to_owned(),
        sqlx::Error::Io(io) => io.to_string(),
        other => other.to_string(),
    }
}

/// A name as SQL wants it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL wants it.
pub(super) fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_break_out() {
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("o'clock"), "'o''clock'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
    }
}
