//! What another policy would mean for the points that there are.

use vouchsafe_model::policy::Keep;
use vouchsafe_model::{PointId, Time};

use crate::retention::{Decision, PointAge, Verdict, decide};

/// A point that one policy lets go earlier than another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Which.
    pub point: PointId,
    /// Until when the one keeps it: a time, or what it says instead of one.
    pub before: String,
    /// From when on the other lets it go; nothing if that depends on the points to come.
    pub goes: Option<Time>,
    /// Why, as a sentence.
    pub reason: String,
}

/// The points that `new` lets go earlier than `old`, in the order given; each rule with its zone of counting.
pub fn fates(
    points: &[PointAge],
    (old, old_zone): (&Keep, &str),
    (new, new_zone): (&Keep, &str),
    now: Time,
) -> Vec<Fate> {
    let before = decide(points, old, old_zone, now);
    let after = decide(points, new, new_zone, now);
    let mut out = Vec::new();
    for (before, after) in before.into_iter().zip(after) {
        let Some(goes) = earlier(before.verdict, after.verdict, now) else {
            continue;
        };
        out.push(Fate {
            point: after.id,
            before: match before.verdict {
                Verdict::KeepUntil(Time::MAX) => "without end".to_owned(),
                Verdict::KeepUntil(until) => format!("until {}", until.minute()),
                Verdict::Counted => format!("for {}", before.reason),
                Verdict::Held => before.reason,
                Verdict::ExpireNow => continue,
            },
            goes,
            reason: after.reason,
        });
    }
    out
}

/// When the second verdict lets go what the first keeps for longer; nothing if it does not.
fn earlier(before: Verdict, after: Verdict, now: Time) -> Option<Option<Time>> {
    match (before, after) {
        (Verdict::ExpireNow, _) => None,
        (_, Verdict::ExpireNow) => Some(Some(now)),
        (Verdict::KeepUntil(before), Verdict::KeepUntil(after)) => {
            (after < before).then_some(Some(after))
        }
        (Verdict::KeepUntil(Time::MAX), Verdict::Counted) => Some(None),
        (Verdict::Counted | Verdict::Held, Verdict::KeepUntil(_) | Verdict::Counted) => None,
        (Verdict::KeepUntil(_), Verdict::Counted) | (_, Verdict::Held) => None,
    }
}

/// A decision by several rules that bind at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joint {
    /// What the first rule decides, unless it lets go what another one keeps: then that one's.
    pub decision: Decision,
    /// Whether the first rule alone would let it go.
    pub kept_by_other: bool,
}

/// Decides by every rule, each with its zone of counting, in the order given: a point stays if any of them keeps it.
/// Without any rule nothing goes.
pub fn decide_by_all(points: &[PointAge], rules: &[(&Keep, &str)], now: Time) -> Vec<Joint> {
    let unsaid = Keep::default();
    let (first, others) = match rules.split_first() {
        Some((first, others)) => (*first, others),
        None => ((&unsaid, "UTC"), rules),
    };
    let mut out: Vec<Joint> = decide(points, first.0, first.1, now)
        .into_iter()
        .map(|decision| Joint {
            decision,
            kept_by_other: false,
        })
        .collect();
    for (keep, zone) in others {
        for (joint, other) in out.iter_mut().zip(decide(points, keep, zone, now)) {
            if joint.decision.verdict == Verdict::ExpireNow && other.verdict != Verdict::ExpireNow {
                *joint = Joint {
                    decision: other,
                    kept_by_other: true,
                };
            }
        }
    }
    out
}
