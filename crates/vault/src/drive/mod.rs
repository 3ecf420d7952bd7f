//! Drivers: threads for speed, one seeded thread for simulation. Both do the jobs of the same machines.

pub(crate) mod compute;
pub(crate) mod pieces;
mod readers;
pub(crate) mod reading;
mod shared;
pub(crate) mod simulated;
pub(crate) mod threaded;

use std::fmt;
use std::sync::Arc;

use vouchsafe_capture::CaptureError;
use vouchsafe_store::SimStore;

use crate::error::WorkError;
use crate::machine::{Job, Machine, MachineError};

pub(crate) use compute::{Named, Tools, Workshop};
pub(crate) use reading::{FileReading, Origin, ReadTask, Step};

/// How the work is done.
#[derive(Clone, Default)]
pub enum Driver {
    /// By threads.
    Threaded(Threads),
    /// By one thread, in an order that follows from the seed.
    Simulated(Simulation),
    /// By as many threads as the machine runs at once.
    #[default]
    Automatic,
}

/// How many threads do what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads {
    /// They hash, compress and seal.
    pub workers: usize,
    /// They read files.
    pub readers: usize,
    /// They read from and write to stores.
    pub transfers: usize,
}

/// The order of a simulated run.
#[derive(Clone)]
pub struct Simulation {
    /// Equal seeds do equal things.
    pub seed: u64,
    /// The store that is written to, if several puts are to be under way at once.
    pub flights: Option<Arc<SimStore>>,
}

impl Threads {
    /// For a machine that runs this many threads at once.
    pub fn for_machine(parallelism: usize) -> Threads {
        let cores = parallelism.max(1);
        Threads {
            workers: cores,
            readers: cores.clamp(2, 8),
            transfers: cores.clamp(2, 8),
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Driver::Threaded(threads) => threads.fmt(f),
            Driver::Simulated(simulation) => write!(f, "Simulated({})", simulation.seed),
            Driver::Automatic => f.write_str("Automatic"),
        }
    }
}

/// The work was given up; the driver knows why.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the backup was given up")]
pub(crate) struct Stopped;

impl From<Stopped> for CaptureError {
    fn from(stopped: Stopped) -> CaptureError {
        CaptureError::vault(stopped)
    }
}

/// What a front needs of a driver.
pub(crate) trait Drive<M: Machine> {
    /// Tells the machine something, and takes up the jobs that follow.
    fn apply<R>(
        &mut self,
        tell: impl FnOnce(&mut M, &mut Vec<Job>) -> Result<R, MachineError>,
    ) -> Result<R, Stopped>;
    /// Has a file read; waits while too many are waiting.
    fn read(&mut self, task: ReadTask) -> Result<(), Stopped>;
    /// Counts what is done without the machine, for whoever shows progress.
    fn count(&self, items: u64, bytes: u64) {
        let _ = (items, bytes);
    }
    /// Works until the goal is reached.
    fn work_until(&mut self, goal: fn(&M) -> bool) -> Result<(), Stopped>;
    /// Ends all work. The machine comes back if all went well.
    fn end(self) -> Result<M, WorkError>;
    /// Gives the work up, and tells why if it had failed before.
    fn abandon(self) -> Option<WorkError>;
}
