//! Which log it is: the system it belongs to, and the stream within.

use std::fmt;

use super::encoding::{Reader, push_text};

/// A system and one of its streams, such as `shop-db` and `pitr/wal`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName {
    system: String,
    stream: String,
}

/// A text cannot name a system or a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no system or stream: a name has 1 to 255 bytes and no control characters")]
pub struct StreamNameError {
    /// The text.
    pub text: String,
}

impl StreamName {
    /// The stream `stream` of the system `system`.
    ///
    /// # Errors
    /// [`StreamNameError`] when one of them is empty, longer than 255 bytes, or holds control characters.
    pub fn new(
        system: impl Into<String>,
        stream: impl Into<String>,
    ) -> Result<StreamName, StreamNameError> {
        let (system, stream) = (system.into(), stream.into());
        for text in [&system, &stream] {
            if !(1..=255).contains(&text.len()) || text.chars().any(char::is_control) {
                return Err(StreamNameError { text: text.clone() });
            }
        }
        Ok(StreamName { system, stream })
    }

    /// The system.
    pub fn system(&self) -> &str {
        &self.system
    }

    /// The stream within the system.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    pub(super) fn push(&self, out: &mut Vec<u8>) {
        push_text(out, &self.system);
        push_text(out, &self.stream);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<StreamName> {
        let (system, stream) = (reader.text()?, reader.text()?);
        StreamName::new(system, stream).ok()
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.stream, self.system)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?}", self.stream, self.system)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_printable() {
        assert!(StreamName::new("é".repeat(127), "pitr/wal").is_ok());
        let long = "x".repeat(256);
        for bad in ["", "a\nb", "\u{85}", &long] {
            assert!(StreamName::new(bad, "s").is_err(), "{bad:?}");
            assert!(StreamName::new("s", bad).is_err(), "{bad:?}");
        }
        let name = StreamName::new("a", "b").unwrap();
        assert_eq!(name.to_string(), "b of a");
    }
}
