//! What is demanded can be met and can be missed, over made-up runs.

use std::time::Duration;

use super::super::measure::Measured;
use super::super::rows::{self, Demand};
use super::super::tree::Count;
use super::*;

pub(in super::super) fn run(wall: u64, cpu: u64, peak_mib: u64) -> Measured {
    Measured {
        wall: Duration::from_millis(wall),
        cpu: Duration::from_millis(cpu),
        peak: peak_mib << 20,
        output: String::new(),
    }
}

fn entry(kind: Kind, runs: Vec<Measured>, bytes: u64) -> Entry {
    Entry {
        kind,
        runs,
        repository: Some(Count { files: 3, bytes }),
        growth: None,
        remark: None,
    }
}

/// The first row: ours beside a restic of 10 and 20 seconds.
pub(in super::super) fn outcome(ours: Vec<Measured>, bytes: u64) -> Outcome {
    let restic = vec![run(10_000, 20_000, 160), run(20_000, 22_000, 150)];
    Outcome {
        row: rows::ROWS[0],
        place: Place::Tmpfs,
        entries: vec![
            entry(Kind::Vouchsafe, ours, bytes),
            entry(Kind::Restic, restic, 2_000_000),
        ],
        failure: None,
    }
}

fn good() -> Vec<Measured> {
    vec![run(4000, 9000, 100), run(8000, 9000, 100)]
}

#[test]
fn what_is_met_is_met() {
    assert_eq!(outcome(good(), 2_000_000).missed(), Vec::<String>::new());
}

#[test]
fn each_demand_can_be_missed() {
    let cases = [
        (
            "wall 0.47",
            vec![run(5000, 9000, 100), run(9000, 9000, 100)],
            1,
        ),
        (
            "CPU 0.53",
            vec![run(4000, 11_000, 100), run(8000, 11_000, 100)],
            1,
        ),
        (
            "memory 161 MiB > 160",
            vec![run(4000, 9000, 100), run(8000, 9000, 161)],
            1,
        ),
        ("size +50.00 %", good(), 3_000_000),
    ];
    for (expected, runs, bytes) in cases {
        let missed = outcome(runs, bytes).missed();
        assert_eq!(missed.len(), 1, "{missed:?}");
        assert!(missed[0].contains(expected), "{missed:?}");
    }
}

#[test]
fn memory_has_a_limit_even_if_restic_takes_more() {
    let with = |mib| {
        let mut outcome = outcome(vec![run(4000, 9000, mib)], 1);
        outcome.entries[1].runs = vec![run(10_000, 20_000, 400)];
        outcome.missed()
    };
    assert_eq!(with(192), Vec::<String>::new());
    assert_eq!(with(193), ["memory 193 MiB > 192 MiB"]);
}

#[test]
fn growth_counts_before_size() {
    let mut outcome = outcome(good(), 1_000_000);
    outcome.entries[0].growth = Some(11);
    outcome.entries[1].growth = Some(10);
    assert_eq!(outcome.missed(), ["size +10.00 %"]);
}

#[test]
fn a_faster_peer_is_named_unless_it_may_be_or_it_is_noise() {
    let with = |rivals, walls: [u64; 2]| {
        let mut outcome = outcome(good(), 1);
        outcome.row.demand = Demand {
            rivals,
            ..outcome.row.demand
        };
        let runs = walls.map(|wall| run(wall, 1, 1)).to_vec();
        outcome.entries.push(entry(Kind::Rustic, runs, 1));
        outcome.missed()
    };
    let (always, once, never) = ([3000, 7000], [1000, 9000], [5000, 9000]);
    for (rivals, walls, named) in [
        (Rivals::MayNot, always, true),
        (Rivals::MayNot, once, true),
        (Rivals::MayNot, never, false),
        (Rivals::MayByNoise, always, true),
        (Rivals::MayByNoise, once, false),
        (Rivals::May, always, false),
    ] {
        let expected: &[&str] = if named { &["rustic is faster"] } else { &[] };
        assert_eq!(with(rivals, walls), expected, "{rivals:?} {walls:?}");
    }
}

#[test]
fn a_restore_is_held_against_cp_too() {
    let row = rows::ROWS.iter().find(|row| row.name == "restore").copied();
    let mut outcome = Outcome {
        row: row.unwrap(),
        ..outcome(good(), 1)
    };
    outcome
        .entries
        .push(entry(Kind::Copy, vec![run(3500, 1, 1), run(7000, 1, 1)], 1));
    assert_eq!(outcome.missed(), Vec::<String>::new());
    outcome.entries[2].runs = vec![run(2000, 1, 1), run(4000, 1, 1)];
    assert_eq!(outcome.missed(), ["wall over cp 2.00 > 1.30"]);
}
