//! After every repair stock restic finds nothing to complain of.

use std::sync::Arc;

use crate::common::damages::*;
use crate::common::*;
use vouchsafe_capture::NoProgress;
use vouchsafe_store::{LocalStore, Store};
use vouchsafe_testkit::{Restic, tempdir};
use vouchsafe_vault::LockKind;

fn checks(restic: &Restic, dir: &std::path::Path) -> bool {
    let run = restic.run(["check", "--read-data"], dir, PASSWORD);
    run.is_success()
}

#[test]
fn restic_finds_what_we_healed_to_be_whole() {
    let restic = Restic::newest();
    for (name, damage) in DAMAGES {
        let dir = tempdir().unwrap();
        let place = dir.path().join("repo");
        let near: Arc<dyn Store> = Arc::new(LocalStore::create(&place).unwrap());
        let far: Arc<dyn Store> = memory();
        two_vaults(&near, &far);
        damage(&Victim::of(&near));
        assert!(
            !checks(&restic, &place) || name == "a pack listed twice",
            "restic does not mind: {name}"
        );
        let (repository, other) = (open_small(near), open_small(far));
        {
            let lock = repository.lock(LockKind::Exclusive).unwrap();
            let plan = repository.plan_index_repair(&NoProgress).unwrap();
            repository.repair_index(&plan, &lock).unwrap();
            let plan = repository
                .plan_pack_repair(&[], &[&other], &NoProgress)
                .unwrap();
            repository
                .repair_packs(&plan, &[&other], &lock, &NoProgress)
                .unwrap();
        }
        assert!(checks(&restic, &place), "{name}");
    }
}

#[test]
fn restic_finds_what_we_saved_alone_to_be_sound() {
    let restic = Restic::newest();
    for (name, damage) in DAMAGES {
        let dir = tempdir().unwrap();
        let place = dir.path().join("repo");
        let near: Arc<dyn Store> = Arc::new(LocalStore::create(&place).unwrap());
        two_vaults(&near, &(memory() as Arc<dyn Store>));
        damage(&Victim::of(&near));
        let repository = open_small(near);
        {
            let lock = repository.lock(LockKind::Exclusive).unwrap();
            let plan = repository.plan_index_repair(&NoProgress).unwrap();
            repository.repair_index(&plan, &lock).unwrap();
            let plan = repository.plan_pack_repair(&[], &[], &NoProgress).unwrap();
            repository
                .repair_packs(&plan, &[], &lock, &NoProgress)
                .unwrap();
            let plan = repository.plan_snapshot_repair(&NoProgress).unwrap();
            repository.repair_snapshots(&plan, true, &lock).unwrap();
        }
        assert!(checks(&restic, &place), "{name}");
    }
}
