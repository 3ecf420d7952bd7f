//! The binary log of a whole server, received as it grows.

mod follower;
mod receiver;
#[cfg(test)]
pub(super) mod sample;
pub(super) mod server;
mod spool;
mod tail;

use std::path::Path;
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError, LogReached};
use vouchsafe_format::fragment::Position;
use vouchsafe_model::{SecretRef, SourceUrl};

use super::address::Address;
use super::login::Login;
use crate::OpenSourceError;
use crate::log::{FollowLog, ServerLog};
use follower::BinlogFollower;
use server::BinlogServer;

/// The binary log of a server: `mysql://user@host:3306`, without a database.
///
/// It is received by the server's own `mariadb-binlog` or `mysqlbinlog`, which shows itself as a replica. The user needs
/// `REPLICATION SLAVE` and `BINLOG MONITOR` (MySQL: `REPLICATION CLIENT`), and rights to the database `vouchsafe`, into
/// whose table `heartbeat` tokens are committed.
///
/// A file's number in positions is the one that its name ends with, plus 2³² for each time that the server has begun
/// its log anew since it was first followed: so positions only grow.
#[derive(Debug, Clone)]
pub struct MySqlLog {
    address: Address,
    password: Option<SecretRef>,
}

/// How long a server may take to answer. Nobody sees to a worker, so it does not wait for ever.
const PATIENCE: Duration = Duration::from_secs(20);

impl MySqlLog {
    /// The log of the server at `url`.
    pub fn open(
        url: &SourceUrl,
        password: Option<&SecretRef>,
        base: &Path,
    ) -> Result<MySqlLog, OpenSourceError> {
        let address = Address::of_policy(url, base)?;
        if !address.database.is_empty() {
            return Err(crate::log::of_a_dump(url));
        }
        Ok(MySqlLog {
            address,
            password: password.cloned(),
        })
    }

    fn shown(&self) -> String {
        self.address.shown()
    }

    fn login(&self, ctx: &CaptureContext<'_>) -> Result<Login, CaptureError> {
        let password = super::password(&self.shown(), self.password.as_ref())?;
        Login::new(ctx, self.address.clone(), password)
    }
}

impl ServerLog for MySqlLog {
    fn flushed(&self, ctx: &CaptureContext<'_>) -> Result<Position, CaptureError> {
        let login = self.login(ctx)?;
        let mut session = login.session()?.patient_for(PATIENCE);
        let server = BinlogServer::ask(&mut session, &self.shown())?;
        Ok(server.position(0))
    }

    fn follow(
        &self,
        ctx: &CaptureContext<'_>,
        names: (&str, &str),
        server: Option<&str>,
        reached: Option<LogReached>,
    ) -> Result<Box<dyn FollowLog>, CaptureError> {
        let follower = BinlogFollower::new(self.clone(), ctx, names, server, reached)?;
        Ok(Box::new(follower))
    }
}

/// How often the server had begun its log anew before this file, and the file's own number.
pub(crate) fn parts(file: u64) -> (u64, u64) {
    (file >> 32, file & u64::from(u32::MAX))
}

/// A file by these two.
pub(crate) fn numbered(begun_anew: u64, number: u64) -> u64 {
    begun_anew.min(u64::from(u32::MAX)) << 32 | number & u64::from(u32::MAX)
}

/// A position as the server has it, by which two of one log can be compared.
pub(crate) fn own(position: Position) -> Option<(u64, u64)> {
    match position {
        Position::File { file, offset } => Some((parts(file).1, offset)),
        _ => None,
    }
}

/// Whether a log that goes up to `reached` holds everything before `target`. A server that is asked does not know how
/// often it had begun its log anew while others followed it.
pub(crate) fn reaches(reached: Position, target: Position) -> bool {
    match target {
        Position::File { file, .. } if parts(file).0 > 0 => reached >= target,
        _ => own(reached) >= own(target),
    }
}

/// A position that a server has told of, counted as `seen` is.
pub(crate) fn aligned(told: Position, seen: Position) -> Position {
    match (told, seen) {
        (Position::File { file, offset }, Position::File { file: other, .. }) => {
            let file = numbered(parts(other).0, parts(file).1);
            Position::File { file, offset }
        }
        _ => told,
    }
}

/// `000003:1234`; with `2/` before it where the server has begun its log anew twice.
pub(crate) fn written(file: u64, offset: u64) -> String {
    match parts(file) {
        (0, number) => format!("{number:06}:{offset}"),
        (begun_anew, number) => format!("{begun_anew}/{number:06}:{offset}"),
    }
}

/// The number that a file's name ends with, as in `bin.000003`, and what stands before it.
pub(crate) fn name_and_number(file: &str) -> Option<(&str, u64)> {
    let (name, digits) = file.rsplit_once('.')?;
    let number: u32 = digits.parse().ok()?;
    Some((name, u64::from(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_grow_also_when_the_server_begins_anew() {
        assert!(numbered(1, 1) > numbered(0, 900_000));
        assert!(numbered(u64::MAX, 1) >= numbered(u64::from(u32::MAX), 1));
        assert_eq!(parts(numbered(2, 7)), (2, 7));
        assert_eq!(written(numbered(0, 3), 4), "000003:4");
        assert_eq!(written(numbered(1, 3), 4), "1/000003:4");
        assert_eq!(
            name_and_number("maria.db-bin.000012"),
            Some(("maria.db-bin", 12))
        );
        let at = |file, offset| Position::File { file, offset };
        let told = at(2, 100);
        assert!(reaches(at(numbered(1, 2), 100), told));
        assert!(!reaches(at(9, 0), aligned(told, at(numbered(1, 2), 7))));
        assert_eq!(name_and_number("bin.index"), None);
        assert_eq!(name_and_number("bin.99999999999"), None);
    }
}
