//! The keys of who vouches for the record outside of this machine.

use super::Form::{Exact, Section as Map, Text, Word};
use super::{Section, key, section};

/// What the root says of the record.
pub(crate) static RECORD: Section = section(
    "record",
    &[key(
        "timestamps",
        Map(&TIMESTAMPS),
        "The authority that stamps the record with its time (RFC 3161), so that it cannot be written anew unseen.",
    )],
);

pub(crate) static TIMESTAMPS: Section = section(
    "timestamps",
    &[
        key(
            "authority",
            Text,
            "The authority's address: https://tsa.example.com/path. It gets the SHA-256 of a head, and nothing else.",
        ),
        key(
            "root",
            Text,
            "The file (PEM) of the roots that the authority's certificate must lead to, as the authority publishes them.",
        ),
        key(
            "every",
            Exact,
            "How much time lies between two time stamps at most; a day if not given.",
        ),
        key(
            "min_tls",
            Word(&["1.2", "1.3"]),
            "The oldest version of TLS that is spoken; 1.3 if not given.",
        ),
    ],
);
