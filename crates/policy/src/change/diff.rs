//! Noting what differs, value by value, and which of two values is the stricter one.

use std::cmp::Ordering;
use std::fmt::Display;

use vouchsafe_model::policy::Schedule;
use vouchsafe_model::{Alteration, Effect};

use crate::schedule::longest_gap;

/// Collects what differs.
#[derive(Default)]
pub(super) struct Diff {
    pub(super) out: Vec<Alteration>,
}

impl Diff {
    pub(super) fn say(
        &mut self,
        effect: Effect,
        place: impl Into<String>,
        what: impl Into<String>,
    ) {
        self.out.push(Alteration {
            effect,
            place: place.into(),
            what: what.into(),
        });
    }

    /// Something else of the same kind.
    pub(super) fn other<T: PartialEq>(&mut self, place: &str, old: &T, new: &T, what: &str) {
        if old != new {
            self.say(Effect::Neutral, place, what);
        }
    }

    /// Two values of which the one that `order` calls greater promises more; none promises least. Puts the one that
    /// promises more into `new`, and says whether `new` promised less.
    pub(super) fn promise<T: Clone>(
        &mut self,
        place: &str,
        name: &str,
        old: &Option<T>,
        new: &mut Option<T>,
        order: impl Fn(&T, &T) -> Ordering,
        shown: impl Fn(&T) -> String,
    ) -> bool {
        let (effect, what) = match (old, &*new) {
            (None, None) => return false,
            (None, Some(n)) => (
                Effect::Strengthens,
                format!("{name} is {}, was not said", shown(n)),
            ),
            (Some(o), None) => (
                Effect::Weakens,
                format!("{name} is not said any more, was {}", shown(o)),
            ),
            (Some(o), Some(n)) => {
                let what = format!("{name} is {}, was {}", shown(n), shown(o));
                match order(n, o) {
                    Ordering::Greater => (Effect::Strengthens, what),
                    Ordering::Less => (Effect::Weakens, what),
                    Ordering::Equal if shown(n) == shown(o) => return false,
                    Ordering::Equal => (Effect::Neutral, what),
                }
            }
        };
        self.say(effect, place, what);
        if effect == Effect::Weakens {
            new.clone_from(old);
        }
        effect == Effect::Weakens
    }

    /// The smaller promises more.
    pub(super) fn smaller<T: Clone + Ord + Display>(
        &mut self,
        place: &str,
        name: &str,
        old: &Option<T>,
        new: &mut Option<T>,
    ) -> bool {
        self.promise(place, name, old, new, |a, b| b.cmp(a), T::to_string)
    }

    /// The larger promises more.
    pub(super) fn larger<T: Clone + Ord + Display>(
        &mut self,
        place: &str,
        name: &str,
        old: &Option<T>,
        new: &mut Option<T>,
    ) -> bool {
        self.promise(place, name, old, new, T::cmp, T::to_string)
    }

    /// The more frequent promises more.
    pub(super) fn rhythm(
        &mut self,
        place: &str,
        name: &str,
        old: &Option<Schedule>,
        new: &mut Option<Schedule>,
    ) -> bool {
        let by_gap = |a: &Schedule, b: &Schedule| match a.rule == b.rule {
            true => Ordering::Equal,
            false => longest_gap(&b.rule).cmp(&longest_gap(&a.rule)),
        };
        let shown = |s: &Schedule| format!("`{}`", s.text);
        self.promise(place, name, old, new, by_gap, shown)
    }

    /// What is true promises more.
    pub(super) fn flag(&mut self, place: &str, name: &str, old: bool, new: &mut bool) {
        match (old, *new) {
            (true, false) => {
                self.say(Effect::Weakens, place, format!("no longer: {name}"));
                *new = true;
            }
            (false, true) => self.say(Effect::Strengthens, place, format!("now: {name}")),
            _ => {}
        }
    }
}
