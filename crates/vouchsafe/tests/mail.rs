//! Mail from the command line, by a real mail server: what is told to whom, once, and what becomes of it if it cannot be.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{self, POLICY, Workspace};
use vouchsafe_testkit::mail::{MailServer, MailWay};
use vouchsafe_testkit::servers::{PASSWORD, USER};

/// A workspace whose policy wants failures to be told; `mail` is its section without the braces.
fn watched(mail: &str, to: &str) -> Workspace {
    let w = Workspace::new();
    let policy = format!(
        "{POLICY}\nmail: {{ {mail}, from: backups@example.com }}\nalerts: {{ failure: {{ to: {to} }} }}\n"
    );
    fs::write(w.path("policy.yaml"), policy).unwrap();
    w.ok(["init"]);
    w
}

fn plain(server: &MailServer) -> String {
    format!("server: 'smtp://127.0.0.1:{}'", server.port())
}

/// A run that fails, as there is nothing to be read.
fn fail(w: &Workspace) -> String {
    fs::rename(w.path("site"), w.path("gone")).unwrap();
    let (_, told) = w.exits(3, ["run", "website"]);
    fs::rename(w.path("gone"), w.path("site")).unwrap();
    told
}

fn mailed(w: &Workspace) -> usize {
    w.ok(["ledger", "export"])
        .matches("\"deed\":\"mailed\"")
        .count()
}

#[test]
fn a_failure_is_mailed_once_to_whom_the_server_knows() {
    let server = MailServer::start(MailWay::Plain);
    let w = watched(
        &plain(&server),
        "[ ann@example.com, nobody@example.com, chief ]",
    );
    w.ok(["run"]);
    assert_eq!(server.taken(), Vec::<String>::new());

    let told = fail(&w);
    let refused = "mail to nobody@example.com is refused for good";
    assert!(told.contains(refused), "{told}");
    let taken = server.taken();
    assert_eq!(taken.len(), 1, "{taken:?}");
    let letter = &taken[0];
    for part in [
        "ann@example.com\n",
        "From: backups@example.com",
        "Subject: [vouchsafe] failure: capture of website/main failed",
        "Auto-Submitted: auto-generated",
        "Message-ID: <",
        "of the record of Test policy",
    ] {
        assert!(letter.contains(part), "{part} is not in {letter}");
    }
    // What the server will never take is not tried again.
    w.ok(["run", "code"]);
    assert_eq!(server.taken().len(), 1);
    assert_eq!(mailed(&w), 1);
    let export = w.ok(["ledger", "export"]);
    assert!(export.contains("there is nobody of that name"), "{export}");
    w.ok(["ledger", "verify"]);
}

#[test]
fn what_cannot_be_sent_waits_and_stops_nothing() {
    let server = MailServer::start(MailWay::Plain);
    let w = watched(&plain(&server), "ann@example.com");
    server.be_busy(true);
    let told = fail(&w);
    assert!(told.contains("mail waits until it can be sent"), "{told}");
    assert!(told.contains("come again later"), "{told}");
    // Nor does it keep a run from being good.
    w.ok(["run", "code"]);
    assert_eq!((server.taken().len(), mailed(&w)), (0, 0));
    server.be_busy(false);
    w.ok(["run", "code"]);
    assert_eq!((server.taken().len(), mailed(&w)), (1, 1));

    let port = server.port();
    drop(server);
    let told = fail(&w);
    let place = format!("127.0.0.1:{port}");
    assert!(told.contains(&place), "{told}");
    assert_eq!(mailed(&w), 1);
}

#[test]
fn a_server_elsewhere_without_tls_gets_nothing() {
    let server = MailServer::start(MailWay::Plain);
    // A name may lead anywhere.
    let mail = format!("server: 'smtp://localhost:{}'", server.port());
    let w = watched(&mail, "ann@example.com");
    let told = fail(&w);
    assert!(told.contains("it offers no STARTTLS"), "{told}");
    assert_eq!((server.taken().len(), mailed(&w)), (0, 0));
}

#[test]
fn nothing_is_said_to_a_server_that_is_not_known() {
    for (way, scheme) in [(MailWay::Tls, "smtps"), (MailWay::StartTls, "smtp")] {
        let server = MailServer::start(way);
        // A name, as on this machine an address is spoken to without TLS.
        let host = match way {
            MailWay::Tls => "127.0.0.1",
            _ => "localhost",
        };
        let mail = format!(
            "server: '{scheme}://{host}:{}', user: {USER}, password: {{ file: ./mail-password }}",
            server.port()
        );
        let w = Workspace::new();
        fs::write(w.path("mail-password"), PASSWORD).unwrap();
        fs::set_permissions(w.path("mail-password"), fs::Permissions::from_mode(0o600)).unwrap();
        let policy = format!(
            "{POLICY}\nmail: {{ {mail}, from: b@example.com }}\nalerts: {{ failure: {{ to: ann@example.com }} }}\n"
        );
        fs::write(w.path("policy.yaml"), policy).unwrap();
        w.ok(["init"]);
        let told = fail(&w);
        assert!(told.contains("mail waits until it can be sent"), "{told}");
        assert_eq!((server.taken().len(), mailed(&w)), (0, 0));

        let trusting = |args: &[&str]| {
            let mut command = w.command(args);
            let out = command
                .env("SSL_CERT_FILE", server.authority())
                .output()
                .unwrap();
            common::text(&out.stderr) + &common::text(&out.stdout)
        };
        fs::write(w.path("mail-password"), "not-the-password").unwrap();
        let told = trusting(&["run", "code"]);
        assert!(told.contains("vouchsafe cannot log in"), "{told}");
        assert!(!told.contains("not-the-password"), "{told}");
        fs::write(w.path("mail-password"), PASSWORD).unwrap();
        let told = trusting(&["run", "code"]);
        assert_eq!((server.taken().len(), mailed(&w)), (1, 1), "{told}");
    }
}
