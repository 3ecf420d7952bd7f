//! Restoring over what is there: only what differs is written.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::common::{self, World, assert_green, open, sh};
use vouchsafe_capture::{Compare, RestoreRequest, Restored, Source};

/// Restores over `to`, which holds something.
fn over(
    world: &World,
    source: &dyn Source,
    point: &common::memory::Point,
    to: &Path,
    compare: Compare,
) -> Restored {
    let request = RestoreRequest {
        to: to.to_path_buf(),
        include: None,
        form: Default::default(),
        force: true,
        compare,
    };
    let restored = source.restore(&world.ctx(), point, &request);
    let restored = restored.expect("restores");
    assert_eq!(restored.issues, []);
    restored
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).expect("metadata").ino()
}

fn made(world: &World) -> std::path::PathBuf {
    let root = world.path("srv/site");
    fs::create_dir_all(root.join("sub")).expect("directories");
    fs::write(root.join("a"), "first").expect("writes");
    fs::write(root.join("sub/b"), "second").expect("writes");
    fs::write(root.join("sub/c"), vec![7; 300_000]).expect("writes");
    fs::hard_link(root.join("a"), root.join("again")).expect("links");
    symlink("a", root.join("link")).expect("links");
    root
}

#[test]
fn only_what_differs_is_written() {
    let world = World::new();
    let root = made(&world);
    let source = open(&format!("files:{}", root.display()));
    let (captured, point) = world.capture(source.as_ref());
    let to = world.path("to");
    world.restore(source.as_ref(), &point, &to);
    let all = ["a", "again", "link", "sub/b", "sub/c"];
    let before = all.map(|name| inode(&to.join(name)));
    for compare in [Compare::SizeAndTime, Compare::Content] {
        let restored = over(&world, source.as_ref(), &point, &to, compare);
        assert_eq!((restored.items, restored.unchanged), (5, 5));
        assert_eq!(restored.bytes, 0);
        assert_eq!(all.map(|name| inode(&to.join(name))), before);
    }
    // One changed, one gone, one with another mode, a link that points elsewhere, and something of somebody else.
    fs::write(to.join("sub/b"), "changed").expect("writes");
    fs::remove_file(to.join("sub/c")).expect("removes");
    fs::set_permissions(to.join("a"), fs::Permissions::from_mode(0o777)).expect("changes");
    fs::remove_file(to.join("link")).expect("removes");
    symlink("elsewhere", to.join("link")).expect("links");
    fs::write(to.join("mine"), "stays").expect("writes");
    let restored = over(&world, source.as_ref(), &point, &to, Compare::SizeAndTime);
    assert_eq!((restored.items, restored.unchanged), (5, 2));
    assert_eq!(restored.bytes, 300_006);
    assert_eq!(
        [0, 1].map(|n| inode(&to.join(all[n]))),
        [before[0], before[1]]
    );
    assert_eq!(fs::read(to.join("mine")).expect("reads"), b"stays");
    fs::remove_file(to.join("mine")).expect("removes");
    assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
}

#[test]
fn what_was_changed_under_its_old_time_is_seen_by_its_content() {
    let world = World::new();
    let root = made(&world);
    let source = open(&format!("files:{}", root.display()));
    let (captured, point) = world.capture(source.as_ref());
    let to = world.path("to");
    world.restore(source.as_ref(), &point, &to);
    // Another byte in the last part, the same size, the same time.
    let file = to.join("sub/c");
    let script = format!(
        "t=$(stat -c %y {f}); printf x | dd of={f} bs=1 seek=299999 conv=notrunc status=none; touch -d \"$t\" {f}",
        f = file.display()
    );
    sh(world.path("").as_path(), &script);
    let restored = over(&world, source.as_ref(), &point, &to, Compare::SizeAndTime);
    assert_eq!(restored.unchanged, 5);
    assert_eq!(fs::read(&file).expect("reads")[299_999], b'x');
    let restored = over(&world, source.as_ref(), &point, &to, Compare::Content);
    assert_eq!((restored.items, restored.unchanged), (5, 4));
    assert_eq!(restored.bytes, 300_000);
    assert_green(&world.compare(source.as_ref(), &restored, &captured, &point));
}
