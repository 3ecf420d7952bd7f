//! The two databases behind one blocking door.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{
    AssertSqlSafe, ColumnIndex, ConnectOptions, Connection, Decode, Encode, PgConnection, Row,
    SqliteConnection, Type, TypeInfo, ValueRef,
};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::LedgerError;
use crate::schema::{Dialect, POSTGRES, SQLITE};

/// How long a writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(60);

/// What goes into a statement and comes out of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// One connection, used by one caller at a time.
pub(crate) trait Database: Send {
    fn dialect(&self) -> &'static Dialect;
    /// Runs a statement; says how many rows it touched.
    fn run(&mut self, sql: &str, args: &[Value]) -> Result<u64, sqlx::Error>;
    /// Runs a query.
    fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Vec<Value>>, sqlx::Error>;
}

/// Connects. A SQLite file is made only if `create` is set.
pub(crate) fn connect(url: &str, create: bool) -> Result<Box<dyn Database>, LedgerError> {
    // Blocking inside a runtime would panic in the runtime's own code.
    if Handle::try_current().is_ok() {
        return Err(LedgerError::InsideRuntime);
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(LedgerError::Runtime)?;
    let failed = |source| LedgerError::Database {
        place: place(url),
        doing: "connect",
        source,
    };
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.starts_with("file:") {
            return Err(LedgerError::Url { place: place(url) });
        }
        let connection = open_sqlite(&runtime, path, create).map_err(failed)?;
        Ok(Box::new(Sqlite {
            runtime,
            connection: Some(connection),
        }))
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let connection = open_postgres(&runtime, url).map_err(failed)?;
        Ok(Box::new(Postgres {
            runtime,
            connection: Some(connection),
        }))
    } else {
        Err(LedgerError::Url { place: place(url) })
    }
}

/// The URL without password and parameters, for messages.
pub(crate) fn place(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = bare.split_once("://") else {
        return bare.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}")
        }
        None => bare.to_owned(),
    }
}

struct Sqlite {
    connection: Option<SqliteConnection>,
    runtime: Runtime,
}

struct Postgres {
    connection: Option<PgConnection>,
    runtime: Runtime,
}

fn open_sqlite(
    runtime: &Runtime,
    path: &str,
    create: bool,
) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(create)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(PATIENCE)
        .disable_statement_logging();
    runtime.block_on(connect_patiently(&options))
}

/// Connects, however long others need to do so. SQLite's own patience ends where two connections turn the same new file
/// into one with a write-ahead log: one of them is refused at once.
async fn connect_patiently(
    options: &SqliteConnectOptions,
) -> Result<SqliteConnection, sqlx::Error> {
    const PAUSE: Duration = Duration::from_millis(20);
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        match options.connect().await {
            Err(error) if is_busy(&error) => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
    options.connect().await
}

/// Whether it is SQLITE_BUSY or one of its kinds, whose numbers end with that byte.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    let number = code.and_then(|code| code.parse::<i32>().ok());
    number.is_some_and(|number| number & 0xff == 5)
}

fn open_postgres(runtime: &Runtime, url: &str) -> Result<PgConnection, sqlx::Error> {
    let options = url
        .parse::<PgConnectOptions>()?
        .application_name("vouchsafe")
        .disable_statement_logging();
    runtime.block_on(async {
        let mut connection = options.connect().await?;
        // A server or role may be set up to acknowledge before it has written.
        sqlx::query("SET synchronous_commit = on")
            .execute(&mut connection)
            .await?;
        let wait = format!("SET lock_timeout = {}", PATIENCE.as_millis());
        sqlx::query(AssertSqlSafe(wait))
            .execute(&mut connection)
            .await?;
        Ok(connection)
    })
}

/// A statement with its arguments.
fn bound<'q, DB>(sql: &str, args: &'q [Value]) -> Query<'q, DB, DB::Arguments>
where
    DB: sqlx::Database,
    Option<i64>: Encode<'q, DB> + Type<DB>,
    i64: Encode<'q, DB> + Type<DB>,
    &'q str: Encode<'q, DB> + Type<DB>,
    &'q [u8]: Encode<'q, DB> + Type<DB>,
{
    let query = sqlx::query(AssertSqlSafe(sql));
    args.iter().fold(query, |query, arg| match arg {
        Value::Null => query.bind(None::<i64>),
        Value::Int(int) => query.bind(*int),
        Value::Text(text) => query.bind(text.as_str()),
        Value::Bytes(bytes) => query.bind(bytes.as_slice()),
    })
}

fn values<'r, R>(row: &'r R) -> Result<Vec<Value>, sqlx::Error>
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
{
    let value = |column: usize| {
        let raw = row.try_get_raw(column)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        match raw.type_info().name() {
            "INTEGER" | "INT8" => row.try_get(column).map(Value::Int),
            "BLOB" | "BYTEA" => row.try_get(column).map(Value::Bytes),
            _ => row.try_get(column).map(Value::Text),
        }
    };
    (0..row.len()).map(value).collect()
}

/// The same few lines for each driver, whose connections have no common ancestor.
macro_rules! database {
    ($name:ident, $dialect:expr) => {
        impl Database for $name {
            fn dialect(&self) -> &'static Dialect {
                &$dialect
            }

            fn run(&mut self, sql: &str, args: &[Value]) -> Result<u64, sqlx::Error> {
                let connection = self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)?;
                let done = self
                    .runtime
                    .block_on(bound(sql, args).execute(connection))?;
                Ok(done.rows_affected())
            }

            fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Vec<Value>>, sqlx::Error> {
                let connection = self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)?;
                let rows = self
                    .runtime
                    .block_on(bound(sql, args).fetch_all(connection))?;
                rows.iter().map(values).collect()
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // Waits until the file or socket is really closed; what was committed is safe either way.
                if let (Some(connection), Err(_)) = (self.connection.take(), Handle::try_current())
                {
                    let _ = self.runtime.block_on(connection.close());
                }
            }
        }
    };
}

database!(Sqlite, SQLITE);
database!(Postgres, POSTGRES);

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of them turns the new file into one with a write-ahead log.
    #[test]
    fn many_may_open_a_new_file_at_once() {
        for _ in 0..200 {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", folder.path().join("ledger.db").display());
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| connect(&url, true).map(drop).unwrap());
                }
            });
        }
    }
}
