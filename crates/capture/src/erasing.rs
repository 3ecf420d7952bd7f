//! Erasing subjects in what was restored.

use vouchsafe_model::{ErasedSubject, ErasureRule};

/// Whom to erase, and how.
#[derive(Clone, Copy, Debug)]
pub struct Erasing<'a> {
    /// How a subject is found and erased.
    pub rule: &'a ErasureRule,
    /// Everybody who must be gone afterwards.
    pub subjects: &'a [ErasedSubject],
    /// Whether one who is there is left in, to see whether they are found: for a negative control.
    pub spare: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// How many of the subjects were there.
    pub found: u64,
    /// The lines of the register of those who are still found afterwards, one who was left in too.
    pub left: Vec<u64>,
    /// Who was left in; nobody if nobody was there, or none was to be.
    pub spared: Option<Spared>,
}

/// Who was left in on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spared {
    /// A subject of the register; whether they are found shows in [`Erased::left`].
    OfTheRegister,
    /// Somebody else who is in the data.
    Somebody {
        /// Whether they were found.
        found: bool,
    },
}

impl Erased {
    /// How many are found who should be gone, one who was left in included.
    pub fn remaining(&self) -> u64 {
        let somebody = matches!(self.spared, Some(Spared::Somebody { found: true }));
        self.left.len() as u64 + u64::from(somebody)
    }
}
