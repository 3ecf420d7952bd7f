//! A repository of the first release, committed and to be read for ever, with two snapshots of ours and one of restic
//! 0.18 after them. What it must hold was read out of it by restic.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::{back_up, file, memory, read, real_env};
use vouchsafe_capture::{NoProgress, PointReader, TreePath, Visit};
use vouchsafe_format::Id;
use vouchsafe_model::Secret;
use vouchsafe_store::{Key, MemoryStore, PutMode, Store};
use vouchsafe_vault::{Budget, Repository};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The golden repository in memory: nothing that a test does reaches the committed one.
fn repository() -> (Arc<MemoryStore>, Repository) {
    let store = memory();
    let root = golden().join("repository-1");
    let mut below = vec![root.clone()];
    while let Some(directory) = below.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below.push(path);
                continue;
            }
            let key = path.strip_prefix(&root).unwrap().to_str().unwrap();
            let bytes = fs::read(&path).unwrap();
            let key = Key::new(key).unwrap();
            store.put(&key, &bytes, PutMode::IfAbsent).unwrap();
        }
    }
    let secret = Secret::new(b"golden".to_vec());
    let repository = Repository::open(Arc::clone(&store) as _, &real_env(), &secret).unwrap();
    (store, repository)
}

/// By snapshot and path: the kind, and a link's target or the digest of a file's content.
fn wanted() -> BTreeMap<(String, String), String> {
    let text = fs::read_to_string(golden().join("repository-1.expected")).unwrap();
    text.lines()
        .map(|line| {
            let [snapshot, path, what] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                panic!("{line}");
            };
            let byte = |at| u8::from_str_radix(&path[at..at + 2], 16).unwrap();
            let path: Vec<u8> = (0..path.len()).step_by(2).map(byte).collect();
            let names = path.split(|byte| *byte == b'/').skip(1);
            let path = names.fold(TreePath::root(), |above, name| above.join(name).unwrap());
            let place = (snapshot.to_owned(), path.to_string());
            (place, what.trim_end().to_owned())
        })
        .collect()
}

#[test]
fn what_was_written_by_the_first_release_is_read() {
    let (_, repository) = repository();
    let mut found = BTreeMap::new();
    let (snapshots, problems) = repository.readable_snapshots().unwrap();
    assert_eq!((snapshots.len(), problems.len()), (3, 0));
    for (id, _) in snapshots {
        let everything = read(&repository.reader(&id).unwrap()).unwrap();
        assert!(everything.failed.is_empty(), "{:?}", everything.failed);
        for (path, content) in everything.entries {
            let what = match content.strip_prefix(b"-> ") {
                Some(target) => format!("link {}", String::from_utf8_lossy(target)),
                None if content == b"dir" => "dir".to_owned(),
                None => format!("file {}", Id::of(&content).to_hex()),
            };
            found.insert((id.to_hex(), path), what);
        }
    }
    assert_eq!(found, wanted());
    let check = repository.check(&NoProgress).unwrap();
    assert_eq!(check.problems, []);
    let verify = repository.verify(Budget::All, 0, &NoProgress).unwrap();
    assert_eq!(verify.problems, []);
}

#[test]
fn any_flipped_byte_of_it_is_seen() {
    let (store, repository) = repository();
    let packs: Vec<Key> = vouchsafe_store::list_all(&*store, "data/")
        .unwrap()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(packs.len(), 6);
    for key in packs {
        let whole = store.get(&key).unwrap();
        let mut bytes = whole.clone();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        store.put(&key, &bytes, PutMode::Replace).unwrap();
        let verify = repository.verify(Budget::All, 0, &NoProgress).unwrap();
        assert!(!verify.problems.is_empty(), "{key}");
        store.put(&key, &whole, PutMode::Replace).unwrap();
    }
}

/// Otherwise the next backup after an update would store everything anew.
#[test]
fn the_same_content_is_still_cut_into_the_same_chunks() {
    let (_, repository) = repository();
    let content = |snapshot: &Id, wanted: &str| {
        let mut chunks = None;
        let point = repository.reader(snapshot).unwrap();
        point
            .walk(&mut |path, node| {
                if path.to_string().ends_with(wanted) {
                    chunks.clone_from(&node.content);
                }
                Ok(Visit::Into)
            })
            .unwrap();
        chunks.unwrap()
    };
    let (snapshots, _) = repository.readable_snapshots().unwrap();
    let first = snapshots[0].0;
    let before = content(&first, "/long.txt");
    assert!(before.len() > 1);
    let everything = read(&repository.reader(&first).unwrap()).unwrap();
    let (_, text) = everything
        .entries
        .into_iter()
        .find(|(path, _)| path.ends_with("/long.txt"))
        .unwrap();
    let again = back_up(&repository, &[file("long.txt", text)]).unwrap();
    assert_eq!(content(&again.snapshot, "/long.txt"), before);
}
