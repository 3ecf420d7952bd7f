//! Threads that read files and streams, and hand over their chunks.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::shared::Shared;
use super::{FileReading, ReadTask, Step, Stopped, Tools};
use crate::error::WorkError;
use crate::machine::{BackupMachine, FileTicket, Job};

impl Shared<BackupMachine> {
    pub(super) fn read_loop(&self) {
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
                state = self
                    .reads
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if state.reads.len() == WAITING_FILES / 2 {
                self.walk.notify_all();
            }
            drop(state);
            if self.read(task, &mut tools).is_err() {
                return;
            }
            state = self.lock();
        }
    }

    pub(super) fn read_stream(&self, task: ReadTask) {
        match Tools::new() {
            // The reason of a failure is kept where all look for it.
            Ok(mut tools) => drop(self.read(task, &mut tools)),
            Err(error) => self.fail(error),
        }
        self.lock().streams -= 1;
        self.walk.notify_all();
    }

    fn read(&self, task: ReadTask, tools: &mut Tools) -> Result<(), Stopped> {
        let file = task.file;
        let mut reading = FileReading::new(task, self.chunker.clone(), &self.workshop.buffers);
        loop {
            match reading.step(&self.workshop.buffers) {
                Step::Chunk(bytes) => {
                    self.counters
                        .bytes
                        .fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    self.offer(file, bytes, tools)?;
                }
                Step::End(newer) => {
                    self.counters.items.fetch_add(1, Ordering::Relaxed);
                    return self
                        .apply(|machine, jobs| machine.end(file, newer.map(|node| *node), jobs));
                }
                Step::Unreadable(issue) => {
                    self.counters.items.fetch_add(1, Ordering::Relaxed);
                    return self.apply(|machine, jobs| machine.give_up(file, issue, jobs));
                }
                Step::Broken(source) => {
                    self.fail(WorkError::Stream {
                        name: reading.place().to_owned(),
                        source,
                    });
                    return Err(Stopped);
                }
            }
        }
    }

    /// Hands over a chunk, waiting for room. A small one is processed here and now, which is cheaper than to wake
    /// another thread.
    fn offer(
        &self,
        file: FileTicket,
        mut bytes: Vec<u8>,
        tools: &mut Tools,
    ) -> Result<(), Stopped> {
        let small = bytes.len() <= SMALL;
        let mut jobs = Vec::new();
        let mut state = self.lock();
        loop {
            if state.is_stopped() {
                return Err(Stopped);
            }
            let Some(machine) = &mut state.machine else {
                return Err(Stopped);
            };
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
            match self.workshop.compute(job, tools) {
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

/// Files that may wait to be opened.
pub(super) const WAITING_FILES: usize = 512;
/// Chunks up to this many bytes are processed by the thread that read them.
const SMALL: usize = 256 << 10;
