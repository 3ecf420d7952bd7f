//! Which requirements rest on a rule, a duty or an exemption, and which only on words.

use vouchsafe_model::policy::{System, Way};
use vouchsafe_model::{AlertKind, Policy};

use crate::keys::more;
use crate::problem::{Lowered, Place};

/// What a requirement rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Footing {
    /// A rule that this version evaluates.
    Rule,
    /// A duty of a person.
    Duty,
    /// A permission to depart from a rule.
    Exemption,
    /// What is declared and not yet connected.
    Waits,
    /// What the file states and the linter checks; no evidence comes of it.
    Stated,
    /// Prose, something planned, or nothing.
    Nothing,
}

impl Footing {
    /// Each of them, in the order in which they are counted.
    pub const ALL: [Footing; 6] = [
        Footing::Rule,
        Footing::Duty,
        Footing::Exemption,
        Footing::Waits,
        Footing::Stated,
        Footing::Nothing,
    ];

    /// One or two words for it.
    pub fn word(self) -> &'static str {
        match self {
            Footing::Rule => "rule",
            Footing::Duty => "duty",
            Footing::Exemption => "exemption",
            Footing::Waits => "waits for a connector",
            Footing::Stated => "stated",
            Footing::Nothing => "not traced",
        }
    }
}

/// One requirement and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// Its id, as whoever asks for it numbers it.
    pub id: String,
    /// What is asked for, if the file says so.
    pub text: Option<String>,
    /// What it rests on: if any of its keys waits for a connector, that; else what binds most.
    pub footing: Footing,
    /// Each key that fulfils it: path, place and what that is.
    pub at: Vec<(String, Place, Footing)>,
}

/// Every requirement, in the order of the file; a policy with errors gives none.
pub fn trace(lowered: &Lowered) -> Vec<Traced> {
    let Some(policy) = &lowered.policy else {
        return Vec::new();
    };
    let tracer = Tracer { lowered, policy };
    let mut all: Vec<_> = lowered.declared.requirements.iter().collect();
    all.sort_by_key(|(id, _)| lowered.place(&format!("requirements/{id}")));
    all.into_iter()
        .map(|(id, requirement)| {
            let at: Vec<_> = requirement
                .at
                .iter()
                .map(|path| (path.clone(), lowered.place(path), tracer.footing(path)))
                .collect();
            Traced {
                id: id.clone(),
                text: requirement.text.clone(),
                footing: together(at.iter().map(|(_, _, footing)| *footing)),
                at,
            }
        })
        .collect()
}

/// What several keys give together: if one of them waits for a connector, that; else what binds most.
fn together(all: impl Iterator<Item = Footing>) -> Footing {
    let mut all: Vec<Footing> = all.collect();
    all.sort_unstable();
    if all.contains(&Footing::Waits) {
        return Footing::Waits;
    }
    all.first().copied().unwrap_or(Footing::Nothing)
}

struct Tracer<'a> {
    lowered: &'a Lowered,
    policy: &'a Policy,
}

impl Tracer<'_> {
    fn footing(&self, path: &str) -> Footing {
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
            ["vaults", ..] | ["policy", "frameworks" | "approved_digest", ..] => Footing::Rule,
            ["duties" | "programme", ..]
            | ["providers", _, "sla" | "assurance", ..]
            | ["access", _, "review"]
            | ["keys", _, "rotate" | "expires"]
            | ["holds", "retrieve"]
            | ["policy", "next_review"]
            | ["documents" | "runbooks", _, "next_review"] => Footing::Duty,
            ["alerts", kind, ..] if AlertKind::ALL.iter().any(|k| k.word() == *kind) => {
                Footing::Rule
            }
            ["exemptions", ..] | ["systems", _, "exempt"] => Footing::Exemption,
            // Whatever a clause says, no machine evaluates it.
            ["clauses", ..] => Footing::Nothing,
            ["systems", name] => self.system(name, None),
            ["systems", name, "protections"] => self.system(name, None),
            ["systems", name, "protections", which] => self.system(name, Some(which)),
            ["systems", name, "protections", which, key, ..] => self.key(name, Some(which), key),
            ["systems", name, key, ..] => self.key(name, None, key),
            ["plans", _, key, ..] if more::PLAN_MORE.knows(key) => Footing::Waits,
            ["plans", name, ..] => self.plan(name),
            ["tiers", _, "layers", ..] => Footing::Stated,
            ["tiers", name, ..] => self.any(|system, _| {
                let tier = system.tier.as_ref();
                tier.is_some_and(|t| t.name == *name)
            }),
            ["classes", name, ..] => self.any(|system, _| system.class.as_deref() == Some(*name)),
            ["tiers" | "classes" | "defaults" | "systems" | "plans", ..] => self.any(|_, _| true),
            [
                "policy" | "documents" | "roles" | "environments" | "applications" | "locations"
                | "flows" | "requirements" | "people" | "providers",
                ..,
            ] => Footing::Stated,
            _ => Footing::Waits,
        }
    }

    /// A rule if this version captures any of the protections that `pick` takes.
    fn any(&self, pick: impl Fn(&System, &str) -> bool) -> Footing {
        let connected = self.policy.systems.values().any(|system| {
            system.exempt.is_none()
                && system.protections.iter().any(|(name, protection)| {
                    pick(system, name.as_str()) && protection.way.is_connected()
                })
        });
        match connected {
            true => Footing::Rule,
            false => Footing::Waits,
        }
    }

    /// A rule if every protection that is meant is connected.
    fn system(&self, name: &str, which: Option<&str>) -> Footing {
        let found = self
            .policy
            .systems
            .values()
            .find(|s| s.name.as_str() == name);
        let Some(system) = found else {
            return Footing::Nothing;
        };
        let meant: Vec<_> = system
            .protections
            .iter()
            .filter(|(name, p)| {
                which.map_or(!matches!(p.way, Way::Replica(_)), |w| name.as_str() == w)
            })
            .collect();
        match (&system.exempt, meant.as_slice()) {
            (Some(_), _) => Footing::Exemption,
            (None, []) => Footing::Nothing,
            (None, all) if all.iter().all(|(_, p)| p.way.is_connected()) => Footing::Rule,
            _ => Footing::Waits,
        }
    }

    fn key(&self, name: &str, which: Option<&str>, key: &str) -> Footing {
        let stated = [
            "owner",
            "description",
            "application",
            "environment",
            "depends_on",
            "location",
            "class",
        ];
        let waits =
            more::SYSTEM_MORE.knows(key) || more::PROTECTION_MORE.knows(key) || key == "logs";
        match key {
            _ if stated.contains(&key) => Footing::Stated,
            _ if waits => Footing::Waits,
            _ => self.system(name, which),
        }
    }

    /// A rule if a protection that follows the plan is connected.
    fn plan(&self, plan: &str) -> Footing {
        let follows = |base: &str| {
            let key = format!("{base}/plan");
            let place = self.lowered.places.get(&key)?;
            self.lowered.plans_named.get(place)
        };
        self.any(|system, protection| {
            let system = &system.name;
            let own = format!("systems/{system}/protections/{protection}");
            let named = follows(&own)
                .or_else(|| follows(&format!("systems/{system}")))
                .or_else(|| follows("defaults"));
            named.is_some_and(|named| named == plan)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn traced(requirements: &str) -> Vec<(String, Footing)> {
        let text = format!(
            "vaults: {{ v: {{ url: /v }} }}\n\
             plans: {{ p: {{ schedule: daily, copies: v }}, q: {{ schedule: daily }} }}\n\
             systems:\n  a: {{ source: 'files:/a', plan: p, owner: me }}\n  b: {{ observe: 'rds:x', plan: q, log: here }}\n  c: {{ exempt: not ours }}\n\
             duties: {{ d: {{ every: month }} }}\n\
             clauses: {{ said: Words. }}\n\
             policy: {{ purpose: good }}\nalerts: {{ failure: {{ to: me }}, storage: {{ to: me, above: 80% }} }}\n\
             requirements: {{ {requirements} }}\n"
        );
        let lowered = crate::lower(&text, "p", Path::new("/p"), String::new());
        assert!(lowered.policy.is_some(), "{:?}", lowered.problems);
        let all = trace(&lowered);
        all.into_iter().map(|t| (t.id, t.footing)).collect()
    }

    #[test]
    fn each_key_is_what_it_is() {
        let got = traced(
            "r1: plans/p/schedule, r2: plans/q/schedule, r3: systems/a, r4: systems/b, r5: systems/c, \
             r6: duties/d, r7: clauses/said, r8: alerts/storage, r9: vaults/v, s0: policy/purpose, s1: systems/a/owner, \
             s2: [ plans/p, duties/d ], s3: [ plans/p, systems/b/log ], s4: { text: nobody does }, s5: alerts/failure/to",
        );
        use Footing::{Duty, Exemption, Nothing, Rule, Stated, Waits};
        let want = [
            Rule, Waits, Rule, Waits, Exemption, Duty, Nothing, Rule, Rule, Stated, Stated, Rule,
            Waits, Nothing, Rule,
        ];
        assert_eq!(got.iter().map(|(_, f)| *f).collect::<Vec<_>>(), want);
    }

    #[test]
    fn a_rule_that_is_taken_out_is_missed_where_it_was_asked_for() {
        let text = "systems: { a: { source: 'files:/a' } }\nrequirements:\n  r1: systems/a/keep\n";
        let lowered = crate::lower(text, "p", Path::new("/p"), String::new());
        let errors: Vec<_> = lowered.problems.iter().map(|p| (p.code, p.line)).collect();
        assert_eq!(errors, [("P050", 3)]);
        assert!(trace(&lowered).is_empty());
    }
}
