//! The report: nothing that went wrong is missing from it, nothing in it can harm its reader.

#![allow(unreachable_pub)]

use std::collections::BTreeSet;

use crate::common::{self, World, broken, id, silent, world};
use vouchsafe_evidence::report::content::ReportContent;
use vouchsafe_evidence::{REPORT_FORMAT, report_content, report_html, report_json};
use vouchsafe_model::{Fact, Obligation, RungOutcome};

const VOID: [&str; 5] = ["meta", "br", "link", "img", "hr"];

/// The tags of a page in their order: name, whether it closes, and its text.
fn tags(page: &str) -> Vec<(String, bool, String)> {
    let mut out = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((inside, tail)) = after.split_once('>') else {
            panic!("a tag is not closed: {after:.80}");
        };
        rest = tail;
        if inside.starts_with('!') {
            continue;
        }
        let name: String = inside
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        if name == "style" && !inside.starts_with('/') {
            rest = rest.split_once("</style>").map_or("", |(_, t)| t);
            continue;
        }
        out.push((name, inside.starts_with('/'), inside.to_owned()));
    }
    out
}

fn balance(page: &str) -> Result<(), String> {
    let mut open: Vec<String> = Vec::new();
    for (name, closes, text) in tags(page) {
        if name.is_empty() {
            return Err(format!("no tag: <{text:.40}>"));
        } else if closes {
            match open.pop() {
                Some(top) if top == name => {}
                top => return Err(format!("</{name}> closes {top:?}")),
            }
        } else if !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    match open.is_empty() {
        true => Ok(()),
        false => Err(format!("left open: {open:?}")),
    }
}

fn attributes(page: &str, name: &str) -> Vec<String> {
    let head = format!(" {name}=\"");
    tags(page)
        .into_iter()
        .filter_map(|(_, _, text)| {
            let (_, value) = text.split_once(&head)?;
            Some(value.split_once('"')?.0.to_owned())
        })
        .collect()
}

#[test]
fn the_balance_test_can_fail() {
    assert!(balance("<p><b>x</b></p>").is_ok());
    for bad in ["<p><b>x</p></b>", "<p>", "</p>", "<p><>"] {
        assert!(balance(bad).is_err(), "{bad}");
    }
}

#[test]
fn every_section_is_there_and_well_formed() {
    let mut w = world();
    silent(&mut w.assessment);
    broken(&mut w.assessment);
    let page = report_html(&w.input());
    balance(&page).unwrap();
    let ids: Vec<String> = attributes(&page, "id");
    for section in [
        "alarms",
        "summary",
        "policy",
        "controls",
        "protections",
        "obligations",
        "failures",
        "points",
        "copies",
        "verifications",
        "drills",
        "period",
        "artefacts",
        "populations",
        "ledger",
        "reading",
        "appendix",
    ] {
        assert!(ids.iter().any(|i| i == section), "no section {section}");
    }
    let unique: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "an id is used twice");
    for text in [
        "SOC 2 A1.3",
        "ISO 27001 A.8.13",
        "POL-006",
        "eu-west-2, GB",
        "AES-256-CTR + Poly1305-AES",
        "seed 42",
        "integrity_check: ok",
        "10.836 s",
        "stale-manifest",
        "vouchsafe ledger verify --export ledger.export --key",
        "stated, not measured",
        "metrics-review",
        "2026-11-10 05:31",
        "measured",
        "observed",
        "holds nothing that cannot",
    ] {
        assert!(page.contains(text), "`{text}` is not on the page");
    }
}

#[test]
fn alarms_come_before_everything_else() {
    let mut w = world();
    assert!(!report_html(&w.input()).contains("role=\"alert\""));
    silent(&mut w.assessment);
    broken(&mut w.assessment);
    let page = report_html(&w.input());
    let alarm = page.find("role=\"alert\"").unwrap();
    assert!(alarm < page.find("<nav").unwrap());
    assert!(page.contains("broken at entry 12") && page.contains("silent from 2026-11-16"));
}

#[test]
fn a_longer_head_elsewhere_is_an_alarm() {
    let w = world();
    let mut input = w.input();
    input.ledger.witnesses[0].tree_size = input.ledger.size + 1;
    let page = report_html(&input);
    assert!(
        page.contains("entries that were once published are missing here"),
        "no alarm"
    );
}

#[test]
fn every_reference_leads_somewhere() {
    let mut w = world();
    w.assessment.protections[0].judgements[0]
        .facts
        .push(999_999);
    let page = report_html(&w.input());
    let ids: BTreeSet<String> = attributes(&page, "id").into_iter().collect();
    let hrefs = attributes(&page, "href");
    assert!(hrefs.len() > 100);
    for href in hrefs {
        let target = href.strip_prefix('#').expect("a reference leaves the page");
        assert!(ids.contains(target), "{href} leads nowhere");
    }
    assert!(page.contains("this report was made without it"));
}

#[test]
fn the_page_needs_nothing_from_outside() {
    let page = report_html(&world().input());
    for name in [
        "src",
        "srcset",
        "action",
        "data",
        "poster",
        "xlink:href",
        "onclick",
        "onload",
    ] {
        assert!(attributes(&page, name).is_empty(), "{name} is used");
    }
    for word in [
        "<script", "<link", "<iframe", "@import", "url(", "http:", "https:",
    ] {
        assert!(!page.contains(word), "{word} is used");
    }
}

#[test]
fn hostile_names_stay_text() {
    const EVIL: &str = "<script>alert('x')</script>\"><img src=x onerror=y>&amp;\u{202e}\x1b[2J";
    let mut w = world();
    w.policy.front.title = Some(EVIL.into());
    w.policy.front.owner = Some(EVIL.into());
    w.assessment.exempt[0] = (EVIL.into(), EVIL.into());
    w.assessment.breaks.push((3, EVIL.into()));
    w.assessment.controls[0].because = EVIL.into();
    w.assessment.protections[0].owner = Some(EVIL.into());
    w.assessment.protections[0].judgements[0].because = EVIL.into();
    w.assessment.missed[0].duty = Some(EVIL.into());
    for r in &mut w.facts {
        r.entry.actor = EVIL.into();
        match &mut r.entry.fact {
            Fact::RunOpened {
                reason, subject, ..
            } => {
                *reason = Some(EVIL.into());
                *subject = EVIL.into();
            }
            Fact::RunClosed { issues, .. } => issues.iter_mut().for_each(|i| i.place = EVIL.into()),
            Fact::RecoveryPoint(p) => p.tree = EVIL.into(),
            Fact::Copy(c) => c.region = Some(EVIL.into()),
            Fact::Drill(d) => {
                for rung in &mut d.ladder.rungs {
                    (rung.name, rung.expected, rung.actual) =
                        (EVIL.into(), EVIL.into(), EVIL.into());
                }
                d.phases[0].name = EVIL.into();
                d.sandbox.isolation = EVIL.into();
                d.negative_controls[0].actual = EVIL.into();
            }
            _ => {}
        }
    }
    let mut input = w.input();
    input.approval.text = EVIL.into();
    input.ledger.checkpoint = EVIL.into();
    input.tool = EVIL.into();
    let page = report_html(&input);
    balance(&page).unwrap();
    assert!(!page.contains("<script") && !page.contains("<img"));
    assert!(attributes(&page, "src").is_empty() && attributes(&page, "onerror").is_empty());
    assert!(page.contains("&lt;script&gt;"));
    assert!(!page.contains('\x1b') && !page.contains('\u{202e}'));
}

/// Adds one failure to the quiet world, and says what must then be on the page.
type Damage = (&'static str, fn(&mut World), &'static str);

const DAMAGES: [Damage; 8] = [
    (
        "a red rung",
        |w| {
            drill_of(w, |d| {
                d.ladder.rungs[2].outcome = RungOutcome::Red;
                d.ladder.rungs[2].actual = "RED-RUNG-ACTUAL".into();
            })
        },
        "RED-RUNG-ACTUAL",
    ),
    (
        "a skipped rung",
        |w| drill_of(w, |d| d.ladder.rungs[3].outcome = RungOutcome::Skipped),
        "not climbed, and so not green",
    ),
    (
        "a sandbox left",
        |w| drill_of(w, |d| d.sandbox.destroyed = false),
        "sandbox was not shown to be gone",
    ),
    (
        "a late restore",
        |w| {
            drill_of(w, |d| {
                d.target_rto = Some(vouchsafe_model::Span::from_secs(1))
            })
        },
        "and the RTO is 1s",
    ),
    (
        "a control not caught",
        |w| drill_of(w, |d| d.negative_controls[0].first_red = None),
        "it was none; the undamaged pair",
    ),
    (
        "an empty ladder",
        |w| drill_of(w, |d| d.ladder.rungs.clear()),
        "no rung was climbed",
    ),
    (
        "a failed run",
        |w| {
            let last = w.facts.len() - 1;
            w.facts[last].entry.fact = Fact::RunAbandoned {
                run: common::run_id(77),
            };
        },
        "found open with no process behind it",
    ),
    (
        "a problem in a vault",
        |w| {
            for r in &mut w.facts {
                if let Fact::Verification(v) = &mut r.entry.fact {
                    v.problems = vec![vouchsafe_model::Issue {
                        place: "data/00".into(),
                        message: "VAULT-PROBLEM".into(),
                    }];
                }
            }
        },
        "VAULT-PROBLEM",
    ),
];

fn drill_of(w: &mut World, change: fn(&mut vouchsafe_model::DrillResult)) {
    for r in &mut w.facts {
        if let Fact::Drill(d) = &mut r.entry.fact {
            change(d);
        }
    }
}

/// Without anything that failed.
fn quiet() -> World {
    let mut w = world();
    let bad: BTreeSet<u64> = report_content(&w.input())
        .failures
        .iter()
        .map(|f| f.seq)
        .collect();
    w.facts.retain(|r| !bad.contains(&r.seq));
    let stop: Vec<_> = w
        .facts
        .iter()
        .filter_map(|r| match &r.entry.fact {
            Fact::RunClosed { run, .. } => Some(run.clone()),
            _ => None,
        })
        .collect();
    w.facts
        .retain(|r| !matches!(&r.entry.fact, Fact::RunOpened { run, .. } if !stop.contains(run)));
    w
}

#[test]
fn each_failure_is_on_the_page() {
    let section = |w: &World| {
        let page = report_html(&w.input());
        let (_, after) = page.split_once("<section id=\"failures\"").unwrap();
        after.split_once("</section>").unwrap().0.to_owned()
    };
    let calm = section(&quiet());
    assert!(calm.contains("None in the period."), "{calm}");
    for (name, damage, text) in DAMAGES {
        let mut w = quiet();
        damage(&mut w);
        let shown = section(&w);
        assert!(shown.contains(text), "{name} is not among the failures");
        assert!(!calm.contains(text), "{name} was there before");
    }
}

#[test]
fn a_red_rung_shows_in_the_ladder_too() {
    let page = report_html(&world().input());
    let (_, drills) = page.split_once("<section id=\"drills\"").unwrap();
    for text in [
        "table:orders: 48,209 rows, 5f22ab",
        "✗ red",
        "– skipped",
        "NOT caught",
        "NOT shown to be destroyed",
        "over 9s",
    ] {
        assert!(drills.contains(text), "`{text}` is not among the drills");
    }
}

#[test]
fn json_round_trips_and_holds_the_same() {
    let w = world();
    let input = w.input();
    let json = report_json(&input);
    let back: ReportContent = serde_json::from_str(&json.to_string()).unwrap();
    assert_eq!(back, report_content(&input));
    assert_eq!(json["format"], REPORT_FORMAT);
    let keys: Vec<&str> = json
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        [
            "format",
            "generated_at",
            "tool",
            "from",
            "to",
            "as_of",
            "places_redacted",
            "verdict",
            "alarms",
            "policy",
            "controls",
            "protections",
            "exempt",
            "obligations",
            "failures",
            "incidents",
            "notices",
            "points",
            "copies",
            "verifications",
            "drills",
            "ledger",
            "verdicts",
            "strengths",
            "limits",
            "appendix",
            "period",
            "artefacts",
            "populations",
            "samples",
        ]
    );
}

#[test]
fn populations_are_whole_and_their_query_says_so() {
    let w = world();
    let mut input = w.input();
    let all = report_content(&input).points;
    assert_eq!((all.count, all.rows.len()), (40, 40));
    input.from = common::t(7, 0, 0);
    input.to = common::t(14, 0, 0);
    let week = report_content(&input).points;
    let expected = w
        .facts
        .iter()
        .filter(|r| r.entry.at >= input.from && r.entry.at < input.to)
        .filter(|r| matches!(r.entry.fact, Fact::RecoveryPoint(_)))
        .count();
    assert_eq!(week.rows.len(), expected);
    assert_eq!(
        week.query,
        r#"select(.fact == "recovery-point" and .at >= "2026-11-08T00:00:00.000000Z" and .at < "2026-11-15T00:00:00.000000Z")"#
    );
}

#[test]
fn late_is_late_and_missed_is_not_late() {
    let w = world();
    let late = report_content(&w.input()).obligations.late;
    assert_eq!(late.len(), 1);
    assert_eq!(late[0].obligation.protection, Some(id("shop-db/main")));
    assert_eq!(late[0].answered_at, common::t(9, 5, 31));
    let missed = |o: &Obligation| late.iter().any(|l| l.obligation.id == o.id);
    assert!(!w.assessment.missed.iter().any(missed));
}

#[test]
fn a_capture_that_only_had_to_start_in_time_is_not_late() {
    let mut w = world();
    for system in w.policy.systems.values_mut() {
        for p in system.protections.values_mut() {
            p.window.start_within = Some(vouchsafe_model::Span::from_mins(30));
        }
    }
    assert!(report_content(&w.input()).obligations.late.is_empty());
}

#[test]
fn redaction_hides_places_everywhere() {
    let mut w = world();
    w.assessment.protections[1].judgements[0].because =
        "cannot read /var/www/private/salaries-2026.csv".into();
    let open = report_html(&w.input());
    let mut input = w.input();
    input.redact_places = true;
    let texts = [report_html(&input), report_json(&input).to_string()];
    for name in ["salaries", "table:orders", "7c1e09"] {
        assert!(open.contains(name), "{name} was never shown");
        for text in &texts {
            assert!(!text.contains(name), "{name} is still shown");
        }
    }
    for kept in ["shop-db/main", "files:/var/www", "Names are digests"] {
        assert!(texts[0].contains(kept), "{kept} is gone");
    }
}

#[test]
fn an_empty_ledger_makes_a_report_too() {
    let mut w = world();
    w.facts.clear();
    w.assessment.protections.clear();
    w.assessment.controls.clear();
    let mut input = w.input();
    input.ledger.witnesses.clear();
    input.to = input.from;
    let page = report_html(&input);
    balance(&page).unwrap();
    assert!(page.contains("No head was published to any vault"));
    assert!(page.contains("No restore was rehearsed in the period"));
}
