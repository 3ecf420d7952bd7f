//! A real MySQL server, in a root file system of a suite that has one: tests run in there, as another start of theirs.

use std::fs;
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The variable that has the root file system, with `mysqld` and its programs in it.
const ROOT: &str = "VOUCHSAFE_TEST_MYSQL";
/// The variable by which a test knows that it runs in there.
const INSIDE: &str = "VOUCHSAFE_TEST_INSIDE_MYSQL";
const REMEDY: &str = "run: cargo xtask conformance";

/// Runs `body` in that root file system: `test`, which is the calling test, is started once more in there, with mounts of
/// its own. There `programs` are where they are outside. Panics, with the remedy, if there is none.
pub fn inside(test: &str, programs: &[&Path], body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let root = std::env::var_os(ROOT)
        .map(PathBuf::from)
        .unwrap_or_else(|| panic!("{ROOT} is not set; {REMEDY}"));
    let program = root.join("tmp").join(test);
    fs::copy(std::env::current_exe().expect("a program"), &program).expect("copies");
    // What becomes another user's root must be a mount, for the sandboxes that are made in it.
    const ENTER: &str = "mount --rbind \"$1\" \"$1\" && cd \"$1\" && mount -t proc proc proc && mount --rbind /dev dev && \
        mount -t tmpfs -o mode=1777 tmpfs run && program=$2 && test=$3 && shift 3 && \
        for each; do mkdir -p \".${each%/*}\" && touch \".$each\" && mount --bind \"$each\" \".$each\"; done && \
        exec chroot . \"/tmp/$program\" --exact \"$test\" --nocapture";
    let name = program.file_name().expect("a name");
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .args(["sh", "-ec", ENTER, "sh"])
        .args([root.as_os_str(), name, test.as_ref()])
        .args(programs)
        .env(INSIDE, "1")
        .env("TMPDIR", "/tmp")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output();
    fs::remove_file(&program).expect("removes");
    let output = output.expect("unshare starts");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

/// A running server with a socket and a port of its own on 127.0.0.1, and a binary log named `bin`.
///
/// It is ended, and its data removed, when the value is dropped.
pub struct MySql {
    server: Child,
    home: TempDir,
    port: u16,
    options: Vec<String>,
}

const PATIENCE: Duration = Duration::from_secs(120);
const SERVER: &str = "/usr/sbin/mysqld";
/// `nobody`: the server does not run as root.
const USER: u32 = 65534;

impl MySql {
    /// A new server with more options, like `--max-binlog-size=64K`.
    pub fn start(options: &[&str]) -> MySql {
        let home = home();
        let data = home.path().join("data");
        let layout = options.iter().filter(|o| o.starts_with("--innodb"));
        let mut made = command(&data);
        let made = made.arg("--initialize-insecure").args(layout).output();
        let made = made.unwrap_or_else(|error| panic!("{SERVER}: {error}; {REMEDY}"));
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        MySql::over(home, options)
    }

    /// A server on a copy of the data of another one, which must be stopped. It writes no binary log, acts by nothing of
    /// itself, and lets everybody in.
    pub fn on_copy_of(data: &Path) -> MySql {
        let options = ["--skip-log-bin", "--event-scheduler=OFF"];
        MySql::on_copy(data, &[&options[..], &["--skip-grant-tables"]].concat())
    }

    /// A server with these options on a copy of the data of another one, which must be stopped.
    pub fn on_copy(data: &Path, options: &[&str]) -> MySql {
        let home = home();
        let place = home.path().join("data");
        for program in [
            Command::new("cp").arg("-a").arg(data).arg(&place),
            Command::new("chown").args(["-R", "nobody:"]).arg(&place),
        ] {
            assert!(program.status().expect("it runs").success(), "{place:?}");
        }
        MySql::over(home, options)
    }

    fn over(home: TempDir, options: &[&str]) -> MySql {
        // Given up again at once: somebody else could take it, and then the start fails loudly.
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let options: Vec<String> = options.iter().map(|each| (*each).to_owned()).collect();
        let mut started = MySql {
            server: spawn(home.path(), port, &options),
            home,
            port,
            options,
        };
        started.wait_until_ready();
        started
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.home.path().join("sock")
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its data lies.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Runs statements as `root`, each one whatever became of the one before; the rows of all, fields between tabs.
    pub fn sql(&self, statements: &str) -> String {
        let mut client = self.client();
        client.args(["--batch", "--skip-column-names", "--binary-mode", "--raw"]);
        client.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = client
            .stderr(Stdio::piped())
            .spawn()
            .expect("the client runs");
        let mut input = running.stdin.take().expect("it has an input");
        // What it says of a statement that fails is worth more than that it stopped reading.
        let _ = input.write_all(statements.as_bytes());
        drop(input);
        let output = running.wait_with_output().expect("it ends");
        assert!(
            output.status.success(),
            "{statements}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The address of one of its databases by the socket; of the whole server if the name is empty.
    pub fn url(&self, user: &str, database: &str) -> String {
        let slash = if database.is_empty() { "" } else { "/" };
        let socket = self.socket();
        format!(
            "mysql://{user}@localhost{slash}{database}?socket={}",
            socket.display()
        )
    }

    /// The file of its binary log that it writes, by its number, and how long that is.
    pub fn end_of_log(&self) -> (u64, u64) {
        let said = self.sql("SHOW BINARY LOG STATUS");
        let mut words = said.split('\t');
        let file = words.next().and_then(|file| file.rsplit('.').next());
        let number = |word: Option<&str>| word.and_then(|n| n.parse().ok()).expect("a number");
        (number(file), number(words.next()))
    }

    /// The files of its binary log, the oldest first.
    pub fn logs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.data()).expect("the data");
        let is_log = |path: &PathBuf| {
            path.file_stem().is_some_and(|stem| stem == "bin")
                && path.extension().is_some_and(|end| end != "index")
        };
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut logs: Vec<PathBuf> = paths.filter(is_log).collect();
        logs.sort();
        logs
    }

    /// Lets the server shut down.
    pub fn stop(&mut self) {
        self.sql("SHUTDOWN");
        self.server.wait().expect("it ends");
    }

    /// Ends the server as a crash does.
    pub fn crash(&mut self) {
        self.server.kill().expect("it can be killed");
        self.server.wait().expect("it ends");
    }

    /// Starts it again on the same data.
    pub fn start_again(&mut self) {
        self.server = spawn(self.home.path(), self.port, &self.options);
        self.wait_until_ready();
    }

    fn client(&self) -> Command {
        let mut command = Command::new("mysql");
        command
            .args([
                "--no-defaults",
                "--user=root",
                "--default-character-set=utf8mb4",
            ])
            .arg(format!("--socket={}", self.socket().display()));
        command
    }

    fn wait_until_ready(&mut self) {
        let begun = Instant::now();
        loop {
            let asked = self.client().args(["-e", "SELECT 1"]).output();
            if asked.expect("the client runs").status.success() {
                return;
            }
            let ended = self.server.try_wait().expect("asks");
            let log = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for MySql {
    fn drop(&mut self) {
        // Nothing of it is kept. A server that has ended before is not signalled.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn home() -> TempDir {
    let home = TempDir::with_prefix("vouchsafe-mysql-").expect("a directory");
    chown(home.path(), Some(USER), Some(USER)).expect("gives it away");
    home
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(SERVER);
    command
        .args([
            "--no-defaults",
            "--user=nobody",
            "--mysqlx=OFF",
            "--secure-file-priv=NULL",
        ])
        .arg(format!("--datadir={}", data.display()));
    command
}

fn spawn(home: &Path, port: u16, options: &[String]) -> Child {
    let log = fs::File::create(home.join("log")).expect("a log");
    command(&home.join("data"))
        .args(["--bind-address=127.0.0.1", "--log-bin=bin", "--server-id=7"])
        .args(["--gtid-mode=ON", "--enforce-gtid-consistency=ON"])
        .args([
            "--innodb-buffer-pool-size=32M",
            "--innodb-flush-log-at-trx-commit=0",
        ])
        .arg(format!("--port={port}"))
        .arg(format!("--socket={}", home.join("sock").display()))
        .arg(format!("--pid-file={}", home.join("pid").display()))
        .args(options)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("mysqld starts")
}
