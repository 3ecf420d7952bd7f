//! Log streams over simulated stores that tear, delay, forget and crash: what was claimed is never lost.

use std::sync::Arc;
use std::time::Duration;

use crate::common::env_of;
use crate::common::logs::*;
use vouchsafe_format::fragment::Position;
use vouchsafe_host::SeededRandom;
use vouchsafe_store::{SimConfig, SimStore, SimWorld, Store};
use vouchsafe_vault::Env;
use vouchsafe_vault::logs::{
    CompactOptions, Fence, LogError, LogRun, LogStream, LogWriter, copy_log,
};

/// Two vaults with one stream, its writer, and what was promised of it.
struct World {
    sim: SimWorld,
    near: LogStream,
    far: LogStream,
    writer: Option<LogWriter>,
    /// Bytes that are promised: nearby, and in the copy.
    near_to: u64,
    far_to: u64,
    /// Bytes before this may be gone.
    expired: u64,
}

impl World {
    fn new(seed: u64, config: SimConfig) -> World {
        let sim = SimWorld::new(seed, config);
        let env = env_of(sim.clock(), Arc::new(SeededRandom::new(seed)));
        let of = |store: Arc<SimStore>, which: u64, env: &Env| {
            logs_with(store as Arc<dyn Store>, which, env).stream(name())
        };
        World {
            near: of(sim.store("near"), 0, &env),
            far: of(sim.store("far"), 1, &env),
            sim,
            writer: None,
            near_to: 0,
            far_to: 0,
            expired: 0,
        }
    }

    /// One operation; errors are the world's, not ours.
    fn operate(&mut self, which: u64) -> Result<(), LogError> {
        match which {
            0..6 => self.ship(),
            6..8 => self.compact(),
            8 => self.expire(),
            _ => self.copy(),
        }
    }

    fn ship(&mut self) -> Result<(), LogError> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.near.writer(Fence::Held)?.with_fragments_of(70),
        };
        let from = writer.tip()?.reached.map_or(0, |reached| byte(reached.to));
        assert!(from >= self.near_to, "{from} of {}", self.near_to);
        let to = from + 30 + self.sim.choose(100);
        let first = append(&mut writer, from, to);
        if let Err(error) = first {
            assert!(!matches!(error, LogError::Fork { .. }), "{error}");
            append(&mut writer, from, to)?;
        }
        self.near_to = to;
        self.writer = Some(writer);
        Ok(())
    }

    fn compact(&mut self) -> Result<(), LogError> {
        let options = CompactOptions {
            count: 5,
            ..CompactOptions::before(u64::MAX)
        };
        let report = self.near.compact(&options)?;
        // A torn segment, some fragments of which have expired since, cannot be made anew, and goes with the last of them.
        let torn = |p: &LogError| matches!(p, LogError::Damaged { object, .. } if object.contains("/segments/"));
        let known =
            report.problems.iter().all(torn) && (report.problems.is_empty() || self.expired > 0);
        assert!(known, "{:?}", report.problems);
        Ok(())
    }

    fn expire(&mut self) -> Result<(), LogError> {
        self.expired = self.near_to.saturating_sub(500).max(self.expired);
        self.near.expire(Position::Byte(self.expired))?;
        Ok(())
    }

    fn copy(&mut self) -> Result<(), LogError> {
        let promised = self.near_to;
        let before = Position::Byte(self.expired);
        let report = copy_log(&self.near, &self.far, Some(before))?;
        if report.problems.is_empty() {
            // What a late listing did not show was not copied, and is not promised.
            if let Ok(window) = self.far.window() {
                let to = window.runs.iter().map(|run| byte(run.to)).max();
                self.far_to = self.far_to.max(to.unwrap_or(0).min(promised));
            }
        }
        Ok(())
    }

    /// After a crash everybody begins anew, and late listings catch up.
    fn recover(&mut self) {
        if self.sim.is_down() {
            self.sim.crash();
            self.writer = None;
        }
        self.sim.restart();
        self.sim.clock().advance(Duration::from_secs(7200));
    }

    fn check(&self, what: &str) {
        self.check_one(what, &self.near, self.near_to);
        self.check_one(what, &self.far, self.far_to);
    }

    fn check_one(&self, what: &str, stream: &LogStream, to: u64) {
        if to <= self.expired {
            return;
        }
        // The world goes on failing now and then while it is looked at.
        let window = (0..50).find_map(|_| stream.window().ok()).unwrap();
        let text = format!("{what}: {}..{to} in {window:?}", self.expired);
        assert!(!format!("{:?}", window.events).contains("Fork"), "{text}");
        let holds = |run: &&LogRun| byte(run.from) <= self.expired && to <= byte(run.to);
        let run = window.runs.iter().find(holds).expect(&text);
        let found = (0..50).find_map(|_| read_between(stream, run, self.expired, to).ok());
        assert!(found.expect(&text) == truth(self.expired, to), "{text}");
    }
}

#[test]
fn a_crash_at_any_step_of_shipping_compacting_expiring_and_copying_loses_no_log_that_was_claimed() {
    let mut crashed = 0;
    for step in 0..200 {
        let mut world = World::new(step, SimConfig::calm());
        for which in [0, 0, 0, 0, 9] {
            world.operate(which).unwrap();
        }
        world.sim.crash_after(step);
        for which in [0, 0, 6, 0, 9, 0, 0, 0, 0, 6, 8, 9] {
            let _ = world.operate(which);
        }
        let down = world.sim.is_down();
        crashed += u64::from(down);
        world.recover();
        world.check(&format!("step {step}"));
        for which in [0, 6, 8, 9] {
            world.operate(which).unwrap();
        }
        world.check(&format!("after step {step}"));
        if !down {
            break;
        }
    }
    assert!(crashed > 30, "only {crashed} crashes");
}

#[test]
fn of_many_simulated_lives_of_a_log_nothing_that_was_claimed_is_lost() {
    let seeds = std::env::var("VOUCHSAFE_SIM_SEEDS").ok();
    let seeds: u64 = seeds.map_or(100, |text| text.parse().unwrap());
    let (mut shipped, mut copied, mut crashes) = (0, 0, 0);
    for seed in 0..seeds {
        let rough = SimConfig {
            clock_jump: 0,
            ..SimConfig::rough()
        };
        let late = if seed % 2 == 0 { 0 } else { rough.stale_list };
        let mut world = World::new(
            seed,
            SimConfig {
                stale_list: late,
                ..rough
            },
        );
        for n in 0..30 {
            if world.sim.choose(3) == 0 {
                world.sim.crash_after(world.sim.choose(12));
            }
            let which = world.sim.choose(10);
            let _ = world.operate(which);
            crashes += u64::from(world.sim.is_down());
            world.recover();
            world.check(&format!("seed {seed}, operation {n}: {which}"));
        }
        shipped += world.near_to;
        copied += world.far_to;
    }
    assert!(
        shipped > seeds * 300 && copied > seeds * 100 && crashes > seeds,
        "{shipped} shipped, {copied} copied, {crashes} crashes"
    );
}
