//! A vault less locked than its policy says is no vault as the policy asks for.

use vouchsafe_model::fact::{ExpiredCopy, Expiry, Pruning};
use vouchsafe_model::{
    CopyLock, Fact, HiddenObject, LockMode, Question, RunId, Span, Time, VaultLocks, VaultName,
    Verdict,
};

use super::world::{NOW, World, t};

/// Everything went well, and vault `b` is to be locked for 30 days.
fn locked() -> World {
    let mut world =
        World::with(|text| text.replace("url: /v/b,", "url: /v/b, retention_lock: 30 days,"));
    world.fill();
    world
}

/// The last copy into `b` was locked like this.
fn copy_locked(world: &mut World, lock: CopyLock) {
    let copies = world.facts.iter_mut().rev();
    let mut copies = copies.filter_map(|r| match &mut r.entry.fact {
        Fact::Copy(copy) if copy.vault.as_str() == "b" => Some(copy),
        _ => None,
    });
    copies.next().expect("a copy").lock = Some(lock);
}

fn of_copy(days: u64) -> CopyLock {
    CopyLock {
        mode: LockMode::Compliance,
        until: Some(t(NOW).plus(Span::from_days(days))),
        objects: 3,
        unlocked: 0,
    }
}

fn reading(first_ends: Time) -> VaultLocks {
    VaultLocks {
        vault: VaultName::new("b").unwrap(),
        run: None,
        read: t("2026-06-10T11:00:00Z"),
        wanted: "30d".into(),
        mode: LockMode::Compliance,
        objects: 40,
        unlocked: 0,
        short: 0,
        weak: 0,
        soonest: Some(first_ends),
        extended: 0,
    }
}

#[track_caller]
fn read_as(locks: VaultLocks, verdict: Verdict, because: &str) {
    let mut world = locked();
    world.add(t("2026-06-10T11:00:00Z"), Fact::Locks(locks));
    world.expect(Question::Copies, verdict, because);
}

#[test]
fn a_vault_whose_locks_nobody_read_is_unproven() {
    locked().expect(
        Question::Copies,
        Verdict::Unproven,
        "no lock in b was read back yet",
    );
}

#[test]
fn a_vault_as_locked_as_its_policy_says_is_met() {
    let whole = reading(t(NOW).plus(Span::from_days(20)));
    read_as(
        whole,
        Verdict::Met,
        "b is locked until 2026-06-30 12:00 UTC",
    );
    let mut world = locked();
    copy_locked(&mut world, of_copy(30));
    world.expect(
        Question::Copies,
        Verdict::Met,
        "b is locked until 2026-07-10",
    );
}

#[test]
fn a_vault_less_locked_than_its_policy_says_is_not_met() {
    let whole = reading(t(NOW).plus(Span::from_days(20)));
    let one = |change: fn(&mut VaultLocks)| {
        let mut locks = whole.clone();
        change(&mut locks);
        locks
    };
    for locks in [
        one(|l| l.unlocked = 1),
        one(|l| l.short = 1),
        one(|l| l.weak = 1),
    ] {
        read_as(
            locks,
            Verdict::NotMet,
            "b is less locked than the policy says",
        );
    }
    let weak = one(|l| l.mode = LockMode::Governance);
    read_as(
        weak,
        Verdict::NotMet,
        "of governance mode, the policy says compliance",
    );
    // Nobody has extended anything since.
    let old = reading(t(NOW).plus(Span::from_days(14)));
    read_as(old, Verdict::NotMet, "the first lock in b ends 2026-06-24");
    read_as(
        reading(t("2026-06-10T11:30:00Z")),
        Verdict::NotMet,
        "ends 2026-06-10",
    );
}

#[test]
fn what_came_after_the_last_reading_tells_for_itself() {
    for (lock, because) in [
        (
            CopyLock {
                until: None,
                unlocked: 2,
                ..of_copy(30)
            },
            "2 of 3 objects of the newest copy in b are not locked",
        ),
        (
            CopyLock {
                mode: LockMode::Governance,
                ..of_copy(30)
            },
            "locked in governance mode",
        ),
        (of_copy(10), "less than half of 30d away"),
    ] {
        let mut world = locked();
        copy_locked(&mut world, lock.clone());
        world.expect(Question::Copies, Verdict::NotMet, because);
        // A later reading of the whole vault counts instead.
        let whole = reading(t(NOW).plus(Span::from_days(20)));
        world.add(t("2026-06-10T11:00:00Z"), Fact::Locks(whole));
        world.expect(Question::Copies, Verdict::Met, "b is locked until");
    }
}

/// The point of the first day was let go and removed from `b`, where a lock keeps it until `until`.
fn hidden(until: &str, erased: bool) -> World {
    let mut world = World::with(|text| {
        text.replace(
            "at_least: 7 days, at_most: 30 days, grace: 1 day",
            "at_most: 5 days, grace: 1 day",
        )
    });
    world.fill();
    let run = RunId::new("r-2").unwrap();
    let mut gone = |at: Time, vault: &str, objects: Vec<HiddenObject>, erased: Vec<String>| {
        let vault = VaultName::new(vault).unwrap();
        let copies: Vec<ExpiredCopy> = world
            .facts
            .iter()
            .filter_map(|r| match &r.entry.fact {
                Fact::Copy(copy)
                    if copy.vault == vault && copy.completed < t("2026-06-05T00:00:00Z") =>
                {
                    Some(ExpiredCopy {
                        point: copy.point.clone(),
                        protection: copy.protection.clone(),
                        snapshot: copy.snapshot.clone(),
                        tree: copy.tree.clone(),
                        reason: String::new(),
                        erase: true,
                    })
                }
                _ => None,
            })
            .collect();
        let snapshots = copies.iter().map(|copy| copy.snapshot.clone()).collect();
        world.add(
            at,
            Fact::Expired(Expiry {
                vault: vault.clone(),
                run: run.clone(),
                copies,
            }),
        );
        world.add(
            at,
            Fact::Pruned(Pruning {
                vault,
                run: run.clone(),
                obligations: Vec::new(),
                completed: at,
                mode: "locked".into(),
                snapshots,
                packs_removed: 1,
                bytes_freed: 0,
                bytes_rewritten: 0,
                pending: Vec::new(),
                unknown_kept: 0,
                refused: Vec::new(),
                hidden: objects,
                erased,
            }),
        );
    };
    let object = HiddenObject {
        object: "repo/data/00/00".into(),
        until: Some(t(until)),
    };
    let at = t("2026-06-10T10:00:00Z");
    gone(at, "a", Vec::new(), Vec::new());
    gone(at, "b", vec![object.clone()], Vec::new());
    if erased {
        gone(
            t("2026-06-10T11:00:00Z"),
            "b",
            Vec::new(),
            vec![object.object],
        );
    }
    world
}

#[test]
fn what_must_be_gone_and_a_lock_keeps_is_said_with_its_date() {
    hidden("2026-07-01T00:00:00Z", false).expect(
        Question::Retained,
        Verdict::NotMet,
        "1 object that must be gone from b hidden and locked until 2026-07-01 00:00 UTC",
    );
    hidden("2026-07-01T00:00:00Z", true).expect(Question::Retained, Verdict::Met, "let go");
}
