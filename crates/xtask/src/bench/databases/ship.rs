//! The row of the log: how old the newest commit in the remote copy is, under load and idle, and what shipping takes.
//!
//! It is measured from outside. The bucket is listed five times a second, and when an object of the log is seen for the
//! first time is noted: from then on it is there for whoever lists the bucket, whole, since an object appears at once
//! or not at all. When everything has ended, the objects are copied, and their headers are read with the vault's key:
//! each says of the commits in it when the last one was, by the server's clock, which is this machine's. For each
//! second the achieved RPO is then the time since the newest commit in an object that had been seen by then. Tokens that
//! the worker commits count as commits, as they do for whoever restores. In the end the log is restored to its end, and
//! the rows that a writer had committed must be there, all of them and no others.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::options::Options;
use super::ours::{Ours, SYSTEM, Vault};
use super::outcome::{Figure, Outcome};
use super::rows::Row;
use super::s3::S3;
use super::server::Server;
use super::usage::Usage;
use super::{fill, server};
use crate::bench::area::Area;
use crate::bench::data::at;
use crate::bench::measure::Job;

/// Seconds that the newest commit in the remote copy may be old, 99 times of 100.
const RPO: f64 = 10.0;
/// Part of a core, in percent.
const CPU: f64 = 10.0;
/// MiB of the worker and all that it starts.
const MEMORY: f64 = 128.0;
/// Rows that are committed each second beside pgbench.
const BEATS: u64 = 20;
/// Seconds at the beginning of a stretch that do not count.
const SETTLES: f64 = 15.0;
/// What the log is called in the vault: the system's only protection, and its WAL.
const LOGS: &str = "prod/logs/";

/// What is looked at from outside while the worker works.
#[derive(Default)]
struct Seen {
    /// When each fragment was there for the first time, by its key.
    objects: BTreeMap<String, f64>,
    usage: Vec<(f64, Usage)>,
}

/// Seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// Ships the log of a server at work, and of the same server idle.
pub(crate) fn ship(
    row: &'static Row,
    options: &Options,
    area: &Area,
    programs: (&Path, &Path),
) -> Result<Outcome, String> {
    let (vouchsafe, engine) = programs;
    let server = Server::create(&area.folder("pg-ship"))?;
    server.sql(
        "CREATE TABLE beats (id bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())",
    )?;
    let scaled = ["-i", "-q", "-s", "10", "postgres"];
    fill::quietly(server.client("pgbench").args(scaled))?;
    let s3 = S3::start(&area.folder("s3"))?;
    let home = area.folder("ours-ship");
    let ours = Ours::new(vouchsafe, home, &server.url(), &Vault::Bucket(&s3.url()));
    ours.begin(area.logs())?;
    ours.call(["run", SYSTEM]).run(None, area.logs())?;
    let worker = Worker::start(&ours)?;
    worker.wait_for_log(&s3)?;
    let done = AtomicBool::new(false);
    let (stretches, seen) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&s3, worker.child.id(), &done));
        let stretches = load_and_idle(options, area, &server);
        done.store(true, Ordering::Relaxed);
        let seen = watching
            .join()
            .map_err(|_| "the watcher broke off".to_owned());
        (stretches, seen)
    });
    let (stretches, seen) = (stretches?, seen??);
    worker.end()?;
    let commits = newest_commits(&s3, &ours, area, engine, &seen)?;
    let mut outcome = Outcome::of(row, Vec::new());
    for (name, stretch) in ["under load", "idle"].into_iter().zip(stretches) {
        outcome
            .figures
            .extend(figures(name, stretch, &commits, &seen)?);
    }
    let remark = judge(&ours, area, &server)?;
    outcome.remarks.push(format!(
        "pgbench at {} transactions a second and {BEATS} rows a second beside it for {} s, then nothing for as long; {remark}. \
         Memory is what the kernel calls Pss, of the worker and all that it started.",
        options.rate, options.seconds
    ));
    Ok(outcome)
}

/// The worker. It is killed if it is dropped before it has ended.
struct Worker {
    child: Child,
    log: std::path::PathBuf,
}

impl Worker {
    fn start(ours: &Ours) -> Result<Self, String> {
        let log = ours.home().join("worker.log");
        let file = fs::File::create(&log).map_err(at(&log))?;
        let child = ours
            .command(["worker"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|error| format!("vouchsafe worker: {error}"))?;
        Ok(Self { child, log })
    }

    fn wait_for_log(&self, s3: &S3) -> Result<(), String> {
        let begun = Instant::now();
        while s3.keys(LOGS)?.is_empty() {
            if begun.elapsed() > Duration::from_secs(60) {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                return Err(format!("the worker ships nothing: {said}"));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    fn end(mut self) -> Result<(), String> {
        let pid = self.child.id().to_string();
        crate::program::run_quietly(Command::new("kill").args(["-TERM", &pid]))?;
        let begun = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("the worker ended by {status}")),
                Ok(None) if begun.elapsed() < Duration::from_secs(30) => {}
                other => return Err(format!("the worker does not end: {other:?}")),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From when to when each of the two was.
fn load_and_idle(
    options: &Options,
    area: &Area,
    server: &Server,
) -> Result<[(f64, f64); 2], String> {
    let script = area.folder("beat.sql");
    fs::write(&script, "INSERT INTO beats DEFAULT VALUES;\n").map_err(at(&script))?;
    let (seconds, rate) = (options.seconds.to_string(), options.rate.to_string());
    let beats = BEATS.to_string();
    let start = |words: &[&str], script: Option<&Path>| {
        let mut command = server.client("pgbench");
        command.args(["-n", "-T", &seconds]).args(words);
        if let Some(script) = script {
            command.arg("-f").arg(script);
        }
        command
            .arg("postgres")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("pgbench: {error}"))
    };
    let begun = now();
    let mut running = [
        start(&["-c", "4", "-R", &rate], None)?,
        start(&["-c", "1", "-R", &beats], Some(&script))?,
    ];
    for child in &mut running {
        let status = child.wait().map_err(|error| format!("pgbench: {error}"))?;
        if !status.success() {
            return Err(format!("pgbench ended by {status}"));
        }
    }
    let loaded = now();
    std::thread::sleep(Duration::from_secs(options.seconds));
    Ok([(begun, loaded), (loaded, now())])
}

/// Lists the bucket five times a second, and looks at the processes each second, until `done`.
fn watch(s3: &S3, worker: u32, done: &AtomicBool) -> Result<Seen, String> {
    let mut seen = Seen::default();
    for turn in 0_u64.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let keys = s3.keys(LOGS)?;
        let time = now();
        for key in keys.into_iter().filter(|key| key.contains("/fragments/")) {
            seen.objects.entry(key).or_insert(time);
        }
        if turn.is_multiple_of(5) {
            seen.usage.push((time, Usage::of(worker)));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(seen)
}

/// For each fragment, when it was seen and when its last commit was.
fn newest_commits(
    s3: &S3,
    ours: &Ours,
    area: &Area,
    engine: &Path,
    seen: &Seen,
) -> Result<Vec<(f64, f64)>, String> {
    let copy = area.folder("s3-copy");
    for part in ["prod/logs/", "prod/repo/config", "prod/repo/keys/"] {
        s3.copy(part, &copy)?;
    }
    let passphrase = ours.home().join(".vouchsafe/keys/local.passphrase");
    let system = ours
        .call(["points", SYSTEM, "--json"])
        .run(None, area.logs())?;
    let protection = protection_in(&system.output)?;
    let listed = Job::new(engine)
        .arg("log-pieces")
        .arg(&copy)
        .arg(&passphrase)
        .args([SYSTEM, &format!("{protection}/wal")])
        .run(None, area.logs())?;
    let listed: serde_json::Value = serde_json::from_str(&listed.output)
        .map_err(|error| format!("engine log-pieces: {error}"))?;
    let pieces = listed["pieces"].as_array().cloned().unwrap_or_default();
    let folder = listed["folder"].as_str().unwrap_or_default();
    let mut found = Vec::new();
    for piece in &pieces {
        let place = piece["sequence"].as_u64().unwrap_or(0);
        let key = format!("prod/{folder}fragments/{place:020}");
        let stored = seen.objects.get(&key);
        if let (Some(time), Some(last)) = (stored, piece["last_commit_micros"].as_i64()) {
            found.push((*time, last as f64 / 1e6));
        }
    }
    match found.len() {
        0 | 1 => Err(format!(
            "{} pieces of log and no commits in them",
            pieces.len()
        )),
        _ => Ok(found),
    }
}

/// The name of the only protection, as the points show it: `"shop/NAME"`.
fn protection_in(points: &str) -> Result<String, String> {
    let begun = points.split_once(&format!("\"{SYSTEM}/"));
    let name = begun.and_then(|(_, rest)| rest.split('"').next());
    name.map(str::to_owned)
        .ok_or_else(|| format!("no protection in {points}"))
}

fn figures(
    name: &str,
    (from, to): (f64, f64),
    commits: &[(f64, f64)],
    seen: &Seen,
) -> Result<Vec<Figure>, String> {
    let ages = ages(from + SETTLES.min((to - from) / 3.0), to, commits);
    let inside = |(time, _): &&(f64, Usage)| (from..=to).contains(time);
    let usage: Vec<&(f64, Usage)> = seen.usage.iter().filter(inside).collect();
    let (Some(first), Some(last)) = (usage.first(), usage.last()) else {
        return Err(format!("{name}: nobody looked at the worker"));
    };
    let cpu = (last.1.cpu - first.1.cpu) / (last.0 - first.0).max(1.0) * 100.0;
    let memory = usage
        .iter()
        .map(|(_, usage)| usage.memory)
        .max()
        .unwrap_or(0);
    let figure = |what: &str, value, unit, most| Figure {
        name: format!("{what} {name}"),
        value,
        unit,
        most,
    };
    Ok(vec![
        figure("RPO p99", percentile(&ages, 0.99)?, "s", Some(RPO)),
        figure("RPO median", percentile(&ages, 0.5)?, "s", None),
        figure("RPO most", percentile(&ages, 1.0)?, "s", None),
        figure("CPU", cpu, "% of a core", Some(CPU)),
        figure(
            "memory",
            memory as f64 / f64::from(1 << 20),
            "MiB",
            Some(MEMORY),
        ),
    ])
}

/// At each second, how old the newest commit was that had been stored.
fn ages(from: f64, to: f64, commits: &[(f64, f64)]) -> Vec<f64> {
    let mut ages = Vec::new();
    let mut time = from;
    while time <= to {
        let stored = commits.iter().filter(|(seen, _)| *seen <= time);
        let newest = stored.map(|(_, commit)| *commit).fold(f64::MIN, f64::max);
        if newest > f64::MIN {
            ages.push(time - newest);
        }
        time += 1.0;
    }
    ages
}

fn percentile(numbers: &[f64], part: f64) -> Result<f64, String> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = ((sorted.len() as f64 * part).ceil() as usize).max(1) - 1;
    let found = sorted.get(place).copied();
    found.ok_or_else(|| "nothing was measured".to_owned())
}

/// Restores the log to its end: what the writer committed must be there, and nothing else.
fn judge(ours: &Ours, area: &Area, server: &Server) -> Result<String, String> {
    let home = area.folder("back-ship");
    server::folder_of(server::USER, &home)?;
    let to = home.join("server");
    let order = format!("server:{}", to.display());
    ours.call(["restore", SYSTEM, "--at", "latest", "--to", &order])
        .run(None, area.logs())?;
    server::give(server::USER, &home)?;
    let data = to.join("data");
    let words = Server::start_words(&home, &data)?;
    Job::new(Path::new("/bin/sh"))
        .args(["-euc", &words])
        .run(None, area.logs())?;
    let mut back = Server::started(&home, &data)?;
    let sums =
        "SELECT count(*) || ':' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM beats t";
    let (expected, found) = (server.sql(sums)?, back.sql(sums)?);
    back.stop()?;
    fill::same("vouchsafe", &expected, &found)?;
    let rows = expected.split(':').next().unwrap_or_default().to_owned();
    Ok(format!(
        "{rows} rows of the writer came back from the log, each of them"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_that_of_the_newest_commit_that_was_stored() {
        // Committed at 1 and 6, stored at 2 and 7.
        let commits = [(2.0, 1.0), (7.0, 6.0)];
        assert_eq!(
            ages(1.0, 8.0, &commits),
            [1.0, 2.0, 3.0, 4.0, 5.0, 1.0, 2.0]
        );
        assert_eq!(ages(0.0, 1.0, &commits), [0.0; 0]);
    }

    #[test]
    fn percentiles_are_numbers_that_were_measured() {
        let numbers: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&numbers, 0.99), Ok(99.0));
        assert_eq!(percentile(&numbers, 1.0), Ok(100.0));
        assert_eq!(percentile(&[3.0], 0.99), Ok(3.0));
        assert!(percentile(&[], 0.5).is_err());
    }
}
