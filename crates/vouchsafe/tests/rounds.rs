//! Rounds of sudden death: the server, the shipper or the network ends while rows are committed, and whatever second is
//! claimed afterwards comes back exactly as the server says that it was.
//!
//! `cargo xtask rounds` runs more of them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::common::{self, Workspace, vaults};
use vouchsafe_model::{Span, Time};
use vouchsafe_testkit::postgres::Postgres;
use vouchsafe_testkit::servers::{PASSWORD, Server, USER};

/// How many rounds, how many moments in each, and from which seed.
struct Order {
    rounds: u64,
    moments: u64,
    seed: u64,
    /// No round is begun after that.
    most: Duration,
}

impl Order {
    /// What the environment asks for; a few rounds if it says nothing.
    fn read() -> Order {
        let number = |name: &str, otherwise: u64| {
            let name = format!("VOUCHSAFE_TEST_ROUNDS{name}");
            let said = std::env::var(&name);
            said.map_or(otherwise, |text| text.parse().expect(&name))
        };
        Order {
            rounds: number("", 3),
            moments: number("_MOMENTS", 4),
            seed: number("_SEED", 20_261_130),
            most: Duration::from_secs(number("_SECONDS", 3600)),
        }
    }
}

/// Numbers that a seed gives, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most.max(1)
    }

    fn sleep(&mut self, least: u64, most: u64) {
        let millis = least + self.below(most - least);
        std::thread::sleep(Duration::from_millis(millis));
    }
}

/// What lies between us and the S3 server: it forwards, or it drops every connection and takes no new one.
struct Network {
    port: u16,
    state: Arc<NetworkState>,
}

#[derive(Default)]
struct NetworkState {
    is_down: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Network {
    fn to(port: u16) -> Network {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let state = Arc::new(NetworkState::default());
        let own = listener.local_addr().unwrap().port();
        let shared = Arc::clone(&state);
        // It ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.is_down.load(Ordering::SeqCst) {
                    let _ = stream.shutdown(Shutdown::Both);
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                    continue;
                };
                for (from, to) in [(&stream, &server), (&server, &stream)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                        let _ = from.shutdown(Shutdown::Both);
                    });
                }
                let mut open = shared.open.lock().unwrap();
                open.retain(|stream| stream.peer_addr().is_ok());
                open.extend([stream, server]);
            }
        });
        Network { port: own, state }
    }

    fn cut(&self) {
        self.state.is_down.store(true, Ordering::SeqCst);
        for stream in self.state.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.state.is_down.store(false, Ordering::SeqCst);
    }
}

/// Commits rows one after the other, through deaths of the server, and notes what it was told to be committed.
struct Writer {
    stops: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u64>>,
}

impl Writer {
    fn start(server: &Postgres, seed: u64) -> Writer {
        let stops = Arc::new(AtomicBool::new(false));
        let (stop, program) = (
            Arc::clone(&stops),
            server.client("psql").get_program().to_owned(),
        );
        let host = server.socket_dir().to_path_buf();
        let thread = std::thread::spawn(move || {
            let (mut noted, mut numbers) = (Vec::new(), Numbers(seed));
            while !stop.load(Ordering::SeqCst) {
                let session = Command::new(&program)
                    .args([
                        "-XAtq",
                        "-v",
                        "ON_ERROR_STOP=1",
                        "-d",
                        "postgres",
                        "-f",
                        "-",
                    ])
                    .env("PGHOST", &host)
                    .env("PGUSER", "postgres")
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .spawn();
                let mut session = session.unwrap();
                write_rows(&mut session, &stop, &mut numbers, &mut noted);
                drop(session.stdin.take());
                session.wait().unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
            noted
        });
        Writer { stops, thread }
    }

    /// The rows that it was told to be committed.
    fn end(self) -> Vec<u64> {
        self.stops.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

fn write_rows(session: &mut Child, stop: &AtomicBool, numbers: &mut Numbers, noted: &mut Vec<u64>) {
    let (Some(input), Some(output)) = (session.stdin.as_mut(), session.stdout.as_mut()) else {
        return;
    };
    let mut answers = BufReader::new(output).lines();
    while !stop.load(Ordering::SeqCst) {
        // Some are larger than a page of the log, some are rolled back, most are small.
        let length = match numbers.below(20) {
            0 => 1000 * (1 + numbers.below(20)),
            _ => numbers.below(200),
        };
        if numbers.below(15) == 0 {
            let broken =
                format!("BEGIN; INSERT INTO t (pad) VALUES (repeat('r', {length})); ROLLBACK;\n");
            if input.write_all(broken.as_bytes()).is_err() {
                return;
            }
        }
        let row = format!(
            "INSERT INTO t (pad) SELECT string_agg(md5(random()::text), '') FROM generate_series(0, {length} / 32) RETURNING id;\n"
        );
        if input
            .write_all(row.as_bytes())
            .and_then(|()| input.flush())
            .is_err()
        {
            return;
        }
        let Some(Ok(id)) = answers.next() else { return };
        noted.push(id.parse().unwrap());
        std::thread::sleep(Duration::from_millis(numbers.below(8)));
    }
}

/// A worker that is running. It is killed when the value is dropped.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server at work, a vault behind a network, a worker between them.
struct Rig {
    server: Postgres,
    network: Network,
    work: Workspace,
    // Last, so that those who write to it have ended.
    _s3: Server,
}

/// All rows and no others: equal for equal rows.
const DIGEST: &str = "SELECT count(*) || ':' || coalesce(max(id), 0) || ':' || \
    md5(coalesce(string_agg(id || pad, ',' ORDER BY id), '')) AS digest FROM t";

impl Rig {
    fn new() -> Rig {
        let server = Postgres::start_with(
            &["--wal-segsize=1"],
            &["track_commit_timestamp=on", "full_page_writes=on"],
        );
        server.sql("CREATE TABLE t (id bigserial PRIMARY KEY, pad text)");
        let s3 = Server::s3();
        let network = Network::to(s3.port());
        let work = Workspace::new();
        let policy = format!(
            r#"
policy: {{ id: T-1, title: Test policy, owner: o@example.com, version: "1", next_review: 2999-01-01 }}
vaults:
  offsite:
    url: "s3:http://127.0.0.1:{}/bucket/prod"
    region: there
    country: GB
    access_key: {{ env: T_ID }}
    secret_key: {{ env: T_SECRET }}
tiers:
  critical: {{ rpo: 24h, log_rpo: 30s, rto: 1h, copies: {{ min: 1 }} }}
systems:
  shop:
    source: "{}"
    tier: critical
    owner: o@example.com
    location: {{ region: here, country: GB }}
    schedule: "daily at 02:00 UTC"
    keep: {{ at_least: 35 days }}
    copies: [ offsite ]
    logs: {{ every: 1s, keep: 7 days }}
"#,
            network.port,
            server.url("").replace("/?", "?")
        );
        fs::write(work.path("policy.yaml"), policy).unwrap();
        let rig = Rig {
            server,
            network,
            work,
            _s3: s3,
        };
        rig.ok(&["init"]);
        rig.ok(&["run", "shop"]);
        rig
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.work.command(args);
        command.env("T_ID", USER).env("T_SECRET", PASSWORD);
        command
    }

    fn ok(&self, args: &[&str]) -> String {
        vaults::exits(&self.work, 0, args)
    }

    fn worker(&self) -> Worker {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.work.path("worker.log"))
            .unwrap();
        let mut command = self.command(&["worker", "--record-every", "1"]);
        Worker(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn said(&self) -> String {
        fs::read_to_string(self.work.path("worker.log")).unwrap_or_default()
    }

    /// The newest commit that the record claims to be in the vault.
    fn claimed(&self) -> Option<Time> {
        let facts = vaults::facts(&self.work, "log-shipped");
        let last = facts.last()?;
        let newest = last["copies"][0]["newest_commit"].as_str()?;
        Some(newest.parse().unwrap())
    }

    /// From which to which moment the vault can bring the server back, as the refusal of another one tells.
    fn window(&self) -> (Time, Time) {
        let order = [
            "restore",
            "shop",
            "--at",
            "2999-01-01T00:00:00Z",
            "--to",
            "server:./no",
        ];
        let refused = self.command(&order).output().unwrap();
        let said = common::text(&refused.stderr);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(refused.status.code(), Some(2), "{said}");
        let (_, window) = said
            .split_once("to any moment from")
            .unwrap_or_else(|| panic!("{said}"));
        let words: Vec<&str> = window.split_whitespace().collect();
        let time = |at: usize| words[at].parse().unwrap_or_else(|_| panic!("{said}"));
        assert_eq!((words[1], words[3]), ("to", "by"), "{said}");
        (time(0), time(2))
    }

    /// Holds what is restored to a moment against what the server itself says of it.
    fn judge(&self, moment: Time, told: &str) {
        let place = self.work.path("back");
        let moment = moment.to_string();
        let order = ["restore", "shop", "--at", &moment, "--to", "server:./back"];
        let restored = self.command(&order).output().unwrap();
        let said = common::text(&restored.stderr);
        assert_eq!(restored.status.code(), Some(0), "{told}: {moment}: {said}");
        let expected = self.server.sql(&format!(
            "{DIGEST} WHERE pg_xact_commit_timestamp(xmin) <= '{moment}'"
        ));
        let found = Postgres::asked(&place.join("data"), DIGEST);
        assert_eq!(found, expected, "{told}: at {moment}: {said}");
        fs::remove_dir_all(place).unwrap();
    }

    /// A moment that nothing claims is refused, and nothing is made of it.
    fn refuses(&self, moment: Time, told: &str) {
        let moment = moment.to_string();
        let order = ["restore", "shop", "--at", &moment, "--to", "server:./no"];
        let refused = self.command(&order).output().unwrap();
        let said = common::text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{told}: {moment}: {said}");
        assert!(!self.work.path("no").exists(), "{told}: {moment}");
    }
}

fn signal(worker: &Worker, name: &str) {
    let pid = worker.0.id().to_string();
    let words = ["-c", "kill \"$1\" \"$2\"", "sh", &format!("-{name}"), &pid];
    assert!(Command::new("sh").args(words).status().unwrap().success());
}

/// The processes that a worker has started, each by one of its threads, as the kernel tells it.
fn children(worker: &Worker) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", worker.0.id()));
    let threads = threads.into_iter().flatten().flatten();
    let lists = threads.map(|thread| fs::read_to_string(thread.path().join("children")));
    let pids = lists.flat_map(|list| {
        let list = list.unwrap_or_default();
        list.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    pids.collect()
}

fn kill(pids: &[String]) {
    for pid in pids {
        let _ = Command::new("sh")
            .args(["-c", "kill -9 \"$1\"", "sh", pid])
            .stderr(Stdio::null())
            .status();
    }
}

/// Who dies.
#[derive(Clone, Copy)]
enum Death {
    Server,
    Shipper,
    Network,
}

impl Death {
    /// Of three rounds that belong together each has another one, in an order that the seed gives.
    fn of(seed: u64, round: u64) -> Death {
        let mut numbers = Numbers(seed.wrapping_add(round / 3));
        let mut left = vec![Death::Server, Death::Shipper, Death::Network];
        for _ in 0..round % 3 {
            let at = numbers.below(left.len() as u64) as usize;
            left.remove(at);
        }
        left[numbers.below(left.len() as u64) as usize]
    }
}

/// One sudden death; everything is there again afterwards.
fn strike(rig: &mut Rig, worker: &mut Worker, death: Death, numbers: &mut Numbers) -> &'static str {
    match (death, numbers.below(3)) {
        (Death::Server, _) => {
            rig.server.crash();
            numbers.sleep(0, 800);
            rig.server.start_again();
            "the server was killed"
        }
        (Death::Network, _) => {
            rig.network.cut();
            numbers.sleep(100, 3000);
            rig.network.mend();
            "the network was cut"
        }
        (Death::Shipper, 0) => {
            kill(&children(worker));
            "the receiver was killed"
        }
        (Death::Shipper, 1) => {
            signal(worker, "KILL");
            numbers.sleep(0, 800);
            *worker = rig.worker();
            "the worker was killed"
        }
        (Death::Shipper, _) => {
            let receivers = children(worker);
            signal(worker, "KILL");
            kill(&receivers);
            numbers.sleep(0, 800);
            *worker = rig.worker();
            "the worker and its receiver were killed"
        }
    }
}

/// Ends the worker, as a service manager does or as a crash does.
fn end(rig: &Rig, mut worker: Worker, numbers: &mut Numbers) {
    if numbers.below(3) == 0 {
        return;
    }
    signal(&worker, "TERM");
    let begun = Instant::now();
    while worker.0.try_wait().unwrap().is_none() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the worker does not end: {}",
            rig.said()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn whatever_dies_and_when_every_moment_that_is_claimed_comes_back_as_it_was() {
    let order = Order::read();
    let mut rig = Rig::new();
    let begun = Instant::now();
    let (mut noted, mut judged, mut beyond) = (Vec::new(), 0, None);
    for round in 0..order.rounds {
        if begun.elapsed() > order.most {
            eprintln!("{round} of {} rounds: the time is over", order.rounds);
            break;
        }
        let seed = order.seed.wrapping_mul(1_000_003).wrapping_add(round);
        let mut numbers = Numbers(seed);
        let writer = Writer::start(&rig.server, seed);
        let mut worker = rig.worker();
        numbers.sleep(1000, 3000);
        let death = Death::of(order.seed, round);
        let told = strike(&mut rig, &mut worker, death, &mut numbers);
        let told = format!("seed {}, round {round}, {told}", order.seed);
        numbers.sleep(500, 3000);
        noted.extend(writer.end());
        end(&rig, worker, &mut numbers);

        // What was told to be committed is, and what was claimed before is still.
        let there = rig.server.sql(&format!(
            "SELECT count(*) FROM t WHERE id = ANY('{{{}}}')",
            noted
                .iter()
                .map(u64::to_string)
                .collect::<Vec<_>>()
                .join(",")
        ));
        assert_eq!(there, noted.len().to_string(), "{told}");
        let (from, to) = rig.window();
        let claimed = rig.claimed().max(beyond);
        assert!(
            claimed <= Some(to),
            "{told}: {claimed:?} was claimed and {to} is there: {}",
            rig.said()
        );
        beyond = Some(to);
        assert!(
            vaults::facts(&rig.work, "log-gap").is_empty(),
            "{told}: {}",
            rig.said()
        );

        // The newest moment, some of this round, some of all that can be had.
        let span = to.since(from).micros();
        let recent = span.min(6_000_000);
        rig.judge(to, &told);
        for at in 1..order.moments {
            let back = numbers.below(if at % 2 == 0 { span } else { recent });
            rig.judge(to.minus(Span::from_micros(back)), &told);
        }
        rig.refuses(to.plus(Span::from_micros(1)), &told);
        judged += order.moments;
        eprintln!(
            "{:>5} s: {told}: {} rows, {} moments back",
            begun.elapsed().as_secs(),
            noted.len(),
            order.moments
        );
    }
    assert!(judged > 0, "no round was run");

    // With nothing in the way all of it arrives.
    let everything = rig.server.sql(DIGEST);
    rig.ok(&["worker", "--once"]);
    rig.ok(&[
        "restore",
        "shop",
        "--at",
        "latest",
        "--to",
        "server:./latest",
    ]);
    let found = Postgres::asked(&rig.work.path("latest/data"), DIGEST);
    assert_eq!(found, everything, "seed {}", order.seed);
    // The comparison is one that can fail.
    rig.server.sql("INSERT INTO t (pad) VALUES ('one more')");
    assert_ne!(found, rig.server.sql(DIGEST));
    eprintln!(
        "seed {}: {judged} moments came back as they were",
        order.seed
    );
}
