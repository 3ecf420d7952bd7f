//! Reading one file or stream, chunk by chunk.

use std::io::Read;

use vouchsafe_capture::{CaptureError, Content, StreamContent};
use vouchsafe_format::{Chunker, Cut, Node, chunker};
use vouchsafe_model::Issue;

use crate::machine::{Buffers, FileTicket};

/// A file whose content is to be read.
pub(crate) struct ReadTask {
    pub(crate) file: FileTicket,
    /// Its place, for issues.
    pub(crate) place: String,
    /// How long it was when it was looked at.
    pub(crate) size: u64,
    pub(crate) origin: Origin,
}

/// Where the bytes come from.
pub(crate) enum Origin {
    File(Box<dyn Content>),
    Stream(Box<dyn StreamContent>),
}

/// What one step of reading brought.
pub(crate) enum Step {
    /// The next chunk.
    Chunk(Vec<u8>),
    /// There is no more, and the end is proved; with the node if it changed.
    End(Option<Box<Node>>),
    /// The file cannot be read.
    Unreadable(Issue),
    /// The stream did not end well.
    Broken(CaptureError),
}

/// A file or stream being read.
pub(crate) struct FileReading {
    pub(crate) file: FileTicket,
    place: String,
    state: State,
    chunker: Chunker,
    /// Begins with the bytes of the current chunk. What follows them is of no meaning, but need not be made anew to be
    /// read into.
    buffer: Vec<u8>,
    /// Bytes of the current chunk.
    filled: usize,
    read: u64,
    /// How many bytes to ask for at once.
    portion: usize,
}

enum State {
    Unopened(Box<dyn Content>),
    File(Box<dyn Content>, Box<dyn Read + Send>),
    Stream(Box<dyn StreamContent>),
    /// The bytes have ended; the last chunk was handed out.
    Ended(Ended),
    Over,
}

enum Ended {
    File(Box<dyn Content>),
    Stream(Box<dyn StreamContent>),
}

impl FileReading {
    /// Nothing is opened yet. `chunker` is at its start.
    pub(crate) fn new(task: ReadTask, chunker: Chunker, buffers: &Buffers) -> FileReading {
        let state = match task.origin {
            Origin::File(content) => State::Unopened(content),
            Origin::Stream(stream) => State::Stream(stream),
        };
        // One byte more than a small file has, so that its end is seen by the first read.
        let portion = usize::try_from(task.size.saturating_add(1))
            .unwrap_or(PORTION)
            .clamp(SMALLEST, PORTION);
        let portion = if matches!(state, State::Stream(_)) {
            PORTION
        } else {
            portion
        };
        FileReading {
            file: task.file,
            place: task.place,
            state,
            chunker,
            buffer: buffers.take_used(portion),
            filled: 0,
            read: 0,
            portion,
        }
    }

    /// Reads up to the next chunk's end. Chunks are in buffers from `buffers`.
    pub(crate) fn step(&mut self, buffers: &Buffers) -> Step {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Unopened(mut content) => match content.open() {
                Ok(reader) => {
                    self.state = State::File(content, reader);
                    self.step(buffers)
                }
                Err(error) => self.unreadable(error.to_string()),
            },
            State::File(content, mut reader) => {
                match self.next_chunk(&mut |buf| reader.read(buf), buffers) {
                    Ok(Next::Chunk(chunk)) => {
                        self.state = State::File(content, reader);
                        Step::Chunk(chunk)
                    }
                    Ok(Next::End(chunk)) => {
                        self.state = State::Ended(Ended::File(content));
                        self.last(chunk)
                    }
                    Err(error) => self.unreadable(format!("reading failed: {error}")),
                }
            }
            State::Stream(mut stream) => {
                match self.next_chunk(&mut |buf| stream.read(buf), buffers) {
                    Ok(Next::Chunk(chunk)) => {
                        self.state = State::Stream(stream);
                        Step::Chunk(chunk)
                    }
                    Ok(Next::End(chunk)) => {
                        self.state = State::Ended(Ended::Stream(stream));
                        self.last(chunk)
                    }
                    Err(error) => Step::Broken(CaptureError::io("read", self.place.clone(), error)),
                }
            }
            State::Ended(ended) => self.end(ended),
            State::Over => self.unreadable("it was read before".to_owned()),
        }
    }

    /// The name of what is read.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    fn last(&mut self, chunk: Vec<u8>) -> Step {
        if !chunk.is_empty() {
            return Step::Chunk(chunk);
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Ended(ended) => self.end(ended),
            _ => self.unreadable("it was read before".to_owned()),
        }
    }

    fn end(&mut self, ended: Ended) -> Step {
        match ended {
            Ended::File(mut content) => match content.close(self.read) {
                Ok(newer) => Step::End(newer.map(Box::new)),
                Err(error) => self.unreadable(error.to_string()),
            },
            Ended::Stream(stream) => match stream.finish() {
                Ok(_clean_end) => Step::End(None),
                Err(error) => Step::Broken(error),
            },
        }
    }

    fn unreadable(&self, message: String) -> Step {
        Step::Unreadable(Issue {
            place: self.place.clone(),
            message,
        })
    }

    fn next_chunk(
        &mut self,
        read: &mut dyn FnMut(&mut [u8]) -> std::io::Result<usize>,
        buffers: &Buffers,
    ) -> std::io::Result<Next> {
        let mut seen = 0;
        loop {
            let fresh = self.buffer.get(seen..self.filled).unwrap_or_default();
            if let Cut::At(more) = self.chunker.push(fresh) {
                let mut rest = buffers.take_used(TYPICAL);
                let over = fresh.get(more..).unwrap_or_default();
                overwrite(&mut rest, over);
                self.filled = over.len();
                self.buffer.truncate(seen + more);
                return Ok(Next::Chunk(std::mem::replace(&mut self.buffer, rest)));
            }
            seen = self.filled;
            self.make_room(buffers);
            let room = self.buffer.get_mut(seen..seen + self.portion);
            let got = read_some(read, room.unwrap_or_default())?;
            self.read += got as u64;
            self.filled += got;
            if got == 0 {
                self.buffer.truncate(self.filled);
                return Ok(Next::End(std::mem::take(&mut self.buffer)));
            }
        }
    }

    /// Room for one more portion.
    fn make_room(&mut self, buffers: &Buffers) {
        let needed = self.filled + self.portion;
        if needed > self.buffer.capacity() {
            let mut larger = buffers.take_used(needed);
            overwrite(
                &mut larger,
                self.buffer.get(..self.filled).unwrap_or_default(),
            );
            buffers.give(std::mem::replace(&mut self.buffer, larger));
        }
        if needed > self.buffer.len() {
            self.buffer.resize(needed, 0);
        }
    }
}

/// Puts `bytes` at the start of `buffer`; what else was there may stay.
fn overwrite(buffer: &mut Vec<u8>, bytes: &[u8]) {
    match buffer.get_mut(..bytes.len()) {
        Some(start) => start.copy_from_slice(bytes),
        None => {
            buffer.clear();
            buffer.extend_from_slice(bytes);
        }
    }
}

enum Next {
    Chunk(Vec<u8>),
    End(Vec<u8>),
}

fn read_some(
    read: &mut dyn FnMut(&mut [u8]) -> std::io::Result<usize>,
    buf: &mut [u8],
) -> std::io::Result<usize> {
    loop {
        match read(buf) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // A reader that claims more than it was given room for is broken.
            Ok(got) if got > buf.len() => {
                return Err(std::io::Error::other("the source returned too many bytes"));
            }
            done => return done,
        }
    }
}

/// Room for half of all chunks.
const TYPICAL: usize = 1 << 20;
/// Half of a smallest chunk at a time.
const PORTION: usize = chunker::MIN / 2;
const SMALLEST: usize = 64;
