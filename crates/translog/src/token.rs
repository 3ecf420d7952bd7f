//! Tokens that are committed into a database's log, so that a copy of the log can be shown to have no hole.

use std::fmt;

use sha2::{Digest, Sha256};
use vouchsafe_model::Time;

/// The prefix of the messages that carry tokens.
pub const PREFIX: &str = "vouchsafe";

/// Most bytes of a token's text.
pub const LONGEST: usize = 160;

/// One token of a chain. Each names the one before it by its digest, so that none can be taken out unseen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Which chain: random, so that two that write into one log do not meet.
    pub chain: [u8; 8],
    /// Its place in the chain, from 0.
    pub sequence: u64,
    /// When it was made, by the clock of whoever made it.
    pub time: Time,
    /// SHA-256 of the text of the token before it; zeros for the first.
    pub previous: [u8; 32],
}

/// What is wrong between tokens of one chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Tokens are missing, or come in another order.
    #[error("after token {after} of the chain {} comes token {found}", hex(chain))]
    Order {
        /// The chain.
        chain: [u8; 8],
        /// The last one that fits.
        after: u64,
        /// The one that was found next.
        found: u64,
    },
    /// A token does not name the one before it.
    #[error(
        "token {sequence} of the chain {} does not follow the one before it",
        hex(chain)
    )]
    Previous {
        /// The chain.
        chain: [u8; 8],
        /// Its place.
        sequence: u64,
    },
}

impl Token {
    /// The first of a chain.
    pub fn first(chain: [u8; 8], time: Time) -> Token {
        Token {
            chain,
            sequence: 0,
            time,
            previous: [0; 32],
        }
    }

    /// The one after this.
    pub fn next(&self, time: Time) -> Token {
        Token {
            chain: self.chain,
            sequence: self.sequence.saturating_add(1),
            time,
            previous: self.digest(),
        }
    }

    /// The text as it is committed: `1 CHAIN SEQUENCE TIME PREVIOUS` on one line of ASCII, chain and digest in lower hex,
    /// the time in microseconds since 1970-01-01T00:00:00Z.
    pub fn text(&self) -> String {
        format!(
            "1 {} {} {} {}",
            hex(&self.chain),
            self.sequence,
            self.time.micros(),
            hex(&self.previous)
        )
    }

    /// Reads such a text; nothing if it is none. Every token has one text.
    pub fn parse(text: &[u8]) -> Option<Token> {
        let text = std::str::from_utf8(text.get(..text.len().min(LONGEST + 1))?).ok()?;
        let mut words = text.split(' ');
        if words.next()? != "1" {
            return None;
        }
        let chain = unhex(words.next()?)?;
        let sequence = words.next()?.parse().ok()?;
        let time = Time::from_micros(words.next()?.parse().ok()?);
        let token = Token {
            chain,
            sequence,
            time,
            previous: unhex(words.next()?)?,
        };
        (words.next().is_none() && token.text() == text).then_some(token)
    }

    /// By which the next token names this one: SHA-256 of its text.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.text().as_bytes()).into()
    }

    /// That this is the token right after `before`, or the very same once more: one whose answer was lost is sent again.
    ///
    /// # Errors
    /// [`TokenError`] if something is missing between them.
    pub fn follows(&self, before: &Token) -> Result<(), TokenError> {
        let chain = self.chain;
        if self == before {
            return Ok(());
        }
        if self.sequence != before.sequence.saturating_add(1) || chain != before.chain {
            return Err(TokenError::Order {
                chain,
                after: before.sequence,
                found: self.sequence,
            });
        }
        if self.previous != before.digest() {
            return Err(TokenError::Previous {
                chain,
                sequence: self.sequence,
            });
        }
        Ok(())
    }
}

/// The last token in bytes that hold texts of tokens among others, each after the word of [`PREFIX`] and a space: where
/// a log has no messages, a token is written to a table, and stands in a statement or a row. A row that is written over
/// has the old one first.
pub fn last_in(bytes: &[u8]) -> Option<Token> {
    let marks = PREFIX.len() + 1;
    let mut found = None;
    for (at, window) in bytes.windows(marks).enumerate() {
        if window.strip_prefix(PREFIX.as_bytes()) == Some(b" ") {
            let rest = bytes.get(at + marks..).unwrap_or_default();
            found = beginning(rest).or(found);
        }
    }
    found
}

/// A token at the beginning of longer bytes: its last word has a known length.
fn beginning(bytes: &[u8]) -> Option<Token> {
    const DIGEST: usize = 64;
    let bytes = bytes.get(..LONGEST.min(bytes.len()))?;
    let mut spaces = bytes.iter().enumerate().filter(|(_, b)| **b == b' ');
    let (last, _) = spaces.nth(3)?;
    Token::parse(bytes.get(..last + 1 + DIGEST)?)
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(micros: i64) -> Time {
        Time::from_micros(micros)
    }

    #[test]
    fn a_token_is_what_its_text_says() {
        let first = Token::first([0xAB, 0, 1, 2, 3, 4, 5, 6], at(1_700_000_000_000_001));
        let zeros = "0".repeat(64);
        assert_eq!(
            first.text(),
            format!("1 ab00010203040506 0 1700000000000001 {zeros}")
        );
        let second = first.next(at(1_700_000_005_000_000));
        assert_eq!(Token::parse(second.text().as_bytes()), Some(second.clone()));
        assert_eq!(second.previous, first.digest());
        assert!(second.text().len() <= LONGEST);
    }

    #[test]
    fn what_is_missing_swapped_or_changed_between_tokens_is_seen() {
        let zero = Token::first([7; 8], at(1));
        let one = zero.next(at(2));
        let two = one.next(at(3));
        assert_eq!(one.follows(&zero), Ok(()));
        assert_eq!(one.follows(&one), Ok(()));
        assert!(matches!(
            two.follows(&zero),
            Err(TokenError::Order { found: 2, .. })
        ));
        assert!(matches!(zero.follows(&one), Err(TokenError::Order { .. })));
        let forged = Token {
            time: at(9),
            ..one.clone()
        };
        assert!(matches!(
            two.follows(&forged),
            Err(TokenError::Previous { sequence: 2, .. })
        ));
        assert!(matches!(
            forged.follows(&one),
            Err(TokenError::Order { .. })
        ));
        let other = Token {
            chain: [8; 8],
            ..one.clone()
        };
        assert!(other.follows(&zero).is_err());
    }

    #[test]
    fn other_texts_are_no_tokens() {
        let good = Token::first([1; 8], at(5)).text();
        for bad in [
            String::new(),
            "1".to_owned(),
            good.to_uppercase().replace('1', "a"),
            good.replacen('1', "2", 1),
            format!("{good} "),
            format!("{good} x"),
            format!("{good}\n"),
            good.replacen(" 0 ", " 00 ", 1),
            good.replacen(" 5 ", " +5 ", 1),
            good.replace("0101", "01g1"),
            good.replacen("01", "0", 1),
        ] {
            assert_eq!(Token::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_texts_are_survived(text in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(token) = Token::parse(&text) {
                prop_assert_eq!(token.text().into_bytes(), text);
            }
        }

        #[test]
        fn tokens_round_trip(chain in any::<[u8; 8]>(), sequence in any::<u64>(), micros in 0_i64..1 << 52, previous in any::<[u8; 32]>()) {
            let token = Token { chain, sequence, time: at(micros), previous };
            prop_assert_eq!(Token::parse(token.text().as_bytes()), Some(token));
        }
    }

    #[test]
    fn tokens_are_found_among_other_bytes_and_the_last_one_counts() {
        let first = Token::first([3; 8], Time::from_micros(17));
        let second = first.next(Time::from_micros(1_700_000_000_000_018));
        let written = |token: &Token| format!("{PREFIX} {token}");
        let statement = format!("UPDATE t SET x = '{}' WHERE y = 'z'", written(&first));
        assert_eq!(last_in(statement.as_bytes()), Some(first.clone()));
        let row = [
            b"\xfc\x10",
            written(&first).as_bytes(),
            b"\xfc\x10",
            written(&second).as_bytes(),
        ]
        .concat();
        assert_eq!(last_in(&row), Some(second.clone()));
        // A hexadecimal digit behind it is not part of it.
        assert_eq!(
            last_in(format!("{}0", written(&second)).as_bytes()),
            Some(second.clone())
        );
        let text = written(&second);
        for end in 0..text.len() {
            assert_eq!(last_in(&text.as_bytes()[..end]), None);
        }
        assert_eq!(last_in(b"vouchsafe 1 2 3 4 5"), None);
    }
}
