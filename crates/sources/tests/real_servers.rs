//! What is captured of MongoDB, restored by the real `mongorestore`, and a real MySQL server: by `cargo xtask conformance`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic
)]

mod common;
mod mongo_shop;
mod mysql_inside;
mod mysql_whole;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Memory, World, all_to, assert_green, open};
use mongo_shop::MongoShop;
use mongo_shop::followed::{Followed, held};
use mongodb::bson::doc;
use mysql_inside::{MySql, SHOP, inside};
use vouchsafe_capture::{Form, RestoreRequest, Until};
use vouchsafe_model::{SecretRef, SourceUrl};
use vouchsafe_mongosim::Settings;

/// Names the directory that `cargo xtask conformance` unpacks the tools into.
const TOOLS: &str = "VOUCHSAFE_TEST_MONGO_TOOLS";

/// Runs `mongorestore` where there is no network but the socket in `dir`.
fn mongorestore(dir: &Path, port: u16, arguments: &[&str]) -> String {
    const ADVICE: &str = "run these tests by `cargo xtask conformance`, which provides it";
    let Some(tools) = std::env::var_os(TOOLS) else {
        panic!("{TOOLS} is not set: {ADVICE}");
    };
    let socket = dir.join(format!("mongodb-{port}.sock"));
    let socket = socket.to_str().expect("UTF-8").replace('/', "%2F");
    let out = Command::new("timeout")
        .args(["120", "unshare", "--net", "--ipc", "--"])
        .arg(PathBuf::from(tools).join("mongorestore"))
        .arg(format!("--uri=mongodb://{socket}/"))
        .arg("--stopOnError")
        .args(arguments)
        .env_clear()
        .env("HOME", dir)
        .output()
        .expect(ADVICE);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{arguments:?}: {said}");
    said
}

/// A directory for sockets. In a URI they stand where hosts do, of which case is lost, so it has no capital letters.
fn sockets(name: &str) -> PathBuf {
    let place = std::env::temp_dir().join(format!("vouchsafe-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&place).expect("a directory");
    place
}

/// The archive of what `url` names, written as a file.
fn archive(world: &World, url: &str, name: &str) -> String {
    let source = open(url);
    let (_, point) = world.capture(source.as_ref());
    let place = world.path(name);
    let files = RestoreRequest {
        form: Form::Files,
        ..all_to(&place)
    };
    source
        .restore(&world.ctx(), &point, &files)
        .expect("restores");
    format!("--archive={}", place.join("archive").display())
}

#[test]
fn mongorestore_restores_what_was_captured_of_one_database_and_of_all() {
    let world = World::new();
    let sockets = sockets("archives");
    let there = Settings {
        socket_dir: Some(sockets.clone()),
        ..Settings::default()
    };
    let shop = MongoShop::new();
    let user = doc! { "createUser": "app", "pwd": "sesame", "roles": [{ "role": "readWrite", "db": "shop" }] };
    shop.command("shop", user);
    for (n, url) in [&shop.url, &shop.all].into_iter().enumerate() {
        let archive = archive(&world, url, &format!("files-{n}"));
        let other = MongoShop::empty(&there);
        let said = mongorestore(&sockets, other.server.port(), &[&archive]);
        assert!(said.contains("0 document(s) failed to restore"), "{said}");
        assert_eq!(other.hash("shop"), shop.hash("shop"));
        let view = other.command(
            "shop",
            doc! { "listCollections": 1, "filter": { "name": "open_orders" } },
        );
        assert!(view.to_string().contains("viewOn"), "{view}");
        let indexes = other
            .command("shop", doc! { "listIndexes": "orders" })
            .to_string();
        assert!(indexes.contains("expireAfterSeconds"), "{indexes}");
        if n == 1 {
            assert_eq!(other.hash("other"), shop.hash("other"));
            assert_eq!(other.count("admin", "system.users"), 1);
        }
    }
}

#[test]
fn mysql_conforms() {
    inside("mysql_conforms", || {
        let server = MySql::start(&[]);
        server.sql(SHOP);
        let world = World::new();
        common::conformance::conforms(&world, &server.url("root", "shop"), "restored");
    });
}

#[test]
fn an_account_of_mysql_that_has_a_password_and_the_least_rights_is_enough() {
    inside(
        "an_account_of_mysql_that_has_a_password_and_the_least_rights_is_enough",
        || {
            let server = MySql::start(&[]);
            server.sql(SHOP);
            let world = World::new();
            let secret = world.path("secret");
            std::fs::write(&secret, "a secret").expect("writes");
            let owners = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&secret, owners).expect("sets the mode");
            let reference = SecretRef::File(secret.clone());
            let url = server.url("backup", "shop");
            let opened = |reference| {
                let settings = vouchsafe_sources::Settings {
                    password: Some(reference),
                    ..vouchsafe_sources::Settings::below(Path::new("/nowhere"))
                };
                vouchsafe_sources::open(&SourceUrl::parse(&url).expect("a URL"), &settings)
                    .expect("opens")
            };
            // The server has not seen the password yet, and wants it as it is.
            let source = opened(&reference);
            let (captured, point) = world.capture(source.as_ref());
            assert_eq!(point.issues, []);
            let restored = world.restore(source.as_ref(), &point, &world.path("restored"));
            assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
            std::fs::write(&secret, "another one").expect("writes");
            let refused = source.capture(&world.ctx(), &mut Memory::default());
            let refused = refused.expect_err("a wrong password").to_string();
            assert!(refused.contains("Access denied"), "{refused}");
        },
    );
}

#[test]
fn every_kind_of_change_to_a_mysql_database_is_seen_in_its_part() {
    inside(
        "every_kind_of_change_to_a_mysql_database_is_seen_in_its_part",
        || {
            let server = MySql::start(&[]);
            server.sql(SHOP);
            let world = World::new();
            let source = open(&server.url("root", "shop"));
            let manifest = || {
                world
                    .capture(source.as_ref())
                    .0
                    .manifest
                    .expect("a manifest")
            };
            let mut before = manifest();
            assert_eq!(before.differences(&manifest()), []);
            for (change, part) in [
                (
                    "UPDATE shop.orders SET total = 11 WHERE id = 1",
                    "rows:orders",
                ),
                ("DELETE FROM shop.part WHERE id = 3", "rows:part"),
                ("UPDATE shop.customers SET place = NULL", "rows:customers"),
                (
                    "ALTER TABLE shop.orders ADD COLUMN more int",
                    "schema:columns orders",
                ),
                (
                    "ALTER TABLE shop.customers DROP INDEX name",
                    "schema:index customers name",
                ),
                ("DROP TRIGGER shop.loud", "schema:trigger loud"),
                ("DROP FUNCTION shop.twice", "schema:routine FUNCTION twice"),
                ("DROP EVENT shop.nightly", "schema:event nightly"),
                ("ALTER VIEW shop.big AS SELECT 1 AS one", "schema:view big"),
                ("GRANT DELETE ON shop.* TO app@'%'", "grants:account app@%"),
                ("SET DEFAULT ROLE NONE TO app@'%'", "grants:account app@%"),
                (
                    "ALTER USER app@'%' IDENTIFIED BY 'another'",
                    "grants:account app@%",
                ),
            ] {
                server.sql(change);
                let after = manifest();
                let seen = format!("{:?}", before.differences(&after));
                assert!(seen.contains(part), "{change}: {seen}");
                before = after;
            }
        },
    );
}

#[test]
fn mongorestore_replays_the_oplog_that_was_restored_beside_an_archive() {
    let mut followed = Followed::new();
    followed.catch_up();
    let base = followed.base();
    let shop = &followed.shop;
    shop.insert(
        "shop",
        "orders",
        (0..20).map(|n| doc! { "_id": format!("new {n}"), "list": [1, { "x": n }] }),
    );
    let updates = doc! { "q": { "_id": "new 7" }, "u": { "$set": { "list.1.x": 70 }, "$unset": { "gone": "" } } };
    shop.command("shop", doc! { "update": "orders", "updates": [updates] });
    shop.command(
        "shop",
        doc! { "delete": "orders", "deletes": [{ "q": { "_id": 5 }, "limit": 1 }] },
    );
    shop.command(
        "shop",
        doc! { "insert": "passing", "documents": [{ "_id": 1 }] },
    );
    shop.command(
        "admin",
        doc! { "renameCollection": "shop.passing", "to": "shop.nothing", "dropTarget": true },
    );
    let index = doc! { "key": { "note": 1 }, "name": "by_note" };
    shop.command(
        "shop",
        doc! { "createIndexes": "orders", "indexes": [index] },
    );
    shop.transaction(
        "shop",
        &[
            doc! { "insert": "orders", "documents": [{ "_id": "both" }] },
            doc! { "insert": "log", "documents": [{ "_id": "both" }] },
        ],
    );
    let state = followed.state();
    followed
        .shop
        .insert("shop", "orders", [doc! { "_id": "later" }]);
    followed.catch_up();
    let to = followed.world.path("files");
    let request = RestoreRequest {
        form: Form::Files,
        ..all_to(&to)
    };
    let fetched = followed.fetched(&base, &followed.log, Until::Position(state.place), &to);
    let ctx = followed.world.ctx();
    let restored = base.source.replay(
        &ctx,
        &base.point,
        &request,
        fetched.expect("fetches"),
        false,
    );
    assert_eq!(restored.expect("restores").issues, []);
    let sockets = sockets("oplog");
    let other = MongoShop::empty(&Settings {
        socket_dir: Some(sockets.clone()),
        ..Settings::default()
    });
    let restore = |arguments: &[&str]| mongorestore(&sockets, other.server.port(), arguments);
    // Not the accounts, of which there are none.
    let archive = format!("--archive={}", to.join("archive").display());
    restore(&["--nsExclude=admin.*", &archive]);
    restore(&["--oplogReplay", to.join("log").to_str().expect("UTF-8")]);
    // Of indexes the tool says more, and makes them in any order.
    let documents = |held: Vec<(String, mongodb::bson::Document)>| -> Vec<_> {
        let all = held.into_iter();
        all.filter(|(name, _)| !name.contains('.')).collect()
    };
    assert_eq!(documents(held(&other)), documents(state.held));
    let indexes = other.command("shop", doc! { "listIndexes": "orders" });
    assert!(indexes.to_string().contains("by_note"), "{indexes}");
}
