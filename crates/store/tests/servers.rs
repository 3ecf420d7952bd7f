//! The one suite, and what is particular to each kind, against real servers.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{self, access, locks, means, open, passes, s3};
use vouchsafe_model::{MinTls, Time, VaultPlace};
use vouchsafe_store::probe::{self, Found};
use vouchsafe_store::{Key, OpenError, PutMode, RemoteAccess, Store, StoreError, open_remote};
use vouchsafe_testkit::servers::{PASSWORD, Server, Sshd, USER};

fn key(text: &str) -> Key {
    Key::new(text).expect("a key")
}

#[test]
fn s3_conforms() {
    let server = Server::s3();
    let mut n = 0;
    passes(|| {
        n += 1;
        s3(&server, "bucket", &format!("prefix/{n}"))
    });
}

#[test]
fn webdav_conforms() {
    let server = Server::webdav();
    let mut n = 0;
    passes(|| {
        n += 1;
        open(&format!("webdav:{}/bucket/{n}", server.url()), &access())
    });
}

#[test]
fn sftp_conforms() {
    let server = Sshd::start();
    let mut n = 0;
    passes(|| {
        n += 1;
        open(&server.url(&format!("made/{n}")), &common::sftp(&server))
    });
}

#[test]
fn rest_conforms_as_far_as_a_repository_goes() {
    let server = Server::rest();
    let mut n = 0;
    passes(|| {
        n += 1;
        let store = open(&format!("rest:{}/{n}", server.url()), &access());
        // The server makes folders with the configuration.
        store
            .put(&key("repo/config"), b"made", PutMode::IfAbsent)
            .expect("puts");
        Arc::new(common::Renamed::new(store))
    });
}

#[test]
fn restics_own_rest_server_conforms_as_far_as_a_repository_goes() {
    let server = Server::unverifying_rest();
    let mut n = 0;
    passes(|| {
        n += 1;
        let store = open(&format!("rest:{}/{n}", server.url()), &access());
        store
            .put(&key("repo/config"), b"made", PutMode::IfAbsent)
            .expect("puts");
        Arc::new(common::Renamed::new(store))
    });
}

#[test]
fn a_server_that_does_not_keep_to_conditions_is_named_and_still_conforms() {
    let server = Server::careless_s3();
    let store = s3(&server, "bucket", "named");
    let probed = probe::probe(store.as_ref(), "t1").expect("probes");
    assert!(!probed.is_sound(), "{probed:#?}");
    let wrong = probed
        .trials
        .iter()
        .find(|t| t.what == probe::PUT_IF_ABSENT)
        .unwrap();
    assert!(matches!(&wrong.found, Found::Wrong(seen) if seen.contains("does not keep to it")));
    assert!(!store.capabilities().put_if_absent && store.capabilities().broken_conditions);
    // What depends on it is done by looking first.
    let mut n = 0;
    let mut broken = vouchsafe_store::conformance::check(&mut || {
        n += 1;
        common::s3_without_waiting(&server, "bucket", &format!("looked/{n}"))
    });
    // This server fails when a folder of keys is to be deleted as if it were a key, which nobody does.
    broken.retain(|v| !v.detail.contains("deleting data: "));
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_sound_server_is_found_sound_and_nothing_is_left_in_the_way() {
    let server = Server::s3();
    let store = s3(&server, "bucket", "sound");
    let probed = probe::probe(store.as_ref(), "t2").expect("probes");
    assert!(probed.is_sound(), "{probed:#?}");
    for what in [
        probe::PUT_IF_ABSENT,
        probe::ONE_WINNER,
        probe::LISTED,
        probe::RANGES,
    ] {
        assert!(probed.holds(what), "{what}: {probed:#?}");
    }
    let left = vouchsafe_store::list_all(store.as_ref(), "").expect("lists");
    assert!(left.is_empty(), "{left:?}");
    // Whoever comes next finds the same.
    let again = s3(&server, "bucket", "sound");
    assert!(
        probe::probe(again.as_ref(), "t3")
            .expect("probes")
            .is_sound()
    );
}

#[test]
fn an_object_is_locked_from_its_first_moment_and_the_lock_is_read_back() {
    let server = Server::s3();
    locks::compliance(&s3(&server, "locked", "v"));
    locks::governance(&s3(&server, "locked", "g"));
}

#[test]
fn legal_holds_are_put_on_and_taken_off() {
    let server = Server::s3();
    locks::holds(&s3(&server, "locked", "held"));
}

#[test]
fn all_versions_go_and_those_of_neighbours_stay() {
    let server = Server::s3();
    locks::versions(&s3(&server, "locked", "versions"));
    locks::ended(&s3(&server, "locked", "ended"));
}

#[test]
fn a_bucket_without_locks_refuses_to_lock() {
    let server = Server::s3();
    locks::refused(&s3(&server, "bucket", "unlocked"));
}

#[test]
fn a_rest_server_holds_a_repository_and_nothing_else() {
    let server = Server::rest();
    let store = open(&format!("rest:{}/v", server.url()), &access());
    assert!(!store.capabilities().other_prefixes);
    let foreign = key("ledger/00/heads/1");
    assert!(matches!(
        store.put(&foreign, b"x", PutMode::IfAbsent),
        Err(StoreError::Unsupported { .. })
    ));
    assert!(store.get(&foreign).is_err_and(|e| e.is_not_found()));
    store.delete(&foreign).expect("is not there anyway");
}

#[test]
fn a_wrong_password_is_denied_and_not_shown() {
    let server = Server::rest();
    let wrong = RemoteAccess {
        user: Some(USER.to_owned()),
        credential: Some(common::secret("hunter-two")),
        ..RemoteAccess::default()
    };
    let store = open(&format!("rest:{}/v", server.url()), &wrong);
    let error = store.get(&key("repo/config")).expect_err("is refused");
    assert!(matches!(error, StoreError::Denied { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter-two"));
    let dav = Server::webdav();
    let store = open(&format!("webdav:{}/v", dav.url()), &wrong);
    let error = store.get(&key("repo/config")).expect_err("is refused");
    assert!(
        !format!("{error} {error:?}").contains("hunter-two"),
        "{error}"
    );
    assert!(!error.is_not_found(), "{error}");
}

#[test]
fn a_host_that_is_not_known_is_not_spoken_to() {
    let server = Sshd::start();
    let place = VaultPlace::parse(&server.url("v")).expect("a place");
    let stranger = RemoteAccess {
        known_hosts: Some(server.identity().with_file_name("nobody")),
        ..common::sftp(&server)
    };
    let refused = open_remote(&place, &stranger, &means(), true);
    let error = refused.err().expect("is refused").to_string();
    assert!(
        error.contains("ssh:") && error.contains("verification failed"),
        "{error}"
    );
}

#[test]
fn a_lost_directory_behind_ssh_is_not_an_empty_store() {
    let server = Sshd::start();
    let store = open(&server.url("v"), &common::sftp(&server));
    store
        .put(&key("repo/config"), b"x", PutMode::IfAbsent)
        .expect("puts");
    std::fs::rename(server.served().join("v"), server.served().join("gone")).expect("moves");
    let lost = |e: StoreError| matches!(e, StoreError::Unavailable { .. });
    assert!(store.get(&key("repo/config")).is_err_and(lost));
    assert!(vouchsafe_store::list_all(store.as_ref(), "").is_err_and(lost));
    assert!(
        store
            .put(&key("repo/x"), b"x", PutMode::IfAbsent)
            .is_err_and(lost)
    );
}

#[test]
fn a_server_that_is_gone_is_tried_again_and_then_named() {
    let server = Server::rest();
    let url = format!("rest:{}/v", server.url());
    drop(server);
    let clock = Arc::new(vouchsafe_host::ManualClock::new(Time::from_secs(0)));
    let means = vouchsafe_store::Means {
        clock: clock.clone(),
        ..means()
    };
    let place = VaultPlace::parse(&url).expect("a place");
    let store = open_remote(&place, &access(), &means, false).expect("opens");
    let error = store.get(&key("repo/config")).expect_err("is gone");
    assert!(
        error.is_transient() && error.to_string().contains("127.0.0.1"),
        "{error}"
    );
    assert!(vouchsafe_host::Clock::monotonic(clock.as_ref()) > Duration::from_secs(60));
}

#[test]
fn plain_text_goes_to_this_machine_alone() {
    let place = VaultPlace::parse("rest:http://192.0.2.1/x").expect("a place");
    let refused = open_remote(&place, &access(), &means(), false);
    assert!(matches!(refused, Err(OpenError::Plain { .. })));
    let place = VaultPlace::parse("s3://b/x").expect("a place");
    let refused = open_remote(&place, &RemoteAccess::default(), &means(), false);
    assert!(matches!(
        refused,
        Err(OpenError::Access {
            needs: "access_key",
            ..
        })
    ));
}

#[test]
fn an_old_tls_is_refused_unless_it_is_allowed() {
    let server = common::old_tls_server();
    let ask = |min_tls| {
        let access = RemoteAccess {
            min_tls,
            ..access()
        };
        let place =
            VaultPlace::parse(&format!("rest:https://127.0.0.1:{}/v", server.port())).unwrap();
        let clock = Arc::new(vouchsafe_host::ManualClock::new(Time::from_secs(0)));
        let means = vouchsafe_store::Means { clock, ..means() };
        let store = open_remote(&place, &access, &means, false).expect("opens");
        store
            .get(&key("repo/config"))
            .expect_err("no certificate of its is trusted")
            .to_string()
    };
    // Which versions are spoken is settled before the certificate is looked at.
    let (new, old) = (ask(MinTls::V1_3), ask(MinTls::V1_2));
    assert!(new.to_lowercase().contains("protocol"), "{new}");
    assert!(old.to_lowercase().contains("certificate"), "{old}");
    let _ = PASSWORD;
}
