//! What is captured of MongoDB, restored by the real `mongorestore`: by `cargo xtask conformance`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic
)]

mod common;
mod mongo_shop;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{World, all_to, open};
use mongo_shop::MongoShop;
use mongodb::bson::doc;
use vouchsafe_capture::{Form, RestoreRequest};
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
