//! Who may capture a PostgreSQL database, and how it is reached.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::common::shop::{Shop, content};
use crate::common::{self, Memory, World, assert_green, open};
use vouchsafe_capture::{CaptureError, Content, Sink, StreamContent};
use vouchsafe_format::Node;
use vouchsafe_model::{Issue, SecretRef, SourceUrl};
use vouchsafe_sources::Settings;
use vouchsafe_testkit::postgres::Postgres;

/// Reads every stream at once and keeps nothing of it.
struct Eager;

impl Sink for Eager {
    fn enter(&mut self, _directory: Node) -> Result<(), CaptureError> {
        Ok(())
    }
    fn leave(&mut self) -> Result<(), CaptureError> {
        Ok(())
    }
    fn entry(&mut self, _node: Node) -> Result<(), CaptureError> {
        Ok(())
    }
    fn file(&mut self, _node: Node, _content: Box<dyn Content>) -> Result<(), CaptureError> {
        Ok(())
    }
    fn stream(
        &mut self,
        _node: Node,
        mut stream: Box<dyn StreamContent>,
    ) -> Result<(), CaptureError> {
        let mut buffer = vec![0; 4096];
        while stream.read(&mut buffer).expect("reads") > 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
        stream.finish().map(drop)
    }
    fn issue(&mut self, _issue: Issue) {}
}

#[test]
fn least_rights_are_enough_and_fewer_are_named() {
    let world = World::new();
    let shop = Shop::new();
    let (backup, nobody) = (shop.role("backup"), shop.role("nobody"));
    shop.sql(&format!(
        "CREATE ROLE {backup} LOGIN; GRANT pg_read_all_data TO {backup}; CREATE ROLE {nobody} LOGIN; \
         SELECT lo_unlink(oid) FROM pg_largeobject_metadata; ALTER TABLE customers DISABLE ROW LEVEL SECURITY"
    ));
    let source = open(&shop.url_as(&backup));
    let (captured, point) = world.capture(source.as_ref());
    let restored = world.restore(source.as_ref(), &point, &world.path("least"));
    assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
    let globals = String::from_utf8_lossy(&content(&point, "/postgres/globals.sql")).into_owned();
    assert!(globals.contains(&format!("CREATE ROLE {backup}")));
    assert!(
        globals.contains("SCRAM-SHA-256"),
        "who reads all data reads password hashes"
    );

    let refused = open(&shop.url_as(&nobody)).capture(&world.ctx(), &mut Memory::default());
    let said = refused.expect_err("nothing may be read").to_string();
    assert!(
        said.contains("permission denied") && said.contains("pg_read_all_data"),
        "{said}"
    );

    // Rows that a policy hides would be missing without a trace: they must be an error.
    shop.sql("ALTER TABLE customers ENABLE ROW LEVEL SECURITY");
    let hidden = open(&shop.url_as(&backup)).capture(&world.ctx(), &mut Memory::default());
    let said = hidden.expect_err("rows are hidden").to_string();
    assert!(said.contains("row-level security"), "{said}");
}

#[test]
fn passwords_and_certificates_are_asked_for_and_checked() {
    let server = Postgres::networked();
    server.sql_in(
        "postgres",
        "CREATE DATABASE shop; CREATE ROLE backup LOGIN PASSWORD 'se:s\\ame'; GRANT pg_read_all_data TO backup",
    );
    server.sql_in("shop", "CREATE TABLE t AS SELECT 1 AS x");
    let world = World::new();
    let secret = world.path("secret");
    let port = server.port();
    let write = |password: &str| {
        std::fs::write(&secret, password).expect("writes");
        let mut command = Command::new("chmod");
        assert!(
            command
                .arg("600")
                .arg(&secret)
                .status()
                .expect("chmod runs")
                .success()
        );
    };
    let source = |query: &str| {
        let url = format!("postgres://backup@localhost:{port}/shop?{query}");
        let reference = SecretRef::File(secret.clone());
        let settings = Settings {
            password: Some(&reference),
            ..Settings::below(Path::new("/nowhere"))
        };
        vouchsafe_sources::open(&SourceUrl::parse(&url).expect("a source"), &settings)
            .expect("opens")
    };
    let attempt = |query: &str| {
        let mut memory = Memory::default();
        let captured = source(query).capture(&world.ctx(), &mut memory);
        captured.map(|_| memory.finish())
    };
    let refused = |query: &str| match attempt(query) {
        Ok(_) => panic!("{query}: it was captured"),
        Err(error) => error.to_string(),
    };
    let authority = server.authority();
    let full = format!("sslmode=verify-full&sslrootcert={}", authority.display());
    let tls_of = |point: &common::Point| {
        let about: serde_json::Value =
            serde_json::from_slice(&content(point, "/postgres/about.json")).expect("JSON");
        about["tls"].as_str().expect("a text").to_owned()
    };
    write("se:s\\ame");
    let point = attempt(&full).expect("captures");
    assert!(tls_of(&point).starts_with("TLSv1.3"), "{}", tls_of(&point));
    assert!(
        String::from_utf8_lossy(&content(&point, "/postgres/database.dump")).starts_with("PGDMP")
    );
    // This machine's own address is spoken to in the clear unless the URL says otherwise, and that is seen.
    assert_eq!(tls_of(&attempt("").expect("captures")), "none");

    let unknown = refused("sslmode=verify-full");
    assert!(unknown.contains("sslrootcert"), "{unknown}");
    let other_name = format!(
        "sslmode=verify-full&host=127.0.0.1&sslrootcert={}",
        authority.display()
    );
    let other_name = refused(&other_name);
    assert!(other_name.contains("TLS"), "{other_name}");

    write("wrong");
    let wrong = refused(&full);
    assert!(wrong.contains("password authentication failed"), "{wrong}");
    assert!(!wrong.contains("sesame"));
    let left: Vec<_> = std::fs::read_dir(world.state()).expect("lists").collect();
    assert_eq!(left.len(), 0, "no password file is left: {left:?}");
    drop(server);
    write("se:s\\ame");
    let gone = refused(&full);
    assert!(gone.contains("see that the server runs"), "{gone}");
}

#[test]
fn a_dump_that_is_cut_off_is_no_point() {
    let world = World::new();
    let shop = Shop::new();
    shop.sql(
        "CREATE TABLE big AS SELECT n, repeat('x', 1000) AS t FROM generate_series(1, 60000) n",
    );
    let source = open(&shop.url);
    let killer = std::thread::spawn({
        let (server, name) = (Arc::clone(&shop.server), shop.name.clone());
        move || {
            let sql = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' \
                 AND application_name = 'vouchsafe' AND query LIKE 'COPY public.%'"
            );
            for _ in 0..2000 {
                if server.sql_in("postgres", &sql).contains('t') {
                    return true;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            false
        }
    });
    let cut = source.capture(&world.ctx(), &mut Eager);
    assert!(
        killer.join().expect("ends"),
        "the dump was never seen at work"
    );
    let said = cut.expect_err("the dump was cut off").to_string();
    assert!(said.contains("pg_dump"), "{said}");
}

#[test]
fn what_a_dump_runs_reaches_nothing_of_the_machine() {
    let world = World::new();
    let shop = Shop::new();
    let open_to_all = world.path("open-to-all");
    let ours_alone = world.path("ours-alone");
    for (path, mode) in [(&open_to_all, 0o777), (&ours_alone, 0o755)] {
        std::fs::create_dir(path).expect("a directory");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its mode");
    }
    std::fs::set_permissions(world.dir.path(), std::fs::Permissions::from_mode(0o755))
        .expect("its mode");
    // The check runs wherever the row is loaded, with the rights of the server.
    shop.sql(&format!(
        "CREATE FUNCTION run(x int) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN \
         COPY (SELECT 1) TO PROGRAM 'touch {}/$(id -u); touch {}/here; true'; RETURN true; END $f$; \
         CREATE TABLE trap (x int CHECK (public.run(x))); INSERT INTO trap VALUES (1)",
        open_to_all.display(),
        ours_alone.display()
    ));
    let source = open(&shop.url);
    let (captured, point) = world.capture(source.as_ref());
    let restored = world.restore(source.as_ref(), &point, &world.path("trapped"));
    assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
    let mut ran_as: Vec<String> = std::fs::read_dir(&open_to_all)
        .expect("lists")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    ran_as.sort();
    let me = std::fs::metadata("/proc/self").expect("us").uid();
    if me == 0 {
        assert!(
            ran_as.contains(&"65534".to_owned()),
            "it never ran: {ran_as:?}"
        );
        assert!(
            !ran_as.contains(&"0".to_owned()),
            "it ran as root: {ran_as:?}"
        );
        assert!(
            !ours_alone.join("here").exists(),
            "it wrote where only root may"
        );
    } else {
        assert!(ran_as.contains(&me.to_string()), "it never ran: {ran_as:?}");
    }
}
