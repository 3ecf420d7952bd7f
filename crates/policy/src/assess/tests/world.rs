//! A small world: one system, two vaults, ten days of facts in which everything went well.

use std::path::Path;

use vouchsafe_model::drill::SandboxRecord;
use vouchsafe_model::fact::{CopyFact, Encryption, Issue, Recorded, RecoveryPoint, Verification};
use vouchsafe_model::{
    Assessment, DrillResult, Entry, Fact, Judgement, Ladder, Obligation, ObligationId,
    ObligationKind, Outcome, PointId, Policy, ProtectionId, Question, RunId, Rung, RungOutcome,
    Span, Time, VaultName, Verdict,
};

/// A Wednesday.
pub(super) const NOW: &str = "2026-06-10T12:00:00Z";

const POLICY: &str = "\
vaults: { a: { url: /v/a, region: r1, country: FR }, b: { url: /v/b, region: r2, country: FR } }
tiers: { t: { rpo: 25h, rto: 1h, copies: { min: 2 } } }
systems:
  s: { source: 'files:/data', owner: me, tier: t, location: { region: r0, country: GB },
       schedule: daily at 02:00 UTC, keep: { at_least: 7 days, at_most: 30 days, grace: 1 day },
       copies: [ a, b ], verify: week, drill: quarter }
";

pub(super) fn t(text: &str) -> Time {
    text.parse().unwrap()
}

pub(super) struct World {
    pub(super) policy: Policy,
    pub(super) facts: Vec<Recorded>,
    pub(super) now: Time,
}

impl World {
    /// What is owed is known; nothing was done.
    pub(super) fn new() -> World {
        World::with(str::to_owned)
    }

    /// The same under a changed policy.
    pub(super) fn with(change: impl Fn(&str) -> String) -> World {
        let text = change(POLICY);
        let lowered = crate::lower(&text, "p", Path::new("/p"), "digest".into());
        let mut world = World {
            policy: lowered
                .policy
                .unwrap_or_else(|| panic!("{:?}", lowered.problems)),
            facts: Vec::new(),
            now: t(NOW),
        };
        let (from, to) = (t("2026-06-01T00:00:00Z"), t("2026-06-12T00:00:00Z"));
        world.add(
            from,
            Fact::PolicyInForce {
                digest: "digest".into(),
                version: None,
                bytes: 1,
                approved: None,
            },
        );
        for owed in crate::obligations(&world.policy, from, to) {
            world.add(from, Fact::ObligationDue(owed));
        }
        world.add(from, Fact::Horizon { until: to });
        world
    }

    /// Everything went well.
    pub(super) fn good() -> World {
        let mut world = World::new();
        world.fill();
        world
    }

    /// Ten days of captures, copies, two verifications, one drill.
    pub(super) fn fill(&mut self) {
        for day in 1..=10 {
            let opens = t(&format!("2026-06-{day:02}T02:00:00Z"));
            self.capture(opens);
            if day % 7 == 1 {
                let at = opens.plus(Span::from_hours(1));
                self.verify("a", at);
                self.verify("b", at);
            }
            if day == 2 {
                self.drill(opens.plus(Span::from_hours(2)));
            }
        }
    }

    pub(super) fn add(&mut self, at: Time, fact: Fact) {
        let entry = Entry {
            v: 1,
            at,
            actor: "vouchsafe@host".into(),
            tool: "vouchsafe 0".into(),
            fact,
        };
        self.facts.push(Recorded {
            seq: self.facts.len() as u64,
            entry,
        });
    }

    pub(super) fn id(&self) -> ProtectionId {
        "s/main".parse().unwrap()
    }

    /// The ids of what is owed of that kind at that time.
    fn owed(&self, kind: ObligationKind, vault: Option<&str>, at: Time) -> Vec<ObligationId> {
        let fits = |o: &&Obligation| {
            o.kind == kind
                && o.vault.as_ref().map(VaultName::as_str) == vault
                && o.opens <= at
                && at < o.due
        };
        let all = self.facts.iter().filter_map(|r| match &r.entry.fact {
            Fact::ObligationDue(o) => Some(o),
            _ => None,
        });
        all.filter(fits).map(|o| o.id.clone()).collect()
    }

    /// A complete capture of the state of `at`, done at three, with its copies.
    pub(super) fn capture(&mut self, at: Time) {
        let name = at.to_timestamp().strftime("p-%m%d%H").to_string();
        let (point, run) = (PointId::new(name).unwrap(), RunId::new("r-1").unwrap());
        let done = at.plus(Span::from_mins(30));
        let fact = RecoveryPoint {
            point: point.clone(),
            protection: self.id(),
            run: run.clone(),
            obligations: self.owed(ObligationKind::Capture, None, at),
            started: at,
            content_time: at,
            completed: done,
            outcome: Outcome::Done,
            issues: Vec::new(),
            issue_count: 0,
            items: 1,
            bytes: 1,
            tree: format!("tree-{point}"),
            manifest: None,
            schema: None,
            engine: None,
        };
        self.add(done, Fact::RecoveryPoint(fact));
        for vault in ["a", "b"] {
            let fact = CopyFact {
                point: point.clone(),
                protection: self.id(),
                vault: VaultName::new(vault).unwrap(),
                snapshot: "s".into(),
                tree: format!("tree-{point}"),
                run: run.clone(),
                obligations: self.owed(ObligationKind::Copy, Some(vault), at),
                completed: done,
                added_bytes: 1,
                blobs_read_back: 2,
                encryption: Encryption {
                    cipher: "AES-256-CTR + Poly1305-AES".into(),
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

    /// A whole and clean verification.
    pub(super) fn verify(&mut self, vault: &str, at: Time) {
        let fact = Verification {
            vault: VaultName::new(vault).unwrap(),
            run: RunId::new("r-2").unwrap(),
            obligations: self.owed(ObligationKind::Verify, Some(vault), at),
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

    /// A green drill of the newest point.
    pub(super) fn drill(&mut self, at: Time) {
        let point = self.facts.iter().rev().find_map(|r| match &r.entry.fact {
            Fact::RecoveryPoint(p) => Some(p.point.clone()),
            _ => None,
        });
        let rung = Rung {
            name: "bytes".into(),
            question: "are the bytes the same?".into(),
            expected: "abc".into(),
            actual: "abc".into(),
            outcome: RungOutcome::Green,
        };
        let fact = DrillResult {
            run: RunId::new("r-3").unwrap(),
            protection: self.id(),
            point: point.unwrap(),
            vault: VaultName::new("a").unwrap(),
            obligations: self.owed(ObligationKind::Drill, None, at),
            started: at.minus(Span::from_mins(5)),
            ended: at,
            seed: None,
            moment: None,
            equality: None,
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
            rules_digest: self.policy.protection(&self.id()).unwrap().1.rules_digest(),
            engine: None,
        };
        self.add(at, Fact::Drill(fact));
    }

    pub(super) fn each_point(&mut self, change: impl Fn(&mut RecoveryPoint)) {
        for recorded in &mut self.facts {
            if let Fact::RecoveryPoint(point) = &mut recorded.entry.fact {
                change(point);
            }
        }
    }

    pub(super) fn each_copy(&mut self, change: impl Fn(&mut CopyFact)) {
        for recorded in &mut self.facts {
            if let Fact::Copy(copy) = &mut recorded.entry.fact {
                change(copy);
            }
        }
    }

    pub(super) fn each_verification(&mut self, change: impl Fn(&mut Verification)) {
        for recorded in &mut self.facts {
            if let Fact::Verification(done) = &mut recorded.entry.fact {
                change(done);
            }
        }
    }

    pub(super) fn each_drill(&mut self, change: impl Fn(&mut DrillResult)) {
        for recorded in &mut self.facts {
            if let Fact::Drill(drill) = &mut recorded.entry.fact {
                change(drill);
            }
        }
    }

    pub(super) fn drop_copies(&mut self, which: impl Fn(&CopyFact) -> bool) {
        self.facts
            .retain(|r| !matches!(&r.entry.fact, Fact::Copy(c) if which(c)));
    }

    pub(super) fn drop_points_after(&mut self, time: &str) {
        let time = t(time);
        self.drop_copies(|c| c.completed > time);
        self.facts
            .retain(|r| !matches!(&r.entry.fact, Fact::RecoveryPoint(p) if p.completed > time));
    }

    pub(super) fn assess(&self) -> Assessment {
        crate::assess(&self.policy, &self.facts, self.now)
    }

    pub(super) fn judge(&self, question: Question) -> Judgement {
        self.assess().protections[0]
            .judgement(question)
            .unwrap()
            .clone()
    }

    #[track_caller]
    pub(super) fn expect(&self, question: Question, verdict: Verdict, says: &str) {
        let judgement = self.judge(question);
        assert_eq!(judgement.verdict, verdict, "{judgement:?}");
        assert!(
            judgement.because.contains(says),
            "`{}` does not say `{says}`",
            judgement.because
        );
    }
}

pub(super) fn issue(place: &str) -> Issue {
    Issue {
        place: place.into(),
        message: "hash differs".into(),
    }
}
