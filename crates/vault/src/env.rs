//! What the engine knows of the machine and the user it works for.

use std::fmt;
use std::sync::Arc;

use vouchsafe_format::Timestamp;
use vouchsafe_host::{Clock, Interrupt, Random};
use vouchsafe_model::Time;

/// Where we are, who we are, and the machine's clock and randomness.
#[derive(Clone)]
pub struct Env {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// For keys, initialisation vectors and the choice of packs.
    pub random: Arc<dyn Random>,
    /// Raised when the work is to stop.
    pub interrupt: Interrupt,
    /// The machine's name.
    pub hostname: String,
    /// The user's name.
    pub username: String,
    /// This process.
    pub pid: u32,
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// For snapshots: `vouchsafe 1.2.3`.
    pub program_version: String,
}

impl Env {
    /// The time now, as the repository writes it.
    pub fn timestamp(&self) -> Timestamp {
        to_timestamp(self.clock.now())
    }

    /// An initialisation vector that seals: random and not all zero.
    pub(crate) fn iv(&self) -> [u8; 16] {
        random_iv(self.random.as_ref())
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env")
            .field("hostname", &self.hostname)
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

/// A time in the repository's form.
pub fn to_timestamp(time: Time) -> Timestamp {
    let micros = time.micros();
    let nanos = u32::try_from(micros.rem_euclid(1_000_000) * 1000).unwrap_or(0);
    Timestamp::utc(micros.div_euclid(1_000_000), nanos)
}

/// A time from the repository, cut to microseconds.
pub fn from_timestamp(at: &Timestamp) -> Time {
    Time::from_micros(i64::try_from(at.unix_nanos().div_euclid(1000)).unwrap_or(i64::MAX))
}

pub(crate) fn random_iv(random: &dyn Random) -> [u8; 16] {
    loop {
        let iv = random.bytes16();
        if iv != [0; 16] {
            return iv;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_both_ways() {
        for micros in [-1_500_000, -1, 0, 1, 1_700_000_000_123_456] {
            let time = Time::from_micros(micros);
            assert_eq!(from_timestamp(&to_timestamp(time)), time);
        }
    }
}
