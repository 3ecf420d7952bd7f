//! Sorting more keys than fit into memory: sorted runs in a nameless file, then merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use super::build::Scratch;
use super::pages::Fault;

/// Takes keys with numbers in any order, and gives them back in the order of keys, then of numbers.
#[derive(Debug)]
pub(super) struct Sorter {
    scratch: Scratch,
    most: usize,
    buffer: Vec<(u64, u32)>,
    file: Option<File>,
    /// Where the runs begin and how many bytes they have.
    runs: Vec<(u64, u64)>,
}

/// Bytes of a key with its number.
const PAIR: usize = 12;
/// Bytes of a run that are read at once.
const CHUNK: u64 = 2730 * PAIR as u64;

impl Sorter {
    /// At most `most` keys are held in memory.
    pub(super) fn new(scratch: Scratch, most: usize) -> Sorter {
        Sorter {
            scratch,
            most: most.max(1),
            buffer: Vec::new(),
            file: None,
            runs: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, key: u64, number: u32) -> Result<(), Fault> {
        if self.buffer.len() >= self.most {
            self.spill()?;
        }
        self.buffer.push((key, number));
        Ok(())
    }

    /// Everything in order.
    pub(super) fn finish(mut self) -> Result<Sorted, Fault> {
        if self.runs.is_empty() {
            self.buffer.sort_unstable();
            return Ok(Sorted::Memory(self.buffer.into_iter()));
        }
        self.spill()?;
        self.buffer = Vec::new();
        let file = self
            .file
            .ok_or(Fault::Other("there are runs without a file"))?;
        let mut runs: Vec<Run> = self
            .runs
            .into_iter()
            .map(|(at, left)| Run {
                at,
                left,
                pairs: Vec::new().into_iter(),
            })
            .collect();
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for (at, run) in runs.iter_mut().enumerate() {
            heads.extend(run.next(&file)?.map(|pair| Reverse((pair, at))));
        }
        Ok(Sorted::Runs { file, runs, heads })
    }

    fn spill(&mut self) -> Result<(), Fault> {
        self.buffer.sort_unstable();
        let file = match self.file.take() {
            Some(file) => file,
            None => self.scratch.nameless()?,
        };
        let start = self.runs.last().map_or(0, |(at, length)| at + length);
        let mut out = std::io::BufWriter::with_capacity(256 << 10, &file);
        for (key, number) in self.buffer.drain(..) {
            out.write_all(&key.to_le_bytes())?;
            out.write_all(&number.to_le_bytes())?;
        }
        let written = out.flush();
        drop(out);
        written?;
        let end = file.metadata()?.len();
        self.runs.push((start, end.saturating_sub(start)));
        self.file = Some(file);
        Ok(())
    }
}

/// Keys with their numbers, in order.
#[derive(Debug)]
pub(super) enum Sorted {
    Memory(std::vec::IntoIter<(u64, u32)>),
    Runs {
        file: File,
        runs: Vec<Run>,
        /// The next pair of each run.
        heads: BinaryHeap<Reverse<((u64, u32), usize)>>,
    },
}

impl Sorted {
    pub(super) fn next(&mut self) -> Result<Option<(u64, u32)>, Fault> {
        match self {
            Sorted::Memory(pairs) => Ok(pairs.next()),
            Sorted::Runs { file, runs, heads } => {
                let Some(mut head) = heads.peek_mut() else {
                    return Ok(None);
                };
                let Reverse((pair, at)) = *head;
                match runs
                    .get_mut(at)
                    .map(|run| run.next(file))
                    .transpose()?
                    .flatten()
                {
                    // In place: the heap is mended once instead of twice.
                    Some(next) => *head = Reverse((next, at)),
                    None => {
                        std::collections::binary_heap::PeekMut::pop(head);
                    }
                }
                Ok(Some(pair))
            }
        }
    }
}

/// What is left of a run.
#[derive(Debug)]
pub(super) struct Run {
    at: u64,
    left: u64,
    pairs: std::vec::IntoIter<(u64, u32)>,
}

impl Run {
    fn next(&mut self, file: &File) -> Result<Option<(u64, u32)>, Fault> {
        if let Some(pair) = self.pairs.next() {
            return Ok(Some(pair));
        }
        let length = self.left.min(CHUNK);
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, self.at)?;
        self.at += length;
        self.left -= length;
        let to_pair = |bytes: &[u8; PAIR]| {
            let (mut key, mut number) = ([0; 8], [0; 4]);
            key.copy_from_slice(&bytes[..8]);
            number.copy_from_slice(&bytes[8..]);
            (u64::from_le_bytes(key), u32::from_le_bytes(number))
        };
        let pairs: Vec<_> = bytes.as_chunks::<PAIR>().0.iter().map(to_pair).collect();
        self.pairs = pairs.into_iter();
        Ok(self.pairs.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_host::{Interrupt, Random, SeededRandom};

    #[test]
    fn runs_come_back_as_one() {
        let random = SeededRandom::new(5);
        for (count, most) in [(0, 3), (1, 3), (7, 3), (9, 3), (10_000, 300), (50, 100)] {
            let mut sorter = Sorter::new(Scratch::anywhere(Interrupt::manual()), most);
            let mut expected = Vec::new();
            for number in 0..count {
                let key = random.u64() >> 50;
                expected.push((key, number));
                sorter.push(key, number).unwrap();
            }
            expected.sort_unstable();
            let mut sorted = sorter.finish().unwrap();
            let found: Vec<_> = std::iter::from_fn(|| sorted.next().unwrap()).collect();
            assert_eq!(found, expected);
        }
    }
}
