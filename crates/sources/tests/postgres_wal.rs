//! Following the log of real PostgreSQL servers, through whatever happens to them.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::{self, World};
use vouchsafe_capture::LogReached;
use vouchsafe_format::fragment::Position;
use vouchsafe_host::OsRandom;
use vouchsafe_model::{LogGapCause, SourceUrl};
use vouchsafe_sources::{FollowLog, FoundGap, LogCut, LogFollower, LogStep, PostgresLog};
use vouchsafe_testkit::postgres::Postgres;
use vouchsafe_translog::token::Token;
use vouchsafe_translog::wal::{
    History, Lsn, Meaning, SegmentSize, Timeline, WalEvent, WalReader, WalStart,
};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(40);

fn url(server: &Postgres) -> String {
    server.url("").replace("/?", "?")
}

/// What was followed so far, as a vault would hold it.
struct Shipped {
    world: World,
    follower: LogFollower,
    pieces: Vec<(LogCut, Vec<u8>)>,
    histories: Vec<(u32, Vec<u8>)>,
    gaps: Vec<FoundGap>,
    issues: Vec<String>,
}

impl Shipped {
    fn begin(server: &Postgres) -> Shipped {
        let world = World::new();
        std::fs::create_dir(world.state()).expect("a state directory");
        let follower = follow(&world, server, None, None);
        Shipped {
            world,
            follower,
            pieces: Vec::new(),
            histories: Vec::new(),
            gaps: Vec::new(),
            issues: Vec::new(),
        }
    }

    /// Begins anew, as after a crash, at another server or the same one.
    fn begin_again(&mut self, server: &Postgres) {
        let known = self.follower.server().and_then(|id| id.parse().ok());
        let reached = self.reached();
        self.follower = follow(&self.world, server, known, reached);
    }

    fn reached(&self) -> Option<LogReached> {
        self.pieces.last().map(|(cut, _)| LogReached {
            timeline: cut.piece.timeline,
            to: cut.piece.span.to(),
        })
    }

    fn tick(&mut self) {
        let tick = self.follower.tick(&self.world.ctx(), &OsRandom);
        for step in tick.steps {
            match step {
                LogStep::History { timeline, file } => self.histories.push((timeline, file)),
                LogStep::Log(cut) => {
                    let reader = self.follower.reader().expect("a spool");
                    let bytes = reader.read(&cut.piece).expect("it is in the spool");
                    self.pieces.push((cut, bytes));
                }
            }
        }
        self.gaps.extend(tick.gap);
        self.issues.extend(tick.issues);
    }

    fn until(&mut self, what: &str, mut is_so: impl FnMut(&Shipped) -> bool) {
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

    /// Until everything is there that the server has on its disk now.
    fn catch_up(&mut self, server: &Postgres) {
        let flushed: Lsn = server
            .sql("SELECT pg_current_wal_flush_lsn()")
            .parse()
            .expect("a position");
        self.until("the end of the log", |s| {
            s.reached().is_some_and(|r| byte(r.to) >= flushed.0)
        });
    }

    /// The end of what was shipped on the last timeline, with everything before it in one stretch.
    fn log(&self) -> (u64, Vec<u8>) {
        let first = self.pieces.first().expect("a piece");
        let start = byte(first.0.piece.span.from());
        let mut log: Vec<u8> = Vec::new();
        for (cut, bytes) in &self.pieces {
            let from = byte(cut.piece.span.from()) - start;
            let from = usize::try_from(from).expect("small");
            assert!(from <= log.len(), "there is a gap before {:?}", cut.piece);
            log.truncate(from);
            log.extend_from_slice(bytes);
        }
        (start, log)
    }

    /// Every piece begins where the one before it ends.
    fn assert_contiguous(&self) {
        for pair in self.pieces.windows(2) {
            let (before, after) = (&pair[0].0.piece, &pair[1].0.piece);
            assert_eq!(before.span.to(), after.span.from());
        }
    }
}

fn follow(
    world: &World,
    server: &Postgres,
    known: Option<u64>,
    reached: Option<LogReached>,
) -> LogFollower {
    let url = SourceUrl::parse(&url(server)).expect("a URL");
    let source = PostgresLog::open(&url, None, Path::new("/nowhere")).expect("a log");
    LogFollower::new(
        source,
        &world.ctx(),
        ("shop-db/base", "0123abcd"),
        known,
        reached,
    )
    .expect("it begins")
}

fn byte(position: Position) -> u64 {
    match position {
        Position::Byte(at) => at,
        other => panic!("{other} counts no bytes"),
    }
}

/// What the server itself has in its files between two places.
fn of_server(server: &Postgres, timeline: u32, from: u64, length: usize) -> Vec<u8> {
    let size = u64::from(SegmentSize::DEFAULT.bytes());
    let mut out = Vec::new();
    let mut at = from;
    while out.len() < length {
        let name = format!(
            "{timeline:08X}{:08X}{:08X}",
            at >> 32,
            (at & 0xFFFF_FFFF) / size
        );
        let file = std::fs::read(server.data().join("pg_wal").join(name)).expect("a segment");
        out.extend_from_slice(&file[usize::try_from(at % size).expect("small")..]);
        at = (at / size + 1) * size;
    }
    out.truncate(length);
    out
}

/// The tokens in a log, by a reader that knows nothing of who shipped it.
fn tokens(start: u64, log: &[u8], history: History) -> Vec<Token> {
    let mut reader = WalReader::new(WalStart {
        segment_size: SegmentSize::DEFAULT,
        block_size: 8192,
        lsn: Lsn(start),
        history,
        system: None,
    })
    .expect("it begins at a segment");
    let mut out = Vec::new();
    reader
        .feed(log, |event| {
            if let WalEvent::Record(record) = event
                && let Meaning::Message(message) = record.meaning
                && message.prefix == b"vouchsafe"
            {
                out.push(Token::parse(&message.content).expect("a token"));
            }
        })
        .expect("what was shipped is whole");
    out
}

fn fill(server: &Postgres, megabytes: u32) {
    server.sql(&format!(
        "CREATE TABLE IF NOT EXISTS filler (t text); ALTER TABLE filler ALTER t SET STORAGE EXTERNAL; \
         INSERT INTO filler SELECT repeat(md5(n::text), 250) FROM generate_series(1, {}) n",
        megabytes * 128
    ));
}

#[test]
fn a_log_is_followed_as_it_grows_byte_for_byte() {
    let server = Postgres::start();
    let mut shipped = Shipped::begin(&server);
    shipped.catch_up(&server);
    let first = byte(shipped.pieces[0].0.piece.span.from());
    assert_eq!(first % u64::from(SegmentSize::DEFAULT.bytes()), 0);
    for _ in 0..3 {
        fill(&server, 12);
        shipped.catch_up(&server);
    }
    server.sql("SELECT pg_switch_wal(); CREATE TABLE later ()");
    shipped.catch_up(&server);
    shipped.assert_contiguous();
    assert!(shipped.pieces.iter().all(|(cut, _)| cut.verified));
    assert_eq!(shipped.gaps, []);
    let (start, log) = shipped.log();
    assert!(log.len() > 36 << 20, "{} bytes", log.len());
    assert!(
        log == of_server(&server, 1, start, log.len()),
        "the log differs from the server's"
    );
    let last = shipped.pieces.last().expect("a piece");
    let newest = last.0.newest_commit.expect("commits");
    let now = vouchsafe_host::Clock::now(&shipped.world.clock);
    assert!(now.since(newest).secs() < 30, "{newest} is old");
}

#[test]
fn a_quiet_server_has_a_heartbeat_whose_tokens_follow_one_another() {
    let server = Postgres::start();
    let mut shipped = Shipped::begin(&server);
    for round in 0..3 {
        if round > 0 {
            // As after a crash in between: the token that may have been sent is sent again.
            shipped.begin_again(&server);
        }
        let before = shipped.pieces.len();
        shipped.until("heartbeats", |s| s.pieces.len() >= before + 4);
    }
    let (start, log) = shipped.log();
    let tokens = tokens(start, &log, History::of(Timeline::FIRST));
    assert!(tokens.len() >= 8, "{tokens:?}");
    assert_eq!(tokens[0].sequence, 0);
    for pair in tokens.windows(2) {
        assert_eq!(pair[1].follows(&pair[0]), Ok(()));
    }
    assert!(tokens.last().expect("one").sequence >= 5);
    let last = &shipped.pieces.last().expect("a piece").0;
    assert_eq!(last.token.as_ref(), tokens.last());
}

#[test]
fn a_crash_of_the_server_the_receiver_or_us_loses_nothing() {
    let mut server = Postgres::start();
    let mut shipped = Shipped::begin(&server);
    fill(&server, 3);
    shipped.catch_up(&server);
    server.stop("QUIT");
    shipped.until("an error", |s| !s.issues.is_empty());
    server.start_again();
    fill(&server, 20);
    shipped.catch_up(&server);
    // The receiver alone.
    let spool = shipped.world.state().join("wal");
    let killed = common::sh(
        &spool,
        "for p in /proc/[0-9]*; do if tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q \"pg_receivewal.*$PWD \"; then kill -9 ${p#/proc/}; echo killed; fi; done",
    );
    assert!(killed.contains("killed"), "no receiver was found");
    fill(&server, 3);
    shipped.catch_up(&server);
    // All of us, and the spool is lost with the machine.
    shipped.follower.stop();
    fill(&server, 3);
    std::fs::remove_dir_all(&spool).expect("a spool");
    shipped.begin_again(&server);
    shipped.catch_up(&server);
    shipped.assert_contiguous();
    assert_eq!(shipped.gaps, []);
    let (start, log) = shipped.log();
    assert!(
        log == of_server(&server, 1, start, log.len()),
        "the log differs from the server's"
    );
}

#[test]
fn what_the_server_has_removed_is_a_gap_with_its_cause_and_the_log_goes_on() {
    let server = Postgres::start_with(&[], &["max_wal_size=64MB", "min_wal_size=32MB"]);
    let mut shipped = Shipped::begin(&server);
    shipped.catch_up(&server);
    let slot = shipped.follower.slot().to_owned();
    shipped.follower.stop();
    let before = shipped.reached().expect("something");
    common::sh(Path::new("/"), "sleep 0.3");
    server.sql(&format!("SELECT pg_drop_replication_slot('{slot}')"));
    for _ in 0..8 {
        fill(&server, 20);
        server.sql("CHECKPOINT");
    }
    shipped.begin_again(&server);
    shipped.until("the gap", |s| !s.gaps.is_empty());
    let gap = shipped.gaps[0].clone();
    assert_eq!(gap.cause, LogGapCause::SlotMissing, "{gap:?}");
    assert_eq!(gap.from, Some(before.to));
    let to = gap.to.expect("it goes on");
    assert!(to > before.to);
    let count = shipped.pieces.len();
    shipped.catch_up(&server);
    let after = &shipped.pieces[count].0.piece;
    assert_eq!(after.span.from(), to);
    assert_eq!(byte(to) % u64::from(SegmentSize::DEFAULT.bytes()), 0);
    assert_eq!(shipped.gaps.len(), 1);
}

#[test]
fn a_slot_that_is_dropped_while_we_follow_is_made_anew_without_a_gap() {
    let server = Postgres::start();
    let mut shipped = Shipped::begin(&server);
    shipped.catch_up(&server);
    let slot = shipped.follower.slot().to_owned();
    server.sql(&format!(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '{slot}'"
    ));
    let begun = Instant::now();
    while server.sql(&format!(
        "SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'"
    )) != "f"
    {
        assert!(begun.elapsed() < PATIENCE);
    }
    server.sql(&format!("SELECT pg_drop_replication_slot('{slot}')"));
    fill(&server, 1);
    shipped.catch_up(&server);
    assert_eq!(shipped.gaps, []);
    assert!(
        shipped.issues.iter().any(|i| i.contains("was made anew")),
        "{:?}",
        shipped.issues
    );
    let held = format!("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{slot}'");
    assert_eq!(server.sql(&held), "1");
    shipped.assert_contiguous();
}

#[test]
fn a_promoted_standby_is_followed_onto_its_timeline() {
    let primary = Postgres::start();
    let standby = primary.standby();
    let mut shipped = Shipped::begin(&standby);
    primary.sql("CREATE TABLE before ()");
    shipped.until("something", |s| !s.pieces.is_empty());
    fill(&primary, 3);
    let target: Lsn = primary
        .sql("SELECT pg_current_wal_flush_lsn()")
        .parse()
        .expect("a position");
    shipped.until("what the primary wrote", |s| {
        s.reached().is_some_and(|r| byte(r.to) >= target.0)
    });
    standby.promote();
    standby.sql("CREATE TABLE after ()");
    shipped.catch_up(&standby);
    assert_switched(&shipped, &standby);
}

#[test]
fn a_standby_that_was_promoted_while_we_were_away_is_followed_where_it_left() {
    let mut primary = Postgres::start();
    let standby = primary.standby();
    let mut shipped = Shipped::begin(&primary);
    fill(&primary, 3);
    shipped.catch_up(&primary);
    shipped.follower.stop();
    // The standby never gets what comes now, and we do.
    standby.sql("SELECT pg_wal_replay_pause()");
    let received = |s: &Postgres| s.sql("SELECT pg_last_wal_receive_lsn()");
    primary.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'walsender'",
    );
    let _ = received(&standby);
    primary.stop("INT");
    standby.sql("SELECT pg_wal_replay_resume()");
    standby.promote();
    standby.sql("CREATE TABLE after ()");
    fill(&standby, 1);
    shipped.begin_again(&standby);
    shipped.catch_up(&standby);
    assert_switched(&shipped, &standby);
}

fn assert_switched(shipped: &Shipped, server: &Postgres) {
    assert_eq!(shipped.gaps, [], "{:?}", shipped.issues);
    let [(timeline, file)] = shipped.histories.as_slice() else {
        panic!("{:?}", shipped.histories);
    };
    assert_eq!(*timeline, 2);
    assert_eq!(
        *file,
        std::fs::read(server.data().join("pg_wal/00000002.history")).expect("a history")
    );
    let history = History::parse(Timeline::new(2).expect("2"), file).expect("a history");
    let switch = history
        .range_of(Timeline::FIRST)
        .and_then(|range| range.until)
        .expect("a switch");
    let second = shipped
        .pieces
        .iter()
        .find(|(cut, _)| cut.piece.timeline == 2)
        .expect("timeline 2");
    assert_eq!(byte(second.0.piece.span.from()), switch.0);
    let first = shipped
        .pieces
        .iter()
        .rfind(|(cut, _)| cut.piece.timeline == 1)
        .expect("timeline 1");
    assert!(byte(first.0.piece.span.to()) >= switch.0);
    // The stretch along the history is the log of the new server.
    let (start, log) = shipped.log();
    let tokens = tokens(start, &log, history);
    assert!(!tokens.is_empty());
    let at = usize::try_from(switch.0 - start).expect("small");
    assert!(
        log[at..] == of_server(server, 2, switch.0, log.len() - at),
        "timeline 2 differs"
    );
}

#[test]
fn another_server_under_the_same_address_is_a_gap_and_nothing_of_it_is_shipped() {
    let server = Postgres::start();
    let other = Postgres::start();
    let mut shipped = Shipped::begin(&server);
    shipped.catch_up(&server);
    shipped.follower.stop();
    let count = shipped.pieces.len();
    shipped.begin_again(&other);
    shipped.until("the gap", |s| !s.gaps.is_empty());
    assert_eq!(shipped.gaps[0].cause, LogGapCause::OtherServer);
    assert_eq!(shipped.gaps[0].to, None);
    for _ in 0..3 {
        shipped.tick();
    }
    assert_eq!((shipped.gaps.len(), shipped.pieces.len()), (1, count));
    assert!(shipped.issues.iter().any(|i| i.contains("another name")));
    shipped.begin_again(&server);
    shipped.catch_up(&server);
    shipped.assert_contiguous();
}

#[test]
fn a_spool_that_cannot_be_written_is_said_and_gone_on_with_later() {
    let server = Postgres::start();
    let mut shipped = Shipped::begin(&server);
    let spool = shipped.world.state().join("wal");
    std::fs::write(&spool, "in the way").expect("a file");
    shipped.until("an error", |s| !s.issues.is_empty());
    assert!(shipped.issues[0].contains("wal"), "{:?}", shipped.issues);
    std::fs::remove_file(&spool).expect("it goes");
    shipped.catch_up(&server);
    assert_eq!(shipped.gaps, []);
}

#[test]
fn damage_in_the_spool_is_seen_and_received_once_more() {
    let server = Postgres::start();
    let mut shipped = Shipped::begin(&server);
    shipped.catch_up(&server);
    // The receiver goes on by itself; nothing of this was read yet.
    fill(&server, 40);
    std::thread::sleep(Duration::from_secs(2));
    let spool = shipped.world.state().join("wal");
    let mut whole: Vec<_> = std::fs::read_dir(&spool)
        .expect("a spool")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.file_name().is_some_and(|name| name.len() == 24))
        .collect();
    whole.sort();
    let damaged = whole.last().expect("a whole segment");
    let mut bytes = std::fs::read(damaged).expect("it can be read");
    bytes[5_000_000] ^= 1;
    std::fs::write(damaged, bytes).expect("it can be written");
    shipped.catch_up(&server);
    assert!(
        shipped.issues.iter().any(|issue| issue.contains("damaged")),
        "{:?}",
        shipped.issues
    );
    assert_eq!(shipped.gaps, []);
    shipped.assert_contiguous();
    assert!(shipped.pieces.iter().all(|(cut, _)| cut.verified));
    let (start, log) = shipped.log();
    assert!(
        log == of_server(&server, 1, start, log.len()),
        "the log differs from the server's"
    );
}

#[test]
fn only_what_every_vault_has_leaves_the_spool() {
    let server = Postgres::start();
    let mut shipped = Shipped::begin(&server);
    fill(&server, 40);
    shipped.catch_up(&server);
    let before = shipped.follower.spooled();
    assert!(before >= 48 << 20, "{before}");
    let early = LogReached {
        timeline: 1,
        to: shipped.pieces[0].0.piece.span.to(),
    };
    shipped.follower.release(early).expect("releases");
    let (cut, _) = shipped.pieces.last().expect("a piece");
    let reader = shipped.follower.reader().expect("a spool");
    assert!(reader.read(&cut.piece).is_ok());
    shipped
        .follower
        .release(shipped.reached().expect("something"))
        .expect("releases");
    let after = shipped.follower.spooled();
    assert!(after <= 32 << 20, "{after} of {before}");
    assert!(reader.read(&shipped.pieces[0].0.piece).is_err());
    // And the receiver goes on as before, also when it begins anew.
    shipped.begin_again(&server);
    fill(&server, 1);
    shipped.catch_up(&server);
    shipped.assert_contiguous();
}
