//! Digests of what was captured, taken at the captured moment, and their comparison with what came back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Time;

/// The program and version that held the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// Such as `sqlite`, `git`.
    pub name: String,
    /// As the engine itself says it.
    pub version: String,
}

impl Engine {
    /// Name and major version: what a restore may differ by. MariaDB and MySQL count by two numbers, others by one.
    pub fn major(&self) -> String {
        let parts = match self.name.to_ascii_lowercase().as_str() {
            "mariadb" | "mysql" => 2,
            _ => 1,
        };
        let number = |c: char| c.is_ascii_digit() || c == '.';
        let version = self
            .version
            .trim_start_matches(|c: char| !c.is_ascii_digit());
        let version: String = version.chars().take_while(|c| number(*c)).collect();
        let major: Vec<&str> = version.split('.').take(parts).collect();
        format!("{} {}", self.name, major.join("."))
    }
}

/// What one part (a table, a ref, a file) held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestEntry {
    /// Rows or objects, where counting makes sense.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub count: Option<u64>,
    /// A digest by the manifest's method, or the value itself where it is one (an object id).
    pub digest: String,
}

/// Digests of every part of one capture.
///
/// `method` names how they were made, with its version (`sqlite-rows/1`); manifests of different methods never match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestManifest {
    /// Name and version of the way the digests are made.
    pub method: String,
    /// The moment that the digests describe.
    pub taken_at: Time,
    /// The engine that held the data, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub engine: Option<Engine>,
    /// Digest by part; the keys are the source's own (`schema`, `table:orders`, `ref:refs/heads/main`).
    pub entries: BTreeMap<String, DigestEntry>,
}

/// One part that does not match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The part's key, or `method`.
    pub part: String,
    /// What the manifest says; nothing if the part should not be there.
    pub expected: Option<String>,
    /// What was found; nothing if the part is missing.
    pub actual: Option<String>,
}

impl DigestEntry {
    fn text(&self) -> String {
        match self.count {
            Some(n) => format!("{n} rows, {}", self.digest),
            None => self.digest.clone(),
        }
    }
}

impl DigestManifest {
    /// SHA-256, in lower hex, over the manifest's JSON: binds a manifest to the recovery point's fact.
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        hex::encode(Sha256::digest(&json))
    }

    /// SHA-256, in lower hex, over the parts that are about the schema; nothing if there are none.
    pub fn schema_digest(&self) -> Option<String> {
        let about = |key: &str| key == "schema" || key.starts_with("schema:");
        let parts: Vec<_> = self.entries.iter().filter(|(key, _)| about(key)).collect();
        if parts.is_empty() {
            return None;
        }
        let json = serde_json::to_vec(&parts).unwrap_or_default();
        Some(hex::encode(Sha256::digest(&json)))
    }

    /// Every part in which `actual` differs from this one; empty means equal. Times and engines are not compared.
    pub fn differences(&self, actual: &DigestManifest) -> Vec<Difference> {
        let mut out = Vec::new();
        if self.method != actual.method {
            out.push(Difference {
                part: "method".into(),
                expected: Some(self.method.clone()),
                actual: Some(actual.method.clone()),
            });
        }
        let keys: std::collections::BTreeSet<_> =
            self.entries.keys().chain(actual.entries.keys()).collect();
        for key in keys {
            let (e, a) = (self.entries.get(key), actual.entries.get(key));
            if e != a {
                out.push(Difference {
                    part: key.clone(),
                    expected: e.map(DigestEntry::text),
                    actual: a.map(DigestEntry::text),
                });
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_major_version_is_what_the_engine_counts_by() {
        let major = |name: &str, version: &str| {
            let engine = Engine {
                name: name.into(),
                version: version.into(),
            };
            engine.major()
        };
        assert_eq!(major("postgres", "15.6 (Debian 15.6-1)"), "postgres 15");
        assert_eq!(major("postgres", "PostgreSQL 16.1"), "postgres 16");
        assert_eq!(major("mariadb", "10.11.6-MariaDB"), "mariadb 10.11");
        assert_eq!(major("sqlite", "3.40.1"), "sqlite 3");
        assert_eq!(major("git", ""), "git ");
    }

    fn sample() -> DigestManifest {
        let entry = |count, digest: &str| DigestEntry {
            count,
            digest: digest.into(),
        };
        DigestManifest {
            method: "sqlite-rows/1".into(),
            taken_at: Time::from_secs(1),
            engine: None,
            entries: [
                ("schema".to_owned(), entry(None, "aa")),
                ("table:t".to_owned(), entry(Some(2), "bb")),
            ]
            .into(),
        }
    }

    #[test]
    fn equal_has_no_difference() {
        assert!(sample().differences(&sample()).is_empty());
    }

    #[test]
    fn each_change_is_seen() {
        type Change = fn(&mut DigestManifest);
        let changes: [Change; 5] = [
            |m| m.method = "sqlite-rows/2".into(),
            |m| m.entries.clear(),
            |m| {
                drop(m.entries.insert(
                    "table:u".into(),
                    DigestEntry {
                        count: None,
                        digest: "c".into(),
                    },
                ))
            },
            |m| m.entries.values_mut().for_each(|e| e.count = Some(3)),
            |m| m.entries.values_mut().for_each(|e| e.digest.push('0')),
        ];
        for (n, change) in changes.iter().enumerate() {
            let mut other = sample();
            change(&mut other);
            assert!(
                !sample().differences(&other).is_empty(),
                "change {n} was not seen"
            );
            assert_ne!(
                sample().digest(),
                other.digest(),
                "change {n} kept the digest"
            );
        }
    }
}
