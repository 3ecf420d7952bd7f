//! Alerts: what the policy wants people to hear of, and what was sent to whom.

use serde::{Deserialize, Serialize};

use crate::policy::{Length, MinTls};
use crate::{ProtectionId, SecretRef, Span, Time};

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertKind {
    /// A run failed, or could not do everything.
    Failure,
    /// Something was due and did not come.
    Missing,
    /// A vault's store fills.
    Storage,
    /// A log is further behind than allowed.
    Lag,
    /// A point is much larger or smaller than the one before.
    Size,
    /// A run took long.
    Duration,
    /// A key is to be replaced soon.
    Keys,
}

impl AlertKind {
    /// Every kind.
    pub const ALL: [AlertKind; 7] = [
        AlertKind::Failure,
        AlertKind::Missing,
        AlertKind::Storage,
        AlertKind::Lag,
        AlertKind::Size,
        AlertKind::Duration,
        AlertKind::Keys,
    ];

    /// The policy's word for it.
    pub fn word(self) -> &'static str {
        match self {
            AlertKind::Failure => "failure",
            AlertKind::Missing => "missing",
            AlertKind::Storage => "storage",
            AlertKind::Lag => "lag",
            AlertKind::Size => "size",
            AlertKind::Duration => "duration",
            AlertKind::Keys => "keys",
        }
    }
}

/// Who hears of one kind of thing, and from when on.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct AlertRule {
    /// Roles or persons.
    pub to: Vec<String>,
    /// The share by which a size differs, or that is taken of a store: numerator and denominator.
    pub above: Option<(u32, u32)>,
    /// From which length on.
    pub longer_than: Option<Span>,
    /// How long ahead.
    pub before: Option<Length>,
}

/// Something happened that the policy wants people to hear of. It is a fact that it did, not that anybody read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What kind.
    pub kind: AlertKind,
    /// What tells it from others of its kind, so that each comes once: the id of a run, an obligation or a point, or a
    /// protection or a vault and an entry.
    pub of: String,
    /// Of which protection, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub protection: Option<ProtectionId>,
    /// When it happened.
    pub since: Time,
    /// What happened, as a sentence.
    pub text: String,
    /// Whom it concerns: addresses, where the policy has them.
    pub to: Vec<String>,
}

/// A notice or an alert was handed to a mail server, or the server refused it for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailed {
    /// The entry that says what people are told.
    pub entry: u64,
    /// Addresses for which the server took it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub to: Vec<String>,
    /// Addresses for which it did not and will not.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub refused: Vec<NotMailed>,
    /// The server's address.
    pub server: String,
}

/// An address to which nothing can be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotMailed {
    /// The address.
    pub to: String,
    /// What the server said, or what is wrong with it.
    pub reason: String,
}

/// The server that takes mail, as the policy declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mail {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What protects the way to it.
    pub wire: MailWire,
    /// The oldest version of TLS that is spoken.
    pub min_tls: MinTls,
    /// From whom mail comes.
    pub from: String,
    /// Who logs in; nobody if not given.
    pub user: Option<String>,
    /// Where that one's password is kept.
    pub password: Option<SecretRef>,
}

/// What protects the way to a mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MailWire {
    /// TLS from the first byte.
    Tls,
    /// TLS after STARTTLS, without which nothing is said.
    StartTls,
    /// Nothing; only on this machine.
    PlainLoopback,
}

/// `mail.example.com:465`.
impl std::fmt::Display for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
