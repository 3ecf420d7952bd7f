//! Packs that are stored piece by piece: of each one job at a time, in the order of the bytes.

use std::collections::{HashMap, VecDeque};

use vouchsafe_format::PackWriter;

use super::MachineError;
use super::job::{GrowingId, Job, Ticket, Transfer};

/// The packs that have begun to be written and are not durable.
#[derive(Default)]
pub(super) struct GrowingPacks {
    next: u64,
    /// What waits until the piece before it is written; a pack of which nothing is under way is not here.
    waiting: HashMap<GrowingId, VecDeque<Transfer>>,
    /// What is under way or waits: of which pack, and the bytes held.
    held: HashMap<Ticket, (GrowingId, usize)>,
}

impl GrowingPacks {
    /// A pack of which the first piece comes next.
    pub(super) fn begin(&mut self) -> GrowingId {
        self.next += 1;
        GrowingId(self.next)
    }

    /// The next bytes of a pack.
    pub(super) fn write(
        &mut self,
        ticket: Ticket,
        pack: GrowingId,
        bytes: Vec<u8>,
        jobs: &mut Vec<Job>,
    ) {
        self.held.insert(ticket, (pack, bytes.len()));
        let job = Transfer::Write {
            ticket,
            pack,
            bytes,
        };
        self.in_turn(pack, job, jobs);
    }

    /// The end of a pack.
    pub(super) fn close(
        &mut self,
        ticket: Ticket,
        pack: GrowingId,
        rest: PackWriter,
        jobs: &mut Vec<Job>,
    ) {
        let bytes = rest.bytes().len();
        self.held.insert(ticket, (pack, bytes));
        let job = Transfer::Close { ticket, pack, rest };
        self.in_turn(pack, job, jobs);
    }

    /// A job was done: gives the bytes that it held, and hands out what waited for it.
    pub(super) fn done(
        &mut self,
        ticket: Ticket,
        jobs: &mut Vec<Job>,
    ) -> Result<usize, MachineError> {
        let (pack, bytes) = self
            .held
            .remove(&ticket)
            .ok_or(MachineError::UnknownTicket)?;
        match self.waiting.get_mut(&pack).and_then(VecDeque::pop_front) {
            Some(job) => jobs.push(Job::Transfer(job)),
            None => drop(self.waiting.remove(&pack)),
        }
        Ok(bytes)
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.held.is_empty()
    }

    fn in_turn(&mut self, pack: GrowingId, job: Transfer, jobs: &mut Vec<Job>) {
        match self.waiting.get_mut(&pack) {
            Some(waiting) => waiting.push_back(job),
            None => {
                self.waiting.insert(pack, VecDeque::new());
                jobs.push(Job::Transfer(job));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_format::BlobKind;

    fn handed_out(jobs: &mut Vec<Job>) -> Vec<(u64, usize)> {
        jobs.drain(..)
            .map(|job| match job {
                Job::Transfer(Transfer::Write { ticket, bytes, .. }) => (ticket.0, bytes.len()),
                Job::Transfer(Transfer::Close { ticket, .. }) => (ticket.0, 0),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn of_one_pack_one_piece_at_a_time_in_order() {
        let mut packs = GrowingPacks::default();
        let mut jobs = Vec::new();
        let (first, second) = (packs.begin(), packs.begin());
        packs.write(Ticket(1), first, vec![0; 10], &mut jobs);
        packs.write(Ticket(2), first, vec![0; 20], &mut jobs);
        packs.write(Ticket(3), second, vec![0; 30], &mut jobs);
        packs.close(Ticket(4), first, PackWriter::new(BlobKind::Data), &mut jobs);
        assert_eq!(handed_out(&mut jobs), [(1, 10), (3, 30)]);
        assert_eq!(packs.done(Ticket(1), &mut jobs).unwrap(), 10);
        assert_eq!(handed_out(&mut jobs), [(2, 20)]);
        assert_eq!(packs.done(Ticket(3), &mut jobs).unwrap(), 30);
        assert!(jobs.is_empty());
        packs.close(
            Ticket(5),
            second,
            PackWriter::new(BlobKind::Data),
            &mut jobs,
        );
        assert_eq!(packs.done(Ticket(2), &mut jobs).unwrap(), 20);
        assert_eq!(handed_out(&mut jobs), [(5, 0), (4, 0)]);
        assert!(!packs.is_idle());
        for ticket in [4, 5] {
            assert_eq!(packs.done(Ticket(ticket), &mut jobs).unwrap(), 0);
        }
        assert!(packs.is_idle() && packs.waiting.is_empty());
        assert!(packs.done(Ticket(5), &mut jobs).is_err());
    }
}
