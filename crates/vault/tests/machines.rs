//! The machines by themselves, in arbitrary orders of completion.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::common::{self, noise};
use proptest::prelude::*;
use vouchsafe_format::{
    BlobKind, Id, IndexPack, MasterKey, SealedBlob, Snapshot, Timestamp, encode_index, seal_blob,
};
use vouchsafe_host::{Random, SeededRandom};
use vouchsafe_vault::machine::backup::Reading;
use vouchsafe_vault::machine::{
    BackupMachine, Blob, Compute, Done, Job, Machine, MachineError, ObjectKind, Saver, Settings,
    Transfer,
};

const SMALL: Settings = Settings {
    pack_bytes: 10_000,
    index_blobs: 20,
    index_age: Duration::from_secs(600),
    budget: 25_000,
};

/// Does the jobs of a saver in an order that the seed chooses, and remembers what reached the store.
struct Hands {
    saver: Saver,
    key: MasterKey,
    random: SeededRandom,
    jobs: Vec<Job>,
    clock: Duration,
    begun: BTreeMap<Id, Vec<Id>>,
    packs: BTreeMap<Id, (BlobKind, Vec<Id>)>,
    indexed: Vec<IndexPack>,
    indexes: BTreeMap<Id, Vec<IndexPack>>,
    most_memory: usize,
}

impl Hands {
    fn new(seed: u64, settings: Settings) -> Hands {
        Hands {
            saver: Saver::new(settings, Arc::new(SeededRandom::new(seed ^ 1))),
            key: MasterKey::from_random([7; 64]).unwrap(),
            random: SeededRandom::new(seed),
            jobs: Vec::new(),
            clock: Duration::ZERO,
            begun: BTreeMap::new(),
            packs: BTreeMap::new(),
            indexed: Vec::new(),
            indexes: BTreeMap::new(),
            most_memory: 0,
        }
    }

    /// Offers a blob, doing jobs while there is no room; how often there was none.
    fn offer(&mut self, kind: BlobKind, bytes: Vec<u8>) -> u32 {
        let mut blob = Blob::Plain(bytes);
        let mut waits = 0;
        loop {
            match self.saver.offer(kind, blob, &mut self.jobs) {
                Ok(_) => break,
                Err(back) => blob = back.0,
            }
            waits += 1;
            assert!(self.do_one(), "no room, and nothing under way");
        }
        self.most_memory = self.most_memory.max(self.saver.memory());
        waits
    }

    fn do_one(&mut self) -> bool {
        if self.jobs.is_empty() {
            return false;
        }
        let at = (self.random.u64() % self.jobs.len() as u64) as usize;
        match self.jobs.swap_remove(at) {
            Job::Compute(Compute::Process {
                ticket,
                kind,
                blob: Blob::Plain(bytes),
            }) => {
                let id = Id::of(&bytes);
                let fresh = seal_blob(&self.key, self.iv(), kind, &bytes, None).unwrap();
                self.saver
                    .processed(ticket, id, bytes.len() as u64, Some(fresh), &mut self.jobs)
                    .unwrap();
            }
            Job::Compute(Compute::Finish { ticket, pack }) => {
                let kind = pack.kind();
                let pack = pack.finish(&self.key, self.iv()).unwrap();
                self.begun
                    .insert(pack.id, pack.blobs.iter().map(|blob| blob.id).collect());
                assert!(
                    pack.blobs.iter().all(|blob| blob.kind == kind),
                    "a pack holds two kinds"
                );
                self.saver.finished(ticket, pack, &mut self.jobs).unwrap();
            }
            Job::Compute(Compute::Index { ticket, packs }) => {
                for pack in &packs {
                    assert!(
                        self.packs.contains_key(&pack.id),
                        "listed before it is durable"
                    );
                }
                let bytes = encode_index(&packs);
                self.indexes.insert(Id::of(&bytes), packs);
                self.saver
                    .encoded(ticket, Id::of(&bytes), bytes, &mut self.jobs)
                    .unwrap();
            }
            Job::Transfer(Transfer::Put {
                ticket,
                object,
                name,
                bytes,
            }) => {
                match object {
                    ObjectKind::Pack => {
                        assert_eq!(Id::of(&bytes), name);
                        let blobs = self.begun[&name].clone();
                        self.packs.insert(name, (BlobKind::Data, blobs));
                    }
                    ObjectKind::Index => self.indexed.extend(self.indexes[&name].clone()),
                    other => panic!("a saver stores no {other:?}"),
                }
                self.clock += Duration::from_secs(1);
                self.saver
                    .stored(ticket, self.clock, &mut self.jobs)
                    .unwrap();
            }
            other => panic!("a saver does not ask for {other:?}"),
        }
        self.most_memory = self.most_memory.max(self.saver.memory());
        true
    }

    fn finish(&mut self) {
        self.saver.flush(&mut self.jobs).unwrap();
        while self.do_one() {}
        assert!(self.saver.is_durable());
    }

    fn iv(&self) -> [u8; 16] {
        let mut iv = self.random.bytes16();
        iv[0] |= 1;
        iv
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_blob_is_in_one_pack_and_every_pack_is_listed(
        seed in any::<u64>(),
        lengths in prop::collection::vec((0_usize..4_000, any::<bool>(), 0_u32..4), 1..120),
    ) {
        let mut hands = Hands::new(seed, SMALL);
        let mut offered = BTreeSet::new();
        for (n, (length, tree, jobs)) in lengths.iter().enumerate() {
            let bytes = [noise(n as u64, *length), n.to_le_bytes().to_vec()].concat();
            offered.insert(Id::of(&bytes));
            hands.offer(if *tree { BlobKind::Tree } else { BlobKind::Data }, bytes);
            for _ in 0..*jobs {
                hands.do_one();
            }
        }
        hands.finish();
        let stored: Vec<Id> = hands.packs.values().flat_map(|(_, blobs)| blobs.clone()).collect();
        prop_assert_eq!(stored.len(), offered.len());
        prop_assert_eq!(stored.into_iter().collect::<BTreeSet<_>>(), offered.clone());
        let listed: BTreeSet<Id> = hands.indexed.iter().flat_map(|p| p.blobs.iter().map(|b| b.id)).collect();
        prop_assert_eq!(listed, offered);
        prop_assert_eq!(hands.indexed.len(), hands.packs.len());
    }
}

#[test]
fn memory_is_bounded_in_bytes_however_much_comes() {
    let mut hands = Hands::new(3, SMALL);
    let mut waits = 0;
    for n in 0..2_000 {
        waits += hands.offer(BlobKind::Data, noise(n, (n as usize * 37) % 4_000));
    }
    hands.finish();
    // What is under way, and four open packs that may each exceed their size by one blob.
    let bound = SMALL.budget + 4 * (SMALL.pack_bytes + 4_100);
    assert!(
        hands.most_memory <= bound,
        "{} bytes of at most {bound}",
        hands.most_memory
    );
    assert!(waits > 100, "there was always room: nothing was bounded");
    assert_eq!(hands.saver.memory(), 0);
}

#[test]
fn a_blob_beyond_the_budget_is_let_in_alone() {
    let mut hands = Hands::new(4, SMALL);
    hands.offer(BlobKind::Data, noise(1, 1_000));
    assert!(hands.offer(BlobKind::Data, noise(2, 100_000)) > 0);
    assert!(hands.offer(BlobKind::Data, noise(3, 10)) > 0);
    hands.finish();
    let own = hands
        .packs
        .values()
        .find(|(_, blobs)| blobs.contains(&Id::of(&noise(2, 100_000))))
        .unwrap();
    assert_eq!(own.1.len(), 1, "a blob as large as a pack has its own");
    assert_eq!(hands.packs.len(), 2);
}

#[test]
fn blobs_are_spread_over_two_packs_and_small_ones_merged() {
    let mut hands = Hands::new(
        5,
        Settings {
            budget: 1 << 30,
            ..SMALL
        },
    );
    for n in 0..9 {
        hands.offer(BlobKind::Data, noise(n, 1_000));
        while hands.do_one() {}
    }
    assert!(hands.packs.is_empty(), "nine small blobs fill no pack");
    hands.finish();
    assert_eq!(hands.packs.len(), 1, "two small packs are stored as one");
    let (_, order) = hands.packs.values().next().unwrap();
    let offered: Vec<Id> = (0..9).map(|n| Id::of(&noise(n, 1_000))).collect();
    assert_ne!(
        *order, offered,
        "the order in the pack is the order of coming"
    );
}

#[test]
fn an_index_is_written_when_it_is_full_or_old() {
    let mut full = Hands::new(6, SMALL);
    for n in 0..200 {
        full.offer(BlobKind::Data, noise(n, 1_000));
    }
    full.finish();
    assert!(
        full.indexes.len() >= 200 / 30 && full.indexes.len() <= 200 / 20 + 1,
        "{}",
        full.indexes.len()
    );
    let mut old = Hands::new(
        7,
        Settings {
            index_blobs: 1_000_000,
            index_age: Duration::from_secs(3),
            ..SMALL
        },
    );
    for n in 0..200 {
        old.offer(BlobKind::Data, noise(n, 1_000));
    }
    old.finish();
    assert!(old.indexes.len() > 2, "{}", old.indexes.len());
}

#[test]
fn a_completion_that_was_not_asked_for_is_refused() {
    let mut hands = Hands::new(8, SMALL);
    let ticket = hands
        .saver
        .offer(BlobKind::Data, Blob::Plain(vec![1]), &mut hands.jobs)
        .unwrap();
    let fresh = || SealedBlob {
        bytes: vec![0; 40],
        uncompressed_length: None,
    };
    let mut jobs = Vec::new();
    hands
        .saver
        .processed(ticket, Id::of(b"x"), 1, Some(fresh()), &mut jobs)
        .unwrap();
    let again = hands
        .saver
        .processed(ticket, Id::of(b"x"), 1, Some(fresh()), &mut jobs);
    assert!(matches!(again, Err(MachineError::UnknownTicket)));
    assert!(matches!(
        hands.saver.stored(ticket, Duration::ZERO, &mut jobs),
        Err(MachineError::UnknownTicket)
    ));
}

#[test]
fn no_snapshot_without_the_proof_of_every_stream() {
    let saver = Saver::new(SMALL, Arc::new(SeededRandom::new(1)));
    let snapshot = Snapshot::new(Timestamp::utc(0, 0), Id::of(b""));
    let mut machine = BackupMachine::new(saver, snapshot);
    let mut jobs = Vec::new();
    let node = common::node(b"dump", vouchsafe_format::NodeKind::File, 0);
    let stream = machine.begin(node, Reading::Stream, false).unwrap();
    machine
        .chunk(stream, vec![1; 10], &mut jobs)
        .unwrap()
        .unwrap();
    machine.close(&mut jobs).unwrap();
    assert!(!machine.is_ready_for_snapshot());
    assert!(matches!(
        machine.write_snapshot(Timestamp::utc(1, 0), &mut jobs),
        Err(MachineError::AfterEnd)
    ));
    let issue = vouchsafe_model::Issue {
        place: "dump".to_owned(),
        message: "broken".to_owned(),
    };
    assert!(matches!(
        machine.give_up(stream, issue, &mut jobs),
        Err(MachineError::OpenStreams { .. })
    ));
    // Even if every job that was handed out is answered, there is nothing to be read.
    for job in std::mem::take(&mut jobs) {
        if let Job::Compute(Compute::Process {
            ticket,
            blob: Blob::Plain(bytes),
            ..
        }) = job
        {
            let done = Done::Blob {
                ticket,
                id: Id::of(&bytes),
                length: 10,
                fresh: None,
            };
            machine.completed(done, Duration::ZERO, &mut jobs).unwrap();
        }
    }
    assert!(
        !machine.is_ready_for_snapshot() && !machine.is_finished() && machine.result().is_none()
    );
}
