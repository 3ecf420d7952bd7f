//! What a server says of its binary log, and the table by which it is known again.

use vouchsafe_capture::CaptureError;
use vouchsafe_format::fragment::Position;
use vouchsafe_host::random::Random;
use vouchsafe_translog::token::{PREFIX, Token};

use super::super::programs::{self, Product, Series};
use super::super::session::{Session, literal, unreadable};
use super::{name_and_number, numbered};

/// A server and where its log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BinlogServer {
    pub(super) product: Product,
    pub(super) series: Series,
    /// It takes no heartbeat.
    pub(super) read_only: bool,
    /// The file that is written, and how long it is.
    pub(super) file: (String, u64),
    pub(super) offset: u64,
    /// The files that the server has, the oldest first, with their lengths.
    pub(super) files: Vec<(String, u64, u64)>,
}

/// The database and the table for tokens. Its row `server` holds the name by which the server is known again.
pub(in crate::mysql) const TABLE: &str = "vouchsafe.heartbeat";
const DATABASE: &str = "vouchsafe";
const SERVER: &str = "server";

const NO_LOG: &str = "set log_bin in the server's configuration and start it again";
const ASK: [&str; 3] = [
    "SHOW BINLOG STATUS",
    "SHOW BINARY LOG STATUS",
    "SHOW MASTER STATUS",
];

impl BinlogServer {
    pub(super) fn ask(session: &mut Session, shown: &str) -> Result<BinlogServer, CaptureError> {
        let version = session.text("SELECT VERSION()")?;
        let (product, series) = programs::series_of(&version).ok_or_else(|| {
            unreadable(
                shown,
                format!("its version is not known: {version}"),
                "follow MariaDB or MySQL",
            )
        })?;
        if session.text("SELECT @@log_bin")? != "1" {
            return Err(unreadable(shown, "it writes no binary log", NO_LOG));
        }
        if product == Product::MySql {
            demand_of_mysql(session, shown)?;
        }
        let read_only = session.text("SELECT @@read_only")?;
        let read_only = !matches!(read_only.as_str(), "0" | "OFF");
        let (file, offset) = current(session, shown)?;
        let rows = session.rows("SHOW BINARY LOGS")?;
        let files = rows.into_iter().filter_map(|row| {
            let mut row = row.into_iter().flatten();
            let (file, size) = (row.next()?, row.next()?.parse().ok()?);
            let (name, number) = name_and_number(&file)?;
            Some((name.to_owned(), number, size))
        });
        Ok(BinlogServer {
            product,
            series,
            read_only,
            files: files.collect(),
            file,
            offset,
        })
    }

    /// Up to where its log goes.
    pub(super) fn position(&self, begun_anew: u64) -> Position {
        Position::File {
            file: numbered(begun_anew, self.file.1),
            offset: self.offset,
        }
    }

    /// The length of the file with this number; nothing if the server does not have it.
    pub(super) fn length_of(&self, number: u64) -> Option<u64> {
        let mut files = self.files.iter();
        files.find(|file| file.1 == number).map(|file| file.2)
    }

    /// A file's name.
    pub(super) fn name_of(&self, number: u64) -> Option<String> {
        let mut files = self.files.iter();
        let found = files.find(|file| file.1 == number)?;
        Some(format!("{}.{number:06}", found.0))
    }
}

/// A base of MySQL says by the names of transactions which are in it, and by the order of commits where in the log it lies.
fn demand_of_mysql(session: &mut Session, shown: &str) -> Result<(), CaptureError> {
    if session.text("SELECT @@GLOBAL.gtid_mode")? != "ON" {
        let remedy = "set gtid_mode=ON and enforce_gtid_consistency=ON";
        return Err(unreadable(
            shown,
            "it does not name its transactions",
            remedy,
        ));
    }
    if session.text("SELECT @@GLOBAL.binlog_order_commits")? != "1" {
        let message = "it commits in another order than its log has";
        return Err(unreadable(shown, message, "set binlog_order_commits=ON"));
    }
    Ok(())
}

/// The file that is written and how long it is.
fn current(session: &mut Session, shown: &str) -> Result<((String, u64), u64), CaptureError> {
    let mut refused = None;
    for ask in ASK {
        // Versions have different words for it.
        let rows = match session.rows(ask) {
            Ok(rows) => rows,
            Err(error) => {
                refused = Some(error);
                continue;
            }
        };
        let mut row = rows.into_iter().next().unwrap_or_default().into_iter();
        let file = row.next().flatten().unwrap_or_default();
        let offset = row.next().flatten().and_then(|text| text.parse().ok());
        if let (Some((name, number)), Some(offset)) = (name_and_number(&file), offset) {
            return Ok(((name.to_owned(), number), offset));
        }
    }
    Err(refused.unwrap_or_else(|| unreadable(shown, "it does not say where its log is", NO_LOG)))
}

/// By what the server is known again. MySQL has a name of its own; on MariaDB one is put into a table of ours, so that it
/// is in every base and log, too. A replica that takes no writes has the one that it was sent, or only its number.
pub(super) fn identity(
    session: &mut Session,
    server: &BinlogServer,
    random: &dyn Random,
) -> Result<String, CaptureError> {
    if server.product == Product::MySql {
        if !server.read_only {
            make_table(session)?;
        }
        return session.text("SELECT @@server_uuid");
    }
    let number = session.text("SELECT @@server_id")?;
    if !server.read_only {
        make_table(session)?;
        let mark = format!("{:016x}{:016x}", random.u64(), random.u64());
        if name(session)?.is_none() {
            session.execute(&format!(
                "INSERT IGNORE INTO {TABLE} (chain, token) VALUES ('{SERVER}', {})",
                literal(&mark)
            ))?;
        }
    } else if !has_table(session)? {
        return Ok(number);
    }
    Ok(match name(session)? {
        Some(name) => format!("{number}-{name}"),
        None => number,
    })
}

/// Whether both are of one server, first by `before`, then by `found`. A replica that took no writes had only its number
/// until it got its name.
pub(super) fn is_same(before: &str, found: &str) -> bool {
    let is_number = !before.is_empty() && before.bytes().all(|byte| byte.is_ascii_digit());
    let named = || found.strip_prefix(before)?.strip_prefix('-');
    before == found || is_number && named().is_some()
}

fn name(session: &mut Session) -> Result<Option<String>, CaptureError> {
    session.optional(&format!(
        "SELECT token FROM {TABLE} WHERE chain = '{SERVER}'"
    ))
}

/// Where somebody may not make it, it can be made for him.
fn make_table(session: &mut Session) -> Result<(), CaptureError> {
    if has_table(session)? {
        return Ok(());
    }
    session.execute(&format!("CREATE DATABASE IF NOT EXISTS {DATABASE}"))?;
    session.execute(&format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} (chain VARCHAR(32) CHARACTER SET ascii NOT NULL PRIMARY KEY, \
         token VARCHAR(200) CHARACTER SET ascii NOT NULL) ENGINE=InnoDB"
    ))
}

fn has_table(session: &mut Session) -> Result<bool, CaptureError> {
    let found = session.optional(&format!(
        "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{DATABASE}' AND TABLE_NAME = 'heartbeat'"
    ))?;
    Ok(found.is_some())
}

/// Commits a token. In the log it stands in a statement or in a row, as the server writes it.
pub(super) fn commit(session: &mut Session, token: &Token) -> Result<(), CaptureError> {
    let chain: String = token.chain.iter().map(|b| format!("{b:02x}")).collect();
    session.execute(&format!(
        "INSERT INTO {TABLE} (chain, token) VALUES ({}, {}) ON DUPLICATE KEY UPDATE token = VALUES(token)",
        literal(&chain),
        literal(&format!("{PREFIX} {token}"))
    ))
}

/// The tokens that a server's table holds: those that were committed last.
pub(in crate::mysql) fn tokens(session: &mut Session) -> Result<Vec<Token>, CaptureError> {
    if !has_table(session)? {
        return Ok(Vec::new());
    }
    let rows = session.rows(&format!(
        "SELECT token FROM {TABLE} WHERE chain <> '{SERVER}'"
    ))?;
    let texts = rows.into_iter().flatten().flatten();
    Ok(texts
        .filter_map(|text| vouchsafe_translog::token::last_in(text.as_bytes()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_gets_its_name_later_is_the_same() {
        for (before, found) in [("7", "7"), ("7", "7-ab"), ("7-ab", "7-ab")] {
            assert!(is_same(before, found), "{before} {found}");
        }
        for (before, found) in [
            ("7", "70-ab"),
            ("7", "8-ab"),
            ("7-ab", "7"),
            ("7-ab", "7-ab-c"),
            ("7-ab", "7-ac"),
            ("", "-ab"),
            ("3e11", "3e11-ab"),
        ] {
            assert!(!is_same(before, found), "{before} {found}");
        }
    }
}
