//! Requests to S3 that a test sends itself, past the store under test.

use std::process::Command;

use crate::servers::{PASSWORD, Server, USER};

/// Sends one request, with the variable `BODY` as its body, signed in version 4 of AWS; prints the answer's body and, on the last line, its code.
const SIGNED: &str = r#"
import base64, datetime, hashlib, hmac, http.client, os, sys, urllib.parse
method, url, extra = sys.argv[1], urllib.parse.urlsplit(sys.argv[2]), sys.argv[3:]
now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
body = os.environ.get("BODY", "").encode()
digest = hashlib.sha256(body).hexdigest()
headers = {"host": url.netloc, "x-amz-date": now, "x-amz-content-sha256": digest}
if body: headers["content-md5"] = base64.b64encode(hashlib.md5(body).digest()).decode()
headers.update((n.strip().lower(), v.strip()) for n, v in (line.split(":", 1) for line in extra))
pairs = sorted(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
query = "&".join("=".join(urllib.parse.quote(part, safe="-._~") for part in pair) for pair in pairs)
names = ";".join(sorted(headers))
canonical = "\n".join([method, url.path, query, *(f"{n}:{headers[n]}" for n in sorted(headers)), "", names, digest])
scope = f"{now[:8]}/us-east-1/s3/aws4_request"
text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
key = ("AWS4" + os.environ["SECRET"]).encode()
for part in scope.split("/"):
    key = hmac.new(key, part.encode(), hashlib.sha256).digest()
signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={os.environ['ID']}/{scope}, SignedHeaders={names}, Signature={signature}"
connection = http.client.HTTPConnection(url.netloc, timeout=30)
connection.request(method, url.path + (f"?{query}" if query else ""), body=body, headers=headers)
answer = connection.getresponse()
print(answer.read().decode())
print(answer.status)
"#;

/// Sends a signed request without a body; `path` may have a query. Gives the answer's code.
pub fn send(server: &Server, method: &str, path: &str, headers: &[&str]) -> u16 {
    send_with(server, method, path, headers, "")
}

/// The same with a body.
pub fn send_with(server: &Server, method: &str, path: &str, headers: &[&str], body: &str) -> u16 {
    let answer = call(server, method, path, headers, body);
    let code = answer.trim_end().rsplit('\n').next();
    code.and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// The body of what a signed request is answered.
pub fn read(server: &Server, path: &str) -> String {
    call(server, "GET", path, &[], "")
}

fn call(server: &Server, method: &str, path: &str, headers: &[&str], body: &str) -> String {
    let mut python = Command::new("python3");
    python
        .args(["-c", SIGNED, method])
        .arg(format!("{}/{path}", server.url()))
        .args(headers)
        .env("BODY", body)
        .env("ID", USER)
        .env("SECRET", PASSWORD);
    let done = python.output().expect("python3 starts");
    assert!(done.status.success(), "{method} {path}: {done:?}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}
