//! Erased people from the command line: who is in the register comes back with no restore, and drills would find them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::common::vaults::facts;
use crate::common::{self, Workspace};
use serde_json::Value;
use vouchsafe_testkit::mariadb::MariaDb;
use vouchsafe_testkit::postgres::Postgres;

const HEAD: &str = r#"
policy: { id: T-1, title: Test policy, owner: o@example.com, version: "1", next_review: 2999-01-01 }
vaults:
  local: { url: ./vaults/local, region: here, country: GB }
classes: { people: { personal: true } }
plans:
  nightly:
    schedule: "daily at 02:00 UTC"
    keep: { at_least: 35 days }
    copies: [ local ]
    verify: { every: week }
    drill: { every: quarter, negative_control: every year }
defaults: { owner: o@example.com, class: people, plan: nightly }
erasure: { file: ./erased.jsonl, replay: after-restore, drill: true }
systems:
"#;

/// What a shop says of its customers.
const RULE: &str = r#"erasure: { find: "SELECT count(*) FROM customers WHERE id = :subject", erase: [ "DELETE FROM orders WHERE customer = :subject", "DELETE FROM customers WHERE id = :subject" ], someone: "SELECT id FROM customers LIMIT 1" }"#;

const TABLES: &str = "CREATE TABLE customers (id int PRIMARY KEY, email varchar(200)); \
    CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers (id), item varchar(200)); \
    INSERT INTO customers VALUES (17, 'anna@example.com'), (18, 'ben@example.com'), (19, 'cleo@example.com'); \
    INSERT INTO orders VALUES (1, 17, 'a lamp'), (2, 18, 'a table'), (3, 19, 'a chair');";

fn workspace(systems: &str, register: &str) -> Workspace {
    let w = Workspace::new();
    fs::write(w.path("policy.yaml"), format!("{HEAD}{systems}")).unwrap();
    private(&w.path("password"), "open sesame\n");
    private(&w.path("erased.jsonl"), register);
    w.ok(["init"]);
    w
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn line(subject: &str) -> String {
    format!("{{\"subject\": {subject}, \"erased\": \"2026-03-01T12:00:00Z\"}}\n")
}

/// The last line, as JSON.
fn last(said: &str) -> Value {
    serde_json::from_str(said.lines().last().unwrap()).unwrap()
}

/// A drill's negative control of that name.
fn control(said: &str, name: &str) -> Value {
    let all = last(said);
    let text = all.to_string();
    let drills = all["drills"]
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![all]);
    let mut controls = drills
        .iter()
        .filter_map(|drill| drill["negative_controls"].as_array())
        .flatten();
    let found = controls.find(|c| c["damage"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {text}")).clone()
}

/// The rung that looks for erased people.
fn rung(said: &str) -> Value {
    let all = last(said);
    let text = all.to_string();
    let drills = all["drills"]
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![all]);
    let mut rungs = drills
        .iter()
        .filter_map(|drill| drill["ladder"]["rungs"].as_array())
        .flatten();
    let found = rungs.find(|r| r["name"] == "erasure");
    found.unwrap_or_else(|| panic!("no rung: {text}")).clone()
}

#[test]
fn erased_subjects_stay_erased_in_postgresql() {
    let server = Postgres::networked();
    server.sql_in(
        "postgres",
        "CREATE DATABASE shop; CREATE ROLE backup LOGIN PASSWORD 'open sesame'; GRANT pg_read_all_data TO backup",
    );
    server.sql_in("shop", TABLES);
    let more = "CREATE TABLE notes (n serial PRIMARY KEY, words text NOT NULL, price numeric); \
        INSERT INTO notes (words, price) SELECT 'note ' || n, n FROM generate_series(1, 5000) n; \
        GRANT SELECT ON notes TO backup";
    server.sql_in("shop", more);
    let systems = format!(
        "  shop:\n    source: \"postgres://backup@localhost:{}/shop?sslmode=verify-full&sslrootcert={}\"\n    \
         password: {{ file: ./password }}\n    {RULE}\n",
        server.port(),
        server.authority().display()
    );
    // One as a number and one as a text: the server says what it wants.
    let w = workspace(&systems, &(line("17") + &line("\"18\"") + &line("4711")));
    w.ok(["run", "shop"]);
    server.sql_in("shop", "DELETE FROM orders WHERE customer IN (17, 18)");
    server.sql_in("shop", "DELETE FROM customers WHERE id IN (17, 18)");

    // Into a server that runs.
    let target = |name: &str| {
        let (port, socket) = (server.port(), server.socket_dir().display().to_string());
        format!("postgres://postgres@localhost:{port}/{name}?host={socket}")
    };
    let said = w.ok(["restore", "shop", "--to", &target("again"), "--json"]);
    let replay = &last(&said)["erasures"];
    assert_eq!(replay["result"], "replayed", "{replay}");
    assert_eq!((&replay["found"], &replay["left"]), (&2.into(), &0.into()));
    let left = |name: &str| server.sql_in(name, "SELECT string_agg(id::text, ',') FROM customers");
    assert_eq!(left("again"), "19");
    assert_eq!(server.sql_in("again", "SELECT count(*) FROM orders"), "1");
    let recorded = facts(&w, "erasures-replayed");
    assert_eq!(recorded.len(), 1);
    assert_eq!(recorded[0]["subjects"], 3);
    assert_eq!(recorded[0]["register"].as_str().unwrap().len(), 64);

    // As a server of its own, which stock PostgreSQL starts.
    w.ok(["restore", "shop", "--to", "server:./served"]);
    assert!(!w.path("served.erasures-pending").exists());
    let copy = Postgres::on_copy_of(&w.path("served/data"));
    assert_eq!(copy.sql_in("shop", "SELECT count(*) FROM customers"), "1");

    // As files nobody can be erased: refused before anything is written, or left in with a reason.
    let refused = w.exits(2, ["restore", "shop", "--to", "./files"]).1;
    assert!(refused.contains("--without-erasures"), "{refused}");
    assert!(!w.path("files").exists());
    w.exits(
        2,
        ["restore", "shop", "--to", "./files", "--without-erasures"],
    );
    let reason = ["--without-erasures", "--reason", "order of a court"];
    w.ok([&["restore", "shop", "--to", "./files"], &reason[..]].concat());
    w.ok([&["restore", "shop", "--to", &target("whole")], &reason[..]].concat());
    assert_eq!(left("whole"), "17,18,19");
    let last_fact = facts(&w, "erasures-replayed").pop().unwrap();
    assert_eq!(last_fact["result"], "left-out", "{last_fact}");
    assert_eq!(last_fact["reason"], "order of a court");

    // In a drill, whose test leaves one of the register in.
    let (said, _) = w.exits(0, ["drill", "shop", "--negative", "--json"]);
    assert_eq!(rung(&said)["outcome"], "green");
    assert!(
        rung(&said)["actual"]
            .as_str()
            .unwrap()
            .contains("there before, and erased: 2"),
        "{said}"
    );
    let left_in = control(&said, "left-in");
    assert_eq!(left_in["first_red"], "erasure", "{left_in}");
    assert!(
        left_in["damage"]["detail"]
            .as_str()
            .unwrap()
            .contains("of the register")
    );
    assert_eq!(control(&said, "wrong-row")["first_red"], "content");

    // A point without anybody of the register: somebody else is looked for.
    w.ok(["run", "shop", "--reason", "again"]);
    let (said, _) = w.exits(0, ["drill", "shop", "--negative", "--json"]);
    let left_in = control(&said, "left-in");
    assert_eq!(left_in["first_red"], "erasure", "{left_in}");
    assert!(
        left_in["damage"]["detail"]
            .as_str()
            .unwrap()
            .contains("somebody")
    );

    // What the database would say of an identifier stays there.
    private(
        &w.path("erased.jsonl"),
        &(line("17") + &line("\"anna-4711\"")),
    );
    let (said, told) = w.exits(3, ["restore", "shop", "--to", &target("third"), "--json"]);
    assert!(said.contains("line 2 of the register"), "{said}");
    assert!(
        !format!("{said}{told}").contains("anna-4711"),
        "{said}{told}"
    );
}

#[test]
fn erased_subjects_stay_erased_in_a_whole_server() {
    let server = Postgres::networked();
    server.sql_in(
        "postgres",
        "CREATE DATABASE shop; CREATE ROLE backup LOGIN REPLICATION PASSWORD 'open sesame'; GRANT pg_read_all_data TO backup",
    );
    let data = server.sql_in("postgres", "SHOW data_directory");
    let hba =
        "printf 'host replication all 127.0.0.1/32 scram-sha-256\\n' >> \"$PGDATA/pg_hba.conf\"";
    let done = Command::new("sh")
        .args(["-c", hba])
        .env("PGDATA", data)
        .status();
    assert!(done.unwrap().success());
    server.sql_in("postgres", "SELECT pg_reload_conf()");
    server.sql_in("shop", TABLES);
    let rule = RULE.replace("find:", "database: shop, find:");
    let systems = format!(
        "  shop:\n    source: \"postgres://backup@localhost:{}?sslmode=verify-full&sslrootcert={}\"\n    \
         password: {{ file: ./password }}\n    {rule}\n",
        server.port(),
        server.authority().display()
    );
    let w = workspace(&systems, &line("17"));
    w.ok(["run", "shop"]);
    w.ok(["restore", "shop", "--to", "server:./served"]);
    let copy = Postgres::on_copy_of(&w.path("served/data"));
    assert_eq!(copy.sql_in("shop", "SELECT min(id) FROM customers"), "18");
    let (said, _) = w.exits(0, ["drill", "shop", "--negative", "--json"]);
    assert_eq!(control(&said, "left-in")["first_red"], "erasure");
}

#[test]
fn erased_subjects_stay_erased_in_mariadb() {
    let server = MariaDb::networked();
    server.sql(
        "CREATE DATABASE shop; CREATE USER backup@'%' IDENTIFIED BY 'open sesame' REQUIRE SSL; \
         GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON shop.* TO backup@'%'; \
         GRANT SELECT ON mysql.* TO backup@'%'; GRANT RELOAD ON *.* TO backup@'%'; \
         CREATE USER base@localhost IDENTIFIED BY 'open sesame'; \
         GRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR ON *.* TO base@localhost",
    );
    server.sql_in("shop", TABLES);
    let systems = format!(
        "  shop:\n    protections:\n      dump:\n        \
         capture: \"mariadb://backup@localhost:{}/shop?ssl-mode=VERIFY_IDENTITY&ssl-ca={}\"\n        \
         password: {{ file: ./password }}\n        {RULE}\n      base:\n        \
         capture: \"mysql://base@localhost?socket={}\"\n        password: {{ file: ./password }}\n        {}\n",
        server.port(),
        server.authority().display(),
        server.socket().display(),
        RULE.replace("find:", "database: shop, find:"),
    );
    let w = workspace(&systems, &(line("17") + &line("4711")));
    w.ok(["run", "shop"]);
    let target = |name: &str| server.url("root", name);
    let left =
        |name: &str| server.sql_in(name, "SELECT group_concat(id ORDER BY id) FROM customers");
    w.ok(["restore", "shop/dump", "--to", &target("again")]);
    assert_eq!(left("again"), "18,19");
    let (said, _) = w.exits(0, ["drill", "shop", "--negative", "--json"]);
    assert_eq!(control(&said, "left-in")["first_red"], "erasure");
    w.ok(["restore", "shop/base", "--to", "server:./served"]);
    let copy = MariaDb::on_copy_of(&w.path("served/data"));
    assert_eq!(copy.sql_in("shop", "SELECT min(id) FROM customers"), "18");

    // A text that begins with a number is not that number here.
    private(&w.path("erased.jsonl"), &line("\"18th\""));
    let (_, told) = w.exits(3, ["restore", "shop/dump", "--to", &target("loosely")]);
    assert!(
        told.contains("line 1 of the register") && !told.contains("18th"),
        "{told}"
    );
    assert_eq!(left("loosely"), "17,18,19");
}

fn sqlite(w: &Workspace, database: &str, sql: &str) -> String {
    let run = Command::new("sqlite3")
        .arg(w.path(database))
        .arg(sql)
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    String::from_utf8_lossy(&run.stdout).trim().to_owned()
}

/// A workspace with a shop in SQLite that says `rule` of its customers.
fn little_shop(rule: &str, register: &str) -> Workspace {
    let systems = format!("  shop:\n    source: \"sqlite:./customers.db\"\n    {rule}\n");
    let w = workspace(&systems, register);
    sqlite(&w, "customers.db", TABLES);
    w.ok(["run", "shop"]);
    w
}

#[test]
fn erased_subjects_stay_erased_in_sqlite() {
    let w = little_shop(RULE, &(line("17") + &line("\"18\"")));
    let planned = w.ok(["restore", "shop", "--to", "./again.db", "--dry-run"]);
    assert!(planned.contains("look for 2 subjects"), "{planned}");
    w.ok(["restore", "shop", "--to", "./again.db"]);
    assert_eq!(
        sqlite(&w, "again.db", "SELECT group_concat(id) FROM customers"),
        "19"
    );
    // Not even in pages that are free.
    let bytes = fs::read(w.path("again.db")).unwrap();
    assert!(!bytes.windows(16).any(|part| part == b"anna@example.com"));
    assert!(!w.path("again.db.erasures-pending").exists());
    let (said, _) = w.exits(0, ["drill", "shop", "--negative", "--json"]);
    assert_eq!(rung(&said)["outcome"], "green");
    assert_eq!(control(&said, "left-in")["first_red"], "erasure");
    // Single tables are not gone through, and what is advised instead can be done.
    let only = ["restore", "shop", "--only", "customers", "--into", "back_"];
    let (_, told) = w.exits(2, [&only[..], &["--to", "./customers.db"]].concat());
    assert!(told.contains("restore the whole as --to FILE"), "{told}");
    // Systems that the register does not name are left alone.
    let other =
        "{\"subject\": 17, \"erased\": \"2026-03-01T12:00:00Z\", \"systems\": [\"shop\"]}\n";
    private(&w.path("erased.jsonl"), other);
    w.ok(["restore", "shop", "--to", "./third.db"]);
    assert_eq!(
        sqlite(&w, "third.db", "SELECT count(*) FROM customers"),
        "2"
    );
}

#[test]
fn who_is_left_makes_a_restore_incomplete_and_it_stays_marked() {
    // The statement erases too little.
    let rule = RULE.replace(", \"DELETE FROM customers WHERE id = :subject\"", "");
    let w = little_shop(&rule, &(line("17") + &line("18")));
    let (said, told) = w.exits(3, ["restore", "shop", "--to", "./again.db"]);
    assert!(told.contains("2 subjects are still found"), "{told}");
    assert!(told.contains("lines 1, 2"), "{told}");
    assert!(said.contains("INCOMPLETE"), "{said}");
    let mark = fs::read_to_string(w.path("again.db.erasures-pending")).unwrap();
    assert!(mark.contains("Do not use it"), "{mark}");
    let fact = facts(&w, "erasures-replayed").pop().unwrap();
    assert_eq!((&fact["found"], &fact["left"]), (&2.into(), &2.into()));
    let (said, _) = w.exits(1, ["drill", "shop", "--json"]);
    assert_eq!(rung(&said)["outcome"], "red");
    // What fails is all undone, and told.
    let orders_last = r#""DELETE FROM customers WHERE id = :subject""#;
    let policy = fs::read_to_string(w.path("policy.yaml")).unwrap();
    let failing = policy.replace(
        "\"DELETE FROM orders WHERE customer = :subject\"",
        orders_last,
    );
    assert_ne!(failing, policy);
    fs::write(w.path("policy.yaml"), failing).unwrap();
    common::vaults::agree(&w);
    let (_, told) = w.exits(3, ["restore", "shop", "--to", "./third.db"]);
    assert!(told.contains("could not be replayed"), "{told}");
    assert_eq!(
        sqlite(&w, "third.db", "SELECT count(*) FROM customers"),
        "3"
    );
    assert!(w.path("third.db.erasures-pending").exists());
    assert_eq!(
        facts(&w, "erasures-replayed").pop().unwrap()["result"],
        "failed"
    );
    // Once it is right, the mark goes.
    let right = fs::read_to_string(w.path("policy.yaml")).unwrap();
    let both = format!("\"DELETE FROM orders WHERE customer = :subject\", {orders_last}");
    fs::write(w.path("policy.yaml"), right.replace(orders_last, &both)).unwrap();
    common::vaults::agree(&w);
    w.ok(["restore", "shop", "--to", "./third.db", "--force"]);
    assert!(!w.path("third.db.erasures-pending").exists());
}

#[test]
fn a_subject_that_is_left_in_turns_the_rung_red() {
    // `find` never finds anybody, so the drill is green, and only its own test tells.
    let rule = RULE.replace("FROM customers WHERE id =", "FROM orders WHERE item =");
    let w = little_shop(&rule, &line("17"));
    let (said, _) = w.exits(0, ["drill", "shop", "--json"]);
    assert_eq!(rung(&said)["outcome"], "green");
    let (said, _) = w.exits(1, ["drill", "shop", "--negative", "--json"]);
    let left_in = control(&said, "left-in");
    assert_eq!(left_in["first_red"], Value::Null, "{left_in}");
    // Where nobody can be named, it fails as well, and says what to do.
    let nobody = RULE.replace(", someone: \"SELECT id FROM customers LIMIT 1\"", "");
    let w = little_shop(&nobody, &line("4711"));
    let (said, _) = w.exits(1, ["drill", "shop", "--negative", "--json"]);
    let left_in = control(&said, "left-in").to_string();
    assert!(left_in.contains("someone"), "{left_in}");
}

#[test]
fn erased_subjects_stay_erased_among_files() {
    let rule = "erasure: { paths: [ \"home/{subject}/**\", \"**/{subject}.txt\" ] }";
    let systems = format!("  people:\n    source: \"files:./people\"\n    {rule}\n");
    let w = workspace(&systems, &(line("17") + &line("\"anna\"") + &line("\"*\"")));
    for name in ["home/17/deep", "home/170", "letters/2026", "outside/17"] {
        fs::create_dir_all(w.path("people").join(name)).unwrap();
    }
    for name in [
        "home/17/deep/a",
        "home/170/a",
        "letters/2026/anna.txt",
        "letters/joanna.txt",
    ] {
        fs::write(w.path("people").join(name), name).unwrap();
    }
    fs::create_dir_all(w.path("elsewhere/17")).unwrap();
    fs::write(w.path("elsewhere/17/kept"), "kept").unwrap();
    fs::create_dir_all(w.path("people/more")).unwrap();
    symlink(w.path("elsewhere/17"), w.path("people/home/anna")).unwrap();
    symlink(w.path("elsewhere"), w.path("people/more/home")).unwrap();
    w.ok(["run", "people"]);
    let said = w.ok(["restore", "people", "--to", "./again", "--json"]);
    assert_eq!(last(&said)["erasures"]["found"], 2, "{said}");
    for gone in ["home/17", "home/anna", "letters/2026/anna.txt"] {
        let place = w.path("again").join(gone);
        assert!(fs::symlink_metadata(place).is_err(), "{gone}");
    }
    for there in [
        "again/home/170/a",
        "again/letters/joanna.txt",
        "elsewhere/17/kept",
    ] {
        assert!(w.path(there).exists(), "{there}");
    }
    let (said, _) = w.exits(0, ["drill", "people", "--negative", "--json"]);
    assert_eq!(control(&said, "left-in")["first_red"], "erasure");
    assert_eq!(control(&said, "wrong-content")["first_red"], "identity");
    // Only a part of it.
    w.ok([
        "restore",
        "people",
        "--to",
        "./part",
        "--include",
        "letters",
    ]);
    assert!(!w.path("part/letters/2026/anna.txt").exists());
}

#[test]
fn without_a_register_that_can_be_read_nothing_is_restored() {
    let w = little_shop(RULE, &(line("17") + "{\"subject\": \"anna-4711\"}\n"));
    let target = ["restore", "shop", "--to", "./again.db"];
    let (_, told) = w.exits(2, target);
    assert!(
        told.contains("erased.jsonl") && told.contains("line 2"),
        "{told}"
    );
    assert!(!told.contains("anna-4711"), "{told}");
    let (said, told) = w.exits(1, ["drill", "shop", "--json"]);
    assert_eq!(rung(&said)["outcome"], "red");
    assert!(
        said.contains("line 2") && !format!("{said}{told}").contains("anna-4711"),
        "{said}"
    );
    let (found, _) = w.exits(1, ["lint", "--json"]);
    assert!(
        found.contains("P184") && found.contains("line 2"),
        "{found}"
    );
    fs::remove_file(w.path("erased.jsonl")).unwrap();
    assert!(w.exits(2, target).1.contains("erased.jsonl"));
    let (found, _) = w.exits(1, ["lint", "--json"]);
    assert!(found.contains("the register is not here"), "{found}");
    assert!(!w.path("again.db").exists() && !w.path("again.db.erasures-pending").exists());
    assert!(facts(&w, "erasures-replayed").is_empty());
    // Others can read it: told, and no obstacle.
    fs::write(w.path("erased.jsonl"), line("17")).unwrap();
    fs::set_permissions(w.path("erased.jsonl"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(w.exits(0, target).1.contains("chmod 600"));
}

#[test]
fn identifiers_stand_in_no_message_and_no_entry() {
    let rule = RULE
        .replace("WHERE id =", "WHERE email =")
        .replace("SELECT id", "SELECT email");
    let w = little_shop(
        &rule,
        &(line("\"anna@example.com\"") + &line("\"ben@example.com\"")),
    );
    let mut told = String::new();
    let mut tell = |(out, err): (String, String)| told.push_str(&(out + &err));
    tell(w.exits(3, ["restore", "shop", "--to", "./again.db", "--json"]));
    tell(w.exits(1, ["drill", "shop", "--negative", "--json"]));
    tell(w.exits(0, ["ledger", "show", "--json"]));
    tell(w.exits(0, ["report", "--format", "json", "-o", "-"]));
    tell(w.exits(0, ["report", "-o", "-"]));
    assert!(told.contains("erasures"), "{told}");
    for hidden in ["anna@", "ben@"] {
        assert!(!told.contains(hidden), "{hidden}: {told}");
    }
    let state: Vec<_> = common::files_below(&w.path(".vouchsafe"));
    assert!(!state.is_empty());
    for file in state {
        let bytes = fs::read(&file).unwrap();
        let holds = bytes.windows(16).any(|part| part == b"anna@example.com");
        assert!(!holds, "{}", file.display());
    }
}
