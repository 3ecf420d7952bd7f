//! Findings on the tables of the root: documents, alerts, programme, keys, access, exemptions, providers, places.

use std::collections::BTreeSet;

use vouchsafe_model::{Span, Time};

use crate::assess::tells;
use crate::declared::{Entry, Said};
use crate::lint::Lint;
use crate::platforms::{ROTATIONS, region_of_zone};
use crate::problem::Level::{Error, Note, Warning};
use crate::schedule::longest_gap;
use crate::words;

/// The alerts that are nothing without a number, and the key that holds it.
const NUMBERED: [(&str, &str, &str); 5] = [
    ("storage", "above", "above: 80%"),
    ("lag", "longer_than", "longer_than: 5m"),
    ("size", "above", "above: 50%"),
    ("duration", "longer_than", "longer_than: 2h"),
    ("keys", "before", "before: 14 days"),
];

impl Lint<'_> {
    pub(super) fn tables(&mut self, today: Option<Time>) {
        self.zones();
        self.documents(today);
        self.alerts();
        self.programme();
        self.runbooks();
        self.provider_keys();
        self.access();
        self.exemptions(today);
        self.providers(today);
        self.requirements();
    }

    /// Every region of the file that is the name of a zone.
    fn zones(&mut self) {
        let (policy, declared) = (self.policy, &self.lowered.declared);
        let vaults = policy.vaults.iter();
        let vaults = vaults.map(|(n, v)| (format!("vaults/{n}/region"), &v.location));
        let places = declared.places.iter();
        let places = places.map(|(n, l)| (format!("locations/{n}/region"), l));
        let systems = policy.systems.iter();
        let systems = systems.map(|(n, s)| (format!("systems/{n}/location/region"), &s.location));
        let everywhere = ("defaults/location/region".to_owned(), &declared.everywhere);
        let named: Vec<(String, String)> = vaults
            .chain(places)
            .chain(systems)
            .chain([everywhere])
            // What comes from elsewhere is told there.
            .filter(|(path, _)| self.lowered.places.contains_key(path))
            .filter_map(|(path, location)| Some((path, location.region.clone()?)))
            .collect();
        for (path, name) in named {
            let Some(region) = region_of_zone(&name) else {
                continue;
            };
            let message = format!(
                "`{name}` is a zone of region {region}: another zone of it is no other region, and fails with it"
            );
            let remedy = format!("write region: {region}, and zone: {name} if it matters");
            self.say(Warning, "P140", &path, message, remedy);
        }
    }

    fn documents(&mut self, today: Option<Time>) {
        let lowered = self.lowered;
        for (name, document) in lowered.declared.root.named("documents") {
            let path = format!("documents/{name}");
            let governs = document.texts("governs");
            if !governs.is_empty() && !document.has("digest") {
                let message = format!(
                    "`{name}` lays down {}, and nobody can see here what it says",
                    governs.join(", ")
                );
                let remedy = "write it here, and the SHA-256 of the document as digest, so that a change is seen";
                self.say(Warning, "P151", &path, message, remedy);
            }
            self.passed(document, "next_review", &path, today, "is read again");
        }
    }

    /// Speaks if the day under `key` has passed.
    fn passed(&mut self, entry: &Entry, key: &str, path: &str, today: Option<Time>, what: &str) {
        let (Some(day), Some(today)) = (entry.text(key), today) else {
            return;
        };
        if words::start_of_day(day).is_ok_and(|day| day < today) {
            let message = format!("the day by which it {what}, {day}, has passed");
            let remedy = "do it, and write the next day";
            self.say(Warning, "P169", &format!("{path}/{key}"), message, remedy);
        }
    }

    fn alerts(&mut self) {
        let lowered = self.lowered;
        let Some(alerts) = lowered.declared.root.entry("alerts") else {
            return;
        };
        for (name, number, example) in NUMBERED {
            if let Some(alert) = alerts.entry(name)
                && !alert.has(number)
            {
                let path = format!("alerts/{name}");
                let message = format!("the alert `{name}` does not say from when on");
                self.say(Warning, "P143", &path, message, format!("write {example}"));
            }
        }
        if let Some(storage) = alerts.entry("storage") {
            self.storage(storage);
        }
    }

    /// What the alert on storage cannot do.
    fn storage(&mut self, alert: &Entry) {
        if let Some(Said::Share(n, d)) = alert.get("above")
            && n >= d
        {
            let message = "nobody is warned before the store is full: then no backup fits any more";
            let remedy = "write a smaller share, such as above: 80%";
            self.say(Warning, "P180", "alerts/storage/above", message, remedy);
        }
        let Some(policy) = &self.lowered.policy else {
            return;
        };
        let silent = policy.vaults.values().filter(|vault| !tells(vault));
        let silent: Vec<String> = silent.map(|vault| format!("`{}`", vault.name)).collect();
        if !silent.is_empty() {
            let message = format!(
                "`storage` is not connected for {}: that kind of store does not say how full it is",
                silent.join(", ")
            );
            let remedy = "let whoever runs the store watch it; here it counts as unproven";
            self.say(Note, "P028", "alerts/storage", message, remedy);
        }
    }

    fn programme(&mut self) {
        let lowered = self.lowered;
        let tests: Vec<(&String, &Entry)> = lowered.declared.root.named("programme").collect();
        for (name, test) in &tests {
            let path = format!("programme/{name}");
            if !test.has("every") {
                let message = format!("test `{name}` does not say how often");
                let remedy = "write every: quarter, or as often as it is needed";
                self.say(Warning, "P144", &path, message, remedy);
            }
            self.judges_itself(name, test);
        }
        for (name, test) in &tests {
            let Some(every) = test.schedule("every").filter(|_| !test.has("of")) else {
                continue;
            };
            let other = tests.iter().find(|(_, other)| {
                let rhythm = other.schedule("every");
                let apart =
                    rhythm.is_some_and(|e| longest_gap(&e.rule) != longest_gap(&every.rule));
                apart && same_kind(test, other) && other.has("of")
            });
            if let Some((other, _)) = other {
                let message = format!(
                    "test `{name}` is due `{}` and `{other}` at another rhythm: of what is `{name}`?",
                    every.text
                );
                let remedy =
                    "write of: any if each turn takes another system, or of: each-application";
                let path = format!("programme/{name}/every");
                self.say(Warning, "P148", &path, message, remedy);
            }
        }
    }

    /// The people behind a role, or the one who is named.
    fn people<'e>(&'e self, names: &[&'e str]) -> BTreeSet<&'e str> {
        let roles: Vec<_> = self.lowered.declared.root.named("roles").collect();
        let mut out = BTreeSet::new();
        for name in names {
            let role = roles.iter().find(|(role, _)| role.as_str() == *name);
            let people = role.map(|(_, r)| r.texts("people")).unwrap_or_default();
            match people.is_empty() {
                true => out.extend([*name]),
                false => out.extend(people),
            }
        }
        out
    }

    fn judges_itself(&mut self, name: &str, test: &Entry) {
        let by = self.people(&test.texts("by"));
        let judges = self.people(&test.texts("judged_by"));
        // Several judges are enough if one of them did not run it.
        if judges.is_empty() || !judges.is_subset(&by) {
            return;
        }
        let message = format!("test `{name}` is judged by nobody but those who run it");
        let remedy = "name somebody else as judged_by";
        let path = format!("programme/{name}/judged_by");
        self.say(Warning, "P162", &path, message, remedy);
    }

    fn runbooks(&mut self) {
        let lowered = self.lowered;
        for (name, book) in lowered.declared.root.named("runbooks") {
            let Some(rto) = book.span("rto") else {
                continue;
            };
            let systems = book.texts("systems");
            let slowest = self
                .policy
                .systems
                .values()
                .filter(|s| systems.contains(&s.name.as_str()))
                .filter_map(|s| Some((s.tier.as_ref()?.rto?, s.name.to_string())))
                .max();
            if let Some((slow, system)) = slowest.filter(|(slow, _)| *slow > rto) {
                let message = format!(
                    "runbook `{name}` ends within {rto}, and {system} in it may take {slow}"
                );
                let remedy = format!("allow {slow}, or give {system} a tier with a shorter RTO");
                self.say(
                    Warning,
                    "P163",
                    &format!("runbooks/{name}/rto"),
                    message,
                    remedy,
                );
            }
        }
    }

    fn provider_keys(&mut self) {
        let lowered = self.lowered;
        for (name, key) in lowered.declared.root.named("keys") {
            let known = ROTATIONS
                .iter()
                .find(|r| Some(r.service) == key.text("service"));
            let (Some(rotation), Some(every)) = (known, key.schedule("rotate")) else {
                continue;
            };
            let path = format!("keys/{name}/rotate");
            let gap = longest_gap(&every.rule);
            let days = |n: u64| Span::from_days(n);
            let (least, most, default) = rotation.of_customer;
            let told = format!(
                "{} replaces keys that it manages itself every {} days, which nobody can change",
                rotation.name, rotation.of_provider
            );
            let see = format!("see {}", rotation.source);
            match key.text("managed_by") {
                Some("customer") if gap < days(least) || gap > days(most) => {
                    let message = format!(
                        "key `{name}` is to be replaced `{}`; {} can do so every {least} to {most} days",
                        every.text, rotation.name
                    );
                    self.say(Error, "P145", &path, message, see);
                }
                Some("customer") => {}
                Some(_) if gap < days(rotation.of_provider) => {
                    let message =
                        format!("key `{name}` is to be replaced `{}`; {told}", every.text);
                    let remedy = format!("write managed_by: customer, and set its period; {see}");
                    self.say(Error, "P145", &path, message, remedy);
                }
                None if gap < days(rotation.of_provider) => {
                    let default = default.map_or(String::new(), |d| {
                        format!(", and a customer's every {d} unless a period is set")
                    });
                    let message = format!(
                        "key `{name}` is to be replaced `{}`; {told}{default}",
                        every.text
                    );
                    let remedy = format!("write managed_by: customer, and set its period; {see}");
                    self.say(Warning, "P145", &path, message, remedy);
                }
                _ => {}
            }
        }
    }

    fn access(&mut self) {
        let lowered = self.lowered;
        for (name, access) in lowered.declared.root.named("access") {
            let path = format!("access/{name}");
            let may = access.texts("may");
            if may.contains(&"delete") && !access.has("approvers") {
                let message = format!("`{name}` lets one person alone delete backups");
                let remedy = "write approvers: [ROLE]";
                self.say(Warning, "P165", &path, message, remedy);
            }
            let deep = may
                .iter()
                .any(|m| matches!(*m, "restore" | "delete" | "change"));
            if deep && access.flag("mfa") != Some(true) {
                let message = format!("`{name}` asks for no second factor");
                self.say(Warning, "P166", &path, message, "write mfa: true");
            }
            if deep && !access.has("at_most") {
                let message = format!("the rights of `{name}` never end");
                let remedy = "write at_most: 4h, so that they are given for a time";
                self.say(Note, "P170", &path, message, remedy);
            }
        }
    }

    fn exemptions(&mut self, today: Option<Time>) {
        let lowered = self.lowered;
        for (name, exemption) in lowered.declared.root.named("exemptions") {
            let path = format!("exemptions/{name}");
            let missing: Vec<&str> = ["reason", "approved_by", "until"]
                .into_iter()
                .filter(|key| !exemption.has(key))
                .collect();
            if !missing.is_empty() {
                let message = format!("exemption `{name}` does not say: {}", missing.join(", "));
                let remedy = "write why, who allowed it, and until when";
                self.say(Warning, "P167", &path, message, remedy);
            }
            let over = exemption
                .text("until")
                .zip(today)
                .is_some_and(|(day, today)| words::start_of_day(day).is_ok_and(|day| day < today));
            if over {
                let message = format!("exemption `{name}` is over");
                let remedy = "keep to the rule again, or have it allowed anew";
                self.say(Warning, "P168", &format!("{path}/until"), message, remedy);
            }
        }
    }

    fn providers(&mut self, today: Option<Time>) {
        let lowered = self.lowered;
        for (name, provider) in lowered.declared.root.named("providers") {
            let path = format!("providers/{name}");
            if let Some(sla) = provider.entry("sla") {
                let path = format!("{path}/sla");
                if !sla.has("read_by") {
                    let message = format!("nobody is named who reads what `{name}` promises");
                    self.say(Warning, "P173", &path, message, "write read_by: ROLE");
                }
                self.passed(sla, "next_reading", &path, today, "is read again");
            }
            for (paper, assurance) in provider.named("assurance") {
                let path = format!("{path}/assurance/{paper}");
                self.passed(assurance, "expires", &path, today, "says nothing more");
            }
        }
    }

    fn requirements(&mut self) {
        let lowered = self.lowered;
        for (id, requirement) in &lowered.declared.requirements {
            if requirement.at.is_empty() {
                let path = format!("requirements/{id}");
                let message = format!("nothing in this file fulfils requirement `{id}`");
                let remedy = "write at: PATH of the key that does, like systems/NAME/keep";
                self.say(Note, "P174", &path, message, remedy);
            }
        }
    }
}

/// Whether two tests try the same kind of thing, of systems that may be the same.
fn same_kind(one: &Entry, other: &Entry) -> bool {
    let set = |e: &Entry, key: &str| -> BTreeSet<String> {
        e.texts(key).into_iter().map(str::to_owned).collect()
    };
    let (a, b) = (set(one, "systems"), set(other, "systems"));
    set(one, "kind") == set(other, "kind") && (a.is_empty() || b.is_empty() || !a.is_disjoint(&b))
}
