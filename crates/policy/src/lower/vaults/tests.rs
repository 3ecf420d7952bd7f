//! Vaults: how they are reached, and each mistake with its place.

use vouchsafe_model::{Kms, MinTls, SecretRef};

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
        [(Level::Note, "P035")]
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
        [(Level::Warning, "P040")]
    );
    assert_eq!(
        notes("{ url: 's3://b/x', retention_lock: 7 days, lock_mode: compliance }"),
        []
    );
    assert_eq!(notes("{ url: 'tape://x/y' }"), [(Level::Note, "P028")]);
}

const ARN: &str = "arn:aws:kms:eu-west-2:111122223333:key/1234abcd";

#[test]
fn what_wraps_a_passphrase_is_read_whole() {
    let p = policy(&format!(
        "vaults:\n  v: {{ url: /v, kms: {{ aws: '{ARN}' }}, keys: {{ rotate: every year }} }}\n\
         \x20 w: {{ url: /w, kms: {{ command: {{ key: safe, wrap: [age, -r, x], unwrap: [age, -d] }} }} }}\n\
         systems: {{ a: {{ source: 'files:.' }} }}"
    ));
    let mut all = p.vaults.values();
    let (v, w) = (all.next().unwrap(), all.next().unwrap());
    let Some(Kms::Aws(aws)) = &v.kms else {
        panic!("{v:?}")
    };
    assert_eq!((aws.key.as_str(), aws.region.as_str()), (ARN, "eu-west-2"));
    assert_eq!(v.rotate.as_ref().unwrap().text, "every year");
    let Some(Kms::Command(command)) = &w.kms else {
        panic!("{w:?}")
    };
    assert_eq!((command.key.as_str(), command.wrap.len()), ("safe", 3));
    assert!(w.rotate.is_none());
}

#[test]
fn what_is_wrong_with_what_wraps_is_said_at_its_place() {
    let vault = |rest: &str| format!("vaults:\n  v: {{ url: /v,\n    {rest} }}");
    let cases = [
        ("kms: {}", "P037", 10, "names no key"),
        ("kms: { aws: alias/mine }", "P037", 17, "which region"),
        (
            "kms: { aws: alias/aws/s3, region: eu-west-2 }",
            "P037",
            17,
            "AWS manages",
        ),
        (
            "kms: { aws: 'a b', region: eu-west-2 }",
            "P037",
            17,
            "not the name",
        ),
        (
            "kms: { aws: k, region: 'evil.example/' }",
            "P037",
            17,
            "name of a region",
        ),
        (
            "kms: { command: { key: k, wrap: [a] } }",
            "P037",
            21,
            "`unwrap` names no program",
        ),
        (
            "kms: { command: { key: k, wrap: [a], unwrap: [''] } }",
            "P037",
            42,
            "`unwrap` names no program",
        ),
        (
            "kms: { aws: k, region: r, endpoint: 'http://h' }",
            "P032",
            41,
            "plain text",
        ),
        (
            "kms: { aws: k, region: r, secret_key: hunter2 }",
            "P026",
            43,
            "take it out",
        ),
        (
            "kms: { aws: k, region: r }, password: { env: P }",
            "P038",
            5,
            "two places",
        ),
        ("keys: { rotate: sometimes }", "P014", 21, "sometimes"),
    ];
    for (rest, code, column, says) in cases {
        one_error(&vault(rest), code, 3, column, says);
    }
    one_error(
        &vault(&format!("kms: {{ aws: '{ARN}', region: us-east-1 }}")),
        "P037",
        3,
        cases_column(ARN),
        "eu-west-2",
    );
    one_error(
        "vaults:\n  v: { url: 'rest:https://h/x', kms: { aws: k, region: r } }",
        "P038",
        2,
        33,
        "beside the repository",
    );
}

/// Where the region stands behind a key of that length.
fn cases_column(key: &str) -> usize {
    "    kms: { aws: '".len() + key.len() + "', region: ".len() + 1
}
