//! The sum of digests, in which their order does not matter.

/// The digest of one row, and the sum of several in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum([u64; 4]);

impl Sum {
    /// Adds a digest as a 256-bit little-endian number, modulo 2^256.
    pub(crate) fn add(&mut self, digest: [u8; 32]) {
        let mut carry = false;
        for (limb, bytes) in self.0.iter_mut().zip(digest.chunks_exact(8)) {
            let other = bytes
                .iter()
                .rev()
                .fold(0_u64, |n, b| (n << 8) | u64::from(*b));
            let (sum, over) = limb.overflowing_add(other);
            let (sum, over_by_carry) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = over || over_by_carry;
        }
    }

    /// Lower hex, lowest byte first.
    pub(crate) fn to_hex(self) -> String {
        hex::encode(self.0.map(u64::to_le_bytes).concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_carries_and_wraps() {
        let mut sum = Sum::default();
        sum.add([0xff; 32]);
        let mut one = [0; 32];
        one[0] = 1;
        sum.add(one);
        assert_eq!(sum, Sum::default());
        sum.add(one);
        assert!(sum.to_hex().starts_with("0100"));
    }
}
