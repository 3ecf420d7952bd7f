//! zstd frames as restic writes them: no checksum, content size given, a window that restic's library takes.

use std::fmt;
use std::io::{self, Cursor, Read};

use zstd::bulk;
use zstd::stream::write::Encoder;
use zstd::zstd_safe::{self, CParameter, Strategy};

/// The level that restic's `--compression auto` comes closest to.
pub const DEFAULT_LEVEL: i32 = 3;

/// Compresses one blob after the other with the same memory.
pub struct Compressor {
    inner: bulk::Compressor<'static>,
    /// Take what is not small, if that is to be compressed in another way.
    large: Option<Large>,
    level: i32,
}

/// For large blobs: the shorter the matches that pay, the more looking for them costs.
struct Large {
    text: bulk::Compressor<'static>,
    binary: bulk::Compressor<'static>,
}

/// Data could not be compressed: the library ran out of memory or refused a setting.
#[derive(Debug, thiserror::Error)]
#[error("zstd could not compress")]
pub struct CompressError(#[from] io::Error);

/// Data could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// Not a whole zstd frame.
    #[error("the zstd frame is damaged")]
    Damaged(#[source] io::Error),
    /// The frame yields, or says that it yields, another number of bytes.
    #[error("the zstd frame holds {found} bytes instead of {expected}")]
    Length {
        /// Bytes that were asked for.
        expected: u64,
        /// Bytes found; a lower bound if the frame did not say.
        found: u64,
    },
    /// More was asked for than so few compressed bytes can yield.
    #[error("{length} compressed bytes cannot hold {expected} bytes")]
    Implausible {
        /// Bytes of the frame.
        length: usize,
        /// Bytes that were asked for.
        expected: usize,
    },
    /// The frame yields more than is allowed.
    #[error("the zstd frame yields more than the allowed {limit} bytes")]
    Limit {
        /// The bytes allowed.
        limit: usize,
    },
}

impl Compressor {
    /// A compressor at zstd's `level` (1 to 22; 0 is the library's default).
    ///
    /// # Errors
    /// [`CompressError`] if the library cannot set up its memory.
    pub fn new(level: i32) -> Result<Compressor, CompressError> {
        let inner = prepared(level, WINDOW_LOG, &[])?;
        Ok(Compressor {
            inner,
            large: None,
            level,
        })
    }

    /// A compressor for the blobs of a backup: [`DEFAULT_LEVEL`] for small ones, and for those of [`LARGE`] bytes or
    /// more the library's quickest method with a larger table and window, which takes a quarter less time and together
    /// with the small ones stays below what restic's `auto` takes of space. Programs and the like have short matches,
    /// for which texts and dumps have no use. Pieces of database files are compressed like large texts.
    ///
    /// # Errors
    /// [`CompressError`] if the library cannot set up its memory.
    pub fn for_backups() -> Result<Compressor, CompressError> {
        let mut made = Compressor::new(DEFAULT_LEVEL)?;
        let quick = |shortest| {
            let more = [
                CParameter::Strategy(Strategy::ZSTD_fast),
                CParameter::HashLog(LARGE_HASH_LOG),
                CParameter::MinMatch(shortest),
            ];
            prepared(QUICK_LEVEL, LARGE_WINDOW_LOG, &more)
        };
        made.large = Some(Large {
            text: quick(6)?,
            binary: quick(5)?,
        });
        Ok(made)
    }

    /// One frame that holds `data`.
    ///
    /// # Errors
    /// [`CompressError`] if the library runs out of memory.
    pub fn compress(&mut self, data: &[u8]) -> Result<Vec<u8>, CompressError> {
        Ok(self.fitting(data).compress(data)?)
    }

    /// The most bytes that the frame of so many can take, which appending it makes room for.
    pub fn bound(length: usize) -> usize {
        zstd_safe::compress_bound(length)
    }

    /// Appends one frame that holds `data` to `out`; what was there stays.
    ///
    /// # Errors
    /// [`CompressError`] if the library runs out of memory; `out` then has the length it had.
    pub fn compress_append(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        let start = out.len();
        out.reserve(Compressor::bound(data.len()));
        let mut end = Cursor::new(&mut *out);
        end.set_position(start as u64);
        let done = self.fitting(data).compress_to_buffer(data, &mut end);
        if done.is_err() {
            out.truncate(start);
        }
        Ok(done.map(drop)?)
    }

    fn fitting(&mut self, data: &[u8]) -> &mut bulk::Compressor<'static> {
        let (is_piece, is_large) = (PAGES.contains(&data.len()), data.len() >= LARGE);
        match &mut self.large {
            Some(large) if is_piece || is_large => match is_piece || is_text(data) {
                true => &mut large.text,
                false => &mut large.binary,
            },
            _ => &mut self.inner,
        }
    }
}

/// How long the pieces are into which files of a database's pages are cut (longer ones are large anyway). They compress
/// as well by the quick method as by the usual one. Hardly anything else has exactly these lengths, and pays a hundredth
/// of its space for being taken for one.
const PAGES: [usize; 2] = [32 << 10, 128 << 10];

/// Whether hardly any of the bytes are zeros, as far as one in a thousand tells.
fn is_text(data: &[u8]) -> bool {
    // A prime, so that no record's length is met again and again.
    let looked_at = data.iter().step_by(1021);
    let (zeros, all) = looked_at.fold((0_usize, 0_usize), |(zeros, all), byte| {
        (zeros + usize::from(*byte == 0), all + 1)
    });
    zeros * 50 <= all
}

fn prepared(
    level: i32,
    window_log: u32,
    more: &[CParameter],
) -> io::Result<bulk::Compressor<'static>> {
    let mut made = bulk::Compressor::new(level)?;
    made.set_parameter(CParameter::WindowLog(window_log))?;
    made.set_parameter(CParameter::ChecksumFlag(false))?;
    made.set_parameter(CParameter::ContentSizeFlag(true))?;
    for parameter in more {
        made.set_parameter(*parameter)?;
    }
    Ok(made)
}

/// Compresses what is written to it to the end of `out`. How much that will be the frame does not say.
pub(crate) fn stream(level: i32, out: &mut Vec<u8>) -> io::Result<Encoder<'static, &mut Vec<u8>>> {
    let mut stream = Encoder::new(out, level)?;
    stream.window_log(WINDOW_LOG)?;
    stream.include_checksum(false)?;
    Ok(stream)
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor")
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

/// Decompresses one blob after the other with the same memory.
pub struct Decompressor {
    inner: bulk::Decompressor<'static>,
}

impl Decompressor {
    /// A decompressor.
    ///
    /// # Errors
    /// [`DecompressError::Damaged`] if the library cannot set up its memory.
    pub fn new() -> Result<Decompressor, DecompressError> {
        let inner = bulk::Decompressor::new().map_err(DecompressError::Damaged)?;
        Ok(Decompressor { inner })
    }

    /// As [`decompress`], appended to `out`; what was there stays.
    ///
    /// # Errors
    /// [`DecompressError`]; `out` then has the length it had.
    pub fn decompress_append(
        &mut self,
        data: &[u8],
        expected_len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), DecompressError> {
        check_stated_length(data, expected_len)?;
        let start = out.len();
        if expected_len > AT_ONCE {
            out.append(&mut decompress_bounded(data, expected_len)?);
        } else {
            // Not doubled: it is used again, and soon large enough.
            out.reserve_exact(expected_len);
            let mut end = Cursor::new(&mut *out);
            end.set_position(start as u64);
            let done = self.inner.decompress_to_buffer(data, &mut end);
            if done.is_err() {
                out.truncate(start);
            }
            done.map_err(DecompressError::Damaged)?;
        }
        let checked = check_length((out.len() - start) as u64, expected_len as u64);
        if checked.is_err() {
            out.truncate(start);
        }
        checked
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decompressor")
    }
}

/// The `expected_len` bytes in the frame `data`, neither more nor fewer.
///
/// Memory stays in proportion to the bytes really there.
///
/// # Errors
/// [`DecompressError`].
pub fn decompress(data: &[u8], expected_len: usize) -> Result<Vec<u8>, DecompressError> {
    check_stated_length(data, expected_len)?;
    let out = if expected_len <= AT_ONCE {
        bulk::decompress(data, expected_len).map_err(DecompressError::Damaged)?
    } else {
        decompress_bounded(data, expected_len)?
    };
    check_length(out.len() as u64, expected_len as u64)?;
    Ok(out)
}

/// Refuses what cannot hold `expected_len` bytes before memory is set aside for them.
fn check_stated_length(data: &[u8], expected_len: usize) -> Result<(), DecompressError> {
    require_frame(data)?;
    if !is_plausible(data.len(), expected_len) {
        return Err(DecompressError::Implausible {
            length: data.len(),
            expected: expected_len,
        });
    }
    let expected = expected_len as u64;
    match zstd_safe::get_frame_content_size(data) {
        Ok(Some(found)) if found > expected => Err(DecompressError::Length { expected, found }),
        _ => Ok(()),
    }
}

/// The library takes nothing at all for an empty frame.
fn require_frame(data: &[u8]) -> Result<(), DecompressError> {
    if data.is_empty() {
        return Err(DecompressError::Damaged(
            io::ErrorKind::UnexpectedEof.into(),
        ));
    }
    Ok(())
}

pub(crate) fn check_length(found: u64, expected: u64) -> Result<(), DecompressError> {
    if found == expected {
        Ok(())
    } else {
        Err(DecompressError::Length { expected, found })
    }
}

/// Whether so few compressed bytes can yield so many.
pub(crate) fn is_plausible(compressed: usize, expected: usize) -> bool {
    expected / MAX_RATIO <= compressed
}

/// What the frame `data` holds, at most `limit` bytes.
///
/// # Errors
/// [`DecompressError::Damaged`], [`DecompressError::Limit`].
pub fn decompress_bounded(data: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
    require_frame(data)?;
    let stated = match zstd_safe::get_frame_content_size(data) {
        Ok(Some(size)) => usize::try_from(size).unwrap_or(usize::MAX),
        _ => 0,
    };
    if stated > limit {
        return Err(DecompressError::Limit { limit });
    }
    let plausible = data.len().saturating_mul(4);
    let mut out = Vec::with_capacity(stated.min(plausible).min(AT_ONCE));
    let decoder =
        zstd::stream::read::Decoder::with_buffer(data).map_err(DecompressError::Damaged)?;
    let one_more = (limit as u64).saturating_add(1);
    decoder
        .take(one_more)
        .read_to_end(&mut out)
        .map_err(DecompressError::Damaged)?;
    if out.len() > limit {
        Err(DecompressError::Limit { limit })
    } else {
        Ok(out)
    }
}

/// From this length on a blob is large for [`Compressor::for_backups`]: here the library's own tables of parameters
/// change, and hardly a blob is of about this length, since chunks have 512 KiB at least.
pub const LARGE: usize = 256 << 10;
/// The level whose other parameters large blobs have.
const QUICK_LEVEL: i32 = 2;
/// 512 KiB of table: what the second level of a processor's cache holds.
const LARGE_HASH_LOG: u32 = 17;
/// 1 MiB, the usual length of a chunk.
const LARGE_WINDOW_LOG: u32 = 20;
/// 512 KiB, restic's window.
const WINDOW_LOG: u32 = 19;
/// A zstd block of at least 4 bytes yields at most 128 KiB.
const MAX_RATIO: usize = 1 << 16;
/// Up to this many bytes are allocated before the first one is decompressed.
const AT_ONCE: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_restic_writes_them() {
        let data: Vec<u8> = (0..3_000_000_u32).map(|i| (i / 7) as u8).collect();
        for level in [1, DEFAULT_LEVEL, 19] {
            let frame = Compressor::new(level).unwrap().compress(&data).unwrap();
            let descriptor = frame[4];
            assert_eq!(descriptor & 0b100, 0, "no checksum");
            assert_eq!(descriptor & 0b10_0000, 0, "a window is given");
            assert_eq!(frame[5], (19 - 10) << 3, "of 512 KiB");
            assert_eq!(
                zstd_safe::get_frame_content_size(&frame).unwrap(),
                Some(3_000_000)
            );
            assert_eq!(decompress(&frame, data.len()).unwrap(), data);
        }
    }

    #[test]
    fn large_blobs_are_compressed_in_another_way_and_read_in_the_same() {
        let mut compressor = Compressor::for_backups().unwrap();
        let mut level = Compressor::new(DEFAULT_LEVEL).unwrap();
        let text: Vec<u8> = (0..LARGE as u32)
            .flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 20).to_le_bytes())
            .collect();
        let [short, long] = PAGES;
        for length in [0, 1, short - 1, short, short + 1, long, LARGE - 1, LARGE] {
            let data = &text[..length];
            let frame = compressor.compress(data).unwrap();
            let is_usual = length < LARGE && !PAGES.contains(&length);
            assert_eq!(frame == level.compress(data).unwrap(), is_usual, "{length}");
            if length > 0 {
                assert_eq!(decompress(&frame, length).unwrap(), data);
            }
        }
    }

    #[test]
    fn programs_are_told_from_texts() {
        let text = b"2024-01-02 03:04:05 GET /index.html 200\n".repeat(20_000);
        let program: Vec<u8> = (0..400_000_u32)
            .flat_map(|i| (i % 70_000).to_le_bytes())
            .collect();
        assert!(is_text(&text) && !is_text(&program));
    }

    #[test]
    fn frames_are_appended_and_buffers_used_again() {
        let mut compressor = Compressor::new(DEFAULT_LEVEL).unwrap();
        let mut decompressor = Decompressor::new().unwrap();
        let mut plain = b"left over".to_vec();
        for text in ["one", "", "three three three three"] {
            let mut out = b"before".to_vec();
            compressor
                .compress_append(text.as_bytes(), &mut out)
                .unwrap();
            let frame = out.strip_prefix(b"before").unwrap();
            assert_eq!(frame, compressor.compress(text.as_bytes()).unwrap());
            decompressor
                .decompress_append(frame, text.len(), &mut plain)
                .unwrap();
            assert_eq!(plain, [b"left over", text.as_bytes()].concat());
            plain.truncate(9);
        }
    }

    #[test]
    fn a_reused_buffer_takes_neither_more_nor_fewer_bytes() {
        let frame = Compressor::new(3).unwrap().compress(&[7; 1000]).unwrap();
        let mut decompressor = Decompressor::new().unwrap();
        let mut out = Vec::with_capacity(5000);
        out.extend_from_slice(b"before");
        for wrong in [0, 999, 1001] {
            assert!(
                decompressor
                    .decompress_append(&frame, wrong, &mut out)
                    .is_err(),
                "{wrong}"
            );
            assert_eq!(out, b"before");
        }
        let mut cut = frame.clone();
        cut.truncate(frame.len() - 1);
        assert!(
            decompressor
                .decompress_append(&cut, 1000, &mut out)
                .is_err()
        );
        assert_eq!(out, b"before");
        decompressor
            .decompress_append(&frame, 1000, &mut out)
            .unwrap();
        assert_eq!(out, [&b"before"[..], &[7; 1000]].concat());
    }

    #[test]
    fn nothing_is_no_frame() {
        assert!(decompress(b"", 0).is_err());
        assert!(decompress_bounded(b"", 10).is_err());
        let mut decompressor = Decompressor::new().unwrap();
        assert!(
            decompressor
                .decompress_append(b"", 0, &mut Vec::new())
                .is_err()
        );
    }

    #[test]
    fn a_compressor_is_reusable() {
        let mut compressor = Compressor::new(DEFAULT_LEVEL).unwrap();
        for text in ["one", "", "three three three three"] {
            let frame = compressor.compress(text.as_bytes()).unwrap();
            assert_eq!(decompress(&frame, text.len()).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn another_length_is_refused() {
        let frame = Compressor::new(1).unwrap().compress(&[7; 1000]).unwrap();
        for wrong in [0, 999, 1001, 64 << 20, usize::MAX] {
            assert!(decompress(&frame, wrong).is_err(), "{wrong}");
        }
        assert!(matches!(
            decompress(&frame, 1 << 40),
            Err(DecompressError::Implausible { .. })
        ));
        assert!(matches!(
            decompress(&frame, 999),
            Err(DecompressError::Length {
                expected: 999,
                found: 1000
            })
        ));
        assert!(matches!(
            decompress_bounded(&frame, 999),
            Err(DecompressError::Limit { .. })
        ));
        assert_eq!(decompress_bounded(&frame, 1000).unwrap().len(), 1000);
    }

    #[test]
    fn a_frame_that_hides_its_size_is_bounded_all_the_same() {
        let mut hidden = bulk::Compressor::new(1).unwrap();
        hidden
            .set_parameter(CParameter::ContentSizeFlag(false))
            .unwrap();
        let frame = hidden.compress(&vec![7; 1 << 20]).unwrap();
        assert_eq!(decompress(&frame, 1 << 20).unwrap().len(), 1 << 20);
        assert!(decompress(&frame, (1 << 20) - 1).is_err());
        assert!(matches!(
            decompress_bounded(&frame, 1000),
            Err(DecompressError::Limit { .. })
        ));
    }

    #[test]
    fn truncation_and_flips_do_not_pass_unseen() {
        let data: Vec<u8> = (0..5000_u32).map(|i| (i * i) as u8).collect();
        let frame = Compressor::new(3).unwrap().compress(&data).unwrap();
        for end in 0..frame.len() {
            assert!(decompress(&frame[..end], data.len()).is_err(), "{end}");
        }
        assert!(decompress(b"not zstd at all", 4).is_err());
    }
}
