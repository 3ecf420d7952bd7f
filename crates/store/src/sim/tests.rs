//! The simulated world keeps its promises, breaks what it may break, and repeats itself.
#![allow(clippy::expect_used)]

use proptest::prelude::*;

use super::*;
use crate::{Damage, Key, PutMode, Store, StoreError, list_all};

fn key(number: u64) -> Key {
    Key::new(format!("data/{number:02}")).expect("a key")
}

/// Some work whose every step follows from the seed.
fn drive(world: &SimWorld, store: &SimStore, calls: u64) {
    for _ in 0..calls {
        let at = key(world.choose(8));
        let _ = match world.choose(5) {
            0 => store.get(&at).map(drop),
            1 => store.delete(&at),
            2 => list_all(store, "").map(drop),
            _ => store.put(&at, &[7; 32], PutMode::IfAbsent),
        };
        if world.is_down() {
            world.restart();
        }
    }
}

#[test]
fn equal_seeds_give_equal_traces_and_other_seeds_do_not() {
    let run = |seed| {
        let world = SimWorld::new(seed, SimConfig::rough());
        let store = world.store("a");
        world.crash_after(20);
        drive(&world, &store, 300);
        (world.trace(), store.contents())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
}

#[test]
fn a_rough_world_shows_every_kind_of_trouble() {
    let world = SimWorld::new(3, SimConfig::rough());
    let store = world.store("a");
    for _ in 0..60 {
        world.crash_after(world.choose(30));
        drive(&world, &store, 100);
    }
    let trace = world.trace();
    for decision in [
        "refused",
        "stored",
        "exists",
        "stored, answered with an error",
        "deleted, answered with an error",
        "lost in the crash",
        "torn by the crash",
        "stored before the crash",
        "deleted before the crash",
        "listed late",
        "not found",
    ] {
        assert!(
            trace.iter().any(|e| e.decision == decision),
            "never: {decision}"
        );
    }
}

#[test]
fn what_is_under_way_at_a_crash_may_be_lost_and_what_was_acknowledged_may_not() {
    let (mut lost, mut torn, mut whole) = (0, 0, 0);
    for seed in 0..200 {
        let world = SimWorld::new(
            seed,
            SimConfig {
                torn: 300,
                ..SimConfig::calm()
            },
        );
        let store = world.store("a");
        store
            .put(&key(1), b"acknowledged", PutMode::IfAbsent)
            .expect("a calm world");
        let flight = store
            .begin_put(&key(2), b"under way", PutMode::IfAbsent)
            .expect("begins");
        world.crash();
        assert!(store.finish_put(flight).is_err());
        assert!(matches!(
            store.get(&key(1)),
            Err(StoreError::Unavailable { .. })
        ));
        world.restart();
        assert_eq!(store.get(&key(1)).expect("durable"), b"acknowledged");
        match store.get(&key(2)) {
            Err(_) => lost += 1,
            Ok(bytes) if bytes == b"under way" => whole += 1,
            Ok(bytes) => {
                assert!(b"under way".starts_with(&bytes) && !bytes.is_empty());
                torn += 1;
            }
        }
    }
    assert!(
        lost > 20 && torn > 20 && whole > 20,
        "{lost} {torn} {whole}"
    );
}

#[test]
fn the_crash_comes_at_the_step_it_was_asked_for() {
    for at in 0..5 {
        let world = SimWorld::new(9, SimConfig::calm());
        let store = world.store("a");
        world.crash_after(at);
        let done = (0..10).take_while(|n| store.put(&key(*n), b"x", PutMode::Replace).is_ok());
        assert_eq!(done.count() as u64, at);
        assert!(world.is_down());
        assert_eq!(world.steps(), at + 1);
    }
}

#[test]
fn a_listing_is_late_within_its_bound_only() {
    let config = SimConfig {
        stale_list: 3,
        stale_for: Duration::from_secs(60),
        ..SimConfig::calm()
    };
    let world = SimWorld::new(11, config);
    let store = world.store("a");
    let mut late = 0;
    for number in 0..50 {
        store
            .put(&key(number), b"x", PutMode::IfAbsent)
            .expect("puts");
        let listed = list_all(&*store, "data/").expect("lists").len() as u64;
        assert!(
            listed <= number + 1 && listed + 3 > number,
            "{listed} after {number}"
        );
        late += u64::from(listed < number + 1);
    }
    assert!(late > 10);
    world.clock().advance(Duration::from_secs(60));
    for _ in 0..20 {
        assert_eq!(list_all(&*store, "data/").expect("lists").len(), 50);
    }
}

#[test]
fn a_crash_hits_all_stores_of_a_world() {
    let world = SimWorld::new(1, SimConfig::calm());
    let (a, b) = (world.store("a"), world.store("b"));
    world.crash_after(0);
    assert!(a.put(&key(1), b"x", PutMode::IfAbsent).is_err());
    assert!(
        b.get(&key(1))
            .is_err_and(|e| !e.is_transient() && !e.is_not_found())
    );
}

#[test]
fn rot_is_real_and_harmless_damage_is_admitted() {
    let store = SimStore::new(1, SimConfig::calm());
    store.put(&key(1), b"abc", PutMode::IfAbsent).expect("puts");
    assert!(!store.damage(&key(1), Damage::Truncate(3)));
    assert!(store.damage(&key(1), Damage::FlipByte { offset: 0 }));
    assert_eq!(store.get(&key(1)).expect("gets"), b"`bc");
    assert!(store.damage(&key(1), Damage::Missing));
    assert!(!store.damage(&key(1), Damage::Missing));
}

#[test]
fn the_wall_clock_jumps_and_the_monotonic_one_does_not() {
    let config = SimConfig {
        clock_jump: 500,
        ..SimConfig::rough()
    };
    let world = SimWorld::new(5, config);
    let store = world.store("a");
    let clock = world.clock();
    let (mut back, mut before, mut steady) = (false, clock.now(), clock.monotonic());
    for _ in 0..100 {
        let _ = store.get(&key(0));
        back |= clock.now() < before;
        assert!(clock.monotonic() >= steady);
        (before, steady) = (clock.now(), clock.monotonic());
    }
    assert!(back);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The one promise that holds in every world: acknowledged and not deleted means there.
    #[test]
    fn acknowledged_puts_survive_everything(seed in any::<u64>(), crashes in 0_u64..6) {
        let world = SimWorld::new(seed, SimConfig::rough());
        let store = world.store("a");
        let mut acknowledged = Vec::new();
        for number in 0..60_u64 {
            if crashes > 0 && number % 10 == 0 {
                world.crash_after(world.choose(crashes * 3));
            }
            let bytes = number.to_le_bytes();
            if store.put(&key(number), &bytes, PutMode::IfAbsent).is_ok() {
                acknowledged.push((key(number), bytes));
            }
            if world.is_down() {
                world.restart();
            }
        }
        let contents = store.contents();
        for (key, bytes) in acknowledged {
            prop_assert_eq!(contents.get(&key).map(Vec::as_slice), Some(&bytes[..]));
        }
    }
}
