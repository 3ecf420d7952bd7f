//! Positions of MariaDB: for each domain the last transaction, and whether one follows another.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One transaction, written `domain-server-sequence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MariaGtid {
    /// A stream of its own order.
    pub domain: u32,
    /// The server that wrote it first.
    pub server: u32,
    /// Its number in the domain.
    pub sequence: u64,
}

/// For each domain the last transaction. Its text is ordered by domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct MariaPosition(BTreeMap<u32, MariaGtid>);

/// How a transaction follows those before it in its domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Continuity {
    /// The first that is seen of its domain.
    First,
    /// The next number.
    Next,
    /// Numbers were left out. A server writes them one after the other, unless it leaves out transactions on purpose.
    Gap(RangeInclusive<u64>),
    /// The number was there already, or a greater one: another server has gone its own way, or the log was read twice.
    Back {
        /// The last before.
        last: MariaGtid,
    },
}

/// A text that is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MariaGtidError {
    /// Not three numbers.
    #[error("`{text}` is not a domain, a server and a sequence number, as in 0-1-42")]
    Gtid {
        /// The part of the text.
        text: String,
    },
    /// A domain stands there twice.
    #[error("the domain {domain} has two positions")]
    Twice {
        /// The domain.
        domain: u32,
    },
}

impl MariaPosition {
    /// No domain has a transaction.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last transactions, by domain.
    pub fn iter(&self) -> impl Iterator<Item = &MariaGtid> {
        self.0.values()
    }

    /// The last transaction of a domain.
    pub fn of(&self, domain: u32) -> Option<&MariaGtid> {
        self.0.get(&domain)
    }

    /// Sets the last transaction of a domain, whatever it was.
    pub fn set(&mut self, gtid: MariaGtid) {
        self.0.insert(gtid.domain, gtid);
    }

    /// How a transaction would follow.
    pub fn step(&self, gtid: MariaGtid) -> Continuity {
        match self.0.get(&gtid.domain) {
            None => Continuity::First,
            Some(last) if gtid.sequence <= last.sequence => Continuity::Back { last: *last },
            Some(last) if gtid.sequence - last.sequence == 1 => Continuity::Next,
            Some(last) => Continuity::Gap(last.sequence + 1..=gtid.sequence - 1),
        }
    }

    /// Goes on with the next transaction, unless it goes back; how it follows.
    pub fn follow(&mut self, gtid: MariaGtid) -> Continuity {
        let continuity = self.step(gtid);
        if !matches!(continuity, Continuity::Back { .. }) {
            self.set(gtid);
        }
        continuity
    }

    /// Whether each domain of the other is at least as far here.
    pub fn reaches(&self, other: &MariaPosition) -> bool {
        other.0.iter().all(|(domain, theirs)| {
            self.0
                .get(domain)
                .is_some_and(|own| own.sequence >= theirs.sequence)
        })
    }
}

impl fmt::Display for MariaGtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.domain, self.server, self.sequence)
    }
}

impl fmt::Display for MariaPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, gtid) in self.0.values().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{gtid}")?;
        }
        Ok(())
    }
}

impl From<MariaPosition> for String {
    fn from(position: MariaPosition) -> String {
        position.to_string()
    }
}

impl TryFrom<String> for MariaPosition {
    type Error = MariaGtidError;

    fn try_from(text: String) -> Result<MariaPosition, MariaGtidError> {
        text.parse()
    }
}

impl FromStr for MariaGtid {
    type Err = MariaGtidError;

    fn from_str(text: &str) -> Result<MariaGtid, MariaGtidError> {
        let text = text.trim();
        let wrong = || MariaGtidError::Gtid {
            text: text.to_owned(),
        };
        let mut numbers = text.split('-');
        let (Some(domain), Some(server), Some(sequence), None) = (
            numbers.next(),
            numbers.next(),
            numbers.next(),
            numbers.next(),
        ) else {
            return Err(wrong());
        };
        let plain = |c: char| c.is_ascii_digit() || c == '-';
        let numbers = text
            .chars()
            .all(plain)
            .then_some((domain, server, sequence));
        numbers
            .and_then(|(domain, server, sequence)| {
                Some(MariaGtid {
                    domain: domain.parse().ok()?,
                    server: server.parse().ok()?,
                    sequence: sequence.parse().ok()?,
                })
            })
            .ok_or_else(wrong)
    }
}

impl FromStr for MariaPosition {
    type Err = MariaGtidError;

    fn from_str(text: &str) -> Result<MariaPosition, MariaGtidError> {
        let mut position = MariaPosition::default();
        if text.trim().is_empty() {
            return Ok(position);
        }
        for part in text.split(',') {
            let gtid: MariaGtid = part.parse()?;
            if position.0.insert(gtid.domain, gtid).is_some() {
                let domain = gtid.domain;
                return Err(MariaGtidError::Twice { domain });
            }
        }
        Ok(position)
    }
}
