//! Vaults: how they are reached, and each mistake with its place.

use vouchsafe_model::{MinTls, SecretRef};

use crate::lower::tests::{one_error, policy, read};
use crate::problem::Level;

#[test]
fn vaults_say_how_they_are_reached() {
    let p = policy(
        "vaults:\n  v: { url: 's3://b/p', region: eu-west-2, limits: { upload: 1.5MiB/s, connections: 2 } }\n\
         \x20 w: { url: 's3:http://127.0.0.1:9000/b', access_key: { env: A }, secret_key: { env: S } }\n\
         systems: { a: { source: 'files:.' } }",
    );
    let mut all = p.vaults.values();
    let (v, w) = (all.next().unwrap(), all.next().unwrap());
    assert_eq!(v.access.signing_region.as_deref(), Some("eu-west-2"));
    assert_eq!(v.access.limits.upload, Some(1_572_864));
    assert_eq!(v.access.limits.connections, Some(2));
    assert_eq!(v.access.min_tls, MinTls::V1_3);
    assert_eq!(w.access.access_key, Some(SecretRef::Env("A".into())));
    assert_eq!(w.access.signing_region, None);
    assert_eq!(v.lock_mode, vouchsafe_model::LockMode::Compliance);
}

#[test]
fn what_is_wrong_with_the_way_to_a_vault_is_said_at_its_place() {
    one_error(
        "vaults:\n  v: { url: 'rest:http://h/x' }",
        "P032",
        2,
        13,
        "plain text",
    );
    one_error(
        "vaults:\n  v: { url: 's3://b/x', endpoint: 'http://localhost:9000' }",
        "P032",
        2,
        35,
        "plain text",
    );
    one_error(
        "vaults:\n  v: { url: 's3://b/x', user: me }",
        "P022",
        2,
        25,
        "it takes endpoint",
    );
    one_error(
        "vaults:\n  v: { url: 'rest:https://u@h/x' }",
        "P029",
        2,
        13,
        "user: NAME",
    );
    one_error(
        "vaults:\n  v: { url: 's3://b/x', lock_mode: compliance }",
        "P022",
        2,
        25,
        "like retention_lock: 30 days",
    );
    one_error(
        "vaults:\n  v: { url: 's3://b/x', retention_lock: 7 days, lock_mode: strict }",
        "P018",
        2,
        60,
        "governance",
    );
    one_error(
        "vaults:\n  v: { url: 's3://b/x', secret_key: hunter2 }",
        "P026",
        2,
        37,
        "take it out",
    );
    one_error(
        "vaults:\n  v: { url: 's3://b/x', limits: { upload: 10 } }",
        "P015",
        2,
        43,
        "10MiB/s",
    );
    one_error(
        "vaults:\n  v: { url: 's3://b/x', endpoint: 'https://u:hunter2@h' }",
        "P018",
        2,
        35,
        "without a user",
    );
}

#[test]
fn what_weakens_a_vault_is_noted() {
    let notes = |vault: &str| {
        let text = format!("vaults: {{ v: {vault} }}\nsystems: {{ a: {{ source: 'files:.' }} }}");
        let lowered = read(&text);
        lowered
            .problems
            .iter()
            .map(|p| (p.level, p.code))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        notes("{ url: 's3://b/x', min_tls: 1.2 }"),
        [(Level::Warning, "P034")]
    );
    assert_eq!(
        notes("{ url: 'rest:https://h/x' }"),
        [(Level::Warning, "P035")]
    );
    assert_eq!(
        notes("{ url: 'sftp://h/x', retention_lock: 7 days }"),
        [(Level::Warning, "P036")]
    );
    assert_eq!(
        notes("{ url: 's3://b/x', endpoint: 'http://127.0.0.1:9000' }"),
        [(Level::Note, "P033")]
    );
    assert_eq!(notes("{ url: 's3://b/x', retention_lock: 7 days }"), []);
    assert_eq!(
        notes("{ url: 's3://b/x', retention_lock: 7 days, lock_mode: governance }"),
        [(Level::Warning, "P037")]
    );
    assert_eq!(
        notes("{ url: 's3://b/x', retention_lock: 7 days, lock_mode: compliance }"),
        []
    );
    assert_eq!(notes("{ url: 'tape://x/y' }"), [(Level::Note, "P028")]);
}
