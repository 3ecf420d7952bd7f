//! The steps of a walk, found by one thread and pushed into the sink by another, so that neither waits for the other.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, SyncSender};

use vouchsafe_capture::{CaptureError, Sink};
use vouchsafe_format::Node;
use vouchsafe_host::inode::{self, Inode};
use vouchsafe_model::Issue;

use super::content::FileContent;
use crate::{failure, node};

/// What a walk met.
pub(super) enum Step {
    /// A directory, and down into it.
    Enter(Node),
    /// Up again.
    Leave,
    /// What is neither directory nor regular file.
    Entry(Node),
    /// A regular file, whose extended attributes were not read yet.
    File {
        node: Node,
        path: PathBuf,
        seen: Inode,
    },
    /// Something could not be read.
    Issue(Issue),
    /// Something was left out on purpose.
    LeftOut(String),
}

/// Where the walk puts its steps.
pub(super) struct Steps {
    batch: Vec<Step>,
    out: SyncSender<Vec<Step>>,
}

/// Where they come out.
pub(super) struct Walked(Receiver<Vec<Step>>);

/// Steps handed over at once, and how many such batches may wait.
const BATCH: usize = 64;
const WAITING: usize = 32;

pub(super) fn channel() -> (Steps, Walked) {
    let (out, taken) = mpsc::sync_channel(WAITING);
    let batch = Vec::with_capacity(BATCH);
    (Steps { batch, out }, Walked(taken))
}

impl Steps {
    /// Hands a step over, sooner or later; waits while too many are waiting.
    ///
    /// # Errors
    /// [`CaptureError::Interrupted`] if nobody takes steps any more: why is known to who did.
    pub(super) fn push(&mut self, step: Step) -> Result<(), CaptureError> {
        self.batch.push(step);
        if self.batch.len() < BATCH {
            return Ok(());
        }
        self.hand_over()
    }

    /// Hands over what is left.
    pub(super) fn end(mut self) -> Result<(), CaptureError> {
        self.hand_over()
    }

    fn hand_over(&mut self) -> Result<(), CaptureError> {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.out.send(batch).map_err(|_| CaptureError::Interrupted)
    }
}

impl Walked {
    /// Pushes all steps into the sink; gives what was left out on purpose.
    pub(super) fn push_into(self, sink: &mut dyn Sink) -> Result<Vec<String>, CaptureError> {
        let mut left_out = Vec::new();
        for step in self.0.into_iter().flatten() {
            match step {
                Step::Enter(node) => sink.enter(node)?,
                Step::Leave => sink.leave()?,
                Step::Entry(node) => sink.entry(node)?,
                Step::File { node, path, seen } => file(sink, node, path, seen)?,
                Step::Issue(issue) => sink.issue(issue),
                Step::LeftOut(place) => left_out.push(place),
            }
        }
        Ok(left_out)
    }
}

fn file(
    sink: &mut dyn Sink,
    mut node: Node,
    path: PathBuf,
    seen: Inode,
) -> Result<(), CaptureError> {
    if sink.unchanged(&node)? {
        return Ok(());
    }
    match inode::xattrs(&path) {
        Ok(found) => node.extended_attributes = node::attributes(found),
        Err(e) if e.is_not_found() => {}
        Err(e) => {
            sink.issue(failure::issue(path.display().to_string(), &e));
            // Without its number the next capture does not take the file for unchanged, and says this again.
            node.inode = 0;
        }
    }
    let content = FileContent::new(path, seen, node.clone());
    sink.file(node, Box::new(content))
}
