//! An entry's bytes, read.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use vouchsafe_model::{Entry, Fact, Issue, Outcome, RunId, Time};

/// The form of entries that is read and written.
pub(crate) const ENTRY_VERSION: u32 = 1;

/// Why bytes are not an entry.
pub(crate) enum Unreadable {
    /// An entry of another version.
    Version(u32),
    /// Nothing that is known.
    Form,
}

pub(crate) fn parse_entry(body: &[u8]) -> Result<Entry, Unreadable> {
    let Ok(frame) = serde_json::from_slice::<Frame<'_>>(body) else {
        return Err(version_of(body).map_or(Unreadable::Form, Unreadable::Version));
    };
    if frame.v != ENTRY_VERSION {
        return Err(Unreadable::Version(frame.v));
    }
    let at = as_written(&frame.at).ok_or(Unreadable::Form)?;
    let fact = fact(&frame.fact, body).map_err(|_| Unreadable::Form)?;
    if !times_are_as_written(&fact, &frame) {
        return Err(Unreadable::Form);
    }
    Ok(Entry {
        v: frame.v,
        at,
        actor: frame.actor.into_owned(),
        tool: frame.tool.into_owned(),
        fact,
    })
}

/// All but the fact. To read the fact by itself costs less than to read it as a part of the entry, for which all its
/// values would be gathered first.
struct Frame<'a> {
    v: u32,
    at: Cow<'a, str>,
    actor: Cow<'a, str>,
    tool: Cow<'a, str>,
    fact: Cow<'a, str>,
    /// What stands under `due`, `until` and `seen`: times, in the facts that matter here.
    times: [Stated<'a>; 3],
}

/// The kinds of which there are the most are read as what they are; any other is gathered first.
fn fact(kind: &str, body: &[u8]) -> serde_json::Result<Fact> {
    match kind {
        "obligation-due" => serde_json::from_slice(body).map(Fact::ObligationDue),
        "recovery-point" => serde_json::from_slice(body).map(Fact::RecoveryPoint),
        "copy" => serde_json::from_slice(body).map(Fact::Copy),
        "verification" => serde_json::from_slice(body).map(Fact::Verification),
        "log-shipped" => serde_json::from_slice(body).map(Fact::LogShipped),
        "expired" => serde_json::from_slice(body).map(Fact::Expired),
        "run-opened" => serde_json::from_slice(body).map(RunOpened::fact),
        "run-closed" => serde_json::from_slice(body).map(RunClosed::fact),
        _ => serde_json::from_slice(body),
    }
}

/// What stands in [`Fact::RunOpened`].
#[derive(Deserialize)]
struct RunOpened {
    run: RunId,
    deed: String,
    subject: String,
    #[serde(default)]
    reason: Option<String>,
}

impl RunOpened {
    fn fact(self) -> Fact {
        let RunOpened {
            run,
            deed,
            subject,
            reason,
        } = self;
        Fact::RunOpened {
            run,
            deed,
            subject,
            reason,
        }
    }
}

/// What stands in [`Fact::RunClosed`].
#[derive(Deserialize)]
struct RunClosed {
    run: RunId,
    outcome: Outcome,
    #[serde(default)]
    issues: Vec<Issue>,
}

impl RunClosed {
    fn fact(self) -> Fact {
        let RunClosed {
            run,
            outcome,
            issues,
        } = self;
        Fact::RunClosed {
            run,
            outcome,
            issues,
        }
    }
}

/// The time that stands there, if it stands there as it is written here: others compare these texts, and only in that
/// form does their order tell that of the times.
fn as_written(text: &str) -> Option<Time> {
    let time = text.parse::<Time>().ok();
    time.filter(|time| time.to_string() == text)
}

/// The same for the times by which others say what a record lacks (`docs/ledger-format.md`).
fn times_are_as_written(fact: &Fact, frame: &Frame<'_>) -> bool {
    let matters = matches!(
        fact,
        Fact::ObligationDue(_) | Fact::Horizon { .. } | Fact::Witnessed(_) | Fact::Timestamped(_)
    );
    let is_good = |stated: &Stated<'_>| match stated {
        Stated::Nothing => true,
        Stated::Text(text) => as_written(text).is_some(),
        Stated::Other => false,
    };
    !matters || frame.times.iter().all(is_good)
}

/// The version of an entry that is not of the one that is known.
fn version_of(body: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let version = serde_json::from_slice::<Version>(body).ok()?;
    Some(version.v).filter(|v| *v != ENTRY_VERSION)
}

impl<'de> Deserialize<'de> for Frame<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Frame<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an entry")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Frame<'de>, A::Error> {
                let mut v = None;
                let mut texts = [const { None }; TEXTS.len()];
                let mut times = [const { None }; TIMES.len()];
                while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
                    let index = |names: &[&str]| names.iter().position(|name| *name == key);
                    if let Some(text) = index(&TEXTS).and_then(|n| texts.get_mut(n)) {
                        if text.is_some() {
                            return Err(A::Error::custom("a key stands there twice"));
                        }
                        *text = Some(map.next_value::<Text<'de>>()?.0);
                    } else if key == "v" {
                        if v.is_some() {
                            return Err(A::Error::custom("a key stands there twice"));
                        }
                        v = Some(map.next_value::<u32>()?);
                    } else if let Some(time @ None) = index(&TIMES).and_then(|n| times.get_mut(n)) {
                        *time = Some(map.next_value::<Stated<'de>>()?);
                    } else {
                        map.next_value::<Stated<'de>>()?;
                    }
                }
                let (Some(v), [Some(at), Some(actor), Some(tool), Some(fact)]) = (v, texts) else {
                    return Err(A::Error::custom("a key is missing"));
                };
                Ok(Frame {
                    v,
                    at,
                    actor,
                    tool,
                    fact,
                    times: times.map(|time| time.unwrap_or(Stated::Nothing)),
                })
            }
        }
        d.deserialize_map(Keys)
    }
}

const TEXTS: [&str; 4] = ["at", "actor", "tool", "fact"];
const TIMES: [&str; 3] = ["due", "until", "seen"];

/// A text, borrowed where nothing in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What stands under a key. All of it is read, whatever it is: a number beyond all bounds, or what is nested too deep, is
/// no part of an entry, though no fact would look at it.
enum Stated<'a> {
    Nothing,
    Text(Cow<'a, str>),
    Other,
}

impl<'de> Deserialize<'de> for Stated<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Stated<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Stated::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Stated::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Stated::Nothing)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Stated::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Stated::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Stated::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Stated::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<Stated<'de>>()?.is_some() {}
                Ok(Stated::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<Text<'de>, Stated<'de>>()?.is_some() {}
                Ok(Stated::Other)
            }
        }
        d.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read as what it is comes out as what is gathered first.
    #[test]
    fn both_ways_of_reading_a_fact_come_to_the_same() {
        let export = include_str!("../tests/golden/export-1.jsonl");
        let mut kinds = std::collections::BTreeSet::new();
        for line in export.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let Some(entry) = line.get("entry") else {
                continue;
            };
            let body = entry.to_string();
            let kind = entry["fact"].as_str().unwrap();
            let gathered: Fact = serde_json::from_str(&body).unwrap();
            assert_eq!(fact(kind, body.as_bytes()).unwrap(), gathered);
            for wrong in ["\"fact\":7,", "\"obligations\":7,", "\"kind\":7,"] {
                let twice = body.replacen('{', &format!("{{{wrong}"), 1);
                let gathered = serde_json::from_str::<Fact>(&twice);
                if wrong.contains("fact") {
                    assert!(parse_entry(twice.as_bytes()).is_err(), "{twice}");
                } else {
                    let read = fact(kind, twice.as_bytes());
                    assert_eq!(read.is_err(), gathered.is_err(), "{twice}");
                }
            }
            kinds.insert(kind.to_owned());
        }
        for kind in [
            "obligation-due",
            "recovery-point",
            "copy",
            "run-opened",
            "run-closed",
        ] {
            assert!(kinds.contains(kind), "{kinds:?}");
        }
    }

    #[test]
    fn whatever_else_stands_beside_a_fact_is_left_alone() {
        let read = |more: &str| {
            let body = format!(
                r#"{{"v":1,"at":"2026-01-01T00:00:00.000000Z","actor":"a","tool":"t","fact":"run-abandoned","run":"r"{more}}}"#
            );
            parse_entry(body.as_bytes()).is_ok()
        };
        for more in [
            "",
            r#","due":7,"until":[1,{"a":null}],"seen":{"b":true}"#,
            r#","due":1.5,"due":-1,"seen":false"#,
        ] {
            assert!(read(more), "{more}");
        }
        for more in [
            r#","x":1e999"#,
            r#","x":[{"y":1e999}]"#,
            r#","v":1"#,
            r#","at":"2026-01-01T00:00:00.000000Z""#,
            r#","tool":"t""#,
        ] {
            assert!(!read(more), "{more}");
        }
    }

    #[test]
    fn times_that_others_compare_are_written_in_one_way() {
        let read = |until: &str| {
            let body = format!(
                r#"{{"v":1,"at":"2026-01-01T00:00:00.000000Z","actor":"a","tool":"t","fact":"horizon","until":{until}}}"#
            );
            parse_entry(body.as_bytes()).is_ok()
        };
        assert!(read(r#""2026-01-01T00:00:00.000000Z""#));
        assert!(!read(r#""2026-01-01T00:00:00Z""#));
        assert!(!read(r#""2026-01-01T00:00:00+00:00""#));
        assert!(!read("null"));
    }
}
