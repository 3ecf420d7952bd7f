//! Our own connection to a server: statements, snapshots, rows as the server writes them.

mod bound;

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::mysql::{MySqlConnectOptions, MySqlRow, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, MySqlConnection, Row as _};
use tokio::runtime::{Builder, Runtime};
use vouchsafe_capture::CaptureError;
use vouchsafe_model::Secret;

use super::address::{Address, Tls};

pub(super) use bound::Bound;

/// One connection. Dropping it ends what it had begun.
pub(super) struct Session {
    runtime: Runtime,
    connection: Option<MySqlConnection>,
    shown: String,
    /// How long the server may take for an answer.
    patience: Option<Duration>,
    /// Whether the server is MariaDB.
    pub(super) is_maria: bool,
}

/// How long a server may take to accept a connection, and for each answer until it is settled.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a value looks like as text depends on these, and so do the names that a server takes. Results come as they are
/// stored, in whatever character set that is; nothing may end a long transaction while we read.
const SETTINGS: &str = "SET NAMES utf8mb4 COLLATE utf8mb4_bin; SET character_set_results = NULL; SET sql_mode = ''; \
    SET time_zone = '+00:00'; SET lc_time_names = 'en_US'; SET div_precision_increment = 4; SET sql_auto_is_null = 0; \
    SET sql_safe_updates = 0; SET sql_select_limit = DEFAULT; SET sql_big_selects = 1; SET sql_quote_show_create = 1; \
    SET group_concat_max_len = 4294967295; SET wait_timeout = 604800; SET net_write_timeout = 86400; \
    SET net_read_timeout = 86400; SET lock_wait_timeout = 60; \
    SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
const SETTINGS_MARIA: &str =
    "SET old_mode = ''; SET max_statement_time = 0; SET note_verbosity = ''";
const SETTINGS_MYSQL: &str = "SET max_execution_time = 0; SET information_schema_stats_expiry = 0; SET print_identified_with_as_hex = 1";

/// The values of a row as the server writes them; what is null has none.
pub(super) type Row<'r> = &'r [Option<&'r [u8]>];

/// A row as text; what is null has none.
pub(super) type Texts = Vec<Option<String>>;

impl Session {
    /// Connects and fixes how values are written. A server that hangs meanwhile is an error.
    pub(super) fn open(
        address: &Address,
        password: Option<&Secret>,
    ) -> Result<Session, CaptureError> {
        let mut session = Session::connect(address, password, PATIENCE)?;
        session.settle()?;
        session.patience = None;
        Ok(session)
    }

    fn connect(
        address: &Address,
        password: Option<&Secret>,
        patience: Duration,
    ) -> Result<Session, CaptureError> {
        let shown = address.shown();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| CaptureError::io("start the connection to", shown.clone(), e))?;
        let mut options = address.options();
        let password = password.filter(|password| !password.expose().is_empty());
        if let Some(password) = password {
            let text = std::str::from_utf8(password.expose())
                .map_err(|_| unreadable(&shown, "the password is not UTF-8", "set another one"))?;
            options = options.password(text);
        }
        let connect = |options: &MySqlConnectOptions| {
            runtime.block_on(async { tokio::time::timeout(patience, options.connect()).await })
        };
        let mut connected = connect(&options);
        // Until MySQL has seen a password of `caching_sha2_password` once it wants it as it is, which is only sent over
        // TLS. Within the machine that need not show who answers.
        if let Ok(Err(error)) = &connected
            && address.tls == Tls::Disabled
            && address.is_this_machine()
            && password.is_some()
            && wants_the_password(error)
            && let Ok(Ok(connection)) = connect(&options.ssl_mode(MySqlSslMode::Required))
        {
            connected = Ok(Ok(connection));
        }
        let connection = match connected {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(refused(address, &error)),
            Err(_) => {
                let message = format!("it did not answer within {} s", patience.as_secs());
                return Err(unreadable(
                    &shown,
                    message,
                    "see that host and port are right and that no firewall is in between",
                ));
            }
        };
        Ok(Session {
            runtime,
            connection: Some(connection),
            shown,
            patience: Some(patience),
            is_maria: false,
        })
    }

    fn settle(&mut self) -> Result<(), CaptureError> {
        self.execute(SETTINGS)?;
        self.is_maria = self.text("SELECT VERSION()")?.contains("MariaDB");
        let more = if self.is_maria {
            SETTINGS_MARIA
        } else {
            SETTINGS_MYSQL
        };
        for setting in more.split("; ") {
            // Not every version has every one of them.
            let _ = self.execute(setting);
        }
        Ok(())
    }

    /// The same, but what is not answered within this time is an error, after which the connection is closed. Of rows
    /// each may take so long.
    pub(super) fn patient_for(mut self, patience: Duration) -> Session {
        self.patience = Some(patience);
        self
    }

    /// Runs statements that give no rows.
    pub(super) fn execute(&mut self, sql: &str) -> Result<(), CaptureError> {
        let (shown, patience) = (&self.shown, self.patience);
        let connection = connection(&mut self.connection, shown)?;
        let done = self.runtime.block_on(async {
            let asked = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection);
            within(patience, asked).await
        });
        match done {
            Some(done) => done.map(drop).map_err(|e| failed(shown, &e)),
            None => Err(self.fell_silent()),
        }
    }

    /// Hands `take` each row.
    pub(super) fn each(
        &mut self,
        sql: &str,
        take: &mut dyn FnMut(Row<'_>) -> Result<(), CaptureError>,
    ) -> Result<(), CaptureError> {
        let (shown, patience) = (&self.shown, self.patience);
        let connection = connection(&mut self.connection, shown)?;
        let done = self.runtime.block_on(async {
            let mut rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(connection);
            loop {
                let Some(next) = within(patience, rows.try_next()).await else {
                    return Ok(None);
                };
                let Some(row) = next.map_err(|e| failed(shown, &e))? else {
                    return Ok(Some(()));
                };
                take(&values(&row).map_err(|e| failed(shown, &e))?)?;
            }
        });
        done?.ok_or_else(|| self.fell_silent())
    }

    /// Whatever it still says would be taken for the answer to something else.
    fn fell_silent(&mut self) -> CaptureError {
        self.connection = None;
        silent(&self.shown)
    }

    /// All rows as text.
    pub(super) fn rows(&mut self, sql: &str) -> Result<Vec<Texts>, CaptureError> {
        let mut out = Vec::new();
        self.each(sql, &mut |row| {
            let text = |value: &Option<&[u8]>| value.map(|v| String::from_utf8_lossy(v).into());
            out.push(row.iter().map(text).collect());
            Ok(())
        })?;
        Ok(out)
    }

    /// The one text of a query that gives one row with one column that is not null.
    pub(super) fn text(&mut self, sql: &str) -> Result<String, CaptureError> {
        self.optional(sql)?
            .ok_or_else(|| unreadable(&self.shown, "it gave no answer to a query", "see its log"))
    }

    /// The first text of a query's first row; nothing if it is null or there is no row.
    pub(super) fn optional(&mut self, sql: &str) -> Result<Option<String>, CaptureError> {
        let first = self.rows(sql)?.into_iter().next();
        Ok(first.and_then(|row| row.into_iter().next()).flatten())
    }

    /// A status variable of this session, or one of the server's; nothing if there is none of this name.
    pub(super) fn status(&mut self, name: &str) -> Result<Option<String>, CaptureError> {
        let rows = self.rows(&format!("SHOW STATUS LIKE {}", literal(name)))?;
        Ok(rows
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().nth(1))
            .flatten())
    }

    /// A setting; nothing if this server does not have it.
    pub(super) fn setting(&mut self, name: &str) -> Result<Option<String>, CaptureError> {
        let rows = self.rows(&format!("SHOW VARIABLES LIKE {}", literal(name)))?;
        Ok(rows
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().nth(1))
            .flatten())
    }

    /// The one value of a query that somebody else wrote, as text; nothing if it is null or there is no row.
    pub(super) fn answer(&mut self, sql: &str) -> Result<Option<String>, CaptureError> {
        let rows = self.rows(sql)?;
        match rows.as_slice() {
            [] => Ok(None),
            [row] => match row.as_slice() {
                [value] => Ok(value.clone()),
                _ => Err(self.more_than_one()),
            },
            _ => Err(self.more_than_one()),
        }
    }

    fn more_than_one(&self) -> CaptureError {
        unreadable(
            &self.shown,
            "the query gives more than one value",
            "write one that gives one",
        )
    }
}

/// The values of a row, whatever their types.
fn values(row: &MySqlRow) -> Result<Vec<Option<&[u8]>>, sqlx::Error> {
    (0..row.len())
        .map(|at| row.try_get_unchecked::<Option<&[u8]>, _>(at))
        .collect()
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
    connection: &'c mut Option<MySqlConnection>,
    shown: &str,
) -> Result<&'c mut MySqlConnection, CaptureError> {
    connection.as_mut().ok_or_else(|| silent(shown))
}

fn silent(shown: &str) -> CaptureError {
    let message = "it does not answer any more";
    unreadable(
        shown,
        message,
        "see whether the server or the network hangs",
    )
}

/// What comes of it within this time.
async fn within<T>(patience: Option<Duration>, asked: impl Future<Output = T>) -> Option<T> {
    match patience {
        Some(patience) => tokio::time::timeout(patience, asked).await.ok(),
        None => Some(asked.await),
    }
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
    let remedy = match number(error) {
        Some(1044 | 1045 | 1142 | 1143 | 1227 | 1370) => {
            "grant the user what the guide to databases lists under rights"
        }
        Some(1205) => "somebody holds a lock on it; run it again later",
        Some(1412) => "a table was altered meanwhile; run it again",
        Some(1040 | 1203 | 1226) => {
            "the server has no connection left; raise max_connections, or the user's limit"
        }
        Some(1053) => "the server is going down; run it again when it is there",
        _ => "see the server's log",
    };
    unreadable(shown, message(error), remedy)
}

/// Why there is no connection.
fn refused(address: &Address, error: &sqlx::Error) -> CaptureError {
    let shown = address.shown();
    let said = message(error);
    let remedy = match number(error) {
        Some(1044 | 1045 | 1698) => {
            "see that `password:` in the policy is this user's, and that the account may come from this host".to_owned()
        }
        Some(1040 | 1203 | 1226) => {
            "the server has no connection left; raise max_connections, or the user's limit".to_owned()
        }
        Some(1130) => "make an account for this user that may come from this host".to_owned(),
        Some(_) => "see the server's log".to_owned(),
        None if is_about_tls(error) => format!(
            "TLS is {}; name the authority's file in the URL by ?ssl-ca=PATH, or lower it by ?ssl-mode=…, which is a finding",
            address.tls.word()
        ),
        None if said.contains("authentication plugin") => {
            "give the account the plugin mysql_native_password or caching_sha2_password".to_owned()
        }
        None if said.contains("RSA") || said.contains("rsa") => {
            "this password is only sent over TLS: write ?ssl-mode=VERIFY_IDENTITY".to_owned()
        }
        None => "see that the server runs, and that host and port are right".to_owned(),
    };
    unreadable(&shown, said, remedy)
}

/// What is said where a password is to be sent as it is over a plain connection.
fn wants_the_password(error: &sqlx::Error) -> bool {
    number(error) == Some(1045) || message(error).contains("RSA")
}

/// Errors of TLS come as themselves or wrapped in errors of the connection.
fn is_about_tls(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Tls(_)) || message(error).contains("certificate")
}

fn number(error: &sqlx::Error) -> Option<u16> {
    match error {
        sqlx::Error::Database(database) => database
            .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
            .map(|error| error.number()),
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
    format!("`{}`", name.replace('`', "``"))
}

/// A text as SQL wants it, with backslashes escaped as our sessions have it.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn names_and_texts_cannot_break_out() {
        assert_eq!(quoted("a`b"), "`a``b`");
        assert_eq!(literal("o'clock"), "'o''clock'");
        assert_eq!(literal("a\\'b"), "'a\\\\''b'");
    }

    /// Says nothing any more after so many packets, and after some seconds nothing ever.
    fn falls_silent_after(packets: usize) -> Address {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let patience = Some(Duration::from_secs(10));
            stream.set_read_timeout(patience).unwrap();
            let mut greeting = b"\x0a10.11.6-MariaDB\0\x01\0\0\0saltsalt\0".to_vec();
            // Protocol 4.1, secure, with plugins; utf8mb4.
            greeting.extend(b"\x00\x82\x2d\x02\0\x08\0\x15");
            greeting.extend(b"\0\0\0\0\0\0\0\0\0\0saltsaltsalt\0mysql_native_password\0");
            let mut header = [u8::try_from(greeting.len()).unwrap(), 0, 0, 0];
            stream.write_all(&header).unwrap();
            stream.write_all(&greeting).unwrap();
            for packet in 0.. {
                if stream.read_exact(&mut header).is_err() {
                    return;
                }
                let [low, high, _, number] = header;
                let mut body = vec![0; usize::from(u16::from_le_bytes([low, high]))];
                stream.read_exact(&mut body).unwrap();
                if packet < packets {
                    let done = [7, 0, 0, number + 1, 0, 0, 0, 2, 0, 0, 0];
                    stream.write_all(&done).unwrap();
                }
            }
        });
        Address::parse(&format!("//root@127.0.0.1:{port}")).unwrap()
    }

    #[test]
    fn a_server_that_falls_silent_is_an_error_wherever_it_does() {
        type Ask = fn(&mut Session) -> Result<(), CaptureError>;
        let patience = Duration::from_secs(1);
        let open = |packets| Session::connect(&falls_silent_after(packets), None, patience);
        let said = open(0).err().unwrap().to_string();
        assert!(said.contains("did not answer within 1 s"), "{said}");

        let asks: [Ask; 3] = [
            |session| session.settle(),
            |session| session.execute("DO 1"),
            |session| session.rows("SELECT 1").map(drop),
        ];
        let enough = (1..9).find(|packets| open(*packets).is_ok()).unwrap();
        for ask in asks {
            let mut session = open(enough).unwrap();
            for _ in 0..2 {
                let said = ask(&mut session).unwrap_err().to_string();
                assert!(said.contains("does not answer"), "{said}");
            }
        }
    }
}
