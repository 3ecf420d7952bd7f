//! People as the policy names them: who has which role and which key, and what they owe.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{ProtectionId, SystemName};
use crate::policy::{Length, Schedule};
use crate::time::Time;

/// Everything that the policy says of people.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct People {
    /// Persons by the name that the policy gives them.
    pub persons: BTreeMap<String, Person>,
    /// Roles by name.
    pub roles: BTreeMap<String, Role>,
    /// What people owe, by name.
    pub duties: BTreeMap<String, PeopleDuty>,
    /// Departures from rules that the policy itself allows, by name.
    pub exemptions: BTreeMap<String, DeclaredExemption>,
    /// Who may be given which right, by name.
    pub access: BTreeMap<String, AccessRule>,
    /// Who may allow a departure from a rule: whoever answers for the policy, or has approved it.
    pub approvers: Vec<String>,
}

/// One person.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Person {
    /// The address by which roles name the person.
    pub address: Option<String>,
    /// Public keys in OpenSSH's form, without comments: `ssh-ed25519 AAAA…`.
    pub keys: Vec<String>,
}

/// Who has a role.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Role {
    /// Persons, by address or name.
    pub people: Vec<String>,
    /// Who stands in: a role or a person.
    pub delegate: Option<String>,
}

/// What kind of thing a person owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DutyKind {
    /// One that the policy lists under `duties`.
    Duty,
    /// Something was read, and each person says so.
    Acknowledgement,
    /// A document, an agreement or this policy is read again.
    Review,
    /// A provider's paper is fetched and read.
    Assurance,
    /// It is looked at who may do what.
    AccessReview,
    /// A test of the programme.
    Test,
    /// A key at a provider is replaced.
    KeyRotation,
    /// A held point is brought back.
    Retrieval,
}

impl DutyKind {
    /// The word on screen.
    pub fn word(self) -> &'static str {
        match self {
            DutyKind::Duty => "duty",
            DutyKind::Acknowledgement => "acknowledgement",
            DutyKind::Review => "review",
            DutyKind::Assurance => "assurance",
            DutyKind::AccessReview => "access review",
            DutyKind::Test => "test",
            DutyKind::KeyRotation => "key rotation",
            DutyKind::Retrieval => "retrieval",
        }
    }
}

impl fmt::Display for DutyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// When something is owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// In a rhythm.
    Every(Schedule),
    /// Once, by the end of a day (UTC).
    By {
        /// `YYYY-MM-DD`.
        day: String,
        /// The moment at which that day is over.
        end: Time,
    },
    /// When something happens that no machine sees, in words; it has no time.
    After(String),
}

/// Who hears of it when it is late, and how late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Escalate {
    /// How long after it was due.
    pub after: Length,
    /// A role or a person.
    pub to: String,
}

/// What one of the obligations is about, where each of several things owes one of its own.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct About {
    /// A system or an application; nothing if the duty is about the whole.
    pub name: Option<String>,
    /// The systems that are meant.
    pub systems: Vec<SystemName>,
}

/// Which drills answer a test of the programme by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByDrill {
    /// A green one of any of the systems.
    Any,
    /// A green one of each of them.
    Each,
}

/// Something that people owe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeopleDuty {
    /// What it is called: the name under `duties`, or the path of the key that asks for it.
    pub name: String,
    /// What kind.
    pub kind: DutyKind,
    /// When.
    pub when: When,
    /// Who: roles or persons; any of them answers. Nobody means that the policy does not say.
    pub roles: Vec<String>,
    /// Who does it instead: a role or a person.
    pub delegate: Option<String>,
    /// Whether each person of the roles owes one of their own.
    pub each_person: bool,
    /// What each obligation is about; one for the whole if there is nothing.
    pub about: Vec<About>,
    /// Who hears of it when it is late.
    pub escalate: Option<Escalate>,
    /// What is to be done, in words.
    pub text: String,
    /// What the person needs for it, and hands in.
    pub input: Option<String>,
    /// Which drills answer it too.
    pub by_drill: Option<ByDrill>,
}

/// A departure from a rule that the policy allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeclaredExemption {
    /// The rule that is departed from, as written.
    pub from: String,
    /// For which systems; all if there are none.
    pub systems: Vec<SystemName>,
    /// Why.
    pub reason: Option<String>,
    /// Who allowed it.
    pub approved_by: Option<String>,
    /// The moment at which its last day is over; nothing if the policy does not say.
    pub until: Option<Time>,
}

/// Who may be given a right, by whom, for how long.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct AccessRule {
    /// Roles or persons that may have it.
    pub roles: Vec<String>,
    /// What they may do, in the policy's words.
    pub may: Vec<String>,
    /// With which systems or vaults; all if there are none.
    pub on: Vec<String>,
    /// Roles or persons of whom one has to agree.
    pub approvers: Vec<String>,
    /// For how long at a time; nothing means without an end.
    pub at_most: Option<crate::Span>,
}

/// How somebody comes to answer for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capacity {
    /// By the role itself.
    Role,
    /// As the delegate of somebody who has it.
    Delegate,
    /// The policy names nobody, so anybody may.
    Unnamed,
}

impl People {
    /// The one form under which a person is known: the address, if the policy has one for the name.
    pub fn address(&self, who: &str) -> String {
        let known = self.persons.get(who).and_then(|p| p.address.clone());
        known.unwrap_or_else(|| who.to_owned())
    }

    /// Whoever has a role, or the person who is meant by the name.
    pub fn holders(&self, role: &str) -> BTreeSet<String> {
        match self.roles.get(role).filter(|r| !r.people.is_empty()) {
            Some(role) => role.people.iter().map(|p| self.address(p)).collect(),
            None => BTreeSet::from([self.address(role)]),
        }
    }

    /// Whoever stands in for a role: its delegate, and that one's delegate where a role stands in.
    pub fn delegates(&self, role: &str) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        let mut seen = BTreeSet::from([role]);
        let mut next = self.roles.get(role).and_then(|r| r.delegate.as_deref());
        while let Some(delegate) = next.filter(|d| seen.insert(*d)) {
            out.extend(self.holders(delegate));
            next = self.roles.get(delegate).and_then(|r| r.delegate.as_deref());
        }
        out
    }

    /// Everybody who has one of the roles.
    pub fn all_holders(&self, roles: &[String]) -> BTreeSet<String> {
        roles.iter().flat_map(|role| self.holders(role)).collect()
    }

    /// Everybody who stands in for one of the roles, or by `more` itself.
    pub fn all_delegates(&self, roles: &[String], more: Option<&str>) -> BTreeSet<String> {
        let mut out: BTreeSet<String> =
            roles.iter().flat_map(|role| self.delegates(role)).collect();
        if let Some(more) = more {
            out.extend(self.holders(more));
            out.extend(self.delegates(more));
        }
        out
    }

    /// In which capacity somebody answers for what is owed by `roles`; nothing if not at all.
    pub fn capacity(
        &self,
        who: &str,
        roles: &[String],
        delegate: Option<&str>,
    ) -> Option<Capacity> {
        let who = self.address(who);
        if roles.is_empty() && delegate.is_none() {
            return Some(Capacity::Unnamed);
        }
        if self.all_holders(roles).contains(&who) {
            return Some(Capacity::Role);
        }
        let stands_in = self.all_delegates(roles, delegate).contains(&who);
        stands_in.then_some(Capacity::Delegate)
    }

    /// The public keys of a person.
    pub fn keys(&self, who: &str) -> Vec<&str> {
        let address = self.address(who);
        let mine = self
            .persons
            .iter()
            .filter(|(name, person)| **name == who || person.address.as_ref() == Some(&address));
        mine.flat_map(|(_, person)| person.keys.iter().map(String::as_str))
            .collect()
    }
}

impl PeopleDuty {
    /// Whoever owes it.
    pub fn holders(&self, people: &People) -> BTreeSet<String> {
        people.all_holders(&self.roles)
    }

    /// Whoever may do it instead. Nobody reads for somebody else.
    pub fn delegates(&self, people: &People) -> BTreeSet<String> {
        match self.each_person {
            true => BTreeSet::new(),
            false => people.all_delegates(&self.roles, self.delegate.as_deref()),
        }
    }

    /// In which capacity somebody answers it; nothing if not at all.
    pub fn capacity(&self, people: &People, who: &str) -> Option<Capacity> {
        if self.each_person {
            let mine = self.holders(people).contains(&people.address(who));
            return mine.then_some(Capacity::Role);
        }
        people.capacity(who, &self.roles, self.delegate.as_deref())
    }
}

/// As what a file that is handed in has to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandedFormat {
    /// An archive that opens: zip, tar, or either of tar and one file compressed by gzip.
    Archive,
    /// XML that is well formed.
    Xml,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Text in UTF-8.
    Text,
    /// Anything that is not empty.
    Any,
}

impl HandedFormat {
    /// Every word that a policy may use, with its meaning.
    pub const WORDS: [(&'static str, HandedFormat); 6] = [
        ("archive", HandedFormat::Archive),
        ("xml", HandedFormat::Xml),
        ("json", HandedFormat::Json),
        ("yaml", HandedFormat::Yaml),
        ("text", HandedFormat::Text),
        ("any", HandedFormat::Any),
    ];

    /// The policy's word.
    pub fn word(self) -> &'static str {
        let found = HandedFormat::WORDS.iter().find(|(_, f)| *f == self);
        found.map_or("any", |(word, _)| word)
    }

    /// What the name of a file promises, where the policy does not say it.
    pub fn of_name(name: &str) -> HandedFormat {
        let name = name.to_ascii_lowercase();
        let ends = |all: &[&str]| all.iter().any(|end| name.ends_with(end));
        if ends(&[".zip", ".tar", ".tgz", ".gz", ".jar"]) {
            HandedFormat::Archive
        } else if ends(&[".xml"]) {
            HandedFormat::Xml
        } else if ends(&[".json"]) {
            HandedFormat::Json
        } else if ends(&[".yaml", ".yml"]) {
            HandedFormat::Yaml
        } else if ends(&[".txt", ".conf", ".cfg", ".ini", ".csv", ".rsc"]) {
            HandedFormat::Text
        } else {
            HandedFormat::Any
        }
    }

    /// Whether changes of it are counted by lines.
    pub fn has_lines(self) -> bool {
        !matches!(self, HandedFormat::Archive | HandedFormat::Any)
    }
}

/// What was handed in for a protection that a person backs up, and has become a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedIn {
    /// For which protection.
    pub protection: ProtectionId,
    /// The files.
    pub files: Vec<HandedFile>,
}

/// One file that was handed in and looked into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedFile {
    /// Its name without folders.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256, lower hex.
    pub digest: String,
    /// When it was changed last, as its file system says.
    pub modified: Time,
    /// As what it was read.
    pub format: HandedFormat,
    /// What is in it: files of an archive, elements, lines.
    pub parts: u64,
    /// Lines that came and lines that went since the last one, where there is one and it has lines.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changed: Option<ChangedLines>,
}

/// How many lines differ between two versions of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedLines {
    /// Lines that only the newer one has.
    pub added: u64,
    /// Lines that only the older one has.
    pub removed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people() -> People {
        let role = |people: &[&str], delegate: Option<&str>| Role {
            people: people.iter().map(|p| (*p).to_owned()).collect(),
            delegate: delegate.map(str::to_owned),
        };
        let ann = Person {
            address: Some("ann@example.com".into()),
            keys: vec!["ssh-ed25519 A".into()],
        };
        People {
            persons: BTreeMap::from([("ann".to_owned(), ann)]),
            roles: BTreeMap::from([
                ("it".to_owned(), role(&["ann"], Some("ops"))),
                ("ops".to_owned(), role(&["ben@example.com"], Some("it"))),
                ("empty".to_owned(), role(&[], None)),
            ]),
            ..People::default()
        }
    }

    #[test]
    fn roles_become_people_and_circles_of_delegates_end() {
        let p = people();
        let it = ["it".to_owned()];
        let by = |who: &str| p.capacity(who, &it, None);
        assert_eq!(by("ann"), Some(Capacity::Role));
        assert_eq!(by("ann@example.com"), Some(Capacity::Role));
        assert_eq!(by("ben@example.com"), Some(Capacity::Delegate));
        assert_eq!(by("cleo@example.com"), None);
        assert_eq!(p.capacity("cleo", &[], None), Some(Capacity::Unnamed));
        assert_eq!(p.holders("empty"), BTreeSet::from(["empty".to_owned()]));
        assert_eq!(p.keys("ann@example.com"), ["ssh-ed25519 A"]);
        assert!(p.keys("ben@example.com").is_empty());
    }

    #[test]
    fn a_name_promises_a_format() {
        assert_eq!(HandedFormat::of_name("Export.ZIP"), HandedFormat::Archive);
        assert_eq!(HandedFormat::of_name("running.conf"), HandedFormat::Text);
        assert_eq!(HandedFormat::of_name("image"), HandedFormat::Any);
    }
}
