//! Verifying with memory: what was never read or longest ago comes first, and nothing is forgotten or made up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::*;
use vouchsafe_capture::{NoProgress, Progress};
use vouchsafe_host::{Interrupt, ManualClock, SeededRandom};
use vouchsafe_model::{Span, Time};
use vouchsafe_store::{Damage, Key, Overlay, Store, list_all};
use vouchsafe_vault::{Budget, Driver, Env, Reading, Repository, Simulation, VerifyMemory};

fn reading(budget: Budget) -> Reading {
    Reading {
        budget,
        seed: 5,
        within: Span::from_days(28),
    }
}

/// Ten packs of data and ten of directories, and a clock that can be moved.
fn vault() -> (Arc<dyn Store>, Arc<ManualClock>, Env) {
    let clock = Arc::new(ManualClock::new(Time::from_secs(1_767_225_600)));
    let env = env_of(clock.clone(), Arc::new(SeededRandom::new(3)));
    let store: Arc<dyn Store> = memory();
    let repository = Repository::create(store.clone(), &env, &secret(), &options()).unwrap();
    for seed in 0..10 {
        back_up(&repository, &[file("f", noise(seed, 10_000))]).unwrap();
    }
    (store, clock, env)
}

fn open_with(store: Arc<dyn Store>, env: &Env) -> Repository {
    Repository::open(store, env, &secret())
        .unwrap()
        .with_driver(Driver::Simulated(Simulation {
            seed: 1,
            flights: None,
        }))
}

fn packs(store: &dyn Store) -> Vec<Key> {
    let all = list_all(store, "data/").unwrap();
    all.into_iter().map(|(key, _)| key).collect()
}

#[test]
fn after_four_quarters_every_pack_was_read_once() {
    let (store, clock, env) = vault();
    let repository = open_with(store.clone(), &env);
    let mut memory = VerifyMemory::default();
    let (mut read, mut all) = (0, false);
    for week in 1..=4u64 {
        clock.advance(std::time::Duration::from_secs(7 * 86_400));
        let quarter = reading(Budget::Share(0.25));
        let report = repository
            .verify_remembering(&quarter, &mut memory, &NoProgress)
            .unwrap();
        let total = report.coverage.bytes_total;
        assert!(
            report.packs_read >= 5 && report.bytes_read * 4 >= total,
            "{report:?}"
        );
        // Until all were read once, none was read twice.
        if !all {
            assert_eq!(
                report.coverage.packs_never,
                20u64.saturating_sub(read + report.packs_read)
            );
        }
        read += report.packs_read;
        all = report.coverage.packs_never == 0;
        assert!(all || week < 4, "{report:?}");
    }
    assert_eq!(memory.len(), 20);
    let nothing = reading(Budget::Bytes(0));
    let coverage = repository
        .verify_remembering(&nothing, &mut memory, &NoProgress)
        .unwrap()
        .coverage;
    assert_eq!(coverage.bytes_within, coverage.bytes_total);
    // Five weeks later nothing is young enough, and the oldest is read first.
    clock.advance(std::time::Duration::from_secs(5 * 7 * 86_400));
    let before = repository
        .verify_remembering(&nothing, &mut memory, &NoProgress)
        .unwrap()
        .coverage;
    assert_eq!(before.bytes_within, 0);
    let again = repository
        .verify_remembering(&reading(Budget::Bytes(1)), &mut memory, &NoProgress)
        .unwrap();
    assert_eq!(again.packs_read, 1);
    assert!(again.coverage.bytes_within > 0);
    let mut turns = 0;
    while memory_oldest(&repository, &mut memory) == before.oldest {
        repository
            .verify_remembering(&reading(Budget::Bytes(1)), &mut memory, &NoProgress)
            .unwrap();
        turns += 1;
        assert!(turns < 20, "the oldest are never read");
    }
}

fn memory_oldest(repository: &Repository, memory: &mut VerifyMemory) -> Option<Time> {
    let nothing = reading(Budget::Bytes(0));
    let report = repository.verify_remembering(&nothing, memory, &NoProgress);
    report.unwrap().coverage.oldest
}

#[test]
fn a_damaged_pack_is_never_counted_and_comes_first() {
    let (store, clock, env) = vault();
    let twin = Arc::new(Overlay::new(store.clone()));
    let victim = packs(&*store)[7].clone();
    let mut memory = VerifyMemory::default();
    let sound = open_with(store.clone(), &env)
        .verify_remembering(&reading(Budget::All), &mut memory, &NoProgress)
        .unwrap();
    assert_eq!(sound.coverage.packs_damaged, 0);
    clock.advance(std::time::Duration::from_secs(60));
    twin.damage(&victim, Damage::FlipByte { offset: 40 })
        .unwrap();
    let repository = open_with(twin, &env);
    let found = repository
        .verify_remembering(&reading(Budget::All), &mut memory, &NoProgress)
        .unwrap();
    assert_eq!(found.damaged.len(), 1);
    assert!(victim.as_str().ends_with(&found.damaged[0].to_hex()));
    assert_eq!(found.coverage.packs_damaged, 1);
    assert!(found.coverage.bytes_within < found.coverage.bytes_total);
    assert_eq!(memory.whole_since(&found.damaged[0]), None);
    clock.advance(std::time::Duration::from_secs(60));
    // The smallest budget is enough to meet it again, and to see that it is whole where it is.
    let tiny = reading(Budget::Bytes(1));
    let again = repository
        .verify_remembering(&tiny, &mut memory, &NoProgress)
        .unwrap();
    assert_eq!(again.damaged, found.damaged);
    let healed = open_with(store, &env)
        .verify_remembering(&tiny, &mut memory, &NoProgress)
        .unwrap();
    assert_eq!((healed.packs_read, healed.damaged.len()), (1, 0));
    assert_eq!(healed.coverage.packs_damaged, 0);
}

/// Asks to stop after some packs.
struct StopAfter {
    left: AtomicU64,
    interrupt: Interrupt,
}

impl Progress for StopAfter {
    fn phase(&self, _: &str, _: Option<u64>, _: Option<u64>) {}
    fn advance(&self, _: u64, bytes: u64) {
        if bytes > 0 && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.interrupt.raise();
        }
    }
}

#[test]
fn what_was_read_before_an_interruption_is_remembered() {
    let (store, _, env) = vault();
    let repository = open_with(store.clone(), &env);
    let stop = StopAfter {
        left: AtomicU64::new(3),
        interrupt: env.interrupt.clone(),
    };
    let mut memory = VerifyMemory::default();
    let (_, report) = repository
        .check_and_read(&reading(Budget::All), &mut memory, &stop)
        .unwrap();
    assert!(report.interrupted && !report.complete);
    assert_eq!((report.packs_read, memory.len()), (3, 3));
}

#[test]
fn checking_and_reading_at_once_finds_what_both_find() {
    let (store, _, env) = vault();
    let all = packs(&*store);
    let index = list_all(&*store, "index/").unwrap().remove(0).0;
    let cases = [
        (all[0].clone(), Damage::FlipByte { offset: 40 }),
        (all[1].clone(), Damage::Truncate(50)),
        (all[2].clone(), Damage::Missing),
        (index, Damage::Missing),
    ];
    for (key, damage) in cases {
        let twin = Arc::new(Overlay::new(store.clone()));
        twin.damage(&key, damage.clone()).unwrap();
        for budget in [
            Budget::All,
            Budget::Time(std::time::Duration::from_secs(600)),
        ] {
            let repository = open_with(twin.clone(), &env);
            let check = repository.check(&NoProgress).unwrap();
            let verify = repository.verify(Budget::All, 5, &NoProgress).unwrap();
            let (both, read) = repository
                .check_and_read(&reading(budget), &mut VerifyMemory::default(), &NoProgress)
                .unwrap();
            let set = |lists: [&Vec<vouchsafe_model::Issue>; 2]| -> BTreeSet<String> {
                let all = lists.into_iter().flatten();
                all.map(|i| format!("{}: {}", i.place, i.message)).collect()
            };
            let apart = set([&check.problems, &verify.problems]);
            assert!(!apart.is_empty(), "{key} {damage:?} is not found");
            assert_eq!(set([&both.problems, &read.problems]), apart, "{key}");
            assert_eq!(both.unlisted_packs, check.unlisted_packs);
            assert_eq!((read.packs_read, read.complete), (verify.packs_read, true));
        }
    }
}

#[test]
fn a_pack_whose_name_is_known_is_still_looked_at_to_its_last_byte() {
    let (store, _, env) = vault();
    let key = packs(&*store)[3].clone();
    let size = store.head(&key).unwrap().size;
    for offset in 0..size {
        // Every byte of the small things at the ends, and some of the long middle.
        if (100..size - 200).contains(&offset) && !offset.is_multiple_of(997) {
            continue;
        }
        let twin = Arc::new(Overlay::new(store.clone()));
        let repository = open_with(twin.clone(), &env);
        let mut memory = VerifyMemory::default();
        repository
            .verify_remembering(&reading(Budget::All), &mut memory, &NoProgress)
            .unwrap();
        twin.damage(&key, Damage::FlipByte { offset }).unwrap();
        let found = repository
            .verify_remembering(&reading(Budget::All), &mut memory, &NoProgress)
            .unwrap();
        assert_eq!(found.damaged.len(), 1, "byte {offset} of {size}");
    }
}
