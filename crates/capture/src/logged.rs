//! What logs call their transactions.

use std::fmt;

/// What a log calls a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoggedId {
    /// PostgreSQL's number, of 32 bits.
    Number(u32),
    /// MariaDB's global identifier, written `domain-server-sequence`.
    Gtid {
        /// A stream of its own order.
        domain: u32,
        /// The server that wrote it first.
        server: u32,
        /// Its number in the domain.
        sequence: u64,
    },
    /// MySQL's global identifier, written `uuid:number` or `uuid:tag:number`.
    OfServer {
        /// The UUID of the server that wrote it first.
        server: [u8; 16],
        /// The tag that its client set, if it did.
        tag: LoggedTag,
        /// Its number among those of the server with this tag.
        number: u64,
    },
    /// None at all.
    Anonymous,
}

/// The tag of a global identifier of MySQL: at most 32 letters of ASCII, digits and underscores, in lower case; empty if
/// there is none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LoggedTag([u8; LoggedTag::LONGEST]);

impl LoggedTag {
    /// The length of the longest tag.
    pub const LONGEST: usize = 32;

    /// The tag that is written so; nothing if none is.
    pub fn new(text: &str) -> Option<LoggedTag> {
        let starts = text.bytes().next().is_none_or(|b| !b.is_ascii_digit());
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let mut tag = LoggedTag::default();
        let place = tag.0.get_mut(..text.len()).filter(|_| starts && plain)?;
        place.copy_from_slice(text.to_ascii_lowercase().as_bytes());
        Some(tag)
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        let length = self.0.iter().position(|b| *b == 0).unwrap_or(self.0.len());
        let bytes = self.0.get(..length).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Debug for LoggedTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().fmt(f)
    }
}

impl LoggedId {
    /// A transaction as servers write it: MariaDB's `0-1-42`, MySQL's `uuid:42` and `uuid:tag:42`. Nothing for every other
    /// text, days such as `2026-03-01` among them.
    pub fn parse(text: &str) -> Option<LoggedId> {
        match text.contains(':') {
            true => of_server(text),
            false => of_domain(text),
        }
    }
}

fn digits(text: &str) -> Option<&str> {
    let all = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all.then_some(text)
}

fn of_domain(text: &str) -> Option<LoggedId> {
    let mut words = text.split('-').map(digits);
    let (domain, server, sequence) = (words.next()??, words.next()??, words.next()??);
    if words.next().is_some() || is_a_day(domain, server, sequence) {
        return None;
    }
    Some(LoggedId::Gtid {
        domain: domain.parse().ok()?,
        server: server.parse().ok()?,
        sequence: sequence.parse().ok()?,
    })
}

/// Whether three numbers are a day as times begin with it.
fn is_a_day(year: &str, month: &str, day: &str) -> bool {
    year.len() == 4 && month.len() == 2 && day.len() == 2
}

fn of_server(text: &str) -> Option<LoggedId> {
    let mut words = text.split(':');
    let server = uuid(words.next()?)?;
    let (tag, number) = match (words.next()?, words.next(), words.next()) {
        (number, None, None) => (LoggedTag::default(), number),
        (tag, Some(number), None) if !tag.is_empty() => (LoggedTag::new(tag)?, number),
        _ => return None,
    };
    let number = digits(number)?.parse().ok()?;
    Some(LoggedId::OfServer {
        server,
        tag,
        number,
    })
}

/// Where a UUID has its dashes.
const DASHES: [usize; 4] = [8, 13, 18, 23];

fn uuid(text: &str) -> Option<[u8; 16]> {
    let dashes = text.match_indices('-').map(|(at, _)| at);
    if text.len() != 36 || !dashes.eq(DASHES) {
        return None;
    }
    let mut digits = text.chars().filter(|c| *c != '-').map(|c| c.to_digit(16));
    let mut uuid = [0; 16];
    for byte in &mut uuid {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(uuid)
}

impl fmt::Display for LoggedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoggedId::Number(number) => number.fmt(f),
            LoggedId::Gtid {
                domain,
                server,
                sequence,
            } => write!(f, "{domain}-{server}-{sequence}"),
            LoggedId::OfServer {
                server,
                tag,
                number,
            } => {
                for (at, byte) in server.iter().enumerate() {
                    let dash = if matches!(at, 4 | 6 | 8 | 10) {
                        "-"
                    } else {
                        ""
                    };
                    write!(f, "{dash}{byte:02x}")?;
                }
                match tag.text() {
                    "" => write!(f, ":{number}"),
                    tag => write!(f, ":{tag}:{number}"),
                }
            }
            LoggedId::Anonymous => f.write_str("without a name"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn transactions_are_read_as_servers_write_them() {
        let longest = "a".repeat(LoggedTag::LONGEST);
        for text in [
            "0-1-42".to_owned(),
            format!("{UUID}:42"),
            format!("{UUID}:nightly_1:42"),
            format!("{UUID}:{longest}:1"),
        ] {
            let read = LoggedId::parse(&text).map(|id| id.to_string());
            assert_eq!(read.as_deref(), Some(text.as_str()));
        }
        let upper = LoggedId::parse(&format!("{}:Nightly:7", UUID.to_uppercase()));
        assert_eq!(upper, LoggedId::parse(&format!("{UUID}:nightly:7")));
        for bad in [
            "2026-03-01".to_owned(),
            "2026-03-01T12:00:00Z".to_owned(),
            "12:00".to_owned(),
            "0-1".to_owned(),
            "0-1-2-3".to_owned(),
            "0-1-x".to_owned(),
            UUID.to_owned(),
            format!("{UUID}:"),
            format!("{UUID}::1"),
            format!("{UUID}:a:"),
            format!("{UUID}:1a:1"),
            format!("{UUID}:a:1:2"),
            format!("{UUID}:{longest}a:1"),
            format!("{UUID}:1-5"),
            format!("{}:1", UUID.replace('-', "")),
            format!("{}:1", UUID.replace('f', "g")),
            "bin.000003:1234".to_owned(),
        ] {
            assert_eq!(LoggedId::parse(&bad), None, "{bad}");
        }
    }
}
