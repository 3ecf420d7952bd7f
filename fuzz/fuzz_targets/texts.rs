//! Short texts: times, ids, polynomials.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::{Id, Polynomial, Timestamp};

fuzz_target!(|text: &str| {
    if let Ok(time) = text.parse::<Timestamp>() {
        let written = time.to_string();
        assert_eq!(written.parse::<Timestamp>().unwrap().to_string(), written);
    }
    if let Ok(id) = text.parse::<Id>() {
        assert!(id.to_hex().eq_ignore_ascii_case(text));
    }
    if let Ok(polynomial) = text.parse::<Polynomial>() {
        assert_eq!(polynomial.to_string().parse(), Ok(polynomial));
        polynomial.is_irreducible();
    }
});
