//! The contract between sources and vaults.
