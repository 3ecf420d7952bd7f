//! in-toto statements about a period: what was promised, how it came out, and each drill as a test result.

use serde_json::{Value, json};
use vouchsafe_model::RungOutcome;

use crate::report::content::{DrillRow, ReportContent, Row};
use crate::report::{ReportInput, report_content};

/// The type of an in-toto statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The type of what a DSSE envelope around one holds.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// What a statement about a period is: its predicate has the keys of the JSON report's `period`, and beside them
/// `policy`, `ledger` and `populations`.
pub const PERIOD_PREDICATE: &str = "urn:vouchsafe:predicate:backup-period:1";
/// What a statement about the files of a bundle is.
pub const BUNDLE_PREDICATE: &str = "urn:vouchsafe:predicate:backup-bundle:1";
/// The predicate of in-toto for the results of tests, here of a drill.
pub const TEST_PREDICATE: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// A file and its SHA-256, lower hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digested {
    /// Its path in the bundle.
    pub name: String,
    /// Its digest.
    pub sha256: String,
}

/// The statements about a report's period, each as the exact text that is to be signed: first the period as a whole,
/// then each of its drills in the order of the ledger.
pub fn statements(input: &ReportInput<'_>) -> Vec<String> {
    let content = report_content(input);
    let mut all = vec![period(&content)];
    all.extend(content.drills.rows.iter().map(|d| drill(&content, d)));
    all.iter().map(Value::to_string).collect()
}

/// The statement that these files belong to one bundle, as the exact text that is to be signed.
pub fn bundle_statement(input: &ReportInput<'_>, files: &[Digested]) -> String {
    let subjects: Vec<Value> = files.iter().map(|f| subject(&f.name, &f.sha256)).collect();
    statement(
        &subjects,
        BUNDLE_PREDICATE,
        &json!({
            "from": input.from,
            "to": input.to,
            "as_of": input.period.as_of,
            "ledger": { "size": input.ledger.size, "root": input.ledger.root },
            "policy": { "sha256": input.policy.digest },
            "made": input.generated_at,
            "tool": input.tool,
        }),
    )
    .to_string()
}

fn statement(subjects: &[Value], kind: &str, predicate: &Value) -> Value {
    json!({
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": kind,
        "predicate": predicate,
    })
}

fn subject(name: &str, sha256: &str) -> Value {
    json!({ "name": name, "digest": { "sha256": sha256 } })
}

/// The policy and the ledger are what is spoken of: a reader who has other ones has another period.
fn subjects(content: &ReportContent) -> Vec<Value> {
    let name = content.ledger.vkey.split('+').next().unwrap_or_default();
    vec![
        subject("policy.yaml", &content.policy.digest),
        subject(
            &format!("{name}@{}", content.ledger.size),
            &content.ledger.root,
        ),
    ]
}

fn period(content: &ReportContent) -> Value {
    let mut predicate = json!(content.period);
    if let Some(predicate) = predicate.as_object_mut() {
        predicate.insert(
            "policy".to_owned(),
            json!({
                "id": content.policy.id,
                "version": content.policy.version,
                "sha256": content.policy.digest,
                "approved_text": content.policy.digest_matches,
            }),
        );
        predicate.insert(
            "ledger".to_owned(),
            json!({ "size": content.ledger.size, "root": content.ledger.root }),
        );
        predicate.insert("populations".to_owned(), json!(content.populations));
        predicate.insert("strength".to_owned(), json!("measured"));
    }
    statement(&subjects(content), PERIOD_PREDICATE, &predicate)
}

/// A drill as in-toto has the results of tests. A rung that was skipped was not passed.
fn drill(content: &ReportContent, row: &Row<DrillRow>) -> Value {
    let d = &row.fact.result;
    let rungs = |passed: bool| -> Vec<String> {
        let all = d.ladder.rungs.iter();
        all.filter(|r| (r.outcome == RungOutcome::Green) == passed)
            .map(|r| r.name.clone())
            .collect()
    };
    let mut failed = rungs(false);
    let controls = d.negative_controls.iter();
    failed.extend(
        controls
            .filter(|c| !c.caught())
            .map(|c| format!("negative-control:{}", c.damage.name)),
    );
    if row.fact.within_target == Some(false) {
        failed.push("rto".to_owned());
    }
    if !d.sandbox.destroyed {
        failed.push("sandbox-destroyed".to_owned());
    }
    let passed = row.fact.green && failed.is_empty();
    let point = content
        .points
        .rows
        .iter()
        .find(|p| p.fact.point == d.point)
        .map(|p| subject(&format!("point {}", d.point), &p.fact.tree));
    let mut of = subjects(content);
    of.extend(point);
    statement(
        &of,
        TEST_PREDICATE,
        &json!({
            "result": if passed { "PASSED" } else { "FAILED" },
            "configuration": [{
                "name": format!("rules of {}", d.protection),
                "digest": { "sha256": d.rules_digest },
            }],
            "passedTests": rungs(true),
            "warnedTests": [],
            "failedTests": failed,
            "annotations": {
                "ledger_seq": row.seq,
                "protection": d.protection,
                "vault": d.vault,
                "ended": d.ended,
                "achieved_rto_micros": d.achieved_rto,
                "target_rto_micros": d.target_rto,
                "equality": d.equality,
                "strength": "measured",
            },
        }),
    )
}
