//! What people do: alerts, incidents and recovery, duties, exemptions, and sentences of the policy's own.

use super::words::{and, capital, rhythm};
use super::{Block, DocumentInput, Section, Table, is_yes, text, texts};
use crate::words::{count, len};

pub(super) fn monitoring(input: &DocumentInput<'_>) -> Section {
    let mut blocks = Vec::new();
    if let Some(alerts) = input.one("alerts") {
        let mut rows = Vec::new();
        for (kind, lead) in [
            ("failure", "a run fails"),
            ("missing", "a run does not come"),
            ("storage", "a store fills"),
            ("lag", "a replica or a log lags"),
            ("size", "a point is much larger or smaller than the last"),
            ("duration", "a run takes long"),
            ("keys", "a key ends"),
        ] {
            let Some(super::Value::Table(alert)) = alerts.get(kind) else {
                continue;
            };
            let limits = [
                ("above", "beyond"),
                ("longer_than", "longer than"),
                ("before", "ahead by"),
            ];
            let limits: Vec<String> = limits
                .into_iter()
                .map(|(key, word)| (word, text(alert, key)))
                .filter(|(_, said)| !said.is_empty())
                .map(|(word, said)| format!("{word} {said}"))
                .collect();
            rows.push(vec![
                capital(lead),
                limits.join(", "),
                texts(alert, "to").join(", "),
                text(alert, "within"),
            ]);
        }
        if !rows.is_empty() {
            blocks.push(Block::text("Whoever has to act hears of it:"));
            blocks.push(Block::table(
                &["When", "From which value on", "Who", "Within"],
                rows,
            ));
        }
    }
    let watched: Vec<String> = input
        .systems
        .iter()
        .map(|(name, t)| (name, text(t, "monitor")))
        .filter(|(_, said)| !said.is_empty())
        .map(|(name, said)| format!("{name} by {said}"))
        .collect();
    if !watched.is_empty() {
        blocks.push(Block::text(format!("Watched besides: {}.", and(&watched))));
    }
    let logs: Vec<Vec<String>> = input
        .policy
        .protections()
        .filter_map(|(system, p)| {
            let own = input.protections.get(&p.id).and_then(|t| t.get("log"));
            let log = own.or_else(|| input.systems.get(&system.name)?.get("log"))?;
            let said = match log {
                super::Value::Table(t) => match text(t, "none") {
                    none if !none.is_empty() => format!("none: {none}"),
                    _ => text(t, "at"),
                },
                value => super::shown(value),
            };
            Some(vec![crate::words::called(&p.id), said])
        })
        .collect();
    if !logs.is_empty() {
        blocks.push(Block::text(
            "Where the tools that make copies write their own logs:",
        ));
        blocks.push(Block::table(&["System", "Log"], logs));
    }
    Section {
        title: "Monitoring and alerts".to_owned(),
        blocks,
        fulfils: input.fulfils(&["alerts"]),
    }
}

pub(super) fn recovery(input: &DocumentInput<'_>) -> Section {
    let mut blocks = vec![Block::text(
        "A run that failed, came late or did not come, a copy that does not read back, and a drill that failed are incidents: they are recorded when they happen, and stay in the record with what was done about them. What has no fact counts as unproven, and unproven is never met.",
    )];
    let after: Vec<String> = input
        .policy
        .duties
        .iter()
        .filter_map(|duty| {
            let t = input.duties.get(&duty.name)?;
            let event = text(t, "after");
            let is_incident = ["fail", "incident", "loss", "lost", "disaster", "alert"]
                .iter()
                .any(|word| event.contains(word));
            let what = text(t, "text");
            let what = if what.is_empty() {
                duty.name.clone()
            } else {
                what
            };
            let who = duty.role.clone().map(|r| format!(" ({r})"));
            is_incident.then(|| {
                let what = what.trim_end_matches('.');
                format!("After {event}: {what}{}.", who.unwrap_or_default())
            })
        })
        .collect();
    if !after.is_empty() {
        blocks.push(Block::List(after));
    }
    let runbooks: Vec<Block> = input
        .named("runbooks")
        .map(|(name, t)| runbook(name, t))
        .collect();
    if !runbooks.is_empty() {
        blocks.push(Block::text(
            "Several systems are recovered together, in a declared order:",
        ));
        blocks.extend(runbooks);
    }
    if let Some(erasure) = input.one("erasure") {
        let register = text(erasure, "register");
        let mut said = Vec::new();
        if !register.is_empty() {
            said.push(format!("Whose data was erased stands in {register}."));
        }
        let file = text(erasure, "file");
        if !file.is_empty() {
            said.push(format!("It is read from {file}. Where a system says how, every subject in it is erased again after a restore and looked for, and no restore is done while anybody is left."));
        } else if !text(erasure, "replay").is_empty() {
            said.push("It is applied to restored data before that is used, so that no restore brings back what was erased.".to_owned());
        }
        if is_yes(erasure, "drill") {
            said.push("Drills look for erased people in what they restore.".to_owned());
        }
        let by = text(erasure, "by");
        if !by.is_empty() {
            said.push(format!("{} answers for it.", capital(&by)));
        }
        blocks.push(Block::Sub {
            title: "Erased people".to_owned(),
            blocks: vec![Block::text(said.join(" "))],
            fulfils: Vec::new(),
        });
    }
    Section {
        title: "Incidents and recovery".to_owned(),
        blocks,
        fulfils: input.fulfils(&["runbooks", "erasure"]),
    }
}

fn runbook(name: &str, t: &Table) -> Block {
    let mut said = Vec::new();
    let systems = texts(t, "systems");
    if !systems.is_empty() {
        said.push(format!("In this order: {}.", systems.join(", then ")));
    }
    let rto = text(t, "rto");
    if !rto.is_empty() {
        said.push(format!("All are back within {rto}."));
    }
    for (key, lead) in [
        ("by", "It is done by"),
        ("approved_by", "It is approved by"),
    ] {
        let who = texts(t, key);
        if !who.is_empty() {
            said.push(format!("{lead} {}.", and(&who)));
        }
    }
    let document = texts(t, "document");
    if !document.is_empty() {
        said.push(format!("More of it stands in {}.", and(&document)));
    }
    let mut blocks = Vec::new();
    if !said.is_empty() {
        blocks.push(Block::text(said.join(" ")));
    }
    let steps = texts(t, "steps");
    if !steps.is_empty() {
        blocks.push(Block::List(steps.iter().map(|s| capital(s)).collect()));
    }
    let checks = texts(t, "checks");
    if !checks.is_empty() {
        blocks.push(Block::text(format!(
            "Before one goes on, it must hold that {}.",
            and(&checks)
        )));
    }
    if blocks.is_empty() {
        blocks.push(Block::text("Its steps are still to be written."));
    }
    Block::Sub {
        title: format!("Runbook {name}"),
        blocks,
        fulfils: Vec::new(),
    }
}

pub(super) fn duties(input: &DocumentInput<'_>) -> Section {
    let nothing = Table::new();
    let rows: Vec<Vec<String>> = input
        .policy
        .duties
        .iter()
        .map(|duty| {
            let t = input.duties.get(&duty.name).unwrap_or(&nothing);
            let after = text(t, "after");
            let when = match (&duty.every, after.is_empty()) {
                (Some(every), _) => rhythm(every),
                (None, false) => format!("after {after}"),
                (None, true) => "no rhythm is set".to_owned(),
            };
            let each = text(t, "each");
            let when = match each.is_empty() {
                true => when,
                false => format!("{when}, for each {each}"),
            };
            let mut what = text(t, "text");
            let documents = texts(t, "document");
            if !documents.is_empty() {
                what = format!("{what} ({})", and(&documents)).trim().to_owned();
            }
            if is_yes(t, "acknowledge") {
                what.push_str(" Each person says so for themselves.");
            }
            vec![
                duty.name.clone(),
                capital(&when),
                duty.role.clone().unwrap_or_default(),
                what.trim().to_owned(),
                text(t, "delegate"),
            ]
        })
        .collect();
    let mut blocks = Vec::new();
    if !rows.is_empty() {
        blocks.push(Block::text(format!(
            "People have {}. Each is attested by whoever did it, with its outcome; what is not attested in time is late in the record.",
            count(len(rows.len()), "duty")
        )));
        blocks.push(Block::table(
            &["Duty", "When", "Who", "What", "Stands in"],
            rows,
        ));
    }
    Section {
        title: "Duties".to_owned(),
        blocks,
        fulfils: input.fulfils(&["duties"]),
    }
}

pub(super) fn exemptions(input: &DocumentInput<'_>) -> Section {
    let mut rows: Vec<Vec<String>> = input
        .named("exemptions")
        .map(|(name, t)| {
            vec![
                name.clone(),
                text(t, "from"),
                texts(t, "systems").join(", "),
                text(t, "reason"),
                text(t, "approved_by"),
                text(t, "until"),
            ]
        })
        .collect();
    for system in input.policy.systems.values() {
        if let Some(reason) = &system.exempt {
            rows.push(vec![
                system.name.to_string(),
                "all of this policy".to_owned(),
                system.name.to_string(),
                reason.clone(),
                String::new(),
                String::new(),
            ]);
        }
    }
    let blocks = match rows.is_empty() {
        true => vec![Block::text(
            "No exemption from this policy is granted. One needs a reason, an approval and an end.",
        )],
        false => vec![
            Block::text("These exemptions are granted, and no others:"),
            Block::table(
                &[
                    "Exemption",
                    "From",
                    "Systems",
                    "Reason",
                    "Approved by",
                    "Until",
                ],
                rows,
            ),
        ],
    };
    Section {
        title: "Exemptions".to_owned(),
        blocks,
        fulfils: input.fulfils(&["exemptions"]),
    }
}

pub(super) fn provisions(input: &DocumentInput<'_>) -> Section {
    let mut blocks: Vec<Block> = input
        .clauses
        .iter()
        .map(|clause| {
            let body = match (clause.text.trim(), clause.planned) {
                ("", _) => "Nothing is laid down here yet.".to_owned(),
                (said, true) => format!("Planned, and promising nothing yet: {said}"),
                (said, false) => said.to_owned(),
            };
            Block::Sub {
                title: clause.name.clone(),
                blocks: vec![Block::text(body)],
                fulfils: input.fulfils(&[&format!("clauses/{}", clause.name)]),
            }
        })
        .collect();
    if !blocks.is_empty() {
        let lead = "What else this policy lays down, by the numbers and names of its own.";
        blocks.insert(0, Block::text(lead));
    }
    Section {
        title: "Further provisions".to_owned(),
        blocks,
        fulfils: Vec::new(),
    }
}
