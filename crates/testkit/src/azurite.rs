//! Azurite, an emulator of Azure's object store.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::servers::{PASSWORD, Server, USER};

/// Names the directory that `cargo xtask conformance` installs Azurite into.
pub const AZURITE_VARIABLE: &str = "VOUCHSAFE_TEST_AZURITE";

/// The key of the account [`USER`]: [`PASSWORD`] in base64.
pub const AZURE_KEY: &str = "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5";

/// Azurite with the container `bucket`; the address of its account is `http://127.0.0.1:PORT/USER`.
pub fn start() -> Server {
    let program = tool(AZURITE_VARIABLE, "node_modules/.bin/azurite-blob");
    let server = Server::start(|home, port| {
        let mut command = Command::new(&program);
        command
            .args(["--disableTelemetry", "--silent", "--skipApiVersionCheck"])
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            .arg("--location")
            .arg(home.join("served"))
            .env("AZURITE_ACCOUNTS", format!("{USER}:{AZURE_KEY}"))
            .env("HOME", home);
        command
    });
    make_container(&server);
    server
}

/// Azurite makes no container by itself, and takes no request that is not signed.
fn make_container(server: &Server) {
    const VERSION: &str = "2021-08-06";
    let date = said_by(Command::new("date").args(["-u", "+%a, %d %b %Y %H:%M:%S GMT"]));
    let signed = format!(
        "PUT{}x-ms-date:{date}\nx-ms-version:{VERSION}\n/{USER}/{USER}/bucket\nrestype:container",
        "\n".repeat(12)
    );
    let text = server.home().join("signed");
    std::fs::write(&text, signed).expect("a file");
    let mut key = String::new();
    for byte in PASSWORD.bytes() {
        let _ = write!(key, "{byte:02x}");
    }
    let signature = said_by(
        Command::new("sh")
            .args([
                "-ec",
                "openssl dgst -sha256 -mac HMAC -macopt hexkey:$KEY -binary \"$1\" | base64 -w0",
            ])
            .arg("sh")
            .arg(&text)
            .env("KEY", key),
    );
    let answer = server.http(&format!(
        "PUT /{USER}/bucket?restype=container HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nx-ms-date: {date}\r\n\
         x-ms-version: {VERSION}\r\nAuthorization: SharedKey {USER}:{signature}\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n",
        server.port()
    ));
    assert!(answer.starts_with("HTTP/1.1 201"), "no container: {answer}");
}

fn said_by(command: &mut Command) -> String {
    let out = command.output().expect("a program starts");
    assert!(out.status.success(), "{command:?}: {out:?}");
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

fn tool(variable: &str, path: &str) -> PathBuf {
    const ADVICE: &str = "run these tests by `cargo xtask conformance`, which provides it";
    let Some(dir) = std::env::var_os(variable) else {
        panic!("{variable} is not set: {ADVICE}");
    };
    let tool = PathBuf::from(dir).join(path);
    assert!(tool.exists(), "{} is missing: {ADVICE}", tool.display());
    tool
}
