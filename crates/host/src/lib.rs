//! The only place that touches the machine: clock, randomness, files, processes, secrets, sandbox.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod clock;
pub mod destination;
pub mod files;
pub mod inode;
pub mod lockfile;
pub mod machine;
pub mod process;
pub mod random;
pub mod sandbox;
pub mod scratch;
pub mod secret;
pub mod signals;
pub mod sparse;
pub mod terminal;
pub mod users;

mod descendants;
mod stderr_tail;

pub use clock::{Clock, ManualClock, SystemClock};
pub use destination::{DestDir, DestEntry, DestError};
pub use files::{FileError, TempDir};
pub use inode::{Inode, Kind, Timestamp, Xattr};
pub use lockfile::{LockError, StateLock};
pub use process::{
    Child, CleanExit, Command, ExitState, LocalSpawn, Output, ProcessError, ProcessFailed, Spawn,
    SpawnError, Stdin, Stdout, run_captured,
};
pub use random::{OsRandom, Random, SeededRandom};
pub use sandbox::{Destroyed, Isolation, Sandbox, SandboxError};
pub use secret::SecretError;
pub use signals::Interrupt;
pub use sparse::SparseWriter;
