//! People out of the declared tables: who they are, and everything that they owe in a rhythm or by a day.

use std::collections::BTreeMap;

use vouchsafe_model::people::{
    About, AccessRule, ByDrill, DeclaredExemption, DutyKind, People, PeopleDuty, Person, Role, When,
};
use vouchsafe_model::policy::System;
use vouchsafe_model::{Policy, Span, SystemName, Time};

use crate::declared::{Declared, Entry};
use crate::lower::fields::Ctx;
use crate::lower::tables::DutyRead;
use crate::words;

/// Reads people and what they owe.
pub(super) fn people(
    ctx: &mut Ctx,
    policy: &Policy,
    duties: &[DutyRead],
    declared: &Declared,
) -> People {
    let root = &declared.root;
    let mut people = People {
        persons: persons(ctx, root),
        roles: root
            .named("roles")
            .map(|(n, r)| (n.clone(), role(r)))
            .collect(),
        duties: BTreeMap::new(),
        exemptions: root
            .named("exemptions")
            .map(|(n, e)| (n.clone(), exemption(e)))
            .collect(),
        access: root
            .named("access")
            .map(|(n, a)| (n.clone(), access(a)))
            .collect(),
        approvers: policy.front.owner.iter().cloned().collect(),
    };
    people
        .approvers
        .extend(declared.front.text("approved_by").map(str::to_owned));
    let owed = Owed { policy, declared };
    let all = duties
        .iter()
        .filter_map(|read| owed.duty(read))
        .chain(owed.reviews())
        .chain(owed.providers())
        .chain(owed.rights_and_keys())
        .chain(owed.programme());
    for mut duty in all {
        // A duty of the same name as, say, the review of the policy takes nothing away from it.
        if people.duties.contains_key(&duty.name) {
            duty.name = format!("{}/{}", duty.name, duty.kind.word());
        }
        people.duties.entry(duty.name.clone()).or_insert(duty);
    }
    people
}

fn persons(ctx: &mut Ctx, root: &Entry) -> BTreeMap<String, Person> {
    let mut out = BTreeMap::new();
    for (name, said) in root.named("people") {
        let mut person = Person {
            address: said.text("address").map(str::to_owned),
            keys: Vec::new(),
        };
        for key in said.texts("key") {
            match public_key(key) {
                Some(key) => person.keys.push(key),
                None => {
                    let path = format!("people/{name}/key");
                    let place = ctx.places.get(&path).copied().unwrap_or((1, 1));
                    let message = format!("this is no Ed25519 public key of `{name}`");
                    let remedy =
                        "write the line of the .pub file that `ssh-keygen -t ed25519` made";
                    ctx.error("P175", place, message, remedy);
                }
            }
        }
        out.insert(name.clone(), person);
    }
    out
}

/// What every Ed25519 public key of OpenSSH begins with: its own name, and that 32 bytes follow (RFC 8709, section 4).
const ED25519: &str = "AAAAC3NzaC1lZDI1NTE5AAAAI";

/// The key without its comment.
fn public_key(text: &str) -> Option<String> {
    let mut words = text.split_ascii_whitespace();
    let (kind, key) = (words.next()?, words.next()?);
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let sound = kind == "ssh-ed25519"
        && key.starts_with(ED25519)
        && key.len() == 68
        && key.bytes().all(letter);
    sound.then(|| format!("{kind} {key}"))
}

fn role(said: &Entry) -> Role {
    Role {
        people: owned(said.texts("people")),
        delegate: said.text("delegate").map(str::to_owned),
    }
}

fn exemption(said: &Entry) -> DeclaredExemption {
    let text = |key: &str| said.text(key).map(str::to_owned);
    DeclaredExemption {
        from: text("from").unwrap_or_default(),
        systems: systems_named(said),
        reason: text("reason"),
        approved_by: text("approved_by"),
        until: said.text("until").and_then(end_of_day),
    }
}

fn access(said: &Entry) -> AccessRule {
    AccessRule {
        roles: owned(said.texts("role")),
        may: owned(said.texts("may")),
        on: owned(said.texts("on")),
        approvers: owned(said.texts("approvers")),
        at_most: said.span("at_most"),
    }
}

fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

fn systems_named(said: &Entry) -> Vec<SystemName> {
    let names = said.texts("systems").into_iter();
    names.filter_map(|n| SystemName::new(n).ok()).collect()
}

/// The moment at which a day (UTC) is over.
fn end_of_day(day: &str) -> Option<Time> {
    let begins = words::start_of_day(day).ok()?;
    Some(begins.plus(Span::from_days(1)))
}

fn by_day(day: Option<&str>) -> Option<When> {
    let day = day?;
    Some(When::By {
        day: day.to_owned(),
        end: end_of_day(day)?,
    })
}

/// What is owed, table by table.
struct Owed<'a> {
    policy: &'a Policy,
    declared: &'a Declared,
}

impl Owed<'_> {
    fn duty(&self, read: &DutyRead) -> Option<PeopleDuty> {
        let nothing = Entry::default();
        let name = &read.duty.name;
        let said = self.declared.duties.get(name).unwrap_or(&nothing);
        let when = match (&read.duty.every, said.text("after")) {
            (Some(every), _) => When::Every(every.clone()),
            (None, Some(after)) => When::After(after.to_owned()),
            (None, None) => return None,
        };
        let acknowledge = said.flag("acknowledge") == Some(true);
        let about = match said.text("each") {
            Some("system") => self.each_system(&systems_named(said)),
            Some("application") => self.each_application(&systems_named(said)),
            Some("service" | "provider") => self.each_provider(),
            _ => Vec::new(),
        };
        Some(PeopleDuty {
            kind: match acknowledge {
                true => DutyKind::Acknowledgement,
                false => DutyKind::Duty,
            },
            delegate: said.text("delegate").map(str::to_owned),
            each_person: acknowledge,
            about,
            escalate: read.escalate.clone(),
            input: read.input.clone(),
            ..plain(
                name.clone(),
                when,
                read.duty.role.iter().cloned().collect(),
                said.text("text").unwrap_or(name),
            )
        })
    }

    /// This policy, documents and runbooks that are read again.
    fn reviews(&self) -> Vec<PeopleDuty> {
        let root = &self.declared.root;
        let front = &self.policy.front;
        let owner: Vec<String> = front.owner.iter().cloned().collect();
        let mut out = Vec::new();
        let mut review = |name: String, day: Option<&str>, roles: Vec<String>, text: String| {
            if let Some(when) = by_day(day) {
                let roles = if roles.is_empty() {
                    owner.clone()
                } else {
                    roles
                };
                out.push(PeopleDuty {
                    kind: DutyKind::Review,
                    ..plain(name, when, roles, &text)
                });
            }
        };
        let text = "The policy is reviewed.".to_owned();
        review(
            "policy".to_owned(),
            front.next_review.as_deref(),
            Vec::new(),
            text,
        );
        for (name, said) in root.named("documents") {
            let title = said.text("title").unwrap_or(name);
            let text = format!("{title} is read again.");
            let by = owned(said.texts("owner"));
            review(
                format!("documents/{name}"),
                said.text("next_review"),
                by,
                text,
            );
        }
        for (name, said) in root.named("runbooks") {
            let text = format!("The runbook {name} is read again.");
            let by = owned(said.texts("by"));
            review(
                format!("runbooks/{name}"),
                said.text("next_review"),
                by,
                text,
            );
        }
        out
    }

    /// Agreements that are read again, and papers that are fetched and read.
    fn providers(&self) -> Vec<PeopleDuty> {
        let owner: Vec<String> = self.policy.front.owner.iter().cloned().collect();
        let reader = |said: &Entry| match owned(said.texts("read_by")) {
            nobody if nobody.is_empty() => owner.clone(),
            somebody => somebody,
        };
        let mut out = Vec::new();
        for (name, provider) in self.declared.root.named("providers") {
            if let Some(sla) = provider.entry("sla")
                && let Some(when) = by_day(sla.text("next_reading"))
            {
                let text = format!("What {name} promises is read again and understood.");
                out.push(PeopleDuty {
                    kind: DutyKind::Review,
                    ..plain(format!("providers/{name}/sla"), when, reader(sla), &text)
                });
            }
            for (paper, said) in provider.named("assurance") {
                let path = format!("providers/{name}/assurance/{paper}");
                let mut paper_owed = |path: String, when: When, text: String| {
                    out.push(PeopleDuty {
                        kind: DutyKind::Assurance,
                        input: said.text("document").map(str::to_owned),
                        ..plain(path, when, reader(said), &text)
                    });
                };
                if let Some(every) = said.schedule("every") {
                    let text = format!("The {paper} of {name} is fetched and read.");
                    paper_owed(path.clone(), When::Every(every.clone()), text);
                }
                if let Some(when) = by_day(said.text("expires")) {
                    let text =
                        format!("The {paper} of {name} is replaced before it says nothing more.");
                    paper_owed(format!("{path}/expires"), when, text);
                }
            }
        }
        out
    }

    /// Rights that are looked at again, keys at providers that people replace, holds that are brought back.
    fn rights_and_keys(&self) -> Vec<PeopleDuty> {
        let root = &self.declared.root;
        let owner: Vec<String> = self.policy.front.owner.iter().cloned().collect();
        let first = |all: [Vec<&str>; 2]| {
            let found = all.into_iter().find(|names| !names.is_empty());
            found.map_or_else(|| owner.clone(), owned)
        };
        let mut out = Vec::new();
        for (name, said) in root.named("access") {
            if let Some(every) = said.schedule("review") {
                let text = format!(
                    "It is looked at who has the right `{name}`, and whether they need it."
                );
                let by = first([said.texts("approvers"), said.texts("role")]);
                out.push(PeopleDuty {
                    kind: DutyKind::AccessReview,
                    ..plain(
                        format!("access/{name}"),
                        When::Every(every.clone()),
                        by,
                        &text,
                    )
                });
            }
        }
        for (name, said) in root.named("keys") {
            let by = first([said.texts("administrators"), Vec::new()]);
            let mut key = |path: String, when: When| {
                let text = format!("The key {name} is replaced.");
                out.push(PeopleDuty {
                    kind: DutyKind::KeyRotation,
                    ..plain(path, when, by.clone(), &text)
                });
            };
            // What the provider manages it replaces by itself.
            if said.text("managed_by") != Some("provider")
                && let Some(every) = said.schedule("rotate")
            {
                key(format!("keys/{name}"), When::Every(every.clone()));
            }
            if let Some(when) = by_day(said.text("expires")) {
                key(format!("keys/{name}/expires"), when);
            }
        }
        if let Some(holds) = root.entry("holds")
            && let Some(every) = holds.schedule("retrieve")
        {
            let text = "A point under legal hold is brought back, to see that it is at hand.";
            let by = first([holds.texts("ordered_by"), Vec::new()]);
            out.push(PeopleDuty {
                kind: DutyKind::Retrieval,
                ..plain("holds".to_owned(), When::Every(every.clone()), by, text)
            });
        }
        out
    }

    /// The tests of the programme.
    fn programme(&self) -> Vec<PeopleDuty> {
        let mut out = Vec::new();
        for (name, said) in self.declared.root.named("programme") {
            let Some(every) = said.schedule("every") else {
                continue;
            };
            let judges = owned(said.texts("judged_by"));
            let kinds = said.texts("kind");
            let restores =
                !kinds.is_empty() && kinds.iter().all(|k| matches!(*k, "restore" | "files"));
            let named = systems_named(said);
            let whole = || {
                vec![About {
                    name: None,
                    systems: self.systems(&named).map(|s| s.name.clone()).collect(),
                }]
            };
            let (about, each) = match said.text("of") {
                Some("each-system") => (self.each_system(&named), true),
                Some("each-application") => (self.each_application(&named), true),
                Some("all") => (whole(), true),
                _ => (whole(), false),
            };
            let by_drill = match each {
                true => ByDrill::Each,
                false => ByDrill::Any,
            };
            let mut text = format!("Test `{name}`: {}", kinds.join(", "));
            if let Some(into) = said.text("into") {
                text = format!("{text}, into {into}");
            }
            out.push(PeopleDuty {
                kind: DutyKind::Test,
                // Where somebody has to judge it, a drill alone is not enough.
                by_drill: (restores && judges.is_empty()).then_some(by_drill),
                about,
                ..plain(
                    format!("programme/{name}"),
                    When::Every(every.clone()),
                    if judges.is_empty() {
                        owned(said.texts("by"))
                    } else {
                        judges
                    },
                    &text,
                )
            });
        }
        out
    }

    /// The systems that are named, or all; never those that are left out.
    fn systems(&self, named: &[SystemName]) -> impl Iterator<Item = &System> {
        let all = self.policy.systems.values();
        all.filter(move |s| s.exempt.is_none() && (named.is_empty() || named.contains(&s.name)))
    }

    fn each_system(&self, named: &[SystemName]) -> Vec<About> {
        let each = self.systems(named).map(|s| About {
            name: Some(s.name.to_string()),
            systems: vec![s.name.clone()],
        });
        each.collect()
    }

    /// Every application that is declared or that a system belongs to.
    fn each_application(&self, named: &[SystemName]) -> Vec<About> {
        let mut all: BTreeMap<String, Vec<SystemName>> = BTreeMap::new();
        if named.is_empty() {
            let declared = self.declared.root.named("applications");
            all.extend(declared.map(|(name, _)| (name.clone(), Vec::new())));
        }
        for system in self.systems(named) {
            if let Some(application) = &system.application {
                let systems = all.entry(application.clone()).or_default();
                systems.push(system.name.clone());
            }
        }
        let each = all.into_iter().map(|(name, systems)| About {
            name: Some(name),
            systems,
        });
        each.collect()
    }

    fn each_provider(&self) -> Vec<About> {
        let all = self.declared.root.named("providers");
        let each = all.map(|(name, _)| About {
            name: Some(name.clone()),
            systems: Vec::new(),
        });
        each.collect()
    }
}

/// One that everybody answers for together, once.
fn plain(name: String, when: When, roles: Vec<String>, text: &str) -> PeopleDuty {
    PeopleDuty {
        name,
        kind: DutyKind::Duty,
        when,
        roles,
        delegate: None,
        each_person: false,
        about: Vec::new(),
        escalate: None,
        text: text.to_owned(),
        input: None,
        by_drill: None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ann@laptop";

    fn read(text: &str) -> People {
        let lowered = crate::lower(text, "p", Path::new("/p"), String::new());
        assert!(lowered.policy.is_some(), "{:?}", lowered.problems);
        lowered.policy.unwrap().people
    }

    #[test]
    fn everything_with_a_rhythm_or_a_day_is_owed() {
        let people = read(crate::lower::tests::EVERYTHING);
        let names: Vec<&str> = people.duties.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "access/restore",
                "documents/strategy",
                "holds",
                "keys/k",
                "keys/k/expires",
                "later",
                "look",
                "policy",
                "programme/t",
                "providers/cloud/assurance/soc2",
                "providers/cloud/assurance/soc2/expires",
                "providers/cloud/sla",
                "runbooks/b",
            ]
        );
        assert_eq!(people.duties["programme/t"].by_drill, None, "it is judged");
    }

    #[test]
    fn applications_are_tested_each_and_drills_answer_where_nobody_judges() {
        let people = read(
            "vaults: { v: { url: /v } }\n\
             applications: { shop:, blog: }\n\
             systems:\n  a: { source: 'files:/a', application: shop }\n  b: { source: 'files:/b', application: shop }\n  \
             c: { source: 'files:/c' }\n  d: { exempt: no, application: blog }\n\
             programme: { yearly: { kind: restore, every: year, of: each-application }, \
             any: { kind: [ restore, files ], every: quarter, of: any, by: it }, \
             access: { kind: access, every: year, of: all } }\n",
        );
        let yearly = &people.duties["programme/yearly"];
        let about: Vec<_> = yearly
            .about
            .iter()
            .map(|a| (a.name.as_deref().unwrap(), a.systems.len()))
            .collect();
        assert_eq!(about, [("blog", 0), ("shop", 2)]);
        assert_eq!(yearly.by_drill, Some(ByDrill::Each));
        let any = &people.duties["programme/any"];
        assert_eq!(
            (any.by_drill, any.about[0].systems.len()),
            (Some(ByDrill::Any), 3)
        );
        assert_eq!(people.duties["programme/access"].by_drill, None);
    }

    #[test]
    fn a_key_that_is_none_is_told_at_its_line() {
        let with =
            |key: &str| format!("people:\n  ann:\n    address: ann@example.com\n    key: {key}\n");
        let people = read(&with(KEY));
        assert_eq!(
            people.keys("ann@example.com"),
            [KEY.rsplit_once(' ').unwrap().0]
        );
        let short = KEY.replace("GKJl", "");
        for bad in [
            "ssh-rsa AAAA",
            "ssh-ed25519",
            short.as_str(),
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI!!!",
        ] {
            let lowered = crate::lower(&with(bad), "p", Path::new("/p"), String::new());
            let found: Vec<_> = lowered.problems.iter().map(|p| (p.code, p.line)).collect();
            assert_eq!(found, [("P175", 4)], "{bad}");
        }
    }

    #[test]
    fn half_an_escalation_is_told() {
        let text = "duties:\n  d: { every: month, role: it, escalate: { after: 5 days } }\n";
        let lowered = crate::lower(text, "p", Path::new("/p"), String::new());
        let found: Vec<_> = lowered.problems.iter().map(|p| (p.code, p.line)).collect();
        assert_eq!(found, [("P176", 2)]);
    }
}
