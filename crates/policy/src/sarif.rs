//! Findings in the format in which code hosts and editors take them.

use serde_json::{Value, json};

use crate::explain::explain;
use crate::files::FileMap;
use crate::problem::{Level, Problem};

/// The findings as one SARIF 2.1.0 run: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/>.
///
/// `file` is the policy's address as readers of the log know it, relative to the root of their sources; `version`
/// that of this program. Columns count characters.
pub fn sarif(findings: &[Problem], file: &str, version: &str) -> Value {
    sarif_of(findings, &FileMap::default(), file, version)
}

/// The same for a policy of several files: those that it includes lie beside `file`.
pub fn sarif_of(findings: &[Problem], files: &FileMap, file: &str, version: &str) -> Value {
    let mut codes: Vec<&str> = findings.iter().map(|p| p.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<Value> = codes
        .iter()
        .map(|code| {
            let text = explain(code).unwrap_or_default();
            json!({
                "id": code,
                "shortDescription": { "text": first_sentence(text) },
                "fullDescription": { "text": text },
            })
        })
        .collect();
    let folder = file.rsplit_once('/').map(|(folder, _)| folder);
    let main = files.names().next();
    let results: Vec<Value> = findings
        .iter()
        .map(|problem| {
            let (name, line) = files.locate(problem.line);
            let address = match (folder, main) {
                (_, None) => file.to_owned(),
                (_, Some(main)) if main == name => file.to_owned(),
                (Some(folder), _) => format!("{folder}/{name}"),
                (None, _) => name.to_owned(),
            };
            let mut there = problem.clone();
            there.line = line;
            result(&there, &address, &codes)
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "vouchsafe", "version": version, "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(problem: &Problem, file: &str, codes: &[&str]) -> Value {
    let text = match problem.remedy.is_empty() {
        true => problem.message.clone(),
        false => format!("{}; {}", problem.message, problem.remedy),
    };
    let mut out = json!({
        "ruleId": problem.code,
        "level": match problem.level {
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Error => "error",
        },
        "message": { "text": text },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": file },
            "region": { "startLine": problem.line, "startColumn": problem.column },
        } }],
    });
    if let Ok(index) = codes.binary_search(&problem.code) {
        out["ruleIndex"] = json!(index);
    }
    out
}

fn first_sentence(text: &str) -> &str {
    let end = text.find(". ").map_or(text.len(), |at| at + 1);
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn each_finding_has_its_rule_and_place() {
        let text = "systems:\n  s: { source: 'files:/a' }\n";
        let lowered = crate::lower(text, "p", Path::new("/p"), String::new());
        let findings = crate::lint(&lowered, None);
        let log = sarif(&findings, "policy.yaml", "1.0");
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), findings.len());
        for (result, finding) in results.iter().zip(&findings) {
            let index = result["ruleIndex"].as_u64().unwrap() as usize;
            assert_eq!(run["tool"]["driver"]["rules"][index]["id"], finding.code);
            let place = &result["locations"][0]["physicalLocation"];
            assert_eq!(place["region"]["startLine"], finding.line);
            assert_eq!(place["artifactLocation"]["uri"], "policy.yaml");
            assert_eq!(result["level"], finding.level.to_string());
        }
    }
}
