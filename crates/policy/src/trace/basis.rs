//! What each key of the policy rests on.

use vouchsafe_model::policy::{Protection, System, Way};
use vouchsafe_model::{AlertKind, Policy, ProtectionId, Question, VaultPlace};

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
            ["systems"] => self.systems(&Question::ALL, |_| true),
            ["systems", name] | ["systems", name, "protections"] => {
                self.system(name, None, &Question::ALL)
            }
            ["systems", name, "exempt"] => {
                Basis::by(Footing::Exemption, Decider::Exemption((*name).to_owned()))
            }
            ["systems", name, "protections", which] => {
                self.system(name, Some(which), &Question::ALL)
            }
            ["systems", name, "protections", which, key, ..] => self.key(name, Some(which), key),
            ["systems", name, key, ..] => self.key(name, None, key),
            ["plans", _, key, ..] if more::PLAN_MORE.knows(key) => Basis::waits(path),
            ["plans", name, key, ..] => self.plan(name, questions(key)),
            ["plans", name] => self.plan(name, &Question::ALL),
            ["plans"] | ["defaults", ..] => self.systems(&Question::ALL, |_| true),
            ["tiers", _, "layers", ..] => Basis::only(Footing::Stated),
            ["tiers", name, key, ..] => self.tier(name, questions(key)),
            ["tiers", name] => self.tier(name, OF_A_TIER),
            ["tiers"] => self.systems(OF_A_TIER, |system| system.tier.is_some()),
            ["classes", name, ..] => self.systems(OF_A_TIER, |s| s.class.as_deref() == Some(*name)),
            ["classes"] => self.systems(OF_A_TIER, |system| system.class.is_some()),
            ["vaults", name, ..] => self.vault(name),
            _ => self.other(path, &parts),
        }
    }

    /// What is neither of a system nor of a vault.
    fn other(&self, path: &str, parts: &[&str]) -> Basis {
        match parts {
            ["policy", "frameworks", ..] => Basis::by(Footing::Rule, Decider::Controls),
            ["policy", "approved_digest"] | ["changes", ..] => {
                Basis::by(Footing::Rule, Decider::Changes)
            }
            ["policy", "next_review"] => self.duties(|name| name == "policy"),
            ["duties", name, ..] => self.duties(|duty| duty == *name),
            [table @ ("documents" | "runbooks"), name, "next_review"] => {
                let owed = format!("{table}/{name}");
                self.duties(|duty| duty == owed)
            }
            ["runbooks", ..] => Basis::waits(path),
            ["programme", name, ..] => {
                let owed = format!("programme/{name}");
                self.duties(|duty| duty == owed)
            }
            ["providers", name, "sla" | "assurance", ..] => {
                let named = match parts {
                    [_, _, "assurance", paper, ..] => format!("assurance/{paper}"),
                    _ => parts.get(2).copied().unwrap_or_default().to_owned(),
                };
                let below = format!("providers/{name}/{named}");
                self.duties(|duty| is_at_or_below(duty, &below))
            }
            ["access", name, "review"] => {
                let owed = format!("access/{name}");
                self.duties(|duty| duty == owed)
            }
            ["keys", name, key @ ("rotate" | "expires")] => {
                let owed = match *key {
                    "rotate" => format!("keys/{name}"),
                    _ => format!("keys/{name}/expires"),
                };
                self.duties(|duty| duty == owed)
            }
            ["holds", "retrieve"] => self.duties(|duty| duty == "holds"),
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
            ["duties" | "programme"] => self.duties(|_| true),
            _ => Basis::waits(path),
        }
    }

    /// What is owed under one of these names; what never is owed is only stated.
    fn duties(&self, is_meant: impl Fn(&str) -> bool) -> Basis {
        let all = self.policy.people.duties.keys();
        let names: Vec<String> = all.filter(|name| is_meant(name)).cloned().collect();
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

    /// The register is replayed over what says how.
    fn erasure(&self, path: &str) -> Basis {
        let mut protections = self.policy.protections();
        let replayed = protections.any(|(_, protection)| protection.erasure.is_some());
        match self.policy.erasure.is_some() && replayed {
            true => Basis::by(Footing::Rule, Decider::Erasures),
            false => Basis::waits(path),
        }
    }

    fn vault(&self, name: &str) -> Basis {
        let vault = self.policy.vaults.iter().find(|(n, _)| n.as_str() == name);
        let connected = vault.is_some_and(|(_, v)| VaultPlace::parse(&v.url).is_ok());
        if !connected {
            return Basis::waits(format!("vault {name}"));
        }
        let goes_there = |p: &Protection| p.copies.iter().any(|rule| rule.vault.as_str() == name);
        let questions = [Question::Copies, Question::Encrypted];
        let all = self.policy.protections();
        let all = all.filter(|(system, p)| system.exempt.is_none() && goes_there(p));
        self.judged(&questions, all.map(|(_, p)| p))
    }

    /// The tier's objectives are held against the best of what a system is kept by.
    fn tier(&self, name: &str, questions: &[Question]) -> Basis {
        self.systems(questions, |system| {
            system.tier.as_ref().is_some_and(|tier| tier.name == name)
        })
    }

    /// All systems that are meant, by what keeps them: one that nothing connected keeps has the rest wait for it.
    fn systems(&self, questions: &[Question], is_meant: impl Fn(&System) -> bool) -> Basis {
        let all = self.policy.systems.values();
        let meant = all.filter(|system| system.exempt.is_none() && is_meant(system));
        let mut judged = Vec::new();
        let mut waits_for = Vec::new();
        for system in meant {
            let kept = system.protections.values();
            let kept: Vec<&Protection> = kept.filter(|p| p.way.is_connected()).collect();
            match kept.is_empty() {
                true => waits_for.push(system.name.to_string()),
                false => judged.extend(kept.iter().map(|p| p.id.clone())),
            }
        }
        found(questions, judged, waits_for)
    }

    /// A rule if every protection that is meant is connected.
    fn system(&self, name: &str, which: Option<&str>, questions: &[Question]) -> Basis {
        let mut systems = self.policy.systems.values();
        let Some(system) = systems.find(|s| s.name.as_str() == name) else {
            return Basis::only(Footing::Nothing);
        };
        if system.exempt.is_some() {
            return Basis::by(Footing::Exemption, Decider::Exemption(name.to_owned()));
        }
        self.judged(questions, meant(system, which))
    }

    fn key(&self, name: &str, which: Option<&str>, key: &str) -> Basis {
        if STATED.contains(&key) {
            return Basis::only(Footing::Stated);
        }
        if more::SYSTEM_MORE.knows(key) || more::PROTECTION_MORE.knows(key) {
            return Basis::waits(format!("`{key}` of {name}"));
        }
        let mut basis = self.system(name, which, questions(key));
        if key == "logs" && basis.footing == Footing::Rule {
            let mut systems = self.policy.systems.values();
            let system = systems.find(|s| s.name.as_str() == name);
            let unshipped = system.into_iter().flat_map(|s| meant(s, which));
            let unshipped = unshipped.filter(|p| p.ships_log_every().is_none());
            let waits_for: Vec<String> = unshipped.map(|p| p.id.to_string()).collect();
            if !waits_for.is_empty() {
                basis = found(&[], Vec::new(), waits_for);
            }
        }
        basis
    }

    /// A rule if every protection that follows the plan is connected.
    fn plan(&self, plan: &str, questions: &[Question]) -> Basis {
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
        self.judged(questions, all.map(|(_, p)| p))
    }

    fn judged<'p>(
        &self,
        questions: &[Question],
        meant: impl Iterator<Item = &'p Protection>,
    ) -> Basis {
        let (judged, waits): (Vec<_>, Vec<_>) = meant.partition(|p| p.way.is_connected());
        let ids = judged.iter().map(|p| p.id.clone()).collect();
        found(
            questions,
            ids,
            waits.iter().map(|p| p.id.to_string()).collect(),
        )
    }
}

/// The answers that a tier's objectives decide.
const OF_A_TIER: &[Question] = &[Question::Fresh, Question::Copies, Question::Proven];

/// The answers that a key of a plan, a tier, a system or a protection decides.
fn questions(key: &str) -> &'static [Question] {
    match key {
        "schedule" | "window" | "logs" | "rpo" | "log_rpo" => &[Question::Fresh],
        "keep" => &[Question::Retained],
        "copies" => &[Question::Copies],
        "verify" => &[Question::Verified],
        "drill" | "rto" | "erasure" | "digests" => &[Question::Proven],
        "tier" => OF_A_TIER,
        _ => &Question::ALL,
    }
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

fn found(questions: &[Question], judged: Vec<ProtectionId>, waits_for: Vec<String>) -> Basis {
    let footing = match (judged.is_empty(), waits_for.is_empty()) {
        (_, false) => Footing::Waits,
        (false, true) => Footing::Rule,
        (true, true) => Footing::Nothing,
    };
    let decider = (!judged.is_empty()).then(|| Decider::Questions(questions.to_vec(), judged));
    Basis {
        footing,
        decider,
        waits_for,
    }
}
