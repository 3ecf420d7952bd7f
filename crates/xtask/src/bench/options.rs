//! What the benchmark is asked for.

use std::path::PathBuf;

/// The words after `cargo xtask bench`, understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    /// Names of rows; all if there are none.
    pub(crate) rows: Vec<String>,
    /// Names of peers beside restic; those that are installed if nothing is said.
    pub(crate) peers: Option<Vec<String>>,
    /// How often each of a row's tools runs.
    pub(crate) pairs: usize,
    /// 1 is the size of the benchmark.
    pub(crate) scale: f64,
    pub(crate) seed: u64,
    pub(crate) places: Vec<Place>,
    /// Bytes that each run may hold.
    pub(crate) memory_limit: Option<u64>,
    /// Where data and repositories lie; within the workspace's `target` if nothing is said.
    pub(crate) dir: Option<PathBuf>,
    /// Leave what was made.
    pub(crate) keep: bool,
    pub(crate) task: Task,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Task {
    /// Measure.
    Measure,
    /// Only write the data sets there, for profiling by hand.
    WriteData(PathBuf),
    /// Only change 2 % of the files that were written there: this round of changes.
    ChangeData(PathBuf, u64),
    /// Only put back what that round has changed.
    UndoData(PathBuf, u64),
    /// Only install the peers.
    InstallPeers,
    /// Only say which rows there are.
    ListRows,
}

/// What the data and the repositories lie on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Memory: what is left is the price of computing.
    Tmpfs,
    /// The disk that the work folder is on.
    Disk,
}

pub(crate) const USAGE: &str = "\
usage: cargo xtask bench [OPTIONS]
  --rows A,B           only these rows; --list names them
  --peers A,B|none     beside restic: rustic, borg, bupstash; those that are installed if nothing is said
  --pairs N            how often each tool runs, in turn (5)
  --scale X            0.1 is a tenth of the files and of the bytes (1)
  --seed N             other data (1)
  --where PLACE        tmpfs, disk or both (both)
  --memory-limit SIZE  each run in a control group of so much memory, for example 192MiB
  --dir DIR            where data and repositories lie (target/bench)
  --keep               leave data and repositories of the disk runs
  --data DIR           only write the data sets to DIR
  --data DIR --change N  only make the Nth change of 2 % of the files in DIR
  --data DIR --undo N  only put that change back
  --install-peers      only install the peers
  --list               only name the rows
       cargo xtask bench databases --help  says how databases are measured";

impl Options {
    /// Reads them.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            rows: Vec::new(),
            peers: None,
            pairs: 5,
            scale: 1.0,
            seed: 1,
            places: vec![Place::Tmpfs, Place::Disk],
            memory_limit: None,
            dir: None,
            keep: false,
            task: Task::Measure,
        };
        let (mut data, mut change, mut undo) = (None, None, None);
        let mut words = arguments.iter();
        while let Some(option) = words.next() {
            let mut value = || {
                let missing = || format!("{option} needs a value\n{USAGE}");
                words.next().map(String::as_str).ok_or_else(missing)
            };
            match option.as_str() {
                "--rows" => options.rows = list(value()?),
                "--peers" => options.peers = Some(list(value()?)),
                "--pairs" => options.pairs = number(option, value()?)?,
                "--scale" => options.scale = number(option, value()?)?,
                "--seed" => options.seed = number(option, value()?)?,
                "--where" => options.places = places(value()?)?,
                "--memory-limit" => options.memory_limit = Some(bytes(value()?)?),
                "--dir" => options.dir = Some(PathBuf::from(value()?)),
                "--keep" => options.keep = true,
                "--data" => data = Some(PathBuf::from(value()?)),
                "--change" => change = Some(number(option, value()?)?),
                "--undo" => undo = Some(number(option, value()?)?),
                "--install-peers" => options.task = Task::InstallPeers,
                "--list" => options.task = Task::ListRows,
                other => return Err(format!("{other} is not an option\n{USAGE}")),
            }
        }
        match (data, change, undo) {
            (None, None, None) => {}
            (Some(dir), None, None) => options.task = Task::WriteData(dir),
            (Some(dir), Some(round), None) => options.task = Task::ChangeData(dir, round),
            (Some(dir), None, Some(round)) => options.task = Task::UndoData(dir, round),
            _ => return Err(format!("--change or --undo go with --data\n{USAGE}")),
        }
        if options.pairs == 0 || !(options.scale > 0.0 && options.scale.is_finite()) {
            return Err("--pairs and --scale are more than nothing".to_owned());
        }
        Ok(options)
    }
}

fn list(text: &str) -> Vec<String> {
    let words = text.split(',').map(str::trim);
    words
        .filter(|word| !word.is_empty() && *word != "none")
        .map(str::to_owned)
        .collect()
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{option}: {text:?} is not such a number"))
}

fn places(text: &str) -> Result<Vec<Place>, String> {
    match text {
        "tmpfs" => Ok(vec![Place::Tmpfs]),
        "disk" => Ok(vec![Place::Disk]),
        "both" => Ok(vec![Place::Tmpfs, Place::Disk]),
        _ => Err(format!("--where {text}: tmpfs, disk or both")),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text.get(digits.len()..).unwrap_or_default() {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        unit => return Err(format!("{unit:?} is not KiB, MiB or GiB")),
    };
    let count: u64 = number("a size", digits)?;
    count
        .checked_mul(unit)
        .ok_or_else(|| format!("{text} is too much"))
}

impl Place {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Place::Tmpfs => "tmpfs",
            Place::Disk => "disk",
        }
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
    fn nothing_said_is_the_whole_benchmark() {
        let options = parse("").unwrap();
        assert_eq!((options.pairs, options.scale, options.seed), (5, 1.0, 1));
        assert_eq!(options.places, [Place::Tmpfs, Place::Disk]);
        assert_eq!((options.rows.len(), options.peers), (0, None));
        assert_eq!(options.task, Task::Measure);
    }

    #[test]
    fn everything_said_is_heard() {
        let options = parse(
            "--rows unchanged,check --peers none --pairs 2 --scale 0.02 --where disk --seed 7 \
             --memory-limit 192MiB --dir /tmp/x --keep",
        )
        .unwrap();
        assert_eq!(options.rows, ["unchanged", "check"]);
        assert_eq!(options.peers, Some(Vec::new()));
        assert_eq!((options.pairs, options.scale, options.seed), (2, 0.02, 7));
        assert_eq!(options.places, [Place::Disk]);
        assert_eq!(options.memory_limit, Some(192 << 20));
        assert_eq!(options.dir, Some(PathBuf::from("/tmp/x")));
        assert!(options.keep);
        let task = |line| parse(line).unwrap().task;
        let there = || PathBuf::from("/tmp/y");
        assert_eq!(task("--data /tmp/y"), Task::WriteData(there()));
        assert_eq!(
            task("--data /tmp/y --change 3"),
            Task::ChangeData(there(), 3)
        );
        assert_eq!(task("--undo 3 --data /tmp/y"), Task::UndoData(there(), 3));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "--pairs",
            "--pairs 0",
            "--pairs x",
            "--scale 0",
            "--scale -1",
            "--scale inf",
            "--where ram",
            "--change 1",
            "--data /tmp/y --change 1 --undo 1",
            "--memory-limit 3MB",
            "--memory-limit 99999999999999GiB",
            "fast",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
