//! The kind `mongodb` on the simulator.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::shop::content;
use crate::common::{self, World, all_to, assert_first_red, assert_green, open};
use crate::mongo_shop::{self, MongoShop, STAND_IN, with_manifest, with_mongod};
use mongodb::bson::doc;
use vouchsafe_capture::{CaptureError, Form, RestoreRequest};
use vouchsafe_model::policy::Digests;
use vouchsafe_model::{RungOutcome, SecretRef, SourceUrl};
use vouchsafe_mongosim::{NewUser, Settings as Simulated, stand_in_for_mongod};
use vouchsafe_sources::Settings;

#[test]
fn the_simulator_stands_in_for_mongod() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mongod-by-itself");
    stand_in_for_mongod(&folder, STAND_IN).expect("starts");
}

#[test]
fn it_conforms() {
    with_mongod("mongodb::it_conforms", || {
        let world = World::new();
        let shop = MongoShop::new();
        common::conformance::conforms(&world, &shop.url, "restored");
    });
}

#[test]
fn all_databases_conform_with_users_and_roles() {
    with_mongod(
        "mongodb::all_databases_conform_with_users_and_roles",
        || {
            let world = World::new();
            let shop = MongoShop::new();
            let user = doc! { "createUser": "app", "pwd": "sesame", "roles": [{ "role": "readWrite", "db": "shop" }] };
            shop.command("shop", user);
            let manifest = world
                .capture(open(&shop.all).as_ref())
                .0
                .manifest
                .expect("a manifest");
            for key in [
                "grants:user shop.app",
                "documents:other.t",
                "documents:shop.orders",
            ] {
                assert!(
                    manifest.entries.contains_key(key),
                    "{key}: {:?}",
                    manifest.entries.keys()
                );
            }
            common::conformance::conforms(&world, &shop.all, "restored");
        },
    );
}

#[test]
fn every_kind_of_change_to_a_mongodb_database_is_seen_in_its_part() {
    let world = World::new();
    let shop = MongoShop::new();
    let before = shop.manifest(&world);
    let again = shop.manifest(&world);
    assert_eq!(
        before.differences(&again),
        [],
        "what does not change has one digest"
    );
    let count = |key: &str| before.entries.get(key).and_then(|e| e.count);
    assert_eq!(count("documents:shop.orders"), Some(2000));
    assert_eq!(count("documents:shop.nothing"), Some(0));
    assert_eq!(count("documents:shop.odd näme.sub"), Some(5));
    let set = |collection: &str, id: i32, set: mongodb::bson::Document| {
        doc! { "update": collection, "updates": [{ "q": { "_id": id }, "u": { "$set": set } }] }
    };
    let changes = [
        (doc! { "create": "more" }, "schema:collection shop.more"),
        (doc! { "drop": "more" }, "schema:collection shop.more"),
        (
            doc! { "collMod": "customers", "validator": { "name": "x" } },
            "schema:collection shop.customers",
        ),
        (
            doc! { "dropIndexes": "orders", "index": "at_1" },
            "schema:index shop.orders at_1",
        ),
        (
            doc! { "createIndexes": "orders", "indexes": [{ "key": { "total": 1 }, "name": "by_total" }] },
            "schema:index shop.orders by_total",
        ),
        (
            doc! { "drop": "open_orders" },
            "schema:view shop.open_orders",
        ),
        (
            doc! { "create": "open_orders", "viewOn": "orders", "pipeline": [] },
            "schema:view shop.open_orders",
        ),
        (
            set("orders", 7, doc! { "state": "lost" }),
            "documents:shop.orders",
        ),
        (
            set("orders", 7, doc! { "total": 5 }),
            "documents:shop.orders",
        ),
        (
            set("orders", 7, doc! { "total": 5_i64 }),
            "documents:shop.orders",
        ),
        (
            doc! { "delete": "orders", "deletes": [{ "q": { "_id": 8 }, "limit": 1 }] },
            "documents:shop.orders",
        ),
        (
            doc! { "insert": "nothing", "documents": [{ "_id": 1 }] },
            "documents:shop.nothing",
        ),
    ];
    let mut last = before;
    for (command, part) in changes {
        shop.command("shop", command.clone());
        let now = shop.manifest(&world);
        let seen: Vec<_> = last.differences(&now).into_iter().map(|d| d.part).collect();
        assert!(
            seen.iter().any(|key| key == part),
            "{command}: {part} is not in {seen:?}"
        );
        last = now;
    }
    // What belongs to other databases does not show.
    shop.command("other", doc! { "create": "more" });
    assert_eq!(last.differences(&shop.manifest(&world)), []);
}

/// Ends a writer, also when the test fails.
struct EndOf<'a>(&'a AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A writer moves one piece from one collection to another in one transaction, so that at each moment both together hold
/// the same number; and a second writer only adds.
#[test]
fn a_busy_mongodb_database_is_captured_at_one_moment() {
    let world = World::new();
    let shop = MongoShop::new();
    shop.insert("shop", "left", (0..400).map(|n| doc! { "_id": n }));
    shop.command("shop", doc! { "create": "right" });
    let stop = AtomicBool::new(false);
    let uri = shop.server.uri();
    std::thread::scope(|scope| {
        let _end = EndOf(&stop);
        scope.spawn(|| mongo_shop::moves(&uri, &stop));
        for _ in 0..5 {
            let (captured, _) = world.capture(open(&shop.url).as_ref());
            let entries = captured.manifest.expect("a manifest").entries;
            let count = |key: &str| entries.get(key).and_then(|e| e.count).expect("counted");
            let (left, right) = (count("documents:shop.left"), count("documents:shop.right"));
            assert_eq!(left + right, 400, "{left} and {right} are of two moments");
        }
    });
    assert!(shop.count("shop", "right") > 0, "nobody wrote meanwhile");
}

#[test]
fn a_mongodb_database_is_restored_as_files_and_into_a_running_server() {
    let world = World::new();
    let shop = MongoShop::new();
    let roles = [doc! { "role": "readWrite", "db": "shop" }];
    let user = doc! { "createUser": "app", "pwd": "sesame", "roles": roles.to_vec() };
    shop.command("shop", user);
    let source = open(&shop.url);
    let (captured, point) = with_manifest(&world, source.as_ref(), None);

    let files = RestoreRequest {
        form: Form::Files,
        ..all_to(&world.path("files"))
    };
    source
        .restore(&world.ctx(), &point, &files)
        .expect("restores");
    let archive = std::fs::read(world.path("files/archive")).expect("an archive");
    assert_eq!(archive, content(&point, "/mongodb/archive"));
    assert_eq!(archive[..4], [0x6d, 0xe2, 0x99, 0x81]);
    // `mongorestore` finds users and roles only if they come before everything else.
    let at = |word: &str| {
        let word = word.as_bytes();
        let found = archive.windows(word.len()).position(|w| w == word);
        found.unwrap_or_else(|| panic!("{word:?} is not in it"))
    };
    assert!(at("authSchema") < at("customer 1"));
    assert!(at("SCRAM-SHA-256") < at("customer 1"));
    let about: serde_json::Value =
        serde_json::from_slice(&content(&point, "/mongodb/about.json")).expect("JSON");
    assert_eq!(about["database"], "shop");
    assert_eq!(about["replica_set"], "rs0");

    let running = |url: &str, force| {
        let request = RestoreRequest {
            force,
            ..all_to(Path::new(url))
        };
        source.restore(&world.ctx(), &point, &request)
    };
    let target = format!("{}/again", shop.all);
    let restored = running(&target, false).expect("restores");
    assert_eq!(restored.issues, []);
    assert!(restored.place.display().to_string().ends_with("/again"));
    assert_eq!(shop.hash("again"), shop.hash("shop"));
    let view = shop.command(
        "again",
        doc! { "listCollections": 1, "filter": { "name": "open_orders" } },
    );
    assert!(view.to_string().contains("viewOn"), "{view}");

    let again = running(&target, false);
    assert!(
        matches!(again, Err(CaptureError::Target { .. })),
        "{again:?}"
    );
    shop.command(
        "again",
        doc! { "delete": "orders", "deletes": [{ "q": {}, "limit": 0 }] },
    );
    shop.command("again", doc! { "create": "beside" });
    let replaced = running(&target, true).expect("replaces");
    assert_eq!(replaced.issues, []);
    assert_eq!(shop.count("again", "orders"), 2000);
    assert_eq!(shop.count("again", "beside"), 0);

    // Another manifest than that of the documents: what differs is named.
    shop.insert("shop", "orders", [doc! { "_id": "extra" }]);
    let (_, wrong) = with_manifest(&world, source.as_ref(), captured.manifest.as_ref());
    let request = RestoreRequest {
        force: true,
        ..all_to(Path::new(&target))
    };
    let restored = source
        .restore(&world.ctx(), &wrong, &request)
        .expect("restores");
    assert_eq!(restored.issues.len(), 1, "{:?}", restored.issues);
    assert_eq!(restored.issues[0].place, "documents:shop.orders");

    let itself = running(&shop.url, false);
    assert!(
        matches!(itself, Err(CaptureError::Target { .. })),
        "{itself:?}"
    );
    let all = running(&shop.all, true);
    assert!(matches!(all, Err(CaptureError::Target { .. })), "{all:?}");
    assert!(source.owns(Path::new(&shop.url)));
    assert!(!source.owns(Path::new(&target)));
    assert!(!source.owns(&world.path("files")));
}

#[test]
fn all_databases_are_restored_into_another_server_under_their_names() {
    let world = World::new();
    let (shop, other) = (MongoShop::new(), MongoShop::empty(&Simulated::default()));
    let source = open(&shop.all);
    let (_, point) = with_manifest(&world, source.as_ref(), None);
    other.command("mine", doc! { "create": "kept" });
    let to = all_to(Path::new(&other.all));
    let restored = source.restore(&world.ctx(), &point, &to).expect("restores");
    assert_eq!(restored.issues, []);
    for db in ["shop", "other"] {
        assert_eq!(other.hash(db), shop.hash(db));
    }
    let again = source.restore(&world.ctx(), &point, &to);
    assert!(
        matches!(again, Err(CaptureError::Target { .. })),
        "{again:?}"
    );
}

#[test]
fn damage_to_a_mongodb_database_above_the_vault_reddens_its_own_rung() {
    with_mongod(
        "mongodb::damage_to_a_mongodb_database_above_the_vault_reddens_its_own_rung",
        || {
            let world = World::new();
            let shop = MongoShop::new();
            let source = open(&shop.url);
            let (captured, point) = world.capture(source.as_ref());
            // The manifest of a moment ago is held against what came later.
            let extra = doc! { "insert": "orders", "documents": [{ "_id": "extra" }] };
            let less =
                doc! { "delete": "orders", "deletes": [{ "q": { "_id": "extra" }, "limit": 1 }] };
            let index = doc! { "dropIndexes": "orders", "index": "at_1" };
            let user = doc! { "createUser": "app", "pwd": "sesame", "roles": [{ "role": "read", "db": "shop" }] };
            for (n, (command, rung)) in [
                (extra, Some("content")),
                (less, None),
                (user, Some("grants")),
                (index, Some("schema")),
            ]
            .into_iter()
            .enumerate()
            {
                shop.command("shop", command);
                let (_, later) = world.capture(source.as_ref());
                let restored =
                    world.restore(source.as_ref(), &later, &world.path(&format!("later-{n}")));
                let rungs = world.compare(source.as_ref(), &restored, &captured, &later);
                match rung {
                    None => assert_green(&rungs),
                    Some(rung) => drop(assert_first_red(&rungs, rung)),
                }
            }
            let restored = world.restore(source.as_ref(), &point, &world.path("no-about"));
            std::fs::remove_file(restored.place.join("about.json")).expect("removes");
            let rungs = world.compare(source.as_ref(), &restored, &captured, &point);
            assert_first_red(&rungs, "opens");
        },
    );
}

#[test]
fn without_mongod_the_archive_is_compared_and_the_drill_is_not_green() {
    let world = World::new();
    let shop = MongoShop::new();
    let source = open(&shop.url);
    let (captured, point) = world.capture(source.as_ref());
    assert_eq!(source.drills_as(&world.ctx(), &point), Form::Files);
    let server = source.restore(&world.ctx(), &point, &all_to(&world.path("server")));
    let said = server.expect_err("there is no mongod").to_string();
    assert!(said.contains("install mongod of version 7"), "{said}");
    assert!(!world.path("server").exists());

    let place = world.path("files");
    let files = RestoreRequest {
        form: Form::Files,
        ..all_to(&place)
    };
    let restored = source
        .restore(&world.ctx(), &point, &files)
        .expect("restores");
    let climb = || world.compare(source.as_ref(), &restored, &captured, &point);
    let names: Vec<String> = climb().into_iter().map(|r| r.name).collect();
    assert_eq!(names, ["archive", "schema", "grants", "content", "opens"]);
    let rungs = climb();
    assert_green(&rungs[..4]);
    assert_eq!(rungs[4].outcome, RungOutcome::Skipped);
    assert!(rungs[4].actual.contains("mongod"), "{}", rungs[4].actual);
    let digested = source
        .digest(&world.ctx(), &place)
        .expect("digests")
        .expect("a manifest");
    assert_eq!(
        captured
            .manifest
            .as_ref()
            .expect("a manifest")
            .differences(&digested),
        []
    );

    // A flipped bit in a document: the sum of its collection is another one.
    let archive = place.join("archive");
    let whole = std::fs::read(&archive).expect("an archive");
    let at = whole
        .windows(11)
        .rposition(|w| w == b"customer 29")
        .expect("a customer");
    let mut damaged = whole.clone();
    damaged[at] ^= 1;
    std::fs::write(&archive, &damaged).expect("writes");
    let said = assert_first_red(&climb(), "archive");
    assert!(said.contains("shop.customers"), "{said}");
    std::fs::write(&archive, &whole[..whole.len() - 9]).expect("writes");
    assert_first_red(&climb(), "archive");

    // A later archive, validly made, is another content.
    shop.command(
        "shop",
        doc! { "insert": "orders", "documents": [{ "_id": "extra" }] },
    );
    let (_, later) = world.capture(source.as_ref());
    std::fs::write(&archive, content(&later, "/mongodb/archive")).expect("writes");
    let said = assert_first_red(&climb(), "content");
    assert!(
        said.contains("shop.orders: expected 2000 documents"),
        "{said}"
    );
}

fn with_password(url: &str, password: &Path) -> Box<dyn vouchsafe_capture::Source> {
    let url = SourceUrl::parse(url).expect("a source");
    let password = SecretRef::File(password.to_path_buf());
    let settings = Settings {
        password: Some(&password),
        ..Settings::below(Path::new("/nowhere"))
    };
    vouchsafe_sources::open(&url, &settings).expect("opens")
}

#[test]
fn what_a_user_may_not_read_ends_the_capture_or_is_said() {
    let world = World::new();
    let user = |name: &str, role: &str| NewUser {
        name: name.to_owned(),
        password: "sesame".to_owned(),
        roles: vec![role.to_owned()],
    };
    let shop = MongoShop::with(&Simulated {
        users: vec![
            user("root", "root@admin"),
            user("backup", "backup@admin"),
            user("reader", "read@shop"),
        ],
        ..Simulated::default()
    });
    std::fs::create_dir_all(world.dir.path()).expect("a directory");
    let secret = |text: &str| {
        let path = world.path("password");
        std::fs::write(&path, text).expect("writes");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("sets");
        path
    };
    let as_user = |name: &str, db: &str| {
        let url = shop
            .all
            .replace("mongodb://", &format!("mongodb://{name}@"));
        with_password(&format!("{url}/{db}"), &secret("sesame\n"))
    };
    let refused = |source: &dyn vouchsafe_capture::Source| {
        let mut memory = common::Memory::default();
        let error = source
            .capture(&world.ctx(), &mut memory)
            .expect_err("refused");
        error.to_string()
    };

    let (captured, _) = world.capture(as_user("backup", "shop").as_ref());
    assert_eq!(captured.notes, [""; 0]);
    let all = world
        .capture(as_user("backup", "").as_ref())
        .0
        .manifest
        .expect("a manifest");
    assert!(
        all.entries.contains_key("grants:user admin.reader"),
        "{:?}",
        all.entries.keys()
    );
    // With fewer rights one database is captured without users, and all of them not at all.
    let (captured, _) = world.capture(as_user("reader", "shop").as_ref());
    assert!(
        captured.notes[0].contains("users and roles are not in the point"),
        "{:?}",
        captured.notes
    );
    let said = refused(as_user("reader", "").as_ref());
    assert!(said.contains("rights"), "{said}");
    let said = refused(as_user("reader", "other").as_ref());
    assert!(said.contains("rights"), "{said}");

    let wrong = with_password(&shop.url.replace("//", "//backup@"), &secret("wrong\n"));
    let said = refused(wrong.as_ref());
    assert!(
        said.contains("`password:`") && !said.contains("wrong"),
        "{said}"
    );
    let said = refused(open(&shop.url).as_ref());
    assert!(
        said.contains("rights") || said.contains("password"),
        "{said}"
    );
}

#[test]
fn what_cannot_be_captured_of_mongodb_is_said() {
    let world = World::new();
    let shop = MongoShop::new();
    let refused = |url: &str| {
        let mut memory = common::Memory::default();
        let error = open(url)
            .capture(&world.ctx(), &mut memory)
            .expect_err("refused");
        error.to_string()
    };
    let said = refused(&format!("{}/nosuch", shop.all));
    assert!(said.contains("no collection"), "{said}");
    let moment = doc! { "simulate": { "refuse": "find", "code": 239, "times": 1 } };
    shop.command("admin", moment);
    let said = open(&shop.url)
        .capture(&world.ctx(), &mut common::Memory::default())
        .expect_err("refused")
        .to_string();
    assert!(said.contains("minSnapshotHistoryWindowInSeconds"), "{said}");
    let port = shop.server.port();
    drop(shop);
    let said = refused(&format!("mongodb://127.0.0.1:{port}/shop"));
    assert!(said.contains("see that the server runs"), "{said}");
}

#[test]
fn the_policys_own_questions_are_asked_of_the_restored_mongodb() {
    with_mongod(
        "mongodb::the_policys_own_questions_are_asked_of_the_restored_mongodb",
        || {
            let world = World::new();
            let shop = MongoShop::new();
            let parsed = SourceUrl::parse(&shop.url).expect("a source");
            let checked = |checks: &[&str]| {
                let checks: Vec<String> = checks.iter().map(|c| (*c).to_owned()).collect();
                let settings = Settings {
                    checks: &checks,
                    digests: Digests::Full,
                    ..Settings::below(Path::new("/nowhere"))
                };
                vouchsafe_sources::open(&parsed, &settings).expect("opens")
            };
            let good = checked(&[
                r#"{"count": "orders", "query": {"state": "open"}}"#,
                r#"{"aggregate": "orders", "pipeline": [{"$group": {"_id": null, "n": {"$sum": 1}}}]}"#,
            ]);
            let (captured, point) = world.capture(good.as_ref());
            let restored = world.restore(good.as_ref(), &point, &world.path("checked"));
            let rungs = world.compare(good.as_ref(), &restored, &captured, &point);
            assert_green(&rungs);
            assert_eq!(rungs.last().map(|r| r.name.as_str()), Some("checks"));
            for bad in [
                r#"{"count": "orders", "query": {"state": "eaten"}}"#,
                "no JSON",
                r#"{"nosuch": 1}"#,
            ] {
                let source = checked(&[r#"{"count": "orders"}"#, bad]);
                let rungs = world.compare(source.as_ref(), &restored, &captured, &point);
                let said = assert_first_red(&rungs, "checks");
                assert!(said.contains(bad), "{said}");
            }
        },
    );
}
