//! Ids in little room: hex digits packed into bytes, names that come again and again as numbers.

use std::collections::HashMap;
use std::hash::Hash;

use sha2::{Digest as _, Sha256};
use vouchsafe_model::{ObligationId, PointId};

/// A text that nearly always is hex digits of one length behind a prefix; any other text is held as it is. Equal texts
/// give equal values, and different ones different values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::assess) enum Packed<const N: usize> {
    Hex([u8; N]),
    Text(Box<Text>),
}

/// Behind one more pointer, so that it makes no key larger than the digits do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::assess) struct Text(Box<str>);

/// An obligation's id: `o-` and 20 digits.
pub(in crate::assess) type ObligationKey = Packed<10>;
/// A point's id: `p-` and 16 digits.
pub(in crate::assess) type PointKey = Packed<8>;

/// What tells snapshots and trees apart: the SHA-256 that names them, folded to half of its length. For two to be folded
/// to the same takes more of them than any record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::assess) struct Digest([u8; 16]);

impl<const N: usize> Packed<N> {
    fn of(text: &str, prefix: &str) -> Packed<N> {
        let packed = text.strip_prefix(prefix).and_then(unhex);
        packed.map_or_else(|| Packed::Text(Box::new(Text(text.into()))), Packed::Hex)
    }

    fn text(&self, prefix: &str) -> String {
        match self {
            Packed::Hex(bytes) => format!("{prefix}{}", hex::encode(bytes)),
            Packed::Text(text) => text.0.to_string(),
        }
    }
}

impl ObligationKey {
    pub(super) fn of_id(id: &ObligationId) -> ObligationKey {
        Packed::of(id.as_str(), "o-")
    }

    /// The id again; nothing only for a key that was made of no id.
    pub(super) fn id(&self) -> Option<ObligationId> {
        ObligationId::new(self.text("o-")).ok()
    }
}

impl PointKey {
    pub(in crate::assess) fn of_id(id: &PointId) -> PointKey {
        Packed::of(id.as_str(), "p-")
    }

    /// The id again; nothing only for a key that was made of no id.
    pub(in crate::assess) fn id(&self) -> Option<PointId> {
        PointId::new(self.text("p-")).ok()
    }
}

impl Digest {
    pub(super) fn of_text(text: &str) -> Digest {
        let whole: [u8; 32] = unhex(text).unwrap_or_else(|| Sha256::digest(text).into());
        let half = |from: usize| {
            let bytes = whole.iter().skip(from).take(16);
            bytes.fold(0u128, |sum, byte| sum << 8 | u128::from(*byte))
        };
        // Names that differ in one half only, or repeat one digit, are told apart, too.
        let folded = half(0).wrapping_mul(FOLD).wrapping_add(half(16));
        Digest(folded.to_be_bytes())
    }
}

const FOLD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// The bytes of exactly `N` pairs of lower-case digits.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// The number of a name.
pub(in crate::assess) type Name = u32;

/// Rows by their names, which are numbered as they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table<K: Eq + Hash, V> {
    numbers: HashMap<K, Name>,
    rows: Vec<(K, V)>,
}

/// Names with nothing beside them.
pub(super) type Names<K> = Table<K, ()>;

impl<K: Eq + Hash, V> Default for Table<K, V> {
    fn default() -> Table<K, V> {
        Table {
            numbers: HashMap::new(),
            rows: Vec::new(),
        }
    }
}

impl<K: Clone + Eq + Hash, V: Default> Table<K, V> {
    /// The number of `name`, with an empty row if it is new.
    pub(super) fn number(&mut self, name: &K) -> Name {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = Name::try_from(self.rows.len()).unwrap_or(Name::MAX);
        self.numbers.insert(name.clone(), number);
        self.rows.push((name.clone(), V::default()));
        number
    }

    /// The row of `name`, made if it is new, with its number.
    pub(super) fn row(&mut self, name: &K) -> Option<(Name, &mut V)> {
        let number = self.number(name);
        Some((number, self.at_mut(number)?))
    }

    pub(super) fn at(&self, number: Name) -> Option<&(K, V)> {
        self.rows.get(usize::try_from(number).ok()?)
    }

    pub(super) fn at_mut(&mut self, number: Name) -> Option<&mut V> {
        let row = self.rows.get_mut(usize::try_from(number).ok()?)?;
        Some(&mut row.1)
    }

    pub(super) fn name(&self, number: Name) -> Option<&K> {
        self.at(number).map(|(name, _)| name)
    }

    pub(super) fn get(&self, name: &K) -> Option<&V> {
        let number = self.numbers.get(name)?;
        self.at(*number).map(|(_, row)| row)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &V> {
        self.rows.iter().map(|(_, row)| row)
    }

    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.rows.iter_mut().map(|(_, row)| row)
    }
}

/// Appends with little room to spare: of thousands of short lists, doubling would leave half of the memory empty.
pub(super) fn append<T>(list: &mut Vec<T>, one: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 2);
    }
    list.push(one);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn what_is_packed_comes_back_and_nothing_else_is_equal() {
        let texts = [
            "p-0123456789abcdef",
            "p-0123456789abcdeF",
            "p-0123456789abcde",
            "0123456789abcdef",
            "p-0123456789abcdef00",
            "p-",
            "P-0123456789abcdef",
        ];
        let packed: Vec<PointKey> = texts.iter().map(|t| Packed::of(t, "p-")).collect();
        for (n, (one, text)) in packed.iter().zip(texts).enumerate() {
            assert_eq!(one.text("p-"), text);
            assert!(packed.iter().skip(n + 1).all(|other| other != one));
        }
        assert!(matches!(packed[0], Packed::Hex(_)));
        assert!(matches!(packed[1], Packed::Text(_)));
    }

    #[test]
    fn each_digest_is_another() {
        let mut texts: Vec<String> = (0..500).map(|n| format!("{n:064x}")).collect();
        texts.extend((1..500).map(|n| format!("{n:x}").chars().rev().collect::<String>()));
        texts.extend((1..500).map(|n| format!("{:0<64}", format!("{n:x}1"))));
        texts.extend(
            "123456789abcdef"
                .chars()
                .map(|c| String::from(c).repeat(64)),
        );
        texts.sort();
        texts.dedup();
        let digests: HashSet<Digest> = texts.iter().map(|t| Digest::of_text(t)).collect();
        assert_eq!(digests.len(), texts.len());
        assert_eq!(Digest::of_text("abc"), Digest::of_text("abc"));
    }

    #[test]
    fn a_name_has_one_number_and_one_row() {
        let mut table: Table<String, u8> = Table::default();
        let (a, b) = ("a".to_owned(), "b".to_owned());
        assert_eq!(
            (table.number(&a), table.number(&b), table.number(&a)),
            (0, 1, 0)
        );
        *table.row(&b).unwrap().1 = 7;
        assert_eq!((table.get(&a), table.get(&b)), (Some(&0), Some(&7)));
        assert_eq!(table.name(1), Some(&b));
        assert_eq!((table.name(2), table.get(&"c".to_owned())), (None, None));
    }
}
