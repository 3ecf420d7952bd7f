//! Lengths of time with calendar months, compared by what they are at least and at most.

use std::cmp::Ordering;

use vouchsafe_model::Span;
use vouchsafe_model::policy::Length;

/// The fewest days that so many calendar months may have, short months clamped, and the most.
fn days(months: u32) -> (u64, u64) {
    const LEAST: [u64; 12] = [0, 28, 59, 89, 120, 150, 181, 212, 242, 273, 303, 334];
    const MOST: [u64; 12] = [0, 31, 62, 92, 123, 153, 184, 215, 245, 276, 306, 337];
    let (years, rest) = (u64::from(months / 12), (months % 12) as usize);
    // Of four years one is a leap year, but for the turn of most centuries.
    let fewest_leaps = (years / 4).saturating_sub(1 + years / 100);
    let least = 365 * years + fewest_leaps + LEAST.get(rest).copied().unwrap_or_default();
    let most = 365 * years + years.div_ceil(4) + MOST.get(rest).copied().unwrap_or_default();
    (least, most)
}

fn least(length: Length) -> Span {
    let days = Span::from_days(days(length.months).0);
    Span::from_micros(days.micros().saturating_add(length.span.micros()))
}

fn most(length: Length) -> Span {
    let days = Span::from_days(days(length.months).1);
    Span::from_micros(days.micros().saturating_add(length.span.micros()))
}

/// Whether `a` is never shorter than `b`, wherever in the calendar both begin.
pub(super) fn is_as_long(a: Length, b: Length) -> bool {
    match a.months == b.months {
        true => a.span >= b.span,
        false => least(a) >= most(b),
    }
}

/// What a new length is to an old one: less, wherever in the calendar it may be shorter.
pub(super) fn order(new: &Length, old: &Length) -> Ordering {
    match (is_as_long(*new, *old), is_as_long(*old, *new)) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, _) => Ordering::Less,
    }
}

/// A length that is as long as either; the longer of the two, if one of them always is.
pub(super) fn later(a: Length, b: Length) -> Length {
    match (is_as_long(a, b), is_as_long(b, a)) {
        (true, _) => a,
        (false, true) => b,
        (false, false) => Length::exact(most(a).max(most(b))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_model::Time;

    #[test]
    fn months_lie_between_their_bounds_wherever_they_begin() {
        // From 2095 to 2105, over the century that is no leap year; and from 2019 to 2029.
        for start in [3_944_678_400, 1_546_300_800] {
            for months in 1..=60 {
                let length = Length {
                    months,
                    span: Span::ZERO,
                };
                for day in 0..3_653 {
                    let begin = Time::from_secs(start + day * 86_400);
                    let took = length.after(begin).since(begin);
                    assert!(
                        least(length) <= took && took <= most(length),
                        "{months} from {begin}: {took}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_may_be_shorter_is_less() {
        let months = |months| Length {
            months,
            span: Span::ZERO,
        };
        let days = |days| Length::exact(Span::from_days(days));
        for (new, old, wanted) in [
            (months(1), days(30), Ordering::Less),
            (days(30), months(1), Ordering::Less),
            (months(1), days(28), Ordering::Greater),
            (days(31), months(1), Ordering::Greater),
            (days(365), months(12), Ordering::Less),
            (months(12), months(12), Ordering::Equal),
            (months(2), months(1), Ordering::Greater),
        ] {
            assert_eq!(order(&new, &old), wanted, "{new}, was {old}");
        }
        assert_eq!(later(months(1), days(30)), days(31));
        assert_eq!(later(months(1), days(7)), months(1));
    }
}
