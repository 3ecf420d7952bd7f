//! One suite for SQLite and PostgreSQL.

use std::collections::BTreeSet;

use crate::common::{
    self, Place, answer, at, due, entry, exported, horizon, key, numbered, obligation, other_key,
    series,
};
use vouchsafe_ledger::{
    Corruption, Fork, Frontier, HeadRelation, Ledger, LedgerError, MAX_BATCH, MAX_ENTRY,
    ProblemKind, SignedHead, leaf_hash,
};
use vouchsafe_model::{Fact, Span};

macro_rules! on_both {
    ($($test:ident)*) => {
        mod on_sqlite {
            $(#[test] fn $test() { super::$test(&super::common::sqlite()); })*
        }
        mod on_postgres {
            $(#[test] fn $test() { super::$test(&super::common::postgres()); })*
        }
    };
}

on_both! {
    what_was_appended_is_read_back
    the_head_is_the_tree_of_the_stored_bytes
    any_split_into_batches_gives_the_same_record
    several_writers_make_one_record
    a_decision_on_an_older_state_is_refused
    a_lease_that_passed_on_writes_nothing
    projections_follow_the_entries
    a_ledger_belongs_to_its_key
    a_reader_needs_no_key_and_writes_nothing
    heads_found_elsewhere_are_compared
    damage_in_the_database_is_found
    a_damaged_tree_is_not_continued
    too_much_is_refused_whole
}

fn what_was_appended_is_read_back(place: &Place) {
    let ledger = place.open();
    assert!(ledger.is_empty().unwrap());
    assert_eq!(ledger.append(&[]).unwrap(), 0..0);
    assert_eq!(ledger.append(&series(0..3)).unwrap(), 0..3);
    assert_eq!(ledger.append(&series(3..200)).unwrap(), 3..200);
    drop(ledger);
    let ledger = place.open();
    assert_eq!(ledger.len().unwrap(), 200);
    let all = ledger.read_all().unwrap();
    assert!(
        (0..)
            .zip(&all)
            .all(|(n, r)| r.seq == n && r.entry == numbered(n))
    );
    let bytes = ledger.read_bytes(5..7).unwrap();
    assert_eq!(bytes[0], serde_json::to_vec(&numbered(5)).unwrap());
    assert!(ledger.read(7..7).unwrap().is_empty());
    assert!(matches!(
        ledger.read(199..201),
        Err(LedgerError::Range { size: 200, .. })
    ));
    assert!(ledger.verify(&[]).unwrap().is_sound());
}

fn the_head_is_the_tree_of_the_stored_bytes(place: &Place) {
    let ledger = place.open();
    let mut tree = Frontier::new();
    ledger.append(&series(0..20)).unwrap();
    for (n, bytes) in (0..).zip(ledger.read_bytes(0..20).unwrap()) {
        let head = ledger.head_at(n).unwrap();
        assert_eq!((head.size, head.root), (n, tree.root()));
        assert_eq!(
            SignedHead::parse(&head.note, ledger.public_key()).unwrap(),
            head
        );
        tree.push(leaf_hash(&bytes));
    }
    let head = ledger.head().unwrap();
    assert_eq!((head.size, head.root), (20, tree.root()));
    assert!(head.note.starts_with(&format!("{}\n20\n", ledger.origin())));
    assert!(ledger.head_at(21).is_err());
}

fn any_split_into_batches_gives_the_same_record(place: &Place) {
    let ledger = place.open();
    for range in [0..1, 1..1, 1..8, 8..40, 40..41] {
        ledger.append(&series(range)).unwrap();
    }
    let at_once = common::sqlite().open();
    at_once.append(&series(0..41)).unwrap();
    assert_eq!(exported(&ledger), exported(&at_once));
}

fn several_writers_make_one_record(place: &Place) {
    std::thread::scope(|scope| {
        for writer in 0..4u64 {
            scope.spawn(move || {
                let ledger = place.open();
                for round in 0..8 {
                    let first = writer * 1000 + round * 10;
                    let got = ledger.append(&series(first..first + 5)).unwrap();
                    assert_eq!(got.end - got.start, 5);
                    let back = ledger.read(got).unwrap();
                    assert_eq!(back[0].entry, numbered(first), "batches do not mix");
                }
            });
        }
    });
    let ledger = place.open();
    assert_eq!(ledger.len().unwrap(), 4 * 8 * 5);
    std::thread::scope(|scope| {
        for writer in 4..7 {
            let ledger = &ledger;
            scope.spawn(move || ledger.append(&series(writer..writer + 1)).unwrap());
        }
    });
    assert_eq!(ledger.len().unwrap(), 4 * 8 * 5 + 3);
    assert!(ledger.verify(&[]).unwrap().is_sound());
}

fn a_decision_on_an_older_state_is_refused(place: &Place) {
    let (ours, theirs) = (place.open(), place.open());
    ours.append_at(0, &series(0..2)).unwrap();
    let refused = theirs.append_at(0, &series(2..3));
    assert!(matches!(
        refused,
        Err(LedgerError::Stale {
            expected: 0,
            actual: 2
        })
    ));
    assert_eq!(theirs.append_at(2, &series(2..3)).unwrap(), 2..3);
    assert_eq!(ours.len().unwrap(), 3);
}

fn a_lease_that_passed_on_writes_nothing(place: &Place) {
    let ledger = place.open();
    let long = Span::from_secs(60);
    let first = ledger.take_lease("prune", "one", at(0), long).unwrap();
    let held = ledger.take_lease("prune", "two", at(59), long);
    assert!(matches!(held, Err(LedgerError::Leased { holder, .. }) if holder == "one"));
    let first = ledger.renew_lease(&first, at(30), long).unwrap();
    assert!(ledger.take_lease("prune", "two", at(61), long).is_err());
    ledger.append_under(&first, &series(0..1)).unwrap();
    let second = ledger.take_lease("prune", "two", at(91), long).unwrap();
    assert!(second.token > first.token);
    let late = ledger.append_under(&first, &series(1..2));
    assert!(matches!(late, Err(LedgerError::LeaseLost { .. })));
    assert!(ledger.renew_lease(&first, at(92), long).is_err());
    assert_eq!(ledger.len().unwrap(), 1);
    ledger.append_under(&second, &series(1..2)).unwrap();
    ledger.release_lease(second).unwrap();
    assert!(ledger.take_lease("prune", "one", at(92), long).is_ok());
    assert!(ledger.take_lease("other", "two", at(92), long).is_ok());
}

fn projections_follow_the_entries(place: &Place) {
    let ledger = place.open();
    assert_eq!(ledger.horizon().unwrap(), None);
    let (a, b, c) = (obligation(1, 10), obligation(2, 20), obligation(3, 30));
    let withdrawn = Fact::ObligationsWithdrawn {
        obligations: vec![b.id.clone()],
        policy: "00".into(),
    };
    let batch = [
        due(0, &a),
        due(0, &b),
        due(0, &a),
        horizon(0, 50),
        horizon(1, 40),
    ];
    ledger.append(&batch).unwrap();
    assert_eq!(ledger.horizon().unwrap(), Some(at(50)));
    ledger.append(&[entry(2, withdrawn), due(3, &c)]).unwrap();
    let known = BTreeSet::from([a.id.clone(), c.id.clone()]);
    assert_eq!(ledger.known_obligation_ids().unwrap(), known);
    assert!(ledger.verify(&[]).unwrap().is_sound());

    assert_eq!(
        place.tamper("DELETE FROM ledger_obligation WHERE seq = 0"),
        1
    );
    assert!(matches!(
        ledger.verify(&[]),
        Err(LedgerError::Corrupt {
            source: Corruption::Projection { .. },
            ..
        })
    ));
    place.tamper("UPDATE ledger_state SET horizon = NULL");
    ledger.rebuild_projections().unwrap();
    assert_eq!(ledger.known_obligation_ids().unwrap(), known);
    assert_eq!(ledger.horizon().unwrap(), Some(at(50)));
    assert!(ledger.verify(&[]).unwrap().is_sound());
}

fn a_ledger_belongs_to_its_key(place: &Place) {
    place.open().append(&series(0..1)).unwrap();
    let refused = Ledger::open(&place.url, other_key()).unwrap_err();
    assert!(matches!(refused, LedgerError::OtherKey { .. }), "{refused}");
}

fn a_reader_needs_no_key_and_writes_nothing(place: &Place) {
    assert!(Ledger::open_reader(&place.url).is_err(), "nothing is there");
    let ledger = place.open();
    assert!(Ledger::open_reader(&place.url).unwrap().is_empty().unwrap());
    ledger.append(&series(0..2)).unwrap();
    let reader = Ledger::open_reader(&place.url).unwrap();
    assert_eq!(reader.head().unwrap(), ledger.head().unwrap());
    assert_eq!(reader.head_at(0).unwrap(), ledger.head_at(0).unwrap());
    let refused = reader.append(&series(2..3));
    assert!(matches!(refused, Err(LedgerError::ReadOnly { .. })));
}

fn heads_found_elsewhere_are_compared(place: &Place) {
    let ledger = place.open();
    ledger.append(&series(0..5)).unwrap();
    let fork = common::sqlite().open();
    fork.append(&series(1..9)).unwrap();
    let note = |ledger: &Ledger, size| ledger.head_at(size).unwrap().note;
    assert_eq!(
        ledger.relation(&note(&ledger, 5)).unwrap(),
        HeadRelation::Equal
    );
    assert_eq!(
        ledger.relation(&note(&ledger, 0)).unwrap(),
        HeadRelation::Earlier
    );
    assert_eq!(
        ledger.relation(&note(&fork, 8)).unwrap(),
        HeadRelation::Longer
    );
    for size in [3, 5] {
        let ours = ledger.head_at(size).unwrap().root;
        let theirs = fork.head_at(size).unwrap().root;
        let Err(LedgerError::Fork(found)) = ledger.relation(&note(&fork, size)) else {
            panic!("the fork at {size} was not seen");
        };
        assert_eq!(found, Fork::Roots { size, ours, theirs });
    }
    let foreign = SignedHead::sign(&other_key(), 5, ledger.head().unwrap().root);
    assert!(matches!(
        ledger.relation(&foreign.note),
        Err(LedgerError::Fork(Fork::OtherLedger { .. }))
    ));
    let forged = note(&ledger, 5).replacen("\n5\n", "\n6\n", 1);
    assert!(matches!(
        ledger.relation(&forged),
        Err(LedgerError::Head(_))
    ));
}

fn damage_in_the_database_is_found(place: &Place) {
    let ledger = place.open();
    ledger.append(&series(0..70)).unwrap();
    let twelve = String::from_utf8(ledger.read_bytes(12..13).unwrap().remove(0)).unwrap();
    let edited = twelve.replace("capture", "neglect").replace('\'', "''");
    let bytes = |text: &str| {
        let hex = hex::encode(text);
        match place.url.starts_with("sqlite") {
            true => format!("x'{hex}'"),
            false => format!("'\\x{hex}'::bytea"),
        }
    };
    place.tamper(&format!(
        "UPDATE ledger_entry SET body = {} WHERE seq = 12",
        bytes(&edited)
    ));
    let report = place.open().verify(&[]).unwrap();
    assert_eq!(report.first_wrong(), Some(12));
    assert_eq!(report.problems[0].kind, ProblemKind::Edited);
    place.tamper(&format!(
        "UPDATE ledger_entry SET body = {} WHERE seq = 12",
        bytes(&twelve)
    ));
    assert!(place.open().verify(&[]).unwrap().is_sound());

    place.tamper("UPDATE ledger_entry SET root = leaf WHERE seq = 30");
    assert!(matches!(
        place.open().verify(&[]),
        Err(LedgerError::Corrupt {
            source: Corruption::Root { size: 31, .. },
            ..
        })
    ));
    place.tamper("UPDATE ledger_entry SET leaf = root WHERE seq = 40");
    assert!(matches!(
        Ledger::open(&place.url, key()),
        Err(LedgerError::Corrupt {
            source: Corruption::Root { size: 70, .. },
            ..
        })
    ));
    place.tamper("DELETE FROM ledger_entry WHERE seq = 69");
    assert!(matches!(
        Ledger::open(&place.url, key()),
        Err(LedgerError::Corrupt {
            source: Corruption::Count {
                stated: 70,
                found: 69
            },
            ..
        })
    ));
    place.tamper("DELETE FROM ledger_entry WHERE seq = 3");
    assert!(matches!(
        Ledger::open(&place.url, key()),
        Err(LedgerError::Corrupt {
            source: Corruption::Entry { seq: 3 },
            ..
        })
    ));
}

fn a_damaged_tree_is_not_continued(place: &Place) {
    let ledger = place.open();
    ledger.append(&series(0..3)).unwrap();
    place.tamper("UPDATE ledger_entry SET root = leaf WHERE seq = 2");
    let refused = ledger.append(&series(3..4));
    assert!(matches!(refused, Err(LedgerError::Corrupt { .. })));
    assert_eq!(ledger.len().unwrap(), 3);
}

fn too_much_is_refused_whole(place: &Place) {
    let ledger = place.open();
    let many = vec![numbered(0); MAX_BATCH + 1];
    assert!(matches!(
        ledger.append(&many),
        Err(LedgerError::TooMany { .. })
    ));
    let mut large = numbered(1);
    large.actor = "x".repeat(MAX_ENTRY);
    assert!(matches!(
        ledger.append(&[numbered(0), large]),
        Err(LedgerError::TooLarge { index: 1, .. })
    ));
    let mut newer = numbered(0);
    newer.v = 2;
    assert!(matches!(
        ledger.append(&[newer]),
        Err(LedgerError::Version { given: 2, .. })
    ));
    assert!(ledger.is_empty().unwrap());
}

#[test]
fn answers_are_counted_in_self_checks() {
    let ledger = common::sqlite().open();
    let (a, b) = (obligation(0, 5), obligation(1, 6));
    ledger
        .append(&[due(0, &a), due(0, &b), answer(4, &[&a.id]), numbered(10)])
        .unwrap();
    let report = ledger.verify(&[]).unwrap();
    assert_eq!(report.obligations_without_facts, [b]);
}

#[test]
fn urls_that_are_none_and_calls_from_async_code_are_refused() {
    for bad in ["", "ledger.db", "mysql://x/y", "sqlite:", "sqlite:file:x"] {
        let refused = Ledger::open(bad, key()).unwrap_err();
        assert!(
            matches!(refused, LedgerError::Url { .. }),
            "{bad}: {refused}"
        );
    }
    let nowhere = Ledger::open("postgres://me:hush@localhost:1/x?password=hush", key());
    let text = format!("{nowhere:?} {}", nowhere.as_ref().unwrap_err());
    assert!(!text.contains("hush"), "{text}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let inside = runtime.block_on(async { Ledger::open(&common::sqlite().url, key()) });
    assert!(matches!(inside, Err(LedgerError::InsideRuntime)));
}
