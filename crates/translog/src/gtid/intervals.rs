//! Sets of transaction numbers, kept as intervals.

use std::fmt;
use std::ops::RangeInclusive;

/// The greatest number that a transaction of MySQL can have. (`GNO_END` in `sql/rpl_gtid.h` is one more.)
pub const LAST_NUMBER: u64 = i64::MAX as u64 - 1;

/// A set of numbers from 1 to [`LAST_NUMBER`]: intervals in ascending order, with a gap between any two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Intervals(Vec<(u64, u64)>);

impl Intervals {
    /// Nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The intervals, first and last number of each.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = RangeInclusive<u64>> + '_ {
        self.0.iter().map(|(first, last)| *first..=*last)
    }

    /// How many numbers there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Adds an interval; false, and nothing is added, if it is none.
    pub fn insert(&mut self, first: u64, last: u64) -> bool {
        if first == 0 || first > last || last > LAST_NUMBER {
            return false;
        }
        // Those that touch it, by overlapping or by lying beside it, become one with it.
        let from = self.0.partition_point(|(_, end)| end + 1 < first);
        let until = self.0.partition_point(|(begin, _)| *begin <= last + 1);
        let touched = self.0.get(from..until).unwrap_or_default();
        let first = touched
            .first()
            .map_or(first, |(begin, _)| first.min(*begin));
        let last = touched.last().map_or(last, |(_, end)| last.max(*end));
        self.0.splice(from..until.max(from), [(first, last)]);
        true
    }

    /// Whether the number is in it.
    pub fn contains(&self, number: u64) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < number);
        self.0.get(at).is_some_and(|(first, _)| *first <= number)
    }

    /// What is in either.
    pub fn union(&self, other: &Intervals) -> Intervals {
        let mut all: Vec<(u64, u64)> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match joined.last_mut() {
                Some((_, end)) if first <= *end + 1 => *end = last.max(*end),
                _ => joined.push((first, last)),
            }
        }
        Intervals(joined)
    }

    /// What is in this and not in the other.
    pub fn subtract(&self, other: &Intervals) -> Intervals {
        let mut left = Vec::new();
        let mut others = other.0.iter().peekable();
        for (first, last) in &self.0 {
            let mut from = *first;
            while let Some((begin, end)) = others.next_if(|(_, end)| end < last) {
                if *begin > from {
                    left.push((from, begin - 1));
                }
                from = from.max(end + 1);
            }
            // This one reaches to the end or beyond, so that it may also touch what comes after.
            match others.peek() {
                Some((begin, _)) if *begin <= *last => {
                    if *begin > from {
                        left.push((from, begin - 1));
                    }
                }
                _ => left.push((from, *last)),
            }
        }
        Intervals(left)
    }

    /// What is in both.
    pub fn intersect(&self, other: &Intervals) -> Intervals {
        self.subtract(&self.subtract(other))
    }

    /// Whether everything in it is in the other.
    pub fn is_subset(&self, other: &Intervals) -> bool {
        self.subtract(other).is_empty()
    }

    /// The numbers that are missing between its first and its last.
    pub fn holes(&self) -> Intervals {
        let pairs = self.0.iter().zip(self.0.iter().skip(1));
        Intervals(
            pairs
                .map(|((_, last), (first, _))| (last + 1, first - 1))
                .collect(),
        )
    }
}

/// As in a set of GTIDs: `1-3:5`.
impl fmt::Display for Intervals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            match first == last {
                true => write!(f, "{colon}{first}")?,
                false => write!(f, "{colon}{first}-{last}")?,
            }
        }
        Ok(())
    }
}
