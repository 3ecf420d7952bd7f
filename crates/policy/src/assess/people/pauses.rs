//! Systems for which nothing is done by itself for a while.

use std::collections::BTreeMap;

use vouchsafe_model::fact::Recorded;
use vouchsafe_model::incident::Pause;
use vouchsafe_model::{Fact, PeopleFact, SystemName, Time};

/// What is paused at `now`, by the facts recorded until then. The newest word counts; a pause ends by itself.
pub fn paused(facts: &[Recorded], now: Time) -> BTreeMap<SystemName, Pause> {
    let mut out = BTreeMap::new();
    for recorded in facts.iter().filter(|r| r.entry.at <= now) {
        match &recorded.entry.fact {
            Fact::People(PeopleFact::Paused(pause)) => {
                out.insert(pause.system.clone(), pause.clone());
            }
            Fact::People(PeopleFact::Resumed(ended)) => {
                out.retain(|system, _| system.as_str() != ended.name);
            }
            _ => {}
        }
    }
    out.retain(|_, pause| now < pause.until);
    out
}
