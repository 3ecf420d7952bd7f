//! The engine's stages as state machines: they decide what is to be done next and do nothing themselves.
//!
//! A machine takes in what happened ([`Done`]) and hands out what to do ([`Job`]). It never waits, reads a clock or
//! touches a store, so that threads drive it fast and a simulation drives it in every order.

pub mod backup;
pub mod buffers;
pub mod claims;
pub mod copy;
mod finale;
mod growing;
pub mod job;
mod open_pack;
pub mod repack;
pub mod save;
pub mod tree;

pub use backup::{BackupMachine, Counts, FileTicket};
pub use buffers::Buffers;
pub use claims::Claims;
pub use copy::CopyMachine;
pub use job::{Blob, Compute, Done, GrowingId, Job, ObjectKind, Ticket, Transfer};
pub use repack::{Moving, RepackMachine};
pub use save::{Added, Saver, Settings};
pub use tree::{Assembler, DirectoryId, Slot};

use std::time::Duration;

use vouchsafe_format::{PackError, TreeError};

use crate::error::TreeProblem;

/// A machine as its drivers see it.
pub trait Machine: Send {
    /// Takes in that a job was done at `now` (a monotonic reading) and hands out what follows from it.
    ///
    /// # Errors
    /// [`MachineError`]; the work must then be given up.
    fn completed(
        &mut self,
        done: Done,
        now: Duration,
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError>;
    /// Hands out what makes durable work findable although the whole is given up: an index of what is stored.
    fn salvage(&mut self, jobs: &mut Vec<Job>);
    /// Whether this much more may be taken in now.
    fn has_room(&self, bytes: usize) -> bool;
    /// Whether all is done and durable.
    fn is_finished(&self) -> bool;
    /// Items and bytes done so far, where the machine itself knows them; for whoever shows progress.
    fn done_so_far(&self) -> Option<(u64, u64)> {
        None
    }
}

/// A machine cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// A completion came for work that was never handed out, or twice.
    #[error("a completion came for work that was not under way")]
    UnknownTicket,
    /// A blob does not fit into any pack.
    #[error("a blob cannot be put into a pack")]
    Pack(#[from] PackError),
    /// The source left more directories than it entered.
    #[error("the source left the root directory")]
    LeftRoot,
    /// The source ended within a directory.
    #[error("the source ended {depth} directories below the root")]
    NotLeft {
        /// Directories that are still open.
        depth: usize,
    },
    /// The source went on after the end.
    #[error("the source went on after its end")]
    AfterEnd,
    /// A stream was still open, or ended without proof, when the snapshot was due.
    #[error("{streams} streams have not ended with a proof; no snapshot is written")]
    OpenStreams {
        /// How many.
        streams: usize,
    },
    /// A directory cannot be encoded.
    #[error("a directory cannot be stored")]
    Tree(#[from] TreeError),
    /// The point to be copied is damaged.
    #[error("the point cannot be copied")]
    Source(#[from] TreeProblem),
}
