//! The record: Merkle log, signatures, projections.
