//! Passphrases whose replacement is due: replaced by a run where they are wrapped, told where paper would be void.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vouchsafe_capture::{NoProgress, Progress};
use vouchsafe_host::clock::ManualClock;
use vouchsafe_host::files::{TempDir, temp_dir};
use vouchsafe_host::process::LocalSpawn;
use vouchsafe_host::random::OsRandom;
use vouchsafe_host::signals::Interrupt;
use vouchsafe_keeper::{
    Event, Keeper, NewPassphrase, PolicyFile, Reporter, RunOrder, Silent, State, Tools, init,
};
use vouchsafe_model::fact::{Fact, KeyDeed};
use vouchsafe_model::{Question, Secret, Time, VaultName, Verdict};

const POLICY: &str = r#"
vaults:
  wrapped:
    url: ./wrapped
    kms: { command: { key: safe, wrap: [tr, a-z, n-za-m], unwrap: [tr, n-za-m, a-z] } }
    keys: { rotate: every 90 days }
  paper: { url: ./paper, keys: { rotate: every 90 days } }
systems:
  tree: { source: "files:./tree", schedule: daily, copies: [wrapped, paper] }
"#;

#[derive(Default)]
struct Told(Mutex<Vec<String>>, NoProgress);

impl Reporter for Told {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
    fn progress(&self) -> &dyn Progress {
        &self.1
    }
}

struct World {
    dir: TempDir,
    clock: Arc<ManualClock>,
    keeper: Keeper,
}

impl World {
    fn new(policy: &str) -> World {
        let dir = temp_dir("keys-due").unwrap();
        fs::create_dir(dir.path().join("tree")).unwrap();
        fs::write(dir.path().join("tree/file"), "content").unwrap();
        let clock = Arc::new(ManualClock::new(
            "2026-01-05T00:00:00Z".parse::<Time>().unwrap(),
        ));
        let keeper = keeper(dir.path(), policy, &clock);
        World { dir, clock, keeper }
    }

    fn days(&self, days: u64) {
        self.clock.advance(Duration::from_secs(days * 86_400));
    }

    fn run(&self) -> Vec<String> {
        let told = Told::default();
        self.keeper.run(&RunOrder::default(), &told).unwrap();
        told.0.into_inner().unwrap()
    }

    fn rotations(&self, vault: &str) -> usize {
        let facts = self.keeper.facts().unwrap();
        let mine = |f: &&Fact| {
            matches!(f, Fact::KeyChange(k) if k.vault.as_str() == vault
                && k.change == KeyDeed::Rotated && !k.obligations.is_empty())
        };
        facts.iter().map(|r| &r.entry.fact).filter(mine).count()
    }
}

fn keeper(dir: &Path, policy: &str, clock: &Arc<ManualClock>) -> Keeper {
    let path = dir.join("policy.yaml");
    fs::write(&path, policy).unwrap();
    let file = PolicyFile::read(&path).unwrap();
    let policy = file.lowered.policy.unwrap();
    let tools = Tools {
        clock: clock.clone(),
        random: Arc::new(OsRandom),
        interrupt: Interrupt::manual(),
        spawn: Arc::new(LocalSpawn),
    };
    let state = State::at(dir.join("state"));
    init(
        policy,
        file.text.into_bytes(),
        state,
        tools,
        false,
        &Silent::default(),
    )
    .unwrap()
    .0
}

fn name(vault: &str) -> VaultName {
    VaultName::new(vault).unwrap()
}

#[test]
fn a_run_replaces_what_is_wrapped_when_it_is_due_and_only_tells_of_paper() {
    let w = World::new(POLICY);
    let passphrase = |vault| w.keeper.passphrase(&name(vault)).unwrap();
    let before = (passphrase("wrapped"), passphrase("paper"));
    w.run();
    assert_eq!((passphrase("wrapped"), passphrase("paper")), before);
    // Ninety days later a period has begun. The ledger learns of it by the run itself.
    w.days(90);
    w.run();
    let after = (passphrase("wrapped"), passphrase("paper"));
    assert_ne!(after.0, before.0);
    assert_eq!(after.1, before.1, "a sheet on paper became void unasked");
    assert_eq!((w.rotations("wrapped"), w.rotations("paper")), (1, 0));
    w.days(1);
    let told = w.run().join("\n");
    assert!(
        told.contains("key rotate paper") && told.contains("print the new"),
        "{told}"
    );
    assert_eq!(
        w.rotations("wrapped"),
        1,
        "it was replaced twice for one period"
    );
    // By hand it is fulfilled, and told no more.
    w.keeper
        .rotate_slot(&name("paper"), &Silent::default())
        .unwrap();
    assert_eq!(w.rotations("paper"), 1);
    assert!(!w.run().join("\n").contains("key rotate paper"));
    // The sheet was written anew.
    let sheet = fs::read_to_string(w.dir.path().join("state/recovery-sheet.txt")).unwrap();
    let new = passphrase("paper");
    assert!(sheet.contains(std::str::from_utf8(new.expose()).unwrap()));
}

#[test]
fn what_is_kept_elsewhere_is_replaced_by_hand_and_that_fulfils_it() {
    let by_hand = POLICY.replace(
        "paper: { url: ./paper,",
        "paper: { url: ./paper, password: { file: ./mine },",
    );
    let w = World::new(POLICY);
    let dir = w.dir.path().to_owned();
    let old = w.keeper.passphrase(&name("paper")).unwrap();
    let mine = |secret: &Secret| {
        vouchsafe_host::files::write_atomic(dir.join("mine"), secret.expose(), 0o600).unwrap();
    };
    mine(&old);
    let mut w = World {
        keeper: keeper(&dir, &by_hand, &w.clock),
        ..w
    };
    w.run();
    w.days(90);
    w.run();
    let old_slot = w
        .keeper
        .slots(&name("paper"))
        .unwrap()
        .slots
        .remove(0)
        .key
        .id;
    assert!(
        w.keeper
            .rotate_slot(&name("paper"), &Silent::default())
            .is_err()
    );
    let told = w.run().join("\n");
    assert!(told.contains("key add paper"), "{told}");
    let new = Secret::new(b"another one".to_vec());
    let given = NewPassphrase::Given(new.clone());
    w.keeper
        .add_slot(&name("paper"), given, &Silent::default())
        .unwrap();
    assert!(w.run().join("\n").contains("key add paper"));
    mine(&new);
    w.keeper = keeper(&dir, &by_hand, &w.clock);
    let (vault, slot) = (name("paper"), old_slot.to_hex());
    w.keeper
        .remove_slot(&vault, &slot, None, &Silent::default())
        .unwrap();
    assert!(!w.run().join("\n").contains("key add paper"));
}

#[test]
fn what_nobody_replaces_is_not_met() {
    let w = World::new(POLICY);
    let verdict = || {
        let judged = w.keeper.judge(None).unwrap();
        let one = judged.assessment.protections[0].clone();
        one.judgement(Question::Encrypted).unwrap().clone()
    };
    w.run();
    assert_eq!(verdict().verdict, Verdict::Met, "{:?}", verdict());
    w.days(190);
    w.run();
    let judged = verdict();
    assert_eq!(judged.verdict, Verdict::NotMet, "{judged:?}");
    assert!(
        judged.because.contains("vouchsafe key rotate paper"),
        "{judged:?}"
    );
    assert!(!judged.because.contains("key rotate wrapped"), "{judged:?}");
    w.keeper
        .rotate_slot(&name("paper"), &Silent::default())
        .unwrap();
    assert_eq!(verdict().verdict, Verdict::Met, "{:?}", verdict());
}
