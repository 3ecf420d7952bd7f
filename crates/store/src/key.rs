//! The name of an object in a store.

use std::fmt;
use std::str::FromStr;

/// A relative path such as `data/4a/4ac0`, safe on every kind of store.
///
/// Parts are separated by `/`, at most 255 bytes long, made of ASCII letters, digits, `-`, `_`, `.`
/// and `=`, and do not begin with `.`. The whole is at most 1024 bytes long.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} cannot name an object: {reason}")]
pub struct KeyError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Bytes in a whole key; the limit of S3.
const LONGEST_KEY: usize = 1024;
/// Bytes in one part; the limit of usual file systems.
const LONGEST_PART: usize = 255;

impl Key {
    /// Checks and takes a text.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let text = text.into();
        match fault_of(&text) {
            None => Ok(Self(text)),
            Some(reason) => Err(KeyError { text, reason }),
        }
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// This key with further parts after it.
    pub fn join(&self, rest: &str) -> Result<Self, KeyError> {
        Self::new(format!("{}/{rest}", self.0))
    }

    /// What is left of this key below `parent`, if it is below it.
    pub fn below(&self, parent: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(&parent.0)?.strip_prefix('/')?;
        Self::new(rest).ok()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

impl TryFrom<&str> for Key {
    type Error = KeyError;

    fn try_from(text: &str) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

/// Whether a text can be one part of a key.
pub(crate) fn is_part(part: &str) -> bool {
    part_fault(part).is_none()
}

fn fault_of(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > LONGEST_KEY {
        return Some("it is longer than 1024 bytes");
    }
    text.split('/').find_map(part_fault)
}

fn part_fault(part: &str) -> Option<&'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte);
    if part.is_empty() {
        Some("it has an empty part")
    } else if part.len() > LONGEST_PART {
        Some("it has a part longer than 255 bytes")
    } else if part.starts_with('.') {
        Some("it has a part that begins with a dot")
    } else if !part.bytes().all(allowed) {
        Some("it has a character other than ASCII letters, digits, `-`, `_`, `.` and `=`")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_leave_the_store_or_hide_in_it_is_refused() {
        for bad in [
            "", "/", "/a", "a/", "a//b", "..", "a/../b", ".", "a/./b", ".hidden", "a/.tmp", "a b",
            "a\0", "ä", "a\\b", "a+b", "a:b", "C:/x", "a\n",
        ] {
            assert!(Key::new(bad).is_err(), "{bad:?} was taken");
        }
        assert!(Key::new("p".repeat(256)).is_err());
        assert!(Key::new(vec!["part"; 300].join("/")).is_err());
    }

    #[test]
    fn names_of_repositories_and_logs_are_taken() {
        for good in [
            "config",
            "data/4a/4ac0ffee",
            "tile/0/x001/067",
            "a..b",
            "head=12_x-y.json",
        ] {
            assert_eq!(Key::new(good).expect(good).as_str(), good);
        }
    }

    #[test]
    fn joining_and_taking_off_a_parent_are_inverse() {
        let parent = Key::new("vault/repo").expect("a key");
        let key = parent.join("data/ab").expect("a key");
        assert_eq!(key.below(&parent).expect("below").as_str(), "data/ab");
        assert_eq!(key.name(), "ab");
        assert_eq!(
            Key::new("vault/repository/x")
                .expect("a key")
                .below(&parent),
            None
        );
        assert!(parent.join("../x").is_err());
    }

    proptest! {
        #[test]
        fn every_key_stays_below_its_root(text in ".{0,40}") {
            if let Ok(key) = Key::new(text) {
                let path = std::path::Path::new(key.as_str());
                let plain = |part| matches!(part, std::path::Component::Normal(_));
                prop_assert!(path.components().all(plain));
                prop_assert_eq!(path.components().count(), key.as_str().split('/').count());
            }
        }
    }
}
