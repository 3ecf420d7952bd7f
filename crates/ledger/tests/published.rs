//! What goes to a vault, and the ledger that comes back from there.

use std::collections::BTreeMap;
use std::error::Error;

use crate::common::{self, exported, horizon, key, other_key, series, sqlite};
use vouchsafe_ledger::publish::ledger_ids;
use vouchsafe_ledger::{
    Fork, Ledger, LedgerError, PublishedObject, PublishedObjects, RebuildError, Rebuilt,
    SignedHead, leaf_hash, rebuild,
};

type Problem = Box<dyn Error + Send + Sync>;

#[derive(Clone, Default)]
struct Vault(BTreeMap<String, Vec<u8>>);

impl PublishedObjects for Vault {
    fn names(&mut self, prefix: &str) -> Result<Vec<String>, Problem> {
        let names = self.0.keys().filter(|name| name.starts_with(prefix));
        Ok(names.rev().cloned().collect())
    }

    fn load(&mut self, name: &str) -> Result<Vec<u8>, Problem> {
        self.0.get(name).cloned().ok_or_else(|| "absent".into())
    }
}

impl Vault {
    fn put(&mut self, objects: Vec<PublishedObject>) {
        for object in objects {
            self.0.entry(object.name).or_insert(object.bytes);
        }
    }

    fn named(&mut self, part: &str) -> (String, &mut Vec<u8>) {
        let (name, bytes) = self
            .0
            .iter_mut()
            .find(|(name, _)| name.contains(part))
            .unwrap();
        (name.clone(), bytes)
    }

    fn rebuild(&mut self) -> Result<Rebuilt, RebuildError> {
        let key = key();
        let id = key.public().ledger_id().to_owned();
        rebuild(self, &id, Some(&key.public_key_text()), &open)
    }
}

fn seal(plain: &[u8]) -> Vec<u8> {
    let body = plain.iter().map(|b| b ^ 0x5a);
    body.chain(leaf_hash(plain).0).collect()
}

fn open(sealed: &[u8]) -> Result<Vec<u8>, Problem> {
    let (body, tag) = sealed.split_last_chunk::<32>().ok_or("short")?;
    let plain: Vec<u8> = body.iter().map(|b| b ^ 0x5a).collect();
    if leaf_hash(&plain).0 == *tag {
        Ok(plain)
    } else {
        Err("damaged".into())
    }
}

/// A ledger of 30 entries that was published at 3, 10 and 30.
fn published() -> (common::Place, Ledger, Vault) {
    let place = sqlite();
    let ledger = place.open();
    let mut vault = Vault::default();
    let mut from = 0;
    for to in [3, 10, 30] {
        ledger.append(&series(from..to)).unwrap();
        vault.put(ledger.publication(from, to, &seal).unwrap());
        from = to;
    }
    (place, ledger, vault)
}

#[test]
fn a_ledger_comes_back_equal() {
    for to in [sqlite(), common::postgres()] {
        let (_place, ledger, mut vault) = published();
        let id = key().public().ledger_id().to_owned();
        assert_eq!(ledger_ids(&mut vault).unwrap(), vec![id.clone()]);
        let names: Vec<_> = vault.0.keys().cloned().collect();
        let expected = [
            "heads/00000000000000000003",
            "heads/00000000000000000010",
            "heads/00000000000000000030",
            "segments/00000000000000000000-00000000000000000002.jsonl",
            "segments/00000000000000000003-00000000000000000009.jsonl",
            "segments/00000000000000000010-00000000000000000029.jsonl",
            "vkey",
        ];
        assert_eq!(names, expected.map(|name| format!("{id}/{name}")));
        let rebuilt = vault.rebuild().unwrap();
        assert_eq!(rebuilt.head(), Some(&ledger.head().unwrap()));
        assert_eq!((rebuilt.len(), rebuilt.heads().len()), (30, 3));
        assert!(rebuilt.bodies().eq(ledger.read_bytes(0..30).unwrap()));

        let key_again = vouchsafe_ledger::SigningKey::from_seed(*key().to_seed());
        let restored = Ledger::restore(&to.url, Some(key_again), &rebuilt).unwrap();
        assert_eq!(exported(&restored), exported(&ledger));
        assert!(restored.verify(&[]).unwrap().is_sound());
        restored.append(&[horizon(0, 9)]).unwrap();
        assert_eq!(restored.horizon().unwrap(), Some(common::at(9)));
        let again = Ledger::restore(&to.url, Some(key()), &rebuilt);
        assert!(matches!(
            again,
            Err(LedgerError::NotEmpty { entries: 31, .. })
        ));
    }
}

#[test]
fn without_the_key_it_can_be_read() {
    let (_place, ledger, mut vault) = published();
    let to = sqlite();
    let rebuilt = vault.rebuild().unwrap();
    let refused = Ledger::restore(&to.url, Some(other_key()), &rebuilt);
    assert!(matches!(refused, Err(LedgerError::OtherKey { .. })));
    let reader = Ledger::restore(&to.url, None, &rebuilt).unwrap();
    assert_eq!(exported(&reader), exported(&ledger));
    assert!(matches!(
        reader.append(&series(0..1)),
        Err(LedgerError::ReadOnly { .. })
    ));
    drop(reader);
    assert_eq!(to.open().append(&series(0..1)).unwrap(), 30..31);
}

#[test]
fn published_again_and_in_other_pieces_it_is_the_same() {
    let (_place, ledger, mut vault) = published();
    vault.put(ledger.publication(5, 12, &seal).unwrap());
    vault.put(ledger.publication(0, 30, &seal).unwrap());
    assert_eq!(
        vault.rebuild().unwrap().head(),
        Some(&ledger.head().unwrap())
    );
    // Any one damaged segment has a stand-in now.
    let names: Vec<_> = vault
        .0
        .keys()
        .filter(|n| n.contains("segments"))
        .cloned()
        .collect();
    for name in names {
        let mut damaged = vault.clone();
        damaged.0.get_mut(&name).unwrap()[5] ^= 1;
        assert_eq!(damaged.rebuild().unwrap().len(), 30, "{name}");
    }
}

#[test]
fn large_publications_are_cut_into_segments() {
    let ledger = sqlite().open();
    let mut batch = series(0..12);
    for entry in &mut batch {
        entry.actor = "x".repeat(1 << 20);
    }
    ledger.append(&batch).unwrap();
    let segments = ledger.segments(0, 12, &seal).unwrap();
    assert_eq!(segments.len(), 3);
    assert!(segments.iter().all(|segment| segment.bytes.len() < 6 << 20));
    assert!(ledger.segments(0, 13, &seal).is_err());
    assert!(ledger.segments(4, 4, &seal).unwrap().is_empty());
}

#[test]
fn entries_after_the_last_head_prove_themselves() {
    let (_place, ledger, mut vault) = published();
    let (name, _) = vault.named("heads/00000000000000000030");
    vault.0.remove(&name);
    assert_eq!(
        vault.rebuild().unwrap().head(),
        Some(&ledger.head().unwrap())
    );
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let (_place, _ledger, vault) = published();
    let fails = |change: &dyn Fn(&mut Vault)| {
        let mut vault = vault.clone();
        change(&mut vault);
        vault.rebuild().unwrap_err()
    };
    let missing = fails(&|vault| {
        let (name, _) = vault.named("0003-00000000000000000009");
        vault.0.remove(&name);
    });
    assert!(
        matches!(
            missing,
            RebuildError::Missing {
                missing: 3,
                covered: 30
            }
        ),
        "{missing}"
    );
    let last = fails(&|vault| {
        let (name, _) = vault.named("0010-00000000000000000029");
        vault.0.remove(&name);
    });
    assert!(
        matches!(
            last,
            RebuildError::Missing {
                missing: 10,
                covered: 30
            }
        ),
        "{last}"
    );
    let damaged = fails(&|vault| vault.named("0003-00000000000000000009").1[9] ^= 1);
    assert!(matches!(damaged, RebuildError::Sealed { .. }), "{damaged}");
    let short = fails(&|vault| {
        let bytes = vault.named("0003-00000000000000000009").1;
        let plain = open(bytes).unwrap();
        let cut = plain.len()
            - plain
                .iter()
                .rev()
                .skip(1)
                .take_while(|b| **b != b'\n')
                .count()
            - 1;
        *bytes = seal(&plain[..cut]);
    });
    assert!(matches!(short, RebuildError::Segment { .. }), "{short}");
    let edited = fails(&|vault| {
        let bytes = vault.named("0003-00000000000000000009").1;
        let plain = String::from_utf8(open(bytes).unwrap()).unwrap();
        *bytes = seal(plain.replacen("capture", "neglect", 1).as_bytes());
    });
    assert!(
        matches!(&edited, RebuildError::Wrong(p) if p.first_wrong == Some(3)),
        "{edited}"
    );
    let head = fails(&|vault| vault.named("heads/00000000000000000010").1[30] ^= 1);
    assert!(matches!(head, RebuildError::Head { .. }), "{head}");
    let renamed = fails(&|vault| {
        let (name, bytes) = vault.named("heads/00000000000000000010");
        let bytes = bytes.clone();
        vault.0.insert(name.replace("10", "11"), bytes);
    });
    assert!(
        matches!(renamed, RebuildError::HeadName { size: 10, .. }),
        "{renamed}"
    );
    let stray = fails(&|vault| {
        let (name, _) = vault.named("segments/");
        vault.0.insert(name.replace("jsonl", "json"), vec![]);
    });
    assert!(matches!(stray, RebuildError::Segment { .. }), "{stray}");
    let keyless = fails(&|vault| {
        let (name, _) = vault.named("vkey");
        vault.0.remove(&name);
    });
    assert!(matches!(keyless, RebuildError::Load { .. }), "{keyless}");
    let foreign = fails(&|vault| {
        *vault.named("vkey").1 = other_key().public_key_text().into_bytes();
    });
    assert!(
        matches!(foreign, RebuildError::OtherKey { .. }),
        "{foreign}"
    );
    let unreadable = fails(&|vault| *vault.named("vkey").1 = b"key".to_vec());
    assert!(
        matches!(unreadable, RebuildError::Key { .. }),
        "{unreadable}"
    );
}

#[test]
fn a_fork_names_both() {
    let (_place, ledger, mut vault) = published();
    let other = leaf_hash(b"another history");
    let (_, bytes) = vault.named("heads/00000000000000000010");
    *bytes = SignedHead::sign(&key(), 10, other).note.into_bytes();
    let ours = ledger.head_at(10).unwrap().root;
    let Err(RebuildError::Fork(fork)) = vault.rebuild() else {
        panic!("the fork was not seen");
    };
    assert_eq!(
        fork,
        Fork::Roots {
            size: 10,
            ours,
            theirs: other
        }
    );
    let text = fork.to_string();
    assert!(
        text.contains(&ours.to_string()) && text.contains(&other.to_string()),
        "{text}"
    );
}

#[test]
fn two_ledgers_in_one_vault_do_not_mix() {
    let (_place, ledger, mut vault) = published();
    let second = Ledger::open(&sqlite().url, other_key()).unwrap();
    second.append(&series(5..9)).unwrap();
    vault.put(second.publication(0, 4, &seal).unwrap());
    assert_eq!(ledger_ids(&mut vault).unwrap().len(), 2);
    assert_eq!(
        vault.rebuild().unwrap().head(),
        Some(&ledger.head().unwrap())
    );
    let id = other_key().public().ledger_id().to_owned();
    let rebuilt = rebuild(&mut vault, &id, None, &open).unwrap();
    assert_eq!(rebuilt.head(), Some(&second.head().unwrap()));
}
