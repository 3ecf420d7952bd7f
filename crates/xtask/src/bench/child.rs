//! The small process between the harness and what it measures.
//!
//! A process is never counted below the memory of the one that started it, and the harness holds lists of a hundred
//! thousand files. So it starts a copy of itself, which holds nothing, and that one starts and measures the program.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use wait4::Wait4;

use super::data::at;

/// What the kernel says of a process and all that it waited for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Used {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// Bytes.
    pub(crate) peak: u64,
    /// How it ended; empty if it was a success.
    pub(crate) ended: String,
}

/// `xtask measured RESULT PROGRAM [ARGUMENTS]`: runs the program on our own inputs and outputs and writes what it used.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let [result, program, words @ ..] = arguments else {
        return Err("this is how the benchmark calls itself".to_owned());
    };
    let used = Used::of(Command::new(program).args(words))?;
    let result = Path::new(result);
    fs::write(result, used.to_line()).map_err(at(result))
}

impl Used {
    /// Runs a program to its end.
    fn of(command: &mut Command) -> Result<Self, String> {
        let name = command.get_program().display().to_string();
        let failed = |error| format!("cannot run {name}: {error}");
        let start = Instant::now();
        let child = command.spawn().map_err(failed)?;
        let used = child.wait4().map_err(failed)?;
        Ok(Self {
            wall: start.elapsed(),
            cpu: used.rusage.utime + used.rusage.stime,
            peak: used.rusage.maxrss,
            ended: match used.status.success() {
                true => String::new(),
                false => used.status.to_string(),
            },
        })
    }

    fn to_line(&self) -> String {
        let (wall, cpu) = (self.wall.as_nanos(), self.cpu.as_nanos());
        format!("{wall} {cpu} {} {}\n", self.peak, self.ended)
    }

    /// Reads what [`run`] wrote.
    pub(crate) fn read(result: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(result).map_err(at(result))?;
        Self::parse(text.trim_end_matches('\n'))
            .ok_or_else(|| format!("{}: {text:?} is no result", result.display()))
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(4, ' ');
        let mut number = || words.next()?.parse::<u64>().ok();
        Some(Self {
            wall: Duration::from_nanos(number()?),
            cpu: Duration::from_nanos(number()?),
            peak: number()?,
            ended: words.next()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Used {
        Used::of(Command::new("/bin/sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn children_are_counted_and_sleeping_is_not() {
        let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        let busy = shell(&format!("sleep 0.3; sh -c '{script}'"));
        assert!(busy.wall >= Duration::from_millis(300), "{:?}", busy.wall);
        assert!(busy.cpu >= Duration::from_millis(10), "{:?}", busy.cpu);
        let idle = shell("sleep 0.3");
        assert!(idle.cpu < Duration::from_millis(100), "{:?}", idle.cpu);
        assert_eq!(idle.ended, "");
    }

    #[test]
    fn how_it_ended_is_told() {
        assert!(shell("exit 3").ended.contains('3'));
        assert!(shell("kill -9 $$").ended.contains("SIGKILL"));
        assert!(Used::of(&mut Command::new("/no/such/program")).is_err());
    }

    #[test]
    fn results_are_read_as_they_were_written() {
        let used = Used {
            wall: Duration::from_nanos(1_234_567_891),
            cpu: Duration::from_nanos(5),
            peak: 7 << 30,
            ended: "exit status: 3".to_owned(),
        };
        assert_eq!(
            Used::parse(used.to_line().trim_end_matches('\n')),
            Some(used.clone())
        );
        let good = Used {
            ended: String::new(),
            ..used
        };
        assert_eq!(
            Used::parse(good.to_line().trim_end_matches('\n')),
            Some(good)
        );
        assert_eq!(Used::parse("1 2"), None);
        assert_eq!(Used::parse(""), None);
    }
}
