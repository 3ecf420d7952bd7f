//! People's part, judged: who did what in time, who is told, what closes a failure, what is exempt.

use std::path::Path;

use vouchsafe_model::attestation::{Attestation, DutyOutcome, Identity, Statement};
use vouchsafe_model::drill::SandboxRecord;
use vouchsafe_model::fact::Recorded;
use vouchsafe_model::incident::{Closure, Incident, NoticeKind};
use vouchsafe_model::people::Capacity;
use vouchsafe_model::people_assessment::{DutyAssessment, DutyStanding};
use vouchsafe_model::{
    Assessment, DrillResult, Entry, Fact, Ladder, Obligation, ObligationId, PeopleFact, PointId,
    Policy, RunId, Rung, RungOutcome, Span, Strength, Time, VaultName, Verdict,
};

use super::*;
use crate::assess;

mod alerts;
mod cases;
mod settled;

const POLICY: &str = "\
policy: { owner: boss, next_review: 2026-09-30 }
roles:
  boss: { people: [ eve@example.com ] }
  it: { people: [ ann@example.com, ben@example.com ], delegate: boss }
vaults: { v: { url: /v } }
applications: { shop: }
systems:
  a: { source: 'files:/a', application: shop, owner: it, copies: v }
  b: { source: 'files:/b', application: shop, owner: it, copies: v }
  hand: { manual: { every: month, accept: '*.zip', copies: v, grace: 5 days }, owner: it }
duties:
  look: { every: month, role: it, delegate: cleo@example.com, input: report, escalate: { after: 5 days, to: boss } }
  read: { every: year, role: it, acknowledge: true }
  event: { role: it, after: a failure }
programme:
  any: { kind: restore, every: quarter, of: any, by: it }
  shops: { kind: [ restore, files ], every: year, of: each-application, by: it }
";

fn t(text: &str) -> Time {
    text.parse().unwrap()
}

fn day(text: &str) -> Time {
    t(&format!("2026-{text}T12:00:00Z"))
}

struct World {
    policy: Policy,
    facts: Vec<Recorded>,
}

impl World {
    /// Everything is owed that opens in the first ten months of 2026.
    fn new() -> World {
        World::with(POLICY)
    }

    fn with(text: &str) -> World {
        let lowered = crate::lower(text, "p", Path::new("/p"), "digest".into());
        let policy = lowered
            .policy
            .unwrap_or_else(|| panic!("{:?}", lowered.problems));
        let mut world = World {
            policy,
            facts: Vec::new(),
        };
        let (from, to) = (t("2026-01-01T00:00:00Z"), t("2026-11-01T00:00:00Z"));
        for owed in crate::obligations(&world.policy, from, to) {
            world.add(from, Fact::ObligationDue(owed));
        }
        world.add(from, Fact::Horizon { until: to });
        world
    }

    fn add(&mut self, at: Time, fact: Fact) -> u64 {
        let seq = self.facts.len() as u64;
        let entry = Entry {
            v: 1,
            at,
            actor: "vouchsafe@host".into(),
            tool: "vouchsafe 0".into(),
            fact,
        };
        self.facts.push(Recorded { seq, entry });
        seq
    }

    fn people(&mut self, at: Time, fact: PeopleFact) -> u64 {
        self.add(at, Fact::People(fact))
    }

    fn owed(&self, duty: &str, person: Option<&str>, at: Time) -> Obligation {
        let all = self.facts.iter().filter_map(|r| match &r.entry.fact {
            Fact::ObligationDue(o) => Some(o),
            _ => None,
        });
        let mine = |o: &&Obligation| {
            o.duty.as_deref() == Some(duty) && o.person.as_deref() == person && o.opens <= at
        };
        all.filter(mine).max_by_key(|o| o.opens).unwrap().clone()
    }

    fn say(&mut self, duty: &str, by: &str, outcome: DutyOutcome, at: Time) -> u64 {
        let person = self.policy.people.duties[duty].each_person.then_some(by);
        let id = self.owed(duty, person, at).id;
        self.say_of(vec![id], duty, by, outcome, at)
    }

    fn say_of(
        &mut self,
        obligations: Vec<ObligationId>,
        duty: &str,
        by: &str,
        outcome: DutyOutcome,
        at: Time,
    ) -> u64 {
        let attestation = Attestation {
            statement: Statement {
                duty: duty.into(),
                obligations,
                outcome,
                reason: "looked".into(),
                by: by.into(),
                at,
                policy: "digest".into(),
                files: Vec::new(),
            },
            capacity: Capacity::Role,
            identity: Identity::Unverified,
            handed_in: None,
        };
        self.people(at, PeopleFact::Attested(attestation))
    }

    fn drill(&mut self, system: &str, at: Time, green: bool) -> u64 {
        let protection = format!("{system}/main").parse().unwrap();
        let obligations = match green {
            true => tests_answered(&self.policy, &self.facts, &protection, at),
            false => Vec::new(),
        };
        let rung = Rung {
            name: "content".into(),
            question: "?".into(),
            expected: "1".into(),
            actual: "1".into(),
            outcome: if green {
                RungOutcome::Green
            } else {
                RungOutcome::Red
            },
        };
        let drill = DrillResult {
            run: RunId::new("r-1").unwrap(),
            protection,
            point: PointId::new("p-1").unwrap(),
            vault: VaultName::new("v").unwrap(),
            obligations,
            started: at,
            ended: at,
            seed: None,
            moment: None,
            achieved_rto: Span::from_secs(1),
            target_rto: None,
            bytes: 1,
            engine: None,
            equality: None,
            ladder: Ladder { rungs: vec![rung] },
            phases: Vec::new(),
            sandbox: SandboxRecord {
                isolation: "x".into(),
                destroyed: true,
            },
            negative_controls: Vec::new(),
            rules_digest: String::new(),
        };
        self.add(at, Fact::Drill(drill))
    }

    fn judge(&self, at: Time) -> Assessment {
        assess(&self.policy, &self.facts, at)
    }

    fn duty(&self, name: &str, at: Time) -> DutyAssessment {
        let judged = self.judge(at);
        judged.duties.into_iter().find(|d| d.name == name).unwrap()
    }

    /// `subject standing` of everything that is owed.
    fn list(&self, at: Time) -> Vec<String> {
        let all = owed_by_people(&self.policy, &self.facts, at);
        let show = |i: &vouchsafe_model::people_assessment::DutyItem| {
            format!("{} {}", i.obligation.subject(), i.standing.word())
        };
        all.iter().map(show).collect()
    }

    /// Records what has to be told by then; `kind subject to` of each.
    fn tell(&mut self, at: Time) -> Vec<String> {
        let all = notices(&self.policy, &self.facts, at);
        let mut said = Vec::new();
        for notice in all {
            let to = notice.to.join("+").replace("@example.com", "");
            said.push(format!("{} {} {to}", notice.kind.word(), notice.subject));
            self.people(at, PeopleFact::Noticed(notice));
        }
        said
    }
}

use DutyOutcome::{Declined, Done, Problems};

#[test]
fn a_duty_is_met_when_it_was_done_in_time_and_says_so_when_late_or_missed() {
    let mut w = World::new();
    let first = w.duty("look", day("01-20"));
    assert_eq!((first.verdict, first.strength), (Verdict::Unproven, None));
    w.say("look", "ann@example.com", Done, day("01-25"));
    let done = w.duty("look", day("02-10"));
    assert_eq!(
        (done.verdict, done.strength),
        (Verdict::Met, Some(Strength::Stated))
    );
    assert!(
        done.because.contains("identity unverified"),
        "{}",
        done.because
    );
    assert_eq!(done.obligations.on_time, 1);
    // February passes, and nobody looks.
    let missed = w.duty("look", day("03-02"));
    assert_eq!(missed.verdict, Verdict::NotMet);
    assert!(
        missed.because.starts_with("missed; it was due 2026-03-01"),
        "{}",
        missed.because
    );
    assert_eq!(w.judge(day("03-02")).verdict, Verdict::NotMet);
    // Late is late, and no longer open.
    let id = w.owed("look", None, day("02-10")).id;
    w.say_of(vec![id], "look", "ann@example.com", Done, day("03-03"));
    let late = w.duty("look", day("03-04"));
    assert_eq!((late.verdict, late.obligations.late), (Verdict::Met, 1));
    assert!(late.because.contains("late"), "{}", late.because);
    // As of an earlier time nothing of it was known.
    assert_eq!(w.duty("look", day("03-02")).verdict, Verdict::NotMet);
}

#[test]
fn a_later_answer_makes_up_for_what_was_missed_and_only_the_newest_is_told() {
    let mut w = World::new();
    w.say("read", "ann@example.com", Done, day("01-05"));
    w.say("read", "ben@example.com", Done, day("01-05"));
    w.drill("a", day("01-05"), true);
    let looks = |w: &World, at| -> Vec<String> {
        let all = w.list(at).into_iter();
        all.filter(|l| l.starts_with("look")).collect()
    };
    assert_eq!(looks(&w, day("04-10")), ["look overdue", "look open"]);
    w.say("look", "ann@example.com", Done, day("04-11"));
    assert_eq!(looks(&w, day("04-12")), [""; 0]);
    let judged = w.duty("look", day("04-12"));
    assert_eq!(
        (judged.verdict, judged.obligations.missed),
        (Verdict::Met, 3)
    );
}

#[test]
fn who_declines_fulfils_nothing_and_problems_need_a_closed_incident() {
    let mut w = World::new();
    w.say("look", "ann@example.com", Declined, day("01-10"));
    let judged = w.duty("look", day("01-11"));
    assert_eq!(judged.verdict, Verdict::Unproven);
    assert!(
        judged.because.contains("ann@example.com declined: looked"),
        "{}",
        judged.because
    );
    let items = owed_by_people(&w.policy, &w.facts, day("01-11"));
    let item = items.iter().find(|i| i.duty == "look").unwrap();
    assert_eq!(item.standing, DutyStanding::Declined);
    let late = w.duty("look", day("02-02"));
    assert_eq!(late.verdict, Verdict::NotMet);
    assert!(late.because.contains("declined"), "{}", late.because);

    let found = w.say("look", "ann@example.com", Problems, day("02-10"));
    let judged = w.duty("look", day("02-11"));
    assert_eq!(
        (judged.verdict, judged.obligations.on_time),
        (Verdict::NotMet, 1)
    );
    assert!(judged.because.contains("no incident"), "{}", judged.because);
    w.people(
        day("02-12"),
        PeopleFact::IncidentOpened(Incident {
            name: "i".into(),
            obligations: Vec::new(),
            facts: vec![found],
            by: "ann@example.com".into(),
            reason: "a disk".into(),
        }),
    );
    assert!(w.duty("look", day("02-13")).because.contains("is open"));
    w.people(
        day("02-14"),
        PeopleFact::IncidentClosed(Closure {
            name: "i".into(),
            retest: 0,
            by: "eve@example.com".into(),
            reason: "mended".into(),
        }),
    );
    assert_eq!(w.duty("look", day("02-15")).verdict, Verdict::Met);
    assert_eq!(w.duty("look", day("02-13")).verdict, Verdict::NotMet);
}

#[test]
fn each_person_reads_for_themselves() {
    let mut w = World::new();
    w.say("read", "ann@example.com", Done, day("01-10"));
    let judged = w.duty("read", day("01-11"));
    assert_eq!(judged.verdict, Verdict::Unproven);
    assert!(
        judged
            .because
            .starts_with("1 of 2 answered; ben@example.com"),
        "{}",
        judged.because
    );
    assert!(
        judged.delegates.is_empty(),
        "nobody reads for somebody else"
    );
    w.say("read", "ben@example.com", Done, day("02-10"));
    assert_eq!(w.duty("read", day("02-11")).verdict, Verdict::Met);
    // Whoever has left owes nothing any more.
    let mut w = World::new();
    w.say("read", "ann@example.com", Done, day("01-10"));
    let without = POLICY.replace(", ben@example.com", "");
    w.policy = crate::lower(&without, "p", Path::new("/p"), "d2".into())
        .policy
        .unwrap();
    assert_eq!(w.duty("read", day("02-11")).verdict, Verdict::Met);
}

#[test]
fn a_day_is_kept_until_it_is_over_and_is_not_forgotten_afterwards() {
    let mut w = World::new();
    assert_eq!(w.duty("policy", day("03-01")).verdict, Verdict::Met);
    assert_eq!(w.duty("policy", day("09-30")).verdict, Verdict::Met);
    assert_eq!(w.duty("policy", day("10-01")).verdict, Verdict::NotMet);
    w.say("policy", "eve@example.com", Done, day("09-15"));
    assert_eq!(w.duty("policy", day("10-01")).verdict, Verdict::Met);
    // A day that had passed when the policy came into force.
    let w = World::with("policy: { owner: eve@example.com, next_review: 2025-12-01 }\n");
    let judged = w.duty("policy", day("01-02"));
    assert_eq!(judged.verdict, Verdict::NotMet);
    assert!(
        judged.because.contains("was due by 2025-12-01"),
        "{}",
        judged.because
    );
}

#[test]
fn drills_answer_the_programme_and_only_that() {
    let mut w = World::new();
    w.drill("a", day("02-01"), false);
    assert_eq!(
        w.duty("programme/any", day("02-02")).verdict,
        Verdict::Unproven
    );
    w.drill("a", day("02-03"), true);
    let any = w.duty("programme/any", day("02-04"));
    assert_eq!(
        (any.verdict, any.strength),
        (Verdict::Met, Some(Strength::Measured))
    );
    assert!(
        any.because.contains("drilled with a/main"),
        "{}",
        any.because
    );
    // Of an application every system has to be drilled in the year.
    assert_eq!(
        w.duty("programme/shops", day("02-04")).verdict,
        Verdict::Unproven
    );
    w.drill("b", day("06-01"), true);
    assert_eq!(
        w.duty("programme/shops", day("06-02")).verdict,
        Verdict::Met
    );
    // The next quarter is one of its own.
    assert_eq!(w.duty("programme/any", day("07-02")).verdict, Verdict::Met);
    assert_eq!(
        w.duty("programme/any", day("10-02")).verdict,
        Verdict::NotMet
    );
    // A drill that claims to have read the policy has not.
    let id = w.owed("look", None, day("09-10")).id;
    let seq = w.drill("a", day("09-11"), true);
    let Fact::Drill(drill) = &mut w.facts[seq as usize].entry.fact else {
        panic!("no drill")
    };
    drill.obligations.push(id);
    assert_eq!(w.duty("look", day("10-02")).verdict, Verdict::NotMet);
}

#[test]
fn reminders_and_escalations_come_once_each_in_their_time() {
    let mut w = World::new();
    let text = |w: &mut World, at| -> Vec<String> {
        let all = w.tell(at).into_iter();
        all.filter(|n| n.contains("look") || n.contains("hand"))
            .collect()
    };
    assert_eq!(text(&mut w, day("01-20")), [""; 0]);
    assert_eq!(text(&mut w, day("01-26")), ["reminder look ann+ben"]);
    assert_eq!(text(&mut w, day("01-27")), [""; 0]);
    // Its grace is over on the sixth, so it is told a week before that.
    assert_eq!(text(&mut w, day("01-31")), ["reminder hand/main ann+ben"]);
    let stand_in = "overdue look ann+ben+cleo+eve";
    assert_eq!(text(&mut w, day("02-02")), [stand_in]);
    assert_eq!(
        text(&mut w, day("02-07")),
        ["escalation look eve", "overdue hand/main ann+ben+eve"]
    );
    // After a long time without anybody looking, the newest counts and nothing is told twice.
    let late = text(&mut w, day("04-20"));
    assert_eq!(
        late,
        [
            "overdue look ann+ben+cleo+eve",
            "escalation look eve",
            "overdue hand/main ann+ben+eve"
        ]
    );
    assert_eq!(text(&mut w, day("04-20")), [""; 0]);
    let escalated = owed_by_people(&w.policy, &w.facts, day("04-20"));
    let item = escalated.iter().find(|i| i.duty == "look").unwrap();
    let state = item.escalation.as_ref().unwrap();
    assert!(state.due && state.fact.is_some(), "{state:?}");
    // What is done is not told.
    w.say("look", "ann@example.com", Done, day("04-21"));
    assert!(
        text(&mut w, day("04-28"))
            .iter()
            .all(|n| !n.contains("look"))
    );
}

#[test]
fn what_is_noticed_has_its_kind_once() {
    let mut w = World::new();
    w.tell(day("02-07"));
    let noticed = w.facts.iter().filter_map(|r| match &r.entry.fact {
        Fact::People(PeopleFact::Noticed(n)) => Some((n.obligation.clone(), n.kind)),
        _ => None,
    });
    let mut all: Vec<(ObligationId, NoticeKind)> = noticed.collect();
    let n = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), n);
}
