//! What is done: tiers and classes, schedules, retention, verification and drills.

use std::collections::BTreeMap;

use vouchsafe_model::policy::{Protection, System, Tier, Way};

use super::words::{and, copies, keep, length, rhythm, span, way};
use super::{Block, DocumentInput, Section, Value, text, texts};
use crate::words::{called, count, len};

pub(super) fn classification(input: &DocumentInput<'_>) -> Section {
    let mut blocks = Vec::new();
    if !input.classes.is_empty() {
        blocks.push(Block::text("What kind of data a system holds decides how precious it is: a class of data names a tier, and no system may follow a laxer one."));
        let rows = input
            .classes
            .iter()
            .map(|class| {
                let personal = if class.personal { "yes" } else { "" };
                let members = input.policy.systems.values();
                let members: Vec<String> = members
                    .filter(|s| s.class.as_ref() == Some(&class.name))
                    .map(|s| s.name.to_string())
                    .collect();
                vec![
                    class.name.clone(),
                    class.description.clone().unwrap_or_default(),
                    class.tier.clone().unwrap_or_default(),
                    personal.to_owned(),
                    members.join(", "),
                ]
            })
            .collect();
        let head = [
            "Class",
            "What belongs to it",
            "Tier",
            "About people",
            "Systems",
        ];
        blocks.push(Block::table(&head, rows));
    }
    if !input.tiers.is_empty() {
        blocks.push(Block::text("The recovery point objective (RPO) is how much may be lost at most, the recovery time objective (RTO) within which time a system is back. Both are measured: the RPO on the best copy outside of the system's own place, the RTO by drills."));
        let rows = input
            .tiers
            .iter()
            .map(|tier| tier_row(input, tier))
            .collect();
        blocks.push(Block::table(
            &["Tier", "RPO", "RPO by the log", "RTO", "Copies", "Layers"],
            rows,
        ));
    }
    Section {
        title: "Classification and objectives".to_owned(),
        blocks,
        fulfils: input.fulfils(&["classes", "tiers"]),
    }
}

fn tier_row(input: &DocumentInput<'_>, tier: &Tier) -> Vec<String> {
    let layers = input.one("layers").map(|l| texts(l, &tier.name).join(", "));
    let mut wanted = Vec::new();
    wanted.extend(tier.min_copies.map(|n| format!("at least {n}")));
    match (tier.other_region, tier.same_country) {
        (true, true) => wanted.push("one in another region of the same country".to_owned()),
        (true, false) => wanted.push("one in another region".to_owned()),
        (false, true) => wanted.push("one in the same country".to_owned()),
        (false, false) => {}
    }
    vec![
        tier.name.clone(),
        tier.rpo.map(span).unwrap_or_default(),
        tier.log_rpo.map(span).unwrap_or_default(),
        tier.rto.map(span).unwrap_or_default(),
        wanted.join(", "),
        layers.unwrap_or_default(),
    ]
}

pub(super) fn schedule(input: &DocumentInput<'_>) -> Section {
    let mut by_tier: BTreeMap<Option<&str>, Vec<&System>> = BTreeMap::new();
    for system in input.policy.systems.values().filter(|s| s.exempt.is_none()) {
        let tier = system.tier.as_ref().map(|t| t.name.as_str());
        by_tier.entry(tier).or_default().push(system);
    }
    // In the order of the tiers' strictness, those without one last.
    let mut groups: Vec<(Option<&str>, Vec<&System>)> = by_tier.into_iter().collect();
    groups.sort_by_key(|(name, systems)| {
        let tier = systems.first().and_then(|s| s.tier.as_ref());
        let rpo = tier.and_then(|t| t.rpo).map_or(u64::MAX, |s| s.micros());
        let rto = tier.and_then(|t| t.rto).map_or(u64::MAX, |s| s.micros());
        (name.is_none(), rpo, rto)
    });
    let mut blocks = Vec::new();
    if !groups.is_empty() {
        blocks.push(Block::text("Every system is backed up as follows. Each run that is due stands in the record before it is due, so that one that does not come is seen."));
    }
    for (tier, systems) in groups {
        blocks.push(tier_block(input, tier, &systems));
    }
    Section {
        title: "Backup schedule".to_owned(),
        blocks,
        fulfils: input.fulfils(&["plans", "defaults", "systems"]),
    }
}

fn tier_block(input: &DocumentInput<'_>, tier: Option<&str>, systems: &[&System]) -> Block {
    let title = tier.map_or("Without a tier".to_owned(), |tier| format!("Tier {tier}"));
    let rows: Vec<Vec<String>> = systems
        .iter()
        .flat_map(|system| system_rows(input, system))
        .collect();
    let mut blocks = Vec::new();
    if let Some(tier) = systems.first().and_then(|s| s.tier.as_ref()) {
        let promises = [
            tier.rpo
                .map(|rpo| format!("at most {} of data are lost", span(rpo))),
            tier.rto
                .map(|rto| format!("a system is back within {}", span(rto))),
        ];
        let promises: Vec<String> = promises.into_iter().flatten().collect();
        if !promises.is_empty() {
            blocks.push(Block::text(super::words::capital(&format!(
                "{}.",
                and(&promises)
            ))));
        }
    }
    blocks.push(Block::table(
        &["System", "What and how", "When", "Copies in", "Owner"],
        rows,
    ));
    Block::Sub {
        title,
        blocks,
        fulfils: Vec::new(),
    }
}

fn system_rows(input: &DocumentInput<'_>, system: &System) -> Vec<Vec<String>> {
    let about = input.systems.get(&system.name);
    let about = about.map(|t| text(t, "description")).unwrap_or_default();
    let owner = system.owner.clone().unwrap_or_default();
    if system.protections.is_empty() {
        let how = match about.is_empty() {
            true => "nothing is done for it yet".to_owned(),
            false => format!("{about}; nothing is done for it yet"),
        };
        return vec![vec![
            system.name.to_string(),
            how,
            String::new(),
            String::new(),
            owner,
        ]];
    }
    let rows = system.protections.values().map(|protection| {
        let mut how = way(&protection.way);
        if !about.is_empty() {
            how = format!("{about}; {how}");
        }
        vec![
            called(&protection.id),
            how,
            when(input, protection),
            place(input, protection),
            owner.clone(),
        ]
    });
    rows.collect()
}

fn more(input: &DocumentInput<'_>, protection: &Protection, key: &str) -> String {
    let own = input.protections.get(&protection.id);
    let own = own.map(|t| text(t, key)).filter(|t| !t.is_empty());
    let system = || {
        input
            .systems
            .get(&protection.id.system)
            .map(|t| text(t, key))
    };
    own.or_else(system).unwrap_or_default()
}

/// How many versions are kept, and for how long.
fn versions(input: &DocumentInput<'_>, protection: &Protection) -> String {
    let own = input.protections.get(&protection.id);
    let system = input.systems.get(&protection.id.system);
    let said = [own, system].into_iter().flatten();
    let mut said = said.filter_map(|table| table.get("versions"));
    match said.next() {
        Some(Value::Table(table)) => match (text(table, "count"), text(table, "keep")) {
            (count, keep) if keep.is_empty() => format!("the last {count}"),
            (count, keep) if count.is_empty() => keep,
            (count, keep) => format!("the last {count}, for {keep}"),
        },
        Some(Value::Text(word)) => word.trim().to_owned(),
        _ => String::new(),
    }
}

fn when(input: &DocumentInput<'_>, protection: &Protection) -> String {
    let mut parts = Vec::new();
    parts.extend(protection.schedule.as_ref().map(rhythm));
    match more(input, protection, "trigger").as_str() {
        "" => {}
        "before-deployment" => parts.push("before each deployment".to_owned()),
        "on-demand" => parts.push("whenever it is asked for".to_owned()),
        "on-change" => parts.push("after each change".to_owned()),
        other => parts.push(other.to_owned()),
    }
    let window = &protection.window;
    if let Some(within) = window.start_within {
        parts.push(format!("begun within {}", span(within)));
    }
    if let Some(by) = &window.finish_by {
        let (hour, minute) = (by.minutes / 60, by.minutes % 60);
        parts.push(format!("done by {hour:02}:{minute:02} {}", by.zone));
    }
    if let Some(every) = protection.log_every {
        parts.push(format!("the log every {}", span(every)));
    }
    if parts.is_empty() {
        return match protection.way {
            Way::Replica(_) => "all the time".to_owned(),
            _ => "no schedule is set".to_owned(),
        };
    }
    parts.join(", ")
}

fn place(input: &DocumentInput<'_>, protection: &Protection) -> String {
    if !protection.copies.is_empty() {
        return copies(&protection.copies);
    }
    let there = more(input, protection, "destination");
    match (&protection.way, there.as_str()) {
        (_, "itself") => "the system's own machine".to_owned(),
        (_, there) if !there.is_empty() => there.split(':').next().unwrap_or(there).to_owned(),
        (Way::Replica(_), _) => String::new(),
        (Way::Observe(url) | Way::Orchestrate(url), _) => {
            format!("at {}", super::words::kind(url.kind()))
        }
        _ => "no place is set".to_owned(),
    }
}

/// Systems that have the same rule, by the rule; the one with most systems first.
fn grouped(
    input: &DocumentInput<'_>,
    rule: impl Fn(&Protection) -> Option<String>,
) -> Vec<Vec<String>> {
    let mut by_rule: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (system, protection) in input.policy.protections() {
        if system.exempt.is_none()
            && let Some(rule) = rule(protection)
        {
            by_rule
                .entry(rule)
                .or_default()
                .push(called(&protection.id));
        }
    }
    let mut rows: Vec<(String, Vec<String>)> = by_rule.into_iter().collect();
    rows.sort_by_key(|(rule, systems)| (std::cmp::Reverse(systems.len()), rule.clone()));
    rows.into_iter()
        .map(|(rule, systems)| vec![super::words::capital(&rule), systems.join(", ")])
        .collect()
}

pub(super) fn retention(input: &DocumentInput<'_>) -> Section {
    let mut blocks = vec![Block::text(
        "The time counts from the completion of a recovery point. The newest complete point of a system is never deleted, and nothing is deleted that a legal hold keeps or that the record does not know.",
    )];
    let rows = grouped(input, |p| {
        (!matches!(p.way, Way::Replica(_))).then(|| keep(&p.keep))
    });
    if rows.is_empty() {
        blocks.clear();
    } else {
        blocks.push(Block::table(&["Kept", "Systems"], rows));
    }
    let logs = grouped(input, |p| {
        p.log_every?;
        Some(match p.log_keep {
            Some(kept) => length(kept),
            None => "as long as the points that need it".to_owned(),
        })
    });
    if !logs.is_empty() {
        blocks.push(Block::text("Transaction logs are kept:"));
        blocks.push(Block::table(&["Kept", "Systems"], logs));
    }
    let versions: Vec<Vec<String>> = input
        .policy
        .protections()
        .filter_map(|(_, p)| {
            let said = versions(input, p);
            (!said.is_empty()).then(|| vec![called(&p.id), said])
        })
        .collect();
    if !versions.is_empty() {
        blocks.push(Block::text(
            "Of what changes or is deleted, earlier versions are kept:",
        ));
        blocks.push(Block::table(&["System", "Versions"], versions));
    }
    let locks = input
        .policy
        .vaults
        .values()
        .filter_map(|v| Some((v, v.retention_lock?)));
    let locks: Vec<String> = locks
        .map(|(v, lock)| {
            format!(
                "in {} for {} ({})",
                v.name,
                length(lock),
                v.lock_mode.word()
            )
        })
        .collect();
    if !locks.is_empty() {
        blocks.push(Block::text(format!(
            "The store itself refuses deletion {}.",
            and(&locks)
        )));
    }
    let pruned = input.policy.vaults.values();
    let pruned: Vec<String> = pruned
        .filter_map(|v| Some(format!("from {} {}", v.name, rhythm(v.prune.as_ref()?))))
        .collect();
    if !pruned.is_empty() {
        blocks.push(Block::text(format!(
            "What is no longer kept is removed by itself: {}.",
            and(&pruned)
        )));
    }
    if let Some(holds) = input.one("holds") {
        blocks.push(Block::text(held(holds)));
    }
    Section {
        title: "Retention".to_owned(),
        blocks,
        fulfils: input
            .fulfils(&["plans", "holds", "vaults"])
            .into_iter()
            .filter(|id| {
                is_about(
                    input,
                    id,
                    &["keep", "holds", "retention_lock", "versions", "prune"],
                )
            })
            .collect(),
    }
}

fn held(holds: &super::Table) -> String {
    let mut text_of = "Points under legal hold are kept whatever their age".to_owned();
    let reasons = texts(holds, "reasons");
    if !reasons.is_empty() {
        text_of.push_str(&format!(", where {} asks for it", and(&reasons)));
    }
    text_of.push('.');
    let by = texts(holds, "ordered_by");
    if !by.is_empty() {
        text_of.push_str(&format!(" A hold is ordered by {}.", and(&by)));
    }
    let vault = text(holds, "vault");
    if !vault.is_empty() {
        text_of.push_str(&format!(" Held points lie in {vault}."));
    }
    let retrieve = text(holds, "retrieve");
    if !retrieve.is_empty() {
        text_of.push_str(&format!(
            " That one can be brought back is tried {retrieve}."
        ));
    }
    text_of
}

/// Whether a requirement rests on a key of one of these names.
fn is_about(input: &DocumentInput<'_>, id: &str, keys: &[&str]) -> bool {
    let found = input.requirements.iter().find(|r| r.id == id);
    found.is_some_and(|r| {
        r.at.iter()
            .any(|at| at.split('/').any(|part| keys.contains(&part)))
    })
}

pub(super) fn verification(input: &DocumentInput<'_>) -> Section {
    let mut blocks = Vec::new();
    let verify = grouped(input, |p| {
        let rule = p.verify.as_ref()?;
        let share = match rule.coverage {
            Some((n, d)) if n < d => format!("{n}/{d} of the stored bytes"),
            _ => "all stored bytes".to_owned(),
        };
        Some(format!("{}, {share}", rhythm(&rule.every)))
    });
    if !verify.is_empty() {
        blocks.push(Block::text(
            "Stored copies are read back and held against their digests:",
        ));
        blocks.push(Block::table(
            &["How often, and how much", "Systems"],
            verify,
        ));
    }
    let checks: Vec<Vec<String>> = input
        .policy
        .protections()
        .filter_map(|(_, p)| {
            let said = more(input, p, "check");
            (!said.is_empty()).then(|| vec![called(&p.id), said])
        })
        .collect();
    if !checks.is_empty() {
        blocks.push(Block::text("Copies that others make are looked at:"));
        blocks.push(Block::table(&["System", "Check"], checks));
    }
    let drills = grouped(input, |p| {
        let rule = p.drill.as_ref()?;
        let mut text_of = rhythm(&rule.every);
        if let Some(negative) = &rule.negative_control {
            text_of.push_str(&format!(
                "; the drill itself is tested {}",
                rhythm(negative)
            ));
        }
        Some(text_of)
    });
    if !drills.is_empty() {
        blocks.push(Block::text("Restores are rehearsed: a recovery point is restored into a sandbox without a network, compared with what was captured, and timed. To see that a drill can fail, it is run now and then on a copy that was damaged on purpose."));
        blocks.push(Block::table(&["How often", "Systems"], drills));
    }
    let tests: Vec<Block> = input
        .named("programme")
        .map(|(name, t)| test(name, t))
        .collect();
    if !tests.is_empty() {
        blocks.push(Block::text(format!(
            "Beside the drills of single systems there is a programme of {}.",
            count(len(tests.len()), "test")
        )));
        blocks.extend(tests);
    }
    Section {
        title: "Verification and tests".to_owned(),
        blocks,
        fulfils: input.fulfils(&["programme"]),
    }
}

fn test(name: &str, table: &super::Table) -> Block {
    let kinds = texts(table, "kind");
    let what = match (text(table, "of").as_str(), texts(table, "systems")) {
        (_, systems) if !systems.is_empty() => format!(" of {}", and(&systems)),
        ("any", _) => " of another system each time".to_owned(),
        ("each-system", _) => " of each system".to_owned(),
        ("each-application", _) => " of each application".to_owned(),
        ("all", _) => " of all systems together".to_owned(),
        ("sample", _) => " of a sample".to_owned(),
        _ => String::new(),
    };
    let kind = match kinds.is_empty() {
        true => "A test".to_owned(),
        false => format!(
            "A test of {}",
            and(&kinds.iter().map(|k| test_kind(k)).collect::<Vec<_>>())
        ),
    };
    let every = text(table, "every");
    let mut sentences = vec![match every.is_empty() {
        true => format!("{kind}{what}."),
        false => format!("{kind}{what}, {every}."),
    }];
    for (key, lead) in [
        ("by", "It is run by"),
        ("participants", "It is attended by"),
        ("authorised_by", "It is authorised by"),
        ("judged_by", "It is judged by"),
        ("into", "It restores into"),
        ("runbook", "It follows the runbook"),
        ("plan", "Steps and devices are named in"),
        ("records", "Results are kept in"),
    ] {
        let said = texts(table, key);
        if !said.is_empty() {
            sentences.push(format!("{lead} {}.", and(&said)));
        }
    }
    let mut blocks = vec![Block::text(sentences.join(" "))];
    for (key, lead) in [
        ("checks", "What must hold afterwards"),
        ("fields", "What is recorded"),
        ("follow_up", "What comes after it"),
    ] {
        let said = texts(table, key);
        if !said.is_empty() {
            blocks.push(Block::text(format!("{lead}: {}.", said.join("; "))));
        }
    }
    Block::Sub {
        title: name.to_owned(),
        blocks,
        fulfils: Vec::new(),
    }
}

fn test_kind(kind: &str) -> String {
    match kind {
        "restore" => "restoring".to_owned(),
        "files" => "restoring files".to_owned(),
        "access" => "access rights".to_owned(),
        "disaster" => "recovery from a disaster".to_owned(),
        "several-systems" => "recovering several systems together".to_owned(),
        "continuity" => "business continuity".to_owned(),
        "versions" => "earlier versions".to_owned(),
        other => other.to_owned(),
    }
}
