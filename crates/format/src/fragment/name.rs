//! What log objects are called in a vault: one name for each place in a stream, so that two writers collide.

use std::fmt;
use std::str::FromStr;

use super::Kind;
use super::keys::StreamId;

/// The name of an object below `logs/`.
///
/// It says which place in the stream the object has, and nothing else: whoever stores a fragment only if there is none
/// of its name cannot take a place that another writer has taken. Sorted by their bytes, the fragments of a stream
/// stand in their order, and so do its segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName {
    /// What the vault calls the stream.
    pub stream: StreamId,
    /// The place in it.
    pub part: Part,
}

/// Which part of a stream an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// One fragment.
    Fragment {
        /// Its place.
        sequence: u64,
    },
    /// A segment.
    Segment {
        /// The place of its first fragment.
        first: u64,
        /// The place of its last one.
        last: u64,
    },
}

/// A text is not the name of a log object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no log object")]
pub struct NameError {
    /// The text.
    pub text: String,
}

impl LogName {
    /// The folder of a stream, with a slash behind it: what to list.
    pub fn folder(stream: StreamId) -> String {
        format!("{TOP}{stream}/")
    }

    /// What the object is.
    pub fn kind(&self) -> Kind {
        match self.part {
            Part::Fragment { .. } => Kind::Fragment,
            Part::Segment { .. } => Kind::Segment,
        }
    }
}

/// Under which all streams lie.
const TOP: &str = "logs/";

/// `logs/<stream>/fragments/<sequence>` or `logs/<stream>/segments/<first>-<last>`, numbers with 20 digits.
impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TOP}{}/", self.stream)?;
        match self.part {
            Part::Fragment { sequence } => write!(f, "fragments/{sequence:020}"),
            Part::Segment { first, last } => write!(f, "segments/{first:020}-{last:020}"),
        }
    }
}

/// Exactly as it is written, and no other way.
impl FromStr for LogName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<LogName, NameError> {
        let refused = || NameError { text: text.into() };
        let name = parse(text).ok_or_else(refused)?;
        // What is read in more ways than it is written would let two names mean one place.
        if name.to_string() == text {
            Ok(name)
        } else {
            Err(refused())
        }
    }
}

fn parse(text: &str) -> Option<LogName> {
    let (stream, rest) = text.strip_prefix(TOP)?.split_once('/')?;
    let (folder, place) = rest.split_once('/')?;
    let part = match folder {
        "fragments" => Part::Fragment {
            sequence: place.parse().ok()?,
        },
        "segments" => {
            let (first, last) = place.split_once('-')?;
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            if first > last {
                return None;
            }
            Part::Segment { first, last }
        }
        _ => return None,
    };
    let stream = stream.parse().ok()?;
    Some(LogName { stream, part })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(sequence: u64) -> LogName {
        LogName {
            stream: StreamId::from_bytes([0x1a; 16]),
            part: Part::Fragment { sequence },
        }
    }

    fn segment(first: u64, last: u64) -> LogName {
        LogName {
            part: Part::Segment { first, last },
            ..fragment(0)
        }
    }

    #[test]
    fn names_are_read_as_they_are_written_and_no_other_way() {
        let names = [
            fragment(0),
            fragment(u64::MAX),
            segment(7, 7),
            segment(0, 90),
        ];
        for name in names {
            let text = name.to_string();
            assert_eq!(text.parse(), Ok(name));
            assert!(text.starts_with(&LogName::folder(name.stream)));
            for at in 0..text.len() {
                assert!(text[..at].parse::<LogName>().is_err(), "{}", &text[..at]);
            }
            assert!(format!("{text}0").parse::<LogName>().is_err());
        }
        let text = fragment(12).to_string();
        for (from, to) in [
            ("logs", "Logs"),
            ("fragments", "fragment"),
            ("fragments", "segments"),
            ("1a1a", "1A1A"),
            ("00000012", "+0000012"),
            ("00000012", "0000012"),
            ("/fragments", "//fragments"),
            ("00000000000000000012", "99999999999999999999"),
        ] {
            let altered = text.replacen(from, to, 1);
            assert_ne!(altered, text);
            assert!(altered.parse::<LogName>().is_err(), "{altered}");
        }
        assert!(segment(8, 7).to_string().parse::<LogName>().is_err());
    }

    #[test]
    fn sorted_names_stand_in_the_order_of_the_stream() {
        let mut texts: Vec<String> = [9, 10, 0, u64::MAX, 100]
            .map(|sequence| fragment(sequence).to_string())
            .into();
        texts.sort();
        let sorted: Vec<String> = [0, 9, 10, 100, u64::MAX]
            .map(|sequence| fragment(sequence).to_string())
            .into();
        assert_eq!(texts, sorted);
    }
}
