//! The wish of a person or a service manager that the program should stop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// A flag that is raised by Ctrl-C or SIGTERM and looked at between steps of work.
///
/// Clones share the flag. Once raised it stays raised.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    raised: Arc<AtomicBool>,
}

/// The exit code of a program that ends at the second signal.
const INTERRUPTED: i32 = 130;

impl Interrupt {
    /// Connects a new flag to SIGINT and SIGTERM of this process.
    ///
    /// The first signal raises the flag; a second one ends the process with exit code 130, for the
    /// person who does not want to wait.
    pub fn install() -> io::Result<Self> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(
                signal,
                INTERRUPTED,
                Arc::clone(&interrupt.raised),
            )?;
            flag::register(signal, Arc::clone(&interrupt.raised))?;
        }
        Ok(interrupt)
    }

    /// A flag that only [`Interrupt::raise`] raises.
    pub fn manual() -> Self {
        Self::default()
    }

    /// Raises the flag, as a signal would.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::SeqCst);
    }

    /// Whether somebody asked to stop.
    pub fn requested(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_flag() {
        let interrupt = Interrupt::manual();
        let clone = interrupt.clone();
        assert!(!clone.requested());
        interrupt.raise();
        assert!(clone.requested());
    }

    #[test]
    fn a_signal_raises_the_installed_flag() {
        let interrupt = Interrupt::install().expect("handlers install");
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM)
            .expect("a process may signal itself");
        let waited = std::time::Instant::now();
        while !interrupt.requested() {
            assert!(waited.elapsed().as_secs() < 5, "the signal never arrived");
            std::thread::yield_now();
        }
    }
}
