//! The simulator as a program of its own, on a port and on sockets.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Document, doc};

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it, and returns it with the address that it tells.
fn started(dir: &Path, arguments: &[&str]) -> (Program, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mongosim"))
        .args(arguments)
        .current_dir(dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let program = Program(child);
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).unwrap();
    (program, line.trim().to_owned())
}

fn writes_and_reads(uri: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let test = async {
            let client = Client::with_uri_str(uri).await.unwrap();
            let collection = client.database("shop").collection::<Document>("a");
            collection.insert_one(doc! { "_id": 1 }).await.unwrap();
            assert_eq!(
                collection.find_one(doc! {}).await.unwrap(),
                Some(doc! { "_id": 1 })
            );
        };
        tokio::time::timeout(Duration::from_secs(60), test)
            .await
            .expect("it takes too long");
    });
}

#[test]
fn it_serves_on_a_free_port_and_says_which() {
    let dir = tempfile::tempdir().unwrap();
    let (_program, uri) = started(dir.path(), &["--port", "0", "--bind", "127.0.0.1"]);
    writes_and_reads(&uri);
}

#[test]
fn it_serves_on_a_socket_without_any_port() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("here.sock");
    let (_program, _) = started(
        dir.path(),
        &["--no-tcp", "--unix-socket", socket.to_str().unwrap()],
    );
    let escaped = socket.to_str().unwrap().replace('/', "%2F");
    writes_and_reads(&format!("mongodb://{escaped}/?directConnection=true"));
}

#[test]
fn users_come_from_a_file_and_the_words_of_mongod_are_known() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("users"), "chief secret root\n").unwrap();
    let (_program, uri) = started(
        dir.path(),
        &[
            "--port=0",
            "--bind_ip",
            "127.0.0.1",
            "--replSet",
            "rs7",
            "--dbpath",
            ".",
            "--users",
            "users",
        ],
    );
    assert!(uri.contains("replicaSet=rs7"), "{uri}");
    writes_and_reads(&uri.replace("mongodb://", "mongodb://chief:secret@"));
    let out = Command::new(env!("CARGO_BIN_EXE_mongosim"))
        .arg("--what")
        .output()
        .unwrap();
    assert!(!out.status.success());
}
