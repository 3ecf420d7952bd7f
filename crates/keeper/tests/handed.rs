//! Statements and uploads that go wrong halfway: given twice, dated ahead, with a vault that cannot be reached.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use vouchsafe_capture::Progress;
use vouchsafe_host::clock::{Clock, ManualClock};
use vouchsafe_host::files::{TempDir, temp_dir};
use vouchsafe_host::process::LocalSpawn;
use vouchsafe_host::random::OsRandom;
use vouchsafe_host::signals::Interrupt;
use vouchsafe_keeper::{
    AttestDone, AttestEnd, AttestOrder, Event, Keeper, PolicyFile, Reporter, Silent, State, Tools,
    init,
};
use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::people::ChangedLines;
use vouchsafe_model::{Attestation, DutyOutcome, PeopleFact, Span, Time};

const POLICY: &str = r#"
policy: { id: P-1, title: Backups, owner: ann, version: "1", next_review: 2999-01-01 }
people: { ann: { address: ann@example.com, key: "KEY" } }
vaults: { local: { url: ./local }, offsite: { url: ./offsite } }
systems:
  wiki:
    owner: ann
    keep: { at_least: 400 days }
    manual: { every: month, accept: "*.xml", instructions: Export the wiki, copies: [ local, offsite ] }
duties:
  metrics: { every: month, role: ann }
"#;

const PAGE: &str = "<wiki>\n  <page>one</page>\n  <page>two</page>\n</wiki>\n";

struct World {
    dir: TempDir,
    clock: Arc<ManualClock>,
    interrupt: Interrupt,
    keeper: Keeper,
}

fn t(text: &str) -> Time {
    text.parse().unwrap()
}

fn run(command: &mut Command) {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{out:?}");
}

impl World {
    fn new() -> World {
        let dir = temp_dir("handed").unwrap();
        let args = ["-q", "-t", "ed25519", "-C", "ann", "-N", "", "-f", "ann"];
        run(Command::new("ssh-keygen")
            .args(args)
            .current_dir(dir.path()));
        let key = fs::read_to_string(dir.path().join("ann.pub")).unwrap();
        let policy = POLICY.replace("KEY", key.trim());
        fs::write(dir.path().join("policy.yaml"), policy).unwrap();
        let clock = Arc::new(ManualClock::new(t("2026-01-05T08:00:00Z")));
        let interrupt = Interrupt::manual();
        let file = PolicyFile::read(&dir.path().join("policy.yaml")).unwrap();
        let policy = file.lowered.policy.unwrap();
        let state = State::at(dir.path().join("state"));
        let tools = tools(&clock, &interrupt);
        let text = file.text.into_bytes();
        let made = init(policy, text, state, tools, false, &Silent::default());
        World {
            keeper: made.unwrap().0,
            dir,
            clock,
            interrupt,
        }
    }

    /// As another process would go on.
    fn again(self) -> World {
        let file = PolicyFile::read(&self.dir.path().join("policy.yaml")).unwrap();
        let interrupt = Interrupt::manual();
        let state = State::at(self.dir.path().join("state"));
        let (policy, text) = (file.lowered.policy.unwrap(), file.text.into_bytes());
        let keeper = Keeper::open(policy, text, state, tools(&self.clock, &interrupt)).unwrap();
        World {
            keeper,
            interrupt,
            ..self
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn pass(&self, minutes: u64) {
        self.clock
            .set(self.clock.now().plus(Span::from_mins(minutes)));
    }

    fn order(&self, duty: &str) -> AttestOrder {
        AttestOrder {
            duty: duty.into(),
            about: None,
            outcome: DutyOutcome::Done,
            reason: "as usual".into(),
            by: "ann".into(),
            key: None,
            statement: None,
            files: Vec::new(),
            smaller_is_right: false,
        }
    }

    fn attest(&self, order: &AttestOrder) -> Result<AttestDone, String> {
        let done = self.keeper.attest(order, &Silent::default());
        done.map_err(|e| vouchsafe_keeper::chain(&e))
    }

    /// An upload of what was made at `made`.
    fn upload(&self, content: &str, made: Time) -> AttestOrder {
        let path = self.path("wiki.xml");
        fs::write(&path, content).unwrap();
        let since = Duration::from_micros(u64::try_from(made.micros()).unwrap());
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + since).unwrap();
        AttestOrder {
            files: vec![path],
            ..self.order("wiki")
        }
    }

    fn hand_in(&self, content: &str) -> AttestDone {
        let order = self.upload(content, self.clock.now());
        self.attest(&order).unwrap()
    }

    fn sign(&self, name: &str) {
        run(Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", "vouchsafe", "-f", "ann", name])
            .current_dir(self.dir.path()));
    }

    /// Writes a statement and signs it; the same order takes it then.
    fn signed(&self, order: AttestOrder) -> AttestOrder {
        let statement = Some(self.path("said.txt"));
        let order = AttestOrder { statement, ..order };
        let end = self.attest(&order).unwrap().end;
        assert!(matches!(end, AttestEnd::ToSign { .. }), "{end:?}");
        self.sign("said.txt");
        order
    }

    fn facts(&self) -> Vec<Recorded> {
        self.keeper.facts().unwrap()
    }

    fn statements(&self) -> usize {
        let facts = self.facts();
        let attested =
            |r: &&Recorded| matches!(r.entry.fact, Fact::People(PeopleFact::Attested(_)));
        facts.iter().filter(attested).count()
    }

    /// Puts something else where a vault was, and gives back how to mend it.
    fn break_vault(&self, name: &str) -> impl FnOnce() + use<> {
        let (vault, aside) = (self.path(name), self.path("aside"));
        fs::rename(&vault, &aside).unwrap();
        fs::write(&vault, "no directory").unwrap();
        move || {
            fs::remove_file(&vault).unwrap();
            fs::rename(&aside, &vault).unwrap();
        }
    }
}

fn tools(clock: &Arc<ManualClock>, interrupt: &Interrupt) -> Tools {
    Tools {
        clock: clock.clone(),
        random: Arc::new(OsRandom),
        interrupt: interrupt.clone(),
        spawn: Arc::new(LocalSpawn),
    }
}

fn recorded(done: &AttestDone) -> &Attestation {
    match &done.end {
        AttestEnd::Recorded(attestation) => attestation,
        other => panic!("{other:?}"),
    }
}

fn refused(done: &AttestDone) -> &str {
    match &done.end {
        AttestEnd::Refused(refusal) => &refusal.because,
        other => panic!("{other:?}"),
    }
}

fn changed(done: &AttestDone) -> Option<ChangedLines> {
    recorded(done).handed_in.as_ref().unwrap().files[0].changed
}

#[test]
fn a_signed_statement_is_taken_once() {
    let w = World::new();
    let order = w.signed(w.order("metrics"));
    recorded(&w.attest(&order).unwrap());
    // What is said later stands, whoever gives the older statement once more.
    w.pass(5);
    let later = AttestOrder {
        outcome: DutyOutcome::Problems,
        ..w.order("metrics")
    };
    recorded(&w.attest(&later).unwrap());
    let why = w.attest(&order).unwrap_err();
    assert!(why.contains("is recorded already, by entry"), "{why}");
    assert_eq!(w.statements(), 2);
    // Said anew it counts again.
    fs::remove_file(w.path("said.txt")).unwrap();
    fs::remove_file(w.path("said.txt.sig")).unwrap();
    let order = w.signed(order);
    recorded(&w.attest(&order).unwrap());
    assert_eq!(w.statements(), 3);
}

#[test]
fn a_signed_statement_of_which_nothing_was_recorded_can_be_given_again() {
    let w = World::new();
    let order = w.signed(w.upload(PAGE, w.clock.now()));
    let mend = w.break_vault("local");
    assert!(w.attest(&order).is_err());
    assert_eq!(w.statements(), 0);
    mend();
    assert!(recorded(&w.attest(&order).unwrap()).identity.is_verified());
    let why = w.attest(&order).unwrap_err();
    assert!(why.contains("is recorded already"), "{why}");
}

#[test]
fn a_statement_from_the_future_is_refused() {
    let w = World::new();
    w.pass(60);
    let order = w.signed(w.order("metrics"));
    w.clock.set(w.clock.now().minus(Span::from_mins(10)));
    let why = w.attest(&order).unwrap_err();
    assert!(why.contains("does not say what would be recorded now"));
    w.pass(10);
    recorded(&w.attest(&order).unwrap());
}

#[test]
fn an_upload_from_the_future_is_refused_and_keeps_no_other_out() {
    let w = World::new();
    let ahead = w.clock.now().plus(Span::from_days(300));
    let done = w.attest(&w.upload(PAGE, ahead)).unwrap();
    assert!(refused(&done).contains("still to come"), "{done:?}");
    recorded(&w.hand_in(PAGE));
}

#[test]
fn lines_are_compared_only_with_what_the_record_speaks_of() {
    let w = World::new();
    recorded(&w.hand_in(PAGE));
    w.pass(5);
    let second = w.hand_in(&PAGE.replace("one", "1"));
    assert_eq!(changed(&second).unwrap().added, 1);
    // Cut off between the capture and the record of it: the newest point is none that anybody handed in.
    w.pass(5);
    let order = w.upload(&PAGE.replace("two", "2"), w.clock.now());
    let stops = StopsAfterCapture(w.interrupt.clone(), Silent::default());
    assert!(w.keeper.attest(&order, &stops).is_err());
    let w = w.again();
    let points = |r: &&Recorded| matches!(r.entry.fact, Fact::RecoveryPoint(_));
    assert_eq!(w.facts().iter().filter(points).count(), 3);
    w.pass(5);
    let third = w.hand_in(&PAGE.replace("two", "two and more"));
    assert_eq!(changed(&third), None);
}

struct StopsAfterCapture(Interrupt, Silent);

impl Reporter for StopsAfterCapture {
    fn event(&self, event: &Event) {
        if matches!(event, Event::Finished { deed, .. } if *deed == "capture") {
            self.0.raise();
        }
    }

    fn progress(&self) -> &dyn Progress {
        self.1.progress()
    }
}

#[test]
fn a_text_that_is_too_long_to_be_read_is_refused_with_what_to_do() {
    let w = World::new();
    let path = w.path("figures.csv");
    fs::File::create(&path)
        .unwrap()
        .set_len((64 << 20) + 1)
        .unwrap();
    let order = AttestOrder {
        files: vec![path],
        ..w.order("metrics")
    };
    let done = w.attest(&order).unwrap();
    let why = refused(&done);
    assert!(
        why.contains("at most 67108864 is read; pack it with zip"),
        "{why}"
    );
}

#[test]
fn what_reached_the_first_vault_is_recorded_and_what_is_missing_is_said() {
    let w = World::new();
    let mend = w.break_vault("offsite");
    let done = w.hand_in(PAGE);
    recorded(&done);
    assert_eq!(done.not_copied.len(), 1);
    assert!(done.not_copied[0].place.contains("offsite"), "{done:?}");
    assert_eq!(done.unpublished.len(), 1);
    w.pass(5);
    let done = w.attest(&w.order("metrics")).unwrap();
    recorded(&done);
    assert_eq!((done.not_copied.len(), done.unpublished.len()), (0, 1));
    assert_eq!(w.statements(), 2);
    mend();
    w.pass(5);
    let done = w.hand_in(PAGE);
    recorded(&done);
    assert_eq!((done.not_copied.len(), done.unpublished.len()), (0, 0));
}

#[test]
fn what_is_refused_is_published_too() {
    let w = World::new();
    let done = w.hand_in("<wiki>");
    refused(&done);
    let facts = w.facts();
    let refusal = facts
        .iter()
        .find(|r| matches!(r.entry.fact, Fact::People(PeopleFact::Refused(_))));
    let seq = refusal.unwrap().seq;
    let published = facts.iter().filter(|r| r.seq > seq);
    let vaults = published
        .filter(|r| matches!(&r.entry.fact, Fact::Published { tree_size, .. } if *tree_size > seq));
    assert_eq!(vaults.count(), 2);
}
