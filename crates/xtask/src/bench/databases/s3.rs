//! An S3 server on the loopback interface, and what lies in its bucket as anybody sees it from outside.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::data::at;
use crate::servers;

const PATIENCE: Duration = Duration::from_secs(90);
/// The emulator wants this shape and checks nothing of it.
const WHO: &str = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, \
    SignedHeaders=host, Signature=0\r\n";

/// Ministack, with the bucket `bucket`. It ends, with all that it started, when it is dropped.
pub(crate) struct S3 {
    child: Child,
    port: u16,
}

impl S3 {
    /// Starts it on a free port, with its files in `home`.
    pub(crate) fn start(home: &Path) -> Result<Self, String> {
        let program = servers::provide()?.join("bin/ministack");
        fs::create_dir_all(home).map_err(at(home))?;
        let free = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| format!("no free port: {e}"))?;
        let port = free.local_addr().map_err(|e| e.to_string())?.port();
        drop(free);
        let path = home.join("log");
        let log = File::create(&path).map_err(at(&path))?;
        let child = Command::new(&program)
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("HOME", home)
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(at(&path))?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let server = Self { child, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > PATIENCE {
                return Err(format!(
                    "the S3 server does not start: see {}",
                    path.display()
                ));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        server.ask("PUT", "/bucket")?;
        Ok(server)
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The keys in the bucket that begin so, in order.
    pub(crate) fn keys(&self, prefix: &str) -> Result<Vec<String>, String> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let last = keys.last().map_or("", String::as_str);
            let query = format!("/bucket?list-type=2&prefix={prefix}&start-after={last}");
            let said = self.ask("GET", &query)?;
            let said = String::from_utf8_lossy(&said);
            let page = keys_in(&said);
            let more = said.contains("<IsTruncated>true</IsTruncated>") && !page.is_empty();
            keys.extend(page);
            if !more {
                return Ok(keys);
            }
        }
    }

    /// Copies all objects that begin so into a folder, by the names that follow.
    pub(crate) fn copy(&self, prefix: &str, to: &Path) -> Result<(), String> {
        for key in self.keys(prefix)? {
            let name = key.strip_prefix("prod/").unwrap_or(&key);
            let path = to.join(name);
            if let Some(dir) = path.parent() {
                fs::create_dir_all(dir).map_err(at(dir))?;
            }
            let bytes = self.ask("GET", &format!("/bucket/{key}"))?;
            fs::write(&path, bytes).map_err(at(&path))?;
        }
        Ok(())
    }

    /// The body of the answer, which must be a good one.
    fn ask(&self, method: &str, path: &str) -> Result<Vec<u8>, String> {
        let failed = |error: std::io::Error| format!("{method} {path}: {error}");
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(failed)?;
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .map_err(failed)?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{WHO}Content-Length: 0\r\nConnection: close\r\n\r\n",
            self.port
        );
        stream.write_all(request.as_bytes()).map_err(failed)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(failed)?;
        body(&answer).ok_or_else(|| {
            let shown = String::from_utf8_lossy(answer.get(..200).unwrap_or(&answer)).into_owned();
            format!("{method} {path}: {shown}")
        })
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // The number is also that of its group.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

fn keys_in(listing: &str) -> Vec<String> {
    let parts = listing.split("<Key>").skip(1);
    let keys = parts.filter_map(|part| part.split_once("</Key>"));
    keys.map(|(key, _)| key.to_owned()).collect()
}

/// What follows the head of a good answer, with the lengths of chunks taken out.
fn body(answer: &[u8]) -> Option<Vec<u8>> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, rest) = answer.split_at_checked(end + 4)?;
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") && !head.starts_with("http/1.1 204") {
        return None;
    }
    match head.contains("transfer-encoding: chunked") {
        true => unchunked(rest),
        false => Some(rest.to_vec()),
    }
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let (line, after) = rest.split_at_checked(end)?;
        let length = usize::from_str_radix(std::str::from_utf8(line).ok()?.trim(), 16).ok()?;
        let after = after.get(2..)?;
        if length == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(after.get(..length)?);
        rest = after.get(length + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_bodies_are_read_and_refusals_are_not_bodies() {
        let listing =
            "<a><Contents><Key>x/1</Key></Contents><Contents><Key>x/2</Key></Contents></a>";
        assert_eq!(keys_in(listing), ["x/1", "x/2"]);
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
        assert_eq!(body(plain).unwrap(), b"ab");
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
        assert_eq!(body(chunked).unwrap(), b"abc");
        assert_eq!(body(b"HTTP/1.1 404 Not Found\r\n\r\nab"), None);
        assert_eq!(
            body(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
            None
        );
    }
}
