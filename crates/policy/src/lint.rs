//! What a policy promises less than it seems to: findings with place, reason and remedy.

mod detection;
mod equality;
mod erasures;
mod platform;
mod protections;
mod removal;
mod tables;

pub use erasures::unusable_register;
use vouchsafe_model::policy::System;
use vouchsafe_model::{Kms, Policy, Span, Time};

use crate::assess::is_known_framework;
use crate::problem::{ClauseState, Level, Lowered, Problem};
use crate::words;

/// Findings on a lowered policy, in the order of the file; nothing if there is no policy.
///
/// What the lowering itself found is in [`Lowered::problems`] and not repeated here. `today` judges the dates.
pub fn lint(lowered: &Lowered, today: Option<Time>) -> Vec<Problem> {
    let Some(policy) = &lowered.policy else {
        return Vec::new();
    };
    let mut lint = Lint {
        lowered,
        policy,
        out: Vec::new(),
    };
    lint.front(today);
    lint.unused();
    lint.keys();
    lint.removal();
    lint.duties();
    lint.clauses();
    lint.tables(today);
    if policy.systems.is_empty() {
        lint.say(
            Level::Warning,
            "P101",
            "systems",
            "the policy names no system, so it protects nothing",
            "declare what is to be protected under `systems`",
        );
    }
    for system in policy.systems.values() {
        lint.system(system);
    }
    let mut out = lint.out;
    out.sort_by_key(|p| (p.line, p.column, p.code));
    out.dedup();
    out
}

/// The day of the newest change in the history.
fn last_change(lowered: &Lowered) -> Option<&str> {
    let history = lowered.declared.front.list("history");
    history.filter_map(|change| change.text("date")).max()
}

fn whose_rotation(kms: &Kms) -> &'static str {
    match kms {
        Kms::Aws(_) => "AWS rotates the key which wraps it",
        Kms::Command(_) => "the key which wraps it may be rotated",
    }
}

struct Lint<'a> {
    lowered: &'a Lowered,
    policy: &'a Policy,
    out: Vec<Problem>,
}

impl Lint<'_> {
    fn say(
        &mut self,
        level: Level,
        code: &'static str,
        path: &str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (line, column) = self.lowered.place(path);
        self.out.push(Problem {
            code,
            level,
            line,
            column,
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    fn front(&mut self, today: Option<Time>) {
        let front = &self.policy.front;
        match &front.next_review {
            None => {
                let (level, message) = self.unreviewed(today);
                let remedy = "write next_review: YYYY-MM-DD under `policy`";
                self.say(level, "P115", "policy", message, remedy);
            }
            Some(day) => {
                let begins = words::start_of_day(day).ok();
                if today
                    .zip(begins)
                    .is_some_and(|(today, review)| review < today)
                {
                    self.say(
                        Level::Warning,
                        "P115",
                        "policy/next_review",
                        format!("the review of {day} has passed"),
                        "review the policy and set the next day",
                    );
                }
            }
        }
        let changed = last_change(self.lowered);
        if let (Some(approved), Some(changed)) = (&front.approved, changed)
            && approved.as_str() < changed
        {
            let path = match self.lowered.places.contains_key("policy/approved") {
                true => "policy/approved",
                false => "policy/approved_date",
            };
            let message =
                format!("the policy was changed on {changed}, and last approved on {approved}");
            let remedy = "have what is new approved, and write the day";
            self.say(Level::Warning, "P172", path, message, remedy);
        }
        if front.approved.is_none() {
            let message = "the policy does not say when it was approved";
            let remedy = "write approved: YYYY-MM-DD under `policy`";
            self.say(Level::Note, "P116", "policy", message, remedy);
        }
        for (n, framework) in front.frameworks.iter().enumerate() {
            if !is_known_framework(framework) {
                let path = format!("policy/frameworks/{n}");
                let message = format!("no controls are known for `{framework}`");
                self.say(Level::Note, "P126", &path, message, "known: soc2, iso27001");
            }
        }
    }

    /// What is said of a policy that names no day of review.
    fn unreviewed(&self, today: Option<Time>) -> (Level, String) {
        let changed = last_change(self.lowered);
        let old = changed.zip(today).is_some_and(|(changed, today)| {
            let year = Span::from_days(366);
            words::start_of_day(changed).is_ok_and(|day| day.plus(year) < today)
        });
        match changed {
            Some(changed) if old => (
                Level::Warning,
                format!("the policy names no day of review, and was last changed on {changed}"),
            ),
            _ => (Level::Note, "the policy names no day of review".to_owned()),
        }
    }

    fn keys(&mut self) {
        for vault in self.policy.vaults.values() {
            if let (Some(kms), None) = (&vault.kms, &vault.rotate) {
                let path = format!("vaults/{}/kms", vault.name);
                let message = format!(
                    "the passphrase of vault `{}` is never replaced; that {} does not do it",
                    vault.name,
                    whose_rotation(kms)
                );
                let remedy = "write keys: { rotate: every year } beside `kms`";
                self.say(Level::Note, "P130", &path, message, remedy);
            }
        }
    }

    fn unused(&mut self) {
        for path in &self.lowered.unused {
            let what = path.replacen('/', " `", 1).replacen("s `", " `", 1);
            let what = what.replacen("classe `", "class `", 1);
            let message = format!("{what}` is not used");
            self.say(
                Level::Warning,
                "P117",
                path,
                message,
                "use it, or take it out",
            );
        }
    }

    fn duties(&mut self) {
        for duty in self.policy.duties.iter().filter(|d| d.every.is_none()) {
            let more = self.lowered.declared.duties.get(&duty.name);
            if more.is_some_and(|m| m.has("after")) {
                continue;
            }
            let path = format!("duties/{}", duty.name);
            let message = format!("duty `{}` does not say how often", duty.name);
            self.say(
                Level::Warning,
                "P122",
                &path,
                message,
                "write every: quarter, or as often as it is needed",
            );
        }
    }

    fn clauses(&mut self) {
        for clause in &self.lowered.clauses {
            let path = format!("clauses/{}", clause.name);
            let (level, state) = match clause.state {
                ClauseState::Prose => continue,
                ClauseState::Planned => (Level::Note, "is planned and promises nothing yet"),
                ClauseState::Empty => (Level::Warning, "has no content"),
            };
            let message = format!("clause `{}` {state}", clause.name);
            self.say(
                level,
                "P123",
                &path,
                message,
                "write what is to hold, or take it out",
            );
        }
    }

    fn system(&mut self, system: &System) {
        if system.exempt.is_some() {
            return;
        }
        let path = format!("systems/{}", system.name);
        if system.owner.is_none() {
            let message = format!("nobody answers for {}", system.name);
            self.say(Level::Warning, "P103", &path, message, "write owner: NAME");
        }
        if system.tier.is_none() {
            let message = format!("{} has no tier, so neither RPO nor RTO", system.name);
            self.say(Level::Note, "P127", &path, message, "write tier: NAME");
        }
        if system.protections.is_empty() {
            let message = format!("nothing is done for {}", system.name);
            let remedy = "write source: files:/path, or exempt: REASON";
            self.say(Level::Warning, "P102", &path, message, remedy);
        }
        for protection in system.protections.values() {
            self.protection(system, protection);
        }
        self.detection(system);
        self.together(system);
        self.erasures(system);
    }
}

#[cfg(test)]
mod tests;
