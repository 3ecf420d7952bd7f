//! Signed heads: what the tree was at a size, in the C2SP checkpoint and signed-note forms.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use signed_note::{Note, NoteError, Signature};
use tlog_tiles::checkpoint::Checkpoint;

use crate::key::{SigningKey, VerifyingKey};
use crate::keys::Keys;
use crate::merkle::TreeHash;

/// A head that this key has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// Whose: `vouchsafe/<ledger id>`.
    pub origin: String,
    /// How many entries it covers.
    pub size: u64,
    /// The root over them.
    pub root: TreeHash,
    /// The signed note: origin, size, root in base64, an empty line, signatures.
    pub note: String,
}

/// A text that is not a head of the ledger with this key.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// Not a signed note that holds a checkpoint.
    #[error("this is not a signed head: {shown}")]
    Malformed {
        /// The first line.
        shown: String,
    },
    /// Another key signed it, or nobody.
    #[error("the head of `{origin}` at {size} is not signed by {key}")]
    OtherKey {
        /// The origin that it names.
        origin: String,
        /// The size that it names.
        size: u64,
        /// The key that it was checked with.
        key: String,
    },
    /// It says that this key signed it, and that is not so.
    #[error("the head of `{origin}` at {size} carries a forged signature of {key}")]
    Forged {
        /// The origin that it names.
        origin: String,
        /// The size that it names.
        size: u64,
        /// The key that it was checked with.
        key: String,
    },
}

/// How a head found elsewhere stands to this ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadRelation {
    /// The same size and root.
    Equal,
    /// This ledger had that root at that size, and has gone on.
    Earlier,
    /// It covers more entries than this ledger has; whether it goes on from this ledger is not known.
    Longer,
}

impl SignedHead {
    /// Signs the head of a tree.
    pub fn sign(key: &SigningKey, size: u64, root: TreeHash) -> SignedHead {
        let signature = sign_size(key, size, root);
        SignedHead::assemble(key.public(), size, root, &signature)
    }

    /// Reads a note, and accepts it only if `key` signed it; signatures by others do no harm.
    pub fn parse(note: &str, key: &VerifyingKey) -> Result<SignedHead, HeadError> {
        let malformed = || HeadError::Malformed {
            shown: note
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(80)
                .collect(),
        };
        let parsed = Note::from_bytes(note.as_bytes()).map_err(|_| malformed())?;
        let (origin, size, root) = head_in(&parsed).ok_or_else(malformed)?;
        let key_text = || key.to_string();
        match parsed.verify(key) {
            Ok(_) if origin == key.origin() => Ok(SignedHead {
                origin,
                size,
                root,
                note: note.to_owned(),
            }),
            Err(NoteError::InvalidSignature { .. }) => Err(HeadError::Forged {
                origin,
                size,
                key: key_text(),
            }),
            _ => Err(HeadError::OtherKey {
                origin,
                size,
                key: key_text(),
            }),
        }
    }

    /// Reads a note, and accepts it only if the key that signs heads of its size signed it.
    pub fn parse_by(note: &str, keys: &Keys) -> Result<SignedHead, HeadError> {
        let size = SignedHead::peek(note).map_or(0, |(_, size)| size);
        SignedHead::parse(note, keys.at(size))
    }

    /// The origin and the size that a note names, without any check of who signed it.
    pub fn peek(note: &str) -> Option<(String, u64)> {
        let parsed = Note::from_bytes(note.as_bytes()).ok()?;
        head_in(&parsed).map(|(origin, size, _)| (origin, size))
    }

    /// The note that a stored signature belongs to.
    pub(crate) fn assemble(
        key: &VerifyingKey,
        size: u64,
        root: TreeHash,
        signature: &[u8],
    ) -> SignedHead {
        let text = checkpoint_text(key.origin(), size, root);
        let line = Signature::new(key.origin().to_owned(), key.note_id(), signature.to_vec())
            .map(|s| s.to_bytes())
            .unwrap_or_default();
        SignedHead {
            origin: key.origin().to_owned(),
            size,
            root,
            note: format!("{text}\n{}", String::from_utf8_lossy(&line)),
        }
    }
}

/// The 64 bytes of the signature on the head at `size`.
pub(crate) fn sign_size(key: &SigningKey, size: u64, root: TreeHash) -> [u8; 64] {
    key.sign(checkpoint_text(key.public().origin(), size, root).as_bytes())
}

/// Whether `signature` is the key's on the head at `size`.
pub(crate) fn accepts_size(
    key: &VerifyingKey,
    size: u64,
    root: TreeHash,
    signature: &[u8],
) -> bool {
    key.accepts(
        checkpoint_text(key.origin(), size, root).as_bytes(),
        signature,
    )
}

/// Origin, size and root of a note that holds a head.
pub(crate) fn head_in(note: &Note) -> Option<(String, u64, TreeHash)> {
    let found = Checkpoint::from_bytes(note.text()).ok()?;
    let root = TreeHash(found.hash().0);
    Some((found.origin().to_owned(), found.size(), root))
}

pub(crate) fn checkpoint_text(origin: &str, size: u64, root: TreeHash) -> String {
    let mut text = String::with_capacity(origin.len() + 72);
    text.push_str(origin);
    text.push('\n');
    text.push_str(&size.to_string());
    text.push('\n');
    BASE64_STANDARD.encode_string(root.0, &mut text);
    text.push('\n');
    text
}
