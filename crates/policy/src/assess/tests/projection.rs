//! What a projection leaves out changes no verdict: random records, judged by it and by one that keeps everything.

mod record;

use proptest::prelude::*;
use vouchsafe_model::Time;

use self::record::{Step, policies, record};
use crate::assess::{Projection, assess_projection, judge};

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any::<Step>(), 1..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_left_out_no_verdict_changes(steps in steps(220)) {
        let (facts, end) = record(&steps);
        for policy in policies() {
            for now in [end, end.plus(vouchsafe_model::Span::from_days(9))] {
                let plain = judge(policy, &Projection::of_all(&facts, now), now);
                let folded = Projection::of(&facts, now);
                prop_assert_eq!(assess_projection(policy, &folded, now), Some(plain));
            }
        }
    }

    #[test]
    fn at_each_entry_it_says_what_the_facts_so_far_say(steps in steps(60), every in 1usize..9) {
        let (facts, _) = record(&steps);
        let mut projection = Projection::new();
        for (n, recorded) in facts.iter().enumerate() {
            projection.note(recorded);
            let now = projection.latest().unwrap_or(Time::MAX);
            if n % (every * 5) == 0 {
                let so_far = &facts[..=n];
                for policy in policies() {
                    let plain = judge(policy, &Projection::of_all(so_far, now), now);
                    let said = assess_projection(policy, &projection, now);
                    prop_assert_eq!(said, Some(plain));
                }
            }
        }
        prop_assert_eq!(&projection, &Projection::of(&facts, Time::MAX));
    }
}

#[test]
fn the_past_is_not_judged_by_what_came_later() {
    let world = super::world::World::good();
    let (policy, facts) = (&world.policy, &world.facts);
    let projection = Projection::of(facts, world.now);
    let latest = projection.latest().unwrap();
    let before = latest.minus(vouchsafe_model::Span::from_micros(1));
    assert_eq!(assess_projection(policy, &projection, before), None);
    let said = assess_projection(policy, &projection, latest);
    assert_eq!(said, Some(crate::assess(policy, facts, latest)));
}

/// Steps that look random, always the same.
fn some_steps() -> Vec<Step> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..3000)
        .map(|_| (next(), next(), next(), next()))
        .collect()
}

#[test]
fn much_is_left_out_of_the_records_that_are_judged_here() {
    let (facts, end) = record(&some_steps());
    let (all, folded) = (Projection::of_all(&facts, end), Projection::of(&facts, end));
    let promised = |p: &Projection| p.live().count() + p.settled() as usize;
    assert_eq!(promised(&all), promised(&folded));
    assert!(folded.settled() > 20, "{}", folded.settled());
    let id = "s/main".parse().unwrap();
    let (track, whole) = (folded.track(&id).unwrap(), all.track(&id).unwrap());
    assert_eq!(folded.let_go(track), all.let_go(whole));
    let let_go = folded.let_go(track).0;
    assert!(let_go > track.expired.len(), "{let_go}");
    assert!(track.points.len() < whole.points.len());
    for policy in policies() {
        let said = assess_projection(policy, &folded, end);
        assert_eq!(said, Some(judge(policy, &all, end)));
    }
}
