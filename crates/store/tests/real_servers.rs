//! The one suite, locks and versions, against servers that are too large for every run: by `cargo xtask conformance`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod common;

use std::thread;

use common::{access, locks, open, passes, s3, secret};
use vouchsafe_model::Span;
use vouchsafe_store::probe::{self, Found};
use vouchsafe_store::{Key, LockMode, PutMode, RemoteAccess, Retention, StoreError};
use vouchsafe_testkit::servers::{PASSWORD, Server, USER};
use vouchsafe_testkit::{azurite, ceph, signed};

#[test]
fn ceph_conforms_and_keeps_to_conditions() {
    let server = ceph::start();
    let mut n = 0;
    passes(|| {
        n += 1;
        s3(&server, "bucket", &format!("prefix/{n}"))
    });
    let store = s3(&server, "bucket", "probed");
    let probed = probe::probe(store.as_ref(), "t").expect("probes");
    assert!(probed.is_sound(), "{probed:#?}");
    for what in [probe::PUT_IF_ABSENT, probe::ONE_WINNER, probe::LISTED] {
        assert!(probed.holds(what), "{what}: {probed:#?}");
    }
    race(&server);
}

/// Ceph takes the condition in a bucket with versions, and does not keep to it.
#[test]
fn ceph_keeps_to_no_condition_where_it_keeps_versions_and_is_found_out() {
    let server = ceph::start();
    let mut n = 0;
    passes(|| {
        n += 1;
        s3(&server, "locked", &format!("prefix/{n}"))
    });
    let store = s3(&server, "locked", "probed");
    let probed = probe::probe(store.as_ref(), "t").expect("probes");
    assert!(store.capabilities().broken_conditions, "{probed:#?}");
    let found = probed
        .trials
        .iter()
        .find(|t| t.what == probe::PUT_IF_ABSENT);
    assert!(
        matches!(&found.expect("was tried").found, Found::Wrong(seen) if seen.contains("does not keep to it")),
        "{probed:#?}"
    );
}

/// Twelve stores of their own put under one name; one wins, and it is its bytes that are there.
fn race(server: &Server) {
    for round in 0..5 {
        let name = Key::new(format!("race/{round}")).expect("a key");
        let name = &name;
        let wins: Vec<u8> = thread::scope(|scope| {
            let runners: Vec<_> = (0..12_u8)
                .map(|n| {
                    scope.spawn(move || {
                        let store = s3(server, "bucket", "raced");
                        match store.put(name, &[n; 1000], PutMode::IfAbsent) {
                            Ok(()) => Some(n),
                            Err(StoreError::AlreadyExists { .. }) => None,
                            Err(error) => panic!("{error}"),
                        }
                    })
                })
                .collect();
            runners
                .into_iter()
                .filter_map(|r| r.join().expect("runs"))
                .collect()
        });
        let kept = s3(server, "bucket", "raced").get(name).expect("gets");
        assert_eq!(wins.len(), 1, "{round}: {wins:?} won");
        assert_eq!(kept, vec![wins[0]; 1000]);
    }
}

#[test]
fn ceph_enforces_locks_and_keeps_versions() {
    let server = ceph::start();
    locks::compliance(&s3(&server, "locked", "compliance"));
    locks::governance(&s3(&server, "locked", "governance"));
    locks::holds(&s3(&server, "locked", "held"));
    locks::versions(&s3(&server, "locked", "versions"));
    locks::ended(&s3(&server, "locked", "ended"));
    locks::refused(&s3(&server, "bucket", "unlocked"));
    refuses_to_be_asked_past_a_lock(&server);
}

/// What we never ask for, others may: deletion past the lock, and a shorter one. The server must refuse, or the lock
/// is worth nothing.
fn refuses_to_be_asked_past_a_lock(server: &Server) {
    let store = s3(server, "locked", "past");
    let lock = Retention {
        until: common::now().plus(Span::from_days(2)),
        mode: LockMode::Compliance,
    };
    let name = Key::new("repo/config").expect("a key");
    store
        .put_locked(&name, b"x", PutMode::IfAbsent, lock)
        .expect("puts");
    let listed = signed::read(server, "locked?versions&prefix=past/repo/");
    let version = listed
        .split("<VersionId>")
        .nth(1)
        .and_then(|rest| rest.split('<').next())
        .expect("a version");
    let object = format!("locked/past/repo/config?versionId={version}");
    let bypass = ["x-amz-bypass-governance-retention: true"];
    assert_eq!(signed::send(server, "DELETE", &object, &bypass), 403);
    assert_eq!(signed::send(server, "DELETE", &object, &[]), 403);
    let soon = common::now().plus(Span::from_days(1));
    for (mode, until) in [("COMPLIANCE", soon), ("GOVERNANCE", lock.until)] {
        let until = until.to_timestamp().strftime("%Y-%m-%dT%H:%M:%SZ");
        let body = format!(
            "<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"
        );
        let path = "locked/past/repo/config?retention";
        let answered = signed::send_with(server, "PUT", path, &bypass, &body);
        assert_eq!(answered, 403, "{body}");
    }
    assert_eq!(store.get(&name).expect("gets"), b"x");
    let held = store.retention(&name).expect("reads back").expect("a lock");
    assert!(held.until >= lock.until && held.mode == LockMode::Compliance);
}

#[test]
fn a_wrong_secret_is_denied_by_ceph_and_not_shown() {
    let server = ceph::start();
    let wrong = RemoteAccess {
        secret_key: Some(secret("hunter-two")),
        ..access()
    };
    let store = open(&format!("s3:{}/bucket/x", server.url()), &wrong);
    let name = Key::new("repo/config").expect("a key");
    for error in [
        store.get(&name).expect_err("is refused"),
        store
            .put(&name, b"x", PutMode::IfAbsent)
            .expect_err("is refused"),
        store.erase(&name).expect_err("is refused"),
        store.retention(&name).expect_err("is refused"),
    ] {
        assert!(matches!(error, StoreError::Denied { .. }), "{error}");
        assert!(!format!("{error:?}").contains("hunter-two"));
    }
}

#[test]
fn azurite_conforms_and_keeps_to_conditions() {
    let server = azurite::start();
    let account = RemoteAccess {
        endpoint: Some(format!("{}/{USER}", server.url())),
        user: Some(USER.to_owned()),
        credential: Some(secret(azurite::AZURE_KEY)),
        ..RemoteAccess::default()
    };
    let mut n = 0;
    passes(|| {
        n += 1;
        open(&format!("azblob://bucket/prefix/{n}"), &account)
    });
    let store = open("azblob://bucket/probed", &account);
    let probed = probe::probe(store.as_ref(), "t").expect("probes");
    assert!(probed.is_sound(), "{probed:#?}");
    assert!(
        probed.holds(probe::PUT_IF_ABSENT) && probed.holds(probe::ONE_WINNER),
        "{probed:#?}"
    );
    let stranger = RemoteAccess {
        credential: Some(secret("aHVudGVyLXR3bw==")),
        ..account
    };
    let store = open("azblob://bucket/probed", &stranger);
    let name = Key::new("repo/config").expect("a key");
    let error = store.get(&name).expect_err("is refused");
    assert!(matches!(error, StoreError::Denied { .. }), "{error}");
    assert!(!PASSWORD.is_empty() && !format!("{error:?}").contains("aHVudGVy"));
}
