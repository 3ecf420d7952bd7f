//! Trees of files: writing a part of a point out, and comparing it with what is on disk.

mod batch;
mod compare;
mod metadata;
mod open_files;
mod ours;
mod restore;
mod scope;
mod structure;
mod unchanged;
mod writing;

pub(crate) use compare::compare;
pub(crate) use metadata::Metadata;
pub(crate) use ours::Ours;
pub(crate) use restore::restore;
pub(crate) use scope::Scope;
