//! Work on several parts side by side, one thread for each.

use std::num::NonZero;
use std::thread;

/// How many threads the machine can use.
pub(crate) fn hands() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Works on each part on a thread of its own; nothing if any of them comes to nothing.
pub(crate) fn side_by_side<P: Send, R: Send>(
    parts: impl IntoIterator<Item = P>,
    work: impl Fn(P) -> Option<R> + Sync,
) -> Option<Vec<R>> {
    let work = &work;
    thread::scope(|scope| {
        let running: Vec<_> = parts
            .into_iter()
            .map(|part| scope.spawn(move || work(part)))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().ok().flatten())
            .collect()
    })
}

/// Makes something of each item, on all threads if there are enough; nothing if any item comes to nothing.
pub(crate) fn map_all<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(usize, &T) -> Option<R> + Sync,
) -> Option<Vec<R>> {
    /// Less than this is done sooner than a thread is started.
    const WORTH_A_THREAD: usize = 128;
    let share = items.len().div_ceil(hands()).max(WORTH_A_THREAD);
    if items.len() <= share {
        return items.iter().enumerate().map(|(n, i)| work(n, i)).collect();
    }
    let parts = items.chunks(share).enumerate();
    let done: Option<Vec<Vec<R>>> = side_by_side(parts, |(part, items)| {
        let first = part * share;
        let items = items.iter().enumerate();
        items.map(|(n, item)| work(first + n, item)).collect()
    });
    done.map(|parts| parts.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_stays_and_a_single_failure_is_one_of_all() {
        for count in [0, 1, 127, 128, 129, 1000, 5003] {
            let items: Vec<usize> = (0..count).collect();
            let same = map_all(&items, |n, item| (n == *item).then_some(n));
            assert_eq!(same, Some(items.clone()), "{count}");
            let failing = map_all(&items, |n, _| (n + 1 != count).then_some(n));
            assert_eq!(failing.is_none(), count > 0);
        }
    }
}
