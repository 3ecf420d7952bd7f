//! What machines hand out to be done, and what they are told when it is done.

use vouchsafe_format::{
    BlobKind, FinishedPack, Id, IndexPack, Node, PackWriter, SealedBlob, Snapshot,
};

/// Names a job, so that its completion finds its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(crate) u64);

/// Names a pack that is stored piece by piece, as long as it has no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrowingId(pub(crate) u64);

/// Something to be done, in any order and at any time, unless the machine waits for it.
#[derive(Debug)]
pub enum Job {
    /// Needs only a processor.
    Compute(Compute),
    /// Needs a store.
    Transfer(Transfer),
}

/// Work for a processor.
#[derive(Debug)]
pub enum Compute {
    /// Hash a blob; if nobody has it yet, compress and seal it. Answered by [`Done::Blob`].
    Process {
        /// Which one.
        ticket: Ticket,
        /// What it holds.
        kind: BlobKind,
        /// Its bytes.
        blob: Blob,
    },
    /// Encode a directory, then process it as a blob. Answered by [`Done::Blob`].
    Tree {
        /// Which one.
        ticket: Ticket,
        /// Its entries, in any order.
        nodes: Vec<Node>,
    },
    /// Write a pack's header and name it. Answered by [`Done::Pack`].
    Finish {
        /// Which one.
        ticket: Ticket,
        /// The blobs.
        pack: PackWriter,
    },
    /// Encode, compress and seal an index. Answered by [`Done::File`].
    Index {
        /// Which one.
        ticket: Ticket,
        /// What it lists.
        packs: Vec<IndexPack>,
    },
    /// Encode, compress and seal a snapshot. Answered by [`Done::File`].
    Snapshot {
        /// Which one.
        ticket: Ticket,
        /// The snapshot.
        snapshot: Box<Snapshot>,
    },
    /// Open and re-hash a blob of the source, and decode it as a directory. Answered by [`Done::Tree`].
    Decode {
        /// Which one.
        ticket: Ticket,
        /// Its id.
        id: Id,
        /// Its sealed bytes.
        sealed: Vec<u8>,
        /// Bytes of its plaintext, if it is compressed.
        uncompressed_length: Option<u32>,
    },
}

impl Compute {
    /// The bytes that have to be hashed first of all.
    pub(crate) fn plaintext(&self) -> Option<&[u8]> {
        match self {
            Compute::Process {
                blob: Blob::Plain(plaintext),
                ..
            } => Some(plaintext),
            _ => None,
        }
    }
}

/// The bytes of a blob that is to be saved.
#[derive(Debug)]
pub enum Blob {
    /// As the source has them.
    Plain(Vec<u8>),
    /// As another repository has them: sealed with its key, to be re-hashed and sealed with ours.
    Stored {
        /// What the other repository calls it.
        id: Id,
        /// Its sealed bytes.
        sealed: Vec<u8>,
        /// Bytes of its plaintext, if it is compressed.
        uncompressed_length: Option<u32>,
    },
    /// As this repository has them: to be opened and re-hashed, and then stored again as they are.
    Kept {
        /// What it is called.
        id: Id,
        /// Its sealed bytes.
        sealed: Vec<u8>,
        /// Bytes of its plaintext, if it is compressed.
        uncompressed_length: Option<u32>,
    },
}

/// Work for a store.
#[derive(Debug)]
pub enum Transfer {
    /// Store an object, durably. Answered by [`Done::Stored`].
    Put {
        /// Which one.
        ticket: Ticket,
        /// What kind of object.
        object: ObjectKind,
        /// Its name.
        name: Id,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Write the next bytes of a pack that is stored piece by piece. Answered by [`Done::Written`].
    ///
    /// Of one pack only one such job, or [`Transfer::Close`], is under way at a time.
    Write {
        /// Which one.
        ticket: Ticket,
        /// The pack.
        pack: GrowingId,
        /// Its next bytes.
        bytes: Vec<u8>,
    },
    /// Write the rest of a pack and its header, name it and make it durable. Answered by [`Done::Closed`].
    Close {
        /// Which one.
        ticket: Ticket,
        /// The pack.
        pack: GrowingId,
        /// What is left of it.
        rest: PackWriter,
    },
    /// Read a part of a pack of the repository that is copied from. Answered by [`Done::Fetched`].
    Fetch {
        /// Which one.
        ticket: Ticket,
        /// The pack.
        pack: Id,
        /// First byte.
        offset: u64,
        /// How many.
        length: u64,
    },
}

/// Kinds of objects in a repository that are named by the digest of their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// Blobs.
    Pack,
    /// Where blobs are.
    Index,
    /// A point.
    Snapshot,
    /// Who works on the repository.
    Lock,
    /// The master key, wrapped.
    Key,
}

/// What was done.
#[derive(Debug)]
pub enum Done {
    /// A blob was hashed, and sealed if it is new.
    Blob {
        /// Which one.
        ticket: Ticket,
        /// Its id.
        id: Id,
        /// Bytes of its plaintext.
        length: u64,
        /// What to store; nothing if it is known already.
        fresh: Option<SealedBlob>,
    },
    /// A directory of the source was decoded.
    Tree {
        /// Which one.
        ticket: Ticket,
        /// Its entries.
        nodes: Vec<Node>,
    },
    /// A pack was named.
    Pack {
        /// Which one.
        ticket: Ticket,
        /// The pack.
        pack: FinishedPack,
    },
    /// An index or a snapshot was sealed.
    File {
        /// Which one.
        ticket: Ticket,
        /// Its name.
        name: Id,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// An object is durable.
    Stored {
        /// Which one.
        ticket: Ticket,
    },
    /// A part of a pack was written; it is not durable yet.
    Written {
        /// Which one.
        ticket: Ticket,
    },
    /// A pack was written to its end, and is durable.
    Closed {
        /// Which one.
        ticket: Ticket,
        /// The pack.
        pack: IndexPack,
        /// All its bytes.
        bytes: u64,
    },
    /// A part of a pack was read.
    Fetched {
        /// Which one.
        ticket: Ticket,
        /// The bytes.
        bytes: Vec<u8>,
    },
}
