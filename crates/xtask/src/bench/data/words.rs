//! A made-up vocabulary: words of syllables, the first ones far more frequent than the last, as in any language.

use super::dice::Dice;

/// Words by rank, and a table that draws them by Zipf's law with one step.
pub(crate) struct Words {
    text: Vec<Box<[u8]>>,
    draw: Vec<u16>,
}

const COUNT: usize = 12_000;
const TABLE: usize = 1 << 16;
/// The vocabulary is the same for every seed of the data.
const SEED: u64 = 0x5EED_0F70_4DE5;

const ONSETS: &[&str] = &[
    "b", "br", "c", "ch", "cl", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "l", "m", "n", "p",
    "pl", "pr", "qu", "r", "s", "sh", "sp", "st", "str", "t", "th", "tr", "v", "w", "",
];
const NUCLEI: &[&str] = &["a", "e", "i", "o", "u", "ea", "ie", "ou", "ai", "oo"];
const CODAS: &[&str] = &[
    "", "", "", "n", "r", "s", "t", "l", "nd", "ng", "st", "ck", "m", "rd", "ss", "x",
];

impl Words {
    /// The vocabulary.
    pub(crate) fn new() -> Self {
        let mut dice = Dice::new(SEED);
        let text = (0..COUNT).map(|rank| word(&mut dice, rank)).collect();
        let draw = (0..TABLE).map(|_| dice.skewed(COUNT) as u16).collect();
        Self { text, draw }
    }

    /// A word, frequent ones often.
    #[inline]
    pub(crate) fn draw(&self, dice: &mut Dice) -> &[u8] {
        let rank = self
            .draw
            .get(dice.index(TABLE))
            .copied()
            .unwrap_or_default();
        self.at(usize::from(rank))
    }

    /// The word of this rank, counted around.
    #[inline]
    pub(crate) fn at(&self, rank: usize) -> &[u8] {
        self.text.get(rank % COUNT).map_or(b"", |word| word)
    }

    /// Any word as text, all equally likely, for names.
    pub(crate) fn name(&self, dice: &mut Dice) -> String {
        String::from_utf8_lossy(self.at(dice.index(COUNT))).into_owned()
    }
}

/// Frequent words are short.
fn word(dice: &mut Dice, rank: usize) -> Box<[u8]> {
    let syllables = match rank {
        0..120 => 1,
        120..3000 => 2,
        _ => 2 + dice.below(2),
    };
    let mut text = String::new();
    for _ in 0..syllables {
        for parts in [ONSETS, NUCLEI, CODAS] {
            text.push_str(parts.get(dice.index(parts.len())).copied().unwrap_or("a"));
        }
    }
    text.into_bytes().into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_words_come_often_and_rare_ones_come() {
        let words = Words::new();
        let mut dice = Dice::new(1);
        let first = words.at(0).to_vec();
        let drawn: Vec<Vec<u8>> = (0..20_000)
            .map(|_| words.draw(&mut dice).to_vec())
            .collect();
        let often = drawn.iter().filter(|word| **word == first).count();
        assert!((500..4000).contains(&often), "{often}");
        let distinct: std::collections::BTreeSet<_> = drawn.iter().collect();
        assert!(distinct.len() > 3000, "{}", distinct.len());
        assert!(drawn.iter().all(|word| !word.is_empty()));
    }
}
