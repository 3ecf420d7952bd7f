//! The bytes of the restic repository format, version 2, and of log fragments, as pure functions.
//!
//! Nothing here reads a file, a clock or a source of randomness: random bytes
//! and times are arguments, results are values. No function panics, whatever
//! bytes it is given. The format itself is described in restic's `design.rst`,
//! that of log fragments in `docs/format.md`.

pub mod blob;
pub mod chunker;
pub mod compress;
pub mod config;
pub mod crypto;
pub mod fragment;
pub mod gojson;
pub mod id;
pub mod index;
pub mod key;
pub mod lock;
pub mod node;
pub mod opener;
pub mod pack;
pub mod polynomial;
mod printable;
pub mod prove;
pub mod quote;
pub mod references;
pub mod snapshot;
pub mod timestamp;
pub mod tree;
pub mod unpacked;

pub use blob::{
    BlobError, BlobKind, SealError, SealedBlob, open_blob, seal_blob, seal_blob_append,
};
pub use chunker::{Chunker, Cut};
pub use compress::{CompressError, Compressor, DecompressError, Decompressor, decompress};
pub use config::{Config, ConfigError};
pub use crypto::{CryptoError, MasterKey, OVERHEAD};
pub use id::{Id, IdError};
pub use index::{IndexError, IndexPack, decode_index, encode_index, write_index};
pub use key::{KdfParams, KeyError, KeyFile, create_key_file, open_key_file};
pub use lock::{LockError, LockFile};
pub use node::{Node, NodeKind, Spelling, Xattr, go_mode_from_unix, unix_mode_from_go};
pub use opener::{IdBuilder, Opener, Sealed, count_together};
pub use pack::{
    FinishedPack, PackError, PackRest, PackWriter, PackedBlob, header_length, parse_header,
};
pub use polynomial::{Polynomial, PolynomialError};
pub use prove::{Checksum, Prover};
pub use references::{References, decode_references};
pub use snapshot::{Snapshot, SnapshotError, SnapshotSummary};
pub use timestamp::{Timestamp, TimestampError};
pub use tree::{TreeError, decode_tree, encode_tree};
pub use unpacked::{UnpackedError, decode_unpacked, encode_unpacked, seal_unpacked};
