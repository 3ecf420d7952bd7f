//! Opening databases without changing them.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use vouchsafe_capture::CaptureError;
use vouchsafe_host::files;

use crate::failure;

/// Files that may lie beside a database and belong to it.
pub(super) const SIBLINGS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The file beside a database with this ending.
pub(super) fn sibling(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// A database that other programs may be using. Nothing is written to it, but the locks and the shared memory that
/// every reader needs.
pub(super) fn open_source(path: &Path) -> Result<Connection, CaptureError> {
    if !files::exists(path).map_err(failure::file)? {
        return Err(failure::unreadable(
            path,
            "there is no database at this path",
            "correct the path in the policy, or mount what should be there",
        ));
    }
    let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, read_only).and_then(probe);
    match opened {
        Ok(connection) => Ok(connection),
        // After a crash somebody must roll back or make the shared memory: any reader may, but not a read-only one.
        Err(e)
            if matches!(
                e.sqlite_error_code(),
                Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)
            ) =>
        {
            let reading = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(path, reading)
                .and_then(|c| {
                    c.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
                    c.execute_batch("PRAGMA query_only = ON")?;
                    probe(c)
                })
                .map_err(|e| error(path, &e))
        }
        Err(e) => Err(error(path, &e)),
    }
}

/// A database that nobody else uses: a copy of ours, or a restored one. No files appear beside it.
pub(super) fn open_quiet(path: &Path) -> Result<Connection, CaptureError> {
    let mut alone = true;
    for ending in SIBLINGS {
        alone &= !files::exists(sibling(path, ending)).map_err(failure::file)?;
    }
    if !alone {
        // A log that belongs to it must be read too.
        return open_source(path);
    }
    if !files::exists(path).map_err(failure::file)? {
        return Err(failure::unreadable(
            path,
            "there is no database",
            "restore it again",
        ));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let uri = format!("file:{}?immutable=1", percent_encoded(path));
    Connection::open_with_flags(uri, flags)
        .and_then(probe)
        .map_err(|e| error(path, &e))
}

/// What SQLite said about a database.
pub(super) fn error(path: &Path, error: &rusqlite::Error) -> CaptureError {
    let remedy = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds a lock on it: capture when that is done, or let it use WAL mode"
        }
        Some(ErrorCode::NotADatabase) => {
            "it is no SQLite database, or it is encrypted: correct the path"
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            "the database is damaged: repair it, or restore an earlier point"
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "see that it and its directory can be used by the user who runs Vouchsafe"
        }
        _ => "see whether the program that uses it can read it",
    };
    failure::unreadable(path, error.to_string(), remedy)
}

/// Opening alone reads nothing. A lock is no obstacle here: whoever reads on will wait for it.
fn probe(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(std::time::Duration::from_millis(200))?;
    let sql = "SELECT count(*) FROM sqlite_master";
    match connection.query_row(sql, [], |row| row.get::<_, i64>(0)) {
        Err(e) if !is_busy(&e) => return Err(e),
        _ => {}
    }
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    Ok(connection)
}

/// Whether somebody else's lock is in the way.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    use ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseBusy | DatabaseLocked)
    )
}

/// The path for a `file:` URI.
fn percent_encoded(path: &Path) -> String {
    let mut out = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                out.push(char::from(*byte))
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
