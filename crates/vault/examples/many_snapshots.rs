//! Adds snapshots to a repository on this machine, each of the tree of its newest one, to see how a long history
//! behaves: `many_snapshots REPOSITORY PASSPHRASE-FILE COUNT`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout
)]

use std::fs;
use std::path::Path;

use vouchsafe_format::{Id, Snapshot, Timestamp, encode_unpacked, open_key_file};

fn main() {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().expect("REPOSITORY PASSPHRASE-FILE COUNT");
    let (repository, passphrase, count) = (next(), next(), next());
    let repository = Path::new(&repository);
    let passphrase = fs::read_to_string(passphrase).unwrap();
    let count: usize = count.parse().unwrap();
    let newest = |folder: &str| {
        let listed = fs::read_dir(repository.join(folder)).unwrap();
        let all = listed.map(|entry| entry.unwrap());
        let newest = all.max_by_key(|entry| entry.metadata().unwrap().modified().unwrap());
        fs::read(newest.expect("an object").path()).unwrap()
    };
    let key = open_key_file(&newest("keys"), passphrase.trim().as_bytes()).unwrap();
    let opened = key.open(&newest("snapshots")).unwrap();
    let json = vouchsafe_format::decode_unpacked(&opened).unwrap();
    let tree = Snapshot::decode(&json).unwrap().tree;
    for n in 0..count {
        let snapshot = Snapshot {
            paths: vec![format!("/data/of/system-{}", n % 40)],
            hostname: "host".to_owned(),
            ..Snapshot::new(Timestamp::utc(1_600_000_000 + n as i64 * 3600, 0), tree)
        };
        let json = snapshot.encode().unwrap();
        let iv = *Id::of(&n.to_be_bytes()).as_bytes().first_chunk().unwrap();
        let sealed = key.seal(iv, &encode_unpacked(&json, 1).unwrap());
        let name = format!("snapshots/{}", Id::of(&sealed));
        fs::write(repository.join(name), sealed).unwrap();
    }
    println!("{count} snapshots added");
}
