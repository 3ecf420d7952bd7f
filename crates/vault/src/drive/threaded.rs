//! The fast driver: threads that read, compute and store, joined by one machine behind a lock.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use vouchsafe_capture::Progress;
use vouchsafe_format::Chunker;
use vouchsafe_host::Interrupt;

use super::readers::WAITING_FILES;
use super::shared::{Counters, OnDrop, Shared, State, spawn_sharing, wait_while};
use super::{Drive, Origin, ReadTask, Stopped, Threads, Tools, Workshop};
use crate::error::WorkError;
use crate::machine::{BackupMachine, Done, Job, Machine, MachineError, Transfer};

/// The threads and what they share. Dropping it ends them.
pub(crate) struct Engine<M: Machine> {
    shared: Arc<Shared<M>>,
    patience: Duration,
}

impl<M: Machine + 'static> Engine<M> {
    /// Starts workers and transfers.
    pub(crate) fn start(
        machine: M,
        workshop: Workshop,
        chunker: Chunker,
        threads: Threads,
    ) -> Engine<M> {
        let clock = Arc::clone(&workshop.target.env().clock);
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(machine)),
            compute: Condvar::new(),
            transfer: Condvar::new(),
            reads: Condvar::new(),
            room: Condvar::new(),
            walk: Condvar::new(),
            goal: Condvar::new(),
            workshop,
            clock,
            chunker,
            counters: Counters::default(),
        });
        let engine = Engine {
            shared,
            patience: Duration::from_secs(1),
        };
        for _ in 0..threads.workers.max(1) {
            engine.spawn(Shared::compute_loop);
        }
        for _ in 0..threads.transfers.max(1) {
            engine.spawn(Shared::transfer_loop);
        }
        engine
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<M>> {
        &self.shared
    }

    fn spawn(&self, work: fn(&Shared<M>)) {
        spawn_sharing(&self.shared, work);
    }

    /// After a failure: lets transfers under way end, and lists what is durable.
    fn salvage(&self) {
        let mut state = self.shared.lock();
        state.transfers.clear();
        let busy = |state: &mut State<M>| state.transferring > 0;
        state = wait_while(&self.shared.goal, state, self.patience, busy);
        if busy(&mut state) {
            return;
        }
        let mut jobs = Vec::new();
        if let Some(machine) = &mut state.machine {
            machine.salvage(&mut jobs);
        }
        drop(state);
        let Ok(mut tools) = Tools::new() else { return };
        for job in jobs {
            if let Job::Compute(job) = job
                && let Ok(Done::File {
                    ticket,
                    name,
                    bytes,
                }) = self.shared.workshop.compute(job, &mut tools)
            {
                let object = crate::machine::ObjectKind::Index;
                // The work has failed already; what is not listed is stored again by the next one.
                let _ = self.shared.workshop.transfer(Transfer::Put {
                    ticket,
                    object,
                    name,
                    bytes,
                });
            }
        }
    }
}

impl Engine<BackupMachine> {
    /// Starts threads that read files.
    pub(crate) fn start_readers(&self, count: usize) {
        for _ in 0..count.max(1) {
            self.spawn(Shared::read_loop);
        }
    }
}

impl<M: Machine + 'static> Engine<M> {
    /// Reports progress and watches for the interrupt while `body` runs.
    pub(crate) fn watched<R>(
        shared: &Arc<Shared<M>>,
        progress: &dyn Progress,
        interrupt: &Interrupt,
        body: impl FnOnce() -> R,
    ) -> R {
        let ended = (Mutex::new(false), Condvar::new());
        thread::scope(|scope| {
            let _end = OnDrop(|| {
                *ended.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
                ended.1.notify_all();
            });
            let ended = &ended;
            scope.spawn(move || {
                let mut shown = (0, 0);
                let mut over = ended.0.lock().unwrap_or_else(PoisonError::into_inner);
                loop {
                    shared.show(progress, &mut shown);
                    if *over {
                        return;
                    }
                    if interrupt.requested() {
                        shared.fail(WorkError::Interrupted);
                    }
                    over = ended
                        .1
                        .wait_timeout(over, TICK)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
            });
            body()
        })
    }
}

impl Drive<BackupMachine> for Engine<BackupMachine> {
    fn apply<R>(
        &mut self,
        tell: impl FnOnce(&mut BackupMachine, &mut Vec<Job>) -> Result<R, MachineError>,
    ) -> Result<R, Stopped> {
        self.shared.apply(tell)
    }

    fn read(&mut self, task: ReadTask) -> Result<(), Stopped> {
        let is_stream = matches!(task.origin, Origin::Stream(_));
        let mut state = self.shared.lock();
        while !state.is_stopped()
            && (state.reads.len() >= WAITING_FILES || is_stream && state.streams >= STREAMS)
        {
            state = self
                .shared
                .walk
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_stopped() {
            return Err(Stopped);
        }
        if is_stream {
            state.streams += 1;
            drop(state);
            spawn_sharing(&self.shared, move |shared| shared.read_stream(task));
        } else {
            state.reads.push_back(task);
            drop(state);
            self.shared.reads.notify_one();
        }
        Ok(())
    }

    fn count(&self, items: u64, bytes: u64) {
        self.shared
            .counters
            .items
            .fetch_add(items, Ordering::Relaxed);
        self.shared
            .counters
            .bytes
            .fetch_add(bytes, Ordering::Relaxed);
    }

    fn work_until(&mut self, goal: fn(&BackupMachine) -> bool) -> Result<(), Stopped> {
        self.shared.wait_until(goal)
    }

    fn end(self) -> Result<BackupMachine, WorkError> {
        self.finish()
    }

    fn abandon(self) -> Option<WorkError> {
        self.give_up()
    }
}

impl<M: Machine + 'static> Engine<M> {
    /// Ends all threads. The machine comes back if all went well.
    pub(crate) fn finish(self) -> Result<M, WorkError> {
        let mut state = self.shared.lock();
        if state.failure.is_none() {
            state.over = true;
            return state.machine.take().ok_or(WorkError::Died);
        }
        drop(state);
        Err(self.give_up().unwrap_or(WorkError::Died))
    }

    /// Ends all threads and lists what is durable, unless the store is what failed.
    pub(crate) fn give_up(self) -> Option<WorkError> {
        let mut state = self.shared.lock();
        let failure = state.failure.take();
        // Nobody shall go on while what is durable is being listed.
        state.over = true;
        drop(state);
        self.shared.wake_all();
        if !matches!(failure, Some(WorkError::Store(_) | WorkError::Died)) {
            self.salvage();
        }
        failure
    }
}

impl<M: Machine> Drop for Engine<M> {
    /// Threads that hang in a source or a store are left behind; they can do nothing but end.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.over = true;
        state.reads.clear();
        state.computes.clear();
        drop(state);
        self.shared.wake_all();
        let state = self.shared.lock();
        drop(wait_while(
            &self.shared.goal,
            state,
            self.patience,
            |state| state.threads > 0,
        ));
    }
}

/// How often progress is shown and the interrupt looked at.
const TICK: Duration = Duration::from_millis(100);
/// Streams that may be read at once.
const STREAMS: usize = 64;
