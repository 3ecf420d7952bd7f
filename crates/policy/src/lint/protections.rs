//! Findings on one protection.

use std::collections::BTreeSet;

use vouchsafe_model::policy::{Digests, Protection, System, Vault, Way};
use vouchsafe_model::{SourceKind, SourceUrl, Span};

use crate::assess::{is_outside, region};
use crate::keys::PLAN;
use crate::lint::Lint;
use crate::problem::Level::{self, Error, Note, Warning};
use crate::schedule::longest_gap;
use crate::sources::{is_whole_server, lowered_tls, names_elsewhere, names_user, vault_path};

/// Whether what a protection loses at most is within `rpo`; a replica loses all that its original does.
fn meets(protection: &Protection, rpo: Span) -> bool {
    let gap = || Some(longest_gap(&protection.schedule.as_ref()?.rule));
    let loss = protection.log_every.or_else(gap);
    !matches!(protection.way, Way::Replica(_)) && loss.is_some_and(|loss| loss <= rpo)
}

/// One protection and where it stands in the file.
pub(super) struct Subject<'p> {
    pub(super) system: &'p System,
    pub(super) protection: &'p Protection,
    /// The path of the protection, or of the system where the shorthand is used.
    pub(super) path: String,
    pub(super) outer: String,
}

impl Lint<'_> {
    pub(super) fn subject<'p>(
        &self,
        system: &'p System,
        protection: &'p Protection,
    ) -> Subject<'p> {
        let outer = format!("systems/{}", system.name);
        let own = format!("{outer}/protections/{}", protection.id.protection);
        let several = self.lowered.places.contains_key(&own);
        Subject {
            system,
            protection,
            path: if several { own } else { outer.clone() },
            outer,
        }
    }

    pub(super) fn protection(&mut self, system: &System, protection: &Protection) {
        let subject = self.subject(system, protection);
        if matches!(protection.way, Way::Replica(_)) {
            let message = format!(
                "{} is a replica, which never counts as a backup",
                protection.id
            );
            self.about(
                &subject,
                Note,
                "P128",
                "replica",
                message,
                "keep it by a capture as well",
            );
            return;
        }
        self.schedule(&subject);
        self.keep(&subject);
        self.logs(&subject);
        if matches!(protection.way, Way::Capture(_) | Way::Manual { .. }) {
            self.copies(&subject);
            self.places(&subject);
            self.proof(&subject);
        }
        self.source(&subject);
        self.platform(&subject);
        self.tool(&subject);
    }

    /// Speaks at the nearest place that sets `key` for the protection.
    pub(super) fn about(
        &mut self,
        subject: &Subject<'_>,
        level: Level,
        code: &'static str,
        key: &str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let path = self
            .origin(subject, key)
            .unwrap_or_else(|| subject.path.clone());
        self.say(level, code, &path, message, remedy);
    }

    /// The path at which `key` is set for the protection: its own, its plan's, the system's, that one's plan's; or
    /// the plan that could set it.
    fn origin(&self, subject: &Subject<'_>, key: &str) -> Option<String> {
        let places = &self.lowered.places;
        let by_hand = matches!(subject.protection.way, Way::Manual { .. });
        // What a person does by hand says its rhythm and its vaults there.
        let by_hand_key = match key {
            "schedule" => "every",
            key => key,
        };
        let mut plan_key = None;
        for base in [subject.path.as_str(), subject.outer.as_str(), "defaults"] {
            let own = format!("{base}/manual/{by_hand_key}");
            if by_hand && places.contains_key(&own) {
                return Some(own);
            }
            let own = format!("{base}/{key}");
            if places.contains_key(&own) && base != "defaults" {
                return Some(own);
            }
            if !PLAN.knows(key) {
                continue;
            }
            let named = format!("{base}/plan");
            let Some(plan) = places
                .get(&named)
                .and_then(|at| self.lowered.plans_named.get(at))
            else {
                continue;
            };
            let in_plan = format!("plans/{plan}/{key}");
            if places.contains_key(&in_plan) {
                return Some(in_plan);
            }
            plan_key = plan_key.or_else(|| (base != "defaults").then_some(named));
        }
        plan_key
    }

    fn schedule(&mut self, subject: &Subject<'_>) {
        let id = &subject.protection.id;
        let Some(schedule) = &subject.protection.schedule else {
            if self.lowered.declared.of(id, "trigger").is_some() || self.export(subject).is_some() {
                return;
            }
            let message = format!("{id} has no schedule, so it runs only by hand");
            self.about(
                subject,
                Warning,
                "P104",
                "schedule",
                message,
                "write schedule: daily at 02:00 UTC",
            );
            return;
        };
        let Some(rpo) = subject.system.tier.as_ref().and_then(|t| t.rpo) else {
            return;
        };
        if subject.protection.ships_log_every().is_some() {
            return;
        }
        let gap = longest_gap(&schedule.rule);
        // The log decides where there is one, and the best copy where there are several.
        let others = subject.system.protections.values();
        let met_by_another = others.filter(|p| p.id != *id).any(|p| meets(p, rpo));
        if subject.protection.log_every.is_some() || (gap > rpo && met_by_another) {
            return;
        }
        if gap > rpo {
            let message = format!(
                "{id} runs `{}`: up to {gap} are lost, and RPO is {rpo}",
                schedule.text
            );
            let remedy = format!("run it at least every {rpo}, or name a tier with a longer RPO");
            self.about(subject, Warning, "P110", "schedule", message, remedy);
        } else if gap == rpo {
            let message = format!(
                "{id} runs `{}`, which leaves no slack for RPO {rpo}",
                schedule.text
            );
            let remedy = "run it more often, or allow in the RPO for the time a capture takes";
            self.about(subject, Note, "P110", "schedule", message, remedy);
        }
    }

    fn keep(&mut self, subject: &Subject<'_>) {
        let id = &subject.protection.id;
        let keep = &subject.protection.keep;
        let (least, most) = (keep.at_least, keep.at_most);
        if keep.is_unsaid() && self.lowered.declared.of(id, "versions").is_none() {
            let message = format!("{id} does not say how long points are kept");
            self.about(
                subject,
                Warning,
                "P105",
                "keep",
                message,
                "write keep: { at_least: 30 days }",
            );
        }
        if let (Some(least), Some(most)) = (least, most) {
            if most.roughly() < least.roughly() {
                let message = format!("{id} keeps points at least {least} and at most {most}");
                self.about(
                    subject,
                    Error,
                    "P113",
                    "keep",
                    message,
                    "let at_most be the longer one",
                );
            } else if most == least && keep.grace.is_none() {
                let message =
                    format!("{id} keeps points at least and at most {least}, to the very moment");
                self.about(
                    subject,
                    Warning,
                    "P121",
                    "keep",
                    message,
                    "write grace: 24h, or a longer at_most",
                );
            }
        }
        let Some(most) = most else { return };
        // What is needed is locked anew, so that at its end a whole lock may be left.
        let grace = keep
            .grace
            .map_or(Span::from_micros(0), |grace| grace.roughly());
        for vault in self.vaults_of(subject) {
            if vault
                .retention_lock
                .is_some_and(|lock| lock.roughly() > grace)
            {
                let message = format!(
                    "what {id} lets go after {most} stays hidden in vault {} until its locks end, which is longer \
                     than its grace",
                    vault.name
                );
                self.about(
                    subject,
                    Warning,
                    "P124",
                    "keep",
                    message,
                    "write a grace as long as the lock, or shorten the lock",
                );
            }
        }
        if let Some(drill) = &subject.protection.drill
            && longest_gap(&drill.every.rule) > most.roughly()
        {
            let message = format!(
                "{id} is drilled `{}` and kept {most}: points go before a drill looks at them",
                drill.every.text
            );
            self.about(
                subject,
                Warning,
                "P112",
                "drill",
                message,
                "drill more often, or keep points longer",
            );
        }
    }

    fn logs(&mut self, subject: &Subject<'_>) {
        let id = &subject.protection.id;
        let has_log = match &subject.protection.way {
            Way::Capture(url) => url.has_log(),
            _ => false,
        };
        if let Way::Capture(url) = &subject.protection.way
            && matches!(
                url.kind(),
                SourceKind::Postgres | SourceKind::MySql | SourceKind::MongoDb
            )
            && !url.names_whole_server()
            && subject.protection.log_every.is_some()
        {
            let what = match url.names_all_databases() {
                true => "a dump of each database",
                false => "one database",
            };
            let message =
                format!("{id} is {what}, and a log is that of a whole server; none is shipped");
            let remedy =
                "give the logs to a protection of the whole server: a URL without a database";
            self.about(subject, Warning, "P132", "logs", message, remedy);
        }
        let tier = subject.system.tier.as_ref();
        let log_rpo = tier.and_then(|t| t.log_rpo);
        let Some(target) = [log_rpo, tier.and_then(|t| t.rpo)]
            .into_iter()
            .flatten()
            .min()
        else {
            return;
        };
        match subject.protection.log_every {
            None if has_log && !self.ships_elsewhere(subject) => {
                let Some(log_rpo) = log_rpo else { return };
                let message =
                    format!("the tier asks for a log RPO of {log_rpo}, and {id} ships no log");
                self.about(
                    subject,
                    Warning,
                    "P111",
                    "logs",
                    message,
                    "write logs: { every: 5s, keep: 7 days }",
                );
            }
            // That it cannot be had more often is said of the platform.
            Some(_) if self.platform_logs(subject).is_some_and(|l| target <= l) => {}
            Some(every) if every > target => {
                let message = format!("{id} ships its log every {every}, and {target} may be lost");
                self.about(
                    subject,
                    Warning,
                    "P111",
                    "logs",
                    message,
                    "ship it more often",
                );
            }
            Some(every) if every == target => {
                let message = format!(
                    "{id} ships its log every {every}, and no more than that may be lost: none is left for the way"
                );
                let remedy = "ship it more often than may be lost";
                self.about(subject, Warning, "P146", "logs", message, remedy);
            }
            _ => {}
        }
    }

    /// Whether another protection of the same system ships a log: then a dump beside it need not.
    fn ships_elsewhere(&self, subject: &Subject<'_>) -> bool {
        let others = subject.system.protections.values();
        others
            .filter(|other| other.id != subject.protection.id)
            .any(|other| other.ships_log_every().is_some())
    }

    pub(super) fn vaults_of(&self, subject: &Subject<'_>) -> Vec<Vault> {
        let copies = subject.protection.copies.iter();
        copies
            .filter_map(|c| self.policy.vaults.get(&c.vault))
            .cloned()
            .collect()
    }

    fn copies(&mut self, subject: &Subject<'_>) {
        let id = &subject.protection.id;
        let vaults = self.vaults_of(subject);
        if let Some(min) = subject.system.tier.as_ref().and_then(|t| t.min_copies)
            && vaults.len() < min as usize
        {
            let message = format!(
                "the tier asks for {min} copies, and {id} names {} vaults",
                vaults.len()
            );
            self.about(
                subject,
                Warning,
                "P119",
                "copies",
                message,
                "name more vaults under `copies`",
            );
        }
        let regions: BTreeSet<&str> = vaults
            .iter()
            .filter_map(|v| v.location.region.as_deref())
            .map(region)
            .collect();
        let undeclared = vaults.iter().any(|v| v.location.region.is_none());
        match vaults.as_slice() {
            [] => {
                let message = format!("{id} names no vault, so there is no copy");
                self.about(
                    subject,
                    Warning,
                    "P106",
                    "copies",
                    message,
                    "write copies: [ VAULT, VAULT ]",
                );
            }
            [one] => {
                let message = format!("the only copy of {id} lies in vault {}", one.name);
                self.about(
                    subject,
                    Warning,
                    "P107",
                    "copies",
                    message,
                    "name a second vault in another region",
                );
            }
            _ if regions.len() > 1 => {}
            _ if undeclared => {
                let message = format!("nobody can say whether the vaults of {id} lie apart");
                self.about(
                    subject,
                    Note,
                    "P129",
                    "copies",
                    message,
                    "write the region of each vault",
                );
            }
            _ => {
                let region = regions.first().copied().unwrap_or_default();
                let message = format!("all copies of {id} lie in region {region}");
                self.about(
                    subject,
                    Warning,
                    "P107",
                    "copies",
                    message,
                    "name a vault in another region",
                );
            }
        }
    }

    fn places(&mut self, subject: &Subject<'_>) {
        let Some(tier) = &subject.system.tier else {
            return;
        };
        let own = &subject.system.location;
        let id = &subject.protection.id;
        let unknown = (tier.other_region && own.region.is_none())
            || (tier.same_country && own.country.is_none());
        if unknown {
            let message = format!(
                "the tier binds the place of copies, and {} does not say where it lies",
                subject.system.name
            );
            self.about(
                subject,
                Warning,
                "P120",
                "location",
                message,
                "write location: { region: NAME, country: CC }",
            );
        } else if tier.other_region || tier.same_country {
            let fits = self.vaults_of(subject).iter().any(|v| {
                (!tier.other_region || is_outside(subject.system, &v.location))
                    && (!tier.same_country || v.location.country == own.country)
            });
            if !fits {
                let message =
                    format!("no vault of {id} lies where the tier wants one of the copies");
                self.about(
                    subject,
                    Warning,
                    "P120",
                    "copies",
                    message,
                    "name a vault that does, or another tier",
                );
            }
        }
    }

    fn proof(&mut self, subject: &Subject<'_>) {
        let protection = subject.protection;
        let id = &protection.id;
        if protection.verify.is_none() && !protection.copies.is_empty() {
            let message = format!("the copies of {id} are never read back");
            self.about(
                subject,
                Warning,
                "P108",
                "verify",
                message,
                "write verify: { every: week }",
            );
        }
        match &protection.drill {
            None => {
                let rto = subject.system.tier.as_ref().and_then(|t| t.rto);
                let why = rto
                    .map(|r| format!(", and RTO {r} is never measured"))
                    .unwrap_or_default();
                let message = format!("{id} is never restored to see whether it comes back{why}");
                self.about(
                    subject,
                    Warning,
                    "P109",
                    "drill",
                    message,
                    "write drill: { every: quarter }",
                );
            }
            Some(drill) if drill.negative_control.is_none() => {
                let message = format!("nothing shows that the drill of {id} would notice damage");
                self.about(
                    subject,
                    Note,
                    "P125",
                    "drill",
                    message,
                    "write negative_control: every year",
                );
            }
            Some(_) => {}
        }
        self.equality(subject);
        if subject.protection.digests == Digests::None && subject.protection.drill.is_some() {
            let message = format!("drills of {id} compare no rows: none are digested at capture");
            self.about(
                subject,
                Note,
                "P131",
                "digests",
                message,
                "write digests: sample, or leave it out",
            );
        }
    }

    fn database(&mut self, subject: &Subject<'_>, url: &SourceUrl) {
        let id = &subject.protection.id;
        if !names_elsewhere(url) {
            return;
        }
        if *url.kind() == SourceKind::MySql && is_whole_server(url) {
            let message = format!(
                "{id} means a whole server on another machine: one of MariaDB cannot be copied from here"
            );
            let remedy = "if it is one, name a database in the URL, or run Vouchsafe on the server's own machine; MySQL is copied through the network";
            self.about(subject, Note, "P136", "source", message, remedy);
        }
        if let Some(mode) = lowered_tls(url) {
            let message = format!("{id} speaks to another machine under {mode}");
            let remedy = "take it out: then the server's certificate is verified in full";
            self.about(subject, Note, "P137", "source", message, remedy);
        }
    }

    fn source(&mut self, subject: &Subject<'_>) {
        let protection = subject.protection;
        let id = &protection.id;
        let url = match &protection.way {
            Way::Capture(url) | Way::Orchestrate(url) | Way::Observe(url) => url,
            Way::Manual { .. } | Way::Replica(_) => return,
        };
        if names_user(url) && protection.password.is_none() {
            let message = format!("{id} names a user, and no password is referred to");
            self.about(
                subject,
                Warning,
                "P118",
                "password",
                message,
                "write password: { env: NAME }",
            );
        }
        self.database(subject, url);
        if !matches!(
            url.kind(),
            SourceKind::Files | SourceKind::Sqlite | SourceKind::Git
        ) {
            return;
        }
        let source = std::path::Path::new(url.local_path());
        for vault in self.policy.vaults.values() {
            let Some(folder) = vault_path(&vault.url) else {
                continue;
            };
            if source.starts_with(folder) {
                let message = format!("{id} lies in the folder of vault {}", vault.name);
                self.about(
                    subject,
                    Error,
                    "P114",
                    "source",
                    message,
                    "move the vault to another place",
                );
            } else if folder.starts_with(source) {
                let message = format!(
                    "vault {} lies inside {id} and is left out of its captures",
                    vault.name
                );
                self.about(
                    subject,
                    Note,
                    "P114",
                    "source",
                    message,
                    "nothing need be done; both share one disk",
                );
            }
        }
    }
}
