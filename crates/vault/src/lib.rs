//! The engine: back up, restore, check, verify, copy, keys, locks.
