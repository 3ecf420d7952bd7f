//! What there is against what is declared: databases of a real server, repositories and SQLite files below a folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{POLICY, Workspace};
use serde_json::Value;
use vouchsafe_testkit::mariadb::MariaDb;
use vouchsafe_testkit::postgres::Postgres;

fn report(w: &Workspace, code: i32) -> Value {
    let (out, _) = w.exits(code, ["--json", "coverage"]);
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

fn standing(report: &Value, place: &str) -> String {
    let found = report["found"].as_array().unwrap();
    let mut all = found
        .iter()
        .filter(|t| t["place"].as_str().unwrap().contains(place));
    let one = all.next().unwrap_or_else(|| panic!("{place}: {report:#}"));
    one["standing"].as_str().unwrap().to_owned()
}

#[test]
fn a_database_that_nobody_declared_is_found_on_its_server() {
    let server = Postgres::networked();
    server.sql_in(
        "postgres",
        "CREATE DATABASE shop; CREATE DATABASE forgotten",
    );
    server.sql_in(
        "postgres",
        "CREATE ROLE backup LOGIN PASSWORD 'open sesame'; GRANT pg_read_all_data TO backup",
    );
    let w = Workspace::new();
    let url = |database: &str| {
        format!(
            "postgres://backup@localhost:{}/{database}?sslmode=verify-full&sslrootcert={}",
            server.port(),
            server.authority().display()
        )
    };
    fs::write(w.path("password"), "open sesame\n").unwrap();
    fs::set_permissions(w.path("password"), fs::Permissions::from_mode(0o600)).unwrap();
    let policy = |more: &str| {
        let (head, _) = POLICY.split_once("systems:\n").unwrap();
        let shop = format!(
            "systems:\n  shop: {{ source: \"{}\", password: {{ file: ./password }}, tier: standard, plan: nightly, owner: o }}\n{more}",
            url("shop")
        );
        fs::write(w.path("policy.yaml"), format!("{head}{shop}")).unwrap();
    };
    policy("");
    w.ok(["init"]);
    let found = report(&w, 1);
    assert_eq!(standing(&found, "/shop"), "unprotected");
    assert_eq!(standing(&found, "/forgotten"), "undeclared");
    let exempt = |name: &str| format!("  {name}: {{ source: \"{}\", exempt: empty }}\n", url(name));
    policy(&format!("{}{}", exempt("forgotten"), exempt("postgres")));
    w.ok(["run", "shop"]);
    let found = report(&w, 0);
    assert_eq!(standing(&found, "/shop"), "protected");
    assert_eq!(standing(&found, "/forgotten"), "exempt");
    // A server that is gone is told, and nothing is said to be covered.
    drop(server);
    let found = report(&w, 3);
    assert_eq!(found["issues"].as_array().unwrap().len(), 1);
}

#[test]
fn repositories_and_sqlite_files_below_a_folder_are_found() {
    let w = Workspace::new();
    let (head, systems) = POLICY.split_once("systems:\n").unwrap();
    let all = systems.replace(
        "source: \"files:./site\", exclude: [\"*.tmp\"]",
        "source: \"files:.\", exclude: [left-out]",
    );
    fs::write(w.path("policy.yaml"), format!("{head}systems:\n{all}")).unwrap();
    fs::create_dir_all(w.path("left-out")).unwrap();
    fs::copy(w.path("shop.db"), w.path("left-out/old.db")).unwrap();
    fs::copy(w.path("shop.db"), w.path("site/other.sqlite")).unwrap();
    w.ok(["init"]);
    w.ok(["run"]);
    let found = report(&w, 0);
    assert_eq!(standing(&found, "/shop.db"), "protected");
    assert_eq!(standing(&found, "/code"), "protected");
    assert_eq!(standing(&found, "/other.sqlite"), "as-files");
    assert_eq!(standing(&found, "/left-out/old.db"), "exempt");
    let all = found["found"].as_array().unwrap();
    assert!(
        !all.iter()
            .any(|t| t["place"].as_str().unwrap().contains("vaults"))
    );
}

#[test]
fn a_database_of_mariadb_is_found_on_its_server() {
    let server = MariaDb::start(&[]);
    // Who may not see a database does not find it.
    server.sql(
        "CREATE DATABASE shop; CREATE DATABASE forgotten; CREATE USER backup@localhost; \
                GRANT SELECT, SHOW DATABASES ON *.* TO backup@localhost",
    );
    let w = Workspace::new();
    let (head, _) = POLICY.split_once("systems:\n").unwrap();
    let shop = format!(
        "systems:\n  shop: {{ source: \"{}\", tier: standard, plan: nightly, owner: o }}\n",
        server.url("backup", "shop")
    );
    fs::write(w.path("policy.yaml"), format!("{head}{shop}")).unwrap();
    w.ok(["init"]);
    let found = report(&w, 1);
    assert_eq!(standing(&found, "/shop"), "unprotected");
    assert_eq!(standing(&found, "/forgotten"), "undeclared");
}
