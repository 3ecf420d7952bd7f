//! Copies that were let go and removed, in some bytes each: enough to ask again whether one went too early.

use vouchsafe_model::policy::Length;
use vouchsafe_model::{Span, Time};

use crate::assess::projection::ids::Name;

/// One fact by which copies in one vault were let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) at: Time,
    pub(super) vault: Name,
}

/// One copy that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone {
    /// The number of the fact that let it go.
    pub(super) event: u32,
    /// When its point was complete.
    pub(super) completed: Time,
    /// Whether what only it held had to be gone from the vault.
    pub(super) erase: bool,
}

/// Those of one protection, as differences from one to the next: copies of one point come after each other, and points
/// at even distances, so these are small.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Past {
    bytes: Vec<u8>,
    count: u32,
    last: Last,
    /// The least age at which one was let go.
    least: Option<Span>,
    /// Whether any of them had to be erased.
    erased: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Last {
    event: i64,
    completed: i64,
    step: i64,
}

impl Past {
    pub(super) fn put(&mut self, gone: Gone, at: Time) {
        let age = at.since(gone.completed);
        // What was let go before it was complete counts as of no age.
        self.least = Some(self.least.map_or(age, |least| least.min(age)));
        self.erased |= gone.erase;
        self.count = self.count.saturating_add(1);
        let event = i64::from(gone.event);
        let step = gone.completed.micros().wrapping_sub(self.last.completed);
        let turned = zigzag(event.wrapping_sub(self.last.event));
        let flags = u128::from(u8::from(step == 0) << 1 | u8::from(gone.erase));
        write(&mut self.bytes, (turned << 2) | flags);
        self.last.event = event;
        if step != 0 {
            write(&mut self.bytes, zigzag(step.wrapping_sub(self.last.step)));
            (self.last.completed, self.last.step) = (gone.completed.micros(), step);
        }
    }

    pub(super) fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    pub(super) fn any_erased(&self) -> bool {
        self.erased
    }

    /// Whether all were at least as old as any `length` can be when they were let go.
    pub(super) fn all_older_than(&self, length: Length) -> bool {
        // No month has more than 31 days; one more day is for clocks of leap seconds and the like.
        let days = u64::from(length.months)
            .saturating_mul(31)
            .saturating_add(1);
        let most = Span::from_days(days).micros();
        let most = most.saturating_add(length.span.micros());
        self.least.is_none_or(|least| least.micros() > most)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Gone> + '_ {
        let mut rest = self.bytes.as_slice();
        let mut last = Last::default();
        std::iter::from_fn(move || {
            let first = read(&mut rest)?;
            last.event = last.event.wrapping_add(unzigzag(first >> 2));
            if first & 2 == 0 {
                let change = unzigzag(read(&mut rest)?);
                last.step = last.step.wrapping_add(change);
                last.completed = last.completed.wrapping_add(last.step);
            }
            Some(Gone {
                event: u32::try_from(last.event).unwrap_or(u32::MAX),
                completed: Time::from_micros(last.completed),
                erase: first & 1 == 1,
            })
        })
    }
}

fn zigzag(number: i64) -> u128 {
    u128::from(((number << 1) ^ (number >> 63)).cast_unsigned())
}

fn unzigzag(number: u128) -> i64 {
    let low = u64::try_from(number & u128::from(u64::MAX)).unwrap_or(0);
    (low >> 1).cast_signed() ^ (low & 1).cast_signed().wrapping_neg()
}

/// Seven bits a byte, the lowest first.
fn write(bytes: &mut Vec<u8>, mut number: u128) {
    if bytes.capacity() - bytes.len() < 20 {
        bytes.reserve_exact(bytes.len() / 8 + 20);
    }
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn read(bytes: &mut &[u8]) -> Option<u128> {
    let mut number = 0;
    for shift in (0..).step_by(7).take(11) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u128::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_is_put_comes_back(
            all in prop::collection::vec((any::<u32>(), any::<i64>(), any::<bool>()), 0..20),
        ) {
            let all: Vec<Gone> = all
                .into_iter()
                .map(|(event, at, erase)| Gone { event, completed: Time::from_micros(at), erase })
                .collect();
            let mut past = Past::default();
            for one in &all {
                past.put(*one, Time::from_secs(0));
            }
            prop_assert_eq!(past.len(), all.len());
            prop_assert_eq!(past.iter().collect::<Vec<_>>(), all);
        }
    }

    #[test]
    fn daily_points_take_a_few_bytes_each() {
        let mut past = Past::default();
        for day in 0..100u32 {
            let completed = Time::from_secs(i64::from(day) * 86_400);
            let gone = Gone {
                event: day,
                completed,
                erase: false,
            };
            past.put(gone, completed.plus(Span::from_days(35)));
        }
        assert!(past.bytes.len() < 220, "{}", past.bytes.len());
        assert!(past.all_older_than(Length::exact(Span::from_days(33))));
        assert!(!past.all_older_than(Length::exact(Span::from_days(35))));
        assert!(past.all_older_than(Length {
            months: 1,
            span: Span::ZERO
        }));
    }
}
