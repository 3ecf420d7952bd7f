//! The transaction log of a whole PostgreSQL server, received as it grows.

mod follower;
mod receiver;
mod server;
mod spool;
mod tail;

use std::path::Path;
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError, LogReached};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::secret;
use vouchsafe_model::{SecretRef, SourceUrl};

use super::address::Address;
use super::login::Login;
use super::session;
use crate::OpenSourceError;
use crate::log::{FollowLog, ServerLog};

pub use follower::LogFollower;

/// How long an answer of the server may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The log of a server: `postgres://user@host:5432`, without a database.
///
/// It is received by the server's own `pg_receivewal` over a replication slot, so that the server keeps what was not
/// received. The user needs the attribute `REPLICATION`, a line `host replication` in `pg_hba.conf` and one for the
/// database `postgres`, into whose log heartbeats are committed.
#[derive(Debug, Clone)]
pub struct PostgresLog {
    address: Address,
    password: Option<SecretRef>,
}

impl PostgresLog {
    /// The log of the server at `url`.
    pub fn open(
        url: &SourceUrl,
        password: Option<&SecretRef>,
        base: &Path,
    ) -> Result<PostgresLog, OpenSourceError> {
        let address = Address::of_policy(url, base)?;
        if !address.database.is_empty() {
            return Err(crate::log::of_a_dump(url));
        }
        Ok(PostgresLog {
            address: address.with_database(super::base::DATABASE),
            password: password.cloned(),
        })
    }

    pub(super) fn shown(&self) -> String {
        format!("postgres://{}@{}", self.address.user, self.address.server())
    }

    fn login(&self, ctx: &CaptureContext<'_>) -> Result<Login, CaptureError> {
        let password = self.password.as_ref().map(secret::resolve).transpose();
        let password = password.map_err(|error| {
            let remedy = "see `password:` of this protection in the policy";
            session::unreadable(&self.shown(), error.to_string(), remedy)
        })?;
        Login::new(ctx, self.address.clone(), password)
    }
}

impl ServerLog for PostgresLog {
    fn flushed(&self, ctx: &CaptureContext<'_>) -> Result<Position, CaptureError> {
        let login = self.login(ctx)?;
        let mut session = login.session()?.patient_for(PATIENCE);
        let log = server::ServerLog::ask(&mut session, &self.shown())?;
        Ok(Position::Byte(log.flushed.0))
    }

    fn follow(
        &self,
        ctx: &CaptureContext<'_>,
        names: (&str, &str),
        server: Option<&str>,
        reached: Option<LogReached>,
    ) -> Result<Box<dyn FollowLog>, CaptureError> {
        let server = server.and_then(|id| id.parse().ok());
        let follower = LogFollower::new(self.clone(), ctx, names, server, reached)?;
        Ok(Box::new(follower))
    }
}
