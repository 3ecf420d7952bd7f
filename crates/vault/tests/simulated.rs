//! The invariants, over many simulated lives: seeds from `VOUCHSAFE_SIM_SEEDS` (default 300).

use crate::common::world;

fn seeds() -> u64 {
    std::env::var("VOUCHSAFE_SIM_SEEDS")
        .ok()
        .map_or(300, |text| text.parse().expect("a number of seeds"))
}

#[test]
fn nothing_is_claimed_before_it_was_read_back_and_nothing_claimed_is_lost() {
    let (mut claimed, mut crashes, mut removed) = (0, 0, 0);
    for seed in 0..seeds() {
        let life = world::live(seed, 7).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        claimed += life.claimed;
        crashes += life.crashes;
        removed += life.packs_removed;
    }
    assert!(
        claimed >= seeds() * 2 && crashes * 2 >= seeds() && removed >= seeds(),
        "{claimed} claimed, {crashes} crashes, {removed} packs removed: too little happened"
    );
}

/// An index file that late listings hid from a prune stayed, and listed packs that were gone.
#[test]
fn an_index_that_a_late_listing_hides_does_not_outlive_its_packs() {
    world::live(773, 7).unwrap();
}

#[test]
fn a_crash_at_any_step_leaves_whole_snapshots_and_the_next_run_goes_on() {
    for seed in 0..2 {
        let mut steps = 0;
        while world::crash_at(seed, steps)
            .unwrap_or_else(|broken| panic!("seed {seed}, step {steps}: {broken}"))
        {
            steps += 1;
        }
        assert!(steps > 10, "only {steps} steps");
    }
}

#[test]
fn equal_seeds_do_equal_things() {
    for seed in [1, 2, 3] {
        let first = world::live(seed, 4).unwrap();
        assert_eq!(first, world::live(seed, 4).unwrap());
        assert_ne!(first.end, world::live(seed + 100, 4).unwrap().end);
    }
}

#[test]
fn what_was_just_written_is_found_though_listings_are_late() {
    use crate::common::*;
    use vouchsafe_store::{SimConfig, SimWorld};
    use vouchsafe_vault::{Driver, ReadBack, Repository, Simulation};
    let late = SimConfig {
        stale_list: 4,
        ..SimConfig::calm()
    };
    let world = SimWorld::new(9, late);
    let store = world.store("late");
    let env = env_of(
        world.clock(),
        std::sync::Arc::new(vouchsafe_host::SeededRandom::new(1)),
    );
    let repository = Repository::create(store, &env, &secret(), &options())
        .unwrap()
        .with_driver(Driver::Simulated(Simulation {
            seed: 1,
            flights: None,
        }));
    for n in 0..30 {
        let report = back_up(&repository, &[file("f", noise(n, 100))]).unwrap();
        let back = repository
            .read_back(&report.snapshot, ReadBack::Added(report.added_packs))
            .unwrap();
        assert_eq!(back.problems, [], "backup {n}");
    }
}
