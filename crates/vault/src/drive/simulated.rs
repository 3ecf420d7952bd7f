//! The seeded driver: one thread does one job after the other, in an order that the seed chooses.

use std::sync::Arc;

use vouchsafe_format::{Chunker, Id};
use vouchsafe_host::{Clock, Random, SeededRandom};
use vouchsafe_store::{PutMode, SimStore, sim::Flight};

use super::{Drive, FileReading, ReadTask, Simulation, Step, Stopped, Tools, Workshop};
use crate::error::WorkError;
use crate::machine::{
    BackupMachine, Done, Job, Machine, MachineError, ObjectKind, Ticket, Transfer,
};
use crate::objects::key_of;

/// A machine in a world whose every decision follows from one seed.
pub(crate) struct Simulated<M> {
    machine: M,
    pending: Vec<Pending>,
    readings: Vec<Reader>,
    random: SeededRandom,
    workshop: Workshop,
    tools: Tools,
    clock: Arc<dyn Clock>,
    chunker: Chunker,
    flights: Option<Arc<SimStore>>,
    failure: Option<WorkError>,
}

enum Pending {
    Job(Job),
    /// A put that the store has begun.
    Flight {
        flight: Flight,
        ticket: Ticket,
        object: ObjectKind,
        name: Id,
        bytes: Vec<u8>,
    },
}

struct Reader {
    reading: FileReading,
    /// A chunk for which there was no room.
    held: Option<Vec<u8>>,
}

impl<M: Machine> Simulated<M> {
    pub(crate) fn new(
        machine: M,
        workshop: Workshop,
        chunker: Chunker,
        simulation: &Simulation,
    ) -> Result<Simulated<M>, WorkError> {
        let clock = Arc::clone(&workshop.target.env().clock);
        Ok(Simulated {
            machine,
            pending: Vec::new(),
            readings: Vec::new(),
            random: SeededRandom::new(simulation.seed),
            workshop,
            tools: Tools::new()?,
            clock,
            chunker,
            flights: simulation.flights.clone(),
            failure: None,
        })
    }

    pub(crate) fn tell<R>(
        &mut self,
        tell: impl FnOnce(&mut M, &mut Vec<Job>) -> Result<R, MachineError>,
    ) -> Result<R, Stopped> {
        if self.failure.is_some() {
            return Err(Stopped);
        }
        let mut jobs = Vec::new();
        let answer = tell(&mut self.machine, &mut jobs);
        self.pending.extend(jobs.into_iter().map(Pending::Job));
        answer.map_err(|error| self.fail(error.into()))
    }

    /// The machine, if all went well.
    pub(crate) fn finish(self) -> Result<M, WorkError> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self.machine),
        }
    }

    pub(crate) fn fail(&mut self, error: WorkError) -> Stopped {
        self.failure.get_or_insert(error);
        Stopped
    }

    fn below(&self, limit: usize) -> usize {
        (self.random.u64() % (limit.max(1) as u64)) as usize
    }

    fn do_pending(&mut self, at: usize) -> Result<(), Stopped> {
        let done = match self.pending.swap_remove(at) {
            Pending::Job(Job::Compute(job)) => self.workshop.compute(job, &mut self.tools),
            Pending::Job(Job::Transfer(Transfer::Put {
                ticket,
                object,
                name,
                bytes,
            })) => match self.begin_put(ticket, object, name, bytes) {
                Some(put) => self.workshop.transfer(put),
                None => return Ok(()),
            },
            Pending::Job(Job::Transfer(job)) => self.workshop.transfer(job),
            Pending::Flight {
                flight,
                ticket,
                object,
                name,
                bytes,
            } => {
                match self.flights.as_ref().map(|store| store.finish_put(flight)) {
                    Some(Ok(())) => Ok(Done::Stored { ticket }),
                    // The patient way: looks what is there, and tries again.
                    _ => self.workshop.transfer(Transfer::Put {
                        ticket,
                        object,
                        name,
                        bytes,
                    }),
                }
            }
        };
        match done {
            Ok(done) => {
                let now = self.clock.monotonic();
                self.tell(|machine, jobs| machine.completed(done, now, jobs))
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Begins a put and leaves it under way, or gives it back if the store knows no such thing.
    fn begin_put(
        &mut self,
        ticket: Ticket,
        object: ObjectKind,
        name: Id,
        bytes: Vec<u8>,
    ) -> Option<Transfer> {
        let begun = self.flights.as_ref().and_then(|store| {
            let key = key_of(object, &name).ok()?;
            store.begin_put(&key, &bytes, PutMode::IfAbsent).ok()
        });
        match begun {
            Some(flight) => {
                self.pending.push(Pending::Flight {
                    flight,
                    ticket,
                    object,
                    name,
                    bytes,
                });
                None
            }
            None => Some(Transfer::Put {
                ticket,
                object,
                name,
                bytes,
            }),
        }
    }

    fn work_without_readers(&mut self, goal: fn(&M) -> bool) -> Result<(), Stopped> {
        while !goal(&self.machine) {
            if self.pending.is_empty() {
                return Err(self.fail(WorkError::Stuck));
            }
            let at = self.below(self.pending.len());
            self.do_pending(at)?;
        }
        Ok(())
    }

    pub(crate) fn run_until(&mut self, goal: fn(&M) -> bool) -> Result<(), Stopped> {
        self.work_without_readers(goal)
    }
}

impl Simulated<BackupMachine> {
    /// Does one thing: a job, or a step of reading a file. False if there is nothing to do.
    fn step(&mut self) -> Result<bool, Stopped> {
        if self.failure.is_some() {
            return Err(Stopped);
        }
        let machine = &self.machine;
        let can_go_on = |reader: &Reader| {
            reader
                .held
                .as_ref()
                .is_none_or(|chunk| machine.has_room(chunk.len()))
        };
        let ready: Vec<usize> = self
            .readings
            .iter()
            .enumerate()
            .filter(|(_, reader)| can_go_on(reader))
            .map(|(at, _)| at)
            .collect();
        let choice = self.below(self.pending.len() + ready.len());
        if choice < self.pending.len() {
            self.do_pending(choice)?;
            return Ok(true);
        }
        match ready.get(choice - self.pending.len()) {
            Some(at) => self.read_step(*at).map(|()| true),
            None => Ok(false),
        }
    }

    fn read_step(&mut self, at: usize) -> Result<(), Stopped> {
        let mut reader = self.readings.swap_remove(at);
        let file = reader.reading.file;
        let step = match reader.held.take() {
            Some(chunk) => Step::Chunk(chunk),
            None => reader.reading.step(&self.workshop.buffers),
        };
        match step {
            Step::Chunk(chunk) => {
                reader.held = self
                    .tell(|machine, jobs| machine.chunk(file, chunk, jobs))?
                    .err();
                self.readings.push(reader);
                Ok(())
            }
            Step::End(newer) => {
                self.tell(|machine, jobs| machine.end(file, newer.map(|node| *node), jobs))
            }
            Step::Unreadable(issue) => {
                self.tell(|machine, jobs| machine.give_up(file, issue, jobs))
            }
            Step::Broken(source) => {
                let name = reader.reading.place().to_owned();
                Err(self.fail(WorkError::Stream { name, source }))
            }
        }
    }
}

impl Drive<BackupMachine> for Simulated<BackupMachine> {
    fn apply<R>(
        &mut self,
        tell: impl FnOnce(&mut BackupMachine, &mut Vec<Job>) -> Result<R, MachineError>,
    ) -> Result<R, Stopped> {
        let answer = self.tell(tell)?;
        for _ in 0..self.below(4) {
            self.step()?;
        }
        Ok(answer)
    }

    fn read(&mut self, task: ReadTask) -> Result<(), Stopped> {
        let reading = FileReading::new(task, self.chunker.clone(), &self.workshop.buffers);
        self.readings.push(Reader {
            reading,
            held: None,
        });
        for _ in 0..self.below(4) {
            self.step()?;
        }
        Ok(())
    }

    fn work_until(&mut self, goal: fn(&BackupMachine) -> bool) -> Result<(), Stopped> {
        while !goal(&self.machine) {
            if !self.step()? {
                return Err(self.fail(WorkError::Stuck));
            }
        }
        Ok(())
    }

    fn end(self) -> Result<BackupMachine, WorkError> {
        self.finish()
    }

    fn abandon(self) -> Option<WorkError> {
        self.failure
    }
}
