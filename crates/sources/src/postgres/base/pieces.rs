//! Handing a file out of an archive to whoever reads it elsewhere, piece by piece.

use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use vouchsafe_capture::{CaptureError, CleanEnd, Cutting, StreamContent};

use super::super::session::unreadable;

/// Pieces that wait to be read.
const WAITING: usize = 4;
const PIECE: usize = 256 << 10;

/// The reading end: whole only if as many bytes came as were announced.
pub(super) struct Pieces {
    from: Receiver<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
    name: String,
    expected: u64,
    read: u64,
    cut: u32,
}

/// A pair of ends for a file of `expected` bytes.
pub(super) fn pieces(name: &str, expected: u64, cut: u32) -> (SyncSender<Vec<u8>>, Pieces) {
    let (to, from) = sync_channel(WAITING);
    let reading = Pieces {
        from,
        current: Vec::new(),
        at: 0,
        name: name.to_owned(),
        expected,
        read: 0,
        cut,
    };
    (to, reading)
}

/// Sends everything that `from` gives.
pub(super) fn pour(
    from: &mut dyn Read,
    to: &SyncSender<Vec<u8>>,
    name: &str,
) -> Result<(), CaptureError> {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        from.take(PIECE as u64)
            .read_to_end(&mut piece)
            .map_err(|e| CaptureError::io("read", name, e))?;
        if piece.is_empty() {
            return Ok(());
        }
        // Whoever reads has given up; why, the vault says at the next call.
        if to.send(piece).is_err() {
            return Err(unreadable(
                name,
                "the vault does not take it any more",
                "see what it says",
            ));
        }
    }
}

impl StreamContent for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.current.len() {
            match self.from.recv() {
                Ok(piece) => (self.current, self.at) = (piece, 0),
                Err(_) => return Ok(0),
            }
        }
        let rest = self.current.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        self.read += count as u64;
        Ok(count)
    }

    fn cutting(&self) -> Cutting {
        Cutting::Every(self.cut)
    }

    fn finish(self: Box<Self>) -> Result<CleanEnd, CaptureError> {
        CleanEnd::of_length(&self.name, self.expected, self.read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_and_a_short_file_has_no_proof() {
        for (announced, good) in [(600_000_u64, true), (600_001, false)] {
            let (to, mut from) = pieces("f", announced, 32 << 10);
            let bytes: Vec<u8> = (0..600_000_u32).map(|n| n as u8).collect();
            let sent = bytes.clone();
            let sender = std::thread::spawn(move || pour(&mut sent.as_slice(), &to, "f"));
            let mut got = Vec::new();
            let mut buf = [0; 1000];
            loop {
                let count = from.read(&mut buf).unwrap();
                if count == 0 {
                    break;
                }
                got.extend_from_slice(&buf[..count]);
            }
            sender.join().unwrap().unwrap();
            assert_eq!(got, bytes);
            assert_eq!(Box::new(from).finish().is_ok(), good);
        }
    }

    #[test]
    fn a_reader_that_gives_up_ends_the_sender() {
        let (to, from) = pieces("f", 1, 4096);
        drop(from);
        assert!(pour(&mut [1_u8].as_slice(), &to, "f").is_err());
    }
}
