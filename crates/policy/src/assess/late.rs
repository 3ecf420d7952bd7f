//! Whether something happened too long ago for a rhythm. Thousands of systems share a few rhythms, and finding the
//! occurrences of one takes longer than most of what is asked of a system.

use std::cell::RefCell;
use std::collections::HashMap;

use vouchsafe_model::Time;
use vouchsafe_model::policy::ScheduleRule;

use crate::schedule::{last_where, next_end};

/// Answers for one present.
pub(super) struct Late {
    now: Time,
    /// When the last occurrence opened that is over.
    over: RefCell<HashMap<ScheduleRule, Option<Time>>>,
}

impl Late {
    pub(super) fn at(now: Time) -> Late {
        Late {
            now,
            over: RefCell::default(),
        }
    }

    /// Whether an occurrence has opened and ended since `then`.
    pub(super) fn is(&self, rule: &ScheduleRule, then: Time) -> bool {
        match self.last_over(rule) {
            Some(opened) => opened > then,
            // One that is rarer than what is looked back over.
            None => next_end(rule, then) < self.now,
        }
    }

    fn last_over(&self, rule: &ScheduleRule) -> Option<Time> {
        if let Some(known) = self.over.borrow().get(rule) {
            return *known;
        }
        let last = last_where(rule, self.now, |_, end| end < self.now);
        let opened = last.map(|(opens, _)| opens);
        self.over.borrow_mut().insert(rule.clone(), opened);
        opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::parse;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_late_once_the_next_occurrence_has_ended(
            rule in prop::sample::select(&[
                "daily at 02:00 UTC", "daily at 02:30 Europe/Berlin", "every 6 hours", "week", "month", "quarter",
                "year", "0 4 29 2 *",
            ][..]),
            now in 1_700_000_000i64..1_900_000_000,
            age in 0i64..60_000_000,
        ) {
            let rule = parse(rule).unwrap().rule;
            let (now, then) = (Time::from_secs(now), Time::from_secs(now - age));
            let late = Late::at(now);
            for then in [then, now] {
                prop_assert_eq!(late.is(&rule, then), next_end(&rule, then) < now);
            }
        }
    }
}
