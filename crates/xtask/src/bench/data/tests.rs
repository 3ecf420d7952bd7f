//! The data sets as they lie on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("xtask-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn size(seed: u64) -> Size {
    Size {
        seed,
        files: 400,
        bytes: 8_000_000,
    }
}

/// Every file by its path, links by their targets, with modes and times.
fn all_of(root: &Path) -> BTreeMap<PathBuf, (Vec<u8>, String)> {
    let (mut found, mut open) = (BTreeMap::new(), vec![root.to_path_buf()]);
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let about = path.symlink_metadata().unwrap();
            let bytes = if about.is_dir() {
                open.push(path);
                continue;
            } else if about.is_symlink() {
                std::fs::read_link(&path)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
                    .into_bytes()
            } else {
                std::fs::read(&path).unwrap()
            };
            let metadata = match about.is_symlink() {
                true => String::new(),
                false => format!("{:?} {:?}", about.permissions(), about.modified().unwrap()),
            };
            found.insert(
                path.strip_prefix(root).unwrap().to_path_buf(),
                (bytes, metadata),
            );
        }
    }
    found
}

#[test]
fn equal_seeds_write_equal_trees_and_other_seeds_do_not() {
    let (a, b, c) = (Folder::new("a"), Folder::new("b"), Folder::new("c"));
    for set in Set::ALL {
        let one = all_of(&set.provide(&a.0, &size(1)).unwrap());
        assert!(!one.is_empty());
        assert!(
            one == all_of(&set.provide(&b.0, &size(1)).unwrap()),
            "{set:?}"
        );
        assert!(
            one != all_of(&set.provide(&c.0, &size(2)).unwrap()),
            "{set:?}"
        );
        let bytes: usize = one.values().map(|(bytes, _)| bytes.len()).sum();
        assert!((7_900_000..8_200_000).contains(&bytes), "{set:?}: {bytes}");
    }
}

#[test]
fn what_is_there_is_used_again_unless_it_is_of_another_size_or_was_left_changed() {
    let folder = Folder::new("again");
    let place = Set::Stream.provide(&folder.0, &size(1)).unwrap();
    let dump = place.join("dump.sql");
    std::fs::write(&dump, b"mine").unwrap();
    Set::Stream.provide(&folder.0, &size(1)).unwrap();
    assert_eq!(std::fs::read(&dump).unwrap(), b"mine");
    Set::Stream.provide(&folder.0, &size(2)).unwrap();
    assert_eq!(std::fs::metadata(&dump).unwrap().len(), 8_000_000);
    std::fs::write(&dump, b"mine").unwrap();
    let was = unstamp(&place).unwrap();
    Set::Stream.provide(&folder.0, &size(2)).unwrap();
    assert_eq!(std::fs::metadata(&dump).unwrap().len(), 8_000_000);
    stamp_again(&place, &was).unwrap();
}

#[test]
fn changes_change_and_are_undone() {
    let folder = Folder::new("change");
    let words = Words::new();
    let plan = Plan::new(&size(1), &words);
    let place = Set::Files.provide(&folder.0, &size(1)).unwrap();
    let before = all_of(&place);
    let rounds: Vec<Change> = (0..5)
        .map(|round| Change::new(&plan, 1, round, 10))
        .collect();
    assert_eq!(rounds[0], Change::new(&plan, 1, 0, 10));
    assert_ne!(rounds[0], rounds[1]);
    let mut last = before.clone();
    for round in &rounds {
        assert_eq!(round.len(), 40);
        round.apply(&place, &plan, &words).unwrap();
        let now = all_of(&place);
        let same = now
            .iter()
            .filter(|(path, is)| last.get(*path) == Some(is))
            .count();
        // Added files leave the one beside them as it is; a removed one may be removed again.
        assert!(
            (last.len() - 40..last.len() - 20).contains(&same),
            "{same} of {}",
            last.len()
        );
        last = now;
    }
    for round in &rounds {
        round.undo(&place, &plan, &words).unwrap();
    }
    assert!(all_of(&place) == before);
}
