//! Transaction logs: received from their servers, put into every vault of their protection, and what there is of them
//! recorded.

mod account;
mod destination;
mod level;
mod ship;
mod tend;
mod wait;

use vouchsafe_format::fragment::{Position, StreamName};
use vouchsafe_model::{Policy, Protection, ProtectionId, System};
use vouchsafe_translog::wal::Lsn;

use crate::error::KeeperError;

pub(crate) use ship::Shipping;
pub use wait::{LogDone, LogPositions};

/// The stream of the log itself, and that of its timelines' histories.
pub(crate) const WAL: &str = "wal";
pub(crate) const TIMELINES: &str = "timelines";

/// The name of a protection's stream in every vault.
pub(crate) fn stream_name(id: &ProtectionId, stream: &str) -> Result<StreamName, KeeperError> {
    let name = format!("{}/{stream}", id.protection);
    StreamName::new(id.system.as_str(), name).map_err(|e| KeeperError::Policy {
        message: format!("{id}: {e}"),
    })
}

/// The protections of a policy whose log is shipped.
pub(crate) fn shipping(policy: &Policy) -> impl Iterator<Item = (&System, &Protection)> {
    policy.protections().filter(|(system, protection)| {
        system.exempt.is_none() && protection.ships_log_every().is_some()
    })
}

/// A position as the engine writes it.
pub(crate) fn written(position: Position) -> String {
    match position {
        Position::Byte(lsn) => Lsn(lsn).to_string(),
        other => other.to_string(),
    }
}
