//! How long each part of a chore took.

use std::time::{Duration, Instant};

/// The parts done so far, in their order.
#[derive(Default)]
pub(crate) struct Phases(Vec<(String, Duration)>);

impl Phases {
    /// Does one part and notes its time, whether it succeeds or not.
    pub(crate) fn time<T>(
        &mut self,
        name: &str,
        part: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        eprintln!("── {name}");
        let start = Instant::now();
        let done = part();
        self.0.push((name.to_owned(), start.elapsed()));
        done
    }

    /// Prints a line for each part and their sum.
    pub(crate) fn print(&self) {
        let all: Duration = self.0.iter().map(|(_, time)| *time).sum();
        eprintln!("── times");
        for (name, time) in &self.0 {
            eprintln!("{:>8.1} s  {name}", time.as_secs_f64());
        }
        eprintln!("{:>8.1} s  in all", all.as_secs_f64());
    }
}
