//! The two checksums of transaction logs: CRC-32C for PostgreSQL, CRC-32 for the MySQL family.

use std::fmt;

use crc_fast::{CrcAlgorithm, Digest};

/// A checksum of bytes that come piece by piece.
#[derive(Clone)]
pub(crate) struct Checksum(Digest);

impl Checksum {
    /// CRC-32C (Castagnoli), as PostgreSQL's `pg_crc32c.h` has it.
    pub(crate) fn castagnoli() -> Checksum {
        Checksum(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    /// CRC-32 of zlib, which binlog events end with.
    pub(crate) fn zlib() -> Checksum {
        Checksum(Digest::new(CrcAlgorithm::Crc32IsoHdlc))
    }

    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn value(&self) -> u32 {
        // Both have 32 bits, so that nothing is cut off.
        self.0.finalize() as u32
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({:08x})", self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the catalogue of CRCs, and pieces.
    #[test]
    fn check_values() {
        for (mut sum, expected) in [
            (Checksum::castagnoli(), 0xe306_9283),
            (Checksum::zlib(), 0xcbf4_3926),
        ] {
            sum.update(b"1234");
            sum.update(b"");
            sum.update(b"56789");
            assert_eq!(sum.value(), expected);
            sum.reset();
            sum.update(b"123456789");
            assert_eq!(sum.value(), expected);
        }
    }
}
