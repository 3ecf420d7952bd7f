//! What each key of the policy rests on.

use std::collections::BTreeSet;

use vouchsafe_model::people::{DutyKind, PeopleDuty};
use vouchsafe_model::policy::{Protection, System, Way};
use vouchsafe_model::{AlertKind, Policy, ProtectionId, Question, VaultName, VaultPlace};

use crate::assess::tells as storage_tells;
use crate::keys::more;
use crate::problem::Lowered;
use crate::trace::{Basis, Decider, Footing};

/// What of a system is judged beside what it is.
const STATED: [&str; 7] = [
    "owner",
    "description",
    "application",
    "environment",
    "depends_on",
    "location",
    "class",
];

/// What a key asks of the protections that it is about.
#[derive(Clone, Copy)]
enum Asked {
    /// These answers.
    Answers(&'static [Question]),
    /// How fresh the log is that is shipped.
    Log,
    /// That the register of erasures is replayed over what is restored.
    Erasure,
    /// Whatever the controls of the frameworks rest on.
    Controls,
}

impl Asked {
    /// By a key of a plan, a tier, a system or a protection.
    fn by(key: &str) -> Asked {
        Asked::Answers(match key {
            "logs" | "log_rpo" => return Asked::Log,
            "erasure" => return Asked::Erasure,
            "schedule" | "window" | "rpo" => &[Question::Fresh],
            "keep" => &[Question::Retained],
            "copies" => &[Question::Copies],
            "verify" => &[Question::Verified],
            "drill" | "rto" | "digests" => &[Question::Proven],
            "tier" => OF_A_TIER,
            _ => &Question::ALL,
        })
    }

    /// Whether this version does of a protection what is asked.
    fn is_done_of(self, protection: &Protection) -> bool {
        protection.way.is_connected()
            && match self {
                Asked::Answers(_) | Asked::Controls => true,
                Asked::Log => protection.ships_log_every().is_some(),
                Asked::Erasure => protection.erasure.is_some(),
            }
    }

    fn decider(self, judged: Vec<ProtectionId>) -> Decider {
        match self {
            Asked::Answers(questions) => Decider::Questions(questions.to_vec(), judged),
            Asked::Log => Decider::Questions(vec![Question::Fresh], judged),
            Asked::Erasure => Decider::Erasures,
            Asked::Controls => Decider::Controls,
        }
    }
}

/// What is asked where no key says it more closely.
const ALL: Asked = Asked::Answers(&Question::ALL);

pub(super) struct Tracer<'a> {
    pub(super) lowered: &'a Lowered,
    pub(super) policy: &'a Policy,
}

impl Basis {
    fn only(footing: Footing) -> Basis {
        Basis {
            footing,
            decider: None,
            waits_for: Vec::new(),
        }
    }

    fn by(footing: Footing, decider: Decider) -> Basis {
        Basis {
            footing,
            decider: Some(decider),
            waits_for: Vec::new(),
        }
    }

    fn waits(for_what: impl Into<String>) -> Basis {
        Basis {
            footing: Footing::Waits,
            decider: None,
            waits_for: vec![for_what.into()],
        }
    }
}

impl Tracer<'_> {
    pub(super) fn basis(&self, path: &str) -> Basis {
        let mut parts: Vec<&str> = path.split('/').collect();
        // What one declaration makes has the same rules in each of its systems.
        if let ["systems", name, ..] = parts.as_mut_slice()
            && let Some(first) = self
                .lowered
                .instances
                .get(*name)
                .and_then(|all| all.first())
        {
            *name = first;
        }
        match parts.as_slice() {
            ["systems"] => self.systems(ALL, |_| true),
            ["systems", name] | ["systems", name, "protections"] => self.system(name, None, ALL),
            ["systems", name, "exempt"] => {
                Basis::by(Footing::Exemption, Decider::Exemption((*name).to_owned()))
            }
            ["systems", name, "protections", which] => self.system(name, Some(which), ALL),
            ["systems", name, "protections", which, key, ..] => self.key(name, Some(which), key),
            ["systems", name, key, ..] => self.key(name, None, key),
            ["plans", _, key, ..] if more::PLAN_MORE.knows(key) => Basis::waits(path),
            ["plans", name, key, ..] => self.plan(name, Asked::by(key)),
            ["plans", name] => self.plan(name, ALL),
            ["plans"] | ["defaults", ..] => self.systems(ALL, |_| true),
            ["tiers", _, "layers", ..] => Basis::only(Footing::Stated),
            ["tiers", name, key, ..] => self.tier(name, Asked::by(key)),
            ["tiers", name] => self.tier(name, Asked::by("tier")),
            ["tiers"] => self.systems(Asked::by("tier"), |system| system.tier.is_some()),
            ["classes", name, ..] => {
                self.systems(Asked::by("tier"), |s| s.class.as_deref() == Some(*name))
            }
            ["classes"] => self.systems(Asked::by("tier"), |system| system.class.is_some()),
            ["vaults", name, "prune"] => self.vault(name, Asked::by("keep")),
            ["vaults", name, ..] => self.vault(name, IN_A_VAULT),
            ["vaults"] => self.vaults(IN_A_VAULT, |_| true),
            _ => self.other(path, &parts),
        }
    }

    /// What is neither of a system nor of a vault.
    fn other(&self, path: &str, parts: &[&str]) -> Basis {
        match parts {
            ["policy", "frameworks", ..] => self.judged(Asked::Controls, self.kept()),
            ["policy", "approved_digest"] => Basis::by(Footing::Rule, Decider::ApprovedText),
            ["changes", ..] => Basis::by(Footing::Rule, Decider::Changes),
            ["policy", "next_review"] => self.owed("policy", DutyKind::Review),
            ["duties"] => self.duties(is_listed),
            ["duties", name, ..] => self.duties(|duty| is_listed(duty) && duty.name == *name),
            [table @ ("documents" | "runbooks"), name, "next_review"] => {
                self.owed(&format!("{table}/{name}"), DutyKind::Review)
            }
            ["runbooks", ..] => Basis::waits(path),
            ["programme"] => self.duties(|duty| duty.kind == DutyKind::Test),
            ["programme", name, ..] => self.owed(&format!("programme/{name}"), DutyKind::Test),
            ["providers", name, "sla" | "assurance", ..] => {
                let named = match parts {
                    [_, _, "assurance", paper, ..] => format!("assurance/{paper}"),
                    _ => parts.get(2).copied().unwrap_or_default().to_owned(),
                };
                let below = format!("providers/{name}/{named}");
                self.duties(|duty| !is_listed(duty) && is_at_or_below(&duty.name, &below))
            }
            ["access", name, "review"] => {
                self.owed(&format!("access/{name}"), DutyKind::AccessReview)
            }
            ["keys", name, "rotate"] => self.owed(&format!("keys/{name}"), DutyKind::KeyRotation),
            ["keys", name, "expires"] => {
                self.owed(&format!("keys/{name}/expires"), DutyKind::KeyRotation)
            }
            ["holds", "retrieve"] => self.owed("holds", DutyKind::Retrieval),
            ["alerts", kind, ..] => match AlertKind::ALL.iter().find(|k| k.word() == *kind) {
                Some(kind) if self.can_be_told(*kind) => {
                    Basis::by(Footing::Rule, Decider::Alert(*kind))
                }
                _ => Basis::waits(path),
            },
            ["exemptions", name, ..] => self.exemption(name),
            ["exemptions"] => {
                let all = self.policy.people.exemptions.keys();
                let all = all.map(|name| self.exemption(name));
                let first = all.max_by_key(|basis| basis.footing);
                first.unwrap_or(Basis::only(Footing::Nothing))
            }
            ["erasure", ..] => self.erasure(path),
            // Whatever a clause says, no machine evaluates it.
            ["clauses", ..] => Basis::only(Footing::Nothing),
            [
                "policy" | "documents" | "roles" | "environments" | "applications" | "locations"
                | "flows" | "requirements" | "people" | "providers" | "mail" | "timestamps",
                ..,
            ] => Basis::only(Footing::Stated),
            _ => Basis::waits(path),
        }
    }

    /// What a table other than `duties` asks of people: under its path, or beside a listed duty of the same name.
    fn owed(&self, path: &str, kind: DutyKind) -> Basis {
        let beside = format!("{path}/{}", kind.word());
        self.duties(|duty| duty.kind == kind && (duty.name == path || duty.name == beside))
    }

    /// What is owed of these; what never is owed is only stated.
    fn duties(&self, is_meant: impl Fn(&PeopleDuty) -> bool) -> Basis {
        let all = self.policy.people.duties.iter();
        let meant = all.filter(|(_, duty)| is_meant(duty));
        let names: Vec<String> = meant.map(|(name, _)| name.clone()).collect();
        match names.is_empty() {
            true => Basis::only(Footing::Stated),
            false => Basis::by(Footing::Duty, Decider::Duties(names)),
        }
    }

    /// Whether anything of this policy could ever raise such an alert.
    fn can_be_told(&self, kind: AlertKind) -> bool {
        let mut protections = self.policy.protections();
        let mut vaults = self.policy.vaults.values();
        match kind {
            AlertKind::Storage => vaults.any(storage_tells),
            AlertKind::Keys => vaults.any(|vault| vault.rotate.is_some()),
            AlertKind::Lag => protections.any(|(_, p)| p.ships_log_every().is_some()),
            _ => protections.any(|(_, p)| p.way.is_connected()),
        }
    }

    /// One that does not say who gave it, why and until when is none.
    fn exemption(&self, name: &str) -> Basis {
        let given =
            self.policy.people.exemptions.get(name).is_some_and(|e| {
                e.approved_by.is_some() && e.reason.is_some() && e.until.is_some()
            });
        match given {
            true => Basis::by(Footing::Exemption, Decider::Exemption(name.to_owned())),
            false => Basis::only(Footing::Nothing),
        }
    }

    /// The register is replayed over whatever the policy says how of.
    fn erasure(&self, path: &str) -> Basis {
        let said: Vec<_> = self.kept().filter(|p| self.says_how_to_erase(p)).collect();
        match said.is_empty() {
            true => Basis::waits(path),
            false => self.judged(Asked::Erasure, said),
        }
    }

    /// Whether the text says it, connected or not.
    fn says_how_to_erase(&self, protection: &Protection) -> bool {
        let id = &protection.id;
        let alone = format!("systems/{}/erasure", id.system);
        let several = format!(
            "systems/{}/protections/{}/erasure",
            id.system, id.protection
        );
        let places = &self.lowered.places;
        places.contains_key(&alone) || places.contains_key(&several)
    }

    fn vault(&self, name: &str, asked: Asked) -> Basis {
        let mut all = self.policy.vaults.keys();
        match all.find(|n| n.as_str() == name) {
            Some(vault) if self.is_connected(vault) => self.vaults(asked, |other| other == vault),
            _ => Basis::waits(format!("vault {name}")),
        }
    }

    /// The vaults that something is copied to.
    fn vaults(&self, asked: Asked, is_meant: impl Fn(&VaultName) -> bool) -> Basis {
        let of = |p: &Protection| -> Vec<VaultName> {
            let all = p.copies.iter().map(|rule| rule.vault.clone());
            all.filter(&is_meant).collect()
        };
        let kept: Vec<_> = self.kept().filter(|p| !of(p).is_empty()).collect();
        let used: BTreeSet<VaultName> = kept.iter().flat_map(|p| of(p)).collect();
        let mut basis = self.judged(asked, kept);
        for vault in used.iter().filter(|vault| !self.is_connected(vault)) {
            basis.footing = Footing::Waits;
            basis.waits_for.push(format!("vault {vault}"));
        }
        basis
    }

    fn is_connected(&self, vault: &VaultName) -> bool {
        let vault = self.policy.vaults.get(vault);
        vault.is_some_and(|vault| VaultPlace::parse(&vault.url).is_ok())
    }

    /// Every protection of what is not left out.
    fn kept(&self) -> impl Iterator<Item = &Protection> {
        let all = self.policy.protections();
        all.filter(|(system, _)| system.exempt.is_none())
            .map(|(_, protection)| protection)
    }

    /// The tier's objectives are held against the best of what a system is kept by.
    fn tier(&self, name: &str, asked: Asked) -> Basis {
        self.systems(asked, |system| {
            system.tier.as_ref().is_some_and(|tier| tier.name == name)
        })
    }

    /// All systems that are meant, by what keeps them: one of which nothing does what is asked has the rest wait for it.
    fn systems(&self, asked: Asked, is_meant: impl Fn(&System) -> bool) -> Basis {
        let all = self.policy.systems.values();
        let meant = all.filter(|system| system.exempt.is_none() && is_meant(system));
        let mut judged = Vec::new();
        let mut waits_for = Vec::new();
        for system in meant {
            let kept = system.protections.values();
            let kept: Vec<&Protection> = kept.filter(|p| asked.is_done_of(p)).collect();
            match kept.is_empty() {
                true => waits_for.push(system.name.to_string()),
                false => judged.extend(kept.iter().map(|p| p.id.clone())),
            }
        }
        found(asked, judged, waits_for)
    }

    /// A rule if what is asked is done of every protection that is meant.
    fn system(&self, name: &str, which: Option<&str>, asked: Asked) -> Basis {
        let mut systems = self.policy.systems.values();
        let Some(system) = systems.find(|s| s.name.as_str() == name) else {
            return Basis::only(Footing::Nothing);
        };
        if system.exempt.is_some() {
            return Basis::by(Footing::Exemption, Decider::Exemption(name.to_owned()));
        }
        self.judged(asked, meant(system, which))
    }

    fn key(&self, name: &str, which: Option<&str>, key: &str) -> Basis {
        if STATED.contains(&key) {
            return Basis::only(Footing::Stated);
        }
        if more::SYSTEM_MORE.knows(key) || more::PROTECTION_MORE.knows(key) {
            return Basis::waits(format!("`{key}` of {name}"));
        }
        self.system(name, which, Asked::by(key))
    }

    /// A rule if what is asked is done of every protection that follows the plan.
    fn plan(&self, plan: &str, asked: Asked) -> Basis {
        let named = |base: &str| {
            let key = format!("{base}/plan");
            let place = self.lowered.places.get(&key)?;
            self.lowered.plans_named.get(place)
        };
        let follows = |system: &System, protection: &Protection| {
            let name = &system.name;
            let group = |table: &str, of: &Option<String>| {
                named(&format!("defaults/{table}/{}", of.as_deref()?))
            };
            let which = &protection.id.protection;
            let found = named(&format!("systems/{name}/protections/{which}"))
                .or_else(|| named(&format!("systems/{name}")))
                .or_else(|| group("applications", &system.application))
                .or_else(|| group("environments", &system.environment))
                .or_else(|| named("defaults"));
            found.is_some_and(|found| found == plan)
        };
        let all = self.policy.protections();
        let all = all.filter(|(system, p)| system.exempt.is_none() && follows(system, p));
        self.judged(asked, all.map(|(_, p)| p))
    }

    fn judged<'p>(&self, asked: Asked, meant: impl IntoIterator<Item = &'p Protection>) -> Basis {
        if matches!(asked, Asked::Erasure) && self.policy.erasure.is_none() {
            return Basis::waits("erasure/file");
        }
        let all = meant.into_iter();
        let (judged, waits): (Vec<_>, Vec<_>) = all.partition(|p| asked.is_done_of(p));
        let ids = judged.iter().map(|p| p.id.clone()).collect();
        found(asked, ids, waits.iter().map(|p| p.id.to_string()).collect())
    }
}

/// The answers that a tier's objectives decide.
const OF_A_TIER: &[Question] = &[Question::Fresh, Question::Copies, Question::Proven];

/// The answers about what lies in a vault.
const IN_A_VAULT: Asked = Asked::Answers(&[Question::Copies, Question::Encrypted]);

/// Whether the table `duties` lists it.
fn is_listed(duty: &PeopleDuty) -> bool {
    matches!(duty.kind, DutyKind::Duty | DutyKind::Acknowledgement)
}

/// The protections of a system, or one of them; a replica is none unless it is named.
fn meant<'s>(system: &'s System, which: Option<&str>) -> impl Iterator<Item = &'s Protection> {
    let all = system.protections.iter();
    all.filter(move |(name, protection)| match which {
        Some(which) => name.as_str() == which,
        None => !matches!(protection.way, Way::Replica(_)),
    })
    .map(|(_, protection)| protection)
}

fn is_at_or_below(name: &str, path: &str) -> bool {
    let rest = name.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn found(asked: Asked, judged: Vec<ProtectionId>, waits_for: Vec<String>) -> Basis {
    let footing = match (judged.is_empty(), waits_for.is_empty()) {
        (_, false) => Footing::Waits,
        (false, true) => Footing::Rule,
        (true, true) => Footing::Nothing,
    };
    let decider = (!judged.is_empty()).then(|| asked.decider(judged));
    Basis {
        footing,
        decider,
        waits_for,
    }
}
