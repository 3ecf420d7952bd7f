//! Databases that are brought to moments by their write-ahead log, and every way in which that must fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::sqlite::{Followed, now, program, row};
use crate::common::wal::MemoryLog;
use crate::common::{self, Point, all_to, assert_first_red, assert_green};
use rusqlite::Connection;
use vouchsafe_capture::{
    Captured, FetchedLog, Log, LogChart, ReplayError, Restored, Source, Until,
};
use vouchsafe_format::fragment::Position;
use vouchsafe_model::{Rung, RungOutcome, Time};

/// How far behind a moment what is restored may be: looks are a fifth of a second apart.
const BEHIND: i64 = 1_000_000;

/// A database whose log is followed, and a base of it.
struct Shop {
    followed: Followed,
    source: Box<dyn Source>,
    captured: Captured,
    point: Point,
    count: usize,
}

/// A state of the database: when what led to it was begun, and when it was there.
#[derive(Debug, Clone)]
struct State {
    begun: i64,
    done: i64,
    dump: String,
}

impl Shop {
    fn new() -> Shop {
        let mut followed = Followed::new();
        followed.follow();
        row(&followed.program(), 500);
        let source = followed.source();
        let (captured, point) = common::wal::base_by(&followed.world, source.as_ref());
        Shop {
            followed,
            source,
            captured,
            point,
            count: 0,
        }
    }

    fn to(&mut self) -> PathBuf {
        self.count += 1;
        let name = format!("restored-{}.db", self.count);
        self.followed.world.path(&name)
    }

    fn fetched(&self, log: &MemoryLog, until: Until, to: &Path) -> Result<FetchedLog, ReplayError> {
        let log = Log {
            chart: LogChart::draw(log, None).expect("draws"),
            reader: log,
        };
        let ctx = self.followed.world.ctx();
        let before = names(self.followed.world.dir.path());
        let fetched = self.source.fetch_log(&ctx, &self.point, &log, until, to);
        if fetched.is_err() {
            assert_eq!(names(self.followed.world.dir.path()), before);
        }
        fetched
    }

    fn restored_by(&mut self, log: &MemoryLog, until: Until) -> Result<Restored, ReplayError> {
        let to = self.to();
        let fetched = self.fetched(log, until, &to)?;
        let ctx = self.followed.world.ctx();
        let restored = self
            .source
            .replay(&ctx, &self.point, &all_to(&to), fetched, true)?;
        assert_eq!(restored.issues, []);
        assert_eq!(restored.place, to);
        Ok(restored)
    }

    fn restored(&mut self, until: Until) -> Result<Restored, ReplayError> {
        let log = self.followed.log.clone();
        self.restored_by(&log, until)
    }

    fn compare(&self, restored: &Restored) -> Vec<Rung> {
        let world = &self.followed.world;
        world.compare(self.source.as_ref(), restored, &self.captured, &self.point)
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("lists").flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with("shop.db"))
        .collect();
    names.sort();
    names
}

/// Everything in the table, by sums that tell rows and their contents apart.
fn dump(db: &Connection) -> String {
    let sql = "SELECT count(*) || ' ' || total(id) || ' ' || total(at) || ' ' || total(length(pad)) || ' ' || \
               coalesce(max(hex(substr(pad, 1, 8))), '') FROM t";
    db.query_row(sql, [], |row| row.get(0)).expect("a dump")
}

fn dump_of(database: &Path) -> String {
    dump(&Connection::open(database).expect("opens"))
}

fn assert_all_green(rungs: &[Rung]) {
    let names: Vec<&str> = rungs.iter().map(|rung| rung.name.as_str()).collect();
    assert_eq!(names, ["opens", "position", "moment", "pages"]);
    assert_green(rungs);
}

/// A writer that does everything that leaves frames, as a seed says, and what it left each time.
fn work(database: &Path, seed: u64, ends: &AtomicBool) -> Vec<State> {
    let db = program(database);
    db.execute_batch("PRAGMA cache_size = 20; PRAGMA wal_autocheckpoint = 100")
        .expect("settings");
    let mut states = vec![State {
        begun: 0,
        done: now(),
        dump: dump(&db),
    }];
    let mut random = seed;
    let mut next = move |below: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    while !ends.load(Ordering::SeqCst) {
        let begun = now();
        match next(10) {
            0 => {
                db.execute("DELETE FROM t WHERE id % 7 = ?1", [next(7).cast_signed()])
                    .expect("deletes");
            }
            1 => {
                db.execute(
                    "UPDATE t SET pad = randomblob(?1) WHERE id % 5 = ?2",
                    [next(3000).cast_signed(), next(5).cast_signed()],
                )
                .expect("updates");
            }
            2 => {
                // Larger than its cache, so it is in the log before it is whole.
                db.execute_batch("BEGIN").expect("begins");
                for _ in 0..60 {
                    row(&db, 9000);
                }
                let end = if next(2) == 0 { "COMMIT" } else { "ROLLBACK" };
                std::thread::sleep(Duration::from_millis(next(300)));
                db.execute_batch(end).expect("ends");
            }
            3 => {
                db.execute_batch("PRAGMA incremental_vacuum(20)")
                    .expect("shrinks");
            }
            4 => {
                let _ = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            }
            _ => row(&db, usize::try_from(next(4000)).expect("a number")),
        }
        states.push(State {
            begun,
            done: now(),
            dump: dump(&db),
        });
        std::thread::sleep(Duration::from_millis(next(60)));
    }
    states
}

/// What a moment may look like: nothing that was begun later, and all that was done some time before.
fn possible(states: &[State], moment: i64) -> Vec<&State> {
    let first = states
        .iter()
        .rposition(|state| state.done <= moment - BEHIND)
        .unwrap_or(0);
    let rest = states.iter().skip(first);
    rest.take_while(|state| state.begun <= moment).collect()
}

#[test]
fn at_any_moment_exactly_what_sqlite_had_committed_by_then_is_there() {
    for seed in [1, 2] {
        let mut shop = Shop::new();
        let ends = AtomicBool::new(false);
        let database = shop.followed.database.clone();
        let based = now();
        let states = std::thread::scope(|scope| {
            let writer = scope.spawn(|| work(&database, seed, &ends));
            let begun = now();
            while now() - begun < 8_000_000 {
                shop.followed.tick();
                std::thread::sleep(Duration::from_millis(100));
            }
            ends.store(true, Ordering::SeqCst);
            writer.join().expect("it ends well")
        });
        shop.followed.catch_up();
        shop.followed.assert_gaps(0);
        assert!(states.len() > 20, "{}", states.len());
        let last = shop.restored(Until::End).expect("restores");
        assert_eq!(dump_of(&last.place), dump_of(&database), "seed {seed}");
        for step in 1..8 {
            let moment = based + 1_500_000 + step * 800_000;
            let restored = shop
                .restored(Until::Time(Time::from_micros(moment)))
                .expect("restores");
            let rungs = shop.compare(&restored);
            assert_all_green(&rungs);
            let found = dump_of(&restored.place);
            let may_be = possible(&states, moment);
            assert!(
                may_be.iter().any(|state| state.dump == found),
                "seed {seed}, moment {moment}: {found} is none of {may_be:?}"
            );
        }
    }
}

/// Rows in looks of their own, and what is there.
fn some_rows(shop: &mut Shop, count: usize) -> Connection {
    let db = shop.followed.program();
    for _ in 0..count {
        row(&db, 800);
        shop.followed.catch_up();
    }
    db
}

#[test]
fn a_moment_outside_of_what_was_seen_is_refused() {
    let mut shop = Shop::new();
    some_rows(&mut shop, 2);
    let newest = shop.followed.log.parts.last().and_then(|p| p.piece.commits);
    let newest = newest.expect("a time").last;
    let late = shop.restored(Until::Time(Time::from_micros(newest + 1)));
    assert!(matches!(late, Err(ReplayError::TooLate { .. })), "{late:?}");
    let begun = shop.captured.content_time;
    let early = shop.restored(Until::Time(begun));
    assert!(
        matches!(early, Err(ReplayError::TooEarly { .. })),
        "{early:?}"
    );
    let nowhere = shop.restored(Until::Position(Position::Byte(shop.followed.end() + 1)));
    assert!(
        matches!(nowhere, Err(ReplayError::TooLate { .. })),
        "{nowhere:?}"
    );
    let before = shop.restored(Until::Position(Position::Byte(0)));
    assert!(
        matches!(before, Err(ReplayError::TooEarly { .. })),
        "{before:?}"
    );
}

#[test]
fn a_position_is_reached_exactly() {
    let mut shop = Shop::new();
    let db = some_rows(&mut shop, 1);
    let end = shop.followed.end();
    let then = dump(&db);
    drop(db);
    some_rows(&mut shop, 2);
    let restored = shop
        .restored(Until::Position(Position::Byte(end)))
        .expect("restores");
    assert_eq!(dump_of(&restored.place), then);
    let rungs = shop.compare(&restored);
    assert_all_green(&rungs);
    let replayed = restored.replayed.expect("a log");
    assert_eq!(replayed.target.end, Position::Byte(end));
    // The same once more, by the position that was reached.
    let again = shop
        .restored(Until::Position(replayed.target.end))
        .expect("restores");
    assert_eq!(dump_of(&again.place), then);
}

#[test]
fn damage_to_a_log_and_a_gap_in_it_are_never_crossed() {
    let mut shop = Shop::new();
    some_rows(&mut shop, 4);
    let whole = shop.followed.log.clone();
    let until = Until::Position(Position::Byte(shop.followed.end()));
    shop.restored_by(&whole, until).expect("restores");
    let parts = whole.parts.len();
    // A piece that is missing.
    for gone in [1, parts / 2, parts - 1] {
        let mut log = whole.clone();
        log.parts.remove(gone);
        let refused = shop.restored_by(&log, until);
        assert!(refused.is_err(), "piece {gone}");
    }
    // Pieces of one length that were exchanged, each under the other one's place.
    let extent = |at: usize| whole.parts[at].log.get(48..64).map(<[u8]>::to_vec);
    let pairs = (2..parts).flat_map(|one| (one + 1..parts).map(move |other| (one, other)));
    let (one, other) = pairs
        .into_iter()
        .find(|(one, other)| {
            let same = whole.parts[*one].log.len() == whole.parts[*other].log.len();
            same && extent(*one) != extent(*other)
        })
        .expect("two looks of one length");
    let mut log = whole.clone();
    log.parts[one].log.clone_from(&whole.parts[other].log);
    log.parts[other].log.clone_from(&whole.parts[one].log);
    let refused = shop.restored_by(&log, until);
    assert!(
        matches!(refused, Err(ReplayError::Broken { .. })),
        "{refused:?}"
    );
    // A flipped byte of what SQLite wrote, or of what stands around it.
    let largest = (2..parts)
        .max_by_key(|at| whole.parts[*at].log.len())
        .expect("a piece");
    let length = whole.parts[largest].log.len();
    assert!(length > 4096, "it holds pages");
    for at in [0, 8, 40, 60, length / 2, length - 200] {
        let mut log = whole.clone();
        log.parts[largest].log[at] ^= 1;
        let refused = shop.restored_by(&log, until);
        assert!(
            matches!(refused, Err(ReplayError::Broken { .. })),
            "byte {at}: {refused:?}"
        );
    }
}

#[test]
fn a_base_of_another_log_is_refused() {
    let mut shop = Shop::new();
    some_rows(&mut shop, 2);
    let mut other = Shop::new();
    some_rows(&mut other, 2);
    let log = other.followed.log.clone();
    // Its first record is of no log, or of another one; what is seen later is not what the base noted.
    let refused = shop.restored_by(&log, Until::End);
    assert!(refused.is_err(), "{refused:?}");
}

#[test]
fn a_stop_at_another_place_is_seen() {
    let mut shop = Shop::new();
    some_rows(&mut shop, 1);
    let early = Until::Position(Position::Byte(shop.followed.end()));
    some_rows(&mut shop, 1);
    let middle = Until::Position(Position::Byte(shop.followed.end()));
    some_rows(&mut shop, 2);
    let restored = shop.restored(middle).expect("restores");
    let rungs = shop.compare(&restored);
    assert_green(&rungs);
    let (earlier, later) = (
        shop.restored(early).expect("restores"),
        shop.restored(Until::End).expect("restores"),
    );
    for other in [&earlier, &later] {
        let wrong = Restored {
            place: other.place.clone(),
            ..restored.clone()
        };
        assert_first_red(&shop.compare(&wrong), "position");
    }
    // Looks that do not belong to the moment that was asked for.
    let moment = restored.replayed.as_ref().and_then(|log| log.target.newest);
    let second = moment.expect("a look").micros() - 1;
    let mut wrong = restored.clone();
    if let Some(log) = &mut wrong.replayed {
        log.until = Until::Time(Time::from_micros(second));
    }
    assert_first_red(&shop.compare(&wrong), "moment");
    // A page too many.
    let mut bytes = fs::read(&restored.place).expect("reads");
    let free = bytes.len();
    bytes.extend(vec![0; 4096]);
    fs::write(&restored.place, &bytes).expect("writes");
    let said = assert_first_red(&shop.compare(&restored), "position");
    assert!(said.contains("pages"), "{said}");
    bytes.truncate(free);
    fs::write(&restored.place, &bytes).expect("writes");
    assert_green(&shop.compare(&restored));
}

#[test]
fn a_change_of_what_the_base_gave_is_seen() {
    let mut shop = Shop::new();
    let db = shop.followed.program();
    for _ in 0..200 {
        row(&db, 3000);
    }
    shop.followed.catch_up();
    let (captured, point) = common::wal::base_by(&shop.followed.world, shop.source.as_ref());
    (shop.captured, shop.point) = (captured, point);
    // A log whose generation begins behind those rows.
    shop.followed.until("the log begun anew", |f| {
        row(&db, 10);
        std::thread::sleep(Duration::from_millis(300));
        f.log.parts.len() > 1
            && fs::metadata(f.world.path("shop.db-wal")).is_ok_and(|m| m.len() > 0)
    });
    shop.followed.catch_up();
    let restored = shop.restored(Until::End).expect("restores");
    assert_all_green(&shop.compare(&restored));
    let mut bytes = fs::read(&restored.place).expect("reads");
    // In the middle of a blob: SQLite itself does not see it.
    let at = bytes.len() / 2 + 2048;
    bytes[at] ^= 1;
    fs::write(&restored.place, &bytes).expect("writes");
    let rungs = shop.compare(&restored);
    let red = rungs.iter().find(|r| r.outcome == RungOutcome::Red);
    let red = red.map(|r| r.name.as_str());
    assert!(
        matches!(red, Some("pages" | "position" | "opens")),
        "{rungs:#?}"
    );
}

#[test]
fn a_base_without_a_place_in_the_log_is_refused() {
    let mut shop = Shop::new();
    some_rows(&mut shop, 1);
    let (captured, point) = common::wal::base(&shop.followed.world, &shop.followed.url);
    let manifest = captured.manifest.as_ref().expect("a manifest");
    assert!(!manifest.entries.contains_key("position"));
    shop.point = point;
    let refused = shop.restored(Until::End);
    let Err(ReplayError::Capture(error)) = refused else {
        panic!("{refused:?}");
    };
    assert!(error.to_string().contains("where in the log"), "{error}");
}

#[test]
fn a_point_of_a_followed_database_is_compared_as_any_other() {
    let shop = Shop::new();
    let manifest = shop.captured.manifest.as_ref().expect("a manifest");
    assert!(manifest.entries.contains_key("position"));
    let to = shop.followed.world.path("alone.db");
    let restored = shop
        .followed
        .world
        .restore(shop.source.as_ref(), &shop.point, &to);
    assert_green(&shop.compare(&restored));
}
