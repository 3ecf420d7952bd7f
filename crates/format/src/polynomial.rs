//! Polynomials over GF(2): the secret by which a repository cuts files into chunks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A polynomial over GF(2); bit `i` is the coefficient of `x^i`.
///
/// Written as lower-case hexadecimal without leading zeros.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct Polynomial(u64);

/// The text is no polynomial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a polynomial is written as 1 to 16 hexadecimal digits")]
pub struct PolynomialError;

impl Polynomial {
    /// A random irreducible polynomial of degree 53.
    ///
    /// `candidates` yields uniformly random numbers; some 27 are drawn on average.
    /// A generator that keeps failing (stuck at one value) is not asked for ever:
    /// after 10,000 draws the next larger irreducible polynomial is taken.
    pub fn from_random(mut candidates: impl FnMut() -> u64) -> Polynomial {
        let mut last = 0;
        for _ in 0..10_000 {
            last = as_candidate(candidates());
            if Polynomial(last).is_irreducible() {
                return Polynomial(last);
            }
        }
        loop {
            last = as_candidate(last.wrapping_add(2));
            if Polynomial(last).is_irreducible() {
                return Polynomial(last);
            }
        }
    }

    /// The polynomial with these coefficients.
    pub const fn from_bits(bits: u64) -> Polynomial {
        Polynomial(bits)
    }

    /// The coefficients.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The highest power with a coefficient; `None` for the zero polynomial.
    pub const fn degree(self) -> Option<u32> {
        self.0.checked_ilog2()
    }

    /// Whether no polynomial of lower degree, but the constant, divides this one.
    ///
    /// Constants (degree 0, and zero) are not irreducible.
    pub fn is_irreducible(self) -> bool {
        let Some(degree) = self.degree() else {
            return false;
        };
        if degree == 0 {
            return false;
        }
        // Ben-Or: no common factor with x^(2^i) - x for i up to half the degree.
        let mut power = reduce(0b10, self.0);
        for _ in 0..degree / 2 {
            power = multiply_mod(power, power, self.0);
            if greatest_common_divisor(self.0, power ^ reduce(0b10, self.0)) != 1 {
                return false;
            }
        }
        true
    }
}

impl fmt::Display for Polynomial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// Hidden: the polynomial is a secret of the repository.
impl fmt::Debug for Polynomial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Polynomial(..)")
    }
}

impl FromStr for Polynomial {
    type Err = PolynomialError;

    fn from_str(text: &str) -> Result<Polynomial, PolynomialError> {
        if text.is_empty() || text.len() > 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(PolynomialError);
        }
        u64::from_str_radix(text, 16)
            .map(Polynomial)
            .map_err(|_| PolynomialError)
    }
}

impl Serialize for Polynomial {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Polynomial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Polynomial, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// `value` modulo `modulus`; the value itself for a zero modulus.
pub(crate) fn reduce(mut value: u64, modulus: u64) -> u64 {
    let Some(degree) = modulus.checked_ilog2() else {
        return value;
    };
    while let Some(top) = value.checked_ilog2().filter(|top| *top >= degree) {
        value ^= modulus << (top - degree);
    }
    value
}

/// `a * b` modulo `modulus`, whose degree is at most 63.
fn multiply_mod(a: u64, mut b: u64, modulus: u64) -> u64 {
    let top = 1 << modulus.checked_ilog2().unwrap_or_default();
    let mut a = reduce(a, modulus);
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        b >>= 1;
        // The bit that leaves a degree-63 product is the modulus' own top bit.
        let carry = a & (top >> 1) != 0;
        a <<= 1;
        if carry {
            a ^= modulus;
        }
    }
    reduce(product, modulus)
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, reduce(a, b));
    }
    a
}

/// Degree 53, and not divisible by x.
fn as_candidate(bits: u64) -> u64 {
    (bits & ((1 << 54) - 1)) | (1 << 53) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The polynomial of the public test vectors of restic's chunker.
    const KNOWN: u64 = 0x3D_A335_8B4D_C173;

    #[test]
    fn known_polynomials_are_judged_rightly() {
        for (bits, irreducible) in [
            (KNOWN, true),
            (KNOWN ^ 2, false),
            (0, false),
            (1, false),
            (0b10, true),
            (0b11, true),
            (0b111, true),
            (0b101, false),
            (0b1011, true),
            (0x11b, true),
            (0x11a, false),
            (u64::MAX, false),
        ] {
            assert_eq!(Polynomial(bits).is_irreducible(), irreducible, "{bits:x}");
        }
    }

    #[test]
    fn small_ones_agree_with_trial_division() {
        for bits in 2..2048_u64 {
            let divisible = (2..bits)
                .any(|d| d.ilog2() < bits.ilog2() && d.ilog2() > 0 && reduce(bits, d) == 0);
            assert_eq!(Polynomial(bits).is_irreducible(), !divisible, "{bits:b}");
        }
    }

    #[test]
    fn random_ones_have_degree_53() {
        let mut state = 1_u64;
        let polynomial = Polynomial::from_random(|| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            state
        });
        assert_eq!(polynomial.degree(), Some(53));
        assert!(polynomial.is_irreducible());
        let stuck = Polynomial::from_random(|| 0);
        assert!(stuck.is_irreducible() && stuck.degree() == Some(53));
    }

    #[test]
    fn text_round_trips_and_damage_is_refused() {
        assert_eq!("3da3358b4dc173".parse(), Ok(Polynomial(KNOWN)));
        assert_eq!(Polynomial(KNOWN).to_string(), "3da3358b4dc173");
        for bad in ["", "+3", "g", "0x3", "11112222333344445"] {
            assert_eq!(bad.parse::<Polynomial>(), Err(PolynomialError), "{bad}");
        }
    }
}
