//! For each requirement of the example policies that rests on a rule or a duty: a record by which it is met, and one by
//! which it is not. A rule that is taken out of the assessor leaves nothing that tells the two apart.

use std::collections::BTreeMap;

use vouchsafe_model::attestation::{Attestation, DutyOutcome, Identity, Statement};
use vouchsafe_model::drill::SandboxRecord;
use vouchsafe_model::fact::{
    CopyFact, Encryption, ExpiredCopy, Expiry, Issue, Recorded, RecoveryPoint, Verification,
};
use vouchsafe_model::people::{Capacity, When};
use vouchsafe_model::{
    AlertKind, Assessment, DrillResult, Entry, Fact, Ladder, LogCopy, LogShipped, Obligation,
    ObligationId, ObligationKind, Outcome, PeopleFact, PointId, Policy, Protection, ProtectionId,
    Question, RunId, Rung, RungOutcome, Span, Time, VaultName, VaultSpace, Verdict,
};
use vouchsafe_policy::trace::{Decider, Footing, trace};
use vouchsafe_policy::{assess, obligations, people};

use crate::common::{CORRECTED, read};

/// The record begins, and is judged.
const FROM: &str = "2026-05-31T00:00:00Z";
const NOW: &str = "2026-06-10T12:00:00Z";

fn t(text: &str) -> Time {
    text.parse().unwrap()
}

fn hours(hours: u64) -> Span {
    Span::from_hours(hours)
}

struct World {
    policy: Policy,
    facts: Vec<(Time, Fact)>,
    owed: Vec<Obligation>,
}

impl World {
    /// Ten days in which everything was done by which the policy can be kept.
    fn good(policy: &Policy) -> World {
        let (from, until) = (t(FROM), t("2026-06-12T00:00:00Z"));
        let owed = obligations(policy, from, until);
        let in_force = Fact::PolicyInForce {
            digest: policy.digest.clone(),
            version: None,
            bytes: 1,
            approved: None,
        };
        let mut world = World {
            policy: policy.clone(),
            facts: vec![(from, in_force)],
            owed: owed.clone(),
        };
        world
            .facts
            .extend(owed.iter().map(|o| (from, Fact::ObligationDue(o.clone()))));
        world.facts.push((from, Fact::Horizon { until }));
        let connected: Vec<Protection> = policy
            .protections()
            .filter(|(system, p)| system.exempt.is_none() && p.way.is_connected())
            .map(|(_, p)| p.clone())
            .collect();
        for protection in &connected {
            world.captured(protection, from.plus(hours(1)));
            for o in owed.iter().filter(|o| is_of(o, protection)) {
                let at = o.opens.max(from).plus(Span::from_mins(5));
                if o.kind == ObligationKind::Capture && at < t(NOW) {
                    world.captured(protection, at);
                }
            }
            world.captured(protection, t(NOW).minus(Span::from_mins(30)));
            world.drilled(protection, t(NOW).minus(Span::from_mins(9)));
            world.shipped(protection);
        }
        for vault in policy.vaults.values() {
            world.read_back(&vault.name, t(NOW).minus(Span::from_mins(8)));
        }
        world
    }

    fn add(&mut self, at: Time, fact: Fact) {
        self.facts.push((at, fact));
    }

    /// What of a kind is owed of a protection, or in a vault, by the end.
    fn answers(
        &self,
        kind: ObligationKind,
        of: Option<&ProtectionId>,
        vault: Option<&VaultName>,
    ) -> Vec<ObligationId> {
        let all = self.owed.iter().filter(|o| o.kind == kind);
        let all = all.filter(|o| of.is_none() || o.protection.as_ref() == of);
        let all = all.filter(|o| vault.is_none() || o.vault.as_ref() == vault);
        all.filter(|o| o.opens <= t(NOW))
            .map(|o| o.id.clone())
            .collect()
    }

    fn captured(&mut self, protection: &Protection, at: Time) {
        let id = &protection.id;
        let point = PointId::new(format!("p-{id}-{at}").replace(['/', ':', '.'], "-")).unwrap();
        let (run, tree) = (RunId::new("r-1").unwrap(), format!("tree-{at}"));
        let done = at.plus(Span::from_mins(1));
        let fact = RecoveryPoint {
            point: point.clone(),
            protection: id.clone(),
            run: run.clone(),
            obligations: self.answers(ObligationKind::Capture, Some(id), None),
            started: at,
            content_time: at,
            completed: done,
            outcome: Outcome::Done,
            issues: Vec::new(),
            issue_count: 0,
            items: 1,
            bytes: 1,
            tree: tree.clone(),
            manifest: None,
            schema: None,
            engine: None,
        };
        self.add(done, Fact::RecoveryPoint(fact));
        for rule in &protection.copies {
            let fact = CopyFact {
                point: point.clone(),
                protection: id.clone(),
                vault: rule.vault.clone(),
                snapshot: format!("s-{at}"),
                tree: tree.clone(),
                run: run.clone(),
                obligations: self.answers(ObligationKind::Copy, Some(id), Some(&rule.vault)),
                completed: done,
                added_bytes: 1,
                blobs_read_back: 1,
                encryption: Encryption {
                    cipher: "AES-256-CTR with Poly1305-AES".into(),
                    key: "k".into(),
                    probed: true,
                },
                lock: None,
                region: None,
                country: None,
            };
            self.add(done, Fact::Copy(fact));
        }
    }

    fn read_back(&mut self, vault: &VaultName, at: Time) {
        let fact = Verification {
            vault: vault.clone(),
            run: RunId::new("r-2").unwrap(),
            obligations: self.answers(ObligationKind::Verify, None, Some(vault)),
            started: at,
            completed: at,
            packs_total: 8,
            packs_read: 8,
            bytes_read: 8,
            complete: true,
            problems: Vec::new(),
        };
        self.add(at, Fact::Verification(fact));
    }

    fn drilled(&mut self, protection: &Protection, at: Time) {
        let id = &protection.id;
        let Some(vault) = protection.copies.first().map(|rule| rule.vault.clone()) else {
            return;
        };
        let mut obligations = self.answers(ObligationKind::Drill, Some(id), None);
        obligations.extend(self.answers(ObligationKind::NegativeControl, Some(id), None));
        let newest = self.facts.iter().rev().find_map(|(_, fact)| match fact {
            Fact::RecoveryPoint(p) if p.protection == *id => Some(p.point.clone()),
            _ => None,
        });
        let rung = Rung {
            name: "content".into(),
            question: "?".into(),
            expected: "1".into(),
            actual: "1".into(),
            outcome: RungOutcome::Green,
        };
        let fact = DrillResult {
            run: RunId::new("r-3").unwrap(),
            protection: id.clone(),
            point: newest.unwrap(),
            vault,
            obligations,
            started: at,
            ended: at,
            seed: None,
            moment: None,
            ladder: Ladder { rungs: vec![rung] },
            phases: Vec::new(),
            achieved_rto: Span::from_mins(4),
            target_rto: None,
            bytes: 1,
            sandbox: SandboxRecord {
                isolation: "none".into(),
                destroyed: true,
            },
            negative_controls: Vec::new(),
            rules_digest: protection.rules_digest(),
            engine: None,
            equality: None,
        };
        self.add(at, Fact::Drill(fact));
    }

    /// The log of a protection that has one, up to some seconds ago.
    fn shipped(&mut self, protection: &Protection) {
        let Some(every) = protection.ships_log_every() else {
            return;
        };
        let until = t(NOW).minus(Span::from_secs(5));
        let copies = protection.copies.iter().map(|rule| LogCopy {
            vault: rule.vault.clone(),
            timeline: 1,
            begins: "0/1000000".into(),
            reaches: "0/2000000".into(),
            first_commit: Some(t(FROM)),
            newest_commit: Some(until),
            worst: Some(Span::from_secs(9)),
            fragments_total: 9,
            digest: String::new(),
            fragments: 1,
            bytes: 1,
            unverified: 0,
            problem: None,
        });
        let fact = LogShipped {
            protection: protection.id.clone(),
            stream: "log".into(),
            server: "7".into(),
            from: until.minus(Span::from_mins(5)),
            until,
            next_by: until.plus(Span::from_mins(5)),
            every,
            copies: copies.collect(),
            token: None,
        };
        self.add(until, Fact::LogShipped(fact));
    }

    fn without(mut self, which: impl Fn(&Fact) -> bool) -> World {
        self.facts.retain(|(_, fact)| !which(fact));
        self
    }

    fn changed(mut self, change: impl Fn(&mut Fact)) -> World {
        self.facts.iter_mut().for_each(|(_, fact)| change(fact));
        self
    }

    fn with(mut self, at: &str, fact: Fact) -> World {
        self.add(t(at), fact);
        self
    }

    fn record(&self) -> Vec<Recorded> {
        let mut facts = self.facts.clone();
        facts.sort_by_key(|(at, _)| *at);
        let all = facts.into_iter().zip(0..);
        all.map(|((at, fact), seq)| Recorded {
            seq,
            entry: Entry {
                v: 1,
                at,
                actor: "vouchsafe@host".into(),
                tool: "vouchsafe 0".into(),
                fact,
            },
        })
        .collect()
    }

    fn judged(&self) -> Assessment {
        assess(&self.policy, &self.record(), t(NOW))
    }
}

fn is_of(o: &Obligation, protection: &Protection) -> bool {
    o.protection.as_ref() == Some(&protection.id)
}

fn answer(all: &Assessment, id: &ProtectionId, question: Question) -> (Verdict, String) {
    let found = all.protections.iter().find(|p| p.id == *id).unwrap();
    let judgement = found.judgement(question).unwrap();
    (judgement.verdict, judgement.because.clone())
}

/// One thing changed by which the answer about a protection is no longer met.
fn spoiled(policy: &Policy, id: &ProtectionId, question: Question) -> World {
    let world = World::good(policy);
    let (_, protection) = policy.protection(id).unwrap();
    let of = |other: &ProtectionId| other == id;
    let fresh_enough = t(NOW).minus(hours(1));
    match question {
        Question::Covered => world
            .without(|f| matches!(f, Fact::RecoveryPoint(p) if of(&p.protection)))
            .without(|f| matches!(f, Fact::Drill(d) if of(&d.protection))),
        Question::Fresh => world.changed(|f| match f {
            Fact::RecoveryPoint(p) if of(&p.protection) => {
                p.content_time = p.content_time.minus(hours(24 * 90));
            }
            Fact::LogShipped(l) if of(&l.protection) => {
                l.copies.iter_mut().for_each(|c| c.worst = Some(hours(99)));
            }
            _ => {}
        }),
        Question::Copies => {
            let last = protection.copies.last().unwrap().vault.clone();
            world.without(
                move |f| matches!(f, Fact::Copy(c) if of(&c.protection) && c.vault == last),
            )
        }
        Question::Verified => world.changed(|f| {
            if let Fact::Verification(v) = f
                && protection.copies.iter().any(|rule| rule.vault == v.vault)
            {
                v.problems.push(Issue {
                    place: "pack".into(),
                    message: "hash differs".into(),
                });
            }
        }),
        Question::Proven => world.changed(|f| {
            if let Fact::Drill(d) = f
                && of(&d.protection)
            {
                d.ladder.rungs[0].outcome = RungOutcome::Red;
            }
        }),
        Question::Encrypted => world.changed(|f| {
            if let Fact::Copy(c) = f
                && of(&c.protection)
            {
                c.encryption.probed = false;
            }
        }),
        // A copy that was let go before its time.
        Question::Retained => {
            let copy = world.facts.iter().rev().find_map(|(_, fact)| match fact {
                Fact::Copy(c) if of(&c.protection) && c.completed < fresh_enough => Some(c.clone()),
                _ => None,
            });
            let copy = copy.unwrap();
            let gone = Expiry {
                vault: copy.vault.clone(),
                run: RunId::new("r-9").unwrap(),
                copies: vec![ExpiredCopy {
                    point: copy.point,
                    protection: copy.protection,
                    snapshot: copy.snapshot,
                    tree: copy.tree,
                    reason: "by mistake".into(),
                    erase: false,
                }],
            };
            world.with(NOW, Fact::Expired(gone))
        }
    }
}

/// What was said of it before the time in which an answer would count, and a time after which it is too late.
fn said(policy: &Policy, duty: &str) -> Option<(World, Time)> {
    let owed = &policy.people.duties[duty];
    if matches!(owed.when, When::After(_)) {
        return None;
    }
    let (from, until) = (t("2026-01-01T00:00:00Z"), t("2031-01-01T00:00:00Z"));
    let mut world = World {
        policy: policy.clone(),
        facts: Vec::new(),
        owed: Vec::new(),
    };
    let mine: Vec<Obligation> = obligations(policy, from, until)
        .into_iter()
        .filter(|o| o.duty.as_deref() == Some(duty))
        .collect();
    let due = mine.iter().map(|o| o.due).min()?;
    for o in &mine {
        world.add(from, Fact::ObligationDue(o.clone()));
    }
    world.add(from, Fact::Horizon { until });
    Some((world, due.plus(Span::from_mins(1))))
}

fn done(world: &mut World, duty: &str, at: Time) {
    let first: Vec<Obligation> = world
        .facts
        .iter()
        .filter_map(|(_, fact)| match fact {
            Fact::ObligationDue(o) if o.opens <= at => Some(o.clone()),
            _ => None,
        })
        .collect();
    let mut by: BTreeMap<Option<String>, Vec<ObligationId>> = BTreeMap::new();
    for o in first {
        by.entry(o.person.clone()).or_default().push(o.id);
    }
    for (person, obligations) in by {
        let attestation = Attestation {
            statement: Statement {
                duty: duty.to_owned(),
                obligations,
                outcome: DutyOutcome::Done,
                reason: "looked".into(),
                by: person.unwrap_or("ann@example.com".into()),
                at,
                policy: String::new(),
                files: Vec::new(),
            },
            capacity: Capacity::Role,
            identity: Identity::Unverified,
            handed_in: None,
        };
        world.add(at, Fact::People(PeopleFact::Attested(attestation)));
    }
}

fn duty_verdict(world: &World, duty: &str, at: Time) -> Verdict {
    let all = assess(&world.policy, &world.record(), at);
    let found = all.duties.iter().find(|d| d.name == duty);
    found
        .unwrap_or_else(|| panic!("{duty} is not judged"))
        .verdict
}

/// A world of which somebody is told by that alert.
fn alarming(policy: &Policy, kind: AlertKind) -> World {
    let world = World::good(policy);
    let connected = policy.protections().find(|(_, p)| {
        p.way.is_ours() && (kind != AlertKind::Lag || p.ships_log_every().is_some())
    });
    let (_, protection) = connected.unwrap();
    let of = |id: &ProtectionId| *id == protection.id;
    match kind {
        AlertKind::Failure => {
            let run = RunId::new("r-8").unwrap();
            let opened = Fact::RunOpened {
                run: run.clone(),
                deed: "run".into(),
                subject: protection.id.to_string(),
                reason: None,
            };
            let closed = Fact::RunClosed {
                run,
                outcome: Outcome::Failed,
                issues: Vec::new(),
            };
            let world = world.with("2026-06-10T10:00:00Z", opened);
            world.with("2026-06-10T11:00:00Z", closed)
        }
        AlertKind::Missing => {
            world.without(|f| matches!(f, Fact::RecoveryPoint(p) if of(&p.protection)))
        }
        AlertKind::Lag => world.changed(|f| {
            if let Fact::LogShipped(l) = f
                && of(&l.protection)
            {
                l.copies.iter_mut().for_each(|c| c.worst = Some(hours(99)));
            }
        }),
        AlertKind::Size => world.changed(|f| {
            if let Fact::RecoveryPoint(p) = f
                && of(&p.protection)
                && p.completed > t(NOW).minus(hours(1))
            {
                p.bytes = 1 << 40;
            }
        }),
        AlertKind::Duration => world.changed(|f| {
            if let Fact::RecoveryPoint(p) = f
                && of(&p.protection)
            {
                p.started = p.started.minus(hours(99));
            }
        }),
        AlertKind::Storage => world.with(NOW, space(policy, 99)),
        AlertKind::Keys => world,
    }
}

fn space(policy: &Policy, taken: u64) -> Fact {
    let vault = policy.vaults.keys().next().unwrap().clone();
    Fact::Space(VaultSpace {
        vault,
        seen: t(NOW),
        total: 100,
        free: 100 - taken,
    })
}

/// What of the twins rests on places that are only declared: it is unproven until something measures where a copy lies,
/// and never met.
const BY_DECLARATION: [&str; 3] = ["S0-2", "S0-3", "S0-5"];

/// The answers about all protections, by a good record and by one that is spoiled for just that answer.
#[derive(Default)]
struct Answers {
    good: Option<Assessment>,
    spoilt: BTreeMap<(ProtectionId, Question), Verdict>,
}

impl Answers {
    /// What is wrong with it: nothing if a good record meets it and a spoiled one does not.
    fn wrong(&mut self, policy: &Policy, id: &ProtectionId, question: Question) -> Option<String> {
        let good = self
            .good
            .get_or_insert_with(|| World::good(policy).judged());
        let (verdict, because) = answer(good, id, question);
        let spoil = || answer(&spoiled(policy, id, question).judged(), id, question).0;
        let key = (id.clone(), question);
        let spoilt = *self.spoilt.entry(key).or_insert_with(spoil);
        match (verdict, spoilt) {
            (_, Verdict::Met) => Some(format!("{id} {question:?} is met by a spoiled record")),
            (Verdict::Met, _) => None,
            _ => Some(format!("{id} {question:?} is {verdict}: {because}")),
        }
    }
}

/// The same of a duty: nothing if it is met when it was done in time, and not met if nobody did it.
fn duty_wrong(policy: &Policy, duty: &str) -> Option<String> {
    let (mut world, late) = said(policy, duty)?;
    let missed = duty_verdict(&world, duty, late);
    done(&mut world, duty, late.minus(hours(2)));
    let kept = duty_verdict(&world, duty, late);
    match (missed, kept) {
        (Verdict::NotMet, Verdict::Met) => None,
        _ => Some(format!(
            "{duty} is {missed} when missed and {kept} when done"
        )),
    }
}

/// The same of an alert: nothing if somebody is told of what went wrong, and nobody where nothing did.
fn alert_wrong(policy: &Policy, kind: AlertKind) -> Option<String> {
    let told = |world: &World| {
        let all = people::alerts(policy, &world.record(), t(NOW));
        all.iter().any(|alert| alert.kind == kind)
    };
    match (told(&World::good(policy)), told(&alarming(policy, kind))) {
        (false, true) => None,
        (good, bad) => Some(format!("{kind:?}: told {good} and {bad}")),
    }
}

#[test]
fn each_requirement_on_a_rule_or_a_duty_has_a_record_that_meets_it_and_one_that_does_not() {
    let (mut rules, mut owed) = (0, 0);
    let mut wrong = Vec::new();
    for (_, text) in CORRECTED {
        let lowered = read(text);
        let policy = lowered.policy.clone().unwrap();
        let mut answers = Answers::default();
        for row in trace(&lowered) {
            let mut found = Vec::new();
            for key in &row.at {
                match (&row.footing, &key.basis.decider) {
                    (Footing::Rule, Some(Decider::Questions(questions, ids))) => {
                        rules += 1;
                        let all = ids
                            .iter()
                            .flat_map(|id| questions.iter().map(move |q| (id, *q)));
                        found.extend(all.filter_map(|(id, q)| answers.wrong(&policy, id, q)));
                    }
                    (Footing::Rule, Some(Decider::Alert(kind))) => {
                        rules += 1;
                        found.extend(alert_wrong(&policy, *kind));
                    }
                    (Footing::Duty, Some(Decider::Duties(names))) => {
                        owed += names.len();
                        found.extend(names.iter().filter_map(|duty| duty_wrong(&policy, duty)));
                    }
                    _ => {}
                }
            }
            let declared = |text: &String| text.contains("by declaration alone");
            let unproven = !found.is_empty() && found.iter().all(declared);
            if unproven != BY_DECLARATION.contains(&row.id.as_str()) || !unproven {
                wrong.extend(found.into_iter().map(|text| format!("{}: {text}", row.id)));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(rules >= 20 && owed >= 50, "{rules} {owed}");
}
