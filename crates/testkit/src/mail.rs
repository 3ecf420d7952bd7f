//! A real mail server that keeps what it takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::servers::{PASSWORD, Server};

/// What protects the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailWay {
    /// Nothing.
    Plain,
    /// STARTTLS, without which nothing is taken.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

/// A mail server on this machine.
pub struct MailServer {
    server: Server,
}

impl MailServer {
    /// One whose certificate, if it has one, is signed by [`MailServer::authority`].
    pub fn start(way: MailWay) -> MailServer {
        let word = match way {
            MailWay::Plain => "plain",
            MailWay::StartTls => "starttls",
            MailWay::Tls => "tls",
        };
        let server = Server::start(|home, port| {
            let script = home.join("mail_server.py");
            fs::write(&script, include_str!("mail_server.py")).expect("a file");
            // Debian's own Python, for which the package is.
            let mut command = Command::new("/usr/bin/python3");
            command
                .arg(script)
                .arg(port.to_string())
                .arg(word)
                .env("PASSWORD", PASSWORD);
            if way != MailWay::Plain {
                certificate(home);
                command.args(["certificate.pem", "key.pem"]);
            }
            command
        });
        MailServer { server }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// The certificate of whoever signed its own.
    pub fn authority(&self) -> PathBuf {
        self.server.home().join("authority.pem")
    }

    /// From now on it takes nothing, or takes letters again.
    pub fn be_busy(&self, busy: bool) {
        let file = self.server.home().join("busy");
        match busy {
            true => fs::write(file, "").expect("a file"),
            false => fs::remove_file(file).expect("a file"),
        }
    }

    /// Every letter that it took, in order: recipient, a line feed, the letter itself.
    pub fn taken(&self) -> Vec<String> {
        let dir = fs::read_dir(self.server.home().join("taken")).expect("a directory");
        let mut files: Vec<PathBuf> = dir.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        let read = |path: &PathBuf| fs::read_to_string(path).expect("a letter");
        files.iter().map(read).collect()
    }
}

/// An authority, and a certificate for this machine that it signed.
fn certificate(home: &Path) {
    let script = "umask 077
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority \
            -keyout authority-key.pem -out authority.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=127.0.0.1 \
            -keyout key.pem -out request.pem
        printf 'subjectAltName=IP:127.0.0.1,DNS:localhost' > names
        openssl x509 -req -in request.pem -CA authority.pem -CAkey authority-key.pem -days 2 -extfile names \
            -out certificate.pem";
    let done = Command::new("sh")
        .args(["-ec", script])
        .current_dir(home)
        .output();
    let done = done.expect("openssl starts");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}
