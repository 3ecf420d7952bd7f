//! What the document says of itself: head, purpose, scope, roles, frameworks, review, history.

use std::collections::BTreeSet;

use super::words::{and, capital, day, framework, sentence};
use super::{Block, DocumentInput, Section, Table, Value, text, texts};
use crate::words::{count, len};

pub(super) fn head(input: &DocumentInput<'_>) -> Vec<(String, String)> {
    let front = &input.policy.front;
    let rows = [
        ("Document", front.id.clone()),
        ("Version", front.version.clone()),
        ("Status", Some(text(&input.front, "status"))),
        ("Owner", front.owner.clone()),
        ("Approved", front.approved.clone()),
        ("Approved by", Some(text(&input.front, "approved_by"))),
        ("Next review", front.next_review.clone()),
    ];
    let said = rows.into_iter().filter_map(|(name, value)| {
        let value = value.filter(|v| !v.is_empty())?;
        Some((name.to_owned(), value))
    });
    said.collect()
}

pub(super) fn purpose(input: &DocumentInput<'_>) -> Section {
    let said = text(&input.front, "purpose");
    let purpose = match said.is_empty() {
        true => "Data and systems that this policy names are backed up, so that they can be brought back when they are lost, damaged or held to ransom.".to_owned(),
        false => sentence("The purpose of this policy is that ", &said),
    };
    let more = "A backup counts only once it was read back, and a restore only once it was rehearsed and compared. What was done, by whom and when is recorded in a ledger that shows what is missing.";
    Section {
        title: "Purpose".to_owned(),
        blocks: vec![Block::text(purpose), Block::text(more)],
        fulfils: input.fulfils(&["policy/purpose"]),
    }
}

pub(super) fn scope(input: &DocumentInput<'_>) -> Section {
    let mut blocks = Vec::new();
    let said = text(&input.front, "scope");
    if !said.is_empty() {
        blocks.push(Block::text(sentence("This policy applies to ", &said)));
    }
    let systems = &input.policy.systems;
    let kept = systems.values().filter(|s| s.exempt.is_none()).count();
    blocks.push(Block::text(format!(
        "It covers {}; each is named below with its schedule, its retention and the places of its copies. What is not named is not covered.",
        count(len(kept), "system")
    )));
    let users = texts(&input.front, "users");
    if !users.is_empty() {
        blocks.push(Block::text(format!(
            "It has to be known by {}.",
            and(&users)
        )));
    }
    for (key, title) in [
        ("applications", "Application"),
        ("environments", "Environment"),
    ] {
        let rows: Vec<Vec<String>> = input
            .named(key)
            .map(|(name, table)| {
                let members = systems.values().filter(|s| match key {
                    "applications" => s.application.as_ref() == Some(name),
                    _ => s.environment.as_ref() == Some(name),
                });
                let members: Vec<String> = members.map(|s| s.name.to_string()).collect();
                let critical = match super::is_yes(table, "critical") {
                    true => "the business stops without it",
                    false => "",
                };
                let about = [
                    text(table, "description"),
                    text(table, "account"),
                    critical.to_owned(),
                ];
                let about: Vec<String> = about.into_iter().filter(|a| !a.is_empty()).collect();
                vec![
                    name.clone(),
                    about.join("; "),
                    text(table, "owner"),
                    members.join(", "),
                ]
            })
            .collect();
        if !rows.is_empty() {
            blocks.push(Block::table(
                &[title, "What it is", "Owner", "Systems"],
                rows,
            ));
        }
    }
    Section {
        title: "Scope".to_owned(),
        blocks,
        fulfils: input.fulfils(&[
            "policy/scope",
            "policy/users",
            "applications",
            "environments",
        ]),
    }
}

pub(super) fn roles(input: &DocumentInput<'_>) -> Section {
    let mut rows = Vec::new();
    for (name, table) in input.named("roles") {
        rows.push(role(input, name, table));
    }
    let known: BTreeSet<String> = rows.iter().filter_map(|row| row.first().cloned()).collect();
    let owners = input
        .policy
        .systems
        .values()
        .filter_map(|s| s.owner.clone());
    let duties = input.policy.duties.iter().filter_map(|d| d.role.clone());
    let others: BTreeSet<String> = owners
        .chain(duties)
        .chain(input.policy.front.owner.clone())
        .filter(|who| !known.contains(who))
        .collect();
    for who in others {
        rows.push(role(input, &who, &Table::new()));
    }
    let blocks = match rows.is_empty() {
        true => Vec::new(),
        false => vec![
            Block::text(
                "Who answers for what. A duty that nobody attests stands open in the record.",
            ),
            Block::table(&["Role", "People", "Answers for", "Stands in"], rows),
        ],
    };
    Section {
        title: "Roles and responsibilities".to_owned(),
        blocks,
        fulfils: input.fulfils(&["roles"]),
    }
}

fn role(input: &DocumentInput<'_>, name: &str, table: &Table) -> Vec<String> {
    let mut answers = Vec::new();
    let said = text(table, "description");
    if !said.is_empty() {
        answers.push(said);
    }
    answers.extend(texts(table, "duties"));
    if input.policy.front.owner.as_deref() == Some(name) {
        answers.push("this policy".to_owned());
    }
    let systems = input.policy.systems.values();
    let owned: Vec<String> = systems
        .filter(|s| s.owner.as_deref() == Some(name))
        .map(|s| s.name.to_string())
        .collect();
    match owned.len() {
        0 => {}
        n if n > 6 => answers.push(count(len(n), "system")),
        _ => answers.push(format!("the systems {}", and(&owned))),
    }
    let duties = input.policy.duties.iter();
    let duties: Vec<String> = duties
        .filter(|d| d.role.as_deref() == Some(name))
        .map(|d| d.name.clone())
        .collect();
    if !duties.is_empty() {
        answers.push(format!("the duties {}", and(&duties)));
    }
    vec![
        name.to_owned(),
        texts(table, "people").join(", "),
        capital(&answers.join("; ")),
        text(table, "delegate"),
    ]
}

pub(super) fn frameworks(input: &DocumentInput<'_>) -> Section {
    let named = &input.policy.front.frameworks;
    let mut blocks = Vec::new();
    if !named.is_empty() {
        let all: Vec<String> = named.iter().map(|n| framework(n)).collect();
        blocks.push(Block::text(format!(
            "Evidence of this policy is gathered for {}. Which rule, duty or exemption stands behind each requirement is shown by `vouchsafe trace`, and what was found over a period by `vouchsafe report`.",
            and(&all)
        )));
        let rows: Vec<Vec<String>> = named
            .iter()
            .filter_map(|name| {
                let controls = input.controls.get(name).filter(|c| !c.is_empty())?;
                Some(vec![framework(name), controls.join(", ")])
            })
            .collect();
        if !rows.is_empty() {
            blocks.push(Block::table(&["Framework", "Controls"], rows));
        }
    }
    Section {
        title: "Frameworks".to_owned(),
        blocks,
        fulfils: input.fulfils(&["policy/frameworks"]),
    }
}

pub(super) fn documents(input: &DocumentInput<'_>) -> Section {
    let rows: Vec<Vec<String>> = input
        .named("documents")
        .map(|(name, table)| {
            let title = text(table, "title");
            let title = if title.is_empty() {
                name.clone()
            } else {
                title
            };
            let governs = texts(table, "governs").join(", ");
            let digest = text(table, "digest");
            let digest = match digest.get(..12) {
                Some(short) => format!("SHA-256 {short}…"),
                None => digest,
            };
            let about = [text(table, "version"), digest, text(table, "url")];
            let about: Vec<String> = about.into_iter().filter(|a| !a.is_empty()).collect();
            vec![
                title,
                governs,
                text(table, "owner"),
                about.join(", "),
                text(table, "next_review"),
            ]
        })
        .collect();
    let mut blocks = Vec::new();
    if !rows.is_empty() {
        blocks.push(Block::text(
            "This policy rests on further documents, or is laid down there in part.",
        ));
        blocks.push(Block::table(
            &["Document", "Lays down", "Owner", "Which one", "Next review"],
            rows,
        ));
    }
    for (key, lead) in [
        (
            "triggers_update_to",
            "When this policy changes, these are read again",
        ),
        (
            "triggered_by",
            "This policy is read again when one of these changes",
        ),
    ] {
        let named = texts(&input.front, key);
        if !named.is_empty() {
            blocks.push(Block::text(format!("{lead}: {}.", and(&named))));
        }
    }
    Section {
        title: "Related documents".to_owned(),
        blocks,
        fulfils: input.fulfils(&[
            "documents",
            "policy/triggers_update_to",
            "policy/triggered_by",
        ]),
    }
}

pub(super) fn review(input: &DocumentInput<'_>) -> Section {
    let front = &input.policy.front;
    let mut text_of = Vec::new();
    if let Some(owner) = &front.owner {
        text_of.push(format!("{owner} answers for this policy."));
    }
    match &front.next_review {
        Some(day) => text_of.push(format!("It is reviewed by {day} at the latest.")),
        None => text_of.push("No day of its next review is set.".to_owned()),
    }
    let mut rules = "A change that promises more is in force at once. A change that promises less (a shorter retention, a system, vault or copy less, a weaker lock) waits until it is approved; until then what was promised before stays in force, and recovery points are kept as long as either version says.".to_owned();
    if let Some(changes) = input.one("changes") {
        let by = texts(changes, "approved_by");
        if !by.is_empty() {
            rules.push_str(&format!(" Such a change is approved by {}.", and(&by)));
        }
        if super::is_yes(changes, "four_eyes") {
            rules.push_str(" Whoever wrote it does not approve it.");
        }
        if super::is_yes(changes, "signed") {
            rules.push_str(" The approval is a signed commit or tag.");
        }
    }
    Section {
        title: "Review and changes".to_owned(),
        blocks: vec![Block::text(text_of.join(" ")), Block::text(rules)],
        fulfils: input.fulfils(&[
            "policy/next_review",
            "policy/owner",
            "policy/approved",
            "policy/approved_by",
            "changes",
        ]),
    }
}

pub(super) fn history(input: &DocumentInput<'_>) -> Section {
    let mut blocks = Vec::new();
    if let Some(Value::List(all)) = input.front.get("history") {
        let rows: Vec<Vec<String>> = all
            .iter()
            .filter_map(|one| match one {
                Value::Table(t) => Some(
                    ["version", "date", "editor", "change"]
                        .map(|k| text(t, k))
                        .to_vec(),
                ),
                _ => None,
            })
            .collect();
        blocks.push(Block::table(&["Version", "Date", "Editor", "Change"], rows));
    }
    if !input.versions.is_empty() {
        blocks.push(Block::text("By the record, these texts were in force:"));
        let rows = input
            .versions
            .iter()
            .map(|v| {
                let version = v.version.clone().unwrap_or("not stated".to_owned());
                let short = v.digest.get(..12).unwrap_or(&v.digest);
                let agreed = v.agreed.clone().unwrap_or_default();
                vec![version, day(v.since), format!("{short}…"), agreed]
            })
            .collect();
        blocks.push(Block::table(
            &["Version", "In force since", "SHA-256", "Approved"],
            rows,
        ));
    }
    if blocks.is_empty() {
        let version = input.policy.front.version.clone();
        let version = version.map_or("This version".to_owned(), |v| format!("Version {v}"));
        blocks.push(Block::text(format!(
            "{version} is the first that is on record."
        )));
    }
    Section {
        title: "Version history".to_owned(),
        blocks,
        fulfils: input.fulfils(&["policy/history", "policy/version"]),
    }
}
