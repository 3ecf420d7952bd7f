//! Findings that rest on what a platform or another tool can and cannot do.

use vouchsafe_model::policy::{System, Way};
use vouchsafe_model::{SourceUrl, Span};

use crate::declared::Said;
use crate::lint::Lint;
use crate::lint::protections::Subject;
use crate::platforms::{
    self, JOURNALED, LOGS, LogOf, MODES, MONITORS, Mode, Service, Trait, VALIDATIONS, service,
};
use crate::problem::Level::{Error, Note, Warning};
use crate::schedule::longest_gap;

/// The source of a protection that another tool or a provider makes.
pub(super) fn foreign(way: &Way) -> Option<&SourceUrl> {
    match way {
        Way::Observe(url) | Way::Orchestrate(url) => Some(url),
        Way::Capture(_) | Way::Manual { .. } | Way::Replica(_) => None,
    }
}

fn scheme(url: &SourceUrl) -> String {
    url.kind().to_string()
}

/// The scheme of a text that may be a URL.
fn scheme_of(text: &str) -> &str {
    text.split_once(':').map_or(text, |(scheme, _)| scheme)
}

impl Lint<'_> {
    fn service(&self, subject: &Subject<'_>) -> Option<&'static Service> {
        service(&scheme(foreign(&subject.protection.way)?))
    }

    /// Where a key of a protection stands: beside it, or at its system for all of them.
    fn where_said(&self, subject: &Subject<'_>, key: &str) -> String {
        for base in [&subject.path, &subject.outer] {
            let path = format!("{base}/{key}");
            if self.lowered.places.contains_key(&path) {
                return path;
            }
        }
        subject.path.clone()
    }

    fn way_path(&self, subject: &Subject<'_>) -> String {
        self.where_said(subject, subject.protection.way.word())
    }

    /// How often the platform gives the log of this protection away, if another makes it.
    pub(super) fn platform_logs(&self, subject: &Subject<'_>) -> Option<Span> {
        self.service(subject)?.find(|t| match t {
            Trait::LogsEvery(span) => Some(*span),
            _ => None,
        })
    }

    /// How often a person can have what is backed up by hand, and what more is to be known of it.
    pub(super) fn export(
        &self,
        subject: &Subject<'_>,
    ) -> Option<(&'static Service, Span, &'static str)> {
        let from = self.lowered.declared.manual.get(&subject.protection.id)?;
        let service = service(scheme_of(from))?;
        let (every, why) = service.find(|t| match t {
            Trait::ExportsEvery(every, why) => Some((*every, *why)),
            _ => None,
        })?;
        Some((service, every, why))
    }

    pub(super) fn platform(&mut self, subject: &Subject<'_>) {
        self.monitor(subject);
        self.exports(subject);
        self.environment(subject);
        self.destination(subject);
        self.all_versions(subject);
        let Some(service) = self.service(subject) else {
            return;
        };
        self.log_interval(subject, service);
        self.longest(subject, service);
        self.modes(subject, service);
        self.synchronised(subject, service);
        self.crash_consistent(subject, service);
    }

    fn monitor(&mut self, subject: &Subject<'_>) {
        let id = &subject.protection.id;
        let Some(by) = self.lowered.declared.text_of(id, "monitor") else {
            return;
        };
        let plain = by.to_ascii_lowercase().replace([' ', '_'], "-");
        let blind = MONITORS
            .iter()
            .find(|m| m.words.contains(&plain.as_str()) && !m.sees_absence);
        let Some(monitor) = blind else { return };
        let message = format!(
            "{id} is watched by {}, which records calls: a backup that does not come, or a bad one, is no call",
            monitor.name
        );
        let remedy = format!(
            "name what notices absence, like cloudwatch or vouchsafe; see {}",
            monitor.source
        );
        let path = self.where_said(subject, "monitor");
        self.say(Warning, "P141", &path, message, remedy);
    }

    fn exports(&mut self, subject: &Subject<'_>) {
        let Some((service, least, why)) = self.export(subject) else {
            return;
        };
        let id = &subject.protection.id;
        let path = self.where_said(subject, "manual");
        let Some(schedule) = &subject.protection.schedule else {
            let message = format!(
                "{id} does not say how often; {} makes one export in {least}, {why}",
                service.name
            );
            let remedy = format!("write every: month, or every: week; see {}", service.source);
            self.say(Warning, "P155", &path, message, remedy);
            return;
        };
        if longest_gap(&schedule.rule) < least {
            let message = format!(
                "{id} is due `{}`; {} makes one export in {least}, {why}",
                schedule.text, service.name
            );
            let remedy = format!("write every: week, or longer; see {}", service.source);
            let path = match self.lowered.places.contains_key(&format!("{path}/every")) {
                true => format!("{path}/every"),
                false => path,
            };
            self.say(Error, "P155", &path, message, remedy);
        }
    }

    fn environment(&mut self, subject: &Subject<'_>) {
        let id = &subject.protection.id;
        let runs_in = self.lowered.declared.text_of(id, "runs_in");
        let (Some(runs_in), Some(own)) = (runs_in, &subject.system.environment) else {
            return;
        };
        if runs_in != own {
            let message = format!(
                "the copies of {id} are made in {runs_in}: data of {own} comes there, and the loss of {runs_in} ends them"
            );
            let remedy = format!("run it in {own}, or on a machine of its own");
            let path = self.where_said(subject, "runs_in");
            self.say(Warning, "P157", &path, message, remedy);
        }
    }

    fn destination(&mut self, subject: &Subject<'_>) {
        let id = &subject.protection.id;
        let declared = &self.lowered.declared;
        let Some(destination) = declared.text_of(id, "destination") else {
            return;
        };
        let Some(url) = foreign(&subject.protection.way) else {
            return;
        };
        let tool = scheme(url);
        let to = scheme_of(destination);
        let limited = VALIDATIONS
            .iter()
            .find(|v| v.scheme == tool && !v.of.contains(&to));
        let own_check = match declared.of(id, "check") {
            Some(Said::Entry(check)) => check.text("by").is_some_and(|by| by != "validate"),
            _ => false,
        };
        if let Some(tool) = limited.filter(|_| !own_check) {
            let message = format!(
                "{id} lies at {to}, where {} cannot validate what it has stored",
                tool.name
            );
            let remedy = format!(
                "check it in another way: check: {{ by: restore, every: month }}; see {}",
                tool.source
            );
            let path = self.where_said(subject, "destination");
            self.say(Warning, "P152", &path, message, remedy);
        }
    }

    fn all_versions(&mut self, subject: &Subject<'_>) {
        let id = &subject.protection.id;
        let Some(most) = subject.protection.keep.at_most else {
            return;
        };
        if self.lowered.declared.text_of(id, "versions") == Some("all") {
            let message = format!("{id} keeps all versions, and lets everything go after {most}");
            let remedy = "say for how long versions are kept: versions: { keep: 35 days }; or take at_most out";
            let path = self.where_said(subject, "versions");
            self.say(Warning, "P161", &path, message, remedy);
        }
    }

    fn log_interval(&mut self, subject: &Subject<'_>, service: &Service) {
        let Some(limit) = self.platform_logs(subject) else {
            return;
        };
        let tier = subject.system.tier.as_ref();
        let targets = [tier.and_then(|t| t.log_rpo), tier.and_then(|t| t.rpo)];
        let Some(target) = targets.into_iter().flatten().min() else {
            return;
        };
        let by_ourselves = |p: &vouchsafe_model::Protection| {
            matches!(p.way, Way::Capture(_)) && p.log_every.is_some_and(|every| every < target)
        };
        if target > limit || subject.system.protections.values().any(by_ourselves) {
            return;
        }
        let id = &subject.protection.id;
        let message = match target == limit {
            true => format!(
                "{} gives its log away about every {limit}, so {id} loses no more than {target} only if nothing ever takes time",
                service.name
            ),
            false => format!(
                "{} gives its log away about every {limit}, so {id} cannot lose less, and {target} may be lost",
                service.name
            ),
        };
        let remedy = format!(
            "capture the log by ourselves more often, or allow {} and the time of the way; see {}",
            limit, service.source
        );
        let path = match subject.protection.log_every {
            Some(_) => self.where_said(subject, "logs"),
            None => self.way_path(subject),
        };
        self.say(Warning, "P147", &path, message, remedy);
    }

    fn longest(&mut self, subject: &Subject<'_>, service: &Service) {
        let limit = service.find(|t| match t {
            Trait::KeepsAtMost(span) => Some(*span),
            _ => None,
        });
        let (Some(limit), Some(least)) = (limit, subject.protection.keep.at_least) else {
            return;
        };
        if least.roughly() == limit && subject.protection.copies.is_empty() {
            let id = &subject.protection.id;
            let message = format!(
                "{id} is kept {least}, which is the most that {} keeps: no day longer is possible",
                service.name
            );
            let remedy = format!(
                "nothing need be done as long as that is enough; see {}",
                service.source
            );
            self.about(subject, Note, "P149", "keep", message, remedy);
        } else if least.roughly() > limit && subject.protection.copies.is_empty() {
            let id = &subject.protection.id;
            let message = format!(
                "{id} is kept at least {least}, and {} keeps its own points {limit} at most",
                service.name
            );
            let remedy = format!(
                "copy what is to live longer elsewhere, or keep it {limit}; see {}",
                service.source
            );
            self.about(subject, Error, "P149", "keep", message, remedy);
        }
    }

    fn modes(&mut self, subject: &Subject<'_>, service: &Service) {
        let modes: Vec<&Mode> = MODES
            .iter()
            .filter(|m| m.scheme == service.scheme)
            .collect();
        let id = &subject.protection.id;
        let declared = &self.lowered.declared;
        let mut wanted = declared.texts_of(id, "features");
        let tier = subject.system.tier.as_ref();
        if tier.is_some_and(|t| t.other_region) && !wanted.contains(&"cross-region") {
            wanted.push("cross-region");
        }
        if modes.is_empty() || wanted.is_empty() {
            return;
        }
        let has: Vec<String> = modes
            .iter()
            .map(|m| format!("{} in mode {}", m.has.join(" and "), m.mode))
            .collect();
        let source = modes.first().map_or("", |m| m.source);
        let told = format!(
            "{} has {}, one mode at a time",
            service.name,
            has.join(", ")
        );
        let said = declared.text_of(id, "mode");
        let Some(mode) = said.and_then(|said| modes.iter().find(|m| m.mode == said)) else {
            let message = format!(
                "{id} is asked for {} and names no mode; {told}",
                wanted.join(", ")
            );
            let remedy = format!(
                "write the mode that has it, and keep the rest by another way; see {source}"
            );
            let path = self.way_path(subject);
            self.say(Warning, "P150", &path, message, remedy);
            return;
        };
        let missing: Vec<&str> = wanted
            .into_iter()
            .filter(|w| !mode.has.contains(w))
            .collect();
        if !missing.is_empty() {
            let message = format!(
                "{id} is asked for {}, which mode {} has not; {told}",
                missing.join(", "),
                mode.mode
            );
            let remedy = format!("choose one, and keep the other by another way; see {source}");
            let path = self.where_said(subject, "mode");
            self.say(Error, "P150", &path, message, remedy);
        }
    }

    fn synchronised(&mut self, subject: &Subject<'_>, service: &Service) {
        if !service.has(Trait::Synchronises) {
            return;
        }
        let id = &subject.protection.id;
        let versions = self.lowered.declared.of(id, "versions").is_some();
        let restored =
            subject.protection.drill.is_some() || self.tests_of(subject.system).next().is_some();
        if versions && restored {
            return;
        }
        let missing = match (versions, restored) {
            (false, false) => "neither versions nor a test of a restore are",
            (false, true) => "no versions are",
            _ => "no test of a restore is",
        };
        let message = format!(
            "{} carries deletions and what malware encrypts to the copies of {id}, and {missing} declared",
            service.name
        );
        let remedy = format!(
            "write versions: {{ keep: 30 days }} and drill: quarter; see {}",
            service.source
        );
        let path = self.way_path(subject);
        self.say(Warning, "P142", &path, message, remedy);
    }

    fn crash_consistent(&mut self, subject: &Subject<'_>, service: &Service) {
        let declared = &self.lowered.declared;
        let id = &subject.protection.id;
        let system = declared.systems.get(&subject.system.name);
        let Some(engine) = system.and_then(|s| s.text("engine")) else {
            return;
        };
        let journaled = JOURNALED.contains(&engine.to_ascii_lowercase().as_str());
        if !journaled
            || !service.has(Trait::SnapshotsVolumes)
            || declared.of(id, "consistency").is_some()
        {
            return;
        }
        let message = format!(
            "{id} is a snapshot of the volumes under a running {engine}: whole only if data and journal lie on one"
        );
        let remedy = "write consistency: one-volume if they do; else lock writes, and write consistency: locked";
        let path = self.way_path(subject);
        self.say(Warning, "P156", &path, message, remedy);
    }

    /// What another tool makes needs a log that one can look into.
    pub(super) fn tool(&mut self, subject: &Subject<'_>) {
        let Some(url) = foreign(&subject.protection.way) else {
            return;
        };
        let id = &subject.protection.id;
        let text = match self.lowered.declared.of(id, "log") {
            Some(Said::Text(text)) => Some(text.as_str()),
            Some(Said::Entry(log)) if log.has("none") => return,
            Some(Said::Entry(log)) => log.text("at"),
            _ => None,
        };
        let Some(text) = text else {
            let message = format!("nobody says where the log of {id} is");
            let remedy = "write log: PLACE, or log: { none: REASON }";
            let path = subject.path.clone();
            self.say(Warning, "P153", &path, message, remedy);
            return;
        };
        let scheme = scheme(url);
        let named: Vec<&LogOf> = LOGS.iter().filter(|l| names(text, l.words)).collect();
        let fits = named.iter().any(|l| l.schemes.contains(&scheme.as_str()));
        if let Some(other) = named.first().filter(|_| !fits)
            && platforms::service(&scheme).is_some()
        {
            let message = format!(
                "the log of {id} is said to be that of {}, which knows nothing of {scheme}",
                other.name
            );
            let remedy = "name the log of what makes the copies";
            let path = self.where_said(subject, "log");
            self.say(Warning, "P154", &path, message, remedy);
        }
    }

    /// What only holds of all protections of a system together.
    pub(super) fn together(&mut self, system: &System) {
        let real: Vec<Subject<'_>> = system
            .protections
            .values()
            .filter(|p| !matches!(p.way, Way::Replica(_)))
            .map(|p| self.subject(system, p))
            .collect();
        let Some(first) = real.first() else { return };
        let original = |s: &Subject<'_>| {
            self.service(s)?.find(|t| match t {
                Trait::HoldsTheOriginal(why) => Some(*why),
                _ => None,
            })
        };
        let all: Option<Vec<&str>> = real.iter().map(original).collect();
        if let Some(why) = all.and_then(|all| all.first().copied()) {
            let name = self.service(first).map_or("its provider", |s| s.name);
            let message = format!(
                "no copy of {} lies outside of {name}; and {why}",
                system.name
            );
            let remedy = "mirror it: capture: git:https://HOST/REPOSITORY, into vaults elsewhere";
            let path = self.way_path(first);
            self.say(Warning, "P158", &path, message, remedy);
        }
        let itself = |s: &Subject<'_>| {
            let to = self
                .lowered
                .declared
                .text_of(&s.protection.id, "destination");
            to == Some("itself")
        };
        if real.iter().all(itself) {
            let message = format!("every copy of {} lies on the machine itself", system.name);
            let remedy = "put one elsewhere: a vault, or another tool's destination";
            let path = self.where_said(first, "destination");
            self.say(Warning, "P164", &path, message, remedy);
        }
    }
}

/// Whether a text names one of the words, as a word of its own.
fn names(text: &str, words: &[&str]) -> bool {
    let plain: String = text
        .chars()
        .map(|c| match c.is_ascii_alphanumeric() || c == '-' {
            true => c.to_ascii_lowercase(),
            false => ' ',
        })
        .collect();
    let padded = format!(
        " {} ",
        plain.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    words.iter().any(|w| padded.contains(&format!(" {w} ")))
}
