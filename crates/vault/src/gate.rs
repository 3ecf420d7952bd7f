//! Whether a repository may be written to yet: not while its lock settles, and not after the lock was refused.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Open unless somebody closes it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Closed,
    Refused,
}

/// Decides at its end, however that comes.
pub(crate) struct RefusedUnlessOpened<'g>(&'g Gate);

impl Drop for RefusedUnlessOpened<'_> {
    fn drop(&mut self) {
        if *self.0.state() == State::Closed {
            self.0.set(State::Refused);
        }
    }
}

/// Nothing may be written any more.
#[derive(Debug)]
pub(crate) struct Refused;

impl Gate {
    pub(crate) fn open(&self) {
        self.set(State::Open);
    }

    pub(crate) fn close(&self) {
        self.set(State::Closed);
    }

    /// When the value goes and the gate is still closed, it stays so for good.
    pub(crate) fn refused_unless_opened(&self) -> RefusedUnlessOpened<'_> {
        RefusedUnlessOpened(self)
    }

    /// Waits while it is closed.
    pub(crate) fn pass(&self) -> Result<(), Refused> {
        let closed = |state: &mut State| *state == State::Closed;
        let waited = self.moved.wait_while(self.state(), closed);
        match *waited.unwrap_or_else(PoisonError::into_inner) {
            State::Refused => Err(Refused),
            State::Open | State::Closed => Ok(()),
        }
    }

    fn set(&self, state: State) {
        *self.state() = state;
        self.moved.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
