//! Looking at a log again and again, in a thread of its own: a slow vault must hold up neither the looks nor the
//! programs that use the database.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use vouchsafe_capture::CaptureError;
use vouchsafe_host::SystemClock;
use vouchsafe_host::clock::Clock;
use vouchsafe_host::lockfile::{LockError, StateLock, try_lock};

use super::hold::Hold;
use super::look::{LONG, Looker};
use super::spool::Spool;
use crate::failure;

/// A thread that looks. It ends when the value is dropped.
pub(super) struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    ends: AtomicBool,
    problem: Mutex<Option<String>>,
}

struct Watching {
    database: PathBuf,
    spool: Spool,
    reached: Option<u64>,
    clock: SystemClock,
    _lock: Option<StateLock>,
    looker: Option<Looker>,
    hold: Option<Hold>,
    renewed: Duration,
    emptied: Duration,
    /// How long the log was then.
    emptied_at: u64,
}

/// Between two looks.
const POLL: Duration = Duration::from_millis(200);
/// So often what was seen is let go.
const RENEW: Duration = Duration::from_secs(1);
/// So often it is tried to empty a long log.
const EMPTY: Duration = Duration::from_secs(2);
/// After what failed.
const PAUSE: Duration = Duration::from_secs(1);

impl Watch {
    pub(super) fn begin(
        database: &Path,
        spool: Spool,
        reached: Option<u64>,
    ) -> Result<Watch, CaptureError> {
        let shared = Arc::new(Shared::default());
        let mut watching = Watching {
            database: database.to_path_buf(),
            spool,
            reached,
            clock: SystemClock::new(),
            _lock: None,
            looker: None,
            hold: None,
            renewed: Duration::ZERO,
            emptied: Duration::ZERO,
            emptied_at: 0,
        };
        // The first look is over before anybody asks what there is.
        let begun = watching.step();
        shared.tell(begun.err());
        let told = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("sqlite-log".to_owned())
            .spawn(move || watching.go_on(&told))
            .map_err(|e| CaptureError::io("look at", database.display().to_string(), e))?;
        Ok(Watch {
            shared,
            thread: Some(thread),
        })
    }

    /// What went wrong last, until it goes well.
    pub(super) fn problem(&self) -> Option<String> {
        let problem = self.shared.problem.lock();
        problem.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn end(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn tell(&self, error: Option<CaptureError>) {
        let text = error.map(|error| failure::issue("", &error).message);
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

impl Watching {
    fn go_on(mut self, shared: &Shared) {
        while !shared.ends.load(Ordering::SeqCst) {
            self.clock.sleep(POLL);
            let done = self.step();
            let failed = done.is_err();
            shared.tell(done.err());
            if failed {
                self.clock.sleep(PAUSE);
            }
        }
        // What came until now is still noted.
        let _ = self.step();
    }

    fn step(&mut self) -> Result<(), CaptureError> {
        if self.looker.is_none() {
            self._lock = Some(
                try_lock(self.spool.lock_path()).map_err(|error| match error {
                    LockError::File(error) => failure::file(error),
                    held => failure::unreadable(
                        &self.database,
                        format!("its log is followed by another one: {held}"),
                        "let only one worker follow it",
                    ),
                })?,
            );
            self.looker = Some(Looker::resume(self.spool.clone(), self.reached)?);
        }
        let Some(looker) = &mut self.looker else {
            return Ok(());
        };
        let stamp = self
            .hold
            .as_ref()
            .map(|hold| (hold.stamp(), hold.stamp_now()));
        if let Some((before, now)) = stamp
            && !now.as_ref().is_ok_and(|now| now.file == before.file)
        {
            // Another file has its name now.
            self.hold = None;
        }
        let hold = match self.hold.take() {
            Some(hold) => hold,
            None => {
                looker.let_go();
                Hold::open(&self.database)?
            }
        };
        let hold = self.hold.insert(hold);
        let clock = &self.clock;
        looker.look(hold, clock, false)?;
        let now = clock.monotonic();
        let length = looker.log_length();
        let mut look = |hold: &Hold| looker.look(hold, clock, false);
        let waited = now.saturating_sub(self.emptied);
        if length > LONG && length != self.emptied_at && waited >= EMPTY {
            (self.emptied, self.emptied_at) = (now, length);
            hold.empty(&mut look)?;
        } else if now.saturating_sub(self.renewed) >= RENEW {
            hold.renew(&mut look)?;
        } else {
            return Ok(());
        }
        self.renewed = now;
        Ok(())
    }
}
