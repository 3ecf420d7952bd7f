//! A server of our own over a data directory: for drills, and for restores that are to be a server.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::files;
use vouchsafe_host::process::{Child, Command, run_captured};

use super::about::About;
use super::accounts::OURS;
use super::address::{Address, Tls};
use super::login::Login;
use super::programs::{self, Kind, Product};
use super::session::Session;
use crate::confine::Confined;
use crate::failure;

/// A running server that listens on a socket in its own data directory and nowhere else.
///
/// Dropping it ends it at once; [`Server::stop`] ends it well.
pub(super) struct Server {
    /// Locked, because a stream that is read elsewhere may be the last to hold the server.
    child: Mutex<Option<Child>>,
    /// Held open: its number is the short way to the socket, whose path would be too long for the system otherwise.
    directory: File,
    data: PathBuf,
    place: PathBuf,
    product: Product,
    /// For programs, which start in the data directory.
    login: Login,
    entry: Entry,
}

/// How we are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// By an account of ours, which is there while the server runs.
    Account,
    /// Accounts are not asked for: nothing is written to let us in.
    Anybody,
}

/// The socket's name in the data directory.
const SOCKET: &str = "server.sock";
/// The file of statements that let us in at each start.
const INIT_FILE: &str = "server.sql";

/// How long a start may take: it includes the replay of what a server left when it was killed.
const START: Duration = Duration::from_secs(300);
/// The same of MySQL, which makes a clone consistent by itself: as long as the disk takes.
const START_MYSQL: Duration = Duration::from_secs(7 * 24 * 3600);
const STOP: Duration = Duration::from_secs(300);
const INIT: Duration = Duration::from_secs(300);

/// Nothing of what a configuration may say: no network, no log, no replication, nothing that acts by itself.
const QUIET: [&str; 9] = [
    "--skip-networking",
    "--skip-log-bin",
    "--event-scheduler=OFF",
    "--local-infile=0",
    "--innodb-flush-log-at-trx-commit=0",
    "--max-allowed-packet=1073741824",
    "--max-connections=50",
    "--innodb-buffer-pool-load-at-startup=OFF",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
];

/// Another protocol with a port and a socket of its own; a directory for files that a package would have made.
const QUIET_MYSQL: [&str; 2] = ["--mysqlx=OFF", "--secure-file-priv=NULL"];

/// The directory of the data in a restored server's place.
pub(super) fn data_directory(place: &Path) -> PathBuf {
    place.join(DATA)
}

const DATA: &str = "data";

/// The server's program, for messages.
fn program_name(product: Product) -> &'static str {
    match product {
        Product::MariaDb => "mariadbd",
        Product::MySql => "mysqld",
    }
}

/// Makes an empty server in `place`, with more options beside those of ours.
pub(super) fn initialise(
    ctx: &CaptureContext<'_>,
    about: &About,
    place: &Path,
    more: &[String],
) -> Result<(), CaptureError> {
    let server = programs::of_series(ctx, Kind::Server, about.product, about.series)?;
    let confined = Confined::to(ctx, place)?;
    let (name, package, command) = match about.product {
        // The script looks for the server where it was installed itself.
        Product::MariaDb => (
            "mariadb-install-db",
            "mariadb-server",
            confined
                .program(Path::new("mariadb-install-db"))
                .args(["--no-defaults", "--auth-root-authentication-method=normal"])
                .args(["--skip-test-db", "--skip-log-bin"]),
        ),
        Product::MySql => (
            "mysqld",
            "mysql-server",
            confined.program(&server).args([
                "--no-defaults",
                "--initialize-insecure",
                "--skip-log-bin",
            ]),
        ),
    };
    let command = command
        .args(names(about))
        .args(more)
        .arg(option("--datadir", &confined.seen(DATA)))
        .env("TMPDIR", confined.seen(""));
    run_captured(ctx.spawn, command, INIT)
        .map(drop)
        .map_err(|e| {
            let remedy = format!(
                "see that there is room, and that the package {package} is installed whole"
            );
            failure::program(name, &e, &remedy)
        })
}

/// How names of tables are compared: a data directory belongs to one way.
fn names(about: &About) -> Option<String> {
    let way = about.lower_case_table_names.as_str();
    ["0", "1", "2"]
        .contains(&way)
        .then(|| format!("--lower-case-table-names={way}"))
}

impl Server {
    /// Starts the server in `place`, with more options beside those of ours, and waits until it answers.
    pub(super) fn start(
        ctx: &CaptureContext<'_>,
        about: &About,
        place: &Path,
        more: &[String],
    ) -> Result<Server, CaptureError> {
        Server::launch(ctx, about, place, more, Entry::Account)
    }

    /// The same, but accounts are not asked for, and nothing of what they are is changed.
    pub(super) fn start_for_anybody(
        ctx: &CaptureContext<'_>,
        about: &About,
        place: &Path,
        more: &[String],
    ) -> Result<Server, CaptureError> {
        Server::launch(ctx, about, place, more, Entry::Anybody)
    }

    fn launch(
        ctx: &CaptureContext<'_>,
        about: &About,
        place: &Path,
        more: &[String],
        entry: Entry,
    ) -> Result<Server, CaptureError> {
        let program = programs::of_series(ctx, Kind::Server, about.product, about.series)?;
        let data = files::canonicalize(data_directory(place)).map_err(failure::file)?;
        let directory = files::open_read(&data).map_err(failure::file)?;
        let place = files::canonicalize(place).map_err(failure::file)?;
        if entry == Entry::Account {
            let statements = let_in(about.product);
            files::write_atomic(place.join(INIT_FILE), statements.as_bytes(), 0o600)
                .map_err(failure::file)?;
        }
        let confined = Confined::to(ctx, &place)?;
        let socket = Path::new("/proc/self/cwd").join(SOCKET);
        let command = confined
            .program(&program)
            .arg("--no-defaults")
            .arg(option("--datadir", &confined.seen(DATA)))
            .arg(option("--tmpdir", &confined.seen(DATA)))
            .arg(match entry {
                Entry::Account => option("--init-file", &confined.seen(INIT_FILE)),
                Entry::Anybody => "--skip-grant-tables".to_owned(),
            })
            // It works in its data directory, whose path may be too long for a socket's.
            .arg(option("--socket", &socket))
            .arg(option("--pid-file", Path::new("server.pid")))
            .args(QUIET)
            .args(match about.product {
                Product::MariaDb => &[][..],
                Product::MySql => &QUIET_MYSQL,
            })
            .args(names(about))
            .args(more);
        let child = ctx.spawn.spawn(command).map_err(|e| {
            failure::program(
                program_name(about.product),
                &e.into(),
                "see that the server's package is installed whole",
            )
        })?;
        let server = Server {
            child: Mutex::new(Some(child)),
            login: Login::new(ctx, ours(socket), None)?,
            directory,
            data,
            place,
            product: about.product,
            entry,
        };
        server.wait_until_ready(ctx)?;
        Ok(server)
    }

    /// Our own connection.
    pub(super) fn session(&self, _ctx: &CaptureContext<'_>) -> Result<Session, CaptureError> {
        let directory = format!("/proc/self/fd/{}", self.directory.as_raw_fd());
        Session::open(&ours(Path::new(&directory).join(SOCKET)), None)
    }

    /// A program that connects: it starts in the data directory, and the socket is found through that.
    pub(super) fn program(
        &self,
        _ctx: &CaptureContext<'_>,
        program: &Path,
        product: Product,
    ) -> Result<Command, CaptureError> {
        Ok(self.login.program(program, product).current_dir(&self.data))
    }

    /// Ends it so that everything is written, and takes away what let us in.
    pub(super) fn stop(&self, ctx: &CaptureContext<'_>) -> Result<(), CaptureError> {
        let mut session = self.session(ctx)?;
        if self.entry == Entry::Account {
            // No log of its own says that.
            session.execute("SET sql_log_bin = 0")?;
            session.execute(&format!("DROP USER '{OURS}'@'localhost'"))?;
        }
        session.execute("SHUTDOWN")?;
        drop(session);
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut child) = child.take()
            && child.wait_timeout(STOP).is_none()
        {
            child.kill_tree();
            return Err(CaptureError::Program {
                program: program_name(self.product).to_owned(),
                message: format!("it did not stop within {} s", STOP.as_secs()),
                remedy: "see that there is room on the disk, and restore it again".to_owned(),
            });
        }
        files::remove_file(self.place.join(INIT_FILE)).map_err(failure::file)
    }

    /// Ends it at once; whoever waits for its answer gets an error.
    pub(super) fn kill(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = child.as_mut() {
            child.kill_tree();
        }
    }

    fn wait_until_ready(&self, ctx: &CaptureContext<'_>) -> Result<(), CaptureError> {
        let program = program_name(self.product);
        let limit = match self.product {
            Product::MariaDb => START,
            Product::MySql => START_MYSQL,
        };
        let begun = ctx.clock.monotonic();
        loop {
            failure::check_interrupt(ctx)?;
            let waiting = match self.session(ctx) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
            let ended = child.as_mut().and_then(Child::try_wait);
            if let (Some(state), Some(child)) = (ended, child.as_ref()) {
                return Err(CaptureError::Program {
                    program: program.to_owned(),
                    message: format!(
                        "{state} instead of starting; it said: {}",
                        child.stderr_tail()
                    ),
                    remedy: "restore another point, and see what it said".to_owned(),
                });
            }
            if ctx.clock.monotonic().saturating_sub(begun) > limit {
                return Err(CaptureError::Program {
                    program: program.to_owned(),
                    message: format!("it was not ready within {} s: {waiting}", limit.as_secs()),
                    remedy:
                        "see that the disk has room and is not overloaded, and restore it again"
                            .to_owned(),
                });
            }
            drop(child);
            ctx.clock.sleep(Duration::from_millis(20));
        }
    }
}

/// The account of ours, through a socket.
fn ours(socket: PathBuf) -> Address {
    Address {
        host: "localhost".to_owned(),
        port: 0,
        socket: Some(socket),
        user: OURS.to_owned(),
        database: String::new(),
        tls: Tls::Disabled,
        authorities: None,
    }
}

/// Statements that run before anybody is let in, one in a line: nobody knows the passwords of the original. On MariaDB the
/// right to let others act for anybody can be given to nobody by these statements, but written down.
fn let_in(product: Product) -> String {
    let proxy = match product {
        Product::MariaDb => format!(
            "REPLACE INTO mysql.proxies_priv (Host, User, Proxied_host, Proxied_user, With_grant, Grantor) \
             VALUES ('localhost', '{OURS}', '', '', 1, '');"
        ),
        Product::MySql => {
            format!("GRANT PROXY ON ''@'' TO '{OURS}'@'localhost' WITH GRANT OPTION;")
        }
    };
    format!(
        "DROP USER IF EXISTS '{OURS}'@'localhost';\n\
         CREATE USER '{OURS}'@'localhost';\n\
         GRANT ALL PRIVILEGES ON *.* TO '{OURS}'@'localhost' WITH GRANT OPTION;\n\
         {proxy}\n\
         FLUSH PRIVILEGES;\n"
    )
}

fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}
