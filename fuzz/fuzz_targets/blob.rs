//! Blobs, properly sealed: none passes under an id that is not its own, and all ways to open one agree, also several
//! at once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_format::{Id, IdBuilder, MasterKey, Opener, Prover, Sealed, decompress, open_blob};

fuzz_target!(|input: (Option<u32>, &[u8])| {
    let (length, stored) = input;
    let key = MasterKey::from_random([7; 64]).unwrap();
    let sealed = key.seal([1; 16], stored);
    let plain = match length {
        None => Some(stored.to_vec()),
        Some(length) => decompress(stored, length as usize).ok(),
    };
    let own = plain.as_deref().map(Id::of);
    for expected in [own.unwrap_or(Id::of(b"nothing")), Id::of(b"another")] {
        let opened = open_blob(&key, &sealed, length, expected).ok();
        assert_eq!(opened.is_some(), own == Some(expected));
        if opened.is_some() {
            assert_eq!(opened, plain);
        }
        let blob = |bytes| Sealed {
            bytes,
            uncompressed_length: length,
            id: expected,
        };
        let mut copy = sealed.clone();
        let mut opener = Opener::new();
        let again = opener.open(&key, blob(&mut copy)).ok();
        assert_eq!(again, opened.as_deref());
        let proven = Prover::new().prove(&key, &sealed, length, expected);
        assert_eq!(proven.is_ok(), opened.is_some());

        // Beside others of other lengths, and the bytes of a pack.
        let half = &stored[..stored.len() / 2];
        let mut others = [half, b"", stored].map(|bytes| key.seal([2; 16], bytes));
        let ids = [half, b"", stored].map(Id::of);
        let mut copy = sealed.clone();
        let mut all = vec![blob(&mut copy)];
        all.extend(others.iter_mut().zip(ids).map(|(bytes, id)| Sealed {
            bytes,
            uncompressed_length: None,
            id,
        }));
        let mut name = IdBuilder::default();
        let each = opener.open_each(&key, all, Some((&mut name, &sealed)));
        let found: Vec<_> = each.into_iter().map(|one| one.ok()).collect();
        assert_eq!(
            found,
            [opened.as_deref(), Some(half), Some(b""), Some(stored)]
        );
        assert_eq!(name.finish(), Id::of(&sealed));
    }
});
