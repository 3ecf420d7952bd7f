//! Following the log of a SQLite database, and the log in memory as a vault would hold it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use vouchsafe_capture::LogReached;
use vouchsafe_format::fragment::Position;
use vouchsafe_host::OsRandom;
use vouchsafe_model::{SourceUrl, Time};
use vouchsafe_sources::{FollowLog, FoundGap, LogStep, LogTick, Settings, open_log};

use super::World;
use super::wal::{MemoryLog, Part};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database with a writer's connection, and what was followed of its log so far.
pub struct Followed {
    pub world: World,
    pub url: String,
    pub database: PathBuf,
    pub follower: Option<Box<dyn FollowLog>>,
    pub log: MemoryLog,
    pub gaps: Vec<FoundGap>,
    pub issues: Vec<String>,
}

impl Followed {
    /// A database in WAL mode, which nobody follows yet.
    pub fn new() -> Followed {
        let world = World::new();
        std::fs::create_dir(world.state()).expect("a state directory");
        let database = world.path("shop.db");
        let db = Connection::open(&database).expect("opens");
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA auto_vacuum = INCREMENTAL; \
             CREATE TABLE t (id INTEGER PRIMARY KEY, at INTEGER, pad BLOB); CREATE INDEX by_at ON t(at)",
        )
        .expect("fills");
        drop(db);
        Followed {
            url: format!("sqlite:{}", database.display()),
            world,
            database,
            follower: None,
            log: MemoryLog::default(),
            gaps: Vec::new(),
            issues: Vec::new(),
        }
    }

    /// A connection as a program has it.
    pub fn program(&self) -> Connection {
        program(&self.database)
    }

    pub fn follow(&mut self) {
        let url = SourceUrl::parse(&self.url).expect("a URL");
        let source = open_log(&url, None, Path::new("/nowhere")).expect("a log");
        let reached = self.reached();
        let names = ("shop-db/main", "0123abcd");
        let follower = source.follow(&self.world.ctx(), names, None, reached);
        self.follower = Some(follower.expect("it begins"));
    }

    pub fn reached(&self) -> Option<LogReached> {
        self.log.parts.last().map(|part| LogReached {
            timeline: part.piece.timeline,
            to: part.piece.span.to(),
        })
    }

    pub fn tick(&mut self) -> LogTick {
        let follower = self.follower.as_mut().expect("it is followed");
        let tick = follower.tick(&self.world.ctx(), &OsRandom);
        for step in &tick.steps {
            let LogStep::Log(cut) = step else {
                panic!("there are no timelines");
            };
            assert!(cut.verified);
            let reader = follower.reader().expect("a spool");
            let log = reader.read(&cut.piece).expect("it is in the spool");
            assert!(cut.piece.span.fits(log.len() as u64), "{:?}", cut.piece);
            self.log.parts.push(Part {
                piece: cut.piece,
                log,
            });
        }
        self.gaps.extend(tick.gap.clone());
        self.issues.extend(tick.issues.clone());
        tick
    }

    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&Followed) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(
                begun.elapsed() < PATIENCE,
                "{what} never came: {:?}",
                self.issues
            );
            self.tick();
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Until a look has ended that began after now.
    pub fn catch_up(&mut self) {
        let now = Time::from_micros(now());
        self.until("a later look", |f| {
            let last = f.log.parts.last().and_then(|part| part.piece.commits);
            last.is_some_and(|commits| Time::from_micros(commits.last) > now)
        });
        // What was found by a look that began before may still be missing.
        let now = Time::from_micros(self::now());
        self.until("one more look", |f| {
            let last = f.log.parts.last().and_then(|part| part.piece.commits);
            last.is_some_and(|commits| Time::from_micros(commits.last) > now)
        });
    }

    /// As if it were killed: what the thread does at its end, it would do at its next beginning.
    pub fn leave(&mut self) {
        self.follower = None;
    }

    pub fn source(&self) -> Box<dyn vouchsafe_capture::Source> {
        let url = SourceUrl::parse(&self.url).expect("a source");
        let settings = Settings {
            ships_log: true,
            ..Settings::below(Path::new("/nowhere"))
        };
        vouchsafe_sources::open(&url, &settings).expect("opens")
    }

    /// Every piece begins where the one before it ends, but for so many times.
    pub fn assert_gaps(&self, count: usize) {
        let breaks = self
            .log
            .parts
            .windows(2)
            .filter(|pair| pair[0].piece.span.to() != pair[1].piece.span.from());
        assert_eq!(
            (breaks.count(), self.gaps.len()),
            (count, count),
            "{:?}",
            self.gaps
        );
    }

    pub fn end(&self) -> u64 {
        match self.reached().expect("something").to {
            Position::Byte(at) => at,
            other => panic!("{other}"),
        }
    }
}

pub fn program(database: &Path) -> Connection {
    let db = Connection::open(database).expect("opens");
    db.busy_timeout(Duration::from_secs(10)).expect("waits");
    db
}

/// Microseconds since 1970.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_micros()).expect("a number")
}

/// A row in a transaction of its own, with the time of just before.
pub fn row(db: &Connection, size: usize) {
    db.execute(
        "INSERT INTO t (at, pad) VALUES (?1, randomblob(?2))",
        (now(), i64::try_from(size).expect("a number")),
    )
    .expect("writes");
}

/// The rows of a database, by their numbers, each with when it was about to be committed.
pub fn rows(database: &Path) -> Vec<(i64, i64)> {
    let db = Connection::open(database).expect("opens");
    let mut statement = db
        .prepare("SELECT id, at FROM t ORDER BY id")
        .expect("a table");
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("rows");
    rows.collect::<Result<_, _>>().expect("rows")
}
