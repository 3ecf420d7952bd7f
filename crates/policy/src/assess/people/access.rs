//! Rights that are given for a time: who may ask, who may give, what is in force.

use vouchsafe_model::fact::Recorded;
use vouchsafe_model::people::People;
use vouchsafe_model::people_assessment::{AccessStanding, AccessState};
use vouchsafe_model::{Fact, PeopleFact, Span, Time};

/// Every right that somebody asked for up to `now`: those in force first, then open requests, then the newest.
///
/// What is given, denied or ended belongs to the newest request of its name.
pub fn accesses(facts: &[Recorded], now: Time) -> Vec<AccessState> {
    let mut all: Vec<AccessState> = Vec::new();
    for recorded in facts.iter().filter(|r| r.entry.at <= now) {
        let at = recorded.entry.at;
        let Fact::People(fact) = &recorded.entry.fact else {
            continue;
        };
        match fact {
            PeopleFact::AccessAsked(asked) => all.push(AccessState {
                name: asked.name.clone(),
                right: asked.right.clone(),
                by: asked.by.clone(),
                at,
                length: asked.length,
                reason: asked.reason.clone(),
                approved_by: None,
                until: None,
                standing: AccessStanding::Asked,
            }),
            PeopleFact::AccessGiven(given) => {
                if let Some(one) = newest(&mut all, &given.name)
                    && one.standing == AccessStanding::Asked
                {
                    one.approved_by = Some(given.approved_by.clone());
                    one.until = Some(given.until);
                    one.standing = AccessStanding::InForce;
                }
            }
            PeopleFact::AccessEnded(ended) => {
                let one = newest(&mut all, &ended.name);
                if let Some(one) = one.filter(|o| o.until.is_none_or(|until| at < until)) {
                    one.until = Some(at);
                    one.standing = AccessStanding::Ended;
                }
            }
            _ => {}
        }
    }
    for one in &mut all {
        if one.standing == AccessStanding::InForce && one.until.is_some_and(|until| until <= now) {
            one.standing = AccessStanding::Over;
        }
    }
    all.sort_by_key(|a| (a.standing, std::cmp::Reverse(a.at)));
    all
}

fn newest<'a>(all: &'a mut [AccessState], name: &str) -> Option<&'a mut AccessState> {
    all.iter_mut().rev().find(|a| a.name == name)
}

/// Why somebody may not ask for a right for so long, as a sentence; nothing if they may.
pub fn may_ask(people: &People, right: &str, by: &str, length: Span) -> Option<String> {
    let Some(rule) = people.access.get(right) else {
        let known: Vec<&str> = people.access.keys().map(String::as_str).collect();
        return Some(match known.is_empty() {
            true => "the policy declares no rights under `access`".to_owned(),
            false => format!(
                "the policy has no right `{right}`; it has {}",
                known.join(", ")
            ),
        });
    };
    if people.capacity(by, &rule.roles, None).is_none() {
        let may: Vec<String> = people.all_holders(&rule.roles).into_iter().collect();
        return Some(format!("{by} may not have it; {} may", may.join(", ")));
    }
    let most = rule.at_most.filter(|most| length > *most)?;
    Some(format!("the policy gives it for {most} at a time"))
}

/// Why somebody may not give a right to whoever asked, as a sentence; nothing if they may.
pub fn may_grant(people: &People, asked: &AccessState, by: &str) -> Option<String> {
    if asked.by == by {
        return Some("who asks for it does not give it; somebody else has to".to_owned());
    }
    let approvers = people
        .access
        .get(&asked.right)
        .map(|rule| rule.approvers.as_slice());
    let approvers = match approvers {
        Some([]) | None => people.approvers.as_slice(),
        Some(named) => named,
    };
    if people.capacity(by, approvers, None).is_some() {
        return None;
    }
    let may: Vec<String> = people.all_holders(approvers).into_iter().collect();
    Some(format!("{by} may not give it; {} may", may.join(", ")))
}
