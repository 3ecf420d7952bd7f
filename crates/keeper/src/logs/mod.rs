//! Transaction logs: received from their servers, put into every vault of their protection, and what there is of them
//! recorded.

mod account;
mod destination;
mod level;
mod ship;
mod tend;
mod wait;

use vouchsafe_format::fragment::StreamName;
use vouchsafe_model::policy::Way;
use vouchsafe_model::{Policy, Protection, ProtectionId, System};
use vouchsafe_sources::LogKind;

use crate::error::KeeperError;

pub(crate) use ship::Shipping;
pub use wait::{LogDone, LogPositions};

/// The stream of timelines' histories, beside that of the log itself, which is named after its kind.
pub(crate) const TIMELINES: &str = "timelines";

/// Which kind of log a protection has, if it has one.
pub(crate) fn kind_of(protection: &Protection) -> LogKind {
    match &protection.way {
        Way::Capture(url) => LogKind::of(url),
        _ => LogKind::Wal,
    }
}

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
