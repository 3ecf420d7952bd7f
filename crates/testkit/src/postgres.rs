//! A real PostgreSQL server for tests: started from the installed programs, reached by a socket, gone afterwards.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running server that listens on a socket of its own and on no network port.
///
/// It does not sync to disk. It is stopped, and its data removed, when the value is dropped.
pub struct Postgres {
    server: Child,
    programs: PathBuf,
    home: TempDir,
    settings: Vec<String>,
    databases: AtomicU64,
    port: Option<u16>,
}

/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

impl Postgres {
    /// Starts a server. Panics, with the remedy, if PostgreSQL is not installed or does not start.
    pub fn start() -> Postgres {
        Postgres::start_with(&[], &[])
    }

    /// Starts a server made with more arguments for `initdb` and with settings like `wal_level=logical`.
    pub fn start_with(initdb: &[&str], settings: &[&str]) -> Postgres {
        Postgres::launch(None, initdb, settings)
    }

    /// Starts a server that also listens on a free port of 127.0.0.1, with and without TLS, and asks for passwords
    /// there (SCRAM-SHA-256). Its certificate names `localhost` and is signed by [`Postgres::authority`].
    pub fn networked() -> Postgres {
        // Given up again at once: somebody else could take it, and then the start fails loudly.
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        Postgres::launch(Some(port), &[], &[])
    }

    /// Starts a server on a copy of the data directory `data`, whoever owns that, as stock PostgreSQL with the
    /// configuration that lies in it.
    pub fn on_copy_of(data: &Path) -> Postgres {
        let programs = programs();
        let home = TempDir::with_prefix("vouchsafe-pg-").expect("a temporary directory");
        give_to_server_user(home.path());
        let place = home.path().join("data");
        run(Command::new("cp").arg("-a").arg(data).arg(&place));
        if let Some((user, group)) = server_user() {
            let owner = format!("{user}:{group}");
            run(Command::new("chown").args(["-R", &owner]).arg(&place));
        }
        let server = spawn(&programs, home.path(), &[]);
        let mut started = Postgres {
            server,
            programs,
            home,
            settings: Vec::new(),
            databases: AtomicU64::new(0),
            port: None,
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

    /// An empty directory that the server may write to.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.home.path().join(name);
        fs::create_dir(&path).expect("a directory");
        give_to_server_user(&path);
        path
    }

    /// The directory of its socket.
    pub fn socket_dir(&self) -> &Path {
        self.home.path()
    }

    fn launch(port: Option<u16>, initdb: &[&str], settings: &[&str]) -> Postgres {
        let programs = programs();
        let home = TempDir::with_prefix("vouchsafe-pg-").expect("a temporary directory");
        give_to_server_user(home.path());
        let made = as_server_user(&programs.join("initdb"))
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8"])
            .args(["--no-locale", "--no-sync"])
            .args(initdb)
            .arg("-D")
            .arg(home.path().join("data"))
            .current_dir(home.path())
            .output()
            .expect("initdb runs");
        assert!(
            made.status.success(),
            "initdb failed: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut settings: Vec<String> = settings.iter().map(|each| (*each).to_owned()).collect();
        if let Some(port) = port {
            settings.extend(network_settings(home.path(), port));
        }
        let server = spawn(&programs, home.path(), &settings);
        let mut started = Postgres {
            server,
            programs,
            home,
            settings,
            databases: AtomicU64::new(0),
            port,
        };
        started.wait_until_ready();
        started
    }

    /// A standby that follows this server: a copy of it with a socket of its own.
    pub fn standby(&self) -> Postgres {
        let home = TempDir::with_prefix("vouchsafe-pg-").expect("a temporary directory");
        give_to_server_user(home.path());
        let copied = as_server_user(&self.programs.join("pg_basebackup"))
            .args(["--checkpoint=fast", "--write-recovery-conf", "--no-sync"])
            .args(["--username=postgres", "--host"])
            .arg(self.home.path())
            .arg("--pgdata")
            .arg(home.path().join("data"))
            .current_dir(home.path())
            .output()
            .expect("pg_basebackup runs");
        assert!(
            copied.status.success(),
            "pg_basebackup failed: {}",
            String::from_utf8_lossy(&copied.stderr)
        );
        let settings = self.settings.clone();
        let server = spawn(&self.programs, home.path(), &settings);
        let mut started = Postgres {
            server,
            programs: self.programs.clone(),
            home,
            settings,
            databases: AtomicU64::new(0),
            port: None,
        };
        started.wait_until_ready();
        started
    }

    /// Makes a standby a server of its own, on a new timeline.
    pub fn promote(&self) {
        assert_eq!(self.sql("SELECT pg_promote()"), "t");
    }

    /// Ends the server: `INT` lets it shut down, `QUIT` is as if it crashed.
    pub fn stop(&mut self, signal: &str) {
        send(signal, &self.server);
        let begun = Instant::now();
        while matches!(self.server.try_wait(), Ok(None)) {
            assert!(begun.elapsed() < PATIENCE, "PostgreSQL does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the server and all of its processes at once, without a word, as when power fails or somebody kills them.
    pub fn crash(&mut self) {
        let own = self.server.id();
        // Its children first: none of them is to see that it is gone, and do something about it.
        let children = children_of(own);
        self.server.kill().expect("it can be killed");
        for pid in &children {
            let _ = Command::new("sh")
                .args(["-c", "kill -KILL \"$1\"", "sh", &pid.to_string()])
                .stderr(Stdio::null())
                .status();
        }
        self.server.wait().expect("it ends");
        let begun = Instant::now();
        while children.iter().any(|pid| is_running(*pid)) {
            assert!(begun.elapsed() < PATIENCE, "PostgreSQL's processes stay");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What one statement gives in the database `postgres` of a server that is stopped, by stock PostgreSQL in its
    /// single-user mode. The directory becomes the server user's.
    pub fn asked(data: &Path, statement: &str) -> String {
        if let Some((user, group)) = server_user() {
            let owner = format!("{user}:{group}");
            run(Command::new("chown").args(["-R", &owner]).arg(data));
            // Whatever lies above it has to be passed.
            let above = data.parent().expect("a directory above");
            run(Command::new("chmod").arg("755").arg(above));
        }
        let mut asked = as_server_user(&programs().join("postgres"))
            .args(["--single", "-c", "fsync=off", "-D"])
            .arg(data)
            .arg("postgres")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("postgres runs");
        let mut input = asked.stdin.take().expect("it has an input");
        let _ = writeln!(input, "{statement}");
        drop(input);
        let output = asked.wait_with_output().expect("postgres ends");
        let said = String::from_utf8_lossy(&output.stdout);
        // ` 1: name = "value" (typeid = …)`
        let value = said.lines().find_map(|line| {
            let (_, rest) = line.split_once(" = \"")?;
            Some(rest.split_once('"')?.0.to_owned())
        });
        value.unwrap_or_else(|| {
            let log = String::from_utf8_lossy(&output.stderr);
            panic!("{statement}: no answer: {said}{log}")
        })
    }

    /// Starts it again after a stop, on the same data.
    pub fn start_again(&mut self) {
        self.server = spawn(&self.programs, self.home.path(), &self.settings);
        self.wait_until_ready();
    }

    /// Where its data lies.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Writes a file into its data, owned as the server's own files are.
    pub fn place(&self, name: &str, bytes: &[u8]) {
        let path = self.data().join(name);
        fs::write(&path, bytes).expect("the file can be written");
        if let Some((user, group)) = server_user() {
            chown(&path, Some(user), Some(group)).expect("the file can be given away");
        }
    }

    /// Runs statements in the database `postgres`; the rows of all, fields between `|`.
    pub fn sql(&self, statements: &str) -> String {
        self.sql_in("postgres", statements)
    }

    /// Runs statements in a database; the rows of all, fields between `|`.
    pub fn sql_in(&self, database: &str, statements: &str) -> String {
        let mut psql = self.client("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"]);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped());
        psql.stderr(Stdio::piped());
        let mut running = psql.spawn().expect("psql runs");
        let mut input = running.stdin.take().expect("it has an input");
        // What psql says of a statement that fails is worth more than that it stopped reading.
        let _ = input.write_all(statements.as_bytes());
        drop(input);
        let output = running.wait_with_output().expect("psql ends");
        assert!(
            output.status.success(),
            "psql failed: {statements}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The server that the tests of this process share; it lives as long as somebody holds it.
    pub fn shared() -> Arc<Postgres> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Postgres::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// Makes a new empty database; its URL.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let made = self.client("createdb").arg(&name).output();
        let made = made.expect("createdb runs");
        assert!(
            made.status.success(),
            "createdb failed: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        self.url(&name)
    }

    /// The URL of the database `name`.
    pub fn url(&self, name: &str) -> String {
        let home = self.home.path().display();
        format!("postgres://postgres@localhost/{name}?host={home}")
    }

    /// One of the installed client programs, set up to reach this server.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.env("PGHOST", self.home.path());
        if let Some(port) = self.port {
            command.env("PGPORT", port.to_string());
        }
        command.env("PGUSER", "postgres");
        command
    }

    /// The version as the server tells it, like `15.9`.
    pub fn version(&self) -> String {
        let mut psql = self.client("psql");
        psql.args(["-XAtc", "SHOW server_version", "postgres"]);
        let output = psql.output().expect("psql runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn wait_until_ready(&mut self) {
        let begun = Instant::now();
        loop {
            let ready = self.client("pg_isready").stdout(Stdio::null()).status();
            if ready.expect("pg_isready runs").success() {
                return;
            }
            let ended = self.server.try_wait().expect("the server can be asked for");
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
                panic!("PostgreSQL does not start ({ended:?}):\n{log}");
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Stopping at once is enough: nothing of it is kept. Its children end with it.
        if matches!(self.server.try_wait(), Ok(None)) {
            send("QUIT", &self.server);
        }
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            if !matches!(self.server.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The processes that one has started, as the kernel tells it.
fn children_of(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| stat_of(*pid).is_some_and(|(_, above)| above == parent))
        .collect()
}

/// The state of a process and its parent.
fn stat_of(pid: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

fn is_running(pid: u32) -> bool {
    stat_of(pid).is_some_and(|(state, _)| state != 'Z')
}

/// Runs a program that must succeed.
fn run(command: &mut Command) {
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

fn spawn(programs: &Path, home: &Path, settings: &[String]) -> Child {
    let log = fs::File::create(home.join("log")).expect("a log file");
    as_server_user(&programs.join("postgres"))
        .arg("-D")
        .arg(home.join("data"))
        .arg("-k")
        .arg(home)
        .args(["-c", "listen_addresses=", "-c", "fsync=off"])
        .args(["-c", "full_page_writes=off", "-c", "max_connections=50"])
        .args(settings.iter().flat_map(|each| ["-c", each]))
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("postgres runs")
}

/// A signal to a server that was not yet seen to end, so that the number is still its own.
fn send(signal: &str, server: &Child) {
    let (signal, pid) = (format!("-{signal}"), server.id().to_string());
    let _ = Command::new("sh")
        .args(["-c", "kill \"$1\" \"$2\"", "sh", &signal, &pid])
        .status();
}

/// The directory of the newest installed server's programs.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    versions
        .flatten()
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            programs
                .join("initdb")
                .is_file()
                .then_some((version, programs))
        })
        .max()
        .map(|(_, programs)| programs)
        .expect("PostgreSQL is not installed; run: apt-get install -y postgresql")
}

/// Makes certificates, opens the server to passwords on the network, and gives its settings.
fn network_settings(home: &Path, port: u16) -> Vec<String> {
    let script = r#"
        umask 077
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-authority -keyout ca.key -out ca.crt
        openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
        printf 'subjectAltName=DNS:localhost\n' > san
        openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.crt
        chmod 644 ca.crt
        printf 'local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n' > "$1/pg_hba.conf"
    "#;
    let mut shell = as_server_user(Path::new("sh"));
    shell.args(["-euc", script, "sh"]).arg(home.join("data"));
    let made = shell.current_dir(home).output().expect("openssl runs");
    assert!(
        made.status.success(),
        "no certificates: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    let file = |name: &str| home.join(name).display().to_string();
    vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", file("server.crt")),
        format!("ssl_key_file={}", file("server.key")),
    ]
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// PostgreSQL refuses to run as root; its package makes a user for it.
fn as_server_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    // It becomes the program, so that its process id is the server's.
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
        "--",
    ]);
    command.arg(program);
    command
}

fn give_to_server_user(home: &Path) {
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(home, open).expect("the directory's mode can be set");
    if let Some((user, group)) = server_user() {
        chown(home, Some(user), Some(group)).expect("the directory can be given away");
    }
}

/// The user and group as which the server runs, if they are not our own.
fn server_user() -> Option<(u32, u32)> {
    if !is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("the list of users");
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut ids = line
        .expect("no user `postgres`; run: apt-get install -y postgresql")
        .split(':')
        .skip(2)
        .map(|id| id.parse::<u32>().expect("a user's number"));
    ids.next().zip(ids.next())
}
