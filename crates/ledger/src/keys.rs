//! The keys of a ledger, one after another: which of them signs the head of a size.

use std::fmt;

use crate::key::VerifyingKey;

/// All keys that have signed a ledger, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    first: VerifyingKey,
    /// Each with the size of the first head that it signs; sizes grow.
    later: Vec<(u64, VerifyingKey)>,
}

impl Keys {
    /// Those of a ledger whose key was never changed.
    pub fn new(first: VerifyingKey) -> Keys {
        Keys {
            first,
            later: Vec::new(),
        }
    }

    /// The key that the ledger was begun with.
    pub fn first(&self) -> &VerifyingKey {
        &self.first
    }

    /// The key that signs now.
    pub fn current(&self) -> &VerifyingKey {
        self.later.last().map_or(&self.first, |(_, key)| key)
    }

    /// The key that signs the head of `size` entries.
    pub fn at(&self, size: u64) -> &VerifyingKey {
        let later = self.later.iter().rev().find(|(from, _)| *from <= size);
        later.map_or(&self.first, |(_, key)| key)
    }

    /// Whether the key was ever changed.
    pub fn are_several(&self) -> bool {
        !self.later.is_empty()
    }

    /// Whether `key` is one of them.
    pub fn has(&self, key: &VerifyingKey) -> bool {
        self.first == *key || self.later.iter().any(|(_, later)| later == key)
    }

    /// The keys after the first one, each with the size of the first head that it signs.
    pub fn later(&self) -> &[(u64, VerifyingKey)] {
        &self.later
    }

    /// From the head of `from` entries on `key` signs; nothing changes if that is not after all changes before.
    pub(crate) fn change(&mut self, from: u64, key: VerifyingKey) {
        if self.later.last().is_none_or(|(last, _)| *last < from) {
            self.later.push((from, key));
        }
    }

    /// Reads what [`Keys`] writes as text.
    pub(crate) fn parse(text: &str) -> Option<Keys> {
        let mut lines = text.lines();
        let mut keys = Keys::new(VerifyingKey::parse(lines.next()?).ok()?);
        for line in lines {
            let (from, key) = line.split_once(' ')?;
            keys.later
                .push((from.parse().ok()?, VerifyingKey::parse(key).ok()?));
        }
        let grow = keys.later.is_sorted_by(|a, b| a.0 < b.0);
        grow.then_some(keys)
    }
}

/// The first key, and for each later one a line with the size of its first head and the key.
impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.later
            .iter()
            .try_for_each(|(from, key)| write!(f, "\n{from} {key}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;

    #[test]
    fn each_size_has_its_key() {
        let key = |n: u8| SigningKey::from_seed([n; 32]).public().clone();
        let mut keys = Keys::new(key(1));
        assert_eq!(keys.to_string(), key(1).to_string());
        keys.change(5, key(2));
        keys.change(5, key(4));
        keys.change(9, key(3));
        let at = |size| keys.at(size).clone();
        assert_eq!(
            [at(0), at(4), at(5), at(8)],
            [key(1), key(1), key(2), key(2)]
        );
        assert_eq!([at(9), at(99)], [key(3), keys.current().clone()]);
        assert_eq!(Keys::parse(&keys.to_string()), Some(keys.clone()));
        assert!(keys.has(&key(2)) && !keys.has(&key(4)));
        let backwards = keys.to_string().replace("\n9 ", "\n4 ");
        assert_eq!(Keys::parse(&backwards), None);
    }
}
