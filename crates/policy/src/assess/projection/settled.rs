//! Obligations of one rule of which nothing can change any more, as stretches of even distance.

use vouchsafe_model::Time;

use crate::assess::projection::ids::append;

/// Times at an even distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    first: i64,
    /// Nothing if there is only one.
    step: i64,
    /// How many follow the first.
    more: u32,
}

impl Stretch {
    fn last(&self) -> i64 {
        self.first
            .wrapping_add(self.step.wrapping_mul(i64::from(self.more)))
    }

    fn has(&self, at: i64) -> bool {
        if at == self.first {
            return true;
        }
        let (Some(after), true) = (at.checked_sub(self.first), at <= self.last()) else {
            return false;
        };
        self.step > 0 && after > 0 && after.checked_rem(self.step) == Some(0)
    }

    /// Whether the stretch took it in as its next.
    fn goes_on_to(&mut self, at: i64) -> bool {
        let step = at.checked_sub(self.last()).filter(|step| *step > 0);
        let fits = step.is_some_and(|step| self.more == 0 || step == self.step);
        match (step, self.more.checked_add(1)) {
            (Some(step), Some(more)) if fits => {
                (self.step, self.more) = (step, more);
                true
            }
            _ => false,
        }
    }
}

/// The one that opened last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Newest {
    pub(super) opens: Time,
    pub(super) due: Time,
}

/// The times at which they opened, each once; all were answered in time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    stretches: Vec<Stretch>,
    count: u64,
    newest: Option<Newest>,
}

impl Settled {
    pub(super) fn put(&mut self, opens: Time, due: Time) {
        self.count += 1;
        if self.newest.is_none_or(|newest| newest.opens <= opens) {
            self.newest = Some(Newest { opens, due });
        }
        let at = opens.micros();
        if !self.stretches.iter_mut().rev().any(|s| s.goes_on_to(at)) {
            let alone = Stretch {
                first: at,
                step: 0,
                more: 0,
            };
            append(&mut self.stretches, alone);
        }
    }

    pub(super) fn has(&self, opens: Time) -> bool {
        let at = opens.micros();
        self.stretches.iter().rev().any(|s| s.has(at))
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn newest(&self) -> Option<Newest> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_has_what_was_put_and_nothing_else(
            mut put in prop::collection::vec(-40i64..40, 0..30),
            evenly in 1i64..5,
        ) {
            put.extend((0..10).map(|n| 100 + n * evenly));
            let mut settled = Settled::default();
            let mut plain = BTreeSet::new();
            for at in put {
                if plain.insert(at) {
                    settled.put(Time::from_micros(at), Time::from_micros(at + 1));
                }
            }
            for at in -50..200 {
                prop_assert_eq!(settled.has(Time::from_micros(at)), plain.contains(&at), "{}", at);
            }
            prop_assert_eq!(settled.count(), plain.len() as u64);
            let newest = settled.newest().map(|n| n.opens.micros());
            prop_assert_eq!(newest, plain.last().copied());
        }
    }

    #[test]
    fn a_rhythm_is_one_stretch() {
        let mut settled = Settled::default();
        for day in 0..400 {
            settled.put(Time::from_secs(day * 86_400), Time::MAX);
        }
        assert_eq!(settled.stretches.len(), 1);
    }
}
