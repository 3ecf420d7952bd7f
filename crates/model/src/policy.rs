//! The policy as it is understood: every reference resolved, every default filled in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::SecretRef;
use crate::alert::{AlertKind, AlertRule, Mail};
use crate::custody::Kms;
use crate::erasure::{ErasureRegister, ErasureRule};
use crate::ids::{ProtectionId, ProtectionName, SystemName, VaultName};
use crate::locks::LockMode;
use crate::people::{HandedFormat, People};
use crate::source_url::SourceUrl;
use crate::time::{Span, Time};

/// A length of time as policies write it: months are calendar months, the rest is exact.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Length {
    /// Calendar months (a year is twelve).
    pub months: u32,
    /// The exact part.
    pub span: Span,
}

impl Length {
    /// An exact length.
    pub const fn exact(span: Span) -> Length {
        Length { months: 0, span }
    }
    /// The time this long after `start`; months by the UTC calendar, short months clamp to their last day.
    pub fn after(self, start: Time) -> Time {
        let zoned = start.to_timestamp().to_zoned(jiff::tz::TimeZone::UTC);
        let months = jiff::Span::new()
            .try_months(self.months)
            .unwrap_or_default();
        let moved = zoned
            .checked_add(months)
            .map_or(Time::MAX, |z| Time::from_timestamp(z.timestamp()));
        moved.plus(self.span)
    }
    /// A comparable approximation: a month counts 30.44 days.
    pub const fn roughly(self) -> Span {
        Span::from_micros(self.span.micros() + self.months as u64 * 2_629_746_000_000)
    }
}

/// For people: `35d`, `1 month`, `1 year`.
impl std::fmt::Display for Length {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = |n: u32| if n == 1 { "" } else { "s" };
        match (self.months, self.span) {
            (0, span) => write!(f, "{span}"),
            (m, _) if m % 12 == 0 => write!(f, "{} year{}", m / 12, plural(m / 12)),
            (m, _) => write!(f, "{m} month{}", plural(m)),
        }?;
        if self.months > 0 && self.span > Span::ZERO {
            write!(f, " {}", self.span)
        } else {
            Ok(())
        }
    }
}

/// When something happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// As the policy writes it.
    pub text: String,
    /// What it means.
    pub rule: ScheduleRule,
}

/// The meaning of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleRule {
    /// Every so long, counted from 1970-01-01T00:00:00Z so that restarts do not move it.
    Every(Span),
    /// A five-field cron expression on the wall clock of a time zone (IANA name).
    Cron {
        /// Minute, hour, day of month, month, day of week.
        expression: String,
        /// IANA name, such as `UTC` or `Europe/London`.
        zone: String,
    },
    /// Once in each calendar period (UTC), at any time within it.
    Once(Period),
}

/// A calendar period, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From Monday.
    Week,
    /// Calendar month.
    Month,
    /// From January, April, July, October.
    Quarter,
    /// From January or July.
    HalfYear,
    /// Calendar year.
    Year,
}

/// How long points are kept, counted from completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Keep {
    /// Never deleted before this age.
    pub at_least: Option<Length>,
    /// Gone by this age, plus grace.
    pub at_most: Option<Length>,
    /// How long after `at_most` the deed may take.
    pub grace: Option<Length>,
    /// How many are kept beyond `at_least`.
    #[serde(default)]
    pub counts: KeepCounts,
}

/// How many points are kept, counted from the newest: of each period its newest complete point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeepCounts {
    /// The newest points themselves.
    pub last: Option<u32>,
    /// Hours that have a point.
    pub hourly: Option<u32>,
    /// Days.
    pub daily: Option<u32>,
    /// ISO weeks, from Monday.
    pub weekly: Option<u32>,
    /// Calendar months.
    pub monthly: Option<u32>,
    /// Calendar years.
    pub yearly: Option<u32>,
}

impl KeepCounts {
    /// Every rule with its word in the policy, the finest first.
    pub fn rules(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let all = [
            ("last", self.last),
            ("hourly", self.hourly),
            ("daily", self.daily),
            ("weekly", self.weekly),
            ("monthly", self.monthly),
            ("yearly", self.yearly),
        ];
        all.into_iter().filter_map(|(word, n)| Some((word, n?)))
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.rules().next().is_none()
    }
}

/// For people: `last 3, daily 7`.
impl std::fmt::Display for KeepCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (word, n)) in self.rules().enumerate() {
            let before = if at > 0 { ", " } else { "" };
            write!(f, "{before}{word} {n}")?;
        }
        Ok(())
    }
}

impl Keep {
    /// Whether the policy does not say how long.
    pub fn is_unsaid(&self) -> bool {
        self.at_least.is_none() && self.at_most.is_none() && self.counts.is_empty()
    }
}

/// When a run may start and must end.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Window {
    /// The run starts at most this long after its scheduled time.
    pub start_within: Option<Span>,
    /// The run ends by this wall-clock time of the same or the next day: minutes after midnight, in `zone`.
    pub finish_by: Option<WallTime>,
}

/// A wall-clock time of day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WallTime {
    /// Minutes after midnight, 0 to 1439.
    pub minutes: u16,
    /// IANA name.
    pub zone: String,
}

/// Where a point is copied to, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CopyRule {
    /// The vault that receives the copy.
    pub vault: VaultName,
    /// How often a point is copied; nothing means every point.
    pub every: Option<Schedule>,
}

/// How the bytes in the vaults are read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyRule {
    /// How often.
    pub every: Schedule,
    /// Which share of all stored bytes each time: numerator and denominator; nothing means all.
    pub coverage: Option<(u32, u32)>,
}

/// How often a real restore is rehearsed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DrillRule {
    /// How often.
    pub every: Schedule,
    /// How often the drill itself is tested on damaged twins.
    pub negative_control: Option<Schedule>,
    /// Queries that must give one true value each in the restored database.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    /// To what else a restored moment must be equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equality: Option<crate::EqualityRule>,
}

/// How much of a database's rows is digested at capture, and so can be compared by a drill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Digests {
    /// Every row.
    #[default]
    Full,
    /// The number of rows of each table, and some of the rows, chosen by their content.
    Sample,
    /// None.
    None,
}

/// How precious something is.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Tier {
    /// Its name in the policy.
    pub name: String,
    /// At most this much is lost.
    pub rpo: Option<Span>,
    /// At most this much of the transaction log is lost.
    pub log_rpo: Option<Span>,
    /// Back in service within this time.
    pub rto: Option<Span>,
    /// How many copies there must be, the original not counted.
    pub min_copies: Option<u32>,
    /// One of the copies must lie in another region than the system.
    pub other_region: bool,
    /// One of the copies must lie in the system's country; with `other_region`, the same one.
    pub same_country: bool,
}

/// Where something lies.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Location {
    /// Region name as the policy uses it.
    pub region: Option<String>,
    /// ISO 3166 two-letter code.
    pub country: Option<String>,
}

/// A place that holds copies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Vault {
    /// Its name in the policy.
    pub name: VaultName,
    /// Its URL, such as `file:///srv/vouchsafe`.
    pub url: String,
    /// Where it lies.
    pub location: Location,
    /// For how long the store refuses deletion, as declared.
    pub retention_lock: Option<Length>,
    /// How binding these locks are.
    pub lock_mode: LockMode,
    /// Where its passphrase is kept, if not in the state directory.
    pub password: Option<SecretRef>,
    /// What wraps its passphrase, if it is kept wrapped in the vault itself.
    pub kms: Option<Kms>,
    /// How often its passphrase is replaced; nothing means that the policy does not say.
    pub rotate: Option<Schedule>,
    /// How often what the policy lets go is removed by itself; nothing means that somebody does it by hand.
    pub prune: Option<Schedule>,
    /// How its store is reached.
    pub access: Access,
}

/// How a remote store is reached; nothing of it matters for a directory.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Access {
    /// The service's address, where the URL does not name it.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub signing_region: Option<String>,
    /// Who logs in: a user, an account.
    pub user: Option<String>,
    /// S3: the identifier of the access key.
    pub access_key: Option<SecretRef>,
    /// S3: the access key's secret.
    pub secret_key: Option<SecretRef>,
    /// What other services take as proof: a password, an account key, a service account.
    pub credential: Option<SecretRef>,
    /// SFTP: the private key.
    pub identity: Option<PathBuf>,
    /// SFTP: the file of the hosts' keys.
    pub known_hosts: Option<PathBuf>,
    /// The oldest version of TLS that is spoken.
    pub min_tls: MinTls,
    /// How much it may be used.
    pub limits: Limits,
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
pub enum MinTls {
    /// 1.2: for servers that know nothing newer.
    #[serde(rename = "1.2")]
    V1_2,
    /// 1.3.
    #[default]
    #[serde(rename = "1.3")]
    V1_3,
}

/// How much a store may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Limits {
    /// Bytes per second that are sent at most.
    pub upload: Option<u64>,
    /// Bytes per second that are received at most.
    pub download: Option<u64>,
    /// Calls at the same time at most.
    pub connections: Option<u32>,
}

/// The way in which a protection keeps its system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// We move the bytes.
    Capture(SourceUrl),
    /// We ask a provider.
    Orchestrate(SourceUrl),
    /// Another tool does it, we check.
    Observe(SourceUrl),
    /// A person does it, we receive and check.
    Manual {
        /// File name pattern that is accepted.
        accept: Option<String>,
        /// What the person has to do.
        instructions: Option<String>,
        /// How long after the end of its period the deed still counts as on time.
        grace: Option<Length>,
        /// What is handed in; by the file's name if the policy does not say.
        format: Option<HandedFormat>,
    },
    /// A live copy: lag and health; never counts as a backup.
    Replica(SourceUrl),
}

impl Way {
    /// The word of the policy: `capture`, `observe` …
    pub fn word(&self) -> &'static str {
        match self {
            Way::Capture(_) => "capture",
            Way::Orchestrate(_) => "orchestrate",
            Way::Observe(_) => "observe",
            Way::Manual { .. } => "manual",
            Way::Replica(_) => "replica",
        }
    }
    /// Whether this version can fulfil it; if not it is declared and not yet connected.
    pub fn is_connected(&self) -> bool {
        self.is_ours() || matches!(self, Way::Manual { .. })
    }
    /// Whether this version does it by itself, without a person.
    pub fn is_ours(&self) -> bool {
        matches!(self, Way::Capture(url) if url.kind().is_connected())
    }
}

/// One way in which a system is kept, with everything that applies to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Protection {
    /// `system/protection`.
    pub id: ProtectionId,
    /// How.
    pub way: Way,
    /// The source's password, by reference.
    pub password: Option<SecretRef>,
    /// Patterns left out of the capture, in the manner of `.gitignore`.
    pub exclude: Vec<String>,
    /// How much of a database's rows is digested.
    pub digests: Digests,
    /// The data directory of a server on this host, which is read instead of asking the server for its files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_directory: Option<PathBuf>,
    /// How many processes dump a database at once, if more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dump_jobs: Option<u32>,
    /// How subjects of the register of erasures are erased from what a restore brings back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasure: Option<ErasureRule>,
    /// When it runs; nothing means that the policy does not say.
    pub schedule: Option<Schedule>,
    /// When a run may start and must end.
    pub window: Window,
    /// How long points are kept.
    pub keep: Keep,
    /// In which vaults the copies lie; the first receives the capture.
    pub copies: Vec<CopyRule>,
    /// How copies are read back.
    pub verify: Option<VerifyRule>,
    /// How restores are rehearsed.
    pub drill: Option<DrillRule>,
    /// How often the log is shipped, if it is.
    pub log_every: Option<Span>,
    /// How long the log is kept.
    pub log_keep: Option<Length>,
}

impl Protection {
    /// How often its log is shipped; nothing if none is: the policy asks for none, or what is captured has none that
    /// could be rolled forward.
    pub fn ships_log_every(&self) -> Option<Span> {
        match &self.way {
            Way::Capture(url) if url.can_be_rolled_forward() => self.log_every,
            _ => None,
        }
    }
}

/// Something to protect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct System {
    /// Its name in the policy.
    pub name: SystemName,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What kind of data it holds.
    pub class: Option<String>,
    /// How precious it is, after class and override.
    pub tier: Option<Tier>,
    /// Where it lies.
    pub location: Location,
    /// The application it belongs to.
    pub application: Option<String>,
    /// `prod`, `stg`, `dev` …
    pub environment: Option<String>,
    /// Why the policy leaves it out, if it does.
    pub exempt: Option<String>,
    /// Its protections by name.
    pub protections: BTreeMap<ProtectionName, Protection>,
}

/// A person's recurring duty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Duty {
    /// Its name in the policy.
    pub name: String,
    /// How often.
    pub every: Option<Schedule>,
    /// Who.
    pub role: Option<String>,
}

/// The head of the policy document.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct FrontMatter {
    /// Document id.
    pub id: Option<String>,
    /// Title.
    pub title: Option<String>,
    /// Who answers for the policy.
    pub owner: Option<String>,
    /// Version as written.
    pub version: Option<String>,
    /// Day of approval, `YYYY-MM-DD`.
    pub approved: Option<String>,
    /// SHA-256 in lower hex of the file that was approved, without its `approved_digest` line; nothing if not stated.
    pub approved_digest: Option<String>,
    /// Day of the next review, `YYYY-MM-DD`.
    pub next_review: Option<String>,
    /// `soc2`, `iso27001` …
    pub frameworks: Vec<String>,
}

/// A whole policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// The document's head.
    pub front: FrontMatter,
    /// SHA-256 of the file's bytes, lower hex.
    pub digest: String,
    /// The folder that relative paths start from.
    pub base: PathBuf,
    /// Vaults by name.
    pub vaults: BTreeMap<VaultName, Vault>,
    /// Systems by name.
    pub systems: BTreeMap<SystemName, System>,
    /// Duties of people.
    pub duties: Vec<Duty>,
    /// Who they are, and everything that they owe.
    pub people: People,
    /// Of what people hear, by kind.
    pub alerts: BTreeMap<AlertKind, AlertRule>,
    /// The server by which they are told; nobody is written to without one.
    pub mail: Option<Mail>,
    /// Who stamps the record's heads with the time; nobody if nothing.
    pub timestamps: Option<Stamps>,
    /// Whose data was erased, if the policy names a file of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasure: Option<ErasureRegister>,
}

/// An authority of time stamps (RFC 3161), and how often it stamps the record's head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stamps {
    /// Its address.
    pub authority: String,
    /// The file with the certificates of the roots that it must lead to.
    pub root: PathBuf,
    /// How much time lies between two at most.
    pub every: Span,
    /// The oldest version of TLS that is spoken.
    pub min_tls: MinTls,
}

impl Policy {
    /// Every protection, with its system.
    pub fn protections(&self) -> impl Iterator<Item = (&System, &Protection)> {
        self.systems
            .values()
            .flat_map(|s| s.protections.values().map(move |p| (s, p)))
    }

    /// The protection of that id.
    pub fn protection(&self, id: &ProtectionId) -> Option<(&System, &Protection)> {
        let system = self.systems.get(&id.system)?;
        system.protections.get(&id.protection).map(|p| (system, p))
    }
}

impl Protection {
    /// SHA-256 over everything that a drill's proof rests on: how, what is left out, keys to the copies, how subjects
    /// are erased. When it changes, an earlier proof is void.
    pub fn rules_digest(&self) -> String {
        use sha2::{Digest, Sha256};
        let basis = (&self.way, &self.exclude, &self.copies);
        let json = match &self.erasure {
            None => serde_json::to_vec(&basis),
            Some(rule) => serde_json::to_vec(&(basis, rule)),
        };
        hex::encode(Sha256::digest(json.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_clamp_to_short_months() {
        let jan31: Time = "2026-01-31T04:00:00Z".parse().unwrap();
        let one = Length {
            months: 1,
            span: Span::ZERO,
        };
        assert_eq!(one.after(jan31), "2026-02-28T04:00:00Z".parse().unwrap());
    }

    #[test]
    fn lengths_read_well() {
        assert_eq!(
            Length {
                months: 12,
                span: Span::ZERO
            }
            .to_string(),
            "1 year"
        );
        assert_eq!(Length::exact(Span::from_days(35)).to_string(), "35d");
    }
}
