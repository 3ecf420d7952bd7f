//! Which legal holds are in force, by the facts alone.

use std::collections::BTreeMap;

use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::{Hold, HoldName, PointId, SystemName, Time};

/// The holds in force at one time.
#[derive(Clone, Debug, Default)]
pub struct Holds<'f> {
    in_force: BTreeMap<&'f HoldName, &'f Hold>,
}

impl<'f> Holds<'f> {
    /// Reads the facts recorded up to `now`. A hold is in force from its recording on, until it is released or its own
    /// end has come.
    pub fn of(facts: &'f [Recorded], now: Time) -> Holds<'f> {
        let mut in_force = BTreeMap::new();
        for recorded in facts.iter().filter(|r| r.entry.at <= now) {
            match &recorded.entry.fact {
                Fact::Held(hold) => {
                    in_force.insert(&hold.name, hold);
                }
                Fact::HoldReleased(release) => {
                    in_force.remove(&release.name);
                }
                _ => {}
            }
        }
        in_force.retain(|_, hold| hold.until.is_none_or(|until| now < until));
        Holds { in_force }
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &'f Hold> + '_ {
        self.in_force.values().copied()
    }

    /// The one of that name.
    pub fn get(&self, name: &HoldName) -> Option<&'f Hold> {
        self.in_force.get(name).copied()
    }

    /// The names of those on a point of a system.
    pub fn on(&self, point: &PointId, system: &SystemName) -> Vec<String> {
        self.iter()
            .filter(|hold| hold.keeps(point, system))
            .map(|hold| hold.name.to_string())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_model::{Entry, HoldRelease};

    fn hold(name: &str, points: &[&str], systems: &[&str], until: Option<i64>) -> Fact {
        Fact::Held(Hold {
            name: HoldName::new(name).unwrap(),
            points: points.iter().map(|p| PointId::new(*p).unwrap()).collect(),
            systems: systems
                .iter()
                .map(|s| SystemName::new(*s).unwrap())
                .collect(),
            by: "counsel".into(),
            reason: "litigation".into(),
            since: Time::from_secs(0),
            until: until.map(Time::from_secs),
        })
    }

    fn release(name: &str) -> Fact {
        Fact::HoldReleased(HoldRelease {
            name: HoldName::new(name).unwrap(),
            by: "counsel".into(),
            reason: "over".into(),
        })
    }

    /// One fact each ten seconds.
    fn record(facts: Vec<Fact>) -> Vec<Recorded> {
        (0..)
            .zip(facts)
            .map(|(seq, fact)| Recorded {
                seq,
                entry: Entry {
                    v: 1,
                    at: Time::from_secs(seq as i64 * 10),
                    actor: String::new(),
                    tool: String::new(),
                    fact,
                },
            })
            .collect()
    }

    fn on(facts: &[Recorded], point: &str, system: &str, now: i64) -> Vec<String> {
        let (point, system) = (
            PointId::new(point).unwrap(),
            SystemName::new(system).unwrap(),
        );
        Holds::of(facts, Time::from_secs(now)).on(&point, &system)
    }

    #[test]
    fn a_hold_is_in_force_until_it_is_released_or_ends() {
        let facts = record(vec![
            hold("case-1", &["p-1"], &[], None),
            hold("case-2", &[], &["shop"], Some(100)),
            release("case-1"),
            hold("case-1", &["p-2"], &[], None),
        ]);
        assert_eq!(on(&facts, "p-1", "shop", 15), ["case-1", "case-2"]);
        assert_eq!(on(&facts, "p-9", "shop", 5), [""; 0]);
        assert_eq!(on(&facts, "p-9", "shop", 99), ["case-2"]);
        assert_eq!(on(&facts, "p-9", "shop", 100), [""; 0]);
        // The name is free again once it is released.
        assert_eq!(on(&facts, "p-1", "site", 40), [""; 0]);
        assert_eq!(on(&facts, "p-2", "site", 40), ["case-1"]);
    }
}
