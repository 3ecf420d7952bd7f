//! The register of erasures: whose data was erased, read strictly, line by line.

use std::collections::BTreeSet;

use serde::Deserialize;
use vouchsafe_model::{ErasedSubject, Policy, Span, SubjectId, SystemName, Time};

/// More bytes than any register has.
pub const LARGEST_REGISTER: u64 = 64 << 20;
/// An identifier is no longer than this.
const LONGEST_SUBJECT: usize = 1024;
/// What lies further ahead is no erasure that has happened, whatever clock was used.
const AHEAD: Span = Span::from_hours(24);

/// What is wrong with a register. It names the line, and nothing that stands in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {message}; {remedy}", .column.map_or(String::new(), |c| format!(", column {c}")))]
pub struct RegisterFault {
    /// From 1.
    pub line: u64,
    /// From 1, if it is known.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: &'static str,
    /// What to write.
    pub remedy: &'static str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    subject: Subject,
    erased: String,
    #[serde(default)]
    systems: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Subject {
    Number(i64),
    Text(String),
}

/// Reads a register: JSON lines in UTF-8, of which each holds one subject as `{"subject": 4711, "erased":
/// "2026-03-01T12:00:00Z", "systems": ["shop"]}`. A subject is a text or a whole number; without `systems` it concerns
/// every system; empty lines are skipped. Every other key, a key twice, a time that lies ahead of `now`, and a system
/// that `policy` does not have are faults: what is not understood might be somebody who must not come back.
pub fn erased_subjects(
    text: &[u8],
    policy: &Policy,
    now: Time,
) -> Result<Vec<ErasedSubject>, RegisterFault> {
    let mut out = Vec::new();
    for (at, line) in text.split(|b| *b == b'\n').enumerate() {
        let number = at as u64 + 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        out.push(subject(line, number, policy, now)?);
    }
    Ok(out)
}

fn subject(
    line: &[u8],
    number: u64,
    policy: &Policy,
    now: Time,
) -> Result<ErasedSubject, RegisterFault> {
    let fault = |message, remedy| RegisterFault {
        line: number,
        column: None,
        message,
        remedy,
    };
    let no_object = fault(
        "it is no JSON object",
        "write {\"subject\": 4711, \"erased\": \"2026-03-01T12:00:00Z\"} in one line",
    );
    if !line.trim_ascii_start().starts_with(b"{") {
        return Err(no_object);
    }
    // What the reader itself says may hold what stands in the line.
    let read: Line = serde_json::from_slice(line).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => fault(
            "it is no subject",
            "write `subject` (text or whole number), `erased` (a time) and, if you like, `systems` (a list of names), each once and nothing else",
        ),
        _ => RegisterFault {
            column: Some(error.column()),
            ..no_object.clone()
        },
    })?;
    let id = match read.subject {
        Subject::Number(number) => SubjectId::Number(number),
        Subject::Text(text)
            if text.is_empty()
                || text.len() > LONGEST_SUBJECT
                || text.chars().any(char::is_control) =>
        {
            return Err(fault(
                "the subject is empty, too long, or has control characters",
                "write the identifier as the systems have it",
            ));
        }
        Subject::Text(text) => SubjectId::Text(text),
    };
    let erased: Time = read.erased.parse().map_err(|_| {
        fault(
            "`erased` is no time",
            "write it as RFC 3339 does: 2026-03-01T12:00:00Z",
        )
    })?;
    if erased > now.plus(AHEAD) {
        return Err(fault(
            "`erased` lies ahead, so that nobody has been erased yet",
            "add the line when it is done",
        ));
    }
    let mut systems = BTreeSet::new();
    if let Some(names) = read.systems {
        if names.is_empty() {
            return Err(fault(
                "`systems` names none",
                "name the systems, or take it out if it is about all",
            ));
        }
        for name in names {
            let known = SystemName::new(name).ok();
            let known = known.filter(|name| policy.systems.contains_key(name));
            systems.insert(known.ok_or_else(|| {
                fault(
                    "`systems` names one that the policy does not have",
                    "correct the name, or take it out if the system is gone",
                )
            })?);
        }
    }
    Ok(ErasedSubject {
        id,
        line: number,
        erased,
        systems,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn policy() -> Policy {
        let text = "systems: { shop: { source: \"files:/srv\" }, crm: { source: \"files:/crm\" } }";
        let lowered = crate::lower(text, "policy.yaml", Path::new("/p"), "d".into());
        lowered.policy.unwrap()
    }

    fn read(text: &str) -> Result<Vec<ErasedSubject>, RegisterFault> {
        let now = "2026-06-01T00:00:00Z".parse().unwrap();
        erased_subjects(text.as_bytes(), &policy(), now)
    }

    #[test]
    fn numbers_texts_and_systems_are_read() {
        let text = "{\"subject\": 4711, \"erased\": \"2026-03-01T12:00:00Z\"}\n\n\
            {\"erased\": \"2026-03-02T12:00:00+01:00\", \"subject\": \"anna\", \"systems\": [\"shop\"]}\r\n";
        let all = read(text).unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].id, SubjectId::Number(4711));
        assert_eq!((all[1].id.expose().as_str(), all[1].line), ("anna", 3));
        let (shop, crm) = (
            SystemName::new("shop").unwrap(),
            SystemName::new("crm").unwrap(),
        );
        assert!(all[0].concerns(&shop) && all[0].concerns(&crm));
        assert!(all[1].concerns(&shop) && !all[1].concerns(&crm));
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn every_fault_names_its_line_and_nothing_that_stands_there() {
        let good = "{\"subject\": 1, \"erased\": \"2026-03-01T12:00:00Z\"}\n";
        for bad in [
            "secret-1",
            "{\"subject\": \"secret-1\"}",
            "{\"subject\": \"secret-1\", \"erased\": \"yesterday\"}",
            "{\"subject\": \"secret-1\", \"erased\": \"2027-03-01T12:00:00Z\"}",
            "{\"subject\": \"secret-1\", \"erased\": \"2026-03-01T12:00:00Z\", \"secret-1\": 2}",
            "{\"subject\": \"secret-1\", \"subject\": 2, \"erased\": \"2026-03-01T12:00:00Z\"}",
            "{\"subject\": [\"secret-1\"], \"erased\": \"2026-03-01T12:00:00Z\"}",
            "{\"subject\": 1.5, \"erased\": \"2026-03-01T12:00:00Z\"}",
            "{\"subject\": \"\", \"erased\": \"2026-03-01T12:00:00Z\"}",
            "{\"subject\": \"secret\\u0000-1\", \"erased\": \"2026-03-01T12:00:00Z\"}",
            "{\"subject\": 1, \"erased\": \"2026-03-01T12:00:00Z\", \"systems\": [\"secret-1\"]}",
            "{\"subject\": 1, \"erased\": \"2026-03-01T12:00:00Z\", \"systems\": []}",
            "{\"subject\": 1, \"erased\": \"2026-03-01T12:00:00Z\"} {}",
            "[1, \"2026-03-01T12:00:00Z\"]",
            "\u{feff}{\"subject\": 1, \"erased\": \"2026-03-01T12:00:00Z\"}",
        ] {
            let fault = read(&format!("{good}{bad}\n{good}")).expect_err(bad);
            assert_eq!(fault.line, 2, "{bad}");
            let said = fault.to_string();
            assert!(!said.contains("secret"), "{said}");
        }
        assert_eq!(read(&format!("{good}{good}")).unwrap().len(), 2);
    }
}
