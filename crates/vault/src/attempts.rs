//! Second attempts at what may pass by itself, and the waits between them.

use std::time::Duration;

use vouchsafe_store::StoreError;

use crate::env::Env;

/// How long to wait before the second and further attempts.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

/// The longest wait that does not look whether the user asked to stop.
const MOMENT: Duration = Duration::from_millis(100);
/// How often a store is asked whose answers may be late, and how long apart.
pub(crate) const LATE_LISTINGS: usize = 3;
pub(crate) const LISTING_PAUSE: Duration = Duration::from_millis(500);

/// Tries again what may pass by itself.
pub(crate) fn persistently<T>(
    env: &Env,
    mut attempt: impl FnMut() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    for wait in PAUSES {
        match attempt() {
            Err(error) if error.is_transient() && !env.interrupt.requested() => pause(env, wait),
            done => return done,
        }
    }
    attempt()
}

/// Waits, but not after the user asked to stop.
pub(crate) fn pause(env: &Env, whole: Duration) {
    let mut left = whole;
    while !left.is_zero() && !env.interrupt.requested() {
        let step = left.min(MOMENT);
        env.clock.sleep(step);
        left -= step;
    }
}
