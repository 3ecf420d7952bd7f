//! Which points are kept until when, and why; never a deed.

use std::collections::HashMap;

use jiff::Zoned;
use jiff::tz::TimeZone;
use vouchsafe_model::policy::{Keep, Length, ScheduleRule};
use vouchsafe_model::{PointId, Protection, Time};

use crate::schedule::calendar::zone;

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
    /// It stays for as long as a rule counts it.
    Counted,
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
    /// Whether it is as old as the policy allows at most: then what only it holds must be gone.
    pub erase: bool,
}

/// Decides on every point of one protection, in the order given.
///
/// `points` must be points that the ledger knows: what is not named here is not decided on, counts for nothing and
/// stays. A point stays if any rule keeps it: `at_least`, or one that counts. `at_most` bounds all of them, unless
/// `at_least` is longer. A legal hold outlasts every rule, and the newest complete point is never let go. Without any
/// rule, nothing ever goes.
///
/// Counting begins with the newest complete point: of each hour, day, week, month or year in `zone` (a name of the
/// IANA database; unknown ones count as UTC) that has any, the newest counts, until there are as many as asked for.
pub fn decide(points: &[PointAge], keep: &Keep, zone: &str, now: Time) -> Vec<Decision> {
    let case = Case::of(points, keep, zone, now);
    points.iter().map(|point| case.decide(point)).collect()
}

/// How many of these points stay by [`decide`].
pub(crate) fn how_many_stay(points: &[PointAge], keep: &Keep, zone: &str, now: Time) -> usize {
    let case = Case::of(points, keep, zone, now);
    let staying = points.iter().map(|point| case.judge(point).0);
    staying
        .filter(|verdict| *verdict != Verdict::ExpireNow)
        .count()
}

/// When a point completed at `completed` should go by its age: `at_most`, or `at_least` where that alone is given
/// or is the longer one. Nothing if the policy sets no end.
pub fn end_of(completed: Time, keep: &Keep) -> Option<Time> {
    let after = |length: Length| length.after(completed);
    match (keep.at_least.map(after), keep.at_most.map(after)) {
        (Some(least), Some(most)) => Some(least.max(most)),
        (least, most) => most.or(least),
    }
}

/// The time zone by which the points of a protection are counted: its schedule's.
pub fn zone_of(protection: &Protection) -> &str {
    match protection.schedule.as_ref().map(|s| &s.rule) {
        Some(ScheduleRule::Cron { zone, .. }) => zone,
        _ => "UTC",
    }
}

struct Case<'a> {
    keep: &'a Keep,
    now: Time,
    /// The newest complete point.
    newest: Option<&'a PointAge>,
    /// Why a rule counts a point.
    counted: HashMap<&'a PointId, Vec<String>>,
}

/// Why a point stays or goes.
enum Why<'c> {
    NoEnd,
    Age,
    Hold(&'c str),
    Newest,
    Old,
    Counted(&'c [String]),
    Incomplete,
    NotCounted,
}

impl<'a> Case<'a> {
    fn of(points: &'a [PointAge], keep: &'a Keep, zone: &str, now: Time) -> Case<'a> {
        let mut complete: Vec<&PointAge> = points.iter().filter(|p| p.complete).collect();
        complete.sort_by(|a, b| (b.completed, &b.id).cmp(&(a.completed, &a.id)));
        Case {
            keep,
            now,
            newest: complete.first().copied(),
            counted: counted(&complete, keep, zone),
        }
    }

    fn decide(&self, point: &PointAge) -> Decision {
        let (verdict, why) = self.judge(point);
        let most = self.keep.at_most.map(|most| most.after(point.completed));
        Decision {
            id: point.id.clone(),
            erase: verdict == Verdict::ExpireNow && most.is_some_and(|most| most <= self.now),
            verdict,
            reason: self.words(point, &why),
        }
    }

    fn judge<'c>(&'c self, point: &'c PointAge) -> (Verdict, Why<'c>) {
        let (keep, now) = (self.keep, self.now);
        if keep.is_unsaid() {
            return (Verdict::KeepUntil(Time::MAX), Why::NoEnd);
        }
        let least = keep.at_least.map(|least| least.after(point.completed));
        let end = end_of(point.completed, keep);
        // Ages alone keep up to the end; with counting, only `at_least` keeps by age.
        let kept_until = if keep.counts.is_empty() { end } else { least };
        if let Some(until) = kept_until.filter(|until| now < *until) {
            return (Verdict::KeepUntil(until), Why::Age);
        }
        if let Some(hold) = point.holds.first() {
            return (Verdict::Held, Why::Hold(hold));
        }
        if self.newest.is_some_and(|newest| newest.id == point.id) {
            return (Verdict::Held, Why::Newest);
        }
        let over = keep.at_most.and(end).is_some_and(|end| end <= now);
        if over || keep.counts.is_empty() {
            return (Verdict::ExpireNow, Why::Old);
        }
        if let Some(why) = self.counted.get(&point.id) {
            return (Verdict::Counted, Why::Counted(why));
        }
        let newer = |newest: &PointAge| newest.completed < point.completed;
        if !point.complete && self.newest.is_none_or(newer) {
            return (Verdict::Counted, Why::Incomplete);
        }
        (Verdict::ExpireNow, Why::NotCounted)
    }

    fn words(&self, point: &PointAge, why: &Why<'_>) -> String {
        let keep = self.keep;
        let age = self.now.since(point.completed);
        match why {
            Why::NoEnd => "the policy sets no end".to_owned(),
            Why::Age => {
                let since = point.completed.minute();
                format!("{}, counted from completion at {since}", rule(keep))
            }
            Why::Hold(hold) => format!("under legal hold {hold}, though {age} old"),
            Why::Newest => format!("the newest complete point is never let go, though {age} old"),
            Why::Old => format!("{age} old; {}", rule(keep)),
            Why::Counted(why) => why.join(", "),
            Why::Incomplete => "not complete, and no complete point followed yet".to_owned(),
            Why::NotCounted => format!("{age} old; not among {}", keep.counts),
        }
    }
}

/// Why each point is counted that is; `complete` comes newest first.
fn counted<'a>(
    complete: &[&'a PointAge],
    keep: &Keep,
    zone_name: &str,
) -> HashMap<&'a PointId, Vec<String>> {
    let zone = zone(zone_name).unwrap_or(TimeZone::UTC);
    let mut out: HashMap<&PointId, Vec<String>> = HashMap::new();
    for (word, wanted) in keep.counts.rules() {
        let (mut found, mut last) = (0, None);
        for (at, point) in complete.iter().enumerate() {
            if found == wanted {
                break;
            }
            let local = point.completed.to_timestamp().to_zoned(zone.clone());
            let period = period(word, &local, at);
            if last.as_ref() == Some(&period) {
                continue;
            }
            last = Some(period);
            found += 1;
            let why = format!("{word} {found} of {wanted}");
            out.entry(&point.id).or_default().push(why);
        }
    }
    out
}

/// What names the period of a rule in which a point lies. Each point is a period of its own for `last`.
fn period(word: &str, local: &Zoned, at: usize) -> (i64, i64, i64) {
    let (year, month, day) = (
        i64::from(local.year()),
        i64::from(local.month()),
        i64::from(local.day()),
    );
    match word {
        // An hour that comes twice when clocks are set back is two hours.
        "hourly" => {
            let offset = i64::from(local.offset().seconds());
            let hour = (month * 32 + day) * 24 + i64::from(local.hour());
            (year, hour, offset)
        }
        "daily" => (year, month, day),
        "weekly" => {
            let week = local.date().iso_week_date();
            (i64::from(week.year()), i64::from(week.week()), 0)
        }
        "monthly" => (year, month, 0),
        "yearly" => (year, 0, 0),
        _ => (i64::try_from(at).unwrap_or(i64::MAX), -1, -1),
    }
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
    use vouchsafe_model::policy::KeepCounts;

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
        decide(points, keep, "UTC", at(day))
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
        let decisions = decide(&[held, point("b", 3, true)], &keep, "UTC", at(3));
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

    fn counts() -> impl Strategy<Value = KeepCounts> {
        let n = || proptest::option::of(1u32..6);
        (n(), n(), n(), n(), n(), n()).prop_map(|(last, hourly, daily, weekly, monthly, yearly)| {
            KeepCounts {
                last,
                hourly,
                daily,
                weekly,
                monthly,
                yearly,
            }
        })
    }

    fn timed(times: &[&str]) -> Vec<PointAge> {
        let point = |(n, time): (usize, &&str)| PointAge {
            id: PointId::new(format!("p{n:03}")).unwrap(),
            completed: time.parse().unwrap(),
            complete: true,
            holds: Vec::new(),
        };
        times.iter().enumerate().map(point).collect()
    }

    /// Which of the times stay.
    fn stay<'t>(times: &[&'t str], counts: KeepCounts, zone: &str) -> Vec<&'t str> {
        let keep = Keep {
            counts,
            ..Keep::default()
        };
        let decisions = decide(&timed(times), &keep, zone, Time::MAX);
        let kept = decisions.iter().zip(times);
        kept.filter(|(d, _)| d.verdict != Verdict::ExpireNow)
            .map(|(_, time)| *time)
            .collect()
    }

    #[test]
    fn the_newest_of_each_day_by_the_clock_on_the_wall() {
        // In New York the second and the third lie on one day, the others on the days around it.
        let times = [
            "2026-03-08T04:30:00Z",
            "2026-03-08T05:30:00Z",
            "2026-03-09T03:30:00Z",
            "2026-03-09T04:30:00Z",
        ];
        let two_days = KeepCounts {
            daily: Some(2),
            ..KeepCounts::default()
        };
        assert_eq!(stay(&times, two_days, "UTC"), [times[1], times[3]]);
        // 2026-03-08 there begins at 05:00Z and, as clocks go forward, ends at 04:00Z.
        assert_eq!(
            stay(&times, two_days, "America/New_York"),
            [times[2], times[3]]
        );
        // The hour from 01:00 comes twice on 2026-11-01: at 05:00Z and at 06:00Z.
        let twice = [
            "2026-11-01T05:30:00Z",
            "2026-11-01T06:30:00Z",
            "2026-11-01T06:45:00Z",
        ];
        let hours = KeepCounts {
            hourly: Some(9),
            ..KeepCounts::default()
        };
        assert_eq!(
            stay(&twice, hours, "America/New_York"),
            [twice[0], twice[2]]
        );
    }

    #[test]
    fn weeks_months_and_years_are_counted_from_the_newest_and_gaps_do_not_count() {
        let times = [
            "2023-06-01T00:00:00Z",
            "2024-12-30T12:00:00Z",
            "2025-01-01T12:00:00Z",
            "2025-01-31T12:00:00Z",
            "2025-03-01T12:00:00Z",
        ];
        let of = |weekly, monthly, yearly| KeepCounts {
            weekly,
            monthly,
            yearly,
            ..KeepCounts::default()
        };
        // 2024-12-30 lies in the first ISO week of 2025.
        assert_eq!(
            stay(&times, of(Some(3), None, None), "UTC"),
            [times[2], times[3], times[4]]
        );
        assert_eq!(
            stay(&times, of(None, Some(3), None), "UTC"),
            [times[1], times[3], times[4]]
        );
        assert_eq!(
            stay(&times, of(None, None, Some(9)), "UTC"),
            [times[0], times[1], times[4]]
        );
        let all = of(Some(1), Some(2), Some(2));
        assert_eq!(stay(&times, all, "UTC"), [times[1], times[3], times[4]]);
    }

    #[test]
    fn at_most_bounds_what_is_counted_and_at_least_keeps_what_is_not() {
        let keep = Keep {
            at_least: days(2),
            at_most: days(20),
            counts: KeepCounts {
                last: Some(1),
                weekly: Some(9),
                ..KeepCounts::default()
            },
            ..Keep::default()
        };
        let points: Vec<PointAge> = (0..30)
            .map(|n| point(&format!("p{n:02}"), n, true))
            .collect();
        let verdicts = verdicts(&points, &keep, 30);
        let kept: Vec<u64> = (0..30)
            .filter(|n| verdicts[*n as usize] != Verdict::ExpireNow)
            .collect();
        // 1970-01-01 was a Thursday, so weeks end on days 3, 10, 17, 24; days 3 and 10 are beyond `at_most`.
        assert_eq!(kept, [17, 24, 29]);
        let decisions = decide(&points, &keep, "UTC", at(30));
        assert!(decisions[10].erase && !decisions[28].erase);
        assert_eq!(decisions[17].reason, "weekly 3 of 9");
        assert_eq!(decisions[28].reason, "2d old; not among last 1, weekly 9");
        // Before a complete one follows, an incomplete point is all there is of its time.
        let mut incomplete = points.clone();
        incomplete.push(point("q", 30, false));
        let young = decide(&incomplete, &keep, "UTC", at(40)).pop().unwrap();
        assert_eq!(young.verdict, Verdict::Counted, "{}", young.reason);
    }

    proptest! {
        #[test]
        fn as_many_are_kept_as_there_are_periods_and_no_more(
            hours in proptest::collection::btree_set(0u64..9_000, 0..60),
            wanted in 1u32..12,
        ) {
            let points: Vec<PointAge> = hours.iter().map(|hour| {
                let mut p = point(&format!("p{hour}"), 0, true);
                p.completed = Time::from_secs(1_700_000_000).plus(Span::from_hours(*hour));
                p
            }).collect();
            for (zone, word) in [("UTC", "daily"), ("Pacific/Apia", "daily"), ("Europe/London", "monthly")] {
                let mut counts = KeepCounts::default();
                match word {
                    "daily" => counts.daily = Some(wanted),
                    _ => counts.monthly = Some(wanted),
                }
                let keep = Keep { counts, ..Keep::default() };
                let tz = crate::schedule::calendar::zone(zone).unwrap();
                let name = |p: &PointAge| {
                    let local = p.completed.to_timestamp().to_zoned(tz.clone());
                    match word {
                        "daily" => local.strftime("%F").to_string(),
                        _ => local.strftime("%Y-%m").to_string(),
                    }
                };
                let kept: Vec<&PointAge> = decide(&points, &keep, zone, Time::MAX).iter().zip(&points)
                    .filter(|(d, _)| d.verdict != Verdict::ExpireNow).map(|(_, p)| p).collect();
                let mut periods: Vec<String> = points.iter().map(name).collect();
                periods.dedup();
                prop_assert_eq!(kept.len(), periods.len().min(wanted as usize));
                let newest: Vec<String> = periods.iter().rev().take(wanted as usize).rev().cloned().collect();
                prop_assert_eq!(kept.iter().map(|p| name(p)).collect::<Vec<_>>(), newest);
                for p in kept {
                    let last = points.iter().filter(|q| name(q) == name(p)).map(|q| q.completed).max();
                    prop_assert_eq!(Some(p.completed), last);
                }
            }
        }

        #[test]
        fn never_too_early_and_never_the_newest(
            ages in proptest::collection::vec((0u64..400, any::<bool>(), any::<bool>()), 0..30),
            least in proptest::option::of(0u64..200),
            most in proptest::option::of(0u64..200),
            counts in counts(),
            now in 0u64..500,
        ) {
            let keep = Keep { at_least: least.and_then(days), at_most: most.and_then(days), counts, ..Keep::default() };
            let points: Vec<PointAge> = ages.iter().enumerate().map(|(n, (day, complete, held))| {
                let mut p = point(&format!("p{n}"), *day, *complete);
                if *held { p.holds.push("h".into()); }
                p
            }).collect();
            let decisions = decide(&points, &keep, "UTC", at(now));
            prop_assert_eq!(decisions.len(), points.len());
            let gone: Vec<_> = decisions.iter().zip(&points).filter(|(d, _)| d.verdict == Verdict::ExpireNow).collect();
            for (d, p) in &gone {
                prop_assert!(p.holds.is_empty());
                prop_assert!(least.is_none_or(|l| at(now).since(p.completed) >= Span::from_days(l)), "{}", d.reason);
                prop_assert!(!keep.is_unsaid());
                prop_assert_eq!(d.erase, most.is_some_and(|m| p.completed.plus(Span::from_days(m)) <= at(now)));
            }
            if let Some(best) = points.iter().filter(|p| p.complete).map(|p| p.completed).max() {
                let kept = decisions.iter().zip(&points)
                    .any(|(d, p)| p.complete && p.completed == best && d.verdict != Verdict::ExpireNow);
                prop_assert!(kept);
            }
        }
    }
}
