//! The fast driver: threads that read, compute and store, joined by one machine behind a lock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use vouchsafe_capture::Progress;
use vouchsafe_format::Chunker;
use vouchsafe_host::{Clock, Interrupt};

use super::{Drive, FileReading, Origin, ReadTask, Step, Stopped, Threads, Tools, Workshop};
use crate::error::WorkError;
use crate::machine::{BackupMachine, Compute, Done, FileTicket, Job, Machine, MachineError, Transfer};

/// The threads and what they share. Dropping it ends them.
pub(crate) struct Engine<M: Machine> {
    shared: Arc<Shared<M>>,
    patience: Duration,
}

/// What the threads of one operation share.
pub(crate) struct Shared<M> {
    state: Mutex<State<M>>,
    /// There is work for a processor.
    compute: Condvar,
    /// There is work for a store.
    transfer: Condvar,
    /// There is a file to read.
    reads: Condvar,
    /// There may be room again.
    room: Condvar,
    /// The goal may be reached, or a thread has ended.
    goal: Condvar,
    workshop: Workshop,
    clock: Arc<dyn Clock>,
    chunker: Chunker,
    spares: Mutex<Vec<Vec<u8>>>,
    pub(crate) counters: Counters,
}

/// How far the work is, for whoever shows it.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) items: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

struct State<M> {
    /// Nothing once it was taken out at the end.
    machine: Option<M>,
    computes: VecDeque<Compute>,
    transfers: VecDeque<Transfer>,
    reads: VecDeque<ReadTask>,
    failure: Option<WorkError>,
    over: bool,
    goal: fn(&M) -> bool,
    /// Puts and fetches that threads are busy with.
    transferring: usize,
    streams: usize,
    threads: usize,
    waiting_for_room: usize,
}

impl<M: Machine + 'static> Engine<M> {
    /// Starts workers and transfers.
    pub(crate) fn start(machine: M, workshop: Workshop, chunker: Chunker, threads: Threads) -> Engine<M> {
        let clock = Arc::clone(&workshop.target.env().clock);
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(machine)),
            compute: Condvar::new(),
            transfer: Condvar::new(),
            reads: Condvar::new(),
            room: Condvar::new(),
            goal: Condvar::new(),
            workshop,
            clock,
            chunker,
            spares: Mutex::default(),
            counters: Counters::default(),
        });
        let engine = Engine { shared, patience: Duration::from_secs(1) };
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
                && let Ok(Done::File { ticket, name, bytes }) = self.shared.workshop.compute(job, &mut tools, &mut drop)
            {
                let object = crate::machine::ObjectKind::Index;
                // The work has failed already; what is not listed is stored again by the next one.
                let _ = self.shared.workshop.transfer(Transfer::Put { ticket, object, name, bytes });
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
                    over = ended.1.wait_timeout(over, TICK).unwrap_or_else(PoisonError::into_inner).0;
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
        while !state.is_stopped() && (state.reads.len() >= WAITING_FILES || is_stream && state.streams >= STREAMS) {
            state = self.shared.wait_for_room(state);
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
        self.shared.counters.items.fetch_add(items, Ordering::Relaxed);
        self.shared.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn work_until(&mut self, goal: fn(&BackupMachine) -> bool) -> Result<(), Stopped> {
        self.shared.wait_until(goal)
    }

    fn end(self) -> Result<BackupMachine, WorkError> {
        self.finish()
    }
}

impl<M: Machine + 'static> Engine<M> {
    /// Ends all threads. The machine comes back if all went well.
    pub(crate) fn finish(self) -> Result<M, WorkError> {
        let failure = self.shared.lock().failure.take();
        if let Some(failure) = failure {
            // Nobody shall go on while what is durable is being listed.
            self.shared.lock().over = true;
            self.shared.wake_all();
            if !matches!(failure, WorkError::Store(_) | WorkError::Died) {
                self.salvage();
            }
            return Err(failure);
        }
        let mut state = self.shared.lock();
        state.over = true;
        state.machine.take().ok_or(WorkError::Died)
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
        drop(wait_while(&self.shared.goal, state, self.patience, |state| state.threads > 0));
    }
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
            state = self.goal.wait(state).unwrap_or_else(PoisonError::into_inner);
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

    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        for condition in [&self.compute, &self.transfer, &self.reads, &self.room, &self.goal] {
            condition.notify_all();
        }
    }

    fn take_up(&self, state: &mut State<M>, jobs: Vec<Job>) {
        for job in jobs {
            match job {
                Job::Compute(job) => {
                    state.computes.push_back(job);
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
    fn complete(&self, state: &mut State<M>, done: Done) {
        let now = self.clock.monotonic();
        let mut jobs = Vec::new();
        let Some(machine) = &mut state.machine else { return };
        match machine.completed(done, now, &mut jobs) {
            Ok(()) => {
                if (state.goal)(machine) {
                    self.goal.notify_all();
                }
                if state.failure.is_none() {
                    self.take_up(state, jobs);
                }
            }
            Err(error) => {
                state.failure.get_or_insert(error.into());
                self.wake_all();
            }
        }
        if state.waiting_for_room > 0 {
            self.room.notify_all();
        }
    }

    fn wait_for_room<'a>(&'a self, mut state: MutexGuard<'a, State<M>>) -> MutexGuard<'a, State<M>> {
        state.waiting_for_room += 1;
        state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.waiting_for_room -= 1;
        state
    }

    fn compute_loop(&self) {
        let mut tools = match Tools::new() {
            Ok(tools) => tools,
            Err(error) => return self.fail(error),
        };
        let mut state = self.lock();
        loop {
            if state.is_stopped() {
                return;
            }
            let Some(job) = state.computes.pop_front() else {
                state = self.compute.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            match self.workshop.compute(job, &mut tools, &mut |buffer| self.keep(buffer)) {
                Ok(done) => {
                    state = self.lock();
                    self.complete(&mut state, done);
                }
                Err(error) => return self.fail(error),
            }
        }
    }

    fn transfer_loop(&self) {
        let mut state = self.lock();
        loop {
            if state.is_stopped() {
                return;
            }
            let Some(job) = state.transfers.pop_front() else {
                state = self.transfer.wait(state).unwrap_or_else(PoisonError::into_inner);
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

    fn spare(&self) -> Vec<u8> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn keep(&self, mut buffer: Vec<u8>) {
        let mut spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.len() < SPARES && buffer.capacity() <= LARGEST_SPARE {
            buffer.clear();
            spares.push(buffer);
        }
    }

    fn show(&self, progress: &dyn Progress, shown: &mut (u64, u64)) {
        let items = self.counters.items.load(Ordering::Relaxed);
        let bytes = self.counters.bytes.load(Ordering::Relaxed);
        if (items, bytes) != *shown {
            progress.advance(items - shown.0, bytes - shown.1);
            *shown = (items, bytes);
        }
    }
}

impl Shared<BackupMachine> {
    fn read_loop(&self) {
        let mut tools = match Tools::new() {
            Ok(tools) => tools,
            Err(error) => return self.fail(error),
        };
        let mut state = self.lock();
        loop {
            if state.is_stopped() {
                return;
            }
            let Some(task) = state.reads.pop_front() else {
                state = self.reads.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if state.waiting_for_room > 0 && state.reads.len() < WAITING_FILES / 2 {
                self.room.notify_all();
            }
            drop(state);
            if self.read(task, &mut tools).is_err() {
                return;
            }
            state = self.lock();
        }
    }

    fn read_stream(&self, task: ReadTask) {
        match Tools::new() {
            // The reason of a failure is kept where all look for it.
            Ok(mut tools) => drop(self.read(task, &mut tools)),
            Err(error) => self.fail(error),
        }
        self.lock().streams -= 1;
        self.room.notify_all();
    }

    fn read(&self, task: ReadTask, tools: &mut Tools) -> Result<(), Stopped> {
        let file = task.file;
        let mut reading = FileReading::new(task, self.chunker.clone(), self.spare());
        loop {
            match reading.step(&mut || self.spare()) {
                Step::Chunk(bytes) => {
                    self.counters.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    self.offer(file, bytes, tools)?;
                }
                Step::End(newer) => {
                    self.counters.items.fetch_add(1, Ordering::Relaxed);
                    return self.apply(|machine, jobs| machine.end(file, newer.map(|node| *node), jobs));
                }
                Step::Unreadable(issue) => {
                    self.counters.items.fetch_add(1, Ordering::Relaxed);
                    return self.apply(|machine, jobs| machine.give_up(file, issue, jobs));
                }
                Step::Broken(source) => {
                    self.fail(WorkError::Stream { name: reading.place().to_owned(), source });
                    return Err(Stopped);
                }
            }
        }
    }

    /// Hands over a chunk, waiting for room. A small one is processed here and now, which is cheaper than to wake
    /// another thread.
    fn offer(&self, file: FileTicket, mut bytes: Vec<u8>, tools: &mut Tools) -> Result<(), Stopped> {
        let small = bytes.len() <= SMALL;
        let mut jobs = Vec::new();
        let mut state = self.lock();
        loop {
            if state.is_stopped() {
                return Err(Stopped);
            }
            let Some(machine) = &mut state.machine else { return Err(Stopped) };
            match machine.chunk(file, bytes, &mut jobs) {
                Ok(Ok(())) => break,
                Ok(Err(back)) => bytes = back,
                Err(error) => {
                    drop(state);
                    self.fail(error.into());
                    return Err(Stopped);
                }
            }
            state = self.wait_for_room(state);
        }
        if !small {
            self.take_up(&mut state, jobs);
            return Ok(());
        }
        drop(state);
        for job in jobs {
            let Job::Compute(job) = job else { continue };
            match self.workshop.compute(job, tools, &mut |buffer| self.keep(buffer)) {
                Ok(done) => self.complete(&mut self.lock(), done),
                Err(error) => {
                    self.fail(error);
                    return Err(Stopped);
                }
            }
        }
        Ok(())
    }
}

impl<M> State<M> {
    fn new(machine: M) -> State<M> {
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
            waiting_for_room: 0,
        }
    }

    fn is_stopped(&self) -> bool {
        self.over || self.failure.is_some()
    }
}

/// Runs `work` in a thread that is counted, and whose death ends the operation.
fn spawn_sharing<M: Machine + 'static>(shared: &Arc<Shared<M>>, work: impl FnOnce(&Shared<M>) + Send + 'static) {
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

fn wait_while<'a, T>(
    condition: &Condvar,
    guard: MutexGuard<'a, T>,
    patience: Duration,
    busy: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    condition.wait_timeout_while(guard, patience, busy).unwrap_or_else(PoisonError::into_inner).0
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// How often progress is shown and the interrupt looked at.
const TICK: Duration = Duration::from_millis(100);
/// Files that may wait to be opened.
const WAITING_FILES: usize = 512;
/// Streams that may be read at once.
const STREAMS: usize = 64;
/// Chunks up to this many bytes are processed by the thread that read them.
const SMALL: usize = 256 << 10;
/// Buffers kept for use again.
const SPARES: usize = 8;
const LARGEST_SPARE: usize = 4 << 20;
