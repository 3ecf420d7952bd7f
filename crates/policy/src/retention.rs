//! Which points are kept until when, and why; never a deed.

use vouchsafe_model::policy::{Keep, Length};
use vouchsafe_model::{PointId, Time};

/// A point that the ledger knows, as retention sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointAge {
    /// Which.
    pub id: PointId,
    /// When it was complete and read back; ages are counted from here.
    pub completed: Time,
    /// Whether everything was captured; an incomplete point never stands in for a complete one.
    pub complete: bool,
    /// The names of the legal holds on it.
    pub holds: Vec<String>,
}

/// What is to become of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays at least until this time; [`Time::MAX`] where the policy sets no end.
    KeepUntil(Time),
    /// It may go, and should.
    ExpireNow,
    /// It stays for as long as it is held, or because it is the newest complete one.
    Held,
}

/// The decision on one point, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which.
    pub id: PointId,
    /// What is to become of it.
    pub verdict: Verdict,
    /// Why, as a sentence.
    pub reason: String,
}

/// Decides on every point of one protection, in the order given.
///
/// `points` must be points that the ledger knows: what is not named here is not decided on and stays.
/// The newest complete point is never let go. With `at_most` a point goes once it is that old; with
/// `at_least` alone, once it is older than that. Without either, nothing ever goes.
pub fn decide(points: &[PointAge], keep: &Keep, now: Time) -> Vec<Decision> {
    let newest = points
        .iter()
        .filter(|p| p.complete)
        .max_by(|a, b| (a.completed, &a.id).cmp(&(b.completed, &b.id)))
        .map(|p| &p.id);
    points
        .iter()
        .map(|point| {
            let (verdict, reason) = judge(point, newest == Some(&point.id), keep, now);
            Decision {
                id: point.id.clone(),
                verdict,
                reason,
            }
        })
        .collect()
}

/// When a point completed at `completed` should go: `at_most`, or `at_least` where that alone is given
/// or is the longer one. Nothing if the policy sets no end.
pub fn end_of(completed: Time, keep: &Keep) -> Option<Time> {
    let after = |length: Length| length.after(completed);
    match (keep.at_least.map(after), keep.at_most.map(after)) {
        (Some(least), Some(most)) => Some(least.max(most)),
        (least, most) => most.or(least),
    }
}

fn judge(point: &PointAge, newest: bool, keep: &Keep, now: Time) -> (Verdict, String) {
    let age = now.since(point.completed);
    let Some(end) = end_of(point.completed, keep) else {
        return (
            Verdict::KeepUntil(Time::MAX),
            "the policy sets no end".to_owned(),
        );
    };
    if now < end {
        return (
            Verdict::KeepUntil(end),
            format!(
                "{}, counted from completion at {}",
                rule(keep),
                point.completed.minute()
            ),
        );
    }
    if let Some(hold) = point.holds.first() {
        return (
            Verdict::Held,
            format!("under legal hold {hold}, though {age} old"),
        );
    }
    if newest {
        return (
            Verdict::Held,
            format!("the newest complete point is never let go, though {age} old"),
        );
    }
    (Verdict::ExpireNow, format!("{age} old; {}", rule(keep)))
}

fn rule(keep: &Keep) -> String {
    match (keep.at_least, keep.at_most) {
        (Some(least), Some(most)) if least.roughly() > most.roughly() => {
            format!("kept at least {least}, which outlasts at most {most}")
        }
        (Some(least), Some(most)) => format!("kept at least {least} and at most {most}"),
        (Some(least), None) => format!("kept at least {least}"),
        (None, Some(most)) => format!("kept at most {most}"),
        (None, None) => "kept without end".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vouchsafe_model::Span;

    fn days(n: u64) -> Option<Length> {
        Some(Length::exact(Span::from_days(n)))
    }

    fn point(id: &str, day: u64, complete: bool) -> PointAge {
        PointAge {
            id: PointId::new(id).unwrap(),
            completed: Time::from_secs(0).plus(Span::from_days(day)),
            complete,
            holds: Vec::new(),
        }
    }

    fn at(day: u64) -> Time {
        Time::from_secs(0).plus(Span::from_days(day))
    }

    fn verdicts(points: &[PointAge], keep: &Keep, day: u64) -> Vec<Verdict> {
        decide(points, keep, at(day))
            .into_iter()
            .map(|d| d.verdict)
            .collect()
    }

    #[test]
    fn goes_on_the_last_day_and_not_before() {
        let keep = Keep {
            at_most: days(35),
            ..Keep::default()
        };
        let points = [point("a", 0, true), point("b", 1, true)];
        assert_eq!(
            verdicts(&points, &keep, 34),
            [Verdict::KeepUntil(at(35)), Verdict::KeepUntil(at(36))]
        );
        assert_eq!(
            verdicts(&points, &keep, 35),
            [Verdict::ExpireNow, Verdict::KeepUntil(at(36))]
        );
    }

    #[test]
    fn the_newest_complete_point_stays() {
        let keep = Keep {
            at_least: days(1),
            at_most: days(2),
            ..Keep::default()
        };
        let points = [
            point("a", 0, true),
            point("b", 1, true),
            point("c", 2, false),
        ];
        assert_eq!(
            verdicts(&points, &keep, 90),
            [Verdict::ExpireNow, Verdict::Held, Verdict::ExpireNow]
        );
    }

    #[test]
    fn holds_and_endless_rules_keep() {
        let mut held = point("a", 0, true);
        held.holds.push("case-7".into());
        let keep = Keep {
            at_most: days(1),
            ..Keep::default()
        };
        let decisions = decide(&[held, point("b", 3, true)], &keep, at(3));
        assert_eq!(decisions[0].verdict, Verdict::Held);
        assert!(decisions[0].reason.contains("case-7"));
        assert_eq!(
            verdicts(
                &[point("a", 0, true), point("b", 1, true)],
                &Keep::default(),
                9000
            )[0],
            Verdict::KeepUntil(Time::MAX)
        );
    }

    #[test]
    fn at_least_wins_over_a_shorter_at_most() {
        let keep = Keep {
            at_least: days(30),
            at_most: days(7),
            ..Keep::default()
        };
        assert_eq!(
            verdicts(&[point("a", 0, true), point("b", 1, true)], &keep, 20)[0],
            Verdict::KeepUntil(at(30))
        );
    }

    #[test]
    fn months_are_calendar_months() {
        let month = Length {
            months: 1,
            span: Span::ZERO,
        };
        let keep = Keep {
            at_most: Some(month),
            ..Keep::default()
        };
        let mut a = point("a", 0, true);
        a.completed = "2026-01-31T04:00:00Z".parse().unwrap();
        assert_eq!(
            end_of(a.completed, &keep),
            Some("2026-02-28T04:00:00Z".parse().unwrap())
        );
    }

    proptest! {
        #[test]
        fn never_too_early_and_never_the_newest(
            ages in proptest::collection::vec((0u64..400, any::<bool>(), any::<bool>()), 0..30),
            least in proptest::option::of(0u64..200),
            most in proptest::option::of(0u64..200),
            now in 0u64..500,
        ) {
            let keep = Keep { at_least: least.and_then(days), at_most: most.and_then(days), grace: None };
            let points: Vec<PointAge> = ages.iter().enumerate().map(|(n, (day, complete, held))| {
                let mut p = point(&format!("p{n}"), *day, *complete);
                if *held { p.holds.push("h".into()); }
                p
            }).collect();
            let decisions = decide(&points, &keep, at(now));
            prop_assert_eq!(decisions.len(), points.len());
            let gone: Vec<_> = decisions.iter().zip(&points).filter(|(d, _)| d.verdict == Verdict::ExpireNow).collect();
            for (d, p) in &gone {
                prop_assert!(p.holds.is_empty());
                prop_assert!(least.is_none_or(|l| at(now).since(p.completed) >= Span::from_days(l)), "{}", d.reason);
                prop_assert!(least.is_some() || most.is_some());
            }
            if let Some(best) = points.iter().filter(|p| p.complete).map(|p| p.completed).max() {
                let kept = decisions.iter().zip(&points)
                    .any(|(d, p)| p.complete && p.completed == best && d.verdict != Verdict::ExpireNow);
                prop_assert!(kept);
            }
        }
    }
}
