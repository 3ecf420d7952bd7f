//! Entries of an oplog as they lie in a stream: documents of BSON, one right after the other.

use mongodb::bson::{Bson, Document, Timestamp};
use sha2::{Digest, Sha256};
use vouchsafe_model::Time;
use vouchsafe_translog::token::{LONGEST, Token};

use super::super::archive::check;

/// One entry, verified as far as the form of BSON goes.
#[derive(Debug)]
pub(in crate::mongodb) struct Entry<'a> {
    pub(in crate::mongodb) bytes: &'a [u8],
    /// Its place: seconds in the upper half, the number within the second in the lower one.
    pub(in crate::mongodb) mark: u64,
    /// Which election the member had won that wrote it first.
    pub(in crate::mongodb) term: u64,
    /// When it was written, by that member's clock.
    pub(in crate::mongodb) time: Time,
    pub(in crate::mongodb) document: Document,
}

/// The field of a note in which a heartbeat token stands.
pub(in crate::mongodb) const TOKEN: &str = "vouchsafe";
/// Servers let no entry become longer than a document of 16 MiB and 16 KiB around it.
pub(in crate::mongodb) const LONGEST_ENTRY: usize = (16 << 20) + (64 << 10);

impl<'a> Entry<'a> {
    /// Reads one. The error is half a sentence.
    pub(in crate::mongodb) fn parse(bytes: &'a [u8]) -> Result<Entry<'a>, String> {
        check(bytes)?;
        let document = Document::from_reader(bytes).map_err(|e| e.to_string())?;
        let ts = document
            .get_timestamp("ts")
            .map_err(|_| "it has no time stamp `ts`")?;
        let wall = match document.get_datetime("wall") {
            Ok(wall) => wall.timestamp_millis().checked_mul(1000),
            Err(_) => None,
        };
        let seconds = i64::from(ts.time).saturating_mul(1_000_000);
        let term = document.get_i64("t").ok().filter(|term| *term >= 0);
        Ok(Entry {
            bytes,
            mark: mark(ts),
            term: term.map_or(1, i64::unsigned_abs),
            time: Time::from_micros(wall.unwrap_or(seconds)),
            document,
        })
    }

    /// By which it is known again.
    pub(in crate::mongodb) fn digest(&self) -> String {
        hex::encode(Sha256::digest(self.bytes))
    }

    /// What kind of deed it tells of: `i`, `u`, `d`, `c`, `n`.
    pub(in crate::mongodb) fn kind(&self) -> &str {
        self.document.get_str("op").unwrap_or_default()
    }

    /// The text of a heartbeat token, if it is a note that carries one.
    pub(in crate::mongodb) fn token_text(&self) -> Option<&str> {
        let note = match (self.kind(), self.document.get("o")) {
            ("n", Some(Bson::Document(note))) => note,
            _ => return None,
        };
        let text = note.get_str(TOKEN).ok()?;
        (text.len() <= LONGEST).then_some(text)
    }

    /// The token itself, if its text is one.
    pub(in crate::mongodb) fn token(&self) -> Option<Token> {
        Token::parse(self.token_text()?.as_bytes())
    }
}

/// Hands out one entry after the other. The error is half a sentence; what was handed out before it is whole.
pub(in crate::mongodb) fn each<E>(
    bytes: &[u8],
    take: &mut dyn FnMut(Entry<'_>) -> Result<(), E>,
) -> Result<Result<(), E>, String> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = length(rest).ok_or_else(|| {
            let at = bytes.len() - rest.len();
            format!("what lies at byte {at} has the length of no entry")
        })?;
        let (one, after) = rest
            .split_at_checked(length)
            .ok_or("its last entry is cut off")?;
        let entry = Entry::parse(one)?;
        if let Err(error) = take(entry) {
            return Ok(Err(error));
        }
        rest = after;
    }
    Ok(Ok(()))
}

/// How long the entry is that begins here.
pub(in crate::mongodb) fn length(bytes: &[u8]) -> Option<usize> {
    let four = <[u8; 4]>::try_from(bytes.get(..4)?).ok()?;
    let length = usize::try_from(i32::from_le_bytes(four)).ok()?;
    (5..=LONGEST_ENTRY).contains(&length).then_some(length)
}

/// A time stamp as one number that grows.
pub(in crate::mongodb) fn mark(at: Timestamp) -> u64 {
    u64::from(at.time) << 32 | u64::from(at.increment)
}

/// The time stamp of a number.
pub(in crate::mongodb) fn stamp(mark: u64) -> Timestamp {
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    Timestamp {
        time: half(mark >> 32),
        increment: half(mark),
    }
}

/// As people read it: seconds since 1970 and the number within the second, `1764471600:3`.
pub(crate) fn shown(mark: u64) -> String {
    let at = stamp(mark);
    format!("{}:{}", at.time, at.increment)
}

/// Reads what [`shown`] has written.
pub(in crate::mongodb) fn of_shown(text: &str) -> Option<u64> {
    let (time, increment) = text.split_once(':')?;
    let at = Timestamp {
        time: time.parse().ok()?,
        increment: increment.parse().ok()?,
    };
    let mark = mark(at);
    (shown(mark) == text).then_some(mark)
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{DateTime, doc};
    use proptest::prelude::*;

    use super::*;

    fn entry(at: u32, o: Document) -> Vec<u8> {
        let ts = Timestamp {
            time: 7,
            increment: at,
        };
        let entry = doc! { "op": "n", "ns": "", "o": o, "ts": ts, "t": 3_i64, "wall": DateTime::from_millis(7001) };
        entry.to_vec().unwrap()
    }

    fn all(bytes: &[u8]) -> Result<Vec<u64>, String> {
        let mut marks = Vec::new();
        each::<()>(bytes, &mut |entry| {
            marks.push(entry.mark);
            Ok(())
        })?
        .unwrap();
        Ok(marks)
    }

    #[test]
    fn entries_are_read_one_after_the_other_or_refused() {
        let token = Token::first([5; 8], Time::from_secs(3));
        let (one, two) = (entry(1, doc! {}), entry(2, doc! { TOKEN: token.text() }));
        let both = [one.clone(), two.clone()].concat();
        assert_eq!(all(&both), Ok(vec![7 << 32 | 1, 7 << 32 | 2]));
        let read = Entry::parse(&two).unwrap();
        assert_eq!((read.term, read.time), (3, Time::from_micros(7_001_000)));
        assert_eq!(read.token(), Some(token));
        assert_eq!(Entry::parse(&one).unwrap().token(), None);
        for end in 1..both.len() {
            let cut = all(&both[..end]);
            assert!(end == one.len() || cut.is_err(), "{end}: {cut:?}");
        }
        let without = doc! { "op": "n", "o": {} }.to_vec().unwrap();
        assert!(all(&without).is_err());
    }

    #[test]
    fn a_time_stamp_has_one_text() {
        let mark = 1_764_471_600_u64 << 32 | 3;
        assert_eq!(shown(mark), "1764471600:3");
        assert_eq!(of_shown("1764471600:3"), Some(mark));
        assert_eq!(super::mark(stamp(u64::MAX)), u64::MAX);
        for bad in ["", "1", "1:", ":1", "1:2:3", "+1:2", "01:2", "4294967296:1"] {
            assert_eq!(of_shown(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = all(&bytes);
        }

        #[test]
        fn changed_entries_are_survived(at in 0_usize..60, to in any::<u8>()) {
            let mut bytes = entry(1, doc! { "a": [1, { "b": "c" }] });
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            let _ = all(&bytes);
        }
    }
}
