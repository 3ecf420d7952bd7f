//! Lives through simulated lives of two vaults: `simulate FIRST COUNT [OPERATIONS]`; tells the first broken invariant.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

#[path = "../tests/common/mod.rs"]
mod common;

use common::world;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok())
        .collect();
    let (first, count, operations) = match numbers[..] {
        [first, count] => (first, count, 7),
        [first, count, operations] => (first, count, operations as u32),
        _ => {
            println!("usage: simulate FIRST COUNT [OPERATIONS]");
            return ExitCode::from(2);
        }
    };
    let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let totals = [const { AtomicU64::new(0) }; 5];
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || failed.load(Ordering::Relaxed) {
                        return;
                    }
                    match world::live(seed, operations) {
                        Ok(life) => {
                            let life = [
                                life.claimed,
                                life.crashes,
                                life.steps,
                                life.prunes,
                                life.packs_removed,
                            ];
                            for (total, more) in totals.iter().zip(life) {
                                total.fetch_add(more, Ordering::Relaxed);
                            }
                        }
                        Err(broken) => {
                            println!("seed {seed}: {broken}");
                            failed.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let [claimed, crashes, steps, prunes, removed] = totals.map(AtomicU64::into_inner);
    println!(
        "{count} seeds from {first}: {steps} store writes, {crashes} crashes, {claimed} points claimed, \
         {prunes} prunes, {removed} packs removed"
    );
    if failed.into_inner() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
