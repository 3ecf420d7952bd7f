//! Stock restic finds whole what we prune, and we what it prunes.

use std::sync::Arc;

use crate::common::removing::*;
use crate::common::*;
use vouchsafe_format::Id;
use vouchsafe_store::LocalStore;
use vouchsafe_testkit::{Restic, TempDir, tempdir};
use vouchsafe_vault::PruneOptions;

fn local(dir: &TempDir) -> Arc<LocalStore> {
    Arc::new(LocalStore::create(dir.path().join("repo")).unwrap())
}

#[test]
fn ours_theirs_ours() {
    for restic in Restic::both() {
        let home = tempdir().unwrap();
        let repository = create(local(&home)).with_settings(small());
        let repo = home.path().join("repo");
        let run = |arguments: &[&str]| restic.run(arguments, &repo, PASSWORD).succeeded();
        let checked = || {
            let check = run(&["check", "--read-data"]);
            assert!(
                check.text().contains("no errors were found"),
                "{}",
                check.text()
            );
        };
        let all = generations(&repository, 8);
        // Ours.
        let (worklist, _) = prune(&repository, &known(&all[3..], &all[..3]), &strict()).unwrap();
        assert!(!worklist.repack.is_empty());
        checked();
        let left = run(&["prune", "--max-unused", "0", "--dry-run"]).text();
        let unused = left
            .lines()
            .find(|line| line.contains("unused size after prune"));
        assert!(unused.is_some_and(|line| line.contains("0 B")), "{left}");
        let total = left.lines().find(|line| line.contains("total prune"));
        assert!(total.is_some_and(|line| line.contains("0 blobs")), "{left}");
        // Theirs.
        run(&["forget", "--prune", "--max-unused", "0", &all[3].to_hex()]);
        must_be_sound(&repository);
        for (n, snapshot) in (4..).zip(&all[4..]) {
            must_hold(&repository, snapshot, n);
        }
        // Ours, with a snapshot of theirs, which nobody but restic knows.
        let data = home.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("theirs"), noise(77, 5_000)).unwrap();
        restic
            .call(["backup", "."], &repo, PASSWORD)
            .in_dir(&data)
            .run()
            .succeeded();
        let known = known(&all[5..], &all[..5]);
        let (worklist, report) = prune(&repository, &known, &PruneOptions::default()).unwrap();
        assert_eq!(worklist.unknown.len(), 1);
        assert_eq!(report.forgotten, all[4..5], "the others are gone already");
        checked();
        assert_eq!(
            run(&["dump", &worklist.unknown[0].to_hex(), "/theirs"]).stdout,
            noise(77, 5_000)
        );
        for (n, snapshot) in (5..).zip(&all[5..]) {
            must_hold(&repository, snapshot, n);
        }
        back_up(&repository, &generation(9)).unwrap();
        checked();
    }
}

#[test]
fn what_restic_made_is_pruned_and_restic_finds_no_fault() {
    for restic in Restic::both() {
        let home = tempdir().unwrap();
        let (repo, data) = (home.path().join("repo"), home.path().join("data"));
        restic.run(["init"], &repo, PASSWORD).succeeded();
        std::fs::create_dir(&data).unwrap();
        for n in 0..5 {
            for f in 0..40_u64 {
                if n == 0 || f % 4 == n % 4 {
                    let bytes = noise(f + 100 * n, 20_000);
                    std::fs::write(data.join(format!("f{f}")), bytes).unwrap();
                }
            }
            restic
                .call(["backup", "."], &repo, PASSWORD)
                .in_dir(&data)
                .run()
                .succeeded();
        }
        let repository = open(Arc::new(LocalStore::open(&repo).unwrap()));
        let all: Vec<Id> = repository
            .snapshots()
            .unwrap()
            .iter()
            .map(|(id, _)| *id)
            .collect();
        let (worklist, report) =
            prune(&repository, &known(&all[3..], &all[..3]), &strict()).unwrap();
        assert!(
            !worklist.repack.is_empty() && report.freed > 100_000,
            "{report:?}"
        );
        let check = restic
            .run(["check", "--read-data"], &repo, PASSWORD)
            .succeeded();
        assert!(
            check.text().contains("no errors were found"),
            "{}",
            check.text()
        );
        must_be_sound(&repository);
        let dumped = restic
            .run(["dump", "latest", "/f0"], &repo, PASSWORD)
            .succeeded();
        assert_eq!(dumped.stdout, std::fs::read(data.join("f0")).unwrap());
    }
}
