//! Removing: a worklist that can be shown, a clearance, and then the deed.
//!
//! What may go is an argument; everything else stays, known or not. The worklist is made by reading alone: every
//! directory of every snapshot that stays is followed, and one that cannot be read ends it. The deed goes in an
//! order in which a crash at any step leaves all kept snapshots whole: snapshots go first; then what is still needed
//! of packs that are to go is stored anew and listed; then new index files replace those that list what will be
//! gone; then those are removed; then the packs. Running it again after a crash plans anew and goes on.

mod clearance;
mod deed;
mod error;
mod mark;
mod plan;
mod reindex;
mod usage;
mod worklist;

pub(crate) use clearance::Dated;
pub use clearance::{DeletionCleared, WholeRecord};
pub use deed::PruneReport;
pub use error::{ClearanceError, PruneError};
pub use worklist::{
    Forget, KnownPoints, PackWork, PendingPack, PruneFigures, PruneMode, PruneOptions,
    PruneWorklist, Why,
};
