//! The signing key changed: what follows it, and what does not count as a change.

use std::collections::BTreeMap;

use crate::common::{
    self, composed, composed_by, entry, exported, key, other_key, postgres, said_by_python,
    said_by_us, series, sqlite,
};
use vouchsafe_ledger::verify::{Expected, verify_export_by};
use vouchsafe_ledger::{
    HeadRelation, Ledger, LedgerError, ObjectError, ProblemKind, PublishedObjects, RebuildError,
    SigningKey, VerifyReport, rebuild, verify_export,
};
use vouchsafe_model::{Entry, Fact};

fn third_key() -> SigningKey {
    SigningKey::from_seed([9; 32])
}

/// Five entries by the first key, the change, five by the second, the change, five by the third.
fn rotated(url: &str) -> Ledger {
    let mut ledger = Ledger::open(url, key()).unwrap();
    ledger.append(&series(0..5)).unwrap();
    let made = |secs| move |fact| entry(secs, fact);
    assert_eq!(ledger.rotate_key(other_key(), made(5)).unwrap(), 5);
    ledger.append(&series(6..11)).unwrap();
    assert_eq!(ledger.rotate_key(third_key(), made(11)).unwrap(), 11);
    ledger.append(&series(12..17)).unwrap();
    ledger
}

fn named(key: SigningKey) -> SigningKey {
    key.of_ledger(common::key().public().origin())
}

fn by(export: &[u8], vkey: Option<&str>, heads: &[String]) -> VerifyReport {
    let expected = Expected {
        vkey,
        heads,
        ..Expected::default()
    };
    verify_export_by(export, &expected).unwrap()
}

#[test]
fn the_record_goes_on_under_the_new_key() {
    for place in [sqlite(), postgres()] {
        let ledger = rotated(&place.url);
        let keys = [key(), named(other_key()), named(third_key())];
        let keys = keys.map(|key| key.public_key_text());
        assert_eq!(ledger.public_key().to_string(), keys[2]);
        assert!(ledger.verify(&[]).unwrap().is_sound());
        let heads: Vec<String> = (0..=17).map(|n| ledger.head_at(n).unwrap().note).collect();
        for note in &heads {
            assert!(ledger.relation(note).is_ok(), "{note}");
        }
        let export = exported(&ledger);
        assert!(export.starts_with(b"{\"format\":\"vouchsafe-ledger-export/2\""));
        for vkey in [None, Some(0), Some(1), Some(2)].map(|n| n.map(|n: usize| keys[n].as_str())) {
            let report = by(&export, vkey, &heads);
            assert!(report.is_sound(), "{report:#?}");
            assert_eq!(report.published_matched, 18);
            assert_eq!(report.public_key, keys[2]);
            let since: Vec<u64> = report.keys.later().iter().map(|(size, _)| *size).collect();
            assert_eq!(since, [6, 12]);
            let (said, text) = said_by_python(&export, vkey, &heads, &[]);
            assert_eq!(said, ("sound".to_owned(), None), "{text}");
            assert!(text.contains(&keys[1]) && text.contains(&keys[2]), "{text}");
        }
        // A key that never signed it.
        let fourth = named(SigningKey::from_seed([10; 32])).public_key_text();
        let report = by(&export, Some(&fourth), &[]);
        assert_eq!(report.problems[0].kind, ProblemKind::OtherKey);
        let (said, _) = said_by_python(&export, Some(&fourth), &[], &[]);
        assert_eq!(said, said_by_us(&report));

        drop(ledger);
        let again = Ledger::open(&place.url, third_key()).unwrap();
        again.append(&series(17..18)).unwrap();
        assert!(again.verify(&heads).unwrap().is_sound());
        for old in [key(), other_key()] {
            let refused = Ledger::open(&place.url, old).unwrap_err();
            assert!(matches!(refused, LedgerError::OtherKey { .. }), "{refused}");
        }
        assert_eq!(Ledger::open_reader(&place.url).unwrap().len().unwrap(), 18);
    }
}

#[test]
fn whoever_has_the_ledger_open_with_the_old_key_appends_no_more() {
    let place = sqlite();
    let late = place.open();
    let ledger = rotated(&place.url);
    let refused = late.append(&series(17..18)).unwrap_err();
    assert!(matches!(refused, LedgerError::OtherKey { .. }), "{refused}");
    let mut ledger = ledger;
    for used in [key(), other_key(), third_key()] {
        let refused = ledger.rotate_key(used, |fact| entry(17, fact)).unwrap_err();
        assert!(
            matches!(refused, LedgerError::KeyUsedBefore { .. }),
            "{refused}"
        );
    }
    assert_eq!(ledger.len().unwrap(), 17);
    ledger.append(&series(17..18)).unwrap();
    assert!(ledger.verify(&[]).unwrap().is_sound());
    let mut reader = Ledger::open_reader(&place.url).unwrap();
    let refused = reader.rotate_key(SigningKey::from_seed([10; 32]), |fact| entry(18, fact));
    assert!(matches!(refused, Err(LedgerError::ReadOnly { .. })));
}

/// The bodies of a ledger with one change of key, and their changed twin signed again by whoever has both keys.
#[test]
fn a_change_that_not_both_keys_have_signed_is_refused() {
    let place = sqlite();
    let mut ledger = place.open();
    ledger.append(&series(0..5)).unwrap();
    ledger
        .rotate_key(other_key(), |fact| entry(5, fact))
        .unwrap();
    ledger.append(&series(6..9)).unwrap();
    let entries: Vec<Entry> = ledger
        .read_all()
        .unwrap()
        .into_iter()
        .map(|r| r.entry)
        .collect();
    let (first, second) = (key(), named(other_key()));
    let signer = |size| if size < 6 { &first } else { &second };
    let export = |entries: &[Entry]| {
        let bodies: Vec<_> = entries
            .iter()
            .map(|e| serde_json::to_vec(e).unwrap())
            .collect();
        composed_by(&first, signer, 2, &bodies)
    };
    assert_eq!(export(&entries), exported(&ledger));
    let refused = |name: &str, damage: &dyn Fn(&mut vouchsafe_model::SigningKeyChange)| {
        let mut entries = entries.clone();
        let Fact::LedgerKeyRotated(change) = &mut entries[5].fact else {
            panic!("{:?}", entries[5]);
        };
        damage(change);
        let export = export(&entries);
        let report = by(&export, None, &[]);
        assert_eq!(report.first_wrong(), Some(5), "{name}: {report:#?}");
        let kinds: Vec<_> = report.problems.iter().map(|p| p.kind).collect();
        assert!(
            kinds.contains(&ProblemKind::KeyChange),
            "{name}: {report:#?}"
        );
        let (said, text) = said_by_python(&export, None, &[], &[]);
        assert_eq!(said, ("wrong".to_owned(), Some(5)), "{name}: {text}");
    };
    let without = |nth: usize| {
        move |change: &mut vouchsafe_model::SigningKeyChange| {
            let mut lines: Vec<&str> = change.note.split_inclusive('\n').collect();
            lines.remove(lines.len() - nth);
            change.note = lines.concat();
        }
    };
    refused("only the old key", &without(1));
    refused("only the new key", &without(2));
    refused("neither", &|change| {
        without(1)(change);
        change.note = change.note.rsplit_once("\u{2014}").unwrap().0.to_owned();
    });
    refused("of another place", &|change| {
        change.note = change.note.replacen("\n5\n", "\n6\n", 1);
    });
    let third = named(third_key()).public_key_text();
    refused("to a third key", &|change| change.to = third.clone());
    let stranger = other_key().public_key_text();
    refused("to another ledger's key", &|change| {
        change.to = stranger.clone()
    });
}

#[test]
fn a_record_that_an_old_key_has_continued_is_seen() {
    let place = sqlite();
    let ledger = rotated(&place.url);
    let newest = ledger.public_key().to_string();
    let seen = [ledger.head_at(12).unwrap().note];
    // Whoever has kept the first key goes on from before the change.
    let bodies = ledger.read_bytes(0..5).unwrap();
    let forged = composed(&key(), &bodies);
    assert!(
        verify_export(forged.as_slice(), None, &[])
            .unwrap()
            .is_sound()
    );
    let report = by(&forged, Some(&newest), &[]);
    assert_eq!(report.problems[0].kind, ProblemKind::OtherKey);
    let (said, _) = said_by_python(&forged, Some(&newest), &[], &[]);
    assert_eq!(said, said_by_us(&report));
    assert!(!by(&forged, None, &seen).is_sound());
}

#[derive(Default)]
struct Vault(BTreeMap<String, Vec<u8>>);

impl PublishedObjects for Vault {
    fn names(&mut self, prefix: &str) -> Result<Vec<String>, ObjectError> {
        let names = self.0.keys().filter(|name| name.starts_with(prefix));
        Ok(names.cloned().collect())
    }

    fn load(&mut self, name: &str) -> Result<Vec<u8>, ObjectError> {
        Ok(self.0.get(name).ok_or("not there")?.clone())
    }
}

#[test]
fn what_was_published_before_and_after_a_change_comes_back() {
    let place = sqlite();
    let ledger = rotated(&place.url);
    let mut vault = Vault::default();
    for (from, to) in [(0, 4), (4, 6), (6, 17)] {
        for object in ledger.publication(from, to, &<[u8]>::to_vec).unwrap() {
            vault.0.entry(object.name).or_insert(object.bytes);
        }
    }
    let id = ledger.public_key().ledger_id().to_owned();
    let newest = ledger.public_key().to_string();
    let open = |bytes: &[u8]| -> Result<Vec<u8>, ObjectError> { Ok(bytes.to_vec()) };
    for expected in [None, Some(key().public_key_text()), Some(newest)] {
        let rebuilt = rebuild(&mut vault, &id, expected.as_deref(), &open).unwrap();
        assert_eq!((rebuilt.len(), rebuilt.heads().len()), (17, 3));
        let fresh = sqlite();
        let refused = Ledger::restore(&fresh.url, Some(key()), &rebuilt).unwrap_err();
        assert!(matches!(refused, LedgerError::OtherKey { .. }), "{refused}");
        let back = Ledger::restore(&fresh.url, Some(third_key()), &rebuilt).unwrap();
        assert_eq!(exported(&back), exported(&ledger));
        assert_eq!(
            back.relation(&ledger.head().unwrap().note).unwrap(),
            HeadRelation::Equal
        );
        back.append(&series(17..18)).unwrap();
        assert!(back.verify(&[]).unwrap().is_sound());
        drop(back);
        assert!(Ledger::open(&fresh.url, third_key()).is_ok());
    }
    let fourth = named(SigningKey::from_seed([10; 32])).public_key_text();
    let refused = rebuild(&mut vault, &id, Some(&fourth), &open).unwrap_err();
    assert!(
        matches!(refused, RebuildError::OtherKey { .. }),
        "{refused}"
    );
    // A head that the first key signs after the second has taken over is none.
    let forged = vouchsafe_ledger::SignedHead::sign(&key(), 6, ledger.head_at(6).unwrap().root);
    let name = vouchsafe_ledger::publish::head_name(&id, 6);
    vault.0.insert(name, forged.note.into_bytes());
    let refused = rebuild(&mut vault, &id, None, &open).unwrap_err();
    assert!(matches!(refused, RebuildError::Head { .. }), "{refused}");
    assert!(ledger.relation(&forged_note(&ledger)).is_err());
}

fn forged_note(ledger: &Ledger) -> String {
    let head = ledger.head_at(6).unwrap();
    vouchsafe_ledger::SignedHead::sign(&key(), 6, head.root).note
}
