//! OSCAL assessment results, version 1.1.3: the period for tools that exchange assessments.
//!
//! Every identifier is a version-5 UUID of what it names, and nothing depends on when the export is made, so that the
//! same period of the same ledger under the same policy gives the same bytes again. OSCAL knows `satisfied` and
//! `not-satisfied` only: what is unproven is not satisfied, and our own word stands beside it as a property.

use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use vouchsafe_model::period::{ControlPeriod, PeriodVerdict, ProtectionPeriod};
use vouchsafe_model::{PeriodCounts, Time};

use crate::artefacts::ControlArtefacts;
use crate::report::content::ReportContent;
use crate::report::{ReportInput, report_content};

/// The version of OSCAL that is written.
pub const OSCAL_VERSION: &str = "1.1.3";

/// The namespace of our properties.
const NS: &str = "urn:vouchsafe:oscal";

/// The namespace of our identifiers, itself drawn once at random.
const NAMESPACE: [u8; 16] = [
    0x5d, 0x0c, 0x5b, 0x1e, 0x92, 0x3f, 0x4c, 0x0a, 0x8e, 0x67, 0x1b, 0x4a, 0xd7, 0x30, 0x6c, 0x28,
];

/// The assessment results of a report's period.
pub fn oscal(input: &ReportInput<'_>) -> Value {
    let content = report_content(input);
    let names = Uuids {
        basis: format!(
            "{} {} {} {}",
            origin(&content.ledger.vkey),
            content.policy.digest,
            content.from,
            content.to
        ),
    };
    let policy = names.of("resource policy");
    let components: Vec<Value> = content
        .period
        .protections
        .iter()
        .map(|p| component(&names, &content, p))
        .collect();
    let observations: Vec<Value> = content
        .period
        .protections
        .iter()
        .map(|p| observation(&names, content.period.as_of, p))
        .collect();
    let mut result = json!({
        "uuid": names.of("result"),
        "title": "Backup and recovery over a period",
        "description": period_text(&content),
        "start": content.from,
        "end": content.to,
        "props": counted(&content.period.counts, content.period.verdict),
        "reviewed-controls": { "control-selections": [selection(&content)] },
        "findings": content.period.controls.iter().map(|c| finding(&names, &content, c)).collect::<Vec<_>>(),
    });
    if let Some(result) = result.as_object_mut() {
        if !components.is_empty() {
            result.insert(
                "local-definitions".to_owned(),
                json!({ "components": components }),
            );
            result.insert("observations".to_owned(), json!(observations));
        }
        // A list may be left out and must not be empty.
        if content.period.controls.is_empty() {
            result.remove("findings");
        }
    }
    json!({ "assessment-results": {
        "uuid": names.of("assessment-results"),
        "metadata": {
            "title": format!("Backup evidence: {}", words(content.policy.title.as_deref(), "backup policy")),
            "last-modified": content.period.as_of,
            "version": words(content.policy.version.as_deref(), "not stated"),
            "oscal-version": OSCAL_VERSION,
            "props": [
                prop("ledger", &origin(&content.ledger.vkey)),
                prop("tool", &content.tool),
            ],
            "remarks": "The verdicts say what the ledger's facts show about the backup part of each control. They are evidence, and no claim of compliance. Each number called a fact is the place of an entry in the ledger.",
        },
        "import-ap": { "href": format!("#{policy}"), "remarks": "The backup policy stands for the assessment plan." },
        "results": [result],
        "back-matter": { "resources": [{
            "uuid": policy,
            "title": words(content.policy.title.as_deref(), "Backup policy"),
            "rlinks": [{
                "href": "policy.yaml",
                "hashes": [{ "algorithm": "SHA-256", "value": content.policy.digest }],
            }],
        }] },
    } })
}

/// The name in a vkey.
fn origin(vkey: &str) -> String {
    words(vkey.split('+').next(), "ledger")
}

fn component(names: &Uuids, content: &ReportContent, p: &ProtectionPeriod) -> Value {
    let part = content.protections.iter().find(|part| part.id == p.id);
    let what = part.map_or(String::new(), |part| {
        format!("{} of {}", part.way, part.source)
    });
    json!({
        "uuid": names.of(&format!("component {}", p.id)),
        "type": "system",
        "title": p.id.to_string(),
        "description": words(Some(&what), "A protection of a system"),
        "status": { "state": "operational" },
    })
}

fn observation(names: &Uuids, collected: Time, p: &ProtectionPeriod) -> Value {
    let mut props = counted(&p.counts, p.verdict);
    let micros = |name: &str, span: Option<vouchsafe_model::Span>| {
        span.map(|s| prop(name, &format!("{}", s.secs())))
    };
    let longest = p.drills.iter().map(|d| d.achieved_rto).max();
    props.extend(
        [
            micros("worst-rpo-seconds", p.worst_rpo),
            micros("target-rpo-seconds", p.target_rpo),
            micros("longest-rto-seconds", longest),
            micros("target-rto-seconds", p.target_rto),
            Some(prop("drills", &p.drills.len().to_string())),
            Some(prop("strength", "measured")),
        ]
        .into_iter()
        .flatten(),
    );
    let said = match p.because.is_empty() {
        true => "Everything that was due happened in time.".to_owned(),
        false => format!("{}.", p.because.join("; ")),
    };
    let mut value = json!({
        "uuid": names.of(&format!("observation {}", p.id)),
        "title": format!("{} over the period", p.id),
        "description": said,
        "props": props,
        "methods": ["TEST"],
        "types": ["control-objective"],
        "subjects": [{ "subject-uuid": names.of(&format!("component {}", p.id)), "type": "component" }],
        "collected": collected,
    });
    let drills: Vec<Value> = p
        .drills
        .iter()
        .map(|d| {
            json!({
                "href": format!("populations/drills.csv#{}", d.seq),
                "description": format!(
                    "Drill, fact {}: {}, in {}",
                    d.seq,
                    if d.green { "green" } else { "not green" },
                    d.achieved_rto
                ),
            })
        })
        .collect();
    if let Some(value) = value.as_object_mut().filter(|_| !drills.is_empty()) {
        value.insert("relevant-evidence".to_owned(), json!(drills));
    }
    value
}

fn finding(names: &Uuids, content: &ReportContent, c: &ControlPeriod) -> Value {
    let id = control_id(&c.framework, &c.control);
    let part = content
        .controls
        .iter()
        .find(|p| p.framework == c.framework && p.control == c.control);
    let satisfied = matches!(
        c.verdict,
        PeriodVerdict::Met | PeriodVerdict::MetWithDeviations
    );
    let (state, reason) = match c.verdict {
        PeriodVerdict::Met => ("satisfied", "pass"),
        PeriodVerdict::MetWithDeviations => ("satisfied", "other"),
        PeriodVerdict::Unproven => ("not-satisfied", "other"),
        PeriodVerdict::NotMet => ("not-satisfied", "fail"),
    };
    let artefacts = content
        .artefacts
        .iter()
        .find(|a| a.framework == c.framework && a.control == c.control);
    let related: Vec<Value> = content
        .period
        .protections
        .iter()
        .map(|p| json!({ "observation-uuid": names.of(&format!("observation {}", p.id)) }))
        .collect();
    let mut status = json!({ "state": state, "reason": reason });
    if let Some(status) = status
        .as_object_mut()
        .filter(|_| !satisfied || reason == "other")
    {
        status.insert("remarks".to_owned(), json!(c.verdict.word()));
    }
    let mut value = json!({
        "uuid": names.of(&format!("finding {id}")),
        "title": format!("{} {}", c.framework, c.control),
        "description": words(part.map(|p| p.title.as_str()), "Backup and recovery"),
        "props": counted(&c.counts, c.verdict),
        "target": { "type": "objective-id", "target-id": id, "status": status },
    });
    if let Some(value) = value.as_object_mut() {
        if !related.is_empty() {
            value.insert("related-observations".to_owned(), json!(related));
        }
        if let Some(absent) = artefacts.and_then(absent) {
            value.insert("remarks".to_owned(), json!(absent));
        }
    }
    value
}

fn absent(artefacts: &ControlArtefacts) -> Option<String> {
    let lines: Vec<String> = artefacts
        .artefacts
        .iter()
        .filter(|a| a.presence != crate::artefacts::Presence::Here)
        .map(|a| format!("{} ({}): {}", a.name, a.presence.word(), a.says))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn selection(content: &ReportContent) -> Value {
    let ids: Vec<Value> = content
        .period
        .controls
        .iter()
        .map(|c| json!({ "control-id": control_id(&c.framework, &c.control) }))
        .collect();
    match ids.is_empty() {
        true => {
            json!({ "description": "The policy names no framework of which controls are known." })
        }
        false => json!({ "include-controls": ids }),
    }
}

fn period_text(content: &ReportContent) -> String {
    format!(
        "{}: {} of {} obligations on time, judged as of {}.",
        content.period.verdict,
        content.period.counts.on_time,
        content.period.counts.total(),
        content.period.as_of
    )
}

fn counted(counts: &PeriodCounts, verdict: PeriodVerdict) -> Vec<Value> {
    let mut props = vec![prop("verdict", &verdict.word().replace(' ', "-"))];
    let all = [
        ("on-time", counts.on_time),
        ("late", counts.late),
        ("missed", counts.missed),
        ("unproven", counts.unproven),
        ("open", counts.open),
    ];
    props.extend(all.iter().map(|(name, n)| prop(name, &n.to_string())));
    props
}

fn prop(name: &str, value: &str) -> Value {
    json!({ "name": name, "ns": NS, "value": words(Some(value), "none") })
}

/// As a token: letters, digits, dots and hyphens, beginning with a letter.
fn control_id(framework: &str, control: &str) -> String {
    let mut id = String::new();
    for c in format!("{framework}-{control}").chars() {
        match c {
            c if c.is_ascii_alphanumeric() || c == '.' => id.push(c.to_ascii_lowercase()),
            _ if !id.ends_with('-') => id.push('-'),
            _ => {}
        }
    }
    id.trim_end_matches('-').to_owned()
}

/// On one line, without blanks at its ends; `otherwise` if nothing is left.
fn words(text: Option<&str>, otherwise: &str) -> String {
    let text = crate::layout::clean(text.unwrap_or_default());
    match text.trim() {
        "" => otherwise.to_owned(),
        text => text.to_owned(),
    }
}

/// Identifiers of one period.
struct Uuids {
    basis: String,
}

impl Uuids {
    /// RFC 9562, section 5.5.
    fn of(&self, name: &str) -> String {
        let mut hasher = Sha1::new();
        hasher.update(NAMESPACE);
        hasher.update(format!("{} {name}", self.basis));
        let digest = hasher.finalize();
        let mut bytes = [0u8; 16];
        bytes
            .iter_mut()
            .zip(digest)
            .for_each(|(to, from)| *to = from);
        uuid::Builder::from_sha1_bytes(bytes)
            .into_uuid()
            .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_controls_are_tokens() {
        assert_eq!(control_id("SOC 2", "A1.2"), "soc-2-a1.2");
        assert_eq!(control_id("GDPR", "Art. 32"), "gdpr-art.-32");
        assert_eq!(control_id("NIST SP 800-53", "CP-9"), "nist-sp-800-53-cp-9");
    }

    #[test]
    fn names_give_version_five_uuids_that_stay() {
        let names = Uuids {
            basis: "b".to_owned(),
        };
        let one = names.of("result");
        assert_eq!(one, names.of("result"));
        assert_ne!(one, names.of("finding"));
        assert_eq!(one.get(14..15), Some("5"), "{one}");
        assert!(
            matches!(one.get(19..20), Some("8" | "9" | "a" | "b")),
            "{one}"
        );
    }
}
