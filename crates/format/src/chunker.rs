//! Cutting a stream into chunks by a Rabin fingerprint of its last 64 bytes.
//!
//! Source of the format: restic `design.rst`, "Backups and Deduplication", and
//! the constants of its chunker library. A cut falls after the first byte, from
//! the minimum length on, where the lowest 20 bits of the fingerprint are zero,
//! and at the maximum length at the latest.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::polynomial::{Polynomial, reduce};

/// Shortest chunk in bytes, but for the last one of a stream: 512 KiB.
pub const MIN: usize = 512 << 10;
/// Longest chunk in bytes: 8 MiB.
pub const MAX: usize = 8 << 20;
/// Bytes that decide whether a cut falls behind them.
pub const WINDOW: usize = 64;
/// Degrees of polynomials that can cut; restic makes 53.
pub const DEGREES: RangeInclusive<u32> = 8..=53;

/// Finds where the chunks of one stream end.
///
/// Cloning is cheap: the tables are shared.
#[derive(Clone)]
pub struct Chunker {
    tables: Arc<Tables>,
    /// Bytes of the current chunk so far.
    count: usize,
    /// The last bytes of the current chunk, oldest first, zeros before its first
    /// testable window: zeros do not change a fingerprint.
    window: [u8; WINDOW],
    digest: u64,
}

/// Where the current chunk ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// All bytes belong to the current chunk, which goes on.
    More,
    /// The chunk ends after this many bytes; what follows belongs to the next
    /// one and has not been looked at.
    At(usize),
}

impl Chunker {
    /// A chunker at the start of a stream.
    ///
    /// A polynomial of a degree outside [`DEGREES`], which
    /// [`Config::decode`](crate::Config::decode) refuses, cuts at [`MAX`] only.
    pub fn new(polynomial: Polynomial) -> Chunker {
        Chunker {
            tables: Arc::new(Tables::new(polynomial)),
            count: 0,
            window: [0; WINDOW],
            digest: 0,
        }
    }

    /// Forgets the current chunk: the next byte is the first of a stream.
    pub fn reset(&mut self) {
        self.count = 0;
        self.window = [0; WINDOW];
        self.digest = 0;
    }

    /// Feeds bytes; says how many of them belong to the current chunk and whether
    /// a cut falls right after them.
    ///
    /// After [`Cut::At`] the chunker is at the start of the next chunk. How a
    /// stream is split over calls does not change where it is cut.
    pub fn push(&mut self, data: &[u8]) -> Cut {
        let skipped = (MIN - WINDOW).saturating_sub(self.count).min(data.len());
        self.count += skipped;
        let limit = (skipped + MAX - self.count).min(data.len());
        let fresh = data.get(skipped..limit).unwrap_or_default();
        if fresh.is_empty() {
            return Cut::More;
        }
        match self.roll(fresh) {
            Some(used) => {
                self.reset();
                Cut::At(skipped + used)
            }
            None if self.count == MAX => {
                self.reset();
                Cut::At(limit)
            }
            None => Cut::More,
        }
    }

    /// Takes in `fresh`; the number of its bytes up to and with the first cut.
    fn roll(&mut self, fresh: &[u8]) -> Option<usize> {
        let (first, rest) = fresh.split_at(fresh.len().min(WINDOW));
        // The bytes that leave are those of the window before it changes.
        let window = self.window;
        let from = MIN.saturating_sub(self.count + 1);
        if let Some(at) = self.roll_slowly(first, &window, from) {
            return Some(at);
        }
        self.count += first.len();
        if !rest.is_empty() {
            let from = MIN.saturating_sub(self.count + 1);
            let at = if from == 0 && self.tables.shift == LANE_SHIFT {
                self.roll_in_lanes(fresh)
            } else {
                self.roll_slowly(rest, fresh, from)
            };
            if let Some(at) = at {
                return Some(WINDOW + at);
            }
            self.count += rest.len();
        }
        self.remember(fresh);
        None
    }

    /// Rolls over `new` while `old` leaves; tests from index `from` on.
    fn roll_slowly(&mut self, new: &[u8], old: &[u8], from: usize) -> Option<usize> {
        let mut digest = self.digest;
        for (i, (byte, gone)) in new.iter().zip(old).enumerate() {
            digest = self.tables.step(digest, *byte, *gone);
            if digest & MASK == 0 && i >= from {
                return Some(i + 1);
            }
        }
        self.digest = digest;
        None
    }

    /// Rolls over `fresh[WINDOW..]`, every position of which may be a cut.
    ///
    /// A fingerprint depends on the last 64 bytes only, so several stretches are
    /// followed at once; their chains of table look-ups overlap in the processor.
    fn roll_in_lanes(&mut self, fresh: &[u8]) -> Option<usize> {
        let mut done = 0;
        while let Some(block) = fresh.get(done..done + WINDOW + LANES * LANE) {
            match self.tables.scan_block(self.digest, block) {
                Some(digest) => self.digest = digest,
                None => break,
            }
            done += LANES * LANE;
        }
        let old = fresh.get(done..).unwrap_or_default();
        let new = old.get(WINDOW..).unwrap_or_default();
        self.roll_slowly(new, old, 0).map(|at| done + at)
    }

    /// Keeps the last bytes of what was taken in.
    fn remember(&mut self, fresh: &[u8]) {
        if let Some(last) = fresh.last_chunk::<WINDOW>() {
            self.window = *last;
        } else {
            self.window.rotate_left(fresh.len());
            let (_, end) = self.window.split_at_mut(WINDOW - fresh.len());
            end.copy_from_slice(fresh);
        }
    }
}

impl fmt::Debug for Chunker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunker")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// On average a cut each 1 MiB.
const MASK: u64 = (1 << 20) - 1;

const LANES: usize = 4;
/// Bytes a lane follows before the lanes are compared.
const LANE: usize = 2048;
/// The shift for degree 53, for which lanes are built.
const LANE_SHIFT: u32 = 45;

struct Tables {
    /// What the byte that leaves the window still contributes, one step later.
    out: [u64; 256],
    /// What the 8 bits that overflow reduce to, with those bits themselves.
    overflow: [u64; 256],
    shift: u32,
}

impl Tables {
    fn new(polynomial: Polynomial) -> Tables {
        let bits = polynomial.bits();
        let degree = polynomial.degree().unwrap_or_default();
        let mut tables = Tables {
            out: [0; 256],
            overflow: [0; 256],
            shift: 0,
        };
        if !DEGREES.contains(&degree) {
            // The digest of every step is then 1.
            tables.overflow = [1; 256];
            tables.shift = 63;
            return tables;
        }
        tables.shift = degree - 8;
        for b in 0..=255_u8 {
            let high = u64::from(b) << degree;
            let mut gone = reduce(u64::from(b), bits);
            for _ in 0..WINDOW {
                gone = reduce(gone << 8, bits);
            }
            tables.overflow[usize::from(b)] = reduce(high, bits) | high;
            tables.out[usize::from(b)] = gone;
        }
        tables
    }

    #[inline(always)]
    fn step(&self, digest: u64, byte: u8, gone: u8) -> u64 {
        let top = (digest >> self.shift) as u8;
        ((digest << 8) | u64::from(byte))
            ^ self.overflow[usize::from(top)]
            ^ self.out[usize::from(gone)]
    }

    #[inline(always)]
    fn lane_step(&self, digest: u64, byte: u8, gone: u8) -> u64 {
        let top = (digest >> LANE_SHIFT) as u8;
        ((digest << 8) | u64::from(byte))
            ^ self.overflow[usize::from(top)]
            ^ self.out[usize::from(gone)]
    }

    /// The fingerprint at the end of `block`, if there is no cut in it.
    ///
    /// `block` begins with the 64 bytes before, whose fingerprint is `digest`.
    fn scan_block(&self, digest: u64, block: &[u8]) -> Option<u64> {
        let lane = |k: usize| block.get(k * LANE..)?.first_chunk::<{ WINDOW + LANE }>();
        let (a, b, c, d) = (lane(0)?, lane(1)?, lane(2)?, lane(3)?);
        let (mut da, mut db, mut dc, mut dd) = (
            digest,
            self.of_window(b),
            self.of_window(c),
            self.of_window(d),
        );
        for i in 0..LANE {
            da = self.lane_step(da, a[i + WINDOW], a[i]);
            db = self.lane_step(db, b[i + WINDOW], b[i]);
            dc = self.lane_step(dc, c[i + WINDOW], c[i]);
            dd = self.lane_step(dd, d[i + WINDOW], d[i]);
            let cut = |digest| digest & MASK == 0;
            if cut(da) || cut(db) || cut(dc) || cut(dd) {
                return None;
            }
        }
        Some(dd)
    }

    fn of_window(&self, bytes: &[u8; WINDOW + LANE]) -> u64 {
        bytes
            .iter()
            .take(WINDOW)
            .fold(0, |digest, byte| self.lane_step(digest, *byte, 0))
    }
}
