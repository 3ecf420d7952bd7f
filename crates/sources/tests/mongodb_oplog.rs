//! The oplog of a simulated MongoDB server: followed, and points that are brought to moments by it.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::wal::{MemoryLog, base_by};
use crate::common::{all_to, assert_first_red, assert_green};
use crate::mongo_shop::followed::{Base, Followed, PATIENCE, held, now};
use crate::mongo_shop::random::{Random, delete, work};
use crate::mongo_shop::{MongoShop, with_mongod};
use mongodb::bson::{Document, doc};
use vouchsafe_capture::{Form, LogReached, ReplayError, RestoreRequest, Restored, Until};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::OsRandom;
use vouchsafe_model::{LogGapCause, RungOutcome, SecretRef, SourceUrl, Time};
use vouchsafe_mongosim::{NewUser, Settings as Simulated};
use vouchsafe_sources::open_log;

#[test]
fn at_any_place_exactly_what_the_server_held_there_is_there() {
    for seed in [1, 2, 3] {
        let mut followed = Followed::new();
        followed
            .shop
            .insert("work", "a", (0..30).map(|n| doc! { "_id": n, "n": n }));
        followed
            .shop
            .insert("work", "b", (0..30).map(|n| doc! { "_id": n, "n": n }));
        followed.catch_up();
        let base = followed.base();
        let mut random = Random(seed);
        let mut states = vec![followed.state()];
        for round in 0..60 {
            work(&followed.shop, &mut random, round);
            if round % 7 == 0 {
                followed.tick();
            }
            states.push(followed.state());
        }
        followed.catch_up();
        assert_eq!(followed.gaps, []);
        let log = followed.log.clone();
        let last = followed
            .restored_elsewhere(&base, &log, Until::End)
            .expect("restores");
        assert_eq!(
            held(&last),
            states.last().expect("some").held,
            "seed {seed}"
        );
        for step in 0..6 {
            let at = usize::try_from(random.below(60)).expect("a number");
            let state = &states[at];
            let until = match step % 2 {
                0 => Until::Position(state.place),
                _ => Until::Time(state.time),
            };
            let restored = followed
                .restored_elsewhere(&base, &log, until)
                .expect("restores");
            assert_eq!(
                held(&restored),
                state.held,
                "seed {seed}, state {at}, {until}"
            );
        }
    }
}

#[test]
fn a_restored_mongodb_server_stands_at_its_moment_and_any_other_is_seen() {
    with_mongod(
        "mongodb_oplog::a_restored_mongodb_server_stands_at_its_moment_and_any_other_is_seen",
        || {
            let mut followed = Followed::new();
            let user = doc! { "createUser": "before", "pwd": "sesame", "roles": [{ "role": "read", "db": "shop" }] };
            followed.shop.command("shop", user);
            followed.catch_up();
            let base = followed.base();
            let user = doc! { "createUser": "after", "pwd": "sesame", "roles": [{ "role": "read", "db": "shop" }] };
            followed.shop.command("shop", user);
            let mut random = Random(5);
            for round in 0..20 {
                work(&followed.shop, &mut random, round);
            }
            followed
                .shop
                .insert("shop", "orders", [doc! { "_id": "new", "state": "open" }]);
            followed.shop.command("shop", delete("orders", 5));
            followed.tick();
            let state = followed.state();
            followed.shop.command("shop", delete("orders", 6));
            followed
                .shop
                .insert("shop", "orders", [doc! { "_id": "later" }]);
            followed.catch_up();
            followed.catch_up();
            let log = followed.log.clone();
            let serve = |name: &str, until| {
                let to = followed.world.path(name);
                let fetched = followed.fetched(&base, &log, until, &to).expect("fetches");
                let ctx = followed.world.ctx();
                let replayed = base
                    .source
                    .replay(&ctx, &base.point, &all_to(&to), fetched, true);
                replayed.expect("replays")
            };
            let compare = |restored: &Restored| {
                let (source, world) = (base.source.as_ref(), &followed.world);
                world.compare(source, restored, &base.captured, &base.point)
            };
            let restored = serve("middle", Until::Time(state.time));
            assert_eq!(restored.issues, []);
            let rungs = compare(&restored);
            let names: Vec<&str> = rungs.iter().map(|rung| rung.name.as_str()).collect();
            assert_eq!(names, ["opens", "position", "moment", "tokens", "base"]);
            assert_green(&rungs);
            assert!(rungs[3].actual.contains("follows"), "{}", rungs[3].actual);
            let entries = restored.replayed.as_ref().expect("a log").target.commits;
            assert!(entries > 10, "{entries}");

            // Servers that stand elsewhere.
            let base_alone = Until::Position(Position::Mark(base_end(&base)));
            for (name, until, red) in [
                ("later", Until::End, "moment"),
                ("earlier", base_alone, "position"),
            ] {
                let other = serve(name, until);
                let wrong = Restored {
                    place: other.place,
                    ..restored.clone()
                };
                assert_first_red(&compare(&wrong), red);
            }
            // A document more or less above all encryption.
            let spoiled = base
                .source
                .spoil(&followed.world.ctx(), &restored)
                .expect("spoils");
            assert!(spoiled.damage.detail.contains("removed"), "{spoiled:?}");
            let rungs = compare(&restored);
            let red = rungs.iter().find(|rung| rung.outcome == RungOutcome::Red);
            let red = red.expect("one is red").name.as_str();
            assert!(["position", "base"].contains(&red), "{red}");
        },
    );
}

/// Right behind the entry at which a base lies.
fn base_end(base: &Base) -> u64 {
    let manifest = base.captured.manifest.as_ref().expect("a manifest");
    let text = &manifest.entries["position"].digest;
    let (seconds, number) = text
        .split(' ')
        .nth(1)
        .expect("a place")
        .split_once(':')
        .expect("a mark");
    let half = |text: &str| text.parse::<u64>().expect("a number");
    (half(seconds) << 32 | half(number)) + 1
}

#[test]
fn a_moment_as_files_is_an_archive_and_what_mongorestore_replays() {
    let mut followed = Followed::new();
    followed.catch_up();
    let base = followed.base();
    followed
        .shop
        .insert("shop", "orders", [doc! { "_id": "new" }]);
    let state = followed.state();
    followed
        .shop
        .insert("shop", "orders", [doc! { "_id": "later" }]);
    followed.catch_up();
    let to = followed.world.path("files");
    let fetched = followed.fetched(&base, &followed.log, Until::Time(state.time), &to);
    let request = RestoreRequest {
        form: Form::Files,
        ..all_to(&to)
    };
    let ctx = followed.world.ctx();
    let fetched = fetched.expect("fetches");
    let restored = base
        .source
        .replay(&ctx, &base.point, &request, fetched, false);
    assert_eq!(restored.expect("replays").issues, []);
    let mut names: Vec<_> = std::fs::read_dir(to.join("log"))
        .expect("lists")
        .flatten()
        .map(|e| e.file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["oplog.bson"]);
    assert!(to.join("archive").is_file() && to.join("about.json").is_file());
    let bytes = std::fs::read(to.join("log/oplog.bson")).expect("reads");
    let mut rest = bytes.as_slice();
    let mut ids = Vec::new();
    while !rest.is_empty() {
        let entry = Document::from_reader(&mut rest).expect("an entry");
        if let Ok(id) = entry.get_document("o").expect("a deed").get_str("_id") {
            ids.push(id.to_owned());
        }
    }
    assert_eq!(ids, ["new"]);
}

#[test]
fn a_moment_outside_of_what_was_shipped_is_refused() {
    let mut followed = Followed::new();
    followed.catch_up();
    let base = followed.base();
    followed
        .shop
        .insert("shop", "orders", [doc! { "_id": "new" }]);
    followed.catch_up();
    let log = followed.log.clone();
    let restored = |until| followed.restored_elsewhere(&base, &log, until).map(drop);
    let late = restored(Until::Time(now()));
    assert!(matches!(late, Err(ReplayError::TooLate { .. })), "{late:?}");
    let early = restored(Until::Time(Time::from_secs(1)));
    assert!(
        matches!(early, Err(ReplayError::TooEarly { .. })),
        "{early:?}"
    );
    let before = restored(Until::Position(Position::Mark(base_end(&base) - 1)));
    assert!(
        matches!(before, Err(ReplayError::TooEarly { .. })),
        "{before:?}"
    );
    let nowhere = restored(Until::Position(Position::Mark(u64::MAX)));
    assert!(
        matches!(nowhere, Err(ReplayError::TooLate { .. })),
        "{nowhere:?}"
    );
    // A base from before the log began.
    let mut later = followed.log.clone();
    later.parts.drain(..later.parts.len() - 1);
    let uncovered = followed
        .restored_elsewhere(&base, &later, Until::End)
        .map(drop);
    assert!(
        matches!(uncovered, Err(ReplayError::NotCovered { .. })),
        "{uncovered:?}"
    );
    // A point that does not say where it lies.
    let (_, point) = base_by(&followed.world, crate::common::open(&followed.url).as_ref());
    let unknown = Base {
        point,
        source: followed.source(),
        captured: base.captured.clone(),
    };
    assert!(
        followed
            .restored_elsewhere(&unknown, &log, Until::End)
            .is_err()
    );
    // One database of it.
    let url = SourceUrl::parse(&followed.shop.url).expect("a URL");
    let refused = open_log(&url, None, Path::new("/nowhere")).map(drop);
    assert!(
        refused
            .expect_err("refused")
            .to_string()
            .contains("whole server")
    );
}

#[test]
fn damage_to_an_oplog_and_a_gap_in_it_are_never_crossed() {
    let mut followed = Followed::new();
    followed.catch_up();
    let base = followed.base();
    for n in 0..6 {
        followed.shop.insert(
            "shop",
            "orders",
            (0..3).map(|m| doc! { "_id": format!("new {n} {m}") }),
        );
        followed.catch_up();
    }
    let whole = followed.log.clone();
    let until = Until::Position(whole.parts.last().expect("a piece").piece.span.to());
    followed
        .restored_elsewhere(&base, &whole, until)
        .expect("restores");
    let refused = |log: &MemoryLog, what: &str| {
        let refused = followed.restored_elsewhere(&base, log, until).map(drop);
        assert!(refused.is_err(), "{what}");
    };
    let last = whole.parts.len() - 1;
    for gone in [last - 3, last - 1, last] {
        let mut log = whole.clone();
        log.parts.remove(gone);
        refused(&log, "a piece is missing");
    }
    let mut log = whole.clone();
    log.parts[last - 2]
        .log
        .clone_from(&whole.parts[last - 1].log);
    log.parts[last - 1]
        .log
        .clone_from(&whole.parts[last - 2].log);
    refused(&log, "pieces are exchanged");
    let some = last - 1;
    let length = |log: &[u8]| {
        let four: [u8; 4] = log[..4].try_into().expect("four bytes");
        usize::try_from(i32::from_le_bytes(four)).expect("a length")
    };
    // The form of an entry, its place, and its term are told apart from what it says, which only a key protects.
    let entry = &whole.parts[some].log[..length(&whole.parts[some].log)];
    // The last ones of these names are its own.
    let find = |name: &[u8]| {
        entry
            .windows(name.len())
            .rposition(|w| w == name)
            .expect("a field")
    };
    for at in [
        0,
        4,
        entry.len() - 1,
        find(b"\x11ts\0"),
        find(b"\x11ts\0") + 11,
        find(b"\x12t\0") + 3,
    ] {
        let mut log = whole.clone();
        log.parts[some].log[at] ^= 1;
        refused(&log, &format!("byte {at} is flipped"));
    }
    // An entry that stands twice, and the last one missing.
    let mut log = whole.clone();
    let doubled = [entry, &whole.parts[some].log].concat();
    log.parts[some].log = doubled;
    refused(&log, "an entry stands twice");
    let mut ends = vec![0];
    while ends.last().expect("one") < &whole.parts[some].log.len() {
        let at = *ends.last().expect("one");
        ends.push(at + length(&whole.parts[some].log[at..]));
    }
    let mut log = whole.clone();
    log.parts[some].log.truncate(ends[ends.len() - 2]);
    refused(&log, "the last entry of a piece is missing");
    // A base of another server.
    let mut other = Followed::new();
    other.catch_up();
    let foreign = other.base();
    assert!(
        followed
            .restored_elsewhere(&foreign, &whole, Until::End)
            .is_err()
    );
}

#[test]
fn what_the_server_has_forgotten_or_taken_back_is_a_gap() {
    for (simulated, cause) in [
        (doc! { "rollOplog": 1_000_000 }, LogGapCause::Removed),
        (doc! { "rollback": 3 }, LogGapCause::Diverged),
    ] {
        let mut followed = Followed::new();
        followed.catch_up();
        let insert = |followed: &Followed, n: i32| {
            followed
                .shop
                .insert("shop", "orders", [doc! { "_id": format!("new {n}") }])
        };
        insert(&followed, 0);
        insert(&followed, 1);
        followed.catch_up();
        let reached = followed.log.parts.last().expect("a piece").piece.span.to();
        followed.follower = None;
        if cause == LogGapCause::Removed {
            insert(&followed, 2);
            insert(&followed, 3);
        }
        followed
            .shop
            .command("admin", doc! { "simulate": simulated });
        followed.follow();
        let begun = Instant::now();
        while followed.gaps.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "{:?}", followed.issues);
            followed.tick();
            std::thread::sleep(Duration::from_millis(50));
        }
        let gap = followed.gaps[0].clone();
        assert_eq!((gap.cause, gap.from), (cause, Some(reached)), "{gap:?}");
        followed.catch_up();
        let first = followed
            .log
            .parts
            .iter()
            .find(|part| part.piece.span.from() >= reached);
        let first = first.expect("it goes on").piece.span.from();
        assert_eq!(Some(first), gap.to);
        assert!(first > reached);
        assert_eq!(followed.gaps.len(), 1);
        // A new base leads on from there.
        let base = followed.base();
        insert(&followed, 9);
        followed.catch_up();
        let restored = followed
            .restored_elsewhere(&base, &followed.log, Until::End)
            .expect("restores");
        assert_eq!(held(&restored), held(&followed.shop));
    }
}

#[test]
fn a_log_begins_where_the_first_base_needs_it_and_goes_on_after_anything() {
    let mut followed = Followed::new();
    followed.follower = None;
    let base = followed.base();
    followed
        .shop
        .insert("shop", "orders", [doc! { "_id": "between" }]);
    followed.follow();
    followed.catch_up();
    // Ended before anything was told of, and what it has left in the spool is found again.
    followed
        .shop
        .insert("shop", "orders", [doc! { "_id": "once" }]);
    followed
        .follower
        .as_mut()
        .expect("it is followed")
        .tick(&followed.world.ctx(), &OsRandom);
    followed.follow();
    followed
        .shop
        .command("admin", doc! { "simulate": { "dropConnections": true } });
    followed
        .shop
        .command("admin", doc! { "simulate": { "newTerm": true } });
    followed.shop.command(
        "admin",
        doc! { "simulate": { "refuse": "appendOplogNote", "code": 13, "times": 1 } },
    );
    followed
        .shop
        .insert("shop", "orders", [doc! { "_id": "twice" }]);
    followed.catch_up();
    assert_eq!(followed.gaps, []);
    for pair in followed.log.parts.windows(2) {
        assert_eq!(pair[0].piece.span.to(), pair[1].piece.span.from());
    }
    let terms: Vec<u64> = followed
        .log
        .parts
        .iter()
        .map(|part| part.piece.timeline)
        .collect();
    assert_eq!((terms.first(), terms.last()), (Some(&1), Some(&2)));
    let restored = followed
        .restored_elsewhere(&base, &followed.log, Until::End)
        .expect("restores");
    assert_eq!(held(&restored), held(&followed.shop));
    // What every vault has goes from the spool.
    let reached = followed.log.parts.last().expect("a piece").piece;
    let reached = LogReached {
        timeline: reached.timeline,
        to: reached.span.to(),
    };
    followed
        .follower
        .as_ref()
        .expect("it is followed")
        .release(reached)
        .expect("releases");
    let spool = followed.world.state().join("oplog");
    let left = std::fs::read_dir(spool).expect("lists").flatten();
    let left = left.filter(|e| e.file_name().to_string_lossy().ends_with(".bson"));
    assert_eq!(left.count(), 0);
    // Another replica set under the same address.
    let url = SourceUrl::parse(&followed.url).expect("a URL");
    let log = open_log(&url, None, Path::new("/nowhere")).expect("a log");
    let other = log.follow(
        &followed.world.ctx(),
        ("a/b", "c"),
        Some("rs7"),
        Some(reached),
    );
    let tick = other
        .expect("it begins")
        .tick(&followed.world.ctx(), &OsRandom);
    assert_eq!(tick.gap.expect("a gap").cause, LogGapCause::OtherServer);
}

#[test]
fn the_role_backup_is_enough_to_ship_an_oplog() {
    let user = |name: &str, role: &str| NewUser {
        name: name.to_owned(),
        password: "sesame".to_owned(),
        roles: vec![role.to_owned()],
    };
    let settings = Simulated {
        users: vec![user("root", "root@admin"), user("backup", "backup@admin")],
        ..Simulated::default()
    };
    let shop = MongoShop::with(&settings);
    let mut followed = Followed::of(shop);
    followed.follower = None;
    let file = followed.world.path("password");
    std::fs::write(&file, "sesame").expect("writes");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("a mode");
    followed.url = followed.url.replace("mongodb://", "mongodb://backup@");
    followed.password = Some(SecretRef::File(file));
    followed.follow();
    followed.catch_up();
    followed.base();
    followed
        .shop
        .insert("shop", "orders", [doc! { "_id": "new" }]);
    followed.catch_up();
    assert_eq!(followed.issues, Vec::<String>::new());
    assert!(
        followed
            .log
            .parts
            .iter()
            .any(|part| part.log.windows(9).any(|w| w == b"vouchsafe"))
    );
}
