//! A quarter of a small company's duties, played through by the clock: done, late, missed, escalated, closed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use vouchsafe_host::clock::{Clock, ManualClock};
use vouchsafe_host::files::{TempDir, temp_dir};
use vouchsafe_host::process::LocalSpawn;
use vouchsafe_host::random::OsRandom;
use vouchsafe_host::signals::Interrupt;
use vouchsafe_keeper::drill::DrillOrder;
use vouchsafe_keeper::{
    AttestEnd, AttestOrder, IncidentOrder, Keeper, NoteOrder, PolicyFile, RunOrder, Silent, State,
    Tools, init,
};
use vouchsafe_model::fact::Fact;
use vouchsafe_model::incident::{Closure, NoteKind, NoticeKind};
use vouchsafe_model::people_assessment::{DutyItem, DutyStanding};
use vouchsafe_model::{DutyOutcome, PeopleFact, Question, Time, Verdict};

const POLICY: &str = r#"
policy: { id: P-1, title: Backups, owner: boss, version: "1", next_review: 2026-03-15 }
roles:
  boss: { people: [ eve@example.com ] }
  it: { people: [ ann@example.com ], delegate: ben@example.com }
  all: { people: [ ann@example.com, ben@example.com, eve@example.com ] }
vaults: { local: { url: ./vault } }
systems:
  tree: { source: "files:./tree", schedule: daily, keep: { at_least: 400 days }, copies: local, owner: it }
  wiki:
    owner: it
    keep: { at_least: 400 days }
    manual: { every: month, accept: "*.xml", instructions: Export the wiki, copies: local, grace: 5 days }
duties:
  metrics: { every: month, role: it, escalate: { after: 3 days, to: boss } }
  read: { every: quarter, role: all, acknowledge: true }
programme:
  any: { kind: restore, every: quarter, of: any, by: it }
"#;

struct World {
    dir: TempDir,
    clock: Arc<ManualClock>,
    keeper: Keeper,
}

fn t(text: &str) -> Time {
    text.parse().unwrap()
}

impl World {
    fn new() -> World {
        let dir = temp_dir("people").unwrap();
        fs::create_dir(dir.path().join("tree")).unwrap();
        fs::write(dir.path().join("tree/file"), "content").unwrap();
        let clock = Arc::new(ManualClock::new(t("2026-01-05T08:00:00Z")));
        let keeper = keeper(dir.path(), &clock);
        World { dir, clock, keeper }
    }

    /// Goes on to noon of that day, a day at a time, with a run on each as the worker would.
    fn until(&self, day: &str) {
        let end = t(&format!("2026-{day}T12:00:00Z"));
        while self.clock.now() < end {
            let next = self
                .clock
                .now()
                .plus(vouchsafe_model::Span::from_days(1))
                .min(end);
            self.clock.set(next);
            let order = RunOrder {
                due: true,
                ..RunOrder::default()
            };
            self.keeper.run(&order, &Silent::default()).unwrap();
        }
    }

    fn order(&self, duty: &str, by: &str) -> AttestOrder {
        AttestOrder {
            duty: duty.into(),
            about: None,
            outcome: DutyOutcome::Done,
            reason: "as usual".into(),
            by: by.into(),
            key: None,
            statement: None,
            files: Vec::new(),
            smaller_is_right: false,
        }
    }

    fn attest(&self, order: &AttestOrder) -> Result<AttestEnd, String> {
        let done = self.keeper.attest(order, &Silent::default());
        done.map(|done| done.end)
            .map_err(|e| vouchsafe_keeper::chain(&e))
    }

    fn done(&self, duty: &str, by: &str) {
        let end = self.attest(&self.order(duty, by)).unwrap();
        assert!(matches!(end, AttestEnd::Recorded(_)), "{end:?}");
    }

    /// Hands a file in that was made at `made`.
    fn hand_in(&self, name: &str, content: &str, made: &str) -> AttestEnd {
        let path = self.file(name, content, made);
        let order = AttestOrder {
            files: vec![path],
            ..self.order("wiki", "ann@example.com")
        };
        self.attest(&order).unwrap()
    }

    fn file(&self, name: &str, content: &str, made: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        let since = Duration::from_micros(u64::try_from(t(made).micros()).unwrap());
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + since).unwrap();
        path
    }

    fn owed(&self) -> Vec<DutyItem> {
        self.keeper.judge(None).unwrap().assessment.owed_by_people
    }

    fn standing(&self, duty: &str) -> Vec<DutyStanding> {
        let all = self.owed().into_iter().filter(|i| i.duty == duty);
        all.map(|i| i.standing).collect()
    }

    fn duty(&self, name: &str) -> (Verdict, String) {
        let judged = self.keeper.judge(None).unwrap().assessment;
        let duty = judged.duties.into_iter().find(|d| d.name == name).unwrap();
        (duty.verdict, duty.because)
    }

    fn noticed(&self, kind: NoticeKind, subject: &str) -> usize {
        let facts = self.keeper.facts().unwrap();
        let mine = facts.iter().filter(|r| {
            matches!(&r.entry.fact, Fact::People(PeopleFact::Noticed(n)) if n.kind == kind && n.subject == subject)
        });
        mine.count()
    }
}

fn keeper(dir: &Path, clock: &Arc<ManualClock>) -> Keeper {
    let path = dir.join("policy.yaml");
    fs::write(&path, POLICY).unwrap();
    let file = PolicyFile::read(&path).unwrap();
    let policy = file
        .lowered
        .policy
        .unwrap_or_else(|| panic!("{:?}", file.lowered.problems));
    let tools = Tools {
        clock: clock.clone(),
        random: Arc::new(OsRandom),
        interrupt: Interrupt::manual(),
        spawn: Arc::new(LocalSpawn),
    };
    let (text, state) = (file.text.into_bytes(), State::at(dir.join("state")));
    init(policy, text, state, tools, false, &Silent::default())
        .unwrap()
        .0
}

const PAGE: &str = "<wiki>\n  <page>one</page>\n  <page>two</page>\n</wiki>\n";

#[test]
fn a_quarter_of_a_small_companys_duties() {
    let w = World::new();
    w.until("01-06");
    // January: the wiki is handed in, everybody but Eve reads, the metrics are looked at, a drill is made.
    let end = w.hand_in("wiki-01.xml", PAGE, "2026-01-06T10:00:00Z");
    assert!(matches!(end, AttestEnd::Recorded(_)), "{end:?}");
    w.done("read", "ann@example.com");
    w.done("read", "ben@example.com");
    w.until("01-26");
    assert_eq!(w.noticed(NoticeKind::Reminder, "metrics"), 1);
    w.done("metrics", "ann@example.com");
    let drilled = w.keeper.drill(
        &DrillOrder {
            names: vec!["tree".into()],
            ..DrillOrder::default()
        },
        &Silent::default(),
    );
    assert!(drilled.is_ok(), "{:?}", drilled.err());
    assert_eq!(
        w.duty("programme/any").0,
        Verdict::Met,
        "{}",
        w.duty("programme/any").1
    );
    assert_eq!(w.duty("metrics").0, Verdict::Met);

    // February: nobody looks at the metrics, and after three days the boss hears of it.
    w.until("03-03");
    assert_eq!(w.noticed(NoticeKind::Overdue, "metrics"), 1);
    assert_eq!(w.noticed(NoticeKind::Escalation, "metrics"), 0);
    w.until("03-05");
    assert_eq!(w.noticed(NoticeKind::Escalation, "metrics"), 1);
    assert_eq!(w.duty("metrics").0, Verdict::NotMet);
    assert_eq!(
        w.standing("metrics"),
        [DutyStanding::Overdue, DutyStanding::Open]
    );
    // The wiki of February was not handed in either; its grace is over on 6 March.
    assert_eq!(
        w.standing("wiki/main"),
        [DutyStanding::Open, DutyStanding::Open]
    );
    let end = w.hand_in(
        "wiki-02.xml",
        &PAGE.replace("two", "three"),
        "2026-02-28T09:00:00Z",
    );
    let AttestEnd::Recorded(taken) = end else {
        panic!("{end:?}")
    };
    let file = &taken.handed_in.as_ref().unwrap().files[0];
    let changed = file.changed.unwrap();
    assert_eq!((changed.added, changed.removed), (1, 1));
    // Made in February, it answers February and not March.
    assert_eq!(w.standing("wiki/main"), [DutyStanding::Open]);

    // The failure is acknowledged, its cause found, mended, tried again, closed.
    let silent = Silent::default();
    let order = IncidentOrder {
        name: "metrics-02".into(),
        about: vec!["metrics".into()],
        by: "eve@example.com".into(),
        reason: "nobody looked in February".into(),
    };
    w.keeper.open_incident(&order, &silent).unwrap();
    let note = NoteOrder {
        name: "metrics-02".into(),
        notes: vec![
            (NoteKind::Cause, "Ann was on leave".into()),
            (NoteKind::Fix, "Ben looks in her place".into()),
        ],
        by: "ann@example.com".into(),
    };
    w.keeper.note_incident(&note, &silent).unwrap();
    w.done("metrics", "ben@example.com");
    let facts = w.keeper.facts().unwrap();
    let attested = |f: &Fact| matches!(f, Fact::People(PeopleFact::Attested(_)));
    let retest = facts
        .iter()
        .rev()
        .find(|r| attested(&r.entry.fact))
        .unwrap()
        .seq;
    let closure = Closure {
        name: "metrics-02".into(),
        retest,
        by: "eve@example.com".into(),
        reason: "the delegate knows".into(),
    };
    w.keeper.close_incident(&closure, &silent).unwrap();
    assert_eq!(w.duty("metrics").0, Verdict::Met);

    // The policy is reviewed in time, Eve reads at last, and the quarter ends well.
    w.until("03-10");
    assert!(
        w.attest(&w.order("policy", "ann@example.com")).is_err(),
        "it is the boss's"
    );
    w.done("policy", "eve@example.com");
    assert_eq!(w.duty("read").0, Verdict::Unproven);
    w.done("read", "eve@example.com");
    let end = w.hand_in("wiki-03.xml", PAGE, "2026-03-09T09:00:00Z");
    assert!(matches!(end, AttestEnd::Recorded(_)), "{end:?}");
    w.until("03-31");
    let judged = w.keeper.judge(None).unwrap().assessment;
    for duty in &judged.duties {
        assert_eq!(
            duty.verdict,
            Verdict::Met,
            "{}: {}",
            duty.name,
            duty.because
        );
    }
    let counts = judged
        .duties
        .iter()
        .find(|d| d.name == "metrics")
        .unwrap()
        .obligations;
    assert_eq!((counts.on_time, counts.missed), (2, 1));
    let wiki = judged
        .protections
        .iter()
        .find(|p| p.id.system.as_str() == "wiki")
        .unwrap();
    let fresh = wiki.judgement(Question::Fresh).unwrap();
    assert_eq!(fresh.verdict, Verdict::Met, "{}", fresh.because);
    assert_eq!(wiki.points, 3);
    // Everything that is told was told once.
    assert_eq!(w.noticed(NoticeKind::Escalation, "metrics"), 1);
    assert!(w.noticed(NoticeKind::Reminder, "policy") <= 1);
}

#[test]
fn a_bad_upload_is_refused_says_why_and_answers_nothing() {
    let w = World::new();
    w.until("01-06");
    let why = |end: AttestEnd| match end {
        AttestEnd::Refused(refusal) => refusal.because,
        other => panic!("{other:?}"),
    };
    let now = "2026-01-06T09:00:00Z";
    assert!(why(w.hand_in("wiki.zip", "x", now)).contains("does not fit `*.xml`"));
    assert!(why(w.hand_in("wiki.xml", "", now)).contains("empty"));
    assert!(why(w.hand_in("wiki.xml", "<wiki><page>", now)).contains("breaks off"));
    assert!(why(w.hand_in("wiki.xml", PAGE, "2025-12-31T09:00:00Z")).contains("before the period"));
    assert_eq!(w.standing("wiki/main"), [DutyStanding::Open]);
    let taken = w.hand_in("wiki.xml", &PAGE.replace("one", &"one ".repeat(99)), now);
    assert!(matches!(taken, AttestEnd::Recorded(_)), "{taken:?}");
    let later = "2026-01-06T10:00:00Z";
    assert!(why(w.hand_in("wiki.xml", PAGE, later)).contains("less than half"));
    assert!(
        why(w.hand_in(
            "wiki.xml",
            &PAGE.replace("one", &"one ".repeat(99)),
            "2026-01-06T08:00:00Z"
        ))
        .contains("before the last one")
    );
    // Each refusal is a fact, and no point came of any.
    let facts = w.keeper.facts().unwrap();
    let refused = facts
        .iter()
        .filter(|r| matches!(r.entry.fact, Fact::People(PeopleFact::Refused(_))));
    assert_eq!(refused.count(), 6);
    let points = facts
        .iter()
        .filter(|r| matches!(&r.entry.fact, Fact::RecoveryPoint(p) if p.protection.system.as_str() == "wiki"));
    assert_eq!(points.count(), 1);
    assert!(
        !w.dir.path().join("state/handed-in/wiki/main").exists(),
        "nothing is left aside"
    );
    // A run does not capture what a person has to hand in, and says who does.
    let order = RunOrder {
        names: vec!["wiki".into()],
        ..RunOrder::default()
    };
    let error = w.keeper.run(&order, &Silent::default()).unwrap_err();
    assert!(
        error.to_string().contains("vouchsafe attest wiki/main"),
        "{error}"
    );
}

#[test]
fn who_may_not_answer_is_refused_and_nothing_is_recorded() {
    let w = World::new();
    w.until("01-06");
    let before = w.keeper.facts().unwrap().len();
    let no = |order: &AttestOrder| w.attest(order).unwrap_err();
    let why = no(&w.order("metrics", "mallory@example.com"));
    assert!(
        why.contains("owed by ann@example.com, or instead ben@example.com"),
        "{why}"
    );
    // A delegate may do it, and never reads for somebody else.
    assert!(no(&w.order("read", "mallory@example.com")).contains("may not answer"));
    assert!(no(&w.order("wiki", "eve@example.com")).contains("may not answer"));
    assert!(no(&w.order("nothing", "ann@example.com")).contains("no such duty"));
    assert!(no(&w.order("policy", "eve@example.com")).contains("nothing of it is owed now"));
    let silent = AttestOrder {
        reason: " ".into(),
        ..w.order("metrics", "ann@example.com")
    };
    assert!(no(&silent).contains("who makes it, and why"));
    assert!(no(&w.order("wiki", "ann@example.com")).contains("--file"));
    assert_eq!(w.keeper.facts().unwrap().len(), before);
    // What was done cannot be declined; what was declined can still be done.
    w.done("metrics", "ben@example.com");
    let declined = AttestOrder {
        outcome: DutyOutcome::Declined,
        ..w.order("metrics", "ann@example.com")
    };
    assert!(no(&declined).contains("was done already"));
    let declined = AttestOrder {
        duty: "read".into(),
        ..declined
    };
    w.attest(&declined).unwrap();
    assert_eq!(w.standing("read").first(), Some(&DutyStanding::Declined));
    w.done("read", "ann@example.com");
    assert!(!w.standing("read").contains(&DutyStanding::Declined));
}

#[test]
fn what_was_handed_in_comes_back_and_can_be_drilled() {
    let w = World::new();
    w.until("01-06");
    w.hand_in("wiki.xml", PAGE, "2026-01-06T09:00:00Z");
    let order = DrillOrder {
        names: vec!["wiki".into()],
        negative: true,
        ..DrillOrder::default()
    };
    w.keeper.drill(&order, &Silent::default()).unwrap();
    let judged = w.keeper.judge(None).unwrap().assessment;
    let wiki = judged
        .protections
        .iter()
        .find(|p| p.id.system.as_str() == "wiki")
        .unwrap();
    let proven = wiki.judgement(Question::Proven).unwrap();
    assert_eq!(proven.verdict, Verdict::Met, "{}", proven.because);
}

#[test]
fn after_a_long_downtime_everything_is_owed_once_and_told_once() {
    let w = World::new();
    w.until("01-06");
    w.clock.set(t("2026-04-20T12:00:00Z"));
    let order = RunOrder {
        due: true,
        ..RunOrder::default()
    };
    for _ in 0..3 {
        w.keeper.run(&order, &Silent::default()).unwrap();
    }
    // A clock that was set back makes nothing new.
    w.clock.set(t("2026-04-19T12:00:00Z"));
    w.keeper.run(&order, &Silent::default()).unwrap();
    let facts = w.keeper.facts().unwrap();
    let mut owed: Vec<String> = facts
        .iter()
        .filter_map(|r| match &r.entry.fact {
            Fact::ObligationDue(o) if o.duty.as_deref() == Some("metrics") => {
                Some(o.opens.minute())
            }
            _ => None,
        })
        .collect();
    owed.sort();
    let months: Vec<&str> = owed.iter().map(|o| &o[..7]).collect();
    assert_eq!(months, ["2026-01", "2026-02", "2026-03", "2026-04"]);
    // Of three that were missed the newest is told, and once.
    assert_eq!(w.noticed(NoticeKind::Overdue, "metrics"), 1);
    assert_eq!(w.noticed(NoticeKind::Escalation, "metrics"), 1);
    w.clock.set(t("2026-04-20T13:00:00Z"));
    let counts = w.keeper.judge(None).unwrap().assessment;
    let metrics = counts.duties.iter().find(|d| d.name == "metrics").unwrap();
    assert_eq!(metrics.obligations.missed, 3);
}

#[test]
fn a_paused_system_is_left_out_of_what_is_due_until_it_ends() {
    let w = World::new();
    let points = |w: &World| {
        let facts = w.keeper.facts().unwrap();
        let mine = facts
            .iter()
            .filter(|r| matches!(&r.entry.fact, Fact::RecoveryPoint(_)));
        mine.count()
    };
    w.until("01-07");
    let before = points(&w);
    assert!(before > 0);
    let pause = vouchsafe_model::incident::Pause {
        system: "tree".parse().unwrap(),
        by: "ann@example.com".into(),
        reason: "it is moved".into(),
        until: t("2026-01-10T12:00:00Z"),
    };
    w.keeper.pause(&pause, &Silent::default()).unwrap();
    w.until("01-09");
    assert_eq!(points(&w), before);
    // What was due on these days was missed.
    assert!(w.keeper.judge(None).unwrap().assessment.obligations.missed > 0);
    w.until("01-11");
    assert!(points(&w) > before);
}
