//! The one moment of a dump and of our digests.
//!
//! Neither server lends its snapshot to another connection. So writers are held for as long as it takes that both our
//! own transaction and that of the dump have begun; see decision 81.

use vouchsafe_capture::CaptureError;

use super::about::{About, Position};
use super::programs::Product;
use super::rights::Rights;
use super::session::{Session, literal, quoted, unreadable};

/// How writers are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// MariaDB's backup stages: nothing commits, nothing else waits.
    Stage,
    /// The global read lock: it waits for statements that run, and nothing is written meanwhile.
    Global,
    /// Read locks on the database's tables: they wait for transactions that write to them.
    Tables,
}

impl Way {
    /// The gentlest that the user may take.
    pub(super) fn of(about: &About, rights: &Rights) -> Way {
        match about.product {
            _ if !rights.on_all("RELOAD") => Way::Tables,
            Product::MariaDb if about.series >= (10, 5) => Way::Stage,
            Product::MariaDb | Product::MySql => Way::Global,
        }
    }

    /// As `about.json` has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Way::Stage => "backup stage",
            Way::Global => "global read lock",
            Way::Tables => "table locks",
        }
    }
}

/// Writers that are held until it is dropped or released.
pub(super) struct Held {
    session: Session,
    way: Way,
}

impl Held {
    /// Holds all writers to the database. Waits at most a minute for others, as the session's settings say.
    pub(super) fn begin(
        mut session: Session,
        way: Way,
        database: &str,
    ) -> Result<Held, CaptureError> {
        match way {
            Way::Stage => {
                session.execute("BACKUP STAGE START")?;
                session.execute("BACKUP STAGE BLOCK_COMMIT")?;
            }
            Way::Global => session.execute("FLUSH TABLES WITH READ LOCK")?,
            Way::Tables => lock_tables(&mut session, database)?,
        }
        Ok(Held { session, way })
    }

    /// Lets writers go on.
    pub(super) fn release(mut self) -> Result<(), CaptureError> {
        self.session.execute(match self.way {
            Way::Stage => "BACKUP STAGE END",
            Way::Global | Way::Tables => "UNLOCK TABLES",
        })
    }
}

/// How often tables are locked anew because others were made meanwhile.
const ATTEMPTS: usize = 5;

/// Locks every table, also one that was made while the others were being locked.
fn lock_tables(session: &mut Session, database: &str) -> Result<(), CaptureError> {
    let mut names = tables(session, database)?;
    for _ in 0..ATTEMPTS {
        if names.is_empty() {
            return Ok(());
        }
        let locks: Vec<String> = names
            .iter()
            .map(|name| format!("{}.{} READ", quoted(database), quoted(name)))
            .collect();
        session.execute(&format!("LOCK TABLES {}", locks.join(", ")))?;
        let now = tables(session, database)?;
        if now == names {
            return Ok(());
        }
        session.execute("UNLOCK TABLES")?;
        names = now;
    }
    Err(unreadable(
        database,
        "tables are made and dropped all the time",
        "grant the user RELOAD, by which no table needs to be locked",
    ))
}

fn tables(session: &mut Session, database: &str) -> Result<Vec<String>, CaptureError> {
    let rows = session.rows(&format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} \
         AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY TABLE_NAME",
        literal(database)
    ))?;
    Ok(rows.into_iter().flatten().flatten().collect())
}

/// Begins a transaction that sees one moment.
pub(super) fn begin(session: &mut Session) -> Result<(), CaptureError> {
    session.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
}

/// Where in the binary log the moment lies of which `session` has the snapshot. For MySQL writers must be held.
pub(super) fn position(
    session: &mut Session,
    product: Product,
) -> Result<Option<Position>, CaptureError> {
    match product {
        Product::MariaDb => {
            let file = session.status("Binlog_snapshot_file")?.unwrap_or_default();
            let offset = session.status("Binlog_snapshot_position")?;
            let Some(offset) = offset.and_then(|n| n.parse().ok()) else {
                return Ok(None);
            };
            if file.is_empty() || file == "none" {
                return Ok(None);
            }
            let gtid = session.optional(&format!(
                "SELECT BINLOG_GTID_POS({}, {offset})",
                literal(&file)
            ))?;
            let gtid = gtid.unwrap_or_default();
            Ok(Some(Position { file, offset, gtid }))
        }
        Product::MySql => {
            // The newer name first; without the right to ask, the dump is whole all the same.
            let asked = session
                .rows("SHOW BINARY LOG STATUS")
                .or_else(|_| session.rows("SHOW MASTER STATUS"));
            let Some(row) = asked.unwrap_or_default().into_iter().next() else {
                return Ok(None);
            };
            let mut row = row.into_iter().map(Option::unwrap_or_default);
            let (file, offset) = (
                row.next().unwrap_or_default(),
                row.next().unwrap_or_default(),
            );
            let Ok(offset) = offset.parse() else {
                return Ok(None);
            };
            let gtid = session.optional("SELECT @@GLOBAL.gtid_executed")?;
            let gtid = gtid.unwrap_or_default();
            Ok(Some(Position { file, offset, gtid }))
        }
    }
}

/// The position that a dump of MariaDB says to be its own: `-- CHANGE MASTER TO MASTER_LOG_FILE='bin.000001',
/// MASTER_LOG_POS=330;`.
pub(super) fn of_dump(beginning: &[u8]) -> Option<(String, u64)> {
    let text = String::from_utf8_lossy(beginning);
    let line = text.lines().find(|line| line.contains("MASTER_LOG_POS="))?;
    let (_, rest) = line.split_once("MASTER_LOG_FILE='")?;
    let (file, rest) = rest.split_once('\'')?;
    let (_, rest) = rest.split_once("MASTER_LOG_POS=")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((file.to_owned(), digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_says_its_position() {
        let dump =
            b"-- x\n-- CHANGE MASTER TO MASTER_LOG_FILE='bin.000002', MASTER_LOG_POS=1234;\n\n--\n";
        assert_eq!(of_dump(dump), Some(("bin.000002".to_owned(), 1234)));
        assert_eq!(of_dump(b"-- x\n"), None);
    }
}
