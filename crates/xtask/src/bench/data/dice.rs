//! The seeded generator from which all data of the benchmark follows.

/// Splitmix64: equal seeds give equal sequences on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Dice {
    /// The sequence named by `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A sequence of its own for the `index`th thing of `seed`.
    pub(crate) fn of(seed: u64, index: u64) -> Self {
        Self(mix(seed ^ mix(index.wrapping_add(STEP))))
    }

    /// Any number.
    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number from 0 to `limit` - 1; 0 if the limit is 0.
    #[inline]
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // The high half of the product: without division, and even enough for data.
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// An index into something of this length.
    #[inline]
    pub(crate) fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// True in `percent` of 100 cases.
    #[inline]
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A fraction from 0 to just below 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About a standard normal number: the sum of twelve fractions, moved to zero.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.fraction()).sum::<f64>() - 6.0
    }

    /// A size of log-normal spread around `median`, kept from `least` to `most`.
    pub(crate) fn size(&mut self, median: f64, sigma: f64, least: u64, most: u64) -> u64 {
        let size = median * (self.normal() * sigma).exp();
        (size as u64).clamp(least, most)
    }

    /// An index below `length` of which small ones are likelier: the `k`th comes with a weight of 1/k.
    pub(crate) fn skewed(&mut self, length: usize) -> usize {
        let at = (self.fraction() * (length as f64).ln()).exp() as usize;
        at.saturating_sub(1).min(length.saturating_sub(1))
    }

    /// Bytes that do not compress.
    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        let mut words = out.chunks_exact_mut(8);
        for word in &mut words {
            word.copy_from_slice(&self.next().to_le_bytes());
        }
        let rest = words.into_remainder();
        let last = self.next().to_le_bytes();
        for (to, from) in rest.iter_mut().zip(last) {
            *to = from;
        }
    }
}

#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_agree_and_others_do_not() {
        let first = |mut dice: Dice| [dice.next(), dice.next()];
        assert_eq!(first(Dice::new(3)), first(Dice::new(3)));
        assert_eq!(first(Dice::of(3, 9)), first(Dice::of(3, 9)));
        assert_ne!(first(Dice::new(3)), first(Dice::new(4)));
        assert_ne!(first(Dice::of(3, 9)), first(Dice::of(3, 10)));
        assert_ne!(first(Dice::of(3, 9)), first(Dice::of(9, 3)));
    }

    #[test]
    fn every_throw_keeps_within_its_limits() {
        let mut dice = Dice::new(1);
        for limit in [1, 2, 7, 1000] {
            assert!((0..1000).all(|_| dice.below(limit) < limit));
        }
        assert_eq!((dice.below(0), dice.skewed(0), dice.skewed(1)), (0, 0, 0));
        assert!((0..1000).all(|_| dice.skewed(10) < 10));
        assert!((0..1000).all(|_| (5..=9).contains(&dice.size(7.0, 3.0, 5, 9))));
        let mean = (0..4000).map(|_| dice.normal()).sum::<f64>() / 4000.0;
        assert!(mean.abs() < 0.1, "{mean}");
    }

    #[test]
    fn all_of_a_buffer_is_filled() {
        for length in [0, 1, 7, 8, 9, 4096] {
            let mut bytes = vec![0; length];
            Dice::new(5).fill(&mut bytes);
            assert!(length < 9 || bytes.iter().rev().take(9).any(|byte| *byte != 0));
        }
    }
}
