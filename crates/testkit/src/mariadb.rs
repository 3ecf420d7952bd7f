//! A real MariaDB server for tests: started from the installed programs, reached by a socket, gone afterwards.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running server that listens on a socket of its own and on no network port.
///
/// It writes a binary log named `bin`. It is ended, and its data removed, when the value is dropped.
pub struct MariaDb {
    server: Child,
    home: TempDir,
    options: Vec<String>,
    port: Option<u16>,
}

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const SERVER: &str = "/usr/sbin/mariadbd";
const REMEDY: &str = "run: apt-get install -y mariadb-server mariadb-client";

impl MariaDb {
    /// Starts a server with more options, like `--log-bin-compress=ON`. Panics, with the remedy, if MariaDB is not
    /// installed or does not start.
    pub fn start(options: &[&str]) -> MariaDb {
        let options = options.iter().map(|each| (*each).to_owned()).collect();
        MariaDb::launch(None, options)
    }

    /// Starts a server on a copy of the data directory of another one, which must be stopped. It writes no binary log, and
    /// acts by nothing of itself.
    pub fn on_copy_of(data: &Path) -> MariaDb {
        let home = TempDir::with_prefix("vouchsafe-maria-").expect("a temporary directory");
        give_to_server_user(home.path());
        let place = home.path().join("data");
        let copied = Command::new("cp").arg("-a").arg(data).arg(&place).status();
        assert!(
            copied.expect("cp runs").success(),
            "no copy of {}",
            data.display()
        );
        if is_root() {
            let given = Command::new("chown")
                .args(["-R", "mysql:mysql"])
                .arg(&place)
                .status();
            assert!(
                given.expect("chown runs").success(),
                "it cannot be given away"
            );
        }
        let options = vec![
            "--skip-log-bin".to_owned(),
            "--event-scheduler=OFF".to_owned(),
        ];
        let server = spawn(home.path(), &options);
        let mut started = MariaDb {
            server,
            home,
            options,
            port: None,
        };
        started.wait_until_ready();
        started
    }

    /// Starts a server that also listens on a free port of 127.0.0.1, with and without TLS. Its certificate names
    /// `localhost` and is signed by [`MariaDb::authority`].
    pub fn networked() -> MariaDb {
        // Given up again at once: somebody else could take it, and then the start fails loudly.
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        MariaDb::launch(Some(port), Vec::new())
    }

    fn launch(port: Option<u16>, mut options: Vec<String>) -> MariaDb {
        assert!(
            Path::new(SERVER).is_file(),
            "MariaDB is not installed; {REMEDY}"
        );
        let home = TempDir::with_prefix("vouchsafe-maria-").expect("a temporary directory");
        let data = home.path().join("data");
        fs::create_dir(&data).expect("a directory for the data");
        give_to_server_user(home.path());
        give_to_server_user(&data);
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal"])
            .args(["--skip-test-db", "--skip-log-bin"])
            .args(as_server_user())
            .arg(option("--datadir", &data))
            // Two that are made at once must not meet in the machine's own.
            .env("TMPDIR", home.path())
            .output();
        let made = made.unwrap_or_else(|error| panic!("mariadb-install-db: {error}; {REMEDY}"));
        assert!(
            made.status.success(),
            "mariadb-install-db failed: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        if let Some(port) = port {
            options.extend(network_options(home.path(), port));
        }
        let server = spawn(home.path(), &options);
        let mut started = MariaDb {
            server,
            home,
            options,
            port,
        };
        started.wait_until_ready();
        started
    }

    /// The file of the authority that signed the server's certificate.
    pub fn authority(&self) -> PathBuf {
        self.home.path().join("ca.crt")
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.expect("a server with a network")
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.home.path().join("socket")
    }

    /// Where its data lies.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The URL of the database `name` for `user`; of the whole server if the name is empty.
    pub fn url(&self, user: &str, name: &str) -> String {
        let socket = self.socket();
        format!(
            "mysql://{user}@localhost/{name}?socket={}",
            socket.display()
        )
    }

    /// Runs statements; the rows of all, fields between tabs.
    pub fn sql(&self, statements: &str) -> String {
        self.sql_in("mysql", statements)
    }

    /// Runs statements in a database; the rows of all, fields between tabs.
    pub fn sql_in(&self, database: &str, statements: &str) -> String {
        let mut client = self.client();
        client.args([
            "--batch",
            "--skip-column-names",
            "--default-character-set=utf8mb4",
        ]);
        client.arg(format!("--database={database}"));
        client.stdin(Stdio::piped()).stdout(Stdio::piped());
        client.stderr(Stdio::piped());
        let mut running = client.spawn().expect("mariadb runs");
        let mut input = running.stdin.take().expect("it has an input");
        // What it says of a statement that fails is worth more than that it stopped reading.
        let _ = input.write_all(statements.as_bytes());
        drop(input);
        let output = running.wait_with_output().expect("mariadb ends");
        assert!(
            output.status.success(),
            "mariadb failed: {statements}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Lets the server shut down.
    pub fn stop(&mut self) {
        let pid = self.server.id().to_string();
        let _ = Command::new("sh")
            .args(["-c", "kill -TERM \"$1\"", "sh", &pid])
            .status();
        let begun = Instant::now();
        while matches!(self.server.try_wait(), Ok(None)) {
            assert!(begun.elapsed() < PATIENCE, "MariaDB does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the server as a crash does.
    pub fn crash(&mut self) {
        self.server.kill().expect("it can be killed");
        self.server.wait().expect("it ends");
    }

    /// Starts it again after a stop, on the same data.
    pub fn start_again(&mut self) {
        self.server = spawn(self.home.path(), &self.options);
        self.wait_until_ready();
    }

    /// The files of its binary log, the oldest first.
    pub fn logs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.home.path().join("data")).expect("the data");
        let is_log = |path: &PathBuf| {
            path.file_stem().is_some_and(|stem| stem == "bin")
                && path
                    .extension()
                    .is_some_and(|end| end != "index" && end != "state")
        };
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut logs: Vec<PathBuf> = paths.filter(is_log).collect();
        logs.sort();
        logs
    }

    fn client(&self) -> Command {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--user=root"]);
        command.arg(option("--socket", &self.home.path().join("socket")));
        command
    }

    fn wait_until_ready(&mut self) {
        let begun = Instant::now();
        loop {
            let asked = self.client().args(["-e", "SELECT 1"]).output();
            if asked.expect("mariadb runs").status.success() {
                return;
            }
            let ended = self.server.try_wait().expect("the server can be asked for");
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
                panic!("MariaDB does not start ({ended:?}):\n{log}");
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        // Nothing of it is kept. A server that has ended before is not signalled.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn spawn(home: &Path, options: &[String]) -> Child {
    let log = fs::File::create(home.join("log")).expect("a log file");
    Command::new(SERVER)
        .args([
            "--no-defaults",
            "--skip-networking",
            "--log-bin=bin",
            "--server-id=7",
        ])
        .args([
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=32M",
        ])
        .args(as_server_user())
        .arg(option("--datadir", &home.join("data")))
        .arg(option("--tmpdir", home))
        .arg(option("--socket", &home.join("socket")))
        .arg(option("--pid-file", &home.join("pid")))
        .args(options)
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("mariadbd runs")
}

/// Makes certificates, and gives the options that open the server to the network.
fn network_options(home: &Path, port: u16) -> Vec<String> {
    let script = r#"
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-authority -keyout ca.key -out ca.crt
        openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
        printf 'subjectAltName=DNS:localhost\n' > san
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.crt
        chmod 644 ca.crt server.crt server.key
    "#;
    let made = Command::new("sh")
        .args(["-euc", script])
        .current_dir(home)
        .output()
        .expect("openssl runs");
    assert!(
        made.status.success(),
        "no certificates: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    vec![
        "--skip-networking=0".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--port={port}"),
        option("--ssl-ca", &home.join("ca.crt")),
        option("--ssl-cert", &home.join("server.crt")),
        option("--ssl-key", &home.join("server.key")),
    ]
}

fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// MariaDB does not run as root by itself; its package makes a user for it.
fn as_server_user() -> Option<&'static str> {
    is_root().then_some("--user=mysql")
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

fn give_to_server_user(path: &Path) {
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(path, open).expect("the directory's mode can be set");
    if is_root() {
        let users = fs::read_to_string("/etc/passwd").expect("the list of users");
        let line = users.lines().find(|line| line.starts_with("mysql:"));
        let line = line.unwrap_or_else(|| panic!("no user `mysql`; {REMEDY}"));
        let mut ids = line.split(':').skip(2);
        let mut next = || ids.next().and_then(|id| id.parse::<u32>().ok());
        let (user, group) = (next(), next());
        chown(path, user, group).expect("the directory can be given away");
    }
}
