//! Reading one file or stream, chunk by chunk.

use std::io::Read;

use vouchsafe_capture::{CaptureError, Content, Cutting, StreamContent};
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
    cutter: Cutter,
    /// Begins with the bytes of the current chunk. What follows them is of no meaning, but need not be made anew to be
    /// read into.
    buffer: Vec<u8>,
    /// Bytes of the current chunk.
    filled: usize,
    read: u64,
    /// How many bytes to ask for at once.
    portion: usize,
}

/// What decides where a chunk ends.
enum Cutter {
    Content(Chunker),
    /// Every so many bytes; so many of the current chunk were seen.
    Every(usize, usize),
}

impl Cutter {
    fn of(cutting: Cutting, chunker: Chunker) -> Cutter {
        match cutting {
            Cutting::ByContent => Cutter::Content(chunker),
            Cutting::Every(size) => {
                let size = usize::try_from(size).unwrap_or(chunker::MAX);
                Cutter::Every(size.clamp(SMALLEST_CUT, chunker::MAX), 0)
            }
        }
    }

    fn push(&mut self, data: &[u8]) -> Cut {
        match self {
            Cutter::Content(chunker) => chunker.push(data),
            Cutter::Every(size, seen) => {
                let missing = *size - *seen;
                if data.len() < missing {
                    *seen += data.len();
                    return Cut::More;
                }
                *seen = 0;
                Cut::At(missing)
            }
        }
    }
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
        let (state, cutting) = match task.origin {
            Origin::File(content) => (State::Unopened(content), Cutting::ByContent),
            Origin::Stream(stream) => {
                let cutting = stream.cutting();
                (State::Stream(stream), cutting)
            }
        };
        let cutter = Cutter::of(cutting, chunker);
        // One byte more than a small file has, so that its end is seen by the first read.
        let portion = usize::try_from(task.size.saturating_add(1))
            .unwrap_or(PORTION)
            .clamp(SMALLEST, PORTION);
        let portion = match (&state, &cutter) {
            (State::Stream(_), Cutter::Content(_)) => PORTION,
            (State::Stream(_), Cutter::Every(size, _)) => PORTION.min(*size),
            _ => portion,
        };
        FileReading {
            file: task.file,
            place: task.place,
            state,
            cutter,
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
            if let Cut::At(more) = self.cutter.push(fresh) {
                let over = fresh.get(more..).unwrap_or_default();
                let next = match self.cutter {
                    Cutter::Content(_) => TYPICAL,
                    Cutter::Every(size, _) => size.max(over.len()),
                };
                let mut rest = buffers.take_used(next);
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
        if needed > Buffers::room(&self.buffer) {
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
/// A page of the smallest kind.
const SMALLEST_CUT: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_falls_every_so_many_bytes_however_they_come() {
        for piece in [1, 4095, 4096, 4097, 10_000] {
            let mut cutter = Cutter::Every(4096, 0);
            let bytes = vec![7_u8; 20_000];
            let mut lengths = Vec::new();
            let mut current = 0;
            for part in bytes.chunks(piece) {
                let mut rest = part;
                while let Cut::At(more) = cutter.push(rest) {
                    lengths.push(current + more);
                    current = 0;
                    rest = &rest[more..];
                }
                current += rest.len();
            }
            assert_eq!(lengths, [4096; 4], "pieces of {piece}");
            assert_eq!(current, 20_000 - 4 * 4096);
        }
    }
}
