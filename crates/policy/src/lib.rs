//! The policy file with its places, and the pure deciders over it.
