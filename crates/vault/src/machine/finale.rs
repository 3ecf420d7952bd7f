//! The snapshot, which comes last: sealed, stored, and only then there.

use vouchsafe_format::{Id, Snapshot};

use super::job::{Compute, Done, Job, ObjectKind, Transfer};
use super::{Saver, Ticket};

/// Writes one snapshot. Whoever begins it answers for everything else being durable.
#[derive(Debug, Default)]
pub(super) enum Finale {
    #[default]
    NotBegun,
    Sealing(Ticket),
    Storing(Ticket, Id),
    Over(Id),
}

impl Finale {
    pub(super) fn begin(
        &mut self,
        snapshot: Box<Snapshot>,
        saver: &mut Saver,
        jobs: &mut Vec<Job>,
    ) {
        let ticket = saver.ticket();
        *self = Finale::Sealing(ticket);
        jobs.push(Job::Compute(Compute::Snapshot { ticket, snapshot }));
    }

    /// Takes what concerns the snapshot; gives back everything else.
    pub(super) fn take(
        &mut self,
        done: Done,
        saver: &mut Saver,
        jobs: &mut Vec<Job>,
    ) -> Option<Done> {
        match (&*self, done) {
            (
                Finale::Sealing(expected),
                Done::File {
                    ticket,
                    name,
                    bytes,
                },
            ) if ticket == *expected => {
                let ticket = saver.ticket();
                *self = Finale::Storing(ticket, name);
                jobs.push(Job::Transfer(Transfer::Put {
                    ticket,
                    object: ObjectKind::Snapshot,
                    name,
                    bytes,
                }));
                None
            }
            (Finale::Storing(expected, name), Done::Stored { ticket }) if ticket == *expected => {
                *self = Finale::Over(*name);
                None
            }
            (_, other) => Some(other),
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        !matches!(self, Finale::NotBegun)
    }

    /// The snapshot's id, once it is durable.
    pub(super) fn snapshot(&self) -> Option<Id> {
        match self {
            Finale::Over(id) => Some(*id),
            _ => None,
        }
    }
}
