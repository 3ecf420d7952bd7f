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

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Memory, World, all_to, assert_green, open};
use mongo_shop::MongoShop;
use mongodb::bson::doc;
use mysql_inside::{MySql, SHOP, inside};
use vouchsafe_capture::{Form, RestoreRequest};
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
    let there = Settings {
        socket_dir: Some(world.dir.path().to_path_buf()),
        ..Settings::default()
    };
    let shop = MongoShop::new();
    let user = doc! { "createUser": "app", "pwd": "sesame", "roles": [{ "role": "readWrite", "db": "shop" }] };
    shop.command("shop", user);
    for (n, url) in [&shop.url, &shop.all].into_iter().enumerate() {
        let archive = archive(&world, url, &format!("files-{n}"));
        let other = MongoShop::empty(&there);
        let said = mongorestore(world.dir.path(), other.server.port(), &[&archive]);
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
        let server = MySql::start();
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
            let server = MySql::start();
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
            let server = MySql::start();
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
