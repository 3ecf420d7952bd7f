//! What the benchmark of databases is asked for.

use std::path::PathBuf;

use super::rows::{self, Row};
use crate::bench::options::Place;

/// The words after `cargo xtask bench databases`, understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) rows: Vec<&'static Row>,
    /// How often each tool runs.
    pub(crate) pairs: usize,
    /// 1 is about 4 GiB of PostgreSQL, and as much of MariaDB.
    pub(crate) scale: f64,
    pub(crate) seed: u64,
    pub(crate) place: Place,
    /// How long the log is shipped under load, and as long again without.
    pub(crate) seconds: u64,
    /// Transactions of pgbench in a second, while the log is shipped.
    pub(crate) rate: u64,
    /// Where everything lies; within the workspace's `target` if nothing is said.
    pub(crate) dir: Option<PathBuf>,
    pub(crate) keep: bool,
    pub(crate) task: Task,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Measure,
    /// Only say which rows there are.
    ListRows,
}

pub(crate) const USAGE: &str = "\
usage: cargo xtask bench databases [OPTIONS]
  --rows A,B       only these rows; --list names them
  --pairs N        how often each tool runs, in turn (3)
  --scale X        0.1 is a tenth of 4 GiB (1)
  --seed N         other data and other changes (1)
  --where PLACE    tmpfs or disk (disk)
  --seconds N      how long the log is shipped under load, and as long again without (300)
  --rate N         transactions of pgbench in a second meanwhile (200)
  --dir DIR        where everything lies; the users postgres and mysql must get there (target/bench)
  --keep           leave what was made, of a run on disk
  --list           only name the rows";

impl Options {
    /// Reads them.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            rows: rows::ROWS.iter().collect(),
            pairs: 3,
            scale: 1.0,
            seed: 1,
            place: Place::Disk,
            seconds: 300,
            rate: 200,
            dir: None,
            keep: false,
            task: Task::Measure,
        };
        let mut words = arguments.iter();
        while let Some(option) = words.next() {
            let mut value = || {
                let missing = || format!("{option} needs a value\n{USAGE}");
                words.next().map(String::as_str).ok_or_else(missing)
            };
            match option.as_str() {
                "--rows" => options.rows = rows::chosen(value()?)?,
                "--pairs" => options.pairs = number(option, value()?)?,
                "--scale" => options.scale = number(option, value()?)?,
                "--seed" => options.seed = number(option, value()?)?,
                "--where" => options.place = place(value()?)?,
                "--seconds" => options.seconds = number(option, value()?)?,
                "--rate" => options.rate = number(option, value()?)?,
                "--dir" => options.dir = Some(PathBuf::from(value()?)),
                "--keep" => options.keep = true,
                "--list" => options.task = Task::ListRows,
                other => return Err(format!("{other} is not an option\n{USAGE}")),
            }
        }
        let scaled = options.scale > 0.0 && options.scale.is_finite();
        if !scaled || options.pairs == 0 || options.seconds == 0 || options.rate == 0 {
            return Err("--pairs, --scale, --seconds and --rate are more than nothing".to_owned());
        }
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{option}: {text:?} is not such a number"))
}

fn place(text: &str) -> Result<Place, String> {
    match text {
        "tmpfs" => Ok(Place::Tmpfs),
        "disk" => Ok(Place::Disk),
        _ => Err(format!("--where {text}: tmpfs or disk")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn nothing_said_is_everything_on_disk() {
        let options = parse("").unwrap();
        assert_eq!((options.pairs, options.scale, options.seed), (3, 1.0, 1));
        assert_eq!(options.rows.len(), rows::ROWS.len());
        assert_eq!((options.place, options.task), (Place::Disk, Task::Measure));
    }

    #[test]
    fn everything_said_is_heard() {
        let line = "--rows base,ship --pairs 2 --scale 0.1 --seed 7 --where tmpfs --seconds 30 --rate 50 --dir /tmp/x --keep";
        let options = parse(line).unwrap();
        let names: Vec<&str> = options.rows.iter().map(|row| row.name).collect();
        assert_eq!(names, ["base", "ship"]);
        assert_eq!((options.pairs, options.scale, options.seed), (2, 0.1, 7));
        assert_eq!((options.seconds, options.rate), (30, 50));
        assert_eq!(options.place, Place::Tmpfs);
        assert_eq!(options.dir, Some(PathBuf::from("/tmp/x")));
        assert!(options.keep);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "--rows bases",
            "--pairs 0",
            "--scale nan",
            "--seconds 0",
            "--rate 0",
            "--where both",
            "--rows",
            "fast",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
