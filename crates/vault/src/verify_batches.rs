//! When the results of a long verification are handed out before it ends, so that little is lost if it is killed.

use std::sync::Mutex;
use std::time::Duration;

use crate::memory::{Coverage, VerifyMemory};

/// Told what is known so far, now and then while packs are read, by one thread at a time.
pub(crate) type Keep<'a> = &'a (dyn Fn(&VerifyMemory, &Coverage) + Sync);

/// The first batch is closed after a second, for it may be the only one; then each takes twice as long, up to this.
const LONGEST: Duration = Duration::from_secs(60);

pub(crate) struct Batches(Mutex<Next>);

struct Next {
    at: Duration,
    length: Duration,
}

impl Batches {
    /// The first batch begins now, by the monotonic clock.
    pub(crate) fn new(now: Duration) -> Batches {
        let length = Duration::from_secs(1);
        Batches(Mutex::new(Next {
            at: now.saturating_add(length),
            length,
        }))
    }

    /// Closes the batch if it is time; meanwhile the other threads go on reading.
    pub(crate) fn keep_if_due(&self, now: Duration, keep: impl FnOnce()) {
        let Ok(mut next) = self.0.try_lock() else {
            return;
        };
        if now < next.at {
            return;
        }
        keep();
        next.length = next.length.saturating_mul(2).min(LONGEST);
        next.at = now.saturating_add(next.length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_to_a_minute() {
        let batches = Batches::new(Duration::ZERO);
        let mut kept = Vec::new();
        for second in 0..300 {
            batches.keep_if_due(Duration::from_secs(second), || kept.push(second));
        }
        assert_eq!(kept, [1, 3, 7, 15, 31, 63, 123, 183, 243]);
    }
}
