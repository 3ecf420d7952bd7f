//! The same work on many things, by a few threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use vouchsafe_host::Interrupt;

/// What `work` makes of each thing, in any order. Nothing if it was interrupted.
pub(crate) fn map<T: Sync, R: Send>(
    things: &[T],
    threads: usize,
    interrupt: &Interrupt,
    work: impl Fn(&T) -> R + Sync,
) -> Option<Vec<R>> {
    let out = Mutex::new(Vec::with_capacity(things.len()));
    let whole = each(things, threads, interrupt, |thing| {
        let made = work(thing);
        out.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(made);
        true
    });
    whole.then(|| out.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Does `work` on each thing until it says false. Whether all was done.
pub(crate) fn each<T: Sync>(
    things: &[T],
    threads: usize,
    interrupt: &Interrupt,
    work: impl Fn(&T) -> bool + Sync,
) -> bool {
    each_with(things, threads, interrupt, || (), |(), thing| work(thing))
}

/// As [`each`], with something that each thread makes for itself and keeps from thing to thing.
pub(crate) fn each_with<T: Sync, S>(
    things: &[T],
    threads: usize,
    interrupt: &Interrupt,
    make: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &T) -> bool + Sync,
) -> bool {
    let next = AtomicUsize::new(0);
    let go = || {
        let mut own = make();
        loop {
            if interrupt.requested() {
                next.store(STOP, Ordering::SeqCst);
            }
            let at = next.fetch_add(1, Ordering::SeqCst);
            if at >= STOP {
                return false;
            }
            let Some(thing) = things.get(at) else {
                return true;
            };
            if !work(&mut own, thing) {
                next.store(STOP, Ordering::SeqCst);
                return false;
            }
        }
    };
    let helpers = threads.min(things.len()).saturating_sub(1);
    thread::scope(|scope| {
        let others: Vec<_> = (0..helpers).map(|_| scope.spawn(go)).collect();
        let mine = go();
        // A helper that died has said so on its own; what it did not do is not done.
        others
            .into_iter()
            .fold(mine, |all, other| other.join().unwrap_or(false) && all)
    })
}

/// Beyond any count of things.
const STOP: usize = usize::MAX / 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_things_are_done_once() {
        let things: Vec<usize> = (0..1000).collect();
        let mut made = map(&things, 4, &Interrupt::manual(), |n| n * 2).unwrap();
        made.sort_unstable();
        assert_eq!(made, (0..1000).map(|n| n * 2).collect::<Vec<_>>());
    }

    #[test]
    fn it_stops_when_told_to() {
        let things = [0; 100];
        let interrupt = Interrupt::manual();
        assert!(!each(&things, 2, &interrupt, |_| false));
        interrupt.raise();
        assert!(map(&things, 2, &interrupt, |n| *n).is_none());
    }
}
