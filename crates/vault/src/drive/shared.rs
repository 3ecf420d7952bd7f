//! What the threads of one operation share: the machine behind a lock, the queues of its jobs.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use vouchsafe_capture::Progress;
use vouchsafe_format::Chunker;
use vouchsafe_host::Clock;

use super::{Named, ReadTask, Stopped, Tools, Workshop};
use crate::error::WorkError;
use crate::machine::{Compute, Done, Job, Machine, MachineError, Transfer};

/// What the threads of one operation share.
pub(crate) struct Shared<M> {
    pub(super) state: Mutex<State<M>>,
    /// There is work for a processor.
    pub(super) compute: Condvar,
    /// There is work for a store.
    pub(super) transfer: Condvar,
    /// There is a file to read.
    pub(super) reads: Condvar,
    /// There may be room for chunks again.
    pub(super) room: Condvar,
    /// There may be room for files to be read again.
    pub(super) walk: Condvar,
    /// The goal may be reached, or a thread has ended.
    pub(super) goal: Condvar,
    pub(super) workshop: Workshop,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) chunker: Chunker,
    pub(crate) counters: Counters,
}

/// How far the work is, for whoever shows it.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) items: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// Not shown yet: what is done belongs to something that was not announced.
    pub(crate) held: AtomicBool,
}

pub(super) struct State<M> {
    /// Nothing once it was taken out at the end.
    pub(super) machine: Option<M>,
    pub(super) computes: VecDeque<Compute>,
    pub(super) transfers: VecDeque<Transfer>,
    pub(super) reads: VecDeque<ReadTask>,
    pub(super) failure: Option<WorkError>,
    pub(super) over: bool,
    pub(super) goal: fn(&M) -> bool,
    /// Puts and fetches that threads are busy with.
    pub(super) transferring: usize,
    pub(super) streams: usize,
    pub(super) threads: usize,
    /// Threads that wait for something to compute.
    idle: usize,
    pub(super) waiting_for_room: usize,
}

impl<M: Machine> Shared<M> {
    pub(crate) fn apply<R>(
        &self,
        tell: impl FnOnce(&mut M, &mut Vec<Job>) -> Result<R, MachineError>,
    ) -> Result<R, Stopped> {
        let mut state = self.lock();
        if state.is_stopped() {
            return Err(Stopped);
        }
        let mut jobs = Vec::new();
        let answer = match &mut state.machine {
            Some(machine) => tell(machine, &mut jobs),
            None => return Err(Stopped),
        };
        self.take_up(&mut state, jobs);
        self.tell_if_reached(&state);
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => {
                drop(state);
                self.fail(error.into());
                Err(Stopped)
            }
        }
    }

    pub(crate) fn wait_until(&self, goal: fn(&M) -> bool) -> Result<(), Stopped> {
        let mut state = self.lock();
        state.goal = goal;
        loop {
            if state.is_stopped() {
                return Err(Stopped);
            }
            if state.machine.as_ref().is_some_and(goal) {
                return Ok(());
            }
            state = self
                .goal
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives the work up. The first reason counts.
    pub(crate) fn fail(&self, error: WorkError) {
        let mut state = self.lock();
        if !state.over {
            state.failure.get_or_insert(error);
        }
        state.computes.clear();
        state.reads.clear();
        drop(state);
        self.wake_all();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake_all(&self) {
        for condition in [
            &self.compute,
            &self.transfer,
            &self.reads,
            &self.room,
            &self.walk,
            &self.goal,
        ] {
            condition.notify_all();
        }
    }

    pub(super) fn take_up(&self, state: &mut State<M>, jobs: Vec<Job>) {
        for job in jobs {
            match job {
                Job::Compute(job) => {
                    // A full pack waits for nothing but this, and holds more memory than anything else.
                    match job {
                        Compute::Finish { .. } => state.computes.push_front(job),
                        _ => state.computes.push_back(job),
                    }
                    self.compute.notify_one();
                }
                Job::Transfer(job) => {
                    state.transfers.push_back(job);
                    self.transfer.notify_one();
                }
            }
        }
    }

    /// Tells the machine that a job was done.
    pub(super) fn complete(&self, state: &mut State<M>, done: Done) {
        let now = self.clock.monotonic();
        let mut jobs = Vec::new();
        let Some(machine) = &mut state.machine else {
            return;
        };
        let completed = machine.completed(done, now, &mut jobs);
        if let Some((items, bytes)) = machine.done_so_far() {
            self.counters.items.store(items, Ordering::Relaxed);
            self.counters.bytes.store(bytes, Ordering::Relaxed);
        }
        match completed {
            Ok(()) => {
                if state.failure.is_none() {
                    self.take_up(state, jobs);
                }
                self.tell_if_reached(state);
            }
            Err(error) => {
                state.failure.get_or_insert(error.into());
                self.wake_all();
            }
        }
        // Not for each chunk: whoever is woken should find room for more than one.
        if state.waiting_for_room > 0
            && state
                .machine
                .as_ref()
                .is_none_or(|machine| machine.has_room(ROOM))
        {
            self.room.notify_all();
        }
    }

    fn tell_if_reached(&self, state: &State<M>) {
        if state.machine.as_ref().is_some_and(state.goal) {
            self.goal.notify_all();
        }
    }

    pub(super) fn wait_for_room<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<M>>,
    ) -> MutexGuard<'a, State<M>> {
        state.waiting_for_room += 1;
        state = self
            .room
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting_for_room -= 1;
        state
    }

    pub(super) fn compute_loop(&self) {
        let mut tools = match Tools::new() {
            Ok(tools) => tools,
            Err(error) => return self.fail(error),
        };
        let mut state = self.lock();
        loop {
            if state.is_stopped() {
                return;
            }
            let jobs = state.next_computes();
            if jobs.is_empty() {
                state.idle += 1;
                state = self
                    .compute
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            }
            drop(state);
            let names = Named::each(&jobs);
            for (job, name) in jobs.into_iter().zip(names) {
                match self.workshop.compute_named(job, name, &mut tools) {
                    Ok(done) => self.complete(&mut self.lock(), done),
                    Err(error) => return self.fail(error),
                }
            }
            state = self.lock();
        }
    }

    pub(super) fn transfer_loop(&self) {
        let mut state = self.lock();
        loop {
            if state.is_stopped() {
                return;
            }
            let Some(job) = state.transfers.pop_front() else {
                state = self
                    .transfer
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.transferring += 1;
            drop(state);
            let done = self.workshop.transfer(job);
            state = self.lock();
            state.transferring -= 1;
            match done {
                Ok(done) => self.complete(&mut state, done),
                Err(error) => {
                    drop(state);
                    return self.fail(error);
                }
            }
            if state.is_stopped() {
                self.goal.notify_all();
            }
        }
    }

    pub(super) fn show(&self, progress: &dyn Progress, shown: &mut (u64, u64)) {
        if self.counters.held.load(Ordering::Acquire) {
            return;
        }
        let items = self.counters.items.load(Ordering::Relaxed);
        let bytes = self.counters.bytes.load(Ordering::Relaxed);
        if (items, bytes) != *shown {
            progress.advance(items - shown.0, bytes - shown.1);
            *shown = (items, bytes);
        }
    }
}

impl<M> State<M> {
    pub(super) fn new(machine: M) -> State<M> {
        State {
            machine: Some(machine),
            computes: VecDeque::new(),
            transfers: VecDeque::new(),
            reads: VecDeque::new(),
            failure: None,
            over: false,
            goal: |_| false,
            transferring: 0,
            streams: 0,
            threads: 0,
            idle: 0,
            waiting_for_room: 0,
        }
    }

    /// What one processor does next: a job, or two that are hashed together if nobody else waits for one.
    fn next_computes(&mut self) -> Vec<Compute> {
        let Some(first) = self.computes.pop_front() else {
            return Vec::new();
        };
        let is_hashed = first.plaintext().is_some();
        let mut jobs = vec![first];
        if is_hashed && self.computes.len() > self.idle {
            jobs.extend(self.computes.pop_front_if(|job| job.plaintext().is_some()));
        }
        jobs
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.over || self.failure.is_some()
    }
}

/// Runs `work` in a thread that is counted, and whose death ends the operation.
pub(super) fn spawn_sharing<M: Machine + 'static>(
    shared: &Arc<Shared<M>>,
    work: impl FnOnce(&Shared<M>) + Send + 'static,
) {
    shared.lock().threads += 1;
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let _counted = OnDrop(|| {
            if thread::panicking() {
                shared.fail(WorkError::Died);
            }
            shared.lock().threads -= 1;
            shared.goal.notify_all();
        });
        work(&shared);
    });
}

pub(super) fn wait_while<'a, T>(
    condition: &Condvar,
    guard: MutexGuard<'a, T>,
    patience: Duration,
    busy: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    condition
        .wait_timeout_while(guard, patience, busy)
        .unwrap_or_else(PoisonError::into_inner)
        .0
}

/// Bytes for which there is room before chunks that wait for it are woken.
const ROOM: usize = 3 << 20;

/// Does something at the end, however it comes.
pub(super) struct OnDrop<F: FnMut()>(pub(super) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
