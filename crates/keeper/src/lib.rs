//! Where decisions meet deeds: initialise, run, copy, verify, prune, drill, restore, judge, recover the state.
//!
//! The rules are in `vouchsafe-policy`; here they are only carried out, and every result becomes a fact.

pub mod catalogue;
mod copies;
mod custody;
pub mod drill;
mod error;
mod events;
mod hidden;
mod init;
mod judge;
mod keeper;
mod keys;
mod ladder;
mod locks;
mod losses;
mod policy_file;
mod prune;
mod publish;
pub mod reading;
mod record;
mod recover_state;
mod rekey;
mod remote;
mod repair;
mod restore;
mod resume;
mod run;
mod sheet;
mod state;
mod store_check;
mod target;
mod twin;
mod vaults;
mod verified;
mod verify;
mod watch;

pub use error::{Category, KeeperError, chain};
pub use events::{Event, Reporter, Silent};
pub use init::{InitReport, init};
pub use judge::{Judged, LedgerHead};
pub use keeper::{Keeper, Tools};
pub use keys::{AddedSlot, NewPassphrase, Rotated, SlotInfo, Slots};
pub use locks::Locks;
pub use policy_file::PolicyFile;
pub use prune::{PruneOrder, PruneOutcome, PrunePlan};
pub use recover_state::{RecoverRequest, Recovered, recover_state};
pub use rekey::{RekeyOrder, Rekeyed};
pub use repair::{RepairOutcome, RepairPart, RepairPlan};
pub use restore::{Moment, RestoreOrder, RestoreReport};
pub use run::{RunOrder, RunReport};
pub use state::State;
pub use store_check::StoreCheck;
pub use vaults::{VaultHandle, local_dir};
pub use verify::VerifyOutcome;
