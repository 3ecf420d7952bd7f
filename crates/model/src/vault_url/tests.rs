//! Places of vaults: read, written, refused, and what protects the way to them.

use super::*;

#[test]
fn every_kind_is_read_and_written_again() {
    for (text, kind) in [
        ("/srv/v", "file"),
        ("s3://bucket/prod/x", "s3"),
        ("s3://bucket", "s3"),
        ("s3:http://127.0.0.1:9000/bucket/prod", "s3"),
        ("s3:https://s3.example.com/bucket", "s3"),
        ("rest:https://h:8000/repos/v", "rest"),
        ("webdav:https://h/dav/v", "webdav"),
        ("sftp://u@h:2222/srv/v", "sftp"),
        ("sftp://h/~/v", "sftp"),
        ("azblob://c/p", "azblob"),
        ("gs://b/p/q", "gs"),
        ("gdrive://backups/v", "gdrive"),
    ] {
        let place = VaultPlace::parse(text).expect(text);
        assert_eq!(place.to_string(), text);
        assert_eq!(place.kind(), kind);
    }
    assert_eq!(
        VaultPlace::parse("rest:https://h/x/").unwrap().to_string(),
        "rest:https://h/x"
    );
}

#[test]
fn what_is_wrong_is_said_and_no_password_is() {
    for text in [
        "s3://",
        "s3://k:hunter2@b/x",
        "s3:https://h",
        "s3:https://u:hunter2@h/b",
        "rest://h/x",
        "rest:https://u:hunter2@h/x",
        "rest:ftp://h/x",
        "rest:https://h/x?token=hunter2",
        "sftp://u:hunter2@h/x",
        "sftp://-oProxyCommand=x/y",
        "sftp://-u@h/y",
        "sftp://h",
        "sftp://h/",
        "sftp://h:port/x",
        "gs://b/../x",
        "azblob://b/a b",
        "",
    ] {
        let error = VaultPlace::parse(text).expect_err(text);
        assert!(
            matches!(error, VaultUrlError::Wrong { .. }),
            "{text}: {error}"
        );
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    assert!(matches!(
        VaultPlace::parse("tape://x/y"),
        Err(VaultUrlError::Unknown { .. })
    ));
}

#[test]
fn restic_finds_the_same_repository() {
    let restic = |text: &str, endpoint, region| {
        VaultPlace::parse(text)
            .expect(text)
            .restic(endpoint, region)
    };
    for (text, expected) in [
        ("/srv/v", "/srv/v/repo"),
        (
            "s3:http://127.0.0.1:9/b/p",
            "s3:http://127.0.0.1:9/b/p/repo",
        ),
        ("s3://b/p", "s3:https://s3.eu-west-2.amazonaws.com/b/p/repo"),
        ("rest:https://h/x", "rest:https://h/x/repo/"),
        ("sftp://u@h:22/srv/v", "sftp://u@h:22//srv/v/repo"),
        ("sftp://h/~/v", "sftp://h/v/repo"),
        ("azblob://c", "azure:c:/repo"),
        ("gs://b/p", "gs:b:/p/repo"),
    ] {
        let found = restic(text, None, Some("eu-west-2"));
        assert_eq!(found.as_deref(), Some(expected));
    }
    assert_eq!(
        restic("s3://b", Some("https://h"), None).as_deref(),
        Some("s3:https://h/b/repo")
    );
    assert_eq!(restic("webdav:https://h/x", None, None), None);
}

#[test]
fn only_an_address_of_this_machine_is_loopback() {
    let wire = |text: &str| VaultPlace::parse(text).expect(text).wire(None);
    assert_eq!(wire("rest:http://127.0.0.1:80/x"), Wire::PlainLoopback);
    assert_eq!(wire("s3:http://[::1]:80/b"), Wire::PlainLoopback);
    // A name may mean anything tomorrow, and so may what only begins like an address.
    for plain in [
        "rest:http://localhost/x",
        "webdav:http://127.0.0.1.example.com/x",
    ] {
        assert_eq!(wire(plain), Wire::Plain, "{plain}");
    }
    assert_eq!(wire("rest:https://h/x"), Wire::Tls);
    assert_eq!(wire("s3://b/x"), Wire::Tls);
    let place = VaultPlace::parse("s3://b/x").unwrap();
    assert_eq!(place.wire(Some("http://10.0.0.1")), Wire::Plain);
}
