//! How long a log is kept: as the policy says, and always from a base on.

use vouchsafe_model::policy::Length;
use vouchsafe_model::{PointId, Time};

/// A complete base in one vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Its point.
    pub point: PointId,
    /// When it was whole: every later moment can be had back with it and the log.
    pub completed: Time,
}

/// The base that the log is needed from, so that every moment of the time for which it is kept can be had back: the
/// newest one that is as old as that, else the oldest. Nothing if nothing of the log may go.
pub fn needed_from(bases: &[Base], keep: Option<Length>, now: Time) -> Option<&Base> {
    let keep = keep?;
    let is_old = |base: &&Base| keep.after(base.completed) <= now;
    let newest_old = bases.iter().filter(is_old).max_by_key(|b| b.completed);
    newest_old.or_else(|| bases.iter().min_by_key(|b| b.completed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_model::Span;

    fn base(day: u64) -> Base {
        Base {
            point: PointId::from_random(day.to_be_bytes()),
            completed: Time::from_secs(0).plus(Span::from_days(day)),
        }
    }

    fn day_needed(days: &[u64], keep: Option<u64>, now: u64) -> Option<u64> {
        let bases: Vec<Base> = days.iter().map(|day| base(*day)).collect();
        let keep = keep.map(|days| Length::exact(Span::from_days(days)));
        let now = Time::from_secs(0).plus(Span::from_days(now));
        let needed = needed_from(&bases, keep, now)?;
        Some(needed.completed.since(Time::from_secs(0)).secs() / 86_400)
    }

    #[test]
    fn the_log_is_kept_from_the_newest_base_that_is_old_enough() {
        assert_eq!(day_needed(&[1, 8, 15, 22], Some(7), 29), Some(22));
        assert_eq!(day_needed(&[1, 8, 15, 22], Some(7), 28), Some(15));
        assert_eq!(day_needed(&[22, 1, 15, 8], Some(14), 28), Some(8));
    }

    #[test]
    fn what_the_oldest_base_needs_stays() {
        assert_eq!(day_needed(&[20, 22], Some(30), 28), Some(20));
        assert_eq!(day_needed(&[], Some(30), 28), None);
        assert_eq!(day_needed(&[1, 2], None, 28), None);
    }
}
