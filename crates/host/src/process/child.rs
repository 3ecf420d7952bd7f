//! A started program: its streams, its end, and the end of everything it started.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use vouchsafe_model::Secret;

use super::outcome::{CleanExit, ExitState, Output, ProcessFailed};
use crate::descendants;
use crate::stderr_tail::StderrTail;

/// A running or ended program that leads its own process group.
///
/// Dropping it kills the whole group.
#[derive(Debug)]
pub struct Child {
    inner: std::process::Child,
    program: String,
    ended: Option<ExitState>,
    reaped: bool,
    output: Captured,
    stderr: Arc<Mutex<StderrTail>>,
    stderr_done: Receiver<()>,
}

/// Reads what a program writes; reading to the end is part of the proof of a clean exit.
#[derive(Debug)]
pub struct StdoutReader {
    pipe: ChildStdout,
    at_end: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Captured {
    /// Nothing to read: the output goes to a file or nowhere.
    Elsewhere,
    Pipe(Option<ChildStdout>, Arc<AtomicBool>),
    Memory(Receiver<CaptureResult>, Option<CaptureResult>),
}

#[derive(Debug)]
struct CaptureResult {
    bytes: Vec<u8>,
    problem: Option<ExitState>,
}

/// How long a program gets between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait for the end of a stream whose writers should all be gone.
const STREAM_END: Duration = Duration::from_secs(2);
/// How much of standard error is kept.
const STDERR_LIMIT: usize = 4096;

impl Child {
    /// Takes over a process that leads its own group, and starts the threads that serve its pipes.
    pub(super) fn adopt(
        mut inner: std::process::Child,
        program: String,
        secrets: Vec<Secret>,
        to_write: Option<Secret>,
        capture: Option<usize>,
    ) -> io::Result<Self> {
        let stderr = Arc::new(Mutex::new(StderrTail::new(STDERR_LIMIT, secrets)));
        let (stderr_sender, stderr_done) = mpsc::channel();
        let (output_sender, output_receiver) = mpsc::channel();
        let pipes = (inner.stderr.take(), inner.stdout.take());
        let input = if to_write.is_some() {
            inner.stdin.take()
        } else {
            None
        };
        let (error_pipe, output_pipe) = pipes;
        let mut child = Self {
            inner,
            program,
            ended: None,
            reaped: false,
            output: Captured::Elsewhere,
            stderr: Arc::clone(&stderr),
            stderr_done,
        };
        // From here on an error drops the child, which kills the process.
        if let Some(pipe) = error_pipe {
            in_thread("stderr", move || {
                collect_tail(pipe, &stderr);
                let _ = stderr_sender.send(());
            })?;
        }
        if let (Some(pipe), Some(bytes)) = (input, to_write) {
            in_thread("stdin", move || feed(pipe, &bytes))?;
        }
        child.output = match (output_pipe, capture) {
            (None, _) => Captured::Elsewhere,
            (Some(pipe), None) => Captured::Pipe(Some(pipe), Arc::default()),
            (Some(pipe), Some(limit)) => {
                in_thread("stdout", move || {
                    let _ = output_sender.send(collect_output(pipe, limit));
                })?;
                Captured::Memory(output_receiver, None)
            }
        };
        Ok(child)
    }

    /// The program's process number, which is also its group's.
    pub fn id(&self) -> u32 {
        self.inner.id()
    }

    /// The program's name.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Where to write its input, once, if the command asked for a pipe. Dropping it ends the input.
    pub fn stdin_writer(&mut self) -> Option<ChildStdin> {
        self.inner.stdin.take()
    }

    /// Where to read its output, once, if the command asked for a pipe.
    pub fn stdout_reader(&mut self) -> Option<StdoutReader> {
        match &mut self.output {
            Captured::Pipe(pipe, at_end) => {
                let at_end = Arc::clone(at_end);
                pipe.take().map(|pipe| StdoutReader { pipe, at_end })
            }
            Captured::Elsewhere | Captured::Memory(..) => None,
        }
    }

    /// What it last wrote to standard error, without secrets.
    pub fn stderr_tail(&self) -> String {
        self.stderr
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .text()
    }

    /// [`Child::stderr_tail`] of a program that has ended or is about to: all of it, for which it is waited for two
    /// seconds at most.
    pub fn last_words(&self) -> String {
        self.await_stderr();
        self.stderr_tail()
    }

    /// How it ended, if it has.
    pub fn try_wait(&mut self) -> Option<ExitState> {
        self.observe(WaitIdOptions::NOHANG)
    }

    /// Waits until it ends, at most for `timeout`; `None` when it still runs.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<ExitState> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(state) = self.try_wait() {
                return Some(state);
            }
            let left = timeout
                .checked_sub(started.elapsed())
                .filter(|left| !left.is_zero())?;
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// Waits until it ends.
    pub fn wait(&mut self) -> ExitState {
        loop {
            if let Some(state) = self.observe(WaitIdOptions::empty()) {
                return state;
            }
        }
    }

    /// Ends the program and everything in its group: SIGTERM, five seconds of grace, SIGKILL.
    pub fn kill_tree(&mut self) {
        self.kill_tree_within(GRACE);
    }

    /// [`Child::kill_tree`] with another time of grace; none at all means SIGKILL at once.
    pub fn kill_tree_within(&mut self, grace: Duration) {
        if self.reaped {
            return;
        }
        if !grace.is_zero() {
            self.signal_group(Signal::TERM);
            let _ = self.wait_timeout(grace);
        }
        self.end_group();
    }

    /// Waits for the end and gives the proof that it was a clean one.
    ///
    /// A piped output must have been read to its end before. What the program left running in its
    /// group is killed. A pipe to its input that was never taken is closed first.
    pub fn finish(self) -> Result<CleanExit, ProcessFailed> {
        self.finish_with_output().map(|output| output.exit)
    }

    /// [`Child::finish`], with the captured output; empty if none was captured.
    pub fn finish_with_output(mut self) -> Result<Output, ProcessFailed> {
        drop(self.inner.stdin.take());
        if let Captured::Pipe(pipe, _) = &mut self.output {
            // Nobody can read it any more, and its writer must not wait for somebody to.
            drop(pipe.take());
        }
        let ended = self.wait();
        self.await_capture(STREAM_END);
        self.end_group();
        self.await_capture(STREAM_END);
        if ended != ExitState::Exited(0) {
            return Err(self.failure(ended));
        }
        let stdout = self.take_output().map_err(|state| self.failure(state))?;
        self.await_stderr();
        let exit = CleanExit::proven(self.program.clone());
        Ok(Output {
            stdout,
            stderr_tail: self.stderr_tail(),
            exit,
        })
    }

    /// The error that describes this program's end.
    pub(crate) fn failure(&self, status: ExitState) -> ProcessFailed {
        self.await_stderr();
        ProcessFailed {
            program: self.program.clone(),
            status,
            stderr_tail: self.stderr_tail(),
        }
    }

    /// Looks for the end without reaping: while the leader is a zombie its number, and with it the
    /// group's, cannot be given to anybody else.
    fn observe(&mut self, how: WaitIdOptions) -> Option<ExitState> {
        if self.ended.is_none() {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | how;
            self.ended = match waitid(WaitId::Pid(self.pid()?), options) {
                Ok(None) | Err(Errno::INTR) => None,
                Ok(Some(status)) => {
                    Some(match (status.exit_status(), status.terminating_signal()) {
                        (Some(code), _) => ExitState::Exited(code),
                        (None, Some(signal)) => ExitState::Signalled(signal),
                        (None, None) => ExitState::Lost,
                    })
                }
                Err(_) => Some(ExitState::Lost),
            };
        }
        self.ended
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.inner.id()).ok().and_then(Pid::from_raw)
    }

    fn signal_group(&self, signal: Signal) {
        if let (Some(pid), false) = (self.pid(), self.reaped) {
            // The group may be empty by now, which is what was wanted.
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Kills the group, reaps the leader, and waits until nobody of the group is left.
    fn end_group(&mut self) {
        if self.reaped {
            return;
        }
        self.signal_group(Signal::KILL);
        self.wait();
        let group = self.pid().map_or(0, |pid| pid.as_raw_nonzero().get());
        let started = Instant::now();
        // Killed processes take a moment to disappear; without procfs there is nothing to see.
        while started.elapsed() < STREAM_END
            && descendants::of_group(group).is_ok_and(|alive| !alive.is_empty())
        {
            thread::sleep(Duration::from_millis(1));
        }
        let _ = self.inner.wait();
        self.reaped = true;
    }

    fn await_capture(&mut self, patience: Duration) {
        if let Captured::Memory(receiver, result @ None) = &mut self.output {
            *result = receiver.recv_timeout(patience).ok();
        }
    }

    fn take_output(&mut self) -> Result<Vec<u8>, ExitState> {
        match &mut self.output {
            Captured::Elsewhere => Ok(Vec::new()),
            Captured::Pipe(_, at_end) if at_end.load(Ordering::SeqCst) => Ok(Vec::new()),
            Captured::Pipe(..) => Err(ExitState::StdoutUnread),
            Captured::Memory(_, result) => match result.take() {
                Some(CaptureResult {
                    bytes,
                    problem: None,
                }) => Ok(bytes),
                Some(CaptureResult {
                    problem: Some(problem),
                    ..
                }) => Err(problem),
                None => Err(ExitState::StdoutUnread),
            },
        }
    }

    fn await_stderr(&self) {
        match self.stderr_done.recv_timeout(STREAM_END) {
            Ok(()) | Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {}
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end_group();
    }
}

impl StdoutReader {
    /// The pipe itself, for whoever speaks a protocol over it. Its end is then not seen here, so the program can
    /// give no proof of a clean exit any more.
    pub fn into_pipe(self) -> OwnedFd {
        self.pipe.into()
    }
}

impl Read for StdoutReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.pipe.read(buf)?;
        if count == 0 && !buf.is_empty() {
            self.at_end.store(true, Ordering::SeqCst);
        }
        Ok(count)
    }
}

fn in_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
}

/// The program may end without reading everything; what counts is how it ends.
fn feed(mut pipe: ChildStdin, bytes: &Secret) {
    let _ = pipe.write_all(bytes.expose());
}

fn collect_tail(mut pipe: impl Read, into: &Mutex<StderrTail>) {
    let mut buffer = [0; 4096];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                let read = buffer.get(..count).unwrap_or_default();
                into.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(read);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Reads to the end whatever the length, so that the program never waits; keeps up to `limit`.
fn collect_output(mut pipe: ChildStdout, limit: usize) -> CaptureResult {
    let mut bytes = Vec::new();
    let kept = (&mut pipe).take(limit as u64).read_to_end(&mut bytes);
    let problem = match kept.and_then(|_| io::copy(&mut pipe, &mut io::sink())) {
        Ok(0) => None,
        Ok(_) => Some(ExitState::OutputTooLong { limit }),
        Err(_) => Some(ExitState::StdoutUnread),
    };
    CaptureResult { bytes, problem }
}
