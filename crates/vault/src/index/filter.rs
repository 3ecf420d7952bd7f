//! Which keys are surely absent: a Bloom filter in blocks of 64 bytes, so that a question costs one look at memory.

/// Ten bits for each key: of a hundred absent keys about one seems to be there.
#[derive(Debug, Default)]
pub(super) struct Filter {
    words: Vec<u64>,
}

/// Words in a block.
const BLOCK: usize = 8;
const BITS_PER_KEY: u64 = 10;
/// Bits that are set for each key.
const PROBES: u32 = 7;

impl Filter {
    pub(super) fn for_keys(count: u64) -> Filter {
        let blocks = (count * BITS_PER_KEY).div_ceil(BLOCK as u64 * 64).max(1);
        Filter {
            words: vec![0; blocks as usize * BLOCK],
        }
    }

    /// The filter that was saved as these words; their number must be that of whole blocks.
    pub(super) fn from_words(words: Vec<u64>) -> Option<Filter> {
        (!words.is_empty() && words.len().is_multiple_of(BLOCK)).then_some(Filter { words })
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    pub(super) fn insert(&mut self, key: u64) {
        let block = self.block(key);
        for bit in bits(key) {
            if let Some(word) = self.words.get_mut(block + bit / 64) {
                *word |= 1 << (bit % 64);
            }
        }
    }

    /// Whether the key may be there; false is certain.
    pub(super) fn may_hold(&self, key: u64) -> bool {
        let block = self.block(key);
        bits(key).all(|bit| {
            let word = self.words.get(block + bit / 64);
            word.is_none_or(|word| word & (1 << (bit % 64)) != 0)
        })
    }

    /// Rises with the key, so that sorted keys fill the filter from its beginning to its end.
    fn block(&self, key: u64) -> usize {
        let blocks = (self.words.len() / BLOCK) as u128;
        ((u128::from(key) * blocks) >> 64) as usize * BLOCK
    }
}

/// The places of a key's bits in its block.
fn bits(key: u64) -> impl Iterator<Item = usize> {
    // Keys that share a block differ in their low bits only: stir these into all.
    let mut mixed = (key ^ (key >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 29;
    mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (0..PROBES).map(move |probe| (mixed >> (probe * 9)) as usize % (BLOCK * 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_format::Id;

    fn keys(name: &str) -> impl Iterator<Item = u64> {
        (0..100_000).map(move |n| {
            super::super::record::key_of(Id::of(format!("{name}{n}").as_bytes()).as_bytes())
        })
    }

    #[test]
    fn what_is_there_is_never_denied_and_little_else_is_believed() {
        let mut filter = Filter::for_keys(100_000);
        assert!(!keys("a").any(|key| filter.may_hold(key)));
        keys("a").for_each(|key| filter.insert(key));
        assert!(keys("a").all(|key| filter.may_hold(key)));
        let believed = keys("b").filter(|key| filter.may_hold(*key)).count();
        assert!(believed < 2_000, "{believed} of 100000");
        let again = Filter::from_words(filter.words().to_vec()).unwrap();
        assert!(keys("a").all(|key| again.may_hold(key)));
        assert!(Filter::from_words(vec![0; 7]).is_none());
    }
}
