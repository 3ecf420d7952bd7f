//! Where a source puts what it captures.

use std::io::Read;

use vouchsafe_format::Node;
use vouchsafe_host::process::CleanExit;
use vouchsafe_model::Issue;

use crate::error::CaptureError;

/// Takes a tree of directories, files, other nodes and streams, in depth-first order.
///
/// One thread calls it. Contents are opened and read later, by threads of the vault, a bounded number at a time;
/// a call waits while the vault is behind. Siblings may come in any order; a name may come only once in a directory.
/// A node's `content` and `subtree` are filled in by the sink.
pub trait Sink {
    /// Goes down into a directory with this metadata. The root is open at the start and has no node.
    fn enter(&mut self, directory: Node) -> Result<(), CaptureError>;
    /// Goes up again. Leaving the root is an error.
    fn leave(&mut self) -> Result<(), CaptureError>;
    /// A node without content: symbolic link, fifo, device, socket.
    fn entry(&mut self, node: Node) -> Result<(), CaptureError>;
    /// A regular file. `content` is opened only if the parent point does not hold the same file unchanged
    /// (equal size, modification and change time, and inode, which is not 0).
    fn file(&mut self, node: Node, content: Box<dyn Content>) -> Result<(), CaptureError>;
    /// Takes a regular file over from the parent point if that holds the same file unchanged, with the extended
    /// attributes that it has there: setting one changes the time of change. If not, nothing was done, and the file
    /// is still to be given to [`Sink::file`].
    fn unchanged(&mut self, node: &Node) -> Result<bool, CaptureError> {
        let _ = node;
        Ok(false)
    }
    /// A stream of unknown length, stored as a file; the node's size is filled in by the sink.
    /// It is committed only with the proof of a clean end; without one the capture fails.
    fn stream(&mut self, node: Node, stream: Box<dyn StreamContent>) -> Result<(), CaptureError>;
    /// Something could not be read: the point is incomplete.
    fn issue(&mut self, issue: Issue);
}

/// The content of a regular file, not yet opened.
pub trait Content: Send {
    /// Opens it. An error becomes an issue: the file is left out and the point is incomplete.
    fn open(&mut self) -> Result<Box<dyn Read + Send>, CaptureError>;
    /// Called after the last byte was read, with how many there were. Returns the node as it is now if the file
    /// changed meanwhile (the stored node then tells the newer metadata), or an error if it cannot be trusted.
    fn close(&mut self, read: u64) -> Result<Option<Node>, CaptureError> {
        let _ = read;
        Ok(None)
    }
}

/// Where a stream is cut into chunks, each of which is stored once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cutting {
    /// Where its content says: what is inserted or removed moves no other cut.
    #[default]
    ByContent,
    /// Every so many bytes, as a power of two from 4 KiB to 8 MiB: for files of pages that change in place.
    Every(u32),
}

/// A stream that ends well only with a proof.
pub trait StreamContent: Send {
    /// Reads like [`Read::read`]; 0 is the end of the bytes, not yet the proof.
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize>;
    /// Where the vault should cut it into chunks.
    fn cutting(&self) -> Cutting {
        Cutting::ByContent
    }
    /// After the end: the proof that whoever wrote the stream ended well.
    fn finish(self: Box<Self>) -> Result<CleanEnd, CaptureError>;
}

/// The proof that a stream is whole. There is no way to make one but those below.
#[derive(Debug)]
pub struct CleanEnd(());

impl CleanEnd {
    /// The program that wrote it exited with success and its output was read to the end.
    pub fn of_program(_exit: &CleanExit) -> CleanEnd {
        CleanEnd(())
    }
    /// Exactly the announced number of bytes came; anything else is an error that names `place`.
    pub fn of_length(place: &str, expected: u64, read: u64) -> Result<CleanEnd, CaptureError> {
        if expected == read {
            return Ok(CleanEnd(()));
        }
        Err(CaptureError::Unreadable {
            place: place.to_owned(),
            message: format!("{expected} bytes were announced and {read} came"),
            remedy: "run the capture again; if it persists, see what truncates the stream"
                .to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_stream_has_no_proof() {
        assert!(CleanEnd::of_length("dump", 10, 10).is_ok());
        assert!(CleanEnd::of_length("dump", 10, 9).is_err());
        assert!(CleanEnd::of_length("dump", 10, 11).is_err());
    }
}
