//! The evidence in its other forms: populations, samples, OSCAL, in-toto, PDF, bundle. Nothing is left out of them,
//! nothing in them can harm, and what is not in its form is found.

#![allow(unreachable_pub)]

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::common::{self, World, world};
use serde_json::{Value, json};
use vouchsafe_evidence::artefacts::Presence;
use vouchsafe_evidence::bundle::{BundleParts, ReportFile, archive, bundle, population_files};
use vouchsafe_evidence::oscal::oscal;
use vouchsafe_evidence::pdf::report_pdf;
use vouchsafe_evidence::populations::{Frozen, POPULATIONS, csv, populations};
use vouchsafe_evidence::statements::{STATEMENT_TYPE, statements};
use vouchsafe_evidence::{report_content, report_html, report_json};
use vouchsafe_model::period::PeriodVerdict;
use vouchsafe_model::{ControlAssessment, Fact, Question, Verdict};

fn named<'a>(all: &'a [Frozen], name: &str) -> &'a Frozen {
    all.iter().find(|p| p.name == name).unwrap()
}

#[test]
fn every_fact_of_the_period_is_in_a_population_and_in_one_only() {
    let w = world();
    let all = populations(&w.input());
    let names: Vec<&str> = all.iter().map(|p| p.name).collect();
    assert_eq!(names, POPULATIONS);
    let mut seen: BTreeMap<u64, &str> = BTreeMap::new();
    for population in &all {
        if ["obligations", "duties", "failures"].contains(&population.name) {
            continue;
        }
        for row in &population.rows {
            let seq: u64 = row.key.split('.').next().unwrap().parse().unwrap();
            let before = seen.insert(seq, population.name);
            assert!(
                before.is_none_or(|b| b == population.name),
                "{seq} is in {before:?} and {}",
                population.name
            );
        }
    }
    let input = w.input();
    for r in w
        .facts
        .iter()
        .filter(|r| r.entry.at >= input.from && r.entry.at < input.to)
    {
        let elsewhere = matches!(r.entry.fact, Fact::ObligationDue(_) | Fact::Horizon { .. });
        assert_eq!(seen.contains_key(&r.seq), !elsewhere, "{:?}", r.entry.fact);
    }
    let due = w.facts.iter().filter(
        |r| matches!(&r.entry.fact, Fact::ObligationDue(o) if o.due >= input.from && o.due < input.to),
    );
    assert_eq!(named(&all, "obligations").rows.len(), due.count());
    let rows = named(&all, "copies").rows.iter();
    assert!(
        rows.clone()
            .all(|r| r.cells.len() == named(&all, "copies").columns.len())
    );
}

#[test]
fn each_row_has_a_cell_for_each_column() {
    let w = world();
    for population in populations(&w.input()) {
        for row in &population.rows {
            assert_eq!(
                row.cells.len(),
                population.columns.len(),
                "{}",
                population.name
            );
            assert_eq!(row.cells[0], row.key);
        }
    }
}

#[test]
fn what_a_spreadsheet_would_compute_is_text() {
    let mut w = world();
    for r in &mut w.facts {
        if let Fact::RunOpened { reason, .. } = &mut r.entry.fact {
            *reason = Some("=HYPERLINK(\"http://x\",\"y\")".into());
        }
    }
    let all = populations(&w.input());
    let text = csv(named(&all, "runs"));
    assert!(text.contains("\"'=HYPERLINK("), "{text:.400}");
    assert!(!text.contains(",=") && !text.contains("\"="));
    assert!(text.lines().all(|l| l.ends_with('\r')) || text.ends_with("\r\n"));
}

#[test]
fn a_withdrawn_obligation_stays_in_the_population() {
    let mut w = world();
    let gone = w.obligations.remove(3).obligation;
    let all = populations(&w.input());
    let row = named(&all, "obligations")
        .rows
        .iter()
        .find(|r| r.key == gone.id.to_string());
    assert_eq!(row.unwrap().cells[7], "withdrawn");
}

/// Python's `jsonschema` judges a document by the official schema, reduced to what is written here.
fn conforms(document: &Value) -> Result<(), String> {
    let dir = std::env::temp_dir().join(format!(
        "vouchsafe-oscal-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    fs::create_dir_all(&dir).unwrap();
    let file = dir.join("document.json");
    fs::write(&file, document.to_string()).unwrap();
    let schema = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/oscal-assessment-results-1.1.3.schema.json"
    );
    let program = "import json,sys,jsonschema\n\
        schema,document=(json.load(open(p)) for p in sys.argv[1:3])\n\
        errors=list(jsonschema.Draft7Validator(schema).iter_errors(document))\n\
        print('\\n'.join(f'{list(e.path)}: {e.message[:300]}' for e in errors[:5]))\n\
        sys.exit(1 if errors else 0)";
    let out = Command::new("python3")
        .args(["-c", program, schema])
        .arg(&file)
        .output()
        .expect("python3 runs; `cargo xtask test` installs it");
    fs::remove_dir_all(&dir).unwrap();
    match out.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        )),
    }
}

#[test]
fn oscal_conforms_to_the_official_schema() {
    let w = world();
    let good = oscal(&w.input());
    conforms(&good).unwrap();
    let result = &good["assessment-results"]["results"][0];
    let states: Vec<&str> = result["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["target"]["status"]["state"].as_str().unwrap())
        .collect();
    // Unproven is never satisfied.
    assert_eq!(
        states,
        [
            "not-satisfied",
            "not-satisfied",
            "satisfied",
            "not-satisfied"
        ]
    );
    let damages: [fn(&mut Value); 4] = [
        |r| r["uuid"] = json!("no uuid"),
        |r| r["findings"][0]["target"]["status"]["state"] = json!("partly"),
        |r| r["observations"] = json!([]),
        |r| {
            r.as_object_mut().unwrap().remove("reviewed-controls");
        },
    ];
    for (n, damage) in damages.iter().enumerate() {
        let mut bad = good.clone();
        damage(&mut bad["assessment-results"]["results"][0]);
        assert!(conforms(&bad).is_err(), "damage {n} is not seen");
    }
}

#[test]
fn oscal_of_nothing_conforms_too() {
    let mut w = world();
    w.facts.clear();
    w.assessment.protections.clear();
    w.assessment.controls.clear();
    w.period.protections.clear();
    w.period.controls.clear();
    w.policy.front = Default::default();
    conforms(&oscal(&w.input())).unwrap();
}

#[test]
fn oscal_of_the_same_period_is_the_same_again() {
    let w = world();
    let first = oscal(&w.input()).to_string();
    let mut later = w.input();
    later.generated_at = common::t(30, 0, 0);
    later.ledger.size += 500;
    later.ledger.root = "another".into();
    assert_eq!(oscal(&later).to_string(), first);
    let mut other = w.input();
    other.from = common::t(1, 0, 0);
    assert_ne!(oscal(&other).to_string(), first);
}

#[test]
fn statements_speak_of_the_policy_the_ledger_and_each_drill() {
    let w = world();
    let all: Vec<Value> = statements(&w.input())
        .iter()
        .map(|s| serde_json::from_str(s).unwrap())
        .collect();
    let drills = w
        .facts
        .iter()
        .filter(|r| matches!(r.entry.fact, Fact::Drill(_)))
        .count();
    assert_eq!(all.len(), 1 + drills);
    for statement in &all {
        assert_eq!(statement["_type"], STATEMENT_TYPE);
        let subjects = statement["subject"].as_array().unwrap();
        assert_eq!(subjects[0]["digest"]["sha256"], json!(w.policy.digest));
        assert_eq!(
            subjects[1]["digest"]["sha256"],
            json!(w.input().ledger.root)
        );
    }
    assert_eq!(all[0]["predicate"]["verdict"], json!(PeriodVerdict::NotMet));
    assert_eq!(all[0]["predicate"]["counts"], json!(w.period.counts));
    assert_eq!(all[1]["predicate"]["result"], "PASSED");
    assert_eq!(all[2]["predicate"]["result"], "FAILED");
    let failed = all[2]["predicate"]["failedTests"].to_string();
    assert!(
        failed.contains("content") && failed.contains("negative-control:"),
        "{failed}"
    );
}

#[test]
fn every_control_names_its_artefacts_and_what_is_absent() {
    let mut w = world();
    let known = [
        ("SOC 2", "A1.2"),
        ("SOC 2", "A1.3"),
        ("SOC 2", "CC7.5"),
        ("SOC 2", "CC9.1"),
        ("ISO 27001", "A.8.13"),
        ("ISO 27001", "A.8.14"),
        ("ISO 27001", "A.5.30"),
        ("NIST SP 800-53", "CP-4"),
        ("NIST SP 800-53", "CP-9"),
        ("NIST SP 800-53", "CP-10"),
        ("GDPR", "Art. 32"),
        ("CIS Controls", "11"),
    ];
    w.assessment.controls = known
        .iter()
        .map(|(framework, control)| ControlAssessment {
            framework: (*framework).into(),
            control: (*control).into(),
            title: "title".into(),
            verdict: Verdict::Unproven,
            because: "because".into(),
            questions: vec![Question::Proven],
        })
        .collect();
    let rich = report_content(&w.input());
    for control in &rich.artefacts {
        assert!(
            control.artefacts.len() >= 4,
            "{} {}",
            control.framework,
            control.control
        );
        for artefact in &control.artefacts {
            assert!(!artefact.says.is_empty());
            assert_eq!(
                artefact.strength.is_none(),
                artefact.presence == Presence::Absent
            );
        }
    }
    let absent = |of: &vouchsafe_evidence::report::content::ReportContent, control: &str| {
        let found = of.artefacts.iter().find(|a| a.control == control).unwrap();
        found.count(Presence::Absent)
    };
    assert_eq!(absent(&rich, "11"), 0);
    assert!(absent(&rich, "CC7.5") >= 4);
    // Without any fact nothing is here, and each artefact is still named.
    let names: Vec<usize> = rich.artefacts.iter().map(|a| a.artefacts.len()).collect();
    w.facts.clear();
    w.period.protections.clear();
    w.period.counts = Default::default();
    w.obligations.clear();
    let bare = report_content(&w.input());
    let still: Vec<usize> = bare.artefacts.iter().map(|a| a.artefacts.len()).collect();
    assert_eq!(still, names);
    assert_eq!(absent(&bare, "CP-10"), 4);
    let page = report_html(&w.input());
    assert!(page.contains("Artefacts for NIST SP 800-53 CP-10") && page.contains("– absent"));
}

#[test]
fn deviations_stand_on_the_page_with_their_closure() {
    let page = report_html(&world().input());
    for text in [
        "met with deviations",
        "the disk was full; fixed: enlarged",
        "not closed",
        "Achieved RPO of shop-db/main over the period",
        "Achieved RTO of shop-db/main over the period",
        "Coverage over the period",
        "Drills over the period",
        "Seed: ",
    ] {
        assert!(page.contains(text), "`{text}` is not on the page");
    }
}

#[test]
fn keyed_names_are_hidden_in_every_form_and_change_with_the_key() {
    let w = world();
    let forms = |key: Option<[u8; 32]>| {
        let mut input = w.input();
        input.redact_places = key.is_some();
        input.names_key = key;
        let files = population_files(&input);
        let mut texts = vec![
            report_html(&input),
            report_json(&input).to_string(),
            oscal(&input).to_string(),
            statements(&input).join("\n"),
            String::from_utf8_lossy(&report_pdf(&input)).into_owned(),
        ];
        texts.extend(
            files
                .into_iter()
                .map(|f| String::from_utf8(f.bytes).unwrap()),
        );
        texts
    };
    let open = forms(None).concat();
    let keyed = forms(Some([7; 32]));
    for name in ["salaries", "table:orders", "7c1e09"] {
        assert!(open.contains(name), "{name} was never shown");
        for (n, text) in keyed.iter().enumerate() {
            assert!(!text.contains(name), "{name} is still shown in form {n}");
        }
    }
    assert_eq!(forms(Some([7; 32])), keyed);
    assert_ne!(forms(Some([8; 32])), keyed);
}

#[test]
fn the_pdf_is_whole_and_says_what_the_page_says() {
    let w = world();
    let pdf = report_pdf(&w.input());
    assert_eq!(pdf, report_pdf(&w.input()));
    assert!(pdf.starts_with(b"%PDF-1.7"));
    let text = String::from_utf8_lossy(&pdf).into_owned();
    // The place of the table of objects is where the end of the file says.
    let (_, end) = text.rsplit_once("startxref").unwrap();
    let place: usize = end.split_whitespace().next().unwrap().parse().unwrap();
    assert!(
        pdf[place..].starts_with(b"xref"),
        "no table of objects at {place}"
    );
    let pages = text.matches("/Type /Page\n").count() + text.matches("/Type /Page ").count();
    assert!(pages >= 6, "{pages} pages");
    assert!(
        text.contains(&format!("(page {pages} of {pages})")),
        "{pages} pages"
    );
    for said in [
        "(NOT green)",
        "salaries",
        "met with",
        "(SOC 2 A1.3)",
        "(The period)",
    ] {
        assert!(text.contains(said), "`{said}` is not in the file");
    }
}

fn parts() -> BundleParts {
    BundleParts {
        export: b"export".to_vec(),
        policy: b"policy".to_vec(),
        pem: "pem".into(),
        pdf: b"%PDF".to_vec(),
    }
}

fn files(w: &World) -> Vec<ReportFile> {
    bundle(&w.input(), parts(), |kind, text| {
        Ok::<_, std::convert::Infallible>(json!({ "kind": kind, "text": text }).to_string())
    })
    .unwrap()
}

#[test]
fn a_bundle_names_every_file_in_its_list_and_in_what_is_signed() {
    let w = world();
    let all = files(&w);
    let text = |name: &str| {
        let file = all.iter().find(|f| f.path == name).unwrap();
        String::from_utf8(file.bytes.clone()).unwrap()
    };
    let sums = text("SHA256SUMS");
    let signed: Value = serde_json::from_str(&text("bundle.intoto.json")).unwrap();
    let statement: Value = serde_json::from_str(signed["text"].as_str().unwrap()).unwrap();
    let subjects: Vec<&str> = statement["subject"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["name"].as_str().unwrap())
        .collect();
    for file in &all {
        let path = file.path.as_str();
        let listed = sums.contains(&format!("  {path}\n"));
        assert_eq!(
            listed,
            !["SHA256SUMS", "bundle.intoto.json"].contains(&path),
            "{path}"
        );
        assert_eq!(
            subjects.contains(&path),
            path != "bundle.intoto.json",
            "{path}"
        );
    }
    assert!(all.len() > 2 * POPULATIONS.len());
    let at = w.input().generated_at;
    assert_eq!(archive(&all, at).unwrap(), archive(&files(&w), at).unwrap());
}

#[test]
fn places_in_what_people_wrote_are_hidden_too() {
    let place = "/srv/secret-7/list.csv";
    let said = |what: Value| -> Fact { serde_json::from_value(what).unwrap() };
    let people = |deed: &str, more: Value| {
        let mut fact = json!({ "fact": "people", "deed": deed });
        let fields = more.as_object().unwrap().clone();
        fact.as_object_mut().unwrap().extend(fields);
        said(fact)
    };
    let mut w = world();
    let last = w.facts.last().unwrap().clone();
    let (until, unverified) = ("2024-02-01T00:00:00Z", json!({ "by": "unverified" }));
    let written = [
        people(
            "incident-opened",
            json!({ "name": "i", "by": "a", "reason": place }),
        ),
        people(
            "incident-noted",
            json!({ "name": "i", "kind": "cause", "text": place, "by": "a" }),
        ),
        people(
            "incident-closed",
            json!({ "name": "i", "retest": 1, "by": "a", "reason": place }),
        ),
        people(
            "exempted",
            json!({
                "name": "e", "from": "proven", "asked_by": "a", "approved_by": "b", "reason": place,
                "until": until, "identity": unverified,
            }),
        ),
        people(
            "exemption-ended",
            json!({ "name": "e", "by": "a", "reason": place }),
        ),
        people(
            "paused",
            json!({ "system": "shop-db", "by": "a", "reason": place, "until": until }),
        ),
        people(
            "resumed",
            json!({ "name": "shop-db", "by": "a", "reason": place }),
        ),
        said(json!({ "fact": "break", "reason": place })),
    ];
    let from = last.seq + 1;
    for (seq, fact) in (from..).zip(written) {
        let mut recorded = last.clone();
        (recorded.seq, recorded.entry.fact) = (seq, fact);
        w.facts.push(recorded);
    }
    let texts = |key: Option<[u8; 32]>| {
        let mut input = w.input();
        input.redact_places = key.is_some();
        input.names_key = key;
        let files = population_files(&input).into_iter();
        let files = files.map(|f| String::from_utf8(f.bytes).unwrap());
        format!("{}{}", files.collect::<String>(), report_json(&input))
    };
    assert!(texts(None).matches(place).count() >= 8);
    let hidden = texts(Some([7; 32]));
    assert!(!hidden.contains("secret-7"), "{hidden}");
}
