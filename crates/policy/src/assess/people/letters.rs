//! What is still to be sent by mail.

use std::collections::{HashMap, HashSet};

use vouchsafe_model::fact::Recorded;
use vouchsafe_model::incident::Notice;
use vouchsafe_model::{Alert, Fact, PeopleFact, Policy, Time};

use crate::assess::owed::Ledgered;
use crate::assess::people::alerts::RECENT;
use crate::assess::projection::Projection;

/// One thing that people are told, and whom the mail server has not taken it for yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter<'f> {
    /// The entry that says it.
    pub entry: u64,
    /// When that was.
    pub at: Time,
    /// Addresses.
    pub to: Vec<&'f str>,
    /// What is told.
    pub told: Told<'f>,
}

/// What a letter tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told<'f> {
    /// That something is owed.
    Notice(&'f Notice),
    /// That something happened.
    Alert(&'f Alert),
}

/// The letters that are to be sent at `now`, the oldest first: notices of what is still owed, and alerts of the last
/// three days. Who has no address gets none.
pub fn letters<'f>(policy: &Policy, facts: &'f [Recorded], now: Time) -> Vec<Letter<'f>> {
    let mut sent: HashMap<u64, HashSet<&str>> = HashMap::new();
    let mut told = Vec::new();
    for recorded in facts {
        match &recorded.entry.fact {
            Fact::People(PeopleFact::Mailed(mailed)) => {
                let refused = mailed.refused.iter().map(|r| r.to.as_str());
                let all = mailed.to.iter().map(String::as_str).chain(refused);
                sent.entry(mailed.entry).or_default().extend(all);
            }
            Fact::People(PeopleFact::Noticed(notice)) => {
                told.push((recorded, Told::Notice(notice)));
            }
            Fact::People(PeopleFact::Alerted(alert)) => {
                told.push((recorded, Told::Alert(alert)));
            }
            _ => {}
        }
    }
    if told.is_empty() {
        return Vec::new();
    }
    let projection = Projection::of(facts, now);
    let owed = Ledgered::of(policy, &projection, now);
    let open: HashSet<_> = owed.unanswered().map(|o| o.id).collect();
    let is_wanted = |recorded: &Recorded, told: &Told<'_>| match told {
        Told::Notice(notice) => open.contains(&notice.obligation),
        Told::Alert(_) => recorded.entry.at.plus(RECENT) >= now,
    };
    let wanted = told.into_iter().filter(|(at, told)| is_wanted(at, told));
    wanted
        .filter_map(|(recorded, told)| {
            let all = match told {
                Told::Notice(notice) => &notice.to,
                Told::Alert(alert) => &alert.to,
            };
            let has = sent.get(&recorded.seq);
            let is_open = |to: &&str| to.contains('@') && has.is_none_or(|has| !has.contains(to));
            let to: Vec<&str> = all.iter().map(String::as_str).filter(is_open).collect();
            (!to.is_empty()).then_some(Letter {
                entry: recorded.seq,
                at: recorded.entry.at,
                to,
                told,
            })
        })
        .collect()
}
