//! The data of the benchmark: seeded, so that every machine measures the same bytes.

mod change;
mod content;
mod dice;
mod plan;
mod words;
mod write;

pub(crate) use change::Change;
pub(crate) use plan::{Plan, Size};
pub(crate) use words::Words;
pub(crate) use write::{Set, at, stamp_again, unstamp};

#[cfg(test)]
mod tests;
