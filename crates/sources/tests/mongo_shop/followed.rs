//! The oplog of a simulated server, followed into memory, and points of it.

use std::path::Path;
use std::time::{Duration, Instant};

use mongodb::bson::{Document, Timestamp, doc};
use vouchsafe_capture::{
    Captured, FetchedLog, Log, LogChart, LogReached, ReplayError, Source, Until,
};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::OsRandom;
use vouchsafe_model::{SecretRef, SourceUrl, Time};
use vouchsafe_mongosim::Settings as Simulated;
use vouchsafe_sources::{FollowLog, FoundGap, LogStep, LogTick, Settings, open_log};

use super::MongoShop;
use crate::common::wal::{MemoryLog, Part, base_by};
use crate::common::{Point, World, all_to};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server whose oplog is followed.
pub struct Followed {
    pub world: World,
    pub shop: MongoShop,
    pub url: String,
    pub password: Option<SecretRef>,
    pub follower: Option<Box<dyn FollowLog>>,
    pub log: MemoryLog,
    pub gaps: Vec<FoundGap>,
    pub issues: Vec<String>,
}

/// A base of it.
pub struct Base {
    pub source: Box<dyn Source>,
    pub captured: Captured,
    pub point: Point,
}

/// What a server held at some place of its oplog.
#[derive(Debug, Clone)]
pub struct State {
    pub place: Position,
    pub time: Time,
    pub held: Vec<(String, Document)>,
}

pub fn mark(at: Timestamp) -> u64 {
    u64::from(at.time) << 32 | u64::from(at.increment)
}

pub fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Time::from_micros(i64::try_from(since.expect("after 1970").as_micros()).expect("a time"))
}

impl Followed {
    pub fn new() -> Followed {
        Followed::of(MongoShop::new())
    }

    pub fn of(shop: MongoShop) -> Followed {
        let world = World::new();
        std::fs::create_dir(world.state()).expect("a state directory");
        let mut followed = Followed {
            url: shop.all.clone(),
            world,
            shop,
            password: None,
            follower: None,
            log: MemoryLog::default(),
            gaps: Vec::new(),
            issues: Vec::new(),
        };
        followed.follow();
        followed
    }

    pub fn follow(&mut self) {
        let url = SourceUrl::parse(&self.url).expect("a URL");
        let log = open_log(&url, self.password.as_ref(), Path::new("/nowhere")).expect("a log");
        let reached = self.log.parts.last().map(|part| LogReached {
            timeline: part.piece.timeline,
            to: part.piece.span.to(),
        });
        let names = ("shop-db/main", "0123abcd");
        let follower = log.follow(&self.world.ctx(), names, Some("rs0"), reached);
        self.follower = Some(follower.expect("it begins"));
    }

    pub fn tick(&mut self) -> LogTick {
        let follower = self.follower.as_mut().expect("it is followed");
        let tick = follower.tick(&self.world.ctx(), &OsRandom);
        for step in &tick.steps {
            let LogStep::Log(cut) = step else {
                panic!("there are no histories");
            };
            assert!(cut.verified);
            let reader = follower.reader().expect("a spool");
            let log = reader.read(&cut.piece).expect("it is in the spool");
            assert!(cut.piece.span.fits(log.len() as u64), "{:?}", cut.piece);
            let piece = cut.piece;
            self.log.parts.push(Part { piece, log });
        }
        self.gaps.extend(tick.gap.clone());
        self.issues.extend(tick.issues.clone());
        tick
    }

    /// Until all is there that the server has written by now.
    pub fn catch_up(&mut self) {
        let target = Position::Mark(mark(self.shop.newest()) + 1);
        let begun = Instant::now();
        loop {
            self.tick();
            let reached = self.log.parts.last().map(|part| part.piece.span.to());
            if reached >= Some(target) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{:?}", self.issues);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn source(&self) -> Box<dyn Source> {
        let url = SourceUrl::parse(&self.url).expect("a source");
        let settings = Settings {
            ships_log: true,
            password: self.password.as_ref(),
            ..Settings::below(Path::new("/nowhere"))
        };
        vouchsafe_sources::open(&url, &settings).expect("opens")
    }

    pub fn base(&self) -> Base {
        let source = self.source();
        let (captured, point) = base_by(&self.world, source.as_ref());
        assert_eq!(captured.notes, Vec::<String>::new());
        Base {
            source,
            captured,
            point,
        }
    }

    pub fn state(&self) -> State {
        let place = Position::Mark(mark(self.shop.newest()) + 1);
        // Entries have milliseconds: those of another one come later.
        std::thread::sleep(Duration::from_millis(3));
        let state = State {
            place,
            time: now(),
            held: held(&self.shop),
        };
        std::thread::sleep(Duration::from_millis(3));
        state
    }

    pub fn fetched(
        &self,
        base: &Base,
        log: &MemoryLog,
        until: Until,
        to: &Path,
    ) -> Result<FetchedLog, ReplayError> {
        let log = Log {
            chart: LogChart::draw(log, None).expect("draws"),
            reader: log,
        };
        let ctx = self.world.ctx();
        base.source.fetch_log(&ctx, &base.point, &log, until, to)
    }

    /// Into another server that runs.
    pub fn restored_elsewhere(
        &self,
        base: &Base,
        log: &MemoryLog,
        until: Until,
    ) -> Result<MongoShop, ReplayError> {
        let other = MongoShop::empty(&Simulated::default());
        let to = Path::new(&other.all);
        let fetched = self.fetched(base, log, until, to)?;
        let place = fetched.place.clone();
        let ctx = self.world.ctx();
        let restored = base
            .source
            .replay(&ctx, &base.point, &all_to(to), fetched, false)?;
        assert_eq!(restored.issues, []);
        assert!(!place.exists(), "nothing is left");
        Ok(other)
    }
}

/// Everything in the users' databases: documents by hashes, and what is declared.
pub fn held(shop: &MongoShop) -> Vec<(String, Document)> {
    let said = shop.command("admin", doc! { "listDatabases": 1, "nameOnly": true });
    let names = said.get_array("databases").expect("databases").iter();
    let names = names.map(|one| {
        one.as_document()
            .expect("one")
            .get_str("name")
            .expect("a name")
    });
    let mut out = Vec::new();
    for db in names.filter(|name| !["admin", "config", "local"].contains(name)) {
        out.push((db.to_owned(), shop.hash(db)));
        let listed = shop.command(db, doc! { "listCollections": 1 });
        let listed = listed.get_document("cursor").expect("a cursor");
        let mut all: Vec<&Document> = listed
            .get_array("firstBatch")
            .expect("a batch")
            .iter()
            .filter_map(|one| one.as_document())
            .collect();
        all.sort_by_key(|one| one.get_str("name").unwrap_or_default().to_owned());
        for one in all {
            let name = one.get_str("name").expect("a name");
            let mut declared =
                doc! { "options": one.get_document("options").cloned().unwrap_or_default() };
            if one.get_str("type").is_ok_and(|kind| kind == "collection")
                && !name.starts_with("system.")
            {
                let indexes = shop.command(db, doc! { "listIndexes": name });
                let indexes = indexes.get_document("cursor").expect("a cursor");
                declared.insert(
                    "indexes",
                    indexes.get_array("firstBatch").expect("a batch").clone(),
                );
            }
            if !name.starts_with("system.") {
                out.push((format!("{db}.{name}"), declared));
            }
        }
    }
    out
}
