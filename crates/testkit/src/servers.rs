//! Real storage servers for tests: on free ports of this machine alone, in temporary directories, ended by their numbers.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Names the Python environment that `cargo xtask setup` makes, with the servers in it.
pub const SERVERS_VARIABLE: &str = "VOUCHSAFE_TEST_SERVERS";

/// Names restic's own REST server.
pub const REST_SERVER_VARIABLE: &str = "VOUCHSAFE_TEST_REST_SERVER";

const ADVICE: &str = "run the tests by `cargo xtask test [-p PACKAGE]`, which provides it, \
                      or `eval \"$(cargo xtask env)\"` first";

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running server; ended, with everything it started, when the value is dropped.
pub struct Server {
    child: Child,
    home: TempDir,
    port: u16,
}

/// A user and password, or an access key and its secret, that the servers here take.
pub const USER: &str = "vouchsafe";
/// The password of [`USER`].
pub const PASSWORD: &str = "correct-horse-battery";

impl Server {
    /// `rclone serve restic`: a REST server that replaces what is there.
    pub fn rest() -> Server {
        Self::rclone("restic", &["--user", USER, "--pass", PASSWORD])
    }

    /// restic's own REST server, which replaces nothing; `append_only` it also removes nothing but locks.
    pub fn genuine_rest(append_only: bool) -> Server {
        Self::restics_rest(append_only.then_some("--append-only"))
    }

    /// restic's own REST server, but objects need not have the digest that they are named after.
    pub fn unverifying_rest() -> Server {
        Self::restics_rest(Some("--no-verify-upload"))
    }

    fn restics_rest(more: Option<&str>) -> Server {
        let Some(program) = std::env::var_os(REST_SERVER_VARIABLE) else {
            panic!("{REST_SERVER_VARIABLE} does not name the REST server: {ADVICE}");
        };
        Self::start(|home, port| {
            let mut command = Command::new(&program);
            command
                .arg("--path")
                .arg(home.join("served"))
                .args(["--listen", &format!("127.0.0.1:{port}"), "--no-auth"])
                .args(more)
                .env("HOME", home);
            command
        })
    }

    /// `rclone serve webdav`.
    pub fn webdav() -> Server {
        Self::rclone("webdav", &["--user", USER, "--pass", PASSWORD])
    }

    /// `rclone serve s3`: a server that takes conditions and does not keep to them. It has the bucket `bucket`.
    pub fn careless_s3() -> Server {
        let keys = format!("{USER},{PASSWORD}");
        Self::rclone("s3", &["--auth-key", &keys])
    }

    /// Ministack, an emulator of AWS, with the buckets `bucket` and, with versions and object lock, `locked`.
    pub fn s3() -> Server {
        let server = Self::start(|home, port| {
            let mut command = Command::new(program("ministack"));
            command
                .env("BIND_HOST", "127.0.0.1")
                .env("GATEWAY_PORT", port.to_string())
                .env("HOME", home);
            command
        });
        server.make_bucket("bucket", "");
        server.make_bucket("locked", "x-amz-bucket-object-lock-enabled: true\r\n");
        server
    }

    /// Any further server: `command` is given its home and its port.
    pub fn start(command: impl Fn(&Path, u16) -> Command) -> Server {
        let home = TempDir::with_prefix("vouchsafe-server-").expect("a temporary directory");
        fs::create_dir_all(home.path().join("served/bucket")).expect("a directory");
        let port = free_port();
        let log = fs::File::create(home.path().join("log")).expect("a log file");
        let mut command = command(home.path(), port);
        let child = command
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log)
            .process_group(0)
            .spawn();
        let child = child.unwrap_or_else(|e| panic!("{command:?} does not start: {e}: {ADVICE}"));
        let mut server = Server { child, home, port };
        server.wait_until_ready();
        server
    }

    fn rclone(protocol: &str, more: &[&str]) -> Server {
        Self::start(|home, port| {
            let mut command = Command::new(program("rclone"));
            command
                .args(["serve", protocol])
                .arg(home.join("served"))
                .args(["--addr", &format!("127.0.0.1:{port}")])
                .args(more)
                .env("RCLONE_CONFIG", home.join("none"))
                .env("HOME", home);
            command
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its own temporary directory.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// What it serves, where that is a directory.
    pub fn served(&self) -> PathBuf {
        self.home.path().join("served")
    }

    /// Calls the AWS KMS that Ministack emulates: `CreateKey` and the like, with a JSON body; gives the answer's body.
    pub fn kms(&self, action: &str, body: &str) -> String {
        let answer = self.http(&format!(
            "POST / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nX-Amz-Target: TrentService.{action}\r\n\
             Content-Type: application/x-amz-json-1.1\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        ));
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{action}: {answer}");
        body.to_owned()
    }

    /// A new symmetric key of that KMS: its ARN.
    pub fn kms_key(&self) -> String {
        let made = self.kms("CreateKey", "{}");
        let arn = made
            .split_once("\"Arn\"")
            .and_then(|(_, rest)| rest.split('"').nth(1));
        arn.unwrap_or_else(|| panic!("no key: {made}")).to_owned()
    }

    /// Asks for a bucket; the servers here that need asking check no signatures.
    pub fn make_bucket(&self, name: &str, headers: &str) {
        let head = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n";
        let answer = self.http(&format!(
            "PUT /{name} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{head}{headers}Content-Length: 0\r\nConnection: close\r\n\r\n",
            self.port
        ));
        assert!(
            answer.starts_with("HTTP/1.1 200"),
            "no bucket {name}: {answer}"
        );
    }

    /// Sends a request as it is, and gives the answer as it comes.
    pub fn http(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the server is there");
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a timeout");
        stream
            .write_all(request.as_bytes())
            .expect("the server reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the server answers");
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn wait_until_ready(&mut self) {
        let begun = Instant::now();
        loop {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            let ended = self.child.try_wait().expect("the server can be asked for");
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
                panic!("the server does not start ({ended:?}):\n{log}\n{ADVICE}");
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The number is also that of its group.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

/// An SSH server that serves SFTP, with a key that it lets in; run by the user who runs the tests.
pub struct Sshd {
    server: Server,
    user: String,
}

impl Sshd {
    /// Starts OpenSSH's own server.
    pub fn start() -> Sshd {
        let server = Server::start(|home, port| {
            for (name, path) in [("host key", "host"), ("user key", "id")] {
                if !home.join(path).exists() {
                    let made = Command::new("ssh-keygen")
                        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                        .arg(home.join(path))
                        .status();
                    assert!(
                        made.is_ok_and(|s| s.success()),
                        "no {name}: is openssh-client installed?"
                    );
                }
            }
            fs::copy(home.join("id.pub"), home.join("allowed")).expect("a key");
            let public = fs::read_to_string(home.join("host.pub")).expect("a key");
            fs::write(home.join("known"), format!("[127.0.0.1]:{port} {public}"))
                .expect("known hosts");
            let config = format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nPidFile {0}/pid\n\
                 AuthorizedKeysFile {0}/allowed\nStrictModes no\nPasswordAuthentication no\n\
                 KbdInteractiveAuthentication no\nUsePAM no\nPermitRootLogin prohibit-password\n\
                 Subsystem sftp internal-sftp\n",
                home.display()
            );
            fs::write(home.join("config"), config).expect("a configuration");
            fs::set_permissions(home, fs::Permissions::from_mode(0o755)).expect("a mode");
            // Its own directory, which the system makes only when it starts the service itself.
            let _ = fs::create_dir_all("/run/sshd");
            let mut command = Command::new("/usr/sbin/sshd");
            command.args(["-D", "-e", "-f"]).arg(home.join("config"));
            command
        });
        let user = Command::new("id").arg("-un").output().expect("id runs");
        let user = String::from_utf8_lossy(&user.stdout).trim().to_owned();
        Sshd { server, user }
    }

    /// `sftp://user@127.0.0.1:PORT` with the absolute path of a directory in its home.
    pub fn url(&self, dir: &str) -> String {
        let path = self.server.served().join(dir);
        format!(
            "sftp://{}@127.0.0.1:{}{}",
            self.user,
            self.server.port,
            path.display()
        )
    }

    /// The private key that is let in.
    pub fn identity(&self) -> PathBuf {
        self.server.home().join("id")
    }

    /// The file that knows the host.
    pub fn known_hosts(&self) -> PathBuf {
        self.server.home().join("known")
    }

    /// What it serves.
    pub fn served(&self) -> PathBuf {
        self.server.served()
    }
}

/// A program of the servers' environment.
fn program(name: &str) -> PathBuf {
    let Some(dir) = std::env::var_os(SERVERS_VARIABLE) else {
        panic!("{SERVERS_VARIABLE} does not name the servers: {ADVICE}");
    };
    let path = PathBuf::from(dir).join("bin").join(name);
    assert!(path.is_file(), "{} is missing: {ADVICE}", path.display());
    path
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}
