//! The transaction log of a whole PostgreSQL server, received as it grows.

mod follower;
mod heartbeat;
mod receiver;
mod server;
mod spool;
mod tail;

use std::path::Path;
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::secret;
use vouchsafe_model::{SecretRef, SourceUrl};

use super::address::Address;
use super::login::Login;
use super::session;
use crate::OpenSourceError;

pub use follower::{FoundGap, LogFollower, LogReader, LogTick};
pub use tail::{LogCut, LogStep};

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
            return Err(OpenSourceError::Place {
                source_url: url.to_string(),
                message: "a log is that of a whole server, and a dump cannot be rolled forward".to_owned(),
                remedy: "leave the database out of the URL: a base backup of the server is what a log goes on from"
                    .to_owned(),
            });
        }
        Ok(PostgresLog {
            address: address.with_database(super::base::DATABASE),
            password: password.cloned(),
        })
    }

    pub(super) fn shown(&self) -> String {
        format!("postgres://{}@{}", self.address.user, self.address.server())
    }

    /// Up to where the server's log is on its disk.
    pub fn flushed(&self, ctx: &CaptureContext<'_>) -> Result<u64, CaptureError> {
        let login = self.login(ctx)?;
        let mut session = login.session()?.patient_for(PATIENCE);
        Ok(server::ServerLog::ask(&mut session, &self.shown())?
            .flushed
            .0)
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
