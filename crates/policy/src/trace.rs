//! Which requirements rest on a rule, a duty or an exemption, and which only on words.

mod basis;

use vouchsafe_model::{AlertKind, ProtectionId, Question};

use crate::problem::{Lowered, Place};
use crate::trace::basis::Tracer;

/// What a requirement rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Footing {
    /// A rule that this version evaluates.
    Rule,
    /// A duty of a person.
    Duty,
    /// A permission to depart from a rule, with who gave it, why and until when.
    Exemption,
    /// What is declared and not yet connected, in whole or in part.
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

/// What decides whether a key of the policy is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decider {
    /// Answers of `status` about these protections.
    Questions(Vec<Question>, Vec<ProtectionId>),
    /// What people owe, by the names that `duties` shows.
    Duties(Vec<String>),
    /// Alerts of this kind.
    Alert(AlertKind),
    /// The verdicts of the controls of all frameworks that the head names.
    Controls,
    /// That the text is the one that was approved, as it is held against the digest in its head.
    ApprovedText,
    /// That a change which weakens the policy waits until somebody agrees.
    Changes,
    /// The register of erasures, replayed after each restore.
    Erasures,
    /// This permission.
    Exemption(String),
}

impl Decider {
    /// The words on screen.
    pub fn words(&self) -> String {
        match self {
            Decider::Questions(questions, _) => {
                let words: Vec<&str> = questions.iter().map(|q| q.word()).collect();
                words.join(", ")
            }
            Decider::Duties(names) => format!("duty {}", names.join(", ")),
            Decider::Alert(kind) => format!("alert {}", kind.word()),
            Decider::Controls => "controls".to_owned(),
            Decider::ApprovedText => "approved text".to_owned(),
            Decider::Changes => "approval of changes".to_owned(),
            Decider::Erasures => "replay of erasures".to_owned(),
            Decider::Exemption(name) => format!("exemption {name}"),
        }
    }
}

/// What a key rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Of what kind it is.
    pub footing: Footing,
    /// What decides whether it is kept; nothing where no machine and no person does.
    pub decider: Option<Decider>,
    /// What it waits for: protections, vaults or tables that are declared and not yet connected.
    pub waits_for: Vec<String>,
}

/// A key that fulfils a requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedKey {
    /// Its path in the policy.
    pub path: String,
    /// Where it stands.
    pub place: Place,
    /// What it rests on.
    pub basis: Basis,
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
    /// Each key that fulfils it.
    pub at: Vec<TracedKey>,
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
            let at: Vec<TracedKey> = requirement
                .at
                .iter()
                .map(|path| TracedKey {
                    path: path.clone(),
                    place: lowered.place(path),
                    basis: tracer.basis(path),
                })
                .collect();
            Traced {
                id: id.clone(),
                text: requirement.text.clone(),
                footing: together(at.iter().map(|key| key.basis.footing)),
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

    /// The words for what decides, and what is waited for, of each requirement.
    fn based(policy: &str, requirements: &str) -> Vec<(Footing, String, Vec<String>)> {
        let text = format!("{policy}requirements: {{ {requirements} }}\n");
        let lowered = crate::lower(&text, "p", Path::new("/p"), String::new());
        assert!(lowered.policy.is_some(), "{:?}", lowered.problems);
        let all = trace(&lowered).into_iter().map(|mut t| {
            let basis = t.at.remove(0).basis;
            let words = basis.decider.map_or(String::new(), |d| d.words());
            (basis.footing, words, basis.waits_for)
        });
        all.collect()
    }

    #[test]
    fn one_system_that_waits_has_what_is_asked_of_all_wait() {
        let policy = "plans: { p: { schedule: daily, keep: { at_least: 9 days } }, q: { schedule: daily } }\n\
             tiers: { t: { rpo: 1h } }\n\
             systems:\n  a: { source: 'files:/a', plan: p, tier: t }\n  b: { observe: 'rds:x', plan: p }\n  c: { source: 'files:/c', plan: q }\n";
        let got = based(
            policy,
            "r1: systems, r2: plans/p/keep, r3: plans/q/schedule, r4: tiers/t/rpo, r5: plans",
        );
        let waits =
            |words: &str, what: &str| (Footing::Waits, words.to_owned(), vec![what.to_owned()]);
        let all = "covered, fresh, copies, verified, proven, encrypted, retained";
        let rule = || (Footing::Rule, "fresh".to_owned(), Vec::new());
        assert_eq!(
            got,
            [
                waits(all, "b"),
                waits("retained", "b/main"),
                rule(),
                rule(),
                waits(all, "b")
            ]
        );
    }

    #[test]
    fn what_is_done_by_now_waits_no_longer() {
        let policy = "erasure: { file: ./erased.jsonl }\n\
             changes: { four_eyes: true }\n\
             systems:\n  a: { source: 'postgres://u@h', password: { env: P }, logs: { every: 5s, keep: 7 days }, erasure: { database: d, find: 'SELECT 1 FROM c WHERE id = :subject', erase: 'DELETE FROM c WHERE id = :subject' } }\n  \
               b: { source: 'postgres://u@h/d', password: { env: P }, logs: { every: 5s, keep: 7 days } }\n";
        let got = based(
            policy,
            "r1: systems/a/logs, r2: systems/b/logs, r3: erasure, r4: changes/four_eyes",
        );
        let rule = |words: &str| (Footing::Rule, words.to_owned(), Vec::new());
        let waits = (Footing::Waits, String::new(), vec!["b/main".to_owned()]);
        assert_eq!(
            got,
            [
                rule("fresh"),
                waits,
                rule("replay of erasures"),
                rule("approval of changes")
            ]
        );
    }

    #[test]
    fn a_log_that_is_not_shipped_has_every_way_to_it_wait() {
        let policy = "plans: { p: { schedule: daily, logs: { every: 5s, keep: 7 days } }, q: { schedule: daily, logs: { every: 5s, keep: 7 days } } }\n\
             tiers: { t: { log_rpo: 1m }, u: { log_rpo: 1m } }\n\
             systems:\n  a: { source: 'postgres://u@h', password: { env: P }, plan: p, tier: t }\n  \
               b: { source: 'postgres://u@h/d', password: { env: P }, plan: q, tier: u }\n  \
               c: { plan: p, tier: t, protections: { base: { source: 'postgres://u@i', password: { env: P } }, dump: { source: 'postgres://u@i/d', password: { env: P } } } }\n";
        let got = based(
            policy,
            "r1: plans/p/logs, r2: plans/q/logs, r3: tiers/t/log_rpo, r4: tiers/u/log_rpo, r5: plans/q/schedule, \
             r6: plans/q/logs/every",
        );
        let rule = || (Footing::Rule, "fresh".to_owned(), Vec::new());
        let waits =
            |words: &str, what: &str| (Footing::Waits, words.to_owned(), vec![what.to_owned()]);
        // A tier is held against the best of what keeps a system, a plan against each that follows it.
        assert_eq!(
            got,
            [
                waits("fresh", "c/dump"),
                waits("", "b/main"),
                rule(),
                waits("", "b"),
                rule(),
                waits("", "b/main"),
            ]
        );
    }

    #[test]
    fn erasing_waits_wherever_the_register_is_not_replayed() {
        let sql = "find: 'SELECT 1 FROM c WHERE id = :subject', erase: 'DELETE FROM c WHERE id = :subject'";
        let systems = format!(
            "systems:\n  a: {{ source: 'postgres://u@h/d', password: {{ env: P }}, erasure: {{ {sql} }} }}\n"
        );
        let others = format!(
            "  g: {{ source: 'git:/srv/code.git', erasure: {{ paths: [ 'home/{{subject}}' ] }} }}\n  \
               m: {{ source: 'mongodb://u@h/d', password: {{ env: P }}, erasure: {{ {sql} }} }}\n  \
               n: {{ manual: {{ accept: '*.zip' }}, schedule: monthly, erasure: {{ {sql} }} }}\n  \
               w: {{ protections: {{ all: {{ source: 'postgres://u@h/*', password: {{ env: P }}, erasure: {{ {sql} }} }} }} }}\n"
        );
        let register = "erasure: { file: ./erased.jsonl }\n";
        let rule = || (Footing::Rule, "replay of erasures".to_owned(), Vec::new());
        let waits = |words: &str, all: &[&str]| {
            let all = all.iter().map(|what| (*what).to_owned()).collect();
            (Footing::Waits, words.to_owned(), all)
        };
        let whole = format!("{register}{systems}{others}");
        let got = based(
            &whole,
            "r1: systems/a/erasure, r2: systems/g/erasure, r3: systems/m/erasure, r4: systems/n/erasure, \
             r5: systems/w/protections/all/erasure, r6: erasure",
        );
        let every = ["g/main", "m/main", "n/main", "w/all"];
        assert_eq!(
            got,
            [
                rule(),
                waits("", &every[..1]),
                waits("", &every[1..2]),
                waits("", &every[2..3]),
                waits("", &every[3..]),
                waits("replay of erasures", &every),
            ]
        );
        let alone = format!("{register}{systems}");
        let got = based(&alone, "r1: systems/a/erasure, r2: erasure/file");
        assert_eq!(got, [rule(), rule()]);
        // Without a register there is nothing to replay.
        let got = based(&systems, "r1: systems/a/erasure");
        assert_eq!(got, [waits("", &["erasure/file"])]);
    }

    #[test]
    fn a_whole_table_is_what_is_in_it_and_nothing_else() {
        let policy = "policy: { owner: b, next_review: 2027-01-01 }\n\
             vaults: { v: { url: /v }, w: { url: /w } }\n\
             duties: { policy: { every: month, role: b }, event: { role: b, after: a failure } }\n\
             programme: { q: { kind: restore, every: quarter } }\n";
        let systems = "systems:\n  a: { source: 'files:/a', copies: v }\n  b: { source: 'files:/b', copies: w }\n";
        let got = based(
            &format!("{policy}{systems}"),
            "r1: vaults, r2: duties, r3: programme, r4: duties/policy, r5: policy/next_review",
        );
        let duty = |words: &str| (Footing::Duty, words.to_owned(), Vec::new());
        assert_eq!(
            got,
            [
                (Footing::Rule, "copies, encrypted".to_owned(), Vec::new()),
                duty("duty event, policy"),
                duty("duty programme/q"),
                duty("duty policy"),
                duty("duty policy/review"),
            ]
        );
        let tape = policy.replace("url: /w", "url: 'tape://x/y'");
        let observed = systems.replace("files:/a", "ldap://u@h");
        let waiting = |policy: &str, what: &str| {
            let (footing, _, waits_for) = based(policy, "r1: vaults").remove(0);
            assert_eq!(
                (footing, waits_for),
                (Footing::Waits, vec![what.to_owned()])
            );
        };
        waiting(&format!("{tape}{systems}"), "vault w");
        waiting(&format!("{policy}{observed}"), "a/main");
        // A vault that nothing is copied to decides nothing.
        let unused = format!("{tape}{}", systems.replace("copies: w", "copies: v"));
        assert_eq!(based(&unused, "r1: vaults")[0].0, Footing::Rule);
    }

    #[test]
    fn the_head_is_decided_by_what_looks_at_it() {
        let head = format!(
            "policy: {{ frameworks: [ soc2 ], approved_digest: {} }}\n",
            "a".repeat(64)
        );
        let ours = format!("{head}systems:\n  a: {{ source: 'files:/a' }}\n");
        let got = based(&ours, "r1: policy/frameworks, r2: policy/approved_digest");
        let rule = |words: &str| (Footing::Rule, words.to_owned(), Vec::new());
        assert_eq!(got, [rule("controls"), rule("approved text")]);
        // A control rests on all protections; what is not connected keeps it from being met.
        let others = format!("{ours}  b: {{ observe: 'rds:x' }}\n");
        let got = based(&others, "r1: policy/frameworks").remove(0);
        let waits = (
            Footing::Waits,
            "controls".to_owned(),
            vec!["b/main".to_owned()],
        );
        assert_eq!(got, waits);
    }

    #[test]
    fn what_nobody_allowed_or_ever_owes_is_not_traced() {
        let policy = "vaults: { t: { url: 'tape://x/y' } }\n\
             exemptions: { whole: { from: proven, reason: r, approved_by: b, until: 2027-01-01 }, half: { from: proven, reason: r } }\n\
             duties: { monthly: { every: month, role: b }, seldom: { role: b }, event: { role: b, after: a failure } }\n\
             programme: { q: { kind: restore, every: quarter }, never: { kind: restore } }\n";
        let got = based(
            policy,
            "r1: exemptions/whole, r2: exemptions/half, r3: duties/monthly, r4: duties/seldom, r5: duties/event, \
             r6: programme/q/every, r7: programme/never, r8: vaults/t",
        );
        let footings: Vec<Footing> = got.iter().map(|(footing, ..)| *footing).collect();
        use Footing::{Duty, Exemption, Nothing, Stated, Waits};
        assert_eq!(
            footings,
            [Exemption, Nothing, Duty, Stated, Duty, Duty, Stated, Waits]
        );
        assert_eq!(got[5].1, "duty programme/q");
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
